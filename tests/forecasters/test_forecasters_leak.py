"""Nothing that becomes known after the issue time reaches a forecast, and every forecaster runs on every axis."""

from dataclasses import replace

import numpy as np
import pytest
from small_cities import another_future, city, fitted, places, settings, split_of, with_events, with_small_trees

from stforecast.config.sections import Unit
from stforecast.cube import Cube, Series
from stforecast.errors import ArtefactError, ConfigError
from stforecast.forecasters.controls import mean_rate
from stforecast.forecasters.registry import BUILT_IN, forecaster_class
from stforecast.testing import small_city

NAMES = sorted(BUILT_IN)


@pytest.fixture(autouse=True)
def _few_rows_and_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    with_small_trees(monkeypatch, 5_000)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("late", "late_after"), [(False, False), (False, True), (True, True)])
def test_the_future_does_not_reach_a_forecast(name: str, late: bool, late_after: bool) -> None:
    cube = city(late=late, weather=True)
    test = split_of(cube).issues("test")
    t0, later = int(test[3]), test[4:6]
    changed = another_future(cube, t0, late_after)
    assert changed.weight.sum() != cube.weight.sum()
    forecaster = fitted(name, cube)
    alone = forecaster.raw(cube, np.array([t0]))
    assert alone.min() > 0
    np.testing.assert_array_equal(alone, forecaster.raw(changed, np.array([t0])))
    again = fitted(name, changed)
    np.testing.assert_array_equal(alone, again.raw(changed, np.array([t0])))
    several = forecaster.raw(cube, np.array([later[0], t0, later[1]]))
    # Stretches of another length round differently inside matrix products.
    np.testing.assert_allclose(several[1], alone[0], rtol=2e-5)
    # With the same issues the future still does not reach it, to the bit.
    other = forecaster.raw(changed, np.array([later[0], t0, later[1]]))
    np.testing.assert_array_equal(several[1], other[1])
    if name not in ("climatology", "hexagon_mean"):
        assert not np.array_equal(several[2], other[2])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("step", ["day", "month"])
@pytest.mark.parametrize("late", [False, True])
def test_days_and_months_know_nothing_later_either(name: str, step: Unit, late: bool) -> None:
    cube = small_city(120, late, step=step)
    t0 = int(split_of(cube).issues("test")[3])
    forecaster, changed = fitted(name, cube), another_future(cube, t0, late)
    alone = forecaster.raw(cube, np.array([t0]))
    assert alone.min() > 0
    np.testing.assert_array_equal(alone, forecaster.raw(changed, np.array([t0])))
    np.testing.assert_array_equal(alone, fitted(name, changed).raw(changed, np.array([t0])))
    ends = cube.steps + np.array([0, 1, 3])
    raw = forecaster.raw(cube, ends)
    np.testing.assert_array_equal(forecaster.raw(cube, ends[::-1])[::-1], raw)
    longer = replace(cube, steps=cube.steps + 2 * cube.horizons)
    np.testing.assert_array_equal(raw[:1], forecaster.raw(longer, ends[:1]))
    truncated = replace(with_events(cube, cube.hour < t0), steps=t0)
    truncated = with_events(truncated, truncated.known_hour < t0)
    np.testing.assert_array_equal(forecaster.raw(truncated, np.array([t0])), alone)
    assert forecaster.forecast(cube, ends).complete_until == cube.end


@pytest.mark.parametrize("name", NAMES)
def test_forecasts_go_past_the_end(name: str) -> None:
    cube = city(days=60, late=True, weather=True)
    forecaster = fitted(name, cube)
    ends = cube.steps + np.array([0, 5, 24, 48])
    forecast = forecaster.forecast(cube, ends)
    raw = forecaster.raw(cube, ends)
    assert forecast.intensity.shape == (4, 24, cube.n, cube.c)
    assert (forecast.intensity > 0).all()
    assert forecast.complete_until == cube.end
    np.testing.assert_array_equal(forecaster.raw(cube, ends[::-1])[::-1], raw)
    # At the very end it is what the same record gives inside a longer axis.
    longer = replace(cube, steps=cube.steps + 72)
    np.testing.assert_array_equal(forecaster.raw(cube, ends[:1]), forecaster.raw(longer, ends[:1].astype(np.int64)))
    truncated = with_events(cube, cube.hour < 1400)
    truncated = replace(truncated, steps=1400)
    np.testing.assert_array_equal(forecaster.raw(cube, np.array([1400])), forecaster.raw(truncated, np.array([1400])))


