"""The page of a map on paper: one sheet of A4, whatever the screen shows, and the screen as it was afterwards."""

import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_grids import COMPARISON, grid

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("pypdf", reason="pypdf is not installed")
import pypdf
from test_webmap_browser import CHROMIUM, Window, browser  # noqa: F401  # a fixture

from stforecast.delivery.brief import brief_of
from stforecast.delivery.brief_pdf import html_of
from stforecast.delivery.riskgrid import NOTICE, RiskGrid
from stforecast.delivery.webmap import view_of, write_map

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
SCREENS: list[dict[str, Any]] = [
    {"viewport": {"width": 1400, "height": 900}},
    {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True},
    {"viewport": {"width": 844, "height": 390}, "color_scheme": "dark"},
]


STATE = """() => [city.map.getCenter(), city.map.getZoom(), city.map.getSize(), city.map.options.minZoom,
    ...[...document.querySelectorAll("#map canvas")].map(({ width, height }) => [width, height])]"""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[RiskGrid, Path]:
    of = grid(rings=5, assumptions=("Weather was assumed to be as it is in other years. " * 6,))
    names = [f"E Colfax Ave & N Broadway {row}" for row in range(len(of.hexagons))]
    of = replace(of, places=np.array(names, object), credits=("A city.",))
    path = tmp_path_factory.mktemp("print") / "map.html"
    write_map(view_of(of, "denver", comparison=COMPARISON), path)
    return of, path


def printed(window: Window) -> Any:
    """The only page that a browser prints."""
    pages = pypdf.PdfReader(BytesIO(window.page.pdf(prefer_css_page_size=True, print_background=True))).pages
    assert len(pages) == 1
    assert [round(float(side) / 72 * 25.4) for side in pages[0].mediabox[2:]] == [210, 297]
    return pages[0]


def words_of(page: Any) -> str:
    return re.sub(r"\s+", " ", page.extract_text())


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: str(screen["viewport"]["width"]))
def test_it_is_one_sheet_with_what_the_screen_says_and_no_controls(browser, made, screen) -> None:  # noqa: F811
    with Window(browser, f"{made[1].as_uri()}#step=evening&category=theft", **screen) as window:
        before = window.page.evaluate(STATE)
        sheet = printed(window)
        words = words_of(sheet)
        when, hits = (re.sub(r"\s+", " ", window.text(name)) for name in ("#when", "#hits"))
        for said in ("Denver: reported offences expected", "Category: theft", NOTICE, when, hits, "A city."):
            assert said in words
        for row in window.page.locator("#list button").all():
            assert re.sub(r"\s+", " ", row.inner_text()) in words
        for label in window.page.locator("#legend li").all():
            assert label.locator("span").inner_text() in words
        for control in ("Find a place", "Play", "Print", "Language", "Units", "Compare"):
            assert control not in words
        finest = max(image.image.width for image in sheet.images)
        assert finest > 1500  # pixels over 19 cm and what lies around
        window.page.wait_for_function("() => onScreen === null")
        assert window.page.evaluate(STATE) == before
        assert window.page.evaluate("() => document.documentElement.className") == ""


def test_a_part_of_the_city_stays_that_part(browser, made) -> None:  # noqa: F811
    with Window(browser, made[1].as_uri()) as window:
        window.page.evaluate("() => city.map.setView(city.centre(0), 15, { animate: false })")
        seen = window.page.evaluate(
            "() => { const before = city.map.getBounds(); toPaper();"
            " const on = city.map.getBounds(), close = city.map.getZoom(); toScreen();"
            " return [on.contains(before), close]; }"
        )
        assert seen[0]
        assert seen[1] > 13
        window.page.wait_for_function("() => onScreen === null && city.map.getZoom() === 15")


def test_the_button_prints(browser, made) -> None:  # noqa: F811
    with Window(browser, made[1].as_uri()) as window:
        window.page.evaluate("() => { window.asked = 0; window.print = () => window.asked++; }")
        window.page.get_by_role("button", name="Print", exact=True).click()
        assert window.page.evaluate("() => window.asked") == 1


def test_the_open_comparison_is_printed_in_its_place(browser, made) -> None:  # noqa: F811
    with Window(browser, made[1].as_uri()) as window:
        window.page.get_by_role("button", name="Compare with the year before").click()
        words = words_of(printed(window))
        assert "Year to date" in words
        assert "Category: all" not in words


@pytest.mark.parametrize(("shift", "beat"), [(None, None), ("evening", "South")])
def test_the_page_of_a_briefing_is_one_sheet_too(browser, made, tmp_path, shift, beat) -> None:  # noqa: F811
    of = brief_of(made[0], "denver", shift, beat, comparison=COMPARISON)
    (tmp_path / "brief.html").write_text(html_of(of, []), encoding="utf-8")
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto((tmp_path / "brief.html").as_uri())
    sheets = pypdf.PdfReader(BytesIO(page.pdf(prefer_css_page_size=True))).pages
    assert len(sheets) == 1
    words = words_of(sheets[0])
    for table in (of.places, of.totals):
        for cells in table.rows:
            assert " ".join(filter(None, cells)) in words
    context.close()
