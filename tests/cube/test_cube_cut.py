"""A part of a record: its events, times, weather and covariates are those of the whole, and nothing else is in it."""

from dataclasses import replace

import numpy as np
import pandas as pd

from stforecast.cube.covariates import EVERYWHERE, Covariate
from stforecast.cube.cut import cut
from stforecast.cube.holes import Gap
from tests.small_cities import city

FIRST, LAST = 10 * 24, 30 * 24


def test_a_part_is_the_record_of_its_steps() -> None:
    whole = city(days=40, late=True, weather=True)
    part = cut(whole, FIRST, LAST)
    np.testing.assert_array_equal(part.dense(), whole.dense(FIRST, LAST))
    for issue in (5 * 24, 15 * 24):
        np.testing.assert_array_equal(
            part.dense(0, issue, known_before=issue),
            whole.dense(FIRST, FIRST + issue, known_before=FIRST + issue),
        )
    assert part.time_of(0) == whole.time_of(FIRST)
    assert part.end == whole.time_of(LAST)
    np.testing.assert_array_equal(part.weather.window(0, part.steps), whole.weather.window(FIRST, LAST))
    np.testing.assert_array_equal(part.future.window(0, part.steps + 48), whole.future.window(FIRST, LAST + 48))
    assert (part.known_hour > part.steps).any()
    np.testing.assert_array_equal(part.calendar(0, 48).slot, whole.calendar(FIRST, FIRST + 48).slot)


def test_spans_are_moved_with_their_events() -> None:
    whole = city(days=40)
    whole = replace(whole, until_hour=whole.hour + 3, known_hour=whole.known_hour + 3)
    part = cut(whole, FIRST, LAST)
    assert part.until_hour is not None
    np.testing.assert_array_equal(part.until_hour, part.hour + 3)


def test_covariates_and_gaps_are_of_the_same_steps() -> None:
    rows = {
        "first": [0, 200, 500, 800],
        "last": [250, 500, 720, 900],
        "known": [0, 190, 490, 790],
        "value": [1, 2, 3, 4],
    }
    whole = city(days=40)
    static = Covariate.static("income", np.arange(whole.n, dtype=np.float32))
    past = Covariate.of("price", "ahead", pd.DataFrame({**rows, "cell": EVERYWHERE}))
    whole = replace(whole, covariates=(static, past), gaps=(Gap(200, 250), Gap(0, 9), Gap(700, 800, 1, denied=True)))
    part = cut(whole, FIRST, LAST)
    for mine, theirs in zip(part.covariates, whole.covariates, strict=True):
        for issue in (0, 100, 400):
            for found, expected in zip(
                mine.window(issue, issue, 24, whole.n),
                theirs.window(FIRST + issue, FIRST + issue, 24, whole.n),
                strict=True,
            ):
                np.testing.assert_array_equal(found, expected)
    assert part.gaps == (Gap(0, 10), Gap(460, 480, 1, denied=True))
