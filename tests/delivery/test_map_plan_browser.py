"""Places to cover in the map, in a real browser: what `stforecast plan` chooses by its greedy rule, and its files."""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
from small_grids import grid
from test_webmap_browser import CHROMIUM, Window, browser  # noqa: F401

from stforecast.config.sections import Allocation
from stforecast.delivery.allocation import by_largest_remainder, exact, greedy
from stforecast.delivery.packed import pack, unpack
from stforecast.delivery.plan import PURPOSE, Plan, make_plan
from stforecast.delivery.plan_files import write_plan
from stforecast.delivery.residents import Residents, plan_view
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.delivery.shifts import shifts_of
from stforecast.delivery.webmap import view_of, write_map

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
SIZES = [(390, 844), (844, 390), (1400, 900)]
SHIFTS = {"all": None, "evening": "evening"}


def hexagons() -> RiskGrid:
    of = grid(rings=5)
    n = len(of.hexagons)
    districts = np.array([f"{1 + 3 * row // n}" for row in range(n)], object)
    districts[4] = None
    places = np.array([f"=Street {row} & <b>Avenue</b>, {row % 7}" for row in range(n)], object)
    return unpack(pack(replace(of, districts=districts, places=places), "denver"))  # sums as every reader has them


def polygons() -> RiskGrid:
    """Areas of very different sizes, one of two parts and one with a hole."""
    of, rng = grid(), np.random.default_rng(3)
    n = len(of.hexagons)
    west, south = -105 + np.arange(n) / 20, 39.7
    shapes = shapely.box(west, south, west + rng.uniform(0.005, 0.04, n), south + rng.uniform(0.005, 0.09, n))
    shapes[1] = shapely.union(shapes[1], shapely.box(west[1], 39.6, west[1] + 0.01, 39.62))
    shapes[2] = shapely.difference(shapes[2], shapely.buffer(shapely.centroid(shapes[2]), 0.001, quad_segs=2))
    names = np.array([f"A;{row}:x" for row in range(n)])
    districts = np.array(["x", "y", "z"], object)[np.arange(n) % 3]
    of = replace(of, hexagons=names, polygons=shapes, districts=districts)
    return unpack(pack(of, "denver"))


def residents(of: RiskGrid) -> Residents:
    n, rng = len(of.hexagons), np.random.default_rng(5)
    people = pd.DataFrame({"residents": rng.integers(20, 900, n).astype(float)})
    deprivation = pd.DataFrame({"deprivation": rng.integers(1, 40, n).astype(float)})  # with ties
    people.iloc[3], deprivation.iloc[5] = np.nan, np.nan
    return Residents(people, deprivation)


@pytest.fixture(scope="module", params=["hexagons", "polygons"])
def of(request) -> RiskGrid:
    return hexagons() if request.param == "hexagons" else polygons()


@pytest.fixture(scope="module")
def window(browser, of, tmp_path_factory) -> Iterator[Window]:  # noqa: F811
    path = tmp_path_factory.mktemp("plan") / "map.html"
    write_map(view_of(of, "denver", plan=plan_view(Allocation(), residents(of))), path)
    with Window(browser, path.as_uri()) as opened:
        yield opened


def at(window: Window, **fields: Any) -> Window:
    """Choose through the address, and go back to what is configured of the rest."""
    address = {"step": "all", "category": "all", "measure": "expected"} | fields
    given = {name: value for name, value in address.items() if value is not None}
    window.page.evaluate("(given) => { plan.places = null; location.hash = new URLSearchParams(given) }", given)
    window.drawing()
    return window


