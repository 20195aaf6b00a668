"""Page, briefing, service, CSV, GeoJSON and risk.parquet say the same of a place, to the digits that are shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import pytest
import shapely
from fastapi.testclient import TestClient
from small_grids import FACTS, ISSUED, grid, store_of, usual
from test_brief import text_of
from test_webmap_browser import CHROMIUM, Window, browser  # noqa: F401  # a fixture

from stforecast.config import load
from stforecast.delivery.api.app import create_app
from stforecast.delivery.api.keeper import Keeper
from stforecast.delivery.brief import brief_of
from stforecast.delivery.brief_pdf import pdf_of
from stforecast.delivery.export import write_grid
from stforecast.delivery.rates import Denominator
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.delivery.shifts import shifts_of
from stforecast.delivery.sums import range_of_sum

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
DRAWS = 200
CLOSE = 2.0**-11
"""How near the page's usual is to the tables' (`compact`)."""


def city(kind: str) -> RiskGrid:
    """A grid of 61 hexagons, or of 48 areas, with everything that numbers are shown of."""
    polygons: dict[str, Any] = {}
    count = 61
    if kind == "polygons":
        count = 48
        squares = [
            shapely.box(
                -105 + 0.01 * (i % 8), 39.7 + 0.01 * (i // 8), -104.99 + 0.01 * (i % 8), 39.71 + 0.01 * (i // 8)
            )
            for i in range(count)
        ]
        polygons = {"polygons": np.array(squares, object), "hexagons": np.array([f"A/{i} & <b>" for i in range(count)])}
    rng = np.random.default_rng(3)
    shape = (1, 24, count, 2)
    for name in ("intensity", "usual"):
        drawn = rng.gamma(0.5, 0.1, shape) * 10 ** rng.uniform(-3, 1, (count, 1))
        polygons[name] = np.maximum(drawn, 1e-4).astype(np.float32)  # text files have eight decimals
    made = grid(rings=4, districts=np.array(["North", "South", None] * 40, object)[:count], **polygons)
    people = rng.gamma(0.7, 600, count).astype(np.float32)
    people[:3] = np.nan, 0, 99
    names = np.array([f"Street {i} & Avenue" for i in range(count)], object)
    return replace(made, places=names, denominator=Denominator("residents", 1000, 100, people))


class Sources:
    """What everything that is handed out says of a cell in an interval."""

    def __init__(self, of: RiskGrid, folder: Path) -> None:
        self.of = of
        write_grid(of, folder / "grid", "denver")
        self.page = (folder / "grid/map.html").as_uri()
        read = {"parquet": pd.read_parquet, "csv": pd.read_csv}
        self.tables = {
            f"{name}.{kind}": opened(folder / f"grid/{name}.{kind}")
            .assign(valid_from=lambda rows: pd.to_datetime(rows["valid_from"], utc=True))
            .set_index(["category", "hexagon"])
            .sort_index()
            for name in ("risk", "risk_horizon")
            for kind, opened in read.items()
        }
        features = json.loads((folder / "grid/risk.geojson").read_text())["features"]
        self.geojson = {one["properties"]["hexagon"]: one["properties"] for one in features}
        config = load("quickstart", [f"root={folder}"])
        self.store = store_of(config)
        self.store.put(of, usual(of), FACTS, ISSUED)
        self.client = TestClient(
            create_app(config, Keeper(store_of(config), lambda: ISSUED)), base_url="http://localhost"
        )

    def said(self, category: str, cell: str, steps: range, shift: str | None) -> dict[str, dict[str, Any]]:
        """By source: intensity, risk, rank, usual, rate, low and high, as far as it has them."""
        found: dict[str, dict[str, Any]] = {}
        whole, one = len(steps) == self.of.horizons, len(steps) == 1
        for kind in ("parquet", "csv"):
            if whole:
                found[kind] = self.tables[f"risk_horizon.{kind}"].loc[[(category, cell)]].iloc[0].to_dict()
                continue
            rows = (
                self.tables[f"risk.{kind}"].loc[(category, cell)].set_index("valid_from").loc[self.of.starts[[*steps]]]
            )
            found[kind] = rows.iloc[0].to_dict() if one else rows[["intensity", "usual"]].cumsum().iloc[-1].to_dict()
        asked: dict[str, Any] = {"category": category}
        if shift is not None:
            asked["shift"] = shift
        elif one:
            asked["time"] = self.of.starts[steps[0]].isoformat()
        rows = self.client.get("/v1/risk", params=asked).json()["rows"]
        found["service"] = next(row for row in rows if row["hexagon"] == cell)
        if whole or one:
            every = self.client.get(f"/v1/hexagons/{quote(cell)}").json()
            at = every["horizon"] if whole else every["steps"][steps[0]]
            found["of one"] = next(row for row in at["categories"] if row["category"] == category)
        properties, prefix = self.geojson[cell], "" if category == "all" else f"{category}_"
        if whole:
            found["geojson"] = {name: properties[f"{prefix}{name}_horizon"] for name in ("intensity", "risk", "rank")}
        elif one:
            found["geojson"] = {"risk": properties[f"{prefix}risk_by_step"][steps[0]]}
        return found


def spelled(value: float) -> str:
    """Two significant digits, as readers of English have them; a half is rounded up."""
    exact = Decimal(float(value))
    if not exact:
        return "0"
    unit = Decimal(1).scaleb(exact.adjusted() - 1)
    text = f"{exact.quantize(unit, ROUND_HALF_UP):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@pytest.fixture(scope="module", params=["hexagons", "polygons"])
def sources(request, tmp_path_factory) -> Iterator[Sources]:
    found = Sources(city(request.param), tmp_path_factory.mktemp(request.param))
    yield found
    found.store.close()


def test_two_hundred_numbers_agree_to_the_digits_shown(sources: Sources, browser) -> None:  # noqa: F811
    of, rng = sources.of, np.random.default_rng(0)
    shifts = {name: one.steps for name, one in shifts_of(of).items()}
    with Window(browser, sources.page) as opened:
        for _ in range(DRAWS):
            cell, category = int(rng.integers(len(of.hexagons))), int(rng.integers(len(of.categories)))
            shift = None
            kind = rng.integers(3)
            steps = range(of.horizons)
            if kind == 1:
                first = int(rng.integers(of.horizons))
                steps = range(first, first + 1)
            elif kind == 2:
                shift = str(rng.choice([*shifts]))
                steps = shifts[shift]
            span = [steps[0], steps[-1]]
            opened.page.evaluate(
                "([span, category, cell]) => { choose({ span, category }); pin(cell); }", [span, category, cell]
            )
            page, name = opened.facts(), str(of.hexagons[cell])
            assert page["id"] == name
            said = sources.said(of.categories[category], name, steps, shift)
            about = (name, of.categories[category], span, page, said)
            for source, one in said.items():
                if "intensity" in one:
                    assert page["expected"] == spelled(one["intensity"]), (source, about)
                if "risk" in one:
                    assert page["risk"] == f"{spelled(100 * one['risk'])} %", (source, about)
                if "rank" in one:
                    assert page["rank"] == f"{one['rank']} of {len(of.hexagons)}", (source, about)
                if "usual" in one:
                    near = {spelled(one["usual"] * factor) for factor in (1 - CLOSE, 1, 1 + CLOSE)}
                    assert page["usual"] in near, (source, about)
                if "rate" in one:
                    none = one["rate"] is None or np.isnan(one["rate"])
                    shown = "not shown" if none else spelled(one["rate"])
                    assert page["rate"].split(":")[0] == shown, (source, about)
                if "low" in one:
                    assert page["interval"] == f"{one['low']} to {one['high']} reports", (source, about)
            inside = np.arange(of.horizons)
            low, high = range_of_sum(
                of, np.arange(len(of.hexagons)) == cell, (inside >= span[0]) & (inside <= span[1]), category
            )
            assert page["interval"] == f"{low} to {high} reports", about
            assert {"parquet", "csv", "service"} <= {*said}


@pytest.mark.parametrize("shift", [None, "day", "evening", "night"])
def test_the_briefing_has_the_numbers_of_the_page(sources: Sources, browser, shift: str | None) -> None:  # noqa: F811
    of = sources.of
    made = brief_of(of, "denver", shift)
    words = re.sub(r"[ \t]+", " ", text_of(pdf_of(made, [])))
    steps = range(of.horizons) if shift is None else shifts_of(of)[shift].steps
    assert len(made.top) == 10
    with Window(browser, sources.page) as opened:
        for place, cell in enumerate(made.top.tolist(), 1):
            opened.page.evaluate(
                "([span, cell]) => { choose({ span, category: 0 }); pin(cell); }", [[steps[0], steps[-1]], cell]
            )
            page = opened.facts()
            low, high = re.findall(r"\d+", page["interval"])
            assert page["rank"].startswith(f"{place} of ")
            row = [
                place,
                of.places[cell],
                of.districts[cell] or "–",
                page["expected"],
                f"{low}–{high}",
                page["risk"],
            ]
            assert " ".join(map(str, row)) in words, (row, words)
