"""A risk grid in one piece, as the store and the prospective record keep it.

A line of JSON (`RiskGrid.facts`, the hexagons, and the lengths of the polygons that follow), then λ and the usual,
float32 [k c n] each, the denominator of rates where the facts have `rate`, float32 [k n], and the outlines of cells
that are polygons as WKB.
"""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import shapely

from stforecast.delivery.riskgrid import RiskGrid


def pack(grid: RiskGrid, city: str) -> bytes:
    """The grid of a city as bytes."""
    facts = {**grid.facts(city), "hexagons": grid.hexagons.tolist()}
    shapes = [] if grid.polygons is None else shapely.to_wkb(grid.polygons).tolist()
    head = json.dumps(facts | ({"wkb": [*map(len, shapes)]} if shapes else {})).encode()
    values = [grid.leaves(each) for each in (grid.intensity, grid.usual) if each is not None]
    if grid.denominator is not None:
        each_step = np.broadcast_to(grid.denominator.values, (grid.horizons, len(grid.hexagons)))
        shapes = [each_step.astype("<f4").tobytes(), *shapes]
    return b"".join([head, b"\n", np.stack(values).tobytes(), *shapes])


def unpack(content: bytes) -> RiskGrid:
    """The grid that `pack` made bytes of.

    Raises:
        KeyError, TypeError, ValueError: they are not those of a grid of this version.
    """
    head, _, body = content.partition(b"\n")
    facts = json.loads(head)
    hexagons, leaves, steps = np.array(facts["hexagons"]), len(facts["categories"][1:]) or 1, len(facts["valid_from"])
    ends = len(body) - sum(lengths := facts.get("wkb", [])) + np.cumsum([0, *lengths])
    numbers, denominator = np.frombuffer(body[: ends[0]], "<f4"), None
    if "rate" in facts:
        numbers, denominator = np.split(numbers, [-steps * len(hexagons)])
        denominator = denominator.reshape(steps, -1)
    values = numbers.reshape(-1, steps, leaves, len(hexagons))
    shapes = [body[first:last] for first, last in pairwise(ends.tolist())]
    polygons = shapely.from_wkb(np.array(shapes, object)) if shapes else None
    usual = values[1] if len(values) > 1 else None
    return RiskGrid.from_facts(facts, hexagons, values[0], usual, polygons, denominator)
