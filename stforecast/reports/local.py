"""Events of a cube's hexagons on the city's own clock: what every section of the analysis reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from stforecast.config.sections import Unit
from stforecast.cube import Cube
from stforecast.cube.axis import known_times
from stforecast.cube.covariates import sensitive_words
from stforecast.cube.districts import named
from stforecast.cube.steps import LENGTHS
from stforecast.cube.study_area import placed
from stforecast.events.parsing.timestamps import Precision
from stforecast.events.precision import STEPS
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
        known_at = known_times(events, frame["reported_at"], cube.notes["known_time"])
        row = placed(cube.geometry, frame)[0]
        inside = frame["occurred_at"].between(cube.start, cube.end, inclusive="left").to_numpy()
        keep = inside & (row >= 0)
        frame, notes = frame[keep].reset_index(drop=True), cube.notes
        if known_at is not None:
            known_at = known_at[keep].reset_index(drop=True)
        step, _, known, _ = cube.axis.event_steps(frame, notes["spans"]["rule"], notes["embargo_hours"], known_at)
        time = frame["occurred_at"].dt.tz_convert(cube.time_zone).dt.tz_localize(None)
        return Local(cube, frame.assign(time=time, hexagon=row[keep], step=step, known=known), seed)

    @property
    def precision(self) -> Precision:
        """What the publisher gives of when an event occurred."""
        return self.cube.notes.get("precision", "time")

    @property
    def unit(self) -> Unit:
        """The finest unit that sections may speak of: that of the steps, or what the publisher gives where coarser."""
        return max(self.cube.step_unit, STEPS[self.precision], key=LENGTHS.__getitem__)

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
        """Those of `days` of which no step is masked in all categories: no other is read as a quiet one."""
        return self.days[~self._masked(range(self.cube.c), every=True)]

    def _masked(self, categories: Sequence[int], every: bool = False) -> np.ndarray:
        """Which of `days` have a step that is masked in one of some categories, or in every one, bool [days]."""
        masked = self.cube.masked_before()
        if masked is None:
            return np.zeros(len(self.days), bool)
        some = masked[:, list(categories)]
        hidden = np.flatnonzero(some.all(1) if every else some.any(1))
        day, step = self._steps_of_days
        return self.days.isin(day[np.isin(step, hidden)])

    @cached_property
    def _steps_of_days(self) -> tuple[pd.DatetimeIndex, np.ndarray]:
        """Every local day with a step that it holds, or that holds it."""
        cube = self.cube
        if cube.step_unit == "hour":
            step = np.arange(cube.steps)
            return cube.times_of(step).tz_convert(cube.time_zone).tz_localize(None).normalize(), step
        noon = (self.days + pd.Timedelta(hours=12)).tz_localize(cube.time_zone)
        return self.days, cube.step.since(cube.start, noon)

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
        share, (day, step) = arrived(cube, 0, cube.steps, until).min(1), self._steps_of_days
        return pd.Series(share[step]).groupby(day).min().reindex(self.recorded).to_numpy()

    def district(self) -> pd.Series:
        """The district of every event: the publisher's, else its hexagon's; null where neither has a name."""
        published, placed = named(self.frame["district"]), districts_of(self.cube.hexagons).to_numpy()
        return published.fillna(pd.Series(placed[self.frame["hexagon"]], dtype=published.dtype))


def city_facts(
    cube: Cube, days: pd.DatetimeIndex, events: int, simulated: bool, credits: Sequence[str]
) -> dict[str, str]:
    """The facts that stand on top of every page: which city, record, places and categories it is of."""
    unit = cube.step_unit
    facts = {
        "City": words(cube.name).title() + (", a simulated city: no report in it is real" if simulated else ""),
        "Record": f"{days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}, {events:,} events",
        "Places": f"{cube.n:,} " + (f"hexagons of H3 resolution {cube.resolution}" if cube.resolution else "areas"),
        "Forecasts": cube.step.words(cube.horizons) + (f", {unit} by {unit}" if cube.horizons > 1 else ""),
        "Categories": ", ".join(map(words, cube.categories)),
        "Local time": cube.time_zone,
    }
    if cube.covariates:
        facts["Covariates"] = ", ".join(words(one.name) for one in cube.covariates)
    if sensitive := sensitive_words(cube.covariates):
        facts["Sensitive"] = sensitive[0]
    if credits:
        facts["Data"] = " ".join(credits)
    return facts


def span_in_words(cube: Cube, begin: pd.Timestamp, end: pd.Timestamp) -> str:
    """From when to when local times are: of days and months the first and the last."""
    if cube.step_unit == "hour":
        return f"{begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
    last, form = end - pd.Timedelta(hours=1), "%Y-%m-%d" if cube.step_unit == "day" else "%Y-%m"
    return " to ".join(dict.fromkeys(time.strftime(form) for time in (begin, last)))


def whole_days(cube: Cube) -> pd.DatetimeIndex:
    """The local days that a cube's axis holds from midnight to midnight."""
    begin, end = (time.tz_convert(cube.time_zone).tz_localize(None) for time in (cube.start, cube.end))
    return pd.date_range(begin.ceil("D"), end.floor("D") - pd.Timedelta(days=1), freq="D")
