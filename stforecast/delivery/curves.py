"""What TensorBoard shows of the validation slice: reliability, hit rate, and a map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stforecast.cube import Cube
from stforecast.delivery.map import figure_of_values
from stforecast.scoring.curves import hit_rate_curve, reliability
from stforecast.scoring.intensity import pool
from stforecast.scoring.ranking import rank

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def validation_figures(cube: Cube, intensity: np.ndarray, counts: np.ndarray) -> dict[str, Figure]:
    """Figures of calibrated λ and counts, both [m k n c]."""
    lam, y = pool(intensity), pool(counts)
    figures = {"reliability": reliability_figure(lam, y), "hit rate": hit_rate_figure(lam, y)}
    if cube.resolution is not None:
        expected = lam.sum(1).mean(0)
        figures["map"] = figure_of_values(cube.cells, expected, "Expected reported offences a day, validation slice")
    return figures


def reliability_figure(lam: np.ndarray, y: np.ndarray) -> Figure:
    """Observed share of hours with an event against the forecast risk, in ten bins of equally many hexagon-hours."""
    curve = reliability(rank(lam, y))
    figure = _figure("forecast risk", "observed share")
    axes = figure.axes[0]
    limit = float(max(curve.mean_risk.max(), curve.observed.max())) * 1.05
    axes.plot([0, limit], [0, limit], color="0.7", linewidth=1)
    axes.plot(curve.mean_risk, curve.observed, "o-", color="#225ea8")
    axes.set_title(f"Reliability (calibration error {curve.error:.5f})", fontsize=10)
    return figure


def hit_rate_figure(lam: np.ndarray, y: np.ndarray) -> Figure:
    """Share of events in the highest-ranked share of hexagons of each hour."""
    area, captured = hit_rate_curve(lam.reshape(-1, lam.shape[-1]), y.reshape(-1, y.shape[-1]))
    figure = _figure("share of area", "share of events")
    axes = figure.axes[0]
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.plot(area, captured, color="#225ea8")
    axes.set_title("Hit rate", fontsize=10)
    return figure


def _figure(x: str, y: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 4), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure
