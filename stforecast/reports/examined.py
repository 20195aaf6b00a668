"""The test slice of a finished run: what came, and what each forecaster had said, predicted once and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from stforecast.cube import Cube
from stforecast.cube.hours import calendar
from stforecast.errors import ArtefactError
from stforecast.evaluation.backtest import outcomes, scored
from stforecast.files import atomic_path, read_json
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
    names = list(card["forecasters"])
    found = {
        name: kept(stages, run, cube, split, name)
        for name in tqdm(names, desc="forecasts", unit="forecaster", disable=None)
    }
    return Examined(cube, split, run, card, outcomes(cube, split, "test"), found, stages.config.seed)


def kept(stages: Stages, run: Run, cube: Cube, split: Split, name: str) -> np.ndarray:
    """Calibrated λ [m k n c] of a forecaster on the test slice, mapped from a file that is made if need be.

    Raises:
        ArtefactError: the forecaster is not part of the run, or its file is damaged.
    """
    path = run.predictions(name, int(cube.time_of(split.first).hour))
    fit = run.folder / "calibration" / f"{name}.json"
    if not path.is_file() or (fit.is_file() and path.stat().st_mtime_ns < fit.stat().st_mtime_ns):
        intensity = run.open(name, stages.config).forecaster.predict(cube, scored(cube, split, "test")).intensity
        with atomic_path(path) as temporary:
            np.save(temporary, intensity)
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise ArtefactError(f"{path}: damaged ({error}). Remove it and run `stforecast report` again.") from error
