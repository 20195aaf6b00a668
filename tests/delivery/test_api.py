"""The service on a real store: every question, what is refused, and what is said when a grid cannot be relied on."""

import base64
import csv
import datetime as dt
import hashlib
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h3
import numpy as np
import pandas as pd
import pytest
import schemathesis
import shapely
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from small_grids import COMPARISON, FACTS, ISSUED, UNITS, grid, store_of, usual

from stforecast.config import Config, parse
from stforecast.config.sections import Allocation, Unit
from stforecast.config.workspace import database
from stforecast.delivery.api import gate, routes
from stforecast.delivery.api.app import create_app
from stforecast.delivery.api.keeper import Keeper
from stforecast.delivery.api.keys import VARIABLE
from stforecast.delivery.api.questions import MAX_ROWS, RiskQuestion, UsualQuestion
from stforecast.delivery.api.server import serve
from stforecast.delivery.plan import make_plan
from stforecast.delivery.plan_files import write_plan
from stforecast.delivery.residents import Residents
from stforecast.delivery.riskgrid import NOTICE, with_sums
from stforecast.delivery.shifts import shifts_of
from stforecast.delivery.why import flagged, logs, parts_of, spans_of, to_values
from stforecast.errors import ConfigError
from stforecast.scoring.intensity import risk

HOUR = pd.Timedelta(hours=1)
QUICK = "100000/second"


class Clock:
    """A clock that is set by hand."""

    now = ISSUED + HOUR

    def __call__(self) -> pd.Timestamp:
        return self.now


def config_of(root: Path, **service: Any) -> Config:
    given = {"rate_limit": QUICK, "hosts": ["testserver"], **service}
    return parse({"city": "denver", "root": str(root), "service": given}, "test")


