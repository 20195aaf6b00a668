"""Curves for plots: reliability and hit rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stforecast.scoring.hotspots import top_hexagons
from stforecast.scoring.intensity import risk
from stforecast.scoring.ranking import Ranked


@dataclass(frozen=True)
class Reliability:
    """Bins of equally many cells, lowest risk first: mean risk, observed share with an event, cells; [b] each."""

    mean_risk: np.ndarray
    observed: np.ndarray
    count: np.ndarray

    @property
    def error(self) -> float:
        """Mean absolute difference of the two, weighted by cells."""
        return float((self.count * np.abs(self.mean_risk - self.observed)).sum() / self.count.sum())


def reliability(ranked: Ranked, bins: int = 10) -> Reliability:
    """The reliability of ranked intensities λ.

    Where a bin ends among cells of equal λ, their events are shared out in proportion, so that the order of the
    cells plays no part.
    """
    size = ranked.scores.size
    edges = np.linspace(0, size, min(bins, size) + 1).astype(np.int64)
    count = np.diff(edges)
    mean_risk = np.add.reduceat(risk(ranked.scores).astype(np.float64), edges[:-1]) / count
    at = ranked.scores[edges[1:-1]]
    first, last = (np.searchsorted(ranked.scores, at, side=side) for side in ("left", "right"))
    low, high = (np.searchsorted(ranked.positives, at, side=side) for side in ("left", "right"))
    below = low + (high - low) * (edges[1:-1] - first) / (last - first)
    observed = np.diff(below, prepend=0, append=ranked.positives.size) / count
    return Reliability(mean_risk, observed, count)


def hit_rate_curve(lam: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of hexagons and the share of events that the top ones of each hour capture: [h n], [h n] → [n + 1] each."""
    n = lam.shape[1]
    captured = np.take_along_axis(y, top_hexagons(lam, n), axis=1).sum(axis=0, dtype=np.float64)
    curve = np.concatenate([[0.0], np.cumsum(captured)])
    with np.errstate(invalid="ignore"):  # no events: NaN
        return np.arange(n + 1) / n, curve / curve[-1]
