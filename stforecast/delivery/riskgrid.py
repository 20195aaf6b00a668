"""One issue of a Forecast as tables: a row a hexagon-hour-category, and a row a hexagon-category for the 24 hours.

    hours   hexagon, valid_from, valid_until, local_hour, category, intensity, risk, rank, usual, issue_time, model,
            complete_until
    day     the same without local_hour, with intensities summed over the 24 hours; low and high after intensity where
            the forecast is calibrated

Times are UTC instants; the interval is [valid_from, valid_until). `intensity` is the expected number of events in
the interval, `risk` = 1 − exp(−intensity) the probability of at least one, [`low`, `high`] the central 90 % interval of
the count of the day (`scoring.conformal`: LEVEL, and what is guaranteed; `high` is at least 1 where `risk` is above
5 %), `usual` what the rolling climatology expects, where the forecast carries it. Category `all` is the sum over
categories. Rank 1 is the highest risk within its interval and category, ties in the order of hexagon ids; rows come in
the order of interval, category, rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stforecast.errors import ArtefactError

if TYPE_CHECKING:
    from stforecast.forecasters.base import Forecast
    from stforecast.scoring.conformal import Spread

ALL = "all"
NOTICE = (
    "Forecasts of reported offences, by place and never by person; "
    "they follow what is reported and recorded, which is not all that happens."
)


@dataclass(frozen=True, eq=False)
class RiskGrid:
    """The next 24 hours of a city.

    intensity: float64 [k n c], expected events a step. hexagons: [n], sorted. categories: [c], `all` first.
    complete_until: the record was used up to here (never after the issue time). spreads: of the counts of the 24 hours
    about their λ, by category; empty for a forecast that was not calibrated. usual: as `intensity`, of the rolling
    climatology; None where the forecast does not carry it. districts: [n], None where a hexagon has none.
    """

    intensity: np.ndarray
    hexagons: np.ndarray
    categories: tuple[str, ...]
    issue_time: pd.Timestamp
    step_hours: int
    time_zone: str
    model: str
    complete_until: pd.Timestamp
    assumptions: tuple[str, ...]
    spreads: Mapping[str, Spread]
    usual: np.ndarray | None = None
    districts: np.ndarray | None = None

    @classmethod
    def of(cls, forecast: Forecast, issue: int = 0) -> RiskGrid:
        """The grid of the issue with index `issue`.

        Raises:
            ArtefactError: the horizon is not 24 hours, a hexagon occurs twice, or a category is named `all`
                beside others.
        """
        steps = forecast.intensity.shape[1]
        if steps * forecast.step_hours != 24:
            raise ArtefactError(
                f"forecast: a risk grid is of 24 hours, this horizon is {steps} × {forecast.step_hours} h. "
                "Build the cube with a step and a horizon that make 24 hours."
            )
        hexagons, order = np.unique(np.asarray(forecast.hexagons, dtype=str), return_index=True)
        if len(hexagons) != len(forecast.hexagons):
            raise ArtefactError("forecast: a hexagon occurs twice. Build the cube again.")
        categories = forecast.categories
        if categories != (ALL,):
            if ALL in categories:
                raise ArtefactError(f"category {ALL!r} is the sum of the others. Rename it in source.categories.")
            categories = (ALL, *categories)

        def sorted_with_all(values: np.ndarray) -> np.ndarray:
            leaves = values[issue][:, order].astype(np.float64)
            whole = leaves.sum(-1, keepdims=True)
            return np.concatenate([whole, leaves], axis=-1) if len(categories) > leaves.shape[-1] else leaves

        issue_time = forecast.issue_times[issue]
        return cls(
            intensity=sorted_with_all(forecast.intensity),
            hexagons=hexagons,
            categories=categories,
            issue_time=issue_time,
            step_hours=forecast.step_hours,
            time_zone=forecast.time_zone,
            model=forecast.model,
            complete_until=min(forecast.complete_until, issue_time),
            assumptions=forecast.assumptions,
            spreads=forecast.spreads,
            usual=None if forecast.usual is None else sorted_with_all(forecast.usual),
            districts=None if forecast.districts is None else forecast.districts[order],
        )

    @property
    def valid_from(self) -> pd.DatetimeIndex:
        """When each step begins, [k] UTC."""
        return pd.date_range(self.issue_time, periods=len(self.intensity), freq=f"{self.step_hours}h").as_unit("us")

    @property
    def day_intensity(self) -> np.ndarray:
        """Expected events in the 24 hours, [n c]."""
        return self.intensity.sum(0)

    @cached_property
    def hours(self) -> pd.DataFrame:
        """The table of hexagon-hour-categories (k · c · n rows)."""
        table = self._table(self.intensity, self.usual, self.valid_from, self.step_hours)
        local = np.asarray(self.valid_from.tz_convert(self.time_zone).hour, np.int32)
        table.insert(3, "local_hour", local.repeat(len(table) // len(local)))
        return table

    @cached_property
    def day(self) -> pd.DataFrame:
        """The table of 24-hour sums (c · n rows), with the intervals of the counts."""
        usual = None if self.usual is None else self.usual.sum(0)[None]
        table = self._table(self.day_intensity[None], usual, self.valid_from[:1], 24)
        if self.spreads:
            expected = table["intensity"].to_numpy().reshape(len(self.categories), -1)
            found = [self.spreads[name].interval(day) for name, day in zip(self.categories, expected, strict=True)]
            low, high = np.stack(found, axis=1)  # [c n] each
            table.insert(5, "low", low.ravel())
            table.insert(6, "high", high.ravel())
        return table

    def _table(
        self, intensity: np.ndarray, usual: np.ndarray | None, valid_from: pd.DatetimeIndex, hours: int
    ) -> pd.DataFrame:
        each = intensity.transpose(0, 2, 1)  # [k c n]
        k, c, n = each.shape
        order = np.argsort(-each, axis=-1, kind="stable")  # hexagons are sorted: ties fall in the order of their ids
        ranked = np.take_along_axis(each, order, axis=-1).ravel()
        table = pd.DataFrame(
            {
                "hexagon": pd.Series(self.hexagons.astype(object)).array.take(order.ravel()),
                "valid_from": valid_from.repeat(c * n),
                "valid_until": (valid_from + pd.Timedelta(hours=hours)).repeat(c * n),
                "category": pd.Series(self.categories).array.take(np.tile(np.arange(c).repeat(n), k)),
                "intensity": ranked,
                "risk": risk(ranked),
                "rank": np.tile(np.arange(1, n + 1, dtype=np.int32), k * c),
                "issue_time": self.issue_time.as_unit("us"),
                "model": self.model,
                "complete_until": self.complete_until.as_unit("us"),
            }
        )
        if usual is not None:
            ordered = np.take_along_axis(usual.transpose(0, 2, 1), order, axis=-1)
            table.insert(7, "usual", ordered.ravel())
        return table


def risk(intensity: np.ndarray) -> np.ndarray:
    """Probability of at least one event, 1 − exp(−λ), where λ may be a sum over hours, categories or hexagons."""
    return -np.expm1(-intensity)
