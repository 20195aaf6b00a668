"""The rhythms of the week that hexagons share: few of them, and how much each hexagon follows each.

A hexagon has too few events to tell its own rhythm over the hours of the week and the categories. As sums of a few
rhythms, found over all hexagons, its rhythms need no more than a share in each. Rhythms and shares are those under
which the counts were most likely: non-negative matrix factorisation under Poisson's likelihood (Lee and Seung 1999,
Nature 401:788-791), with priors towards the city's rhythm and towards the city's shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stforecast.cube import Cube
from stforecast.cube.steps import Step
from stforecast.features.shared import CityPrior

COUNT, STEPS = 12, 60
"""Rhythms, and iterations to find them."""
BUSIEST = 3000
"""Hexagons that they are found from, at most."""
PRIOR_RHYTHM, PRIOR_SHARES = 1000.0, 10.0
"""Events at the city's rhythm that each rhythm begins with, and at the city's shares that each hexagon does."""


def circulant(slots: int, kernel: Sequence[float]) -> Tensor:
    """The matrix [slots slots] that smooths values of slots along a circle, from either side: it is symmetric."""
    one, reach = torch.eye(slots), len(kernel) // 2
    return sum((w * one.roll(i - reach, 0) for i, w in enumerate(kernel)), torch.zeros_like(one))


def smoothing(step: Step) -> Tensor:
    """Over slots of the week, where they are short enough: [slots slots]."""
    return circulant(step.slots, [w / 9 for w in (1, 2, 3, 2, 1)] if step.per_day >= 8 else [1])


@dataclass(frozen=True)
class Rhythms:
    """shape: events of a rhythm by category and slot of the week, [r c·slots], each summing to 1.

    shares: of all events, [r].
    """

    shape: Tensor
    shares: Tensor

    @staticmethod
    def of(cube: Cube, known_before: int, prior: CityPrior | None = None) -> Rhythms:
        """From the record as known at a step, and what other cities tell."""
        slots, smooth, cube = cube.step.slots, smoothing(cube.step).double(), cube.inputs
        seen = (cube.hour < known_before) & (cube.known_hour < known_before)
        hour = cube.hour[seen]
        first, last = int(hour.min(initial=0)), int(hour.max(initial=0)) + 1
        slot = cube.calendar(first, last).slot[hour - first]
        weight, hexagon = cube.weight[seen], cube.hexagon[seen]
        busiest = np.argsort(-np.bincount(hexagon, weight, minlength=cube.n), kind="stable")[:BUSIEST]
        row = np.full(cube.n, -1)
        row[busiest] = np.arange(len(busiest))
        kept = row[hexagon] >= 0
        width = cube.c * slots
        place = row[hexagon[kept]] * width + cube.category[seen][kept].astype(np.int64) * slots + slot[kept]
        counts = np.bincount(place, weight[kept], minlength=len(busiest) * width).reshape(len(busiest), width)
        return Rhythms.fitted(torch.as_tensor(counts, dtype=torch.float64), cube.c, smooth, prior)

    @staticmethod
    def fitted(counts: Tensor, c: int, smooth: Tensor, prior: CityPrior | None = None) -> Rhythms:
        """From counts [n c·slots], the matrix that smooths slots, and what other cities tell."""
        usual = (counts.sum(0).view(c, -1) + 1 / counts.shape[1]) @ smooth
        if prior is not None:
            usual = with_profile(usual, prior)
        usual = (usual / usual.sum()).flatten()
        towards, count = usual, COUNT
        if prior is not None:
            count = len(prior.rhythms)
            towards = usual * prior.rhythms.repeat(1, c)
            towards = towards / towards.sum(1, keepdim=True)
        shape = towards.expand(count, -1)
        if prior is None:  # rhythms begin apart, alike for all categories, whose order must not tell
            generator = torch.Generator().manual_seed(0)
            apart = 0.5 + torch.rand(count, counts.shape[1] // c, generator=generator, dtype=counts.dtype)
            shape = shape * apart.repeat(1, c)
        shape = shape / shape.sum(1, keepdim=True)
        mine = (counts.sum(1, keepdim=True) / count).expand(-1, count)
        for _ in range(STEPS):
            mine = mine * (_quotient(counts, mine @ shape) @ shape.T)
            shape = shape * (mine.T @ _quotient(counts, mine @ shape)) + PRIOR_RHYTHM * towards
            shape = (shape.view(count, c, -1) @ smooth).flatten(1)
            shape /= shape.sum(1, keepdim=True)
        shares = mine.sum(0) + (1 if prior is None else PRIOR_RHYTHM * count * prior.shares)
        return Rhythms(shape.float(), (shares / shares.sum()).float())

    def to(self, device: torch.device | str) -> Rhythms:
        """On a device."""
        return Rhythms(self.shape.to(device), self.shares.to(device))

    def start(self, n: int) -> Tensor:
        """Expected events of n hexagons by rhythm before any is seen, [r n]."""
        return PRIOR_SHARES * self.shares[:, None].expand(-1, n).contiguous()

    def loadings(self, counts: Tensor, mine: Tensor) -> Tensor:
        """Events by rhythm [r n] as counts [c·slots n] tell them, a step on from `mine`."""
        return mine * (self.shape @ _quotient(counts, self.shape.T @ mine)) + self.start(1)


def with_profile(counts: Tensor, prior: CityPrior) -> Tensor:
    """Counts [c slots] as the prior's profile lets expect them, which yields to them as they become many; the totals
    stay."""
    total = counts.sum(1, keepdim=True)
    found = counts + prior.profile / counts.shape[1] * prior.worth[:, None]
    return found * (total / found.sum(1, keepdim=True))


def _quotient(counts: Tensor, expected: Tensor) -> Tensor:
    return counts / expected.clamp_(min=1e-12)