def client_of(config: Config, clock: Callable[[], pd.Timestamp]) -> TestClient:
    return TestClient(create_app(config, Keeper(store_of(config), clock)), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    store = store_of(config_of(folder))
    store.put(grid(), usual(grid()), FACTS, ISSUED)
    store.close()
    return folder


@pytest.fixture(scope="module")
def client(root) -> Iterator[TestClient]:
    with client_of(config_of(root), Clock()) as opened:
        yield opened


def asked(client: TestClient, path: str, **parameters: Any) -> Any:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("category", ["all", "theft"])
def test_a_shift_is_answered_by_the_sums_of_its_hours(client, category: str) -> None:
    of = grid()
    index = of.categories.index(category)
    sums = with_sums(np.ascontiguousarray(of.leaves(of.intensity))[15:23], of.categories)[-1, index]
    found = asked(client, "/v1/risk", shift="evening", category=category)
    assert (found["valid_from"], found["valid_until"]) == ("2024-09-30T21:00:00Z", "2024-10-01T05:00:00Z")
    assert found["grid"]["issue_time"] == "2024-09-30T06:00:00Z"
    order = np.argsort(-sums, kind="stable")
    assert [row["hexagon"] for row in found["rows"]] == of.hexagons[order].tolist()
    assert [row["intensity"] for row in found["rows"]] == sums[order].round(8).tolist()
    assert [row["risk"] for row in found["rows"]] == risk(sums[order]).round(8).tolist()
    assert [row["rank"] for row in found["rows"]] == [*range(1, len(sums) + 1)]
    usual = of.usual[15:23, index].sum(0)[order]
    np.testing.assert_allclose([row["usual"] for row in found["rows"]], usual, atol=1e-8)
    assert "low" not in found["rows"][0]
    top = asked(client, "/v1/top", shift="evening", category=category, k=3)
    assert top["rows"] == found["rows"][:3]


def test_areas_are_answered_of_a_step_a_shift_and_the_horizon(client) -> None:
    whole = asked(client, "/v1/areas", category="theft")["rows"]
    assert [row["district"] for row in whole] == [None, "=South", "North", "South"]
    evening, hour = (asked(client, "/v1/areas", **at)["rows"] for at in ({"shift": "evening"}, {"time": ISSUED}))
    for rows in (whole, evening, hour):
        assert all(0 <= row["low"] <= row["high"] for row in rows)
    whole = asked(client, "/v1/areas")["rows"]
    assert hour[0]["intensity"] < evening[0]["intensity"] < whole[0]["intensity"]
    assert (
        asked(client, "/v1/areas", shift="evening")["valid_from"]
        == asked(client, "/v1/risk", shift="evening")["valid_from"]
    )


def test_why_answers_of_the_places_that_are_flagged(client, tmp_path) -> None:
    of, config = grid(), config_of(tmp_path)
    spans = spans_of(of)
    rows = flagged(of, spans)
    whole = np.stack([logs(of, span)[:, rows] for span in spans.values()])
    values = to_values(("usual", "weather"), spans, of.hexagons[rows], np.stack([whole - 0.25, whole * 0 + 0.25]))
    store = store_of(config)
    store.put(of, usual(of), FACTS | {"why": values | {"recent": None, "contents": {"theft": ["theft*"]}}}, ISSUED)
    store.close()
    with client_of(config, Clock()) as opened:
        for shift, category in ((None, "all"), ("evening", "theft")):
            given = {"cell": str(of.hexagons[rows[1]]), "category": category} | ({"shift": shift} if shift else {})
            found = asked(opened, "/v1/why", **given)
            asked_too = {key: value for key, value in given.items() if key != "cell"}
            risks = asked(opened, "/v1/risk", **asked_too)["rows"]
            number = next(row["intensity"] for row in risks if row["hexagon"] == given["cell"])
            assert found["intensity"] == pytest.approx(number, rel=1e-5)
            assert [part["group"] for part in found["parts"]] == ["usual", "weather"]
            assert found["parts"][1]["factor"] == pytest.approx(np.exp(0.25))
            assert found["offences"] == (["theft*"] if category == "theft" else [])
        shown = asked(opened, "/v1/view")["why"]
        assert len(base64.b64decode(shown["parts"])) == 4 * parts_of(values).size
        assert shown["contents"] == {"theft": ["theft*"]}
        other = str(np.delete(of.hexagons, rows)[0])
        for wrong in ({"cell": "x"}, {"cell": other}, {"cell": other, "category": "x"}, {"cell": other, "shift": "x"}):
            assert opened.get("/v1/why", params=wrong).status_code == 404
        assert opened.get("/v1/why").status_code == 422
    assert "came without parts" in client.get("/v1/why", params={"cell": str(of.hexagons[0])}).json()["error"]


SQUARE = [[-105.0, 39.73], [-104.98, 39.73], [-104.98, 39.75], [-105.0, 39.75], [-105.0, 39.73]]
AREA = {"type": "Polygon", "coordinates": [SQUARE]}


def test_sums_are_of_what_fits_everything_that_is_given(client) -> None:
    of = grid()
    whole = asked(client, "/v1/sum")
    assert whole["hexagons"] == len(of.hexagons)
    assert whole["share"] == 1
    assert whole["intensity"] == pytest.approx(of.intensity[-1, 0].sum(), abs=1e-7)
    (city, *districts) = asked(client, "/v1/areas", shift="evening")["rows"]
    for row in districts:
        found = asked(client, "/v1/sum", shift="evening", district=row["district"])
        assert {name: found[name] for name in ("hexagons", "intensity", "low", "high")} == {
            name: row[name] for name in ("hexagons", "intensity", "low", "high")
        }
        assert found["share"] == pytest.approx(row["intensity"] / city["intensity"], abs=1e-7)
    one = asked(client, "/v1/sum", cells=of.hexagons[3])
    assert (one["low"], one["high"]) == tuple(of.bounds[:, 0, 3])
    south = asked(client, "/v1/sum", cells=",".join(of.hexagons[:9]), district="South")
    assert south["hexagons"] == (of.districts[:9] == "South").sum()
    inside = client.post("/v1/sum", json={"area": AREA, "shift": "evening"}).json()
    assert 0 < inside["hexagons"] < len(of.hexagons)
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "GeometryCollection", "geometries": [AREA]}}
    collection = {"type": "FeatureCollection", "features": [feature, feature]}
    several = {"type": "MultiPolygon", "coordinates": [[SQUARE]]}
    turned = {"type": "Polygon", "coordinates": [[[x + 360 if x < 180 else x, y] for x, y in SQUARE]]}
    for area in (feature, collection, several):
        assert client.post("/v1/sum", json={"area": area, "shift": "evening"}).json() == inside
    assert client.post("/v1/sum", json={"area": turned}).status_code == 422


@pytest.mark.parametrize(
    ("asks", "status", "words"),
    [
        ({"cells": "88268cdac7fffff,x"}, 404, "are no hexagons of this grid, such as"),
        ({"cells": "x"}, 404, "1 of 1 are no hexagons"),
        ({"district": "East"}, 404, "no hexagon of this grid fits all that is given"),
        (
            {"area": {"type": "Polygon", "coordinates": [[[10, 50], [11, 50], [11, 51]]]}},
            404,
            "whose centre lies in it",
        ),
        ({"area": {"type": "Point", "coordinates": [1, 2]}}, 422, "Point holds no cells: write a Polygon"),
        ({"area": {"coordinates": []}}, 422, "not GeoJSON"),
        ({"area": {"type": "Polygon", "coordinates": []}}, 422, "not GeoJSON"),
        ({"area": {"type": "Polygon", "coordinates": [[[10**400, 0], [1, 1], [0, 1]]]}}, 422, "no longitude"),
        ({"area": {"type": "Polygon", "coordinates": [[[1, 2], [2, 3]]]}}, 422, "fewer than three corners"),
        ({"area": {"type": "Polygon", "coordinates": [[[1, "a"], [2, 3], [3, 4]]]}}, 422, "no pair of numbers"),
        ({"area": {"type": "Polygon", "coordinates": [[[1, 200], [2, 3], [3, 4]]]}}, 422, "no longitude and latitude"),
        ({"area": {"type": "FeatureCollection", "features": [None]}}, 422, "not GeoJSON"),
        ({"bbox": "1"}, 422, "bbox"),
    ],
)
def test_a_sum_that_cannot_be_answered_says_why(client, asks: dict[str, Any], status: int, words: str) -> None:
    answer = client.post("/v1/sum", json=asks)
    assert answer.status_code == status
    assert words in answer.json()["error"]


