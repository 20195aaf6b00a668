"""The scorecard entry of a forecaster: metrics of an intensity against the counts that came.

All are over every hexagon-hour. "Positive" is a count above zero. Metrics that events alone define are NaN where there
are none. Pooled is the sum over categories: intensities add.

    average_precision, roc_auc, f1             order of the cells, see `ranking`; f1 at a threshold chosen elsewhere
    log_loss, brier                            of risk 1 − exp(−λ); log loss clips it, see `intensity.FLOOR`
    poisson_deviance                           2 · mean(λ − y + y · log(y / λ)), on the leaves
    calibration_slope, calibration_slope_day   see `calibration`; of hourly risk, and of the risk over all horizons
    calibration_error                          ten bins of equally many cells, see `calibration.Reliability`
    pai_*, pei_*, hit_rate_*                   at 1, 5, 10 % of the hexagons and `patrol`, see `hotspots`
    mae, rmse, r2                              of counts
    bias                                       Σ λ / Σ y, which is the same hourly and over all horizons; tables for
                                               readers have its inverse, reported ÷ expected
    risk_bias, risk_bias_day                   Σ risk / positives, hourly and over all horizons: they part where events
                                               are clumped

The scorecard adds, of whole days (`evaluation.scorecard.day_figures`):

    coverage, interval_width                   of the intervals of daily counts, see `conformal`
    hot_label_*                                share of hot days, and how they are foreseen, see `labels`
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from stforecast.scoring.calibration import calibration_slope, reliability
from stforecast.scoring.hotspots import hot_spots
from stforecast.scoring.intensity import CEILING, FLOOR, pool, risk
from stforecast.scoring.ranking import average_precision, best_threshold, f1, rank, roc_auc

ALL = "all"
"""Name of the sum over categories."""


@dataclass(frozen=True)
class Metric:
    """A metric of the scorecard.

    heading: in tables. scale: factor of the unit shown. decimals: shown. better: more, less, or near to 1 (or to the
    nominal share).
    """

    heading: str
    better: Literal["more", "less", "near"]
    decimals: int = 4
    scale: float = 1.0

    def text(self, value: float | None, sign: bool = False) -> str:
        """A value (or difference, with its sign) as shown; – where it is not defined."""
        if value is None or math.isnan(value):
            return "–"
        return f"{value * self.scale + 0.0:{'+' if sign else ''}.{self.decimals}f}"


METRICS: Mapping[str, Metric] = {
    "average_precision": Metric("AP", "more"),
    "roc_auc": Metric("ROC AUC", "more"),
    "log_loss": Metric("log loss", "less", 5),
    "brier": Metric("Brier", "less", 5),
    "poisson_deviance": Metric("deviance × 10³", "less", 3, 1e3),
    "calibration_slope": Metric("slope", "near", 3),
    "calibration_error": Metric("cal. error", "less", 5),
    "reported_to_expected": Metric("reported ÷ expected", "near", 3),
    "hit_rate_5": Metric("hit rate 5 %", "more"),
    "pai_1": Metric("PAI 1 %", "more", 2),
    "pai_5": Metric("PAI 5 %", "more", 2),
    "f1": Metric("F1", "more"),
    "coverage": Metric("coverage", "near", 3),
    "skill": Metric("skill", "more", 3),
}
"""Metrics that tables show, in their order; files hold all."""
COMPARED = ("average_precision", "poisson_deviance", "log_loss", "hit_rate_5")
"""Metrics whose differences between forecasters have intervals."""


def reported_to_expected(bias: float | None) -> float | None:
    """Reported ÷ expected, the direction of every table for readers, from the metric `bias`; None where undefined."""
    return 1 / bias if bias else None


def choose_thresholds(lam: np.ndarray, y: np.ndarray, categories: Sequence[str]) -> dict[str, float]:
    """Risk thresholds of highest F1, for `all` and each category: [m k n c] of the validation slice."""
    chosen = {name: best_threshold(risk(lam[..., i]), y[..., i]) for i, name in enumerate(categories)}
    return {ALL: best_threshold(risk(pool(lam)), pool(y))} | chosen


def scorecard_entry(
    lam: np.ndarray,
    y: np.ndarray,
    categories: Sequence[str],
    thresholds: Mapping[str, float],
    areas: np.ndarray,
    patrol_area: float,
) -> dict[str, Any]:
    """Pooled metrics, and those of each category under `by_category`.

    lam: float32 [m k n c]. y: counts [m k n c]. thresholds: risk, by category and for `all`; without one F1 is left
    out. areas: km² [n]. patrol_area: km².
    """
    leaves = {
        name: score(lam[..., i, None], y[..., i, None], thresholds.get(name), areas, patrol_area)
        for i, name in enumerate(categories)
    }
    return score(lam, y, thresholds.get(ALL), areas, patrol_area) | {"by_category": leaves}


def score(
    lam: np.ndarray, y: np.ndarray, threshold: float | None, areas: np.ndarray, patrol_area: float
) -> dict[str, Any]:
    """Metrics of one view: lam, y [m k n c]; threshold: risk, None leaves F1 out; areas: km² [n]; patrol_area: km²."""
    deviance, lam, y = poisson_deviance(lam, y), pool(lam), pool(y)
    ranked, n = rank(lam, y), lam.shape[-1]
    day, y_day = lam.sum(axis=1), y.sum(axis=1)
    found = {
        "events": _total(y),
        "average_precision": average_precision(ranked),
        "roc_auc": roc_auc(ranked),
        **_probability(lam, y),
        "poisson_deviance": deviance,
        "calibration_slope": calibration_slope(lam, y),
        "calibration_slope_day": calibration_slope(day, y_day),
        "calibration_error": reliability(ranked).error,
        **hot_spots(lam.reshape(-1, n), y.reshape(-1, n), np.asarray(areas, np.float64), patrol_area),
        **_counts(lam, y),
        "risk_bias_day": _ratio(_total(risk(day)), int(np.count_nonzero(y_day))),
    }
    if threshold is not None:
        with np.errstate(divide="ignore"):
            found["f1"] = f1(ranked, -np.log1p(-threshold))
    return found


def poisson_deviance(lam: np.ndarray, y: np.ndarray) -> float:
    """2 · mean(λ − y + y · log(y / λ)) over all cells; λ is floored at FLOOR."""
    return float(poisson_losses(lam, y).mean())


def poisson_losses(lam: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The deviance of each entry of the first axis, float64 [m]; logarithms at the events only."""
    flat, counts = np.maximum(lam, np.float32(FLOOR)).reshape(len(lam), -1), np.reshape(y, (len(y), -1))
    row, cell = np.nonzero(counts)
    events = counts[row, cell].astype(np.float64)
    terms = events * (np.log(events / flat[row, cell]) - 1)
    total = flat.sum(axis=1, dtype=np.float64) + np.bincount(row, weights=terms, minlength=len(flat))
    return 2 * total / flat.shape[1]


