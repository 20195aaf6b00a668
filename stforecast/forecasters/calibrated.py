"""What is fitted on the validation slice, for every forecaster alike: calibration, spread of counts, thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from weakref import ref

import numpy as np

from stforecast.cube import Cube
from stforecast.features.targets import counts_needed, day_sums, known_share, outcomes, scored, settled
from stforecast.forecasters.recalibration import PACES, PastForecasts, recalibrated, steps_needed
from stforecast.forecasters.usual import usual
from stforecast.scoring.calibration import Calibration, fit_calibration
from stforecast.scoring.conformal import Spread, fit_spread
from stforecast.scoring.joint import JointSpread, Year, fit_joint
from stforecast.scoring.metrics import ALL, choose_thresholds
from stforecast.scoring.ranking import best_threshold
from stforecast.scoring.splits import Split

YEAR = 365.0
"""Days that tell what days have in common: all seasons, and ranges of a city's day held 90 % within ± 2 to 6 points
where a month gave ± 3 to 9 (docs/evidence.md)."""
MOST = 2**28
"""Numbers of λ that these days may take, a gigabyte: of a country they are fewer."""

_newest: list[Any] = []
"""A cube, a split, and what `_usual_days` gave of them: all forecasters of a run ask for the same."""


@dataclass(frozen=True)
class ValidationFit:
    """The map on log λ, how counts spread about λ, and thresholds of highest F1, by category and for all.

    spreads: of daily counts. joint: of sums; empty where cells lie nowhere, and of fits of before there were any.
    thresholds: of hourly risk. hot_thresholds: of the probability that a day is hot (`scoring.labels`).
    remark: what else the slice chose, in words; see `Forecaster.remark`.
    """

    calibration: Calibration
    spreads: Mapping[str, Spread] = field(default_factory=dict)
    thresholds: Mapping[str, float] = field(default_factory=dict)
    hot_thresholds: Mapping[str, float] = field(default_factory=dict)
    joint: Mapping[str, JointSpread] = field(default_factory=dict)
    remark: str = ""

    def past(self, cube: Cube, steps: np.ndarray, intensity: np.ndarray) -> PastForecasts:
        """Calibrated forecasts at ascending issue `steps`, from what the forecaster gave there."""
        return PastForecasts.of(steps, self.calibration.apply(intensity), cube.counted)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> ValidationFit:
        """Back from `dataclasses.asdict`."""
        spreads = {name: Spread.from_dict(spread) for name, spread in values["spreads"].items()}
        calibration = Calibration.from_dict(values["calibration"])
        joint = {name: JointSpread.from_dict(one) for name, one in values.get("joint", {}).items()}
        return ValidationFit(
            calibration, spreads, values["thresholds"], values["hot_thresholds"], joint, values.get("remark", "")
        )


def fit_validation(forecast: Callable[[Cube, np.ndarray], np.ndarray], cube: Cube, split: Split) -> ValidationFit:
    """Fit on the validation slice, as it was known at its end.

    Where reports were still arriving, the forecast is held to the share of them that is known by then. Spread and
    thresholds come from settled days: days that only look quiet would narrow the intervals.

    Args:
        forecast: gives uncalibrated λ [m k n c] of a cube at issue steps [m].
    """
    calibration, issues, reported, counts = _calibrated(forecast, cube, split)
    expected, came = day_sums(reported, cube.categories), day_sums(counts, cube.categories)
    needed = counts_needed(cube, issues)
    spreads = {name: fit_spread(expected[name], came[name]) for name in expected}
    hot_thresholds = {
        name: best_threshold(spread.at_least(needed[name], expected[name]), came[name] >= needed[name])
        for name, spread in spreads.items()
    }
    thresholds = choose_thresholds(reported, counts, cube.categories)
    return ValidationFit(
        calibration, spreads, thresholds, hot_thresholds, _joint(cube, split, issues, reported, counts)
    )


def _calibrated(
    forecast: Callable[[Cube, np.ndarray], np.ndarray], cube: Cube, split: Split
) -> tuple[Calibration, np.ndarray, np.ndarray, np.ndarray]:
    """The calibration, and of settled days issues [m], calibrated λ that was reported by the slice's end, and counts,
    both [m k n c].
    """
    issues = scored(cube, split, "validation")
    steps = steps_needed(cube, issues)
    raw = forecast(cube, steps)
    counts, share = outcomes(cube, split, "validation"), known_share(cube, split)
    calibration = fit_calibration(raw[np.searchsorted(steps, issues)], counts, share, cube.counted)
    days = settled(share)
    issues, counts = issues[days], counts[days]
    past = ValidationFit(calibration).past(cube, steps, raw)
    return calibration, issues, recalibrated(cube, issues, past) * share[days], counts


def _joint(cube: Cube, split: Split, issues: np.ndarray, lam: np.ndarray, counts: np.ndarray) -> dict[str, JointSpread]:
    """How sums spread, for `all` and each category, from issues [m], λ and counts [m k n c] of the validation slice."""
    if not cube.drawn:
        return {}
    centres, usual_days, found = cube.geometry.centres, _usual_days(cube, split), {}
    if usual_days and not np.isin(issues, usual_days[0]).all():
        usual_days = None  # the slice's reports were still to come
    for i, name in enumerate((ALL, *cube.categories)):
        view = lambda values, i=i: values[..., i - 1] if i else values.sum(-1)  # noqa: E731
        year = usual_days and Year(np.searchsorted(usual_days[0], issues), *map(view, usual_days[1:]))
        found[name] = fit_joint(view(lam), view(counts), centres, year)
    return found


def _usual_days(cube: Cube, split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The rolling climatology over a year up to the validation slice's end, held as a forecaster is on that slice.

    It begins where its level has weeks to follow. Only its rhythms and delays are those of the whole training slice.

    Returns:
        Issues of its days [m], its λ and the counts [m k n c]; None where there are no days before the slice.
    """
    if _newest and _newest[0]() is cube and _newest[1] == split:
        return _newest[2]
    day = cube.step.per_day
    most = min(cube.step.in_days(YEAR), MOST // (cube.horizons * cube.n * cube.c) * day)
    first = max(split.validation_end - most, split.first + PACES[cube.step_unit].window * day)
    found = None
    if first < split.validation_start:
        learned = partial(usual, learned=split.train_end)
        found = _calibrated(learned, cube, replace(split, validation_start=first))[1:]
    _newest[:] = ref(cube, lambda _: _newest.clear()), split, found
    return found
