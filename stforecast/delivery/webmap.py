"""A risk grid as an interactive map: what it shows (`view_of`), the page (`page`), both in one file (`write_map`).

The page is plain HTML, CSS and JavaScript in `web/`, drawn with Leaflet (BSD-2-Clause, version 1.9.4, unchanged) on a
canvas. Opened as a file it holds everything and asks for nothing, but for the online tiles that a configuration names;
served, it fetches its view from `v1/view` and `v1/around` and looks at `v1/grids/latest` once a minute.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely

from stforecast.config.sections import SHIFTS, Allocation, Hours
from stforecast.config.sections.map import host_of
from stforecast.cube.geometry import Geometry
from stforecast.cube.hexgrid import DIGITS, rounded
from stforecast.delivery.compact import intensity_and_usual, letters, planes, rings, to_gzip, to_text
from stforecast.delivery.map import MOST_CLASSES, TOP_SHARE, class_bounds, class_colours
from stforecast.delivery.rates import HOUR
from stforecast.delivery.residents import plan_view
from stforecast.delivery.riskgrid import HORIZON, RiskGrid, iso
from stforecast.delivery.shifts import shifts_of
from stforecast.delivery.sums import view_of_sums
from stforecast.delivery.why import in_view
from stforecast.delivery.words import WARNINGS, zone_names
from stforecast.files import write_text

LINK = re.compile(r'(?:src|href)="([\w.]+)"')
"""In page.html: the name of a part of the page, relative to where it is served from."""
LARGE = 4_000_000
"""Letters of a view above which a file holds it compressed, which browsers read since 2023."""
FACTS = (
    *("city", "model", "time_zone", "issue_time", "complete_until"),
    *("step_unit", "step_hours", "assumptions", "categories", "districts"),
)
"""What the page shows of `RiskGrid.facts`."""
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
"""Of the file: everything in it may run, nothing may be asked for; with tiles, pictures of their host."""


def view_of(
    grid: RiskGrid,
    city: str,
    reported: dict[str, Any] | None = None,
    shifts: Mapping[str, Hours] = SHIFTS,
    around: dict[str, Any] | None = None,
    comparison: dict[str, Any] | None = None,
    plan: dict[str, Any] | None = None,
    why: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What the page shows of a grid, as plain values for JSON, and bytes.

    Args:
        grid: of cells with outlines.
        city: its name.
        around: what `around.around` gives, if the page is to hold it.
        reported: reports in the horizon, of the categories without `all`, as `small_counts.reported_view` gives them.
        shifts: from and to which local hour each lasts.
        comparison: with the year before, as the pipeline gives it.
        plan: as `residents.plan_view` gives it.
        why: parts of its numbers, as `why` describes them.

    Returns:
        Numbers of cells and outlines as bytes (`compact`), without the category `all` where there are others: the page
        adds these in the order of `with_sums`, so that sums and ranks are those of risk.parquet to the last digit.
        `times`: when each step begins, and the last ends. Places as latitude, longitude, which run on past ±180°.

    Raises:
        ArtefactError: the hexagons have no outlines.
    """
    cells = grid.geometry
    facts, low_high = grid.facts(city), [None, None] if grid.bounds is None else grid.bounds.tolist()
    values = {"expected": grid.intensity, "risk": 100 * grid.risk}
    if grid.rates:
        values["rate"] = grid.rates["rate"]
    usual = None if grid.usual is None else grid.leaves(grid.usual)
    return {name: facts[name] for name in FACTS} | {
        "title": city.replace("_", " ").title(),
        "credits": list(grid.credits),
        "warnings": [name for name, words in WARNINGS.items() if words in grid.assumptions],
        "times": [iso(time) for time in [*grid.starts[:HORIZON], grid.ends[HORIZON]]],
        "zones": zone_names(grid),
        "shifts": [
            {
                "name": name,
                "label": shift.label,
                "hours": list(shifts[name]) if shift.hours else None,
                "span": [shift.steps[0], shift.steps[-1]],
                "cut": bool(shift.cut),
            }
            for name, shift in shifts_of(grid, shifts).items()
        ],
        "places": None if grid.places is None else grid.places.tolist(),
        "hexagons": grid.hexagons.tolist(),
        "cell": cells.word,
        "outlines": rings(rounded(cells.unbroken), 10.0**-DIGITS),
        "centres": planes(np.diff((cells.centres * 10**DIGITS).round().astype(np.int64), axis=0, prepend=0)),
        "area_km2": cells.areas_km2.round(DIGITS).tolist(),
        "top_share": TOP_SHARE,
        "border": _rings(cells.union()),
        "district_borders": rings(_districts(cells, grid.districts), 10.0**-DIGITS),
        **intensity_and_usual(grid.leaves(grid.intensity), usual),
        "rate": _rate(grid),
        "reported": reported,
        "around": around,
        "comparison": comparison,
        "why": why and in_view(why),
        "plan": plan or plan_view(Allocation(), None),
        "sums": view_of_sums(grid),
        "low": low_high[0],
        "high": low_high[1],
        "level": next((spread.level for spread in grid.spreads.values()), None),
        "classes": {
            name: {"step": _classes(one[:HORIZON]), "horizon": _classes(one[HORIZON:])} for name, one in values.items()
        },
        "colours": [class_colours(count) for count in range(MOST_CLASSES + 1)],
    }