@pytest.mark.parametrize("shift", [None, "evening"])
def test_a_plan_is_that_of_the_files(client, tmp_path, shift: str | None) -> None:
    some = grid()
    first = str(some.hexagons[3])
    reason, weights = "a school: closed", {"violence": 2.5}
    choice = Allocation(rule="proportion", area_km2=9.5, weights=weights, leave_out={first: reason})
    plan = make_plan(some, choice, shifts_of(some)[shift] if shift else None)
    write_plan(plan, tmp_path / "plan", "denver", Residents.unknown(some))
    written = json.loads((tmp_path / "plan" / "plan.json").read_text())
    asked_for = {"rule": "proportion", "area_km2": 9.5, "weights": "violence:2.5", "leave_out": f"{first}:{reason}"}
    found = asked(client, "/v1/plan", **asked_for, **({"shift": shift} if shift else {}))
    assert found.pop("grid")["notice"] == written["notice"]
    assert found == {name: written[name] for name in found}
    assert {*written} - {*found} == {"city", "issue_time", "time_zone", "model", "notice", "assumptions", "checksum"}


def test_a_plan_without_parameters_is_the_configured_one(root) -> None:
    config, some = config_of(root), grid()
    gone = {str(some.hexagons[0]): "closed"}
    configured = Allocation(area_km2=5.0, leave_out=gone)
    with TestClient(create_app(config, Keeper(store_of(config), Clock(), allocation=configured))) as client:
        found = asked(client, "/v1/plan")
        assert (found["budget"], found["left_out"]) == ({"unit": "km2", "of": {"city": 5.0}}, gone)
        assert asked(client, "/v1/plan", places=3)["budget"] == {"unit": "places", "of": {"city": 3.0}}
        assert asked(client, "/v1/view")["plan"]["leave_out"] == gone


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("places=3&area_km2=2", 422, "query: give either places or area_km2"),
        ("places=0", 422, "places: "),
        ("area_km2=0.1", 422, "area_km2: the smallest hexagon has"),
        ("weights=arson:2", 422, "weights: arson is no category of this grid"),
        ("weights=theft:x", 422, "weights.0: "),
        ("weights=theft:0&weights=violence:0", 422, "weights: all are 0"),
        ("leave_out=88268cdac7fffff", 422, "leave_out.0: "),
        ("leave_out=8826:closed", 422, "leave_out: 8826 is no hexagon of this grid"),
        ("rule=beat", 422, "rule: "),
        ("shift=noon", 404, "shift: not one of day, evening, night"),
        ("k=3", 422, "k: "),
    ],
)
def test_a_plan_that_cannot_be_made_is_refused(client, query: str, code: int, words: str) -> None:
    answer = client.get(f"/v1/plan?{query}")
    assert (answer.status_code, answer.json()["error"].startswith(words)) == (code, True), answer.text


def test_the_map_of_the_service_has_the_shifts_of_the_configuration(root) -> None:
    config = config_of(root)
    shifts = {"late": (13, 21), "five": (8, 13)}
    with TestClient(create_app(config, Keeper(store_of(config), Clock(), shifts))) as client:
        assert [shift["name"] for shift in asked(client, "/v1/view")["shifts"]] == ["late", "five"]
        assert asked(client, "/v1/top", shift="five")["valid_until"] == "2024-09-30T19:00:00Z"  # 5 hours divide no day
        assert client.get("/v1/top?shift=evening").json()["error"] == "shift: not one of late, five"


def test_earlier_grids_are_listed_and_shown_and_the_newest_is_compared(tmp_path) -> None:
    config = config_of(tmp_path)
    store = store_of(config)
    later = grid(seed=1, issued=ISSUED + pd.Timedelta(days=1))
    numbers = [
        store.put(grid(), usual(grid()), FACTS, ISSUED),
        store.put(later, usual(later), FACTS | {"comparison": COMPARISON}, ISSUED + pd.Timedelta(days=1)),
    ]
    with client_of(config, Clock()) as client:
        found = asked(client, "/v1/grids")
        assert [(one["grid_id"], one["issue_time"]) for one in found["grids"]] == [
            (numbers[1], "2024-10-01T06:00:00Z"),
            (numbers[0], "2024-09-30T06:00:00Z"),
        ]
        assert asked(client, "/v1/view") == asked(client, "/v1/view", grid=numbers[1])
        for _ in range(2):
            assert asked(client, "/v1/view", grid=numbers[0])["issue_time"] == "2024-09-30T06:00:00Z"
        tag = client.get("/v1/view", params={"grid": numbers[0]}).headers["etag"]
        assert tag != client.get("/v1/view").headers["etag"]
        answer = asked(client, "/v1/compare")
        assert answer.pop("grid")["grid_id"] == numbers[1]
        assert answer == COMPARISON
        assert client.get("/v1/view?grid=99").status_code == 404
        assert client.get("/v1/view?grid=x").status_code == 422
        assert client.get("/v1/view?gird=1").status_code == 422
        store.retire(ISSUED + pd.Timedelta(hours=1))
        assert client.get("/v1/view", params={"grid": numbers[0]}).status_code == 404
    store.close()


