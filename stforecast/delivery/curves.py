"""Curves: what TensorBoard shows of the validation slice (with a map), and the figure of a backtest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from stforecast.cube import Cube
from stforecast.delivery.map import figure_of_values
from stforecast.scoring.curves import hit_rate_curve, reliability
from stforecast.scoring.intensity import pool
from stforecast.scoring.ranking import rank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REFERENCE = "rolling_climatology"
"""What skill is measured from where it is among the forecasters; else the last one is."""


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


def backtest_figure(result: Mapping[str, Any]) -> Figure:
    """Reliability, hit rate and deviance skill by horizon of every forecaster of a backtest, a panel each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 4.6), dpi=130, layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    entries = result["forecasters"]
    reference = REFERENCE if REFERENCE in entries else [*entries][-1]
    base = np.array([view["poisson_deviance"] for view in entries[reference]["by_horizon"].values()])
    for name, entry in entries.items():
        found, hits = entry["curves"]["reliability"], entry["curves"]["hit_rate"]
        left.plot(found["mean_risk"], found["observed"], "o-", markersize=3, linewidth=1, label=name)
        middle.plot(hits["area"], hits["events"], linewidth=1)
        loss = np.array([view["poisson_deviance"] for view in entry["by_horizon"].values()])
        skill = 100 * (1 - loss / base)
        right.plot(range(1, len(skill) + 1), skill, "o-", markersize=3, linewidth=1)
    _labels(left, "Reliability", "forecast risk of a hexagon and hour", "observed share with an event")
    left.set(xscale="log", yscale="log")
    limits = left.get_xlim()
    left.plot(limits, limits, color="0.7", linewidth=1, zorder=0)
    _labels(middle, "Hit rate", "share of hexagons, highest forecasts first", "share of events in them")
    middle.plot([0, 1], [0, 1], color="0.7", linewidth=1, zorder=0)
    _labels(right, f"Deviance skill against {reference}", "horizon (h)", "deviance saved (%)")
    figure.legend(loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    return figure


def _labels(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _figure(x: str, y: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 4), dpi=110, layout="constrained")
    _labels(figure.subplots(), "", x, y)
    return figure
