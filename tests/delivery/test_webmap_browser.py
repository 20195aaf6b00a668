"""The interactive map in a real browser, as a file and behind the service."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import h3
import numpy as np
import pandas as pd
import pytest
import uvicorn
from axe import CHROMIUM, QUIET
from small_grids import COMPARISON, FACTS, ISSUED, grid, store_of, usual

from stforecast.config import load
from stforecast.config.sections import Unit
from stforecast.cube.hexgrid import areas_km2, from_names
from stforecast.delivery.api.app import create_app
from stforecast.delivery.api.keeper import Keeper
from stforecast.delivery.export import open_grid, write_grid
from stforecast.delivery.map import TOP_SHARE, highest
from stforecast.delivery.rates import Denominator
from stforecast.delivery.riskgrid import HORIZON, RiskGrid, with_sums
from stforecast.delivery.small_counts import hides_each, reported_view
from stforecast.delivery.store import Store
from stforecast.delivery.sums import range_of_sum
from stforecast.delivery.webmap import view_of, write_map
from stforecast.forecasters.forecast import Forecast
from stforecast.scoring.conformal import Spread

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A grid as `stforecast forecast` writes it, and beside it a map with reported counts."""
    cells = h3.grid_disk(h3.latlng_to_cell(39.74, -104.99, 8), 4)
    rng = np.random.default_rng(0)
    shape = (1, 24, len(cells), 2)
    forecast = Forecast(
        intensity=(rng.gamma(0.5, 0.1, shape) * np.linspace(0.5, 1.5, 24)[:, None, None]).astype(np.float32),
        issue_times=pd.DatetimeIndex([ISSUED]),
        hexagons=np.array(cells),
        categories=("theft", "<img src=x onerror=alert(1)>"),
        step_hours=1,
        time_zone="America/Denver",
        model="gcrn-ab12",
        complete_until=ISSUED,
        assumptions=("A simulated city: no report in it is real.",),
        spreads=dict.fromkeys(("all", "theft", "<img src=x onerror=alert(1)>"), Spread(0.9, 0.3, (), (0.05,), (0.95,))),
        usual=rng.gamma(0.5, 0.1, shape).astype(np.float32),
        districts=np.array(["</script><b>6", None] + ["3"] * (len(cells) - 2), object),
    )
    target = tmp_path_factory.mktemp("grids") / "20240930T060000Z"
    write_grid(RiskGrid.of(forecast), target, "denver")
    given = reported_view(reported(open_grid(target)), np.array([False, True]), LEAST)
    write_map(view_of(open_grid(target), "denver", given), target / "reported.html")
    return target


LEAST = 2


def reported(of: RiskGrid) -> np.ndarray:
    """Counts of the horizon, [c n]."""
    return np.random.default_rng(1).poisson(of.leaves(of.intensity).sum(0))


class Window:
    """A page that fails on any error, and remembers every request."""

    def __init__(self, browser, address: str, clock: bool = False, **context) -> None:
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, "locale": "en-GB"} | context)
        self.context.set_default_timeout(10_000)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        if clock:
            self.page.clock.install()
        self.page.goto(address)
        self.ready()

    def __enter__(self) -> "Window":
        return self

    def __exit__(self, kind, *_: object) -> None:
        self.context.close()
        if kind is None:
            assert self.complaints == []

    def ready(self) -> float:
        self.page.wait_for_selector("html[data-ready]", state="attached")
        return float(self.page.get_attribute("html", "data-ready"))

    def text(self, selector: str) -> str:
        return self.page.locator(selector).inner_text()

    def drawing(self) -> str:
        """The canvases, once what was asked for is drawn."""
        return self.page.evaluate(
            "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() =>"
            " done([...document.querySelectorAll('#map canvas')].map((each) => each.toDataURL()).join()))))"
        )

    def hover(self, hexagon: int, name: str) -> None:
        """Rest the mouse on a hexagon: Leaflet looks where it is 30 times a second."""
        x, y = self.place(hexagon)
        self.page.mouse.move(x + 1, y + 1)
        self.page.wait_for_timeout(50)
        self.page.mouse.move(x, y)
        self.page.locator(f"#tip[data-hexagon='{name}']").wait_for()

    def facts(self) -> dict[str, str]:
        return self.page.evaluate(
            "() => Object.fromEntries([...document.querySelectorAll('#tip dd')]"
            ".map((fact) => [fact.dataset.fact, fact.innerText]))"
        )

    def place(self, hexagon: int) -> tuple[float, float]:
        """Where a hexagon is on the screen."""
        return tuple(
            self.page.evaluate(
                "(i) => { const p = city.map.latLngToContainerPoint(city.centre(i)),"
                " b = document.querySelector('#map').getBoundingClientRect(); return [b.left + p.x, b.top + p.y]; }",
                hexagon,
            )
        )


@pytest.fixture(scope="module")
def window(browser, folder) -> Iterator[Window]:
    """The map with reported counts, shared by tests that begin with `at`."""
    with Window(browser, (folder / "reported.html").as_uri()) as opened:
        yield opened


def at(window: Window, **choice: object) -> Window:
    """Choose through the address; what is not named is as at the start."""
    fields = {"step": "all", "category": "all", "measure": "expected", "area": 3, "reported": 0} | choice
    window.page.evaluate("(hash) => { location.hash = hash }", "&".join(f"{k}={v}" for k, v in fields.items()))
    window.drawing()
    return window


