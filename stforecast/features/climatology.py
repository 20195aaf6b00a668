"""Rolling climatology: what a hexagon usually has at this local hour of the week, from the days before only.

λ₀ = rate of the hexagon and category × its rhythm over the hours of the week. The rhythm is a sum of those that
hexagons share (`rhythms`), brought to the city's profile of the category, times two shrunken ratios of the hexagon: by
hour of the week over all categories, and by hour of the day for each. Rates and counts by hour are exponentially
forgotten sums of events, so that λ₀ follows drift and is equally honest inside and outside the training slice. Late
reports enter at their decayed weight, and the days that rates are held against are kept by the share of reports known
at each age.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from stforecast.features.graph import Neighbours, side_by_side
from stforecast.features.record import CELLS, Lateness, Record
from stforecast.features.rhythms import Rhythms, smoothing

RATE_DAYS, COUNT_DAYS = 365.0, 365.0
"""Half-lives of hexagon rates and of counts by hour of the week."""
SHRINK_RATE_DAYS, SHRINK_PROFILE_WEEKS, SHRINK_RATIO = 3.0, 2.0, 20.0
"""Pseudo-observations: days of the city's mean rate, weeks of a flat profile, expected events at ratio 1."""
FLOOR = 1e-7


class Rates:
    """The forgetting sums behind λ₀, carried from patch to patch; rhythms are brought up to date once a week.

    What forgets is kept in growing units: a contribution of patch i enters at 2^(i / half-life), and what is read is
    divided by that of the newest patch, so that a patch touches its own slots only.

    sums: events [c n] and their exposure in days [c], flat in one tensor.
    table: events by category and slot of the week, [c·slots n]. visits: its exposure, [c slots].
    loadings: events of each hexagon by rhythm, [r n]. profile: the rhythm of each, with mean 1, [c·slots n].
    Hexagons are the last axis of every tensor: what differs by category or hour then meets long rows of memory.
    """

    def __init__(
        self,
        record: Record,
        lateness: Lateness,
        rhythms: Rhythms,
        half_lives: tuple[float, float] = (RATE_DAYS, COUNT_DAYS),
    ) -> None:
        cube, device = record.cube, record.device
        self.record, self.p, self.n, self.c = record, record.patch, cube.n, cube.c
        self.slots, self.step_days = 7 * record.per_day, cube.step_hours / 24
        self.week = max(1, self.slots // self.p)  # patches
        self.half_lives = half_lives
        self.lags = torch.tensor(lateness.lags, device=device)
        self.share = torch.as_tensor(lateness.share, device=device)
        self.rhythms = rhythms.to(device)
        self.sums = torch.zeros((cube.n + 1) * cube.c, dtype=torch.float64, device=device)  # units outgrow a float32
        self.table = torch.zeros(cube.c * self.slots, cube.n, device=device)
        self.visits = torch.zeros(cube.c, self.slots, device=device)
        self.loadings, self.profile = self.rhythms.start(cube.n), torch.ones_like(self.table)
        self.newest = -1

    def walk(self, first: int, count: int) -> Tensor:
        """λ₀ of the K steps after each of the issues first, first + p, … [l c k n], from what is known at each."""
        issues = first + self.p * torch.arange(count, device=self.record.device)
        newest = issues.div(self.p, rounding_mode="floor") - 1
        patch = newest[:, None] - self.lags  # [l j]: patches whose late reports fall due
        new = self.record.arrivals(first, count)
        by_rate, by_count = (new.weight * self._growth(newest[new.row] - new.age, h) for h in self.half_lives)
        sums = self.sums.new_zeros(count, len(self.sums))
        sums.view(-1).index_add_(0, new.row * sums.shape[1] + new.category * self.n + new.hexagon, by_rate)
        of_rate, of_count = (self._growth(patch, h) for h in self.half_lives)  # [l j]
        begun = issues[:, None, None] - (self.lags[:, None] + 1) * self.p
        steps = (begun + torch.arange(self.p, device=issues.device)).clamp(min=-self.record.origin)
        passed = self.record.slots(steps)[0]  # [l j p]
        exposure = (of_count[..., None] * self.share).float().repeat_interleave(self.p, 1)  # [l j·p c]
        if self.record.observed is None:
            sums[:, self.c * self.n :] += (of_rate @ self.share.double()) * (self.p * self.step_days)
        else:
            observed = self.record.observed[self.record.at(steps)]  # [l j p c]
            days = of_rate[..., None] * self.share.double() * observed.sum(2).double()
            sums[:, self.c * self.n :] += days.sum(1) * self.step_days
            exposure *= observed.flatten(1, 2)
        place = (new.category * self.slots + self.record.slots(new.hour)[0]) * self.n + new.hexagon
        ahead = self.record.slots(issues[:, None] + torch.arange(self.record.cube.horizons, device=issues.device))[0]
        out = torch.empty(count, self.c, ahead.shape[1], self.n, device=sums.device)
        by_count, start = by_count.float(), 0
        for i, end in enumerate(new.ends):
            self.table.view(-1).index_add_(0, place[start:end], by_count[start:end])
            self.visits.index_add_(1, passed[i].flatten(), exposure[i].T)
            sums[i].add_(sums[i - 1] if i else self.sums)
            self.newest, start = first // self.p + i - 1, end
            if 0 <= self.newest < self.week or (self.newest + 1) % self.week == 0 < self.newest:
                self._follow()
            torch.index_select(self._by_slot(self.profile), 1, ahead[i], out=out[i])
        self.sums = sums[-1].clone()
        return out.mul_(self._rate(sums, newest)[:, :, None]).add_(FLOOR)

    def intensity(self, s: int, count: int) -> Tensor:
        """λ₀ of steps s … s + count − 1 from the sums as they stand, [c k n]."""
        slots = self.record.slots(s + torch.arange(count, device=self.record.device))[0]
        newest = torch.full((1,), self.newest, device=self.record.device)
        return self._by_slot(self.profile)[:, slots] * self._rate(self.sums[None], newest)[0, :, None] + FLOOR

    def state(self) -> dict[str, Any]:
        """Everything carried, as tensors of its own and plain values."""
        carried = {key: getattr(self, key).clone() for key in ("sums", "table", "visits", "loadings", "profile")}
        return {**carried, "newest": self.newest}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        for key in state.keys() - {"newest"}:
            setattr(self, key, state[key].to(self.record.device, copy=True))
        self.newest = state["newest"]

    @cached_property
    def near(self) -> dict[int, Neighbours]:
        """The smoothing over slots of the week as sparse products, for the rows of one category or of all."""
        matrix = smoothing(self.record.per_day)
        edges = matrix.nonzero().T
        return {
            copies * self.slots: Neighbours(
                side_by_side(edges, self.slots, copies), self.slots * copies, matrix[*edges].repeat(copies)
            ).to(self.record.device)
            for copies in {1, self.c}
        }

    def _smooth(self, x: Tensor) -> Tensor:
        """Values by slot, [… slots n], smoothed over the slots."""
        rows = x.flatten(0, -2)
        return self.near[len(rows)](rows).view_as(x)

    def _growth(self, patch: Tensor, half_life: float) -> Tensor:
        """Units in which patches contribute; 0 for those before the record, when all sums are 0."""
        return torch.exp2(patch.double() * (self.p * self.step_days / half_life)) * (patch >= 0)

    def _rate(self, sums: Tensor, newest: Tensor) -> Tensor:
        """Events a step of hexagons and categories from flat sums [l …], [l c n]."""
        grown = self._growth(newest, self.half_lives[0]).clamp(min=FLOOR)[:, None]
        events, days = (sums / grown).split([self.c * self.n, self.c], -1)
        rate, days = events.unflatten(-1, (self.c, self.n)), days[..., None]
        city = (rate.mean(-1, keepdim=True) + 1e-3) / (days + 1)
        return ((rate + city * SHRINK_RATE_DAYS) / (days + SHRINK_RATE_DAYS) * self.step_days).float()

    def _follow(self) -> None:
        """Bring loadings and profile up to the table as it stands; hexagons in parts that bound memory."""
        grown = 2 ** (self.newest * self.p * self.step_days / self.half_lives[1])
        visits = self.visits / grown
        parts = range(0, self.n, max(1, CELLS // len(self.table)))
        seen, expected = torch.zeros_like(visits), torch.zeros_like(visits)
        for at in parts:
            part = slice(at, at + parts.step)
            counts = self.table[:, part] / grown
            self.loadings[:, part] = self.rhythms.loadings(counts, self.loadings[:, part])
            rhythm = self._by_slot(self.rhythms.shape.T @ self.loadings[:, part])
            rhythm = rhythm / rhythm.mean(1, keepdim=True)
            counts = self._by_slot(counts)
            seen += counts.sum(-1)
            expected += (rhythm * counts.sum(1, keepdim=True)).sum(-1)
            self.profile[:, part] = rhythm.flatten(0, 1)
        city = self._city(seen, visits) / expected.add_(FLOOR)
        for at in parts:
            part = slice(at, at + parts.step)
            rhythm = self._by_slot(self.profile[:, part]) * city[..., None]
            rhythm = rhythm * self._ratio(self._by_slot(self.table[:, part] / grown), rhythm * visits[..., None])
            self.profile[:, part] = (rhythm / rhythm.mean(1, keepdim=True)).flatten(0, 1)

    def _city(self, seen: Tensor, visits: Tensor) -> Tensor:
        """The city's profile over the week, from its counts and their exposure [c slots]."""
        weeks = visits.mean(1, keepdim=True)
        flat = (seen.mean(1, keepdim=True) + 1e-3) / (weeks + 1) * SHRINK_PROFILE_WEEKS
        return self._smooth((seen + flat)[..., None])[..., 0] / (visits + SHRINK_PROFILE_WEEKS)

    def _ratio(self, counts: Tensor, likely: Tensor) -> Tensor:
        """Shrunken ratios of events to likely ones, all [c slots n]; only their rhythm is compared.

        One by hour of the week over all categories, times one by hour of the day for each, where there are several.
        """
        events = counts.sum(1, keepdim=True)
        alike = lambda x: x * (events / x.sum(1, keepdim=True).clamp(min=FLOOR))  # noqa: E731
        seen, likely = self._smooth(counts), alike(likely)
        seen_all, likely_all = seen.sum(0), self._smooth(likely.sum(0))
        prior = SHRINK_RATIO * _shrunken(_by_hour(seen_all), _by_hour(likely_all))
        week = (seen_all + prior) / (likely_all + SHRINK_RATIO)
        if self.c == 1:  # which would count the same events twice
            return week
        return week * _shrunken(_by_hour(seen), _by_hour(self._smooth(alike(likely * week))))

    def _by_slot(self, x: Tensor) -> Tensor:
        """[c·slots n] as [c slots n]."""
        return x.view(self.c, self.slots, -1)


def _by_hour(x: Tensor) -> Tensor:
    """Sums over the days of the week of [… slots n], given at every slot of the week."""
    return x.unflatten(-2, (7, -1)).sum(-3).repeat(*[1] * (x.dim() - 2), 7, 1)


def _shrunken(seen: Tensor, expected: Tensor) -> Tensor:
    return (seen + SHRINK_RATIO) / (expected + SHRINK_RATIO)
