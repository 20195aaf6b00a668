"""Recent events, exponentially forgotten by the hour: what self-excitation and near repeats follow from."""

from __future__ import annotations

import torch
from torch import Tensor

from stforecast.features.graph import Neighbours
from stforecast.features.record import Record

RECENT_HOURS = (8.0, 24.0, 72.0, 336.0)
"""Half-lives of the sums."""


class Recent:
    """Sums of the events known, as they decay with the hours since they occurred: [h c n], carried by patches."""

    def __init__(self, record: Record) -> None:
        self.record, cube, device = record, record.cube, record.device
        self.half_lives = half_lives(cube.step_hours).to(device)
        self.sums = torch.zeros(len(RECENT_HOURS), cube.c, cube.n, device=device)

    def walk(self, first: int, count: int) -> Tensor:
        """The sums at the issues first, first + p, …, [l h c n]; an event of the hour before an issue counts 1."""
        new, p = self.record.arrivals(first, count), self.record.patch
        kinds, c, n = self.sums.shape
        out = torch.zeros(count, kinds, c, n, device=self.sums.device)
        age = first + new.row * p - 1 - new.hour
        weight = new.counted * torch.exp2(-age / self.half_lives[:, None])  # [h e]
        row = new.row * kinds + torch.arange(kinds, device=out.device)[:, None]
        place = (row * c + new.category) * n + new.hexagon
        out.view(-1).index_add_(0, place.flatten(), weight.flatten())
        forget = torch.exp2(-p / self.half_lives)[:, None, None]
        for i in range(count):
            out[i].addcmul_(out[i - 1] if i else self.sums, forget)
        self.sums = out[-1].clone()
        return out


def half_lives(step_hours: int) -> Tensor:
    """Of the sums, in steps: [h]. A sum times log 2 / half-life is an average rate, in events a step."""
    return torch.tensor(RECENT_HOURS) / step_hours


def decay(steps: Tensor | int, half_lives: Tensor) -> Tensor:
    """What is left of each sum after `steps` more steps, one number or [… 1]: [… h]."""
    return torch.exp2(-steps / half_lives)


class Around(torch.nn.Module):
    """Sums over the neighbours times `weight`, by default in parts of the widest ring: [… n] → [… n]."""

    def __init__(self, edges: Tensor, n: int, weight: float | None = None) -> None:
        super().__init__()
        widest = max(1, int(torch.bincount(edges[1], minlength=n).max()))
        self.product = Neighbours(edges, n, torch.full((edges.shape[1],), weight or 1 / widest))

    def forward(self, sums: Tensor) -> Tensor:
        return self.product(sums.flatten(0, -2).T.contiguous()).T.reshape(sums.shape)
