"""The map's selection in a real browser: choosing cells, what is said of them, its address and its exports."""

import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from fastapi.testclient import TestClient
from PIL import Image
from small_grids import FACTS, ISSUED, grid, store_of, usual

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from test_webmap_browser import CHROMIUM, Window, browser, service  # noqa: F401  # fixtures

from stforecast.config import load
from stforecast.delivery.api.app import create_app
from stforecast.delivery.api.keeper import Keeper
from stforecast.delivery.around import around
from stforecast.delivery.layers import map_layer
from stforecast.delivery.packed import pack, unpack
from stforecast.delivery.riskgrid import HORIZON, RiskGrid
from stforecast.delivery.small_counts import reported_view
from stforecast.delivery.sums import inside, range_of_sum, selected
from stforecast.delivery.webmap import view_of, write_map
from stforecast.events.synthetic_layers import layers_of, write_layers

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
LEAST = 2
SPANS = {"all": slice(0, 24), "evening": slice(15, 23), "4-9": slice(4, 10), "5": slice(5, 6)}
SCREENS = [(1400, 900), (390, 844), (844, 390)]


def named(of: RiskGrid) -> RiskGrid:
    """With place names, some of which a spreadsheet would run."""
    return replace(of, places=np.array([f'=1+{row} & "Elm", <b>' for row in range(len(of.hexagons))], object))


@pytest.fixture(scope="module")
def of() -> RiskGrid:
    """Sums as every reader has them."""
    return unpack(pack(named(grid(rings=4)), "denver"))


def reported(of: RiskGrid) -> np.ndarray:
    return np.random.default_rng(1).poisson(of.leaves(of.intensity).sum(0))


