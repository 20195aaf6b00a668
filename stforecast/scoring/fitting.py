"""The least of a smooth convex function of a few parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Bounds = Sequence[tuple[float | None, float | None]]


def minimise(
    loss: Callable[[np.ndarray], tuple[float, np.ndarray]], start: np.ndarray, bounds: Bounds | None = None
) -> np.ndarray:
    """Where `loss`, which gives value and gradient [p], is least: [p], to the last digit that its values tell apart."""
    from scipy.optimize import minimize

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        options = {"ftol": 0.0, "gtol": 1e-12}
        return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
