"""Forecasts follow the level of the weeks before them, from what was known then and from nothing later."""

import numpy as np
import pytest
from small_cities import another_future, city

from stforecast.cube import Cube
from stforecast.forecasters.level import HALF_LIFE_DAYS, PRIOR_DAYS, WINDOW_DAYS, at_level, with_earlier
from stforecast.forecasters.record import completeness


def follow(cube: Cube, rate: float, issues: np.ndarray) -> np.ndarray:
    """What becomes of a forecast that is `rate` everywhere."""
    needed = with_earlier(cube, issues)
    return at_level(cube, issues, needed, np.full((len(needed), cube.horizons, cube.n, cube.c), rate, np.float32))


def direct(cube: Cube, rate: float, issue: int) -> np.ndarray:
    """The factor of one issue, hour by hour."""
    above, below, days = np.zeros(cube.c), np.zeros(cube.c), []
    share = completeness(cube, 0, issue, issue)
    for j in range(WINDOW_DAYS):
        first = issue - 24 * (j + 1)
        if first < 24:
            break
        weight = 0.5 ** ((j + 0.5) / HALF_LIFE_DAYS)
        for c in range(cube.c):
            here = (cube.hour >= first) & (cube.hour < first + 24) & (cube.known_hour < issue) & (cube.category == c)
            above[c] += weight * len({*zip(cube.hour[here], cube.hexagon[here], strict=True)})
        due = -np.expm1(-rate) * cube.n * share[first : first + 24].sum(0)
        below += weight * due
        days.append(due)
    kappa = np.mean(days, axis=0) * PRIOR_DAYS
    return (above + kappa) / (below + kappa)


@pytest.mark.parametrize("late", [False, True])
def test_equals_a_direct_count(late: bool) -> None:
    cube = city(days=90, late=late)
    for issue in (50 * 24, 51 * 24, 80 * 24):
        found = follow(cube, 0.03, np.array([issue]))
        np.testing.assert_allclose(
            found[0] / 0.03, np.broadcast_to(direct(cube, 0.03, issue), found[0].shape), rtol=1e-5
        )


@pytest.mark.parametrize("late", [False, True])
def test_issues_do_not_depend_on_each_other(late: bool) -> None:
    cube = city(days=90, late=late)
    issues = np.array([50 * 24, 51 * 24, 80 * 24])
    together = follow(cube, 0.03, issues)
    alone = [follow(cube, 0.03, issues[i : i + 1])[0] for i in range(3)]
    np.testing.assert_array_equal(together, np.stack(alone))


def test_takes_back_a_wrong_level() -> None:
    cube = city(days=90)
    true = -np.log1p(-cube.dense().gt(0).double().mean().item())
    found = follow(cube, 2 * true, np.array([80 * 24]))
    assert abs(found.mean() / true - 1) < 0.35 < 1  # κ keeps a part of what was forecast
    assert found.mean() < 1.4 * true


@pytest.mark.parametrize("late", [False, True])
def test_the_future_does_not_reach_the_level(late: bool) -> None:
    cube = city(days=90, late=late)
    t0 = 70 * 24
    changed = another_future(cube, t0, late)
    one, other = (follow(cube, 0.03, np.array([t0 - 48, t0])) for c in (cube, changed))
    np.testing.assert_array_equal(one, other)


def test_beyond_the_record_only_what_is_over_counts() -> None:
    cube = city(days=90)
    found = follow(cube, 0.03, np.array([cube.steps + 72]))
    assert np.isfinite(found).all()
    assert found.min() > 0
