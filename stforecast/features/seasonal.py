"""Decayed seasonal sums: how often events recur at their hour of the day and of the week, against climatology.

Climatology decays too slowly to follow a series of nights or a season's games, and sums that decay with age lose the
hour. A ratio is log((events + ½) / (expected + ½)) over the visits of a slot that its half-life holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from stforecast.features.stream import Arrivals, EventStream
from stforecast.features.table import SEASONAL_DAYS, SEASONAL_WEEKS

COUNT = len(SEASONAL_DAYS) + len(SEASONAL_WEEKS)
SPREAD_DAY, SPREAD_WEEK = (1, 2, 3, 2, 1), (1, 2, 1)
"""How an event is spread over the slots around its own, where slots are short enough."""
PRIOR = 0.5
"""Expected events at ratio 1."""


class SeasonalSums:
    """Means of the events known by local slot of the day and of the week.

    A slot decays when its hour passes and is recorded, and only then: a slot of the day stands for the same hour of
    yesterday and before, a slot of the week for the same hour of last week and before. The state is a tensor for each
    period: [h c slots n].
    """

    def __init__(self, events: EventStream) -> None:
        per_day = events.per_day
        self.periods = {
            "day": _Period(events, SEASONAL_DAYS, per_day, SPREAD_DAY),
            "week": _Period(events, SEASONAL_WEEKS, events.cube.step.slots, SPREAD_WEEK),
        }
        self.prior = PRIOR * torch.cat([period.share for period in self.periods.values()])[:, None, None, None]

    def init_state(self) -> dict[str, Tensor]:
        """The state before the first patch."""
        return {name: period.init_state() for name, period in self.periods.items()}

    def step(self, state: dict[str, Tensor], first: int, new: Arrivals, rate: Tensor | None = None) -> Tensor | None:
        """Take in the patches before the issues first, first + p, …; the state is changed in place.

        Args:
            rate: λ₀ of the K steps after each issue, [l c k n].

        Returns:
            Ratios at these steps, [l h c k n]; None without λ₀.
        """
        out = rate.new_empty(len(rate), COUNT, *rate.shape[1:]) if rate is not None else None
        periods = [period.step(state[name], first, new) for name, period in self.periods.items()]
        for i, slots in enumerate(zip(*periods, strict=True)):
            if out is not None and rate is not None:
                self._ratios(state, slots, 0, rate[i], out[i])
        return out

    def forecast(self, state: dict[str, Tensor], newest: int, issue: int, rate: Tensor) -> Tensor:
        """Ratios at the K steps after an `issue` at or after the `newest` one, from λ₀ there [c k n]: [h c k n]."""
        slots = [period.slots_of(issue + period.lead) for period in self.periods.values()]
        return self._ratios(state, slots, issue - newest, rate, rate.new_empty(COUNT, *rate.shape))

    def _ratios(
        self, state: dict[str, Tensor], slots: Sequence[Tensor], later: int, rate: Tensor, out: Tensor
    ) -> Tensor:
        parts = out.split([len(SEASONAL_DAYS), len(SEASONAL_WEEKS)])
        for (name, period), here, part in zip(self.periods.items(), slots, parts, strict=True):
            period.read(state[name], here, later, part)
        return out.add_(self.prior).div_(rate + self.prior).log_()


class _Period:
    """Means over the visits of each slot of a day or a week, exponentially decayed: [h c slots n]."""

    def __init__(self, events: EventStream, half_lives: tuple[float, ...], slots: int, spread: tuple[int, ...]) -> None:
        device, cube = events.device, events.cube
        self.events, self.slots, self.weekly = events, slots, slots > events.per_day
        self.local = events.calendar.slot if self.weekly else events.calendar.slot_of_day
        self.runs: dict[bytes, list[slice]] = {}
        self.left = torch.exp2(-1 / torch.tensor(half_lives, device=device))  # of each mean after a period
        self.share = 1 - self.left  # of a visit
        kernel = torch.tensor(spread if events.per_day >= 8 else (1,), device=device)
        self.spread, self.shift = kernel / kernel.sum(), torch.arange(len(kernel), device=device) - len(kernel) // 2
        self.lead = torch.arange(cube.horizons, device=device)

    def init_state(self) -> Tensor:
        cube = self.events.cube
        return torch.zeros(len(self.left), cube.c, self.slots, cube.n, device=self.events.device)

    def step(self, means: Tensor, first: int, new: Arrivals) -> Iterator[Tensor]:
        """Take in the patch before each issue in turn (in place): the slots of the K steps after it."""
        count = len(new.ends)
        c, n, p, device = self.events.cube.c, self.events.cube.n, self.events.patch, self.events.device
        issues = first + p * torch.arange(count, device=device)[:, None]
        steps = first + p * np.arange(count)[:, None] + np.arange(-p, 0)
        passed = self.local[np.maximum(steps + self.events.origin, 0)]
        periods = new.age.div(self.slots, rounding_mode="floor")
        slot = (self.slots_of(new.hour)[:, None] + self.shift) % self.slots
        kind = torch.arange(len(self.left), device=device)
        category, hexagon = new.category[:, None, None], new.hexagon[:, None, None]
        place = ((kind * c + category) * self.slots + slot[..., None]) * n + hexagon  # [e taps h]
        share = self.share * self.left ** periods[:, None]  # [e h]
        weight = new.counted[:, None, None] * self.spread[:, None] * share[:, None]
        ahead, start = self.slots_of(issues + self.lead), 0
        for i, end in enumerate(new.ends):
            for categories, slots in self._passed(steps[i], passed[i]):  # an index would copy them twice
                means[:, categories, slots].mul_(self.left[:, None, None, None])
            means.view(-1).index_add_(0, place[start:end].flatten(), weight[start:end].flatten())
            start = end
            yield ahead[i]

    def read(self, means: Tensor, slots: Tensor, later: int, out: Tensor) -> None:
        """Means at the slots of K steps, the first `later` steps after what they hold, into `out` [h c k n]."""
        torch.index_select(means, 2, slots, out=out)
        if later + len(slots) > self.slots:  # a later issue, or a slot that comes twice
            steps = torch.arange(later, later + len(slots), device=slots.device)
            out *= (self.left[:, None] ** steps.div(self.slots, rounding_mode="floor"))[:, None, :, None]

    def slots_of(self, steps: Tensor) -> Tensor:
        """The slots of steps."""
        return self.events.slots(steps)[not self.weekly]

    def _passed(self, steps: np.ndarray, slots: np.ndarray) -> list[tuple[slice, slice]]:
        """Categories and runs of slots that decay with a patch of these steps."""
        masked = self.events.cube.masked
        hidden = None if masked is None else masked[np.clip(steps, 0, len(masked) - 1)]
        if hidden is None or not hidden.any():
            return [(slice(None), run) for run in self._runs(slots)]
        seen = enumerate(~hidden.T)
        return [(slice(c, c + 1), run) for c, here in seen if here.any() for run in self._runs(slots[here])]

    def _runs(self, slots: np.ndarray) -> list[slice]:
        """Slots, each once, as runs of consecutive ones; few patches differ in them."""
        key = slots.tobytes()
        if key not in self.runs:
            once = np.unique(slots)
            parts = np.split(once, np.flatnonzero(np.diff(once) > 1) + 1)
            self.runs[key] = [slice(int(part[0]), int(part[-1]) + 1) for part in parts]
        return self.runs[key]
