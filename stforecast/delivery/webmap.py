"""A risk grid as an interactive map: what it shows (`view_of`), the page (`page`), both in one file (`write_map`).

The page is plain HTML, CSS and JavaScript in `web/`, drawn with Leaflet (BSD-2-Clause, version 1.9.4, unchanged) on a
canvas, without tiles. Opened as a file it holds everything and asks for nothing; served, it fetches its view from
`v1/view` and looks at `v1/grids/latest` once a minute.
"""

from __future__ import annotations

import base64
import json
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely

from stforecast.cube.hexgrid import areas_km2, from_names, polygons
from stforecast.delivery.map import TOP_SHARE, class_bounds, class_colours, class_labels, local_text
from stforecast.delivery.riskgrid import NOTICE, RiskGrid, risk
from stforecast.files import atomic_path

PARTS = ("page.html", "leaflet.css", "app.css", "leaflet.js", "grid.js", "map.js", "facts.js", "app.js")
"""The page and what it links to by these names, relative to where it is served from."""
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
"""Of the file: everything in it may run, nothing may be asked for."""
DIGITS = 6  # decimals of a degree (0.1 m)


def view_of(grid: RiskGrid, city: str, observed: np.ndarray | None = None) -> dict[str, Any]:
    """What the page shows of a grid, as plain values for JSON.

    observed: reports counted in the hours of the grid, in the shape and order of its intensity, [k n c].

    `intensity`, `usual` and `observed` are base64 of little-endian float32 [c k n]. They leave out the category `all`
    where there are others: the page sums these in double precision, as `RiskGrid` does, so that sums and ranks are
    those of risk.parquet to the last digit. Places are latitude, longitude, as Leaflet takes them; longitudes run on
    past ±180°. Borders are closed rings.

    Raises:
        ArtefactError: the hexagons are not H3 cells.
    """
    cells = from_names(grid.hexagons.tolist())
    outlines = _unbroken(polygons(cells))
    day, count = grid.day, (len(grid.categories), len(grid.hexagons))
    place = pd.Index(grid.hexagons).get_indexer(pd.Index(day["hexagon"])).reshape(count)
    order = np.argsort(place, axis=1)

    def of_the_day(column: str) -> list[list[int]] | None:
        return np.take_along_axis(day[column].to_numpy().reshape(count), order, 1).tolist() if column in day else None

    districts = None if grid.districts is None else [None if pd.isna(name) else str(name) for name in grid.districts]
    return {
        "city": city,
        "title": city.replace("_", " ").title(),
        "notice": NOTICE,
        "model": grid.model,
        "time_zone": grid.time_zone,
        "issue_time": _iso(grid.issue_time),
        "complete_until": _iso(grid.complete_until),
        "complete_until_label": local_text(grid.complete_until, grid.time_zone),
        "assumptions": list(grid.assumptions),
        "hours": [
            {"start": _iso(start), "label": label}
            for start, label in zip(grid.valid_from, hour_labels(grid), strict=True)
        ],
        "day_label": " to ".join(
            local_text(grid.issue_time + pd.Timedelta(hours=hours), grid.time_zone) for hours in (0, 24)
        ),
        "categories": list(grid.categories),
        "hexagons": grid.hexagons.tolist(),
        "outlines": _rings(outlines),
        "area_km2": areas_km2(cells).round(DIGITS).tolist(),
        "top_share": TOP_SHARE,
        "border": _rings(shapely.coverage_union_all(outlines)),
        "districts": districts,
        "district_borders": _district_borders(outlines, districts) if districts else [],
        "intensity": _packed(grid.intensity),
        "usual": None if grid.usual is None else _packed(grid.usual),
        "observed": None if observed is None else _packed(observed),
        "low": of_the_day("low"),
        "high": of_the_day("high"),
        "level": next((spread.level for spread in grid.spreads.values()), None),
        "classes": {
            "expected": {"hour": _classes(grid.intensity), "day": _classes(grid.day_intensity)},
            "risk": {"hour": _classes(100 * risk(grid.intensity)), "day": _classes(100 * risk(grid.day_intensity))},
        },
    }


