"""Maps of hexagon values, and a risk grid as a PNG.

matplotlib is imported on first use and through `Figure` alone: no display, no global state, no start-up time.
Colours are ColorBrewer's YlGnBu from light (few) to dark (many), which colour-blind readers see too (Harrower and
Brewer 2003, The Cartographic Journal); the outline is the vermilion of Okabe and Ito's palette.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from stforecast.cube.geometry import Geometry
from stforecast.delivery.riskgrid import HORIZON, NOTICE, RiskGrid
from stforecast.delivery.words import horizon_label, horizon_length, length_of, local_text, step_labels
from stforecast.scoring.hotspots import top_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import SubFigure
    from matplotlib.patches import Patch

OUTLINE, INK, GREY = "#d55e00", "#1b1b1b", "#5f6368"
KM_PER_DEGREE = 111.32
TOP_SHARE = 0.05
"""Share of the hexagons that maps outline and the report flags."""
MOST_CLASSES = 7
WIDTH = 10.0  # of the page, inches


def map_png(grid: RiskGrid, path: Path, city: str) -> None:
    """Draw a grid as a picture: the horizon of all categories, and equal parts of it below.

    Parts are the quarters of 24 hours, the days of a week, the months of a season; none of a single step.

    Raises:
        ArtefactError: the hexagons have no outlines.
    """
    from matplotlib.figure import Figure

    steps, whole = grid.intensity[:HORIZON, 0], grid.intensity[HORIZON, 0]  # of the category `all`
    most = 4 if grid.step.unit == "hour" else 7
    count = max(count for count in range(1, most + 1) if len(steps) % count == 0)
    low, high, shrink = _extent(grid.geometry)
    tall = (high[1] - low[1]) / (high[0] - low[0]) / shrink
    heights = [np.clip(6.9 * tall, 4, 9) + 0.3, np.clip(9.2 / count * tall, 1.3, 3) + 0.75][: 1 + (count > 1)]
    foot = _footer(grid)
    figure = Figure((WIDTH, sum(heights) + 1.1 + 0.19 * len(foot)), facecolor="white")
    figure.set_layout_engine("constrained", w_pad=0.2, h_pad=0.12)
    heading = f"{city.replace('_', ' ').title()}: reported offences expected"
    figure.suptitle(heading, x=0.04, ha="left", fontsize=18, fontweight="bold", color=INK)
    figure.supxlabel("\n".join(foot), x=0.04, ha="left", fontsize=8.5, color=GREY, linespacing=1.5, parse_math=False)
    main, *strip = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False).ravel()
    _draw_horizon(main, grid, whole)
    for below in strip:
        _draw_parts(below, grid, steps.reshape(count, -1, len(whole)).sum(1))
    figure.savefig(path, dpi=130)


def draw_map(
    axes: Axes,
    cells: Geometry,
    colours: Sequence[str],
    outlined: np.ndarray | None = None,
    scale_bar: bool = True,
) -> None:
    """Fill cells [n] with a colour each; `outlined` are the indices of those that are outlined."""
    axes.add_collection(filled(cells.unbroken, facecolors=list(colours), edgecolors="#ffffff", linewidths=0.3))
    if outlined is not None:
        around = cells.unbroken[np.sort(outlined)]
        axes.add_collection(filled(around, facecolors="none", edgecolors=OUTLINE, linewidths=1.7))
    low, high, shrink = _extent(cells)
    margin = 0.02 * (high - low)
    axes.set_xlim(low[0] - margin[0], high[0] + margin[0])
    axes.set_ylim(low[1] - margin[1] * (4 if scale_bar else 1), high[1] + margin[1])
    axes.set_aspect(1 / shrink)
    axes.set_axis_off()
    if scale_bar:
        _scale_bar(axes, low, high, shrink)


def class_bounds(values: np.ndarray, most: int = MOST_CLASSES) -> np.ndarray:
    """Limits of at most `most` classes from the series 1, 2, 5, 10 … that the bulk of the values [n] spans.

    Values far above the bulk have a class of their own: the highest does not hide them.
    """
    low, high = np.quantile(values, [0.05, 0.995]) if values.size else (0.0, 0.0)
    series = np.array([float(f"{m}e{e}") for e in range(-6, 7) for m in (1, 2, 5)])
    inside = series[(series > low) & (series <= high)]
    if not inside.size:
        inside = series[series <= max(high, series[0])][-1:]
    far = series[(series > inside[-1]) & (series <= values.max(initial=0.0))][-1:]
    return np.concatenate([inside, far])[-(most - 1) :]


def class_labels(bounds: np.ndarray) -> list[str]:
    """A label a class, from the lowest to the highest."""
    names = [f"{b:g}" for b in bounds]
    between = [f"{a} to {b}" for a, b in pairwise(names)]
    return [f"under {names[0]}", *between, f"{names[-1]} and more"]


def class_colours(count: int) -> list[str]:
    """A colour a class, from the lowest to the highest, as #rrggbb."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colour) for colour in colormaps["YlGnBu"](np.linspace(0.08, 1.0, count))]


def colours_of(values: np.ndarray, bounds: np.ndarray) -> list[str]:
    """The colour of the class of each value [n]; `bounds` are the ascending limits between classes."""
    colours = class_colours(len(bounds) + 1)
    return [colours[i] for i in np.searchsorted(bounds, values, side="right")]


def patches(colours: Mapping[str, str], **options: Any) -> list[Patch]:
    """Entries of a legend: a filled box for each label."""
    from matplotlib.patches import Patch

    return [Patch(facecolor=colour, label=label, **options) for label, colour in colours.items()]


def class_patches(labels: Sequence[str]) -> list[Patch]:
    """Entries of a legend for classes, from the lowest to the highest."""
    return patches(dict(zip(labels, class_colours(len(labels)), strict=True)))


