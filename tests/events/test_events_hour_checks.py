"""Times of day as a whole: what cannot be stops, what is doubtful is said, what is right passes without a word."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stforecast.config.sections import Source
from stforecast.errors import DataError
from stforecast.events.facts import Facts
from stforecast.events.hour_checks import check_times, doubts
from stforecast.events.parsing.time_zones import to_utc
from stforecast.events.parsing.times_of_day import DAY, HOUR, SECOND

NAT = -(2**63)
DENVER = Source(time_zone="America/Denver")
# reports of a city by local hour: fewest from three to seven
PROFILE = np.array([45, 35, 28, 20, 17, 17, 19, 26, 35, 42, 46, 48, 56, 50, 52, 56, 58, 60, 60, 58, 56, 55, 54, 50])


def city(n, seed=0, whole_hours=False):
    """Local wall clocks (µs) of n reports of a city."""
    rng = np.random.default_rng(seed)
    hour = rng.choice(24, n, p=PROFILE / PROFILE.sum())
    minute = np.zeros(n, int) if whole_hours else rng.integers(0, 60, n)
    day = 19_000 + np.sort(rng.integers(0, 700, n))
    return day * DAY + hour * HOUR + minute * 60 * SECOND


def instants(wall, zone="America/Denver"):
    return to_utc(wall, np.full(len(wall), NAT), zone, "local")[0]


def evidence(wall, **kinds):
    """What a file of these wall clocks tells."""
    minutes = Counter((wall % DAY // (60 * SECOND)).tolist())
    counts = {"minutes": Counter({str(minute): n for minute, n in minutes.items()}), "kinds": Counter(kinds)}
    return {"a.csv": Facts(counts=counts)}


def doubts_of(wall, category=None, names=("any",), source=DENVER):
    category = np.zeros(len(wall), int) if category is None else category
    return list(doubts(instants(wall), category, names, source))


@pytest.mark.parametrize("whole_hours", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_a_city_passes_without_a_word(seed, whole_hours):
    wall = city(4000, seed, whole_hours)
    check_times(evidence(wall), DENVER)
    assert doubts_of(wall, np.arange(4000) % 2, ("a", "b")) == []


@settings(deadline=None)
@given(st.integers(0, 1439), st.integers(0, 5), st.integers(50, 2000))
def test_one_constant_time_of_day_stops(minute, others, n):
    wall = np.arange(n) * DAY + minute * 60 * SECOND
    wall[: min(others, n // 20)] += np.arange(min(others, n // 20)) * HOUR
    with pytest.raises(DataError, match=r"a\.csv: .* The publisher gives days without times, so"):
        check_times(evidence(wall), DENVER)


def test_a_day_in_local_midnight_written_in_utc_stops_too():
    wall = np.arange(365) * DAY + 19_000 * DAY
    with pytest.raises(DataError, match=r"one of 06:00, 07:00, as they are written"):
        check_times(evidence(instants(wall)), DENVER)


def test_parts_of_the_day_are_no_times():
    wall = np.arange(400) * DAY + np.array([0, 6, 12, 18])[np.arange(400) % 4] * HOUR
    with pytest.raises(DataError, match="gives parts of the day and no times, so"):
        check_times(evidence(wall), DENVER)


def test_a_lost_mark_of_the_afternoon_stops():
    wall = city(2000)
    hour = wall % DAY // HOUR
    lost = wall - hour * HOUR + ((hour + 11) % 12 + 1) * HOUR
    with pytest.raises(DataError, match=r"of 2,000 times of day 0 are after 12:59, so AM and PM are lost"):
        check_times(evidence(lost), DENVER)
    check_times(evidence(lost), DENVER.model_copy(update={"clock": "24_hour", "times_are": "local"}))


def test_files_that_are_small_are_judged_together():
    files = {}
    for number in range(12):
        wall = city(15, number)
        files[f"{number:02d}.csv"] = evidence(wall - wall % DAY + wall % DAY // 2)["a.csv"]
    with pytest.raises(DataError, match=r"00\.csv … 11\.csv: of 180 times of day"):
        check_times(files, DENVER)


def test_dates_without_a_time_of_day_stop():
    with pytest.raises(DataError, match=r"a\.csv: 3 of 3 dates \(100%\) bear no time of day"):
        check_times({"a.csv": Facts(counts={"minutes": Counter({"0": 3}), "rows": Counter(timeless=3)})}, DENVER)


def test_one_file_that_lost_it_is_named_among_others():
    good, bad = city(3000), city(100)
    bad = bad - bad % DAY + bad % DAY // 2
    files = {"good.csv": evidence(good)["a.csv"], "bad.csv": evidence(bad)["a.csv"]}
    with pytest.raises(DataError, match=r"bad\.csv: of 100 times of day"):
        check_times(files, DENVER)


@pytest.mark.parametrize("zone", ["America/Denver", "America/New_York", "Asia/Tokyo", "Australia/Sydney"])
def test_utc_that_is_taken_for_local_time_is_asked_for(zone):
    """Times in UTC that say nothing of it."""
    source, wall = Source(time_zone=zone), city(2000)
    utc = instants(wall, zone)  # what the publisher writes
    with pytest.raises(DataError, match=r"a\.csv: by their hours .* better as UTC than as local time"):
        check_times(evidence(utc), source)
    check_times(evidence(wall), source)


def test_one_file_in_utc_among_others_is_named():
    files = {"good.csv": evidence(city(3000))["a.csv"], "utc.csv": evidence(instants(city(500)))["a.csv"]}
    with pytest.raises(DataError, match=r"utc\.csv: by their hours"):
        check_times(files, DENVER)


def test_local_time_that_bears_a_mark_of_utc_is_asked_for():
    wall = city(4000)  # with a Z behind it
    with pytest.raises(DataError, match="as local time, although they bear a mark of UTC"):
        check_times(evidence(wall, **{"in UTC": 4000}), DENVER)
    check_times(evidence(instants(wall), **{"in UTC": 4000}), DENVER)


def test_a_stated_reading_is_not_asked_for_but_doubted():
    wall = city(4000)
    source = DENVER.model_copy(update={"times_are": "utc"})
    check_times(evidence(wall), source)
    assert "hours would make them so" in "".join(doubts(wall, np.zeros(4000, int), ("any",), source))


@pytest.mark.parametrize("hours", [range(8, 18), [*range(18, 24), 0, 1, 2], [7, 8, 9, 15, 16, 17, 18]])
def test_an_offence_with_hours_of_its_own_is_not_taken_for_utc(hours):
    rng = np.random.default_rng(0)
    wall = city(1000) // DAY * DAY + rng.choice(hours, 1000) * HOUR + rng.integers(0, 60, 1000) * 60 * SECOND
    check_times(evidence(wall), Source(time_zone="Europe/Madrid"))


def test_default_times_are_said():
    wall = city(4000)
    wall[:400] -= wall[:400] % DAY
    assert doubts_of(wall) == [
        "10% of the reports are at 00:00 exactly, far more than around it: there it stands for an unknown time, and "
        "the hour's risk is too high by as much."
    ]


def test_a_category_without_hours_is_said_even_where_the_record_shows_little():
    wall, category = city(4000), (np.arange(4000) < 80).astype(int)
    wall[:80] -= wall[:80] % DAY
    assert doubts_of(wall, category, ("theft", "person")) == [
        "Category person: 100% of its reports are at 00:00 exactly. Their hours are not known, and its forecast by "
        "hour says nothing."
    ]


def test_few_reports_are_not_judged():
    wall = np.arange(7) * DAY + 15 * HOUR
    check_times(evidence(wall), DENVER)
    wall = np.arange(40) * DAY + np.array([9, 12, 18])[np.arange(40) % 3] * HOUR
    check_times(evidence(wall), DENVER)
    assert doubts_of(wall[:7], np.arange(7) % 2, ("a", "b")) == []