def test_a_grid_without_a_comparison_says_so(client) -> None:
    answer = client.get("/v1/compare")
    assert (answer.status_code, "stforecast refresh" in answer.text) == (404, True)


def test_the_latest_grid(client) -> None:
    found = asked(client, "/v1/grids/latest")
    expected = {"city": "denver", "issue_time": "2024-09-30T06:00:00Z", "valid_until": "2024-10-01T06:00:00Z"}
    expected |= {"model": "gcrn-ab12", "stale": False, "stale_reason": None, "hexagons": 37, "resolution": 8}
    expected |= {"categories": ["all", "theft", "violence"], "notice": NOTICE, "time_zone": "America/Denver"}
    assert found.items() >= expected.items()


@pytest.mark.parametrize("category", ["all", "theft", "violence"])
@pytest.mark.parametrize("time", [None, "2024-09-30T06:00Z", "2024-09-30 12:59:59Z", "2024-10-01T07:59+02:00"])
def test_risk_is_that_of_the_grid(client, category, time) -> None:
    found = asked(client, "/v1/risk", category=category, **({"time": time} if time else {}))
    table = grid().horizon if time is None else grid().steps
    table = table[table["category"] == category]
    if time is not None:
        begin = pd.Timestamp(time).floor("h")
        table = table[table["valid_from"] == begin]
        assert pd.Timestamp(found["valid_from"]) == begin
    rows = pd.DataFrame(found["rows"])
    assert rows["hexagon"].tolist() == table["hexagon"].tolist()
    assert rows["rank"].tolist() == table["rank"].tolist()
    for column in ("intensity", "risk", "usual", *(("low", "high") if time is None else ())):
        np.testing.assert_allclose(rows[column], table[column], atol=1e-8)
    assert ("low" in rows) == (time is None)


def test_a_box_holds_the_hexagons_that_meet_it(client) -> None:
    inside = asked(client, "/v1/risk", bbox="-105.0,39.735,-104.985,39.745")["rows"]
    assert 0 < len(inside) < 37
    box = shapely.box(-105.0, 39.735, -104.985, 39.745)
    meets = {
        cell
        for cell in grid().hexagons.tolist()
        if shapely.Polygon([(x, y) for y, x in h3.cell_to_boundary(cell)]).intersects(box)
    }
    assert {row["hexagon"] for row in inside} == meets
    ranks = [row["rank"] for row in inside]
    assert ranks == sorted(ranks)  # of the whole city
    assert asked(client, "/v1/risk", bbox="170,39,-104.99,40")["rows"]  # across the antimeridian
    assert asked(client, "/v1/risk", bbox="1,1,2,2", format="geojson")["features"] == []


def test_geojson_is_right_handed_and_says_where_it_is_from(client) -> None:
    answer = client.get("/v1/risk", params={"format": "geojson", "top_k": 5, "time": "2024-09-30T20:00Z"})
    assert answer.headers["content-type"] == "application/geo+json"
    collection = answer.json()
    assert "crs" not in collection
    assert collection["metadata"]["grid"]["notice"] == NOTICE
    rows = asked(client, "/v1/risk", top_k=5, time="2024-09-30T20:00Z")["rows"]
    for feature, row in zip(collection["features"], rows, strict=True):
        polygon = shapely.from_geojson(json.dumps(feature["geometry"]))
        assert polygon.is_valid
        assert polygon.exterior.is_ccw
        assert feature["id"] == feature["properties"]["hexagon"] == row["hexagon"]
        assert feature["properties"].items() <= row.items()


def test_csv_is_safe_to_open_in_a_spreadsheet(tmp_path) -> None:
    config = config_of(tmp_path)
    store = store_of(config)
    store.put(grid(categories=("=1+1", "@home"), spreads={}, joint={}, model="+cmd"), usual(grid()), FACTS, ISSUED)
    store.close()
    with client_of(config, Clock()) as client:
        answer = client.get("/v1/risk", params={"format": "csv", "category": "=1+1"})
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert len(rows) == 37
        assert (rows[0]["category"], rows[0]["model"]) == ("'=1+1", "'+cmd")
        assert not any(cell.startswith(tuple("=+@\t")) for row in rows for cell in row.values())
        assert client.get("/v1/risk?format=csv&bbox=1,1,2,2").text.count("\n") == 1


