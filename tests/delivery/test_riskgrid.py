"""One issue of a Forecast as tables."""

import json
import time
from dataclasses import replace

import h3
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from small_grids import UNITS
from small_grids import forecast as forecast_by

from stforecast.delivery.export import open_grid, write_grid
from stforecast.delivery.packed import pack, unpack
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.delivery.webmap import view_of
from stforecast.errors import ArtefactError
from stforecast.forecasters.forecast import Forecast
from stforecast.scoring.conformal import Spread

HOURS = ["hexagon", "valid_from", "valid_until", "local_hour", "category", "intensity", "risk", "rank"]
HOURS += ["issue_time", "model", "complete_until"]


def forecast_of(intensity: np.ndarray, **changes) -> Forecast:
    """λ [m k n c] on the hexagons around the centre of Denver; daily issues from 2024-09-30 06:00 UTC."""
    m, k, n, c = intensity.shape
    cells = h3.grid_disk(h3.latlng_to_cell(39.74, -104.99, 8), 40)[:n]
    values = {
        "intensity": intensity.astype(np.float32),
        "issue_times": pd.date_range("2024-09-30 06:00", periods=m, freq="D", tz="UTC"),
        "hexagons": np.array(cells[::-1]),
        "categories": ("theft", "violence", "burglary", "drugs")[:c],
        "step_hours": 24 // k,
        "time_zone": "America/Denver",
        "model": "gcrn-20240930-ab12",
        "complete_until": pd.Timestamp("2024-09-30 05:00", tz="UTC"),
        "assumptions": ("no weather for 24 of 24 hours",),
    }
    return Forecast(**values | changes)


