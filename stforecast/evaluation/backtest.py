"""Forecasters against the record: calibrated on the validation slice, held to the counts of any slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stforecast.cube import Cube
from stforecast.forecasters.base import Calibrated, Forecaster
from stforecast.forecasters.record import completeness, windows
from stforecast.scoring.calibration import fit_calibration
from stforecast.scoring.metrics import choose_thresholds
from stforecast.scoring.splits import Slice, Split


def outcomes(cube: Cube, split: Split, which: Slice) -> np.ndarray:
    """Counts at the issues of a slice, [m k n c], uint16 where whole: known by its end, or final for the test slice."""
    issues, end = split.issues(which), split.span(which)[1]
    first = int(issues[0])
    dense = cube.dense(first, end, known_before=None if which == "test" else end).numpy()
    if (cube.weight == np.round(cube.weight)).all() and dense.max(initial=0) <= np.iinfo(np.uint16).max:
        dense = dense.astype(np.uint16)
    return windows(dense, issues - first, cube.horizons)


@dataclass(frozen=True)
class Fitted:
    """A calibrated forecaster with the thresholds of highest F1 on the validation slice, by category and for all."""

    forecaster: Calibrated
    thresholds: dict[str, float]


def calibrate(forecaster: Forecaster, cube: Cube, split: Split) -> Fitted:
    """Fit the calibration and the thresholds on the validation slice, as it was known at its end.

    Where reports were still arriving, the forecast is held to the share of them that is known by then.
    """
    issues, end = split.issues("validation"), split.validation_end
    intensity = forecaster.predict(cube, issues).intensity
    counts = outcomes(cube, split, "validation")
    share = windows(completeness(cube, 0, end, end), issues, cube.horizons)[:, :, None]
    calibration = fit_calibration(intensity, counts, share)
    thresholds = choose_thresholds(calibration.apply(intensity) * share, counts, cube.categories)
    return Fitted(Calibrated(forecaster, calibration), thresholds)