def write_map(view: dict[str, Any], path: Path) -> None:
    """Write the page and its view as one HTML file that asks for nothing outside itself."""
    parts = page()
    text = parts.pop("page.html").decode()
    data = json.dumps(view, separators=(",", ":"), allow_nan=False, ensure_ascii=False).replace("<", "\\u003c")
    for name, content in parts.items():
        kind = "style" if name.endswith(".css") else "script"
        link = f'<link rel="stylesheet" href="{name}">' if kind == "style" else f'<script src="{name}"></script>'
        before, after = text.split(link)
        text = f"{before}<{kind}>\n{content.decode()}</{kind}>{after}"
    before, after = text.split('<meta charset="utf-8">')
    text = f'{before}<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{POLICY}">{after}'
    before, after = text.split("<noscript>")
    text = f'{before}<script id="view" type="application/json">{data}</script>\n<noscript>{after}'
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def page() -> dict[str, bytes]:
    """The page and its parts by name, without a view.

    A service answers `/` with page.html and `/NAME` with each part. It holds neither inline script nor inline style.
    """
    folder = files("stforecast.delivery") / "web"
    return {name: (folder / name).read_bytes() for name in PARTS}


def hour_labels(grid: RiskGrid) -> list[str]:
    """A label a step in local time, [k]: distinct where a clock change repeats an hour, because the zone is named."""
    edges = [*grid.valid_from, grid.issue_time + pd.Timedelta(hours=24)]
    local = [time.tz_convert(grid.time_zone) for time in edges]
    clock = "%H:%M %Z" if len({time.utcoffset() for time in local}) > 1 else "%H:%M"
    return [
        f"{begin:%a} {begin.day} {begin:%b} {begin.strftime(clock)} to {end.strftime(clock)}"
        for begin, end in pairwise(local)
    ]


def _packed(values: np.ndarray) -> str:
    """Values [k n c] as base64 of float32 [c k n], without the sum over categories."""
    leaves = values[:, :, 1:] if values.shape[-1] > 1 else values
    return base64.b64encode(np.ascontiguousarray(leaves.transpose(2, 0, 1), "<f4").tobytes()).decode()


def _classes(values: np.ndarray) -> list[dict[str, Any]]:
    """Classes of every category of values [… c], as on the PNG."""
    bounds = [class_bounds(values[..., index].ravel()) for index in range(values.shape[-1])]
    return [{"bounds": b.tolist(), "labels": class_labels(b), "colours": class_colours(len(b) + 1)} for b in bounds]


def _unbroken(outlines: np.ndarray) -> np.ndarray:
    """Outlines [n], to `DIGITS`, whose longitudes run on past ±180°, so that none is cut and neighbours touch."""
    first = shapely.get_coordinates(outlines[0])[0, 0]

    def near(places: np.ndarray) -> np.ndarray:
        longitude = first + (places[:, 0] - first + 180) % 360 - 180
        return np.column_stack([longitude, places[:, 1]]).round(DIGITS)

    moved = shapely.transform(outlines, near)
    cut = shapely.get_num_geometries(moved) > 1
    moved[cut] = [shapely.coverage_union_all(shapely.get_parts(outline)) for outline in moved[cut]]
    return shapely.get_geometry(moved, 0)


def _district_borders(outlines: np.ndarray, districts: list[str | None]) -> list[Any]:
    names = pd.Series(districts, dtype=object)
    parts = [outlines[rows] for rows in names.groupby(names).indices.values()]
    return _rings(np.array([shapely.coverage_union_all(part) for part in parts]))


def _rings(shapes: shapely.Geometry | np.ndarray) -> list[Any]:
    """Every ring of shapes as [[latitude, longitude] …]."""
    places, ring = shapely.get_coordinates(shapely.get_rings(shapely.get_parts(shapes)), return_index=True)
    return [part.tolist() for part in np.split(places[:, ::-1], np.flatnonzero(np.diff(ring)) + 1)]


def _iso(time: pd.Timestamp) -> str:
    return time.tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ")
