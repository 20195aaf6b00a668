"""Streets, names, switches, search and tiles of the interactive map in a real browser, from the file alone."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h3
import numpy as np
import pytest
from small_grids import grid

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from test_webmap_browser import CHROMIUM, Window, browser  # noqa: F401  # a fixture

from stforecast.config.sections import Tiles
from stforecast.delivery.around import around
from stforecast.delivery.layers import map_layer
from stforecast.delivery.place_names import place_names
from stforecast.delivery.riskgrid import HORIZON, RiskGrid
from stforecast.delivery.webmap import view_of, write_map
from stforecast.events.synthetic_layers import layers_of, write_layers

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
SIZES = [(1400, 900), (1024, 700), (390, 844)]
MIDDLE = (39.74, -104.99)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[RiskGrid, Path]:
    folder = tmp_path_factory.mktemp("places")
    of = grid(rings=4, assumptions=())
    write_layers(layers_of(*MIDDLE, 4200), folder)
    layers = [map_layer(path.stem, None, path, "name", of.geometry) for path in sorted(folder.glob("*.geojson"))]
    of = replace(of, places=place_names(of.geometry, layers, of.districts))
    write_map(view_of(of, "denver", around=around(layers)), folder / "map.html")
    tiles = Tiles(url="https://tiles.example.org/{z}/{x}/{y}.png", attribution="© <b>Example & Sons")
    write_map(view_of(of, "denver", around=around(layers, tiles)), folder / "tiles.html")
    return of, folder


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def window(request, browser, made) -> Iterator[Window]:  # noqa: F811
    width, height = request.param
    small = {"is_mobile": True, "has_touch": True} if width < 500 else {}
    with Window(browser, (made[1] / "map.html").as_uri(), viewport={"width": width, "height": height}, **small) as one:
        yield one
        assert {url for url in one.requests if not url.startswith("data:")} == {(made[1] / "map.html").as_uri()}
        assert one.page.evaluate("document.documentElement.scrollWidth") <= width


def test_list_and_box_lead_with_the_place_and_end_with_the_id(window: Window, made) -> None:
    of, page = made[0], window.page
    best = int(np.argmax(of.intensity[HORIZON, 0]))
    first = page.locator("#list button").first
    assert of.places[best] in first.inner_text()
    assert of.hexagons[best] not in first.inner_text()
    first.click()
    page.locator("#tip.pinned").wait_for()
    assert page.locator("#tip h2").inner_text() == of.places[best]
    assert page.locator("#tip dd").last.inner_text() == of.hexagons[best]
    page.locator("#status", has_text=of.places[best]).wait_for(state="attached")


def test_a_search_finds_crossings_streets_areas_and_ids_and_goes_there(window: Window, made) -> None:
    of, page = made[0], window.page
    assert " & " in of.places[7]
    for asked, cell in ((of.places[7], 7), (of.hexagons[9], 9), (of.hexagons[11].rstrip("f"), 11)):
        page.locator("#search").fill(str(asked))
        page.keyboard.press("Enter")
        page.locator(f"#tip.pinned[data-hexagon='{of.hexagons[cell]}']").wait_for()
    for asked, name in (("old mill", "Old Mill Road"), ("EASTGATE", "Eastgate"), ("hill pa", "Hill Park")):
        before = page.evaluate("city.map.getCenter()")
        page.locator("#search").fill(asked)
        assert page.locator("#found li").first.locator("span").inner_text() == name
        page.locator("#found li").first.click()
        page.wait_for_function("(at) => city.map.getCenter().distanceTo(at) > 50", arg=before)
        assert page.locator("#search").input_value() == name
        assert page.evaluate("city.marks.named.parts.length") >= 1
        page.wait_for_timeout(400)
    page.locator("#search").fill("atlantis")
    assert page.locator("#found").inner_text() == "Nothing of that name here"
    page.keyboard.press("Escape")
    assert page.locator("#found").is_hidden()


def test_layers_are_switched_on_and_off_and_the_address_keeps_it(window: Window, made) -> None:
    page = window.page
    seen = [window.drawing()]
    for kind in ("names", "streets", "water", "parks", "rail", "neighbourhoods"):
        page.locator(f"[name=layer][value={kind}]").uncheck()
        seen.append(window.drawing())
        assert len({*seen}) == len(seen), kind
    page.wait_for_url(re.compile(r"hide=[a-z+]*neighbourhoods.names"))
    address = page.url
    page.evaluate("location.hash = '#hide='")
    page.wait_for_function("document.querySelectorAll('[name=layer]:checked').length === 6")
    assert window.drawing() == seen[0]
    page.evaluate("(hash) => { location.hash = hash }", address.partition("#")[2])
    page.wait_for_function("document.querySelectorAll('[name=layer]:checked').length === 0")
    assert window.drawing() == seen[-1]


def test_streets_and_names_come_as_there_is_room_for_them(window: Window) -> None:
    page = window.page
    count = (
        "(zoom) => { city.map.setZoom(zoom, { animate: false }); const said = [], c = document.createElement('canvas')"
    )
    count += ".getContext('2d'); c.fillText = (words) => said.push(words); city.layers.names(c, city.names.wanted());"
    count += " return said; }"
    far, near = page.evaluate(count, 11), page.evaluate(count, 15.5)
    assert len({*far}) == len(far)
    assert "Old Town" in page.evaluate(count, 13)
    assert sum("Street" in name or "Avenue" in name for name in near) > 3
    assert sum("Street" in name for name in near) > sum("Street" in name for name in far)


def test_the_cell_under_the_mouse_is_the_one_that_holds_it(browser, made) -> None:  # noqa: F811
    of, folder = made
    with Window(browser, (folder / "map.html").as_uri()) as opened:
        rng = np.random.default_rng(0)
        latitude, longitude = (MIDDLE[axis] + rng.uniform(-0.03, 0.03, 300) for axis in (0, 1))
        found = opened.page.evaluate(
            "(points) => points.map(([lat, lng]) => city.at({ lat, lng }))",
            np.stack([latitude, longitude], 1).tolist(),
        )
    held = [h3.latlng_to_cell(*point, 8) for point in zip(latitude, longitude, strict=True)]
    expected = [of.hexagons.tolist().index(cell) if cell in of.hexagons else None for cell in held]
    assert sum(one != other for one, other in zip(found, expected, strict=True)) <= 1  # on a side


def test_online_tiles_are_asked_of_their_host_alone_and_named(browser, made) -> None:  # noqa: F811
    path = made[1] / "tiles.html"
    with Window(browser, path.as_uri() + "#hide=tiles") as opened:
        page, asked = opened.page, []
        page.route(
            "https://tiles.example.org/**", lambda route: (asked.append(route.request), route.fulfill(status=204))
        )
        assert "img-src data: https://tiles.example.org" in path.read_text()
        assert not [url for url in opened.requests if url.startswith("http")]
        box = page.locator("[name=layer][value=tiles]")
        assert "tiles.example.org" in page.locator("label", has=box).inner_text()
        before = opened.drawing()
        box.check()
        page.wait_for_function("document.querySelectorAll('.leaflet-tile').length > 3")
        assert opened.drawing() != before  # cells let the map through
        assert page.locator(".leaflet-control-attribution").inner_text() == "© <b>Example & Sons"
        assert asked
        assert all(re.fullmatch(r"https://tiles\.example\.org/\d+/\d+/\d+\.png", request.url) for request in asked)
        assert all("referer" not in request.headers for request in asked)
        blocked = page.evaluate(
            "() => new Promise((done) => {"
            " document.addEventListener('securitypolicyviolation', (event) => done(event.blockedURI));"
            " new Image().src = 'https://elsewhere.example.org/x.png'; })"
        )
        assert blocked.startswith("https://elsewhere.example.org")
        opened.complaints.clear()  # Chromium tells the console of what was blocked, and of pictures without content