def test_the_file_of_a_forecast_asks_for_nothing_outside_itself(browser, folder) -> None:
    with Window(browser, (folder / "map.html").as_uri()) as opened:
        opened.hover(0, open_grid(folder).hexagons[0])
        assert [url for url in opened.requests if not url.startswith("data:")] == [(folder / "map.html").as_uri()]
        assert opened.text("#title") == "Denver: reported offences expected"
        assert "never by person" in opened.text("#notice")
        about = opened.text("#about")
        assert all(words in about for words in ("gcrn-ab12", "Mon 30 Sep 2024 00:00", "A simulated city"))
        assert opened.page.locator("#reported-choice").is_hidden()


@pytest.mark.parametrize("category", [0, 1, 2])
@pytest.mark.parametrize("step", [None, 0, 17])
def test_the_figures_of_a_hexagon_are_those_of_the_tables(window, folder, step: int | None, category: int) -> None:
    table = pd.read_parquet(folder / ("risk_horizon.parquet" if step is None else "risk.parquet"))
    day = pd.read_parquet(folder / "risk_horizon.parquet")
    of = open_grid(folder)
    name = of.categories[category]
    category_rows = table[(table["category"] == name)]
    if step is not None:
        category_rows = category_rows[category_rows["valid_from"] == of.starts[step]]
    at(window, step="all" if step is None else step, category=name.replace("<", "%3C"))
    for hexagon in (0, 7, 30):
        window.hover(hexagon, of.hexagons[hexagon])
        row = category_rows[category_rows["hexagon"] == of.hexagons[hexagon]].iloc[0]
        facts = window.facts()
        assert float(facts["expected"]) == float(f"{row['intensity']:.2g}")
        assert float(facts["risk"].removesuffix(" %")) == float(f"{100 * row['risk']:.2g}")
        assert facts["rank"] == f"{row['rank']} of {len(of.hexagons)}"
        assert float(facts["usual"]) == float(f"{row['usual']:.2g}")
        city = category_rows["intensity"].sum() / category_rows["usual"].sum()
        rest = row["intensity"] / row["usual"] / city
        for fact, factor in (("city", city), ("rest", rest)):
            assert float(facts[fact].split()[1]) == pytest.approx(factor, rel=0.006)
        spread = day[(day["category"] == name) & (day["hexagon"] == row["hexagon"])].iloc[0]
        assert facts["interval"] == f"{spread['low']} to {spread['high']} reports"
        count = reported(of)[0, hexagon]
        seen = "{}" if category else "{} or more"  # of all: what is shown and perhaps something of what never is
        hidden = ["not shown", f"fewer than {LEAST}", "not shown"][category]
        expected = seen.format(count) if count >= LEAST and category < 2 else hidden
        assert facts["reported"] == expected


def test_reports_are_laid_over_the_day_alone_and_no_small_ones(window, folder) -> None:
    counts = reported(open_grid(folder))[0]
    total = counts.sum() if hides_each(counts, LEAST) else "not shown"
    for category, words, discs in (
        ("theft", total, (counts >= LEAST).sum()),
        ("<img src=x onerror=alert(1)>", "not shown", 0),
    ):
        at(window, category=category, reported=1)
        assert window.text("#reported-hits") == f"Reported in the 24 hours: {words} (hexagons show {LEAST} and more)"
        assert window.page.evaluate("() => (city.marks.counts || []).filter(Boolean).length") == discs
    at(window, step=5, category="theft", reported=1)
    assert window.text("#reported-hits") == ""
    assert window.page.evaluate("() => (city.marks.counts || []).filter(Boolean).length") == 0


def test_names_are_shown_and_never_run(window, folder) -> None:
    at(window)
    options = window.page.locator("#category option").all_inner_texts()
    assert options == ["all", "theft", "<img src=x onerror=alert(1)>"]
    first = h3.latlng_to_cell(39.74, -104.99, 8)
    window.hover(open_grid(folder).hexagons.tolist().index(first), first)
    assert window.facts()["district"] == "</script><b>6"
    assert window.page.locator("img").count() == 0


def test_every_choice_changes_the_drawing_and_the_words(window) -> None:
    page = at(window).page
    seen = [window.drawing()]

    def changed() -> None:
        seen.append(window.drawing())
        assert len(set(seen)) == len(seen)

    page.locator("#step").fill("5")
    changed()
    assert re.fullmatch(
        r"Mon 30 Sep 05:00 to 06:00: [\d.]+ reports expected in these \d+ hexagons", window.text("#when")
    )
    assert not page.locator("#horizon").is_checked()
    page.locator("#category").select_option("1")
    changed()
    for measure in ("risk", "rank", "usual"):
        page.locator(f"[name=measure][value={measure}]").check()
        changed()
    assert "÷ usual" in window.text("#legend-title")
    page.locator("#area-number").fill("12")
    changed()
    before = window.text("#hits")
    page.locator("#area").fill("20")
    changed()
    assert window.text("#hits") != before
    page.locator("#horizon").check()
    changed()
    page.locator("#reported").check()
    changed()
    assert window.text("#when").startswith("24 hours from Mon 30 Sep 00:00:")
    page.evaluate("() => { const { total } = grid; grid.total = () => 1304; draw(); grid.total = total; }")
    assert ": 1,300 reports expected" in window.text("#when")
    page.evaluate("() => { for (let i = 0; i < 500; i++) choose({ area: i / 100 }); }")  # as a dragged slider does
    page.wait_for_url("**/reported.html#step=all&category=theft&measure=usual&area=4.99&reported=1")


