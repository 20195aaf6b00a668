import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from stforecast.scoring import calibration, hotspots, metrics, ranking
from stforecast.scoring.calibration import calibration_slope
from stforecast.scoring.intensity import FLOOR, compress, logit, pool, risk


@st.composite
def scored(draw):
    """Scores with many ties, and counts of both kinds."""
    size = draw(st.integers(2, 60))
    levels = draw(st.lists(st.floats(0, 5, width=32), min_size=1, max_size=8))
    score = draw(st.lists(st.sampled_from(levels), min_size=size, max_size=size))
    y = draw(st.lists(st.integers(0, 3), min_size=size, max_size=size))
    y[0], y[1] = 0, 2
    return np.array(score, np.float32), np.array(y, np.uint8)


def city(m=20, k=24, n=60, c=3, seed=0, level=-3.0):
    rng = np.random.default_rng(seed)
    lam = np.exp(rng.normal(level, 1.0, (1, 1, n, c)) + rng.normal(0, 0.3, (m, k, n, c))).astype(np.float32)
    return lam, rng.poisson(lam).astype(np.uint8)


NAMES = ("theft", "assault", "other")


@settings(max_examples=300, deadline=None)
@given(scored())
def test_ranking_metrics_are_those_of_scikit_learn_with_ties(case):
    score, y = case
    ranked = ranking.rank(score, y)
    assert ranking.average_precision(ranked) == pytest.approx(sk.average_precision_score(y > 0, score), abs=1e-12)
    assert ranking.roc_auc(ranked) == pytest.approx(sk.roc_auc_score(y > 0, score), abs=1e-12)
    for threshold in (0.0, float(score[0]), float(score.mean())):
        expected = sk.f1_score(y > 0, score.astype(np.float64) >= threshold)
        assert ranking.f1(ranked, threshold) == pytest.approx(expected, abs=1e-12)


@settings(max_examples=300, deadline=None)
@given(scored())
def test_best_threshold_reaches_the_best_f1_of_all_thresholds(case):
    score, y = case
    chosen = ranking.best_threshold(score, y)
    best = max(sk.f1_score(y > 0, score >= s) for s in np.unique(score))
    assert sk.f1_score(y > 0, score.astype(np.float64) >= chosen) == pytest.approx(best, abs=1e-12)


def test_best_threshold_lies_between_two_risks_and_f1_is_as_counted_by_hand():
    p = np.array([0.1, 0.2, 0.2, 0.4, 0.8], np.float32)
    y = np.array([0, 1, 0, 1, 1])
    # ≥ .8: 2·1/(1+3); ≥ .4: 2·2/(2+3) = .8; ≥ .2: 2·3/(4+3) = .857; all: 2·3/(5+3)
    assert ranking.best_threshold(p, y) == pytest.approx(0.15)
    assert ranking.f1(ranking.rank(p, y), 0.15) == pytest.approx(6 / 7)
    assert ranking.best_threshold(p, 0 * y) == 1.0


def test_threshold_of_risk_is_applied_to_intensities():
    lam = np.array([[[0.05, 0.3, 0.3, 1.5]]], np.float32)
    y = np.array([[[0, 1, 0, 1]]])
    threshold = ranking.best_threshold(risk(lam), y)
    found = metrics.score(lam[..., None], y[..., None], threshold, np.ones(4), 1.0)
    assert found["f1"] == pytest.approx(sk.f1_score((y > 0).ravel(), risk(lam).ravel() >= threshold))


