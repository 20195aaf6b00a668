"""What a map shows around its cells: the layers of the city, packed into few bytes, and perhaps online tiles.

Shapes are in pixels of the world map at zoom ZOOM, from an origin of their own: what is finer no reader sees. Streets
of one name are joined, everything is simplified within a pixel and rounded to it. A layer's `data` is bytes of numbers
of seven bits each, the lowest first, where the eighth says that more follow. For each line, ring or point:

    index of its name and 1, or 0 · class (of streets, see `place_names.known`), or 1 of a ring that belongs to the one
    before · number of points · for each point its distance in x and y from the one before, the first from the first
    point of the shape before; a distance d is written as 2 d, or −2 d − 1 where it is negative

A kind of layer that would take more than its BUDGET is simplified further, and then loses what is least known or
smallest: `left_out` says so.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import shapely

from stforecast.config.sections import Kind, Tiles
from stforecast.delivery.layers import AREAS, MapLayer
from stforecast.delivery.place_names import known

ZOOM = 16
WORLD = 256 * 2**ZOOM
BUDGET: dict[Kind, int] = {
    "streets": 1_800_000,
    "water": 350_000,
    "parks": 250_000,
    "rail": 150_000,
    "neighbourhoods": 150_000,
    "beats": 150_000,
    "other": 150_000,
}
"""Bytes of a map file that all layers of a kind may take together: 3 MB in all."""
TOLERANCES = (1, 2, 4)
"""Within how many pixels lines are simplified, as far as the budget asks for it."""
SMALLEST = 4
"""Square pixels below which an area is left out: nobody sees it."""


def around(layers: Sequence[MapLayer], tiles: Tiles | None = None) -> dict[str, Any]:
    """What a page shows around the cells, as plain values for JSON, and bytes.

    Args:
        layers: of the city, near its cells.
        tiles: of an online map, if the configuration names any.
    """
    found: dict[str, Any] = {"zoom": ZOOM, "origin": [0, 0], "layers": [], "left_out": []}
    found["tiles"] = tiles and {"url": tiles.url, "attribution": tiles.attribution}
    if not layers:
        return found
    world = [shapely.transform(layer.shapes, _pixels) for layer in layers]
    found["origin"] = np.floor(np.min([shapely.total_bounds(shapes)[:2] for shapes in world], axis=0)).tolist()
    for layer, shapes in zip(layers, world, strict=True):
        budget = BUDGET[layer.kind] // sum(other.kind == layer.kind for other in layers)
        packed, said = _within(layer, shapely.transform(shapes, lambda at: at - found["origin"]), budget)
        found["layers"].append({"name": layer.name, "kind": layer.kind, "dimension": layer.dimension, **packed})
        found["left_out"] += said
    return found


def _pixels(degrees: np.ndarray) -> np.ndarray:
    """Longitude and latitude as x and y of the world map, as Leaflet projects them."""
    sine = np.sin(np.radians(degrees[:, 1].clip(-85.0511287798, 85.0511287798)))
    return WORLD * np.stack([degrees[:, 0] / 360 + 0.5, 0.5 - np.arctanh(sine) / (2 * np.pi)], 1)


@dataclass(frozen=True)
class _Parts:
    """The lines, rings or points of a layer, best first.

    texts: all names. label: index of the name of each part and 1, or 0, [m]. classes: [m]. sizes: points of each, [m].
    points: whole numbers, [p, 2].
    """

    texts: list[str]
    label: np.ndarray
    classes: np.ndarray
    sizes: np.ndarray
    points: np.ndarray

    def first(self, count: int) -> _Parts:
        """The first so many parts."""
        held = self.sizes[:count].sum()
        return _Parts(self.texts, self.label[:count], self.classes[:count], self.sizes[:count], self.points[:held])

    @cached_property
    def stream(self) -> tuple[np.ndarray, np.ndarray]:
        """The numbers that are written, and where those of each part begin, [m]."""
        begins = self.sizes.cumsum() - self.sizes
        before = np.concatenate([np.zeros((1, 2), np.int64), self.points])[:-1]
        before[begins[1:]] = self.points[begins[:-1]]
        steps = (self.points - before).ravel()
        numbers = np.where(steps < 0, -2 * steps - 1, 2 * steps)
        heads = np.stack([self.label, self.classes, self.sizes], 1).ravel()
        return np.insert(numbers, np.repeat(2 * begins, 3), heads), 2 * begins + 3 * np.arange(len(begins))

    @cached_property
    def costs(self) -> np.ndarray:
        """Bytes in the file of each part; a name counts with the part that has it first."""
        numbers, begins = self.stream
        each = np.add.reduceat(_lengths(numbers), begins) * 4 / 3
        label, first = np.unique(self.label, return_index=True)
        lengths = [0, *(len(json.dumps(text, ensure_ascii=False).encode()) + 1 for text in self.texts)]
        each[first] += np.array(lengths)[label]
        return each

    def packed(self) -> dict[str, Any]:
        """As plain values and bytes, without names that none of the parts has."""
        held, label = np.unique(np.append(self.label, 0), return_inverse=True)
        texts = [self.texts[number - 1] for number in held[1:]]
        numbers, _ = replace(self, label=label[:-1]).stream
        return {"names": texts, "data": _bytes(numbers).tobytes()}


def _within(layer: MapLayer, shapes: np.ndarray, budget: int) -> tuple[dict[str, Any], list[str]]:
    """A layer packed into a budget, and what was left out for it."""
    names = np.array([name or "" for name in layer.names], object)
    if layer.dimension == 1:
        shapes, names = joined(shapes, names)
    for tolerance in TOLERANCES:
        parts = _parts(layer, shapes, names, tolerance)
        if parts.costs.sum() <= budget:
            return parts.packed(), []
    kept = int(np.searchsorted(parts.costs.cumsum(), budget, side="right"))
    while layer.dimension == 2 and parts.classes[kept] == 1:
        kept -= 1  # rings of an area stay together
    what = "least known and shortest" if layer.dimension == 1 else "smallest"
    said = (
        f"Layer {layer.name}: the {what} {len(parts.label) - kept:,} of {len(parts.label):,} shapes are left out of "
        f"the map, which has room for {budget / 1e6:.1f} MB of {layer.kind}."
    )
    return parts.first(kept).packed(), [said]


def _parts(layer: MapLayer, shapes: np.ndarray, names: np.ndarray, tolerance: int) -> _Parts:
    """A layer simplified."""
    if layer.dimension == 1:
        lines, label = shapely.simplify(shapes, tolerance, preserve_topology=False), names
        length = shapely.length(lines)
        classes = known(label, length) if layer.kind == "streets" else np.zeros(len(lines), np.int64)
        order = np.lexsort([-length, classes])
        lines, label, classes = lines[order], label[order], classes[order]
    elif layer.dimension == 2:
        together = layer.kind in AREAS and shapely.coverage_is_valid(shapes)
        plain = shapely.coverage_simplify(shapes, tolerance) if together else shapely.simplify(shapes, tolerance)
        order = np.argsort(-shapely.area(plain), kind="stable")
        order = order[shapely.area(plain)[order] >= SMALLEST]
        lines, row = shapely.get_rings(plain[order], return_index=True)
        label, classes = names[order][row], (np.diff(row, prepend=-1) == 0).astype(np.int64)
    else:
        lines, label, classes = shapes, names, np.zeros(len(shapes), np.int64)
    texts = sorted({*label} - {""})
    places, part = shapely.get_coordinates(lines, return_index=True)
    points = places.round().astype(np.int64)
    new = np.append(True, (np.diff(points, axis=0) != 0).any(1) | (np.diff(part) > 0))
    sizes = np.bincount(part[new], minlength=len(lines))
    return _Parts(texts, pd.Index(texts, dtype=object).get_indexer(label) + 1, classes, sizes, points[new])


def joined(lines: np.ndarray, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lines of one name as few long ones, and their names."""
    whole = pd.Series(lines).groupby(names).agg(lambda some: shapely.line_merge(shapely.multilinestrings([*some])))
    parts, row = shapely.get_parts(whole.to_numpy(object), return_index=True)
    return parts, whole.index.to_numpy(object)[row]


def _lengths(numbers: np.ndarray) -> np.ndarray:
    """How many bytes of seven bits each number takes."""
    return np.searchsorted(2 ** (7 * np.arange(1, 5)), numbers, side="right") + 1


def _bytes(numbers: np.ndarray) -> np.ndarray:
    """Numbers of seven bits a byte, the lowest first."""
    lengths = _lengths(numbers)
    at = np.arange(lengths.sum()) - np.repeat(lengths.cumsum() - lengths, lengths)
    low = np.repeat(numbers, lengths) >> 7 * at & 127
    return (low | 128 * (at < np.repeat(lengths, lengths) - 1)).astype(np.uint8)