def test_without_a_choice_the_top_is_that_of_the_picture(browser, folder) -> None:
    of = open_grid(folder)
    with Window(browser, (folder / "map.html").as_uri()) as opened:
        top = highest(of.intensity[HORIZON, 0], TOP_SHARE)
        covered = areas_km2(from_names(of.hexagons.tolist()))[top].sum()
        assert opened.text("#hits").startswith(f"Top 5 % of hexagons: {len(top)} hexagons, {covered:.3g} km²")
        assert opened.page.locator("#list button.top").count() == len(top)
        assert "area=" not in opened.page.url


@pytest.mark.parametrize(("step", "area"), [(None, 7.0), (8, 0.1), (8, 15.0), (3, 0.0), (3, 1e4)])
def test_the_top_is_what_fits_into_the_area(window, folder, step: int | None, area: float) -> None:
    at(window, step="all" if step is None else step, area=area, reported=1)
    of = open_grid(folder)
    lam = of.intensity[HORIZON if step is None else step, 0]
    order = np.argsort(-lam, kind="stable")
    areas = areas_km2(from_names(of.hexagons.tolist()))[order]
    taken = order[: max(1, int((areas.cumsum() <= area).sum()))] if area else order[:0]
    share = round(100 * lam[taken].sum() / lam.sum())
    covered = areas[: len(taken)].sum()
    words = window.text("#hits")
    number, km2 = words.split()[0], words.split(", ")[1].split()[0]
    assert int(number) == len(taken)
    assert float(km2) == float(f"{covered:.3g}")
    assert words.endswith(f"{share} % of the expected reports")
    marked = window.page.locator("#list button.top").count()
    assert marked == min(20, len(taken))


def test_legend_counts_every_hexagon_once(window, folder) -> None:
    for measure in ("expected", "risk", "rank", "usual"):
        at(window, step=4, measure=measure)
        sizes = [int(text) for text in window.page.locator("#legend small").all_inner_texts()]
        assert sum(sizes) == len(open_grid(folder).hexagons)
        assert sum(size > 0 for size in sizes) > 2


def test_rates_have_classes_a_list_and_words_of_their_own(browser, folder, tmp_path) -> None:
    of = open_grid(folder)
    residents = np.random.default_rng(3).gamma(1, 1000, len(of.hexagons)).astype(np.float32)
    residents[7] = np.nan
    of = replace(of, denominator=Denominator("residents", 1000, 100, residents))
    write_map(view_of(of, "denver"), tmp_path / "rates.html")
    rates = of.rates["rate"][HORIZON, 0]
    masked = np.isnan(rates)
    with Window(browser, (tmp_path / "rates.html").as_uri()) as opened:
        expected = opened.drawing()
        opened.page.get_by_label("Per 1,000 residents").check()
        assert opened.drawing() != expected
        assert opened.text("#legend-title") == "Reports expected per 1,000 residents in the 24 hours (hexagons)"
        last = opened.page.locator("#legend li").last.inner_text().split("\n")
        assert last == ["no rate: fewer than 100 residents, or not known", str(masked.sum())]
        sizes = [int(text) for text in opened.page.locator("#legend small").all_inner_texts()]
        assert sum(sizes) == len(rates)
        listed = opened.page.locator("#list button").all()
        best = [int(button.get_attribute("data-hexagon")) for button in listed]
        assert best == np.argsort(np.where(masked, 1, -rates), kind="stable")[: len(best)].tolist()
        assert float(listed[0].locator("b").inner_text()) == float(f"{np.nanmax(rates):.2g}")
        top = highest(of.intensity[HORIZON, 0], TOP_SHARE).tolist()  # what is outlined stays that of most reports
        assert opened.page.locator("#list button.top").count() == len({*top} & {*best})
        for hexagon, words in (
            (best[0], f"{np.nanmax(rates):.2g}"),
            (7, "not shown: fewer than 100 residents, or not known"),
        ):
            opened.hover(hexagon, of.hexagons[hexagon])
            assert opened.facts()["rate"] == words
        about = opened.text("#about")
        assert f"or not known): {masked.sum()} of {len(rates)} hexagons." in about
        assert "a rate by residents is high without anyone there" in about
        opened.page.wait_for_url("**measure=rate**")
    with Window(browser, (folder / "map.html").as_uri() + "#measure=rate") as opened:
        assert opened.page.locator("#rate-choice").is_hidden()
        assert opened.page.locator("[name=measure]:checked").get_attribute("value") == "expected"


def test_the_keyboard_does_everything(browser, folder) -> None:
    with Window(browser, (folder / "map.html").as_uri(), reduced_motion="reduce") as opened:
        page = opened.page
        reached: list[str] = []
        for _ in range(60):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate(
                    "document.activeElement.id || document.activeElement.name || document.activeElement.tagName"
                )
            )
            ring = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert ring not in ("none", ""), reached[-1]
            if reached[-1] == "BUTTON":
                break
        assert {"map", "play", "step", "horizon", "category", "measure", "area", "area-number", "shift"} <= {*reached}
        before = page.evaluate("city.map.getCenter()")
        page.keyboard.press("Enter")
        best = page.locator("#list button").first.get_attribute("data-hexagon")
        page.locator("#tip.pinned").wait_for()
        assert opened.facts()["rank"].startswith("1 of ")
        assert page.get_attribute("#tip", "data-hexagon") == open_grid(folder).hexagons[int(best)]
        assert page.evaluate("city.map.getCenter()") != before
        page.locator("#status", has_text="Rank 1 of").wait_for(state="attached")
        page.keyboard.press("Escape")
        assert page.locator("#tip").is_hidden()
        page.locator("#step").focus()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert opened.text("#when").startswith("Mon 30 Sep 02:00 to 03:00:")
        assert page.locator("#step").get_attribute("aria-valuetext") == "Mon 30 Sep 02:00 to 03:00"
        page.locator("#status", has_text="Mon 30 Sep 02:00 to 03:00. all.").wait_for(state="attached")


