"""A cube as a folder that pandas, DuckDB, Spark and QGIS can open, written whole or not at all.

events.parquet    hour, hexagon, category, known_hour, weight, [until_hour]   one row a non-zero cell (COO tensor)
hexagons.parquet  GeoParquet: hexagon, latitude, longitude, area_km2, neighbours, [district, static …], geometry
hours.parquet     time, local_hour, local_weekday, holiday, weather channels (NaN where masked)
covariates.parquet  first, last, cell, value, known of each covariate (`stforecast.cube.covariates`), where any
by_….parquet      counts for analysts (`stforecast.cube.aggregates`)
cube.json         schema version, start, hours, time zone, resolution, names, kinds by category, gaps, source hashes
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from stforecast.config.sections import KINDS
from stforecast.cube.covariates import Covariate
from stforecast.cube.cube import Cube, Series
from stforecast.cube.geometry import read_outlines
from stforecast.cube.holes import Gap
from stforecast.errors import ArtefactError
from stforecast.files import atomic_folder
from stforecast.sealed import Sealed, seal, unseal

SCHEMA_VERSION = 6
AGAIN = "Run `stforecast build` again."
COVARIATES = "covariates.parquet"
GRAPH_COLUMNS = ("neighbours", "neighbour_order", "geometry")
PLAIN = (
    "name",
    "steps",
    "step_hours",
    "step_unit",
    "horizons",
    "time_zone",
    "resolution",
    "country",
    "subdivision",
    "notes",
)
# prefix of a series' columns in hours.parquet, and ending of its mask
SERIES = {"weather": "observed", "future": "known"}


def save_cube(cube: Cube, folder: Path, stamp: str, beside: Mapping[str, pd.DataFrame] | None = None) -> None:
    """Write the cube as `folder`, replacing what is there.

    Args:
        cube: the cube.
        folder: of it.
        stamp: names the inputs and settings it came from.
        beside: tables that lie in the folder and are no part of the cube, by the names of their files.
    """
    series: dict[str, Series] = {kind: getattr(cube, kind) for kind in SERIES}
    with atomic_folder(folder) as temporary:
        pd.DataFrame({name: getattr(cube, name) for name in cube.event_columns}).to_parquet(
            temporary / "events.parquet"
        )
        _write_hexagons(cube, temporary / "hexagons.parquet")
        _hours(cube).to_parquet(temporary / "hours.parquet")
        if cube.covariates:
            rows = [one.rows.assign(covariate=one.name) for one in cube.covariates]
            pd.concat(rows, ignore_index=True).to_parquet(temporary / COVARIATES)
        for name, table in (beside or {}).items():
            table.to_parquet(temporary / f"{name}.parquet", index=False, compression="zstd")
        facts = {
            "schema_version": SCHEMA_VERSION,
            "stamp": stamp,
            **{name: getattr(cube, name) for name in PLAIN},
            "start": cube.start.isoformat(),
            "categories": list(cube.categories),
            "kinds": [] if cube.kinds is None else [_by_name(shares) for shares in cube.kinds],
            "polygons": cube.polygons is not None,
            "covariates": [
                {key: getattr(one, key) for key in ("name", "kind", "sensitive")} for one in cube.covariates
            ],
            "gaps": [asdict(gap) for gap in cube.gaps],
            **{kind: {"channels": list(one.names), "hours": len(one.values)} for kind, one in series.items()},
        }
        seal(temporary / "cube.json", facts)


def open_cube(folder: Path) -> Cube:
    """The cube that `save_cube` wrote.

    Raises:
        ArtefactError: a file is absent or damaged, or of another schema version.
    """
    return unseal(folder / "cube.json", AGAIN, _read)


def _read(sealed: Sealed) -> Cube:
    facts = sealed.facts
    if facts.get("schema_version") != SCHEMA_VERSION:
        raise ArtefactError(
            f"{sealed.path}: schema version {facts.get('schema_version')}, expected {SCHEMA_VERSION}. {AGAIN}"
        )
    events = pd.read_parquet(sealed.file("events.parquet"))
    place = sealed.file("hexagons.parquet")
    hexagons, edges = _read_hexagons(place)
    hours = pd.read_parquet(sealed.file("hours.parquet"))
    parts: dict[str, Any] = {name: facts[name] for name in PLAIN}
    parts |= {str(name): column.to_numpy(copy=True) for name, column in events.items()}
    parts |= {kind: _series(hours, kind, facts[kind]) for kind in SERIES}
    return Cube(
        **parts,
        start=pd.Timestamp(facts["start"]),
        categories=tuple(facts["categories"]),
        kinds=_kinds(facts.get("kinds", [])),
        covariates=_covariates(sealed),
        gaps=tuple(Gap(**gap) for gap in facts["gaps"]),
        hexagons=hexagons,
        edges=edges,
        polygons=read_outlines(place) if facts["polygons"] else None,
    )


def _by_name(shares: np.ndarray) -> dict[str, float]:
    """Of one category, without those that are 0; by name, since a later version may know of more kinds."""
    return {kind: float(share) for kind, share in zip(KINDS, shares, strict=True) if share}


def _kinds(found: list[dict[str, float]]) -> np.ndarray | None:
    return np.array([[one.get(kind, 0) for kind in KINDS] for one in found], np.float32) if found else None


def _covariates(sealed: Sealed) -> tuple[Covariate, ...]:
    if not (found := sealed.facts["covariates"]):
        return ()
    rows = pd.read_parquet(sealed.file(COVARIATES))
    by_name = dict(list(rows.groupby("covariate")))
    return tuple(Covariate.of(rows=by_name.get(one["name"], rows[:0]), **one) for one in found)


def _write_hexagons(cube: Cube, path: Path) -> None:
    """GeoParquet with the outlines of cells; places without one are points, or null without coordinates.

    `neighbours` lists rows of the table. Edges that are not sorted by row have `neighbour_order` beside it: the
    position of each in the cube's `edges`.
    """
    import geopandas
    import shapely

    order = np.argsort(cube.edges[0], kind="stable")
    ends = np.searchsorted(cube.edges[0, order], np.arange(1, cube.n))
    frame = cube.hexagons.reset_index(drop=True)
    frame["neighbours"] = _lists(cube.edges[1, order], ends)
    if (order != np.arange(order.size)).any():
        frame["neighbour_order"] = _lists(order, ends)
    if cube.drawn:
        geometry, crs = cube.geometry.outlines, "EPSG:4326"
    else:
        points = frame[["longitude", "latitude"]].to_numpy(np.float64)
        places = [shapely.Point(point) if np.isfinite(point).all() else None for point in points]
        geometry, crs = np.array(places, object), None
    geopandas.GeoDataFrame(frame, geometry=geometry, crs=crs).to_parquet(path)


def _read_hexagons(path: Path) -> tuple[pd.DataFrame, np.ndarray]:
    names = pq.read_schema(path).names
    table = pd.read_parquet(path, columns=[name for name in names if name != "geometry"])
    sizes = table["neighbours"].map(len).to_numpy(np.int64)
    edges = np.stack([np.repeat(np.arange(len(table)), sizes), _flat(table["neighbours"])])
    if "neighbour_order" in names:
        edges = edges[:, np.argsort(_flat(table["neighbour_order"]))]
    return table.drop(columns=[name for name in GRAPH_COLUMNS if name in table]), edges


def _lists(values: np.ndarray, ends: np.ndarray) -> pd.Series:
    return pd.Series(np.split(values, ends), dtype=object)


def _flat(lists: pd.Series) -> np.ndarray:
    return np.array([value for part in lists for value in part], np.int64)


def _hours(cube: Cube) -> pd.DataFrame:
    """One row a step; a series that reaches beyond the axis adds rows."""
    rows = max(cube.steps, *(len(getattr(cube, kind).values) for kind in SERIES))
    local = cube.calendar(0, rows)
    columns: dict[str, Any] = {
        "time": cube.times_of(np.arange(rows)),
        "local_hour": local.hour.astype(np.int8),
        "local_weekday": local.weekday.astype(np.int8),
        "holiday": local.holiday,
    }
    for kind, ending in SERIES.items():
        series: Series = getattr(cube, kind)
        values = series.window(0, rows)
        for i, name in enumerate(series.names):
            columns[f"{kind}_{name}"] = values[:, i]
            columns[f"{kind}_{name}_{ending}"] = np.isfinite(values[:, i])
    return pd.DataFrame(columns)


def _series(hours: pd.DataFrame, kind: str, facts: dict[str, Any]) -> Series:
    names = tuple(facts["channels"])
    if not names:
        return Series()
    values = hours[[f"{kind}_{name}" for name in names]].to_numpy(np.float32)
    return Series(names, values[: facts["hours"]])
