"""Files of polygons (GeoJSON, GeoPackage, shapefile, GeoParquet) → frames of mended outlines in degrees."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import shapely

from stforecast.cube import hexgrid
from stforecast.errors import DataError, in_brief

if TYPE_CHECKING:
    import geopandas

MOST_CROSSINGS = 1000
"""How often an outline may cross itself: a drawn one does a few times, and mending takes time by their square."""
PARQUET = (".parquet", ".geoparquet")


def read_polygons(path: str | Path, names: Iterable[str] = (), parts: bool = True) -> geopandas.GeoDataFrame:
    """The polygons of a file with all its attributes; one part a row, unless `parts` are to stay together.

    Of several layers the first with the attributes `names` is read. The frame's attrs tell how many were
    `repaired`, and how many rows are `without` a polygon and left out.

    Raises:
        DataError: the file cannot be read, has no polygon or no CRS, or an outline crosses itself all over.
    """
    frame, broken = mended(read_shapes(path, names), path)
    if parts:
        frame = frame.explode(ignore_index=True)
    whole = frame.geom_type.isin(["Polygon", "MultiPolygon"]) & ~frame.geometry.is_empty
    if not whole.any():
        raise _nothing(path)
    frame = frame[whole].reset_index(drop=True)
    frame.attrs = {"repaired": broken, "without": int((~whole).sum())}
    return frame


def mended(frame: geopandas.GeoDataFrame, path: str | Path) -> tuple[geopandas.GeoDataFrame, int]:
    """Shapes whose outlines are valid, and do not cross the 180th meridian, and how many were not valid.

    Raises:
        DataError: an outline crosses itself all over.
    """
    broken = frame.geometry.notna() & ~frame.geometry.is_valid
    for shape in frame.geometry[broken]:
        if (crossings := _crossings(shape)) > MOST_CROSSINGS:
            raise DataError(
                f"{path}: an outline crosses itself about {crossings:,} times, so it is no polygon. Draw it anew, or "
                "mend it in a GIS (QGIS: Fix geometries)."
            )
    return frame.set_geometry(frame.geometry.map(_cut).make_valid().map(_areal)), int(broken.sum())


def read_shapes(path: str | Path, names: Iterable[str] = ()) -> geopandas.GeoDataFrame:
    """The rows of a file with outlines or points as they are drawn; of several layers the first that has `names`.

    Raises:
        DataError: the file cannot be read, holds no shape, or names no coordinate system.
    """
    import geopandas

    frame = _read(path, names, True)
    if not isinstance(frame, geopandas.GeoDataFrame) or frame.empty:
        raise _nothing(path)
    if frame.crs is None:
        raise DataError(f"{path}: names no coordinate system. Save it with one (EPSG:4326 for degrees).")
    return frame.to_crs("EPSG:4326")


def read_attributes(path: str | Path, names: Iterable[str]) -> pd.DataFrame:
    """The attributes of a file of polygons without its outlines; of several layers of the first that has `names`.

    Raises:
        DataError: the file cannot be read.
    """
    return _read(path, names, False)


def check_attributes(path: str | Path, frame: pd.DataFrame, names: Iterable[str], key: str) -> None:
    """That a file has some attributes, which the `key` of the configuration names.

    Raises:
        DataError: it lacks one.
    """
    if missing := [name for name in names if name not in frame.columns]:
        attributes = ", ".join(str(column) for column, kind in frame.dtypes.items() if str(kind) != "geometry")
        raise DataError(f"{path}: no attribute {missing[0]!r}; it has: {attributes}. Correct {key}.")


def labels(column: pd.Series) -> np.ndarray:
    """Text or None: 5.0 that stands for a number 5 beside a gap becomes "5"."""
    return np.array([None if pd.isna(value) else str(value) for value in column.convert_dtypes()], object)


def _read(path: str | Path, names: Iterable[str], outlines: bool) -> pd.DataFrame:
    import geopandas

    try:
        if str(path).lower().endswith(PARQUET):
            return geopandas.read_parquet(path) if outlines else pd.read_parquet(path)
        return geopandas.read_file(path, layer=_layer(path, {*names}), ignore_geometry=not outlines)
    except Exception as error:  # pyogrio, fiona and GDAL raise classes of their own
        raise DataError(f"{path}: cannot be read as polygons ({in_brief(error)}).") from error


def _nothing(path: str | Path) -> DataError:
    return DataError(f"{path}: no polygon in it. Give a GeoJSON, GeoPackage, Shapefile or GeoParquet of polygons.")


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
