"""Prediction intervals of the count of a day, whose coverage is calibrated on the days before.

A day is the steps that one forecast covers, λ their sum. The count is taken as negative binomial about λ, with variance
λ + dispersion · λ² (offences clump, and λ itself is uncertain). On the validation slice every count gets a score: the
least level at which the central interval of that law holds it. The interval of a later day is the central one at the
conformal quantile of these scores (split conformal prediction: Vovk, Gammerman and Shafer 2005; nested sets: Gupta,
Kuchibhotla and Ramdas 2022), found separately for groups of λ (Mondrian), so that quiet and busy hexagons are covered
alike. The law decides how sharp the intervals are, not whether they hold.

Guaranteed, in the mean over each group, where validation and later days are exchangeable: at least `level` of the
counts lie in their interval. Not guaranteed:

- at one λ. Intervals end at whole counts. Where no event at all is just less likely than `level`, a part of the group
  gets [0, 0] and holds less, and the others hold more (Denver's test slice at 90 %: 85 % for λ from 1/8 to 1/4, 94 % up
  to 1/2);
- no more than `level`. Where no event is likelier than `level`, [0, 0] is the least there is and overshoots;
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
the first half of Denver's validation slice, a single group held 78 % instead of 90 % of the second half's counts where
λ ≥ 2, and twice as many groups widened the intervals by a fifth.)"""
LEAST_CELLS = 500
LEAST_DISPERSION = 1e-4
"""So near to Poisson that no interval differs, and no case of its own."""
SLACK = 1e-5
"""Share of λ by which intervals give way, so that rounding does not decide on hexagons that always have the same λ."""


@dataclass(frozen=True)
class Spread:
    """How the counts of a day spread about λ, for one category or for all.

    borders: λ at which groups part, upwards, [g − 1]. reach: level of the central interval that holds the share `level`
    of the counts of a group, [g].
    """

    level: float
    dispersion: float
    borders: tuple[float, ...]
    reach: tuple[float, ...]

    def interval(self, lam: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest count inside, int32 in the shape of `lam`; neither falls where λ grows.

        Within a group each is a step function of λ. Between groups the step functions are widened until they ascend:
        what a lower group reaches up to, a higher one does too.
        """
        from scipy.special import nbdtrik  # here and below: it takes long to import, and few commands come here

        lam = np.asarray(lam, np.float64)
        reach = np.array(self.reach)[:, None]
        begin, end = (np.array(edges)[:, None] for edges in ((0.0, *self.borders), (*self.borders, np.inf)))
        size = 1 / self.dispersion
        most = nbdtrik((1 + reach.max()) / 2, size, size / (size + lam.max(initial=0.0)))
        count = np.arange(math.ceil(most) + 2)
        # λ [g j] from which on the lowest, and the highest, count inside is above j
        low = self._mean_at(count, (1 - reach) / 2) * (1 + SLACK)
        high = np.maximum(self._mean_at(count, (1 + reach) / 2) * (1 - SLACK), begin)
        low = np.where(low > begin, np.minimum(low, end), 0).max(axis=0)
        high = np.where(high < end, high, np.inf).min(axis=0)
        lowest, highest = np.searchsorted(low, lam, side="left"), np.searchsorted(high, lam, side="right")
        return lowest.astype(np.int32), highest.astype(np.int32)

    def at_least(self, count: np.ndarray, lam: np.ndarray) -> np.ndarray:
        """P(at least `count` events), of the law before it is conformalised: float64."""
        return 1 - _cdf(np.asarray(count) - 1, lam, self.dispersion)

    def _mean_at(self, count: np.ndarray, share: np.ndarray) -> np.ndarray:
        """The λ at which P(at most `count` events) is `share`: it falls as λ grows."""
        from scipy.special import betaincinv

        size = 1 / self.dispersion
        with np.errstate(divide="ignore"):  # infinite where no λ is high enough
            return size / betaincinv(size, count + 1, share) - size

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` reads back to an equal object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Read `to_dict`'s values.

        Raises:
            ArtefactError: they are not those of a spread.
        """
        try:
            level, dispersion = float(values["level"]), float(values["dispersion"])
            borders, reach = (tuple(float(v) for v in values[key]) for key in ("borders", "reach"))
        except (KeyError, TypeError, ValueError) as error:
            raise ArtefactError(
                f"spread: expected `level`, `dispersion`, `borders` and `reach` ({error!r}); fit again."
            ) from error
        ascending = list(borders) == sorted(set(borders)) and len(reach) == len(borders) + 1
        inside = 0 < level < 1 and 0 < dispersion < math.inf and all(0 <= share < 1 for share in reach)
        if not (ascending and inside):
            raise ArtefactError("spread: expected ascending borders, a reach below 1 for each group; fit again.")
        return cls(level, dispersion, borders, reach)


def fit_spread(lam: np.ndarray, y: np.ndarray, level: float = LEVEL) -> Spread:
    """The spread of whole counts y about λ, both of one view in any shape, from days that came before those it is for.

    Where reports are still arriving, λ is of those that are known by now: thinning keeps the dispersion.
    """
    lam, y = np.maximum(np.ravel(lam), FLOOR).astype(np.float64), np.ravel(y).astype(np.float64)
    weight = (1 + lam) ** -2.0  # nearly as good as maximum likelihood, and the busiest cells do not decide alone
    dispersion = max(float(weight @ ((y - lam) ** 2 - y) / (weight @ lam**2)), LEAST_DISPERSION)
    borders = _borders(lam)
    # outside the central interval of level s: F(y) < (1 − s) / 2 or F(y − 1) > (1 + s) / 2
    below, above = 1 - 2 * _cdf(y, lam, dispersion), 2 * _cdf(y - 1, lam, dispersion) - 1
    score, group = np.maximum(np.maximum(below, above), 0), np.searchsorted(borders, lam, side="right")
    reach = tuple(_conformal_quantile(score[group == g], level) for g in range(len(borders) + 1))
    return Spread(level, dispersion, tuple(borders), reach)


def interval_figures(low: np.ndarray, high: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """The share of counts inside their interval, and the mean of high − low (events)."""
    return {"coverage": float(((low <= y) & (y <= high)).mean()), "interval_width": float((high - low).mean())}


def _cdf(count: np.ndarray, lam: np.ndarray, dispersion: float) -> np.ndarray:
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


def _conformal_quantile(score: np.ndarray, level: float) -> float:
    """The ⌈(n + 1) · level⌉-th smallest score, which a new one exceeds with a probability of at most 1 − level.

    Short of 1, where nothing is outside; the highest one where fewer than level / (1 − level) cells allow no better.
    """
    place = min(math.ceil((score.size + 1) * level), score.size)
    return min(float(np.partition(score, place - 1)[place - 1]), 1 - 1e-9)
