"""Forecasts follow the level and contrast of the weeks before them, from what was known then and nothing later."""

from dataclasses import replace

import numpy as np
import pytest
from small_cities import another_future, city

from stforecast.cube import Cube
from stforecast.features.delay import completeness
from stforecast.forecasters.recalibration import (
    DAILY,
    LEAST,
    MOST,
    PRIOR_INFORMATION,
    PastForecasts,
    recalibrated,
    steps_needed,
)


def rates(cube: Cube, needed: np.ndarray, rate: float, spread: float) -> np.ndarray:
    """A made-up forecast λ [u k n c] around `rate`, the same whatever else is needed."""
    shape = (cube.horizons, cube.n, cube.c)
    return np.stack([rate * np.exp(spread * np.random.default_rng(step).normal(size=shape)) for step in needed]).astype(
        np.float32
    )


def follow(cube: Cube, rate: float, issues: np.ndarray, spread: float = 0.0) -> np.ndarray:
    """What becomes of a forecast around `rate`."""
    needed = steps_needed(cube, issues)
    return recalibrated(cube, issues, PastForecasts.of(needed, rates(cube, needed, rate, spread), cube.counted))


def direct(cube: Cube, rate: float, issue: int, spread: float = 0.0) -> np.ndarray:
    """λ of one issue, cell by cell."""
    share = completeness(cube, 0, issue, issue)
    out = rates(cube, np.array([issue]), rate, spread)[0].astype(float)
    for c in range(cube.c):
        cells = []  # days back, λ, share, whether an event is known
        for j in range(DAILY.window):
            first = issue - 24 * (j + 1)
            if first < 24:
                break
            if first + 24 > cube.steps:
                continue
            lam = rates(cube, np.array([first]), rate, spread)[0, :, :, c].astype(float)
            here = (cube.hour >= first) & (cube.hour < first + 24) & (cube.known_hour < issue) & (cube.category == c)
            seen = {*zip((cube.hour[here] - first).tolist(), cube.hexagon[here].tolist(), strict=True)}
            cells += [(j, lam[k, n], share[first + k, c], (k, n) in seen) for k in range(24) for n in range(cube.n)]
        back, lam, part, event = (np.array(column) for column in zip(*cells, strict=True))
        p, weight = part * -np.expm1(-lam), 0.5 ** ((back + 0.5) / DAILY.half_life)
        kappa = p.sum() / len({*back}) * DAILY.prior
        factor = ((weight * event).sum() + kappa) / ((weight * p).sum() + kappa)
        weight = 0.5 ** ((back + 0.5) / DAILY.contrast)
        u = np.log(lam) - (weight * p * np.log(lam)).sum() / (weight * p).sum()
        power = 1 + (weight * event * u).sum() / ((weight * p * u**2).sum() + PRIOR_INFORMATION)
        now = out[..., c]
        out[..., c] = now**power * (now.sum() * factor / (now**power).sum())
    return out


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_equals_a_direct_count(late: bool, spread: float) -> None:
    cube = city(days=90, late=late)
    for issue in (50 * 24, 80 * 24):
        found = follow(cube, 0.03, np.array([issue]), spread)
        np.testing.assert_allclose(found[0], direct(cube, 0.03, issue, spread), rtol=2e-5)


@pytest.mark.parametrize("late", [False, True])
def test_issues_do_not_depend_on_each_other(late: bool) -> None:
    cube = city(days=90, late=late)
    issues = np.array([50 * 24, 51 * 24, 80 * 24])
    together = follow(cube, 0.03, issues, 1.0)
    alone = [follow(cube, 0.03, issues[i : i + 1], 1.0)[0] for i in range(3)]
    np.testing.assert_array_equal(together, np.stack(alone))


