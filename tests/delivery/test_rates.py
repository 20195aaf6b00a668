"""Rates: what is divided by what, where none is shown, and that files, bytes, map and service say the same."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from small_grids import FACTS, ISSUED, UNITS, grid, store_of, usual
from test_polygon_grids import forecast as polygon_forecast
from test_webmap import in_node

from stforecast.config import parse
from stforecast.config.sections import Rate
from stforecast.cube.covariates import Covariate
from stforecast.delivery.api.app import create_app
from stforecast.delivery.api.keeper import Keeper
from stforecast.delivery.compact import to_text
from stforecast.delivery.convert import convert
from stforecast.delivery.export import open_grid, write_grid
from stforecast.delivery.packed import pack, unpack
from stforecast.delivery.rates import Denominator
from stforecast.delivery.riskgrid import HORIZON, RiskGrid
from stforecast.delivery.shifts import during
from stforecast.delivery.webmap import view_of
from stforecast.errors import ConfigError
from stforecast.testing import small_city

KINDS = pytest.mark.parametrize("exposure", [False, True], ids=["residents", "exposure"])


def rated(of: RiskGrid, exposure: bool, smallest: float = 100) -> RiskGrid:
    """The grid with a denominator of which the first cell's is unknown and some others' are small."""
    k, n = of.horizons, len(of.hexagons)
    values = np.random.default_rng(2).gamma(0.7, 600, (k, n) if exposure else n).astype(np.float32)
    values[..., 1] = 1
    values[..., 0] = np.nan
    return replace(of, denominator=Denominator("visitors" if exposure else "residents", 1000, smallest, values))


numbers = st.sampled_from([0.0, 1e-3, 99.99, 100.0, 7e4, np.nan]) | st.floats(0, 1e5, width=32)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), exposure=st.booleans(), unit=st.sampled_from(UNITS))
def test_a_rate_times_its_denominator_is_what_is_expected(data, exposure, unit) -> None:
    of = grid(rings=1, unit=unit, issued=pd.Timestamp("2024-11-01T06:00Z"))  # a month with a day of 25 hours
    k, n = of.horizons, len(of.hexagons)
    values = data.draw(hnp.arrays(np.float32, (k, n) if exposure else n, elements=numbers))
    below = Denominator("visitors", 10, 100, values)
    of = replace(of, denominator=below)
    rate, number = of.rates["rate"], of.rates["denominator"]
    hours = ((of.ends - of.starts) / pd.Timedelta(hours=1)).to_numpy()[:, None]
    each = np.broadcast_to(values, (k, n)).astype(float)
    whole = each.sum(0) if exposure else each[0]
    expected = np.concatenate([each, whole[None]])
    np.testing.assert_array_equal(number, np.broadcast_to(expected[:, None], number.shape))
    shown = (expected / hours if exposure else expected) >= 100  # not of NaN
    np.testing.assert_array_equal(np.isfinite(rate), np.broadcast_to(shown[:, None], rate.shape))
    np.testing.assert_allclose(np.where(shown[:, None], rate * number / 10, of.intensity), of.intensity, rtol=1e-12)
    np.testing.assert_allclose(rate[:, 0], rate[:, 1:].sum(1), rtol=1e-9)  # categories add up
    if not exposure:  # and so do steps
        np.testing.assert_allclose(rate[HORIZON], rate[:HORIZON].sum(0), rtol=1e-9)
    assert below.facts(of.ends - of.starts)["masked"] == (~shown[HORIZON]).sum()


@KINDS
@pytest.mark.parametrize("unit", UNITS)
def test_files_and_bytes_keep_rates(tmp_path: Path, exposure: bool, unit: Any) -> None:
    of = rated(grid(unit=unit), exposure)
    write_grid(of, tmp_path / "grid", "denver")
    for found in (open_grid(tmp_path / "grid"), unpack(pack(of, "denver"))):
        assert found.facts("denver") == of.facts("denver")
        np.testing.assert_array_equal(found.denominator.values, of.denominator.values)
        pd.testing.assert_frame_equal(found.horizon, of.horizon)
        pd.testing.assert_frame_equal(found.steps, of.steps)
    table = geopandas.read_parquet(tmp_path / "grid" / "risk_horizon.parquet")
    assert {"rate", "denominator"} <= {*table}
    unknown = table[table["hexagon"] == of.hexagons[0]]
    assert unknown["rate"].isna().all()
    small = table[table["hexagon"] == of.hexagons[1]]
    assert small["rate"].isna().all()
    assert small["denominator"].notna().all()
    rows = list(csv.DictReader((tmp_path / "grid" / "risk_horizon.csv").open(encoding="utf-8")))
    assert {row["rate"] for row in rows if row["hexagon"] in of.hexagons[:2]} == {""}
    features = json.loads((tmp_path / "grid" / "risk.geojson").read_text("utf-8"))["features"]
    assert [features[at]["properties"]["theft_rate_horizon"] for at in (0, 1)] == [None, None]
    np.testing.assert_allclose(
        [np.nan if (rate := one["properties"]["rate_horizon"]) is None else rate for one in features],
        of.rates["rate"][HORIZON, 0],
        atol=1e-8,
    )


@KINDS
def test_bytes_keep_rates_beside_polygons_and_without_usual(exposure: bool) -> None:
    for changes in ({}, {"usual": None}):
        of = rated(RiskGrid.of(polygon_forecast(**changes)), exposure)
        found = unpack(pack(of, "x"))
        np.testing.assert_array_equal(found.denominator.values, of.denominator.values)
        np.testing.assert_array_equal(found.intensity, of.intensity)
        assert [one.wkb for one in found.polygons] == [one.wkb for one in of.polygons]


def test_a_grid_without_rates_is_as_before() -> None:
    of = grid()
    head = json.loads(pack(of, "denver").partition(b"\n")[0])
    assert "rate" not in head
    assert not {"rate", "denominator"} & {*of.steps}
    assert view_of(of, "denver")["rate"] is None
    assert unpack(pack(of, "denver")).denominator is None


@KINDS
def test_the_service_says_rates_and_where_there_is_none(tmp_path: Path, exposure: bool) -> None:
    config = parse({"city": "denver", "root": str(tmp_path), "service": {"hosts": ["testserver"]}}, "test")
    store, of = store_of(config), rated(grid(), exposure)
    store.put(of, usual(of), FACTS, ISSUED)
    store.close()
    with TestClient(create_app(config, Keeper(store_of(config), lambda: ISSUED))) as client:
        facts = client.get("/v1/grids/latest").json()["rate"]
        assert facts == of.facts("denver")["rate"]
        words = "per 1,000 hours of exposure (visitors)" if exposure else "per 1,000 residents"
        assert (facts["words"], facts["masked"]) == (words, int(np.isnan(of.rates["rate"][HORIZON, 0]).sum()))
        for time, at in ((None, HORIZON), ("2024-09-30T08:30Z", 2)):
            asked = {"category": "theft"} | ({} if time is None else {"time": time})
            rows = client.get("/v1/risk", params=asked).json()["rows"]
            order = of.order[at, 1]
            rates = np.array([row["rate"] for row in rows], float)
            np.testing.assert_allclose(rates, of.rates["rate"][at, 1, order], atol=1e-8)
            features = client.get("/v1/risk", params=asked | {"format": "geojson"}).json()["features"]
            assert [one["properties"]["rate"] for one in features] == [row["rate"] for row in rows]
            lines = csv.DictReader(io.StringIO(client.get("/v1/risk", params=asked | {"format": "csv"}).text))
            assert [line["rate"] == "" for line in lines] == np.isnan(rates).tolist()
        one = client.get(f"/v1/hexagons/{of.hexagons[0]}").json()
        assert {part["rate"] for part in one["horizon"]["categories"]} == {None}
        one = client.get(f"/v1/hexagons/{of.hexagons[of.order[HORIZON, 0, 5]]}").json()
        assert len(one["steps"]) == 24


@KINDS
def test_the_page_makes_the_same_rates(exposure: bool) -> None:
    of = rated(grid(), exposure)
    view = json.loads(to_text(view_of(of, "denver")))
    evening = during(of, range(15, 23))
    spans = [(None, of, HORIZON), ([3, 3], of, 3), ([15, 22], evening, 0)]
    for step, grid_of, at in spans:
        script = (
            f"Array.from(new Grid(given).shown('rate', {json.dumps(step)}, 1), (one) => Number.isNaN(one) ? null : one)"
        )
        np.testing.assert_allclose(np.array(in_node(script, view), float), grid_of.rates["rate"][at, 1], rtol=1e-12)
    places = in_node("new Grid(given).listed('rate', null, 0)", view)
    rates = of.rates["rate"][HORIZON, 0][places]
    known = rates[np.isfinite(rates)]
    assert (np.diff(known) <= 0).all()
    assert np.isnan(rates[len(known) :]).all()
    assert in_node("[classOf(NaN, [1]), classOf(0, [1]), classOf(1, [1])]", None) == [-1, 0, 1]
    assert len(view["classes"]["rate"]["horizon"]) == 3
    assert view["rate"]["masked"] == np.isnan(of.rates["rate"][HORIZON, 0]).sum()
    assert view["rate"]["exposure"] == exposure
    words = in_node("((grid) => [grid.rateWords(), grid.rateRule()])(new Grid(given))", view)
    assert words == [of.denominator.words, of.denominator.rule]


def test_a_city_of_which_no_rate_can_be_shown_has_a_map() -> None:
    of = replace(grid(), denominator=Denominator("residents", 1000, 100, np.full(37, np.nan, np.float32)))
    assert view_of(of, "denver")["rate"]["masked"] == 37


@KINDS
def test_in_other_cells_what_rates_are_per_is_shared_as_reports_are(exposure: bool) -> None:
    of = rated(grid(rings=4), exposure)
    found = convert(of, 7)
    below, above = of.denominator.sums()[-1], found.denominator.sums()[-1]
    unknown = np.isnan(above)
    assert set(unknown) == {True, False}
    whole = replace(of, denominator=replace(of.denominator, values=np.nan_to_num(of.denominator.values)))
    assert convert(whole, 7).denominator.sums()[-1].sum() == pytest.approx(np.nansum(below), rel=0.02)
    what = "visitors" if exposure else "residents"
    assert found.assumptions[-1] == f"What rates are per ({what}) is shared out likewise."
    assert convert(grid(rings=4), 7).denominator is None


def test_rates_are_said_in_words() -> None:
    values = np.ones((24, 2), np.float32)
    assert Denominator("people_present", 1, 5, values).words == "per hour of exposure (people present)"
    assert Denominator("residents", 100_000, 5, values[0]).words == "per 100,000 residents"
    said = "Rates are per 1,000 residents. No rate (fewer than 2.5 residents, or not known): 2 of 2 areas."
    assert Denominator("residents", 1000, 2.5, values[0]).about(grid().ends - grid().starts, "area") == said


def test_exposure_counts_the_hours_of_each_step() -> None:
    """A week in days with one of 25 hours: who is there counts an hour more."""
    cube = small_city(400, step="day")
    issue = cube.step_of(pd.Timestamp("2024-10-31T06:00Z"))
    rows = pd.DataFrame({"first": issue, "last": issue + 9, "cell": 3, "value": 10.0, "known": issue - 1}, index=[0])
    here = Denominator.at(Rate(of="x"), Covariate.of("x", "ahead", rows), cube, issue, np.arange(cube.n)).values
    assert here[:, 3].tolist() == [240, 240, 240, 250, 240, 240, 240]
    assert np.isnan(np.delete(here, 3, axis=1)).all()
    last = Denominator.at(Rate(of="x"), Covariate.of("x", "past", rows), cube, issue + 9, np.arange(cube.n)).values
    assert np.isnan(last).all()  # the next value did not come: it is not known, and not the last one again


@pytest.mark.parametrize("kind", ["past", "ahead"])
def test_what_becomes_known_after_the_issue_changes_no_rate(kind: Any) -> None:
    cube, rng = small_city(100), np.random.default_rng(0)
    first = np.arange(0, 2400, 6)
    rows = pd.DataFrame({"first": first, "last": first + 6, "cell": first // 6 % cube.n})
    rows["value"], rows["known"] = rng.gamma(2, 50, len(rows)), rows["first"] - (30 if kind == "ahead" else 0)
    other = rows.assign(value=np.where(rows["known"] > 1200, 1e6, rows["value"]))
    one, two = (
        Denominator.at(Rate(of="x"), Covariate.of("x", kind, each), cube, 1200, np.arange(cube.n)).values
        for each in (rows, other)
    )
    np.testing.assert_array_equal(one, two)
    assert np.isfinite(one).any()


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (None, "no 'x' in covariates; there is nothing"),
        ({"y": {"cells": "a.csv", "key": "a", "column": "v"}}, "no 'x' in covariates; there is y"),
        ({"x": {"calendar": "a.csv"}}, "x is a calendar"),
        ({"x": {"cells": "a.csv", "key": "a", "column": "imd", "sensitive": True}}, "x is sensitive"),
        ({"x": {"cells": "a.gpkg", "column": "v", "how": "mean"}}, "x is a mean"),
    ],
)
def test_what_is_no_number_of_those_who_are_there_is_refused(entry: Any, words: str) -> None:
    values = {"city": "x", "delivery": {"rate": {"of": "x"}}} | ({} if entry is None else {"covariates": entry})
    with pytest.raises(ConfigError, match=f"test: delivery.rate.of: {words}") as error:
        parse(values, "test")
    assert "got" not in str(error.value)
