"""What every forecaster takes and gives: `fit(cube, split)`, `predict(cube, issues) -> Forecast`, `save`, `load`.

Evaluation, calibration, delivery and serving never ask which forecaster it is.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import pandas as pd

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ArtefactError, ConfigError
from stforecast.files import read_json, write_json
from stforecast.forecasters.level import Issued, at_level, with_earlier
from stforecast.imports import importing
from stforecast.scoring.calibration import Calibration
from stforecast.scoring.conformal import Spread
from stforecast.scoring.splits import Split

if TYPE_CHECKING:
    from stforecast.forecasters.kept import Kept
    from stforecast.forecasters.walking import Walking


@dataclass(frozen=True)
class Forecast:
    """Intensities of issue times × horizons × hexagons × categories, float32 [m k n c] in events a step.

    `complete_until` is the instant up to which the record was used; `assumptions` are plain sentences
    about what was missing (weather, recent reports). `spreads` tell how counts over all horizons spread about their
    λ, for `all` and each category; empty for a forecast that was not calibrated. `usual` is what the rolling
    climatology has for the same cells, at the city's recent level: what a forecast is compared with in words.
    `districts` names the district of each hexagon, None where it has none.
    """

    intensity: np.ndarray
    issue_times: pd.DatetimeIndex
    hexagons: np.ndarray
    categories: tuple[str, ...]
    step_hours: int
    time_zone: str
    model: str
    complete_until: pd.Timestamp
    assumptions: tuple[str, ...] = ()
    spreads: Mapping[str, Spread] = field(default_factory=dict)
    usual: np.ndarray | None = None
    districts: np.ndarray | None = None

    def __post_init__(self) -> None:
        m, _, n, c = self.intensity.shape
        expected = (len(self.issue_times), len(self.hexagons), len(self.categories))
        if (m, n, c) != expected:
            raise ArtefactError(f"forecast: intensity [m k n c] {self.intensity.shape} does not fit names {expected}.")
        if not np.isfinite(self.intensity).all() or (self.intensity < 0).any():
            raise ArtefactError("forecast: intensities must be finite and not negative.")
        if self.usual is not None and self.usual.shape != self.intensity.shape:
            raise ArtefactError(f"forecast: usual {self.usual.shape} is not shaped as {self.intensity.shape}.")


class Forecaster(ABC):
    """A way from the record before an issue time to the intensities after it.

    Issue times are given as steps of the cube's axis: the forecast issued at step s is of steps s … s + K − 1
    and rests on events with `known_hour < s` only.
    """

    name: ClassVar[str]
    seeded: ClassVar[bool] = False
    """Whether fits differ by seed, so that several are worth averaging (`config.seeds`)."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.given: Mapping[str, Forecaster] = {}
        """Fitted forecasters that it reads, by name; see `needs`."""

    @classmethod
    def needs(cls, config: Config) -> tuple[str, ...]:
        """Forecasters that must be fitted before this one."""
        return ()

    @abstractmethod
    def fit(self, cube: Cube, split: Split, folder: Path | None = None) -> Self:
        """Learn from the training slice (and, to choose between fits, the validation slice).

        `folder` is where a long fit keeps its own progress (checkpoints, TensorBoard events).
        """

    @abstractmethod
    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        """λ as float32 [m k n c] at the issue steps `issues` [m]."""

    def walking(self) -> Walking | None:
        """The forecaster as one whose state can be kept; None where every forecast needs the record anew."""
        return None

    def joined(self, others: Sequence[Forecaster]) -> Walking | None:
        """It and `others`, which differ by seed, as one of their geometric mean on one walk; None where it has none."""
        return None

    def predict(self, cube: Cube, issues: np.ndarray) -> Forecast:
        """The forecast at the issue steps `issues`; beyond the cube's end it rests on the record up to there."""
        issues = np.asarray(issues, np.int64)
        return self.forecast(cube, issues, self.intensity(cube, issues))

    def forecast(self, cube: Cube, issues: np.ndarray, intensity: np.ndarray) -> Forecast:
        """Intensities at the issue steps `issues` with their coordinates."""
        return Forecast(
            intensity=intensity,
            issue_times=cube.times_of(issues),
            hexagons=cube.cells,
            categories=cube.categories,
            step_hours=cube.step_hours,
            time_zone=cube.time_zone,
            model=self.name,
            complete_until=min(cube.end, cube.time_of(int(issues.max(initial=0)))),
            districts=cube.hexagons["district"].to_numpy(object) if "district" in cube.hexagons else None,
        )

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what `load` needs into `folder`."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path, config: Config) -> Self:
        """Open what `save` wrote."""


