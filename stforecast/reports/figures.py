"""Figures of pages: axes in the look of the maps, and what several sections draw.

Colours are ColorBrewer's and Okabe and Ito's, as in `delivery.map`; lines differ in dash as well as in colour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from stforecast.cube.hexgrid import from_names, polygons
from stforecast.delivery.map import GREY, INK, OUTLINE, class_colours, draw_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE = "#225ea8"
PALETTE = (BLUE, OUTLINE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9", INK, GREY)
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)), (0, (3, 3)))
WIDTH = 7.2
"""Of a figure, inches."""


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


def label(axes: Axes, title: str = "", x: str = "", y: str = "") -> None:
    """Name the axes and what they show."""
    axes.set_title(title, fontsize=10, color=INK, loc="left", parse_math=False)
    axes.set_xlabel(x, fontsize=9, color=INK)
    axes.set_ylabel(y, fontsize=9, color=INK)


def styles() -> Iterator[dict[str, Any]]:
    """Colour and dash of one line after the other."""
    return ({"color": c, "linestyle": d} for c, d in cycle(zip(PALETTE, DASHES, strict=True)))


def lines(axes: Axes, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], **options: Any) -> None:
    """A line for each name."""
    for (name, (x, y)), style in zip(curves.items(), styles(), strict=False):
        axes.plot(x, y, label=name, linewidth=1.4, **style, **options)


def legend_below(figure: Figure, axes: Axes, columns: int = 4) -> None:
    """One legend below all axes."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=8.5, frameon=False)


def whiskers(axes: Axes, names: Sequence[str], low: np.ndarray, middle: np.ndarray, high: np.ndarray) -> None:
    """Estimates with their intervals, a row a name, the first on top; a line at zero."""
    y = np.arange(len(names))[::-1]
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.hlines(y, low, high, color=BLUE, linewidth=2)
    axes.plot(middle, y, "o", markersize=5, color=BLUE)
    axes.set_yticks(y, names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.locator_params(axis="x", nbins=5)
    axes.tick_params(axis="y", length=0)


def heat(axes: Axes, values: np.ndarray, rows: Sequence[str], columns: Sequence[str], every: int = 1) -> Any:
    """A table of values [r c] as colours from light (few) to dark (many); returns the image for its colour bar."""
    image = axes.imshow(values, cmap="YlGnBu", aspect="auto", vmin=0)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_xticks(range(0, len(columns), every), columns[::every])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def class_map(axes: Axes, cells: np.ndarray, fill: Sequence[str]) -> None:
    """Hexagons [n] in a colour each."""
    draw_map(axes, cells, np.zeros(len(cells)), np.array([1.0]), scale_bar=False)
    owner = shapely.get_parts(polygons(from_names(cells.tolist())), return_index=True)[1]
    axes.collections[0].set(facecolor=[fill[i] for i in owner], edgecolor="face")


def fit_maps(figure: Figure, rows: int, columns: int, rest: float) -> None:
    """Make the figure as high as its maps are, and `rest` inches for titles and legend."""
    one = figure.axes[0]
    high = (np.ptp(one.get_ylim()) * float(one.get_aspect())) / np.ptp(one.get_xlim())
    figure.set_figheight(rows * (WIDTH / columns * high + 0.3) + rest)


def class_legend(axes: Axes, labels: Sequence[str], title: str) -> None:
    """The classes of a map, from the lowest to the highest, in rows below it."""
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=c, label=name) for c, name in zip(class_colours(len(labels)), labels, strict=True)]
    axes.legend(
        handles=handles,
        title=title,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=3,
        frameon=False,
        fontsize=8.5,
        title_fontsize=9,
    )
