"""Self-excitation: intensity that recent events add to their hexagon and to its neighbours (Mohler et al. 2011).

What the network multiplies climatology by cannot follow an event in a quiet hexagon, where any factor on a small λ₀ is
still small. So λ = λ₀ · exp(network) + excitation, and the excitation is a sum of kernels with weights θ > 0 that are
learned with the rest: half-life × own hexagon or ring × from category × to category.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stforecast.features.decayed import decay
from stforecast.features.graph import NeighbourSum

SPEED = 15.0
"""θ = exp(SPEED · parameter): a weight may have to change a hundredfold, and Adam moves a parameter by small steps."""
OWN, OTHER = 0.001, 0.0001
"""Where θ starts, for events of the same category and of others: the share of an average rate that a sum adds."""
LEAST = 1e-9


class Excitation(nn.Module):
    """Excitation at the K steps after l issues; half-lives in steps. Without a graph, only of the hexagon itself."""

    half_lives: Tensor

    def __init__(self, c: int, half_lives: Sequence[float], graph: bool = True) -> None:
        super().__init__()
        # on the CPU even in a network of shapes alone: their arithmetic would import SymPy, for half a second
        self.register_buffer("half_lives", torch.tensor([*half_lives], device="cpu"), persistent=False)
        start = torch.full((c, c), OTHER, device="cpu").fill_diagonal_(OWN).log() / SPEED
        self.weight = nn.Parameter(start.expand(len(half_lives), 1 + graph, c, c).clone())

    def forward(self, recent: Tensor, steps: int, ring: NeighbourSum | None) -> Tensor:
        """Sums of recent events [l h c n] → the intensity that they add in the next `steps`, [l c k n]."""
        places = torch.cat([recent, ring(recent)], 2) if ring else recent  # [l h r·c n]
        theta = (SPEED * self.weight).exp() * (math.log(2) / self.half_lives)[:, None, None, None]
        lead = torch.arange(1, steps + 1, device=recent.device)
        left = decay(lead[:, None], self.half_lives)  # [k h]
        from_each = theta.permute(3, 0, 1, 2).flatten(2)  # [d h r·c]
        # by target category; then over the half-lives: [l d h n] → [l d k n]
        return (left @ torch.einsum("dhr,lhrn->ldhn", from_each, places)).add(LEAST)
