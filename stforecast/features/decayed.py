"""Exponentially decayed sums of events: what self-excitation, near repeats and long memory follow from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from stforecast.features.stream import Arrivals, EventStream


class DecayedSums:
    """Σ weight · 2^(−age / half-life) of the events known so far, by half-life, category and hexagon.

    An event of the step before an issue has age 0; a late report enters at its decayed weight. Sums are [h c n].

    Args:
        half_lives: in steps, [h], or [h c] where they differ by category.
        unit: steps in whose whole multiples ages are counted.
    """

    def __init__(self, half_lives: Tensor | Sequence[float], unit: int = 1) -> None:
        self.half_lives, self.unit = torch.as_tensor(half_lives, dtype=torch.float32), unit

    def to(self, device: torch.device) -> DecayedSums:
        """The same on a device."""
        return DecayedSums(self.half_lives.to(device), self.unit)

    def init_state(self, c: int, n: int) -> Tensor:
        """Sums before the first event, [h c n]."""
        return self.half_lives.new_zeros(len(self.half_lives), c, n)

    def arrived(self, new: Arrivals, count: int, c: int, n: int) -> Tensor:
        """What the events that are new at each of `count` issues add there: [l h c n]."""
        kinds, device = len(self.half_lives), new.row.device
        out = torch.zeros(count, kinds, c, n, device=device)
        half_lives = self.half_lives.view(kinds, -1).expand(kinds, c)[:, new.category]
        age = new.age.div(self.unit, rounding_mode="floor") * self.unit
        row = new.row * kinds + torch.arange(kinds, device=device)[:, None]
        place = (row * c + new.category) * n + new.hexagon  # [h e]
        out.view(-1).index_add_(0, place.flatten(), (new.counted * torch.exp2(-age / half_lives)).flatten())
        return out

    def carry(self, state: Tensor, added: Tensor, apart: Sequence[int]) -> Tensor:
        """The sums at issues that lie `apart` steps from the one before, from what is `added` there (in place)."""
        left = {steps: self.left(steps) for steps in {*apart}}
        for i, steps in enumerate(apart):
            added[i].addcmul_(added[i - 1] if i else state, left[steps])
        return added

    def step(self, state: Tensor, new: Arrivals, apart: Sequence[int]) -> Tensor:
        """The sums [l h c n] at the next issues; the last of them is the next state."""
        return self.carry(state, self.arrived(new, len(apart), *state.shape[1:]), apart)

    def left(self, steps: int) -> Tensor:
        """What is left of each sum after more steps, [h c 1] or [h 1 1]."""
        return torch.exp2(-steps / self.half_lives).view(len(self.half_lives), -1, 1)


def decay(steps: Tensor | int, half_lives: Tensor) -> Tensor:
    """What is left of each sum after `steps` more steps, one number or [… 1]: [… h]."""
    return torch.exp2(-steps / half_lives)


def sums_at(events: EventStream, half_lives: Tensor, steps: Iterable[int]) -> Iterator[Tensor]:
    """The decayed sums [h c n] of the events known at each of ascending `steps`; half-lives as in `DecayedSums`."""
    decayed, before = DecayedSums(half_lives), 0
    state = decayed.init_state(events.cube.c, events.cube.n)
    for step in steps:
        state = decayed.step(state, events.arrivals_at([step], before), [step - before])[0]
        before = step
        yield state
