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
"""The least λ whose logarithm is taken."""
LARGEST = 64.0
"""λ from which on the loss of a quiet cell is a straight line."""
SHIFT = 15
"""Bits of a number that an interval of the table does not tell apart: 256 intervals an octave."""


def log_odds(rate: Tensor) -> Tensor:
    """log(p / (1 − p)) of the risk p = 1 − exp(−λ), from λ."""
    return (-torch.expm1(-rate)).clamp(min=SMALLEST).log() + rate


class _QuietCells(torch.autograd.Function):
    """Σ A[i] + B[i] λ over cells, i being the interval of the table that holds λ: one pass, and its gradient is B."""

    @staticmethod
    def forward(ctx, rate: Tensor, offset: Tensor, slope: Tensor, first: int) -> Tensor:  # type: ignore[no-untyped-def]
        place = rate.detach().float().view(torch.int32).bitwise_right_shift(SHIFT).sub_(first)
        place = place.clamp_(0, len(offset) - 1).long()
        here = slope[place]
        ctx.save_for_backward(here)
        return offset[place].sum() + torch.dot(here, rate)

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[no-untyped-def]
        (here,) = ctx.saved_tensors
        return grad * here, None, None, None


class FocalLoss(nn.Module):
    """Focal loss of the risk 1 − exp(−λ) at q = Φ⁻¹(p), proper for every γ and α, and of counts above 0.

    Most cells are quiet, and their loss is a smooth function of λ alone: it is read from a table, linear between
    neighbouring values (error below 1e-5 of itself). Cells with events are computed as they are written.

    Args:
        gamma: γ ≥ 0.
        alpha: weight of hours with an event.
        proper: False evaluates it at q = p, as it was published.
    """

    logit_q: Tensor
    logit_p: Tensor
    offset: Tensor
    slope: Tensor

    def __init__(self, gamma: float, alpha: float = 0.5, proper: bool = True) -> None:
        super().__init__()
        self.gamma, self.alpha, self.proper = gamma, alpha, proper
        logit_q = torch.linspace(-30, 70, 40_001, dtype=torch.float64)
        self.register_buffer("logit_q", logit_q, persistent=False)
        self.register_buffer("logit_p", self.phi(logit_q), persistent=False)
        bits = [int(torch.tensor(value).view(torch.int32)) >> SHIFT for value in (SMALLEST, LARGEST)]
        self.first = bits[0]
        edges = (torch.arange(bits[0], bits[1] + 1, dtype=torch.int32) << SHIFT).view(torch.float32).double()
        edges[0] = 0
        loss = torch.cat([torch.zeros(1).double(), self.quiet(edges[1:])])
        slope = loss.diff() / edges.diff()
        self.register_buffer("offset", loss[:-1] - slope * edges[:-1], persistent=False)
        self.register_buffer("slope", slope, persistent=False)

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

    def _logit(self, rate: Tensor) -> Tensor:
        """Log-odds at which the loss is evaluated."""
        logit = log_odds(rate.double())
        return self.inverse(logit) if self.proper else logit

    def quiet(self, rate: Tensor) -> Tensor:
        """The loss of cells without an event, float64."""
        z = self._logit(rate)
        return -2 * (1 - self.alpha) * (self.gamma * F.logsigmoid(z)).exp() * F.logsigmoid(-z)

    def happened(self, rate: Tensor) -> Tensor:
        """The loss of cells with events, whatever their number, float64."""
        z = self._logit(rate)
        return -2 * self.alpha * (self.gamma * F.logsigmoid(-z)).exp() * F.logsigmoid(z)

    def forward(self, rate: Tensor, events: Tensor, counts: Tensor) -> Tensor:
        """Mean over all entries of λ, from the flat places of those with events [e], and their counts [e]."""
        at = rate.flatten()[events].clamp(min=SMALLEST)
        factorials = torch.lgamma(counts + 1).sum()
        if self.gamma == 0 and self.alpha == 0.5:  # the Poisson likelihood
            # a dot, which stays in single precision where products of matrices do not
            return (rate.sum() - torch.dot(counts, at.log()) + factorials) / rate.numel()
        table = self.offset.to(rate.dtype), self.slope.to(rate.dtype)
        quiet = [_QuietCells.apply(each, *table, self.first) for each in (rate.flatten(), at)]
        truncated = at + (-torch.expm1(-at)).log() - counts * at.log()
        return (
            quiet[0] - quiet[1] + self.happened(at).sum().to(rate.dtype) + truncated.sum() + factorials
        ) / rate.numel()
