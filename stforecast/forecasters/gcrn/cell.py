"""The graph GRU: a GRU whose recurrent product reads the neighbours; reset gate after the product, as in cuDNN.

With s = (h, A h, …), the supports of the graph, and i = (r, z, ñ), the input's share of the gates:

    r, z = σ(i_r + s W_r), σ(i_z + s W_z)      n = tanh(i_n + r · s W_n)      h′ = n + z (h − n)

`recur` runs it over a segment. Its gradient is written out: the weights' is one product over the segment, and nothing
is kept twice.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stforecast.forecasters.gcrn.propagation import Propagation


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