def test_top_and_a_hexagon_agree_with_the_table(client) -> None:
    best = asked(client, "/v1/top", k=3, category="theft", time="2024-09-30T08:00Z")["rows"]
    assert [row["rank"] for row in best] == [1, 2, 3]
    found = asked(client, f"/v1/hexagons/{best[0]['hexagon']}")
    assert [hour["local_hour"] for hour in found["steps"]] == [*range(24)]
    of_hour = {one["category"]: one for one in found["steps"][2]["categories"]}
    assert of_hour["theft"].items() <= best[0].items() | {("category", "theft")}
    day = grid().horizon.set_index(["hexagon", "category"]).loc[found["hexagon"]]
    for one in found["horizon"]["categories"]:
        row = day.loc[one["category"]]
        assert (one["rank"], one["low"], one["high"]) == (row["rank"], row["low"], row["high"])
        assert one["risk"] == pytest.approx(row["risk"], abs=1e-8)
    here = grid().hexagons.tolist().index(found["hexagon"])
    assert found["district"] == grid().districts[here]


def test_model_and_data(client) -> None:
    assert asked(client, "/v1/models/current").items() >= FACTS["run"].items()
    found = asked(client, "/v1/data-status")
    assert found["record"] == FACTS["record"]
    assert found["last_success"] == "2024-09-30T06:00:00Z"


def test_predict_is_the_usual_of_such_an_hour(client) -> None:
    week, found = usual(grid()), grid()
    when = {"hour": 22, "weekday": 4, "month": 7}
    point = client.post("/v1/predict", json={**when, "latitude": 39.74, "longitude": -104.99}).json()
    cell = h3.latlng_to_cell(39.74, -104.99, 8)
    lam = week.slots[4 * 24 + 22, found.hexagons.tolist().index(cell)] * week.months[6]
    given = {one["category"]: (one["intensity"], one["risk"]) for one in point["categories"]}
    for category, value in {"all": lam.sum(), "theft": lam[0], "violence": lam[1]}.items():
        assert given[category] == pytest.approx((value, 1 - np.exp(-value)), abs=1e-7)
    assert point["place"]["hexagon"] == cell
    assert "no forecast of a date" in point["basis"]
    district = client.post("/v1/predict", json={**when, "district": "South"}).json()
    rows = found.districts == "South"
    total = (week.slots[4 * 24 + 22, rows] * week.months[6]).sum()
    assert district["categories"][0]["intensity"] == pytest.approx(total, abs=1e-6)
    assert district["place"]["hexagons"] == rows.sum()


def client_of_unit(unit: Unit, folder: Path, clock: Callable[[], pd.Timestamp], **options: Any) -> TestClient:
    """A client of a service with a grid of hours, days or months."""
    config, store = config_of(folder), store_of(config_of(folder))
    store.put(grid(unit=unit, **options), usual(grid(unit=unit)), FACTS | {"comparison": COMPARISON}, ISSUED)
    store.close()
    return client_of(config, clock)


@pytest.mark.parametrize("unit", UNITS)
def test_a_service_of_every_step(unit, tmp_path) -> None:
    of, week = grid(unit=unit), usual(grid(unit=unit))
    with client_of_unit(unit, tmp_path, Clock()) as client:
        found = asked(client, "/v1/grids/latest")
        assert (found["step"], found["step_hours"]) == (unit, {"hour": 1, "day": 24, "month": 730}[unit])
        assert pd.Timestamp(found["valid_until"]) == of.ends[-1]
        for step in (0, of.horizons - 1):
            table = of.steps[(of.steps["category"] == "theft") & (of.steps["valid_from"] == of.starts[step])]
            for time in (of.starts[step], of.ends[step] - pd.Timedelta(seconds=1)):
                found = asked(client, "/v1/risk", category="theft", time=time.isoformat())
                assert (pd.Timestamp(found["valid_from"]), pd.Timestamp(found["valid_until"])) == (
                    of.starts[step],
                    of.ends[step],
                )
                np.testing.assert_allclose([row["risk"] for row in found["rows"]], table["risk"], atol=1e-8)
        for time in (of.starts[0] - pd.Timedelta(seconds=1), of.ends[-1]):
            assert client.get("/v1/risk", params={"time": time.isoformat()}).status_code == 404
        found = asked(client, f"/v1/hexagons/{of.hexagons[0]}")
        assert [step["valid_until"] for step in found["steps"]] == [
            iso_of.strftime("%Y-%m-%dT%H:%M:%SZ") for iso_of in of.ends[:-1]
        ]
        name, local = of.local
        assert [str(step[name]) for step in found["steps"]] == [*map(str, local)]
        assert {"local_hour", "local_date"} & {*found["steps"][0]} == {name}
        questions = {"hour": {"hour": 22, "weekday": 4}, "day": {"weekday": 4}, "month": {}}
        for other, when in questions.items():
            answer = client.post("/v1/predict", json={**when, "month": 7, "district": "South"})
            if other != unit:
                assert answer.status_code == 422
                assert f"this grid is of {unit}s: ask by " in answer.json()["error"]
                continue
            slot = {"hour": 4 * 24 + 22, "day": 4, "month": 6}[unit]
            lam = (week.slots[slot, of.districts == "South"] * week.months[6]).sum()
            assert answer.json()["categories"][0]["intensity"] == pytest.approx(lam, abs=1e-6)
            assert answer.json().items() >= {**when, "month": 7}.items()
            assert {"hour", "weekday"} & {*answer.json()} == {*when}


