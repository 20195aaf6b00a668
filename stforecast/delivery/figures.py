"""Figures of reports, backtests and TensorBoard: axes in the look of the maps, and what several of them plot.

Colours are ColorBrewer's and Okabe and Ito's, as in `delivery.map`; lines differ in dash as well as in colour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from stforecast.cube import Cube
from stforecast.cube.geometry import Geometry
from stforecast.delivery.map import GREY, INK, OUTLINE, class_bounds, class_labels, class_patches, colours_of, draw_map
from stforecast.delivery.words import called, length_of
from stforecast.scoring.calibration import reliability
from stforecast.scoring.hotspots import hit_rate_curve
from stforecast.scoring.intensity import pool
from stforecast.scoring.ranking import rank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE = "#225ea8"
PALETTE = (BLUE, OUTLINE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK, GREY)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)), (0, (3, 3)))
WIDTH = 7.2
"""Of a figure, inches."""
REFERENCE = "rolling_climatology"
"""What skill is measured from where it is among the forecasters; else the last one is."""
Curve = tuple[np.ndarray, np.ndarray]


def new_figure(
    rows: int = 1, columns: int = 1, height: float = 3.4, width: float = WIDTH, **options: Any
) -> tuple[Figure, list[Axes]]:
    """An empty figure and its axes in reading order; `height` is of one row, inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height * rows), facecolor="white", layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, **options).ravel())
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
        one.spines[["left", "bottom"]].set_color(GREY)
        one.tick_params(colors=GREY, labelsize=8.5)
    return figure, axes