def intensities(m=1, k=24, n=7, c=2, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(0.5, 0.1, (m, k, n, c)).astype(np.float32)


def test_what_is_usual_stands_beside_each_row():
    intensity = intensities(n=5, c=2)
    grid = RiskGrid.of(forecast_of(intensity, usual=2 * intensity), 0)
    assert list(grid.steps) == [*HOURS[:8], "usual", *HOURS[8:]]
    for table in (grid.steps, grid.horizon):
        np.testing.assert_allclose(table["usual"], 2 * table["intensity"], rtol=1e-6)


def test_publishers_are_named_wherever_the_grid_goes(tmp_path):
    named = ("Denver Police Department. Licence: CC BY 3.0.",)
    grid = replace(RiskGrid.of(forecast_of(intensities()), 0), credits=named)
    write_grid(grid, tmp_path / "grid", "denver")
    assert unpack(pack(grid, "denver")).credits == open_grid(tmp_path / "grid").credits == named
    assert view_of(grid, "denver")["credits"] == list(named)
    assert json.loads((tmp_path / "grid" / "risk.geojson").read_text())["metadata"]["credits"] == list(named)


def test_columns_rows_and_values_against_a_plain_loop():
    forecast = forecast_of(intensities(m=2, n=5, c=2))
    grid = RiskGrid.of(forecast, 1)
    assert list(grid.steps) == HOURS
    assert list(grid.horizon) == [name for name in HOURS if name != "local_hour"]
    assert len(grid.steps) == 24 * 5 * 3
    assert len(grid.horizon) == 5 * 3
    found = grid.steps.set_index(["valid_from", "hexagon", "category"])
    for k in range(24):
        begin = pd.Timestamp("2024-10-01 06:00", tz="UTC") + pd.Timedelta(hours=k)
        for n, hexagon in enumerate(forecast.hexagons):
            leaf = forecast.intensity[1, k, n].astype(float)
            for name, expected in zip(("theft", "violence", "all"), (*leaf, leaf.sum()), strict=True):
                row = found.loc[(begin, hexagon, name)]
                assert row["intensity"] == pytest.approx(expected, rel=1e-12)
                assert row["risk"] == pytest.approx(1 - np.exp(-expected), rel=1e-9)
                assert row["valid_until"] == begin + pd.Timedelta(hours=1)
                assert row["local_hour"] == begin.tz_convert("America/Denver").hour
    assert (grid.steps["issue_time"] == forecast.issue_times[1]).all()
    assert (grid.horizon["valid_until"] - grid.horizon["valid_from"] == pd.Timedelta(hours=24)).all()


def test_the_day_of_a_calibrated_forecast_has_the_interval_of_each_count():
    spreads = {
        "all": Spread(0.9, 0.3, (2.0,), (0.05, 0.1), (0.95, 0.92)),
        "theft": Spread(0.9, 0.1, (), (0.05,), (0.95,)),
        "violence": Spread(0.9, 0.5, (), (0.04,), (0.97,)),
    }
    forecast = forecast_of(4 * intensities(), spreads=spreads)
    grid = RiskGrid.of(forecast)
    assert list(grid.steps) == HOURS
    columns = [name for name in HOURS if name != "local_hour"]
    assert list(grid.horizon) == [*columns[:5], "low", "high", *columns[5:]]
    found = grid.horizon.set_index(["hexagon", "category"])
    for n, hexagon in enumerate(forecast.hexagons):
        leaf = forecast.intensity[0, :, n].astype(float).sum(0)
        for name, expected in zip(("theft", "violence", "all"), (*leaf, leaf.sum()), strict=True):
            low, high = spreads[name].interval(np.array([expected]))
            row = found.loc[(hexagon, name)]
            assert (row["low"], row["high"]) == (low[0], high[0])
    assert found["low"].max() > 0


def test_no_row_has_a_risk_above_5_percent_beside_0_to_0():
    """Of each category and of `all`, where the law by itself ends at 0 up to a risk of 11 %."""
    loose = Spread(0.9, 3.0, (), (0.05,), (0.9,))
    daily = np.linspace(0.02, 0.2, 61)[:, None] * np.array([1.0, 0.5])
    intensity = np.broadcast_to(daily / 24, (1, 24, 61, 2))
    day = RiskGrid.of(forecast_of(intensity, spreads=dict.fromkeys(("all", "theft", "violence"), loose))).horizon
    for _, rows in day.groupby("category"):
        likely = rows["risk"] > 0.05
        assert 0 < likely.sum() < len(rows)
        assert (rows.loc[likely, "high"] == 1).all()
        assert (rows.loc[~likely, "high"] == 0).all()


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.just(1), st.sampled_from([1, 4, 24]), st.integers(1, 6), st.integers(1, 3)),
        elements=st.sampled_from([0.0, 1e-6, 0.01, 0.5, 3.0, 40.0]) | st.floats(0, 50, width=32),
    )
)
def test_risks_combine_ranks_are_permutations_and_tables_agree(intensity):
    grid = RiskGrid.of(forecast_of(intensity))
    for table in (grid.steps, grid.horizon):
        leaves = table[table["category"] != "all"]
        survival = (1 - leaves["risk"]).groupby([leaves["valid_from"], leaves["hexagon"]]).prod()
        whole = table[table["category"] == "all"].set_index(["valid_from", "hexagon"])["risk"]
        np.testing.assert_allclose(whole.sort_index(), 1 - survival.sort_index(), atol=1e-12)
        for _, group in table.groupby(["valid_from", "category"]):
            assert sorted(group["rank"]) == list(range(1, len(group) + 1))
            ordered = group.sort_values(["intensity", "hexagon"], ascending=[False, True])
            assert ordered["rank"].is_monotonic_increasing
            assert group.sort_values("rank")["risk"].is_monotonic_decreasing
    keys = ["hexagon", "category"]
    sums = grid.steps.groupby(keys)["intensity"].sum()
    np.testing.assert_allclose(grid.horizon.set_index(keys)["intensity"].sort_index(), sums.sort_index(), rtol=1e-12)


def test_ties_rank_in_the_order_of_hexagon_ids():
    grid = RiskGrid.of(forecast_of(np.full((1, 24, 6, 1), 0.25)))
    first = grid.steps[(grid.steps["category"] == "all") & (grid.steps["valid_from"] == grid.issue_time)]
    assert first.sort_values("rank")["hexagon"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("issue", "repeated"), [("2024-11-03 06:00", [1, 1]), ("2024-03-10 07:00", [1, 3])], ids=["autumn", "spring"]
)
def test_local_hours_across_a_clock_change(issue, repeated):
    forecast = forecast_of(intensities(n=1), issue_times=pd.DatetimeIndex([issue], tz="UTC"))
    table = RiskGrid.of(forecast).steps
    hours = table[table["category"] == "all"]["local_hour"].tolist()
    assert hours[1:3] == repeated
    assert table["valid_from"].nunique() == 24


