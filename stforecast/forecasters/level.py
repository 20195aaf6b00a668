"""The level of a city drifts: forecasts are held against what came of the forecasts of the last weeks.

λ of a category is multiplied by (cells with an event + κ) / (expected ones + κ), over the whole city and exponentially
forgotten sums. Expected are the forecaster's own earlier forecasts, calibrated, as they would have been issued. On
parts of the training slices of Denver, Chicago and the simulated city it took back what networks of different seeds
were off by in level, up to 15 % over months, and did no harm where a forecaster was not.
"""

from __future__ import annotations

import numpy as np

from stforecast.cube import Cube
from stforecast.forecasters.record import completeness
from stforecast.scoring.intensity import risk

HALF_LIFE_DAYS, WINDOW_DAYS, PRIOR_DAYS = 14, 56, 7
"""Of the sums, of the forecasts looked back on, and how many days of expected events κ is worth."""


def with_earlier(cube: Cube, issues: np.ndarray) -> np.ndarray:
    """The issue steps [m] and those of the forecasts that are looked back on, ascending."""
    earlier, usable = _earlier(cube, issues)
    return np.unique(np.concatenate([issues, earlier[usable]]))


def at_level(cube: Cube, issues: np.ndarray, needed: np.ndarray, intensity: np.ndarray) -> np.ndarray:
    """λ [m k n c] at `issues` with the level that the weeks before each had, from λ [u k n c] at `with_earlier`."""
    k, day = cube.horizons, max(1, 24 // cube.step_hours)
    earlier, usable = _earlier(cube, issues)
    sums = np.zeros((*earlier.shape, k, cube.c))
    expected_at = np.stack([risk(one).sum(1, dtype=np.float64) for one in intensity])  # [u k c]
    sums[usable] = expected_at[np.searchsorted(needed, earlier[usable])]
    if cube.late:
        for row, issue in enumerate(issues.tolist()):
            steps = np.maximum(earlier[row][:, None] + np.arange(k), 0)
            sums[row] *= completeness(cube, 0, issue, issue)[steps]
    expected, known = sums.sum(2), _known(cube, issues, earlier.shape[1]) * usable[..., None]
    age = np.arange(earlier.shape[1]) + 0.5
    weight = 0.5 ** (age * k / (day * HALF_LIFE_DAYS))
    kappa = expected.sum(1) / np.maximum(usable.sum(1), 1)[:, None] * (PRIOR_DAYS * day / k)
    above, below = (np.einsum("j,mjc->mc", weight, values) + kappa for values in (known, expected))
    factor = np.divide(above, below, out=np.ones_like(above), where=below > 0)
    out = intensity[np.searchsorted(needed, issues)]
    out *= factor[:, None, None].astype(np.float32)
    return out


def _earlier(cube: Cube, issues: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Issues of the forecasts before each, newest first, and whether all their steps are over and recorded: [m j]."""
    day, k = max(1, 24 // cube.step_hours), cube.horizons
    earlier = issues[:, None] - k * np.arange(1, -(-WINDOW_DAYS * day // k) + 1)
    return earlier, (earlier >= day) & (earlier + k <= cube.steps)


def _known(cube: Cube, issues: np.ndarray, count: int) -> np.ndarray:
    """Cells with an event in the `count` patches of K steps before each issue, as known then: [m j c]."""
    k = cube.horizons
    order = np.lexsort((cube.known_hour, cube.category, cube.hexagon, cube.hour))
    hour, hexagon, category = (getattr(cube, key)[order].astype(np.int64) for key in ("hour", "hexagon", "category"))
    place = (hour * cube.n + hexagon) * cube.c + category
    first = np.flatnonzero(np.diff(place, prepend=-1))  # the first report of each cell
    hour, category, known = hour[first], category[first], cube.known_hour[order][first]
    out = np.zeros((len(issues), count * cube.c))
    for row, issue in enumerate(issues.tolist()):
        part = slice(*np.searchsorted(hour, [issue - count * k, issue]).tolist())
        here = known[part] < issue
        patch = (issue - 1 - hour[part][here]) // k
        out[row] = np.bincount(patch * cube.c + category[part][here], minlength=count * cube.c)
    return out.reshape(len(issues), count, cube.c)
