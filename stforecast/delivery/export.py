"""A risk grid as files that a GIS, a spreadsheet, a data frame and a browser open.

risk.parquet, risk_horizon.parquet   GeoParquet 1.0, EPSG:4326, a row as in `riskgrid` plus the hexagon's outline
risk.csv, risk_horizon.csv           the same rows; geometry as WKT, times as 2024-09-30T06:00:00Z
risk.geojson                         RFC 7946, a feature a hexagon, its steps as lists
map.png                              the horizon as a map
compare.json, compare.csv            the last weeks against the year before (`compare`), where the record is at hand
why.json, why.csv, why.parquet       why the flagged places have their numbers (`why`), of a single issue time
map.html                             the same by step, category and measure, for a browser
grid.json                            what `open_grid` needs beside risk.parquet to give the grid back
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely

from stforecast.config.sections import SHIFTS, Hours
from stforecast.cube.hexgrid import DIGITS, rounded
from stforecast.delivery.compare import to_table
from stforecast.delivery.map import map_png
from stforecast.delivery.riskgrid import ALL, HORIZON, RiskGrid, iso
from stforecast.delivery.webmap import view_of, write_map
from stforecast.delivery.why import to_table as table_of_parts
from stforecast.files import atomic_folder, read_json, write_json, write_text
from stforecast.sealed import FILES, Sealed, seal, unseal
from stforecast.spreadsheets import harmless

AGAIN = "Run `stforecast forecast` again."
FACTS, MAP, COMPARISON, WHY = "grid.json", "map.html", "compare.json", "why.json"


def write_grid(
    grid: RiskGrid,
    folder: Path,
    city: str,
    shifts: Mapping[str, Hours] = SHIFTS,
    around: dict[str, Any] | None = None,
    comparison: dict[str, Any] | None = None,
    plan: dict[str, Any] | None = None,
    why: dict[str, Any] | None = None,
) -> None:
    """Write a grid into `folder`, whole or not at all; an older folder is replaced.

    Args:
        grid: of cells with outlines.
        folder: where to.
        city: its name.
        shifts: of its map.
        around: of its map, as `around.around` gives it.
        comparison: with the year before, as the pipeline gives it.
        plan: of its map, as `residents.plan_view` gives it.
        why: parts of its numbers, as `why` describes them.

    Raises:
        ArtefactError: the hexagons have no outlines.
    """
    outlines = grid.geometry.outlines
    short = rounded(outlines)
    text = shapely.to_wkt(short, rounding_precision=DIGITS)
    with atomic_folder(folder) as temporary:
        for name, table, order in (
            ("risk", grid.steps, grid.order[:HORIZON]),
            ("risk_horizon", grid.horizon, grid.order[HORIZON]),
        ):
            _write_geoparquet(temporary / f"{name}.parquet", table, outlines[order.ravel()])
            _write_csv(temporary / f"{name}.csv", table, geometry=text[order.ravel()])
        _write_geojson(temporary / "risk.geojson", grid, short, city)
        map_png(grid, temporary / "map.png", city)
        if comparison is not None:
            write_json(temporary / COMPARISON, comparison)
            write_text(temporary / "compare.csv", to_table(comparison))
        if why is not None:
            write_json(temporary / WHY, why)
            table = table_of_parts(grid, why)
            table.to_parquet(temporary / "why.parquet", index=False, compression="zstd")
            _write_csv(temporary / "why.csv", table)
        seal(temporary / FACTS, grid.facts(city))
        view = view_of(grid, city, shifts=shifts, around=around, comparison=comparison, plan=plan, why=why)
        write_map(view, temporary / MAP)  # not sealed: `stforecast map` draws it again


def check_grid(folder: Path) -> None:
    """Hold every file of a grid against what was written.

    Raises:
        ArtefactError: one is absent or damaged.
    """
    unseal(folder / FACTS, AGAIN, Sealed.check)


def open_grid(folder: Path) -> RiskGrid:
    """The grid that `write_grid` wrote into `folder`.

    Raises:
        ArtefactError: its files are absent or damaged.
    """
    return unseal(folder / FACTS, AGAIN, _read)


def open_comparison(folder: Path) -> dict[str, Any] | None:
    """The comparison that was written beside the grid in `folder`, if any.

    Raises:
        ArtefactError: its files are absent or damaged.
    """

    return _beside(folder, COMPARISON)


def open_why(folder: Path) -> dict[str, Any] | None:
    """The parts of its numbers that were written beside the grid in `folder`, if any.

    Raises:
        ArtefactError: its files are absent or damaged.
    """
    return _beside(folder, WHY)


def _beside(folder: Path, name: str) -> dict[str, Any] | None:
    def read(sealed: Sealed) -> dict[str, Any] | None:
        return read_json(sealed.file(name), AGAIN) if name in sealed.facts[FILES] else None

    return unseal(folder / FACTS, AGAIN, read)


def city_of(folder: Path) -> str:
    """The city of the grid in `folder`.

    Raises:
        ArtefactError: its files are absent or damaged.
    """
    return unseal(folder / FACTS, AGAIN, lambda sealed: str(sealed.facts["city"]))


def _read(sealed: Sealed) -> RiskGrid:
    facts = sealed.facts
    table = pd.read_parquet(sealed.file("risk.parquet"))
    leaves = [name for name in facts["categories"] if name != ALL] or [ALL]
    table["leaf"] = pd.Categorical(table["category"], leaves).codes
    table = table[table["leaf"] >= 0].sort_values(["valid_from", "leaf", "hexagon"], kind="stable")
    shape = (len(facts["valid_from"]), len(leaves), -1)
    hexagons, intensity = (table[name].to_numpy().reshape(shape) for name in ("hexagon", "intensity"))
    first = table["geometry"].to_numpy(object)[: hexagons.shape[-1]]
    polygons = shapely.from_wkb(first) if facts.get("cells") == "polygons" else None
    usual = table["usual"].to_numpy().reshape(shape) if "usual" in table else None
    rate = table["denominator"].to_numpy(np.float32).reshape(shape)[:, 0] if "rate" in facts else None
    return RiskGrid.from_facts(facts, hexagons[0, 0].astype(str), intensity, usual, polygons, rate)


def short(values: np.ndarray) -> list[Any]:
    """Values as text formats spell them: finer than any forecast is known, and half the file; None for NaN."""
    found = values.round(8)
    if (unknown := np.isnan(found)).any():
        found = found.astype(object)
        found[unknown] = None
    return found.tolist()


def _write_geoparquet(path: Path, table: pd.DataFrame, geometry: np.ndarray) -> None:
    import geopandas

    texts = table.columns.intersection(["place", "hexagon", "category", "model"])
    text = table.astype(dict.fromkeys(texts, object))  # Arrow's plain strings: all read them
    frame = geopandas.GeoDataFrame(text, geometry=geometry, crs="EPSG:4326")
    frame.to_parquet(path, index=False, compression="zstd", schema_version="1.0.0")


def _write_csv(path: Path, table: pd.DataFrame, **more: np.ndarray) -> None:
    text = {str(name): _spelled(table[name]) for name in table.select_dtypes(exclude="number")}
    table.assign(**text, **more).to_csv(path, index=False, lineterminator="\n")


def _spelled(column: pd.Series) -> np.ndarray:
    """Times as ISO 8601, text made safe for spreadsheets; each distinct value is spelled once."""
    code, values = pd.factorize(column)
    if isinstance(values, pd.DatetimeIndex):
        return values.strftime("%Y-%m-%dT%H:%M:%SZ").to_numpy(object)[code]
    return np.array([harmless(value) for value in values], dtype=object)[code]


def _write_geojson(path: Path, grid: RiskGrid, outlines: np.ndarray, city: str) -> None:
    columns: dict[str, Any] = {} if grid.places is None else {"place": grid.places}
    columns["hexagon"] = grid.hexagons
    for index, category in enumerate(grid.categories):
        prefix = "" if category == ALL else f"{category}_"  # flat: GDAL would read a nested object as one text
        columns[f"{prefix}risk_horizon"] = short(grid.risk[HORIZON, index])
        columns[f"{prefix}intensity_horizon"] = short(grid.intensity[HORIZON, index])
        if grid.rates:
            columns[f"{prefix}rate_horizon"] = np.array(short(grid.rates["rate"][HORIZON, index]), object)
        columns[f"{prefix}rank_horizon"] = grid.rank[HORIZON, index].tolist()
        columns[f"{prefix}risk_by_step"] = short(grid.risk[:HORIZON, index].T)
    columns |= {"issue_time": iso(grid.issue_time), "model": grid.model}
    rows = zip(shapely.to_geojson(outlines), pd.DataFrame(columns).to_dict("records"), strict=True)
    features = [
        {"type": "Feature", "id": row["hexagon"], "geometry": json.loads(shape), "properties": row}
        for shape, row in rows
    ]
    apart = ("spreads", "joint", "districts", "places")
    metadata = {key: value for key, value in grid.facts(city).items() if key not in apart}
    collection = {"type": "FeatureCollection", "metadata": metadata, "features": features}
    path.write_text(json.dumps(collection, separators=(",", ":"), allow_nan=False, ensure_ascii=False) + "\n", "utf-8")
