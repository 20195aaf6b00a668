"""The recursions of climatology and long memory against direct sums over all past events, event by event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from direct_sums import SCALE, Direct
from small_cities import city

from stforecast.cube import Cube
from stforecast.features.climatology import Rates
from stforecast.features.delay import completeness
from stforecast.features.memory import POOLED, Memory
from stforecast.features.record import LAGS_DAYS, Lateness, Record
from stforecast.features.rhythms import Rhythms


def memory_of(cube: Cube, patch: int, phase: int = 0, until: int = 0) -> Memory:
    lateness = Lateness.of(cube, patch, until or cube.steps, phase)
    rhythms = Rhythms.of(cube, until or cube.steps)
    return Memory(Record(cube, patch), lateness, rhythms, torch.as_tensor(cube.edges), SCALE, phase)


@pytest.mark.parametrize(("patch", "phase", "categories"), [(24, 0, 2), (24, 5, 2), (6, 2, 2), (24, 5, 1)])
def test_equals_direct_sums(patch: int, phase: int, categories: int) -> None:
    cube = city(days=16 if patch == 24 else 8, rate=2.0)
    if categories == 1:
        cube = replace(cube.with_events(cube.category == 0), categories=("property",))
    memory = memory_of(cube, patch, phase)
    direct = Direct(cube, patch, phase, memory.rates.rhythms)
    last = memory.walk((cube.steps - phase) // patch + 1)
    issue = last.issues[-1]
    expected = direct.intensity(issue, 24)
    np.testing.assert_allclose(last.log_rate[-1].exp().permute(1, 2, 0).numpy(), expected, rtol=2e-5)
    np.testing.assert_allclose(memory.rates.intensity(issue, 24).permute(1, 2, 0).numpy(), expected, rtol=2e-5)
    features = direct.features(issue)
    assert len(memory.names) == last.features.shape[1]
    for place, name in enumerate(memory.names):
        np.testing.assert_allclose(last.features[-1, place].numpy(), features[name], atol=2e-5, err_msg=name)


@pytest.mark.parametrize(("patch", "phase"), [(24, 0), (24, 5), (6, 2)])
def test_late_reports_enter_at_their_decayed_weight(patch: int, phase: int) -> None:
    cube = city(days=30, late=True, rate=2.0)
    memory = memory_of(cube, patch, phase)
    direct = Direct(cube, patch, phase, memory.rates.rhythms)
    recall = memory.walk(20 * 24 // patch)
    issue = recall.issues[-1]
    hour, hexagon, category, weight, age = direct.events(issue)
    assert 0 < len(hour) < ((cube.hour < issue) & (cube.hour >= phase)).sum()
    for at, half_life in enumerate(memory.half_lives.flatten().tolist()):
        seen = np.zeros((cube.n, cube.c))
        np.add.at(seen, (hexagon, category), weight * 2 ** (-age / half_life))
        np.testing.assert_allclose(memory.days[0, at].T.numpy(), seen, rtol=1e-4, atol=1e-5)
    seen = np.zeros((cube.c, 168, cube.n))
    np.add.at(seen, (category, direct.local.slot_of_week[hour], hexagon), weight * 2 ** (-age / 365))
    table = memory.rates.table / 2 ** (memory.rates.newest * patch / 24 / 365)
    np.testing.assert_allclose(table.view_as(torch.as_tensor(seen)).numpy(), seen, rtol=1e-4, atol=1e-5)
    grown = 2 ** ((issue - phase - patch) / 24 / 365)
    rate = np.zeros((cube.n, cube.c))
    np.add.at(rate, (hexagon, category), weight * 2 ** (-age / 365))
    np.testing.assert_allclose(
        memory.rates.sums[: rate.size].view(cube.c, cube.n).T.numpy() / grown, rate, rtol=1e-4, atol=1e-5
    )
    # The patch holds its own events as known at the issue; late ones stand beside it, by age.
    own = (cube.hour >= issue - patch) & (cube.known_hour < issue)
    assert recall.patch[-1].sum() == cube.weight[own].sum()
    at = phase + patch * np.maximum(0, (cube.known_hour - phase) // patch + 1)  # the first issue that knows of it
    age = ((at - 1 - cube.hour) // patch)[at <= issue]
    by_age = np.histogram(age, [1, 2, 4, 8, cube.steps], weights=cube.weight[at <= issue])[0]
    assert (by_age > 0).all()
    np.testing.assert_array_equal(recall.late.sum((0, 2, 3)).numpy(), by_age)


@pytest.mark.parametrize("patch", [24, 6])
def test_after_the_record_recent_events_fade_as_on_quiet_days(patch: int) -> None:
    cube = city(days=20, late=True)
    end = 15 * 24
    quiet = cube.with_events((cube.known_hour < end) & (cube.hour < end))
    memory = memory_of(quiet, patch)
    newest = memory.walk(end // patch + 1)
    assert newest.issues[-1] == end
    moved = memory.moved(newest, end + 2 * patch)
    assert moved.issues == [end + 2 * patch]
    torch.testing.assert_close(moved.recent[0], memory.walk(2).recent[-1])


@pytest.mark.parametrize("patch", [24, 6])
def test_expected_sums_are_unbiased(patch: int) -> None:
    """A flat record with random delays whose true intensity is expected: seen and expected agree at every half-life."""
    rng, place = np.random.default_rng(3), city(days=1)
    hour, hexagon, category = np.nonzero(rng.random((260 * 24, place.n, 2)) < 0.5)
    late = np.where(rng.random(len(hour)) < 0.4, 0, rng.geometric(1 / 100, len(hour)))
    cube = Cube.from_events(
        hour,
        hexagon,
        category,
        hour + late,
        **{k: getattr(place, k) for k in ("name", "start", "categories", "hexagons", "edges")},
        steps=260 * 24,
    )
    memory = memory_of(cube, patch, until=200 * 24)
    walk = memory.rates.walk
    memory.rates.walk = lambda first, count: torch.full_like(walk(first, count), 0.5)  # type: ignore[method-assign]
    memory.skip(199 * 24 // patch)
    ratios, features = [], []
    for _ in range(20):
        features.append(memory.walk(3 * 24 // patch).features[:, : len(POOLED)].mean((0, 2)).numpy())
        ratios.append((memory.days[0].sum((1, 2)) / memory.days[1].sum((1, 2))).numpy())
    # Delays between two lags are split between them, which a half-life of a day or two feels.
    np.testing.assert_allclose(np.mean(ratios, 0), 1, atol=0.03)
    np.testing.assert_allclose(np.mean(ratios, 0)[3:], 1, atol=0.015)
    np.testing.assert_allclose(np.mean(features, 0), 0, atol=0.03)
    last = walk(memory.next_issue, 1)
    np.testing.assert_allclose(last.mean(), 0.5, rtol=0.03)


def test_simulated_delays_are_recovered() -> None:
    cube = city(days=300, late=True, rate=8.0)
    lateness = Lateness.of(cube, 24, cube.steps)
    mature = cube.hour < cube.steps - 60 * 24
    lag = cube.known_hour[mature] // 24 - cube.hour[mature] // 24
    assert lateness.late
    assert lateness.lags == LAGS_DAYS
    np.testing.assert_allclose(lateness.share.sum(0), 1, rtol=1e-6)
    assert ((lateness.share >= 0) & (lateness.share <= 1)).all()
    known = np.array([(lag <= d).mean() for d in LAGS_DAYS])
    # Up to lag d are known the shares of the lags up to d and a part of what lies between d and the next lag.
    assert abs(lateness.share[0] - known[0]).max() < 0.02
    assert (np.cumsum(lateness.share, 0)[1:] - known[1:, None] > -0.02).all()
    mean = (lateness.share * np.array(LAGS_DAYS)[:, None]).sum(0)
    np.testing.assert_allclose(mean, np.minimum(lag, 30).mean(), rtol=0.02)
    share = completeness(cube, 0, cube.steps, cube.steps)
    assert ((share > 0) & (share <= 1)).all()
    assert share[0].min() == 1
    assert (np.diff(share[:, 0]) <= 0).all()
    for age in (0, 24, 100, 500):
        expected = 0.5 + 0.5 * (1 - (1 - 1 / 60) ** age)
        np.testing.assert_allclose(share[cube.steps - 1 - age], expected, atol=0.03)


def test_delays_are_estimated_from_what_was_known() -> None:
    cube = city(days=200, late=True)
    until = 150 * 24
    later = replace(cube, known_hour=np.where(cube.known_hour < until, cube.known_hour, cube.steps * 2))
    assert (later.known_hour != cube.known_hour).any()
    np.testing.assert_array_equal(Lateness.of(cube, 24, until).share, Lateness.of(later, 24, until).share)
    np.testing.assert_array_equal(completeness(cube, 0, until, until), completeness(later, 0, until, until))
    punctual = replace(cube, known_hour=np.where(cube.known_hour < until, cube.hour, cube.known_hour))
    assert Lateness.of(punctual, 24, until).lags == (0,)
    assert (completeness(punctual, 0, until, until) == 1).all()


@pytest.mark.parametrize("patch", [24, 6])
def test_a_category_without_events(patch: int) -> None:
    cube = replace(city(days=90, late=True), categories=("property", "violent", "never"))
    assert np.isfinite(Lateness.of(cube, patch, cube.steps).share).all()
    assert np.isfinite(completeness(cube, 0, cube.steps, cube.steps)).all()
    recall = memory_of(cube, patch).walk(5)
    for part in (recall.features, recall.log_rate, recall.patch, recall.late):
        assert part.isfinite().all()


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("patch", [24, 6])
def test_clocks_that_change_lose_no_event(late: bool, patch: int) -> None:
    """Across both transitions a patch holds each of its events once, at the channel of its local hour."""
    start = pd.Timestamp("2023-03-01 07:00", tz="UTC")
    cube = city(days=280, late=late, rate=1.0, start=start)
    recall = memory_of(cube, patch).walk(270 * 24 // patch)
    offsets = {cube.time_of(s).tz_convert(cube.time_zone).utcoffset() for s in recall.issues}
    assert len(offsets) == 2
    for row, issue in enumerate(recall.issues):
        own = (cube.hour >= issue - patch) & (cube.hour < issue) & (cube.known_hour < issue)
        assert recall.patch[row].sum() == cube.weight[own].sum()
        if patch == 24 and row and row % 9 == 0:
            hours = pd.DatetimeIndex(cube.times_of(cube.hour[own])).tz_convert(cube.time_zone).hour
            moved = len({cube.time_of(s).tz_convert(cube.time_zone).utcoffset() for s in (issue - 24, issue)}) > 1
            by_channel = np.bincount(hours, cube.weight[own], minlength=24)
            if not moved:
                np.testing.assert_array_equal(recall.patch[row].sum((1, 2)).numpy(), by_channel)


@pytest.mark.parametrize("phase", [0, 7])
def test_stretches_do_not_matter(phase: int) -> None:
    cube = city(days=60, late=True)
    record = Record(cube, 24)
    lateness, rhythms = Lateness.of(cube, 24, cube.steps, phase), Rhythms.of(cube, cube.steps)
    make: Callable[[], Rates] = lambda: Rates(record, lateness, rhythms)  # noqa: E731
    whole, parts = make(), make()
    at_once = whole.walk(phase, 50)
    pieces, s = [], phase
    for length in (1, 3, 20, 26):
        pieces.append(parts.walk(s, length))
        s += length * 24
    torch.testing.assert_close(torch.cat(pieces), at_once, rtol=1e-5, atol=0)
