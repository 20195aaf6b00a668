"""Prediction intervals: both tails at every intensity, the risk beside them, and what they may be fitted on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nbinom

from stforecast.errors import ArtefactError
from stforecast.scoring.conformal import LEAST_CELLS, Spread, fit_spread
from stforecast.scoring.intensity import risk

DECADES = np.array([0.01, 0.1, 1, 10])


def expected(cells: int, rng: np.random.Generator) -> np.ndarray:
    """λ of a city: many quiet hexagons, few busy ones."""
    return np.exp(rng.normal(-0.7, 1.3, cells))


def gamma_poisson(lam: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.poisson(lam * rng.gamma(2, 1 / 2, lam.shape))


def plain(lam: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.poisson(lam)


def clumped(lam: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Events that come in threes: not the law that is fitted."""
    return 3 * rng.poisson(lam / 3)


def inside(spread: Spread, lam: np.ndarray, y: np.ndarray) -> np.ndarray:
    low, high = spread.interval(lam)
    return (low <= y) & (y <= high)


def tails_by_decade(spread: Spread, lam: np.ndarray, y: np.ndarray) -> list[tuple[np.ndarray, float, float, float]]:
    """Of each decade of λ: its cells, the shares below and above their interval, and the noise of such a share."""
    tail, out = (1 - spread.level) / 2, []
    low, high = spread.interval(lam)
    for decade in range(len(DECADES) + 1):
        here = np.searchsorted(DECADES, lam) == decade
        noise = np.sqrt(2 * tail * (1 - tail) / here.sum())  # of the days before and of those after
        out.append((here, (y < low)[here].mean(), (y > high)[here].mean(), noise))
    return out


@pytest.mark.parametrize("level", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("counts", [gamma_poisson, clumped, plain])
def test_quiet_and_busy_are_covered_whatever_the_law(counts, level):
    rng = np.random.default_rng(1)
    lam, later = expected(60_000, rng), expected(60_000, rng)
    spread = fit_spread(lam, counts(lam, rng), level)
    y, tail = counts(later, rng), (1 - level) / 2
    for _, below, above, noise in tails_by_decade(spread, later, y):
        assert below < tail + 4 * noise
        assert above < tail + 4 * noise


@settings(max_examples=25, deadline=None)
@given(
    dispersion=st.sampled_from([0.0, 0.1, 0.5, 2.0]),
    by_intensity=st.sampled_from([-0.5, -0.2, 0.0, 0.2]),
    over_time=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_decade_holds_no_less_than_the_level_and_no_more_than_whole_counts_force(
    dispersion, by_intensity, over_time, seed
):
    """The dispersion drifts with λ and from day to day; what integers force, a law that knows each of them tells."""
    rng = np.random.default_rng(seed)
    lam = np.exp(rng.uniform(np.log(0.003), np.log(40), (120, 500)))
    drift = np.exp(over_time * np.sin(np.arange(120) / 5))[:, None]
    size = 1 / np.maximum(dispersion * lam**by_intensity * drift, 1e-4)
    y = rng.negative_binomial(size, size / (size + lam))
    before, after = slice(0, None, 2), slice(1, None, 2)
    spread = fit_spread(lam[before], y[before])
    lam, y, size = lam[after].ravel(), y[after].ravel(), size[after].ravel()
    law = nbinom(size, size / (size + lam))
    ends = law.ppf(0.05), np.maximum(law.ppf(0.95), risk(lam) > 0.05)
    forced = law.cdf(ends[1]) - law.cdf(ends[0] - 1)
    for here, below, above, noise in tails_by_decade(spread, lam, y):
        assert below < 0.05 + 5 * noise
        assert above < 0.05 + 5 * noise
        assert 1 - below - above < forced[here].mean() + 0.02 + 5 * noise


def test_where_the_law_is_right_intervals_end_at_its_own_quantiles():
    rng = np.random.default_rng(8)
    lam = expected(100_000, rng)
    spread = fit_spread(lam, gamma_poisson(lam, rng))
    assert spread.dispersion == pytest.approx(0.5, rel=0.1)
    np.testing.assert_allclose(spread.lower, 0.05, atol=0.01)
    np.testing.assert_allclose(spread.upper, 0.95, atol=0.01)


def test_at_least_the_level_of_the_counts_that_they_are_fitted_on_is_inside_even_where_ties_decide():
    """Hexagons that always have the same λ stand or fall together, and in another order it has another last bit."""
    rng = np.random.default_rng(2)
    hourly = np.repeat(rng.gamma(0.5, 0.05, (24, 1, 40)), 300, axis=1).astype(np.float32)
    lam = hourly.sum(0)
    y = gamma_poisson(lam, rng)
    for level in (0.7, 0.8, 0.9):
        held = inside(fit_spread(lam, y, level), hourly[::-1].astype(np.float64).sum(0), y)
        assert held.mean() >= level


@st.composite
def spreads(draw):
    """Any spread that can be read: two quantiles for each group, whatever they say."""
    pairs = st.tuples(*2 * [st.sampled_from([0.0, 0.03, 0.05, 0.11, 0.5, 0.9, 0.95, 0.999])]).map(sorted)
    lower, upper = zip(*draw(st.lists(pairs, min_size=1, max_size=6)), strict=True)
    borders = tuple(2.0 ** np.arange(-3, len(lower) - 4))
    level, dispersion = (draw(st.sampled_from(values)) for values in ([0.5, 0.8, 0.9, 0.95], [1e-4, 0.1, 0.5, 3.0]))
    return Spread(level, dispersion, borders, lower, upper)


@settings(max_examples=100, deadline=None)
@given(spreads(), st.lists(st.floats(0, 20), max_size=5))
def test_no_interval_contradicts_the_risk_beside_it(spread, others):
    """Whatever was fitted: 1 is inside where an event is likelier than the tail, 0 where no event is."""
    tail = (1 - spread.level) / 2
    edges = np.array([-np.log1p(-tail), -np.log(tail)])[:, None] * (1 + 1e-7 * np.arange(-9, 10))
    lam = np.concatenate([edges.ravel(), edges.ravel().astype(np.float32), np.geomspace(1e-4, 20, 50), others])
    low, high = spread.interval(lam)
    assert (high[risk(lam) > tail] >= 1).all()
    assert (low[1 - risk(lam) > tail] == 0).all()
    assert (low <= high).all()


@settings(max_examples=50, deadline=None)
@given(spreads())
def test_intervals_ascend_with_intensity_and_end_at_the_quantiles_of_the_law(spread):
    lam = np.sort(np.concatenate([np.geomspace(1e-3, 8, 100), spread.borders]))
    low, high = spread.interval(lam)
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) >= 0).all()
    size, tail = 1 / spread.dispersion, (1 - spread.level) / 2
    group = np.searchsorted(spread.borders, lam, side="right")
    levels = np.array([spread.lower, spread.upper])[:, group]  # [lower and upper, λ]
    plain = np.maximum(nbinom.ppf(levels, size, size / (size + lam)), 0)
    fewer = nbinom.cdf(plain - 1 + np.array([[[0]], [[1]]]), size, size / (size + lam))
    clear = (abs(fewer - levels) > 1e-6).all((0, 1))  # no quantile is at a step of the law
    assert (low <= plain[0])[clear].all()
    assert (high >= plain[1])[clear].all()
    if len(spread.lower) == 1:
        np.testing.assert_array_equal(low[clear], np.where(np.exp(-lam) > tail, 0, plain[0])[clear])
        np.testing.assert_array_equal(high[clear], np.maximum(plain[1], risk(lam) > tail)[clear])


