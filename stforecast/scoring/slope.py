"""The calibration slope: 1 when calibrated, below 1 when forecasts are too extreme (Cox 1958)."""

from __future__ import annotations

import numpy as np

from stforecast.scoring.intensity import compress, logit
from stforecast.scoring.newton import maximise


def calibration_slope(lam: np.ndarray, y: np.ndarray) -> float:
    """Slope of the logistic regression of y > 0 on the logit of risk, over all cells (any shape).

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

    def evaluate(theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        eta = theta @ x
        p = 1 / (1 + np.exp(-eta))
        value = theta @ target - weight @ np.logaddexp(0, eta)
        gradient = target - x @ (weight * p)
        hessian = -(x * (weight * p * (1 - p))) @ x.T
        # a prior far too weak to be seen keeps the slope finite when the events can be told apart without error
        ridge = 1e-6 * np.array([0.0, theta[1] - 1])
        return float(value) - 0.5e-6 * (theta[1] - 1) ** 2, gradient - ridge, hessian - np.diag([0.0, 1e-6])

    start = np.array([np.log(events / (lam.size - events)), 1.0])
    return float(maximise(evaluate, start)[1])
