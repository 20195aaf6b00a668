"""What came of the issues of a slice: the counts that forecasts are fitted, calibrated and scored against.

By step, and by day: all the horizons of an issue. A day is hot where it has as many as few days before had.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stforecast.cube import Cube
from stforecast.errors import ConfigError
from stforecast.features.delay import completeness, windows
from stforecast.scoring.labels import WINDOW, count_needed
from stforecast.scoring.metrics import ALL
from stforecast.scoring.splits import Slice, Split

SETTLED = 0.9
"""Share of a day's events that must have been reported for its counts to tell how counts spread."""
FEWEST = 7
"""Recorded days from which those that were not are left out."""


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


def day_sums(values: np.ndarray, categories: Sequence[str]) -> dict[str, np.ndarray]:
    """Sums over the horizons for `all` and each category, float64 [m n]: intensities or counts [m k n c]."""
    days = values.sum(axis=1, dtype=np.float64)
    return {ALL: days.sum(axis=-1)} | {name: days[..., i] for i, name in enumerate(categories)}


def counts_needed(cube: Cube, issues: np.ndarray) -> dict[str, np.ndarray]:
    """The count that makes the day after each issue hot, for `all` and each category, int64 [m n].

    It rests on the recorded ones of the WINDOW days before the issue, as they were known then. Where reports come late,
    a day is measured by what was known of days like it, so that a few more are hot.
    """
    needed = [day_needed(cube, issue) for issue in issues.tolist()]
    return {name: np.stack([one[name] for one in needed]) for name in needed[0]}


def day_needed(cube: Cube, issue: int) -> dict[str, np.ndarray]:
    """The count [n] that makes the day after one issue hot, for `all` and each category."""
    first = issue - WINDOW * cube.horizons
    known = int(np.searchsorted(cube.known_hour, issue))  # events lie in the order in which they became known
    recent = np.flatnonzero(cube.hour[:known] >= first)
    day = (cube.hour[recent] - first) // cube.horizons
    cell = (day * cube.n + cube.hexagon[recent]) * cube.c + cube.category[recent]
    past = np.bincount(cell, cube.weight[recent], minlength=WINDOW * cube.n * cube.c)
    past = past.reshape(WINDOW, 1, cube.n, cube.c)[_recorded(cube, issue)]  # sums over the horizons already
    return {name: count_needed(days) for name, days in day_sums(past, cube.categories).items()}


def _recorded(cube: Cube, issue: int) -> np.ndarray:
    """Which of the WINDOW days before an issue have no masked hour, bool [WINDOW]; all, where these are few."""
    masked, out = cube.masked_before(issue), np.ones(WINDOW, bool)
    if masked is None:
        return out
    steps = issue - WINDOW * cube.horizons + np.arange(WINDOW * cube.horizons)
    hidden = masked[np.clip(steps, 0, cube.steps - 1)].any(1) & (steps >= 0) & (steps < cube.steps)
    out = np.asarray(~hidden.reshape(WINDOW, -1).any(1))
    return out if out.sum() >= FEWEST else np.ones(WINDOW, bool)
