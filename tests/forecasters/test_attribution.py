"""Why a number is what it is: parts that add up to log λ, and what they are of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from small_cities import city, fitted, places, split_of, with_events, with_small_trees
from torch import Tensor

from stforecast.cube import Cube, Series
from stforecast.cube.covariates import Covariate
from stforecast.features.builder import FeatureBuilder, State
from stforecast.features.groups import Read
from stforecast.features.scaling import Scales
from stforecast.forecasters.attribution import Attribution, attribute, shapley
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.recalibration import changes
from stforecast.forecasters.state_cache import StateCache
from stforecast.forecasters.streaming import LearnedForecaster, as_array

SPANS = [range(24), range(3, 11)]


def parts_of(forecaster: Forecaster, cube: Cube, folder: Path, issue: int | None = None) -> Attribution:
    """The parts of all cells, held against the forecast."""
    issue, cache = cube.steps if issue is None else issue, StateCache(folder, print)
    lam = forecaster.forecast(cube, np.array([issue]), cache).intensity[0].astype(np.float64)
    found = attribute(forecaster, cube, issue, cache, np.arange(cube.n), SPANS)
    assert found is not None
    expected = np.stack([lam[span.start : span.stop].sum(0).T for span in SPANS])
    expected = np.concatenate([expected.sum(1, keepdims=True), expected], 1) if cube.c > 1 else expected
    assert abs(found.parts.sum(0) - np.log(expected)).max() < 1e-5
    return found


def of(found: Attribution, group: str) -> np.ndarray:
    """The part of a group in the horizon, all categories together: [n]."""
    return found.parts[found.groups.index(group), 0, 0]


@pytest.mark.parametrize("conv", ["hex", "gcn", "cheb", "diffusion", "none"])
def test_network(conv: str, tmp_path: Path) -> None:
    cube = city(days=90, late=True, weather=True, excitation=0.05)
    forecaster = fitted("gcrn", cube, model={"conv": conv}, seeds=2).calibrate(cube, split_of(cube))
    for after in (0, 24, 5, -48):
        parts_of(forecaster, cube, tmp_path, cube.steps + after)


@pytest.mark.parametrize("name", ["hist_gradient_boosting", "random_forest", "ensemble", "rolling_climatology"])
def test_others(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_small_trees(monkeypatch, 3000)
    cube = city(days=90, late=True, weather=True, excitation=0.05)
    pool = {"ensemble": ["gcrn", "hist_gradient_boosting", "rolling_climatology"]}
    forecaster = fitted(name, cube, evaluation=pool).calibrate(cube, split_of(cube))
    found = parts_of(forecaster, cube, tmp_path)
    assert not of(found, "calendar").any() if "calendar" in found.groups else found.groups == ("usual", "city")
    parts_of(forecaster, cube, tmp_path, cube.steps + 24)


def test_what_cannot_be_taken_apart_is_not_given(tmp_path: Path) -> None:
    cube = city(days=60)
    found = attribute(fitted("last_week", cube), cube, cube.steps, StateCache(tmp_path, print), np.arange(3), SPANS)
    assert found is None


def test_steps_that_were_not_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_small_trees(monkeypatch, 3000)
    cube = city(days=90)
    masked = np.zeros((cube.steps, cube.c), bool)
    masked[-60:-20] = True
    cube = replace(with_events(cube, ~masked[cube.hour, cube.category]), masked=masked)
    parts_of(fitted("hist_gradient_boosting", cube), cube, tmp_path)


def test_shapley_values_of_known_games() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=4)
    members = np.arange(16)[:, None] >> np.arange(4) & 1
    assert shapley(members @ weight) == pytest.approx(weight)  # an additive game
    game = rng.normal(size=16)
    assert shapley(game).sum() == pytest.approx(game[-1] - game[0])
    both = (members[:, 0] & members[:, 1]).astype(float)  # one is worth nothing without the other; two are dummies
    assert shapley(both).tolist() == [0.5, 0.5, 0, 0]


class LogLinear(LearnedForecaster):
    """λ = λ₀ · exp(½ × a ratio by hour of the day − ¼ × rain)."""

    name = "log_linear"

    def fingerprint(self) -> tuple[int, str]:
        return self.scales.until, self.name

    def init_state(self, reader: FeatureBuilder, phase: int) -> State:
        return reader.init_state(phase)

    def step(self, reader: FeatureBuilder, state: State, count: int, wanted: Any) -> dict[int, np.ndarray]:
        batch = reader.step(state, count)
        parts = [batch.part(slice(i, i + 1)) for i in range(count)]
        return {one.issues[0]: self.forecast_features(reader, state, one) for one in parts if one.issues[0] in wanted}

    def forecast_features(self, reader: Any, state: State, batch: Any, covariates: Any = None) -> np.ndarray:
        covariates = covariates or reader.covariates
        rain = covariates.target[reader.events.at(covariates.targets_of(batch.issues))[0], -2]
        return as_array((batch.log_rate[0] + 0.5 * batch.seasonal[0, 0] - 0.25 * rain[:, None]).exp())

    def forecast_read(self, reader: FeatureBuilder, read: Read, before: Tensor, cells: np.ndarray) -> np.ndarray:
        return self.forecast_features(reader, {}, read.ahead, read.covariates)[:, cells]


def test_a_log_linear_forecaster_gives_its_own_terms(tmp_path: Path) -> None:
    cube = city(days=90, weather=True)
    forecaster, issue = LogLinear(), np.array([cube.steps])
    forecaster.scales = Scales.of(cube, cube.steps // 2)
    cache = StateCache(tmp_path, print)
    found = attribute(forecaster.uncalibrated(cube), cube, cube.steps, cache, np.arange(cube.n), [range(5, 6)])
    assert found is not None
    part = dict(zip(found.groups, found.parts[:, 0, 1:], strict=True))  # [c n] of the sixth hour
    reader, state = cache.state(forecaster, cube, cube.steps, 0)
    factor, power = (one[0][:, None] for one in changes(cube, issue, forecaster.past(cube, issue, cache)))
    ratio = reader.at_issue(state, cube.steps).seasonal[0, 0, :, 5].numpy()
    assert part["last_days"] == pytest.approx(0.5 * power * ratio, abs=1e-5)
    rain = reader.scales.future.window(cube.future, 0, cube.steps + 6)
    rows = rain[[cube.steps + 5 - 24 * back for back in range(1, 15)]]
    now = rain[-1, 0] - rows[:, 0].sum() / rows[:, 1].sum() if rain[-1, 1] else 0
    assert part["weather"] == pytest.approx(np.broadcast_to(-0.25 * power * now, (2, cube.n)), abs=1e-5)
    assert part["city"] == pytest.approx(np.broadcast_to(np.log(factor), (2, cube.n)), abs=1e-5)
    assert not part["neighbours"].any()
    assert not part["calendar"].any()


def test_cells_that_are_split_together_are_as_alone(tmp_path: Path) -> None:
    cube = city(days=90, late=True, rings=3, excitation=0.05)
    forecaster, cache = fitted("gcrn", cube, model={"conv": "diffusion"}), StateCache(tmp_path, print)
    together = attribute(forecaster, cube, cube.steps, cache, np.arange(cube.n), SPANS)
    assert together is not None
    for cell in (0, 9, 17):
        alone = attribute(forecaster, cube, cube.steps, cache, np.array([cell]), SPANS)
        assert alone is not None
        assert alone.parts[..., 0] == pytest.approx(together.parts[..., cell], abs=1e-6)


PLACE = 20


def moved(days: int = 240, seed: int = 3, **change: bool) -> Cube:
    """A city whose level drifts, whose places have spells, and whose storms keep people at home.

    change: what happens in the end: a `surge` in one place, a `level` of the whole city, or a `storm` ahead.
    """
    rng, place = np.random.default_rng(seed), places(2)
    n = len(place["hexagons"])
    level = np.ones(days)
    for day in range(1, days):
        level[day] = np.exp(0.9 * np.log(level[day - 1]) + rng.normal(0, 0.15))
    spell = np.ones((days, n))
    for at in range(n):
        for first in np.flatnonzero(rng.random(days - 4) < 0.02):
            spell[first : first + 8, at] = 4
    level[-10:], spell[-10:] = 1, 1
    rain = np.zeros((days + 2) * 24, np.float32)
    for day in np.flatnonzero(rng.random(days) < 0.2):
        rain[24 * day : 24 * day + 24] = 10
    rain[-4 * 24 :] = 0
    if change.get("surge"):
        spell[-5:, PLACE] = 8
    if change.get("level"):
        level[-10:] = 2.5
    if change.get("storm"):
        rain[days * 24 :] = 10
    lam = (
        2.0
        / 24
        * level[:, None, None]
        * spell[:, :, None]
        * np.where(rain[: days * 24] > 0, 0.3, 1).reshape(days, 1, 24)
    )
    day, hexagon, hour = np.nonzero(counts := rng.poisson(lam))
    options = {"start": city(days=30).start, "time_zone": "America/Denver", "country": "US"}
    hours = hour + 24 * day
    late = np.where(rng.random(len(hours)) < 0.5, 0, rng.integers(24, 24 * 8, len(hours)))
    if change.get("late"):
        extra = rng.integers((days - 7) * 24, (days - 2) * 24, 40)
        hours, hexagon = np.r_[hours, extra], np.r_[hexagon, np.full(40, PLACE)]
        late = np.r_[late, days * 24 - 5 - extra]
    number = np.r_[counts[day, np.nonzero(counts)[1], hour], np.ones(len(hours) - len(day))]
    known = hours + late if "late" in change else None
    return Cube.from_events(
        hours, hexagon, np.zeros(len(hours), int), known, number, name="moved", steps=days * 24, categories=("all",),
        future=Series(("rain",), rain[:, None]), **options, **place,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "group", "sign"),
    [("surge", "last_days", 1), ("level", "city", 1), ("storm", "weather", -1), ("late", "late", 1)],
)
def test_what_happened_is_named(
    change: str, group: str, sign: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stforecast.forecasters.trees.Trees.quiet_rows", 20_000)
    learned = moved(late=False) if change == "late" else moved()
    forecaster = fitted("hist_gradient_boosting", learned)
    found = parts_of(forecaster, moved(**{change: True}), tmp_path)
    here = {name: of(found, name)[PLACE] for name in found.groups[1:]}
    assert max(here, key=lambda name: abs(here[name])) == group, here
    assert sign * here[group] > 0.2


def test_a_planned_event_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stforecast.forecasters.trees.Trees.quiet_rows", 20_000)
    cube, rng = city(days=150), np.random.default_rng(0)
    begin = np.arange(5, 152, 9) * 24
    begin = np.append(begin[begin < cube.steps], cube.steps)
    rows = {"first": begin, "last": begin + 24, "cell": 3, "value": 1.0, "known": begin - 48}
    hours = np.concatenate([first + rng.integers(0, 24, 20) for first in begin[:-1].tolist()])
    more = {"hour": hours, "known_hour": hours, "hexagon": np.full_like(hours, 3), "category": hours % 2}
    cube = with_events(cube, cube.hour >= 0, **more, weight=np.ones(len(hours)))
    cube = replace(cube, covariates=(Covariate.of("festival", "planned", pd.DataFrame(rows)),))
    found = parts_of(fitted("hist_gradient_boosting", cube), cube, tmp_path)
    here = {name: of(found, name)[3] for name in found.groups[1:]}
    assert max(here, key=lambda name: abs(here[name])) == "covariates", here
    assert here["covariates"] > 1
    assert abs(np.delete(of(found, "covariates"), 3)).max() < 0.2
