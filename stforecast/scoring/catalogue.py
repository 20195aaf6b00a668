"""The catalogue of metrics: what each is called in tables, in which unit, and which way is better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


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
"""Metrics that tables show, in their order; files hold all. `scoring.metrics` says how they are computed."""
COMPARED = ("average_precision", "poisson_deviance", "log_loss", "hit_rate_5")
"""Metrics whose differences between forecasters have intervals."""
