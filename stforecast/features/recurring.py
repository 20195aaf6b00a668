"""How often events recur at their hour of the day and of the week, against climatology: log-ratios, forgotten by days
and by weeks.

Climatology forgets too slowly to follow a series of nights or a season's games, and sums that fade by age forget the
hour. A ratio is log((events + ½) / (expected + ½)) over the visits of a slot that its half-life holds.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stforecast.features.record import Arrivals, Record

DAYS, WEEKS = (0.7, 3.0, 14.0), (3.0, 13.0)
"""Half-lives by hour of the day, in days, and by hour of the week, in weeks."""
COUNT = len(DAYS) + len(WEEKS)
SPREAD_DAY, SPREAD_WEEK = (1, 2, 3, 2, 1), (1, 2, 1)
"""How an event is spread over the slots around its own, where slots are short enough."""
PRIOR = 0.5
"""Expected events at ratio 1."""


class Recurring:
    """Means of the events known by local slot of the day and of the week, carried by patches.

    A slot forgets when its hour passes and is recorded, and only then: a slot of the day stands for the same hour of
    yesterday and before, a slot of the week for the same hour of last week and before.
    """

    def __init__(self, record: Record) -> None:
        self.record, per_day = record, record.per_day
        self.tables = [_Table(record, DAYS, per_day, SPREAD_DAY), _Table(record, WEEKS, 7 * per_day, SPREAD_WEEK)]
        self.prior = PRIOR * torch.cat([table.share for table in self.tables])[:, None, None, None]

    def walk(self, first: int, count: int, rate: Tensor | None = None) -> Tensor:
        """Ratios at the K steps after the issues first, first + p, …, from λ₀ there [l c k n]: [l h c k n].

        Without λ₀ it only goes on, and gives none.
        """
        new, start = self.record.arrivals(first, count), 0
        out = rate.new_empty(count, COUNT, *rate.shape[1:]) if rate is not None else torch.empty(0)
        for table in self.tables:
            table.prepare(new, first, count)
        for i, end in enumerate(new.ends):
            for table in self.tables:
                table.take_in(i, start, end)
            if rate is not None:
                self._ratios([table.ahead[i] for table in self.tables], 0, rate[i], out[i])
            start = end
        return out

    def at(self, s: int, issue: int, rate: Tensor) -> Tensor:
        """The same for one `issue` at or after s, the last one walked to, from λ₀ [c k n]: [h c k n]."""
        slots = [table.slots_of(issue + table.lead) for table in self.tables]
        return self._ratios(slots, issue - s, rate, rate.new_empty(COUNT, *rate.shape))

    def _ratios(self, slots: list[Tensor], later: int, rate: Tensor, out: Tensor) -> Tensor:
        for table, read, part in zip(self.tables, slots, out.split([len(DAYS), len(WEEKS)]), strict=True):
            table.read(read, later, part)
        return out.add_(self.prior).div_(rate + self.prior).log_()

    def state(self) -> list[Tensor]:
        """What is carried."""
        return [table.means.clone() for table in self.tables]

    def restore(self, state: list[Tensor]) -> None:
        """Go on from a `state`."""
        for table, means in zip(self.tables, state, strict=True):
            table.means = means.to(self.record.device, copy=True)


class _Table:
    """Means over the visits of each slot of a period, exponentially forgotten: [h c slots n]."""

    def __init__(self, record: Record, half_lives: tuple[float, ...], slots: int, spread: tuple[int, ...]) -> None:
        device, cube = record.device, record.cube
        self.record, self.slots, self.weekly = record, slots, slots > record.per_day
        self.local = record.calendar.slot_of_week if self.weekly else record.calendar.slot_of_day
        self.runs: dict[bytes, list[slice]] = {}
        self.left = torch.exp2(-1 / torch.tensor(half_lives, device=device))  # of each mean after a period
        self.share = 1 - self.left  # of a visit
        kernel = torch.tensor(spread if record.per_day >= 8 else (1,), device=device)
        self.spread, self.shift = kernel / kernel.sum(), torch.arange(len(kernel), device=device) - len(kernel) // 2
        self.lead = torch.arange(cube.horizons, device=device)
        self.means = torch.zeros(len(half_lives), cube.c, slots, cube.n, device=device)

    def prepare(self, new: Arrivals, first: int, count: int) -> None:
        """What a walk needs: places and weights of the arrivals [e taps h], slots of the patches and of the K steps."""
        kinds, c, _, n = self.means.shape
        p, device = self.record.patch, self.means.device
        issues = first + p * torch.arange(count, device=device)[:, None]
        self.ahead = self.slots_of(issues + self.lead)
        steps = first + p * np.arange(count)[:, None] + np.arange(-p, 0)
        slots = self.local[np.maximum(steps + self.record.origin, 0)]
        self.passed = [self._passed(*one) for one in zip(steps, slots, strict=True)]
        periods = (first + new.row * p - 1 - new.hour).div(self.slots, rounding_mode="floor")
        slot = (self.slots_of(new.hour)[:, None] + self.shift) % self.slots
        kind = torch.arange(kinds, device=slot.device)
        category, hexagon = new.category[:, None, None], new.hexagon[:, None, None]
        self.place = ((kind * c + category) * self.slots + slot[..., None]) * n + hexagon
        share = self.share * self.left ** periods[:, None]  # [e h]
        self.weight = new.counted[:, None, None] * self.spread[:, None] * share[:, None]

    def take_in(self, i: int, start: int, end: int) -> None:
        """Forget where patch i of the walk passed, and add the arrivals start … end − 1."""
        for categories, slots in self.passed[i]:  # an index would copy them twice
            self.means[:, categories, slots].mul_(self.left[:, None, None, None])
        self.means.view(-1).index_add_(0, self.place[start:end].flatten(), self.weight[start:end].flatten())

    def read(self, slots: Tensor, later: int, out: Tensor) -> None:
        """Means at the slots of K steps, the first `later` steps after what the table holds, into `out` [h c k n]."""
        torch.index_select(self.means, 2, slots, out=out)
        if later + len(slots) > self.slots:  # a later issue, or a slot that comes twice
            steps = torch.arange(later, later + len(slots), device=slots.device)
            out *= (self.left[:, None] ** steps.div(self.slots, rounding_mode="floor"))[:, None, :, None]

    def slots_of(self, steps: Tensor) -> Tensor:
        """The slots of steps."""
        return self.record.slots(steps)[not self.weekly]

    def _passed(self, steps: np.ndarray, slots: np.ndarray) -> list[tuple[slice, slice]]:
        """Categories and runs of slots that are forgotten with a patch of these steps."""
        masked = self.record.cube.masked
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
