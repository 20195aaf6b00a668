"""Areas as others hand them in: polygons in GeoJSON, read strictly. `web/areas.js` reads files in the same way."""

from __future__ import annotations

import math
from typing import Any

import shapely

DEEPEST = 20
"""Collections within collections."""
WRITE = "write a Polygon, a MultiPolygon, or features or collections of these, as RFC 7946 has them"


def polygons_in(value: Any, depth: int = 0) -> list[shapely.Polygon]:
    """The polygons of a piece of GeoJSON, in longitude and latitude.

    Args:
        value: as read from JSON.
        depth: how many collections it is in.

    Raises:
        ValueError: it is not GeoJSON of polygons in degrees; the message says what to do.
    """
    kind = value.get("type") if isinstance(value, dict) else None
    if depth > DEEPEST or not isinstance(kind, str):
        raise ValueError(f"not GeoJSON: {WRITE}")
    if kind == "Feature":
        return polygons_in(value.get("geometry"), depth + 1)
    if kind in ("FeatureCollection", "GeometryCollection"):
        parts = value.get("features" if kind == "FeatureCollection" else "geometries")
        return [one for part in _listed(parts) for one in polygons_in(part, depth + 1)]
    if kind == "Polygon":
        return [_polygon(value.get("coordinates"))]
    if kind == "MultiPolygon":
        return [_polygon(rings) for rings in _listed(value.get("coordinates"))]
    raise ValueError(f"{kind[:40]} holds no cells: {WRITE}")


def _polygon(rings: Any) -> shapely.Polygon:
    shell, *holes = ([_place(place) for place in _listed(ring)] for ring in _listed(rings))
    if any(len(ring) < 3 for ring in (shell, *holes)):
        raise ValueError("a border has fewer than three corners")
    return shapely.Polygon(shell, holes)


def _place(place: Any) -> tuple[float, float]:
    if not all(isinstance(at, (int, float)) and abs(at) < math.inf for at in _listed(place)[:2]) or len(place) < 2:
        raise ValueError("a corner is no pair of numbers: write [longitude, latitude]")
    longitude, latitude = place[:2]
    if abs(longitude) > 180 or abs(latitude) > 90:
        raise ValueError(f"{longitude}, {latitude} are no longitude and latitude: write WGS 84 (EPSG:4326)")
    return float(longitude), float(latitude)


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"not GeoJSON: {WRITE}")
    return value
