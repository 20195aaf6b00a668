"""Rhythms that hexagons share, against planted ones and against the likelihood that they claim to climb."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_cities import city
from torch import Tensor

from stforecast.cube import Cube
from stforecast.cube.steps import Step
from stforecast.features.climatology import Climatology, rate_prior
from stforecast.features.delay import delay_shares
from stforecast.features.rhythms import PRIOR_SHARES, Rhythms, circulant, smoothing
from stforecast.features.shared import CityPrior
from stforecast.features.stream import EventStream


def planted(events: float, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Counts [n 168] of hexagons that follow one of three rhythms, and the shares of events [n 168] behind them."""
    rng, hour = np.random.default_rng(seed), np.arange(168)
    weekend = 1 + 3.0 * (hour >= 120)
    kinds = np.stack([1 + np.cos((hour - 2) / 12 * np.pi), (1 + np.cos((hour - 14) / 12 * np.pi)), weekend]) + 0.1
    truth = (kinds / kinds.sum(1, keepdims=True))[rng.integers(0, 3, 600)]
    return torch.as_tensor(rng.poisson(events * truth), dtype=torch.float64), torch.as_tensor(truth)


def divergence(truth: Tensor, guess: Tensor) -> float:
    guess = guess / guess.sum(1, keepdim=True)
    return float((truth * (truth / guess).log()).sum(1).mean())


