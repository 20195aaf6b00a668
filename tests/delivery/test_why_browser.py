"""What the box of a hexagon says of why, in a real browser, from the file alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_grids import grid

from stforecast.delivery.webmap import view_of, write_map
from stforecast.delivery.why import flagged, logs, parts_of, spans_of, to_values

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
GROUPS = ("usual", "city", "calendar", "weather", "last_days", "neighbours")
DAYS = [f"2024-09-{day:02}" for day in range(2, 30)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def why() -> dict[str, Any]:
    of = grid()
    spans = spans_of(of)
    rows = flagged(of, spans)
    whole = np.stack([logs(of, span)[:, rows] for span in spans.values()])
    rest = np.random.default_rng(0).normal(0, 0.4, (len(GROUPS) - 1, *whole.shape))
    rest[1] = 0
    values = to_values(GROUPS, spans, of.hexagons[rows], np.concatenate([(whole - rest.sum(0))[None], rest]))
    counts: list[list[int | None]] = [[None] * 28 for _ in rows]
    counts[0][3] = 7
    weeks = [[12, None, 8, None] for _ in rows]
    recent = {"days": DAYS, "counts": counts, "weeks": weeks, "least": 5, "without": ["violence"]}
    return values | {"recent": recent, "contents": {"theft": ["<b>theft*", "burglary"], "violence": []}}


@pytest.fixture(scope="module")
def path(why: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("why") / "map.html"
    write_map(view_of(grid(), "denver", why=why), target)
    return target


def opened(browser: Any, path: Path, size: tuple[int, int] = (1400, 900), address: str = "") -> Any:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, locale="en-GB")
    page.on("pageerror", lambda error: pytest.fail(str(error)))
    page.goto(f"file://{path}{address}")
    page.wait_for_selector("html[data-ready]", state="attached")
    return page


def pick(page: Any, hexagon: str) -> None:
    page.evaluate(f"pin(grid.view.hexagons.indexOf('{hexagon}'))")


def factors(page: Any) -> list[float]:
    """Those of the box, as numbers."""
    found = page.locator("#facts .why li b").all_inner_texts()
    return [float(one.removeprefix("×").removeprefix("=")) for one in found]


@pytest.mark.parametrize("size", [(1400, 900), (390, 844), (844, 390)])
def test_the_box_says_why(browser: Any, path: Path, why: dict[str, Any], size: tuple[int, int]) -> None:
    page = opened(browser, path, size)
    cell = why["hexagons"][1]
    pick(page, cell)
    parts = parts_of(why)[:, 0, 0, 1]
    shown = factors(page)
    assert shown[:-1] == pytest.approx(np.exp(parts), rel=0.03)
    expected = page.locator("#facts [data-fact=expected]").inner_text()
    assert float(expected) == shown[-1] == pytest.approx(float(f"{np.exp(parts.sum()):.2g}"))
    assert "known events" in page.locator("#facts .why small").inner_text()  # not read, and said so
    for group, part in zip(GROUPS[1:], parts[1:], strict=True):
        bar = page.locator(f"#facts .why li[data-group={group}] i")
        assert bar.get_attribute("class") == ("less" if part < 0 else "more")
    assert page.locator("#facts [data-fact=usual]").count() == 1
    assert page.locator("#facts [data-fact=rest]").count() == 0  # one split, not two
    page.locator("#status", has_text="level of the whole city lately").wait_for(state="attached")
    box, most = page.locator("#tip").bounding_box(), size[1]
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= most + 1
    assert page.evaluate("document.getElementById('tip').scrollWidth <= document.getElementById('tip').clientWidth + 1")
    page.close()


def test_shifts_have_parts_of_their_own_and_other_hours_say_so(browser: Any, path: Path, why: dict[str, Any]) -> None:
    page = opened(browser, path, address="#step=evening&category=theft")
    pick(page, why["hexagons"][0])
    names = [span["name"] for span in why["spans"]]
    assert factors(page)[:-1] == pytest.approx(np.exp(parts_of(why)[:, names.index("evening"), 1, 0]), rel=0.03)
    page.evaluate("choose({ span: [3, 4] })")
    assert "for the shifts" in page.locator("#facts .why").inner_text()
    page.evaluate("choose({ span: null })")
    other = next(cell for cell in grid().hexagons.tolist() if cell not in why["hexagons"])
    pick(page, other)
    assert "stforecast why" in page.locator("#facts .why").inner_text()
    assert page.locator("#facts [data-fact=rest]").count() == 1
    assert page.locator("#facts .recent").count() == 0
    page.close()


def test_hours_reports_and_contents(browser: Any, path: Path, why: dict[str, Any]) -> None:
    page = opened(browser, path)
    cell = why["hexagons"][0]
    pick(page, cell)
    bars = page.locator("#facts .strip span")
    assert bars.count() == 24
    row, of = grid().hexagons.tolist().index(cell), grid()
    heights = page.evaluate("[...document.querySelectorAll('#facts .strip i')].map((i) => parseFloat(i.style.height))")
    most = max(of.intensity[:24, 0, row].max(), of.usual[:24, 0, row].max())
    assert heights == pytest.approx(100 * of.intensity[:24, 0, row] / most, rel=1e-4)
    assert "Most are expected" in page.locator("#facts .strip").get_attribute("aria-label")
    page.locator("#facts .recent summary").click()
    first = page.locator("#facts .recent tr").nth(1).locator("td").all_inner_texts()
    assert first == ["12", "·", "·", "·", "7", "·", "·", "·"]
    rule = page.locator("#facts .recent small").inner_text()
    assert "fewer than 5" in rule
    assert "Without violence." in rule
    page.locator("#contents summary").click()
    assert page.locator("#contents-list dd").all_inner_texts() == [
        "<b>theft*, burglary",
        "all that no other category names",
    ]
    page.select_option("#category", "1")
    assert page.locator("#contents-list dt").all_inner_texts() == ["theft"]
    assert page.locator("#facts .recent").get_attribute("open") is not None  # stays as it was
    page.close()


def test_a_large_file_holds_the_same(browser: Any, why: dict[str, Any], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("stforecast.delivery.webmap.LARGE", 1000)
    write_map(view_of(grid(), "denver", why=why), tmp_path / "large.html")
    page = opened(browser, tmp_path / "large.html")
    pick(page, why["hexagons"][2])
    assert factors(page)[:-1] == pytest.approx(np.exp(parts_of(why)[:, 0, 0, 2]), rel=0.03)
    page.close()


def test_a_model_without_parts_and_a_grid_of_before(browser: Any, why: dict[str, Any], tmp_path: Path) -> None:
    of = grid()
    none = to_values((), {}, np.array(why["hexagons"]), np.zeros(0))
    write_map(view_of(of, "denver", why=why | none), tmp_path / "none.html")
    page = opened(browser, tmp_path / "none.html")
    pick(page, why["hexagons"][0])
    assert "not available for this model" in page.locator("#facts .why").inner_text()
    assert page.locator("#facts .recent").count() == 1
    page.close()
    write_map(view_of(of, "denver"), tmp_path / "before.html")
    page = opened(browser, tmp_path / "before.html")
    pick(page, why["hexagons"][0])
    assert page.locator("#facts .why").count() == 0
    assert page.locator("#facts .strip").count() == 1
    assert page.locator("#contents").is_hidden()
    page.close()
