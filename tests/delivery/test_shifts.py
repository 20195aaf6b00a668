"""Shifts as a grid holds them."""

import pandas as pd
import pytest
from small_grids import grid

from stforecast.config import load
from stforecast.config.sections import SHIFTS
from stforecast.delivery.shifts import shifts_of
from stforecast.errors import ConfigError


@pytest.mark.parametrize(
    ("issued", "horizons", "found"),
    [
        ("2024-09-30T06:00Z", 24, {"day": (7, 15, ""), "evening": (15, 23, ""), "night": (0, 7, "only 7 hours")}),
        ("2024-09-30T16:00Z", 24, {"day": (0, 5, "only 5 hours"), "evening": (5, 13, ""), "night": (13, 21, "")}),
        ("2024-09-30T16:00Z", 48, {"day": (21, 29, ""), "evening": (5, 13, ""), "night": (13, 21, "")}),
        ("2024-09-30T13:00Z", 24, {"day": (0, 8, ""), "evening": (8, 16, ""), "night": (16, 24, "")}),
        ("2024-11-02T13:00Z", 24, {"day": (0, 8, ""), "evening": (8, 16, ""), "night": (16, 24, "only 8 hours")}),
        ("2024-11-02T13:00Z", 30, {"day": (0, 8, ""), "evening": (8, 16, ""), "night": (16, 25, "")}),
        ("2024-03-09T14:00Z", 24, {"day": (0, 8, ""), "evening": (8, 16, ""), "night": (16, 23, "")}),
        ("2024-09-30T06:00Z", 3, {"night": (0, 3, "only 3 hours")}),
    ],
)
def test_the_next_whole_shift_is_taken_else_what_is_most_of_one(issued, horizons, found) -> None:
    made = shifts_of(grid(issued=pd.Timestamp(issued), horizons=horizons))
    assert {name: (one.steps.start, one.steps.stop, one.cut) for name, one in made.items()} == found
    assert made["night"].hours == "23–07"


@pytest.mark.parametrize(
    ("hours", "steps"), [((0, 24), (3, 27)), ((24, 3), (3, 6)), ((22, 21), (1, 24)), ((2, 3), (5, 6))]
)
def test_shifts_may_be_whole_local_days_and_cross_midnight(hours, steps) -> None:
    made = shifts_of(grid(issued=pd.Timestamp("2024-10-01T03:00Z"), horizons=30), {"own": hours})["own"]
    assert (made.steps.start, made.steps.stop, made.cut) == (*steps, "")


def test_the_hours_of_a_clock_change_are_in_no_shift_twice() -> None:
    of = grid(issued=pd.Timestamp("2024-03-09T07:00Z"), horizons=48)  # no 02:00 on the second day
    assert shifts_of(of, {"own": (2, 4)})["own"].steps == range(2, 4)
    late = grid(issued=pd.Timestamp("2024-03-10T07:00Z"), horizons=24)
    assert shifts_of(late, {"own": (2, 4)})["own"].steps == range(2, 3)
    assert shifts_of(late, {"own": (2, 4)})["own"].cut == ""


def test_days_have_weekdays_and_a_weekend_and_months_have_none() -> None:
    made = shifts_of(grid(unit="day"))  # from a Monday
    assert {name: (one.label, one.hours, one.steps) for name, one in made.items()} == {
        "weekdays": ("Weekdays", "", range(5)),
        "weekend": ("Weekend", "", range(5, 7)),
    }
    assert shifts_of(grid(unit="month", horizons=3)) == {}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{day: [7, 7]}", "two different hours from 0 to 24"),
        ("{day: [7, 25]}", "two different hours from 0 to 24"),
        ("{all: [7, 9]}", "begin with a letter"),
        ("{7-9: [7, 9]}", "begin with a letter"),
    ],
)
def test_hours_that_are_none_are_refused(given: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load("quickstart", [f"map.shifts={given}"])


def test_shifts_are_those_of_the_configuration() -> None:
    assert load("quickstart").map.shifts == SHIFTS
    assert load("quickstart", ["map.shifts={early: [5, 13], late: [13, 21]}"]).map.shifts == {
        "early": (5, 13),
        "late": (13, 21),
    }