@pytest.fixture(scope="module")
def path(of, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("selection")
    reach = 1000 * float(np.sqrt(of.geometry.areas_km2.sum() / np.pi))
    write_layers(layers_of(39.74, -104.99, reach, 8), folder)
    files = sorted(folder.glob("*.geojson"))
    layers = [map_layer(file.stem, None, file, "name", of.geometry) for file in files]
    given = reported_view(reported(of), np.array([False, True]), LEAST)
    write_map(view_of(of, "denver", given, around=around(layers)), folder / "map.html")
    return folder / "map.html"


@pytest.fixture
def window(browser, path) -> Iterator[Window]:  # noqa: F811
    with Window(browser, path.as_uri(), accept_downloads=True) as opened:
        yield opened


def cells(opened: Window) -> list[int]:
    return opened.page.evaluate("() => selection.cells")


def facts(opened: Window) -> dict[str, str]:
    return opened.page.evaluate(
        "() => Object.fromEntries([...document.querySelectorAll('#selection-facts dd')]"
        ".map((fact) => [fact.dataset.fact, fact.innerText]))"
    )


def click(opened: Window, hexagon: int, **options) -> None:
    opened.page.mouse.move(*opened.place(hexagon))
    for key in options.get("held", ()):
        opened.page.keyboard.down(key)
    opened.page.mouse.click(*opened.place(hexagon))
    for key in options.get("held", ()):
        opened.page.keyboard.up(key)


def saved(opened: Window, kind: str) -> tuple[str, bytes]:
    with opened.page.expect_download() as kept:
        opened.page.locator(f"#exports [value={kind}]").click()
    return kept.value.suggested_filename, Path(kept.value.path()).read_bytes()


def upload(opened: Window, name: str, content: str) -> str:
    """What is said of a file."""
    opened.page.locator("#selection-file").set_input_files(
        {"name": name, "mimeType": "application/json", "buffer": content.encode()}
    )
    opened.page.locator("#selection-note", has_text=name).wait_for()
    return opened.text("#selection-note").removeprefix(f"{name}: ")


def around_of(of: RiskGrid, rows: list[int]) -> shapely.Geometry:
    """An area that holds the centres of some cells and no others."""
    return of.geometry.union(rows)


def spelled(value: float) -> str:
    return f"{float(f'{value:.3g}'):g}"


@pytest.mark.parametrize("key", ["Control", "Shift", "Meta"])
def test_a_click_with_a_key_selects_and_takes_out(window, of, key: str) -> None:
    for hexagon in (3, 30, 12):
        click(window, hexagon, held=[key])
    assert cells(window) == [3, 12, 30]
    assert window.page.locator("#tip.pinned").count() == 0
    click(window, 12, held=[key])
    assert cells(window) == [3, 30]
    window.page.get_by_role("button", name="Undo").click()
    assert cells(window) == [3, 12, 30]
    window.page.get_by_role("button", name="Clear").click()
    assert cells(window) == []
    assert window.page.locator("#selection-facts").is_hidden()
    window.page.get_by_role("button", name="Undo").click()
    assert cells(window) == [3, 12, 30]
    click(window, 40)
    assert window.page.locator("#tip.pinned").count() == 1
    assert cells(window) == [3, 12, 30]


def test_fingers_and_the_keyboard_select(browser, path) -> None:  # noqa: F811
    phone = {"is_mobile": True, "has_touch": True, "viewport": {"width": 390, "height": 844}}
    with Window(browser, path.as_uri(), **phone) as opened:
        opened.page.get_by_role("button", name="Select", exact=True).tap()
        for hexagon in (3, 30):
            opened.page.touchscreen.tap(*opened.place(hexagon))
            opened.page.wait_for_timeout(400)
        assert cells(opened) == [3, 30]
    with Window(browser, path.as_uri()) as opened:
        page, first = opened.page, opened.page.locator("#list button").first
        best = int(first.get_attribute("data-hexagon"))
        first.focus()
        page.keyboard.press("Control+Enter")
        assert cells(opened) == [best]
        assert page.locator("#list .selected").count() == 1
        page.keyboard.press("Enter")
        page.locator("#tip.pinned").wait_for()
        page.get_by_role("button", name="− Take out of the selection").focus()
        page.keyboard.press("Enter")
        assert cells(opened) == []
        page.get_by_role("button", name="+ Select").focus()
        page.keyboard.press("Enter")
        assert cells(opened) == [best]
        page.locator("#status", has_text="1 hexagon,").wait_for(state="attached")


@pytest.mark.parametrize("step", SPANS)
def test_what_is_said_of_a_selection(window, of, step: str) -> None:
    rows, span = [2, 7, 11, 30, 31, 55], SPANS[step]
    window.page.evaluate(f"() => {{ location.hash = 'step={step}&category=theft'; }}")
    window.drawing()
    window.page.evaluate("(rows) => select(rows)", rows)
    chosen, during = np.isin(np.arange(len(of.hexagons)), rows), np.isin(np.arange(24), np.arange(24)[span])
    lam = of.intensity[span, 1][:, chosen].sum()
    low, high = range_of_sum(of, chosen, during, 1)
    said = facts(window)
    assert window.text("#selection-size") == f"6 hexagons, {of.geometry.areas_km2[chosen].sum():.3g} km²"
    assert said["expected"] == f"{spelled(lam)} ({low} to {high})"
    assert float(said["risk"].removesuffix(" %")) == float(f"{-100 * np.expm1(-lam):.2g}")
    assert said["share"] == f"{round(100 * lam / of.intensity[span, 1].sum())} %"
    ratio = lam / of.usual[span, 1][:, chosen].sum()
    assert float(said["usual"].split()[1]) == pytest.approx(ratio, rel=0.006)
    window.page.locator("#selection-districts").evaluate("(details) => { details.open = true }")
    lines = [
        row.locator("th, td").all_inner_texts() for row in window.page.locator("#selection-district-rows tr").all()
    ]
    assert sum(int(line[1].split()[0]) for line in lines) == 6
    assert sum(float(line[2]) for line in lines) == pytest.approx(lam, rel=0.01)


def test_reports_of_a_selection_tell_nothing_that_its_cells_do_not(window, of) -> None:
    counts = reported(of)[0]
    shown, hidden = np.flatnonzero(counts >= LEAST).tolist(), np.flatnonzero(counts < LEAST).tolist()
    window.page.evaluate("() => { location.hash = 'category=theft'; }")
    window.drawing()
    for rows, words in (
        (shown[:2], str(counts[shown[:2]].sum())),
        ([*shown[:2], hidden[0]], f"{counts[shown[:2]].sum()} or more"),
        (hidden[:5], "not shown"),
        ([*range(len(counts))], window.page.evaluate("() => grid.reportedWords(1)")),
    ):
        window.page.evaluate("(rows) => select(rows)", rows)
        assert facts(window)["reported"] == words
    window.page.evaluate("() => { location.hash = 'category=violence'; }")  # of which no counts are shown
    window.drawing()
    window.page.evaluate("(rows) => select(rows)", shown)
    assert facts(window)["reported"] == "not shown"


@pytest.mark.parametrize("end", ["double click", "Enter", "first corner", "button"])
def test_a_drawn_area_has_the_cells_whose_centre_lies_in_it(window, of, end: str) -> None:
    window.page.get_by_role("button", name="Draw an area").click()
    box = window.page.locator("#map").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    corners = [(x - 130, y - 90), (x + 120, y - 60), (x + 60, y + 130)]
    for corner in corners:
        window.page.mouse.click(*corner)
        window.page.wait_for_timeout(350)
    ring = window.page.evaluate("() => drawing.corners.map(({ lng, lat }) => [lng, lat])")
    assert len(ring) == 3
    if end == "double click":
        window.page.mouse.dblclick(x - 130, y + 100)
        ring.append(
            window.page.evaluate(
                "([x, y]) => { const { lng, lat } = city.map.mouseEventToLatLng("
                "{ clientX: x, clientY: y }); return [lng, lat]; }",
                [x - 130, y + 100],
            )
        )
    elif end == "Enter":
        window.page.locator("#map").focus()
        window.page.keyboard.press("Enter")
    elif end == "first corner":
        window.page.mouse.click(corners[0][0] + 4, corners[0][1] - 3)
    else:
        window.page.get_by_role("button", name="Close the area").click()
    found = np.flatnonzero(inside(of, [shapely.Polygon(ring)])).tolist()
    assert 3 < len(found) < 40
    assert cells(window) == found
    assert window.text("#selection-note") == (
        f"Drawn area: {len(found)} hexagons added. A hexagon belongs to an area where its centre lies in it."
    )
    assert window.page.locator("#drawing").count() == 0
    assert window.page.evaluate("() => city.map.getZoom()") == window.page.evaluate("() => city.map._zoom")


def test_drawing_can_be_taken_back_and_left(window) -> None:
    page = window.page
    page.get_by_role("button", name="Draw an area").click()
    box = page.locator("#map").bounding_box()
    for shift in (0, 80):
        page.mouse.click(box["x"] + 300 + shift, box["y"] + 300)
        page.wait_for_timeout(350)
    page.get_by_role("button", name="Remove corner").click()
    assert page.evaluate("() => drawing.corners.length") == 1
    assert page.get_by_role("button", name="Close the area").is_disabled()
    assert page.locator("#tip").is_hidden()
    page.keyboard.press("Escape")
    assert page.locator("#drawing").count() == 0
    assert cells(window) == []
    window.hover(3, page.evaluate("() => grid.view.hexagons[3]"))


@pytest.mark.parametrize("form", ["Polygon", "Feature", "FeatureCollection", "MultiPolygon", "KML"])
def test_an_area_of_a_file_is_read_in_the_browser(window, of, form: str) -> None:
    near = np.argsort(np.hypot(*(of.geometry.centres - of.geometry.centres[20]).T))[:9]
    area = around_of(of, near).difference(shapely.Point(of.geometry.centres[20][::-1]).buffer(1e-4))  # a hole
    found = np.flatnonzero(inside(of, [area])).tolist()
    assert len(found) == 8
    shape = json.loads(shapely.to_geojson(area))
    written = {
        "Polygon": shape,
        "Feature": {"type": "Feature", "properties": {}, "geometry": shape},
        "FeatureCollection": {
            "type": "FeatureCollection",
            "features": [
                {"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": [0, 0]}},
                {"type": "Feature", "properties": {}, "geometry": shape},
            ],
        },
        "MultiPolygon": {"type": "MultiPolygon", "coordinates": [shape["coordinates"]]},
    }
    if form == "KML":
        rings = [" ".join(f"{x},{y},0" for x, y in ring) for ring in shape["coordinates"]]
        sides = [
            f"<{kind}BoundaryIs><LinearRing><coordinates>{ring}</coordinates></LinearRing></{kind}BoundaryIs>"
            for kind, ring in zip(("outer", "inner"), rings, strict=True)
        ]
        content = f'<kml xmlns="http://www.opengis.net/kml/2.2"><Placemark><Polygon>{"".join(sides)}</Polygon></Placemark></kml>'
    else:
        content = "\ufeff" + json.dumps(written[form])
    said = upload(window, f"<b>area.{'kml' if form == 'KML' else 'json'}", content)
    assert said.startswith("8 hexagons added.")
    assert cells(window) == found
    assert not [url for url in window.requests if url.startswith("http")]


