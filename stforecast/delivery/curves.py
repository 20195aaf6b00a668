"""Curves: what TensorBoard shows of the validation slice (with a map), and the figure of a backtest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from stforecast.cube import Cube
from stforecast.delivery.figures import label, legend_below, lines, new_figure, plot_hit_rate, plot_reliability
from stforecast.delivery.map import figure_of_values
from stforecast.scoring.curves import hit_rate_curve, reliability
from stforecast.scoring.intensity import pool
from stforecast.scoring.ranking import rank

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REFERENCE = "rolling_climatology"
"""What skill is measured from where it is among the forecasters; else the last one is."""


def validation_figures(cube: Cube, intensity: np.ndarray, counts: np.ndarray) -> dict[str, Figure]:
    """Reliability, hit rate and, of hexagons, a map.

    Args:
        cube: the record.
        intensity: calibrated λ, [m k n c].
        counts: events, [m k n c].

    Returns:
        Figures by name.
    """
    lam, y = pool(intensity), pool(counts)
    found, (area, captured) = reliability(rank(lam, y)), hit_rate_curve(*(v.reshape(-1, cube.n) for v in (lam, y)))
    figures = {}
    for name, plot, curve in (
        ("reliability", plot_reliability, (found.mean_risk, found.observed)),
        ("hit rate", plot_hit_rate, (area, captured)),
    ):
        figures[name], (axes,) = new_figure(width=4.5, height=4)
        plot(axes, {name: curve})
    if cube.resolution is not None:
        expected = lam.sum(1).mean(0)
        figures["map"] = figure_of_values(cube.cells, expected, "Expected reported offences a day, validation slice")
    return figures


def backtest_figure(result: Mapping[str, Any]) -> Figure:
    """Reliability, hit rate and deviance skill by horizon of every forecaster of a backtest, a panel each."""
    figure, (left, middle, right) = new_figure(1, 3, width=14, height=4.6)
    entries = result["forecasters"]
    reference = REFERENCE if REFERENCE in entries else [*entries][-1]
    curves = {name: entry["curves"] for name, entry in entries.items()}
    loss = {
        name: np.array([view["poisson_deviance"] for view in entry["by_horizon"].values()])
        for name, entry in entries.items()
    }
    plot_reliability(
        left, {n: (c["reliability"]["mean_risk"], c["reliability"]["observed"]) for n, c in curves.items()}
    )
    plot_hit_rate(middle, {n: (c["hit_rate"]["area"], c["hit_rate"]["events"]) for n, c in curves.items()})
    hours = np.arange(1, len(loss[reference]) + 1)
    lines(right, {name: (hours, 100 * (1 - each / loss[reference])) for name, each in loss.items()})
    label(right, f"Deviance skill against {reference}", "horizon (h)", "deviance saved (%)")
    figure.set_dpi(130)
    legend_below(figure, left, 6)
    return figure
