"""Ten tasks of an analyst, each with the map's file alone and no network, as someone does them, on three screens.

With SHOTS=FOLDER in the environment a picture of each screen at the end of each task is kept there.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from analyst_city import BEATS, analyst_city
from test_numbers_agree import spelled
from test_webmap_browser import CHROMIUM, Window, browser  # noqa: F401  # a fixture

from stforecast.delivery.export import open_grid
from stforecast.delivery.riskgrid import HORIZON, RiskGrid
from stforecast.delivery.shifts import during, shifts_of
from stforecast.delivery.sums import range_of_sum

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
SIZES = [(1400, 900), (844, 390), (390, 844)]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[RiskGrid, Path]:
    """The grid of a real run and its map."""
    folder = analyst_city(tmp_path_factory.mktemp("city")).place.newest_grid()
    return open_grid(folder), folder / "map.html"


class Desk:
    """A screen with the map on it, of which someone sees texts and uses keys, a mouse or a finger."""

    def __init__(self, window: Window, touch: bool) -> None:
        self.window, self.page, self.touch = window, window.page, touch

    def press(self, words: str, role: str = "button", within: Any = None) -> None:
        """Click or tap what bears some words."""
        self._press((within or self.page).get_by_role(role, name=re.compile(words)).first)

    def unfold(self, words: str) -> None:
        """Open a part of the page."""
        self._press(self.page.locator("summary").filter(has_text=re.compile(words)).first)

    def _press(self, found: Any) -> None:
        found.tap() if self.touch else found.click()

    def find(self, words: str) -> None:
        """Search for a place and take the first that is offered."""
        self.page.get_by_label("Find a place").fill(words)
        self.page.get_by_role("listbox", name="Places found").get_by_role("option").first.wait_for()
        self.page.keyboard.press("Enter")

    def box(self) -> dict[str, str]:
        """The box of a place: its terms and what stands beside them, once it is there and in view."""
        tip = self.page.locator("#tip.pinned")
        tip.wait_for()
        self.page.wait_for_timeout(700)  # the map goes there
        assert self.seen("#tip h2")
        terms, words = tip.locator("dt").all_inner_texts(), tip.locator("dd").all_inner_texts()
        return {"": tip.locator("h2").inner_text(), **dict(zip(terms, words, strict=True))}

    def select(self, places: list[str]) -> None:
        """Select places of the list by their boxes."""
        for place in places:
            self.press(re.escape(place))
            self.page.locator("#tip.pinned").wait_for()
            self.press(r"^\+ Select")
            self.press("^Close$")

    def seen(self, selector: str) -> bool:
        """Whether someone sees all of it: on the screen, and nothing over it."""
        return self.page.evaluate(
            "(selector) => { const found = document.querySelector(selector), box = found.getBoundingClientRect();"
            " const at = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);"
            " return box.top >= 0 && box.left >= 0 && box.bottom <= innerHeight && box.right <= innerWidth"
            " && (at === found || found.contains(at)); }",
            selector,
        )

    def list(self) -> list[list[str]]:
        """The list of places: number, name and figure."""
        return [
            row.split("\n") for row in self.page.get_by_role("list", name="Top").get_by_role("button").all_inner_texts()
        ]


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def desk(request, browser, made) -> Iterator[Desk]:  # noqa: F811
    """The map in a fresh window without a network."""
    width, height = request.param
    touch = width < 1000
    small = {"is_mobile": True, "has_touch": True} if touch else {}
    with Window(browser, made[1].as_uri(), viewport={"width": width, "height": height}, **small) as window:
        window.context.set_offline(True)
        yield Desk(window, touch)
        assert {url for url in window.requests if not url.startswith(("data:", "blob:"))} == {made[1].as_uri()}
        if folder := os.environ.get("SHOTS"):
            window.page.screenshot(path=f"{folder}/{request.node.name.replace('[', '_').rstrip(']')}.png")


def test_where(desk: Desk, made) -> None:
    """Where are most reports expected in the next 24 hours?"""
    of = made[0]
    best = int(of.order[HORIZON, 0, 0])
    expected = spelled(of.intensity[HORIZON, 0, best])
    assert desk.list()[0] == ["1", of.places[best], expected]
    desk.press(re.escape(of.places[best]))
    found = desk.box()
    assert (found[""], found["Expected reports"], found["Rank"]) == (of.places[best], expected, "1 of 61")


def test_which_street(desk: Desk, made) -> None:
    """What is expected at a crossing that I know by name?"""
    of = made[0]
    row = int(np.flatnonzero(["Old Mill Road & " in name for name in of.places])[0])
    desk.find(f"{of.places[row].split(' & ')[1]} old mill")
    found = desk.box()
    assert "Old Mill Road" in found[""]
    named = of.places.tolist().index(found[""])
    assert found["Expected reports"] == spelled(of.intensity[HORIZON, 0, named])
    desk.find("Old Mill Road")  # the street itself is shown
    assert desk.page.get_by_label("Find a place").input_value() == "Old Mill Road"


def test_which_shift(desk: Desk, made) -> None:
    """Which shift has most to do, and where in it?"""
    of = made[0]
    held = shifts_of(of)
    totals = {name: during(of, one.steps).intensity[HORIZON, 0].sum() for name, one in held.items()}
    busiest = max(totals, key=lambda name: totals[name])
    group = desk.page.get_by_role("group", name="Shifts, and the reports")
    told = {
        text.split()[0].lower(): float(re.findall(r"[\d.]+", text.split("–")[1])[1])
        for text in group.get_by_role("button").all_inner_texts()
    }
    assert told == {name: pytest.approx(total, rel=0.006) for name, total in totals.items()}
    desk.press(f"^{busiest.capitalize()}")
    desk.page.get_by_text(re.compile(rf"^{busiest.capitalize()}, .* reports expected")).first.wait_for()
    shift = during(of, held[busiest].steps)
    best = int(shift.order[HORIZON, 0, 0])
    assert desk.list()[0] == ["1", of.places[best], spelled(shift.intensity[HORIZON, 0, best])]


def test_how_sure(desk: Desk, made) -> None:
    """How sure is it: of the city, and of one place?"""
    of = made[0]
    every, best = np.ones(of.horizons, bool), int(of.order[HORIZON, 0, 0])
    low, high = range_of_sum(of, np.ones(61, bool), every, 0)
    assert f"({low} to {high})" in desk.window.text("#when")
    desk.press(re.escape(of.places[best]))
    low, high = range_of_sum(of, np.arange(61) == best, every, 0)
    (found,) = (words for term, words in desk.box().items() if term.startswith("Range of the count"))
    assert found == f"{low} to {high} reports"


def test_why(desk: Desk, made) -> None:
    """Why is this number what it is?"""
    of = made[0]
    best = int(of.order[HORIZON, 0, 0])
    desk.press(re.escape(of.places[best]))
    found = desk.box()
    rows = [
        row.split("\n")
        for row in desk.page.locator("section", has_text="Why this number").get_by_role("listitem").all_inner_texts()
    ]
    (first, beside), *factors, (last, _) = (row[:2] for row in rows)
    assert beside == "what this model expects here when all is as usual"
    assert {"level of the whole city lately", "reports here in the last days and weeks"} <= {
        words for _, words in factors
    }
    assert last == f"= {found['Expected reports']}"
    product = float(first) * np.prod([float(factor.removeprefix("× ")) for factor, _ in factors])
    assert product == pytest.approx(of.intensity[HORIZON, 0, best], rel=0.06)  # what is shown has two digits


def test_how_unusual(desk: Desk, made) -> None:
    """Where is most more than usual?"""
    of = made[0]
    ratio = of.intensity[HORIZON, 0] / of.usual[HORIZON, 0]
    desk.press("^Against usual", "radio")
    found = desk.list()
    assert found[0][1] == of.places[int(np.argmax(ratio))]
    assert float(found[0][2].removeprefix("× ")) == pytest.approx(ratio.max(), rel=0.05)
    assert desk.page.get_by_text("Expected ÷ usual reports").count() >= 1


def test_what_my_beat_needs(desk: Desk, made) -> None:
    """What is expected in my beat, and which two places of it cover most?"""
    of = made[0]
    desk.unfold("^By district$")
    desk.page.locator("#district-rows tr").first.wait_for()
    rows = [row.split("\t") for row in desk.page.locator("#district-rows tr").all_inner_texts()]
    assert {row[0] for row in rows} == {*BEATS}
    for name, expected, interval in rows:
        inside = of.districts == name
        assert float(expected) == pytest.approx(of.intensity[HORIZON, 0, inside].sum(), rel=0.006)
        low, high = range_of_sum(of, inside, np.ones(of.horizons, bool), 0)
        assert re.findall(r"\d+", interval) == [str(low), str(high)]
    desk.page.get_by_role("combobox", name=re.compile("^Choose")).select_option(label="as many in each district")
    desk.page.get_by_label("Unit of the budget").select_option(label="places")
    desk.page.locator("#area-number").fill("2")
    desk.unfold("^The places, numbered")
    desk.page.locator("#plan-list li").first.wait_for()
    chosen = {
        of.places.tolist().index(name.split("\n")[1]) for name in desk.page.locator("#plan-list li").all_inner_texts()
    }
    for name in BEATS:
        order = [row for row in of.order[HORIZON, 0] if of.districts[row] == name]
        assert {*order[:2]} <= chosen
    assert len(chosen) == 4


def test_print(desk: Desk, made) -> None:
    """One sheet on paper, with the places by name."""
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    of, page = made[0], desk.page
    page.evaluate("() => { window.asked = 0; window.print = () => (window.asked += 1); }")
    desk.press("^Print$")
    assert page.evaluate("window.asked") == 1
    sheets = pypdf.PdfReader(io.BytesIO(page.pdf(format="A4", print_background=True))).pages
    assert len(sheets) == 1
    words = " ".join(sheets[0].extract_text().split())
    assert all(of.places[row] in words for row in of.order[HORIZON, 0, :5])


def test_share(desk: Desk, made, browser) -> None:  # noqa: F811
    """A link that shows a colleague what I see."""
    of, page = made[0], desk.page
    desk.select([of.places[row] for row in of.order[HORIZON, 0, :2]])
    desk.press("^Evening")
    page.get_by_label("Category").select_option(label="violence")
    desk.press("^Against usual", "radio")
    page.wait_for_url(re.compile("step=evening&category=violence&measure=usual"))
    page.wait_for_url(re.compile("select"))
    told = ("#when", "#hits", "#selection-size", "#selection-facts")
    seen = [*map(desk.window.text, told), desk.list()]
    assert seen[2].startswith("2 hexagons")
    with Window(browser, page.url) as other:
        assert [*map(other.text, told), Desk(other, False).list()] == seen


def test_export(desk: Desk, made) -> None:
    """The places that I selected, and the plan, as tables for another program."""
    of, page = made[0], desk.page
    two = of.order[HORIZON, 0, :2]
    desk.select(of.places[two].tolist())
    with page.expect_download() as download:
        desk.press("^CSV$", within=page.get_by_role("group", name="Export"))
    table = pd.read_csv(download.value.path())
    rows = table[table["category"] == "all"].set_index("hexagon").loc[of.hexagons[two]]
    np.testing.assert_allclose(rows["intensity"], of.intensity[HORIZON, 0, two], rtol=1e-6)
    assert rows["place"].tolist() == of.places[two].tolist()
    assert rows["rank"].tolist() == [1, 2]
    page.get_by_label("Unit of the budget").select_option(label="places")
    page.locator("#area-number").fill("6")
    with page.expect_download() as download:
        desk.press("^CSV$", within=page.get_by_role("group", name="Places to cover"))
    table = pd.read_csv(download.value.path(), comment="#")
    top = of.order[HORIZON, 0, :6]
    assert {*table["hexagon"]} == {*of.hexagons[top]}
    found = table.set_index("hexagon").loc[of.hexagons[top]]
    assert found["place"].tolist() == of.places[top].tolist()
    np.testing.assert_allclose(found["expected"], of.intensity[HORIZON, 0, top], rtol=1e-6)
