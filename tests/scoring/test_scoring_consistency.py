"""Consistency tests against values computed by hand."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from scipy.stats import multinomial, poisson

from stforecast.scoring.consistency import likelihood_test, number_test


def test_the_number_test_is_of_a_poisson_law() -> None:
    # λ = 2: P(0 … 3) = e⁻² · (1, 2, 2, 4/3)
    found = number_test(expected=2.0, observed=3)
    assert found["at_least"] == pytest.approx(1 - np.exp(-2) * (1 + 2 + 2))
    assert found["at_most"] == pytest.approx(np.exp(-2) * (1 + 2 + 2 + 4 / 3))
    assert number_test(2.0, 0) == pytest.approx({"at_least": 1, "at_most": np.exp(-2)})
    for expected, observed in ((0.3, 1), (1840.5, 1770)):
        found = number_test(expected, observed)
        assert found["at_least"] == pytest.approx(1 - poisson.pmf(range(observed), expected).sum(), rel=1e-9)
        assert found["at_most"] == pytest.approx(poisson.pmf(range(observed + 1), expected).sum(), rel=1e-9)


def test_the_likelihood_is_that_of_as_many_events_as_came() -> None:
    # λ = 3, 1 scaled to two events: 1.5, 0.5. One event in each: log 1.5 + log 0.5 − 2
    found = likelihood_test(np.array([3.0, 1.0]), np.array([1, 1]))
    assert found["log_likelihood"] == pytest.approx(np.log(0.75) - 2)
    two = likelihood_test(np.array([3.0, 1.0]), np.array([2, 0]))
    assert two["log_likelihood"] == pytest.approx(2 * np.log(1.5) - np.log(2) - 2)
    lam, counts = np.random.default_rng(0).gamma(0.5, 2, (7, 5)), np.random.default_rng(1).poisson(0.7, (7, 5))
    law = poisson(lam * counts.sum() / lam.sum())
    assert likelihood_test(lam, counts)["log_likelihood"] == pytest.approx(law.logpmf(counts).sum())


def test_the_quantile_is_that_of_the_multinomial_law() -> None:
    lam, came = np.array([2.0, 1.0, 0.5, 0.1]), np.array([1, 0, 3, 1])
    law = multinomial(came.sum(), lam / lam.sum())
    every = [each for each in product(range(came.sum() + 1), repeat=4) if sum(each) == came.sum()]
    likelihood = np.array([poisson.logpmf(each, lam / lam.sum() * came.sum()).sum() for each in every])
    no_likelier = likelihood <= likelihood[every.index(tuple(came))] + 1e-9
    exact = sum(law.pmf(each) for each, low in zip(every, no_likelier, strict=True) if low)
    assert likelihood_test(lam, came, draws=20000)["quantile"] == pytest.approx(exact, abs=4 * np.sqrt(exact / 20000))


@pytest.mark.parametrize(
    ("came", "quantile"),
    [([2, 0], 1.0), ([1, 1], 6 / 16 + 1 / 16), ([0, 2], 1 / 16)],  # log-likelihoods fall in this order
)
def test_the_quantile_is_the_share_of_draws_that_are_no_likelier(came: list[int], quantile: float) -> None:
    found = likelihood_test(np.array([3.0, 1.0]), np.array(came), draws=4000)
    assert found["quantile"] == pytest.approx(quantile, abs=4 * np.sqrt(0.25 / 4000))


@pytest.mark.parametrize("order", permutations(range(3)))
def test_equal_likelihoods_count_whatever_their_last_digit(order: tuple[int, ...]) -> None:
    lam = np.tile([0.8, 0.1, 0.7], 20)  # an event in one cell of each kind: the sum's last digit goes by their order
    came = np.zeros((20, 3), int)
    came[range(3), order] = 1
    quantiles = [likelihood_test(lam, each.ravel())["quantile"] for each in (came, came[::-1])]
    assert quantiles == [likelihood_test(lam, np.repeat([1, 0], [3, 57]))["quantile"]] * 2


def test_quantiles_of_true_forecasts_are_even_and_those_of_wrong_places_are_low() -> None:
    rng = np.random.default_rng(0)
    lam = rng.gamma(0.5, 0.4, (24, 20))
    true = [likelihood_test(lam, rng.poisson(lam), 200, seed)["quantile"] for seed in range(200)]
    assert np.mean(np.array(true) < 0.1) == pytest.approx(0.1, abs=0.06)
    assert np.mean(true) == pytest.approx(0.5, abs=0.08)
    assert likelihood_test(lam[:, ::-1].sum(0), rng.poisson(lam * 5).sum(0))["quantile"] < 0.01


def test_an_event_where_none_was_expected_is_never_consistent() -> None:
    found = likelihood_test(np.array([1.0, 0.0]), np.array([3, 1]))
    assert found == {"log_likelihood": -np.inf, "quantile": 0.0}


def test_without_an_event_there_is_nothing_to_place() -> None:
    assert np.isnan([*likelihood_test(np.ones(3), np.zeros(3, int)).values()]).all()
