"""Kernel density against plain sums over all events and hexagons, and what its bandwidths are chosen by."""

from __future__ import annotations

import h3
import numpy as np
import pytest
from small_cities import city, fitted, half_late, settings, split_of

from stforecast.cube import Cube
from stforecast.errors import ArtefactError
from stforecast.forecasters.kernel import BANDWIDTHS, HALF_LIVES, Kernel, Spreading, likelihoods


def direct(cube: Cube, s: int, half_life: float, bandwidth: float, category: int) -> np.ndarray:
    """Density of a category over the hexagons at step s, event by event; distances along great circles."""
    at = cube.hexagons[["latitude", "longitude"]].to_numpy()
    distance = np.array([[h3.great_circle_distance(a, b) for b in at] for a in at])
    nearest = np.sort(distance, 1)[:, 1]
    d = distance / np.median(nearest)
    out = np.zeros(cube.n)
    for t, i, c, known, weight in zip(
        cube.hour, cube.hexagon, cube.category, cube.known_hour, cube.weight, strict=True
    ):
        if c == category and known < s:
            near = np.exp(-((d[i] / bandwidth) ** 2) / 2) * (d[i] <= 3 * bandwidth)
            out += weight * 2 ** (-(s - 1 - t) / (24 * half_life)) * near / near.sum()
    return (out + 1 / cube.n) / (out.sum() + 1)


@pytest.mark.parametrize("late", [False, True])
def test_equals_a_sum_over_events(late: bool) -> None:
    cube = city(days=50, late=late)
    kernel = Kernel(settings())
    kernel.learn(cube, split_of(cube))
    kernel.half_lives, kernel.bandwidths = [14.0, 56.0], [0.8, 2.0]
    issues = np.array([1000, 1007, 900])
    found = kernel.raw(cube, issues)
    total = fitted("rolling_climatology", cube).raw(cube, issues).sum(2)
    for i, s in enumerate(issues.tolist()):
        for c in range(2):
            expected = direct(cube, s, kernel.half_lives[c], kernel.bandwidths[c], c)
            np.testing.assert_allclose(found[i, ..., c], total[i, :, None, c] * expected, rtol=1e-4)


@pytest.mark.parametrize("delay", [0, 100])
def test_likelihoods_equal_a_sum_over_days(delay: int) -> None:
    """Days of which reports are still missing when training ends do not count."""
    cube = half_late(city(days=30, rate=0.3), delay)
    split, warm_up = split_of(cube), 6 * 24
    found = likelihoods(cube, split, warm_up)
    h, b = HALF_LIVES.index(14), BANDWIDTHS.index(0.8)
    for c in range(2):
        expected = 0.0
        for s in range(warm_up, split.train_end - delay - 23, 24):
            log = np.log(direct(cube, s, 14, 0.8, c))
            day = (cube.hour >= s) & (cube.hour < s + 24) & (cube.category == c)
            expected += float(log[cube.hexagon[day]] @ cube.weight[day])
        np.testing.assert_allclose(found[h, b, c], expected, rtol=1e-5)


def chosen(rates: np.ndarray) -> tuple[float, float]:
    """Half-life and bandwidth for events drawn at daily rates [t n] on a row of hexagons."""
    counts = np.random.default_rng(0).poisson(rates)
    row = np.arange(rates.shape[1] - 1)
    edges = np.concatenate([[row, row + 1], [row + 1, row]], 1)
    cube = Cube.from_dense(counts, edge_index=edges, step_hours=24, horizons=1)
    kernel = Kernel(settings())
    kernel.learn(cube, split_of(cube))
    return kernel.half_lives[0], kernel.bandwidths[0]


def test_bandwidths_follow_the_record() -> None:
    days, n = 300, 30
    scattered = np.tile(np.random.default_rng(1).gamma(0.5, 2, n), (days, 1))
    assert chosen(scattered) == (max(HALF_LIVES), 0)
    # A hot spot that moves one hexagon in ten days.
    moving = np.exp(-((np.arange(n) - np.arange(days)[:, None] / 10) ** 2) / 4)
    half_life, bandwidth = chosen(0.1 + moving)
    assert half_life <= 28
    assert bandwidth >= 0.5
    # The same rate everywhere, and few events.
    assert chosen(np.full((days, n), 0.01))[1] == max(BANDWIDTHS)


def test_hops_stand_in_for_missing_coordinates() -> None:
    counts = np.ones((3, 7))
    row = np.arange(6)
    edges = np.concatenate([[row, row + 1], [row + 1, row]], 1)
    line = np.stack([2.5 * np.arange(7), np.zeros(7)], 1)
    hops, plane = Cube.from_dense(counts, edge_index=edges), Cube.from_dense(counts, coordinates=line)
    for width in BANDWIDTHS:
        kernel = Spreading(hops).kernel(width).toarray()
        np.testing.assert_allclose(kernel, Spreading(plane).kernel(width).toarray(), rtol=1e-9)
        np.testing.assert_allclose(kernel.sum(0), 1)
    np.testing.assert_array_equal(Spreading(hops).kernel(0).toarray(), np.eye(7))


def test_a_hexagon_alone_keeps_its_events() -> None:
    cube = city(days=2)
    (alone,) = np.setdiff1d(np.arange(cube.n), cube.edges[0])
    for width in BANDWIDTHS:
        assert Spreading(cube).kernel(width).toarray()[alone, alone] == pytest.approx(1)


def test_unfitted() -> None:
    with pytest.raises(ArtefactError, match="not fitted"):
        Kernel(settings()).forecast(city(2), np.array([24]))