def test_play_goes_through_the_hours_until_it_is_paused(browser, folder) -> None:
    with Window(browser, (folder / "map.html").as_uri() + "#step=22", clock=True) as opened:
        page = opened.page
        shown = []
        page.locator("#play").click()
        for _ in range(3):
            shown.append(opened.text("#when").split(":")[0])
            page.clock.run_for(900)
        page.locator("#play").click()
        paused = opened.text("#when")
        page.clock.run_for(5000)
        assert opened.text("#when") == paused
        assert shown == ["Mon 30 Sep 23", "Mon 30 Sep 00", "Mon 30 Sep 01"]


def of_steps(of: RiskGrid, first: int, last: int) -> np.ndarray:
    """Expected reports in a span of steps, [c n], added as files add those of the horizon."""
    leaves = np.ascontiguousarray(of.leaves(of.intensity))[first : last + 1]
    return with_sums(leaves, of.categories)[HORIZON]


def said(opened: Window) -> list[str]:
    """What a window says of the city, and the colours of the hexagons."""
    words = [opened.text(name) for name in ("#when", "#hits", "#list", "#legend", "#shifts")]
    return words + opened.page.evaluate("() => city.colours")


def test_a_shift_has_totals_a_list_figures_and_an_address_of_its_own(browser, folder) -> None:
    of, address = open_grid(folder), (folder / "map.html").as_uri()
    with Window(browser, address) as opened:
        page, shifts = opened.page, opened.page.locator("#shifts button")
        rounded = [f"{float(f'{of_steps(of, *span)[0].sum():.3g}'):g}" for span in ((7, 14), (15, 22), (0, 6))]
        assert shifts.all_inner_texts() == [
            f"Day 07–15\n{rounded[0]}",
            f"Evening 15–23\n{rounded[1]}",
            f"Night 23–07\n{rounded[2]}, only 7 hours",
        ]
        page.get_by_role("button", name="Evening").click()
        lam = of_steps(of, 15, 22)[0]
        order = np.argsort(-lam, kind="stable")
        total = f"{rounded[1]} reports expected in these {len(lam)} hexagons"
        assert opened.text("#when") == f"Evening, Mon 30 Sep 15:00 to 23:00: {total}"
        assert opened.text("#legend-title") == "Reports expected in the 8 hours (hexagons)"
        assert [each.get_attribute("aria-pressed") for each in shifts.all()] == ["false", "true", "false"]
        assert page.locator("#profile .now").count() == 8
        assert not page.locator("#horizon").is_checked()
        listed = [int(one.get_attribute("data-hexagon")) for one in page.locator("#list button").all()]
        assert listed == order[:20].tolist()
        page.locator("#area-number").fill("7")
        taken = order[: int((areas_km2(from_names(of.hexagons.tolist()))[order].cumsum() <= 7).sum())]
        assert opened.text("#hits").endswith(f"{round(100 * lam[taken].sum() / lam.sum())} % of the expected reports")
        opened.hover(7, of.hexagons[7])
        facts = opened.facts()
        assert float(facts["expected"]) == float(f"{lam[7]:.2g}")
        assert float(facts["risk"].removesuffix(" %")) == float(f"{-100 * np.expm1(-lam[7]):.2g}")
        assert facts["rank"] == f"{order.tolist().index(7) + 1} of {len(lam)}"
        assert "Range of the count in the 24 hours, 90 %" in page.locator("#tip dt").all_inner_texts()
        page.locator("#status", has_text="Evening, Mon 30 Sep 15:00 to 23:00. all.").wait_for(state="attached")
        page.wait_for_url("**/map.html#step=evening&**")
        seen, where = said(opened), page.url
    with Window(browser, where) as again:
        assert said(again) == seen


def test_hours_are_chosen_by_a_click_and_by_dragging_over_the_bars(browser, folder) -> None:
    of = open_grid(folder)
    with Window(browser, (folder / "map.html").as_uri()) as opened:
        page, bars = opened.page, opened.page.locator("#profile span")
        box = page.locator("#profile").bounding_box()

        def middle(step: int) -> tuple[float, float]:
            return box["x"] + box["width"] * (step + 0.5) / 24, box["y"] + 4  # above the lower bars too

        page.mouse.click(*middle(0))
        assert opened.text("#when").startswith("Mon 30 Sep 00:00 to 01:00: ")
        page.mouse.move(*middle(9))
        page.mouse.down()
        page.mouse.move(*middle(4), steps=5)
        page.mouse.up()
        page.mouse.move(*middle(20))
        assert opened.text("#when").startswith(f"Mon 30 Sep 04:00 to 10:00: {of_steps(of, 4, 9)[0].sum():.3g} reports")
        assert [index for index, bar in enumerate(bars.all()) if "now" in (bar.get_attribute("class") or "")] == [
            *range(4, 10)
        ]
        page.wait_for_url("**/map.html#step=4-9&**")
        page.locator("#step").focus()
        for _ in range(2):
            page.keyboard.press("Shift+ArrowRight")
        assert opened.text("#when").startswith("Mon 30 Sep 04:00 to 12:00: ")
        assert page.locator("#step").get_attribute("aria-valuetext") == "Mon 30 Sep 04:00 to 12:00"
        page.keyboard.press("ArrowRight")
        assert opened.text("#when").startswith("Mon 30 Sep 05:00 to 06:00: ")
        page.mouse.move(*middle(0))
        page.mouse.down()
        page.mouse.move(*middle(23), steps=3)
        page.mouse.up()
        assert opened.text("#when").startswith("24 hours from Mon 30 Sep 00:00: ")
        assert page.locator("#horizon").is_checked()