def polygon(*ring: tuple[float, float]) -> str:
    return json.dumps({"type": "Polygon", "coordinates": [ring]})


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", "{", "cannot be read as JSON"),
        ("a.json", "[1]", "This is not GeoJSON"),
        ("a.json", '{"type": "Topology"}', "This is not GeoJSON"),
        ("a.json", '{"type": "Polygon", "coordinates": [[["x", 1], [2, 3], [3, 4]]]}', "This is not GeoJSON"),
        ("a.json", '{"type": "Polygon"}', "This is not GeoJSON"),
        ("a.json", '{"type":"GeometryCollection","geometries":[' * 9000 + "]}" * 9000, "This is not GeoJSON"),
        ("a.json", '{"type": "FeatureCollection", "features": []}', "The file has no polygon"),
        ("a.json", '{"type": "LineString", "coordinates": [[0, 1], [1, 2]]}', "The file has no polygon"),
        ("a.json", polygon((-105, 39), (-104, 39)), "fewer than three corners"),
        ("a.json", polygon((3142590.3, 1690401), (3142600, 1690401), (3142600, 1690500)), "such as 3142590.3, 1690401"),
        (
            "a.json",
            polygon((39, -105), (40, -105), (40, -104)).replace("}", ', "crs": {"properties": {"name": "EPSG:2232"}}}'),
            "coordinate system EPSG:2232",
        ),
        ("a.json", polygon((39, -105), (40.5, -105.5), (40, -104)), "the wrong way round"),
        ("a.json", polygon((10, 50), (11, 50), (11, 51)), "outside the city"),
        (
            "a.json",
            polygon((-104.99, 39.7401), (-104.9899, 39.7401), (-104.99, 39.74015)),
            "None of the hexagons has its centre",
        ),
        ("a.kml", "<kml>", "This is not KML"),
        ("a.kml", "<gpx/>", "This is not KML"),
        ("a.shp", "x", "Save it as GeoJSON"),
    ],
)
def test_a_file_that_cannot_be_taken_says_why(window, name: str, content: str, words: str) -> None:
    assert words in upload(window, name, content)
    assert cells(window) == []


