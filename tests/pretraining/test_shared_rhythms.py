"""Rhythms and priors learned over cities: those that were planted, and a first week that is forecast better."""

from dataclasses import replace

import numpy as np
import pytest
from small_cities import city

from stforecast.config.sections import KINDS
from stforecast.cube import Cube
from stforecast.errors import ConfigError
from stforecast.forecasters.climatology import RollingClimatology
from stforecast.pretraining.rhythms import shared_rhythms

KNOWN = np.eye(len(KINDS), dtype=np.float32)[[0, 5]]


def record(days: int, seed: int) -> Cube:
    return replace(city(days=days, rate=0.5, seed=seed, rings=3, excitation=0.0), kinds=KNOWN)


def deviance(cube: Cube, model: RollingClimatology) -> float:
    issues = np.arange(7 * 24, cube.steps - 24, 24)
    rate = model.raw(cube, issues)
    counts = cube.dense().numpy()
    y = np.stack([counts[issue : issue + 24] for issue in issues])
    return float(2 * (np.where(y > 0, y * np.log(np.maximum(y, 1) / rate), 0) - (y - rate)).mean())


def test_what_was_planted_is_found_and_helps_a_new_city() -> None:
    shared = shared_rhythms([record(400, seed) for seed in (1, 2)])
    day = np.array(shared.profiles)[KINDS.index("assault")].reshape(7, 24).mean(0)
    assert np.corrcoef(day, 1 + 0.8 * np.sin(np.arange(24) * np.pi / 12))[0, 1] > 0.9
    assert 1.0 < shared.own[KINDS.index("assault")] < 4.0  # rates are of a gamma law of shape 2
    fresh = record(20, 3)
    told, alone = (deviance(fresh, RollingClimatology(ends=(7 * 24,), shared=one)) for one in (shared, None))
    assert told < alone
    assert shared == shared_rhythms([record(400, seed) for seed in (1, 2)])


def test_short_records_and_other_steps_are_refused() -> None:
    days = Cube.from_dense(np.ones((100, 2)), edge_index=[[0, 1], [1, 0]], step_unit="day", horizons=1)
    for cube in (record(30, 0), days):
        with pytest.raises(ConfigError, match="60 days or more"):
            shared_rhythms([cube])


def test_a_city_without_a_report_for_months_is_learned_from() -> None:
    whole = record(400, 1)
    silent = replace(whole, **{name: getattr(whole, name)[whole.hour < 330 * 24] for name in whole.event_columns})
    shared = shared_rhythms([silent, record(400, 2)])
    assert np.isfinite(shared.worth).all()