@pytest.mark.parametrize("events", [60.0, 600.0])
def test_planted_rhythms_are_found(events: float) -> None:
    counts, truth = planted(events)
    smooth = smoothing(Step()).double()
    rhythms = Rhythms.fitted(counts, 1, smooth)
    mine = rhythms.start(len(counts))
    for _ in range(30):
        mine = rhythms.loadings(counts.T.float(), mine)
    found = divergence(truth, (rhythms.shape.T @ mine).T)
    by_city = divergence(truth, counts.sum(0, keepdim=True).expand_as(counts))
    alone = divergence(truth, (counts + counts.sum(0) / counts.sum() * 20) @ smooth)
    assert found < 0.4 * by_city
    assert found < 0.75 * alone
    np.testing.assert_allclose(rhythms.shape.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(rhythms.shares.sum(), 1, rtol=1e-5)


@pytest.mark.parametrize("carried", [False, True])
def test_the_order_of_hexagons_and_categories_tells_nothing(carried: bool) -> None:
    rng, smooth = np.random.default_rng(3), smoothing(Step()).double()
    counts = torch.as_tensor(rng.poisson(rng.gamma(0.5, 1, (40, 3, 168))), dtype=torch.float64)
    profile, rhythms = (torch.as_tensor(rng.gamma(5, 0.2, (size, 168))) for size in (3, 4))
    worth, shares = torch.as_tensor([50.0, 300.0, 10.0]), torch.full((4,), 0.25)
    rows, order = rng.permutation(40), [2, 0, 1]
    prior = CityPrior(profile, worth, torch.ones(3, 3), rhythms, shares)
    other = replace(prior, profile=profile[order], worth=worth[order])
    one = Rhythms.fitted(counts.flatten(1), 3, smooth, prior if carried else None)
    two = Rhythms.fitted(counts[rows][:, order].flatten(1), 3, smooth, other if carried else None)
    np.testing.assert_allclose(one.shape.view(-1, 3, 168)[:, order].flatten(1), two.shape, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(one.shares, two.shares, rtol=1e-5)


@given(st.integers(0, 2**32 - 1))
def test_a_step_of_the_loadings_never_lowers_their_posterior(seed: int) -> None:
    rng = np.random.default_rng(seed)
    r, width, n = 4, 14, 3
    shape, shares = (torch.as_tensor(rng.dirichlet(np.full(size, 0.5), rows)) for rows, size in ((r, width), (1, r)))
    rhythms = Rhythms(shape, shares[0])
    counts = torch.as_tensor(rng.poisson(rng.gamma(0.3, 10, (width, n))), dtype=torch.float64)
    mine = rhythms.start(n)
    before = None
    for _ in range(5):
        mine = rhythms.loadings(counts, mine)
        expected = (shape.T @ mine).clamp(min=1e-300)
        value = torch.special.xlogy(counts, expected).sum(0) - mine.sum(0)
        value = value + (PRIOR_SHARES * shares[0][:, None] * mine.clamp(min=1e-300).log()).sum(0)
        assert before is None or (value >= before - 1e-9 * before.abs()).all()
        before = value


@pytest.mark.parametrize("late", [False, True])
def test_only_what_was_known_counts(late: bool) -> None:
    cube, until = city(days=60, late=late), 40 * 24
    known = Rhythms.of(cube, until)
    unknown = (cube.known_hour >= until) | (cube.hour >= until)
    assert unknown.any()
    other = replace(cube, hexagon=np.where(unknown, 0, cube.hexagon), category=np.where(unknown, 0, cube.category))
    changed = Rhythms.of(other, until)
    for a, b in ((known.shape, changed.shape), (known.shares, changed.shares)):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    assert not torch.equal(known.shape, Rhythms.of(cube, 50 * 24).shape)


def test_the_profile_tells_only_of_the_week() -> None:
    """A hexagon's mean rate is not for its rhythm to say, whatever the ratio by hour is."""
    cube = city(days=60, rate=3.0)
    climatology = Climatology(EventStream(cube, 24))
    state = climatology.learned_state(cube.steps, 0)
    climatology.step(state, 0, 58)
    week = state["profile"].view(cube.c, 168, cube.n)
    assert week.std(1).min() > 0.01
    torch.testing.assert_close(week.mean(1), torch.ones(cube.c, cube.n), rtol=1e-5, atol=0)


def test_rates_hold_in_a_long_record() -> None:
    """Forty years on, units of 2^(days / 90) are far beyond single precision."""
    days, per_day = 40 * 365, 1
    cube = Cube.from_dense(np.ones((days, 2, 1), np.uint8), edge_index=[[0, 1], [1, 0]], step_hours=24, horizons=1)
    climatology = Climatology(EventStream(cube, 1), (90.0, 365.0))
    state = climatology.init_state(torch.ones(1, 1), Rhythms.of(cube, 1000), rate_prior(cube, cube.steps))
    for first in range(0, days, 28):
        found = climatology.step(state, first, min(28, days - first))
    torch.testing.assert_close(found[-1], torch.full((1, per_day, 2), 1.0), rtol=1e-3, atol=0)


def test_without_events_every_hour_is_alike() -> None:
    cube = city(days=30)
    empty = cube.with_events(np.zeros(len(cube.hour), bool))
    rhythms = Rhythms.of(empty, 20 * 24)
    torch.testing.assert_close(rhythms.shape, torch.full_like(rhythms.shape, 1 / rhythms.shape.shape[1]))
    climatology = Climatology(EventStream(empty, 24))
    lam = climatology.step(climatology.learned_state(20 * 24, 0), 0, 20)
    assert lam.isfinite().all()
    assert (lam > 0).all()


def test_circulant_smooths_along_a_circle() -> None:
    rng = np.random.default_rng(0)
    values, kernel = rng.random(7), (0.1, 0.2, 0.4, 0.2, 0.1)
    expected = [sum(w * values[(i + j - 2) % 7] for j, w in enumerate(kernel)) for i in range(7)]
    np.testing.assert_allclose(circulant(7, kernel).double().numpy() @ values, expected, rtol=1e-6)


def test_a_category_has_an_hour_of_its_own() -> None:
    """One hexagon's second category comes at 16:00 only; its first, and every other hexagon, at any hour."""
    rng, days = np.random.default_rng(3), 700
    counts = rng.poisson(0.5, (days * 24, 8, 2)).astype(np.uint8)
    counts[:, 0, 1] = np.where(np.arange(days * 24) % 24 == 16, rng.poisson(12, days * 24), 0)
    cube = Cube.from_dense(counts, edge_index=[[0, 1], [1, 0]])
    flat = Rhythms(torch.full((1, 2 * 168), 1 / 336), torch.ones(1))  # shared rhythms that know nothing of it
    climatology = Climatology(EventStream(cube, 24))
    state = climatology.init_state(delay_shares(cube, 24, cube.steps), flat, rate_prior(cube, cube.steps))
    climatology.step(state, 0, days)
    day = climatology.forecast(state, days * 24, 24)[..., 0]  # [c 24]
    assert day[1].argmax() == 16
    assert day[1, 14:19].sum() > 0.8 * day[1].sum()
    assert day[0, 14:19].sum() < 0.5 * day[0].sum()
