"""One issue of a Forecast: arrays for maps, store and service, and the same as tables for files.

Arrays are [i c n]: intervals (the steps, and last the horizon: all of them together), categories (first `all`, their
sum) and hexagons in the order of their ids. Tables have a row a hexagon, interval and category:

    steps     place, hexagon, valid_from, valid_until, local_hour (of days and months local_date, the first of the
              month), category, intensity, risk, rank, usual, issue_time, model, complete_until
    horizon   the same of the horizon, without local time; low and high after intensity where the forecast is calibrated

Times are UTC instants; an interval is [valid_from, valid_until). `intensity` is the expected number of events in the
interval, `risk` = 1 − exp(−intensity) the probability of at least one, [`low`, `high`] the central 90 % interval of
the count over the horizon (`scoring.conformal`: LEVEL, and what is guaranteed; `high` is at least 1 where `risk` is
above 5 %), `usual` what the rolling climatology expects, where the forecast carries it; `rate` of the expected events
and their `denominator` (`rates`) stand behind it where the city has one. `place` is what a reader calls the hexagon
(`place_names`), where the grid has names. Rank 1 is the highest risk within its interval and category, ties in the
order of hexagon ids; rows come in the order of interval, category, rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stforecast.config.sections import Unit
from stforecast.cube.geometry import Geometry, geometry_of
from stforecast.cube.steps import Step
from stforecast.delivery.rates import Denominator
from stforecast.errors import ArtefactError
from stforecast.scoring.conformal import Spread
from stforecast.scoring.intensity import risk
from stforecast.scoring.joint import JointSpread

if TYPE_CHECKING:
    from stforecast.forecasters.forecast import Forecast

ALL = "all"
HORIZON = -1
"""The interval of all steps together."""
NOTICE = (
    "Forecasts of reported offences, by place and never by person; "
    "they follow what is reported and recorded, which is not all that happens."
)


@dataclass(frozen=True, eq=False)
class RiskGrid:
    """The next hours, days or months of a city, as far as a forecast goes: its horizon.

    intensity: expected events, float64 [i c n]. usual: the same of the rolling climatology; None where the forecast
    does not carry it. hexagons: ids of the cells, [n], sorted. categories: [c]. complete_until: the record was used up
    to here (never after the issue time). spreads: of the counts over the horizon about their λ, by category; empty for
    a forecast that was not calibrated. districts: [n], None where a hexagon has none. polygons: outlines of cells that
    are polygons of a file, [n], simplified if they have many corners; None of H3 cells. denominator: of rates, if any.
    credits: how the publishers of the data are to be named. places: names of the cells, [n] (`place_names`), if any.
    joint: how sums of counts spread, by category; or empty.
    """

    intensity: np.ndarray
    hexagons: np.ndarray
    categories: tuple[str, ...]
    issue_time: pd.Timestamp
    step_hours: int
    step_unit: Unit
    time_zone: str
    model: str
    complete_until: pd.Timestamp
    assumptions: tuple[str, ...]
    spreads: Mapping[str, Spread]
    usual: np.ndarray | None = None
    districts: np.ndarray | None = None
    polygons: np.ndarray | None = None
    denominator: Denominator | None = None
    credits: tuple[str, ...] = ()
    places: np.ndarray | None = None
    joint: Mapping[str, JointSpread] = field(default_factory=dict)

    @classmethod
    def of(cls, forecast: Forecast, issue: int = 0) -> RiskGrid:
        """The grid of one issue.

        Args:
            forecast: of any number of issues.
            issue: the index of the issue in it.

        Raises:
            ArtefactError: no local day or month begins at the issue time, where steps are these; a hexagon occurs
                twice; or a category is named `all` beside others.
        """
        step, issue_time = forecast.step, forecast.issue_times[issue]
        if step.times(issue_time, [0])[0] != issue_time:
            what = f"no {step.unit} of {step.time_zone} begins at the issue time {iso(issue_time)}"
            raise ArtefactError(f"forecast: {what}. Take an issue time at which one does.")
        hexagons, order = np.unique(np.asarray(forecast.hexagons, dtype=str), return_index=True)
        if len(hexagons) != len(forecast.hexagons):
            raise ArtefactError("forecast: a hexagon occurs twice. Build the cube again.")
        categories, districts = forecast.categories, forecast.districts
        if categories != (ALL,):
            if ALL in categories:
                raise ArtefactError(f"category {ALL!r} is the sum of the others. Rename it in source.categories.")
            categories = (ALL, *categories)

        if districts is not None:
            districts = np.array([None if pd.isna(name) else str(name) for name in districts[order]], object)

        def summed(values: np.ndarray) -> np.ndarray:
            return with_sums(values[issue].transpose(0, 2, 1)[..., order], categories)

        return cls(
            intensity=summed(forecast.intensity),
            hexagons=hexagons,
            categories=categories,
            issue_time=issue_time,
            complete_until=min(forecast.complete_until, issue_time),
            usual=None if forecast.usual is None else summed(forecast.usual),
            districts=districts,
            polygons=None if forecast.drawn is None else forecast.drawn[order],
            assumptions=forecast.assumptions,
            spreads=forecast.spreads,
            joint=forecast.joint,
            **{name: getattr(forecast, name) for name in ("step_hours", "step_unit", "time_zone", "model")},
        )

    @classmethod
    def from_facts(
        cls,
        facts: Mapping[str, Any],
        hexagons: np.ndarray,
        intensity: np.ndarray,
        usual: np.ndarray | None,
        polygons: np.ndarray | None = None,
        denominator: np.ndarray | None = None,
    ) -> RiskGrid:
        """The grid with these `facts`, the numbers of `leaves` [k c n], perhaps `polygons` and `denominator`, [k n].

        Raises:
            KeyError, TypeError, ValueError: the facts are not those of this version.
        """
        categories = tuple(facts["categories"])
        return cls(
            intensity=with_sums(intensity, categories),
            hexagons=hexagons,
            categories=categories,
            issue_time=pd.Timestamp(facts["issue_time"]),
            complete_until=pd.Timestamp(facts["complete_until"]),
            assumptions=tuple(facts["assumptions"]),
            spreads={name: Spread.from_dict(spread) for name, spread in facts["spreads"].items()},
            usual=None if usual is None else with_sums(usual, categories),
            districts=np.array(facts["districts"], object) if facts["districts"] else None,
            polygons=polygons,
            denominator=None if denominator is None else Denominator.from_facts(facts["rate"], denominator),
            step_unit=facts.get("step_unit", "hour"),  # as on prospective records of before there were others
            credits=tuple(facts.get("credits", ())),
            places=np.array(facts["places"], object) if "places" in facts else None,
            joint={name: JointSpread.from_dict(one) for name, one in facts.get("joint", {}).items()},
            **{name: facts[name] for name in ("step_hours", "time_zone", "model")},
        )

    def facts(self, city: str) -> dict[str, Any]:
        """Everything about the grid but its hexagons and numbers, as plain values."""
        return {
            **({} if self.polygons is None else {"cells": "polygons"}),
            **({"credits": list(self.credits)} if self.credits else {}),
            "city": city,
            "time_zone": self.time_zone,
            "issue_time": iso(self.issue_time),
            "valid_from": [iso(time) for time in self.starts[:HORIZON]],
            "step_unit": self.step_unit,
            "step_hours": self.step_hours,
            "categories": list(self.categories),
            "model": self.model,
            "complete_until": iso(self.complete_until),
            "assumptions": list(self.assumptions),
            "notice": NOTICE,
            "spreads": {name: spread.to_dict() for name, spread in self.spreads.items()},
            **({"joint": {name: one.to_dict() for name, one in self.joint.items()}} if self.joint else {}),
            "districts": None if self.districts is None else self.districts.tolist(),
            **({} if self.places is None else {"places": self.places.tolist()}),
            **({} if self.denominator is None else {"rate": self.denominator.facts(self.ends - self.starts)}),
        }

    def leaves(self, values: np.ndarray) -> np.ndarray:
        """Values [i c n] without their sums over steps and categories: float32 [k c n]."""
        return values[:HORIZON, len(self.categories) > 1 :].astype("<f4")

    @property
    def horizons(self) -> int:
        """Number of steps."""
        return len(self.intensity) - 1

    @property
    def step(self) -> Step:
        """What a step is."""
        return Step(self.step_unit, self.step_hours, self.time_zone)

    @cached_property
    def starts(self) -> pd.DatetimeIndex:
        """When each interval begins, UTC, [i]."""
        return self._times([*range(self.horizons), 0])

    @cached_property
    def ends(self) -> pd.DatetimeIndex:
        """When each interval ends, UTC, [i]."""
        return self._times([*range(1, self.horizons + 1), self.horizons])

    def _times(self, steps: list[int]) -> pd.DatetimeIndex:
        if self.step_unit == "hour":  # as many as a shift has, which need not divide a day (`shifts.during`)
            times = self.issue_time + pd.to_timedelta(np.array(steps) * self.step_hours, unit="h")
            return pd.DatetimeIndex(times).as_unit("us")
        return self.step.times(self.issue_time, steps).as_unit("us")

    @cached_property
    def local(self) -> tuple[str, np.ndarray]:
        """`local_hour` and the local hour in which each step begins, int32 [k]; else `local_date` and its date, [k]."""
        begins = self.starts[:HORIZON].tz_convert(self.time_zone)
        if self.step_unit == "hour":
            return "local_hour", np.asarray(begins.hour, np.int32)
        return "local_date", np.asarray(begins.date)

    @cached_property
    def risk(self) -> np.ndarray:
        """Probability of at least one event, [i c n]."""
        return risk(self.intensity)

    @cached_property
    def rates(self) -> dict[str, np.ndarray]:
        """`rate`, NaN where none is shown, and its `denominator`, [i c n] each; empty where the city has none."""
        return {} if self.denominator is None else self.denominator.rates(self.intensity, self.ends - self.starts)

    @cached_property
    def order(self) -> np.ndarray:
        """Hexagons by rank, [i c n]."""
        return np.argsort(-self.intensity, axis=-1, kind="stable")  # sorted before: ties fall in the order of their ids

    @cached_property
    def rank(self) -> np.ndarray:
        """Rank of each hexagon from 1, int32 [i c n]."""
        return (np.argsort(self.order, axis=-1) + 1).astype(np.int32)

    @cached_property
    def bounds(self) -> np.ndarray | None:
        """`low` and `high` of the counts over the horizon, int32 [2, c, n]; None where the forecast has no spreads."""
        if not self.spreads:
            return None
        pairs = zip(self.categories, self.intensity[HORIZON], strict=True)
        return np.array([self.spreads[name].interval(expected) for name, expected in pairs]).swapaxes(0, 1)

    @cached_property
    def geometry(self) -> Geometry:
        """Where the hexagons lie, and what a reader calls one.

        Raises:
            ArtefactError: they are neither polygons nor H3 cells.
        """
        return geometry_of(self.hexagons, self.polygons)

    @cached_property
    def steps(self) -> pd.DataFrame:
        """The table of hexagons, steps and categories (k · c · n rows)."""
        table, (name, local) = self._table(slice(None, HORIZON)), self.local
        table.insert([*table].index("category"), name, local.repeat(self.intensity[HORIZON].size))
        return table

    @cached_property
    def horizon(self) -> pd.DataFrame:
        """The table of sums over the steps (c · n rows), with the intervals of the counts."""
        table = self._table(slice(HORIZON, None))
        if self.bounds is not None:
            first = [*table].index("risk")
            for at, name, bound in zip((first, first + 1), ("low", "high"), self.bounds, strict=True):
                table.insert(at, name, np.take_along_axis(bound, self.order[HORIZON], axis=-1).ravel())
        return table

    def _table(self, at: slice) -> pd.DataFrame:
        order, i = self.order[at], len(self.starts[at])
        _, c, n = self.intensity.shape

        def ranked(values: np.ndarray) -> np.ndarray:
            return np.take_along_axis(values[at], order, axis=-1).ravel()

        def of_cells(values: np.ndarray) -> Any:
            return pd.Series(values.astype(object)).array.take(order.ravel())

        return pd.DataFrame(
            {
                **({} if self.places is None else {"place": of_cells(self.places)}),
                "hexagon": of_cells(self.hexagons),
                "valid_from": self.starts[at].repeat(c * n),
                "valid_until": self.ends[at].repeat(c * n),
                "category": pd.Series(self.categories).array.take(np.tile(np.arange(c).repeat(n), i)),
                "intensity": ranked(self.intensity),
                "risk": ranked(self.risk),
                "rank": np.tile(np.arange(1, n + 1, dtype=np.int32), i * c),
                **({} if self.usual is None else {"usual": ranked(self.usual)}),
                **{name: ranked(values) for name, values in self.rates.items()},
                "issue_time": self.issue_time.as_unit("us"),
                "model": self.model,
                "complete_until": self.complete_until.as_unit("us"),
            }
        )


def with_sums(values: np.ndarray, categories: tuple[str, ...]) -> np.ndarray:
    """Values of steps and single categories as a grid holds them: `all` before these, the horizon behind the steps.

    Args:
        values: [k, c, n], in the order of `categories` without `all` where there are others.
        categories: of the grid.

    Returns:
        float64 [k + 1, c, n]. Categories are added in their order, then steps: every reader has the same last digit.
    """
    each = values.astype(np.float64)
    if len(categories) > 1:
        each = np.concatenate([each.sum(1, keepdims=True), each], axis=1)
    return np.concatenate([each, each.sum(0, keepdims=True)])


def iso(time: pd.Timestamp) -> str:
    """An instant in UTC, such as 2024-09-30T06:00:00Z."""
    return time.tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ")
