"""What a node reads of its neighbours: [n f] → [n, supports × f], each support one sparse product.

hex: itself and the mean of its neighbours · gcn: the normalised sum with itself (Kipf and Welling 2017) ·
cheb: Chebyshev polynomials of the scaled Laplacian up to order 2 (Defferrard et al. 2016) · diffusion: itself, one
and two steps of a random walk (Li et al. 2018) · none: itself alone.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stforecast.forecasters.graph import Neighbours
from stforecast.forecasters.recent import Around

SUPPORTS = {"hex": 2, "gcn": 1, "cheb": 3, "diffusion": 3, "none": 1}


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

    def forward(self, x: Tensor) -> Tensor:
        """[n f] → [n, supports × f]."""
        if self.kind == "none":
            return x
        once = self.step(x)
        if self.kind == "gcn":
            return once
        if self.kind == "hex":
            return torch.cat([x, once], -1)
        twice = self.step(once)
        return torch.cat([x, once, 2 * twice - x if self.kind == "cheb" else twice], -1)

    def adjoint(self, grad: Tensor) -> Tensor:
        """The transposed product: gradients of the supports [n, supports × f] → of x [n f]."""
        if self.kind == "none":
            return grad
        if self.kind == "gcn":
            return self.step.adjoint(grad)
        own, *steps = (part.contiguous() for part in grad.chunk(self.supports, -1))
        if self.kind == "hex":
            return self.step.adjoint(steps[0]).add_(own)
        once, twice = steps
        if self.kind == "cheb":
            own, twice = own - twice, 2 * twice
        return self.step.adjoint(self.step.adjoint(twice).add_(once)).add_(own)


class Graph(nn.Module):
    """The hexagons of a city: what a state reads of its neighbours, and what their events excite."""

    def __init__(self, kind: str, edges: Tensor, n: int) -> None:
        super().__init__()
        self.n = n
        self.spread = Propagation(kind, edges, n)
        self.ring = None if kind == "none" else Around(edges, n)


def union(kind: str, edges: Tensor, n: int, copies: int) -> Propagation:
    """The propagation over several copies of a graph side by side."""
    shift = n * torch.arange(copies, device=edges.device)
    return Propagation(kind, (edges[:, None] + shift[:, None]).flatten(1), n * copies)
