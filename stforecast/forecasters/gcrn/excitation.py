"""Self-excitation: intensity that recent events add to their hexagon and to its neighbours (Mohler et al. 2011).

What the network multiplies climatology by cannot follow an event in a quiet hexagon, where any factor on a small λ₀ is
still small. So λ = λ₀ · exp(network) + excitation, and the excitation is a sum of kernels with weights θ > 0 that are
learned with the rest: half-life × own hexagon or ring × events of the same category or of others, each as much as the
kind of offence and the scale of the city ask for. So they hold for any number of categories.
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
    """Excitation at the K steps after l issues. Without a graph, only of the hexagon itself.

    Args:
        half_lives: of the sums of recent events, in hours.
        about: width of what is read about city and category.
        graph: whether neighbours excite each other.
    """

    half_lives: Tensor

    def __init__(self, half_lives: Sequence[float], about: int, graph: bool = True) -> None:
        super().__init__()
        # on the CPU even in a network of shapes alone: their arithmetic would import SymPy, for half a second
        self.register_buffer("half_lives", torch.tensor([*half_lives], device="cpu"), persistent=False)
        start = torch.tensor([OWN, OTHER], device="cpu").log() / SPEED
        self.weight = nn.Parameter(start.expand(len(half_lives), 1 + graph, 2).clone())
        self.about = nn.Parameter(torch.zeros(self.weight.numel(), about))

    def forward(self, recent: Tensor, about: Tensor, steps: int, hours: float, ring: NeighbourSum | None) -> Tensor:
        """Sums of recent events [l h c n] → the intensity that they add in the next `steps`, [l c k n].

        Args:
            recent: the sums.
            about: of city and category, [l c x].
            steps: that are forecast.
            hours: of a step.
            ring: sums over the neighbours.
        """
        half_lives, lead = self.half_lives / hours, torch.arange(1, steps + 1, device=recent.device)
        tilt = (about[:, :, None] * self.about).sum(-1).unflatten(-1, self.weight.shape)  # in single precision
        theta = (SPEED * (self.weight + tilt)).exp()  # [l c h r 2]
        left = decay(lead[:, None], half_lives) * (math.log(2) / half_lives)  # [k h]
        own = recent.transpose(1, 2)  # [l c h n]
        read = torch.stack([own, own.sum(1, keepdim=True) - own], 3)
        read = torch.stack([read, ring(read)], 3) if ring else read
        kernel = left[:, :, None, None] * theta[:, :, None]  # [l c k h r 2]
        return (kernel.flatten(3) @ read.flatten(2, -2)).add(LEAST)
