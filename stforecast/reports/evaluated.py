"""A run on its test slice: what was reported, and what each forecaster had forecast."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stforecast.cube import Cube
from stforecast.features.targets import scored
from stforecast.forecasters.registry import BUILT_IN
from stforecast.reports.terms import terms_of
from stforecast.scoring.bootstrap import Blocks
from stforecast.scoring.splits import Split

if TYPE_CHECKING:
    from stforecast.forecasters.base import Forecaster

NETWORK, REFERENCE = "gcrn", "rolling_climatology"
TREES = tuple(name for name, where in BUILT_IN.items() if ".zoo:" in where)
BASELINES = (
    *("rolling_climatology", "climatology", "hexagon_mean", "last_week"),
    *("mean_of_last_12", "last_year", "seasonal_naive", "ewma"),
)
PERIODS = {"train": "Learned from", "validation": "Calibrated on", "test": "Tested on"}
"""What pages call the slices."""


def districts_of(hexagons: pd.DataFrame) -> pd.Series:
    """The district of each hexagon of a cube as text, null where it has none, [n]."""
    return hexagons.get("district", pd.Series(None, hexagons.index)).astype("string")


def with_large_districts(hexagons: pd.DataFrame, reports: np.ndarray, least: int) -> pd.DataFrame:
    """The hexagons with the names of those districts alone that hold `least` of the reports [n] or more."""
    district = districts_of(hexagons)
    held = pd.Series(reports, hexagons.index).groupby(district).transform("sum")
    return hexagons.assign(district=district.where(held >= least))


def district_names(hexagons: pd.DataFrame) -> list[str]:
    """Names of the hexagons' districts, numbers in their order."""
    return sorted(districts_of(hexagons).dropna().unique(), key=lambda name: (len(name), name))


@dataclass(frozen=True)
class EvaluatedRun:
    """A finished run with its scorecard, on its test slice.

    name: of the run. counts: final, [m k n c]. intensity: calibrated λ [m k n c] by forecaster, the one that forecasts
    first. fitted: opens a forecaster of the run. origin: what the one that forecasts started from, in words.
    """

    name: str
    cube: Cube
    split: Split
    card: dict[str, Any]
    counts: np.ndarray
    intensity: Mapping[str, np.ndarray]
    fitted: Callable[[str], Forecaster]
    seed: int
    origin: str = ""

    @property
    def issues(self) -> np.ndarray:
        """Steps of the issues, [m]."""
        return scored(self.cube, self.split, "test")

    @property
    def leader(self) -> str:
        """The forecaster that forecasts."""
        return next(iter(self.intensity))

    @cached_property
    def terms(self) -> dict[str, str]:
        """What its pages call a step, an issue and the horizon."""
        return terms_of(self.cube.step, self.cube.horizons)

    @property
    def overlapping(self) -> bool:
        """Whether a step lies in the horizon of several issues."""
        return self.cube.horizons > self.cube.step.per_day

    @property
    def reports(self) -> int:
        """Reports in the steps that are forecast, each once."""
        cube = self.cube
        forecast = np.unique(self.issues[:, None] + np.arange(cube.horizons))
        return int(cube.weight[np.isin(cube.hour, forecast)].sum())

    @cached_property
    def slices(self) -> dict[str, list[pd.Timestamp]]:
        """Local begin and end of each slice."""
        return {
            name: [pd.Timestamp(time).tz_convert(self.cube.time_zone) for time in span.split(" / ")]
            for name, span in self.card["split"].items()
        }

    @cached_property
    def weights(self) -> np.ndarray:
        """How often each draw takes each day, [r m]."""
        return self.blocks.weights(len(self.counts), self.seed)

    @property
    def blocks(self) -> Blocks:
        """The weeks (or what else a block is) that the draws are of."""
        return Blocks.of(len(self.counts), self.cube.step_unit, self.cube.horizons)

    @cached_property
    def slots(self) -> np.ndarray:
        """Local hour of the day of every target step; of days the weekday and of months the month, from 0: [m k]."""
        cube, first = self.cube, int(self.issues[0])
        local = cube.calendar(first, int(self.issues[-1]) + cube.horizons)
        slot = local.hour if cube.step_unit == "hour" else local.slot
        return slot[self.issues[:, None] - first + np.arange(cube.horizons)]

    def summed(self, values: np.ndarray) -> np.ndarray:
        """Sums over the horizons and categories: λ or counts [m k n c] → float64 [m n]."""
        return values.sum(axis=(1, 3), dtype=np.float64)