def test_a_week_is_out_of_date_when_its_last_local_day_ends(tmp_path) -> None:
    """It has 169 hours where the clock is set back in it."""
    clock = Clock()
    with client_of_unit("day", tmp_path, clock, issued=pd.Timestamp("2024-10-31T06:00Z")) as client:
        clock.now = pd.Timestamp("2024-11-07T06:59:59Z")
        assert asked(client, "/v1/grids/latest")["stale"] is False
        clock.now = pd.Timestamp("2024-11-07T07:00Z")
        assert asked(client, "/v1/grids/latest")["stale_reason"] == "its 7 days ended 2024-11-07T07:00:00Z"
    with client_of_unit("month", tmp_path / "month", clock) as client:
        assert asked(client, "/v1/grids/latest")["stale_reason"] == "its month ended 2024-11-01T06:00:00Z"


WHEN = {"hour": 1, "weekday": 1, "month": 1}


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (WHEN, 422, "either latitude and longitude, or district"),
        ({**WHEN, "latitude": 39.74}, 422, "go together"),
        ({**WHEN, "latitude": 39.74, "longitude": -104.99, "district": "South"}, 422, "either"),
        ({**WHEN, "latitude": 0, "longitude": 0}, 404, "no hexagon"),
        ({**WHEN, "district": "East"}, 404, "none of that name"),
        ({**WHEN, "hour": 24, "district": "South"}, 422, "hour"),
        ({**WHEN, "hour": True, "district": "South"}, 422, "hour"),
        ({**WHEN, "hour": "1", "district": "South"}, 422, "hour"),
        ({**WHEN, "district": "South", "person": "x"}, 422, "person"),
        ({"month": 1, "district": "South"}, 422, "this grid is of hours: ask by hour, weekday, month"),
        ("[", 422, ""),
        ('{"hour": 1, "weekday": 1, "month": 1, "latitude": NaN, "longitude": 1}', 422, "latitude"),
        ('{"district": "\\ud800", "hour": 1, "weekday": 1, "month": 1}', 422, "district"),
    ],
)
def test_what_predict_refuses(client, body, status, said) -> None:
    text = body if isinstance(body, str) else json.dumps(body)
    answer = client.post("/v1/predict", content=text, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert said in answer.json()["error"]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/v1/risk?time=yesterday", 422, "time: write a time such as"),
        ("/v1/risk?time=2024-09-30T08:00", 422, "time: write a time such as 2024-09-30T06:00Z: a time with Z or"),
        ("/v1/top?time=2024-09-30", 422, "time: write a time such as 2024-09-30T06:00Z: a time with Z or"),
        ("/v1/risk?time=2024-09-30T08:00+02:00", 422, "%2B"),
        ("/v1/risk?time=0001-01-01T00:00%2B14:00", 422, "time"),
        ("/v1/risk?time=2024-10-01T06:00Z", 404, "not within 2024-09-30T06:00:00Z to 2024-10-01T06:00:00Z"),
        ("/v1/risk?shift=noon", 404, "shift: not one of day, evening, night"),
        ("/v1/top?shift=day&time=2024-09-30T08:00Z", 422, "give either time or shift"),
        ("/v1/risk?category=fraud", 404, "category: not one of all, theft, violence"),
        ("/v1/risk?bbox=1,2,3", 422, "bbox"),
        ("/v1/risk?bbox=nan,1,2,3", 422, "bbox"),
        ("/v1/risk?bbox=1,9,2,3", 422, "bbox: write west,south,east,north in degrees: west and east from -180"),
        ("/v1/risk?top_k=0", 422, "top_k"),
        (f"/v1/risk?top_k={MAX_ROWS + 1}", 422, "top_k"),
        ("/v1/risk?format=xml", 422, "format"),
        ("/v1/risk?limit=5", 422, "limit"),
        ("/v1/top?k=five", 422, "k: "),
        ("/v1/hexagons/88268cd8ddfffff0", 404, "cell"),
        ("/v1/hexagons/" + "8" * 201, 422, "cell"),
        ("/v1/grid", 404, ""),
        ("/etc/passwd", 404, ""),
        ("/..%2f..%2fpyproject.toml", 404, ""),
    ],
)
def test_what_is_refused_is_said_in_one_line(client, path, status, said) -> None:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


@given(st.text(max_size=40))
def test_a_box_of_any_text_is_four_numbers_in_range_or_refused(text) -> None:
    try:
        found = RiskQuestion(bbox=text).bbox
    except ValidationError:
        return
    west, south, east, north = map(float, found.split(","))
    assert -180 <= west <= 180
    assert -180 <= east <= 180
    assert -90 <= south <= north <= 90


@given(*[st.floats(-180, 180).map(lambda x: round(x, 6))] * 2, *[st.floats(-90, 90).map(lambda x: round(x, 6))] * 2)
def test_every_box_in_range_is_taken(west, east, a, b) -> None:
    text = f"{west:f},{min(a, b):f},{east:f},{max(a, b):f}"
    assert routes.corners(RiskQuestion(bbox=text).bbox) == pytest.approx((west, min(a, b), east, max(a, b)))


