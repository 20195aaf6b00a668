"""H3 hexagons: coordinates → cells, neighbours, outlines, areas and centres.

Cells are H3 indices as int64 (the top bit of an H3 index is always 0); `to_names` and `from_names` translate
to the hexadecimal strings that files carry. Both orders, of numbers and of names of one resolution, agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

import h3.api.basic_int as h3
import h3.api.basic_str as h3_names
import numpy as np
import pandas as pd
import shapely

from stforecast.errors import ArtefactError

DIGITS = 6
"""Decimals of a degree in text (0.1 m), as RFC 7946 advises."""


def cells_of(latitude: np.ndarray, longitude: np.ndarray, resolution: int) -> np.ndarray:
    """The cells [e] int64 that hold points [e] in degrees."""
    place, latitude, longitude = distinct_points(latitude, longitude)
    found = map(h3.latlng_to_cell, latitude.tolist(), longitude.tolist(), repeat(resolution))
    return np.fromiter(found, np.int64, len(latitude))[place]


def cells_within(outlines: Sequence[shapely.Geometry] | np.ndarray, resolution: int) -> np.ndarray:
    """The cells int64 whose centre lies in one of some outlines, in longitude and latitude, each once."""
    found = {cell for outline in outlines for cell in h3.geo_to_cells(outline, resolution)}
    return np.array(sorted(found), np.int64)


def distinct_points(latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of points [e] which of the distinct ones each is, −1 where it is not known, and the latitude and longitude of
    these, so that equal points are looked up once.
    """
    pairs = np.empty(len(latitude), np.complex128)
    pairs.real, pairs.imag = latitude, longitude
    place, points = pd.factorize(pairs)
    return place, points.real, points.imag


def to_names(cells: np.ndarray) -> list[str]:
    """H3 strings of cells."""
    return [h3.int_to_str(cell) for cell in cells.tolist()]


def from_names(names: Sequence[str]) -> np.ndarray:
    """Cells [n] int64 of H3 strings.

    Raises:
        ArtefactError: a name is not an H3 cell.
    """
    if wrong := [name for name in names if not h3_names.is_valid_cell(name)]:
        raise ArtefactError(f"{wrong[0]!r} is not an H3 cell: expected names of 15 digits and letters a to f.")
    return np.array([h3.str_to_int(name) for name in names], np.int64)


def resolution_of(cells: np.ndarray) -> int:
    """The one resolution of all cells.

    Raises:
        ArtefactError: no cell, or cells of several resolutions.
    """
    found = {h3.get_resolution(cell) for cell in cells.tolist()}
    if len(found) != 1:
        raise ArtefactError(f"expected hexagons of one H3 resolution, found resolutions {sorted(found)}.")
    return found.pop()


def edges(cells: np.ndarray) -> np.ndarray:
    """Neighbours within the distinct `cells` [n] as int64 [2, e]: row → row, both directions, sorted by (from, to).

    A hexagon has six neighbours, a pentagon five, and at the edge of the area those inside it.
    """
    row = {cell: index for index, cell in enumerate(cells.tolist())}
    pairs = [
        (here, row[other])
        for cell, here in row.items()
        for other in h3.grid_disk(cell, 1)
        if other != cell and other in row
    ]
    return np.array(sorted(pairs), np.int64).reshape(-1, 2).T


def centres(cells: np.ndarray) -> np.ndarray:
    """Latitude and longitude of the cells' centres in degrees, float64 [n, 2]."""
    return np.array([h3.cell_to_latlng(cell) for cell in cells.tolist()], np.float64).reshape(-1, 2)


def areas_km2(cells: np.ndarray) -> np.ndarray:
    """Areas on the sphere in km², float64 [n]."""
    return np.array([h3.cell_area(cell, "km^2") for cell in cells.tolist()], np.float64)


def polygons(cells: np.ndarray) -> np.ndarray:
    """Outlines [n] as shapely geometries in longitude and latitude, for files.

    A cell that straddles the antimeridian becomes a MultiPolygon with a part on each side (RFC 7946). The two
    cells that hold a pole are not drawn correctly: longitude and latitude cannot.
    """
    return np.array([cut_at_180(outline) for outline in _outlines(cells)], object)


def unbroken(cells: np.ndarray) -> np.ndarray:
    """Outlines [n] as polygons whose longitudes run on past ±180°, for maps: none is cut and neighbours touch."""
    return near(_outlines(cells))


def near(outlines: Sequence[shapely.Geometry] | np.ndarray) -> np.ndarray:
    """Shapes [n] with longitudes within 180° of the first corner's, so that those past ±180° lie beside the others."""
    first = shapely.get_coordinates(outlines[0])[0, 0]
    return shapely.transform(
        outlines,
        lambda places: np.column_stack([first + (places[:, 0] - first + 180) % 360 - 180, places[:, 1]]),
    )


def rounded(outlines: np.ndarray) -> np.ndarray:
    """Outlines [n] to `DIGITS`."""
    return shapely.transform(outlines, lambda degrees: degrees.round(DIGITS))


def _outlines(cells: np.ndarray) -> list[shapely.Polygon]:
    return [shapely.Polygon(np.array(h3.cell_to_boundary(cell))[:, ::-1]) for cell in cells.tolist()]


def cut_at_180(polygon: shapely.Geometry) -> shapely.Geometry:
    """A polygon in longitude and latitude that crosses the antimeridian as a MultiPolygon with a part on each side.

    It crosses where its longitudes run on past 180°, or from one end of the world to the other.
    """
    west, _, east, _ = polygon.bounds
    if west >= -180 and east <= 180 and east - west <= 180:
        return polygon
    whole = shapely.transform(polygon, lambda places: np.column_stack([places[:, 0] % 360, places[:, 1]]))
    near = shapely.clip_by_rect(whole, 0, -90, 180, 90)
    far = shapely.transform(shapely.clip_by_rect(whole, 180, -90, 360, 90), lambda places: places - (360, 0))
    parts = [part for half in (near, far) for part in shapely.get_parts(half) if part.area > 0]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
