"""The recursions of climatology and features against direct sums over all past events, event by event."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from direct_sums import SCALE, Direct
from small_cities import city

from stforecast.cube import Cube
from stforecast.features.builder import FeatureBatch, FeatureBuilder, State
from stforecast.features.climatology import Climatology
from stforecast.features.delay import LAGS_DAYS, completeness, delay_shares, lags_of
from stforecast.features.rhythms import Rhythms
from stforecast.features.scaling import Scales
from stforecast.features.stream import EventStream
from stforecast.features.table import BY_DAY


def begun(cube: Cube, patch: int, phase: int = 0, until: int = 0) -> tuple[FeatureBuilder, State]:
    scales = replace(Scales.of(cube, until or cube.steps), rate=SCALE)
    builder = FeatureBuilder(cube, scales, patch)
    return builder, builder.init_state(phase)


def stepped(cube: Cube, patch: int, count: int, phase: int = 0) -> tuple[FeatureBuilder, State, FeatureBatch]:
    builder, state = begun(cube, patch, phase)
    return builder, state, builder.step(state, count)


def direct_sums(cube: Cube, patch: int, phase: int, state: State) -> Direct:
    learned = state["climatology"]
    return Direct(cube, patch, phase, Rhythms(learned["rhythms"], learned["shares"]))


@pytest.mark.parametrize(("patch", "phase", "categories"), [(24, 0, 2), (24, 5, 2), (6, 2, 2), (24, 5, 1)])
def test_equals_direct_sums(patch: int, phase: int, categories: int) -> None:
    cube = city(days=16 if patch == 24 else 8, rate=2.0)
    if categories == 1:
        cube = replace(cube.with_events(cube.category == 0), categories=("property",))
    builder, state, last = stepped(cube, patch, (cube.steps - phase) // patch + 1, phase)
    direct, issue = direct_sums(cube, patch, phase, state), last.issues[-1]
    expected = direct.intensity(issue, 24)
    np.testing.assert_allclose(last.log_rate[-1].exp().permute(1, 2, 0).numpy(), expected, rtol=2e-5)
    later = builder.climatology.forecast(state["climatology"], issue, 24)
    np.testing.assert_allclose(later.permute(1, 2, 0).numpy(), expected, rtol=2e-5)
    features = direct.features(issue)
    assert len(features) == last.features.shape[1]
    for found, (name, summed) in zip(last.features[-1].numpy(), features.items(), strict=True):
        np.testing.assert_allclose(found, summed, atol=2e-5, err_msg=name)


@pytest.mark.parametrize(("patch", "phase"), [(24, 0), (24, 5), (6, 2)])
def test_late_reports_enter_at_their_decayed_weight(patch: int, phase: int) -> None:
    cube = city(days=30, late=True, rate=2.0)
    _, state, batch = stepped(cube, patch, 20 * 24 // patch, phase)
    direct, issue = direct_sums(cube, patch, phase, state), batch.issues[-1]
    hour, hexagon, category, weight, age = direct.events(issue)
    assert 0 < len(hour) < ((cube.hour < issue) & (cube.hour >= phase)).sum()
    for at, half_life in enumerate(BY_DAY.half_lives):
        seen = np.zeros((cube.n, cube.c))
        np.add.at(seen, (hexagon, category), weight * 2 ** (-age / half_life))
        np.testing.assert_allclose(state["daily"][0, at].T.numpy(), seen, rtol=1e-4, atol=1e-5)
    seen = np.zeros((cube.c, 168, cube.n))
    np.add.at(seen, (category, direct.local.slot[hour], hexagon), weight * 2 ** (-age / 365))
    carried = state["climatology"]
    table = carried["table"] / 2 ** (int(carried["newest"]) * patch / 24 / 365)
    np.testing.assert_allclose(table.view_as(torch.as_tensor(seen)).numpy(), seen, rtol=1e-4, atol=1e-5)
    grown = 2 ** ((issue - phase - patch) / 24 / 365)
    rate = np.zeros((cube.n, cube.c))
    np.add.at(rate, (hexagon, category), weight * 2 ** (-age / 365))
    np.testing.assert_allclose(
        carried["sums"][: rate.size].view(cube.c, cube.n).T.numpy() / grown, rate, rtol=1e-4, atol=1e-5
    )
    # The patch holds its own events as known at the issue; late ones stand beside it, by age.
    own = (cube.hour >= issue - patch) & (cube.known_hour < issue)
    assert batch.patch[-1].sum() == cube.weight[own].sum()
    at = phase + patch * np.maximum(0, (cube.known_hour - phase) // patch + 1)  # the first issue that knows of it
    age = ((at - 1 - cube.hour) // patch)[at <= issue]
    by_age = np.histogram(age, [1, 2, 4, 8, cube.steps], weights=cube.weight[at <= issue])[0]
    assert (by_age > 0).all()
    np.testing.assert_array_equal(batch.late.sum((0, 2, 3)).numpy(), by_age)


@pytest.mark.parametrize("patch", [24, 6])
def test_after_the_record_recent_events_decay_as_on_quiet_days(patch: int) -> None:
    cube = city(days=20, late=True)
    end = 15 * 24
    quiet = cube.with_events((cube.known_hour < end) & (cube.hour < end))
    builder, state, newest = stepped(quiet, patch, end // patch + 1)
    assert newest.issues[-1] == end
    later = builder.at_issue(state, end + 2 * patch)
    assert later.issues == [end + 2 * patch]
    torch.testing.assert_close(later.recent[0], builder.step(state, 2).recent[-1])


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
    builder, state = begun(cube, patch, until=200 * 24)
    step = builder.climatology.step
    builder.climatology.step = lambda *given: torch.full_like(step(*given), 0.5)  # type: ignore[method-assign]
    builder.skip(state, 199 * 24 // patch)
    ratios, features, pooled = [], [], BY_DAY.log_ratios[0].size(cube.c)
    for _ in range(20):
        features.append(builder.step(state, 3 * 24 // patch).features[:, :pooled].mean((0, 2)).numpy())
        ratios.append((state["daily"][0].sum((1, 2)) / state["daily"][1].sum((1, 2))).numpy())
    # Delays between two lags are split between them, which a half-life of a day or two feels.
    np.testing.assert_allclose(np.mean(ratios, 0), 1, atol=0.03)
    np.testing.assert_allclose(np.mean(ratios, 0)[3:], 1, atol=0.015)
    np.testing.assert_allclose(np.mean(features, 0), 0, atol=0.03)
    last = step(state["climatology"], int(state["next_issue"]), 1)
    np.testing.assert_allclose(last.mean(), 0.5, rtol=0.03)


def test_simulated_delays_are_recovered() -> None:
    cube = city(days=300, late=True, rate=8.0)
    share_by_lag = delay_shares(cube, 24, cube.steps).numpy()
    mature = cube.hour < cube.steps - 60 * 24
    lag = cube.known_hour[mature] // 24 - cube.hour[mature] // 24
    assert lags_of(cube, 24) == LAGS_DAYS
    assert len(share_by_lag) == len(LAGS_DAYS)
    np.testing.assert_allclose(share_by_lag.sum(0), 1, rtol=1e-6)
    assert ((share_by_lag >= 0) & (share_by_lag <= 1)).all()
    known = np.array([(lag <= d).mean() for d in LAGS_DAYS])
    # Up to lag d are known the shares of the lags up to d and a part of what lies between d and the next lag.
    assert abs(share_by_lag[0] - known[0]).max() < 0.02
    assert (np.cumsum(share_by_lag, 0)[1:] - known[1:, None] > -0.02).all()
    mean = (share_by_lag * np.array(LAGS_DAYS)[:, None]).sum(0)
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
    np.testing.assert_array_equal(delay_shares(cube, 24, until), delay_shares(later, 24, until))
    np.testing.assert_array_equal(completeness(cube, 0, until, until), completeness(later, 0, until, until))
    punctual = replace(cube, known_hour=np.where(cube.known_hour < until, cube.hour, cube.known_hour))
    assert delay_shares(punctual, 24, until).tolist() == [[1] * cube.c]
    assert (completeness(punctual, 0, until, until) == 1).all()


@pytest.mark.parametrize("patch", [24, 6])
def test_a_category_without_events(patch: int) -> None:
    cube = replace(city(days=90, late=True), categories=("property", "violent", "never"))
    assert np.isfinite(delay_shares(cube, patch, cube.steps)).all()
    assert np.isfinite(completeness(cube, 0, cube.steps, cube.steps)).all()
    batch = stepped(cube, patch, 5)[2]
    for part in (batch.features, batch.log_rate, batch.patch, batch.late):
        assert part.isfinite().all()


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("patch", [24, 6])
def test_clocks_that_change_lose_no_event(late: bool, patch: int) -> None:
    """Across both transitions a patch holds each of its events once, at the channel of its local hour."""
    start = pd.Timestamp("2023-03-01 07:00", tz="UTC")
    cube = city(days=280, late=late, rate=1.0, start=start)
    batch = stepped(cube, patch, 270 * 24 // patch)[2]
    offsets = {cube.time_of(s).tz_convert(cube.time_zone).utcoffset() for s in batch.issues}
    assert len(offsets) == 2
    for row, issue in enumerate(batch.issues):
        own = (cube.hour >= issue - patch) & (cube.hour < issue) & (cube.known_hour < issue)
        assert batch.patch[row].sum() == cube.weight[own].sum()
        if patch == 24 and row and row % 9 == 0:
            hours = pd.DatetimeIndex(cube.times_of(cube.hour[own])).tz_convert(cube.time_zone).hour
            moved = len({cube.time_of(s).tz_convert(cube.time_zone).utcoffset() for s in (issue - 24, issue)}) > 1
            by_channel = np.bincount(hours, cube.weight[own], minlength=24)
            if not moved:
                np.testing.assert_array_equal(batch.patch[row].sum((1, 2)).numpy(), by_channel)


@pytest.mark.parametrize("phase", [0, 7])
def test_segments_do_not_matter(phase: int) -> None:
    climatology = Climatology(EventStream(city(days=60, late=True), 24))
    whole, parts = (climatology.learned_state(60 * 24, phase) for _ in range(2))
    at_once = climatology.step(whole, phase, 50)
    pieces, s = [], phase
    for length in (1, 3, 20, 26):
        pieces.append(climatology.step(parts, s, length))
        s += length * 24
    torch.testing.assert_close(torch.cat(pieces), at_once, rtol=1e-5, atol=0)
