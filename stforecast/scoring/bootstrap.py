"""Paired day-block bootstrap: intervals of metrics and of their differences.

Days of one city resemble their neighbours, so whole blocks of days are drawn (the circular block bootstrap of Politis
and Romano 1992). A draw is a weight of each day; forecasters are compared under the same weights, which is what makes
a small difference visible:

    weights = day_weights(days)
    gain = difference(average_precision_draws(a, y, weights), average_precision_draws(b, y, weights))

Days that one block holds can be drawn in one way alone: there are no draws then, and no interval. Whoever shows an
interval says from how many blocks it is (`of_blocks`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stforecast.scoring.ranking import average_precision, rank

BINS = 4096
ALONE = 1024
BLOCK_DAYS = 7
WHOLE = ("week", "month")
"""Names of blocks that are a unit of the calendar."""
ENOUGH_BLOCKS = 5
"""From fewer blocks an interval is too narrow to be trusted."""


@dataclass(frozen=True)
class Interval:
    """An estimate and the bounds of its percentile interval; NaN where there is none."""

    low: float
    estimate: float
    high: float


@dataclass(frozen=True)
class Draws:
    """A metric on the days as they came, and on each draw of days: [r], none where the days are one block."""

    estimate: float
    values: np.ndarray


@dataclass(frozen=True)
class Blocks:
    """Blocks of neighbouring issues that a draw takes as a whole.

    count: how many a draw takes. length: issues of a block. name: what a block is: a week, a month, so many days.
    """

    count: int
    length: int = BLOCK_DAYS
    name: str = "week"

    @staticmethod
    def of(issues: int, unit: str, horizons: int) -> Blocks:
        """A week of daily issues; two horizons where each issue is of many days, which overlap; of months a horizon.

        Args:
            issues: how many there are.
            unit: of a step.
            horizons: steps of a forecast.
        """
        length = {"hour": BLOCK_DAYS, "day": max(BLOCK_DAYS, 2 * horizons), "month": horizons}[unit]
        whole = "month" if unit == "month" else "week"
        alone = length == (1 if unit == "month" else BLOCK_DAYS)
        name = whole if alone else f"{length} {'months' if unit == 'month' else 'days'}"
        return Blocks(block_count(issues, length), length, name)

    def weights(self, issues: int, seed: int = 0) -> np.ndarray:
        """`day_weights` of so many issues."""
        return day_weights(issues, block_days=self.length, seed=seed)

    def __str__(self) -> str:
        return of_blocks(self.count, self.name)


def block_count(days: int, block_days: int = BLOCK_DAYS) -> int:
    """How many blocks each draw of so many days takes, the last of them cut to fit."""
    return -(-days // block_days)


def of_blocks(blocks: int, name: str = "week") -> str:
    """What intervals rest on, in words for a reader: so many weeks, or what else a block is."""
    if blocks < 2:
        return f"one {name}: no interval" if name in WHOLE else f"{name}: no interval"
    few = "" if blocks >= ENOUGH_BLOCKS else ", too few to be trusted"
    return f"95 % intervals from {blocks} {blocks_of(name)}{few}"


def blocks_of(name: str) -> str:
    """Blocks of a name in words: weeks, months, or blocks of so many days."""
    return f"{name}s" if name in WHOLE else f"blocks of {name}"


def day_weights(days: int, draws: int = 500, block_days: int = BLOCK_DAYS, seed: int = 0) -> np.ndarray:
    """How often each draw takes each day.

    Returns:
        float32 [r m], whose rows sum to `days`; no row where one block holds all days.
    """
    blocks = block_count(days, block_days)
    if blocks < 2:
        return np.empty((0, days), np.float32)
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, days, (draws, blocks, 1))
    taken = ((starts + np.arange(block_days)) % days).reshape(draws, -1)[:, :days]
    flat = taken + np.arange(draws)[:, None] * days
    return np.bincount(flat.ravel(), minlength=draws * days).reshape(draws, days).astype(np.float32)


def mean_draws(daily: np.ndarray, weights: np.ndarray) -> Draws:
    """Draws of a metric that is a mean over days (`metrics.daily_losses`): [m] → [r]."""
    return Draws(float(daily.mean()), weights @ daily / weights.sum(axis=1))


def ratio_draws(part: np.ndarray, whole: np.ndarray, weights: np.ndarray) -> Draws:
    """Draws of a ratio of sums over days, both [m]; NaN for a draw in which the whole is 0."""
    with np.errstate(invalid="ignore"):
        return Draws(float(part.sum() / whole.sum()), (weights @ part) / (weights @ whole))


def average_precision_draws(lam: np.ndarray, y: np.ndarray, weights: np.ndarray) -> Draws:
    """Draws of average precision over all cells of the days drawn: lam, y [m k n] of one view.

    Cells are counted once, by day and by bins of score, and each draw adds up the days' counts. BINS bins hold about
    equally many events, the ALONE highest events have bins of their own (precision changes fastest there), equal
    scores are never parted. Within a bin cells count as tied; the estimate is exact, and its own error in bins is
    taken off the draws. What remains is below 1e-4 (1e-6 on 3.8 M cells). NaN for a draw without an event.
    """
    lam = np.asarray(lam, np.float32)
    positive = np.asarray(y) > 0
    ranked = rank(lam, positive)
    estimate = average_precision(ranked)
    if not ranked.positives.size:
        return Draws(estimate, np.full(len(weights), np.nan))
    step = -(-ranked.positives.size // BINS)
    edges = np.unique(np.concatenate([ranked.positives[::step], ranked.positives[-ALONE:]]))
    bins = np.searchsorted(edges, lam.reshape(len(lam), -1), side="right")  # bin 0 lies below every event
    bins += np.arange(len(lam))[:, None] * (edges.size + 1)

    def by_day(values: np.ndarray) -> np.ndarray:
        counts = np.bincount(values.ravel(), minlength=len(lam) * (edges.size + 1))
        return counts.reshape(len(lam), -1)[:, :0:-1].astype(np.float32)  # highest bin first, bin 0 left out

    cells, events = by_day(bins), by_day(bins[positive.reshape(bins.shape)])
    everything = np.ones((1, len(lam)), np.float32)
    values = _binned(everything, cells, events)[0]
    return Draws(estimate, _binned(weights, cells, events) + (estimate - values))


def interval(draws: Draws, level: float = 0.95) -> Interval:
    """The percentile interval of a metric; without draws it has no bounds."""
    if not draws.values.size:
        return Interval(float("nan"), draws.estimate, float("nan"))
    low, high = np.nanquantile(draws.values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), draws.estimate, float(high))


def difference(a: Draws, b: Draws, level: float = 0.95) -> Interval:
    """The interval of a − b, paired draw by draw: both from the same weights."""
    return interval(Draws(a.estimate - b.estimate, a.values - b.values), level)


def _binned(weights: np.ndarray, cells: np.ndarray, events: np.ndarray) -> np.ndarray:
    """Average precision [r] under weights [r m], from counts [m b] with the highest bin first."""
    hits = weights @ events
    found = np.cumsum(hits, axis=1, dtype=np.float64)
    passed = np.cumsum(weights @ cells, axis=1, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        precision = np.divide(found, passed, out=np.zeros_like(found), where=passed > 0)
        return (hits * precision).sum(axis=1) / found[:, -1]
