"""How fast the interactive map is, as a file in Chromium: a city of 20,000 hexagons, 24 hours, 4 categories, streets.

    python scripts/bench/map.py [--rings 81] [--throttle 1]

Numbers are drawn, but spread over places and hours as Denver's are: drawn one by one, nothing could shorten them.

Prints the size of the file, when it is ready, and for every control and move the processor time of the page's main
thread: of the longest task, which is what a frame may wait for, and of all.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import h3
import numpy as np
import pandas as pd
from streets import SQUARE, street_map

from stforecast.config.sections import Allocation
from stforecast.delivery.around import around
from stforecast.delivery.layers import map_layer
from stforecast.delivery.place_names import place_names
from stforecast.delivery.residents import Residents, plan_view
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.delivery.webmap import view_of, write_map
from stforecast.delivery.why import WORDS, flagged, spans_of, to_values
from stforecast.events.synthetic_layers import write_layers
from stforecast.forecasters.forecast import Forecast
from stforecast.scoring.conformal import Spread
from stforecast.scoring.joint import JointSpread

CATEGORIES = ("theft", "violence", "damage", "robbery")
MIDDLE = (39.0, -102.5)
ISSUED = pd.Timestamp("2024-09-30T06:00Z")
CONTROLS = {
    "hour": "{ span: [5, 5] }",
    "category": "{ category: 2 }",
    "shift": "{ span: [9, 16] }",
    "measure": '{ measure: "risk" }',
    "budget of the plan": "{ area: 80 }",
    "rule of the plan": "(plan.rule = 'proportion', {})",
    "weights of the plan": "(plan.weights = [1, 2, 3, 4.5], {})",
}
CORNERS = "[[-102.6, 38.93], [-102.4, 38.93], [-102.38, 39.07], [-102.62, 39.05]]"
SELECTIONS = {
    "select an area": f"select(cellsIn([[{CORNERS}]]))",
    "select one hexagon more": "toggle([77])",
    "select the whole city": "select([...Array(grid.n).keys()])",
    "undo": "byId('selection-undo').click()",
    "clear": "select([])",
    "save all as CSV": "asCsv(exported())",
    "save all as GeoJSON": "asGeoJson(exported())",
    "save all as KML": "asKml(exported())",
    "save as PNG": "exportAs('png')",
}
MOVES = {
    "arrow key": "byId('map').focus(), byId('map').dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowUp' }))",
    "pan": "city.map.panBy([300, 200])",
    "zoom in": "city.map.setZoom(city.map.getZoom() + 2)",
    "pan near": "city.map.panBy([300, 100])",
    "zoom in near": "city.map.setZoom(city.map.getZoom() + 1.5)",
    "zoom out": "city.map.setZoom(city.map.getZoom() - 3.5)",
}
TASKS = ["disabled-by-default-devtools.timeline", "devtools.timeline", "toplevel"]


def work_of(trace: bytes) -> list[float]:
    """Milliseconds that each piece of work of a page's main thread took of a processor, the longest last."""
    events = json.loads(trace)["traceEvents"]
    main = {
        (e["pid"], e["tid"]) for e in events if e["name"] == "thread_name" and e["args"]["name"] == "CrRendererMain"
    }
    tasks = [e for e in events if e["name"].endswith("RunTask") and (e["pid"], e["tid"]) in main]
    return sorted(e.get("tdur", e.get("dur", 0)) / 1000 for e in tasks)


def numbers(cells: int) -> tuple[np.ndarray, np.ndarray]:
    """λ and what is usual, [1 k n c]: usual has the entropy of Denver's, hour by hour, and so has λ beside it."""
    rng, shape = np.random.default_rng(0), (24, cells, 4)
    level = np.exp(rng.normal(-5, 1, (1, cells, 1)) + rng.normal(0, 0.5, (1, *shape[1:])))
    profile = np.exp(0.6 * np.sin(2 * np.pi * (np.arange(24)[:, None, None] - 9) / 24) + rng.normal(0, 0.1, (24, 1, 4)))
    usual = level * profile * np.exp(np.cumsum(rng.normal(0, 0.06, shape), axis=0))
    expected = usual * np.exp(rng.normal(0, 0.15, (1, *shape[1:])) + np.cumsum(rng.normal(0, 0.05, shape), axis=0))
    return expected[None].astype(np.float32), usual[None].astype(np.float32)


