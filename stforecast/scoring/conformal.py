"""Prediction intervals of counts, central and calibrated on the days before.

λ is the expected count of a cell: of a hexagon's day (the steps that one forecast covers), or of its hour. The count is
taken as negative binomial about λ, with variance λ + dispersion · λ² (offences clump, and λ itself is uncertain), and
the interval ends at two quantiles of that law: at most (1 − level) / 2 of the counts are to lie below it, and at most
as many above.

Which quantiles, the validation slice says, for each end by itself and for groups of λ (Mondrian split conformal
prediction: Vovk, Gammerman and Shafer 2005; of the law's own probabilities: Chernozhukov, Wüthrich and Zhu 2021). A
count y stands in the law between P(< y) and P(≤ y), and is taken as spread evenly over that step (the non-randomised
probability integral transform: Czado, Gneiting and Held 2009). Whole counts as such would not do: where no event is
nearly as likely as `level`, a part of the group could have [0, 0] and hold less, because the others hold more. Steps
make up for nothing: where the law is right they ask for its own quantiles, so that the interval holds at every λ.

Guaranteed:
- in the mean over each group, where validation and later days are exchangeable: at most (1 − level) / 2 of the counts
  are below their interval, and at most as many above;
- for every λ: no interval contradicts the risk 1 − exp(−λ) that is shown beside it. Where at least one event is
  likelier than (1 − level) / 2, the interval reaches to 1; where no event is likelier than that, 0 is inside.

Not guaranteed:
- at one λ, as far as the law's shape is wrong within a group;
- no more than `level`. Intervals end at whole counts, and where λ is small that adds up to a tenth;
- under drift. Nothing is adapted after validation, and neighbouring cells of one day are not independent: what counts
  is the number of days, not of cells.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from stforecast.errors import ArtefactError
from stforecast.scoring.intensity import FLOOR

LEVEL = 0.9
BORDERS = 2.0 ** np.arange(-5, 8, 2)
"""Where groups of λ part: 1/32, 1/8 … 128. A group of fewer than LEAST_CELLS cells joins the one below it. (Fitted on
the first half of Denver's validation slice, a single group left the intervals of the second half a fifth wider where
λ ≥ 2, and twice as many groups changed nothing.)"""
LEAST_CELLS = 500
MOST = 10_000_000
"""Events in a cell, far beyond any record: memory of that size is not asked for."""
LEAST_DISPERSION = 1e-4
"""So near to Poisson that no interval differs, and no case of its own."""
HIGHEST = 1 - 1e-9
"""No quantile is above it: every interval ends."""
SLACK = 1e-5
"""Share of λ by which intervals give way to the risk beside them, so that no sum in float32 sets the two at odds."""


@dataclass(frozen=True)
class Spread:
    """How counts spread about λ, for one category or for all.

    level: share of the counts that intervals hold. borders: λ at which groups part, upwards, [g − 1]. lower, upper: the
    quantiles of the law, as probabilities, at which the intervals of a group end, [g].
    """

    level: float
    dispersion: float
    borders: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]

    def interval(self, lam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The interval of the count of every cell.

        Args:
            lam: expected events of each cell, in any shape.

        Returns:
            The lowest and the highest count inside, int32 in the shape of `lam`. Neither falls where λ grows.
        """
        from scipy.special import nbdtrik  # here and below: it takes long to import, and few commands come here

        lam, tail = np.asarray(lam, np.float64), (1 - self.level) / 2
        begin, end = (np.array(edges)[:, None] for edges in ((0.0, *self.borders), (*self.borders, np.inf)))
        size = 1 / self.dispersion
        most = nbdtrik(max(self.upper), size, size / (size + lam.max(initial=0.0)))
        if not most < MOST:  # before it is allocated
            raise ArtefactError(
                f"spread: its intervals reach to {most:,.0f} events in a cell, beyond any record. Run `stforecast "
                "train --fresh`."
            )
        count = np.arange(math.ceil(most) + 2)
        # λ [g j] from which on the lowest, and the highest, count inside is above j: step functions of λ in each group,
        # widened between groups until they ascend (what a lower group reaches up to, a higher one does too)
        low = self._mean_at(count, np.array(self.lower)[:, None])
        high = np.maximum(self._mean_at(count, np.array(self.upper)[:, None]), begin)
        low = np.where(low > begin, np.minimum(low, end), 0).max(axis=0)
        high = np.where(high < end, high, np.inf).min(axis=0)
        low = np.maximum(low, -math.log(tail) * (1 + SLACK))  # 0 is inside where P(0) = exp(−λ) is above `tail`,
        high[0] = min(high[0], -math.log1p(-tail) * (1 - SLACK))  # and 1 where the risk is
        lowest, highest = np.searchsorted(low, lam, side="left"), np.searchsorted(high, lam, side="right")
        return lowest.astype(np.int32), highest.astype(np.int32)

    def at_least(self, count: np.ndarray, lam: np.ndarray) -> np.ndarray:
        """P(at least `count` events), of the law before it is conformalised: float64."""
        return 1 - negative_binomial_cdf(np.asarray(count) - 1, lam, self.dispersion)

    def _mean_at(self, count: np.ndarray, share: np.ndarray) -> np.ndarray:
        """The λ at which P(at most `count` events) is `share`: it falls as λ grows."""
        from scipy.special import betaincinv

        size = 1 / self.dispersion
        with np.errstate(divide="ignore", over="ignore"):  # infinite where no λ is high enough
            return size / betaincinv(size, count + 1, share) - size

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` reads back to an equal object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Read `to_dict`'s values.

        Raises:
            KeyError, TypeError, ValueError: they are not those of a spread.
        """
        level, dispersion = float(values["level"]), float(values["dispersion"])
        borders, lower, upper = (tuple(float(v) for v in values[key]) for key in ("borders", "lower", "upper"))
        ascending = list(borders) == sorted(set(borders)) and len(lower) == len(upper) == len(borders) + 1
        inside = 0 < level < 1 and 0 < dispersion < math.inf
        if not (ascending and inside and all(0 <= a <= b < 1 for a, b in zip(lower, upper, strict=True))):
            raise ValueError("spread: not ascending borders with two quantiles for each group")
        return cls(level, dispersion, borders, lower, upper)


def fit_spread(lam: np.ndarray, y: np.ndarray, level: float = LEVEL) -> Spread:
    """The spread of counts about λ, from days that came before those it is for.

    Args:
        lam: expected events of each cell of one view, in any shape. Where reports are still arriving, of those that are
            known by now: thinning keeps the dispersion.
        y: whole counts, in the shape of `lam`.
        level: share of the counts that intervals are to hold.
    """
    lam, y = np.maximum(np.ravel(lam), FLOOR).astype(np.float64), np.ravel(y).astype(np.float64)
    dispersion, borders = fit_dispersion(lam, y), _borders(lam)
    begin, end = negative_binomial_cdf(y - 1, lam, dispersion), negative_binomial_cdf(y, lam, dispersion)
    group = np.searchsorted(borders, lam, side="right")
    groups = (group == g for g in range(len(borders) + 1))
    lower, upper = zip(*(_conformal_quantiles(begin[here], end[here], level) for here in groups), strict=True)
    return Spread(level, dispersion, tuple(borders), lower, upper)


def fit_dispersion(lam: np.ndarray, y: np.ndarray) -> float:
    """The dispersion of counts about λ, by moments.

    Args:
        lam: expected events of each cell, above 0, in any shape.
        y: whole counts, in the shape of `lam`.

    Returns:
        (variance − λ) / λ², at least LEAST_DISPERSION.
    """
    weight = (1 + lam) ** -2.0  # nearly as good as maximum likelihood, and the busiest cells do not decide alone
    return max(float((weight * ((y - lam) ** 2 - y)).sum() / (weight * lam**2).sum()), LEAST_DISPERSION)


def interval_figures(low: np.ndarray, high: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """The share of counts inside their interval, and the mean of high − low (events)."""
    return {"coverage": float(((low <= y) & (y <= high)).mean()), "interval_width": float((high - low).mean())}


def negative_binomial_cdf(count: np.ndarray, lam: np.ndarray, dispersion: float | np.ndarray) -> np.ndarray:
    """P(at most `count` events) of the negative binomial law; 0 for negative counts."""
    from scipy.special import betainc

    size = 1 / dispersion
    return np.where(count < 0, 0.0, betainc(size, np.maximum(count, 0) + 1.0, size / (size + lam)))


def _borders(lam: np.ndarray) -> list[float]:
    """The borders, upwards, between groups that all hold at least LEAST_CELLS cells."""
    kept: list[float] = []
    above = 0
    for border in BORDERS[::-1]:
        reached = int(np.count_nonzero(lam >= border))
        if min(reached - above, lam.size - reached) >= LEAST_CELLS:
            kept.insert(0, float(border))
            above = reached
    return kept


def _conformal_quantiles(begin: np.ndarray, end: np.ndarray, level: float) -> tuple[float, float]:
    """The probabilities below and above which a new count falls as often as (1 − level) / 2 each, or less.

    Counts stand in the law from `begin` to `end`. A new one is one more of them: of n + 1, not of n. Where they are so
    few that this allows no end, it is 0 or HIGHEST.
    """
    from scipy.optimize import brentq

    begin = np.minimum(begin, HIGHEST)
    step = np.maximum(end - begin, np.finfo(np.float64).tiny)  # of counts so far out that no number tells them apart

    def excess(probability: float, share: float) -> float:
        return float(np.clip((probability - begin) / step, 0, 1).mean()) - share

    within = min((1 + level) / 2 * (begin.size + 1) / begin.size, 1.0)
    lower, upper = (brentq(excess, 0, 1, args=(share,)) for share in (1 - within, within))
    return float(lower), min(float(upper), HIGHEST)
