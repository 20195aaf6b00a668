"""No barrier on the pages that axe-core finds, in Chromium: at three sizes, by day and by night, in both languages."""

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from axe import MISSING, findings
from small_grids import COMPARISON
from test_brief import of_city
from test_map_everyone_browser import made  # noqa: F401  # a fixture
from test_webmap_browser import Window, browser, service  # noqa: F401  # fixtures

from stforecast.delivery.brief import brief_of
from stforecast.delivery.brief_pdf import html_of

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {MISSING}")
SIZES = {"desk": (1400, 900), "phone": (390, 844), "across": (844, 390)}


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_the_map_in_a_file(browser, made, size: str, scheme: str, language: str) -> None:  # noqa: F811
    width, height = SIZES[size]
    phone = {"is_mobile": True, "has_touch": True} if size != "desk" else {}
    options = {"viewport": {"width": width, "height": height}, "color_scheme": scheme} | phone
    with Window(browser, made[1].as_uri() + f"#lang={language}&measure=rate", **options) as opened:
        page = opened.page
        assert findings(page) == []
        page.locator("#list button").first.click()
        for details in page.locator("details").all():
            details.evaluate("(one) => { one.open = true; }")
        page.locator("#search").fill("street")
        assert findings(page) == []
        page.keyboard.press("Escape")
        page.locator("#close").click()
        page.evaluate("() => { select([0, 1, 2, 30]); startDrawing(); }")
        assert findings(page) == []
        page.evaluate("stopDrawing()")
        page.locator("#comparison-open").click()
        assert findings(page) == []


def test_the_served_page_and_its_documentation(browser, service) -> None:  # noqa: F811
    address, _ = service
    with Window(browser, address) as opened:
        assert findings(opened.page) == []
        opened.page.goto(address + "docs")
        assert findings(opened.page) == []


def test_a_briefing(browser, tmp_path) -> None:  # noqa: F811
    brief = brief_of(of_city(), "denver", "evening", comparison=COMPARISON)
    (tmp_path / "brief.html").write_text(html_of(brief, []), encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / "brief.html").as_uri())
    assert findings(page) == []
