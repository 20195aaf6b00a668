"""Simulated cities: valid, the same for the same seed, and as wide as said."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from stforecast.cube import Cube, Series
from stforecast.features.builder import FeatureBuilder
from stforecast.features.scaling import Scales
from stforecast.pretraining.cascade import Events, Excitation, Neighbours, base_events, known, offspring, runs
from stforecast.pretraining.prior import draw_city

EDGES = np.array([[0, 1, 1, 2], [1, 0, 2, 1]])


@pytest.fixture(scope="module")
def cities() -> list[Cube]:
    return [draw_city(seed) for seed in range(100)]


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, pd.DataFrame):
        return one.equals(other)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, Series):
        return one.names == other.names and equal(one.values, other.values)
    return one == other


def test_equal_seeds_give_equal_cubes(cities: list[Cube]) -> None:
    for seed in (3, 4, 5):
        one, other = cities[seed], draw_city(seed)
        assert all(equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Cube))
    assert len({len(cube.hour) for cube in cities}) > 90


def test_cities_are_valid_and_of_many_kinds(cities: list[Cube]) -> None:
    for cube in cities:
        assert 40 <= cube.n <= 250
        assert 1 <= cube.c <= 6
        assert 50 < cube.weight.sum() < 1_000_000
        assert (cube.weight >= 1).all()
        graph = csr_array((np.ones(cube.edges.shape[1]), tuple(cube.edges)), shape=(cube.n, cube.n))
        assert connected_components(graph)[0] == 1
        assert 30 <= round(cube.steps * cube.step.days) <= 900
        assert cube.kinds is not None
        assert cube.kinds.dtype == np.float32
        assert np.isin(cube.kinds.sum(1).round(5), [0, 1]).all()
        assert len(cube.weather.values) in (0, cube.steps)
        assert len(cube.future.values) in (0, cube.steps + cube.step.ahead + cube.horizons)
    kinds = {(cube.step_unit, cube.step_hours) for cube in cities}
    assert len(kinds) >= 5
    for some in ("late", "gaps"):
        assert 0.02 < np.mean([bool(getattr(cube, some)) for cube in cities]) < 0.9
    assert len({cube.time_zone for cube in cities}) > 10
    assert {cube.resolution for cube in cities} == {7, 8, 9}


def test_days_can_be_chosen() -> None:
    assert draw_city(1, days=90).steps * draw_city(1, days=90).step.days == 90


@pytest.mark.parametrize("seed", range(0, 100, 4))
def test_features_can_be_built(cities: list[Cube], seed: int) -> None:
    record = cities[seed]
    patch, days = record.step.per_day, record.steps // record.step.per_day
    until = (days - 12) * patch
    cube = record.as_known(until)
    builder = FeatureBuilder(cube, Scales.of(cube, until), patch, past_end=cube.horizons)
    state = builder.init_state(0)
    builder.skip(state, days - 10)
    batch = builder.step(state, 5)
    for name in ("log_rate", "features", "patch", "recent", "seasonal", "late"):
        assert torch.isfinite(getattr(batch, name)).all(), name


def test_holes_are_empty(cities: list[Cube]) -> None:
    gaps = [(cube, gap) for cube in cities for gap in cube.gaps]
    assert len(gaps) > 5
    for cube, gap in gaps:
        inside = (cube.hour >= gap.first) & (cube.hour < gap.last)
        assert not (inside & (gap.category is None or cube.category == gap.category)).any()


def test_late_reports_are_known_later(cities: list[Cube]) -> None:
    late = [cube for cube in cities if (cube.known_hour > cube.hour + cube.step.per_day).mean() > 0.05]
    assert len(late) > 20
    rng = np.random.default_rng(0)
    hour, category = rng.integers(0, 1000, 5000), rng.integers(0, 3, 5000)
    for _ in range(20):
        at = known(rng, hour, category, 3)
        assert (at >= hour).all()
        assert (at > hour).any()


def test_branching_is_recovered_and_offspring_come_after_their_parents() -> None:
    rng = np.random.default_rng(0)
    how = Excitation(np.array([0.5, 0.2]), np.array([[0.7, 0.3], [0.0, 1.0]]), np.full((2, 2), 24.0), np.ones(2), 0.25)
    size, begin = 40_000, 500
    parents = Events(np.full(size, begin), np.ones(size, int), np.arange(size) % 2)
    first = offspring(rng, parents, how, Neighbours(EDGES, 3), 10_000)[0]
    assert (first.hour > begin).all()
    assert abs(len(first.hour) / size - 0.35) < 0.01
    assert abs((first.category == 0).mean() - 0.7 * 0.25 / 0.35) < 0.02
    assert abs((first.hexagon != 1).mean() - 0.25) < 0.02
    assert abs(np.median(first.hour - begin) - 24) < 1.5
    everything = offspring(rng, parents, how, Neighbours(EDGES, 3), 10_000)
    total = np.linalg.solve(np.eye(2) - (how.branching[:, None] * how.mixing).T, np.full(2, size / 2)).sum()
    assert abs(sum(len(part.hour) for part in everything) / (total - size) - 1) < 0.03
    assert all((part.hour < 520).all() for part in offspring(rng, parents, how, Neighbours(EDGES, 3), 520))


def test_base_events_follow_their_intensity() -> None:
    rng = np.random.default_rng(1)
    curve = rng.gamma(2, 1, (2, 2, 40))
    weight = rng.gamma(2, 10, (3, 3, 2))
    weight[:, 1] = 0
    kind = np.array([0, 1, 1])
    times = 200
    found = np.zeros((40, 3, 2))
    for _ in range(times):
        events = base_events(rng, weight, curve, kind, 16)
        np.add.at(found, (events.hour, events.hexagon, events.category), 1 / times)
    expected = weight[np.arange(40) // 16] * curve[kind].transpose(2, 0, 1)
    assert (abs(found - expected) <= 5 * np.sqrt(expected / times)).all()


def test_series_keep_the_hour_and_mass_events_the_place() -> None:
    rng = np.random.default_rng(2)
    heads = Events(np.array([5, 7]), np.array([0, 2]), np.array([1, 0]))
    series = runs(rng, heads, 1.0, 3.0, 24, 10_000)
    assert set(series.hour[series.hexagon == 0] % 24) == {5}
    assert set(series.hour[series.hexagon == 2] % 24) == {7}
    mass = runs(rng, heads, 1.0, 3.0, 0, 10_000)
    assert (mass.hour[mass.hexagon == 0] - 5 < 4).all()
    assert (runs(rng, heads, 1.0, 3.0, 24, 40).hour < 40).all()