def axes() -> dict[str, Cube]:
    rng = np.random.default_rng(1)
    square = np.stack(np.meshgrid(np.arange(4.0), np.arange(3.0)), -1).reshape(-1, 2)
    none = {**places(), "categories": ("a",), "steps": 60 * 24, "name": "none", "start": city(2).start}
    nothing = np.zeros(0, np.int64)
    one = none["hexagons"][:1]
    return {
        "daily": Cube.from_dense(rng.poisson(1.5, (90, 12, 2)), coordinates=square, step_hours=24, horizons=1),
        "local days": small_city(120, True, step="day"),
        "months": small_city(90, step="month"),
        "hour ahead": Cube.from_dense(rng.poisson(0.1, (40 * 24, 12, 2)), coordinates=square, horizons=1),
        "four hours": Cube.from_dense(rng.poisson(0.3, (60 * 6, 12)), coordinates=square, step_hours=4, horizons=6),
        "no event": Cube.from_events(nothing, nothing, nothing, **none),
        "one place": Cube.from_events(
            np.arange(0, 1440, 7), *np.zeros((2, 206), int), **{**none, "hexagons": one, "edges": np.zeros((2, 0), int)}
        ),
        "one category empty": replace(city(days=60, late=True), categories=("property", "violent", "never")),
    }


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("axis", list(axes()))
def test_every_axis(name: str, axis: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    cube = axes()[axis]
    forecaster = fitted(name, cube)
    issues = np.r_[split_of(cube).issues("test")[-2:], cube.steps]
    found = forecaster.raw(cube, issues)
    assert found.shape == (3, cube.horizons, cube.n, cube.c)
    counts = cube.dense().mean((0, 1)).numpy()
    assert (found.mean((0, 1, 2)) < 3 * counts + 0.02).all()
    folder = tmp_path_factory.mktemp("saved")
    forecaster.save(folder)
    opened = forecaster_class(name).load(folder, settings(), forecaster.parts)
    np.testing.assert_array_equal(found, opened.raw(cube, issues))


@pytest.mark.parametrize("name", ["gcrn", "hist_gradient_boosting"])
def test_weather_may_be_missing_later(name: str) -> None:
    cube = city(days=60, weather=True)
    forecaster, issues = fitted(name, cube), np.array([1300])
    dark = np.full_like(cube.weather.values, np.nan), np.full_like(cube.future.values, np.nan)
    masked = replace(cube, weather=replace(cube.weather, values=dark[0]), future=replace(cube.future, values=dark[1]))
    without = replace(cube, weather=Series(), future=Series(("other",), dark[1]))
    np.testing.assert_array_equal(forecaster.raw(masked, issues), forecaster.raw(without, issues))


@pytest.mark.parametrize("name", ["gcrn", "hist_gradient_boosting", "random_forest"])
def test_where_there_is_nothing_to_learn_from_climatology_stands(name: str) -> None:
    cube, issues = city(days=20), np.array([400])
    split = replace(split_of(cube), train_end=30)
    forecaster = forecaster_class(name)(settings()).fit(cube, split)
    assert "climatology stands as before" in forecaster.fitted.remark
    found = forecaster.raw(cube, issues)
    assert (found > 0).all()
    if name == "gcrn":  # but for the excitation that a network begins with
        climatology = forecaster_class("rolling_climatology")(settings()).fit(cube, split)
        assert np.log(found / climatology.raw(cube, issues)) == pytest.approx(0, abs=0.2)


@pytest.mark.parametrize("name", ["gcrn", "hist_gradient_boosting"])
def test_unfitted_and_absent(name: str, tmp_path: object) -> None:
    with pytest.raises(ArtefactError, match="not fitted"):
        forecaster_class(name)(settings()).forecast(city(2), np.array([24]))
    with pytest.raises(ArtefactError, match=r"again|stforecast train|Train"):
        forecaster_class(name).load(tmp_path, settings())  # type: ignore[arg-type]


def test_unknown_forecaster() -> None:
    with pytest.raises(ConfigError, match="oracle"):
        forecaster_class("oracle")


def test_fixed_climatology_stands_still_within_a_slice() -> None:
    cube = city(days=100)
    split = split_of(cube)
    fixed, rolling = (fitted(name, cube) for name in ("climatology", "rolling_climatology"))
    weeks = split.test_start + 24 + 168 * np.arange(3)  # the same hours of the week
    one, *others = fixed.raw(cube, weeks)
    for other in others:
        np.testing.assert_array_equal(other, one)
    assert not np.allclose(*rolling.raw(cube, weeks[:2]), rtol=1e-3)


def test_a_mean_rate_by_hand() -> None:
    """A hexagon gets m / (1 + m) of an event beside its own, for a city mean m of a hexagon, one event added."""
    counts = np.zeros((10, 3, 2))
    counts[[1, 4], 0, 0] = 1, 4
    cube = Cube.from_dense(counts, coordinates=np.eye(3, 2))
    expected = [[5 + 2 / 3, 1 / 4], [2 / 3, 1 / 4], [2 / 3, 1 / 4]]  # m = 6 / 3 and 1 / 3
    np.testing.assert_allclose(mean_rate(cube, 0, 10), np.array(expected) / 10, rtol=1e-6)
    np.testing.assert_allclose(mean_rate(cube, 2, 10)[0, 0], (4 + 5 / 8) / 8, rtol=1e-6)
