"""Points of a file of places → latitude and longitude as texts [r]. What is no point is blank."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stforecast.errors import DataError, in_brief
from stforecast.events.readers.chunk import InputFile

Points = tuple[np.ndarray, np.ndarray]  # x, y [r]; NaN where there is none


def add_coordinates(
    texts: Mapping[str, pa.Array], points: Points, crs: str | None, origin: InputFile
) -> tuple[dict[str, pa.Array], bool]:
    """The same texts by field with the places of `points`, and whether these are degrees.

    crs: of the points; without one they are what `source.crs` says of columns.

    Raises:
        DataError: the coordinate system is unknown.
    """
    x, y = points
    if crs is not None:
        try:
            x, y = _transformer(crs).transform(x, y)
        except Exception as error:  # pyproj has several
            raise DataError(
                f"{origin}: its coordinate system is not known ({in_brief(error)}). Save it in EPSG:4326 (longitude, "
                "latitude)."
            ) from error
    return {**texts, "latitude": _texts(y), "longitude": _texts(x)}, crs is not None


def points_from_wkb(shapes: pa.Array, origin: InputFile) -> Points:
    """Points of geometries [r] as well-known binary.

    Raises:
        DataError: there are geometries and none is a point.
    """
    import shapely

    try:
        found = shapely.from_wkb(np.array(shapes.to_pylist(), object))
    except shapely.errors.ShapelyError as error:
        raise origin.damaged(error) from error
    kinds = shapely.get_type_id(found)
    single = (kinds == shapely.GeometryType.MULTIPOINT) & (shapely.get_num_geometries(found) == 1)
    found = np.where(single, shapely.get_geometry(found, 0), found)
    _check([shape.geom_type for shape in found if shape is not None], origin)
    found = np.where(shapely.is_empty(found), None, found)
    return shapely.get_x(found), shapely.get_y(found)


def points_from_json(shapes: Sequence[Any], origin: InputFile) -> Points:
    """Points of geometries [r] of GeoJSON or ArcGIS.

    Raises:
        DataError: there are geometries and none is a point.
    """
    _check([_kind(shape) for shape in shapes if shape], origin)
    x, y = np.array([_point(shape) for shape in shapes], float).reshape(-1, 2).T
    return x, y


def _check(kinds: Sequence[str], origin: InputFile) -> None:
    if kinds and not any(kind.endswith("Point") for kind in kinds):
        found = ", ".join(sorted(set(kinds)))
        raise DataError(
            f"{origin}: its geometries are no points ({found}), and no column names a place. Give the file with a "
            "point for each offence, or name columns of latitude and longitude under source.columns."
        )


def _kind(shape: Any) -> str:
    if isinstance(shape, dict) and "type" not in shape:  # ArcGIS
        return next((kind for key, kind in _ARCGIS.items() if key in shape), "unknown")
    return str(shape.get("type"))[:40] if isinstance(shape, dict) else "unknown"


_ARCGIS = {"x": "Point", "points": "MultiPoint", "rings": "Polygon", "paths": "LineString"}


def _point(shape: Any) -> tuple[float, float]:
    match shape:
        case {"type": "Point", "coordinates": [x, y, *_]}:
            found = x, y
        case {"type": "MultiPoint", "coordinates": [[x, y, *_]]} | {"points": [[x, y, *_]]}:
            found = x, y
        case {"x": x, "y": y}:
            found = x, y
        case _:
            return np.nan, np.nan
    try:
        return float(found[0]), float(found[1])
    except (TypeError, ValueError):  # null, or ArcGIS's "NaN"
        return np.nan, np.nan


def crs_of_json(members: Mapping[str, Any], arcgis: bool) -> str | None:
    """The coordinate system that a GeoJSON (WGS84 where it names none) or ArcGIS document names."""
    if arcgis:
        match members.get("spatialReference"):
            case {"latestWkid": int(code)}:
                return f"EPSG:{code}"
            case {"wkid": int(code)}:
                return f"{'EPSG' if code < 32768 else 'ESRI'}:{code}"  # as Esri numbers those of its own
            case {"wkt": str(text)}:
                return text
        return None
    match members.get("crs"):
        case {"properties": {"name": str(name)}}:
            return name
        case {"properties": {"code": code}}:
            return f"EPSG:{code}"
        case None:
            return "OGC:CRS84"
    return json.dumps(members["crs"])


@lru_cache(maxsize=8)
def _transformer(crs: str) -> Any:
    from pyproj import Transformer

    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True)


def _texts(numbers: np.ndarray) -> pa.Array:
    numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    return pc.fill_null(pc.cast(pa.array(numbers, from_pandas=True), pa.large_string()), "")