def test_score_of_a_city_equals_the_definitions():
    lam4, y4 = city()
    lam, y = pool(lam4), pool(y4)
    found = metrics.score(lam[..., None], y[..., None], 0.2, np.full(60, 0.7), 5.0)
    p, event, l64 = risk(lam.astype(np.float64)).ravel(), (y > 0).ravel(), lam.astype(np.float64)
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(event, lam.ravel()), abs=1e-12)
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(event, lam.ravel()), abs=1e-12)
    assert found["log_loss"] == pytest.approx(sk.log_loss(event, p), rel=1e-6)
    assert found["brier"] == pytest.approx(sk.brier_score_loss(event, p), rel=1e-6)
    assert found["poisson_deviance"] == pytest.approx(sk.mean_poisson_deviance(y.ravel(), l64.ravel()), rel=1e-6)
    assert found["f1"] == pytest.approx(sk.f1_score(event, p >= 0.2), abs=1e-12)
    assert found["mae"] == pytest.approx(sk.mean_absolute_error(y.ravel(), lam.ravel()), rel=1e-6)
    assert found["rmse"] == pytest.approx(sk.root_mean_squared_error(y.ravel(), lam.ravel()), rel=1e-6)
    assert found["r2"] == pytest.approx(sk.r2_score(y.ravel(), lam.ravel()), abs=1e-5)
    assert found["bias"] == pytest.approx(l64.sum() / y.sum(), rel=1e-6)
    assert found["risk_bias"] == pytest.approx(p.sum() / event.sum(), rel=1e-6)
    assert found["risk_bias_day"] == pytest.approx(risk(l64.sum(1)).sum() / (y.sum(1) > 0).sum(), rel=1e-6)
    reference = LogisticRegression(C=1e12, tol=1e-10, max_iter=1000)
    for name, x, z in (
        ("calibration_slope", l64, y > 0),
        ("calibration_slope_day", l64.sum(1), y.sum(1) > 0),
    ):
        slope = reference.fit(np.log(np.expm1(x)).reshape(-1, 1), z.ravel()).coef_[0, 0]
        assert found[name] == pytest.approx(slope, abs=1e-4)
    order = np.argsort(p, kind="stable")
    bins = np.array_split(order, 10)
    error = sum(len(b) * abs(p[b].mean() - event[b].mean()) for b in bins) / len(p)
    assert found["calibration_error"] == pytest.approx(error, abs=1e-6)


def test_entry_scores_the_pool_the_categories_and_the_leaves():
    lam, y = city()
    thresholds = metrics.choose_thresholds(lam, y, NAMES)
    entry = metrics.scorecard_entry(lam, y, NAMES, thresholds, np.full(60, 0.7), 5.0)
    assert set(thresholds) == {"all", *NAMES}
    assert set(entry["by_category"]) == set(NAMES)
    leaves = sk.mean_poisson_deviance(y.ravel(), lam.astype(np.float64).ravel())
    assert entry["poisson_deviance"] == pytest.approx(leaves, rel=1e-6)
    one = entry["by_category"]["assault"]
    assert one["average_precision"] == pytest.approx(
        sk.average_precision_score((y[..., 1] > 0).ravel(), lam[..., 1].ravel()), abs=1e-12
    )
    assert set(one) | {"by_category"} == set(entry)
    numbers = [v for e in (entry, *entry["by_category"].values()) for k, v in e.items() if k != "by_category"]
    assert {type(v) for v in numbers} == {float}
    assert np.isfinite(numbers).all()


def test_deviance_by_hand_and_zero_intensity_costs_a_finite_amount():
    lam, y = np.array([[0.5, 2.0, 1.0]]), np.array([[0, 1, 3]])
    by_hand = 2 * (0.5 + (2 - 1 + np.log(1 / 2)) + (1 - 3 + 3 * np.log(3))) / 3
    assert metrics.poisson_deviance(lam, y) == pytest.approx(by_hand)
    found = metrics.score(np.zeros((1, 1, 2, 1), np.float32), np.array([[[[1], [0]]]]), 0.5, np.ones(2), 1.0)
    assert found["log_loss"] == pytest.approx(-(np.log(FLOOR) + np.log1p(-FLOOR)) / 2)
    assert np.isfinite(found["poisson_deviance"])


