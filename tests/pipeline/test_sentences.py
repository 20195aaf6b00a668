"""What a build says of a cube, and a forecast of what it leaves out."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stforecast.config.sections import HORIZONS, KINDS, Unit
from stforecast.cube import Cube, Series
from stforecast.delivery.words import UNTRAINED
from stforecast.forecasters.gcrn.forecaster import GCRN
from stforecast.pipeline.sentences import assumptions, built, not_trained, of_no_kind, rough

AREA = {
    "study_area": "hexagons with at least 20 events by the end of the period that is learned from",
    "events": {"table": 210, "outside_axis": 10, "outside_area": 4, "kept": 196},
    "known_time": "reported",
}
OUTSIDE = (
    "Nothing is forecast outside the hexagons with at least 20 events by the end of the period that is learned from: 4 "
    "of the record's events (2.0 %) lie there."
)


@pytest.fixture
def cube() -> Cube:
    """A cube that left out 4 of 200 events."""
    return replace(Cube.from_dense(np.ones((48, 3, 1), np.int64), edge_index=np.zeros((2, 0), np.int64)), notes=AREA)


def test_a_build_says_what_lies_outside_and_which_holidays_it_took(cube: Cube) -> None:
    before = "The whole days of the record go from 2000-01-01 00:00 to 2000-01-03 00:00: 10 events lie outside"
    assert built(cube)[0] == f"{before} and are left out."
    later = {"later_events": {"outside_area": 3, "kept": 7}, "train_until": "2000-01-02T00:00:00+00:00"}
    short = replace(cube, notes=AREA | later)
    assert built(short)[1] == f"{OUTSIDE[:-1]}, and 30.0 % of those since 2000-01-02 00:00."
    one = replace(cube, notes=AREA | {"events": AREA["events"] | {"outside_axis": 1}})
    assert built(one)[0].endswith(": 1 event lies outside and is left out.")
    cube = replace(cube, notes=AREA | {"events": AREA["events"] | {"outside_axis": 0}})
    assert built(cube) == [OUTSIDE, "no public holidays (set grid.country)"]
    assert built(replace(cube, country="US"))[1] == "public holidays of US"
    assert built(replace(cube, country="US", subdivision="CO"))[1] == "public holidays of US-CO"
    assert built(replace(cube, notes={"fallbacks": ["Assumed."]}))[1:] == ["Assumed."]
    monthly = Cube.from_dense(np.ones((48, 3, 1)), step_unit="month", horizons=1, edge_index=np.zeros((2, 0), int))
    assert built(replace(monthly, country="US")) == []


@pytest.mark.parametrize(
    ("unit", "between", "steps", "ahead", "missing"),
    [
        ("hour", "day", "2 hours", "20 of 24 hours", "5 of 24 hours"),
        ("day", "day", "2 days", "5 of 7 days", None),
        ("month", "month", "2 months", None, None),
    ],
)
def test_a_forecast_tells_what_it_assumed_in_its_own_steps(
    unit: Unit, between: str, steps: str, ahead: str | None, missing: str | None
) -> None:
    counts = np.ones((60, 3, 1), np.int64)
    dense = Cube.from_dense(
        counts, step_unit=unit, horizons=HORIZONS[unit], time_zone="America/Denver", edge_index=np.zeros((2, 0), int)
    )
    observed, future = np.zeros((60, 1), np.float32), np.zeros((90, 1), np.float32)
    observed[-5:], future[64:] = np.nan, np.nan
    if unit != "hour":
        future[62:] = np.nan
    cube = replace(
        dense,
        weather=Series(("rain",), observed),
        future=Series(("rain",), future[: 60 if unit == "month" else 90]),
        notes={"known_time": "occurred", "embargo_hours": 0},
    )
    late = replace(cube, known_hour=np.minimum(cube.hour + 1, 59))
    said = "\n".join(assumptions(late, 60, 0))
    assert f"counts as known in the {unit} of its offence" in said
    assert f"Reports of the last {between}s are still arriving" in said
    part = f" for {missing}" if missing else ""
    assert f"The observed weather of the {between} before is missing{part}: the forecast does without it." in said
    part = f" for {ahead}" if ahead else ""
    assert f"The weather forecast is missing{part}: the forecast does without it." in said
    assert f"UTC, {steps} before the issue time" in "\n".join(assumptions(cube, 62, 0))


def test_a_forecast_says_that_it_is_of_the_hexagons_only(cube: Cube) -> None:
    assert OUTSIDE in assumptions(cube, 24, 0)
    assert assumptions(replace(cube, notes={}), 24, 0) == []


def test_categories_of_no_kind_are_named(cube: Cube) -> None:
    assert of_no_kind(cube) == []
    two = Cube.from_dense(np.ones((48, 3, 2)), edge_index=np.zeros((2, 0), int), categories=("theft", "czyn"))
    kinds = np.zeros((2, len(KINDS)), np.float32)
    kinds[0, 0] = 1
    (line,) = of_no_kind(replace(two, kinds=kinds))
    assert line.startswith("no kind of offence is known of czyn, so")


def facts_of(begin: str, end: str) -> dict[str, Any]:
    """What a run says that was started from weights of Denver and a made-up city."""
    learned = [{"city": "denver"}, {"city": "far_away"}]
    times = {"train_until": "2024-02-05T23:00Z", "validation_from": begin, "validation_until": end}
    return {"step": "hour", "started": {"name": "weights 9", "learned": learned}, **times}


@pytest.mark.parametrize(
    ("zone", "begin", "end", "words"),
    [
        ("Europe/Madrid", "2024-02-06T23:00Z", "2024-02-20T23:00Z", "from 2024-02-07 to 2024-02-20"),
        ("Europe/Madrid", "2024-06-06T23:00Z", "2024-06-20T23:00Z", "from 2024-06-07 to 2024-06-20"),
        ("America/Denver", "2024-02-07T07:00Z", "2024-02-21T07:00Z", "from 2024-02-07 to 2024-02-20"),
        ("Europe/Madrid", "2024-06-06T23:00Z", "2024-06-07T23:00Z", "on 2024-06-07"),
        ("Asia/Kathmandu", "2024-05-18T18:00Z", "2024-05-20T18:00Z", "from 2024-05-19 to 2024-05-20"),
        ("Asia/Kolkata", "2024-02-06T18:00Z", "2024-02-20T18:00Z", "from 2024-02-07 to 2024-02-20"),
    ],
)
def test_a_carried_network_says_on_which_local_days_it_was_calibrated(
    zone: str, begin: str, end: str, words: str
) -> None:
    network = GCRN()
    assert not_trained(facts_of(begin, end), network, zone) == []
    network.carried = True
    about = f"The forecaster is that of weights 9, learned from Denver, Far Away, calibrated on this record {words}."
    assert not_trained(facts_of(begin, end), network, zone) == [UNTRAINED, about]
    assert not_trained(facts_of(begin, end) | {"started": None}, network, zone) == []


def test_a_forecast_says_that_few_days_calibrated_it() -> None:
    assert rough(facts_of("2024-02-06T23:00Z", "2024-02-13T23:00Z")) == []
    (one,) = rough(facts_of("2024-02-06T23:00Z", "2024-02-07T23:00Z"))
    assert one.startswith("Level and intervals rest on 1 day of the record: take the numbers as rough")
    (two,) = rough(facts_of("2024-02-06T23:00Z", "2024-02-08T23:00Z"))
    assert "on 2 days of the record" in two
    assert rough(facts_of("2024-02-06T23:00Z", "2024-02-07T23:00Z") | {"step": "month"}) == []