def panels(titles: Iterable[str], height: float) -> tuple[Figure, list[Axes]]:
    """A figure with an axes of each title, in rows of two; `height` is of one row, inches."""
    names = list(titles)
    columns = min(2, len(names))
    figure, axes = new_figure(-(-len(names) // columns), columns, height)
    for one, name in zip(axes, names, strict=False):
        label(one, name)
    for spare in axes[len(names) :]:
        spare.set_visible(False)
    return figure, axes[: len(names)]


def label(axes: Axes, title: str = "", x: str = "", y: str = "") -> None:
    """Name the axes and what they show."""
    axes.set_title(title, fontsize=10, color=INK, loc="left", parse_math=False)
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)


def lines(axes: Axes, curves: Mapping[str, Curve], **options: Any) -> None:
    """A line for each name, each with a colour and dash of its own."""
    for (name, (x, y)), (colour, dash) in zip(curves.items(), cycle(zip(PALETTE, DASHES, strict=True)), strict=False):
        axes.plot(x, y, label=name, linewidth=1.4, color=colour, linestyle=dash, **options)


def diagonal(axes: Axes, low: float = 0.0, high: float = 1.0) -> None:
    """A grey line of what no skill, or perfect calibration, would give."""
    axes.plot([low, high], [low, high], color="0.7", linewidth=1, zorder=0)


def plot_reliability(axes: Axes, curves: Mapping[str, Curve]) -> None:
    """Observed share of hexagons and steps with a report against forecast risk; on logarithmic axes of rare ones."""
    lines(axes, curves)
    label(axes, "Reliability", "forecast risk of a hexagon and step", "observed share with a report")
    seen = np.concatenate([np.concatenate(curve) for curve in curves.values()])
    limits = [max(float(seen[seen > 0].min(initial=1)), 1e-5) * 0.8, float(seen.max()) * 1.25]
    scale = "log" if limits[0] < 0.1 else "linear"
    diagonal(axes, *(limits if scale == "log" else ()))
    axes.set(xscale=scale, yscale=scale)
    if scale == "log":
        axes.set(xlim=limits, ylim=limits)


def plot_hit_rate(axes: Axes, curves: Mapping[str, Curve]) -> None:
    """Share of the reports in the highest-ranked share of the hexagons."""
    lines(axes, curves)
    label(axes, "Hit rate", "share of hexagons, highest forecast first", "share of reports in them")
    diagonal(axes)


def call_cells(figure: Figure, cell: str) -> Figure:
    """The figure with its words, written of hexagons, as `called` has them of other cells."""
    if cell == "hexagon":
        return figure
    from matplotlib.text import Text
    from matplotlib.ticker import FuncFormatter

    def spelled(name: Callable[..., str]) -> Callable[..., str]:
        return lambda *tick: called(name(*tick), cell)

    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        names = axis.get_major_formatter()
        if isinstance(names, FuncFormatter):  # what ticks that have names take them from, whenever they are drawn
            names.func = spelled(names.func)
    for text in figure.findobj(Text):
        text.set_text(called(text.get_text(), cell))
    return figure


def legend_below(figure: Figure, axes: Axes, columns: int = 4) -> None:
    """One legend below all axes."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8.5, frameon=False)


def whiskers(
    axes: Axes, names: Sequence[str], low: np.ndarray, middle: np.ndarray, high: np.ndarray, zero: float = 0.0
) -> None:
    """Estimates with their intervals, a row a name, the first on top; a line at what no difference is."""
    y = np.arange(len(names))[::-1]
    axes.axvline(zero, color=GREY, linewidth=0.8)
    axes.hlines(y, low, high, color=BLUE, linewidth=2)
    axes.plot(middle, y, "o", markersize=5, color=BLUE)
    axes.set_yticks(y, names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.locator_params(axis="x", nbins=5)
    axes.tick_params(axis="y", length=0)


def heat(
    axes: Axes, values: np.ndarray, rows: Sequence[str], columns: Sequence[str], every: int = 1, **options: Any
) -> Any:
    """A table of values [r c] as colours, by default from light (few) to dark (many); returns the image."""
    colours: dict[str, Any] = {"cmap": "YlGnBu", "vmin": 0} | options
    image = axes.imshow(values, aspect="auto", **colours)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xticks(range(0, len(columns), every), columns[::every])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def colour_bar(figure: Figure, axes: Axes, image: Any) -> None:
    """What the colours of `heat` stand for."""
    figure.colorbar(image, ax=axes, shrink=0.8).outline.set_visible(False)


def maps(
    cells: Geometry,
    fills: Mapping[str, Sequence[str]],
    rest: float,
    outlined: np.ndarray | None = None,
    scale_bar: bool = True,
) -> tuple[Figure, list[Axes]]:
    """A map of each title with a colour for each cell [n]; `rest` inches are left for titles and legends."""
    figure, axes = panels(fills, 3.4)
    for one, colours in zip(axes, fills.values(), strict=True):
        draw_map(one, cells, colours, outlined, scale_bar)
    columns = min(2, len(fills))
    high = (np.ptp(axes[0].get_ylim()) * float(axes[0].get_aspect())) / np.ptp(axes[0].get_xlim())
    figure.set_figheight(-(-len(fills) // columns) * (WIDTH / columns * high + 0.3) + rest)
    return figure, axes


def class_legend(axes: Axes, labels: Sequence[str], title: str) -> None:
    """The classes of a map, from the lowest to the highest, in rows below it."""
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "ncols": 3, "frameon": False}
    axes.legend(handles=class_patches(labels), title=title, fontsize=8.5, title_fontsize=9, **place)


def figure_of_values(cells: Geometry, values: np.ndarray, title: str) -> Figure:
    """Non-negative values of cells [n] as a map."""
    bounds = class_bounds(values)
    figure, (axes,) = maps(cells, {title: colours_of(values, bounds)}, rest=0.75)
    class_legend(axes, class_labels(bounds), "")
    return figure


def validation_figures(cube: Cube, intensity: np.ndarray, counts: np.ndarray) -> dict[str, Figure]:
    """Reliability, hit rate and, where cells have outlines, a map.

    Args:
        cube: the record.
        intensity: calibrated λ, [m k n c].
        counts: events, [m k n c].

    Returns:
        Figures by name.
    """
    lam, y = pool(intensity), pool(counts)
    found = reliability(rank(lam, y))
    out = {name: new_figure(width=4.5, height=4) for name in ("reliability", "hit rate")}
    plot_reliability(out["reliability"][1][0], {"": (found.mean_risk, found.observed)})
    plot_hit_rate(out["hit rate"][1][0], {"": hit_rate_curve(*(v.reshape(-1, cube.n) for v in (lam, y)))})
    drawn = {name: figure for name, (figure, _) in out.items()}
    if not cube.drawn:
        return drawn
    title = f"Expected reported offences in the {length_of(cube.step, lam.shape[1])}, validation slice"
    drawn["map"] = figure_of_values(cube.geometry, lam.sum(1).mean(0), title)
    return {name: call_cells(figure, cube.geometry.word) for name, figure in drawn.items()}


def backtest_figure(result: Mapping[str, Any]) -> Figure:
    """Reliability, hit rate and deviance skill by horizon of every forecaster of a backtest, a panel each."""
    figure, (left, middle, right) = new_figure(1, 3, width=14, height=4.6)
    figure.set_dpi(130)
    entries = result["forecasters"]
    reference = REFERENCE if REFERENCE in entries else [*entries][-1]
    reliable, hits, loss = {}, {}, {}
    for name, entry in entries.items():
        curves = entry["curves"]
        reliable[name] = (curves["reliability"]["mean_risk"], curves["reliability"]["observed"])
        hits[name] = (curves["hit_rate"]["area"], curves["hit_rate"]["events"])
        loss[name] = np.array([view["poisson_deviance"] for view in entry["by_horizon"].values()])
    ahead = np.arange(1, len(loss[reference]) + 1)
    plot_reliability(left, reliable)
    plot_hit_rate(middle, hits)
    saved = {name: (ahead, 100 * (1 - each / loss[reference])) for name, each in loss.items()}
    lines(right, saved, marker="o" if len(ahead) == 1 else None)
    label(right, f"Deviance skill against {reference}", f"{result['step']}s ahead", "deviance saved (%)")
    right.set_xticks(ahead[:: 1 + len(ahead) // 12])
    legend_below(figure, left, 6)
    return figure