@pytest.mark.parametrize("step", ["9-4", "3-24", "-1", "noon", "1-2-3", ""])
def test_an_address_that_names_no_hours_leaves_all_of_them(browser, folder, step: str) -> None:
    with Window(browser, (folder / "map.html").as_uri() + f"#step={step}") as opened:
        assert opened.text("#when").startswith("24 hours from")


@pytest.fixture(scope="module")
def of_unit(tmp_path_factory) -> Callable[[Unit], tuple[RiskGrid, Path]]:
    """A grid of each step, and its map with reported counts."""

    @cache
    def made(unit: Unit) -> tuple[RiskGrid, Path]:
        one, path = grid(unit=unit, rings=4, assumptions=()), tmp_path_factory.mktemp(unit) / "map.html"
        write_map(view_of(one, "denver", reported_view(reported(one), np.array([False, True]), LEAST)), path)
        return one, path

    return made


def test_days_have_a_slider_of_days_and_words_of_their_own(browser, of_unit) -> None:
    of, path = of_unit("day")
    with Window(browser, path.as_uri()) as opened:
        page = opened.page
        assert opened.text("#span") == "Mon 30 Sep 2024 to Sun 6 Oct 2024, America/Denver time"
        assert opened.text("#when").startswith("7 days from Mon 30 Sep 2024: ")
        assert opened.text("#legend-title") == "Reports expected in the 7 days (hexagons)"
        assert opened.text("#reported-hits").startswith("Reported in the 7 days: ")
        assert page.locator("#time .tick").inner_text().strip() == "All 7 days"
        slider = page.locator("#step")
        assert (slider.get_attribute("max"), slider.get_attribute("aria-label")) == ("6", "Day")
        slider.focus()
        for _ in range(2):
            page.keyboard.press("ArrowRight")
        assert slider.get_attribute("aria-valuetext") == "Wed 2 Oct 2024"
        page.locator("#status", has_text="Wed 2 Oct 2024. all.").wait_for(state="attached")
        page.locator("[name=measure][value=risk]").check()
        assert opened.text("#legend-title") == "Risk of at least one report in the day, % (hexagons)"
        assert opened.text("#reported-hits") == ""
        opened.hover(5, of.hexagons[5])
        assert float(opened.facts()["expected"]) == float(f"{of.intensity[2, 0, 5]:.2g}")
        terms = page.locator("#tip dt").all_inner_texts()
        assert {"Range of the count in the day, 90 %", "Usual here: average of past weeks"} <= {*terms}
        bars, thumb = page.locator("#profile span"), page.locator("#step").bounding_box()
        assert bars.count() == 7
        for step in (0, 6):  # the middle of a bar is where the thumb stands
            bar = bars.nth(step).bounding_box()
            where = thumb["x"] + 8 + (thumb["width"] - 16) * step / 6
            assert bar["x"] + bar["width"] / 2 == pytest.approx(where, abs=1)
        page.wait_for_url("**/map.html#step=2&category=all&measure=risk&reported=1")
        page.get_by_role("button", name="Weekend").click()
        assert opened.text("#when").startswith("Weekend, Sat 5 Oct 2024 to Sun 6 Oct 2024: ")
        assert opened.text("#legend-title") == "Risk of at least one report in the 2 days, % (hexagons)"
        assert {url for url in opened.requests if not url.startswith("data:")} == {path.as_uri()}


def test_a_month_has_no_slider_and_nothing_to_play(browser, of_unit) -> None:
    of, path = of_unit("month")
    with Window(browser, path.as_uri() + "#step=0") as opened:
        page = opened.page
        assert opened.text("#span") == "October 2024, America/Denver time"
        assert opened.text("#when").startswith("October 2024: ")
        assert opened.text("#legend-title") == "Reports expected in the month (hexagons)"
        assert opened.text("#reported-hits").startswith("Reported in the month: ")
        assert not any(
            page.locator(name).is_visible() for name in ("#play", "#step", "#horizon", "#profile", "#shifts")
        )
        page.locator("#status", has_text="October 2024. all.").wait_for(state="attached")
        reached = set()
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.id"))
        assert "category" in reached
        assert reached.isdisjoint({"play", "step", "horizon"})
        opened.hover(5, of.hexagons[5])
        assert float(opened.facts()["expected"]) == float(f"{of.intensity[0, 0, 5]:.2g}")
        terms = page.locator("#tip dt").all_inner_texts()
        assert {"Range of the count in the month, 90 %", "Usual here: average of past years"} <= {*terms}
        assert "hour" not in page.locator("body").inner_text().lower()


