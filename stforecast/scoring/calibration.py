"""Calibration: the monotone map that every forecaster gets on the validation slice, and what measures it.

The map is on log λ: log λ′ = a + b · log λ. The slope is that of the logistic regression of events on risk (Cox 1958).
Reliability holds mean risk against the share of cells with an event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from stforecast.scoring.intensity import FLOOR, compress, logit, risk
from stforecast.scoring.ranking import Ranked

MIN_SLOPE = 0.01
IDENTITY = np.array([0.0, 1.0])
"""Level and slope of the map that changes nothing."""
PRIOR = np.array([1.0, 400.0])
"""Precisions of the prior: the level within a factor e^±1 and the slope within 1 ± 1/20, as those of forecasters differ
that were fitted or carried well. Some hundred events of a few days tell no more; a year's outvote it."""


@dataclass(frozen=True)
class Calibration:
    """Intercept a and slope b > 0 of each category, [c] each."""

    intercept: tuple[float, ...]
    slope: tuple[float, ...]

    @classmethod
    def identity(cls, categories: int) -> Self:
        """The map that changes nothing."""
        return cls((0.0,) * categories, (1.0,) * categories)

    @classmethod
    def between(cls, lam: np.ndarray, other: np.ndarray) -> Self:
        """The map that takes λ [… c] nearest to another λ of the same cells, by least squares of the logarithms."""
        x, y = (np.log(np.maximum(v, FLOOR, dtype=np.float64)).reshape(-1, v.shape[-1]) for v in (lam, other))
        away, to = x - x.mean(0), y - y.mean(0)
        spread = (away**2).sum(0)
        slope = np.divide((away * to).sum(0), spread, out=np.ones_like(spread), where=spread > 0).clip(min=MIN_SLOPE)
        return cls(tuple((y.mean(0) - slope * x.mean(0)).tolist()), tuple(slope.tolist()))

    def apply(self, lam: np.ndarray) -> np.ndarray:
        """Calibrated intensities, float32 in the shape of `lam` [… c]. λ is floored at FLOOR, as when fitted."""
        out = np.maximum(lam, np.float32(FLOOR), dtype=np.float32)
        np.power(out, np.array(self.slope, np.float32), out=out)
        out *= np.exp(self.intercept).astype(np.float32)
        return out

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` reads back to an equal object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read `to_dict`'s values.

        Raises:
            KeyError, TypeError, ValueError: they are not equally many finite intercepts and positive slopes.
        """
        intercept, slope = (tuple(float(v) for v in values[key]) for key in ("intercept", "slope"))
        finite = np.isfinite([*intercept, *slope]).all()
        if len(intercept) != len(slope) or not finite or min(slope, default=1) <= 0:
            raise ValueError("calibration: not equally many finite intercepts and positive slopes")
        return cls(intercept, slope)


def fit_calibration(
    lam: np.ndarray, y: np.ndarray, exposure: np.ndarray | None = None, counted: bool = False
) -> Calibration:
    """Maximum Bernoulli likelihood of y > 0 with P = 1 − exp(−exposure · λ′), per category on the leaves [… c].

    counted: Poisson likelihood of y instead; where cells hold several events, whether there is one tells little.
    exposure: share of the events of a cell that are already reported, in any shape that broadcasts to `lam`. Thinning
    is exact for Poisson counts: λ′ is of all events although y holds the reported ones. 0 leaves a cell out.

    The slope is kept at MIN_SLOPE or above. A weak prior (PRIOR) draws a category of few events to the identity, and
    without events it is the identity.
    """
    lam, y = np.asarray(lam), np.asarray(y)
    share = np.broadcast_to(np.asarray(1 if exposure is None else exposure, np.float32), lam.shape)
    fits = [_fit(lam[..., i], y[..., i], share[..., i], counted) for i in range(lam.shape[-1])]
    intercept, slope = zip(*fits, strict=True)
    return Calibration(intercept, slope)


def _fit(lam: np.ndarray, y: np.ndarray, share: np.ndarray, counted: bool) -> tuple[float, float]:
    lam, y, share = np.ravel(lam), np.ravel(y), np.ravel(share)
    event = (y > 0) & (share > 0)
    if not event.any():
        return 0.0, 1.0
    # the likelihood of all cells but for the events is −Σ share · λ′: linear in share, so groups of equal λ suffice
    mean, weight = compress(lam, share)
    x_all, x_events = np.log(mean), np.log(np.maximum(lam[event].astype(np.float64), FLOOR))
    log_weight = np.log(weight)
    log_share = np.log(share[event].astype(np.float64))
    centre = float((weight * mean) @ x_all / (weight @ mean))  # makes level and slope nearly independent
    u_all, u_events = x_all - centre, x_events - centre
    events = y[event].astype(np.float64)

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        # of the mean event: Σ_all μ − Σ_events [log(1 − e^−μ) + μ], with μ = share · exp(centre + level + slope · u)
        level, slope = theta
        mu_all = np.exp(log_weight + centre + level + slope * u_all)
        mu = np.exp(log_share + centre + level + slope * u_events)
        away = theta - IDENTITY
        if counted:
            first, value = events, mu_all.sum() - events @ np.log(mu)
        else:
            odds = -np.expm1(-mu)
            first, value = mu / odds, mu_all.sum() - np.log(odds).sum() - mu.sum()
        value += 0.5 * PRIOR @ away**2
        gradient = np.array([mu_all.sum() - first.sum(), mu_all @ u_all - first @ u_events]) + PRIOR * away
        return value / x_events.size, gradient / x_events.size

    level, slope = _minimise(loss, IDENTITY, [(None, None), (MIN_SLOPE, None)])
    return float(level + (1 - slope) * centre), float(slope)


def calibration_slope(lam: np.ndarray, y: np.ndarray) -> float:
    """Slope of the logistic regression of y > 0 on the logit of risk, over all cells (any shape).

    1 when calibrated, below 1 when forecasts are too extreme.

    NaN where it is not defined: no event, an event in every cell, or one and the same intensity everywhere.
    """
    lam = np.ravel(lam)
    x_all, weight = compress(lam)
    x_all = logit(x_all)
    x_events = logit(lam[np.ravel(y) > 0])
    events = x_events.size
    if not 0 < events < lam.size or np.ptp(x_all) < 1e-9:
        return float("nan")
    centre = x_events.mean()
    x = np.stack([np.ones_like(x_all), x_all - centre])
    target = np.array([events, 0.0])  # Σ (1, x) over the events; x is centred on them

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        eta = theta @ x
        # a prior far too weak to be seen keeps the slope finite when the events can be told apart without error
        ridge = 1e-6 * np.array([0.0, theta[1] - 1])
        value = weight @ np.logaddexp(0, eta) - theta @ target + 0.5 * ridge @ (theta - 1)
        return value / events, (x @ (weight / (1 + np.exp(-eta))) - target + ridge) / events

    return float(_minimise(loss, np.array([np.log(events / (lam.size - events)), 1.0]))[1])


@dataclass(frozen=True)
class Reliability:
    """Bins of equally many cells, lowest risk first: mean risk, observed share with an event, cells; [b] each."""

    mean_risk: np.ndarray
    observed: np.ndarray
    count: np.ndarray

    @property
    def error(self) -> float:
        """Mean absolute difference of the two, weighted by cells."""
        return float((self.count * np.abs(self.mean_risk - self.observed)).sum() / self.count.sum())


def reliability(ranked: Ranked, bins: int = 10) -> Reliability:
    """The reliability of ranked intensities λ.

    Where a bin ends among cells of equal λ, their events are shared out in proportion, so that the order of the
    cells plays no part.
    """
    size = ranked.scores.size
    edges = np.linspace(0, size, min(bins, size) + 1).astype(np.int64)
    count = np.diff(edges)
    mean_risk = np.add.reduceat(risk(ranked.scores).astype(np.float64), edges[:-1]) / count
    at = ranked.scores[edges[1:-1]]
    first, last = (np.searchsorted(ranked.scores, at, side=side) for side in ("left", "right"))
    low, high = (np.searchsorted(ranked.positives, at, side=side) for side in ("left", "right"))
    below = low + (high - low) * (edges[1:-1] - first) / (last - first)
    observed = np.diff(below, prepend=0, append=ranked.positives.size) / count
    return Reliability(mean_risk, observed, count)


def _minimise(
    loss: Callable[[np.ndarray], tuple[float, np.ndarray]],
    start: np.ndarray,
    bounds: Sequence[tuple[float | None, float | None]] | None = None,
) -> np.ndarray:
    """Where `loss`, which gives value and gradient [p], is least: [p], to the last digit that its values tell apart."""
    from scipy.optimize import minimize

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        options = {"ftol": 0.0, "gtol": 1e-12}
        return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
