"""The graph GRU: a GRU whose recurrent product reads the neighbours; reset gate after the product, as in cuDNN.

With s = (h, A h, …), the supports of the graph, and given = (r, z, ñ), the input's share of the gates:

    r, z = σ(given_r + s W_r), σ(given_z + s W_z)      n = tanh(given_n + r · s W_n)      h′ = n + z (h − n)

`recur` runs it over a stretch. Its gradient is written out: the weights' is one product over the stretch, and nothing
is kept twice.
"""

from __future__ import annotations

import torch
from torch import Tensor

from stforecast.forecasters.gcrn.propagation import Propagation


class _Recurrence(torch.autograd.Function):
    @staticmethod
    @torch.amp.custom_fwd(device_type="cuda", cast_inputs=torch.float32)  # a carried state stays in single precision
    def forward(ctx, given: Tensor, h: Tensor, weight: Tensor, graph: Propagation) -> Tensor:  # type: ignore[no-untyped-def]
        length, n, width = given.shape
        width //= 3
        states, new = given.new_empty(2, length, n, width)
        spread = given.new_empty(length, n, weight.shape[1])
        product = given.new_empty(length, n, 3 * width)
        gates = product[..., : 2 * width]
        for t in range(length):
            spread[t] = graph(states[t - 1] if t else h)
            torch.mm(spread[t], weight.T, out=product[t])
            gates[t].add_(given[t, :, : 2 * width]).sigmoid_()
            reset, keep, drawn = product[t].chunk(3, -1)
            torch.addcmul(given[t, :, 2 * width :], reset, drawn, out=new[t]).tanh_()
            torch.lerp(new[t], states[t - 1] if t else h, keep, out=states[t])
        ctx.save_for_backward(h, weight, states, new, spread, product)
        ctx.graph = graph
        return states

    @staticmethod
    @torch.amp.custom_bwd(device_type="cuda")
    def backward(ctx, grad: Tensor):  # type: ignore[no-untyped-def]
        first, weight, states, new, spread, product = ctx.saved_tensors
        length, _, width = states.shape
        through = torch.empty_like(product)  # gradients of s W, by gate
        given = torch.empty_like(product)
        carried = torch.zeros_like(first)
        for t in reversed(range(length)):
            h = states[t - 1] if t else first
            reset, keep, drawn = product[t].chunk(3, -1)
            here = grad[t] + carried
            candidate = torch.ops.aten.tanh_backward(here - here * keep, new[t])
            torch.ops.aten.sigmoid_backward(candidate * drawn, reset, grad_input=through[t, :, :width])
            change = here * (h - new[t])
            torch.ops.aten.sigmoid_backward(change, keep, grad_input=through[t, :, width : 2 * width])
            torch.mul(candidate, reset, out=through[t, :, 2 * width :])
            given[t, :, : 2 * width] = through[t, :, : 2 * width]
            given[t, :, 2 * width :] = candidate
            carried = ctx.graph.adjoint(through[t] @ weight).addcmul_(here, keep)
        return given, carried, through.flatten(0, 1).T @ spread.flatten(0, 1), None


def recur(given: Tensor, h: Tensor, weight: Tensor, graph: Propagation) -> Tensor:
    """Input's share of the gates [l n 3h], the state before [n h] and weights [3h, supports·h] → states [l n h]."""
    return _Recurrence.apply(given, h, weight, graph)