def test_areas_are_called_areas(browser, of_unit, tmp_path: Path) -> None:
    of, path = of_unit("day")[0], tmp_path / "areas.html"
    of = replace(of, polygons=of.geometry.outlines)
    write_map(view_of(of, "denver", reported_view(reported(of), np.array([False, True]), LEAST)), path)
    with Window(browser, path.as_uri()) as opened:
        assert f"(areas show {LEAST} and more)" in opened.text("#reported-hits")
        opened.hover(5, of.hexagons[5])
        assert "hexagon" not in opened.page.locator("body").inner_text().lower()


@pytest.mark.parametrize("width", [320, 390, 480])
def test_a_phone_shows_it_all_without_scrolling_sideways(browser, folder, width: int) -> None:
    size = {"width": width, "height": 720}
    with Window(browser, (folder / "reported.html").as_uri(), viewport=size, is_mobile=True, has_touch=True) as opened:
        page = opened.page
        opened.page.touchscreen.tap(*opened.place(5))
        page.locator("#tip.pinned").wait_for()
        page.locator("#tip").scroll_into_view_if_needed()
        assert float(opened.facts()["expected"]) > 0
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        box = page.locator("#map").bounding_box()
        assert box["width"] > 0.9 * width
        page.locator("#close").tap()
        assert page.locator("#tip").is_hidden()


PHONE = {"is_mobile": True, "has_touch": True, "viewport": {"width": 390, "height": 844}}
ACROSS = PHONE | {"viewport": {"width": 844, "height": 390}}


def in_view(opened: Window, selector: str) -> bool:
    """Whether something lies on the screen, and nothing over its middle."""
    return opened.page.evaluate(
        """(selector) => {
          const element = document.querySelector(selector), box = element.getBoundingClientRect();
          const over = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
          return box.top >= 0 && box.bottom <= innerHeight && (element.contains(over) || over.contains(element));
        }""",
        selector,
    )


def test_on_a_phone_what_the_list_changes_is_in_view(browser, folder) -> None:
    with Window(browser, (folder / "map.html").as_uri(), **PHONE) as opened:
        opened.page.locator("#list button").nth(12).tap()
        opened.page.locator("#tip.pinned").wait_for()
        opened.page.wait_for_timeout(400)
        assert opened.page.evaluate("scrollY") > 300
        assert in_view(opened, "#map")
        assert in_view(opened, "#tip")
        box = opened.page.locator("#tip").bounding_box()
        _, y = opened.place(int(opened.page.locator("#list button").nth(12).get_attribute("data-hexagon")))
        assert 0 < y < box["y"]


def test_across_a_phone_nothing_covers_play_and_the_bars(browser, folder) -> None:
    with Window(browser, (folder / "map.html").as_uri(), **ACROSS) as opened:
        for selector in ("#map", "#play", "#profile", "#step", "#shifts", "#when"):
            assert in_view(opened, selector), selector
        assert opened.page.locator("#map").bounding_box()["height"] > 150


@pytest.mark.parametrize(("size", "scrolls"), [(PHONE, True), (ACROSS, False)])
def test_a_finger_on_the_map_scrolls_a_page_that_is_longer_than_the_screen(browser, folder, size, scrolls) -> None:
    with Window(browser, (folder / "map.html").as_uri(), **size) as opened:
        x, y = opened.place(0)
        before = opened.page.evaluate("city.map.getCenter()")
        driven = opened.context.new_cdp_session(opened.page)
        for kind, up in [("touchStart", 0), *(("touchMove", 15 * step) for step in range(1, 9)), ("touchEnd", None)]:
            points = [] if up is None else [{"x": x, "y": y - up}]
            driven.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
            opened.page.wait_for_timeout(20)
        opened.page.wait_for_timeout(300)
        assert (opened.page.evaluate("scrollY") > 50) == scrolls
        assert (opened.page.evaluate("city.map.getCenter()") == before) == scrolls


def test_the_ring_of_the_chosen_hexagon_is_seen_on_light_and_on_dark(window) -> None:
    at(window)
    least = window.page.evaluate(
        """() => {
          const light = (colour) => [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16) / 255)
            .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
            .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0.05);
          const contrast = (a, b) => Math.max(light(a) / light(b), light(b) / light(a));
          return Math.min(...city.colours.map((colour) => Math.max(...RING.map(([ring]) => contrast(ring, colour)))));
        }"""
    )
    assert least > 3


def test_the_slider_is_alive_on_the_first_hour(browser, folder) -> None:
    with Window(browser, (folder / "map.html").as_uri()) as opened:
        slider = opened.page.locator("#step")
        slider.click(position={"x": 8, "y": 11})
        assert opened.text("#when").startswith("Mon 30 Sep 00:00 to 01:00: ")
        opened.page.locator("#horizon").check()
        assert opened.text("#when").startswith("24 hours from")
        slider.focus()
        opened.page.keyboard.press("Home")
        opened.page.wait_for_function("() => String(chosen.span) === '0,0'")
        assert opened.text("#when").startswith("Mon 30 Sep 00:00 to 01:00: ")


def test_against_usual_the_list_begins_with_what_is_most_unusual(window, folder) -> None:
    of = open_grid(folder)
    at(window, measure="usual", step=4)
    listed = [int(one.get_attribute("data-hexagon")) for one in window.page.locator("#list button").all()]
    ratio = of.intensity[4, 0] / of.usual[4, 0]
    assert listed == np.argsort(-ratio, kind="stable")[: len(listed)].tolist()
    assert float(window.text("#list b >> nth=0").removeprefix("× ")) == float(f"{ratio.max():.2g}")


