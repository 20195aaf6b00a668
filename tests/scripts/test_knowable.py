"""An observer that knows no hexagon: the oracle where hexagons are alike, behind it where not."""

import sys
from pathlib import Path

import numpy as np
import pytest

from stforecast.config import load
from stforecast.events.synthetic import City, oracle, simulate

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from knowable import Observer, observed


def city(**changes: float) -> City:
    config = load("quickstart", ["synthetic.hexagons=19", "synthetic.days=150"]).synthetic
    assert config is not None
    return simulate(config.model_copy(update=changes), 3)


def excess(found: np.ndarray, best: np.ndarray) -> float:
    """Deviance beyond the oracle's, in expectation, as a share of the mean count."""
    return float(2 * np.mean(found - best - best * np.log(found / best), dtype=np.float64) / best.mean())


ISSUES = 24 * np.arange(120, 149)


def test_without_differences_it_is_the_oracle() -> None:
    same = city(concentration=1e-4, drift=1e-4)
    np.testing.assert_allclose(observed(same, ISSUES, 24), oracle(same, ISSUES, 24), rtol=2e-3)


def test_it_loses_by_what_it_has_to_find_out_and_its_posterior_holds() -> None:
    unlike = city(drift=0.5)
    best, found = oracle(unlike, ISSUES, 24), observed(unlike, ISSUES, 24)
    mean = np.broadcast_to(best.mean((0, 1)), best.shape)
    assert 0.002 < excess(found, best) < 0.5 * excess(mean, best)

    observer = Observer(unlike)
    observer.learn(140, 30)
    truth = np.concatenate([unlike.place, unlike.knots.T], 1)
    error = np.einsum("np,npq,nq->n", truth - observer.theta, observer.precision, truth - observer.theta)
    assert error.mean() == pytest.approx(truth.shape[1], rel=0.4)  # χ² with as many degrees of freedom
