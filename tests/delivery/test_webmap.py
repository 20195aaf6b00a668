"""What the interactive map is given, and the page it is put into."""

import json
import re
import shutil
import subprocess
from importlib.resources import files

import h3
import numpy as np
import pandas as pd
import pytest
import shapely
from small_grids import grid as grid_by

from stforecast.delivery.compact import to_text
from stforecast.delivery.map import TOP_SHARE, class_bounds, class_colours, class_labels, highest
from stforecast.delivery.riskgrid import HORIZON, RiskGrid, with_sums
from stforecast.delivery.webmap import page, view_of, write_map
from stforecast.delivery.words import horizon_label, horizon_length, length_of, step_labels
from stforecast.errors import ArtefactError
from stforecast.forecasters.forecast import Forecast
from stforecast.scoring.conformal import Spread
from stforecast.scoring.hotspots import AREAS, top_count

CELLS = h3.grid_disk(h3.latlng_to_cell(39.74, -104.99, 8), 3)


def grid_of(cells: list[str] = CELLS, **changes) -> RiskGrid:
    rng = np.random.default_rng(0)
    shape = (1, 24, len(cells), 2)
    values = {
        "intensity": rng.gamma(0.5, 0.1, shape).astype(np.float32),
        "issue_times": pd.DatetimeIndex(["2024-09-30 06:00"], tz="UTC"),
        "hexagons": np.array(cells),
        "categories": ("theft", "violence"),
        "step_hours": 1,
        "time_zone": "America/Denver",
        "model": "gcrn-20240930-ab12",
        "complete_until": pd.Timestamp("2024-09-30 05:00", tz="UTC"),
        "assumptions": ("no weather for 24 of 24 hours",),
        "spreads": dict.fromkeys(("all", "theft", "violence"), Spread(0.9, 0.3, (), (0.05,), (0.95,))),
        "usual": rng.gamma(0.5, 0.1, shape).astype(np.float32),
    }
    return RiskGrid.of(Forecast(**values | changes))