def test_groups_are_large_and_every_level_has_its_own_fit():
    rng = np.random.default_rng(3)
    lam = expected(20_000, rng)
    y = gamma_poisson(lam, rng)
    wide, narrow = fit_spread(lam, y, 0.95), fit_spread(lam, y, 0.8)
    held = np.bincount(np.searchsorted(wide.borders, lam, side="right"))
    assert held.size == len(wide.lower) == len(wide.upper) > 3
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
    reference = fit_spread(lam, final)
    for found, wanted in zip(spread.interval(lam), reference.interval(lam), strict=True):
        assert found.mean() == pytest.approx(wanted.mean(), rel=0.03, abs=0.01)


@pytest.mark.parametrize(("level", "few"), [(0.8, 12), (0.9, 25)])
def test_a_new_count_is_held_as_often_as_it_says_after_few_others(level, few):
    """A few counts of one law are fitted on, and the next is inside at least as often as `level`."""
    rng = np.random.default_rng(6)
    lam = np.full(few, 100.0)
    held = [inside(fit_spread(lam, y[:few], level), lam[:1], y[few:])[0] for y in rng.poisson(100, (600, few + 1))]
    assert np.mean(held) > level - np.sqrt(level * (1 - level) / 600)


def test_without_events_and_with_a_handful_of_cells():
    quiet = fit_spread(np.full(1000, 0.01), np.zeros(1000))
    low, high = quiet.interval(np.array([0.0, 0.01, 0.05]))
    assert low.tolist() == high.tolist() == [0, 0, 0]
    few = fit_spread(np.array([0.1, 0.2]), np.array([0, 400]))
    assert inside(few, np.array([0.2]), np.array([400])).all()


@settings(max_examples=50, deadline=None)
@given(st.integers(-1, 60), st.floats(1e-6, 50), st.sampled_from([1e-4, 0.1, 2.0]))
def test_probability_of_at_least_so_many(count, lam, dispersion):
    found = Spread(0.9, dispersion, (), (0.05,), (0.95,)).at_least(np.array([count]), np.array([lam]))
    size = 1 / dispersion
    np.testing.assert_allclose(found, nbinom.sf(count - 1, size, size / (size + lam)), atol=1e-9)


def test_saved_values_read_back_and_damaged_ones_are_named():
    rng = np.random.default_rng(5)
    lam = expected(5000, rng)
    spread = fit_spread(lam, gamma_poisson(lam, rng))
    assert Spread.from_dict(spread.to_dict()) == spread
    good = spread.to_dict()
    other_lengths, crossed = good | {"upper": [0.9]}, good | {"lower": good["upper"], "upper": good["lower"]}
    earlier = {key: good[key] for key in ("level", "dispersion", "borders")} | {"reach": good["upper"]}
    unlikely = (
        good | {"dispersion": "much"},
        good | {"borders": [2.0, 1.0]},
        good | {"upper": [1.0] * len(spread.upper)},
    )
    for damaged in ([], {}, earlier, other_lengths, crossed, *unlikely):
        with pytest.raises((KeyError, TypeError, ValueError)):
            Spread.from_dict(damaged)


@pytest.mark.parametrize("lam", [1e12, np.inf, np.nan])
def test_no_memory_is_asked_for_at_an_intensity_beyond_any_record(lam: float) -> None:
    spread = Spread(0.9, 0.1, (), (0.05,), (0.95,))
    with pytest.raises(ArtefactError, match="beyond any record"):
        spread.interval(np.array([lam]))
