"""Ranges of what the map shows, in a real browser: those of the law of sums, for the hours that are chosen."""

import numpy as np
import pytest
from small_grids import COMPARISON, grid
from test_webmap_browser import CHROMIUM, Window, browser  # noqa: F401

from stforecast.delivery.packed import pack, unpack
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.delivery.sums import range_of_sum
from stforecast.delivery.webmap import view_of, write_map

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
SPANS = {"all": (0, 23), "evening": (15, 22), "4-9": (4, 9), "5": (5, 5)}


@pytest.fixture(scope="module")
def of() -> RiskGrid:
    return unpack(pack(grid(rings=4), "denver"))  # sums as every reader has them


@pytest.fixture(scope="module")
def window(browser, of, tmp_path_factory) -> Window:  # noqa: F811
    path = tmp_path_factory.mktemp("ranges") / "map.html"
    write_map(view_of(of, "denver", comparison=COMPARISON), path)
    with Window(browser, path.as_uri()) as opened:
        yield opened


def range_of(of: RiskGrid, hexagons: np.ndarray, span: tuple[int, int], category: int) -> str:
    steps = (np.arange(of.horizons) >= span[0]) & (np.arange(of.horizons) <= span[1])
    low, high = range_of_sum(of, np.isin(np.arange(len(of.hexagons)), hexagons), steps, category)
    return f"{low} to {high}"


@pytest.mark.parametrize("category", [0, 2])
@pytest.mark.parametrize("step", SPANS)
def test_ranges_are_of_the_hours_that_are_shown(window, of, step: str, category: int) -> None:
    page, span, n = window.page, SPANS[step], len(of.hexagons)
    page.evaluate(f"() => {{ location.hash = 'step={step}&category={of.categories[category]}&area=6' }}")
    page.locator("#districts").evaluate("(details) => { details.open = true }")
    window.drawing()
    lam = of.intensity[span[0] : span[1] + 1, category].sum(0)
    city = f"{lam.sum():.3g} reports expected ({range_of(of, np.arange(n), span, category)}) in these {n} hexagons"
    assert window.text("#when").endswith(city)
    top = page.evaluate("() => city.marks.top")
    assert window.text("#hits").endswith(
        f"% of the expected reports: {lam[top].sum():.3g} ({range_of(of, top, span, category)})"
    )
    window.hover(7, of.hexagons[7])
    assert window.facts()["interval"] == f"{range_of(of, [7], span, category)} reports"
    hours = span[1] - span[0] + 1
    assert f"Range of the count in the {'hour' if hours == 1 else f'{hours} hours'}, 90 %" in window.text("#tip")
    names = sorted({name for name in of.districts if name}, key=lambda name: -lam[of.districts == name].sum())
    assert [row.locator("th, td").all_inner_texts() for row in page.locator("#district-rows tr").all()] == [
        [name, f"{lam[inside].sum():.3g}", range_of(of, np.flatnonzero(inside), span, category)]
        for name in names
        for inside in [of.districts == name]
    ]


def test_the_comparison_has_the_range_of_the_city(window, of) -> None:
    window.page.locator("#comparison-open").click()
    cells = window.page.locator("#compared-rows td:last-child").all_inner_texts()
    ranges = [range_of(of, np.arange(len(of.hexagons)), (0, 23), category) for category in (0, 1)]
    assert cells == [f"3.5\n({ranges[0]})", f"1.25\n({ranges[1]})"]
    window.page.keyboard.press("Escape")


def test_what_a_range_is_and_how_well_it_held_is_said(window) -> None:
    assert "meant to hold 90 % of the counts" in window.text("#about")


def test_without_a_law_of_sums_there_is_the_range_of_the_horizon_alone(browser, tmp_path) -> None:  # noqa: F811
    bare = grid(joint={})
    write_map(view_of(bare, "denver"), tmp_path / "map.html")
    with Window(browser, (tmp_path / "map.html").as_uri() + "#step=5") as opened:
        assert "expected in these" in opened.text("#when")
        assert opened.text("#hits").endswith("% of the expected reports")
        opened.hover(7, bare.hexagons[7])
        assert "Range of the count in the 24 hours, 90 %" in opened.text("#tip")
        assert opened.facts()["interval"] == "{} to {} reports".format(*bare.bounds[:, 0, 7])
        assert "meant to hold" not in opened.text("#about")
