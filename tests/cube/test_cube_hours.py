"""The local calendar: daylight saving on both hemispheres, holidays, zones off the full hour."""

import time

import holidays
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from stforecast.cube import Cube
from stforecast.cube.hours import Calendar, standard_offset
from stforecast.errors import ConfigError

NONE = np.zeros((2, 0), np.int64)
START = pd.Timestamp("2021-01-01 07:00", tz="UTC")


def calendar_of(start, step_hours, first, last, time_zone, country=None, subdivision=None) -> Calendar:
    place = {"time_zone": time_zone, "country": country, "subdivision": subdivision}
    cube = Cube.from_dense(np.zeros((1, 1, 1)), edge_index=NONE, start=start, step_hours=step_hours, **place)
    return cube.calendar(first, last)


@pytest.mark.parametrize(
    ("zone", "hour"),
    [
        ("America/Denver", 7),
        ("America/Chicago", 6),
        ("Europe/London", 0),
        ("Europe/Dublin", 0),
        ("Australia/Sydney", 14),
        ("America/Santiago", 4),
        ("Asia/Kolkata", 18),  # midnight is at 18:30 UTC
        ("America/St_Johns", 3),
        ("Pacific/Kiritimati", 10),
        ("UTC", 0),
    ],
)
@pytest.mark.parametrize("start", ["2021-01-01", "2021-07-01T12:00:00Z"])
def test_winter_midnight_in_utc(zone: str, hour: int, start: str) -> None:
    midnight = -standard_offset(zone, pd.Timestamp(start)) % pd.Timedelta(hours=24)
    assert midnight // pd.Timedelta(hours=1) == hour


@examples(deadline=None)
@given(st.integers(-20_000, 80_000), st.integers(0, 60), st.sampled_from(["America/Denver", "Australia/Sydney"]))
def test_calendar_equals_timestamps_one_by_one(first: int, count: int, zone: str) -> None:
    found = calendar_of(START, 1, first, first + count, zone, "US", "CO")
    free = holidays.country_holidays("US", subdiv="CO")
    day = pd.Timedelta(days=1)
    for i in range(count):
        local = (START + pd.Timedelta(hours=first + i)).tz_convert(zone)
        assert (found.weekday[i], found.hour[i]) == (local.weekday(), local.hour)
        assert found.slot[i] == local.weekday() * 24 + local.hour
        naive = local.tz_localize(None).normalize()
        assert found.holiday[i] == (naive.date() in free)
        assert found.day_before_holiday[i] == ((naive + day).date() in free)
        assert found.day_after_holiday[i] == ((naive - day).date() in free)


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        ("America/Denver", "2021-03-14", [0, 1, *range(3, 24)]),
        ("America/Denver", "2021-11-07", [0, 1, 1, *range(2, 24)]),
        ("Australia/Sydney", "2021-10-03", [0, 1, *range(3, 24)]),
        ("Australia/Sydney", "2021-04-04", [0, 1, 2, 2, *range(3, 24)]),
    ],
)
def test_days_of_23_and_25_hours(zone: str, day: str, expected: list[int]) -> None:
    start = pd.Timestamp(day, tz=zone).tz_convert("UTC")
    found = calendar_of(start, 1, 0, len(expected) + 1, zone)
    assert found.hour.tolist() == [*expected, 0]
    assert found.weekday.tolist() == [6] * len(expected) + [0]


def test_local_midnight_in_winter_is_one_o_clock_in_summer() -> None:
    found = calendar_of(START, 1, 0, 24 * 365, "America/Denver")
    first_of_day = found.hour[::24]
    assert first_of_day[0] == 0
    assert first_of_day[200] == 1


@pytest.mark.parametrize("step_hours", [1, 2, 3, 4, 6, 8, 12, 24])
def test_slots_of_longer_steps(step_hours: int) -> None:
    per_day = 24 // step_hours
    found = calendar_of(START, step_hours, -per_day, 9 * per_day, "America/Denver")
    assert (found.slot_of_day == found.hour // step_hours).all()
    assert found.slot_of_day.max() == per_day - 1
    assert (found.slot == found.weekday * per_day + found.slot_of_day).all()
    assert set(found.slot) == set(range(7 * per_day))
    assert found.weekday[per_day] == 4  # 1 January 2021 was a Friday


def test_in_a_half_hour_zone_a_step_has_the_local_hour_that_holds_most_of_it() -> None:
    found = calendar_of(pd.Timestamp("2021-01-03 18:00", tz="UTC"), 1, 0, 24, "Asia/Kolkata")  # from 23:30 on
    assert found.hour.tolist() == list(range(24))
    assert set(found.weekday) == {0}


def test_holidays_around_new_year_and_none_without_country() -> None:
    found = calendar_of(pd.Timestamp("2020-12-30", tz="UTC"), 24, 0, 5, "UTC", "US")
    assert found.holiday.tolist() == [False, False, True, False, False]
    assert found.day_before_holiday.tolist() == [False, True, False, False, False]
    assert found.day_after_holiday.tolist() == [False, False, False, True, False]
    without = calendar_of(pd.Timestamp("2020-12-30", tz="UTC"), 24, 0, 5, "UTC")
    assert not (without.holiday | without.day_before_holiday | without.day_after_holiday).any()


def test_an_empty_range_and_wrong_names() -> None:
    assert calendar_of(START, 1, 5, 5, "America/Denver", "US").hour.shape == (0,)
    for zone in ("Denver", "", "America", "../etc"):
        with pytest.raises(ConfigError, match="no time zone"):
            standard_offset(zone, START)
    with pytest.raises(ConfigError, match="divisor of 24, found 5"):
        calendar_of(START, 5, 0, 1, "UTC")
    for country, subdivision in (("XX", None), ("US", "ZZ")):
        with pytest.raises(ConfigError, match=r"grid\.country"):
            calendar_of(START, 1, 0, 1, "UTC", country, subdivision)


def test_fifty_thousand_hours_are_quick() -> None:
    arguments = (START, 1, 0, 50_000, "America/Denver", "US", "CO")
    calendar_of(*arguments)
    before = time.process_time()
    found = calendar_of(*arguments)
    assert time.process_time() - before < 0.1
    assert np.unique(found.slot).size == 168
