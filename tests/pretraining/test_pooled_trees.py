"""Trees of many cities: the same for the same seed, carried to any city, and the start of its own trees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stforecast.config import Config
from stforecast.config.sections import KINDS
from stforecast.errors import ArtefactError, ConfigError
from stforecast.features.builder import FeatureBuilder
from stforecast.features.canonical_rows import COLUMNS, canonical_rows
from stforecast.features.scaling import Scales
from stforecast.features.shared import SharedRhythms
from stforecast.forecasters.trees import PooledTrees, Trees
from stforecast.forecasters.trees.zoo import CatBoost, HistGradientBoosting, LightGBM, XGBoost
from stforecast.pretraining.episodes import Episode, episode
from stforecast.pretraining.prior import draw_city
from stforecast.pretraining.trees import draw_rows, pooled_trees
from stforecast.testing import check_forecaster, small_city


def episodes() -> list[Episode]:
    return [episode([draw_city(seed, 60)], seed) for seed in range(3)]


@pytest.fixture(scope="module")
def pooled() -> PooledTrees:
    return pooled_trees(episodes())


@pytest.fixture(autouse=True)
def _few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Trees, "quiet_rows", 3_000)


def test_equal_seeds_give_equal_bytes(pooled: PooledTrees, tmp_path: Path) -> None:
    again, other = pooled_trees(episodes()), pooled_trees(episodes(), seed=1)
    assert again.text == pooled.text != other.text
    pooled.save(tmp_path)
    opened = PooledTrees.load(tmp_path)
    rows = np.random.default_rng(0).normal(size=(100, len(COLUMNS))).astype(np.float32)
    np.testing.assert_array_equal(opened.trees.margin(rows), pooled.trees.margin(rows))


@pytest.mark.parametrize("categories", [1, 6])
def test_any_number_of_categories_reads_the_same_columns(categories: int, pooled: PooledTrees) -> None:
    cube = next(cube for cube in (draw_city(seed, 40) for seed in range(40)) if cube.c == categories)
    patch = min(cube.step.per_day, cube.horizons)
    builder = FeatureBuilder(cube, Scales.of(cube, cube.steps // 2), patch)
    batch = builder.step(builder.init_state(0), 20)
    rows = canonical_rows(builder, batch)
    assert rows.shape == (batch.log_rate.numel(), len(COLUMNS))
    factor = pooled.log_factor(builder, batch)
    assert torch.isfinite(factor).all()
    model = LightGBM(start=pooled, n_estimators=5).fit(cube, split := cube.split(0.6, 0.2))
    assert np.isfinite(model.raw(cube, split.issues("test")[:1])).all()


def test_columns_by_hand() -> None:
    """Numbers of scale, and NaN for what a city does not have; a row of all steps of an issue."""
    cube = small_city(40)
    builder = FeatureBuilder(cube, Scales.of(cube, 20 * 24), 24)
    batch = builder.step(builder.init_state(0), 20)
    at = tuple(torch.tensor([place]) for place in (19, 5, 3, 1))
    row = dict(zip(COLUMNS, canonical_rows(builder, batch, at)[0].tolist(), strict=True))
    issue = batch.issues[-1]
    hour = (cube.time_of(issue + 5)).hour
    expected = {"hours_ahead": 6, "hour": hour, "weekday": cube.time_of(issue + 5).dayofweek, "age_days": issue / 24}
    expected |= {"events_seen": np.log1p((cube.known_hour < issue).sum()), "categories": 2, "step_hours": 1}
    expected |= {"per_day": float(batch.log_rate.exp()[19, 1, :, 3].sum().log())}
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-5), name
    for name in ("before_temperature_2m", "ahead_precipitation", "late_0"):
        assert np.isnan(row[name])


def test_own_trees_start_from_the_pooled_ones(pooled: PooledTrees, tmp_path: Path) -> None:
    """λ = λ₀ · pooled factor · own factor; where own trees do not help, λ₀ · pooled factor."""
    cube = small_city(60)
    split = cube.split(0.6, 0.2)
    issues = split.issues("test")[:2]
    model = XGBoost(start=pooled)
    model.learn(cube, split)
    rows = model.rows(cube, split)
    sample, held_out = rows.training(0), model.held_out(rows)
    np.testing.assert_allclose(sample.start, sample.rate * np.exp(sample.rows[:, -1]), rtol=1e-5)
    held_out.counts[:] = 0  # nothing to choose by
    model.fits = [model.fit_rows(sample, held_out)]
    assert model.fits[0].rounds == 0
    found = model.raw(cube, issues)
    builder = FeatureBuilder(cube, model.scales, 24)
    state = builder.init_state(int(issues[0]) % 24)
    builder.skip(state, int(issues[0]) // 24)
    batch = builder.step(state, 1)
    expected = batch.log_rate.permute(0, 2, 3, 1).flatten() + pooled.log_factor(builder, batch)[:, 0]
    np.testing.assert_allclose(found[0].ravel(), expected.exp(), rtol=1e-4)
    model.save_fit(tmp_path)
    opened = XGBoost()
    opened.load_fit(tmp_path)
    np.testing.assert_array_equal(found, opened.raw(cube, issues))
    assert opened.fingerprint() == model.fingerprint()


@pytest.mark.parametrize("kind", [LightGBM, HistGradientBoosting])
def test_nothing_later_reaches_it(kind: Any, pooled: PooledTrees, monkeypatch: pytest.MonkeyPatch) -> None:
    size = "max_iter" if kind is HistGradientBoosting else "n_estimators"
    monkeypatch.setattr("stforecast.testing.HORIZONS", {"hour": 24, "day": 7})  # not of months
    check_forecaster(kind, start=pooled, **{size: 10})


def test_rhythms_that_the_trees_rest_on_come_with_them(pooled: PooledTrees, tmp_path: Path) -> None:
    flat, k = np.ones(168).tolist(), len(KINDS) + 1
    shared = SharedRhythms([flat] * k, [500.0] * k, [2.0] * k, [3.0, 4.0], [flat], [1.0])
    cube = small_city(60)
    split = cube.split(0.6, 0.2)
    model = LightGBM(start=replace(pooled, shared=shared), n_estimators=5).fit(cube, split)
    assert model.scales.shared == shared
    model.save(tmp_path)
    opened = PooledTrees.load(tmp_path / "start")
    assert opened == model.start
    replace(opened, shared=None).save(tmp_path / "start")
    assert PooledTrees.load(tmp_path / "start").shared is None
    model.save(tmp_path)
    issues = split.issues("test")[:1]
    np.testing.assert_array_equal(LightGBM.load(tmp_path).raw(cube, issues), model.raw(cube, issues))
    _, told = draw_rows(one := episodes()[0], np.random.default_rng(0), shared)
    assert not np.array_equal(told.rate[:5], draw_rows(one, np.random.default_rng(0))[1].rate[:5])


def test_what_an_episode_gives_is_known_to_it() -> None:
    """Rows of the same episode are the same, and stand for all of its cells."""
    one = episodes()[0]
    (city, rows), (_, again) = (draw_rows(one, np.random.default_rng(0)) for _ in range(2))
    assert city == one.city
    np.testing.assert_array_equal(rows.rows, again.rows)
    assert (rows.rate * rows.weight).sum() == pytest.approx(rows.counts.sum(), rel=0.3)


def test_what_cannot_start_says_so(pooled: PooledTrees, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot start from trees that expect counts"):
        CatBoost(start=pooled)
    with pytest.raises(ConfigError, match="episodes of two cities at least"):
        pooled_trees(episodes()[:1])
    months = small_city(60, step="month")
    with pytest.raises(ConfigError, match="hours and days, not months"):
        LightGBM(start=pooled).fit(months, months.split(0.6, 0.2))
    PooledTrees(pooled.text.replace("log_rate_all", "something")).save(tmp_path)
    with pytest.raises(ArtefactError, match="other columns"):
        PooledTrees.load(tmp_path)
    PooledTrees("tree").save(tmp_path)
    with pytest.raises(ArtefactError, match="cannot be opened as pooled trees"):
        PooledTrees.load(tmp_path)


def test_pooled_trees_are_carried_as_they_are_where_nothing_is_to_be_adapted(
    pooled: PooledTrees, tmp_path: Path
) -> None:
    cube, config = small_city(), Config(city="town")
    split = cube.split(0.6, 0.2)
    kept = config.model_copy(update={"training": config.training.model_copy(update={"adapt": "none"})})
    carried = LightGBM(kept, start=pooled).fit(cube, split)
    assert [fit.rounds for fit in carried.fits] == [0]
    assert carried.fitted.remark == "the pooled trees as they are"  # no validation slice was asked
    issue = split.issues("test")[:1]
    reader = carried.reader(cube)
    state = carried.init_state(reader, int(issue[0]) % reader.patch)
    reader.skip(state, int(issue[0]) // reader.patch)
    batch = reader.step(state, 1)
    expected = batch.log_rate.exp().permute(0, 2, 3, 1).flatten() * pooled.log_factor(reader, batch).exp()[:, 0]
    np.testing.assert_allclose(carried.raw(cube, issue).ravel(), expected.numpy(), rtol=1e-5)
    carried.save(tmp_path)
    np.testing.assert_array_equal(LightGBM.load(tmp_path, kept).raw(cube, issue), carried.raw(cube, issue))
    scratch = LightGBM(config).fit(cube, split)
    scratch.save(tmp_path)  # where the other was
    np.testing.assert_array_equal(LightGBM.load(tmp_path, config).raw(cube, issue), scratch.raw(cube, issue))
