"""The map in the reader's language, units and clock, in a real browser, from the file alone."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h3
import numpy as np
import pytest
import shapely
from small_grids import COMPARISON, grid

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from test_webmap_browser import CHROMIUM, LEAST, WEAK, Window, browser, reported  # noqa: F401  # a fixture
from test_webmap_texts import texts

from stforecast.delivery.around import around
from stforecast.delivery.layers import map_layer
from stforecast.delivery.place_names import place_names
from stforecast.delivery.rates import Denominator
from stforecast.delivery.riskgrid import HORIZON, RiskGrid
from stforecast.delivery.small_counts import reported_view
from stforecast.delivery.webmap import view_of, write_map
from stforecast.events.synthetic_layers import layers_of, write_layers

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[RiskGrid, Path]:
    """A map with everything on it."""
    folder = tmp_path_factory.mktemp("everyone")
    of = grid(rings=4)
    write_layers(layers_of(39.74, -104.99, 4200), folder)
    layers = [map_layer(path.stem, None, path, "name", of.geometry) for path in sorted(folder.glob("*.geojson"))]
    residents = np.random.default_rng(3).gamma(1, 1000, len(of.hexagons)).astype(np.float32)
    of = replace(
        of,
        places=place_names(of.geometry, layers, of.districts),
        denominator=Denominator("residents", 1000, 100, residents),
    )
    given = reported_view(reported(of), np.array([False, True]), LEAST)
    view = view_of(of, "denver", given, around=around(layers), comparison=COMPARISON)
    write_map(view | {"warnings": ["simulated", "untrained"]}, folder / "map.html")
    return of, folder / "map.html"


SAID = """() => {
  const found = [], keep = (words) => words && words.trim() && found.push(words.trim());
  const walk = (element) => {
    if (element.lang === "en" || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(element.tagName)) return;
    for (const name of ["aria-label", "aria-valuetext", "title", "placeholder"]) keep(element.getAttribute(name));
    for (const node of element.childNodes) node.nodeType === 3 ? keep(node.data) : node.nodeType === 1 && walk(node);
  };
  walk(document.body);
  keep(document.title);
  return found;
}"""


def everything(opened: Window) -> Iterator[list[str]]:
    """All that the page says, after each choice that makes it say something else."""
    page = opened.page
    yield page.evaluate(SAID)
    for step in ("5", "evening", "4-9", "all"):
        for measure in ("risk", "rank", "usual", "rate"):
            page.evaluate(
                "(of) => { readAddress(new URLSearchParams(location.hash = of)); draw(); }",
                f"lang=es&step={step}&measure={measure}",
            )
            page.locator("#list button").first.click()
            page.wait_for_timeout(450)  # what a screen reader is told
            yield page.evaluate(SAID)
    page.locator("#play").click()
    yield page.evaluate(SAID)
    page.locator("#play").click()
    page.locator("#search").fill("atlantis")
    yield page.evaluate(SAID)
    page.locator("#search").fill("street")
    yield page.evaluate(SAID)
    page.keyboard.press("Escape")
    page.evaluate("() => { pin(null); select([0, 1, 2, 30]); startDrawing(); }")
    page.wait_for_timeout(450)
    yield page.evaluate(SAID)
    page.evaluate("() => { stopDrawing(); select([]); }")
    page.locator("#comparison-open").click()
    for place in ("city", "districts", "0"):
        page.locator("#compared-place").select_option(place)
        yield page.evaluate(SAID)


def test_in_spanish_nothing_is_said_in_english(browser, made) -> None:  # noqa: F811
    known = texts()
    forms = {form for key, forms in known["en"].items() for form in forms if form not in known["es"][key]}
    forms = {form for form in forms if re.search("[a-z]", re.sub(r"\{\w+\}", "", form))}
    english = [re.compile(re.sub(r"\\\{\w+\\\}", ".+", re.escape(form))) for form in forms]
    words = re.compile(r"\b(the|of|to|and|with|from|reports?|hours?|days?|expected|usual|rank|top|hexagons?)\b", re.I)
    names = "|".join(sorted({*made[0].places}, key=len, reverse=True))
    with Window(browser, made[1].as_uri() + "#lang=es") as opened:
        assert opened.page.locator("html").get_attribute("lang") == "es"
        for said in everything(opened):
            for sentence in said:
                assert not [form.pattern for form in english if form.fullmatch(sentence)], sentence
                left = re.sub(names, "", re.sub(r"(Mon|Tue)day|English|Kilo", "", sentence))
                assert not words.search(left), sentence
        assert "no weather for 24 of 24 hours" in opened.text("#about [lang=en]")


def test_the_language_is_the_browsers_until_another_is_chosen(browser, made) -> None:  # noqa: F811
    address = made[1].as_uri()
    for locale, language in (("es-MX", "es"), ("en-GB", "en"), ("de-DE", "en")):
        with Window(browser, address, locale=locale) as opened:
            assert opened.page.locator("html").get_attribute("lang") == language
            assert "lang=" not in opened.page.url
    with Window(browser, address) as opened:
        page = opened.page
        page.locator("[name=measure][value=risk]").check()
        with page.expect_navigation():
            page.get_by_label("Language").select_option("es")
        opened.ready()
        assert opened.text("#title") == "Denver: denuncias de delitos esperadas"
        assert page.locator("[name=measure][value=risk]").is_checked()
        assert page.get_by_label("Idioma").input_value() == "es"
        page.wait_for_url("**measure=risk**lang=es**")
        page.locator("#step").fill("5")
        assert opened.text("#when").startswith("lun 30 sept 05:00 a 06:00: se esperan ")


def test_units_and_clock_are_those_of_the_country_until_others_are_chosen(browser, made) -> None:  # noqa: F811
    of, address = made[0], made[1].as_uri()
    km2 = float(of.geometry.areas_km2.sum())
    with Window(browser, address + "#step=15&area=7", locale="en-US") as opened:
        page = opened.page
        assert opened.text("#when").replace("\u202f", " ").startswith("Mon 30 Sep 3:00 PM to 4:00 PM: ")
        assert f"{len(of.hexagons)}, {km2 / 2.589988:.0f} sq mi" in opened.text("#about")
        assert opened.text("#shifts button >> nth=2").replace("\u202f", " ").startswith("Night 11 PM–7 AM")
        assert re.search(" (mi|ft)$", opened.text(".leaflet-control-scale"))
        assert float(page.locator("#area-number").input_value()) == pytest.approx(7 / 2.589988, rel=1e-3)
        covered = float(opened.text("#hits").split(", ")[1].split(" sq mi")[0])
        page.locator("#area-number").fill("4")
        page.wait_for_url(re.compile(r"area=10\.35995"))
        assert float(opened.text("#hits").split(", ")[1].split(" sq mi")[0]) > covered
        for name, value in (("units", "km"), ("clock", "24")):
            with page.expect_navigation():
                page.locator(f"#{name}").select_option(value)
            opened.ready()
        assert "units=km" in page.url
        assert "clock=24" in page.url
        assert opened.text("#when").startswith("Mon 30 Sep 15:00 to 16:00: ")
        assert " km²" in opened.text("#hits")
        assert re.search(" k?m$", opened.text(".leaflet-control-scale"))


def test_in_spanish_numbers_have_a_comma_and_the_address_does_not(browser, made) -> None:  # noqa: F811
    of = made[0]
    with Window(browser, made[1].as_uri() + "#lang=es&area=2.5") as opened:
        page = opened.page
        best = f"{of.intensity[HORIZON, 0].max():.2g}"
        assert opened.text("#list b >> nth=0") == best.replace(".", ",")
        assert re.search(r", \d,\d\d km²,", opened.text("#hits"))
        page.locator("[name=measure][value=rank]").check()
        page.wait_for_url("**area=2.5**")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("contrast", ["no-preference", "more"])
def test_words_stand_out_by_day_and_by_night(browser, made, scheme: str, contrast: str) -> None:  # noqa: F811
    with Window(browser, made[1].as_uri() + "#step=evening", color_scheme=scheme, contrast=contrast) as opened:
        page = opened.page
        page.locator("#list button").first.click()
        page.locator("#search").fill("street")
        page.locator("#found li").first.hover()
        assert page.evaluate(WEAK) == []
        page.keyboard.press("Escape")
        for details in page.locator("details").all():
            details.evaluate("(one) => { one.open = true; }")
        page.locator("#comparison-open").click()
        assert page.evaluate(WEAK) == []
        ground = page.evaluate("getComputedStyle(document.querySelector('#map')).backgroundColor")
        dark = sum(int(part) for part in re.findall(r"\d+", ground)[:3]) < 300
        assert dark == (scheme == "dark")


def test_the_border_of_the_city_stands_out_when_night_falls(browser, made) -> None:  # noqa: F811
    with Window(browser, made[1].as_uri()) as opened:
        page = opened.page
        assert page.evaluate("city.line") == "#1b1b1b"
        before = opened.drawing()
        page.emulate_media(color_scheme="dark")
        for _ in range(50):
            if page.evaluate("city.line") == "#c9ced4":
                break
            page.wait_for_timeout(100)
        assert opened.drawing() != before


MOVE = """(from) => {
  const seen = new Set([from]), ways = Object.values(WAYS);
  for (const cell of seen) for (const way of ways) {
    const next = neighbour(cell, way, city.middle(cell));
    if (next !== null) seen.add(next);
  }
  return seen.size;
}"""


def test_arrow_keys_go_from_cell_to_cell_and_the_box_follows(browser, made) -> None:  # noqa: F811
    of = made[0]
    with Window(browser, made[1].as_uri(), reduced_motion="reduce") as opened:
        page = opened.page

        def pressed(*keys: str) -> str:
            for key in keys:
                page.keyboard.press(key)
            return page.get_attribute("#tip", "data-hexagon")

        page.locator("#map").focus()
        page.keyboard.press("ArrowRight")
        middle = page.get_attribute("#tip", "data-hexagon")
        assert of.hexagons.tolist().index(middle) == page.evaluate("city.at(city.map.getCenter())")
        rings = h3.grid_ring(middle, 1)
        for key, axis, sign in (("ArrowRight", 1, 1), ("ArrowLeft", 1, -1), ("ArrowUp", 0, 1), ("ArrowDown", 0, -1)):
            there = pressed(key)
            assert there in rings
            assert sign * (h3.cell_to_latlng(there)[axis] - h3.cell_to_latlng(middle)[axis]) > 0
            back = {
                "ArrowRight": "ArrowLeft",
                "ArrowLeft": "ArrowRight",
                "ArrowUp": "ArrowDown",
                "ArrowDown": "ArrowUp",
            }
            assert pressed(back[key]) == middle
        assert pressed(*["ArrowRight"] * 3, *["ArrowLeft"] * 3) == middle  # along a row and back
        said = of.places[of.hexagons.tolist().index(middle)]
        page.locator("#status", has_text=f"{said}. Expected reports").wait_for(state="attached")
        assert page.locator("#tip.pinned").count() == 0
        page.keyboard.press("Enter")
        assert page.locator("#tip.pinned").count() == 1
        page.keyboard.press("Enter")
        assert page.locator("#tip.pinned").count() == 0
        assert page.locator("#tip").is_visible()
        page.keyboard.press("Control+Enter")
        assert page.evaluate("selection.cells.map((cell) => grid.view.hexagons[cell])") == [middle]
        page.keyboard.press("Escape")
        assert page.locator("#tip").is_hidden()
        assert page.locator("#map-help").is_visible()
        page.keyboard.press("Tab")
        assert page.locator("#map-help").is_hidden()


def test_keys_move_and_zoom_the_map_and_it_follows_the_cell(browser, made) -> None:  # noqa: F811
    with Window(browser, made[1].as_uri(), reduced_motion="reduce") as opened:
        page = opened.page
        page.locator("#map").focus()
        zoom = page.evaluate("city.map.getZoom()")
        for _ in range(4):
            page.keyboard.press("+")
        assert page.evaluate("city.map.getZoom()") == zoom + 2
        before = page.evaluate("city.map.getCenter()")
        page.keyboard.press("Shift+ArrowRight")
        after = page.evaluate("city.map.getCenter()")
        assert after["lng"] > before["lng"]
        assert after["lat"] == pytest.approx(before["lat"], abs=1e-4)
        for key in ["ArrowDown"] * 12:
            page.keyboard.press(key)
            assert page.evaluate("city.map.getBounds().contains(city.centre(cursor))")
            box, tip = (page.locator(name).bounding_box() for name in ("#map", "#tip"))
            assert box["y"] <= tip["y"]
            assert tip["y"] + tip["height"] <= box["y"] + box["height"] + 1
        assert page.evaluate("city.map.getCenter().lat") < after["lat"]
        page.keyboard.press("ArrowDown")
        page.locator("#status", has_text="No place on that side").wait_for(state="attached")
        page.keyboard.press("-")
        assert page.evaluate("city.map.getZoom()") == zoom + 1.5
        assert page.evaluate("scrollY") == 0


def test_every_cell_is_reached_by_arrow_keys(browser, made, tmp_path) -> None:  # noqa: F811
    of = made[0]
    with Window(browser, made[1].as_uri()) as opened:
        assert opened.page.evaluate(MOVE, 0) == len(of.hexagons)
    rng = np.random.default_rng(1)  # polygons of all sizes: what lies nearest to random points
    parts = shapely.voronoi_polygons(shapely.MultiPoint(rng.uniform((-105.04, 39.69), (-104.94, 39.79), (61, 2)))).geoms
    write_map(view_of(replace(grid(rings=4), polygons=np.array(list(parts))), "denver"), tmp_path / "areas.html")
    with Window(browser, (tmp_path / "areas.html").as_uri()) as opened:
        assert opened.page.evaluate(MOVE, 0) == 61


def test_a_key_takes_no_time_in_a_large_city(browser, tmp_path) -> None:  # noqa: F811
    cells = np.array(sorted(h3.grid_disk(h3.latlng_to_cell(41.85, -87.65, 9), 82))[:20_000])
    rng = np.random.default_rng(0)
    of = grid(
        hexagons=cells,
        intensity=rng.gamma(0.5, 0.1, (1, 24, len(cells), 2)).astype(np.float32),
        usual=None,
        districts=None,
        spreads={},
        joint={},
    )
    write_map(view_of(of, "big_city"), tmp_path / "map.html")
    with Window(browser, (tmp_path / "map.html").as_uri()) as opened:
        took = opened.page.evaluate(
            """() => {
              byId("map").focus();
              const took = Array.from({ length: 20 }, () => {
                const began = performance.now();
                byId("map").dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
                return performance.now() - began;
              });
              return took.sort((a, b) => a - b);
            }"""
        )
        print(f"20,000 hexagons: an arrow key takes {took[10]:.0f} ms, at most {took[-1]:.0f} ms")
        assert took[10] < 100


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (390, 844), (844, 390)])
def test_buttons_show_the_whole_city_and_fill_the_screen(browser, made, width: int, height: int) -> None:  # noqa: F811
    phone = {"is_mobile": True, "has_touch": True} if width < 1000 else {}
    size = {"width": width, "height": height}
    with Window(browser, made[1].as_uri(), viewport=size, reduced_motion="reduce", **phone) as opened:
        page = opened.page
        page.locator("#list button").first.click()
        page.evaluate("city.map.setZoom(15)")
        whole = "city.map.getBounds().contains(city.extent) && city.map.getBoundsZoom(city.extent) - city.map.getZoom()"
        assert page.evaluate(whole) is False
        page.get_by_role("button", name="Whole city on the map").click()
        assert page.evaluate(whole) in (0, 0.25)
        assert page.locator("#tip.pinned").is_visible()  # what was picked stays
        full = page.get_by_role("button", name="Full screen")
        full.click()
        page.locator("#full-screen[aria-pressed=true]").wait_for()
        full.click()
        page.locator("#full-screen[aria-pressed=false]").wait_for()
        if phone:
            edge = page.evaluate("byId('map').getBoundingClientRect().bottom")
            for button in page.locator("#map .leaflet-bar > *").all():
                box = button.bounding_box()
                assert min(box["width"], box["height"]) >= 40
                assert box["y"] + box["height"] <= edge


def test_full_screen_is_not_offered_where_it_is_missing(browser, made) -> None:  # noqa: F811
    with Window(browser, made[1].as_uri()) as opened:
        opened.context.add_init_script("Object.defineProperty(document, 'fullscreenEnabled', { value: false })")
        opened.page.reload()
        opened.ready()
        assert opened.page.locator("#full-screen").is_hidden()
        assert opened.page.locator("#whole-city").is_visible()
