import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from stforecast.scoring.diebold_mariano import diebold_mariano


def noise(series, days, correlation=0.0, seed=0):
    """Differences of mean 0 [r m], each day correlated with the one before."""
    rng = np.random.default_rng(seed)
    out = np.zeros((series, days + 50))
    for day in range(1, days + 50):
        out[:, day] = correlation * out[:, day - 1] + rng.normal(size=series)
    return out[:, 50:]


def rejected(differences, **options):
    """Share of the series that the test rejects at 5 %."""
    found = [diebold_mariano(one, np.zeros_like(one), **options).p_value for one in differences]
    return np.mean(np.array(found) < 0.05)


def plain(a, b, lag):
    """The statistic as it is written in the three papers, term by term."""
    d, days = np.asarray(a) - np.asarray(b), len(a)
    covariance = [sum((d[t] - d.mean()) * (d[t - j] - d.mean()) for t in range(j, days)) / days for j in range(lag + 1)]
    long_run = covariance[0] + 2 * sum((1 - j / (lag + 1)) * covariance[j] for j in range(1, lag + 1))
    h = lag + 1
    return d.mean() / np.sqrt(long_run / days) * np.sqrt((days + 1 - 2 * h + h * (h - 1) / days) / days)


@pytest.mark.parametrize(("days", "lag"), [(2, 0), (5, 1), (28, 7), (29, 3), (100, 7)])
def test_the_statistic_is_that_of_the_papers(days, lag):
    a, b = noise(2, days, 0.4, seed=days)
    assert diebold_mariano(a, b, lag).statistic == pytest.approx(plain(a, b, lag), rel=1e-9)


@pytest.mark.parametrize(("days", "lag"), [(3, 0), (7, 1), (16, 4), (29, 7), (100, 7)])
def test_a_lag_of_a_week_or_a_quarter_of_the_days(days, lag):
    a, b = noise(2, days, 0.4, seed=days)
    assert diebold_mariano(a, b).statistic == pytest.approx(plain(a, b, lag), rel=1e-9)


def test_without_lag_it_is_the_t_test():
    a, b = noise(2, 40)
    expected = ttest_1samp(a - b, 0)
    found = diebold_mariano(a, b, lag=0)
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue))


@pytest.mark.parametrize(("days", "correlation", "most"), [(30, 0.0, 0.07), (89, 0.0, 0.07), (224, 0.2, 0.08)])
def test_it_rejects_a_true_null_about_as_often_as_it_says(days, correlation, most):
    assert 0.03 < rejected(noise(1500, days, correlation)) < most


def test_days_that_resemble_each_other_need_the_lag():
    series = noise(1500, 224, 0.5)
    assert rejected(series, lag=0) > 0.2
    assert rejected(series) < 0.1


def test_it_finds_a_difference_that_is_there():
    assert rejected(noise(300, 89, 0.2) + 0.5) > 0.9


def test_below_zero_the_first_loses_less():
    worse, better = noise(2, 60) + np.array([[1], [0]])
    forth, back = diebold_mariano(better, worse), diebold_mariano(worse, better)
    assert forth.statistic < 0
    assert forth.p_value < 0.05
    assert (back.statistic, back.p_value) == (-forth.statistic, forth.p_value)


def test_equal_losses_are_no_difference_and_a_constant_one_is_certain():
    losses = noise(1, 50)[0]
    same, shifted = diebold_mariano(losses, losses), diebold_mariano(np.zeros(50), np.ones(50))
    assert (same.statistic, same.p_value) == (0, 1)
    assert (shifted.statistic, shifted.p_value) == (-np.inf, 0)
    assert np.isnan(diebold_mariano(losses[:1], losses[:1]).p_value)


@given(st.integers(2, 60), st.integers(0, 9), st.integers(0, 99), st.floats(1e-6, 1e6))
def test_units_play_no_part_and_p_is_a_probability(days, lag, seed, unit):
    a, b = noise(2, days, 0.3, seed)
    found, scaled = diebold_mariano(a, b, lag), diebold_mariano(unit * a, unit * b, lag)
    assert 0 <= found.p_value <= 1
    assert scaled.statistic == pytest.approx(found.statistic, rel=1e-6)
