"""Rhythms and priors learned over cities: those that were planted, and a first week that is forecast better."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_cities import city

from stforecast.config.sections import KINDS
from stforecast.cube import Cube
from stforecast.errors import ArtefactError, ConfigError
from stforecast.features.shared import SharedRhythms
from stforecast.files import write_json
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


def test_what_other_cities_told_does_not_outlive_the_fit_that_read_it(tmp_path: Path) -> None:
    cube = record(60, 3)
    split = cube.split(0.5, 0.2)
    shared = shared_rhythms([record(70, 1)])
    for one in (shared, None):  # into the same folder
        model = RollingClimatology(shared=one).fit(cube, split)
        model.save(tmp_path)
        issues = split.issues("test")[:2]
        np.testing.assert_array_equal(RollingClimatology.load(tmp_path).raw(cube, issues), model.raw(cube, issues))


def test_short_records_and_other_steps_are_refused() -> None:
    days = Cube.from_dense(np.ones((100, 2)), edge_index=[[0, 1], [1, 0]], step_unit="day", horizons=1)
    for cube in (record(30, 0), days):
        with pytest.raises(ConfigError, match="60 days or more"):
            shared_rhythms([cube])


def test_cities_that_sleep_are_learned_from(tmp_path: Path) -> None:
    whole = record(70, 1)
    hour = whole.calendar(0, whole.steps).hour[whole.hour]
    shared = shared_rhythms([whole.with_events((hour >= 9) & (hour < 17))])
    shared.save(tmp_path / "rhythms.json")
    assert SharedRhythms.open(tmp_path / "rhythms.json") == shared


def test_rhythms_of_another_version_are_refused(tmp_path: Path) -> None:
    values = {"profiles": [[1.0] * 168], "worth": [1.0], "own": [1.0], "around": [1.0, 1.0]}
    for more in ({}, {"rhythms": [[1.0] * 168], "shares": [1.0]}):
        write_json(tmp_path / "rhythms.json", values | more)
        with pytest.raises(ArtefactError, match=r"rhythms.json: of another version"):
            SharedRhythms.open(tmp_path / "rhythms.json")


def test_a_city_without_a_report_for_months_is_learned_from() -> None:
    whole = record(400, 1)
    silent = replace(whole, **{name: getattr(whole, name)[whole.hour < 330 * 24] for name in whole.event_columns})
    shared = shared_rhythms([silent, record(400, 2)])
    assert np.isfinite(shared.worth).all()