def test_areas_are_chosen_by_name(window, of, path) -> None:
    page = window.page
    page.locator("#selection-area").select_option("district North")
    assert cells(window) == np.flatnonzero(of.districts == "North").tolist()
    page.locator("#districts").evaluate("(details) => { details.open = true }")
    page.locator("#district-rows button[value=North]").click()
    assert cells(window) == []
    page.locator("#district-rows button[value=South]").click()
    assert cells(window) == np.flatnonzero(of.districts == "South").tolist()
    assert page.locator("#district-rows button[value=South]").get_attribute("aria-pressed") == "true"
    page.get_by_role("button", name="Clear").click()
    features = json.loads((path.parent / "neighbourhoods.geojson").read_text())["features"]
    name, shape = features[0]["properties"]["name"], shapely.from_geojson(json.dumps(features[0]["geometry"]))
    page.locator("#selection-area").select_option(label=name)
    found = np.flatnonzero(inside(of, [shape])).tolist()
    assert len(found) > 3
    assert cells(window) == found
    page.get_by_role("button", name="Clear").click()
    page.locator("#selection-area").select_option("top")
    assert cells(window) == sorted(page.evaluate("() => city.marks.top"))


def test_a_link_opens_the_same_selection_again(browser, path, of) -> None:  # noqa: F811
    rng = np.random.default_rng(0)
    with Window(browser, path.as_uri()) as opened:
        for size in (1, 5, 30, 60, 61):
            rows = sorted(rng.choice(61, size, replace=False).tolist())
            opened.page.evaluate("(rows) => select(rows)", rows)
            opened.page.wait_for_url(f"**{opened.page.evaluate('() => selection.code')}*")
            address = opened.page.url
            with Window(browser, address) as again:
                assert cells(again) == rows
                assert facts(again) == facts(opened)
        opened.page.get_by_role("button", name="Clear").click()
        opened.page.wait_for_url(lambda url: "select=" not in url)


