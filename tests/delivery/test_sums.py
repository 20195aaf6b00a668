"""Ranges of sums of a grid: the city and its districts, old grids, and the same numbers in a browser."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import shapely
from small_grids import forecast, grid

from stforecast.delivery.convert import convert
from stforecast.delivery.packed import pack, unpack
from stforecast.delivery.riskgrid import HORIZON, RiskGrid
from stforecast.delivery.shifts import during
from stforecast.delivery.sums import areas, inside, range_of_sum, view_of_sums
from stforecast.delivery.webmap import view_of, write_map
from stforecast.forecasters.forecast import Forecast

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def everywhere(of: RiskGrid) -> np.ndarray:
    return np.ones(len(of.hexagons), bool)


def test_one_hexagon_over_the_horizon_keeps_its_own_bounds() -> None:
    one = grid()
    for row in range(len(one.hexagons)):
        chosen = np.arange(len(one.hexagons)) == row
        assert range_of_sum(one, chosen, np.ones(24, bool), 1) == tuple(one.bounds[:, 1, row])
    without = replace(one, joint={})
    assert range_of_sum(without, everywhere(one), np.ones(24, bool), 0) is None
    assert view_of_sums(without) is None


def test_areas_are_the_city_and_its_districts() -> None:
    one = grid()
    rows = areas(one, slice(4, 12), 2)
    assert [row["district"] for row in rows] == [None, "=South", "North", "South"]
    assert [row["hexagons"] for row in rows] == [37, 1, 1, 34]
    for row in rows:
        inside = everywhere(one) if row["district"] is None else one.districts == row["district"]
        steps = (np.arange(24) >= 4) & (np.arange(24) < 12)
        lam = one.intensity[:HORIZON, 2][steps][:, inside].sum()
        assert row["intensity"] == pytest.approx(lam, abs=1e-8)
        assert (row["low"], row["high"]) == range_of_sum(one, inside, steps, 2)
        assert row["low"] <= lam <= row["high"] + 1
    for row in areas(one, slice(None), 2):
        inside_it = everywhere(one) if row["district"] is None else one.districts == row["district"]
        assert (row["low"], row["high"]) == range_of_sum(one, inside_it, np.ones(24, bool), 2)
    for districts in (None, np.full(37, None, object)):
        (bare,) = areas(replace(one, joint={}, districts=districts), slice(None), 0)
        assert [*bare] == ["district", "hexagons", "intensity", "risk"]


def test_an_area_holds_what_lies_in_it_wherever_its_corners_are() -> None:
    one, box = grid(), shapely.box
    held = {
        box(70, 35, 90, 45): 0,  # on the other side of the world
        box(-180, -90, 180, 90): 37,
        box(-170, 30, -20, 50): 37,
        box(190, 30, 340, 50): 37,
        shapely.Polygon([(170, 30), (-100, 30), (-100, 50), (170, 50)]): 37,  # leaps over the antimeridian
        shapely.Polygon([(170, 30), (-110, 30), (-110, 50), (170, 50)]): 0,
    }
    assert [inside(one, [area]).sum() for area in held] == [*held.values()]


def test_it_is_kept_with_the_grid_and_the_forecast_and_left_out_where_cells_or_steps_are_others(tmp_path) -> None:
    one, told = grid(), forecast()
    assert unpack(pack(one, "denver")).joint == one.joint == told.joint
    assert Forecast.load(told.save(tmp_path / "f")).joint == told.joint
    facts = one.facts("denver")
    del facts["joint"]  # as of earlier versions
    assert RiskGrid.from_facts(facts, one.hexagons, one.leaves(one.intensity), None).joint == {}
    assert convert(one, 7).joint == during(one, range(2, 5)).joint == {}


@pytest.mark.parametrize("unit", ["hour", "day", "month"])
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_has_the_same_ranges(tmp_path, unit) -> None:
    """Draws of any hexagons and steps, from a hundredth of an event to thousands."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    rng, found = np.random.default_rng(0), grid(unit=unit)
    scale = 10 ** rng.uniform(-1.5, 2.5, len(found.hexagons))
    found = replace(found, intensity=(found.intensity * scale).astype("f4").astype("f8"))
    found = unpack(pack(found, "denver"))  # sums as every reader has them
    write_map(view_of(found, "denver"), tmp_path / "map.html")
    draws, expected = [], []
    for _ in range(200):
        rows = rng.choice(len(found.hexagons), rng.integers(1, 38), replace=False)
        steps = np.flatnonzero(rng.random(found.horizons) < rng.choice([0.3, 0.9, 1]))
        category = int(rng.integers(3))
        chosen, during_steps = (np.isin(np.arange(n), one) for n, one in ((37, rows), (found.horizons, steps)))
        draws.append([rows.tolist(), steps.tolist(), category])
        expected.append([*range_of_sum(found, chosen, during_steps, category)])
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto((tmp_path / "map.html").as_uri())
        page.wait_for_function("() => typeof grid !== 'undefined' && grid")
        assert page.evaluate("draws => draws.map((one) => rangeOfSum(...one))", draws) == expected
        browser.close()
