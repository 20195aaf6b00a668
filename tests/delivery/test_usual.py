"""What is usual of an hour: the week of the climatology, and the factor of a month."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_grids import UNITS

from stforecast.config.sections.time import HORIZONS
from stforecast.cube import Cube
from stforecast.cube.steps import LENGTHS, Step
from stforecast.delivery.usual import UsualCycle, month_factors, usual_cycle
from stforecast.forecasters.climatology import RollingClimatology
from stforecast.forecasters.state_cache import StateCache
from stforecast.scoring.calibration import Calibration


def yearly(days: int, factor: dict[int, float], drift: float = 1.0) -> Cube:
    """One hexagon, one category: 240 events a day at noon UTC, times the factor of the month and a yearly drift."""
    start = pd.Timestamp("2020-01-01T00:00Z")
    dates = start + pd.to_timedelta(np.arange(days), unit="D")
    weight = 240 * np.array([factor.get(date.month, 1.0) for date in dates]) * drift ** (np.arange(days) / 365)
    hour = np.arange(days) * 24 + 12
    return Cube(
        name="yearly",
        start=start,
        steps=days * 24,
        categories=("theft",),
        hour=hour,
        hexagon=np.zeros(days, int),
        category=np.zeros(days, int),
        known_hour=hour.copy(),
        weight=weight,
        hexagons=pd.DataFrame({"hexagon": ["88268cd8ddfffff"]}),
        edges=np.zeros((2, 0), np.int64),
    )


@pytest.mark.parametrize("drift", [1.0, 1.2])
def test_a_month_that_is_busier_every_year_gets_its_factor_but_for_the_prior(drift) -> None:
    cube = yearly(6 * 365, {7: 2.0}, drift)
    found = month_factors(cube, cube.steps)[:, 0]  # issued at the end of a December: months like it are at 1
    others = np.delete(found, 6)
    level = 12 / 13  # of an ordinary month against its year, which has one of twice as many
    exact = 2.0 * (6 + 1 / 2) / (6 + 1)  # six years of 2, one of 1, against the ordinary months
    assert found[6] == pytest.approx(exact, rel=0.05)
    np.testing.assert_allclose(others, 1, atol=0.06 if drift > 1 else 0.02)
    assert level < 1


def test_factors_are_against_the_months_before_the_issue_time() -> None:
    cube = yearly(5 * 365, {7: 2.0})
    july = cube.step_of(pd.Timestamp("2024-07-31T00:00Z"))
    found = month_factors(cube, july)[:, 0]
    assert found[6] == pytest.approx(1, abs=0.2)  # the level is that of July already
    assert found[0] < 0.7


def test_less_than_a_year_tells_nothing_of_months() -> None:
    cube = yearly(364, {7: 2.0})
    np.testing.assert_array_equal(month_factors(cube, cube.steps), np.ones((12, 1)))


def test_what_comes_later_changes_nothing() -> None:
    cube = yearly(3 * 365, {7: 2.0})
    issue = 2 * 365 * 24
    later = cube.known_hour >= issue
    changed = replace(cube, weight=np.where(later, cube.weight * 50, cube.weight))
    np.testing.assert_array_equal(month_factors(cube, issue), month_factors(changed, issue))
    assert (month_factors(cube, cube.steps) != month_factors(changed, cube.steps)).any()


@given(st.floats(0.5, 2), st.floats(-1, 1), st.integers(0, 99))
def test_the_map_of_the_day_is_found_and_applied_to_the_week(power, log_factor, seed) -> None:
    ahead = np.random.default_rng(seed).gamma(0.5, 0.1, (48, 5, 2)).astype(np.float32) + np.float32(
        5e-3
    )  # above the floor
    whole = np.exp(log_factor + power * np.log(ahead.astype(np.float64)))
    np.testing.assert_allclose(
        Calibration.between(ahead[:24], whole[:24].astype(np.float32)).apply(ahead), whole, rtol=2e-3
    )


def test_a_city_without_contrast_keeps_its_level() -> None:
    ahead = np.full((48, 3, 1), 0.5, np.float32)
    np.testing.assert_allclose(Calibration.between(ahead[:24], ahead[:24] * 3).apply(ahead), ahead * 3, rtol=1e-6)


def test_slots_begin_on_monday_and_steps_may_be_longer() -> None:
    week = UsualCycle(np.arange(168, dtype=np.float32)[:, None, None], np.arange(1.0, 13)[:, None])
    assert week.intensity(month=1, weekday=0, hour=0).item() == 0
    assert week.intensity(month=2, weekday=6, hour=23).item() == 2 * 167
    six_hours = UsualCycle(np.arange(28, dtype=np.float32)[:, None, None], np.ones((12, 1)))
    assert [six_hours.intensity(month=1, weekday=6, hour=hour).item() for hour in (0, 5, 6, 23)] == [24, 24, 25, 27]
    daily = UsualCycle(np.arange(7, dtype=np.float32)[:, None, None], np.arange(1.0, 13)[:, None])
    assert daily.intensity(month=3, weekday=6).item() == 3 * 6
    monthly = UsualCycle(np.arange(12, dtype=np.float32)[:, None, None], np.ones((12, 1)))
    assert [monthly.intensity(month=month).item() for month in (1, 12)] == [0, 11]


def test_the_factors_of_days_are_those_of_hours() -> None:
    hourly = yearly(4 * 365, {7: 2.0})
    daily = replace(hourly, steps=4 * 365, step_unit="day", step_hours=24, hour=hourly.hour // 24)
    daily = replace(daily, known_hour=daily.hour)
    np.testing.assert_allclose(month_factors(daily, daily.steps), month_factors(hourly, hourly.steps))


@pytest.mark.parametrize("unit", UNITS)
def test_the_cycle_of_a_climatology_has_a_slot_of_every_step_and_its_place(unit, tmp_path) -> None:
    """A Saturday, an hour or a month of many reports is where its slot is, though a day of 25 hours comes next."""
    steps, start = {"hour": (24 * 120, "2024-07-04T06:00Z"), "day": (400, "2023-09-28T06:00Z")}.get(
        unit, (84, "2017-11-01T06:00Z")
    )
    axis = Step(unit, LENGTHS[unit], "America/Denver")
    local = axis.times(pd.Timestamp(start), np.arange(steps)).tz_convert("America/Denver")
    busy = {"hour": local.hour == 22, "day": local.dayofweek == 5, "month": local.month == 7}[unit]
    counts = np.where(busy, 12, 2)[:, None, None] * np.array([1, 1, 2])[:, None]
    cube = Cube.from_dense(
        counts,
        coordinates=np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]]),
        start=start,
        step_unit=unit,
        horizons=HORIZONS[unit],
        time_zone="America/Denver",
    )
    climatology = RollingClimatology(ends=(cube.split().train_end,)).uncalibrated(cube)
    found = usual_cycle(cube, cube.steps, climatology, StateCache(tmp_path, print))
    assert found.slots.shape == (axis.slots, cube.n, cube.c)
    place = {"hour": np.arange(168) % 24 == 22, "day": np.arange(7) == 5, "month": np.arange(12) == 6}[unit]
    total = found.slots.sum((1, 2))
    assert total[place].min() > 1.3 * total[~place].max()  # neighbouring slots share some of it
    assert total.mean() == pytest.approx(4 * np.where(busy, 12, 2).mean(), rel=0.15)
    if unit == "day":  # the horizon holds 3 November 2024, a Sunday of 25 hours
        assert total[6] == pytest.approx(total[0], rel=0.02)
    if unit == "month":
        np.testing.assert_array_equal(found.months, np.ones((12, cube.c)))
