"""StateCache walks: a forecast that goes on from what was kept is the one that a replay of the record gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_cities import city, settings, split_of, with_events
from torch import nn

from stforecast.cube import Cube
from stforecast.features.builder import FeatureBuilder
from stforecast.features.scaling import Scales
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.calibrated import ValidationFit
from stforecast.forecasters.climatology import RollingClimatology
from stforecast.forecasters.controls import LastWeek
from stforecast.forecasters.gcrn.forecaster import GCRN
from stforecast.forecasters.gcrn.inputs import patch_steps
from stforecast.forecasters.gcrn.trained import Trained
from stforecast.forecasters.gcrn.training import Module
from stforecast.forecasters.registry import forecaster_class
from stforecast.forecasters.state_cache import StateCache
from stforecast.forecasters.trees import Trees
from stforecast.scoring.calibration import Calibration

UNTIL = 45 * 24
"""The end of the training slice."""


def network(cube: Cube, seeds: tuple[int, ...] = (3,), patch_hours: int = 24) -> GCRN:
    """Networks whose weights are chance."""
    forecaster, scales = GCRN(settings(model={"patch_hours": patch_hours})), Scales.of(cube, UNTIL)
    builder = FeatureBuilder(cube, scales, patch_steps(forecaster.config, cube))
    forecaster.scales = scales
    for seed in seeds:
        torch.manual_seed(seed)
        module = Module(forecaster.config, builder).eval()
        for parameter in module.best.parameters():
            nn.init.normal_(parameter, std=0.2)
        nn.init.normal_(module.best.excitation.weight, -0.2, 0.05)
        forecaster.fits.append(Trained(module.settings, module.edges, module.best, module.graph))
    return forecaster


def trees(cube: Cube) -> Trees:
    forecaster = forecaster_class("hist_gradient_boosting")(settings())
    assert isinstance(forecaster, Trees)
    forecaster.settings = {**forecaster.settings, "max_iter": 10}  # type: ignore[misc]
    forecaster.learn(cube, replace(split_of(cube), train_end=UNTIL))
    return forecaster


MAKERS: dict[str, Callable[[Cube], Forecaster]] = {
    "network": network,
    "network by quarter days": lambda cube: network(cube, patch_hours=6),
    "seeds": lambda cube: network(cube, (3, 4)),
    "trees": trees,
    "climatology": lambda cube: RollingClimatology(settings(), ends=(UNTIL,)),
}


def fitted(forecaster: Forecaster) -> Any:
    forecaster.calibrated = ValidationFit(Calibration((0.1, -0.05), (0.9, 1.1)))
    return forecaster


def until(cube: Cube, steps: int) -> Cube:
    """The record as it was after `steps`, without the reports and the weather that came later."""
    known = cube.with_events((cube.known_hour < steps) & (cube.hour < steps))
    return replace(known, steps=steps, weather=replace(cube.weather, values=cube.weather.values[:steps]))


class Steps:
    """Counts the issues that states pass, of all forecasters."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken = 0
        for kind in (GCRN, Trees, RollingClimatology):
            monkeypatch.setattr(kind, "step", self._counted(kind.step))

    def _counted(self, step: Callable) -> Callable:
        def counted(model, reader, state, count, wanted):
            self.taken += count
            return step(model, reader, state, count, wanted)

        return counted

    def of(self, function: Callable[[], object]) -> int:
        before = self.taken
        function()
        return self.taken - before


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, said: list[str]) -> StateCache:
    return StateCache(tmp_path / "state", said.append)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    return Steps(monkeypatch)


def assert_as_replayed(model: Forecaster, cube: Cube, issue: int, cache: StateCache) -> None:
    """Equal but for float32: a patch walked alone is rounded otherwise than among many, by units of log λ."""
    issues = np.array([issue])
    found, expected = model.forecast(cube, issues, cache), model.forecast(cube, issues)
    np.testing.assert_allclose(found.intensity, expected.intensity, rtol=5e-6)
    assert found.issue_times.equals(expected.issue_times)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("kind", MAKERS)
