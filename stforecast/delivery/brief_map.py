"""The map of a briefing: cells by expected reports, what lies around them, and the numbers of the top places."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from stforecast.config.sections import Kind
from stforecast.cube.geometry import Geometry, geometry_of
from stforecast.delivery.around import joined
from stforecast.delivery.brief import Brief
from stforecast.delivery.brief_tables import in_short
from stforecast.delivery.layers import MapLayer
from stforecast.delivery.map import (
    INK,
    OUTLINE,
    class_bounds,
    class_labels,
    class_patches,
    colours_of,
    draw_map,
    filled,
)
from stforecast.delivery.place_names import known

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

FONT = "DejaVu Sans"
MM = 72 / 25.4
"""Points."""
GROUND = "#eef0f2"
APART = 4.0
"""Millimetres between streets, on average, below which the less known ones are left out."""
SMALL = 6.0
"""Square millimetres of a cell below which cells have no white edge, which would hide them."""
FINE = 0.06
"""Millimetres within which lines are simplified: finer is no pen."""
DISC = 2.1
"""Radius of the number of a place, millimetres."""
ROUNDS = 300
NAMES = 28
"""At most so many of streets and areas."""
LINES: dict[Kind, dict[str, Any]] = {
    "parks": {"color": "#2f7d32", "linewidths": 0.5},
    "water": {"color": "#1f6fb2", "linewidths": 0.7},
    "rail": {"color": "#3c3c3c", "linewidths": 0.5, "linestyles": (0, (5, 3))},
    "other": {"color": "#5b4a8a", "linewidths": 0.5},
    "neighbourhoods": {"color": "#7a1f5c", "linewidths": 0.5},
    "beats": {"color": INK, "linewidths": 0.5, "linestyles": (0, (4, 2))},
}
"""How lines of each kind of layer are drawn, in the order of drawing; colours as on the interactive map."""
STREETS = (0.9, 0.6, 0.4)
"""Widths of classes of streets, points."""
INKS = {"neighbourhoods": "#6b1450", "water": "#0b4a80", "streets": INK}
"""Which kinds have names on the map, the first ones first, and their colours."""


def draw_brief_map(
    figure: Figure, place: tuple[float, float, float, float], brief: Brief, layers: Sequence[MapLayer]
) -> None:
    """Draw the map into a figure.

    Args:
        figure: where.
        place: left, bottom, width and height, as shares of the figure.
        brief: what is shown.
        layers: around the cells.
    """
    grid, axes, cells = brief.grid, figure.add_axes(place), _cells(brief)
    values = brief.expected[brief.inside]
    draw_map(axes, cells, colours_of(values, class_bounds(values)))
    _fill(figure, axes)
    plane = _Plane(figure, axes)
    if plane.mm.prod() * np.median(shapely.area(cells.unbroken)) < SMALL:
        axes.collections[0].set(edgecolor="face", linewidth=0.2)
    for layer in sorted((each for each in layers if each.kind in LINES), key=lambda each: [*LINES].index(each.kind)):
        plane.draw(layer, LINES[layer.kind])
    for layer in (each for each in layers if each.kind == "streets"):
        plane.streets(layer)
    plane.borders(brief)
    plane.numbers(brief.top, grid.geometry)
    if grid.districts is not None and brief.inside.all():
        plane.districts(grid.districts, grid.geometry)
    for kind, ink in INKS.items():
        for layer in (each for each in layers if each.kind == kind):
            plane.names(layer, ink)


def shape_of(brief: Brief) -> float:
    """How high the map is for its width."""
    west, south, east, north = shapely.total_bounds(_cells(brief).unbroken)
    return (north - south) / (east - west) / float(np.cos(np.radians((north + south) / 2)))


def _cells(brief: Brief) -> Geometry:
    polygons = brief.grid.polygons
    return geometry_of(brief.grid.hexagons[brief.inside], None if polygons is None else polygons[brief.inside])


def _fill(figure: Figure, axes: Axes) -> None:
    """Show more around the cells, so that they fill their box in true proportions."""
    box, (wide, tall) = axes.get_position(original=True), figure.get_size_inches()
    (low, high), steep = axes.viewLim.get_points(), float(axes.get_aspect())
    across, up = (high - low) * np.array([1, steep])  # in units of a degree of longitude
    scale = max(across / (box.width * wide), up / (box.height * tall))
    middle, half = (low + high) / 2, np.array([box.width * wide, box.height * tall / steep]) * scale / 2
    axes.set(xlim=middle[0] + half[0] * np.array([-1, 1]), ylim=middle[1] + half[1] * np.array([-1, 1]), aspect="auto")
    axes.set_axis_on()
    axes.set(xticks=[], yticks=[], facecolor=GROUND)
    for side in axes.spines.values():
        side.set(color="#9a9fa5", linewidth=0.5)


def legend_of(brief: Brief) -> list[Patch]:
    """Entries of the legend, the most first."""
    values = brief.expected[brief.inside]
    return class_patches(class_labels(class_bounds(values)))[::-1]


class _Plane:
    """Axes in millimetres of the page: what lies where on it, and which places are taken by names."""

    def __init__(self, figure: Figure, axes: Axes) -> None:
        self.axes, (low, high) = axes, axes.viewLim.get_points()
        box = axes.get_position(original=True)
        inches = figure.get_size_inches()
        self.low, self.size = low, np.array([box.width, box.height]) * inches * 25.4
        self.mm = self.size / (high - low)
        self.box = (*low, *high)
        self.taken: list[tuple[float, float, float, float]] = []

    def to_mm(self, degrees: np.ndarray) -> np.ndarray:
        """Points [m, 2] in millimetres from the lower left corner of the map."""
        return (degrees - self.low) * self.mm

    def to_page(self, shapes: Any) -> Any:
        """Shapes in degrees, cut to the map and simplified, in millimetres from its lower left corner."""
        cut = shapely.clip_by_rect(shapes, *self.box)
        flat = shapely.transform(cut, self.to_mm)
        return shapely.simplify(flat, FINE, preserve_topology=False)

    def lines(self, shapes: Any) -> list[np.ndarray]:
        """Lines and rings of shapes on the page, as the axes have them."""
        parts = shapely.get_parts(self.to_page(shapes))
        rings = shapely.get_rings(parts[shapely.get_dimensions(parts) == 2])
        lines = [*parts[shapely.get_dimensions(parts) == 1], *rings]
        return [shapely.get_coordinates(line) / self.mm + self.low for line in lines if not line.is_empty]

    def draw(self, layer: MapLayer, style: dict[str, Any]) -> None:
        """Lines and borders, and the ground of water."""
        from matplotlib.collections import LineCollection

        if layer.kind == "water" and layer.dimension == 2:
            parts = shapely.get_parts(self.to_page(layer.shapes))
            whole = parts[(shapely.get_dimensions(parts) == 2) & ~shapely.is_empty(parts)]
            ground = shapely.transform(whole, lambda at: at / self.mm + self.low)
            self.axes.add_collection(filled(ground, facecolors="#a9cdea", edgecolors="none"), autolim=False)
        self.axes.add_collection(LineCollection(self.lines(layer.shapes), **style), autolim=False)

    def streets(self, layer: MapLayer) -> None:
        """Streets, as many classes as leave room between them."""
        from matplotlib.collections import LineCollection

        shapes = self.to_page(layer.shapes)
        lengths = shapely.length(shapes)
        classes = known(np.array([name or "" for name in layer.names], object), shapely.length(layer.shapes))
        for kind, width in reversed([*enumerate(STREETS)]):
            if 2 * self.size.prod() / max(lengths[classes <= kind].sum(), 1e-9) < APART and kind:
                continue
            lines = self.lines(layer.shapes[classes == kind])
            for colour, pen in (("#6b7178", width + 0.4), ("#ffffff", width)):
                self.axes.add_collection(LineCollection(lines, colors=colour, linewidths=pen), autolim=False)

    def borders(self, brief: Brief) -> None:
        """Of districts, or around the one that is shown."""
        from matplotlib.collections import LineCollection

        grid, cells, style = brief.grid, brief.grid.geometry, dict[str, Any]()
        if not brief.inside.all():
            shapes, style = [cells.union(np.flatnonzero(brief.inside))], {"linewidths": 1.4}
        elif grid.districts is not None:
            names = sorted({*grid.districts} - {None})
            shapes = [cells.union(np.flatnonzero(grid.districts == name)) for name in names]
            style = {"linewidths": 0.8, "linestyles": (0, (2, 1.5))}
        else:
            return
        self.axes.add_collection(LineCollection(self.lines(np.array(shapes)), colors=INK, **style), autolim=False)

    def numbers(self, top: np.ndarray, cells: Geometry) -> None:
        """Numbered discs in the cells of the top places, apart from each other, with a line to where they belong."""
        home = self.to_mm(shapely.get_coordinates(shapely.point_on_surface(cells.unbroken[top])))
        at = np.clip(apart(home, 2 * DISC + 0.3), DISC, self.size - DISC)
        disc: dict[str, Any] = {"marker": "o", "markersize": 2 * DISC * MM, "markerfacecolor": INK}
        words: dict[str, Any] = {"size": 8, "family": FONT, "color": "white", "weight": "bold", "ha": "center"}
        for number, (own, there) in enumerate(zip(home, at, strict=True), 1):
            (x, own_x), (y, own_y) = np.stack([there, own]).T / self.mm[:, None] + self.low[:, None]
            self.axes.plot([own_x, x], [own_y, y], color=OUTLINE, linewidth=1.2, zorder=8)
            self.axes.plot(x, y, **disc, markeredgecolor="white", markeredgewidth=0.7, zorder=9)
            self.axes.text(x, y, str(number), va="center_baseline", zorder=10, **words)
            self.taken.append((*(there - DISC), *(there + DISC)))

    def districts(self, names: np.ndarray, cells: Geometry) -> None:
        """The name of each district as near to its middle as there is room."""
        held = sorted({*names} - {None})
        size = 7.5 if len(held) <= NAMES / 2 else 6.0
        for name in held:
            places = self.to_mm(shapely.get_coordinates(shapely.centroid(cells.unbroken[names == name])))
            order = np.argsort(np.hypot(*(places - places.mean(0)).T), kind="stable")
            any(self.write(in_short(name), places[at], 0.0, INK, size, "bold") for at in order.tolist())

    def names(self, layer: MapLayer, ink: str) -> None:
        """Names of streets along them and of areas in their middle, where there is room, the best known first."""
        for name, place, turn in self.spots(layer):
            if len(self.taken) >= NAMES:
                return
            self.write(name, place, turn, ink, 6.0)

    def spots(self, layer: MapLayer) -> Iterator[tuple[str, np.ndarray, float]]:
        """Each name of a layer once, with where it may stand and how it is turned, degrees."""
        shapes, names = layer.shapes, np.array([name or "" for name in layer.names], object)
        if layer.dimension == 1:
            shapes, names = joined(shapes, names)
        shapes, seen = self.to_page(shapes), set[str]()
        size = shapely.length(shapes) if layer.dimension == 1 else shapely.area(shapes)
        for row in np.argsort(-size, kind="stable").tolist():
            name = names[row]
            if not name or name in seen or size[row] <= 0 or layer.dimension == 0:
                continue
            if layer.dimension == 2:
                seen.add(name)
                yield name, shapely.get_coordinates(shapely.point_on_surface(shapes[row]))[0], 0.0
                continue
            points = shapely.get_coordinates(max(shapely.get_parts(shapes[row]), key=lambda part: part.length))
            legs = np.diff(points, axis=0)
            best = int(np.hypot(*legs.T).argmax())
            if np.hypot(*legs[best]) < width_of(name, 6.0) + 2:
                continue
            seen.add(name)
            turn = np.degrees(np.arctan2(legs[best, 1], legs[best, 0]))
            yield name, points[best] + legs[best] / 2, float((turn + 90) % 180 - 90)

    def write(self, name: str, place: np.ndarray, turn: float, ink: str, size: float, weight: str = "normal") -> bool:
        """A name about a place of the page, if nothing is there; whether it is written."""
        from matplotlib.patheffects import withStroke

        across, up = abs(np.cos(np.radians(turn))), abs(np.sin(np.radians(turn)))
        wide, tall = width_of(name, size) + 1, size / MM + 0.6
        half = np.array([wide * across + tall * up, wide * up + tall * across]) / 2
        low, high = place - half, place + half
        if (low < 0.5).any() or (high > self.size - 0.5).any():
            return False
        if any(low[0] < box[2] and high[0] > box[0] and low[1] < box[3] and high[1] > box[1] for box in self.taken):
            return False
        self.taken.append((*low, *high))
        halo = [withStroke(linewidth=1.8, foreground="white")]
        where = place / self.mm + self.low
        style: dict[str, Any] = {
            "ha": "center",
            "va": "center",
            "rotation": turn,
            "rotation_mode": "anchor",
            "parse_math": False,
        }
        style |= {"color": ink, "size": size, "family": FONT, "weight": weight, "parse_math": False}
        self.axes.text(where[0], where[1], name, path_effects=halo, zorder=7, **style)
        return True


def apart(home: np.ndarray, least: float) -> np.ndarray:
    """Points [p, 2] near those given, of which no two are the same, at least so far from each other."""
    at = home.copy()
    for _ in range(ROUNDS):
        between = at[:, None] - at
        away = np.hypot(between[..., 0], between[..., 1])
        np.fill_diagonal(away, np.inf)
        if away.min(initial=np.inf) >= least:
            break
        push = 1.02 * np.maximum(least - away, 0) / 2 / away
        at = at + (between * push[..., None]).sum(1)
    return at


def width_of(words: str, size: float, weight: str = "normal") -> float:
    """How wide words are, millimetres."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=FONT, size=size, weight=weight)
    return text_to_path.get_text_width_height_descent(words, font, ismath=False)[0] / MM
