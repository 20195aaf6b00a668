"""What a build says of a cube, and a forecast of what it leaves out."""

from dataclasses import replace

import numpy as np
import pytest

from stforecast.cube import Cube
from stforecast.pipeline.sentences import assumptions, built

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
    assert built(cube) == [OUTSIDE, "no public holidays (set grid.country)"]
    assert built(replace(cube, country="US"))[1] == "public holidays of US"
    assert built(replace(cube, country="US", subdivision="CO"))[1] == "public holidays of US-CO"
    assert built(replace(cube, notes={"fallbacks": ["Assumed."]}))[1:] == ["Assumed."]


def test_a_forecast_says_that_it_is_of_the_hexagons_only(cube: Cube) -> None:
    assert OUTSIDE in assumptions(cube, 24, 0)
    assert assumptions(replace(cube, notes={}), 24, 0) == []