def test_the_list_names_hexagons_as_files_and_service_do(window, folder) -> None:
    at(window)
    names = [text.split(", ")[-1] for text in window.page.locator("#list span:nth-child(2)").all_inner_texts()]
    assert {*names} <= {*open_grid(folder).hexagons}


def test_colours_that_the_reader_has_set_leave_legend_bars_and_slider(browser, folder) -> None:
    with Window(browser, (folder / "map.html").as_uri() + "#step=5", forced_colors="active") as opened:
        of = opened.page.evaluate(
            "() => ['#legend i', '#profile span'].map((name) => new Set([...document.querySelectorAll(name)]"
            ".map((each) => getComputedStyle(each).backgroundColor)).size)"
        )
        assert of[0] == opened.page.locator("#legend i").count()
        assert of[1] == 2
        assert opened.page.evaluate("getComputedStyle(document.querySelector('#step')).appearance") == "auto"


def test_a_file_says_that_its_city_is_simulated_and_that_its_forecast_has_ended(browser, folder, tmp_path) -> None:
    with Window(browser, (folder / "map.html").as_uri()) as opened:
        assert opened.text("#banner") == (
            "A simulated city: no report in it is real. This forecast is out of date: it ended Tue 1 Oct 2024 00:00."
        )
    now = pd.Timestamp.now("UTC").floor("h")
    write_map(view_of(replace(open_grid(folder), assumptions=(), issue_time=now), "denver"), tmp_path / "new.html")
    with Window(browser, (tmp_path / "new.html").as_uri(), clock=True) as opened:
        assert opened.page.locator("#banner").is_hidden()
        opened.page.clock.fast_forward("25:00:00")
        opened.page.locator("#banner", has_text="out of date").wait_for()


