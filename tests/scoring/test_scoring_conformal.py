"""Prediction intervals of daily counts: what they hold, that they ascend with λ, and what they may be fitted on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nbinom, poisson

from stforecast.errors import ArtefactError
from stforecast.scoring.conformal import LEAST_CELLS, Spread, fit_spread, interval_figures

GROUPS = np.array([1 / 8, 1 / 2, 2, 8])


def expected(cells: int, rng: np.random.Generator) -> np.ndarray:
    """λ of a city: many quiet hexagons, few busy ones."""
    return np.exp(rng.normal(-0.7, 1.3, cells))


def gamma_poisson(lam: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.poisson(lam * rng.gamma(2, 1 / 2, lam.shape))


def clumped(lam: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Events that come in threes: not the law that is fitted."""
    return 3 * rng.poisson(lam / 3)


def inside(spread: Spread, lam: np.ndarray, y: np.ndarray) -> np.ndarray:
    low, high = spread.interval(lam)
    return (low <= y) & (y <= high)


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("counts", [gamma_poisson, clumped])
def test_quiet_and_busy_are_covered_whatever_the_law(counts, level):
    rng = np.random.default_rng(1)
    lam, later = expected(30_000, rng), expected(30_000, rng)
    spread = fit_spread(lam, counts(lam, rng), level)
    y = counts(later, rng)
    held = inside(spread, later, y)
    for group in range(len(GROUPS) + 1):
        here = held[np.searchsorted(GROUPS, later) == group]
        error = np.sqrt(level * (1 - level) * 2 / here.size)  # of the days before and of those after
        assert here.mean() > level - 4 * error
    busy = later > 2
    assert held[busy].mean() < level + 0.05
    low, high = poisson.ppf((1 - level) / 2, later[busy]), poisson.ppf((1 + level) / 2, later[busy])
    assert interval_figures(low, high, y[busy])["coverage"] < level - 0.05


def test_at_least_the_level_of_the_counts_that_they_are_fitted_on_is_inside_even_where_ties_decide():
    """Hexagons that always have the same λ stand or fall together, and in another order it has another last bit."""
    rng = np.random.default_rng(2)
    hourly = np.repeat(rng.gamma(0.5, 0.05, (24, 1, 40)), 300, axis=1).astype(np.float32)
    lam = hourly.sum(0)
    y = gamma_poisson(lam, rng)
    for level in (0.7, 0.8, 0.9):
        held = inside(fit_spread(lam, y, level), hourly[::-1].astype(np.float64).sum(0), y)
        assert held.mean() >= level


spreads = st.builds(
    lambda dispersion, reach: Spread(0.9, dispersion, tuple(2.0 ** np.arange(-3, len(reach) - 4)), tuple(reach)),
    st.sampled_from([1e-4, 0.1, 0.5, 3.0]),
    st.lists(st.sampled_from([0.0, 0.3, 0.6, 0.75, 0.9, 0.99]), min_size=1, max_size=6),
)


@settings(max_examples=30, deadline=None)
@given(spreads)
def test_intervals_ascend_with_intensity_and_hold_the_plain_sets(spread):
    lam = np.sort(np.concatenate([np.geomspace(1e-3, 8, 100), spread.borders]))
    low, high = spread.interval(lam)
    assert (low <= high).all()
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) >= 0).all()
    size, count = 1 / spread.dispersion, np.arange(150)
    at_most = nbinom.cdf(count, size, size / (size + lam[:, None]))  # [λ count]
    fewer = np.pad(at_most, ((0, 0), (1, 0)))[:, :-1]
    reach = np.array(spread.reach)[np.searchsorted(spread.borders, lam, side="right"), None]
    kept = (at_most >= (1 - reach) / 2) & (fewer <= (1 + reach) / 2)
    plain = kept.argmax(1), count.size - 1 - kept[:, ::-1].argmax(1)
    clear = np.minimum(abs(at_most - (1 - reach) / 2), abs(at_most - (1 + reach) / 2)).min(1) > 1e-4
    assert (low <= plain[0])[clear].all()
    assert (high >= plain[1])[clear].all()
    if len(spread.reach) == 1:
        np.testing.assert_array_equal(low[clear], plain[0][clear])
        np.testing.assert_array_equal(high[clear], plain[1][clear])


def test_groups_are_large_and_every_level_has_its_own_fit():
    rng = np.random.default_rng(3)
    lam = expected(20_000, rng)
    y = gamma_poisson(lam, rng)
    wide, narrow = fit_spread(lam, y, 0.95), fit_spread(lam, y, 0.8)
    held = np.bincount(np.searchsorted(wide.borders, lam, side="right"))
    assert held.size == len(wide.reach) > 3
    assert held.min() >= LEAST_CELLS
    assert wide == fit_spread(lam.reshape(100, 200), y.reshape(100, 200), 0.95)
    assert np.subtract(*wide.interval(lam)[::-1]).mean() > np.subtract(*narrow.interval(lam)[::-1]).mean()


def test_reports_that_are_still_to_come_change_no_dispersion():
    rng = np.random.default_rng(4)
    lam, share = expected(60_000, rng), rng.uniform(0.5, 1, 60_000)
    final = gamma_poisson(lam, rng)
    known = rng.binomial(final, share)
    spread = fit_spread(share * lam, known)
    assert spread.dispersion == pytest.approx(0.5, rel=0.1)
    assert 0.89 < inside(spread, lam, final).mean() < 0.95


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_a_new_count_is_held_as_often_as_it_says_after_few_others(level):
    """Ten counts of one law are fitted on, and the next is inside at least as often as `level`."""
    rng = np.random.default_rng(6)
    lam = np.full(10, 100.0)
    held = [inside(fit_spread(lam, y[:10], level), lam[:1], y[10:])[0] for y in rng.poisson(100, (300, 11))]
    assert np.mean(held) > level - 2 * np.sqrt(level * (1 - level) / 300)


def test_without_events_and_with_a_handful_of_cells():
    quiet = fit_spread(np.full(1000, 0.01), np.zeros(1000))
    low, high = quiet.interval(np.array([0.0, 0.01, 0.05]))
    assert low.tolist() == high.tolist() == [0, 0, 0]
    few = fit_spread(np.array([0.1, 0.2]), np.array([0, 400]))
    assert inside(few, np.array([0.2]), np.array([400])).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(-1, 60), st.floats(1e-6, 50), st.sampled_from([1e-4, 0.1, 2.0]))
def test_probability_of_at_least_so_many(count, lam, dispersion):
    found = Spread(0.9, dispersion, (), (0.9,)).at_least(np.array([count]), np.array([lam]))
    size = 1 / dispersion
    np.testing.assert_allclose(found, nbinom.sf(count - 1, size, size / (size + lam)), atol=1e-9)


def test_saved_values_read_back_and_damaged_ones_are_named():
    rng = np.random.default_rng(5)
    lam = expected(5000, rng)
    spread = fit_spread(lam, gamma_poisson(lam, rng))
    assert Spread.from_dict(spread.to_dict()) == spread
    good = spread.to_dict()
    for damaged in ([], {}, good | {"reach": [1.0]}, good | {"dispersion": "much"}, good | {"borders": [2.0, 1.0]}):
        with pytest.raises(ArtefactError, match="fit again"):
            Spread.from_dict(damaged)
