"""Ranges of sums of counts, of any cells over any steps of a forecast, from one joint law.

Given λ, counts come in clumps (several events of one incident), about λ times factors of mean 1 that cells share: of
the city, of each neighbourhood and of each cell. A part of each factor stays the same over the horizon, another part
is forgotten: its correlation between two steps is MEMORY^|t − s|. With Λ_g(t) what is expected of the sum in place g
at step t, a sum has the mean Λ = Σ λ and the variance

    Λ + clumps · Λ + Σ over city, neighbourhoods and cells g:
                     brief · Σ_ts Λ_g(t) Λ_g(s) MEMORY^|t − s|  +  lasting · (Σ_t Λ_g(t))²

and is taken as negative binomial. The seven variances come by moments: non-negative least squares over sums at four
scales of place and three of time, each of which counts alike. A validation slice is a few weeks of one season and tells
too little of what a city's days have in common. So moments are those of a year of the rolling climatology, whose past
forecasts are as honest as later ones, plus what a forecaster has more or less than it on the validation slice.

Inside a range is each count whose middle in the law, P(< y) + P(y) / 2, lies between (1 − level) / 2 and
(1 + level) / 2: the whole counts nearest to these quantiles, so that sums hold about `level`. (The Spread of a cell
takes the next count outwards, and promises each end; at Λ of 3 to 10 that holds 94 % where 90 % are meant.) As there,
no range contradicts the risk beside it: 0 is inside where exp(−Λ) is above (1 − level) / 2, 1 where the risk is.

Where Λ is below 3 a range holds more than `level`, as whole counts force it. Nothing is conformalised: days of
validation are few for sums over a city, and on halves of Denver's and Chicago's validation slices quantiles moved on
one half were a little further off on the other than the law's own (docs/evidence.md, with what ranges hold later).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from stforecast.scoring.conformal import LEVEL, negative_binomial_cdf
from stforecast.scoring.intensity import FLOOR

if TYPE_CHECKING:
    from scipy.sparse import csr_array

MEMORY = 0.75
"""Correlation of the brief part of a factor with itself a step later."""
SIDE = 2.75
"""Of the square of a neighbourhood, in distances between neighbouring cells: about seven hexagons."""
PARTS = 7
"""Variances: clumps; brief and lasting of the city, of neighbourhoods and of cells."""
ROUNDS = 4
"""Of the fit: weights follow the variances of the round before."""
BLOCK = 60
"""Days whose sums are in memory at a time."""
OUTLYING, COUNTS = 3, 3
"""No sum counts as further from Λ than so many standard deviations and so many events: a fireworks' night in one cell
is not the spread of all cells."""
LEAST_CLUMPS = 1e-3
"""So near to Poisson that no range differs, and no case of its own."""


class Moments(NamedTuple):
    """Of sums, in any shape: `mean` Λ [...], and what each variance is multiplied with, `parts` [... PARTS]."""

    mean: np.ndarray
    parts: np.ndarray


@dataclass(frozen=True)
class JointSpread:
    """How sums of counts spread about what is expected of them, for one category or for all.

    level: share of the sums that ranges hold. variances: see the module, in the order of PARTS.
    """

    level: float
    variances: tuple[float, ...]

    def interval(self, expected: np.ndarray, neighbourhood: np.ndarray) -> tuple[int, int]:
        """The range of the sum of a selection.

        Args:
            expected: λ of each step and cell, [k n], and 0 where it is not selected.
            neighbourhood: of each cell, [n]; see `neighbourhoods`.

        Returns:
            The lowest and the highest count inside.
        """
        low, high = self.bounds(moments(expected[None], together(expected.shape[1]), neighbourhood))
        return int(low.item()), int(high.item())

    def bounds(self, sums: Moments) -> tuple[np.ndarray, np.ndarray]:
        """The lowest and the highest count inside the range of each sum, int64 in their shape."""
        from scipy.special import nbdtrik  # as in `conformal`: it takes long to import

        mean, dispersion, tail = np.maximum(sums.mean, FLOOR), self.dispersion(sums), (1 - self.level) / 2

        def first(share: float) -> tuple[np.ndarray, np.ndarray]:
            """The lowest count with P(≤ count) ≥ share, and its middle in the law."""
            size = 1 / dispersion
            count = np.ceil(nbdtrik(share, size, size / (size + mean))).clip(0)
            begin, end = (negative_binomial_cdf(count - i, mean, dispersion) for i in (1, 0))
            return count, (begin + end) / 2

        (low, below), (high, above) = first(tail), first(1 - tail)
        low = np.where(mean < -math.log(tail), 0, low + (below < tail))
        high = np.maximum(high - (above > 1 - tail), mean > -math.log1p(-tail))
        return low.astype(np.int64), high.astype(np.int64)

    def dispersion(self, sums: Moments) -> np.ndarray:
        """(variance − Λ) / Λ² of each sum."""
        mean = np.maximum(sums.mean, FLOOR)
        return _excess(mean, sums.parts, self.variances) / mean**2

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` reads back to an equal object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """Read `to_dict`'s values.

        Raises:
            KeyError, TypeError, ValueError: they are not those of a joint spread.
        """
        level, variances = float(values["level"]), tuple(float(v) for v in values["variances"])
        if not (0 < level < 1 and len(variances) == PARTS and all(0 <= v < math.inf for v in variances)):
            raise ValueError(f"joint: expected a level within (0, 1) and {PARTS} variances")
        return cls(level, variances)


class Year(NamedTuple):
    """Another forecaster's days, those of a fit among them: they tell what days have in common where these are few.

    days: which of its days are those of the fit, [m]. lam, y: its λ and the counts, [M k n].
    """

    days: np.ndarray
    lam: np.ndarray
    y: np.ndarray


def fit_joint(
    lam: np.ndarray, y: np.ndarray, centres: np.ndarray, year: Year | None = None, level: float = LEVEL
) -> JointSpread:
    """The joint spread of counts about λ, from days that came before those it is for.

    Args:
        lam: expected events of one view, [m k n].
        y: counts, [m k n].
        centres: latitude and longitude of the cells, [n 2].
        year: of a forecaster without parameters. Then its spread over all of its days is taken, and by how much λ has
            more or less spread than it on days of both.
        level: share of the sums that ranges are to hold.
    """
    from scipy.optimize import nnls

    near, wide = neighbourhoods(centres), neighbourhoods(centres, 3 * SIDE)
    blocks, variances = [*_blocks(lam, y, near, wide)], np.full(PARTS, 0.01)  # of few days: kept for all rounds
    for _ in range(ROUNDS):
        rows, excess = _moment_rows(blocks, variances)
        variances = nnls(rows, excess)[0]
    if year is not None:
        own = _moment_rows(blocks, variances)[1]
        theirs = _moment_rows(_blocks(year.lam[year.days], y, near, wide), variances)[1]
        rows, usual = _moment_rows(_blocks(year.lam, year.y, near, wide), variances)
        variances = nnls(rows, usual + own - theirs)[0]
    return JointSpread(level, tuple(variances.tolist()))


def neighbourhoods(centres: np.ndarray, side: float = SIDE) -> np.ndarray:
    """The neighbourhood of each cell: squares of `side` distances between neighbouring cells, int64 [n] from 0.

    Args:
        centres: latitude and longitude of the cells, [n 2].
        side: of a square.
    """
    from scipy.spatial import cKDTree

    latitude, longitude = np.asarray(centres, np.float64).T
    east = (longitude - longitude[0] + 180) % 360 - 180
    flat = np.stack([latitude, east * math.cos(math.radians(latitude.mean()))], axis=1)
    apart = np.median(cKDTree(flat).query(flat, 2)[0][:, 1]) if len(flat) > 1 else 1.0
    squares = np.floor((flat - flat.min(0)) / (side * apart)).astype(np.int64)
    return np.unique(squares, axis=0, return_inverse=True)[1].reshape(-1)


def together(n: int) -> csr_array:
    """All cells as one area, for `moments`."""
    return parted(np.zeros(n, np.int64))


def parted(label: np.ndarray) -> csr_array:
    """Areas [a n] for `moments`, from the area of each cell, [n] from 0."""
    return _incidence(label, np.arange(len(label)), (int(label.max(initial=-1)) + 1, len(label)))


def moments(lam: np.ndarray, areas: csr_array, neighbourhood: np.ndarray) -> Moments:
    """The moments of the sums over areas and all steps: [m a].

    Args:
        lam: expected events, [m k n].
        areas: 1 where an area holds a cell, [a n].
        neighbourhood: of each cell, [n].
    """
    lam = np.asarray(lam, np.float64)
    return _moments(lam, _products(lam), areas, neighbourhood)


def _moments(
    lam: np.ndarray, cells: tuple[np.ndarray, np.ndarray], areas: csr_array, neighbourhood: np.ndarray
) -> Moments:
    """`moments`, with the products of cells at hand."""
    held = areas.tocoo()
    pairs, of = np.unique(np.stack([held.row, neighbourhood[held.col]]), axis=1, return_inverse=True)
    near = _incidence(of.reshape(-1), held.col, (pairs.shape[1], lam.shape[2]))  # the parts of areas by neighbourhood
    owner = _incidence(pairs[0], np.arange(pairs.shape[1]), (areas.shape[0], pairs.shape[1]))
    parts = _summed(lam, near)
    city = _summed(parts, owner)
    around = [_summed(each, owner) for each in _products(parts)]
    own = [_summed(each, areas) for each in cells]
    mean = city.sum(1)
    return Moments(mean, np.stack([mean, *_products(city), *around, *own], axis=-1))


def _incidence(row: np.ndarray, column: np.ndarray, shape: tuple[int, int]) -> csr_array:
    from scipy.sparse import csr_array

    return csr_array((np.ones(len(row)), (row, column)), shape)


class _Scale(NamedTuple):
    """Sums of one scale. parts: those of their moments that differ, the mean first, [s p]. of: which of them each
    variance is multiplied with. came: counts, [s].
    """

    parts: np.ndarray
    of: list[int]
    came: np.ndarray


def _moment_rows(blocks: Iterable[list[_Scale]], variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the variances are multiplied with and the variance beyond Λ, by scale, [s PARTS] and [s]: means over its
    sums, as shares of their variance.

    Sums weigh as the likelihood of a variance has it, times Λ: those of 3 and more are what ranges are for, and hold
    less spread by the event than quiet cells do.
    """
    total: Any = 0
    for block in blocks:
        found = []
        for parts, of, came in block:
            mean = parts[:, 0]
            variance = mean + _excess(mean, parts, np.bincount(of, variances, parts.shape[1]))
            weight = mean * (mean / variance) ** 2
            off = np.minimum((came - mean) ** 2, (OUTLYING * np.sqrt(variance) + COUNTS) ** 2) - mean
            found.append([*(weight @ parts)[of], weight @ off, weight @ variance])
        total = total + np.array(found)
    shares = total / total[:, -1:]
    return shares[:, :PARTS], shares[:, PARTS]