def test_without_events_or_with_nothing_to_tell_apart_figures_are_nan_and_nothing_warns():
    lam = np.full((2, 3, 5, 1), 0.1, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        none = metrics.score(lam, np.zeros_like(lam), 1.0, np.ones(5), 2.0)
        full = metrics.score(lam, np.ones_like(lam), 0.0, np.ones(5), 2.0)
    undefined = ("average_precision", "roc_auc", "f1", "pai_1", "pei_patrol", "calibration_slope", "bias", "risk_bias")
    assert all(np.isnan(none[name]) for name in undefined)
    assert none["log_loss"] == pytest.approx(0.1)
    assert full["average_precision"] == full["f1"] == 1.0
    assert np.isnan(full["roc_auc"])


def test_hot_spots_by_hand():
    lam = np.array([[4, 3, 2, 1], [1, 1, 1, 5]], np.float32)  # the tie goes to hexagon 0
    y = np.array([[1, 0, 2, 0], [3, 0, 1, 0]], np.float32)
    assert hotspots.top_hexagons(lam, 4).tolist() == [[0, 1, 2, 3], [3, 0, 1, 2]]
    found = hotspots.hot_spots(lam, y, np.array([1.0, 1.0, 1.0, 2.0]), 2.0)
    # k = 1: hexagon 0 with 1 event, hexagon 3 with none; the best would be 2 + 3 of 7
    assert found["hit_rate_1"] == pytest.approx(1 / 7)
    assert found["pai_1"] == pytest.approx((1 / 7) / (1.5 / 5))  # areas 1 and 2 of 5 km²
    alike = hotspots.hot_spots(lam, y, np.array([1.0, 1.0, 1.0, 1.05]), 2.0)  # as hexagons are: by their number
    assert alike["pai_1"] == pytest.approx((1 / 7) / (1 / 4))
    assert found["pei_1"] == pytest.approx(1 / 5)
    # 2 km²: hexagons 0 and 1, then hexagon 3 alone: 1 + 0 events, the best 3 + 3, area 2 of 5 km²
    assert found["hit_rate_patrol"] == pytest.approx(1 / 7)
    assert found["pai_patrol"] == pytest.approx((1 / 7) / (2 / 5))
    assert found["pei_patrol"] == pytest.approx(1 / 6)
    tenths = hotspots.hot_spots(lam[:1], y[:1], np.array([0.1, 0.1, 0.1, 2.0]), 0.3)  # whose sum is above 0.3
    assert tenths["hit_rate_patrol"] == 1
    small = hotspots.hot_spots(lam, y, np.array([1.0, 1.0, 1.0, 2.0]), 0.1)
    assert small["hit_rate_patrol"] == found["hit_rate_1"]
    whole = hotspots.hot_spots(lam, y, np.ones(4), 100.0)
    assert whole["hit_rate_patrol"] == whole["pai_patrol"] == whole["pei_patrol"] == 1.0


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 6), st.integers(1, 120), st.integers(0, 10**6))
def test_hot_spots_equal_a_plain_loop(hours, n, seed):
    rng = np.random.default_rng(seed)
    lam = rng.integers(0, 5, (hours, n)).astype(np.float32) / 7
    y = rng.poisson(0.3, (hours, n)).astype(np.float32)
    y[0, 0] = 1
    areas = rng.uniform(0.5, 1.5, n)
    patrol = float(rng.uniform(0.1, 1.2) * areas.sum())
    found = hotspots.hot_spots(lam, y, areas, patrol)

    def plain(count):
        hits = best = area = 0.0
        for row, events in zip(lam, y, strict=True):
            order = sorted(range(n), key=lambda i: (-row[i], i))
            k = count(order)
            hits += events[order[:k]].sum()
            best += np.sort(events)[::-1][:k].sum()
            area += areas[order[:k]].sum() / hours
        return hits / y.sum(), hits / best, area / areas.sum()

    for name, share in hotspots.AREAS.items():
        k = max(1, round(share * n))
        rate, pei, area = plain(lambda order, k=k: k)
        assert (found[f"hit_rate_{name}"], found[f"pei_{name}"]) == pytest.approx((rate, pei))
        alike = np.ptp(areas) <= hotspots.ALIKE * areas.mean()
        assert found[f"pai_{name}"] == pytest.approx(rate / (k / n if alike else area))
    rate, pei, area = plain(lambda order: max(1, int((np.cumsum(areas[order]) <= patrol * (1 + 1e-9)).sum())))
    assert (found["hit_rate_patrol"], found["pei_patrol"]) == pytest.approx((rate, pei))
    assert found["pai_patrol"] == pytest.approx(rate / area)


