"""Shapes of a layer (boundaries, streets, names) → clipped to the city, simplified, in degrees.

Polygons that share borders are simplified together, so that no gap opens between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import shapely

from stforecast.cube.hexgrid import DIGITS
from stforecast.cube.polygon_files import check_attributes, labels, mended, read_shapes
from stforecast.errors import DataError, in_brief

if TYPE_CHECKING:
    import geopandas

TOLERANCE_M = 2.0
"""Metres within which outlines are simplified: less than a street is wide."""
METRES = 111_320.0
"""Of a degree of latitude."""
Bounds = tuple[float, float, float, float]


def read_layer(paths: Sequence[Path], name: str | None, key: str) -> geopandas.GeoDataFrame:
    """The shapes of a layer in degrees, mended, with their `name` alone; rows without a shape are left out.

    Args:
        paths: its files: of polygons, lines or points, pages of ArcGIS, or CSV with a column of WKT.
        name: attribute with the name of each shape; without it they have none.
        key: of the configuration, for errors.

    Raises:
        DataError: a file cannot be read, holds no shape, or lacks the attribute.
    """
    import geopandas

    frames = []
    for path in paths:
        frame = _of_csv(path) if path.suffix == ".csv" else read_shapes(path, [name] if name else [])
        if name is not None:
            check_attributes(path, frame, [name], key)
        named = {} if name is None else {"name": labels(frame[name])}
        frames.append(geopandas.GeoDataFrame(named, geometry=frame.geometry.to_numpy(), crs="EPSG:4326"))
    frame = pd.concat(frames, ignore_index=True)
    there = frame.geometry.notna() & ~frame.geometry.is_empty
    if not there.any():
        raise DataError(f"{key}: no shape in {paths[0]}. Name another file or table.")
    found, _ = mended(frame[there], paths[0])
    return found[~found.geometry.is_empty].reset_index(drop=True)


def clipped(frame: geopandas.GeoDataFrame, bounds: Bounds) -> geopandas.GeoDataFrame:
    """What lies within bounds (west, south, east, north in degrees; west > east across the 180th meridian)."""
    west, south, east, north = bounds
    area = shapely.box(west, south, east, north)
    if west > east:
        area = shapely.union_all([shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)])
    shapely.prepare(area)
    shapes = frame.geometry.to_numpy()
    inside = shapely.covers(area, shapes)
    cut = ~inside & shapely.intersects(area, shapes)
    shapes = shapes.copy()
    shapes[cut] = [_alike(shapely.intersection(area, shape), shape) for shape in shapes[cut]]
    frame = frame.set_geometry(shapes, crs=frame.crs)
    return frame[(inside | cut) & ~frame.geometry.is_empty].reset_index(drop=True)


def simplified(frame: geopandas.GeoDataFrame, metres: float = TOLERANCE_M) -> geopandas.GeoDataFrame:
    """Shapes of coordinates with `hexgrid.DIGITS` decimals and fewer points, within so many metres.

    Borders that two polygons share stay shared: after rounding, which takes away what differs in the last digits.
    """
    shapes = shapely.transform(frame.geometry.to_numpy(), lambda places: np.round(places, DIGITS))
    aspect = np.cos(np.radians(np.mean(shapely.bounds(shapes)[:, [1, 3]])))
    shapes = shapely.transform(_valid(shapes), lambda places: places * (aspect, 1))
    dimension, tolerance = shapely.get_dimensions(shapes), metres / METRES
    shapes[dimension == 2] = shapely.coverage_simplify(shapes[dimension == 2], tolerance)
    shapes[dimension == 1] = shapely.simplify(shapes[dimension == 1], tolerance)
    shapes = shapely.transform(shapes, lambda places: np.round(places / (aspect, 1), DIGITS))
    frame = frame.set_geometry(_valid(shapes), crs=frame.crs)
    return frame[~frame.geometry.is_empty].reset_index(drop=True)


def _valid(shapes: np.ndarray) -> np.ndarray:
    for i in np.flatnonzero(~shapely.is_valid(shapes)):
        shapes[i] = _alike(shapely.make_valid(shapes[i]), shapes[i])
    return shapes


def _alike(part: shapely.Geometry, shape: shapely.Geometry) -> shapely.Geometry:
    """A part of a shape without what has fewer dimensions, as a border that it touches leaves."""
    parts = shapely.get_parts(part)
    return shapely.union_all(parts[shapely.get_dimensions(parts) == shapely.get_dimensions(shape)])


def _of_csv(path: Path) -> geopandas.GeoDataFrame:
    """A table one of whose columns holds shapes in degrees as WKT, as Socrata writes them."""
    import geopandas

    try:
        table = pd.read_csv(path, dtype=str)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as CSV ({in_brief(error)}).") from error
    wkt = r"\s*(MULTI)?(POLYGON|LINESTRING|POINT)\s*Z?\s*\("
    for column in map(str, table):
        if table[column].dropna().head(20).str.match(wkt).any():
            text = table.pop(column).astype(object)
            shapes = shapely.from_wkt(text.where(text.notna(), None), on_invalid="ignore")
            return geopandas.GeoDataFrame(table, geometry=shapes, crs="EPSG:4326")
    raise DataError(f"{path}: no column of shapes (WKT). Columns: {', '.join(map(str, table))}. Name another table.")
