"""Online recalibration: the level and the contrast of a city drift, and forecasts follow those of the last weeks.

Per category over the whole city, from exponentially decayed sums over earlier forecasts, calibrated, as they would
have been issued:

    level     λ is multiplied by (cells with an event + κ) / (expected ones + κ); by (events + κ) / (expected ones + κ)
              where steps are days or months, whose cells hold several
    contrast  λ is raised to a power b about its mean, which keeps Σ λ: one Newton step of the likelihood from b = 1,
              with a prior worth PRIOR_INFORMATION. Where busy and quiet cells have drawn apart since the calibration
              b > 1, where they have drawn together b < 1

On parts of the training slices of Denver, Chicago and the simulated city the level took back what networks of different
seeds were off by, up to 15 % over months, and the contrast brought calibration slopes nearer to 1 (Denver 1.014 to
.999); neither did harm where there was nothing to mend. Calibrated a slice earlier, contrast is worth .044 × 10⁻³ of
deviance to Denver's climatology and .011 to its network (docs/evidence.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from stforecast.cube import Cube
from stforecast.features.delay import completeness
from stforecast.scoring.intensity import FLOOR, risk


@dataclass(frozen=True)
class Pace:
    """How fast forecasts follow the city, in days (of months, in months).

    half_life: of the sums behind the level. contrast: of those behind the contrast. window: of the forecasts looked
    back on. prior: how many days of expected events κ is worth, which is an event at the least.
    """

    half_life: float
    contrast: float
    window: int
    prior: float


DAILY = Pace(14, 28, 56, 7)
PACES = {"hour": DAILY, "day": DAILY, "month": Pace(3, 12, 12, 1)}
"""By the unit of a step."""
PRIOR_INFORMATION = 1000.0
"""Of the contrast: about that of 500 events."""
LEAST_KAPPA = 1.0
"""Of a category that had no event so far next to nothing was expected, and its first must not multiply λ."""
LEAST, MOST = 0.5, 2.0
"""Limits of b."""


@dataclass(frozen=True)
class PastForecasts:
    """Calibrated forecasts by issue step: those to be changed, and the earlier ones that they are held against.

    steps: ascending, [u]. intensity: λ, float32 [u k n c].
    moments: Σ p, Σ p log λ and Σ p log² λ over the hexagons, float64 [u 3 k c]; p = 1 − exp(−λ), or λ where counted.
    """

    steps: np.ndarray
    intensity: np.ndarray
    moments: np.ndarray

    @classmethod
    def of(cls, steps: np.ndarray, intensity: np.ndarray, counted: bool) -> Self:
        """From λ [u k n c] at the ascending `steps` [u]."""
        _, k, _, c = intensity.shape
        moments = [_moments(one, counted) for one in intensity]
        return cls(steps, intensity, np.array(moments, np.float64).reshape(-1, 3, k, c))

    def at(self, steps: np.ndarray) -> Self:
        """The forecasts at ascending `steps`, all of which must be there; a view where they follow each other."""
        first, last = np.searchsorted(self.steps, [*steps[:1], *steps[-1:]]) if len(steps) else (0, -1)
        rows = slice(first, last + 1) if last - first + 1 == len(steps) else np.searchsorted(self.steps, steps)
        return type(self)(steps, self.intensity[rows], self.moments[rows])

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """Forecasts of several times, no two of the same."""
        steps = np.concatenate([part.steps for part in parts])
        order = np.argsort(steps)
        if len(parts) == 1:
            return parts[0]
        intensity, moments = (np.concatenate([getattr(p, key) for p in parts]) for key in ("intensity", "moments"))
        if (order[1:] < order[:-1]).any():
            steps, intensity, moments = steps[order], intensity[order], moments[order]
        return cls(steps, intensity, moments)


def steps_needed(cube: Cube, issues: np.ndarray) -> np.ndarray:
    """The issue steps [m] and those of the forecasts that are looked back on, ascending."""
    earlier, usable = _earlier(cube, issues)
    return np.unique(np.concatenate([issues, earlier[usable]]))


def recalibrated(cube: Cube, issues: np.ndarray, past: PastForecasts) -> np.ndarray:
    """λ [m k n c] at `issues` as the weeks before each would have it, from the forecasts of `steps_needed`."""
    return _changed(past.intensity[np.searchsorted(past.steps, issues)], *changes(cube, issues, past))


def changes(cube: Cube, issues: np.ndarray, past: PastForecasts) -> tuple[np.ndarray, np.ndarray]:
    """By what factor the level and to what power the contrast is changed at `issues`, [m c] each."""
    k, day, pace = cube.horizons, cube.step.per_day, PACES[cube.step_unit]
    earlier, usable = _earlier(cube, issues)
    row = np.searchsorted(past.steps, earlier)  # of each earlier forecast; meaningless where it is not usable
    sums = np.zeros((3, *earlier.shape, k, cube.c))
    sums[:, usable] = past.moments[row[usable]].swapaxes(0, 1)
    seen = np.ones((*earlier.shape, cube.c))  # share of the steps that were recorded
    if cube.late or cube.holes:
        newest = max(cube.steps, int(cube.known_hour.max()) + 1)  # an issue beyond it has seen no report since
        for i, issue in enumerate(issues.tolist()):
            steps = np.maximum(earlier[i][:, None] + np.arange(k), 0)
            share = completeness(cube, 0, issue, min(issue, newest))[steps]
            sums[:, i] *= share
            seen[i] = (share > 0).mean(1)
    known = np.zeros((2, *earlier.shape, cube.c))
    for i, (patch, at, category, events) in enumerate(_known(cube, issues, earlier)):
        use = usable[i, patch]
        place = patch[use] * cube.c + category[use]
        logs = _log(past.intensity[row[i, patch[use]], *at[:, use], category[use]])
        for out, weight in zip(known, (events[use], events[use] * logs), strict=True):
            out[i] = np.bincount(place, weight, earlier.shape[1] * cube.c).reshape(-1, cube.c)
    age = (np.arange(earlier.shape[1]) + 0.5) * k / day
    expected, kept = sums.sum(3), np.maximum((usable[..., None] * seen).sum(1), 1)
    kappa = np.maximum(expected[0].sum(1) / kept * (pace.prior * day / k), LEAST_KAPPA)
    weight = 0.5 ** (age / pace.half_life)
    above, below = (np.einsum("j,mjc->mc", weight, values) + kappa for values in (known[0], expected[0]))
    factor = np.divide(above, below, out=np.ones_like(above), where=below > 0)
    return factor, _contrast(known, expected, 0.5 ** (age / pace.contrast))


def _moments(intensity: np.ndarray, counted: bool) -> np.ndarray:
    """Σ p, Σ p log λ and Σ p log² λ over the hexagons, of λ [k n c]: [3 k c]."""
    p, logs = intensity if counted else risk(intensity), _log(intensity)
    return np.stack([np.einsum("knc->kc", p * logs**i, dtype=np.float64) for i in range(3)])


def _contrast(known: np.ndarray, expected: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """b [m c] from Σ 1 and Σ log λ over cells with an event [2 m j c], and what was expected of them [3 m j c]."""
    count, seen = np.einsum("j,imjc->imc", weight, known)
    e0, e1, e2 = np.einsum("j,imjc->imc", weight, expected)
    centre = np.divide(e1, e0, out=np.zeros_like(e0), where=e0 > 0)
    score, information = seen - centre * count, e2 - centre * e1
    return np.clip(1 + score / (information + PRIOR_INFORMATION), LEAST, MOST)


def _changed(intensity: np.ndarray, factor: np.ndarray, power: np.ndarray) -> np.ndarray:
    """λ [m k n c] with Σ λ times `factor` and contrast `power` [m c]."""
    out = np.empty_like(intensity)
    for i, one in enumerate(intensity):
        total = np.einsum("knc->c", one, dtype=np.float64)
        raised = np.exp(power[i].astype(np.float32) * _log(one))
        above = np.einsum("knc->c", raised, dtype=np.float64)
        scale = np.divide(total * factor[i], above, out=np.ones_like(above), where=above > 0)
        out[i] = raised * scale.astype(np.float32)
    return out


def _log(intensity: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(intensity, FLOOR))


def _earlier(cube: Cube, issues: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Issues of the forecasts before each, newest first, and whether all their steps are over and recorded: [m j]."""
    day, k = cube.step.per_day, cube.horizons
    earlier = issues[:, None] - k * np.arange(1, -(-PACES[cube.step_unit].window * day // k) + 1)
    return earlier, (earlier >= day) & (earlier + k <= cube.steps)


def _known(cube: Cube, issues: np.ndarray, earlier: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Cells with an event before each issue, as known then: the patch j [e], (step, hexagon) [2 e], category [e], and
    1, or the events of each, [e].
    """
    k, columns = cube.horizons, ("hour", "hexagon", "category", "known_hour")
    oldest = earlier.min(initial=cube.steps)
    newer = slice(np.searchsorted(cube.known_hour, oldest), None)  # none is known before its hour
    near = cube.hour[newer] >= oldest
    hour, hexagon, category, known = (getattr(cube, key)[newer][near].astype(np.int64) for key in columns)
    if cube.counted:
        order, weight = np.argsort(hour, kind="stable"), cube.weight[newer][near].astype(np.float64)
    else:  # each cell's first report
        order = np.unique((hour * cube.n + hexagon) * cube.c + category, return_index=True)[1]
        weight = np.ones(len(hour))
    hour, hexagon, category, known, weight = (values[order] for values in (hour, hexagon, category, known, weight))
    for i, issue in enumerate(issues.tolist()):
        low, high = np.searchsorted(hour, [issue - earlier.shape[1] * k, issue]).tolist()
        here = np.arange(low, high)[known[low:high] < issue]
        patch = (issue - 1 - hour[here]) // k
        yield patch, np.stack([hour[here] - earlier[i, patch], hexagon[here]]), category[here], weight[here]
