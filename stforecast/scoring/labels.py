"""The hot label: does a day have unusually many events for its hexagon?

Hot-spot pipelines on city records often turn forecasting into classification: an area is hot on the days whose count
has a z-score above some bound. Mean and standard deviation are usually taken over the whole file, or over a window that
reaches beyond the day. Then later days decide on earlier labels, and scores on held-out days are partly read off.

Here the days before the issue time decide, as they were known at that time:

    z = (count of the day − mean of the WINDOW days before) / max(their standard deviation, 1)        hot: z ≥ HOT

Without the bound of one event a lone event would make a quiet hexagon hot. What z ≥ HOT asks for is a count that is
known at the issue time, so that the label needs no classifier of its own: its probability is P(count ≥ needed) of the
count that a forecaster expects. The day stands alone in the count on purpose. With a running sum of seven days against
twelve weeks, two thirds of the hot days are certain before they begin, and rolling climatology has an F1 of 0.8, not
0.2 as here (validation slices of Denver and Chicago).
"""

from __future__ import annotations

import numpy as np

from stforecast.scoring.ranking import average_precision, called, f1, rank

WINDOW = 28
HOT = 1.5
LEAST_DEVIATION = 1.0


def count_needed(past: np.ndarray) -> np.ndarray:
    """The least count that makes a day hot, int64 […], from the counts of the WINDOW days before it [WINDOW …]."""
    deviation = np.maximum(past.std(axis=0, ddof=1, dtype=np.float64), LEAST_DEVIATION)
    bound = past.mean(axis=0, dtype=np.float64) + HOT * deviation
    return np.ceil(bound - 1e-9).astype(np.int64)  # a bound that is whole counts as reached, whatever its rounding


def label_figures(probability: np.ndarray, hot: np.ndarray, threshold: float) -> dict[str, float]:
    """Share of hot days, average precision of their probability, and precision, recall and F1 from `threshold` on.

    NaN where nothing is hot; precision also where nothing is called.
    """
    ranked = rank(probability, hot)
    hits, passed = called(ranked, threshold)
    return {
        "hot_label_share": ranked.positives.size / ranked.scores.size,
        "hot_label_average_precision": average_precision(ranked),
        "hot_label_precision": hits / passed if passed else float("nan"),
        "hot_label_recall": hits / ranked.positives.size if ranked.positives.size else float("nan"),
        "hot_label_f1": f1(ranked, threshold),
    }
