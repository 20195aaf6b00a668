"""What of the record was observed, as known at each issue: forecasts never rest on holes that only show later.

Between two issues at which a hole begins or ceases to show, all issues agree on what was not recorded before them. So
they are forecast together, from the record as known at the last of them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stforecast.cube import Cube


def agreeing(cube: Cube, issues: np.ndarray) -> np.ndarray:
    """A number for each issue step [m], the same where what was not recorded before them is the same."""
    changes = np.unique([step for hole in cube.holes for step in hole.changes])
    return np.searchsorted(changes, np.minimum(issues, cube.steps), side="right")


def last_known(cube: Cube, issues: np.ndarray) -> Cube:
    """The cube as known at the last of issues, and no later than its end, whose state serves later ones."""
    return cube.as_known(min(int(issues.max(initial=0)), cube.steps))


def by_agreement(forecast: Callable[[Cube, np.ndarray], np.ndarray], cube: Cube, issues: np.ndarray) -> np.ndarray:
    """λ [m k n c] of `forecast`, which is given the cube as known at its issues: once for all that agree."""
    if cube.masked is not None or not cube.holes or not len(issues):
        return forecast(cube, issues)
    state, out = agreeing(cube, issues), np.zeros((len(issues), cube.horizons, cube.n, cube.c), np.float32)
    for one in np.unique(state):
        here = np.flatnonzero(state == one)
        out[here] = forecast(last_known(cube, issues[here]), issues[here])
    return out
