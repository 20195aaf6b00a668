"""The test slice of a finished run: what came, and what each forecaster had said, predicted once and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stforecast.cube import Cube
from stforecast.cube.hours import calendar
from stforecast.errors import ArtefactError
from stforecast.evaluation.predictions import predictions
from stforecast.features.targets import outcomes, scored
from stforecast.files import read_json
from stforecast.pipeline.run import Run
from stforecast.scoring.bootstrap import block_count, day_weights
from stforecast.scoring.splits import Split

if TYPE_CHECKING:
    from stforecast.pipeline.stages import Stages

NETWORK, REFERENCE = "gcrn", "rolling_climatology"
TREES = (
    *("hist_gradient_boosting", "xgboost", "lightgbm", "catboost"),
    *("random_forest", "extra_trees", "balanced_random_forest"),
)
CONTROLS = ("rolling_climatology", "climatology", "hexagon_mean", "last_week")
WORDS = {
    "gcrn": "network",
    "climatology": "fixed climatology",
    "last_week": "last week's counts",
    "kernel": "kernel density",
    "hawkes": "self-exciting point process",
    "hist_gradient_boosting": "histogram gradient boosting",
    "xgboost": "XGBoost",
    "lightgbm": "LightGBM",
    "catboost": "CatBoost",
}


def words(name: str) -> str:
    """A forecaster or category as a reader sees it."""
    return WORDS.get(name, name.replace("_", " "))


@dataclass(frozen=True)
class Examined:
    """A run on its test slice.

    issues: steps [m]. counts: [m k n c]. intensity: calibrated λ [m k n c] by forecaster, mapped from the kept files.
    """

    cube: Cube
    split: Split
    run: Run
    card: dict[str, Any]
    counts: np.ndarray
    intensity: Mapping[str, np.ndarray]
    seed: int

    @property
    def issues(self) -> np.ndarray:
        return scored(self.cube, self.split, "test")

    @property
    def leader(self) -> str:
        """The forecaster that forecasts: the first of the run."""
        return next(iter(self.intensity))

    @cached_property
    def slices(self) -> dict[str, tuple[pd.Timestamp, pd.Timestamp]]:
        """Local begin and end of each slice."""
        spans = ((name, span.split(" / ")) for name, span in self.card["split"].items())
        local = lambda time: pd.Timestamp(time).tz_convert(self.cube.time_zone)  # noqa: E731
        return {name: (local(begin), local(end)) for name, (begin, end) in spans}

    @cached_property
    def weights(self) -> np.ndarray:
        """How often each draw takes each day, [r m]."""
        return day_weights(len(self.counts), seed=self.seed)

    @property
    def blocks(self) -> int:
        """How many blocks of a week the draws are of."""
        return block_count(len(self.counts))

    @cached_property
    def local_hour(self) -> np.ndarray:
        """Local hour of the day of every target step, [m k]."""
        cube, first = self.cube, int(self.issues[0])
        last = int(self.issues[-1]) + cube.horizons
        local = calendar(cube.start, cube.step_hours, first, last, cube.time_zone, cube.country, cube.subdivision)
        return local.hour[self.issues[:, None] - first + np.arange(cube.horizons)]

    def day(self, which: np.ndarray) -> np.ndarray:
        """Sums over the horizons and categories, float64 [m n]: of λ or of counts."""
        return which.sum(axis=(1, 3), dtype=np.float64)


def examined(stages: Stages) -> Examined:
    """The run of this configuration on its test slice.

    Raises:
        ArtefactError: there is no cube, the run is not finished, or it was not evaluated.
    """
    cube, run = stages.cube(), stages.run()
    run.facts()
    path = run.folder / "scorecard.json"
    if not path.is_file():
        raise ArtefactError(f"{path}: the run was not evaluated. Run `stforecast evaluate` first.")
    card, split = read_json(path), stages.split(cube)
    if "blocks" not in card:
        raise ArtefactError(f"{path}: of an older version, without blocks. Run `stforecast evaluate` again.")
    found = test_predictions(stages, run, cube, split, [*card["forecasters"]])
    return Examined(cube, split, run, card, outcomes(cube, split, "test"), found, stages.config.seed)


def test_predictions(stages: Stages, run: Run, cube: Cube, split: Split, names: list[str]) -> dict[str, np.ndarray]:
    """Calibrated λ [m k n c] of forecasters on the test slice, from the files that the evaluation keeps."""
    hour, fitted = int(cube.time_of(split.first).hour), {name: run.open(name, stages.config) for name in names}
    return predictions(cube, split, fitted, path=lambda name: run.predictions(name, hour))