WEAK = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  const light = (colour) => parts(colour).slice(0, 3).map((v) => linear(v / 255))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if ((parts(colour)[3] ?? 1) === 1) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const said = [...document.querySelectorAll("body *")]
    .filter((e) => e.checkVisibility() && !e.closest("#map, script"))
    .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()));
  return said.map((e) => {
    const [dark, bright] = [light(getComputedStyle(e).color), light(ground(e))].sort((a, b) => a - b);
    return [e.innerText, (bright + 0.05) / (dark + 0.05)];
  }).filter(([, ratio]) => !(ratio >= 4.5));
}"""
"""Words that stand out too little from their ground, and by how much they do."""


def test_words_stand_out_from_their_ground(window, folder) -> None:
    at(window, step=3)
    window.hover(3, open_grid(folder).hexagons[3])
    assert window.page.evaluate(WEAK) == []


def test_a_large_city_is_ready_at_once(browser, tmp_path) -> None:
    cells = np.array(sorted(h3.grid_disk(h3.latlng_to_cell(41.85, -87.65, 9), 32))[:3000])
    rng = np.random.default_rng(0)
    of = grid(
        hexagons=cells,
        intensity=rng.gamma(0.5, 0.1, (1, 24, 3000, 3)).astype(np.float32),
        usual=rng.gamma(0.5, 0.1, (1, 24, 3000, 3)).astype(np.float32),
        categories=("theft", "violence", "damage"),
        districts=np.array([f"Area {index // 300}" for index in range(3000)], object),
        spreads={},
        joint={},
    )
    write_map(view_of(of, "big_city"), tmp_path / "map.html")
    with Window(browser, (tmp_path / "map.html").as_uri()) as opened:
        milliseconds = opened.ready()
        began = time.perf_counter()
        opened.page.evaluate("() => choose({ step: 5, category: 1 })")
        opened.drawing()
        print(
            f"3,000 hexagons: ready in {milliseconds:.0f} ms, redrawn in {1000 * (time.perf_counter() - began):.0f} ms"
        )
        assert milliseconds < 6000


@pytest.fixture
def service(tmp_path) -> Iterator[tuple[str, Store]]:
    """The real service of a store with one grid, at an address of this machine; its clock stands at the issue time."""
    config = load("quickstart", [f"root={tmp_path}"])
    store = store_of(config)
    first = grid()
    store.put(first, usual(first), FACTS, ISSUED)
    app = create_app(config, Keeper(store_of(config), clock=lambda: ISSUED + pd.Timedelta(hours=2)))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/", store
    finally:
        server.should_exit = True
        thread.join()
        store.close()


def test_the_served_page_follows_the_service(browser, service) -> None:
    address, store = service
    with Window(browser, address + "#step=3&measure=usual", clock=True) as opened:
        page = opened.page
        assert all(url.startswith((address, "data:")) for url in opened.requests)
        policy = page.request.get(address).headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert opened.text("#when").startswith("Mon 30 Sep 03:00 to 04:00:")
        assert page.locator("#banner").is_hidden()

        newer = grid(seed=1, model="gcrn-cd34")
        store.put(newer, usual(newer), FACTS, ISSUED)
        time.sleep(1.5)  # the service looks at its store once a second
        with page.expect_navigation():
            page.clock.run_for(61_000)
        opened.ready()
        assert "gcrn-cd34" in opened.text("#about")
        assert opened.text("#when").startswith("Mon 30 Sep 03:00 to 04:00:")  # what was chosen stays
        assert page.locator("[name=measure][value=usual]").is_checked()

        store.note(attempted=ISSUED + pd.Timedelta(hours=1))
        store.note(error="no route to the publisher")
        time.sleep(1.5)
        page.clock.run_for(61_000)
        page.locator("#banner", has_text="This forecast is out of date: the refresh of").wait_for()


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844), (844, 390)])
def test_the_file_compares_with_the_year_before(browser, tmp_path, width: int, height: int) -> None:
    of = grid()
    write_map(view_of(of, "denver", comparison=COMPARISON), tmp_path / "map.html")
    with Window(browser, (tmp_path / "map.html").as_uri()) as opened:
        page = opened.page
        page.set_viewport_size({"width": width, "height": height})
        page.locator("#comparison-open").click()

        def rows(table: str) -> list[list[str]]:
            return [row.locator("th, td").all_inner_texts() for row in page.locator(f"#{table} tr").all()]

        everywhere, always = np.ones(len(of.hexagons), bool), np.ones(of.horizons, bool)
        ranges = ["({} to {})".format(*range_of_sum(of, everywhere, always, category)) for category in (0, 1)]
        expected = [f"{value}\n{words}" for value, words in zip(("3.5", "1.25"), ranges, strict=True)]
        week = ["1,030\n≈ 1,100 in all", "1,000", "+30\n+3 %"]
        assert rows("compared-rows") == [
            ["all", *week, "–", "–", "–", expected[0]],
            ["theft", "20\n≈ 24 in all", "25", "−5\n−20 %", "200\n≈ 210 in all", "100", "+100\n+100 %", expected[1]],
        ]
        assert page.locator("#comparison-notes li").all_inner_texts() == [
            *("–: Year to date, now: a part was not recorded.", *COMPARISON["notes"])
        ]
        assert "Sun 29 Sep 2024 23:00" in opened.text("#compared-title")
        assert rows("outcome-rows") == [["all", "3.51", "5", "40 %", "95 %"], ["theft", "1.2", "2", "–", "100 %"]]
        page.locator("#compared-place").select_option("districts")
        assert [row[0] for row in rows("compared-rows")] == ["Whole city", "<b>6"]
        page.locator("#compared-place").select_option("0")
        assert rows("compared-rows")[1][1:4] == ["–", "–", "–"]
        box = page.locator("#comparison").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= height
        page.keyboard.press("Escape")
        assert page.locator("#comparison").is_hidden()


def test_a_file_without_a_comparison_offers_none(browser, folder) -> None:
    with Window(browser, (folder / "map.html").as_uri()) as opened:
        assert opened.page.locator("#comparison-open").is_hidden()
        assert opened.page.locator("#issue-choice").is_hidden()


def test_the_served_page_opens_earlier_forecasts_by_date(browser, service) -> None:
    address, store = service
    newer = grid(seed=1, issued=ISSUED + pd.Timedelta(days=1), model="gcrn-cd34")
    number = store.put(newer, usual(newer), FACTS | {"comparison": COMPARISON}, ISSUED)
    time.sleep(1.5)
    with Window(browser, address) as opened:
        page = opened.page
        page.locator("#issue option").nth(1).wait_for(state="attached")
        assert page.locator("#issue option").all_inner_texts() == [
            "Tue 1 Oct 2024 00:00 (newest)",
            "Mon 30 Sep 2024 00:00",
        ]
        assert page.locator("#comparison-open").is_visible()
        with page.expect_navigation():
            page.locator("#issue").select_option(label="Mon 30 Sep 2024 00:00")
        opened.ready()
        assert "gcrn-ab12" in opened.text("#about")
        page.locator("#banner", has_text="This is an earlier forecast").wait_for()
        page.locator("#issue option").nth(1).wait_for(state="attached")
        with page.expect_navigation():
            page.locator("#issue").select_option(str(number))
        opened.ready()
        assert "gcrn-cd34" in opened.text("#about")
        with page.expect_navigation():
            page.evaluate("location.search = '?grid=999'")
        opened.ready()  # it is not there: the newest
        page.wait_for_url(address)
        assert "gcrn-cd34" in opened.text("#about")


def test_keys_that_move_nothing_leave_the_hours_and_a_hand_on_the_time_ends_playing(browser, folder) -> None:
    with Window(browser, (folder / "map.html").as_uri()) as opened:
        page = opened.page
        page.locator("#step").focus()
        for key in ("Escape", "Control", "Shift"):
            page.keyboard.press(key)
        page.wait_for_timeout(50)
        assert page.evaluate("chosen.span") is None
        page.keyboard.press("ArrowRight")
        page.wait_for_function("() => String(chosen.span) === '1,1'")
        page.locator("#play").click()
        page.locator("#shifts button >> nth=1").click()
        page.wait_for_timeout(1200)
        assert page.evaluate("chosen.span") == page.evaluate("grid.view.shifts[1].span")
        assert page.evaluate("playing") is None


def test_an_address_means_the_same_whatever_was_there_before(browser, folder) -> None:
    address = (folder / "map.html").as_uri()
    with Window(browser, address) as opened:
        usual = opened.text("#hits")
    with Window(browser, f"{address}#area=20&step=3&measure=rank") as opened:
        assert opened.text("#hits") != usual
        opened.page.evaluate("location.hash = '#reported=1'")
        opened.page.wait_for_function("() => chosen.span === null")
        assert opened.text("#hits") == usual
        assert opened.page.evaluate("chosen.measure") == "expected"
