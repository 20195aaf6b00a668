"""Polygon files and cells: the study area, the cells, the district of each, and what is known of its people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import h3.api.basic_int as h3
import numpy as np
import pandas as pd
import shapely

from stforecast.cube import hexgrid
from stforecast.cube.geometry import Polygons
from stforecast.errors import ConfigError, DataError

if TYPE_CHECKING:
    import geopandas

MOST_CELLS = 2_000_000
MANY_VERTICES = 10_000
"""Vertices of a polygon from which on H3, which looks at all of them for each cell, takes minutes."""
MOST_CROSSINGS = 1000
"""How often an outline may cross itself: a drawn one does a few times, and mending takes time by their square."""
EQUAL_AREA = "EPSG:6933"
TAKEN = ("hexagon", "latitude", "longitude", "area_km2", "district", "neighbours", "neighbour_order", "geometry")
"""Columns that a cube's hexagons have already."""

STATIC = "grid.static_columns"
PARQUET = (".parquet", ".geoparquet")
OVERLAP = 0.01
"""Share of the smaller of two polygons from which on it is said that they overlap."""

UNKNOWN = frozenset(
    (
        *("u", "unk", "unknown", "na", "n a", "none", "null", "nil", "nan", "missing", "blank", "no district"),
        *("unassigned", "undefined", "undetermined", "unspecified"),
        *("not applicable", "not assigned", "not available", "not known", "not recorded", "not specified"),
    )
)
"""Texts that say that the district is not known, in lower case and without punctuation."""


def area_cells(path: str | Path, resolution: int) -> np.ndarray:
    """The cells, int64 [n] in ascending order, whose centre lies in a polygon of the file (any CRS).

    Raises:
        DataError: the file cannot be read, has no polygon or no CRS, or holds no hexagon (or too many) at `resolution`.
    """
    frame = _read(path)
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
    frame = _read(path, [key], parts=False)
    _check_attributes(path, frame, [key], "grid.polygon_key")
    names = pd.Series(_labels(frame[key]), dtype=object).str.strip().replace("", None)
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