@pytest.mark.parametrize("unit", UNITS)
def test_at_every_step_the_horizon_is_the_sum_of_its_steps(unit):
    forecast = forecast_by(unit=unit)
    grid = RiskGrid.of(forecast)
    k, n, c = forecast.intensity.shape[1:]
    assert (len(grid.steps), len(grid.horizon)) == (k * n * (c + 1), n * (c + 1))
    local = {"hour": "local_hour"}.get(unit, "local_date")
    assert list(grid.steps) == [*HOURS[:3], local, *HOURS[4:8], "usual", *HOURS[8:]]
    assert {"local_hour", "local_date"}.isdisjoint(grid.horizon)
    keys = ["hexagon", "category"]
    for column in ("intensity", "usual"):
        sums = grid.steps.groupby(keys)[column].sum()
        np.testing.assert_allclose(grid.horizon.set_index(keys)[column].sort_index(), sums.sort_index(), rtol=1e-12)
    np.testing.assert_array_equal(grid.starts[:k], forecast.step.times(grid.issue_time, np.arange(k)).as_unit("us"))
    np.testing.assert_array_equal(grid.starts[1:k], grid.ends[: k - 1])
    assert (grid.starts[-1], grid.ends[-1]) == (grid.issue_time, grid.ends[k - 1])


def test_days_end_with_the_local_day_and_months_with_the_local_month():
    """A week with a day of 25 hours, and three months with the change of the clock in the second."""
    week = RiskGrid.of(forecast_by(unit="day", issued=pd.Timestamp("2024-10-31T06:00Z")))
    hours = (week.ends - week.starts) / pd.Timedelta(hours=1)
    assert hours.tolist() == [24, 24, 24, 25, 24, 24, 24, 169]
    assert week.ends[-1] == pd.Timestamp("2024-11-07T07:00Z")
    first = week.steps[(week.steps["category"] == "all") & (week.steps["rank"] == 1)]
    assert first["local_date"].astype(str).tolist() == [*["2024-10-31"], *(f"2024-11-0{day}" for day in range(1, 7))]
    months = RiskGrid.of(forecast_by(unit="month", horizons=3))
    assert [time.isoformat() for time in months.ends] == [
        *("2024-11-01T06:00:00+00:00", "2024-12-01T07:00:00+00:00", "2025-01-01T07:00:00+00:00"),
        "2025-01-01T07:00:00+00:00",
    ]
    assert [str(date) for date in months.local[1]] == ["2024-10-01", "2024-11-01", "2024-12-01"]


@pytest.mark.parametrize("unit", UNITS)
def test_bytes_keep_a_grid_whole(unit):
    grid = RiskGrid.of(forecast_by(unit=unit))
    found = unpack(pack(grid, "denver"))
    pd.testing.assert_frame_equal(found.steps, grid.steps)
    pd.testing.assert_frame_equal(found.horizon, grid.horizon)
    assert found.facts("denver") == grid.facts("denver")


def test_a_forecast_of_two_days_in_hours_is_a_grid():
    grid = RiskGrid.of(forecast_by(horizons=48))
    assert (grid.ends[-1] - grid.starts[-1]) == pd.Timedelta(hours=48)


def test_the_record_is_never_complete_after_the_issue_time():
    late = pd.Timestamp("2024-10-01 06:00", tz="UTC")
    forecast = forecast_of(intensities(m=2), complete_until=late)
    assert RiskGrid.of(forecast, 0).complete_until == forecast.issue_times[0]
    assert RiskGrid.of(forecast, 1).complete_until == late


def test_one_category_named_all_stands_for_itself():
    grid = RiskGrid.of(forecast_of(intensities(c=1), categories=("all",)))
    assert set(grid.steps["category"]) == {"all"}
    assert len(grid.horizon) == 7


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"categories": ("all", "theft")}, "Rename it"),
        (
            {"step_hours": 24, "step_unit": "day", "time_zone": "UTC"},
            "no day of UTC begins at the issue time 2024-09-30T0",
        ),
        (
            {"step_hours": 730, "step_unit": "month"},
            "no month of America/Denver begins at the issue time 2024-09-30T06",
        ),
        ({"hexagons": np.array(["88268cdaa9fffff"] * 7)}, "occurs twice"),
    ],
)
def test_a_forecast_that_makes_no_grid_says_why(changes, words):
    with pytest.raises(ArtefactError, match=words) as error:
        RiskGrid.of(forecast_of(intensities(), **changes))
    assert "\n" not in str(error.value)


def test_three_thousand_hexagons_take_under_a_second():
    forecast = forecast_of(intensities(n=3000, c=4))
    begin = time.perf_counter()
    assert len(RiskGrid.of(forecast).steps) == 360_000
    assert time.perf_counter() - begin < 1
