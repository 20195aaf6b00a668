"""Newton's method with a line search, for smooth concave functions of a few parameters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Evaluate = Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]]


def maximise(evaluate: Evaluate, start: np.ndarray) -> np.ndarray:
    """The maximiser [p]; `evaluate` gives value, gradient [p] and negative definite Hessian [p p] at a point.

    Stops when the next step promises less than 1e-9 (of a log-likelihood: nats).
    """
    point = np.asarray(start, np.float64)
    value, gradient, hessian = evaluate(point)
    for _ in range(100):
        step = np.linalg.solve(-hessian, gradient)
        promise = float(gradient @ step)
        if promise < 1e-9:
            break
        scale = 1.0
        while scale > 1e-8:
            candidate = point + scale * step
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                found = evaluate(candidate)
            if found[0] >= value + 1e-4 * scale * promise:  # false for NaN
                break
            scale /= 2
        else:
            break  # no step improves: the optimum to rounding error
        point, (value, gradient, hessian) = candidate, found
    return point
