"""A risk grid as files that a GIS, a spreadsheet, a data frame and a browser open.

risk.parquet, risk_day.parquet   GeoParquet 1.0, EPSG:4326, a row as in `riskgrid` plus the hexagon's outline
risk.csv, risk_day.csv           the same rows; geometry as WKT, times as 2024-09-30T06:00:00Z
risk.geojson                     RFC 7946, a feature a hexagon, its hours as lists
map.png                          the 24 hours as a map
map.html                         the same by hour, category and measure, for a browser
grid.json                        what `open_grid` needs beside risk.parquet to give the grid back
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely

from stforecast.cube.hexgrid import from_names, polygons
from stforecast.delivery.map import map_png
from stforecast.delivery.riskgrid import ALL, NOTICE, RiskGrid, risk
from stforecast.delivery.webmap import view_of, write_map
from stforecast.errors import ArtefactError
from stforecast.files import atomic_folder, read_json, write_json
from stforecast.scoring.conformal import Spread

if TYPE_CHECKING:
    from stforecast.forecasters.base import Forecast

DIGITS = 6  # decimals of a degree in text files (0.1 m), as RFC 7946 advises
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a cell that begins so is run as a formula by a spreadsheet


def write_grid(forecast: Forecast, issue: int, folder: Path, city: str) -> list[Path]:
    """Write the issue with index `issue` of a forecast into `folder`, whole or not at all; an older folder is replaced.

    Returns the files written.

    Raises:
        ArtefactError: the hexagons are not H3 cells, or the forecast is not of 24 hours.
    """
    grid = RiskGrid.of(forecast, issue)
    outlines = right_handed(polygons(from_names(grid.hexagons.tolist())))
    short = shapely.transform(outlines, lambda degrees: degrees.round(DIGITS))
    with atomic_folder(folder) as temporary:
        for name, table in (("risk", grid.hours), ("risk_day", grid.day)):
            place = pd.Index(grid.hexagons).get_indexer(pd.Index(table["hexagon"]))
            _write_geoparquet(temporary / f"{name}.parquet", table, outlines[place])
            _write_csv(temporary / f"{name}.csv", table, shapely.to_wkt(short, rounding_precision=DIGITS)[place])
        _write_geojson(temporary / "risk.geojson", grid, short, city)
        map_png(forecast, issue, temporary / "map.png", city)
        write_map(view_of(grid, city), temporary / "map.html")
        write_json(temporary / "grid.json", facts_of(grid, city))
        names = sorted(path.name for path in temporary.iterdir())
    return [folder / name for name in names]


def open_grid(folder: Path) -> RiskGrid:
    """The grid that `write_grid` wrote into `folder`.

    Raises:
        ArtefactError: its files are absent or damaged.
    """
    facts = read_json(folder / "grid.json")
    try:
        table = pd.read_parquet(folder / "risk.parquet").drop(columns="geometry")
        categories = tuple(facts["categories"])
        shape = (table["valid_from"].nunique(), len(categories), -1)
        table["place"] = pd.Categorical(table["category"], categories).codes
        table = table.sort_values(["valid_from", "place", "hexagon"], kind="stable")

        def values(column: str) -> np.ndarray:
            return table[column].to_numpy().reshape(shape).transpose(0, 2, 1)

        usual = values("usual") if "usual" in table else None
        return grid_of(facts, values("hexagon")[0, :, 0].astype(str), values("intensity"), usual)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ArtefactError(
            f"{folder}: not a grid of this version ({error}). Run `stforecast forecast` again."
        ) from error


def grid_of(facts: dict[str, Any], hexagons: np.ndarray, intensity: np.ndarray, usual: np.ndarray | None) -> RiskGrid:
    """A grid from `facts_of` and its numbers.

    Raises:
        KeyError, TypeError, ValueError: the facts are not those of this version.
    """
    return RiskGrid(
        intensity=intensity,
        hexagons=hexagons,
        categories=tuple(facts["categories"]),
        issue_time=pd.Timestamp(facts["issue_time"]),
        step_hours=facts["step_hours"],
        time_zone=facts["time_zone"],
        model=facts["model"],
        complete_until=pd.Timestamp(facts["complete_until"]),
        assumptions=tuple(facts["assumptions"]),
        spreads={name: Spread.from_dict(spread) for name, spread in facts["spreads"].items()},
        usual=usual,
        districts=np.array(facts["districts"], object) if facts["districts"] else None,
    )


def facts_of(grid: RiskGrid, city: str) -> dict[str, Any]:
    """Everything about a grid but its numbers."""
    return {
        "city": city,
        "time_zone": grid.time_zone,
        "issue_time": _iso(grid.issue_time),
        "valid_from": [_iso(time) for time in grid.valid_from],
        "step_hours": grid.step_hours,
        "categories": list(grid.categories),
        "model": grid.model,
        "complete_until": _iso(grid.complete_until),
        "assumptions": list(grid.assumptions),
        "notice": NOTICE,
        "spreads": {name: spread.to_dict() for name, spread in grid.spreads.items()},
        "districts": None if grid.districts is None else [None if pd.isna(d) else str(d) for d in grid.districts],
    }


def _write_geoparquet(path: Path, table: pd.DataFrame, geometry: np.ndarray) -> None:
    import geopandas

    text = table.astype(dict.fromkeys(("hexagon", "category", "model"), object))  # Arrow's plain strings: all read them
    frame = geopandas.GeoDataFrame(text, geometry=geometry, crs="EPSG:4326")
    frame.to_parquet(path, index=False, compression="zstd", schema_version="1.0.0")


def _write_csv(path: Path, table: pd.DataFrame, geometry: np.ndarray) -> None:
    text = {str(name): _spelled(table[name]) for name in table.select_dtypes(exclude="number")}
    table.assign(**text, geometry=geometry).to_csv(path, index=False, lineterminator="\n")


def _spelled(column: pd.Series) -> np.ndarray:
    """Times as ISO 8601, text made safe for spreadsheets; each distinct value is spelled once."""
    code, values = pd.factorize(column)
    if isinstance(values, pd.DatetimeIndex):
        return values.strftime("%Y-%m-%dT%H:%M:%SZ").to_numpy(object)[code]
    return np.array([f"'{v}" if v.startswith(FORMULA) else v for v in values], dtype=object)[code]


def _write_geojson(path: Path, grid: RiskGrid, outlines: np.ndarray, city: str) -> None:
    columns: dict[str, list[Any]] = {"hexagon": grid.hexagons.tolist()}
    day, rank = grid.day_intensity, _ranks(grid)
    for index, category in enumerate(grid.categories):
        prefix = "" if category == ALL else f"{category}_"  # flat: GDAL would read a nested object as one text
        columns[f"{prefix}risk_24h"] = _short(risk(day[:, index]))
        columns[f"{prefix}intensity_24h"] = _short(day[:, index])
        columns[f"{prefix}rank_24h"] = rank[:, index].tolist()
        columns[f"{prefix}risk_by_hour"] = _short(risk(grid.intensity[:, :, index]).T)
    constant = {"issue_time": _iso(grid.issue_time), "model": grid.model}
    rows = zip(*columns.values(), strict=True)
    features = [
        {
            "type": "Feature",
            "id": cell,
            "geometry": json.loads(geometry),
            "properties": dict(zip(columns, row, strict=True)) | constant,
        }
        for cell, geometry, row in zip(columns["hexagon"], shapely.to_geojson(outlines), rows, strict=True)
    ]
    metadata = {key: value for key, value in facts_of(grid, city).items() if key not in ("spreads", "districts")}
    collection = {"type": "FeatureCollection", "metadata": metadata, "features": features}
    path.write_text(json.dumps(collection, separators=(",", ":"), allow_nan=False, ensure_ascii=False) + "\n", "utf-8")


def _ranks(grid: RiskGrid) -> np.ndarray:
    """Rank of each hexagon over the 24 hours, [n c]: the inverse of the order in `RiskGrid.day`."""
    return np.argsort(np.argsort(-grid.day_intensity, axis=0, kind="stable"), axis=0) + 1


def right_handed(outlines: np.ndarray) -> np.ndarray:
    """Outlines with counter-clockwise rings, as RFC 7946 wants (an outline cut at the antimeridian may not be)."""
    first = shapely.get_exterior_ring(shapely.get_geometry(outlines, 0))
    return np.where(shapely.is_ccw(first), outlines, shapely.reverse(outlines))


def _short(values: np.ndarray) -> list[Any]:
    return values.round(8).tolist()  # finer than any forecast is known, and half the file


def _iso(time: pd.Timestamp) -> str:
    return time.tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ")
