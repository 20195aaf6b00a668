"""A street map like that of an American city of 700,000, for measures: none of its streets is anywhere.

    python scripts/bench/streets.py [--squares 31]

Squares of half a mile between straight thoroughfares hold a grid of streets, as a city built before 1945 has it, or
winding ones with blind ends, as its suburbs do; corners lie up to two metres off, as people who draw maps leave them.
Creeks, railways, parks, quarters and beats are as many and as crooked as in Denver. Prints what layers take in a map.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise

import numpy as np
import shapely

from stforecast.delivery.around import BUDGET, around
from stforecast.delivery.compact import to_gzip, to_text
from stforecast.delivery.layers import MapLayer
from stforecast.events.synthetic_layers import METRES, TREES, WAYS, Shapes

SQUARE, BLOCKS, WINDING = 805.0, 8, 45
"""Metres between two thoroughfares; blocks of a grid between them; winding streets in place of a grid."""
WORDS = ("Meadow", "Ridge", "Creek", "Quail", "Fox", "Stone", "Eagle", "Sun", "Iron", "Silver", "Prairie", "Willow")
ENDS = ("Run", "Hollow", "View", "Bend", "Gate", "Brook", "Crest", "Field", "Point", "Wood", "Spring", "Glen")


class Drawing:
    """Shapes about (0, 0) in metres, at random."""

    def __init__(self, squares: int) -> None:
        self.rng, self.squares, self.half = np.random.default_rng(0), squares, squares * SQUARE / 2

    def line(self, points: np.ndarray) -> shapely.Geometry:
        return shapely.LineString(points + self.rng.uniform(-2, 2, points.shape))

    def path(self, start: np.ndarray, points: int, step: float, bend: float) -> np.ndarray:
        turns = self.rng.uniform(0, 2 * np.pi) + np.cumsum(self.rng.normal(0, bend, points))
        return start + np.cumsum(step * np.stack([np.cos(turns), np.sin(turns)], 1), 0)

    def place(self) -> np.ndarray:
        return self.rng.uniform(-self.half, self.half, 2)

    def creek(self, points: int, step: float) -> shapely.Geometry:
        return self.line(self.path(self.place(), points, step, 0.2))

    def area(self, radius: float) -> shapely.Geometry:
        turns = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        reach = radius * (1 + 0.2 * np.sin(3 * turns + self.rng.uniform(0, 6)) + self.rng.uniform(-0.05, 0.05, 40))
        return shapely.Polygon(self.place() + reach[:, None] * np.stack([np.cos(turns), np.sin(turns)], 1))

    def parts(self, count: int) -> np.ndarray:
        box = shapely.box(-self.half, -self.half, self.half, self.half)
        middles = shapely.MultiPoint([self.place() for _ in range(count)])
        cells = shapely.get_parts(shapely.voronoi_polygons(middles, extend_to=box))
        return shapely.segmentize(shapely.intersection(cells, box), 60)

    def streets(self) -> list[tuple[str | None, shapely.Geometry]]:
        found: list[tuple[str | None, shapely.Geometry]] = []

        def straight(name: str, at: float, along: float, pieces: int, upright: bool) -> None:
            ends = along + np.linspace(0, SQUARE, pieces + 1)
            for first, last in pairwise(ends.tolist()):
                points = np.array([(first, at), ((first + last) / 2, at), (last, at)])
                found.append((name, self.line(points[:, ::-1] if upright else points)))

        corners = SQUARE * np.arange(self.squares + 1) - self.half
        for i, at in enumerate(corners):
            for along in corners[:-1]:
                straight(f"W {2 * i + 1}th Avenue", at, along, BLOCKS // 2, False)
                straight(f"N {TREES[i % 32]} {WAYS[i // 32]}", at, along, BLOCKS // 2, True)
        for row, column in np.ndindex(self.squares, self.squares):
            x, y = corners[column], corners[row]
            if self.rng.random() < 0.55:
                for i in range(1, BLOCKS):
                    way = divmod(BLOCKS * column + i, 32)
                    straight(f"N {TREES[way[1]]} {WAYS[way[0] % 6]}", x + SQUARE * i / BLOCKS, y, BLOCKS // 2, True)
                for i in range(1, BLOCKS // 2):
                    straight(f"E {4 * row + i}th Place", y + 2 * SQUARE * i / BLOCKS, x, BLOCKS, False)
                continue
            for i in range(WINDING):
                start = np.array([x, y]) + SQUARE * self.rng.uniform(0.05, 0.95, 2)
                points = self.path(start, int(self.rng.integers(4, 18)), 18, 0.25)
                name = f"{self.rng.choice(WORDS)} {self.rng.choice(ENDS)} {WAYS[i % 6]}"
                found.append((name, self.line(points)))
        return found


def street_map(latitude: float, longitude: float, squares: int) -> Shapes:
    """Layers of squares × squares half miles about a middle, each a list of names and shapes in degrees."""
    draw = Drawing(squares)
    found: Shapes = {
        "streets": draw.streets(),
        "water": [(f"{TREES[i % 32]} Creek", draw.creek(400, 40).buffer(6)) for i in range(25)]
        + [(f"{TREES[i % 32]} Lake", draw.area(120)) for i in range(150)],
        "rail": [(f"Line {i}", draw.creek(200, 100)) for i in range(40)],
        "parks": [(f"{TREES[i % 32]} Park {i}", draw.area(150)) for i in range(330)],
        "neighbourhoods": [(f"Quarter {i}", cell) for i, cell in enumerate(draw.parts(78))],
        "beats": [(str(i), cell) for i, cell in enumerate(draw.parts(40))],
    }
    degrees = np.array([np.cos(np.radians(latitude)), 1.0]) * METRES

    def placed(where: np.ndarray) -> np.ndarray:
        return where / degrees + np.array([longitude, latitude])

    return {layer: [(name, shapely.transform(shape, placed)) for name, shape in rows] for layer, rows in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--squares", type=int, default=31, help="how many half miles wide the city is")
    shapes = street_map(39.74, -104.95, parser.parse_args().squares)
    layers = [
        MapLayer(kind, kind, *(np.array(each, object) for each in reversed(list(zip(*rows, strict=True)))))
        for kind, rows in shapes.items()
    ]
    found = around(layers)
    for layer, packed in zip(layers, found["layers"], strict=True):
        size, points = len(to_text(packed)), shapely.get_num_coordinates(layer.shapes).sum()
        budget = BUDGET[layer.kind] / 1e6
        print(f"{layer.name}: {len(layer.shapes):,} shapes, {points:,} points: {size / 1e6:.2f} MB of {budget:.2f}")
    whole = len(to_text(found)) / 1e6
    print(f"all: {whole:.2f} MB, compressed with the rest of a large map {len(to_gzip(found)) * 16 / 13e6:.2f} MB")
    print(json.dumps(found["left_out"], indent=1))


if __name__ == "__main__":
    main()
