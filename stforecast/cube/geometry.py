"""Where the cells of a cube, a forecast or a grid lie: H3 hexagons by their names, or polygons of a file.

Both kinds answer the same questions, and whoever draws, lists or places asks no other: `word` (what a reader calls a
cell), `outlines`, `unbroken`, `centres`, `areas_km2`, `edges`, `rows`. Polygons are measured in a plane of their own,
Lambert's equal-area projection about their middle: true areas, and lengths true to a thousandth within 500 km.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import shapely

from stforecast.cube import hexgrid

GAP_M = 5.0
"""Gaps and overlaps between polygons that are taken for faults of the file, in metres; of polygons narrower than 500 m
a hundredth of their usual width. A point so near a polygon lies in it where no polygon holds it."""
SHARE_OF_WIDTH = 0.01
TOUCH = 6
"""In gaps, how long borders must run side by side that do not coincide: corners that touch do so for two."""
MOST_CORNERS = 200_000
"""Of all outlines of a grid together, for its files, maps and the service; what has more is simplified."""
CHUNK = 250_000
LONG = 0.005
"""Sides longer than this, in degrees, are bent in the plane, as a parallel is: to within a centimetre."""
DEGREES = "EPSG:4326"


class Hexagons:
    """H3 cells.

    Args:
        names: of cells of one resolution, [n].

    Raises:
        ArtefactError: a name is not an H3 cell.
    """

    word = "hexagon"
    polygons = None

    def __init__(self, names: np.ndarray) -> None:
        self.names = np.asarray(names, str)
        self.cells = hexgrid.from_names(self.names.tolist())

    @cached_property
    def resolution(self) -> int:
        """Of H3."""
        return hexgrid.resolution_of(self.cells)

    @cached_property
    def outlines(self) -> np.ndarray:
        """In longitude and latitude, [n], exterior rings counter-clockwise as RFC 7946 wants."""
        return shapely.orient_polygons(hexgrid.polygons(self.cells))

    @cached_property
    def unbroken(self) -> np.ndarray:
        """Outlines whose longitudes run on past ±180°, [n], for maps."""
        return hexgrid.unbroken(self.cells)

    @property
    def centres(self) -> np.ndarray:
        """Latitude and longitude, [n, 2]."""
        return hexgrid.centres(self.cells)

    @property
    def areas_km2(self) -> np.ndarray:
        """On the sphere, [n]."""
        return hexgrid.areas_km2(self.cells)

    @property
    def edges(self) -> np.ndarray:
        """Neighbours, int64 [2, e], both directions."""
        return hexgrid.edges(self.cells)

    def rows(self, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
        """The row of the cell that holds each point in degrees, int64 [e]; −1 where none does."""
        return pd.Index(self.cells).get_indexer(hexgrid.cells_of(latitude, longitude, self.resolution))

    def union(self, rows: Any = slice(None)) -> shapely.Geometry:
        """Some `unbroken` cells as one shape, with corners as files have them."""
        return shapely.coverage_union_all(hexgrid.rounded(self.unbroken[rows]))


class Polygons:
    """Polygons with a name each; of several parts, with holes, and islands if need be.

    Args:
        names: [n].
        polygons: outlines in longitude and latitude, [n].
    """

    word = "area"
    resolution = None

    def __init__(self, names: np.ndarray, polygons: np.ndarray) -> None:
        self.names, self.polygons = np.asarray(names, str), polygons

    def take(self, rows: np.ndarray) -> Polygons:
        """Those of some rows."""
        return Polygons(self.names[rows], self.polygons[rows])

    @cached_property
    def outlines(self) -> np.ndarray:
        """In longitude and latitude, [n], exterior rings counter-clockwise as RFC 7946 wants."""
        return shapely.orient_polygons(self.polygons)

    @cached_property
    def unbroken(self) -> np.ndarray:
        """Outlines whose longitudes run on past ±180°, [n], for maps."""
        return hexgrid.near(self.polygons)

    @cached_property
    def plane(self) -> str:
        """The projection in which they are measured, in metres."""
        return plane_about(*shapely.get_coordinates(shapely.centroid(self.polygons)).T)

    @cached_property
    def shapes(self) -> np.ndarray:
        """Outlines in the plane, [n]."""
        return in_plane(self.polygons, self.plane)

    @cached_property
    def areas_km2(self) -> np.ndarray:
        """Of an equal-area projection, [n]."""
        return shapely.area(self.shapes) / 1e6

    @cached_property
    def centres(self) -> np.ndarray:
        """Latitude and longitude of the centroid, or where it lies outside of another point within, [n, 2]."""
        middle = shapely.centroid(self.shapes)
        inside = np.where(shapely.contains(self.shapes, middle), middle, shapely.point_on_surface(self.shapes))
        back = pyproj.Transformer.from_crs(self.plane, DEGREES, always_xy=True)
        longitude, latitude = back.transform(*shapely.get_coordinates(inside).T)
        return np.stack([latitude, longitude], 1)

    @cached_property
    def gap(self) -> float:
        """GAP_M, or a hundredth of the usual width where that is less."""
        return min(GAP_M, SHARE_OF_WIDTH * float(np.median(np.sqrt(shapely.area(self.shapes)))))

    @cached_property
    def tree(self) -> shapely.STRtree:
        """Of their shapes."""
        return shapely.STRtree(self.shapes)

    @cached_property
    def near(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of pairs that lie within a gap of each other, each pair once."""
        one, other = self.tree.query(self.shapes, predicate="dwithin", distance=self.gap)
        return one[one < other], other[one < other]

    @cached_property
    def edges(self) -> np.ndarray:
        """Neighbours, int64 [2, e], both directions, sorted.

        Neighbours share a border: a line longer than a `gap`, not a corner. Where a file leaves gaps or overlaps,
        borders that run within a `gap` of each other for more than TOUCH gaps are one. An island has none.
        """
        one, other = self.near
        border = shapely.boundary(self.shapes)
        shared = shapely.length(shapely.intersection(border[one], border[other], grid_size=self.gap / 500))
        beside = shared > self.gap
        left = np.flatnonzero(~beside)
        strip = shapely.buffer(self.shapes[one[left]], self.gap, quad_segs=2)
        beside[left] = shapely.length(shapely.intersection(border[other[left]], strip)) > TOUCH * self.gap
        pairs = np.stack([one[beside], other[beside]])
        both = np.concatenate([pairs, pairs[::-1]], 1).astype(np.int64)
        return both[:, np.lexsort(both[::-1])]

    def rows(self, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
        """The row of the polygon that holds each point in degrees, int64 [e]; −1 where none does.

        Of several that hold a point the first has it, whether they overlap or share a border; a point in no polygon is
        in the nearest within a `gap`.
        """
        place, latitude, longitude = hexgrid.distinct_points(latitude, longitude)
        forth = pyproj.Transformer.from_crs(DEGREES, self.plane, always_xy=True)
        x, y = forth.transform(longitude, latitude)
        found = np.full(len(x) + 1, -1, np.int64)  # and one more for what is not known
        for first in range(0, len(x), CHUNK):
            some = shapely.points(x[first : first + CHUNK], y[first : first + CHUNK])
            row = np.full(len(some), -1, np.int64)
            holder, held = shapely.STRtree(some).query(self.shapes, predicate="intersects")
            row[held[::-1]] = holder[::-1]
            free = np.flatnonzero(row < 0)
            point, nearest = self.tree.query_nearest(some[free], max_distance=self.gap)
            row[free[point[::-1]]] = nearest[::-1]
            found[first : first + len(row)] = row
        return found[place]

    def union(self, rows: Any = slice(None)) -> shapely.Geometry:
        """Some `unbroken` polygons as one shape, with corners as files have them."""
        return shapely.union_all(hexgrid.rounded(self.unbroken[rows]), grid_size=10.0**-hexgrid.DIGITS)


Geometry = Hexagons | Polygons


def geometry_of(names: np.ndarray, polygons: np.ndarray | None) -> Geometry:
    """The cells of these names: polygons [n] where they are given, else those of H3.

    Raises:
        ArtefactError: there are no polygons, and a name is not an H3 cell.
    """
    return Hexagons(names) if polygons is None else Polygons(names, polygons)


def plane_about(longitude: np.ndarray, latitude: np.ndarray) -> str:
    """Lambert's equal-area projection about the middle of points [n] in degrees, in metres."""
    longitude, latitude = np.radians(longitude), np.radians(latitude)
    x, y = (np.cos(latitude) * turn(longitude) for turn in (np.cos, np.sin))
    east, north = np.arctan2(y.sum(), x.sum()), np.arctan2(np.sin(latitude).sum(), np.hypot(x.sum(), y.sum()))
    return f"+proj=laea +lat_0={np.degrees(north):.3f} +lon_0={np.degrees(east):.3f} +datum=WGS84 +units=m"


def in_plane(outlines: np.ndarray, plane: str) -> np.ndarray:
    """Outlines in longitude and latitude as shapes of a plane, mended where that breaks one."""
    forth = pyproj.Transformer.from_crs(DEGREES, plane, always_xy=True)
    bent = shapely.segmentize(outlines, LONG)
    shapes = shapely.transform(bent, lambda degrees: np.stack(forth.transform(*degrees.T), 1))
    broken = ~shapely.is_valid(shapes)
    shapes[broken] = shapely.buffer(shapes[broken], 0)
    return shapes


def read_outlines(path: Path) -> np.ndarray:
    """The outlines of a GeoParquet file of ours, in its order, [n]."""
    return shapely.from_wkb(pd.read_parquet(path, columns=["geometry"])["geometry"].to_numpy(object))


def simplified(outlines: np.ndarray) -> np.ndarray:
    """Outlines [n] with at most about MOST_CORNERS corners in all, neighbours still side by side.

    The smallest corners go first (Visvalingam and Whyatt 1993). Parts and holes all stay, and so may more corners.
    """
    tolerance, found = 1e-5, outlines
    while shapely.get_num_coordinates(found).sum() > MOST_CORNERS and tolerance < 1:
        found, tolerance = shapely.coverage_simplify(outlines, tolerance), 1.5 * tolerance
    return found
