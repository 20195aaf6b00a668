"""The losses: proper by construction, with gradients, equal to cross-entropy where they should be."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stforecast.forecasters.gcrn.losses import FocalLoss, log_odds

GAMMAS, ALPHAS = (0.0, 0.5, 1.0, 2.0), (0.25, 0.5, 0.75)


def loss_of(gamma: float, alpha: float) -> FocalLoss:
    return FocalLoss(gamma, alpha).double()


def score(loss: FocalLoss, log_rate: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The loss of log λ and dense counts."""
    events = y.flatten().nonzero()[:, 0]
    return loss(log_rate.exp(), events, y.flatten()[events])


def log_rate_of(p: float | np.ndarray) -> torch.Tensor:
    return torch.as_tensor(np.log(-np.log1p(-np.asarray(p, np.float64))))


@settings(deadline=None, max_examples=40)
@given(rate=st.floats(1e-5, 4.0), gamma=st.sampled_from(GAMMAS), alpha=st.sampled_from(ALPHAS))
def test_the_best_forecast_is_the_intensity(rate: float, gamma: float, alpha: float) -> None:
    loss, counts = loss_of(gamma, alpha), torch.arange(25).double()
    chance = torch.distributions.Poisson(torch.tensor(rate).double()).log_prob(counts).exp()

    def expected(log_rate: float) -> float:
        x = torch.tensor([log_rate]).double()
        return float(sum(p * score(loss, x, y[None]) for p, y in zip(chance, counts, strict=True)))

    best = np.log(rate)
    for away in (0.03, 0.2, 1.0, 2.0):
        for other in (best - away, best + away):
            assert expected(other) > expected(best) * (1 - 1e-12)


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_table_of_the_inverse(gamma: float, alpha: float) -> None:
    loss = loss_of(gamma, alpha)
    logit_q = torch.linspace(-15, 8, 5000, dtype=torch.float64)
    found = loss.inverse(loss.phi(logit_q))
    assert (found - logit_q).abs().max() < 1e-4
    beyond = loss.inverse(torch.tensor([-200.0, 200.0], dtype=torch.float64))
    assert beyond.isfinite().all()
    assert beyond[0] < -20 < 20 < beyond[1]


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("alpha", ALPHAS)
def test_gradients(gamma: float, alpha: float) -> None:
    log_rate = torch.tensor([-9.0, -4.013, -2.2, -0.707, 0.3], dtype=torch.float64, requires_grad=True)
    for y in (torch.zeros(5).double(), torch.tensor([0, 1, 0, 2, 1]).double()):
        assert torch.autograd.gradcheck(
            lambda x, y=y: score(loss_of(gamma, alpha), x, y), log_rate, eps=1e-7, atol=1e-5
        )


def test_the_plain_case_is_the_poisson_likelihood() -> None:
    log_rate = torch.randn(100).double() * 3 - 3
    y = torch.poisson(log_rate.exp())
    expected = -torch.distributions.Poisson(log_rate.exp()).log_prob(y).mean()
    torch.testing.assert_close(score(loss_of(0, 0.5), log_rate, y), expected)
    torch.testing.assert_close(torch.sigmoid(log_odds(log_rate.exp())), -torch.expm1(-log_rate.exp()))


def test_focal_keeps_its_weighting() -> None:
    """At q = Φ⁻¹(p) it is Lin et al.'s focal loss to the digit, beside the truncated law of the count."""
    gamma, alpha, q = 2.0, 0.25, 0.3
    loss = loss_of(gamma, alpha)
    p = torch.sigmoid(loss.phi(torch.tensor(np.log(q / (1 - q)))))
    log_rate = log_rate_of(p.numpy())[None]
    hit = -2 * alpha * (1 - q) ** gamma * np.log(q)
    miss = -2 * (1 - alpha) * q**gamma * np.log(1 - q)
    rate = log_rate.exp().item()
    for count in (1, 3):
        counted = -np.log(rate**count * np.exp(-rate) / math.factorial(count) / -np.expm1(-rate))
        assert score(loss, log_rate, torch.tensor([count])).item() == pytest.approx(hit + counted, rel=1e-4)
    assert score(loss, log_rate, torch.zeros(1)).item() == pytest.approx(miss, rel=1e-4)


@pytest.mark.parametrize("loss", [FocalLoss(0.0), FocalLoss(2.0, 0.25), FocalLoss(2.0, proper=False)])
def test_extremes_are_finite(loss: torch.nn.Module) -> None:
    log_rate = torch.tensor([-30.0, -16.0, 3.0, 6.0], requires_grad=True)
    for y in (torch.zeros(4), torch.ones(4)):
        value = score(loss, log_rate, y)
        (gradient,) = torch.autograd.grad(value, log_rate)
        assert value.isfinite()
        assert gradient.isfinite().all()