def filled(shapes: np.ndarray, **options: Any) -> PolyCollection:
    """Shapes [n] as matplotlib draws them, with their parts and holes."""
    from matplotlib.collections import PolyCollection
    from matplotlib.path import Path as Outline

    corners, codes = list[Any](), list[Any]()
    for shape in shapely.orient_polygons(shapes):  # holes run the other way round, or they are filled
        places, ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(shape)), return_index=True)
        code = np.full(len(places), Outline.LINETO)
        code[np.diff(ring, prepend=-1) > 0] = Outline.MOVETO
        code[np.diff(ring, append=len(places)) > 0] = Outline.CLOSEPOLY
        corners.append(places)
        codes.append(code)
    drawn = PolyCollection([], **options)
    drawn.set_verts_and_codes(corners, codes)
    return drawn


def _extent(cells: Geometry) -> tuple[np.ndarray, np.ndarray, float]:
    """South-west and north-east corner, and a degree of longitude in degrees of latitude."""
    low, high = np.split(shapely.total_bounds(cells.unbroken), 2)
    return low, high, float(np.cos(np.deg2rad((low[1] + high[1]) / 2)))


def highest(values: np.ndarray, share: float) -> np.ndarray:
    """Indices of the `share` of hexagons with the highest values [n]; of equal ones the first."""
    return np.argsort(-values, kind="stable")[: top_count(share, len(values))]


def _draw_horizon(figure: SubFigure, grid: RiskGrid, values: np.ndarray) -> None:
    """The map of the horizon [n]; its classes with their numbers of hexagons, and what the outlined ones hold."""
    axes, bounds, top = figure.subplots(), class_bounds(values), highest(values, TOP_SHARE)
    word = grid.geometry.word
    draw_map(axes, grid.geometry, colours_of(values, bounds), top)
    line = f"{horizon_label(grid)}, {grid.time_zone} time. {values.sum():,.0f} reports are expected in these {word}s."
    figure.suptitle(line, x=0.04, ha="left", fontsize=11, color=GREY)
    count = np.bincount(np.searchsorted(bounds, values, side="right"), minlength=len(bounds) + 1)
    handles = class_patches([f"{label}  ({n:,})" for label, n in zip(class_labels(bounds), count, strict=True)])[::-1]
    share = values[top].sum() / max(values.sum(), 1e-12)
    label = f"top {100 * TOP_SHARE:.0f} % of {word}s ({len(top):,}):\n{100 * share:.0f} % of the expected reports"
    handles += patches({label: "none"}, edgecolor=OUTLINE, linewidth=1.7)
    handles += patches({"no colour: not forecast": "none"}, edgecolor="none")
    title = f"Reports expected in each\n{word} in the next {horizon_length(grid)}\n(number of {word}s)"
    spaces = {"labelspacing": 0.55, "handlelength": 1.5, "handleheight": 1.2, "alignment": "left"}
    figure.legend(handles=handles, title=title, loc="outside right center", frameon=False, fontsize=9.5, **spaces)


def _draw_parts(figure: SubFigure, grid: RiskGrid, parts: np.ndarray) -> None:
    """Maps of equal parts of the horizon in a row, [p n], with classes of their own."""
    bounds, size = class_bounds(parts.ravel(), most=6), grid.horizons // len(parts)
    for index, (axes, values) in enumerate(zip(figure.subplots(1, len(parts)), parts, strict=True)):
        draw_map(axes, grid.geometry, colours_of(values, bounds), scale_bar=False)
        axes.set_title(f"{_when(grid, size * index, size)}{values.sum():,.0f} expected", fontsize=9)
    handles, title = class_patches(class_labels(bounds)), f"Per {grid.geometry.word} and {length_of(grid.step, size)}"
    figure.legend(handles=handles, title=title, loc="outside lower center", ncols=6, frameon=False, fontsize=9)


def _when(grid: RiskGrid, first: int, size: int) -> str:
    """What stands before the reports of so many steps from one on: short, and in lines where maps are narrow."""
    if grid.step.unit == "hour":
        begin, end = (time.tz_convert(grid.time_zone) for time in (grid.starts[first], grid.ends[first + size - 1]))
        return f"{begin:%a %H:%M} to {end:%H:%M}: "
    labels = step_labels(grid)[first : first + size]
    return "\nto ".join(dict.fromkeys((labels[0], labels[-1]))) + "\n"


def _scale_bar(axes: Axes, low: np.ndarray, high: np.ndarray, shrink: float) -> None:
    width = (high[0] - low[0]) * shrink * KM_PER_DEGREE
    km = max((m * 10.0**e for e in range(-3, 5) for m in (1, 2, 5) if m * 10.0**e <= 0.25 * width), default=0.001)
    length = km / KM_PER_DEGREE / shrink
    y = low[1] - 0.07 * (high[1] - low[1])  # below every hexagon
    axes.plot([low[0], low[0] + length], [y, y], color=INK, linewidth=2.5, solid_capstyle="butt")
    label = f"{km:g} km" if km >= 1 else f"{1000 * km:g} m"
    place = (low[0] + length / 2, y)
    axes.annotate(label, place, (0, 4), textcoords="offset points", ha="center", va="bottom", color=INK)


def _footer(grid: RiskGrid) -> list[str]:
    """Lines of the footer: where the forecast comes from, what it assumed, what it is of."""
    source = [f"Model {grid.model}", f"record used until {local_text(grid.complete_until, grid.time_zone)}"]
    words = "; ".join([*source, *(sentence.rstrip(".") for sentence in grid.assumptions)])
    data = f"Data: {' '.join(grid.credits)}" if grid.credits else ""
    return [line for text in (f"{words}.", data, NOTICE) for line in textwrap.wrap(text, 145)]