def in_node(script: str, given: object) -> object:
    """What the page's numbers make of `given`: the value of `script` in Node."""
    if (node := shutil.which("node")) is None:
        pytest.skip("no Node on this machine")
    names = ("texts.js", "en.js", "es.js", "locale.js", "view.js", "classes.js", "grid.js")
    parts = "".join(page()[name].decode() for name in names)
    text = f"{parts}\nconst given = {to_text(given)};\nconsole.log(JSON.stringify({script}))"
    done = subprocess.run([node, "-"], input=text, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def numbers(view: dict) -> tuple[np.ndarray, np.ndarray]:
    """λ and what is usual as the page reads them, float32 [k c n] without `all`."""
    found = in_node("(({ intensity, usual }) => [[...intensity], [...(usual ?? [])]])(unpackIntensities(given))", view)
    shape = (-1, len(view["times"]) - 1, len(view["hexagons"]))
    intensity, usual = (np.array(values, np.float32).reshape(shape).transpose(1, 0, 2) for values in found)
    return intensity, usual


def outlines(view: dict, of: str = "outlines") -> list:
    """Rings of the cells, or of the districts, as the page reads them."""
    return in_node(f"unpackRings(given.{of})", view)


def test_numbers_survive_the_way_through_json() -> None:
    grid = grid_of()
    view = json.loads(to_text(view_of(grid, "st_louis")))
    intensity, usual = numbers(view)
    np.testing.assert_array_equal(intensity, grid.intensity[:-1, 1:])
    np.testing.assert_array_equal(intensity.astype(float).sum(1), grid.intensity[:-1, 0])
    np.testing.assert_allclose(usual, grid.usual[:-1, 1:], rtol=2**-11)
    assert view["categories"] == ["all", "theft", "violence"]
    assert view["hexagons"] == grid.hexagons.tolist()
    assert (view["city"], view["title"]) == ("st_louis", "St Louis")
    assert (view["model"], view["time_zone"]) == ("gcrn-20240930-ab12", "America/Denver")
    assert (view["issue_time"], view["complete_until"]) == ("2024-09-30T06:00:00Z", "2024-09-30T05:00:00Z")
    assert view["assumptions"] == ["no weather for 24 of 24 hours"]
    assert view["level"] == 0.9
    for index, category in enumerate(grid.categories):
        day = grid.horizon[grid.horizon["category"] == category].set_index("hexagon").loc[grid.hexagons]
        assert view["low"][index] == day["low"].tolist()
        assert view["high"][index] == day["high"].tolist()


def test_a_single_category_and_a_forecast_without_usual_or_spreads() -> None:
    shape = (1, 24, len(CELLS), 1)
    grid = grid_of(intensity=np.full(shape, 0.1, np.float32), categories=("all",), spreads={}, usual=None)
    view = view_of(grid, "denver")
    assert numbers(view)[0].shape == (24, 1, len(CELLS))
    assert [view[key] for key in ("usual", "reported", "low", "high", "level", "districts")] == [None] * 6
    assert outlines(view, "district_borders") == []


def test_classes_are_those_of_the_picture() -> None:
    grid = grid_of()
    classes = view_of(grid, "denver")["classes"]
    percent = -100 * np.expm1(-grid.intensity)
    for measure, span, values in (
        ("expected", "step", grid.intensity[:-1]),
        ("expected", "horizon", grid.intensity[-1:]),
        ("risk", "step", percent[:-1]),
    ):
        for index, found in enumerate(classes[measure][span]):
            bounds = class_bounds(values[:, index].ravel())
            assert found == bounds.tolist()


LABELS = """((times, all) => ({ steps: all.map((at) => times.span(at, at)), horizon: times.horizon(),
    lengths: all.map((at) => times.length(at + 1)) }))(new Times(given), [...Array(given.times.length - 1).keys()])"""


@pytest.mark.parametrize(
    "issue", ["2024-11-03 06:00", "2024-11-02 07:00", "2024-03-10 07:00", "2024-09-30 06:00", "2024-12-31 07:00"]
)
@pytest.mark.parametrize(
    "zone", ["America/Denver", "Europe/Madrid", "America/Bogota", "Australia/Lord_Howe", "Asia/Kathmandu"]
)
def test_the_page_says_hours_as_pictures_do(issue: str, zone: str) -> None:
    times = pd.DatetimeIndex([issue], tz="UTC")
    grid = grid_of(issue_times=times, complete_until=times[0], time_zone=zone)
    view = view_of(grid, "denver")
    found = in_node(LABELS, view)
    assert found["steps"] == step_labels(grid)
    assert len({*found["steps"]}) == 24
    assert found["horizon"] == horizon_label(grid)
    assert found["lengths"][-1] == horizon_length(grid)
    starts = pd.DatetimeIndex(view["times"])
    assert (np.diff(starts) == np.timedelta64(1, "h")).all()
    assert starts[0] == times[0]


@pytest.mark.parametrize(
    ("language", "clock", "first", "changed"),
    [
        ("en", "24", "Sun 3 Nov 00:00 MDT to 01:00 MDT", "Sun 3 Nov 01:00 MDT to 01:00 MST"),
        ("en", "12", "Sun 3 Nov 12:00 AM MDT to 1:00 AM MDT", "Sun 3 Nov 1:00 AM MDT to 1:00 AM MST"),
        ("es", "24", "dom 3 nov 00:00 MDT a 01:00 MDT", "dom 3 nov 01:00 MDT a 01:00 MST"),
        ("es", "12", "dom 3 nov 12:00 a. m. MDT a 1:00 a. m. MDT", "dom 3 nov 1:00 a. m. MDT a 1:00 a. m. MST"),
    ],
)
def test_no_two_hours_read_alike_when_the_clock_changes(language: str, clock: str, first: str, changed: str) -> None:
    times = pd.DatetimeIndex(["2024-11-03 06:00"], tz="UTC")
    view = view_of(grid_of(issue_times=times, complete_until=times[0]), "denver")
    found = in_node(f"(language = '{language}', measures.clock = '{clock}', {LABELS})", view)
    assert [" ".join(label.split()) for label in found["steps"][:2]] == [first, changed]


@pytest.mark.parametrize(("unit", "horizons"), [("hour", 24), ("day", 7), ("day", 1), ("month", 3), ("month", 1)])
def test_every_step_and_horizon_is_said_as_it_is(unit, horizons) -> None:
    grid = grid_by(unit=unit, horizons=horizons)
    view = json.loads(to_text(view_of(grid, "denver")))
    found = in_node(LABELS, view)
    assert found["steps"] == step_labels(grid)
    assert found["horizon"] == horizon_label(grid)
    assert found["lengths"] == [length_of(grid.step, count) for count in range(1, horizons + 1)]
    np.testing.assert_array_equal(numbers(view)[0], grid.intensity[:-1, 1:])


def test_outlines_areas_and_borders_are_those_of_the_hexagons() -> None:
    names = np.array([f"D{index % 2}" for index in range(len(CELLS) - 1)] + [None], object)
    grid = grid_of(districts=names)
    view = view_of(grid, "denver")
    assert view["cell"] == "hexagon"
    for cell, (ring,), area in zip(view["hexagons"], outlines(view), view["area_km2"], strict=True):
        assert area == pytest.approx(h3.cell_area(cell, "km^2"), abs=1e-6)
        latitude, longitude = np.mean(ring[:-1], axis=0)
        assert h3.latlng_to_cell(latitude, longitude, 8) == cell
    assert max(len(number) for number in re.findall(r"\.(\d+)", json.dumps(outlines(view)))) <= 6
    whole = sum(shapely.Polygon(ring).area for (ring,) in outlines(view))
    assert shapely.Polygon(view["border"][0]).area == pytest.approx(whole, rel=1e-9)
    assert len(view["border"]) == 1
    assert view["districts"].count(None) == 1
    inside = shapely.Polygon(view["border"][0]).buffer(1e-6)
    assert all(
        inside.contains(shapely.LineString(ring)) for rings in outlines(view, "district_borders") for ring in rings
    )


def test_a_city_across_the_antimeridian_stays_in_one_piece() -> None:
    cells = h3.grid_disk(h3.latlng_to_cell(-16.8, 180.0, 6), 3)
    view = view_of(grid_of(cells), "taveuni")
    assert len(outlines(view)) == len(cells)
    assert len(view["border"]) == 1
    longitudes = np.array(view["border"][0])[:, 1]
    assert np.ptp(longitudes) < 1
    assert np.abs(longitudes).max() > 180  # runs on


def test_hexagons_must_be_h3_cells() -> None:
    with pytest.raises(ArtefactError, match="not an H3 cell"):
        view_of(grid_of(["0", "1"]), "benchmark")


def test_the_page_has_neither_inline_script_nor_inline_style() -> None:
    parts = page()
    text = parts["page.html"].decode()
    assert re.findall(r"<script[^>]*>([^<]*)</script>", text) == [""] * text.count("<script")
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
    linked = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert linked == ["data:,", *[*parts][1:]]
    written = {path.name for path in (files("stforecast.delivery") / "web").iterdir()}
    assert {*parts} == written - {"leaflet.LICENSE"}
    assert b"Leaflet 1.9.4" in parts["leaflet.js"]


def test_the_file_is_written_whole_and_holds_its_view(tmp_path) -> None:
    view = view_of(grid_of(districts=np.array(["</script><script>alert(1)</script>"] * len(CELLS), object)), "denver")
    write_map(view, tmp_path / "map.html")
    text = (tmp_path / "map.html").read_text("utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["map.html"]
    held = re.search(r'<script id="view" type="application/json">(.*?)</script>', text)
    assert json.loads(held[1]) == json.loads(to_text(view))
    assert not re.search(r'(src|href)="(?!data:,)', re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL))
    assert text.count("Content-Security-Policy") == 1


def test_page_and_package_round_a_share_of_the_hexagons_alike() -> None:
    shares, most = [*AREAS.values(), 0.005, 0.015, 0.025, 0.15, 0.25, 1 / 3, 0.5, 1.0], 5000
    found = in_node(
        "given.shares.map((share) => Array.from({ length: given.most }, (_, i) => topCount(share, i + 1)))",
        {"shares": shares, "most": most},
    )
    assert found == [[top_count(share, n) for n in range(1, most + 1)] for share in shares]
    assert [top_count(0.05, n) for n in (1, 30, 50, 410, 430)] == [1, 2, 2, 20, 22]


@pytest.mark.parametrize("n", [10, 30, 50, 410])
def test_the_page_outlines_the_hexagons_that_the_picture_outlines(n: int) -> None:
    grid = grid_of(h3.grid_disk(CELLS[0], 12)[:n])
    view = view_of(grid, "denver")
    script = (
        "[given.order(null, 0).slice(0, topCount(given.view.top_share, given.n)), given.scale('rank', null, 0).bounds]"
    )
    found = in_node(f"((given) => {script})(new Grid(given))", view)
    assert found[0] == highest(grid.intensity[-1, 0], TOP_SHARE).tolist()
    assert len(found[0]) + 1 in found[1]  # the rank that ends the class of the top 5 %


def test_a_span_of_steps_has_the_sums_and_classes_of_the_package() -> None:
    rng = np.random.default_rng(5)
    grid = grid_of(intensity=rng.gamma(0.5, 0.1, (1, 24, len(CELLS), 2)).astype(np.float32) ** 2)
    asked = [[int(first), int(last)] for first, last in np.sort(rng.integers(0, 24, (20, 2)), axis=1)]
    script = """((grid) => given.asked.map((span) => [0, 1, 2].map((category) => ({
        lam: [...grid.values("intensity", span, category)], usual: [...grid.values("usual", span, category)],
        order: grid.order(span, category), scales: ["expected", "risk"].map((name) => grid.scale(name, span, category)),
    }))))(new Grid(given.view))"""
    found = in_node(script, {"view": view_of(grid, "denver"), "asked": asked})
    leaves = [np.ascontiguousarray(grid.leaves(values)) for values in (grid.intensity, grid.usual)]
    for (first, last), of_span in zip(asked, found, strict=True):
        sums = [with_sums(values[first : last + 1], grid.categories)[HORIZON] for values in leaves]
        for category, one in enumerate(of_span):
            lam, usual = (values[category] for values in sums)
            assert one["lam"] == lam.tolist()
            np.testing.assert_allclose(one["usual"], usual, rtol=2**-11)
            assert one["order"] == np.argsort(-lam, kind="stable").tolist()
            for scale, values in zip(one["scales"], (lam, -100 * np.expm1(-lam)), strict=True):
                bounds = class_bounds(values)
                assert first == last or scale["bounds"] == bounds.tolist()  # single steps share theirs
                assert scale["labels"] == class_labels(np.array(scale["bounds"]))
                assert scale["colours"] == class_colours(len(scale["bounds"]) + 1)


def test_the_page_draws_classes_as_the_picture_does() -> None:
    rng = np.random.default_rng(2)
    drawn = [rng.gamma(0.3, 10.0 ** rng.integers(-6, 6), rng.integers(1, 300)).tolist() for _ in range(200)]
    drawn += [[], [0.0], [0.2] * 5, [0.0] * 999 + [5.0], [1.0, 2.0, 5.0, 10.0]]
    script = "given.map((v) => classBounds(Float64Array.from(v))).map((bounds) => [bounds, classLabels(bounds)])"
    found = in_node(script, drawn)
    for values, (bounds, labels) in zip(drawn, found, strict=True):
        assert bounds == class_bounds(np.array(values)).tolist()
        assert labels == class_labels(np.array(bounds))
