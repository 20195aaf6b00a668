"""The calibration slope: 1 when calibrated, below 1 when forecasts are too extreme (Cox 1958)."""

from __future__ import annotations

import numpy as np

from stforecast.scoring.fitting import minimise
from stforecast.scoring.intensity import compress, logit


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

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        eta = theta @ x
        # a prior far too weak to be seen keeps the slope finite when the events can be told apart without error
        ridge = 1e-6 * np.array([0.0, theta[1] - 1])
        value = weight @ np.logaddexp(0, eta) - theta @ target + 0.5 * ridge @ (theta - 1)
        return value / events, (x @ (weight / (1 + np.exp(-eta))) - target + ridge) / events

    return float(minimise(loss, np.array([np.log(events / (lam.size - events)), 1.0]))[1])
