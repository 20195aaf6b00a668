"""Parts of the network whose plain form would cost more than all its products: one pass forward, one backward.

The recurrence is a graph GRU, whose recurrent product reads the neighbours; its reset gate comes after the product, as
in cuDNN. With s = (h, A h, …), the supports of the graph, and i = (r, z, ñ), the input's share of the gates:

    r, z = σ(i_r + s W_r), σ(i_z + s W_z)      n = tanh(i_n + r · s W_n)      h′ = n + z (h − n)

Its gradient is written out: the weights' is one product over the segment, and nothing is kept twice.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from stforecast.forecasters.gcrn.propagation import Propagation

BOUND = 1.5
"""Log-ratios beyond it are read as it: few were seen in training, and what the network makes of them is a guess. On the
day after a festival, with 3 thefts, it expected 26 without a bound and 17 with it (docs/evidence.md)."""
KNOT = 0.7
"""Where the response to a log-ratio by recurrence may bend: few cells recur strongly, and those by much."""


class _Intensity(torch.autograd.Function):
    """exp(log λ₀ + factor + Σ_r response_r(ratio_r)), issue by issue, so that an issue's cells stay in the cache."""

    @staticmethod
    def forward(ctx, factor: Tensor, weight: Tensor, own: Tensor, log_rate: Tensor, ratios: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        length, c, kinds = weight.shape
        out = torch.add(factor, log_rate)
        weights = weight.view(length, c, 1, kinds)
        for one, here, mine, basis in zip(out, weights, own, _bases(ratios, log_rate), strict=True):
            rows = one.view(c, 1, -1)
            torch.baddbmm(rows, here, basis.view(kinds, c, -1).transpose(0, 1), out=rows)
            for each, ratio in zip(mine.unbind(1), basis[0], strict=True):
                one.addcmul_(each[:, None], ratio)
            one.exp_()
        ctx.save_for_backward(out, log_rate, ratios)
        return out

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[no-untyped-def]
        out, log_rate, ratios = ctx.saved_tensors
        grad = grad * out
        count, (c, _, n) = ratios.shape[1] + 1, grad.shape[1:]
        sums, mine = grad.new_empty(len(grad), c, 2 * count), grad.new_empty(len(grad), c, count, n)
        for one, here, own, basis in zip(grad, sums, mine, _bases(ratios, log_rate), strict=True):
            rows = one.reshape(c, -1, 1)
            torch.bmm(basis.view(2 * count, c, -1).transpose(0, 1), rows, out=here[..., None])
            for each, ratio in zip(own.unbind(1), basis[0], strict=True):
                torch.sum(one * ratio, 1, out=each)
        return grad, sums, mine, None, None


def _bases(ratios: Tensor, log_rate: Tensor) -> Iterator[Tensor]:
    """Bounded ratios and the form of λ₀ over the hours ahead, and what of them is beyond the knot, of one issue after
    the other: [2 r+1 c k n].
    """
    count = ratios.shape[1]
    basis = ratios.new_empty(2, count + 1, *ratios.shape[2:])
    for one, rate in zip(ratios, log_rate, strict=True):
        torch.clamp(one, -BOUND, BOUND, out=basis[0, :count])
        torch.sub(rate, rate.mean(1, keepdim=True), out=basis[0, count]).clamp_(-BOUND, BOUND)
        torch.sub(basis[0], KNOT, out=basis[1]).clamp_(min=0)
        yield basis


def intensity(factor: Tensor, weight: Tensor, own: Tensor, log_rate: Tensor, ratios: Tensor) -> Tensor:
    """λ₀ · exp(factor + response): the response is linear in the bounded log-ratios by recurrence and in the form of λ₀
    over the hours ahead, as much as a hexagon asks for, and bends where all hexagons ask for it.

    factor, log_rate: [l c k n]. weight: of each issue, category, bend and ratio, [l c 2·r]. own: of each hexagon,
    [l c r n]. ratios: [l r−1 c k n].
    """
    form = plain_intensity if torch.compiler.is_compiling() else _Intensity.apply
    return form(factor, weight, own, log_rate, ratios)


def plain_intensity(factor: Tensor, weight: Tensor, own: Tensor, log_rate: Tensor, ratios: Tensor) -> Tensor:
    """The same in one formula, for a compiler, which writes the gradient itself."""
    form = log_rate - log_rate.mean(2, keepdim=True)
    read = torch.cat([ratios, form[:, None]], 1).clamp(-BOUND, BOUND)
    factor = factor + (own.transpose(1, 2)[:, :, :, None] * read).sum(1)
    for bend, basis in zip(weight.chunk(2, 2), (read, (read - KNOT).clamp(min=0)), strict=True):
        factor = factor + (bend.mT[..., None, None] * basis).sum(1)
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


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx, inputs: Tensor, h: Tensor, weight: Tensor, graph: Propagation) -> Tensor:  # type: ignore[no-untyped-def]
        length, n, width = inputs.shape
        width //= 3
        states, new, drawn = inputs.new_empty(3, length, n, width)
        gates, product = inputs.new_empty(length, n, 2 * width), inputs.new_empty(n, 3 * width)
        spread = inputs.new_empty(length, n, weight.shape[1])
        for t in range(length):
            before = states[t - 1] if t else h
            torch.mm(graph(before, out=spread[t]), weight.T, out=product)
            torch.add(inputs[t, :, : 2 * width], product[:, : 2 * width], out=gates[t]).sigmoid_()
            drawn[t] = product[:, 2 * width :]
            torch.addcmul(inputs[t, :, 2 * width :], gates[t, :, :width], drawn[t], out=new[t]).tanh_()
            torch.lerp(new[t], before, gates[t, :, width:], out=states[t])
        ctx.save_for_backward(h, weight, states, new, drawn, gates, spread)
        ctx.graph = graph
        return states

    @staticmethod
    def backward(ctx, grad: Tensor):  # type: ignore[no-untyped-def]
        first, weight, states, new, drawn, gates, spread = ctx.saved_tensors
        length, n, width = states.shape
        through = grad.new_empty(length, n, 3 * width)  # gradients of s W, by gate
        candidate = torch.empty_like(states)
        by_support, at_gates = weight.chunk(ctx.graph.supports, 1), torch.empty_like(gates[0])
        carried = torch.zeros_like(first)
        for t in reversed(range(length)):
            reset, keep = gates[t].chunk(2, -1)
            here = grad[t] + carried
            carried = here * keep
            torch.ops.aten.tanh_backward(here - carried, new[t], grad_input=candidate[t])
            torch.mul(candidate[t], drawn[t], out=at_gates[:, :width])
            torch.mul(here, (states[t - 1] if t else first) - new[t], out=at_gates[:, width:])
            torch.ops.aten.sigmoid_backward(at_gates, gates[t], grad_input=through[t, :, : 2 * width])
            torch.mul(candidate[t], reset, out=through[t, :, 2 * width :])
            carried += ctx.graph.adjoint([through[t] @ part for part in by_support])
        inputs = torch.cat([through[..., : 2 * width], candidate], -1)
        return inputs, carried, through.flatten(0, 1).T @ spread.flatten(0, 1), None


def recur(inputs: Tensor, h: Tensor, weight: Tensor, graph: Propagation) -> Tensor:
    """Input's share of the gates [l n 3h], the state before [n h] and weights [3h, supports·h] → states [l n h].

    In the precision of the state: rounding would add up in a state that is carried through years.
    """
    form = plain_recur if torch.compiler.is_compiling() else _Recurrence.apply
    return form(inputs.to(h.dtype), h, weight, graph)


def plain_recur(inputs: Tensor, h: Tensor, weight: Tensor, graph: Propagation) -> Tensor:
    """The same step by step, for a compiler, which writes the gradient itself."""
    states, width = [], h.shape[1]
    for one in inputs:
        product = graph(h) @ weight.T
        reset, keep = torch.sigmoid(one[:, : 2 * width] + product[:, : 2 * width]).chunk(2, 1)
        new = torch.tanh(one[:, 2 * width :] + reset * product[:, 2 * width :])
        h = torch.lerp(new, h, keep)
        states.append(h)
    return torch.stack(states)
