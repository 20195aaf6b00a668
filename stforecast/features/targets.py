"""What came of the issues of a slice: the counts that forecasts are fitted, calibrated and scored against."""

from __future__ import annotations

import numpy as np

from stforecast.cube import Cube
from stforecast.errors import ConfigError
from stforecast.features.delay import completeness, windows
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


def known_share(cube: Cube, split: Split) -> np.ndarray:
    """The share of the validation slice's events that were reported by its end, in [0, 1]: [m k 1 c]."""
    end = split.validation_end
    return windows(completeness(cube, 0, end, end), scored(cube, split, "validation"), cube.horizons)[:, :, None]


def settled(share: np.ndarray) -> np.ndarray:
    """The days [m] of which more than SETTLED was reported, from shares [m k 1 c]; all where there is no such day."""
    days = share.mean((1, 2, 3)) > SETTLED
    return days | (not days.any())