def write_map(view: dict[str, Any], path: Path) -> None:
    """Write the page and its view as one HTML file that asks for nothing outside itself."""
    parts = page()
    text, tiles = parts.pop("page.html").decode(), (view["around"] or {}).get("tiles")
    policy = POLICY + (f" {host_of(tiles['url'])}" if tiles else "")
    data, kind = to_text(view, escape=False).replace("<", "\\u003c"), 'type="application/json"'
    for name, content in parts.items():
        tag = "style" if name.endswith(".css") else "script"
        link = f'<link rel="stylesheet" href="{name}">' if tag == "style" else f'<script src="{name}"></script>'
        before, after = text.split(link)
        text = f"{before}<{tag}>\n{content.decode()}</{tag}>{after}"
    before, after = text.split('<meta charset="utf-8">')
    text = f'{before}<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{policy}">{after}'
    before, after = text.split("<noscript>")
    if len(data) > LARGE:
        packed = to_gzip(view)
        data, kind = letters(packed), f'type="application/gzip" data-bytes="{len(packed)}"'
    text = f'{before}<script id="view" {kind}>{data}</script>\n<noscript>{after}'
    write_text(path, text)


def page() -> dict[str, bytes]:
    """The page and its parts by name, without a view.

    A service answers `/` with page.html and `/NAME` with each part. It holds neither inline script nor inline style.
    """
    folder = files("stforecast.delivery") / "web"
    links = LINK.findall((folder / "page.html").read_text("utf-8"))
    return {name: (folder / name).read_bytes() for name in ("page.html", *links)}


def _rate(grid: RiskGrid) -> dict[str, Any] | None:
    """What the page makes rates of: `values` as base64 of float32, [n], or [k n] of exposure; None without any."""
    if (below := grid.denominator) is None:
        return None
    lengths = grid.ends - grid.starts
    return below.facts(lengths) | {
        "values": base64.b64encode(np.ascontiguousarray(below.values, "<f4").tobytes()).decode(),
        "hours": [length / HOUR for length in lengths],
    }


def _classes(values: np.ndarray) -> list[list[float]]:
    """Limits between the classes of every category of values [i c n], as on the PNG."""
    each = [values[:, index].ravel() for index in range(values.shape[1])]
    return [class_bounds(one[~np.isnan(one)]).tolist() for one in each]


def _districts(cells: Geometry, districts: np.ndarray | None) -> np.ndarray:
    """The outline of each district."""
    names = pd.Series(districts, dtype=object)
    return np.array([cells.union(rows) for rows in names.groupby(names).indices.values()], object)


def _rings(shapes: shapely.Geometry | np.ndarray) -> list[Any]:
    """Every ring of shapes as [[latitude, longitude] …]."""
    places, ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(shapes)), return_index=True)
    return [part.tolist() for part in np.split(places[:, ::-1], np.flatnonzero(np.diff(ring)) + 1)]