def city(rings: int, resolution: int, folder: Path) -> Path:
    """The map of a simulated city."""
    cells = np.array(h3.grid_disk(h3.latlng_to_cell(*MIDDLE, resolution), rings))
    intensity, usual = numbers(len(cells))
    forecast = Forecast(
        intensity=intensity,
        usual=usual,
        issue_times=pd.DatetimeIndex([ISSUED]),
        hexagons=cells,
        categories=CATEGORIES,
        step_hours=1,
        time_zone="America/Denver",
        model="none",
        complete_until=ISSUED,
        assumptions=(),
        spreads=dict.fromkeys(("all", *CATEGORIES), Spread(0.9, 0.3, (), (0.05,), (0.95,))),
        joint=dict.fromkeys(("all", *CATEGORIES), JointSpread(0.9, (0.1, 0.01, 0, 0.1, 0, 0, 0.2))),
        districts=np.array([f"{row * 40 // len(cells)}" for row in range(len(cells))], object),
    )
    grid = RiskGrid.of(forecast)
    write_layers(street_map(*MIDDLE, round(np.sqrt(1e6 * grid.geometry.areas_km2.sum()) / SQUARE)), folder)
    layers = [map_layer(path.stem, None, path, "name", grid.geometry) for path in sorted(folder.glob("*.geojson"))]
    grid = replace(grid, places=place_names(grid.geometry, layers))
    rng = np.random.default_rng(1)
    known = (
        pd.DataFrame({"residents": rng.gamma(2, 50, len(cells))}),
        pd.DataFrame({"deprivation": rng.random(len(cells))}),
    )
    view = view_of(
        grid, "simulated_city", around=around(layers), plan=plan_view(Allocation(), Residents(*known)), why=why(grid)
    )
    write_map(view, folder / "map.html")
    return folder / "map.html"


def why(grid: RiskGrid) -> dict[str, Any]:
    """Parts of the numbers of the flagged places, and their last four weeks."""
    rng, spans, groups = np.random.default_rng(2), spans_of(grid), tuple(WORDS)
    rows = flagged(grid, spans)
    spread = np.array([1, 0.01, 0.01, 0.02, 0, 0.15, 0.1, 0.03])  # of the usual and of what follows it
    parts = rng.normal(0, spread[:, None, None, None], (len(groups), len(spans), len(grid.categories), len(rows)))
    days = [f"{day:%Y-%m-%d}" for day in pd.date_range("2024-09-02", periods=28)]
    counts = rng.poisson(0.3, (len(rows), 4, 7))
    recent = {"days": days, "counts": counts.reshape(len(rows), -1).tolist(), "weeks": counts.sum(2).tolist()}
    contents = {name: [name] for name in CATEGORIES}
    held = {"recent": {**recent, "least": 1, "without": []}, "contents": contents}
    return to_values(groups, spans, grid.hexagons[rows], parts) | held


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rings", type=int, default=81)
    parser.add_argument("--throttle", type=float, default=1, help="how many times slower the processor is made")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        path = city(asked.rings, 9, Path(folder))
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": asked.throttle})
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        print(f"{path.stat().st_size / 1e6:.1f} MB, ready in {float(page.get_attribute('html', 'data-ready')):.0f} ms")
        for name, asked_for in {**{k: f"choose({v})" for k, v in CONTROLS.items()}, **SELECTIONS, **MOVES}.items():
            page.wait_for_timeout(500)
            browser.start_tracing(page=page, categories=TASKS)
            page.evaluate(f"() => {{ {asked_for}; }}")
            page.wait_for_timeout(2000)
            work = work_of(browser.stop_tracing())
            print(f"{name}: longest task {work[-1]:.0f} ms, all {sum(work):.0f} ms")


if __name__ == "__main__":
    main()
