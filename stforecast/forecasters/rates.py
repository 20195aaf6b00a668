"""Rolling climatology: what a hexagon usually has at this local hour of the week, from the days before only.

λ₀ = rate of the hexagon and category × the city's profile over the week × a shrunken ratio hexagon × hour of week.
All parts are exponentially forgotten sums of events over sums of what was expected of them, so that λ₀ follows
drift and is equally honest inside and outside the training slice. Late reports enter at their decayed weight, and
expected sums are kept by the share of reports known at each age.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from stforecast.forecasters.record import Lateness, Newest, Record

RATE_DAYS, PROFILE_DAYS = 365.0, 730.0
"""Half-lives of hexagon rates and of profiles (chosen on Denver's validation slice)."""
SHRINK_RATE_DAYS, SHRINK_PROFILE_WEEKS, SHRINK_RATIO = 30.0, 2.0, 3.0
"""Pseudo-observations: days of the city's mean rate, weeks of a flat profile, expected events at ratio 1."""
FLOOR = 1e-7


def circulant(slots: int, kernel: Sequence[float], device: torch.device) -> Tensor:
    """The matrix [slots slots] that smooths values of slots along a circle, from either side: it is symmetric."""
    one, reach = torch.eye(slots, device=device), len(kernel) // 2
    return sum((w * one.roll(i - reach, 0) for i, w in enumerate(kernel)), torch.zeros_like(one))


class Rates:
    """The forgetting sums behind λ₀, carried from patch to patch.

    What forgets is kept in growing units: a contribution of patch i enters at 2^(i / half-life), and what is read is
    divided by that of the newest patch, so that a patch touches its own slots only.

    sums: rates [c n], their exposure in days [c], profiles [c slots] and their exposure [c slots], flat in one tensor.
    table: [2 · (slots of week + slots of day), n]: events by slot of week and of day, then what was expected of them.
    past: what was expected of the newest patches, [m c p n], waiting for their late reports.
    Hexagons are the last axis of every tensor: what differs by category or hour then meets long rows of memory.
    """

    def __init__(
        self, record: Record, lateness: Lateness, rate_days: float = RATE_DAYS, profile_days: float = PROFILE_DAYS
    ) -> None:
        cube, device = record.cube, record.device
        self.record, self.p, self.n, self.c = record, record.patch, cube.n, cube.c
        self.weekly = 7 * record.per_day
        self.step_days = cube.step_hours / 24
        self.half_lives = (rate_days, profile_days)
        self.late, self.lags = lateness.lags, torch.tensor(lateness.lags, device=device)
        self.share = torch.as_tensor(lateness.share, device=device)
        self.kernel = torch.tensor((1, 2, 3, 2, 1) if cube.step_hours == 1 else (9,), device=device) / 9
        self.smoothing = circulant(self.weekly, self.kernel.tolist(), device)
        self.sizes = (cube.n * cube.c, cube.c, self.weekly * cube.c, self.weekly * cube.c)
        self.sums = torch.zeros(sum(self.sizes), device=device)
        self.table = torch.zeros(2 * (self.weekly + record.per_day), cube.n, device=device)
        self.past = Newest(lateness.lags[-1] + 1, (cube.c, self.p, cube.n), record.device)
        self.newest = -1

    def walk(self, first: int, count: int) -> Tensor:
        """λ₀ of the K steps after each of the issues first, first + p, … [l c k n], from what is known at each."""
        issues = first + self.p * torch.arange(count, device=self.record.device)
        newest = issues.div(self.p, rounding_mode="floor") - 1
        patch = newest[:, None] - self.lags  # [l j]: patches whose late reports fall due
        begun = issues[:, None] - (self.lags + 1) * self.p
        steps = (begun[..., None] + torch.arange(self.p, device=issues.device)).clamp(min=-self.record.origin)
        week, day = self.record.slots(steps)
        sums = self._sums(first, newest, patch, week)
        ahead = self.record.slots(issues[:, None] + torch.arange(self.record.cube.horizons, device=issues.device))
        base = self._base(sums, newest, ahead[0])
        past = self.past.extended(base[:, :, : self.p])
        expected = torch.stack([self.due(past, j, count) for j in range(len(self.lags))], 1)  # [l j p n]
        expected *= self._growth(patch, self.half_lives[1])[..., None, None]
        read = self._walk_table(first, count, newest, (week.flatten(1), day.flatten(1)), expected.flatten(1, 2), ahead)
        self.sums, self.newest = sums[-1].clone(), int(newest[-1])
        return base * self._ratio(read, newest)[:, None]

    def due(self, past: Tensor, j: int, count: int) -> Tensor:
        """Of the patches [m + l c p n], what is reported of all categories at lag j of the last l issues: [l p n]."""
        part = past[len(past) - count - 1 - self.late[j] :][:count]
        return (self.share[j] @ part.flatten(2)).unflatten(1, part.shape[2:])

    def intensity(self, s: int, count: int) -> Tensor:
        """λ₀ of steps s … s + count − 1 from the sums as they stand, [c k n]."""
        steps = s + torch.arange(count, device=self.record.device)[None]
        week, day = self.record.slots(steps)
        newest = torch.tensor([self.newest], device=self.record.device)
        read = self._read(self._rows(week, day)[0])[None]
        return (self._base(self.sums[None], newest, week) * self._ratio(read, newest)[:, None])[0]

    def state(self) -> dict[str, Any]:
        """Everything carried, as tensors of its own and plain values."""
        return {
            "sums": self.sums.clone(),
            "table": self.table.clone(),
            "past": self.past.values.clone(),
            "newest": self.newest,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self.sums, self.table = (state[key].to(self.record.device, copy=True) for key in ("sums", "table"))
        self.past.restore(state["past"])
        self.newest = state["newest"]

    def _growth(self, patch: Tensor, half_life: float) -> Tensor:
        """Units in which patches contribute; 0 for those before the record, when all sums are 0."""
        return torch.exp2(patch * (self.p * self.step_days / half_life)) * (patch >= 0)

    def _sums(self, first: int, newest: Tensor, patch: Tensor, week: Tensor) -> Tensor:
        """The flat sums after each of l patches, [l …], in growing units."""
        new, c, count = self.record.arrivals(first, len(newest)), self.c, len(newest)
        by_rate, by_profile = (new.counted * self._growth(newest[new.row] - new.age, h) for h in self.half_lives)
        sums = torch.zeros(count, len(self.sums), device=self.sums.device)
        flat, width = sums.view(-1), len(self.sums)
        _, at_days, at_profile, at_visits = np.cumsum((0, *self.sizes[:-1])).tolist()
        here = new.row * width
        flat.index_add_(0, here + new.category * self.n + new.hexagon, by_rate)
        flat.index_add_(0, here + at_profile + new.category * self.weekly + self.record.slots(new.hour)[0], by_profile)
        fast, slow = (self._growth(patch, h) for h in self.half_lives)  # [l j]
        sums[:, at_days : at_days + c] += (fast @ self.share) * (self.p * self.step_days)
        row = torch.arange(count, device=sums.device)[:, None, None] * width + at_visits + week
        visits = (slow[..., None] * self.share)[:, :, None].expand(-1, -1, self.p, -1)
        place = row[..., None] + self.weekly * torch.arange(c, device=sums.device)
        flat.index_add_(0, place.flatten(), visits.flatten())
        for i in range(count):
            sums[i] += sums[i - 1] if i else self.sums
        return sums

    def _base(self, sums: Tensor, newest: Tensor, week: Tensor) -> Tensor:
        """Rate × profile at slots of week [l k]: [l c k n]."""
        parts = sums.split(self.sizes, -1)
        fast, slow = (self._growth(newest, h).clamp(min=FLOOR)[:, None, None] for h in self.half_lives)
        rate = parts[0].unflatten(-1, (self.c, self.n)) / fast
        days = parts[1].unflatten(-1, (self.c, 1)) / fast
        profile, visits = (part.unflatten(-1, (self.c, self.weekly)) / slow for part in parts[2:])
        city = (rate.mean(-1, keepdim=True) + 1e-3) / (days + 1)
        rate = (rate + city * SHRINK_RATE_DAYS) / (days + SHRINK_RATE_DAYS)
        flat = city * self.step_days * SHRINK_PROFILE_WEEKS
        profile = (profile / self.n + flat) @ self.smoothing / (visits + SHRINK_PROFILE_WEEKS)
        profile = profile / profile.mean(-1, keepdim=True)
        profile = profile.gather(2, week[:, None].expand(-1, self.c, -1))
        return (rate * self.step_days)[:, :, None] * profile[..., None] + FLOOR

    def _walk_table(
        self,
        first: int,
        count: int,
        newest: Tensor,
        slots: tuple[Tensor, Tensor],
        expected: Tensor,
        ahead: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Carry the table through l patches; what is read of it after each, [l 4 k n] (see `_rows`)."""
        new, half = self.record.arrivals(first, count), len(self.table) // 2
        week, day = self.record.slots(new.hour)
        place = torch.stack([week, self.weekly + day], 1) * self.n + new.hexagon[:, None]
        weight = (new.counted * self._growth(newest[new.row] - new.age, self.half_lives[1]))[:, None].expand(-1, 2)
        place, weight = place.flatten(), weight.flatten()
        ends = (2 * torch.bincount(new.row, minlength=count).cumsum(0)).tolist()
        rows, flat, start, read = self._rows(*ahead), self.table.view(-1), 0, []
        for i, end in enumerate(ends):
            flat.index_add_(0, place[start:end], weight[start:end])
            self.table.index_add_(0, half + slots[0][i], expected[i])
            self.table.index_add_(0, half + self.weekly + slots[1][i], expected[i])
            read.append(self._read(rows[i]))
            start = end
        return torch.stack(read)

    def _rows(self, week: Tensor, day: Tensor) -> Tensor:
        """Rows of the table around slots [l k], to be smoothed: events by week, by day, then expected: [l 4·k taps]."""
        shift = torch.arange(len(self.kernel), device=week.device) - len(self.kernel) // 2
        rows = torch.stack(
            [(week[..., None] + shift) % self.weekly, self.weekly + (day[..., None] + shift) % self.record.per_day], 1
        )
        return torch.cat([rows, rows + len(self.table) // 2], 1).flatten(1, 2)

    def _read(self, rows: Tensor) -> Tensor:
        """Smoothed sums at `rows` [4·k taps]: [4 k n]."""
        weights = self.kernel.expand(len(rows), -1).contiguous()
        return F.embedding_bag(rows, self.table, mode="sum", per_sample_weights=weights).view(4, -1, self.n)

    def _ratio(self, read: Tensor, newest: Tensor) -> Tensor:
        """Shrunken ratio of events to expected ones, [l k n], from what was read [l 4 k n]."""
        grown = self._growth(newest, self.half_lives[1]).clamp(min=FLOOR)[:, None, None, None]
        seen, seen_day, expected, expected_day = (read / grown).unbind(1)
        prior = (seen_day + SHRINK_RATIO) / (expected_day + SHRINK_RATIO)
        return (seen + SHRINK_RATIO * prior) / (expected + SHRINK_RATIO)