def district_of_centres(path: str | Path, key: str, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """The attribute `key` of the first polygon that holds each point [n] in degrees; None where none does or where it
    is no name (`named`).

    Raises:
        DataError: the file cannot be read, has no polygon, no CRS or no such attribute, or holds no point at all.
    """
    import geopandas

    frame = _read(path, [key])
    _check_attributes(path, frame, [key], "grid.district_key")
    points = geopandas.GeoDataFrame(geometry=geopandas.points_from_xy(longitude, latitude), crs="EPSG:4326")
    # the labels under a name of our own: a key called index_right would collide with the join's
    labelled = geopandas.GeoDataFrame({"district": frame[key].to_numpy()}, geometry=frame.geometry.to_numpy(), crs=4326)
    joined = points.sjoin(labelled, how="left", predicate="within")["district"]
    joined = joined[~joined.index.duplicated()].sort_index()
    if joined.isna().all():
        raise DataError(f"{path}: no cell of the study area lies in its polygons. Is it another city's file?")
    return _labels(named(joined))


def district_of_events(hexagon: np.ndarray, district: pd.Series, n: int) -> np.ndarray:
    """The most common named `district` [e] of each hexagon's events (row numbers [e]); None without one.

    Of equally common districts the first in alphabetical order.
    """
    events = pd.DataFrame({"hexagon": hexagon, "district": named(district).to_numpy(object)})
    count = events.value_counts().reset_index().sort_values(["count", "district"], ascending=[False, True])
    found = count.drop_duplicates("hexagon").set_index("hexagon")["district"].reindex(range(n)).astype(object)
    return found.where(found.notna(), None).to_numpy()


def named(district: pd.Series) -> pd.Series:
    """The districts that have a name.

    No name is a text without a letter or digit (blank, -, ?), one of UNKNOWN in any spelling (U, N/A, Unknown), or
    zeros alone: districts are numbered from one, and St. Louis writes 0 beside an unknown street. Every other text is a
    name, 99 too: nothing tells it from the district of that number.

    Args:
        district: texts or numbers, or null, [e].

    Returns:
        The same, null where it is no name, [e].
    """
    return district.where(~district.isin([text for text in district.dropna().unique() if not _is_name(str(text))]))


def _is_name(text: str) -> bool:
    words = re.sub(r"[\W_]+", " ", text).strip().casefold()
    return bool(words.strip("0 ")) and words not in UNKNOWN


def statics_of(path: str | Path, columns: Mapping[str, str], outlines: np.ndarray, key: str = STATIC) -> pd.DataFrame:
    """Attributes of polygons, interpolated by area to cells of these `outlines` [n]: one column each, NaN off them.

    columns: `sum` shares a count out by area, `mean` weighs a rate by it (areal weighting, Goodchild and Lam 1980).
    key: of the configuration that names them.

    Raises:
        ConfigError: a column has a name that hexagons have already.
        DataError: the file cannot be read, lacks an attribute or holds text in it, or lies elsewhere.
    """
    import geopandas

    _check_names(path, columns, key)
    frame = _read(path, columns, parts=False)
    _check_numbers(path, frame, columns, key)
    frame = frame[[*columns, frame.geometry.name]].to_crs(EQUAL_AREA)
    frame = frame.assign(polygon_area=frame.area)
    hexagons = geopandas.GeoDataFrame({"row": np.arange(len(outlines))}, geometry=outlines, crs="EPSG:4326")
    pieces = hexagons.to_crs(EQUAL_AREA).overlay(frame, how="intersection", keep_geom_type=True)
    if pieces.empty:
        raise DataError(f"{path}: no cell of the study area meets its polygons. Is it another city's file?")
    out, overlap = {}, pieces.area
    for name, how in columns.items():
        weight = overlap.where(pieces[name].notna())
        part = pieces[name] * weight / (pieces["polygon_area"] if how == "sum" else 1)
        summed = part.groupby(pieces["row"]).sum(min_count=1)
        out[name] = summed if how == "sum" else summed / weight.groupby(pieces["row"]).sum(min_count=1)
    return pd.DataFrame(out).reindex(range(len(outlines)))


def statics_by_code(
    path: str | Path, columns: Iterable[str], code: str, names: np.ndarray, key: str = STATIC
) -> pd.DataFrame:
    """Attributes of the very polygons that are the cells, by their codes `names` [n] in the attribute `code`.

    key: of the configuration that names the columns.

    Raises:
        ConfigError: a column has a name that cells have already.
        DataError: the file cannot be read, lacks an attribute or holds text in it.
    """
    _check_names(path, columns, key)
    frame = _read(path, [code, *columns], parts=False)
    _check_numbers(path, frame, columns, key)
    codes = pd.Series(_labels(frame[code]), dtype=object).str.strip()
    return pd.DataFrame(frame[[*columns]]).set_axis(codes).loc[names].reset_index(drop=True)


def _check_names(path: str | Path, columns: Iterable[str], key: str) -> None:
    if taken := sorted({*columns} & {*TAKEN}):
        raise ConfigError(f"{key}: {', '.join(taken)} has a meaning already. Rename it in {path}.")


def _check_numbers(path: str | Path, frame: geopandas.GeoDataFrame, columns: Iterable[str], key: str) -> None:
    _check_attributes(path, frame, columns, key)
    for name in columns:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise DataError(f"{path}: attribute {name!r} is not numeric. Correct it, or leave it out.")


def _check_attributes(path: str | Path, frame: geopandas.GeoDataFrame, names: Iterable[str], key: str) -> None:
    if missing := [name for name in names if name not in frame.columns]:
        attributes = ", ".join(str(column) for column in frame.columns if column != frame.geometry.name)
        raise DataError(f"{path}: no attribute {missing[0]!r}; it has: {attributes}. Correct {key}.")


def _labels(column: pd.Series) -> np.ndarray:
    """Text or None: 5.0 that stands for a number 5 beside a gap becomes "5"."""
    return np.array([None if pd.isna(value) else str(value) for value in column.convert_dtypes()], object)


def _read(path: str | Path, names: Iterable[str] = (), parts: bool = True) -> geopandas.GeoDataFrame:
    """The polygons of a file in longitude and latitude; one part a row, unless `parts` are to stay together.

    Of several layers the first with the attributes `names` is read. The frame's attrs tell how many were
    `repaired`, and how many rows are `without` a polygon and left out.
    """
    import geopandas

    try:
        if str(path).lower().endswith(PARQUET):
            frame = geopandas.read_parquet(path)
        else:
            frame = geopandas.read_file(path, layer=_layer(path, {*names}))
    except Exception as error:  # pyogrio, fiona and GDAL raise classes of their own
        raise DataError(f"{path}: cannot be read as polygons ({' '.join(str(error).split())}).") from error
    nothing = DataError(f"{path}: no polygon in it. Give a GeoJSON, GeoPackage, Shapefile or GeoParquet of polygons.")
    if not isinstance(frame, geopandas.GeoDataFrame) or frame.empty:
        raise nothing
    if frame.crs is None:
        raise DataError(f"{path}: names no coordinate system. Save it with one (EPSG:4326 for degrees).")
    frame = frame.to_crs("EPSG:4326")
    broken = frame.geometry.notna() & ~frame.geometry.is_valid
    for shape in frame.geometry[broken]:
        if (crossings := _crossings(shape)) > MOST_CROSSINGS:
            raise DataError(
                f"{path}: an outline crosses itself about {crossings:,} times, so it is no polygon. Draw it anew, or "
                "mend it in a GIS (QGIS: Fix geometries)."
            )
    frame = frame.set_geometry(frame.geometry.map(_cut).make_valid().map(_areal))
    if parts:
        frame = frame.explode(ignore_index=True)
    whole = frame.geom_type.isin(["Polygon", "MultiPolygon"]) & ~frame.geometry.is_empty
    if not whole.any():
        raise nothing
    frame = frame[whole].reset_index(drop=True)
    frame.attrs = {"repaired": int(broken.sum()), "without": int((~whole).sum())}
    return frame


def _layer(path: str | Path, names: set[str]) -> str:
    """The first layer of a file that has some attributes, or else the first."""
    import pyogrio

    layers: list[str] = pyogrio.list_layers(path)[:, 0].tolist()
    if len(layers) == 1:
        return layers[0]
    return next((layer for layer in layers if names <= {*pyogrio.read_info(path, layer=layer)["fields"]}), layers[0])


def _areal(shape: shapely.Geometry | None) -> shapely.Geometry | None:
    """The polygons of a collection, which mending an outline may leave lines and points beside; others as they are."""
    if not isinstance(shape, shapely.GeometryCollection):
        return shape
    return shapely.union_all([part for part in shapely.get_parts(shape) if shapely.get_dimensions(part) == 2])


def _crossings(shape: shapely.Geometry) -> int:
    """About how often the outlines of a shape cross: of some of their edges with all."""
    places, line = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(shape)), return_index=True)
    edges = shapely.linestrings(np.stack([places[:-1], places[1:]], 1)[line[:-1] == line[1:]])
    size = min(len(edges), max(10, 200_000 // max(len(edges), 1)))
    some = edges[np.linspace(0, len(edges) - 1, size).astype(int)]
    found = shapely.STRtree(edges).query(some, predicate="crosses").shape[1]
    return found * len(edges) // (2 * max(size, 1))


def _cut(shape: shapely.Geometry | None) -> shapely.Geometry | None:
    """Polygons across the 180th meridian as parts on either side; any other shape as it is."""
    if not isinstance(shape, shapely.Polygon | shapely.MultiPolygon):
        return shape
    parts = [part for one in shapely.get_parts(shape) for part in shapely.get_parts(hexgrid.cut_at_180(one))]
    return shape if len(parts) == shapely.get_num_geometries(shape) else shapely.MultiPolygon(parts)
