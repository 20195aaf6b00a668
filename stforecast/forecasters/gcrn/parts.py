"""Parts of the network whose plain form would cost more than all its products: one pass forward, one backward."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

BOUND = 1.5
"""Log-ratios beyond it are read as it: few were seen in training, and what the network makes of them is a guess. On the
day after a festival, with 3 thefts, it expected 26 without a bound and 17 with it (docs/evidence.md)."""
KNOT = 0.7
"""Where the response to a log-ratio by recurrence may bend: few cells recur strongly, and those by much."""


class _Intensity(torch.autograd.Function):
    """exp(log λ₀ + factor + Σ_r response_r(ratio_r)), issue by issue, so that an issue's cells stay in the cache."""

    @staticmethod
    def forward(ctx, factor: Tensor, weight: Tensor, log_rate: Tensor, ratios: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        bends, kinds, c = weight.shape
        out = torch.add(factor, log_rate)
        by_category = weight.permute(2, 0, 1).reshape(c, 1, bends * kinds)
        for one, basis in zip(out, _bases(ratios), strict=True):
            rows = one.view(c, 1, -1)
            torch.baddbmm(rows, by_category, basis.view(bends * kinds, c, -1).transpose(0, 1), out=rows)
            one.exp_()
        ctx.save_for_backward(out, ratios)
        return out

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[no-untyped-def]
        out, ratios = ctx.saved_tensors
        grad = grad * out
        kinds, c = ratios.shape[1:3]
        sums = grad.new_zeros(c, 2 * kinds)
        for one, basis in zip(grad.flatten(2), _bases(ratios), strict=True):
            for category, rows in enumerate(basis.view(-1, c, one.shape[1]).unbind(1)):
                sums[category].addmv_(rows, one[category])
        return grad, sums.view(c, -1, kinds).permute(1, 2, 0), None, None


def _bases(ratios: Tensor) -> Iterator[Tensor]:
    """Bounded ratios, and what of them is beyond the knot, of one issue after the other: [2 r c k n]."""
    basis = ratios.new_empty(2, *ratios.shape[1:])
    for one in ratios:
        torch.clamp(one, -BOUND, BOUND, out=basis[0])
        torch.sub(basis[0], KNOT, out=basis[1]).clamp_(min=0)
        yield basis


def intensity(factor: Tensor, weight: Tensor, log_rate: Tensor, ratios: Tensor) -> Tensor:
    """λ₀ · exp(factor + response): the response is piecewise linear in the bounded log-ratios by recurrence.

    factor, log_rate: [l c k n]. weight: of each bend, ratio and category, [2 r c]. ratios: [l r c k n].
    """
    form = plain_intensity if torch.compiler.is_compiling() else _Intensity.apply
    return form(factor, weight, log_rate, ratios)


def plain_intensity(factor: Tensor, weight: Tensor, log_rate: Tensor, ratios: Tensor) -> Tensor:
    """The same in one formula, for a compiler, which writes the gradient itself."""
    read = ratios.clamp(-BOUND, BOUND)
    for bend, basis in zip(weight, (read, (read - KNOT).clamp(min=0)), strict=True):
        factor = factor + (bend[..., None, None] * basis).sum(1)
    return (factor + log_rate).exp()


class Dropout(nn.Module):
    """Dropout of [l f n] with one mask for all l issues (Gal and Ghahramani 2016), eight draws from a random number.

    On a CPU drawing would cost more than the layer that follows. The share dropped is a multiple of 1/256.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.below = round(256 * p)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape; unchanged in evaluation."""
        if not self.training or not self.below:
            return x
        if torch.compiler.is_compiling():  # which does not know how to draw any 64 bits
            kept = torch.rand(x.shape[1:], device=x.device) >= self.below / 256
            return x * kept * (256 / (256 - self.below))
        size = x[0].numel()
        draws = torch.empty(-(-size // 8), dtype=torch.int64, device=x.device).random_(-(2**63), None)
        kept = draws.view(torch.uint8)[:size].view(x.shape[1:]) >= self.below
        return x * kept.to(x.dtype).mul_(256 / (256 - self.below))