class WithoutParameters(Forecaster):
    """Counts the record anew for every forecast; keeps only where training and validation ended."""

    ends: tuple[int, ...] = ()

    def fit(self, cube: Cube, split: Split, folder: Path | None = None) -> Self:
        self.ends = (split.train_end, split.validation_end)
        return self

    def slice_end(self, issue: int) -> int:
        """The end of the slice before: of training for issues in validation, of validation for test issues."""
        return max((end for end in self.ends if end <= issue), default=issue)

    def save(self, folder: Path) -> None:
        write_json(folder / "ends.json", self.ends)

    @classmethod
    def load(cls, folder: Path, config: Config) -> Self:
        forecaster = cls(config)
        forecaster.ends = tuple(read_json(folder / "ends.json"))
        return forecaster


@dataclass(frozen=True)
class Calibrated:
    """A forecaster with what was fitted on the validation slice: the map on log λ, and the spread of daily counts."""

    forecaster: Forecaster
    calibration: Calibration
    spreads: Mapping[str, Spread] = field(default_factory=dict)

    def predict(self, cube: Cube, issues: np.ndarray, kept: Kept | None = None) -> Forecast:
        """The calibrated forecast, at the level of the weeks before each issue; of one issue, from what is `kept`."""
        issues = np.asarray(issues, np.int64)
        issued = kept.issued(self, cube, int(issues[0])) if kept and len(issues) == 1 else None
        if issued is None:
            needed = with_earlier(cube, issues)
            issued = self.issued(needed, self.forecaster.intensity(cube, needed))
        found = self.forecaster.forecast(cube, issues, at_level(cube, issues, issued))
        return replace(found, spreads=self.spreads)

    def issued(self, steps: np.ndarray, intensity: np.ndarray) -> Issued:
        """What the forecaster gave at ascending issue `steps`, calibrated."""
        return Issued.of(steps, self.calibration.apply(intensity))


_WHERE = {
    "gcrn": "stforecast.forecasters.gcrn.forecaster:GCRN",
    "rolling_climatology": "stforecast.forecasters.climatology:RollingClimatology",
    "climatology": "stforecast.forecasters.climatology:FixedClimatology",
    "hexagon_mean": "stforecast.forecasters.controls:HexagonMean",
    "last_week": "stforecast.forecasters.controls:LastWeek",
    "kernel": "stforecast.forecasters.kernel:Kernel",
    "hawkes": "stforecast.forecasters.hawkes:Hawkes",
    "ensemble": "stforecast.forecasters.ensemble:Ensemble",
    "hist_gradient_boosting": "stforecast.forecasters.zoo:HistGradientBoosting",
    "xgboost": "stforecast.forecasters.zoo:XGBoost",
    "lightgbm": "stforecast.forecasters.zoo:LightGBM",
    "catboost": "stforecast.forecasters.zoo:CatBoost",
    "random_forest": "stforecast.forecasters.zoo:RandomForest",
    "extra_trees": "stforecast.forecasters.zoo:ExtraTrees",
    "balanced_random_forest": "stforecast.forecasters.zoo:BalancedRandomForest",
}


@cache
def forecaster_class(name: str) -> type[Forecaster]:
    """The class behind a forecaster's name; its module (and what it needs) is imported only now."""
    if name not in _WHERE:
        raise ConfigError(f"evaluation.forecasters: {name!r} is not one of {', '.join(_WHERE)}.")
    module, _, attribute = _WHERE[name].partition(":")
    with importing():
        return getattr(importlib.import_module(module), attribute)
