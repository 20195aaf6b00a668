"""One issue of a Forecast as tables."""

import time

import h3
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stforecast.delivery.riskgrid import RiskGrid
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
    assert list(grid.hours) == [*HOURS[:8], "usual", *HOURS[8:]]
    for table in (grid.hours, grid.day):
        np.testing.assert_allclose(table["usual"], 2 * table["intensity"], rtol=1e-6)


def test_columns_rows_and_values_against_a_plain_loop():
    forecast = forecast_of(intensities(m=2, n=5, c=2))
    grid = RiskGrid.of(forecast, 1)
    assert list(grid.hours) == HOURS
    assert list(grid.day) == [name for name in HOURS if name != "local_hour"]
    assert len(grid.hours) == 24 * 5 * 3
    assert len(grid.day) == 5 * 3
    found = grid.hours.set_index(["valid_from", "hexagon", "category"])
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
    assert (grid.hours["issue_time"] == forecast.issue_times[1]).all()
    assert (grid.day["valid_until"] - grid.day["valid_from"] == pd.Timedelta(hours=24)).all()


def test_the_day_of_a_calibrated_forecast_has_the_interval_of_each_count():
    spreads = {
        "all": Spread(0.9, 0.3, (2.0,), (0.05, 0.1), (0.95, 0.92)),
        "theft": Spread(0.9, 0.1, (), (0.05,), (0.95,)),
        "violence": Spread(0.9, 0.5, (), (0.04,), (0.97,)),
    }
    forecast = forecast_of(4 * intensities(), spreads=spreads)
    grid = RiskGrid.of(forecast)
    assert list(grid.hours) == HOURS
    columns = [name for name in HOURS if name != "local_hour"]
    assert list(grid.day) == [*columns[:5], "low", "high", *columns[5:]]
    found = grid.day.set_index(["hexagon", "category"])
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
    day = RiskGrid.of(forecast_of(intensity, spreads=dict.fromkeys(("all", "theft", "violence"), loose))).day
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
    for table in (grid.hours, grid.day):
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
    sums = grid.hours.groupby(keys)["intensity"].sum()
    np.testing.assert_allclose(grid.day.set_index(keys)["intensity"].sort_index(), sums.sort_index(), rtol=1e-12)


def test_ties_rank_in_the_order_of_hexagon_ids():
    grid = RiskGrid.of(forecast_of(np.full((1, 24, 6, 1), 0.25)))
    first = grid.hours[(grid.hours["category"] == "all") & (grid.hours["valid_from"] == grid.issue_time)]
    assert first.sort_values("rank")["hexagon"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("issue", "repeated"), [("2024-11-03 06:00", [1, 1]), ("2024-03-10 07:00", [1, 3])], ids=["autumn", "spring"]
)
def test_local_hours_across_a_clock_change(issue, repeated):
    forecast = forecast_of(intensities(n=1), issue_times=pd.DatetimeIndex([issue], tz="UTC"))
    table = RiskGrid.of(forecast).hours
    hours = table[table["category"] == "all"]["local_hour"].tolist()
    assert hours[1:3] == repeated
    assert table["valid_from"].nunique() == 24


def test_the_record_is_never_complete_after_the_issue_time():
    late = pd.Timestamp("2024-10-01 06:00", tz="UTC")
    forecast = forecast_of(intensities(m=2), complete_until=late)
    assert RiskGrid.of(forecast, 0).complete_until == forecast.issue_times[0]
    assert RiskGrid.of(forecast, 1).complete_until == late


def test_one_category_named_all_stands_for_itself():
    grid = RiskGrid.of(forecast_of(intensities(c=1), categories=("all",)))
    assert set(grid.hours["category"]) == {"all"}
    assert len(grid.day) == 7


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"categories": ("all", "theft")}, "Rename it"),
        ({"step_hours": 2}, "24 × 2 h"),
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
    assert len(RiskGrid.of(forecast).hours) == 360_000
    assert time.perf_counter() - begin < 1
