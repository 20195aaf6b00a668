"""Averages of seeds and pools of forecasters: what they are, and that they survive being saved and opened."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_cities import city, fitted, split_of
from small_cities import settings as config_of

from stforecast.cube import Cube
from stforecast.errors import ArtefactError, ConfigError
from stforecast.forecasters.ensemble import Ensemble, pool_weights
from stforecast.forecasters.gcrn.forecaster import GCRN
from stforecast.forecasters.registry import forecaster_class, in_order

PARTS = ["rolling_climatology", "hexagon_mean"]


@pytest.fixture(scope="module")
def cube() -> Cube:
    return city(days=90)


def test_fits_differ_by_seed_and_are_averaged(cube: Cube, tmp_path: Path) -> None:
    config, split = config_of(seeds=2, training={"max_epochs": 1}), split_of(cube)
    issues = split.issues("test")[:3]
    forecaster = GCRN(config)
    forecaster.learn(cube, split, tmp_path)
    found, both = forecaster.raw(cube, issues), forecaster.fits
    alone = []
    for fit in both:
        forecaster.fits = [fit]
        alone.append(forecaster.raw(cube, issues))
    assert not np.array_equal(*alone)
    np.testing.assert_allclose(found, np.sqrt(alone[0] * alone[1]), rtol=1e-4)
    forecaster.fits = both
    forecaster.uncalibrated(cube).save(tmp_path)
    opened = GCRN.load(tmp_path, config)
    np.testing.assert_array_equal(opened.raw(cube, issues), found)
    (tmp_path / "calibration.json").write_text("{}")
    with pytest.raises(ArtefactError, match=r"calibration\.json"):
        GCRN.load(tmp_path, config)


def test_what_has_no_seed_is_fitted_once() -> None:
    config = config_of(seeds=3, seed=5)
    assert forecaster_class("rolling_climatology")(config).seeds == [5]
    assert GCRN(config).seeds == [5, 6, 7]


def test_a_pool_comes_after_its_parts() -> None:
    config = config_of(evaluation={"forecasters": ["ensemble", *PARTS], "ensemble": PARTS})
    assert in_order(config) == [*PARTS, "ensemble"]
    with pytest.raises(ConfigError, match="ensemble reads hexagon_mean"):
        in_order(config_of(evaluation={"forecasters": ["ensemble", PARTS[0]], "ensemble": PARTS}))


def pooled(cube: Cube) -> Ensemble:
    config = config_of(evaluation={"forecasters": [*PARTS, "ensemble"], "ensemble": PARTS})
    forecaster = fitted("ensemble", cube, config=config)
    assert isinstance(forecaster, Ensemble)
    return forecaster


def test_the_pool_is_log_linear_and_survives(cube: Cube, tmp_path: Path) -> None:
    forecaster, issues = pooled(cube), split_of(cube).issues("test")[:2]
    raw = {name: forecaster.parts[name].raw(cube, issues) for name in PARTS}
    logs = [np.log(raw[name]) for name in PARTS]
    expected = np.exp(forecaster.level + sum(w * log for w, log in zip(forecaster.weights, logs, strict=True)))
    found = forecaster.raw(cube, issues)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_array_equal(forecaster.raw(cube, issues, raw), found)  # what is at hand is not forecast again
    forecaster.save(tmp_path)
    opened = Ensemble.load(tmp_path, forecaster.config, forecaster.parts)
    np.testing.assert_array_equal(opened.raw(cube, issues), found)
    with pytest.raises(ArtefactError, match=r"evaluation\.ensemble names"):
        Ensemble.load(tmp_path, forecaster.config, {PARTS[0]: forecaster.parts[PARTS[0]]})
    (tmp_path / "pool.json").write_text('{"level": 1}')
    with pytest.raises(ArtefactError, match=r"pool\.json"):
        Ensemble.load(tmp_path, forecaster.config, forecaster.parts)


def test_a_fit_asks_its_parts_once_and_is_learning_and_calibrating(cube: Cube, monkeypatch: pytest.MonkeyPatch) -> None:
    apart, split = pooled(cube), split_of(cube)
    apart.calibrate(cube, split)
    together, asked = pooled(cube), []
    for name in PARTS:
        part = together.parts[name]
        monkeypatch.setattr(part, "raw", lambda *given, raw=part.raw: asked.append(1) or raw(*given))
    together.fit(cube, split)
    assert len(asked) == len(PARTS)
    np.testing.assert_allclose(together.weights, apart.weights, rtol=1e-5)
    found, expected = (one.fitted.calibration for one in (together, apart))
    np.testing.assert_allclose(found.slope, expected.slope, rtol=1e-5)


def test_later_events_do_not_reach_the_weights(cube: Cube) -> None:
    split = split_of(cube)
    kept = cube.with_events(np.flatnonzero(cube.known_hour < split.validation_end))
    assert pooled(cube).weights.tolist() == pooled(kept).weights.tolist()


@settings(deadline=None, max_examples=10)
@given(truth=st.tuples(st.floats(0, 1), st.floats(0, 1)), level=st.floats(-1, 1), seed=st.integers(0, 99))
def test_weights_are_found_again(truth: tuple[float, float], level: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logs = rng.normal(-2, 1, (2, 50_000))
    share = rng.choice([0.2, 0.5, 1.0], 50_000)  # of the events that are reported already
    counts = rng.poisson(share * np.exp(np.array(truth) @ logs + level))
    found, weights = pool_weights(logs, counts, share)
    np.testing.assert_allclose([found, *weights], [level, *truth], atol=0.2)
    assert (weights >= 0).all()


def test_without_events_the_parts_weigh_the_same() -> None:
    level, weights = pool_weights(np.zeros((2, 10)), np.zeros(10), np.ones(10))
    assert (level, weights.tolist()) == (0.0, [0.5, 0.5])
