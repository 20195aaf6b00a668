"""Keys, dialogs and lists of the map that must not undo each other, in a real browser."""

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from test_map_plan_browser import path  # noqa: F401
from test_webmap_browser import CHROMIUM, Window, browser  # noqa: F401

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture
def page(browser, path):  # noqa: F811
    with Window(browser, path.as_uri()) as opened:
        yield opened.page


def test_enter_takes_the_cell_in_hand_and_none_while_an_area_is_drawn(page) -> None:
    page.locator("#map").focus()
    page.keyboard.press("ArrowUp")
    page.evaluate("() => pin(2)")
    page.locator("#map").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("pinned") is None  # the box of 2 is let go, and none of before comes back
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Escape")
    page.evaluate("() => (drawing.on = true)")
    page.keyboard.press("Enter")
    assert page.evaluate("pinned") is None


def test_escape_in_a_dialog_closes_it_alone(page) -> None:
    page.evaluate("() => pin(3)")
    page.get_by_role("button", name="Leave out of the plan").click()
    page.locator("dialog[open]").wait_for()
    page.keyboard.press("Escape")
    page.wait_for_function("() => !document.querySelector('dialog[open]')")
    assert page.evaluate("pinned") == 3


def test_arrow_keys_open_the_list_of_areas_and_enter_adds_one(page) -> None:
    page.locator("#selection-area").focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    assert page.evaluate("selection.cells") == []
    page.keyboard.press("Enter")
    page.wait_for_function("() => selection.cells.length")
    assert page.evaluate("String(selection.cells) === String(grid.districts.get('1'))")


def test_a_district_that_is_chosen_keeps_the_focus(page) -> None:
    page.locator("#districts > summary").click()
    button = page.locator("#district-rows button >> nth=0")
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_timeout(50)
    assert page.evaluate("document.activeElement.closest('#district-rows') !== null")


def test_files_of_other_hours_and_categories_have_other_names(page) -> None:
    names = set()
    for choice in ("{ span: null, category: 0 }", "{ span: [5, 5], category: 0 }", "{ span: [5, 5], category: 1 }"):
        page.evaluate(f"() => choose({choice})")
        names.add(tuple(page.evaluate("() => [planName('.csv'), exported('kml').name]")))
    assert all(len({name[kind] for name in names}) == 3 for kind in (0, 1))
