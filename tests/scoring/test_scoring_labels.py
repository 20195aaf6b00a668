"""The hot label: what a day must count to be hot, and how forecasts of it are scored."""

import numpy as np
import pytest
import sklearn.metrics as sk

from stforecast.scoring.labels import HOT, WINDOW, count_needed, label_figures


def test_counts_needed_by_hand():
    past = np.zeros((WINDOW, 4), int)
    past[3, 1] = 1  # a lone event: mean 1/28, so that one event more is a z of 0.96 and two are 1.96
    past[:, 2] = 5  # a day like any other: 5 + 1.5 · 1
    past[::2, 3] = 8  # mean 4, deviation 4.07: 4 + 6.11
    assert count_needed(past).tolist() == [2, 2, 7, 11]


def test_a_bound_that_is_a_whole_number_counts_as_reached():
    past = np.repeat([0, 1], WINDOW // 2)  # 0.5 + 1.5 · 1
    assert count_needed(past) == 2


def test_equals_a_plain_loop_over_z_scores():
    rng = np.random.default_rng(0)
    past = rng.poisson(rng.gamma(0.7, 2, 200), (WINDOW, 200))
    needed = count_needed(past)
    for column, least in zip(past.T.tolist(), needed.tolist(), strict=True):
        mean = sum(column) / WINDOW
        deviation = max((sum((x - mean) ** 2 for x in column) / (WINDOW - 1)) ** 0.5, 1)
        assert (least - mean) / deviation >= HOT - 1e-9
        assert (least - 1 - mean) / deviation < HOT


def test_figures_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    probability = rng.integers(0, 20, (50, 8)) / 20  # ties
    hot = rng.random((50, 8)) < probability
    found = label_figures(probability, hot, 0.4)
    called, truth = probability.ravel() >= 0.4, hot.ravel()
    assert found["hot_label_average_precision"] == pytest.approx(sk.average_precision_score(truth, probability.ravel()))
    for name in ("precision", "recall", "f1"):
        assert found[f"hot_label_{name}"] == pytest.approx(getattr(sk, f"{name}_score")(truth, called))
    assert found["hot_label_share"] == hot.mean()


def test_where_nothing_is_hot_or_called_figures_are_nan():
    none = label_figures(np.full((3, 4), 0.1), np.zeros((3, 4), bool), 1.0)
    assert none.pop("hot_label_share") == 0
    assert np.isnan(list(none.values())).all()
