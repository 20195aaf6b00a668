"""Intensities as arrays: pooled over categories, turned into risk, kept off 0, compressed."""

from __future__ import annotations

import numpy as np

FLOOR = 1e-6
"""Risk is clipped to [FLOOR, 1 − FLOOR] wherever its logarithm is taken: a forecast of exactly zero costs
13.8 nats when it is wrong, not infinity. One event in 114 years of hours: no honest forecast is lower."""

CEILING = -float(np.log(FLOOR))
"""The intensity whose risk is 1 − FLOOR."""

_SHIFT = np.uint32(15)


def pool(values: np.ndarray) -> np.ndarray:
    """Sum over categories: [… c] → contiguous float32 [… ] (counts stay exact up to 2²⁴)."""
    total = np.array(values[..., 0], np.float32, order="C")
    for i in range(1, values.shape[-1]):
        total += values[..., i]
    return total


def risk(lam: np.ndarray) -> np.ndarray:
    """Probability of at least one event, 1 − exp(−λ), in the shape and type of `lam`."""
    return -np.expm1(-lam)


def logit(lam: np.ndarray) -> np.ndarray:
    """Logit of the clipped risk: log(exp(λ) − 1), float64."""
    return np.log(np.expm1(np.clip(np.asarray(lam, np.float64), FLOOR, CEILING)))


def compress(lam: np.ndarray, weight: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Cells grouped by nearly equal intensity: (mean λ of the group, weighted; total weight), float64 [g] each.

    The groups are the leading bits of the float32 number, 256 to an octave, so that λ within one differs by at most
    0.4 % and Σ weight and Σ weight · λ are exact. A smooth function of log λ summed over the groups is then wrong by
    the second order only, below 1e-6 of itself. λ is floored at FLOOR.
    """
    flat = np.maximum(np.ravel(lam), np.float32(FLOOR)).astype(np.float32, copy=False)
    group = flat.view(np.uint32) >> _SHIFT
    group -= group.min(initial=np.iinfo(np.uint32).max)
    total = np.bincount(group, weights=weight)
    moment = np.bincount(group, weights=flat if weight is None else flat * weight)
    kept = total > 0
    return moment[kept] / total[kept], total[kept].astype(np.float64)