def drawn(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Places with ties of values, of sizes and of both, and budgets in whole places or not."""
    n, groups = int(rng.integers(1, 60)), int(rng.integers(1, 5))
    value = rng.choice([rng.gamma(0.5, 1, n), rng.integers(0, 4, n).astype(float)])
    size = [np.ones(n), rng.uniform(0.1, 3, n), rng.integers(1, 4, n) / 10][rng.integers(3)]
    budget = [rng.integers(0, 9, groups).astype(float), rng.uniform(0, 6, groups), rng.integers(0, 9, groups) / 10]
    return value, size, rng.integers(-1, groups, n), budget[rng.integers(3)]


def test_the_rule_chooses_what_the_packages_does_to_the_digit_and_its_bound_holds(window) -> None:
    rng = np.random.default_rng(0)
    draws = [drawn(rng) for _ in range(400)]
    given = [[each.tolist() for each in draw] for draw in draws]
    found = window.page.evaluate("(draws) => draws.map((draw) => [greedy(...draw), boundOf(...draw)])", given)
    assert [rows for rows, _ in found] == [greedy(*draw) for draw in draws]
    for draw, (rows, bound) in list(zip(draws, found, strict=True))[:80]:
        best = draw[0][exact(*draw)[0]].sum()
        assert draw[0][rows].sum() <= best * (1 + 1e-9)
        assert best <= bound * (1 + 1e-9) + 1e-12
    shares = [(int(rng.integers(0, 30)), rng.choice([rng.random(7), rng.integers(1, 4, 7)])) for _ in range(100)]
    script = "(given) => given.map(([total, weight]) => byLargestRemainder(total, weight))"
    found = window.page.evaluate(script, [[total, weight.tolist()] for total, weight in shares])
    assert found == [by_largest_remainder(total, weight.astype(float)).tolist() for total, weight in shares]


def draws(of: RiskGrid) -> Iterator[tuple[dict[str, Any], dict[str, str], str | None]]:
    """Choices as the configuration and as the address have them, and the shift."""
    rng, ids = np.random.default_rng(7), of.hexagons
    for i in range(40):
        rule = ["city", "district", "proportion"][i % 3]
        amount = {"places": int(rng.integers(1, 12))} if i % 2 else {"area_km2": float(rng.integers(70, 400) / 10)}
        weights = {"theft": 1.0, "violence": float(rng.choice([1, 0, 2.5, 7]))}
        gone = rng.choice(len(ids), int(rng.integers(0, 4)), replace=False).tolist()
        out = {str(ids[row]): f"reason {row}, {chr(233)}: = yes" for row in gone}
        address = {"rule": rule, "weights": ",".join(f"{weight:g}" for weight in weights.values())}
        address |= {"area" if name == "area_km2" else name: f"{value:g}" for name, value in amount.items()}
        ids_in_address = {name: name.replace(";", "%3B").replace(":", "%3A") for name in out}
        address["out"] = ";".join(f"{ids_in_address[name]}:{reason}" for name, reason in out.items())
        yield {"rule": rule, "weights": weights, "leave_out": out, **amount}, address, [None, "evening"][i // 3 % 2]


def made(of: RiskGrid, choice: dict[str, Any], shift: str | None) -> Plan:
    return make_plan(of, Allocation(**choice), shifts_of(of)[shift] if shift else None)


def test_a_plan_is_that_of_the_package(window, of) -> None:
    for choice, address, shift in draws(of):
        at(window, **address, step=shift or "all")
        script = "() => { const { rows, usual, gap, budget, names, value } = makePlan();"
        script += " return { rows, usual, gap, budget, names, value: [...value], shown: city.marks.top }; }"
        found, plan = window.page.evaluate(script), made(of, choice, shift)
        assert found["value"] == plan.value.tolist()
        assert dict(zip(found["names"], found["budget"], strict=True)) == plan.budgets
        assert found["rows"] == found["shown"] == plan.greedy.tolist()
        assert {*found["usual"]} == {*plan.usual.tolist()}  # near ties may turn: the map has what is usual to 2⁻¹³
        assert 1 - plan.value[plan.greedy].sum() / plan.value[plan.rows].sum() <= found["gap"] + 1e-12


def saved(window: Window, button: str) -> str:
    with window.page.expect_download() as download:
        window.page.locator(button).click()
    return Path(download.value.path()).read_text()


@pytest.mark.parametrize("shift", [None, "evening"])
def test_files_are_those_of_the_package(window, of, tmp_path, shift: str | None) -> None:
    gone = str(of.hexagons[7])
    choice = {"rule": "district", "places": 3, "weights": {"violence": 2.5}, "leave_out": {gone: "=1+1, closed"}}
    out = f"{gone.replace(';', '%3B').replace(':', '%3A')}:=1+1, closed"
    at(window, rule="district", places=3, weights="1,2.5", out=out, step=shift or "all")
    plan = made(of, choice, shift)
    write_plan(plan, tmp_path / "plan", "denver", residents(of))
    texts = {end: (tmp_path / "plan" / name).read_text() for end, name in FILES.items()}
    mine = {end: saved(window, f"#plan-{end}") for end in FILES}
    assert texts["csv"].splitlines()[0] == mine["csv"].splitlines()[0]
    tables = [pd.read_csv(io.StringIO(each["csv"])) for each in (texts, mine)]
    usual = [table.pop("usual") for table in tables]
    np.testing.assert_allclose(*usual, rtol=2**-12)  # as the map has it (`compact`)
    pd.testing.assert_frame_equal(*tables, check_exact=False, rtol=0, atol=1.01e-8)
    assert tables[1]["left_out"].iloc[-1] == "'=1+1, closed"
    theirs, ours = (json.loads(each["geojson"])["features"] for each in (texts, mine))
    assert [one["id"] for one in ours] == [one["id"] for one in theirs]
    for one, other in zip(ours, theirs, strict=True):
        alike(one["properties"], other["properties"])
        shapes = [shapely.from_geojson(json.dumps(each["geometry"])) for each in (one, other)]
        assert shapes[0].is_valid
        assert shapely.hausdorff_distance(*shapes) < 1e-6
        assert shapely.symmetric_difference(*shapes).area < 1e-9
    ours, theirs = json.loads(mine["json"]), json.loads(texts["json"])
    del theirs["checksum"], theirs["in_words"], ours["in_words"]
    theirs["greedy"].pop("gap_at_most"), ours["greedy"].pop("gap_at_most")
    assert [*ours] == [*theirs]
    alike(ours, theirs)


FILES = {"csv": "places.csv", "geojson": "places.geojson", "json": "plan.json"}


def alike(one: Any, other: Any) -> None:
    """Whether two JSON values are the same but for the last digits of numbers."""
    if isinstance(other, dict):
        assert [*one] == [*other]
        for name in other:
            alike(one[name], other[name])
    elif isinstance(other, list):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            alike(*pair)
    elif isinstance(other, float):
        assert one == pytest.approx(other, rel=2**-12, abs=2e-8)  # of what is usual; the tables show the others
    else:
        assert one == other


def test_what_is_covered_is_said_against_the_usual_top_places(window, of) -> None:
    at(window, rule="city", places=6, step="evening")
    plan = made(of, {"places": 6}, "evening")
    for words, covered in (
        (window.text("#hits"), plan.covered),
        (window.text("#plan-words li:first-child"), plan.coverage(plan.usual)),
    ):
        assert f"{covered.expected:.3g} ({covered.low} to {covered.high})" in words
        assert f"{round(100 * covered.share)} % of the expected reports" in words
    assert "No other choice of places covers more." in window.text("#plan-words")
    at(window, area=9)
    assert re.search(r"At most [\d.]+ % below the best choice|No other choice", window.text("#plan-words"))


def test_where_places_fall_is_shown(window, of) -> None:
    at(window, rule="proportion", places=7)
    window.page.locator("#plan-falls > summary").click()
    tables = window.page.locator("#plan-tables table")
    tables.nth(1).wait_for()
    rows = [row.locator("th, td").all_inner_texts() for row in tables.nth(0).locator("tbody tr").all()]
    by_name = pd.Series(of.districts[made(of, {"rule": "proportion", "places": 7}, None).greedy]).value_counts()
    assert {row[0].removeprefix("District "): int(row[1]) for row in rows if int(row[1])} == by_name.to_dict()
    assert "deprivation" in tables.nth(1).locator("caption").inner_text()
    assert tables.nth(1).locator("tbody tr").count() >= 9
    window.page.locator("#plan-falls > summary").click()


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("plan") / "map.html"
    of = hexagons()
    allocation = Allocation(weights={"violence": 3}, leave_out={str(of.hexagons[0]): "a depot"})
    write_map(view_of(of, "denver", plan=plan_view(allocation, None)), file)
    return file


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_place_is_left_out_for_a_reason_and_put_back(browser, path, width: int, height: int) -> None:  # noqa: F811
    with Window(browser, path.as_uri(), viewport={"width": width, "height": height}) as opened:
        page = opened.page
        assert page.locator("#plan-out-list li").count() == 1  # as configured
        page.locator("#plan-places > summary").click()
        first = page.locator("#plan-list li").first
        name = first.locator("[name=go] span").nth(1).inner_text()
        first.locator("[name=leave]").click()
        for empty in ("", "   "):
            page.locator("#reason").fill(empty)
            page.locator("#leaving [type=submit]").click()
            assert page.locator("#leaving").get_attribute("open") is not None
        page.locator("#reason").fill("works; until spring")
        page.locator("#leaving [type=submit]").click()
        assert name not in page.locator("#plan-list").inner_text()
        assert "works; until spring" in page.locator("#plan-out-list").inner_text()
        assert page.locator("#planning b").all_inner_texts()
        page.wait_for_url("**out=**")
        with Window(browser, page.url, viewport={"width": width, "height": height}) as again:
            assert again.page.locator("#plan-out-list li").count() == 2
            assert "works, until spring" in again.page.locator("#plan-out-list").inner_text()
            assert again.text("#hits") == opened.text("#hits")
        page.locator("#plan-out-list [name=back]").nth(1).click()
        assert page.locator("#plan-list li").first.locator("[name=go] span").nth(1).inner_text() == name
        assert page.locator("#planning").evaluate("(one) => one.scrollWidth <= one.clientWidth")
        page.locator("#plan-list [name=go]").first.click()
        page.locator("#leave").click()
        assert name in page.locator("#leaving-title").inner_text()
        page.locator("#leave-cancel").click()
        assert page.locator("#plan-out-list li").count() == 1


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_rule_budget_and_weights_are_chosen_and_stand_in_the_address(browser, path, width, height) -> None:  # noqa: F811
    with Window(browser, path.as_uri() + "#lang=es", viewport={"width": width, "height": height}) as opened:
        opened.page.locator("#plan-rule").select_option("proportion")  # the longest words
        assert opened.page.locator("#planning").evaluate("(one) => one.scrollWidth <= one.clientWidth")
    with Window(browser, path.as_uri(), viewport={"width": width, "height": height}) as opened:
        page = opened.page
        assert not {"rule", "places", "weights", "out"} & {*re.findall(r"(\w+)=", page.url)}
        page.locator("#plan-rule").select_option("district")
        if width > 390:  # else the page scrolls
            assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
        assert page.locator("#planning").evaluate("(one) => one.scrollWidth <= one.clientWidth")
        assert page.locator("#plan-unit").input_value() == "places"
        page.locator("#area-number").fill("2")
        assert opened.text("#hits").startswith("6 hexagons")
        page.locator("#plan-unit").select_option("km2")
        assert page.locator("#area-number").get_attribute("aria-label").startswith("Budget in square kilometres")
        assert opened.text("#hits").startswith("6 hexagons")
        page.locator("#plan-unit").select_option("places")
        page.locator("#plan-weights > summary").click()
        page.locator("[name=weight]").first.fill("0")
        before = page.evaluate("() => makePlan().rows")
        page.wait_for_url(re.compile("rule=district&places=2&weights=0%2C3"))
        with Window(browser, page.url, viewport={"width": width, "height": height}) as again:
            assert again.page.evaluate("() => makePlan().rows") == before
            again.page.locator("#plan-weights > summary").click()
            assert again.page.locator("[name=weight]").first.input_value() == "0"
        page.locator("[name=weight]").nth(1).fill("0")
        assert "All weights are 0" in opened.text("#plan-words")
        page.locator("#category").select_option("1")
        assert page.locator("[name=weight]").first.is_disabled()
        assert opened.text("#hits").startswith("6 hexagons")


def test_what_nobody_asked_for_is_not_there(browser, path) -> None:  # noqa: F811
    with Window(browser, path.as_uri()) as opened:
        opened.page.locator("#plan-falls > summary").click()
        opened.page.locator("#plan-tables table").wait_for()
        assert opened.page.locator("#plan-tables table").count() == 1  # districts, and nobody's deprivation
        assert opened.text("#plan-purpose") == PURPOSE
        words = opened.page.evaluate("() => document.body.innerText + document.body.innerHTML").lower()
        assert not {"patrol", "dispatch"} & {*re.findall(r"[a-z]+", words)}
        assert not [url for url in opened.requests if not url.startswith(("file:", "data:", "blob:"))]


@pytest.mark.parametrize(
    "hash_", ["rule=beat&places=0&weights=1,99&out=nowhere:x;:;%E0%A4%A", "out=88268cdac7fffff&places=1e9&area=x"]
)
def test_an_address_that_does_not_fit_chooses_nothing(browser, path, hash_: str) -> None:  # noqa: F811
    with Window(browser, path.as_uri()) as opened:
        usual = opened.text("#hits")
    with Window(browser, f"{path.as_uri()}#{hash_}") as opened:
        assert opened.page.locator("#plan-rule").input_value() == "city"
        assert opened.page.evaluate("() => [plan.places, plan.weights]") == [None, [1, 3]]
        assert opened.text("#hits") == usual