def test_takes_back_a_wrong_level() -> None:
    cube = city(days=90)
    true = -np.log1p(-cube.dense().gt(0).double().mean().item())
    found = follow(cube, 2 * true, np.array([80 * 24]))
    assert abs(found.mean() / true - 1) < 0.35 < 1  # κ keeps a part of what was forecast
    assert found.mean() < 1.4 * true


def test_the_first_event_of_a_category_does_not_multiply_its_level() -> None:
    counts = np.zeros((60 * 24, 5, 2))
    counts[::3, :, 0] = 1
    counts[-5, 2, 1] = 1
    cube, issues = Cube.from_dense(counts, edge_index=np.zeros((2, 0), np.int64)), np.array([60 * 24])
    needed = steps_needed(cube, issues)
    intensity = np.full((len(needed), cube.horizons, cube.n, cube.c), 1 / 3, np.float32)
    intensity[..., 1], intensity[-1, ..., 1] = 1e-6, 1e-4  # before the event, and after it
    found = recalibrated(cube, issues, PastForecasts.of(needed, intensity, cube.counted))[0]
    assert 1 <= found[..., 1].sum() / intensity[-1, ..., 1].sum() <= 2


def test_takes_back_a_contrast_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stforecast.forecasters.recalibration.PRIOR_INFORMATION", 10.0)
    cube, issues = city(days=90), np.array([80 * 24])
    needed = steps_needed(cube, issues)
    noise = rates(cube, needed, 0.03, 1.0)  # says nothing of the city, so that the flattest forecast is the best
    found = recalibrated(cube, issues, PastForecasts.of(needed, noise, cube.counted))[0]
    now = noise[np.searchsorted(needed, issues)][0]
    for c in range(cube.c):
        assert np.log(found[..., c]).std() < 0.75 * np.log(now[..., c]).std()


@pytest.mark.parametrize(("power", "limit"), [(0.1, MOST), (-0.1, LEAST)])
def test_changes_the_contrast_within_limits(power: float, limit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forecast that says that busy and quiet hexagons hardly differ, and one that takes them for each other."""
    monkeypatch.setattr("stforecast.forecasters.recalibration.PRIOR_INFORMATION", 0.1)
    cube, issues = city(days=90), np.array([80 * 24])
    mean = cube.dense().double().mean(0).numpy() + 1e-3
    needed = steps_needed(cube, issues)
    wrong = 0.03 * np.broadcast_to((mean**power).astype(np.float32), (len(needed), cube.horizons, cube.n, cube.c))
    found = recalibrated(cube, issues, PastForecasts.of(needed, wrong, cube.counted))[0]
    for c in range(cube.c):
        assert np.log(found[..., c]).std() == pytest.approx(limit * np.log(wrong[0, ..., c]).std(), rel=1e-4)


@pytest.mark.parametrize("late", [False, True])
def test_the_future_does_not_reach_the_level(late: bool) -> None:
    cube = city(days=90, late=late)
    t0 = 70 * 24
    changed = another_future(cube, t0, late)
    one, other = (follow(cube, 0.03, np.array([t0 - 48, t0]), 1.0) for c in (cube, changed))
    np.testing.assert_array_equal(one, other)


def test_days_without_a_record_do_not_lower_the_level() -> None:
    """What was reported by the record's end is no less complete because the issue comes later."""
    cube = city(days=200, late=True, rate=6.0)
    end = 180 * 24
    known = (cube.hour < end) & (cube.known_hour < end)
    exported = replace(cube.with_events(known), steps=end)
    at_end, later = (follow(exported, 0.1, np.array([issue])).sum() for issue in (end, end + 168))
    assert later == pytest.approx(at_end, rel=0.015)


def test_beyond_the_record_only_what_is_over_counts() -> None:
    cube = city(days=90)
    for ahead in (10, 72):
        found = follow(cube, 0.03, np.array([cube.steps + ahead]), 1.0)
        np.testing.assert_allclose(found[0], direct(cube, 0.03, cube.steps + ahead, 1.0), rtol=2e-5)