def test_a_link_of_other_cells_says_so(browser, path, of, tmp_path) -> None:  # noqa: F811
    less = of.hexagons[5:]
    other = unpack(pack(grid(rings=4), "denver"))
    keep = np.isin(other.hexagons, less)
    fewer = replace(
        other,
        hexagons=other.hexagons[keep],
        intensity=other.intensity[..., keep],
        usual=other.usual[..., keep],
        districts=other.districts[keep],
    )
    write_map(view_of(fewer, "denver"), tmp_path / "fewer.html")
    areas = replace(other, polygons=other.geometry.outlines)
    write_map(view_of(areas, "denver"), tmp_path / "areas.html")
    with Window(browser, path.as_uri()) as opened:
        opened.page.evaluate("() => select([0, 4, 5, 6, 20])")
        code = opened.page.evaluate("() => selection.code")
    with Window(browser, (tmp_path / "fewer.html").as_uri() + f"#select={code}") as opened:
        assert cells(opened) == [0, 1, 15]
        assert opened.text("#selection-note") == "2 of the 5 cells of this link are not in this forecast."
    with Window(browser, (tmp_path / "areas.html").as_uri() + f"#select={code}") as opened:
        assert cells(opened) == []
        assert "of other cells than this forecast has" in opened.text("#selection-note")
        opened.page.evaluate("() => select([0, 4, 5, 6, 20])")
        own = opened.page.evaluate("() => selection.code")
    with Window(browser, (tmp_path / "areas.html").as_uri() + f"#select={own}") as opened:
        assert cells(opened) == [0, 4, 5, 6, 20]
    for broken in ("8.", "9.AA", "8.A", "8.____________", "8.A%20", "x", "8.AZ9_______A"):
        with Window(browser, path.as_uri() + f"#select={broken}") as opened:
            assert cells(opened) == []


def test_addresses_stay_short(window) -> None:
    """Of 20,000 hexagons: a disc of 5,000 of them, and every other one."""
    lengths = window.page.evaluate(
        """() => {
          const hexagons = [];
          for (let base = 0; hexagons.length < 20000; base++) {
            const digits = [...base.toString(7).padStart(6, "0")].reduce((bits, digit) => 8 * bits + Number(digit), 0);
            hexagons.push("89" + (20 * 2 ** 45 + digits * 2 ** 18 + 2 ** 18 - 1).toString(16).padStart(13, "0"));
          }
          const view = { hexagons, cell: "hexagon" }, some = [...Array(5000).keys()];
          const code = codeOf(some, view);
          const back = cellsOf(code, view).rows.join() === some.join();
          return [code.length, back, codeOf(some.map((row) => 2 * row), view)];
        }"""
    )
    assert lengths[0] < 20
    assert lengths[1]
    assert lengths[2] is None


COLUMNS = (
    "place,hexagon,district,latitude,longitude,valid_from,valid_until,local_from,local_until,category,intensity,low,"
    "high,risk,rank,usual,issue_time,model,complete_until"
)


