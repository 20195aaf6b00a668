import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from stforecast.scoring.calibration import MIN_SLOPE, Calibration, calibration_slope, fit_calibration


def city(a, b, m=60, k=24, n=150, seed=0, level=-4.0):
    """Raw intensities [m k n c], and all counts drawn from exp(a) · λ^b."""
    rng = np.random.default_rng(seed)
    c = len(a)
    lam = np.exp(rng.normal(level, 1.0, (1, 1, n, c)) + rng.normal(0, 0.3, (m, k, n, c))).astype(np.float32)
    return lam, rng.poisson(np.exp(a) * lam**b), rng


def plain_fit(lam, y, share):
    """The same penalised likelihood over every cell, maximised by scipy."""
    x, z, log_share = np.log(lam.astype(np.float64)).ravel(), y.ravel() > 0, np.log(share).ravel()
    weight = np.exp(x + log_share)
    centre = (weight @ x) / weight.sum()

    def loss(theta):
        mu = np.exp(log_share + centre + theta[0] + theta[1] * (x - centre))
        penalty = 0.5 * (theta[0] ** 2 + ((theta[1] - 1) / 0.05) ** 2)
        return mu[~z].sum() - np.log(-np.expm1(-mu[z])).sum() + penalty

    level, slope = optimize.minimize(loss, [0, 1], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-9}).x
    return level + (1 - slope) * centre, slope


def test_recovers_a_known_map_of_each_category():
    a, b = np.array([0.4, -0.8]), np.array([1.2, 0.7])
    lam, y, _ = city(a, b, m=300)
    found = fit_calibration(lam, y)
    assert found.intercept == pytest.approx(a, abs=0.15)
    assert found.slope == pytest.approx(b, abs=0.04)
    calibrated = found.apply(lam)
    for i in range(2):
        assert calibration_slope(calibrated[..., i], y[..., i]) == pytest.approx(1, abs=0.01)
        assert calibrated[..., i].sum() == pytest.approx(y[..., i].sum(), rel=0.03)


def test_exposure_recovers_the_map_of_all_events_from_the_reported_ones():
    a, b = np.array([0.4]), np.array([0.8])
    lam, y, rng = city(a, b, m=120)
    share = np.linspace(0.95, 0.3, 24)[None, :, None, None]
    reported = rng.binomial(y, np.broadcast_to(share, y.shape))
    found = fit_calibration(lam, reported, share)
    assert found.intercept == pytest.approx(a, abs=0.15)
    assert found.slope == pytest.approx(b, abs=0.04)
    ignored = fit_calibration(lam, reported)
    assert np.exp(ignored.intercept[0] - found.intercept[0]) < 0.8  # the late reports are missed


def test_exposure_of_zero_leaves_cells_out():
    lam, y, _ = city(np.array([0.3]), np.array([0.9]), m=20)
    share = np.ones((20, 1, 1, 1))
    share[15:] = 0
    kept = fit_calibration(lam[:15], y[:15])
    found = fit_calibration(lam, y, share)
    assert found.intercept == pytest.approx(kept.intercept, abs=1e-6)
    assert found.slope == pytest.approx(kept.slope, abs=1e-6)


@pytest.mark.parametrize("exposed", [False, True])
def test_the_compressed_fit_is_the_plain_one(exposed):
    lam, y, rng = city(np.array([0.5]), np.array([0.6]), m=20, n=60)
    share = rng.uniform(0.3, 1, lam.shape) if exposed else np.ones(lam.shape)
    y = rng.binomial(y, share)
    found = fit_calibration(lam, y, share if exposed else None)
    intercept, slope = plain_fit(lam, y, share)
    assert found.intercept[0] == pytest.approx(intercept, abs=1e-4)
    assert found.slope[0] == pytest.approx(slope, abs=1e-4)


def test_few_events_stay_near_the_identity_and_none_are_the_identity():
    lam, y, _ = city(np.array([0.0, 0.0]), np.array([1.0, 1.0]), m=2, n=20, level=-6.0)
    y[:] = 0
    y[0, 3, 5, 0] = 1
    found = fit_calibration(lam, y)
    assert (found.intercept[1], found.slope[1]) == (0.0, 1.0)
    assert found.slope[0] == pytest.approx(1, abs=0.3)
    assert fit_calibration(lam, 0 * y) == Calibration.identity(2)


def test_a_forecast_turned_upside_down_keeps_a_positive_slope_and_the_right_level():
    lam, y, _ = city(np.array([-8.0]), np.array([-1.0]))
    found = fit_calibration(lam, y)
    assert found.slope == (MIN_SLOPE,)
    assert found.apply(lam).sum() == pytest.approx(y.sum(), rel=0.05)


def test_counts_with_zeros_become_a_usable_forecast():
    rng = np.random.default_rng(0)
    rate = np.exp(rng.normal(-3, 1, (1, 1, 200, 1)))
    lam, y = rng.poisson(rate, (60, 24, 200, 1)), rng.poisson(rate, (60, 24, 200, 1))
    calibrated = fit_calibration(lam, y).apply(lam)
    assert calibrated[lam == 0].mean() == pytest.approx(y[lam == 0].mean(), rel=0.05)
    assert calibrated[lam == 1].mean() == pytest.approx(y[lam == 1].mean(), rel=0.3)


@settings(max_examples=60, deadline=None)
@given(st.floats(-12, 6), st.floats(-8, 6), st.integers(0, 1000))
def test_any_scale_gives_a_finite_monotone_map(level, truth, seed):
    rng = np.random.default_rng(seed)
    lam = np.exp(rng.normal(level, 1, (5, 4, 10, 1))).astype(np.float32)
    found = fit_calibration(lam, rng.poisson(np.exp(truth), lam.shape))
    assert np.isfinite(found.intercept + found.slope).all()
    assert found.slope[0] >= MIN_SLOPE
    out = found.apply(lam)
    assert np.isfinite(out).all()
    order = np.argsort(lam.ravel())
    assert (np.diff(out.ravel()[order]) >= -1e-5 * out.max()).all()


def test_apply_is_the_map_and_survives_a_round_trip():
    found = Calibration((0.5, -0.2), (0.8, 1.1))
    lam = np.array([[0.1, 0.1], [2.0, 2.0]], np.float32)
    expected = np.exp(np.array([0.5, -0.2]) + np.array([0.8, 1.1]) * np.log(lam))
    assert found.apply(lam) == pytest.approx(expected, rel=1e-6)
    assert found.apply(lam).dtype == np.float32
    assert Calibration.from_dict(found.to_dict()) == found
    assert np.array_equal(Calibration.identity(2).apply(lam), lam)
    for damaged in (
        {},
        {"intercept": [0.0], "slope": []},
        {"intercept": [0.0], "slope": [-1.0]},
        {"intercept": 1, "slope": 1},
    ):
        with pytest.raises((KeyError, TypeError, ValueError)):
            Calibration.from_dict(damaged)
