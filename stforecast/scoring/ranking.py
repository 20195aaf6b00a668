"""What depends on the order of the cells only: average precision, ROC AUC, F1.

One sort of all cells serves every figure. Only the positives' places in it matter, so that no cell is carried along
with its label. Ties count as scikit-learn counts them: cells of equal score pass a threshold together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ranked:
    """Scores of all cells and of those with an event, each sorted upwards: float32 [N] and [P]."""

    scores: np.ndarray
    positives: np.ndarray


def rank(score: np.ndarray, y: np.ndarray) -> Ranked:
    """Sort the scores (λ or risk, any shape); a cell is positive when its count is above zero."""
    flat = np.ravel(score).astype(np.float32, copy=False)
    return Ranked(np.sort(flat), np.sort(flat[np.ravel(y) > 0]))


def average_precision(ranked: Ranked) -> float:
    """Σ (recall step × precision) over the distinct scores; NaN without an event."""
    at, hits, passed = _thresholds(ranked)
    if not at.size:
        return float("nan")
    steps = -np.diff(hits, append=0)
    return float((steps * hits / passed).sum() / hits[0])


def roc_auc(ranked: Ranked) -> float:
    """Probability that a cell with an event outscores one without, ties counting half; NaN without both kinds."""
    at, hits, passed = _thresholds(ranked)
    negatives = ranked.scores.size - ranked.positives.size
    if not at.size or not negatives:
        return float("nan")
    equal = -np.diff(hits, append=0)
    above_or_equal = passed - hits
    above = ranked.scores.size - np.searchsorted(ranked.scores, at, side="right") - (hits - equal)
    return 1 - float((equal * (above + above_or_equal)).sum()) / 2 / float(hits[0] * negatives)


def called(ranked: Ranked, threshold: float) -> tuple[float, float]:
    """How many cells with an event, and how many in all, have a score ≥ threshold."""
    positives, scores = (s.size - np.searchsorted(s, np.float64(threshold)) for s in (ranked.positives, ranked.scores))
    return float(positives), float(scores)


def f1(ranked: Ranked, threshold: float) -> float:
    """Harmonic mean of precision and recall of the cells with score ≥ threshold; NaN without an event."""
    hits, passed = called(ranked, threshold)
    return 2 * hits / (passed + ranked.positives.size) if ranked.positives.size else float("nan")


def best_threshold(risk: np.ndarray, y: np.ndarray) -> float:
    """The risk from which on an event is called, where F1 is highest; the highest such threshold, 1 without events.

    It lies halfway between the lowest risk called and the next lower one, so that rounding does not decide on cells
    of equal risk.
    """
    ranked = rank(risk, y)
    at, hits, passed = _thresholds(ranked)
    if not at.size:
        return 1.0
    score = 2 * hits / (passed + hits[0])
    best = score.size - 1 - int(np.argmax(score[::-1]))
    below = ranked.scores.size - passed[best]
    lower = float(ranked.scores[below - 1]) if below else 0.0
    return (lower + float(at[best])) / 2


def _thresholds(ranked: Ranked) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct scores of positives, upwards, with the positives and the cells at or above each, [u] int64."""
    at, first = np.unique(ranked.positives, return_index=True)
    passed = ranked.scores.size - np.searchsorted(ranked.scores, at, side="left")
    return at, ranked.positives.size - first, passed
