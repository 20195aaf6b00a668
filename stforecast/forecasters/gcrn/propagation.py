"""What a node reads of its neighbours: [n f] → [n, supports × f], each support one sparse product.

hex: itself and the mean of its neighbours · gcn: the normalised sum with itself (Kipf and Welling 2017) ·
cheb: Chebyshev polynomials of the scaled Laplacian up to order 2 (Defferrard et al. 2016) · diffusion: itself, one
and two steps of a random walk (Li et al. 2018) · none: itself alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stforecast.features.graph import Neighbours, NeighbourSum, side_by_side

SUPPORTS = {"hex": 2, "gcn": 1, "cheb": 3, "diffusion": 3, "none": 1}
STEPS = {"hex": 1, "gcn": 1, "cheb": 2, "diffusion": 2, "none": 0}
"""Sparse products behind them."""


class Propagation(nn.Module):
    """Supports of the hexagon graph in node-major layout; no parameters of its own."""

    def __init__(self, kind: str, edges: Tensor, n: int) -> None:
        super().__init__()
        self.kind, self.supports = kind, SUPPORTS[kind]
        edges = edges[:, edges[0] != edges[1]]
        if kind == "gcn":
            edges = torch.cat([edges, torch.arange(n, device=edges.device).expand(2, n)], 1)
        if kind in ("hex", "diffusion"):
            self.step = Neighbours(edges, n)
        elif kind != "none":
            scale = torch.bincount(edges[1], minlength=n).clamp(min=1).float().rsqrt()
            sign = -1.0 if kind == "cheb" else 1.0
            self.step = Neighbours(edges, n, sign * scale[edges[0]] * scale[edges[1]])

    def forward(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """[n f] → [n, supports × f], into `out` where it is given and no gradient is asked for."""
        parts = [x]
        for _ in range(STEPS[self.kind]):
            parts.append(self.step(parts[-1]))
        if self.kind == "cheb":
            parts[2] = 2 * parts[2] - x
        parts = parts[-self.supports :]
        return torch.cat(parts, -1, out=out) if out is not None or len(parts) > 1 else parts[0]

    def adjoint(self, grads: Sequence[Tensor]) -> Tensor:
        """The transposed product: gradients of each support [n f] → of x [n f]."""
        if self.kind == "gcn":
            return self.step.adjoint(grads[0])
        if self.kind == "cheb":
            own, once, twice = grads
            grads = own - twice, once, 2 * twice
        total, *rest = reversed(grads)
        for grad in rest:
            total = self.step.adjoint(total).add_(grad)
        return total


class Graph(nn.Module):
    """The hexagons of a city with c categories: what a state reads of its neighbours, and what their events excite.

    spread: over the hexagons. states: over those of the categories side by side. streams: the same of several streams.
    """

    def __init__(self, kind: str, edges: Tensor, n: int, c: int, streams: int = 1) -> None:
        super().__init__()
        self.n, self.c = n, c
        self.spread = Propagation(kind, edges, n)
        self.states = Propagation(kind, side_by_side(edges, n, c), n * c)
        self.streams = self.states
        if streams > 1:
            self.streams = Propagation(kind, side_by_side(edges, n, streams * c), n * streams * c)
        self.ring = None if kind == "none" else NeighbourSum(edges, n)

    def of(self, h: Tensor) -> Propagation:
        """Over the nodes of states [c·n h], or of the streams' states [s·c·n h]."""
        return self.states if len(h) == self.n * self.c else self.streams
