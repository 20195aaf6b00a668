"""Weights of a mixture of intensities, by expectation-maximisation."""

from __future__ import annotations

import numpy as np

MOST, LEAST_GAIN = 1000, 1e-7
"""Iterations at most, and the gain in log-likelihood an event below which they end."""


def fit_mixture(parts: np.ndarray, events: np.ndarray, totals: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """The weights [j] of greatest Poisson likelihood, and the (penalised) log-likelihood before each iteration.

    Of an intensity λ = Σ_j θ_j φ_j with θ ≥ 0, by expectation-maximisation. Were it known which part each event came
    from, θ_j would be events over Σ φ_j. It is not, so an event is shared between the parts as they explain it,
    θ_j φ_j / λ, and the two steps repeat: stochastic declustering (Veen and Schoenberg 2008, JASA 103:614-624).

    The first part is the background; it has one event, where one was expected, before any is seen, and each other part
    none where one was expected. So a weight is defined where nothing ever happened: background 1, else 0.

    Args:
        parts: φ at the cells with events, [e j]; the first is positive everywhere.
        events: counts of these cells, [e].
        totals: Σ φ over all cells, [j].
    """
    prior = np.zeros(len(totals))
    prior[0] = 1
    theta = np.full(len(totals), 0.5 / max(1, len(totals) - 1))
    theta[0] = 0.5
    path: list[float] = []
    while len(path) < MOST:
        lam = parts @ theta.astype(parts.dtype)
        path.append(float(events @ np.log(lam.astype(np.float64)) + np.log(theta[0]) - (totals + 1) @ theta))
        if len(path) > 1 and path[-1] - path[-2] < LEAST_GAIN * events.sum():
            break
        theta = (theta * ((events / lam).astype(parts.dtype) @ parts) + prior) / (totals + 1)
    return theta, path