def test_reliability_shares_out_ties_and_does_not_depend_on_their_order():
    lam = np.array([0.1] * 6 + [0.4] * 4, np.float32)
    y = np.array([1, 0, 0, 0, 0, 0, 1, 1, 0, 0])
    for case in (y, y[::-1][np.r_[4:10, 0:4]]):
        found = calibration.reliability(ranking.rank(lam, case), bins=2)
        assert found.count.tolist() == [5, 5]
        assert found.observed == pytest.approx([5 / 6 / 5, (1 / 6 + 2) / 5])
        assert found.mean_risk == pytest.approx([1 - np.exp(-0.1), (1 - np.exp(-0.1) + 4 - 4 * np.exp(-0.4)) / 5])
    assert len(calibration.reliability(ranking.rank(lam[:3], y[:3])).count) == 3


def test_hit_rate_curve_runs_through_the_hit_rates():
    lam, y = city(n=100)
    lam, y = pool(lam).reshape(-1, 100), pool(y).reshape(-1, 100)
    area, captured = hotspots.hit_rate_curve(lam, y)
    found = hotspots.hot_spots(lam, y, np.ones(100), 5.0)
    for name, k in (("1", 1), ("5", 5), ("10", 10), ("patrol", 5)):
        assert captured[k] == pytest.approx(found[f"hit_rate_{name}"])
    assert (area[0], area[-1], captured[0], captured[-1]) == (0, 1, 0, 1)
    assert (np.diff(captured) >= 0).all()


def test_compression_keeps_sums_and_bounds_the_width():
    lam = np.exp(np.random.default_rng(0).normal(-5, 2, 10_000)).astype(np.float32)
    weight = np.random.default_rng(1).uniform(0, 1, 10_000)
    mean, total = compress(lam, weight)
    assert total.sum() == pytest.approx(weight.sum())
    assert mean @ total == pytest.approx((lam.astype(np.float64) * weight).sum(), rel=1e-7)
    assert total @ np.sqrt(mean) == pytest.approx((np.sqrt(lam.astype(np.float64)) * weight).sum(), rel=1e-6)
    assert mean.size < 5000


def test_slope_tells_too_extreme_forecasts_and_stays_finite_when_perfect():
    lam, y = city(m=60, level=-2.0)
    assert calibration_slope(lam, y) == pytest.approx(1.0, abs=0.03)
    assert calibration_slope(lam**2, y) < 0.7
    assert np.isfinite(calibration_slope(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1])))
    assert logit(np.array([0.0, 1e9])) == pytest.approx([-13.8155, 13.8155], abs=1e-3)


def test_skill():
    assert metrics.skill(0.9, 1.0, 0.8) == pytest.approx(0.5)
    assert np.isnan(metrics.skill(0.9, 1.0, 1.0))


def test_a_real_size_is_scored_quickly():
    lam, y = city(m=90, n=448, c=1, level=-5.6)  # a million cells
    start = time.process_time()
    metrics.score(lam, y, 0.1, np.full(448, 0.74), 5.0)
    assert time.process_time() - start < 1.5  # about 0.1 s; loose for a busy machine
