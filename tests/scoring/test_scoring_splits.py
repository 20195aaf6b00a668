import datetime as dt

import numpy as np
import pytest

from stforecast.errors import ConfigError
from stforecast.scoring.splits import make_split, training_days

START = dt.date(2024, 1, 1)


def split(days=100, train=0.75, validation=0.08, gap=0, first=0, horizons=24, day=24, tail=0, enough=0):
    def step_of_date(date):
        return first + (date - START).days * day

    return make_split(first + days * day + tail, day, first, train, validation, gap, horizons, step_of_date, enough)


def test_boundaries_are_those_of_the_joined_share_for_every_number_of_days():
    for days in range(24, 4000):
        found = split(days, day=1, horizons=1)
        assert (found.train_end, found.validation_end) == (int(0.75 * days), int(0.83 * days))


@pytest.mark.parametrize(
    ("train", "validation", "days"), [(0.29, 0.28, 100), (0.7, 0.1, 10), (0.6, 0.2, 5), (0.1, 0.2, 10)]
)
def test_decimal_shares_lose_no_day_to_binary(train, validation, days):
    found = split(days, train, validation, day=1, horizons=1)
    hundredths = round(100 * train), round(100 * (train + validation))
    assert (found.train_end, found.validation_end) == tuple(h * days // 100 for h in hundredths)


def test_issue_times_keep_their_hour_and_their_targets_stay_inside():
    found = split(40, 0.5, 0.25, gap=24, first=7, tail=5)
    assert found.steps == 7 + 960 + 5
    assert found.issues("train").tolist() == list(range(7, 7 + 480, 24))
    assert found.issues("validation").tolist() == list(range(7 + 504, 7 + 720, 24))
    assert found.issues("test").tolist() == list(range(7 + 744, 7 + 960, 24))
    assert found.issues("test").dtype == np.int64
    hourly = found.issues("validation", every=1)
    assert (hourly[0], hourly[-1]) == (found.validation_start, found.validation_end - 24)
    assert len(split(40, 0.5, 0.25, horizons=36).issues("train")) == 19


def test_an_odd_gap_moves_the_first_issue_to_the_next_day_boundary():
    found = split(40, 0.5, 0.25, gap=5, first=3)
    assert found.validation_start == 3 + 480 + 5
    assert found.issues("validation")[0] == 3 + 504


def test_dates_are_the_first_day_after_the_slice():
    found = split(30, dt.date(2024, 1, 21), dt.date(2024, 1, 26), gap=24, first=7)
    assert (found.train_end, found.validation_start, found.validation_end, found.test_start) == (
        7 + 480,
        7 + 504,
        7 + 600,
        7 + 624,
    )
    mixed = split(30, dt.date(2024, 1, 21), 0.2)
    assert (mixed.train_end, mixed.validation_end) == (480, 480 + 144)


def test_a_date_in_summer_time_goes_to_the_nearest_day_boundary():
    found = make_split(24 * 30, 24, 0, dt.date(2024, 1, 21), 0.2, 0, 24, lambda date: (date - START).days * 24 - 1)
    assert found.train_end == 480


@pytest.mark.parametrize(
    ("days", "gap", "train_end", "validation_end"),
    [(3, 0, 1, 2), (5, 24, 1, 3), (7, 24, 3, 5), (10, 24, 6, 8), (20, 24, 15, 17), (24, 24, 18, 20), (30, 24, 22, 24)],
)
def test_a_few_days_are_shared_out_so_that_each_slice_has_a_forecast(days, gap, train_end, validation_end):
    found = split(days, gap=gap)
    assert (found.train_end, found.validation_end) == (24 * train_end, 24 * validation_end)
    assert all(found.issues(which).size for which in ("train", "validation", "test"))
    assert training_days(0.75, 0.08, days, 24, gap, 24) == train_end


@pytest.mark.parametrize(
    ("days", "train", "validation"),
    [(5, 1, 2), (7, 3, 2), (10, 6, 2), (30, 16, 8), (60, 33, 16), (120, 70, 29), (364, 273, 29), (365, 273, 29)],
)
def test_by_default_a_short_record_has_enough_days_of_validation(days, train, validation):
    found = split(days, None, None, gap=24, enough=29)
    assert (found.train_end, found.validation_end - found.train_end) == (24 * train, 24 * validation)
    assert all(found.issues(which).size for which in ("train", "validation", "test"))
    assert training_days(None, None, days, 24, 24, 24, 29) == train
    # what is asked for holds
    asked = split(days, 0.75, 0.08, gap=24)
    assert split(days, 0.75, 0.08, gap=24, enough=29) == asked
    assert split(days, None, 0.08, gap=24, enough=29) == split(days, 0.75, None, gap=24, enough=29) == asked


def test_by_default_nothing_changes_from_a_year_on():
    for days in range(365, 4000):
        assert split(days, None, None, gap=24, enough=29) == split(days, gap=24)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"days": 1}, "that takes 3"),
        ({"days": 4, "gap": 24}, "that takes 5"),
        ({"days": 20, "gap": 24 * 10}, "split.gap"),
        ({"days": 30, "validation": dt.date(2024, 1, 25), "gap": 24 * 6}, "the test slice"),
        ({"train": dt.date(2023, 1, 1)}, "the train slice"),
        ({"train": dt.date(2034, 1, 1)}, "the train slice"),
        ({"train": dt.date(2024, 3, 1), "validation": dt.date(2024, 2, 1)}, "the validation slice"),
        ({"validation": dt.date(2034, 1, 1)}, "the validation slice"),
    ],
)
def test_an_empty_slice_is_one_line_that_says_what_to_change(changes, named):
    with pytest.raises(ConfigError, match=named) as caught:
        split(**changes)
    assert "\n" not in str(caught.value)
    assert "choose" in str(caught.value)