@pytest.mark.parametrize("step", SPANS)
def test_csv_has_the_numbers_of_the_grid(window, of, step: str) -> None:
    rows, span = [2, 7, 11, 30, 31, 55], SPANS[step]
    window.page.evaluate(f"() => {{ location.hash = 'step={step}&category=theft'; }}")
    window.drawing()
    window.page.evaluate("(rows) => select(rows)", rows)
    name, content = saved(window, "csv")
    assert name == f"denver_{of.starts[span.start]:%Y%m%dT%H%M%SZ}_{step}_selection.csv"
    table = pd.read_csv(io.BytesIO(content), float_precision="round_trip")
    assert ",".join(table) == COLUMNS
    assert len(table) == 3 * len(rows)
    if step == "all":
        lam, at = of.intensity[HORIZON], of.horizon
    elif step == "5":
        lam, at = of.intensity[5], of.steps[of.steps["valid_from"] == of.starts[5]]
    else:
        lam, at = of.intensity[span].sum(0), None
    for index, category in enumerate(of.categories):
        part = table[table["category"] == category]
        assert part["hexagon"].tolist() == of.hexagons[rows].tolist()
        assert part["place"].tolist() == [f"'{of.places[row]}" for row in rows]
        assert part["district"].tolist() == [
            f"'{of.districts[row]}" if str(of.districts[row])[0] == "=" else of.districts[row] for row in rows
        ]
        np.testing.assert_allclose(part["intensity"], lam[index, rows], rtol=1e-12)
        np.testing.assert_allclose(part["risk"], -np.expm1(-lam[index, rows]), rtol=1e-12)
        np.testing.assert_allclose(part["usual"], of.usual[span, index][:, rows].sum(0), rtol=1e-3)
        assert part["rank"].tolist() == (np.argsort(np.argsort(-lam[index], kind="stable")) + 1)[rows].tolist()
        during = np.isin(np.arange(24), np.arange(24)[span])
        ranges = [range_of_sum(of, np.arange(61) == row, during, index) for row in rows]
        assert list(zip(part["low"], part["high"], strict=True)) == ranges
        if at is not None:  # to the last digit
            same = at[at["category"] == category].set_index("hexagon").loc[part["hexagon"]]
            assert part["intensity"].tolist() == same["intensity"].tolist()
    assert {*table["valid_from"]} == {f"{of.starts[span.start]:%Y-%m-%dT%H:%M:%SZ}"}
    assert {*table["valid_until"]} == {f"{of.ends[span.stop - 1]:%Y-%m-%dT%H:%M:%SZ}"}
    local = pd.to_datetime(table["local_until"].iloc[0])
    assert local == of.ends[span.stop - 1]
    assert table["local_until"].iloc[0].endswith("-06:00")
    np.testing.assert_allclose(table[["latitude", "longitude"]][: len(rows)], of.geometry.centres[rows], atol=1e-6)


def test_all_cells_are_exported_where_none_is_selected(window, of) -> None:
    assert window.text("#export-what") == "All 61 hexagons"
    name, content = saved(window, "csv")
    assert name == "denver_20240930T060000Z_all.csv"
    assert len(pd.read_csv(io.BytesIO(content))) == 3 * 61


def test_geojson_is_rfc_7946(window, of) -> None:
    rows = [2, 7, 30]
    window.page.evaluate("(rows) => select(rows)", rows)
    name, content = saved(window, "geojson")
    assert name.endswith("_selection.geojson")
    frame = geopandas.read_file(io.BytesIO(content))
    assert frame["hexagon"].tolist() == of.hexagons[rows].tolist()
    assert frame["place"].tolist() == of.places[rows].tolist()
    np.testing.assert_allclose(frame["intensity"], of.intensity[HORIZON, 0, rows], atol=1e-8)
    assert frame[["low", "high"]].to_numpy().T.tolist() == of.bounds[:, 0, rows].tolist()
    assert (
        shapely.equals_exact(frame.geometry.to_numpy(), of.geometry.outlines[rows], 1e-6).all()
        or (
            shapely.area(shapely.symmetric_difference(frame.geometry.to_numpy(), of.geometry.outlines[rows])) < 1e-8
        ).all()
    )
    assert all(shape.exterior.is_ccw for shape in frame.geometry)
    whole = json.loads(content)
    assert "never by person" in whole["metadata"]["notice"]
    assert whole["metadata"]["valid_from"] == "2024-09-30T06:00:00Z"