def _blocks(lam: np.ndarray, y: np.ndarray, near: np.ndarray, wide: np.ndarray) -> Iterator[list[_Scale]]:
    """The sums of days [m k n], of a block of days at a time."""
    for first in range(0, len(lam), BLOCK):
        block = slice(first, first + BLOCK)
        yield [*_scales(lam[block], y[block], near, wide)]


def _scales(lam: np.ndarray, y: np.ndarray, near: np.ndarray, wide: np.ndarray) -> Iterator[_Scale]:
    """The sums of each scale: cells, neighbourhoods, districts of nine of these, and the city, by the step, a third of
    the horizon, and the whole of it.
    """
    k, n = lam.shape[1:]
    lam, areas = np.maximum(lam, FLOOR, dtype=np.float64), [parted(near), parted(wide), together(n)]
    for length in sorted({1, max(1, k // 3), k}):
        expected, came = (v[:, : k // length * length].reshape(-1, length, n) for v in (lam, y))
        cells, came = _products(expected), came.sum(1, dtype=np.float64)
        # a cell is all there is of its neighbourhood and of the city
        yield _Scale(np.stack([expected.sum(1), *cells], -1).reshape(-1, 3), [0, 1, 2, 1, 2, 1, 2], came.ravel())
        for each in areas:
            parts = _moments(expected, cells, each, near).parts
            yield _Scale(parts.reshape(-1, PARTS), [*range(PARTS)], _summed(came, each).ravel())


def _excess(mean: np.ndarray, parts: np.ndarray, variances: Any) -> np.ndarray:
    """The variance of sums beyond Λ."""
    return np.maximum(parts @ np.asarray(variances), LEAST_CLUMPS * mean)


def _summed(values: np.ndarray, areas: csr_array) -> np.ndarray:
    """Values [... n] by area, [... a]."""
    return (values.reshape(-1, values.shape[-1]) @ areas.T).reshape(*values.shape[:-1], areas.shape[0])


def _products(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σ_ts x(t) x(s) MEMORY^|t − s| and (Σ_t x(t))² of values [m k g]: [m g] each."""
    before = np.zeros_like(values[:, 0])
    brief = np.zeros_like(before)
    for now in values.swapaxes(0, 1):
        brief += now * (now + 2 * before)
        before = MEMORY * (before + now)
    return brief, values.sum(1) ** 2
