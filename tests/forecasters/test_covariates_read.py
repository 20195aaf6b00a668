"""Covariates by cell: what is not known at the issue changes no bit of a forecast, and what is known is read."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_cities import fitted, forecaster_class, split_of, with_small_trees

from stforecast.config.sections import Unit
from stforecast.cube import Cube
from stforecast.cube.covariates import Covariate
from stforecast.forecasters.state_cache import StateCache
from stforecast.testing import small_city

LEARNED = ["gcrn", "hist_gradient_boosting", "hawkes"]


@pytest.fixture(autouse=True)
def _few_rows_and_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    with_small_trees(monkeypatch, 5_000)


def rows(first: Any, last: Any, cell: Any, value: Any, known: Any) -> pd.DataFrame:
    return pd.DataFrame({"first": first, "last": last, "cell": cell, "value": value, "known": known})


def city(step: Unit = "hour", late: bool = False) -> Cube:
    """A small city with a covariate of each kind; festivals in cell 3 on every tenth step, and many events at them."""
    cube = small_city(100 if step == "hour" else 120, late, step=step)
    rng, day, steps = np.random.default_rng(1), cube.step.per_day, cube.steps + 3 * cube.horizons
    begin = np.repeat(np.arange(0, steps, day), cube.n)
    cells, draws = np.tile(np.arange(cube.n), steps // day), rng.normal(5, 2, len(begin))
    draws[rng.random(len(draws)) < 0.1] = np.nan
    festival = np.arange(5 * day, steps, 10 * day)
    covariates = (
        Covariate.static("people", np.r_[np.nan, rng.gamma(2, 100, cube.n - 1)]),
        Covariate.of("visitors", "past", rows(begin, begin + day, cells, draws, begin)),
        Covariate.of("booked", "ahead", rows(begin, begin + day, cells, draws, begin - cube.horizons)),
        Covariate.of("festivals", "planned", rows(festival, festival + day, 3, 7.0, festival - cube.horizons)),
        Covariate.of("school", "planned", rows(festival + day, festival + 2 * day, -1, 1.0, festival - cube.horizons)),
    )
    return replace(cube, covariates=covariates)


def changed(covariate: Covariate, t0: int) -> Covariate:
    """Other values wherever they are not known at the issue `t0`."""
    table = covariate.rows
    return Covariate.of(
        covariate.name, covariate.kind, table.assign(value=table["value"].where(table["known"] <= t0, 50.0))
    )


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize("step", ["hour", "day", "month"])
@pytest.mark.parametrize("late", [False, True])
def test_what_is_known_later_changes_no_bit(name: str, step: Unit, late: bool) -> None:
    cube = city(step, late)
    t0 = int(split_of(cube).issues("test")[3])
    other = replace(cube, covariates=tuple(changed(one, t0) for one in cube.covariates))
    for one, two in zip(cube.covariates[1:], other.covariates[1:], strict=True):
        assert (one.value != two.value).any()
    forecaster, issue = fitted(name, cube), np.array([t0])
    alone = forecaster.raw(cube, issue)
    np.testing.assert_array_equal(alone, forecaster.raw(other, issue))
    np.testing.assert_array_equal(alone, fitted(name, other).raw(other, issue))
    ends = cube.steps + np.array([0, 1, 2])
    raw = forecaster.raw(cube, ends)
    assert np.isfinite(raw).all()
    np.testing.assert_array_equal(forecaster.raw(cube, ends[::-1])[::-1], raw)


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize("place", range(5))
def test_each_is_read_and_kept(name: str, place: int, tmp_path: Any) -> None:
    cube = city("day")
    forecaster = fitted(name, cube)
    issues = split_of(cube).issues("test")[-12:]
    found = forecaster.raw(cube, issues)
    one = cube.covariates[place]
    moved = one.rows.assign(value=-one.value if one.kind != "planned" else one.value * 3)
    others = [*cube.covariates]
    others[place] = Covariate.of(one.name, one.kind, moved)
    assert not np.array_equal(forecaster.raw(replace(cube, covariates=tuple(others)), issues), found)
    others.pop(place)  # masked
    without = forecaster.raw(replace(cube, covariates=tuple(others)), issues)
    assert not np.array_equal(without, found)
    forecaster.save(tmp_path)
    opened = forecaster_class(name).load(tmp_path, forecaster.config, forecaster.parts)
    np.testing.assert_array_equal(opened.raw(cube, issues), found)


@pytest.mark.parametrize("name", ["rolling_climatology", "kernel", "hexagon_mean"])
def test_controls_read_none(name: str) -> None:
    cube = city("day")
    issues, without = split_of(cube).issues("test")[:3], replace(cube, covariates=())
    np.testing.assert_array_equal(fitted(name, cube).raw(cube, issues), fitted(name, without).raw(without, issues))


@pytest.mark.parametrize("name", LEARNED[:2])
def test_a_kept_state_goes_on_while_what_is_known_stays(name: str, tmp_path: Any) -> None:
    cube = city()
    split, said = split_of(cube), list[str]()
    forecaster, (issue, later) = fitted(name, cube), split.issues("test")[[3, 5]].tolist()
    cache = StateCache(tmp_path, said.append)
    forecaster.forecast(cube, np.array([issue]), cache)
    unknown = replace(cube, covariates=tuple(changed(one, issue) for one in cube.covariates))
    np.testing.assert_allclose(
        forecaster.forecast(unknown, np.array([later]), cache).intensity,
        forecaster.forecast(unknown, np.array([later])).intensity,
        rtol=1e-4,
    )
    assert not said
    other = replace(cube, covariates=tuple(changed(one, issue - 48) for one in cube.covariates))
    forecaster.forecast(other, np.array([later]), cache)
    assert said


def test_one_festival_is_learned() -> None:
    """Ten times the usual in one cell on two training days, and again on a test day."""
    rng, cube = np.random.default_rng(0), small_city(120, step="day")
    crowded, days = 3, np.array([30, 31, 100])
    counts = cube.dense().numpy()
    counts[days, crowded] = rng.poisson(20, (3, 2))
    with_crowds = Cube.from_dense(
        counts, edge_index=cube.edges, step_unit="day", time_zone=cube.time_zone, horizons=7, start=cube.start
    )
    festival = Covariate.of("festivals", "planned", rows(days, days + 1, crowded, 7.0, days - 7))
    with_crowds = replace(with_crowds, covariates=(festival,))
    for name in LEARNED:
        found = fitted(name, with_crowds).raw(with_crowds, np.array([98]))[0]
        assert 8 < found[2, crowded].mean() < 40, name
        assert found[1, crowded].max() < 2, name
        assert found[3, crowded].mean() < found[2, crowded].mean() / 3, name  # of Hawkes a day of its aftermath


def test_a_forecast_says_what_is_sensitive_in_it() -> None:
    cube = city("day")
    secret = replace(cube, covariates=(replace(cube.covariates[0], name="deprivation", sensitive=True),))
    split, issue = split_of(cube), split_of(cube).issues("test")[:1]
    for name, given, expected in (("hawkes", secret, True), ("hawkes", cube, False), ("hexagon_mean", secret, False)):
        lines = forecaster_class(name)().fit(given, split).forecast(given, issue).assumptions
        assert ("deprivation" in " ".join(lines)) == expected
