"""A plan as files for a spreadsheet, a GIS and scripts.

places.csv       a row a place: the chosen ones in their order, then those left out, with the reason in `left_out`
places.geojson   RFC 7946, the same with outlines
plan.json        what is covered, against what is usual; rule, budget, weights; how places fall on districts and tenths
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely

from stforecast.cube.hexgrid import rounded
from stforecast.delivery.plan import Plan
from stforecast.delivery.residents import Residents, by_district, by_tenth
from stforecast.delivery.riskgrid import NOTICE, iso
from stforecast.errors import ConfigError
from stforecast.files import atomic_folder, write_json, write_text
from stforecast.spreadsheets import to_csv

FACTS = "plan.json"


def write_plan(plan: Plan, folder: Path, city: str, residents: Residents) -> None:
    """Write a plan into `folder`, whole or not at all; an older plan is replaced.

    Args:
        plan: what to write.
        folder: where.
        city: its name.
        residents: of the cells.

    Raises:
        ConfigError: the folder holds other files, which would be lost.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / FACTS).is_file():
        raise ConfigError(f"{folder}: holds other files. Name a folder that is not there yet.")
    grid, table = plan.grid, plan.table.round(8)
    facts = {
        "city": city,
        "issue_time": iso(grid.issue_time),
        "time_zone": grid.time_zone,
        "model": grid.model,
        "notice": NOTICE,
        **plan.facts(),
        "assumptions": list(grid.assumptions),
        **({"credits": list(grid.credits)} if grid.credits else {}),
    }
    with atomic_folder(folder) as temporary:
        write_text(temporary / "places.csv", to_csv(table))
        write_text(temporary / "places.geojson", _geojson(plan, table, facts))
        write_json(temporary / FACTS, facts | falls_of(plan, residents))


def falls_of(plan: Plan, residents: Residents) -> dict[str, Any]:
    """A plan in words, its places, and how these fall on districts and on who lives there, as plain values."""
    people, other = residents.people, residents.other
    return {
        "in_words": plan.lines(),
        "places": _rows(plan.table.round(8)),
        "districts": _rows(by_district(plan, people)),
        "tenths": {str(name): _rows(by_tenth(plan, other[name], people)) for name in other},
    }


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain values, None where there is none."""
    columns = [str(name) for name in table]
    values = table.astype(object).where(table.notna(), None).to_numpy(object).tolist()
    return [dict(zip(columns, row, strict=True)) for row in values]


def _geojson(plan: Plan, table: pd.DataFrame, facts: dict[str, Any]) -> str:
    at = pd.Index(plan.grid.hexagons).get_indexer(pd.Index(table["hexagon"]))
    shapes = shapely.to_geojson(rounded(plan.grid.geometry.outlines[at])) if len(at) else np.array([])
    features = [
        {"type": "Feature", "id": row["hexagon"], "geometry": json.loads(shape), "properties": row}
        for shape, row in zip(shapes, _rows(table), strict=True)
    ]
    collection = {"type": "FeatureCollection", "metadata": facts, "features": features}
    return json.dumps(collection, allow_nan=False, ensure_ascii=False, separators=(",", ":")) + "\n"
