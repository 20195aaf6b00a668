"""Whole days of a forecast: their sums, and the counts that make them hot. A day is all its horizons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stforecast.cube import Cube
from stforecast.scoring.labels import WINDOW, count_needed
from stforecast.scoring.metrics import ALL

FEWEST = 7
"""Recorded days from which those that were not are left out."""


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
