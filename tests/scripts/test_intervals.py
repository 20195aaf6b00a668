"""Intervals by decade of intensity: what is held where the law is known, and hours by a fit of their own."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from stforecast.cube import Cube
from stforecast.features.delay import windows
from stforecast.features.targets import day_sums
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.calibrated import ValidationFit
from stforecast.scoring.calibration import Calibration
from stforecast.scoring.conformal import Spread, fit_spread
from stforecast.scoring.splits import make_split

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from intervals import LEAST_CELLS, by_decade, measure

SHARES = ("below", "inside", "above")


def test_where_the_law_is_known_whole_counts_alone_make_it_more_than_the_level() -> None:
    rng = np.random.default_rng(0)
    lam = np.concatenate([10 ** rng.uniform(-2, 1.5, 200_000), np.full(LEAST_CELLS - 1, 1e-4)])
    y = rng.poisson(lam * rng.gamma(4, 1 / 4, lam.shape))
    right = Spread(0.9, 0.25, (), (0.05,), (0.95,))
    found = by_decade(right, lam, y)
    assert [*found] == ["0.01 to 0.1", "0.1 to 1", "1 to 10", "10 and more"]  # one is of too few cells
    for decade in found.values():
        assert sum(decade[key] for key in SHARES) == pytest.approx(1)
        assert decade["inside"] == pytest.approx(decade["integers"], abs=0.01)
        assert decade["width"] == pytest.approx(decade["integers_width"], rel=0.05)
    narrow, wide = (by_decade(replace(right, upper=(upper,)), lam, y)["10 and more"] for upper in (0.8, 0.999))
    assert narrow["above"] > 0.15 > 0.01 > wide["above"]
    assert narrow["integers"] == wide["integers"] == found["10 and more"]["integers"]


def test_hours_clump_more_than_days_and_have_their_own_fit() -> None:
    """A burst in one hour of the day, the next hour nearly none: hours spread where days hardly do."""
    rng = np.random.default_rng(1)
    steps, n, c = 24 * 120, 30, 2
    lam = np.broadcast_to(rng.uniform(0.05, 2, (n, c)), (steps, n, c)).astype(np.float32)
    burst = rng.permuted(np.tile([4.0, 0.0, 0.0, 0.0], steps // 4 * n).reshape(n, steps // 4, 4), axis=-1)
    y = rng.poisson(lam * burst.reshape(n, steps).T[:, :, None])
    cube = Cube.from_dense(y, coordinates=np.stack([np.arange(n), np.zeros(n)], axis=-1))
    split = make_split(steps, 24, 0, 0.4, 0.3, 0, 24, lambda date: 0)
    expected, came = (day_sums(values.reshape(-1, 24, n, c), cube.categories) for values in (lam, y))
    spreads = {name: fit_spread(expected[name], came[name]) for name in expected}
    told = SimpleNamespace(
        fitted=ValidationFit(Calibration.identity(c), spreads),
        forecast=lambda cube, issues: SimpleNamespace(intensity=windows(lam, issues, cube.horizons)),
    )
    found = measure(cast(Forecaster, told), cube, split)
    assert {*found} == {"day", "hour"}
    for unit, busiest in (("day", "10 and more"), ("hour", "1 to 10")):
        assert [*found[unit]] == ["all", *cube.categories]
        held = found[unit]["all"][busiest]
        assert max(held["below"], held["above"]) < 0.06
        assert held["inside"] >= 0.89
    hours = by_decade(spreads["all"], lam.sum(-1), y.sum(-1))["1 to 10"]
    assert hours["above"] > 0.1  # those of days are not for hours
