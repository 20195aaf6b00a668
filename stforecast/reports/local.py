"""Events of a cube's hexagons on the city's own clock: what every section of the analysis reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from stforecast.cube import Cube
from stforecast.cube.places import named
from stforecast.cube.study_area import placed
from stforecast.events.schema import EventTable
from stforecast.events.sources import wildcard
from stforecast.features.delay import arrived
from stforecast.reports.evaluated import districts_of
from stforecast.reports.page import words


@dataclass(frozen=True)
class Local:
    """A cube and its events, a row each: those of the silver table that lie in its hexagons and on its axis.

    frame: columns of the event table, and `time` (local, without zone), `hexagon` (row of the cube's hexagons),
    `step` and `known` (steps of the axis in which it occurred and became known).
    """

    cube: Cube
    frame: pd.DataFrame
    seed: int = 0

    @staticmethod
    def of(cube: Cube, events: EventTable, seed: int = 0) -> Local:
        frame = events.frame
        row = placed(cube.geometry, frame)[0]
        inside = frame["occurred_at"].between(cube.start, cube.end, inclusive="left").to_numpy()
        keep = inside & (row >= 0)
        frame, notes = frame[keep].reset_index(drop=True), cube.notes
        reported = notes["known_time"] == "reported"
        step, _, known, _ = cube.axis.event_steps(frame, notes["spans"]["rule"], notes["embargo_hours"], reported)
        time = frame["occurred_at"].dt.tz_convert(cube.time_zone).dt.tz_localize(None)
        return Local(cube, frame.assign(time=time, hexagon=row[keep], step=step, known=known), seed)

    @cached_property
    def groups(self) -> dict[str, np.ndarray]:
        """Masks of the events of `all` and of each category."""
        each = {name: (self.frame["category"] == name).to_numpy() for name in self.cube.categories}
        return {"all": np.ones(len(self.frame), bool)} | each

    @cached_property
    def date(self) -> pd.Series:
        """The local day of every event."""
        return self.frame["time"].dt.normalize()

    @cached_property
    def days(self) -> pd.DatetimeIndex:
        """Every whole local day of the axis."""
        return whole_days(self.cube)

    @cached_property
    def recorded(self) -> pd.DatetimeIndex:
        """Those of `days` of whose hours none is masked in all categories: no other is read as a quiet one."""
        return self.days[~self._masked(range(self.cube.c), every=True)]

    def _masked(self, categories: Sequence[int], every: bool = False) -> np.ndarray:
        """Which of `days` have an hour that is masked in one of some categories, or in every one, bool [days]."""
        masked = self.cube.masked_before()
        if masked is None:
            return np.zeros(len(self.days), bool)
        hidden = masked[:, list(categories)].all(1) if every else masked[:, list(categories)].any(1)
        return self.days.isin(self._local_days()[np.flatnonzero(hidden)])

    def _local_days(self) -> pd.DatetimeIndex:
        """The local day of every step."""
        cube = self.cube
        return cube.times_of(np.arange(cube.steps)).tz_convert(cube.time_zone).tz_localize(None).normalize()

    def classes(self, severity: Mapping[str, list[str]]) -> dict[str, np.ndarray]:
        """Masks of the events of each severity class, by their offence; the first class that names it has it."""
        code, offences = pd.factorize(self.frame["offence"].fillna(""))
        text = [" ".join(str(offence).split()) for offence in offences]
        out, left = {}, np.ones(len(text), bool)
        for name, patterns in severity.items():
            named = [wildcard(pattern) for pattern in patterns]
            mine = left & np.array([any(one.fullmatch(offence) for one in named) for offence in text], bool)
            out[name], left = mine[code], left & ~mine
        return out

    def daily(self, groups: Mapping[str, np.ndarray] | None = None) -> pd.DataFrame:
        """Counts of each of the `recorded` days, a column each group of events; default `all` and the categories.

        NaN where a category was not recorded that the group may hold.
        """
        place, out = self.days.get_indexer(pd.Index(self.date)), pd.DataFrame(index=self.days)
        for name, mine in (self.groups if groups is None else groups).items():
            out[name] = np.bincount(place[mine & (place >= 0)], minlength=len(self.days))
            of = [self.cube.categories.index(str(name))] if name in self.cube.categories else range(self.cube.c)
            if (hidden := self._masked(of)).any():
                out[name] = out[name].where(~hidden)
        return out.loc[self.recorded]

    def complete_days(self) -> np.ndarray:
        """Expected share of each recorded local day's events that the record holds at its end, [days]."""
        cube = self.cube
        until = int(cube.known_hour.max(initial=0)) + 1
        share = arrived(cube, 0, cube.steps, until).min(1)
        return pd.Series(share).groupby(self._local_days()).min().reindex(self.recorded).to_numpy()

    def district(self) -> pd.Series:
        """The district of every event: the publisher's, else its hexagon's; null where neither has a name."""
        published, placed = named(self.frame["district"]), districts_of(self.cube.hexagons).to_numpy()
        return published.fillna(pd.Series(placed[self.frame["hexagon"]], dtype=published.dtype))


def city_facts(cube: Cube, days: pd.DatetimeIndex, events: int, simulated: bool) -> dict[str, str]:
    """The facts that stand on top of every page: which city, record, places and categories it is of."""
    return {
        "City": words(cube.name).title() + (", a simulated city: no report in it is real" if simulated else ""),
        "Record": f"{days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}, {events:,} events",
        "Places": f"{cube.n:,} " + (f"hexagons of H3 resolution {cube.resolution}" if cube.resolution else "areas"),
        "Categories": ", ".join(map(words, cube.categories)),
        "Local time": cube.time_zone,
    }


def whole_days(cube: Cube) -> pd.DatetimeIndex:
    """The local days that a cube's axis holds from midnight to midnight."""
    begin, end = (time.tz_convert(cube.time_zone).tz_localize(None) for time in (cube.start, cube.end))
    return pd.date_range(begin.ceil("D"), end.floor("D") - pd.Timedelta(days=1), freq="D")