def test_outlines_with_parts_holes_and_across_the_antimeridian_are_whole(window) -> None:
    square = [[0, 0], [0, 4], [4, 4], [4, 0]]
    hole, island, apart = [[1, 1], [1, 3], [3, 3], [3, 1]], [[2, 2], [2, 2.5], [2.5, 2.5]], [[9, 9], [9, 10], [10, 10]]
    far = [[0, 179], [0, 182], [2, 182], [2, 179]]
    shapes = window.page.evaluate(
        "(outlines) => outlines.map(geometryOf)",
        [[hole, apart, square, island], [far]],
    )
    several, cut = (shapely.from_geojson(json.dumps(shape)) for shape in shapes)
    assert several.is_valid
    assert several.area == 16 - 4 + 0.125 + 0.5
    assert sorted(len(part.interiors) for part in several.geoms) == [0, 0, 1]
    assert cut.is_valid
    assert cut.area == 6
    assert cut.bounds == (-180, 0, 180, 2)
    for shape in (*several.geoms, *cut.geoms):
        assert shape.exterior.is_ccw
        assert not any(ring.is_ccw for ring in shape.interiors)


def test_kml_is_well_formed_and_named_by_places(window, of) -> None:
    rows = [2, 7, 30]
    window.page.evaluate("(rows) => select(rows)", rows)
    root = ET.fromstring(saved(window, "kml")[1])
    space = {"k": "http://www.opengis.net/kml/2.2"}
    marks = root.findall(".//k:Placemark", space)
    assert [mark.find("k:name", space).text for mark in marks] == of.places[rows].tolist()
    for mark, row in zip(marks, rows, strict=True):
        data = {one.get("name"): one.find("k:value", space).text for one in mark.findall(".//k:Data", space)}
        assert data["hexagon"] == of.hexagons[row]
        assert float(data["intensity"]) == pytest.approx(of.intensity[HORIZON, 0, row], abs=1e-8)
        ring = mark.find(".//k:outerBoundaryIs//k:coordinates", space).text.split()
        outline = shapely.Polygon([[*map(float, place.split(","))] for place in ring])
        assert ring[0] == ring[-1]
        assert outline.symmetric_difference(of.geometry.outlines[row]).area < 1e-8
        low, high = of.bounds[:, 0, row]
        assert f"({low} to {high})" in mark.find("k:description", space).text
    assert "never by person" in root.find(".//k:Document/k:description", space).text
    assert root.find(".//k:TimeSpan/k:begin", space).text == "2024-09-30T06:00:00Z"


@pytest.mark.parametrize("size", SCREENS)
def test_the_picture_is_the_map_with_what_must_be_known_of_it(browser, path, tmp_path, size) -> None:  # noqa: F811
    screen = {"viewport": {"width": size[0], "height": size[1]}, "device_scale_factor": 2}
    with Window(browser, path.as_uri() + "#step=evening", **screen) as opened:
        opened.page.evaluate("() => select([2, 7, 30])")
        name, content = saved(opened, "png")
        assert name == "denver_20240930T210000Z_evening_selection.png"
        picture, box = Image.open(io.BytesIO(content)), opened.page.locator("#map").bounding_box()
        assert picture.width > 2 * box["width"]
        assert picture.height > 2 * box["height"] + 100
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 24)}
        for shown in {*opened.page.evaluate("() => city.colours"), "#5b0f8b", "#d55e00"}:
            assert tuple(int(shown[at : at + 2], 16) for at in (1, 3, 5)) in colours


