"""What is fitted on the validation slice, for every forecaster alike: calibration, spread of counts, thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stforecast.cube import Cube
from stforecast.features.targets import counts_needed, day_sums, known_share, outcomes, scored, settled
from stforecast.forecasters.recalibration import PastForecasts, recalibrated, steps_needed
from stforecast.scoring.calibration import Calibration, fit_calibration
from stforecast.scoring.conformal import Spread, fit_spread
from stforecast.scoring.joint import JointSpread, fit_joint
from stforecast.scoring.metrics import ALL, choose_thresholds
from stforecast.scoring.ranking import best_threshold
from stforecast.scoring.splits import Split


@dataclass(frozen=True)
class ValidationFit:
    """The map on log λ, how counts spread about λ, and thresholds of highest F1, by category and for all.

    spreads: of daily counts. joint: of sums; empty where cells lie nowhere, and of fits of before there were any.
    thresholds: of hourly risk. hot_thresholds: of the probability that a day is hot (`scoring.labels`).
    """

    calibration: Calibration
    spreads: Mapping[str, Spread] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    hot_thresholds: Mapping[str, float] = field(default_factory=dict)
    joint: Mapping[str, JointSpread] = field(default_factory=dict)

    def past(self, cube: Cube, steps: np.ndarray, intensity: np.ndarray) -> PastForecasts:
        """Calibrated forecasts at ascending issue `steps`, from what the forecaster gave there."""
        return PastForecasts.of(steps, self.calibration.apply(intensity), cube.counted)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> ValidationFit:
        """Back from `dataclasses.asdict`."""
        spreads = {name: Spread.from_dict(spread) for name, spread in values["spreads"].items()}
        calibration = Calibration.from_dict(values["calibration"])
        joint = {name: JointSpread.from_dict(one) for name, one in values.get("joint", {}).items()}
        return ValidationFit(calibration, spreads, values["thresholds"], values["hot_thresholds"], joint)


def fit_validation(forecast: Callable[[Cube, np.ndarray], np.ndarray], cube: Cube, split: Split) -> ValidationFit:
    """Fit on the validation slice, as it was known at its end.

    Where reports were still arriving, the forecast is held to the share of them that is known by then. Spread and
    thresholds come from settled days: days that only look quiet would narrow the intervals.

    Args:
        forecast: gives uncalibrated λ [m k n c] of a cube at issue steps [m].
    """
    issues = scored(cube, split, "validation")
    steps = steps_needed(cube, issues)
    raw = forecast(cube, steps)
    counts, share = outcomes(cube, split, "validation"), known_share(cube, split)
    calibration = fit_calibration(raw[np.searchsorted(steps, issues)], counts, share, cube.counted)
    days = settled(share)
    issues, counts = issues[days], counts[days]
    past = ValidationFit(calibration).past(cube, steps, raw)
    reported = recalibrated(cube, issues, past) * share[days]
    expected, came = day_sums(reported, cube.categories), day_sums(counts, cube.categories)
    needed = counts_needed(cube, issues)
    spreads = {name: fit_spread(expected[name], came[name]) for name in expected}
    hot_thresholds = {
        name: best_threshold(spread.at_least(needed[name], expected[name]), came[name] >= needed[name])
        for name, spread in spreads.items()
    }
    thresholds = choose_thresholds(reported, counts, cube.categories)
    return ValidationFit(calibration, spreads, thresholds, hot_thresholds, _joint(cube, reported, counts))


def _joint(cube: Cube, lam: np.ndarray, counts: np.ndarray) -> dict[str, JointSpread]:
    """How sums spread, for `all` and each category, from λ and counts [m k n c]."""
    if not cube.drawn:
        return {}
    centres = cube.geometry.centres
    of = {ALL: lambda values: values.sum(-1)} | {
        name: lambda values, i=i: values[..., i] for i, name in enumerate(cube.categories)
    }
    return {name: fit_joint(view(lam), view(counts), centres) for name, view in of.items()}
