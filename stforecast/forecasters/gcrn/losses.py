"""Focal loss on log λ, made proper, with the counts.

Focal loss (Lin et al. 2017) at exponent γ and weight α scores a risk q by −α (1−q)^γ log q when something happened
and −(1−α) q^γ log(1−q) when nothing did. It is not proper: its optimum q is not the probability p. With
ℓ₁(q) = −(1−q)^γ log q and ℓ₀(q) = −q^γ log(1−q) the optimum obeys (Charoenphakdee et al. 2021)

    p = Φ(q) = (1−α) ℓ₀′(q) / ((1−α) ℓ₀′(q) − α ℓ₁′(q)),

which is monotone. The network speaks in p, and the loss is evaluated at q = Φ⁻¹(p): proper by construction, it keeps
focal loss's weighting of rare, hard cells.

Whether something happened is not all: cells with several events say more. The likelihood of a count splits into
P(y > 0) and P(y | y > 0). The first is what focal loss weighs; the second, a zero-truncated Poisson law, is added as it
is. At γ = 0 and α = ½ the sum is the Poisson likelihood itself.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALLEST = 1e-12


def log_odds(rate: Tensor) -> Tensor:
    """log(p / (1 − p)) of the risk p = 1 − exp(−λ), from λ."""
    return (-torch.expm1(-rate)).clamp(min=SMALLEST).log() + rate


class FocalLoss(nn.Module):
    """Focal loss of the risk 1 − exp(−λ) at q = Φ⁻¹(p), proper for every γ and α, and of counts above 0.

    proper: False evaluates it at q = p, as it was published.

    Φ⁻¹ is a table in log-odds, interpolated linearly (error below 1e-4 in log-odds).
    """

    logit_q: Tensor
    logit_p: Tensor

    def __init__(self, gamma: float, alpha: float = 0.5, proper: bool = True) -> None:
        super().__init__()
        self.gamma, self.alpha, self.proper = gamma, alpha, proper
        logit_q = torch.linspace(-20, 20, 8001, dtype=torch.float64)
        self.register_buffer("logit_q", logit_q.float(), persistent=False)
        self.register_buffer("logit_p", self.phi(logit_q).float(), persistent=False)

    def phi(self, logit_q: Tensor) -> Tensor:
        """Log-odds of p = Φ(q) from log-odds of q; closed form."""
        q, r = torch.sigmoid(logit_q), torch.sigmoid(-logit_q)  # r = 1 − q, without cancellation
        log_q, log_r = F.logsigmoid(logit_q), F.logsigmoid(-logit_q)
        g = self.gamma
        # −ℓ₁′·q·r and ℓ₀′·q·r: the common factor q·r cancels in the ratio and keeps both finite
        hit = r**g * r - g * r**g * q * log_q
        miss = q**g * q - g * q**g * r * log_r
        odds = torch.log(torch.tensor((1 - self.alpha) / self.alpha, dtype=logit_q.dtype))
        return odds + miss.log() - hit.log()

    def inverse(self, logit_p: Tensor) -> Tensor:
        """Log-odds of q = Φ⁻¹(p) from log-odds of p; differentiable, linear beyond the table."""
        i = torch.searchsorted(self.logit_p, logit_p.detach().contiguous()).clamp(1, len(self.logit_p) - 1)
        x0, x1 = self.logit_p[i - 1], self.logit_p[i]
        y0, y1 = self.logit_q[i - 1], self.logit_q[i]
        return y0 + (y1 - y0) / (x1 - x0) * (logit_p - x0)

    def forward(self, rate: Tensor, events: Tensor, counts: Tensor) -> Tensor:
        """Mean over all entries of λ, from the flat places of those with events [e], and their counts [e]."""
        at = rate.flatten()[events].clamp(min=SMALLEST)
        factorials = torch.lgamma(counts + 1).sum()
        if self.gamma == 0 and self.alpha == 0.5:  # the Poisson likelihood
            # a dot, which stays in single precision where products of matrices do not
            return (rate.sum() - torch.dot(counts, at.log()) + factorials) / rate.numel()
        event = torch.zeros(rate.numel(), dtype=torch.bool, device=rate.device)
        event[events] = True
        z = log_odds(rate.flatten())
        if self.proper:
            z = self.inverse(z)
        log_q, log_r = F.logsigmoid(z), F.logsigmoid(-z)
        hit = self.alpha * (self.gamma * log_r).exp() * log_q
        miss = (1 - self.alpha) * (self.gamma * log_q).exp() * log_r
        happened = -2 * torch.where(event, hit, miss).sum()
        truncated = at + (-torch.expm1(-at)).log() - counts * at.log()
        return (happened + truncated.sum() + factorials) / rate.numel()