@pytest.mark.parametrize("size", SCREENS)
def test_the_selection_fits_the_screen(browser, path, size) -> None:  # noqa: F811
    screen = {"viewport": {"width": size[0], "height": size[1]}}
    with Window(browser, path.as_uri(), **screen, has_touch=True, is_mobile=size[0] < 1000) as opened:
        page = opened.page
        page.evaluate("() => select(grid.order(null, 0).slice(0, 20))")
        page.locator("#exports").scroll_into_view_if_needed()
        for button in page.locator("#selection button:visible, #selection select, #selection .button").all():
            box = button.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= size[0]
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        page.get_by_role("button", name="Draw an area").tap()
        tools, around_it = page.locator("#drawing").bounding_box(), page.locator("#map").bounding_box()
        assert tools["y"] >= around_it["y"]
        assert tools["y"] + tools["height"] <= around_it["y"] + around_it["height"]
        assert tools["width"] * tools["height"] < 0.5 * around_it["width"] * around_it["height"]


def test_the_served_page_keeps_and_exports_a_selection(browser, service) -> None:  # noqa: F811
    address, _ = service
    with Window(browser, address, accept_downloads=True) as opened:
        opened.page.evaluate("() => select([1, 2, 3])")
        opened.page.wait_for_url("**select=**")
        opened.page.reload()
        opened.ready()
        assert cells(opened) == [1, 2, 3]
        assert len(pd.read_csv(io.BytesIO(saved(opened, "csv")[1]))) == 9
        assert upload(opened, "a.json", "{").startswith("This is neither")
        assert all(url.startswith((address, "data:", "blob:")) for url in opened.requests)


def test_file_page_and_service_say_the_same_of_fifty_selections(browser, tmp_path) -> None:  # noqa: F811
    config = load("quickstart", [f"root={tmp_path}"])
    store = store_of(config)
    first = grid()
    store.put(first, usual(first), FACTS, ISSUED)
    of = unpack(pack(first, "denver"))
    write_map(view_of(of, "denver"), tmp_path / "map.html")
    rng, spans = (
        np.random.default_rng(0),
        {"all": {}, "evening": {"shift": "evening"}, "5": {"time": of.starts[5].isoformat()}},
    )
    app = create_app(config, Keeper(store_of(config), clock=lambda: ISSUED))
    with (
        TestClient(app, base_url="http://127.0.0.1") as client,
        Window(browser, (tmp_path / "map.html").as_uri()) as page,
    ):
        for draw in range(50):
            step = str(rng.choice([*spans]))
            index = int(rng.integers(3))
            category = of.categories[index]
            if draw % 2:
                rows = rng.choice(37, rng.integers(1, 38), replace=False)
                chosen = np.isin(np.arange(37), rows)
                asked = {"cells": ",".join(of.hexagons[rows]), "category": category, **spans[step]}
                answer = client.get("/v1/sum", params=asked)
                page.page.evaluate("(rows) => select(rows)", rows.tolist())
            else:
                ring = rng.normal([-104.99, 39.74], 0.015, (5, 2)).round(6).tolist()
                shape = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
                chosen = inside(of, [shapely.Polygon(ring)])
                answer = client.post("/v1/sum", json={"area": shape, "category": category, **spans[step]})
                page.page.evaluate("(polygon) => select(cellsIn([polygon]))", shape["coordinates"])
                assert cells(page) == np.flatnonzero(chosen).tolist()
                if not chosen.any():
                    assert answer.status_code == 404
                    continue
            assert answer.status_code == 200, answer.text
            found, expected = answer.json(), selected(of, chosen, SPANS[step], index)
            assert {name: found[name] for name in expected} == expected
            span = None if step == "all" else [SPANS[step].start, SPANS[step].stop - 1]
            page.page.evaluate(
                "(choice) => { Object.assign(chosen, choice); draw(); }", {"category": index, "span": span}
            )
            words = f"{spelled(found['intensity'])} ({found['low']} to {found['high']})"
            assert facts(page)["expected"] == words
            assert (
                page.text("#selection-size")
                == f"{chosen.sum()} hexagon{'s' * int(chosen.sum() > 1)}, {spelled(found['area_km2'])} km²"
            )
            assert facts(page)["share"] == f"{round(100 * found['share'])} %"