def test_a_new_day_is_one_step_and_equals_a_replay(
    kind: str, late: bool, cache: StateCache, said, steps: Steps
) -> None:
    """Several days one by one and one leap, with late reports on the way where there are any."""
    whole = city(days=75, late=late, weather=True)
    model, per_day = fitted(MAKERS[kind](whole)), 4 if "quarter" in kind else 1
    for i, days in enumerate((64, 65, 66, 67, 72)):
        cube = until(whole, days * 24 + 5)
        count = steps.of(lambda cube=cube: model.forecast(cube, np.array([cube.steps]), cache))
        assert count == (per_day * (1 if days < 72 else 5) if i else cube.steps // (24 // per_day) + 1)
        assert_as_replayed(model, cube, cube.steps, cache)
        assert steps.of(lambda cube=cube: model.forecast(cube, np.array([cube.steps]), cache)) == 0
    assert [path.name for path in cache.folder.iterdir()] == [f"{model.name}-05.pt"]
    assert not said


def test_a_kept_state_changes_the_forecast(cache: StateCache) -> None:
    """What the equalities above compare is not one constant: days differ, and a network from climatology."""
    whole = city(days=66, weather=True)
    days = [until(whole, days * 24) for days in (64, 65)]
    network_, usual = fitted(network(whole)), fitted(MAKERS["climatology"](whole))
    one, other = (network_.forecast(cube, np.array([cube.steps]), cache).intensity for cube in days)
    assert np.abs(one / other - 1).mean() > 0.05
    assert np.abs(usual.forecast(days[1], np.array([days[1].steps]), cache).intensity / other - 1).mean() > 0.05


@pytest.mark.parametrize("kind", ["network", "climatology"])
def test_beyond_the_record_there_are_two_states(kind: str, cache: StateCache, said, steps: Steps) -> None:
    whole = city(days=75, late=True, weather=True)
    model = fitted(MAKERS[kind](whole))
    for days in (64, 65, 66):
        cube = until(whole, days * 24 + 5)
        for ahead in (9, 24, 50):
            assert_as_replayed(model, cube, cube.steps + ahead, cache)
    cube = until(whole, 67 * 24 + 5)
    assert steps.of(lambda: model.forecast(cube, np.array([cube.steps + 9]), cache)) == 2
    assert sorted(path.name[-5:] for path in cache.folder.iterdir()) == ["05.pt", "07.pt", "14.pt"]
    assert not said


def test_another_hour_is_another_state(cache: StateCache, said, steps: Steps) -> None:
    whole = city(days=70)
    model, cube = fitted(network(whole)), until(whole, 65 * 24)
    assert_as_replayed(model, cube, cube.steps, cache)
    assert_as_replayed(model, cube, cube.steps - 7, cache)
    later = until(whole, 66 * 24)
    for issue in (later.steps, later.steps - 7):
        assert steps.of(lambda issue=issue: model.forecast(later, np.array([issue]), cache)) == 1
        assert_as_replayed(model, later, issue, cache)
    assert not said


def test_a_past_issue_is_replayed_and_the_newest_stays(cache: StateCache, said) -> None:
    model, cube = fitted(MAKERS["climatology"](city(days=70))), city(days=70)
    model.forecast(cube, np.array([cube.steps]), cache)
    (path,) = cache.folder.iterdir()
    before = path.read_bytes()
    assert_as_replayed(model, cube, cube.steps - 5 * 24, cache)
    model.forecast(cube, np.array([cube.steps - 24, cube.steps]), cache)  # several issues are one replay
    assert path.read_bytes() == before
    assert not said


def changed(cube: Cube, change: str, issue: int) -> Cube:
    if change == "an event fewer":
        return with_events(cube, np.arange(len(cube.hour)) != 10)
    if change == "an event more":
        one = {"hour": [30], "known_hour": [30], "hexagon": [2], "category": [1], "weight": [1.0]}
        return with_events(cube, cube.hour >= 0, **{key: np.array(value) for key, value in one.items()})
    if change == "an event known later":
        known = cube.known_hour.copy()
        known[50] = issue - 1
        return with_events(replace(cube, known_hour=known), cube.hour >= 0)
    if change == "other weather":
        values = cube.weather.values.copy()
        values[issue - 40] = 99
        return replace(cube, weather=replace(cube.weather, values=values))
    if change == "another weather forecast":
        values = cube.future.values.copy()
        values[issue + 20] = 99
        return replace(cube, future=replace(cube.future, values=values))
    return replace(cube, country=None)  # no holidays


@pytest.mark.parametrize(
    "change",
    [
        "an event fewer",
        "an event more",
        "an event known later",
        "other weather",
        "another weather forecast",
        "another calendar",
    ],
)
def test_a_changed_record_is_replayed_and_kept_anew(change: str, cache: StateCache, said, steps: Steps) -> None:
    whole = city(days=70, weather=True)
    model, cube = fitted(network(whole)), until(whole, 65 * 24)
    model.forecast(cube, np.array([cube.steps]), cache)
    other = changed(until(whole, 66 * 24), change, cube.steps)
    assert_as_replayed(model, other, other.steps, cache)
    assert len(said) == 1
    assert "rests on another record" in said[0]
    assert steps.of(lambda: model.forecast(other, np.array([other.steps]), cache)) == 0


def test_before_the_training_slice_ended_a_walk_rests_on_all_of_that_slice(cache: StateCache, said) -> None:
    whole = city(days=UNTIL // 24 + 5, late=True)
    model, issue = fitted(MAKERS["climatology"](whole)), UNTIL - 5 * 24
    model.forecast(whole, np.array([issue]), cache)
    other = with_events(whole, (whole.known_hour < issue + 24) | (whole.known_hour >= UNTIL))
    assert_as_replayed(model, other, issue + 24, cache)
    assert len(said) == 1


def test_what_comes_after_the_issue_is_no_change(cache: StateCache, said, steps: Steps) -> None:
    whole = city(days=70, weather=True, late=True)
    model, t0 = fitted(network(whole)), 65 * 24
    model.forecast(until(whole, t0), np.array([t0]), cache)
    assert steps.of(lambda: model.forecast(whole, np.array([t0]), cache)) == 0  # later reports are of no account
    assert_as_replayed(model, whole, t0, cache)
    assert_as_replayed(model, whole, t0 + 48, cache)
    assert not said


@pytest.mark.parametrize("what", ["weights", "calibration", "training slice"])
def test_another_fit_is_replayed(what: str, cache: StateCache, said) -> None:
    cube = city(days=65)
    model = fitted(network(cube))
    model.forecast(cube, np.array([cube.steps]), cache)
    if what == "weights":
        model = fitted(network(cube, (5,)))
    elif what == "calibration":
        model.calibrated = ValidationFit(Calibration((0.2, -0.05), (0.9, 1.1)))
    else:
        model.settings["scales"]["until"] += 24
    assert_as_replayed(model, cube, cube.steps, cache)
    assert len(said) == 1


@pytest.mark.parametrize("damage", ["half", "empty", "text", "a flipped bit", "another object"])
def test_a_damaged_file_is_replaced_with_a_note(damage: str, cache: StateCache, said, steps: Steps) -> None:
    whole = city(days=70)
    model, cube = fitted(network(whole)), until(whole, 65 * 24)
    model.forecast(cube, np.array([cube.steps]), cache)
    (path,) = cache.folder.iterdir()
    content = bytearray(path.read_bytes())
    if damage == "half":
        content = content[: len(content) // 2]
    elif damage == "a flipped bit":
        content[len(content) // 2] ^= 4
    if damage == "another object":
        torch.save([torch.zeros(3)], path)
    else:
        path.write_bytes({"empty": b"", "text": b"not a walk"}.get(damage, bytes(content)))
    cube = until(whole, 66 * 24)
    assert_as_replayed(model, cube, cube.steps, cache)
    assert len(said) == 1
    assert "damaged" in said[0]
    assert "\n" not in said[0]
    assert steps.of(lambda: model.forecast(cube, np.array([cube.steps]), cache)) == 0


def test_a_folder_that_cannot_be_written(tmp_path: Path, said) -> None:
    (tmp_path / "state").write_text("a file")
    model, cube = fitted(MAKERS["climatology"](city(days=65))), city(days=65)
    assert_as_replayed(model, cube, cube.steps, StateCache(tmp_path / "state", said.append))
    assert len(said) == 1
    assert "not kept" in said[0]


def test_what_carries_nothing_keeps_nothing(cache: StateCache) -> None:
    cube = city(days=65)
    assert_as_replayed(fitted(LastWeek(settings())), cube, cube.steps, cache)
    assert not cache.folder.exists()
