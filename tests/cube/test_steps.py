"""Steps of hours, local days and months: every instant lies in one, and their lengths are true."""

from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stforecast.cube import Cube
from stforecast.cube.steps import Step, step_of
from stforecast.errors import ArtefactError, ConfigError
from stforecast.features.climatology import SLOW, Climatology, rate_prior
from stforecast.features.stream import EventStream

# the clock goes forward at midnight in Santiago, Beirut and Havana; Lord Howe changes by half an hour
ZONES = ["UTC", "America/Denver", "America/Santiago", "Asia/Beirut", "America/Havana", "Australia/Lord_Howe"]
INSTANTS = st.integers(0, 2**31).map(lambda seconds: pd.Timestamp(seconds, unit="s", tz="UTC"))


@given(st.sampled_from(["day", "month"]), st.sampled_from(ZONES), INSTANTS, st.lists(INSTANTS, min_size=1, max_size=9))
def test_every_instant_lies_in_one_step(unit, zone, origin, instants) -> None:
    step = step_of(unit, zone)
    start = step.times(origin, [0])[0]
    held = step.since(start, instants)
    begin, end = step.times(start, held), step.times(start, held + 1)
    assert (begin <= pd.DatetimeIndex(instants)).all()
    assert (pd.DatetimeIndex(instants) < end).all()
    local = begin.tz_convert(zone)
    assert [time.date() for time in local] == [
        one.astimezone(ZoneInfo(zone)).date().replace(**({"day": 1} if unit == "month" else {})) for one in instants
    ]
    assert (step.since(start, begin) == held).all()


@pytest.mark.parametrize("zone", ZONES)
def test_lengths_sum_to_the_time_that_passes(zone: str) -> None:
    for unit, least, most in (("day", 23, 25), ("month", 28 * 24 - 1, 31 * 24 + 1)):
        step = step_of(unit, zone)
        start = step.midnight(date(2023, 1, 1))
        length = step.exposure(start, -3, 400)
        assert length is not None
        hours = length * step.hours
        assert (hours > least - 0.51).all()
        assert (hours < most + 0.51).all()
        passed = step.times(start, [400])[0] - step.times(start, [-3])[0]
        assert hours.sum(dtype=np.float64) == pytest.approx(passed / pd.Timedelta(hours=1), rel=1e-6)
    assert Step("hour", 1, zone).exposure(start, 0, 9) is None


def test_a_cube_of_local_days() -> None:
    counts = np.ones((30, 1, 1))
    options = {"edge_index": np.zeros((2, 0)), "time_zone": "America/Denver", "step_unit": "day"}
    cube = Cube.from_dense(counts, start="2024-03-01 07:00", horizons=7, **options)
    assert (cube.step_hours, cube.step.slots) == (24, 7)
    assert cube.end == pd.Timestamp("2024-03-31", tz="America/Denver")
    assert cube.time_of(10) == pd.Timestamp("2024-03-11 06:00", tz="UTC")
    assert cube.step_of(pd.Timestamp("2024-03-11", tz="America/Denver")) == 10
    with pytest.raises(ArtefactError, match=r"not a step of the cube \(days of America/Denver from"):
        cube.step_of(pd.Timestamp("2024-03-11 07:00", tz="UTC"))
    assert cube.calendar(0, 3).slot.tolist() == [4, 5, 6]  # 1 March 2024 was a Friday
    with pytest.raises(ConfigError, match="expected 730 of a month, found 24"):
        Step("month", 24)


def test_a_rate_by_the_month_follows_its_length() -> None:
    step = step_of("month", "Europe/London")
    start = step.midnight(date(2018, 1, 1))
    length = step.exposure(start, 0, 120)
    assert length is not None
    counts = np.random.default_rng(0).poisson(200 * length[:, None, None], (120, 9, 1))
    ring = np.stack([np.arange(9), (np.arange(9) + 1) % 9])
    options = {"edge_index": ring, "time_zone": "Europe/London", "step_unit": "month", "start": start, "horizons": 1}
    cube = Cube.from_dense(counts, **options)
    climatology = Climatology(EventStream(cube, 1), SLOW)
    state = climatology.learned_state(120, 0)
    climatology.step(state, 0, 119)  # up to the beginning of November 2027
    ahead = climatology.forecast(state, 119, 1).mean()
    assert cube.calendar(119, 120).slot.tolist() == [11]
    per_month = counts.mean() / length.mean()
    assert ahead == pytest.approx(per_month * length[119], rel=0.02)
    assert length[119] / length[109] == pytest.approx(31 / 28, rel=1e-3)
    short = climatology.step(climatology.learned_state(120, 0), 0, 110)[-1].mean()
    assert short == pytest.approx(per_month * length[109], rel=0.02)  # February


def test_sparse_rates_by_the_month_are_drawn_to_the_citys_as_far_as_they_differ() -> None:
    rng, n = np.random.default_rng(1), 400
    ring = np.stack([np.arange(n), (np.arange(n) + 1) % n])
    rates = np.stack([rng.gamma(4, 0.25, n), rng.gamma(0.5, 8, n)], 1)  # alike, and far apart: 4 and 1/8 months
    options = {"edge_index": ring, "step_unit": "month", "start": "2018-01-01", "horizons": 1}
    cube = Cube.from_dense(rng.poisson(rates, (24, n, 2)), **options)
    months = rate_prior(cube, 24).numpy() * 24 / 730
    np.testing.assert_allclose(months, [4, 1 / 8], rtol=0.25)
    assert (rate_prior(cube, 24) != rate_prior(cube, 12)).all()
    later = cube.with_events(cube.hour < 12)
    np.testing.assert_array_equal(rate_prior(cube, 12), rate_prior(later, 12))  # nothing known later counts