@given(st.datetimes(timezones=st.timezones()) | st.text(max_size=30))
def test_a_time_is_an_instant_or_refused(value) -> None:
    text = value if isinstance(value, str) else value.isoformat()
    try:
        found = RiskQuestion(time=text).time
    except ValidationError:
        assert isinstance(value, str) or value.year in (1, 9999)
        return
    assert found.utcoffset().total_seconds() == 0
    # as UTC: Python holds a clock's repeated hour unequal to any time of another zone (PEP 495)
    assert isinstance(value, str) or found == value.astimezone(dt.UTC)


@given(st.dictionaries(st.sampled_from([*UsualQuestion.model_fields, "x"]), st.integers() | st.floats() | st.text()))
def test_any_body_is_a_question_or_refused(body) -> None:
    try:
        found = UsualQuestion.model_validate(body)
    except ValidationError:
        return
    assert (found.latitude is None) != (found.district is None)


def test_the_openapi_document_says_that_a_time_needs_an_offset(client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("/v1/risk", "/v1/top"):
        said = next(one for one in paths[path]["get"]["parameters"] if one["name"] == "time")["description"]
        assert "with Z or an offset from UTC, such as 2024-09-30T06:00Z" in said


def test_an_answer_that_the_client_has_is_not_sent_again(client) -> None:
    first = client.get("/v1/top")
    tag = first.headers["etag"]
    for has in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
        again = client.get("/v1/top", headers={"If-None-Match": has})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get("/v1/top", headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.get("/v1/hexagons/none", headers={"If-None-Match": tag}).status_code == 404


def test_a_grid_goes_stale_and_says_why(root) -> None:
    clock = Clock()
    config = config_of(root)
    keeper = Keeper(store_of(config), clock)
    store = keeper.store
    with TestClient(create_app(config, keeper)) as client:
        fresh = client.get("/v1/grids/latest")
        assert fresh.json()["stale"] is False
        store.note(attempted=ISSUED + HOUR)
        keeper.look()
        assert keeper.stale_reason() is None  # at work
        clock.now = ISSUED + 3 * HOUR
        assert "2024-09-30T07:00:00Z has not ended" in asked(client, "/v1/grids/latest")["stale_reason"]
        store.note(error="data/denver/bronze: secret path")
        keeper.look()
        said = client.get("/v1/data-status")
        assert said.json()["grid"]["stale_reason"] == "the refresh of 2024-09-30T07:00:00Z failed"
        assert "secret" not in said.text
        changed = client.get("/v1/grids/latest", headers={"If-None-Match": fresh.headers["etag"]})
        assert changed.status_code == 200
        assert "stforecast_grid_stale 1.0" in client.get("/metrics").text
        store.note(succeeded=ISSUED + 3 * HOUR, error=None)
        keeper.look()
        assert asked(client, "/v1/grids/latest")["stale"] is False
        clock.now = ISSUED + 24 * HOUR
        assert asked(client, "/v1/top")["grid"]["stale_reason"] == "its 24 hours ended 2024-10-01T06:00:00Z"


def test_a_new_grid_is_taken_up_and_a_lost_store_is_survived(tmp_path) -> None:
    config, clock = config_of(tmp_path), Clock()
    keeper = Keeper(store_of(config), clock)
    with TestClient(create_app(config, keeper)) as client:
        assert client.get("/readyz").status_code == 503
        assert "run `stforecast refresh`" in client.get("/v1/top").json()["error"]
        keeper.store.put(grid(), usual(grid()), FACTS, ISSUED)
        keeper.look()
        assert client.get("/readyz").status_code == 200
        first, places = client.get("/v1/top"), keeper.served.places
        keeper.store.put(grid(seed=5), usual(grid()), FACTS, ISSUED)
        keeper.look()
        second = client.get("/v1/top", headers={"If-None-Match": first.headers["etag"]})
        assert second.status_code == 200
        assert second.json()["grid"]["grid_id"] > first.json()["grid"]["grid_id"]
        assert keeper.served.places is places  # outlines are not drawn again
        for path in tmp_path.rglob("forecasts.sqlite*"):
            path.write_bytes(b"damaged " * 2000)
        keeper.store.close()
        keeper.look()
        assert "not been readable" in asked(client, "/v1/grids/latest")["stale_reason"]
        assert client.get("/readyz").status_code == 200


def test_the_watch_takes_up_a_grid_by_itself(tmp_path, monkeypatch) -> None:
    import time

    from stforecast.delivery.api import keeper as module

    monkeypatch.setattr(module, "SECONDS", 0.02)
    config = config_of(tmp_path)
    with client_of(config, Clock()) as client:
        writer = store_of(config)
        writer.put(grid(), usual(grid()), FACTS, ISSUED)
        until = time.monotonic() + 20
        while client.get("/readyz").status_code != 200 and time.monotonic() < until:
            time.sleep(0.02)
        assert asked(client, "/v1/top")["grid"]["city"] == "denver"
        writer.close()


def test_pages_come_from_here_alone(client) -> None:
    for path in ("/", "/docs", "/app.js", "/leaflet.css", "/docs.css"):
        answer = client.get(path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
    docs = client.get("/docs").text
    assert NOTICE in docs
    assert not {"<script", "http://", "https://", "style="} & {
        part for part in ("<script", "http://", "https://", "style=") if part in docs
    }
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in docs
    assert NOTICE in client.get("/en.js").text


def test_a_defect_shows_no_trace(root, monkeypatch) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("internal secret")

    monkeypatch.setattr(routes.answers, "latest", fail)
    with client_of(config_of(root), Clock()) as client:
        answer = client.get("/v1/grids/latest")
    assert answer.status_code == 500
    assert answer.json() == {"error": "internal error; it is in the log of the service"}
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_keys(root, tmp_path, monkeypatch) -> None:
    file, key, other = tmp_path / "keys", "a-long-and-random-key", "another-long-random-key"
    file.write_text(f"# of the map\n{hashlib.sha256(key.encode()).hexdigest()}  # laptop\n")
    monkeypatch.setenv(VARIABLE, f" {other} ,")
    with client_of(config_of(root, api_keys_file=str(file)), Clock()) as client:
        basic = base64.b64encode(f"any:{key}".encode()).decode()
        good = [{"X-API-Key": key}, {"Authorization": f"Bearer {other}"}, {"Authorization": f"Basic {basic}"}]
        bad = [{}, {"X-API-Key": "wrong"}, {"Authorization": "Basic %"}, {"X-API-Key": file.read_text()[-80:-20]}]
        for headers in good:
            assert client.get("/v1/top", headers=headers).status_code == 200
        for headers in bad:
            for path in ("/", "/v1/top", "/metrics", "/docs", "/nothing"):
                answer = client.get(path, headers=headers)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"].startswith("Basic")
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    ("content", "environment", "said"),
    [
        ("a plain key", "", "SHA-256"),
        ("", "", "SHA-256"),
        (None, "short", "shorter"),
        ("absent", None, "cannot be read"),
    ],
)
def test_keys_that_cannot_be_used_are_refused(root, tmp_path, monkeypatch, content, environment, said) -> None:
    file = tmp_path / "keys"
    if content is not None and environment is not None:
        file.write_text(content)
    monkeypatch.setenv(VARIABLE, environment or "")
    service = {} if content is None else {"api_keys_file": str(file)}
    with pytest.raises(ConfigError, match=said):
        client_of(config_of(root, **service), Clock())


def test_others_are_served_only_with_keys(root) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with pytest.raises(ConfigError, match="only with API keys"):
            serve(config_of(root), database(config_of(root)), host, 0)


def test_a_taken_address_is_named(root) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="another --port"):
        serve(config_of(root), database(config_of(root)), "127.0.0.1", taken.getsockname()[1])


def test_a_client_may_ask_only_so_often(root) -> None:
    with client_of(config_of(root, rate_limit="5/minute"), Clock()) as client:
        found = [client.get("/v1/top").status_code for _ in range(7)]
        assert found == [200] * 5 + [429] * 2
        refused = client.get("/v1/top")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert "5 per 1 minute" in refused.json()["error"]
        assert client.get("/healthz").status_code == 200
    with pytest.raises(ConfigError, match="rate_limit"):
        client_of(config_of(root, rate_limit="often"), Clock())


def test_a_large_body_is_refused_before_it_is_read(client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(10):
            yield b" " * gate.MAX_BODY

    for content in (b" " * (gate.MAX_BODY + 1), endless()):
        assert client.post("/v1/predict", content=content).status_code == 413


def test_an_answer_of_too_many_rows_is_refused(client, monkeypatch) -> None:
    monkeypatch.setattr(routes, "MAX_ROWS", 30)
    assert "37 hexagons are more than 30" in client.get("/v1/risk").json()["error"]
    assert len(asked(client, "/v1/risk", top_k=30)["rows"]) == 30


def test_metrics_count_by_route_and_not_by_path(client) -> None:
    for i in range(3):
        client.get(f"/v1/hexagons/{i}")
    text = client.get("/metrics").text
    assert 'stforecast_requests_total{method="GET",route="/v1/hexagons/{cell}",status="404"}' in text
    assert "/v1/hexagons/0" not in text
    assert "stforecast_grid_age_seconds 3600.0" in text


@pytest.mark.parametrize("unit", UNITS)
def test_no_question_that_can_be_made_up_fails(unit, tmp_path) -> None:
    """Questions from the OpenAPI document, valid and not: no 5xx, and every answer is as it says."""
    app = client_of_unit(unit, tmp_path, Clock()).app
    checks = (not_a_server_error, response_schema_conformance, status_code_conformance, content_type_conformance)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    asked_for = set()
    for operation in schema.get_all_operations():
        found = operation.ok()
        strategy = found.as_strategy() | found.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)

        @settings(max_examples=12, deadline=None, database=None, suppress_health_check=[*HealthCheck])
        @given(strategy)
        def ask(case: Any) -> None:
            case.call_and_validate(checks=checks)

        ask()
        asked_for.add(found.path)
    assert len(asked_for) == 16
