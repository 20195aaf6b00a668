"""Whole days: what must be counted for a hot label rests on what was known before, and the figures on what came."""

from dataclasses import replace

import numpy as np
import pytest

from stforecast.cube import Cube
from stforecast.cube.holes import Gap
from stforecast.evaluation.scorecard import day_figures
from stforecast.features.targets import counts_needed, day_needed, day_sums
from stforecast.forecasters.calibrated import ValidationFit
from stforecast.scoring.calibration import Calibration
from stforecast.scoring.conformal import fit_spread
from stforecast.scoring.labels import WINDOW, count_needed

N, STEPS = 9, 24 * 70
ISSUES = np.array([24 * 20, 24 * 45, 24 * 60 + 7])
RING = np.array([[i for i in range(N) for _ in range(2)], [(i + d) % N for i in range(N) for d in (-1, 1)]])


@pytest.fixture(scope="module", params=[False, True], ids=["at once", "late"])
def cube(request: pytest.FixtureRequest) -> Cube:
    """Two categories; if late, half of the events become known days after they occurred."""
    rng = np.random.default_rng(0)
    dense = Cube.from_dense(rng.poisson(rng.gamma(1, 0.08, (1, N, 2)), (STEPS, N, 2)), edge_index=RING)
    if not request.param:
        return dense
    delay = rng.integers(0, 150, dense.hour.size) * (rng.random(dense.hour.size) < 0.5)
    rest = {key: getattr(dense, key) for key in ("name", "start", "steps", "categories", "hexagons", "edges")}
    return Cube.from_events(dense.hour, dense.hexagon, dense.category, dense.hour + delay, weight=dense.weight, **rest)


def test_counts_needed_equal_a_plain_loop(cube: Cube) -> None:
    issues = np.arange(24 * 20, STEPS, 37)
    found = counts_needed(cube, issues)
    assert list(found) == ["all", *cube.categories]
    for place, issue in enumerate(issues.tolist()):
        past, first = np.zeros((WINDOW, N, cube.c)), issue - 24 * WINDOW
        columns = (cube.hour, cube.hexagon, cube.category, cube.known_hour, cube.weight)
        for hour, hexagon, category, known, weight in zip(*(c.tolist() for c in columns), strict=True):
            if first <= hour < issue and known < issue:
                past[(hour - first) // 24, hexagon, category] += weight
        np.testing.assert_array_equal(found["all"][place], count_needed(past.sum(-1)))
        for i, name in enumerate(cube.categories):
            np.testing.assert_array_equal(found[name][place], count_needed(past[..., i]))


def test_what_becomes_known_later_changes_no_earlier_label(cube: Cube) -> None:
    later = cube.known_hour >= ISSUES[1]
    changed = replace(
        cube,
        hexagon=np.where(later, N - 1 - cube.hexagon, cube.hexagon),
        weight=np.where(later, 5 * cube.weight, cube.weight),
    )
    before, after = counts_needed(cube, ISSUES), counts_needed(changed, ISSUES)
    for name, values in before.items():
        np.testing.assert_array_equal(values[:2], after[name][:2])
        assert (values[2] != after[name][2]).any()


def test_a_forecast_that_knows_foresees_hot_days_and_covers_the_counts() -> None:
    rng = np.random.default_rng(0)
    lam = rng.gamma(0.3, 0.4, (200, 24, 30, 2)).astype(np.float32)
    y = rng.poisson(lam)
    names = ("a", "b")
    expected, came = day_sums(lam, names), day_sums(y, names)
    np.testing.assert_allclose(expected["all"], lam.sum((1, 3)), rtol=1e-5)
    needed = {name: np.full(values.shape, 5) for name, values in expected.items()}
    spreads = {name: fit_spread(expected[name], came[name]) for name in expected}
    fit = ValidationFit(Calibration.identity(2), spreads, {}, dict.fromkeys(spreads, 0.5))
    found = day_figures(lam, y, needed, names, fit)
    ignorant = day_figures(np.full_like(lam, lam.mean()), y, needed, names, fit)
    for name in ("all", *names):
        assert found[name]["coverage"] >= 0.9
        assert found[name]["hot_label_share"] == (came[name] >= 5).mean()
        assert found[name]["hot_label_average_precision"] > 1.2 * ignorant[name]["hot_label_average_precision"]


def test_days_that_were_not_recorded_make_no_day_hot() -> None:
    counts = np.zeros((40 * 24, 1, 1))
    counts[::6] = 1  # four a day
    cube = Cube.from_dense(counts, edge_index=np.zeros((2, 0), int), name="one")
    first, last, issue = 15 * 24, 36 * 24, 40 * 24
    silent = cube.with_events((cube.hour < first) | (cube.hour >= last))
    masked, denied = (replace(silent, gaps=(Gap(first, last, denied=no),)) for no in (False, True))
    needed = [int(day_needed(each, issue)["all"][0]) for each in (cube, masked, denied)]
    assert needed == [6, 6, 4]  # 4 + 1.5, the same of seven days, and 1 + 1.5 · 1.8 where silent days count
