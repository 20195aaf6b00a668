"""Streets and places of a simulated city, for its map: none of them is anywhere.

A grid of streets and avenues, of which every fifth has one name from end to end, one road across them, a river with a
railway beside it, parks and quarters, in degrees.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from stforecast.files import write_text

TREES = (
    *("Alder", "Ash", "Aspen", "Beech", "Birch", "Cedar", "Cherry", "Cypress", "Elder", "Elm", "Fir", "Hawthorn"),
    *("Hazel", "Hickory", "Holly", "Juniper", "Larch", "Laurel", "Linden", "Maple", "Myrtle", "Oak", "Olive", "Pear"),
    *("Pine", "Plum", "Poplar", "Rowan", "Spruce", "Sycamore", "Walnut", "Willow"),
)
WAYS = ("Street", "Lane", "Court", "Place", "Way", "Drive")
METRES = 111_320.0
"""Of a degree of latitude."""
Shapes = dict[str, list[tuple[str | None, shapely.Geometry]]]


def layers_of(latitude: float, longitude: float, reach: float, spacing: float = 250.0) -> Shapes:
    """The layers of a city about a middle, each a list of names and shapes.

    Args:
        latitude, longitude: of the middle, in degrees.
        reach: from the middle to the edge, in metres.
        spacing: between two streets, in metres.
    """
    numbers = np.arange(1, 2 * int(reach / spacing) + 2)
    across = spacing * (numbers - numbers.mean())
    streets: list[tuple[str | None, shapely.Geometry]] = []
    for number, at in zip(numbers.tolist(), across.tolist(), strict=True):
        way, tree = divmod(number - 1, len(TREES))
        name = f"{TREES[tree]} {WAYS[way % len(WAYS)]}"
        half = float(np.sqrt(max(reach**2 - at**2, spacing**2)))
        corners = np.unique([-half, *across[np.abs(across) < half], half])
        for first, last in pairwise(corners.tolist()):  # a piece a block, as cities draw them
            north, west = ("", "") if number % 5 == 0 else ("S " if last <= 0 else "N ", "W " if last <= 0 else "E ")
            streets.append((f"{west}{_ordinal(number)} Avenue", shapely.LineString([(first, at), (last, at)])))
            streets.append((f"{north}{name}", shapely.LineString([(at, first), (at, last)])))
    diagonal = shapely.LineString([(-0.7 * reach, -0.55 * reach), (0.7 * reach, 0.75 * reach)])
    streets.append(("Old Mill Road", diagonal))
    bend = np.linspace(-1, 1, 40)
    river = shapely.LineString(np.stack([reach * bend, reach * (0.25 * np.sin(3 * bend) - 0.3 * bend)], 1))
    rail = shapely.transform(river, lambda at: at + np.array([0, 0.6 * spacing]))
    park = [("Millers Green", (-0.4, 0.35), 0.16), ("Hill Park", (0.45, 0.4), 0.1), ("South Common", (0.1, -0.5), 0.13)]
    quarters = {"Northside": (0, 1), "Eastgate": (1, 0), "Southfield": (0, -1), "Westbridge": (-1, 0)}
    disc = shapely.Point(0, 0).buffer(1.05 * reach)
    centre = shapely.Point(0, 0).buffer(0.35 * reach)
    found: Shapes = {
        "streets": streets,
        "water": [("Mill River", river.buffer(0.3 * spacing))],
        "rail": [("Valley Line", rail)],
        "parks": [(name, shapely.Point(np.array(at) * reach).buffer(size * reach)) for name, at, size in park],
        "neighbourhoods": [
            ("Old Town", centre),
            *((name, _quarter(disc, side, reach).difference(centre)) for name, side in quarters.items()),
        ],
    }
    degrees = np.array([np.cos(np.radians(latitude)), 1.0]) * METRES

    def placed(at: np.ndarray) -> np.ndarray:
        return at / degrees + np.array([longitude, latitude])

    return {layer: [(name, shapely.transform(shape, placed)) for name, shape in rows] for layer, rows in found.items()}


def write_layers(shapes: Shapes, folder: Path) -> None:
    """Write each layer as NAME.geojson, with the attribute `name`."""
    for layer, rows in shapes.items():
        features: list[dict[str, Any]] = [
            {"type": "Feature", "properties": {"name": name}, "geometry": json.loads(shapely.to_geojson(shape))}
            for name, shape in ((name, shapely.set_precision(shape, 1e-5)) for name, shape in rows)
        ]
        write_text(folder / f"{layer}.geojson", json.dumps({"type": "FeatureCollection", "features": features}) + "\n")


def _quarter(disc: shapely.Geometry, side: tuple[int, int], reach: float) -> shapely.Geometry:
    """The part of a disc towards one side, up to the diagonals."""
    (x, y), far = side, 2 * reach
    return disc.intersection(shapely.Polygon([(0, 0), (far * (x - y), far * (x + y)), (far * (x + y), far * (y - x))]))


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
