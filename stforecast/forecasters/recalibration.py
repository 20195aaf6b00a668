"""Online recalibration: the level of a city drifts, and forecasts follow what came of those of the last weeks.

Per category over the whole city λ is multiplied by (cells with an event + κ) / (expected ones + κ), from exponentially
decayed sums over earlier forecasts, calibrated, as they would have been issued.

On parts of the training slices of Denver, Chicago and the simulated city this took back what networks of different
seeds were off by, up to 15 % over months, and did no harm where there was nothing to mend. Following the contrast of
busy and quiet cells beside it brought nothing (docs/evidence.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from stforecast.cube import Cube
from stforecast.features.delay import completeness
from stforecast.features.stream import day_steps
from stforecast.scoring.intensity import risk

HALF_LIFE_DAYS, WINDOW_DAYS, PRIOR_DAYS = 14, 56, 7
"""Of the sums, of the forecasts looked back on, and how many days of expected events κ is worth."""


@dataclass(frozen=True)
class PastForecasts:
    """What calibrated forecasts expected, by issue step.

    steps: ascending, [u]. expected: cells with an event, Σ 1 − exp(−λ) over the hexagons, float64 [u k c].
    """

    steps: np.ndarray
    expected: np.ndarray

    @classmethod
    def of(cls, steps: np.ndarray, intensity: np.ndarray) -> Self:
        """From λ [u k n c] at the ascending `steps` [u]."""
        sums = [risk(one).sum(1, dtype=np.float64) for one in intensity]
        return cls(steps, np.array(sums).reshape(len(steps), intensity.shape[1], intensity.shape[3]))

    def at(self, steps: np.ndarray) -> Self:
        """The forecasts at ascending `steps`, all of which must be there."""
        return type(self)(steps, self.expected[np.searchsorted(self.steps, steps)])

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """Forecasts of several times, no two of the same."""
        steps, expected = (np.concatenate([getattr(part, key) for part in parts]) for key in ("steps", "expected"))
        order = np.argsort(steps)
        return cls(steps[order], expected[order])


def steps_needed(cube: Cube, issues: np.ndarray) -> np.ndarray:
    """The issue steps [m] and those of the forecasts that are looked back on, ascending."""
    earlier, usable = _earlier(cube, issues)
    return np.unique(np.concatenate([issues, earlier[usable]]))


def recalibrated(cube: Cube, issues: np.ndarray, intensity: np.ndarray, past: PastForecasts) -> np.ndarray:
    """λ [m k n c] at `issues` as the weeks before each would have it.

    Args:
        cube: the record.
        issues: issue steps, [m].
        intensity: calibrated λ there, [m k n c].
        past: what was expected at `steps_needed`.
    """
    k, day = cube.horizons, day_steps(cube)
    earlier, usable = _earlier(cube, issues)
    sums = np.zeros((*earlier.shape, k, cube.c))
    sums[usable] = past.at(earlier[usable]).expected
    recorded = np.ones((*earlier.shape, cube.c))  # share of the steps
    if cube.late or cube.holes:
        newest = max(cube.steps, int(cube.known_hour.max()) + 1)  # an issue beyond it has seen no report since
        for i, issue in enumerate(issues.tolist()):
            steps = np.maximum(earlier[i][:, None] + np.arange(k), 0)
            share = completeness(cube, 0, issue, min(issue, newest))[steps]
            sums[i] *= share
            recorded[i] = (share > 0).mean(1)
    known = np.zeros((*earlier.shape, cube.c))
    for i, (patch, category) in enumerate(_known(cube, issues, earlier)):
        use = usable[i, patch]
        known[i] = np.bincount(patch[use] * cube.c + category[use], minlength=known[i].size).reshape(-1, cube.c)
    expected, kept = sums.sum(2), np.maximum((usable[..., None] * recorded).sum(1), 1)
    kappa = expected.sum(1) / kept * (PRIOR_DAYS * day / k)
    weight = 0.5 ** ((np.arange(earlier.shape[1]) + 0.5) * k / day / HALF_LIFE_DAYS)
    above, below = (np.einsum("j,mjc->mc", weight, values) + kappa for values in (known, expected))
    factor = np.divide(above, below, out=np.ones_like(above), where=below > 0)
    return intensity * factor[:, None, None].astype(np.float32)


def _earlier(cube: Cube, issues: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Issues of the forecasts before each, newest first, and whether all their steps are over and recorded: [m j]."""
    day, k = day_steps(cube), cube.horizons
    earlier = issues[:, None] - k * np.arange(1, -(-WINDOW_DAYS * day // k) + 1)
    return earlier, (earlier >= day) & (earlier + k <= cube.steps)


def _known(cube: Cube, issues: np.ndarray, earlier: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Cells with an event before each issue, as known then: how many forecasts back [e], category [e]."""
    k, columns = cube.horizons, ("hour", "hexagon", "category", "known_hour")
    oldest = earlier.min(initial=cube.steps)
    newer = slice(np.searchsorted(cube.known_hour, oldest), None)  # none is known before its hour
    near = cube.hour[newer] >= oldest
    hour, hexagon, category, known = (getattr(cube, key)[newer][near].astype(np.int64) for key in columns)
    _, first = np.unique((hour * cube.n + hexagon) * cube.c + category, return_index=True)  # each cell's first report
    hour, category, known = hour[first], category[first], known[first]
    for issue in issues.tolist():
        low, high = np.searchsorted(hour, [issue - earlier.shape[1] * k, issue]).tolist()
        here = np.arange(low, high)[known[low:high] < issue]
        yield (issue - 1 - hour[here]) // k, category[here]