def daily_losses(lam: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Per issue time [m], whose means are the metrics: poisson_deviance (leaves), log_loss and brier (pooled).

    lam, y: [m k n c].
    """
    days = len(lam)
    pooled, events = pool(lam).reshape(days, -1), pool(y).reshape(days, -1)
    parts = [_probability(pooled[i], events[i]) for i in range(days)]
    means = {key: np.array([part[key] for part in parts]) for key in ("log_loss", "brier")}
    return {"poisson_deviance": poisson_losses(lam, y)} | means


def levelled_loss(lam: np.ndarray, counts: np.ndarray, weight: np.ndarray, group: np.ndarray) -> float:
    """How far λ [r] lies from counts [r], whatever the level of each group (a category): calibration takes those.

    It is Poisson's deviance with the best level of each group, but for a factor and what all λ have in common.

    Args:
        lam: λ.
        counts: y.
        weight: how many cells each row stands for, and the share of their reports that is known.
        group: its number.
    """
    expected, events = np.bincount(group, weight * lam), np.bincount(group, counts)
    return float(events @ np.log(np.maximum(expected, 1e-300)) - counts @ np.log(lam.astype(np.float64)))


def skill(model: float, climatology: float, oracle: float) -> float:
    """Share of the way from climatology (0) to the oracle (1), in deviance; NaN where the two are equal."""
    return _ratio(model - climatology, oracle - climatology)


def _probability(lam: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """log(1 − risk) is −λ: only the events need a logarithm."""
    size = lam.size
    at = lam[y > 0]
    clipped = np.clip(at.astype(np.float64), FLOOR, CEILING)
    log_loss = _total(np.clip(lam, FLOOR, CEILING)) - clipped.sum() - np.log(risk(clipped)).sum()
    p, p_events = risk(lam), risk(at.astype(np.float64))
    return {
        "log_loss": float(log_loss) / size,
        "brier": float(_total(np.square(p)) - 2 * p_events.sum() + at.size) / size,
        "risk_bias": _ratio(_total(p), at.size),
    }


def _counts(lam: np.ndarray, y: np.ndarray) -> dict[str, float]:
    error = lam - y
    squares, total = _total(np.square(error)), _total(y)
    spread = _total(np.square(y)) - total**2 / y.size
    return {
        "mae": _total(np.abs(error)) / y.size,
        "rmse": float(np.sqrt(squares / y.size)),
        "r2": 1 - _ratio(squares, spread),
        "bias": _ratio(_total(lam), total),
    }


def _total(values: np.ndarray) -> float:
    return float(values.sum(dtype=np.float64))


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator else float("nan")
