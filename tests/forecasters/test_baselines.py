"""The field's own baselines by hand: what they average, what late reports and holes do to them, at every step."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_cities import city, fitted, half_late, split_of, with_events

from stforecast.cube import Cube
from stforecast.cube.holes import Gap
from stforecast.forecasters.baselines import EWMA, RATES, LastYear, MeanOfLast12, SeasonalNaive
from stforecast.forecasters.registry import forecaster_class
from stforecast.scoring.metrics import poisson_deviance
from stforecast.testing import check_forecaster

NAMES = ("mean_of_last_12", "last_year", "seasonal_naive", "ewma")
PLANE = np.eye(3, 2)


def grid(counts: np.ndarray, unit: str, **rest: object) -> Cube:
    """A cube of three places."""
    values = {"coordinates": PLANE, "step_unit": unit, "horizons": {"hour": 24, "day": 7, "month": 1}[unit], **rest}
    return Cube.from_dense(counts, **values)  # type: ignore[arg-type]


def drawn(steps: int, unit: str, rate: float = 2.0, **rest: object) -> Cube:
    return grid(np.random.default_rng(0).poisson(rate, (steps, 3, 2)), unit, **rest)


def ewma(*rates: float) -> EWMA:
    (out := EWMA()).rates = list(rates)
    return out


@pytest.mark.parametrize("name", NAMES)
def test_they_pass_the_check(name: str) -> None:
    check_forecaster(forecaster_class(name))


def test_the_mean_of_twelve_days_by_hand() -> None:
    """Twelve days, and one at the city's mean: three places, an event more in the city."""
    counts = np.zeros((40, 3, 1))
    counts[30, 0], counts[20, 1] = 6, 90  # the second lies thirteen days or more before the issue
    found = MeanOfLast12().raw(grid(counts, "day"), np.array([40]))
    city = (6 + 1) / (3 * 12)
    np.testing.assert_allclose(found[0, :, :, 0], [[(6 + city) / 13, city / 13, city / 13]] * 7, rtol=1e-5)


def test_the_mean_of_twelve_is_of_days_by_the_hour() -> None:
    cube = drawn(24 * 40, "hour", 0.1)
    found = MeanOfLast12().raw(cube, np.array([24 * 40]))
    counts = cube.dense()[-12 * 24 :].numpy().sum(0)
    expected = (counts + (counts.sum(0) + 1) / 3 / 12) / 13 / 24
    np.testing.assert_allclose(found[0], np.broadcast_to(expected, (24, 3, 2)), rtol=1e-5)


def test_months_are_expected_to_have_events_in_proportion_to_their_days() -> None:
    cube = drawn(37, "month", 50.0, start="2021-01-01")
    february = 36 + 1  # of 2024: 29 days
    found = MeanOfLast12().raw(cube, np.array([february - 1, february]))
    days = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31])  # of 2023, and January 2024
    for one, last, length in ((found[0, 0], slice(24, 36), 31), (found[1, 0], slice(25, 37), 29)):
        counts, seen = cube.dense()[last].numpy().sum(0), days[:12].sum() if last.start == 24 else days[1:].sum()
        per_month = counts / seen * 730 / 24
        np.testing.assert_allclose(one / length * 730 / 24, per_month, rtol=0.02)  # a month in 13 is the city's


def test_last_year_is_the_same_month_or_weekday() -> None:
    cube = drawn(30, "month", start="2021-01-01")
    (found,) = LastYear().raw(cube, np.array([30]))  # July 2023
    same, other = cube.dense()[18].numpy(), cube.dense()[6].numpy()
    assert np.corrcoef(found[0].ravel(), same.ravel())[0, 1] > 0.999
    assert np.corrcoef(found[0].ravel(), other.ravel())[0, 1] < 0.9
    np.testing.assert_array_equal(found, SeasonalNaive().raw(cube, np.array([30]))[0])
    cube = drawn(800, "day")
    (found,) = LastYear().raw(cube, np.array([800]))
    for k in range(7):
        same = cube.dense()[800 + k - 364].numpy()
        assert np.corrcoef(found[k].ravel(), same.ravel())[0, 1] > 0.999


@pytest.mark.parametrize(("unit", "season"), [("hour", 168), ("day", 7)])
def test_seasonal_naive_is_the_slot_of_last_week_by_hand(unit: str, season: int) -> None:
    """Half of it is last week's count, and half the city's mean: one step each."""
    steps = season * 9
    cube = drawn(steps, unit)
    (found,) = SeasonalNaive().raw(cube, np.array([steps]))
    counts, day = cube.dense().numpy(), 24 if unit == "hour" else 1
    usual = (counts.sum((0, 1)) + day * (counts.sum((0, 1)) + 1) / steps) / (steps + day) / 3
    expected = (counts[steps - season : steps - season + cube.horizons] + usual) / 2
    np.testing.assert_allclose(found, expected, rtol=0.02)
    assert (found > 0).all()


