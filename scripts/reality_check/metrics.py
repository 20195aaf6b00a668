"""What the authors of two published benchmarks score, and what an honest score is, as sums that days add up to.

Both benchmarks look only at the cells in which something happened: a false alarm costs nothing there. Beside their
metrics stand those over every cell. A metric is a ratio of sums over days, so that a draw of days (see
`stforecast.scoring.bootstrap`) weighs the same sums, and the digits of the publication come out as the estimate.

    GSNet (Wang et al., AAAI 2021)   recall and MAP among the top k of an hour, k its cells with an accident; RMSE at
                                     those cells, blown up by √(cells / cells with an accident)
    ST-HSL (Li et al., ICDE 2022)    MAE and MAPE of the cells with a count above zero
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln

from stforecast.scoring.bootstrap import Draws

FLOOR = 1e-4
"""λ is floored here where its logarithm is taken."""


@dataclass(frozen=True)
class Metric:
    """`rule` of sums over days: [d s] by day and sum, of which any weighted total [… s] gives the metric [ … ]."""

    sums: np.ndarray
    rule: Callable[[np.ndarray], np.ndarray]

    @property
    def value(self) -> float:
        """On the days as they came."""
        return float(self.rule(self.sums.sum(0)))

    def draws(self, weights: np.ndarray) -> Draws:
        """On each draw of days: weights [r d]."""
        return Draws(self.value, self.rule(weights @ self.sums))


def ratio(total: np.ndarray) -> np.ndarray:
    """First sum by the second."""
    return total[..., 0] / total[..., 1]


def root(total: np.ndarray) -> np.ndarray:
    """Root of the first sum by the second."""
    return np.sqrt(ratio(total))


def by_day(day: np.ndarray, *columns: np.ndarray) -> np.ndarray:
    """Columns [t] summed by day index [t] (0 … d − 1): [d s]."""
    return np.stack([np.bincount(day, np.asarray(column, np.float64)) for column in columns], -1)


def gsnet(score: np.ndarray, y: np.ndarray, mask: np.ndarray, day: np.ndarray) -> dict[str, Metric]:
    """Recall (%) and MAP of scores [t n] against accident risks y [t n], on the cells of `mask` [n].

    Of equal scores the cell of the lower index goes first, as in the authors' sort. An hour without accident has
    average precision 0 and counts.
    """
    happened = (y > 0) & mask
    k = happened.sum(1)
    order = np.argsort(-np.where(mask, score, -np.inf), axis=1, kind="stable")
    place = np.arange(1, y.shape[1] + 1)
    hit = np.take_along_axis(happened, order, 1) & (place <= k[:, None])
    precision = hit.cumsum(1) / place
    average = (precision * hit).sum(1) / np.maximum(k, 1)
    return {
        "recall %": Metric(by_day(day, 100 * hit.sum(1), k), ratio),
        "MAP": Metric(by_day(day, average, np.ones(len(y))), ratio),
    }


def gsnet_rmse(point: np.ndarray, y: np.ndarray, mask: np.ndarray, day: np.ndarray) -> Metric:
    """The authors' RMSE of points [t n]: at cells of `mask` with an accident, times √(all cells / those cells)."""
    happened = (y > 0) & mask
    squares = np.where(happened, (point - y) ** 2, 0).sum(1)
    sums = by_day(day, squares, happened.sum(1), np.full(len(y), y.shape[1]))
    return Metric(sums, lambda total: np.sqrt(total[..., 0] * total[..., 2]) / total[..., 1])


def positive(point: np.ndarray, y: np.ndarray, day: np.ndarray) -> dict[str, Metric]:
    """ST-HSL's MAE and MAPE of points [t …]: over the cells with y > 0 alone."""
    happened = y > 0
    error = np.abs(point - y) * happened
    count = _total(happened)
    return {
        "MAE": Metric(by_day(day, _total(error), count), ratio),
        "MAPE": Metric(by_day(day, _total(error / np.maximum(y, 1)), count), ratio),
    }


def everywhere(mean: np.ndarray, y: np.ndarray, day: np.ndarray) -> dict[str, Metric]:
    """Over all cells [t …]: Poisson negative log-likelihood (with log y!), MAE and RMSE of the mean."""
    y = y.astype(np.float64)
    lam = np.maximum(mean.astype(np.float64), FLOOR)
    cells = np.full(len(y), y[0].size)
    error = mean - y
    return {
        "NLL": Metric(by_day(day, _total(lam - y * np.log(lam) + gammaln(y + 1)), cells), ratio),
        "MAE": Metric(by_day(day, _total(np.abs(error)), cells), ratio),
        "RMSE": Metric(by_day(day, _total(error**2), cells), root),
    }


def mean_given_some(lam: np.ndarray) -> np.ndarray:
    """E[y | y > 0] of Poisson counts: λ / (1 − e^−λ)."""
    lam = np.maximum(lam.astype(np.float64), 1e-12)
    return lam / -np.expm1(-lam)


def median_given_some(lam: np.ndarray) -> np.ndarray:
    """The median of y given y > 0: the point of least expected absolute error among cells with an event."""
    return _weighted_median(lam, lambda count: 1.0)


def relative_median_given_some(lam: np.ndarray) -> np.ndarray:
    """The point of least expected |ŷ − y| / y given y > 0: the median of the zero-truncated weights P(y) / y."""
    return _weighted_median(lam, lambda count: 1 / count)


def _weighted_median(lam: np.ndarray, weight: Callable[[int], float]) -> np.ndarray:
    """The smallest count ≥ 1 up to which half of the weights P(y) · weight(y), y ≥ 1, lies."""
    values, place = np.unique(np.maximum(lam.astype(np.float64), 1e-12), return_inverse=True)
    counts = range(1, int(values[-1] + 12 * np.sqrt(values[-1]) + 20))
    log_p = np.stack([count * np.log(values) - values - gammaln(count + 1) for count in counts])
    mass = np.exp(log_p - log_p.max(0)) * np.array([weight(count) for count in counts])[:, None]
    below = mass.cumsum(0) < 0.5 * mass.sum(0)
    return (1 + below.sum(0))[place].reshape(lam.shape).astype(np.float64)


def _total(values: np.ndarray) -> np.ndarray:
    """Sums by the first axis, [t]."""
    return values.reshape(len(values), -1).sum(1)
