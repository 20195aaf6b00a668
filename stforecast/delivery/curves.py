"""Curves: what TensorBoard shows of the validation slice (with a map), and the figure of a backtest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from stforecast.cube import Cube
from stforecast.delivery import figures
from stforecast.scoring.calibration import reliability
from stforecast.scoring.hotspots import hit_rate_curve
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
    found = reliability(rank(lam, y))
    out = {name: figures.new_figure(width=4.5, height=4) for name in ("reliability", "hit rate")}
    figures.plot_reliability(out["reliability"][1][0], {"": (found.mean_risk, found.observed)})
    figures.plot_hit_rate(out["hit rate"][1][0], {"": hit_rate_curve(*(v.reshape(-1, cube.n) for v in (lam, y)))})
    drawn = {name: figure for name, (figure, _) in out.items()}
    if cube.resolution is not None:
        title = "Expected reported offences a day, validation slice"
        drawn["map"] = figures.figure_of_values(cube.cells, lam.sum(1).mean(0), title)
    return drawn


def backtest_figure(result: Mapping[str, Any]) -> Figure:
    """Reliability, hit rate and deviance skill by horizon of every forecaster of a backtest, a panel each."""
    figure, (left, middle, right) = figures.new_figure(1, 3, width=14, height=4.6)
    figure.set_dpi(130)
    entries = result["forecasters"]
    reference = REFERENCE if REFERENCE in entries else [*entries][-1]
    reliable, hits, loss = {}, {}, {}
    for name, entry in entries.items():
        curves = entry["curves"]
        reliable[name] = (curves["reliability"]["mean_risk"], curves["reliability"]["observed"])
        hits[name] = (curves["hit_rate"]["area"], curves["hit_rate"]["events"])
        loss[name] = np.array([view["poisson_deviance"] for view in entry["by_horizon"].values()])
    hours = np.arange(1, len(loss[reference]) + 1)
    figures.plot_reliability(left, reliable)
    figures.plot_hit_rate(middle, hits)
    figures.lines(right, {name: (hours, 100 * (1 - each / loss[reference])) for name, each in loss.items()})
    figures.label(right, f"Deviance skill against {reference}", "horizon (h)", "deviance saved (%)")
    figures.legend_below(figure, left, 6)
    return figure
