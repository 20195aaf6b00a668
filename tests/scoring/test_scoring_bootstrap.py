import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from stforecast.scoring import bootstrap, metrics
from stforecast.scoring.intensity import pool


def city(m=70, k=24, n=40, c=2, seed=0):
    rng = np.random.default_rng(seed)
    good = np.exp(rng.normal(-3.5, 1.0, (1, 1, n, c)) + rng.normal(0, 0.5, (m, k, n, c))).astype(np.float32)
    worse = np.broadcast_to(good.mean((0, 1), keepdims=True), good.shape)  # heavily tied
    return good, worse, rng.poisson(good)


def test_weights_take_whole_blocks_and_as_many_days_as_there_are():
    weights = bootstrap.day_weights(50, draws=2000, block_days=7)
    assert (weights.sum(1) == 50).all()
    assert weights.mean(0) == pytest.approx(np.ones(50), abs=0.15)
    assert np.array_equal(weights, bootstrap.day_weights(50, draws=2000, block_days=7))
    assert not np.array_equal(weights, bootstrap.day_weights(50, draws=2000, block_days=7, seed=1))
    together = np.corrcoef(weights[:, 10], weights[:, 11])[0, 1]
    apart = np.corrcoef(weights[:, 10], weights[:, 30])[0, 1]
    assert together > 0.7 > 0.1 > apart


@pytest.mark.parametrize("days", [1, 5, 7])
def test_one_block_has_an_estimate_and_no_interval(days: int) -> None:
    assert bootstrap.block_count(days) == 1
    weights = bootstrap.day_weights(days)
    assert weights.shape == (0, days)
    good, worse, y = (values[:days] for values in city())
    a, b = (bootstrap.average_precision_draws(pool(lam), pool(y), weights) for lam in (good, worse))
    loss = bootstrap.mean_draws(np.arange(days, dtype=float), weights)
    for found, estimate in (
        (bootstrap.difference(a, b), a.estimate - b.estimate),
        (bootstrap.interval(a), a.estimate),
        (bootstrap.interval(loss), (days - 1) / 2),
    ):
        assert found.estimate == pytest.approx(estimate)
        assert np.isnan([found.low, found.high]).all()


def test_intervals_say_of_how_many_blocks_they_are_and_where_these_are_too_few() -> None:
    assert [bootstrap.block_count(days) for days in (7, 8, 14, 15, 72)] == [1, 2, 2, 3, 11]
    assert bootstrap.of_blocks(1) == "one week: no interval"
    for blocks in (2, 3, 4):
        assert bootstrap.of_blocks(blocks) == f"95 % intervals from {blocks} weeks, too few to be trusted"
    assert bootstrap.of_blocks(5) == "95 % intervals from 5 weeks"


def test_daily_losses_average_to_the_metrics_and_draws_are_weighted_means():
    lam, _, y = city()
    losses = metrics.daily_losses(lam, y)
    entry = metrics.scorecard_entry(lam, y, ("a", "b"), {"all": 0.1, "a": 0.1, "b": 0.1}, np.ones(40), 2.0)
    weights = bootstrap.day_weights(70, draws=50)
    for name, daily in losses.items():
        assert daily.shape == (70,)
        assert daily.mean() == pytest.approx(entry[name], rel=1e-6)
        draws = bootstrap.mean_draws(daily, weights)
        assert draws.estimate == pytest.approx(entry[name], rel=1e-6)
        assert draws.values[3] == pytest.approx(np.repeat(daily, weights[3].astype(int)).mean(), rel=1e-5)


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("bins", [4096, 1000])
def test_average_precision_of_draws_is_that_of_the_days_drawn(which, bins, monkeypatch):
    monkeypatch.setattr(bootstrap, "BINS", bins)
    monkeypatch.setattr(bootstrap, "ALONE", bins // 4)
    case = city()
    lam, y = pool(case[which]), pool(case[2])
    weights = bootstrap.day_weights(70, draws=12)
    draws = bootstrap.average_precision_draws(lam, y, weights)
    assert draws.estimate == pytest.approx(average_precision_score((y > 0).ravel(), lam.ravel()), abs=1e-12)
    for row, value in zip(weights, draws.values, strict=True):
        days = np.repeat(np.arange(70), row.astype(int))
        exact = average_precision_score((y[days] > 0).ravel(), lam[days].ravel())
        assert value == pytest.approx(exact, abs=1e-4)


def test_a_better_forecaster_is_told_from_a_worse_one_and_a_twin_is_not():
    good, worse, y = city()
    weights = bootstrap.day_weights(70)
    a, b = (bootstrap.average_precision_draws(pool(lam), pool(y), weights) for lam in (good, worse))
    gain = bootstrap.difference(a, b)
    assert 0 < gain.low < gain.estimate < gain.high
    assert gain.high - gain.low < bootstrap.interval(a).high - bootstrap.interval(a).low
    twin = bootstrap.difference(a, a)
    assert (twin.low, twin.estimate, twin.high) == (0, 0, 0)


def test_draws_without_events_are_left_out():
    good, _, y = city(m=14)
    y[1:] = 0
    draws = bootstrap.average_precision_draws(pool(good), pool(y), bootstrap.day_weights(14, block_days=1))
    assert np.isnan(draws.values).any()
    assert np.isfinite(bootstrap.interval(draws).low)
    none = bootstrap.average_precision_draws(pool(good), pool(0 * y), bootstrap.day_weights(14))
    assert np.isnan([none.estimate, *none.values]).all()


def test_intervals_cover_the_truth_when_days_resemble_their_neighbours():
    rng = np.random.default_rng(0)
    days, covered = 210, {1: 0, 7: 0}
    for _ in range(300):
        noise = rng.normal(size=days + 2)
        daily = 0.1 + noise[2:] + noise[1:-1] + noise[:-2]  # a moving mean of three days around the truth
        for block_days in covered:
            weights = bootstrap.day_weights(days, draws=200, block_days=block_days, seed=int(rng.integers(1 << 30)))
            found = bootstrap.interval(bootstrap.mean_draws(daily, weights))
            covered[block_days] += found.low <= 0.1 <= found.high
    assert 0.87 <= covered[7] / 300 <= 0.98
    assert covered[1] / 300 < 0.83  # single days pretend to more than they know