def test_a_longer_horizon_than_a_season_goes_two_back() -> None:
    cube = drawn(90, "day", horizons=10)
    (found,) = SeasonalNaive().raw(cube, np.array([90]))
    np.testing.assert_array_equal(found[7:], found[:3])
    past = SeasonalNaive().raw(cube, np.array([93]))[0]
    np.testing.assert_allclose(past[:4], found[3:7], rtol=1e-6)
    np.testing.assert_allclose(past[4:7], found[:3], rtol=1e-6)


def test_the_slot_keeps_its_local_hour_when_clocks_change() -> None:
    """Denver's clocks went on on Sunday, 12 March 2023: Monday 8:00 is an hour earlier in UTC than the week before."""
    start = pd.Timestamp("2023-02-06 07:00", tz="UTC")  # a Monday's midnight
    counts = np.zeros((24 * 7 * 6, 3, 1))
    hour = pd.date_range(start, periods=len(counts), freq="h").tz_convert("America/Denver").hour
    counts[hour == 8] = 9
    cube = grid(counts, "hour", start=start, time_zone="America/Denver")
    issue = cube.step_of(pd.Timestamp("2023-03-13 06:00", tz="UTC"))
    (found,) = SeasonalNaive().raw(cube, np.array([issue]))
    assert found[:, 0, 0].argmax() == 8
    assert np.sort(found[:, 0, 0])[-2] < 1


def test_a_step_that_was_not_recorded_gives_way_to_the_season_before() -> None:
    cube = replace(drawn(90, "day", 3.0), gaps=(Gap(83, 84, 0),))
    (found,) = SeasonalNaive().raw(cube, np.array([90]))
    other = SeasonalNaive().raw(cube, np.array([83]))[0]
    assert np.corrcoef(found[0, :, 0], other[0, :, 0])[0, 1] > 0.999
    assert np.corrcoef(found[0, :, 1], cube.dense()[83, :, 1])[0, 1] > 0.999


@pytest.mark.parametrize("name", NAMES)
def test_fresh_counts_are_divided_by_the_share_that_is_in(name: str) -> None:
    """Of every step half of the reports come ten days late; the forecast is at the level of the whole."""
    cube = city(days=400, rate=6.0)
    late = half_late(cube, 240)
    issue = np.array([late.steps])
    known = with_events(late, late.known_hour < late.steps)
    whole = fitted(name, cube).raw(cube, issue).sum()
    assert fitted(name, known).raw(known, issue).sum() == pytest.approx(whole, rel=0.1)


def test_ewma_by_hand() -> None:
    cube = drawn(40, "day")
    (found,) = ewma(0.5, 0.1).raw(cube, np.array([40]))
    for c, rate in enumerate((0.5, 0.1)):
        weight = (1 - rate) ** np.arange(40)[::-1]
        counts, seen = np.einsum("t,tn->n", weight, cube.dense()[..., c].numpy()), weight.sum()
        expected = (counts + (counts.sum() + 1) / 3 / seen) / (seen + 1)
        np.testing.assert_allclose(found[:, :, c], np.broadcast_to(expected, (7, 3)), rtol=1e-5)


def test_the_rate_of_ewma_is_the_best_of_the_validation_slice() -> None:
    """A category that jumps wants a fresh mean, one that stays a long one; what comes later does not matter."""
    rng, days = np.random.default_rng(3), 400
    level = np.repeat(rng.choice([1.0, 12.0], (days // 20, 3)), 20, axis=0)
    counts = np.stack([rng.poisson(level), rng.poisson(3, (days, 3))], -1)
    cube = grid(counts, "day")
    split = split_of(cube)
    (model := EWMA()).learn(cube, split)
    assert model.rates[0] >= 0.3 > 0.05 >= model.rates[1]
    issues = split.issues("validation")
    came = np.stack([counts[s : s + 7] for s in issues])
    losses = [poisson_deviance(ewma(rate, rate).raw(cube, issues)[..., 0], came[..., 0]) for rate in RATES]
    assert model.rates[0] == RATES[int(np.argmin(losses))]
    counts[split.test_start :] = 0
    (again := EWMA()).learn(grid(counts, "day"), split)
    assert again.rates == model.rates


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("unit", "steps"), [("day", 500), ("month", 60)])
def test_they_run_at_every_step(name: str, unit: str, steps: int) -> None:
    cube = drawn(steps, unit, start="2018-01-01", time_zone="UTC")
    model = forecaster_class(name)().fit(cube, split_of(cube))
    issues = np.array([steps - 20, steps, steps + 2])
    forecast = model.forecast(cube, issues)
    assert forecast.intensity.shape == (3, cube.horizons, 3, 2)
    assert (forecast.intensity > 0).all()
    assert forecast.intensity.mean() == pytest.approx(2.0, rel=0.3)
    np.testing.assert_array_equal(model.raw(cube, issues[::-1])[::-1], model.raw(cube, issues))


@pytest.mark.parametrize("name", NAMES)
def test_they_go_on_without_any_record(name: str) -> None:
    """At the first step, and where all that might be read is masked."""
    cube = drawn(60, "day")
    model = ewma(0.1, 0.1) if name == "ewma" else forecaster_class(name)()
    found = model.intensity(replace(cube, masked=np.ones((60, 2), bool)), np.array([0, 30]))
    assert (found > 0).all()
    assert np.isfinite(found).all()
