"""What is known of the cells and does not change: attributes of polygons, by area or by the codes of the cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from stforecast.config import Config
from stforecast.cube.geometry import Geometry
from stforecast.cube.polygon_files import check_attributes, labels, read_attributes, read_polygons
from stforecast.errors import ConfigError, DataError

EQUAL_AREA = "EPSG:6933"
TAKEN = ("hexagon", "latitude", "longitude", "area_km2", "district", "neighbours", "neighbour_order", "geometry")
"""Columns that a cube's hexagons have already."""
COLUMNS = "grid.static_columns"
"""Of the configuration, which names columns that are attached to the cells."""


def statics(file: str, columns: Mapping[str, str], geometry: Geometry, config: Config, key: str) -> pd.DataFrame:
    """Columns of a configured file by cell, [n]: by the cells' codes where it is their own file, else by area.

    columns: as of `statics_of`. key: of the configuration that names them.

    Raises:
        ConfigError, DataError: as of `statics_of` and `statics_by_code`.
    """
    path, grid = config.input(file), config.grid
    if geometry.polygons is not None and file == grid.polygons:
        return statics_by_code(path, columns, str(grid.polygon_key), geometry.names, key)
    return statics_of(path, columns, geometry.outlines, key)


def statics_of(path: str | Path, columns: Mapping[str, str], outlines: np.ndarray, key: str = COLUMNS) -> pd.DataFrame:
    """Attributes of polygons, interpolated by area to cells of these `outlines` [n]: one column each, NaN off them.

    columns: `sum` shares a count out by area, `mean` weighs a rate by it (areal weighting, Goodchild and Lam 1980).
    key: of the configuration that names them.

    Raises:
        ConfigError: a column has a name that hexagons have already.
        DataError: the file cannot be read, lacks an attribute or holds text in it, or lies elsewhere.
    """
    import geopandas

    _check_names(path, columns, key)
    found = read_polygons(path, columns, parts=False)
    _check_numbers(path, found, columns, key)
    shapes = found.geometry.to_crs(EQUAL_AREA)
    # under names of our own: an attribute called row would collide with the cells' rows
    values = {f"attribute {i}": found[name] for i, name in enumerate(columns)}
    frame = geopandas.GeoDataFrame(values | {"polygon_area": shapes.area}, geometry=shapes)
    hexagons = geopandas.GeoDataFrame({"row": np.arange(len(outlines))}, geometry=outlines, crs="EPSG:4326")
    pieces = hexagons.to_crs(EQUAL_AREA).overlay(frame, how="intersection", keep_geom_type=True)
    if pieces.empty:
        raise DataError(f"{path}: no cell of the study area meets its polygons. Is it another city's file?")
    out, overlap = {}, pieces.area
    for label, (name, how) in zip(values, columns.items(), strict=True):
        weight = overlap.where(pieces[label].notna())
        part = pieces[label] * weight / (pieces["polygon_area"] if how == "sum" else 1)
        summed = part.groupby(pieces["row"]).sum(min_count=1)
        out[name] = summed if how == "sum" else summed / weight.groupby(pieces["row"]).sum(min_count=1)
    return pd.DataFrame(out).reindex(range(len(outlines)))


def statics_by_code(
    path: str | Path, columns: Iterable[str], code: str, names: np.ndarray, key: str = COLUMNS
) -> pd.DataFrame:
    """Attributes of the very polygons that are the cells, by their codes `names` [n] in the attribute `code`.

    key: of the configuration that names the columns.

    Raises:
        ConfigError: a column has a name that cells have already.
        DataError: the file cannot be read, lacks an attribute or holds text in it.
    """
    _check_names(path, columns, key)
    frame = read_attributes(path, [code, *columns])
    check_attributes(path, frame, [code], "grid.polygon_key")
    _check_numbers(path, frame, columns, key)
    frame = frame[[*columns]].set_axis(pd.Index(labels(frame[code])).str.strip())
    if (again := frame.index[frame.index.duplicated() & frame.index.isin(names)]).size:
        raise DataError(f"{path}: {code} {again[0]} stands at several rows. Give each cell one.")
    return frame.reindex(names).reset_index(drop=True)


def _check_names(path: str | Path, columns: Iterable[str], key: str) -> None:
    if taken := sorted({*columns} & {*TAKEN}):
        raise ConfigError(f"{key}: {', '.join(taken)} has a meaning already. Rename it in {path}.")


def _check_numbers(path: str | Path, frame: pd.DataFrame, columns: Iterable[str], key: str) -> None:
    check_attributes(path, frame, columns, key)
    for name in columns:
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise DataError(f"{path}: attribute {name!r} is not numeric. Correct it, or leave it out.")
