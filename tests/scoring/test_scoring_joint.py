"""Ranges of sums: event sets drawn from the law, its closed form, and the fit that finds it again."""

import numpy as np
import pytest
from scipy.stats import nbinom

from stforecast.scoring.joint import (
    MEMORY,
    PARTS,
    JointSpread,
    Year,
    _scales,
    fit_joint,
    moments,
    neighbourhoods,
    parted,
    together,
)

K, SIDE = 12, 9
CENTRES = np.stack(np.meshgrid(np.arange(SIDE) * 0.01, np.arange(SIDE) * 0.01), -1).reshape(-1, 2)
NEAR = neighbourhoods(CENTRES)
N = len(CENTRES)
LAW = JointSpread(0.9, (0.2, 0.01, 0.02, 0.05, 0.04, 0.3, 0.1))


def expected(busy: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(3)
    return busy * rng.gamma(0.7, 0.2, N) * (1 + np.sin(np.arange(K))[:, None] / 2)


def brief(sets: int, places: int, size: float, rng: np.random.Generator) -> np.ndarray:
    """Gamma factors of mean 1 that stay from a step to the next with probability MEMORY, else are drawn anew."""
    out = rng.gamma(size, 1 / size, (sets, K, places))
    for step in range(1, K):
        out[:, step] = np.where(rng.random((sets, places)) < MEMORY, out[:, step - 1], out[:, step])
    return out


def event_sets(lam: np.ndarray, law: JointSpread, sets: int, seed: int = 0) -> np.ndarray:
    """Counts [sets k n]: the factor is a mixture of one of each kind in equal shares, so that variances add exactly."""
    rng, (clumps, *variances) = np.random.default_rng(seed), law.variances
    factor = np.zeros((sets, K, N))
    for i, (label, part) in enumerate([(one, j) for one in (np.zeros(N, int), NEAR, np.arange(N)) for j in (0, 1)]):
        size, places = 1 / (36 * variances[i]), int(label.max()) + 1
        drawn = rng.gamma(size, 1 / size, (sets, 1, places)) if part else brief(sets, places, size, rng)
        factor += drawn[..., label] / 6
    incidents = rng.poisson(lam * factor / (1 + clumps / 2))  # of one or two events: Σ size² / Σ size is 1 + clumps
    return incidents + rng.binomial(incidents, clumps / 2)


def test_the_closed_form_is_that_of_event_sets() -> None:
    lam = expected()
    drawn = event_sets(lam, LAW, 20_000)
    for areas, steps in ((together(N), K), (together(N), 3), (parted(NEAR), K), (parted(np.arange(N)), 4)):
        mean, parts = moments(lam[None, :steps], areas, NEAR)
        variance = mean + parts @ np.array(LAW.variances)
        came = drawn[:, :steps].sum(1) @ areas.T
        assert came.mean() == pytest.approx(mean.mean(), rel=0.01)
        assert came.var(0).sum() == pytest.approx(variance.sum(), rel=0.06)


@pytest.mark.parametrize("busy", [1, 6])
def test_ranges_hold_what_they_say_of_areas_and_shifts(busy: float) -> None:
    lam, rng = expected(busy), np.random.default_rng(1)
    drawn = event_sets(lam, LAW, 4000)
    for cells in (N, 30, 12, 5):
        for first, last in ((0, K), (2, 6), (7, 8)):
            chosen, steps = np.zeros(N, bool), (np.arange(K) >= first) & (np.arange(K) < last)
            chosen[rng.choice(N, cells, replace=False)] = True
            low, high = LAW.interval(np.where(steps[:, None] & chosen, lam, 0), NEAR)
            count = drawn[:, steps][..., chosen].sum((1, 2))
            held = ((low <= count) & (count <= high)).mean()
            if lam[steps][:, chosen].sum() >= 3:
                assert 0.87 <= held <= 0.94
            else:
                assert held >= 0.88


def test_the_fit_finds_the_spread_of_sums_again() -> None:
    lam = np.broadcast_to(expected(3), (400, K, N))
    found = fit_joint(lam, event_sets(lam[0], LAW, 400, seed=5), CENTRES)
    for areas, length in ((together(N), K), (together(N), 4), (parted(NEAR), K), (parted(np.arange(N)), K)):
        _, parts = moments(lam[:1, :length], areas, NEAR)
        assert (parts @ found.variances).sum() == pytest.approx((parts @ np.array(LAW.variances)).sum(), rel=0.25)


def test_the_fit_reads_the_moments_of_each_scale() -> None:
    lam, wide = np.broadcast_to(expected(), (3, K, N)), neighbourhoods(CENTRES, 9)
    scales = iter(_scales(lam, np.round(lam), NEAR, wide))
    for length in (1, K // 3, K):
        for areas in (parted(np.arange(N)), parted(NEAR), parted(wide), together(N)):
            sums, scale = moments(lam.reshape(-1, length, N), areas, NEAR), next(scales)
            np.testing.assert_allclose(scale.parts[:, scale.of], sums.parts.reshape(-1, PARTS), rtol=1e-12)
            np.testing.assert_allclose(scale.parts[:, 0], sums.mean.ravel(), rtol=1e-12)
    assert next(scales, None) is None


def held(law: JointSpread, lam: np.ndarray, drawn: np.ndarray) -> list[float]:
    """Shares of event sets [sets k n] inside the ranges of λ [k n]: the city, two districts, by the day and a shift."""
    out = []
    for cells in (np.ones(N, bool), NEAR < 4, NEAR > 6):
        for steps in (slice(0, K), slice(4, 8)):
            low, high = law.interval(np.where(cells, lam[steps], 0), NEAR)
            count = drawn[:, steps][..., cells].sum((1, 2))
            out.append(((low <= count) & (count <= high)).mean())
    return out


@pytest.mark.parametrize("seed", range(4))
def test_thirty_days_and_a_year_before_them_tell_the_spread_of_a_city(seed: int) -> None:
    lam = expected(4)
    days = np.broadcast_to(lam, (365, K, N))
    y = event_sets(lam, LAW, 365, seed=20 + seed)
    found = fit_joint(days[-30:], y[-30:], CENTRES, Year(np.arange(335, 365), days, y))
    shares = held(found, lam, event_sets(lam, LAW, 4000, seed=9))
    assert 0.87 <= min(shares) <= max(shares) <= 0.93


def test_a_forecaster_has_the_spread_of_the_year_and_by_how_much_it_errs_more_or_less() -> None:
    """One that knows the level of each day, one that knows nothing of it, and one that errs by as much again."""
    rng, lam = np.random.default_rng(4), expected(4)
    level = rng.gamma(20, 1 / 20, (365, 1, 1))
    y, usual = rng.poisson(level * lam), np.broadcast_to(lam, (365, K, N))
    wrong = rng.gamma(20, 1 / 20, (365, 1, 1)) * lam
    _, parts = moments(usual[:1], together(N), NEAR)
    days = np.arange(265, 365)
    spread = [
        (parts @ fit_joint(one[days], y[days], CENTRES, Year(days, usual, y)).variances).item() / lam.sum() ** 2
        for one in (level * lam, usual, wrong)
    ]
    assert spread == pytest.approx([0, 0.05, 0.1], abs=0.02)
    whole = fit_joint(usual, y, CENTRES)
    alone = fit_joint(usual, y, CENTRES, Year(np.arange(365), usual, y))
    np.testing.assert_allclose(alone.variances, whole.variances, atol=1e-3)


def test_poisson_counts_are_not_spread_further_and_no_count_is_no_error() -> None:
    rng, lam = np.random.default_rng(0), np.broadcast_to(expected(3), (300, K, N))
    mean, parts = moments(lam[:1], together(N), NEAR)
    found = fit_joint(lam, rng.poisson(lam), CENTRES)
    assert (parts @ found.variances).item() < 0.3 * mean.item()
    nothing = fit_joint(np.zeros((5, 1, 3)), np.zeros((5, 1, 3)), CENTRES[:3])
    assert nothing.interval(np.zeros((1, 3)), np.zeros(3, np.int64)) == (0, 0)
    assert fit_joint(np.ones((5, 1, 1)), np.ones((5, 1, 1)), CENTRES[:1]).level == 0.9


@pytest.mark.parametrize("mean", [0.01, 0.04, 0.06, 0.4, 1, 2.9, 3.1, 8, 40, 400, 30_000])
def test_ends_are_the_counts_nearest_to_the_quantiles(mean: float) -> None:
    """From the law's own sums, count by count; and no range contradicts the risk beside it."""
    law = JointSpread(0.9, (0.3, 0, 0.02, 0, 0, 0, 0))
    low, high = law.interval(np.array([[mean]]), np.zeros(1, np.int64))
    size = mean**2 / (0.3 * mean + 0.02 * mean**2)
    count = np.arange(int(3 * mean) + 30)
    middle = nbinom.cdf(count, size, size / (size + mean)) - nbinom.pmf(count, size, size / (size + mean)) / 2
    inside = count[(middle >= 0.05) & (middle <= 0.95)]
    assert low == (0 if mean < 2.99 else inside[0])
    assert high == max(inside[-1] if inside.size else 0, mean > 0.0513)


def test_neighbourhoods_are_squares_of_about_seven_cells_also_across_the_antimeridian() -> None:
    assert np.bincount(NEAR).max() <= 9
    assert len(np.unique(NEAR)) == 9
    moved = CENTRES + np.array([0, 179.96])
    moved[:, 1] = (moved[:, 1] + 180) % 360 - 180
    np.testing.assert_array_equal(neighbourhoods(moved), NEAR)


def test_it_comes_back_equal_and_damage_is_refused() -> None:
    assert JointSpread.from_dict(LAW.to_dict()) == LAW
    for damaged in ({"level": 1.5}, {"variances": [0.1] * 6}, {"variances": [-1.0] * 7}, {"variances": ["nan"] * 7}):
        with pytest.raises(ValueError, match="joint"):
            JointSpread.from_dict(LAW.to_dict() | damaged)
