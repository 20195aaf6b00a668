"""The self-exciting process: sums against double loops, its fit against scipy and the truth, its mean by simulation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from small_cities import city, half_late, settings, split_of

from stforecast.cube import Cube
from stforecast.errors import ArtefactError
from stforecast.features.climatology import Climatology
from stforecast.features.decayed import sums_at
from stforecast.features.scaling import Scales
from stforecast.features.stream import EventStream
from stforecast.files import read_json
from stforecast.forecasters.hawkes import HALF_LIFE_HOURS, ExcitationSums, Hawkes
from stforecast.forecasters.mixture import fit_mixture

H = len(HALF_LIFE_HOURS)


def learned(cube: Cube) -> Hawkes:
    hawkes = Hawkes(settings())
    hawkes.learn(cube, split_of(cube))
    return hawkes


def decayed(cube: Cube, half_lives: np.ndarray, *steps: int) -> list[np.ndarray]:
    """The decayed sums [n h c] at steps."""
    found = sums_at(EventStream(cube, 24), torch.as_tensor(half_lives), steps)
    return [sums.permute(2, 0, 1).numpy() for sums in found]


def direct_excitation(cube: Cube, steps: range, known_before: int, n: int, c: int) -> np.ndarray:
    """φ by direct loops over events and places, [t n place h c]."""
    neighbours = {i: cube.edges[1, cube.edges[0] == i].tolist() for i in range(n)}
    out = np.zeros((len(steps), n, 2, H, c))
    events = [
        e
        for e in zip(cube.hour, cube.hexagon, cube.category, cube.weight, cube.known_hour, strict=True)
        if e[4] < known_before
    ]
    for i, t in enumerate(steps):
        for s, hexagon, category, weight, _ in events:
            if s >= t:
                continue
            for h, half_life in enumerate(HALF_LIFE_HOURS):
                rho = 0.5 ** (cube.step_hours / half_life)
                added = weight * (1 - rho) * rho ** (t - 1 - s)
                out[i, hexagon, 0, h, category] += added
                for other in neighbours[hexagon]:
                    out[i, other, 1, h, category] += added / len(neighbours[hexagon])
    return out


def test_sums_equal_loops_over_events() -> None:
    cube = city(days=3, rate=0.6)
    excitation, steps = ExcitationSums(cube), range(cube.steps)
    expected = direct_excitation(cube, steps, cube.steps, cube.n, cube.c).reshape(cube.steps, cube.n, -1)
    before, last = excitation.step(torch.zeros(cube.n, excitation.f // 2), cube.dense())
    for t in (0, 30, 71):
        np.testing.assert_allclose(excitation(before[t]).numpy(), expected[t], atol=1e-5)
    np.testing.assert_allclose(
        last.view(cube.n, H, cube.c).numpy(), decayed(cube, excitation.half_lives, cube.steps)[0], rtol=1e-4
    )
    t, n = torch.tensor([5, 71, 40]), torch.tensor([0, 3, cube.n - 1])
    np.testing.assert_allclose(excitation.at(before, t, n).numpy(), expected[t, n], atol=1e-5)
    factor = torch.rand(cube.steps, cube.n, cube.c)
    total = np.einsum("tnc,tnf->cf", factor.numpy(), expected)
    np.testing.assert_allclose(excitation.total(before, factor).numpy(), total, rtol=1e-4)


def test_late_reports_decay_from_their_occurrence() -> None:
    cube = city(days=8, late=True, rate=0.6)
    half_lives, steps = np.array(HALF_LIFE_HOURS), (50, 51, 130, 180)
    for s, sums in zip(steps, decayed(cube, half_lives, *steps), strict=True):
        expected = np.zeros((cube.n, H, cube.c))
        for t, n, c, known, weight in zip(
            cube.hour, cube.hexagon, cube.category, cube.known_hour, cube.weight, strict=True
        ):
            if known < s:
                expected[n, :, c] += weight * 0.5 ** ((s - 1 - t) / half_lives)
        np.testing.assert_allclose(sums, expected, rtol=1e-5, atol=1e-6)


@given(seed=st.integers(0, 1000), cells=st.integers(1, 200), parts=st.integers(1, 6))
def test_every_iteration_raises_the_likelihood(seed: int, cells: int, parts: int) -> None:
    rng = np.random.default_rng(seed)
    phi = rng.gamma(0.5, 1, (cells, parts)) * (rng.random((cells, parts)) < 0.7)
    phi[:, 0] += 0.01
    events = rng.poisson(0.5, cells)
    at = events > 0
    theta, path = fit_mixture(phi[at], events[at], phi.sum(0))
    assert (np.diff(path) >= -1e-9 * np.abs(path[0])).all()
    assert (theta >= 0).all()
    assert theta[0] > 0


def test_the_weights_maximise_the_likelihood() -> None:
    rng = np.random.default_rng(4)
    phi = rng.gamma(0.5, 1, (4000, 5))
    truth = np.array([0.6, 0.0, 0.3, 0.05, 0.0])
    events = rng.poisson(phi @ truth)
    at = events > 0
    found, _ = fit_mixture(phi[at], events[at], phi.sum(0))

    def loss(theta: np.ndarray) -> float:
        return float(phi.sum(0) @ theta - events[at] @ np.log(phi[at] @ theta) + theta.sum() - np.log(theta[0]))

    best = minimize(loss, np.full(5, 0.2), bounds=[(1e-9, None)] * 5)
    assert loss(found) - best.fun < 0.05
    np.testing.assert_allclose(found, best.x, atol=0.01)
    np.testing.assert_allclose(found, truth, atol=0.05)


def test_weights_where_nothing_happened() -> None:
    theta, _ = fit_mixture(np.zeros((0, 3)), np.zeros(0), np.array([0.2, 5.0, 0.0]))
    np.testing.assert_allclose(theta[0], 1 / 1.2)
    assert (theta[1:] < 1e-3).all()


def simulated(days: int, base: float, own: float, ring: float, cross: float, half_life: float) -> Cube:
    """A process of two categories on a torus of six neighbours each: `base` events a hexagon and day, and what one
    event excites in its hexagon, in the ring (both of its own category) and, in its hexagon, of the other one.

    On a torus all hexagons are alike; elsewhere climatology knows which usually get more excitation.
    """
    rng, side = np.random.default_rng(2), 6
    n, (row, column) = side * side, np.divmod(np.arange(side * side), side)
    steps = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, -1), (-1, 1))
    target = np.concatenate([(row + i) % side * side + (column + j) % side for i, j in steps])
    edges = np.stack([np.tile(np.arange(n), 6), target])
    near = np.zeros((n, n))
    near[edges[1], edges[0]] = 1 / 6
    rho, z = 0.5 ** (1 / half_life), np.zeros((n, 2))
    counts = np.zeros((24 * days, n, 2))
    for t in range(len(counts)):
        counts[t] = rng.poisson(base / 24 + (1 - rho) * (own * z + ring * near @ z + cross * z[:, ::-1]))
        z = rho * z + counts[t]
    return Cube.from_dense(counts, edge_index=edges)


def test_known_branching_is_recovered() -> None:
    shortest = HALF_LIFE_HOURS[0]
    cube = simulated(400, 1.0, own=0.3, ring=0.2, cross=0.1, half_life=shortest)
    hawkes = learned(cube)
    own, ring = np.moveaxis(hawkes.weights[:, 1:].reshape(2, 2, H, 2), 1, 0)[:, :, 0]  # at the shortest half-life
    np.testing.assert_allclose(own, [[0.3, 0.1], [0.1, 0.3]], atol=0.03)
    np.testing.assert_allclose(ring, [[0.2, 0.0], [0.0, 0.2]], atol=0.03)
    # Slow parts and climatology can stand for each other, so what they share is less certain.
    np.testing.assert_allclose(hawkes.branching, [[0.5, 0.1], [0.1, 0.5]], atol=0.12)
    assert 0.5 < hawkes.branching_ratio < 0.85
    # Climatology holds all events, of which the background is a part.
    np.testing.assert_allclose(hawkes.weights[:, 0], 0.3, atol=0.15)


def test_the_expectation_is_the_mean_of_simulated_continuations() -> None:
    cube = city(days=20, rate=0.5)
    excitation, rng = ExcitationSums(cube), np.random.default_rng(0)
    hawkes = Hawkes(settings())
    hawkes.weights = np.concatenate([np.full((2, 1), 0.5), rng.gamma(0.3, 0.1, (2, excitation.f))], 1)
    sums = torch.as_tensor(decayed(cube, excitation.half_lives, cube.steps)[0], dtype=torch.float32)
    background = 2 * torch.rand(excitation.week, cube.n, cube.c, generator=torch.Generator().manual_seed(1))
    found = hawkes.expect(excitation, sums, background, 8).numpy()
    worlds, mean = 4000, np.zeros_like(found)
    z = sums.expand(worlds, -1, -1, -1).clone()
    rhythm = background / background.mean(0)
    excited = torch.as_tensor(hawkes.weights[:, 1:], dtype=torch.float32)
    for k in range(8):
        flat = z.permute(1, 0, 2, 3).reshape(cube.n, -1)
        ring = excitation.ring(flat).view(cube.n, worlds, -1).transpose(0, 1)
        phi = torch.cat([z.flatten(2) * excitation.gain, ring * excitation.gain], 2)
        lam = 0.5 * background[k] + rhythm[k] * (phi @ excited.T)
        mean[k] = lam.mean(0).numpy()
        events = torch.poisson(lam, torch.Generator().manual_seed(k))
        z = z * excitation.fade[:, None] + events[:, :, None]
    np.testing.assert_allclose(found, mean, rtol=0.1)
    np.testing.assert_allclose(found.sum((1, 2)), mean.sum((1, 2)), rtol=0.01)
    assert found[7].sum() > 0.5 * background[7].sum()


def test_the_forecast_by_direct_sums() -> None:
    cube = city(days=60, late=True, rate=0.4)
    hawkes = Hawkes(settings())
    hawkes.train_end, hawkes.scales = 40 * 24, Scales.of(cube, 40 * 24)
    excitation = ExcitationSums(cube)
    rng = np.random.default_rng(1)
    hawkes.weights = np.concatenate([np.full((2, 1), 0.6), rng.gamma(0.3, 0.05, (2, excitation.f))], 1)
    s = 50 * 24 + 5
    climatology = Climatology(excitation.events)
    state = climatology.learned_state(hawkes.train_end, 5)
    climatology.step(state, 5, 51)
    week = climatology.forecast(state, s, 168).permute(1, 2, 0).numpy()
    # share of reports that were known at each age, from events 60 days older than the end of training
    mature = cube.hour < hawkes.train_end // 2
    mature &= cube.known_hour < hawkes.train_end
    sums = decayed(cube, excitation.half_lives, s)[0].copy()
    for c in range(2):
        own = mature & (cube.category == c)
        delay, weight = (cube.known_hour - cube.hour)[own], cube.weight[own]
        for age in range(60 * 24):
            share = weight[np.minimum(delay, 1440) <= age].sum() / weight.sum()
            for h, half_life in enumerate(HALF_LIFE_HOURS):
                sums[:, h, c] += (1 - share) * week[(-1 - age) % 168, :, c] * 0.5 ** (age / half_life)
    found = hawkes.raw(cube, np.array([s]))[0]
    expected = hawkes.expect(excitation, torch.as_tensor(sums, dtype=torch.float32), torch.as_tensor(week), 24)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4)
    assert sums.sum() > 1.02 * decayed(cube, excitation.half_lives, s)[0].copy().sum()


def test_days_that_are_still_reported_are_not_learned_from() -> None:
    cube = half_late(city(days=40), 100)
    split = split_of(cube)
    end = split.train_end
    hawkes = Hawkes(settings())
    hawkes.scales = Scales.of(cube, end)
    _, category, events, _ = hawkes.mixture(ExcitationSums(cube), split, warm_up=7 * 24)
    days = (cube.hour >= 7 * 24) & (cube.hour < end - 4 * 24 - 24) & (cube.known_hour < end)
    expected = np.bincount(cube.category[days], cube.weight[days])
    np.testing.assert_array_equal(np.bincount(category, events), expected)


def test_what_is_saved_tells_the_branching(tmp_path: Path) -> None:
    cube = city(days=60, excitation=0.05)
    hawkes = learned(cube)
    hawkes.save_fit(tmp_path)
    values = read_json(tmp_path / "hawkes.json")
    assert values["branching_ratio"] == pytest.approx(hawkes.branching_ratio)
    assert np.shape(values["branching"]) == (2, 2)
    opened = Hawkes(settings())
    opened.load_fit(tmp_path)
    assert opened.branching_ratio == hawkes.branching_ratio


def test_unfitted() -> None:
    with pytest.raises(ArtefactError, match="not fitted"):
        Hawkes(settings()).forecast(city(2), np.array([24]))


def test_a_record_that_is_too_short_to_learn_excitation_leaves_climatology() -> None:
    cube = city(days=20)
    hawkes = Hawkes(settings())
    hawkes.learn(cube, replace(split_of(cube), train_end=20))
    np.testing.assert_array_equal(hawkes.weights, [[1, *[0] * 16]] * 2)
    assert "climatology" in hawkes.remark
