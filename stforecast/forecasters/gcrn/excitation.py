"""Self-excitation: intensity that recent events add to their hexagon and to its neighbours (Mohler et al. 2011).

What the network multiplies climatology by cannot follow an event in a quiet hexagon, where any factor on a small λ₀ is
still small. So λ = λ₀ · exp(network) + excitation, and the excitation is a sum of kernels with weights θ > 0 that are
learned with the rest: half-life × own hexagon or ring × from category × to category, once flat over the hours and once
along the city's usual day.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stforecast.forecasters.recent import RECENT_HOURS, Around, decay, rates

SPEED = 15.0
"""θ = exp(SPEED · parameter): a weight may have to change a hundredfold, and Adam moves a parameter by small steps."""
OWN, OTHER = 0.001, 0.0001
"""Where θ starts, for events of the same category and of others: the share of an average rate that a sum adds."""
LEAST = 1e-9


class Excitation(nn.Module):
    """Excitation at the K steps after l issues. Without a graph, only of the hexagon itself."""

    def __init__(self, edges: Tensor, n: int, c: int, step_hours: int, graph: bool = True) -> None:
        super().__init__()
        self.step_hours = step_hours
        self.around = Around(edges, n) if graph else None
        start = torch.full((c, c), OTHER).fill_diagonal_(OWN).log() / SPEED
        self.weight = nn.Parameter(start.expand(2, len(RECENT_HOURS), 1 + graph, c, c).clone())

    def forward(self, recent: Tensor, log_rate: Tensor) -> Tensor:
        """Sums of recent events [l h n c] and log λ₀ [l k n c] → log of the added intensity [l k n c]."""
        places = [recent, self.around(recent)] if self.around else [recent]
        theta = (SPEED * self.weight).exp() * rates(self.step_hours).to(recent.device)[:, None, None, None]
        flat, daily = torch.einsum("lhrnc,ghrcd->glhnd", torch.stack(places, 2), theta)
        left = decay(torch.arange(1, log_rate.shape[1] + 1, device=recent.device), self.step_hours)  # [k h]
        profile = log_rate.exp().mean(2, keepdim=True)
        profile = profile / profile.mean(1, keepdim=True)
        added = torch.einsum("lhnd,kh->lknd", flat, left) + profile * torch.einsum("lhnd,kh->lknd", daily, left)
        return (added + LEAST).log()
