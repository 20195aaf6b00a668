"""From files of polygons to cells: the hexagons of a study area, or the polygons themselves."""

from __future__ import annotations

from pathlib import Path

import h3.api.basic_int as h3
import numpy as np
import pandas as pd
import shapely

from stforecast.cube import hexgrid
from stforecast.cube.geometry import Polygons
from stforecast.cube.polygon_files import check_attributes, labels, read_polygons
from stforecast.cube.statics import EQUAL_AREA
from stforecast.errors import DataError

MOST_CELLS = 2_000_000
MANY_VERTICES = 10_000
"""Vertices of a polygon from which on H3, which looks at all of them for each cell, takes minutes."""
OVERLAP = 0.01
"""Share of the smaller of two polygons from which on it is said that they overlap."""


def area_cells(path: str | Path, resolution: int) -> np.ndarray:
    """The cells, int64 [n] in ascending order, whose centre lies in a polygon of the file (any CRS).

    Raises:
        DataError: the file cannot be read, has no polygon or no CRS, or holds no hexagon (or too many) at `resolution`.
    """
    frame = read_polygons(path)
    square_km = frame.to_crs(EQUAL_AREA).area.sum() / 1e6
    expected = square_km / h3.average_hexagon_area(resolution, "km^2")
    if expected > MOST_CELLS:
        raise DataError(
            f"{path}: about {expected:.0f} hexagons of resolution {resolution}, more than {MOST_CELLS}. "
            "Lower grid.resolution or give a smaller grid.area."
        )
    cells = {cell for polygon in frame.geometry for cell in _cells_in(polygon, resolution)}
    if not cells:
        raise DataError(
            f"{path}: its polygons ({square_km:.3g} km²) hold no hexagon centre of resolution {resolution}. "
            "Raise grid.resolution or give a larger grid.area."
        )
    return np.array(sorted(cells), np.int64)


def _cells_in(polygon: shapely.Polygon, resolution: int) -> list[int]:
    """The cells whose centre lies in a polygon."""
    if shapely.get_num_coordinates(polygon) < MANY_VERTICES:
        return list(h3.geo_to_cells(polygon, resolution))
    around = np.array(h3.geo_to_cells(shapely.box(*polygon.bounds), resolution), np.int64)
    latitude, longitude = hexgrid.centres(around).T
    shapely.prepare(polygon)
    found: list[int] = around[shapely.contains_xy(polygon, longitude, latitude)].tolist()
    return found


def polygon_cells(path: str | Path, key: str) -> tuple[Polygons, list[str]]:
    """The polygons of a file as cells, in ascending order of their attribute `key`, and what is odd about them.

    Raises:
        DataError: the file cannot be read, has no polygon, no CRS or no such attribute; or a code is missing or stands
            at two polygons, or a row has no polygon.
    """
    frame = read_polygons(path, [key], parts=False)
    check_attributes(path, frame, [key], "grid.polygon_key")
    names = pd.Series(labels(frame[key]), dtype=object).str.strip().replace("", None)
    if missing := int(names.isna().sum()):
        raise DataError(f"{path}: {missing} of {len(names)} polygons have no {key}. Give them one, or leave them out.")
    if (again := names[names.duplicated()].unique()).size:
        raise DataError(
            f"{path}: {key} {again[0]} stands at several polygons, as do {again.size - 1} others. Dissolve them by "
            f"{key} in a GIS (QGIS: Dissolve), or name an attribute that differs as grid.polygon_key."
        )
    if frame.attrs["without"]:
        raise DataError(f"{path}: {frame.attrs['without']} of its rows have no polygon. Remove them, or draw them.")
    order = np.argsort(names.to_numpy(str), kind="stable")
    cells = Polygons(names.to_numpy(str)[order], frame.geometry.to_numpy()[order])
    messages, file = list[str](), Path(path).name
    if repaired := frame.attrs["repaired"]:
        messages.append(f"{repaired} of {len(names)} polygons in {file} crossed themselves and were repaired.")
    one, other = cells.near
    area = shapely.area(cells.shapes)
    shared = shapely.area(shapely.intersection(cells.shapes[one], cells.shapes[other]))
    if (over := np.flatnonzero(shared > OVERLAP * np.minimum(area[one], area[other]))).size:
        pair = f"{cells.names[one[over[0]]]} and {cells.names[other[over[0]]]}"
        messages.append(
            f"{over.size} pairs of polygons in {file} overlap, such as {pair}: what lies in both counts in the first "
            "alone."
        )
    return cells, messages
