"""Forecasters against the record: calibrated on the validation slice, held to the counts of any slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stforecast.cube import Cube
from stforecast.errors import ConfigError
from stforecast.evaluation.days import counts_needed, day_sums
from stforecast.features.delay import completeness, windows
from stforecast.forecasters.base import Calibrated, Forecaster
from stforecast.forecasters.level import Issued, at_level, with_earlier
from stforecast.scoring.calibration import fit_calibration
from stforecast.scoring.conformal import fit_spread
from stforecast.scoring.metrics import choose_thresholds
from stforecast.scoring.ranking import best_threshold
from stforecast.scoring.splits import Slice, Split

SETTLED = 0.9
"""Share of a day's events that must have been reported for its counts to tell how counts spread."""


def scored(cube: Cube, split: Split, which: Slice) -> np.ndarray:
    """The issue steps of a slice, int64 [m], of whose steps and categories none is masked.

    Masked as known by the slice's end, or at the record's end for the test slice.

    Raises:
        ConfigError: there is none.
    """
    issues, masked = split.issues(which), _masked(cube, split, which)
    if masked is not None:
        issues = issues[~windows(masked.any(1), issues, cube.horizons).any(1)]
        if not issues.size:
            raise ConfigError(f"split: every day of the {which} slice has masked hours. Choose other slices.")
    return issues


def masked_share(cube: Cube, split: Split, which: Slice) -> dict[str, float]:
    """Shares of a slice that are masked: of its `issues`, which are not scored, and of its `hours` by category."""
    masked = _masked(cube, split, which)
    if masked is None:
        return {"issues": 0.0, "hours": 0.0}
    left = 1 - len(scored(cube, split, which)) / len(split.issues(which))
    return {"issues": left, "hours": float(masked[slice(*split.span(which))].mean())}


def _masked(cube: Cube, split: Split, which: Slice) -> np.ndarray | None:
    return cube.masked_before() if which == "test" else cube.masked_before(split.span(which)[1])


def outcomes(cube: Cube, split: Split, which: Slice) -> np.ndarray:
    """Counts at the scored issues of a slice, [m k n c], uint16 where whole: known by its end, or final for test."""
    issues, end = scored(cube, split, which), split.span(which)[1]
    first = int(issues[0])
    dense = cube.dense(first, end, known_before=None if which == "test" else end).numpy()
    if (cube.weight == np.round(cube.weight)).all() and dense.max(initial=0) <= np.iinfo(np.uint16).max:
        dense = dense.astype(np.uint16)
    return windows(dense, issues - first, cube.horizons)


@dataclass(frozen=True)
class Fitted:
    """A calibrated forecaster with thresholds of highest F1 on the validation slice, by category and for all.

    thresholds: of hourly risk. hot_thresholds: of the probability that a day is hot (`scoring.labels`).
    """

    forecaster: Calibrated
    thresholds: dict[str, float]
    hot_thresholds: dict[str, float]


def known_share(cube: Cube, split: Split) -> np.ndarray:
    """The share of the validation slice's events that were reported by its end.

    Returns:
        Shares in [0, 1], [m k 1 c].
    """
    end = split.validation_end
    return windows(completeness(cube, 0, end, end), scored(cube, split, "validation"), cube.horizons)[:, :, None]


def settled(share: np.ndarray) -> np.ndarray:
    """The days of which more than SETTLED was reported; all of them where there is no such day.

    Args:
        share: as `known_share` gives it, [m k 1 c].

    Returns:
        Whether each day is settled, bool [m].
    """
    days = share.mean((1, 2, 3)) > SETTLED
    return days | (not days.any())


def calibrate(forecaster: Forecaster, cube: Cube, split: Split) -> Fitted:
    """Fit calibration, spread of daily counts and thresholds on the validation slice, as it was known at its end.

    Where reports were still arriving, the forecast is held to the share of them that is known by then. Spread and
    thresholds come from settled days: days that only look quiet would narrow the intervals.
    """
    issues = scored(cube, split, "validation")
    steps = with_earlier(cube, issues)
    raw = forecaster.intensity(cube, steps)
    counts = outcomes(cube, split, "validation")
    share = known_share(cube, split)
    calibration = fit_calibration(raw[np.searchsorted(steps, issues)], counts, share)
    days = settled(share)
    issues, counts = issues[days], counts[days]
    reported = at_level(cube, issues, Issued.of(steps, calibration.apply(raw))) * share[days]
    expected, came = day_sums(reported, cube.categories), day_sums(counts, cube.categories)
    needed = counts_needed(cube, issues)
    spreads = {name: fit_spread(expected[name], came[name]) for name in expected}
    hot_thresholds = {
        name: best_threshold(spread.at_least(needed[name], expected[name]), came[name] >= needed[name])
        for name, spread in spreads.items()
    }
    thresholds = choose_thresholds(reported, counts, cube.categories)
    return Fitted(Calibrated(forecaster, calibration, spreads), thresholds, hot_thresholds)
