"""Answers: plain values of what a grid says of hexagons, and their texts as JSON, GeoJSON and CSV."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd

from stforecast.config.sections import Allocation
from stforecast.delivery.api.served import Served, columns
from stforecast.delivery.plan import make_plan
from stforecast.delivery.plan_files import falls_of
from stforecast.delivery.riskgrid import iso
from stforecast.scoring.intensity import risk
from stforecast.spreadsheets import to_csv

PLAN_SECONDS = 2.0
"""That the search for the best choice of places may take."""


def to_json(value: Any) -> bytes:
    """Compact JSON in ASCII: no text of a client's can make it fail."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def latest(served: Served) -> dict[str, Any]:
    """What there is to say of the grid beside `Served.facts`."""
    grid, names = served.grid, ("time_zone", "step_hours", "categories", "assumptions", "credits")
    return {name: getattr(grid, name) for name in names} | {
        "step": grid.step_unit,
        "created": iso(served.stored.created),
        "hexagons": len(grid.hexagons),
        "cell": served.places.geometry.word,
        "resolution": served.places.geometry.resolution,
    }


def risk_rows(served: Served, interval: int, category: int, rows: np.ndarray) -> list[dict[str, Any]]:
    """A row a hexagon: where it is, and what `columns` gives."""
    latitude, longitude = served.places.centres[rows].T.round(6).tolist()
    called, names = ([of[row] for row in rows.tolist()] for of in (served.places.called, served.places.names))
    where = {"place": called, "hexagon": names, "latitude": latitude, "longitude": longitude}
    found = where | _at(served, interval, category, rows)
    return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]


def risk_geojson(served: Served, about: dict[str, Any], interval: int, category: int, rows: np.ndarray) -> bytes:
    """A FeatureCollection (RFC 7946), put together from outlines that were spelled once."""
    found = _at(served, interval, category, rows)
    for name in served.grid.rates:
        found[name] = ["null" if value is None else value for value in found[name]]
    form = ",".join(f'"{name}":%s' for name in found) + "}}"  # numbers alone: Python spells them as JSON does
    values = zip(*found.values(), strict=True)
    features = [served.places.features[row] + form % one for row, one in zip(rows.tolist(), values, strict=True)]
    head = to_json({"type": "FeatureCollection", "metadata": about})
    return head[:-1] + b',"features":[' + ",".join(features).encode("ascii") + b"]}"


def risk_csv(about: dict[str, Any], rows: list[dict[str, Any]]) -> bytes:
    """A line a hexagon; text that a spreadsheet would run as a formula gets an apostrophe before it."""
    constant = {name: about[name] for name in ("valid_from", "valid_until", "category")}
    constant |= {name: about["grid"][name] for name in ("issue_time", "complete_until", "model")}
    return to_csv(pd.DataFrame(rows).assign(**constant)).encode()


def hexagon(served: Served, row: int) -> dict[str, Any]:
    """Everything the grid says of one hexagon: the whole horizon and each step, by category."""
    grid, places, whole, (name, local) = served.grid, served.places, served.whole, served.grid.local
    steps = _by_category(grid.categories, columns(served, np.s_[:whole, :, row]))
    together = _by_category(grid.categories, columns(served, np.s_[whole:, :, row], np.s_[None, :, row]))
    latitude, longitude = places.centres[row].round(6).tolist()
    return {
        "place": places.called[row],
        "hexagon": places.names[row],
        "latitude": latitude,
        "longitude": longitude,
        "district": None if grid.districts is None else grid.districts[row],
        "horizon": {**served.spans[whole], "categories": together[0]},
        "steps": [
            {**span, name: at if name == "local_hour" else str(at), "categories": values}
            for span, at, values in zip(served.spans[:whole], local.tolist(), steps, strict=True)
        ],
    }


def usual(served: Served, rows: np.ndarray, **asked: int) -> list[dict[str, Any]]:
    """Expected events and risk of a step at `rows` together, by category; `asked` as in `UsualCycle.intensity`."""
    assert served.stored.usual is not None
    leaves = served.stored.usual.intensity(**asked)[rows].sum(0)
    names = served.grid.categories
    lam = np.concatenate([[leaves.sum()], leaves]) if len(names) > len(leaves) else leaves
    return [
        {"category": name, "intensity": round(float(value), 8), "risk": round(float(risk(value)), 8)}
        for name, value in zip(names, lam, strict=True)
    ]


def _at(served: Served, interval: int, category: int, rows: np.ndarray) -> dict[str, list[Any]]:
    return columns(served, (interval, category, rows), (category, rows) if interval == served.whole else None)


def _by_category(categories: tuple[str, ...], found: dict[str, list[Any]]) -> list[list[dict[str, Any]]]:
    """Columns [k c] as a list of the categories for each k."""
    return [
        [
            {"category": name, **dict(zip(found, cell, strict=True))}
            for name, cell in zip(categories, zip(*row, strict=True), strict=True)
        ]
        for row in zip(*found.values(), strict=True)
    ]


def plan(served: Served, allocation: Allocation, shift: str | None) -> dict[str, Any]:
    """Places to cover, as plan.json says them.

    Raises:
        ConfigError: the allocation does not fit the grid.
    """
    held = None if shift is None else served.shifts_held[shift]
    made = make_plan(served.grid, allocation, held, PLAN_SECONDS)
    return made.facts() | falls_of(made, served.residents)
