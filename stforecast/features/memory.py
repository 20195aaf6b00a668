"""Long memory by hand: how far a hexagon, its ring and the city depart from climatology, over days to a year.

Every feature is a logarithm of (events known + κ) / (events expected + κ) over exponentially forgotten sums, with
expectations from the rolling climatology. Trees and network read the same features.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stforecast.features.climatology import Rates
from stforecast.features.recent import Around, Recent, decay
from stforecast.features.record import Lateness, Newest, Record
from stforecast.features.recurring import Recurring
from stforecast.features.rhythms import Rhythms

DAYS = (1, 2, 3, 7, 14, 28, 60, 90, 365)
"""Half-lives of the sums per hexagon and category, in days."""
POOLED, BY_CATEGORY = (2, 7, 28, 90, 365), (1, 3, 14, 90)
"""Half-lives read of a hexagon: all categories together, and each."""
FILL_DAYS = 60
"""Age from which steps that were not recorded count for nothing in the sums of recent events."""
RING, RING_BY_CATEGORY, CITY = (3, 14, 60), (1, 3, 14), (1, 3, 7, 28)
"""Half-lives read of the six neighbours, all categories and each, and of the whole city by category."""


def blocks(c: int) -> dict[str, slice]:
    """Where the features stand, by block, for c categories; within a block by half-life, then category."""
    sizes = {
        "all": len(POOLED),
        "each": len(BY_CATEGORY) * c,
        "ring": len(RING),
        "ring each": len(RING_BY_CATEGORY) * c,
        "city": len(CITY) * c,
        "level": 1,
    }
    ends = list(accumulate(sizes.values()))
    return {name: slice(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}


@dataclass(frozen=True)
class Recall:
    """What is remembered at L issue steps. Hexagons are the last axis: rows of memory are long.

    log_rate: log λ₀ of the K steps after each issue, [L c k n].
    features: [L f n], in the order of `Memory.names`.
    patch: events of the p steps before each issue as known at it, [L p c n], step j at channel
        (local slot of the issue + j) mod p, so that a channel keeps its local hour.
    recent: sums of recent events, see `recent`, [L h c n].
    recurring: log-ratios by hour of recurrence at the K steps, see `recurring`, [L h c k n].
    late: late reports that arrived in the patch, by age (2, 4, 8 patches and older), [L 4 c n]; empty without delays.
    """

    issues: list[int]
    log_rate: Tensor
    features: Tensor
    patch: Tensor
    recent: Tensor
    recurring: Tensor
    late: Tensor


class Memory:
    """Walks a record from issue to issue (every p steps from `phase`) and gives `Recall`s; can be saved and resumed.

    Args:
        scale: mean events of a hexagon and day in the training slice; sets the pseudo-counts κ.
    """

    def __init__(
        self, record: Record, lateness: Lateness, rhythms: Rhythms, edges: Tensor, scale: float, phase: int = 0
    ) -> None:
        self.record, self.lateness = record, lateness
        self.rates, self.recent, self.recurring = Rates(record, lateness, rhythms), Recent(record), Recurring(record)
        self.next_issue, self.scale = phase, max(scale, 1e-6)
        device, p, cube = record.device, record.patch, record.cube
        self.patch_days = p * cube.step_hours / 24
        self.ring = Around(edges.cpu(), cube.n, 1.0).to(device)
        self.half_lives = torch.tensor(DAYS, device=device, dtype=torch.float32)[:, None, None]
        self.forget = 0.5 ** (self.patch_days / self.half_lives)
        self.lost = 1 - 0.5 ** (1 / self.half_lives)  # of each sum in a day
        read = (POOLED, BY_CATEGORY, RING, RING_BY_CATEGORY, CITY)
        self.places = {days: torch.tensor([DAYS.index(d) for d in days], device=device) for days in read}
        # events known, then what was expected of them, [2 h c n]; expected events of patches whose reports are due
        self.days = torch.zeros(2, len(DAYS), cube.c, cube.n, device=device)
        self.past = Newest(lateness.lags[-1] + 1, (cube.c, cube.n), device)
        self.share = torch.as_tensor(lateness.share, device=device)

    @property
    def names(self) -> list[str]:
        """Names of the features, in order."""
        categories = self.record.cube.categories
        out = [f"all {d} d" for d in POOLED] + [f"{c} {d} d" for d in BY_CATEGORY for c in categories]
        out += [f"ring {d} d" for d in RING] + [f"ring {c} {d} d" for d in RING_BY_CATEGORY for c in categories]
        return out + [f"city {c} {d} d" for d in CITY for c in categories] + ["level"]

    def walk(self, count: int) -> Recall:
        """The next `count` issues."""
        first = self.next_issue
        issues = [first + i * self.record.patch for i in range(count)]
        lam, days, recent = self._advance(count)
        recurring = self.recurring.walk(first, count, lam)
        patch, late = self._inputs(issues)
        self._fill(issues, lam, recent, patch)
        return Recall(issues, lam.log(), self._features(days, lam), patch, recent, recurring, late)

    def moved(self, last: Recall, issue: int) -> Recall:
        """The newest of the issues alone, as remembered then, but of the steps after `issue`, that one or a later."""
        newest, rate = last.issues[-1], self.rates.intensity(issue, self.record.cube.horizons)
        recent = last.recent[-1:] * decay(issue - newest, self.recent.half_lives)[:, None, None]
        recurring = self.recurring.at(newest, issue, rate)[None]
        features, patch, late = (v[-1:] for v in (last.features, last.patch, last.late))
        return Recall([issue], rate.log()[None], features, patch, recent, recurring, late)

    def skip(self, count: int) -> None:
        """Walk through `count` issues without looking."""
        while count > 0:
            now = min(count, self.record.stretch)
            self.recurring.walk(self.next_issue, now)
            self._advance(now)
            count -= now

    def _advance(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """λ₀ [l c k n] and the sums after each of the next issues: [l 2 h c n], recent [l h c n]."""
        first, p = self.next_issue, self.record.patch
        lam, recent = self.rates.walk(first, count), self.recent.walk(first, count)
        days = self._seen(first, count)
        past = self.past.extended(lam[:, :, :p].sum(2))
        for j, lag in enumerate(self.lateness.lags):  # what was expected of the patches whose reports fall due
            due = past[len(past) - count - 1 - lag :][:count] * self.share[j][:, None]
            if self.record.observed is not None:  # nothing is expected of what was not recorded
                begun = first + p * torch.arange(-1 - lag, count - 1 - lag, device=lam.device)
                steps = (begun[:, None] + torch.arange(p, device=lam.device)).clamp(min=-self.record.origin)
                due = due * self.record.observed[self.record.at(steps)].mean(1)[..., None]
            days[:, 1] += self.forget**lag * due[:, None]
        for i in range(count):
            days[i].addcmul_(days[i - 1] if i else self.days, self.forget)
        self.days, self.next_issue = days[-1].clone(), first + count * p
        return lam, days, recent

    def _seen(self, first: int, count: int) -> Tensor:
        """New events at their decayed weight, in sums [l 2 h c n] whose second half is empty."""
        new, device = self.record.arrivals(first, count), self.record.device
        added, kinds, size = torch.zeros(count, *self.days.shape, device=device), len(DAYS), self.days[0, 0].numel()
        row = new.row * 2 * kinds + torch.arange(kinds, device=device)[:, None]  # [h e]
        weight = new.counted * torch.exp2(-(new.age * self.patch_days) / self.half_lives[..., 0])
        place = row * size + new.category * self.days.shape[3] + new.hexagon
        added.view(-1).index_add_(0, place.flatten(), weight.flatten())
        return added

    def _features(self, sums: Tensor, lam: Tensor) -> Tensor:
        """Features from sums [l 2 h c n] and λ₀ [l c k n]: [l f n]."""
        c, n = sums.shape[3:]
        of = lambda x, days: x.index_select(2, self.places[days])  # noqa: E731
        kappa = lambda days, size: size / self.lost[self.places[days]]  # noqa: E731
        pooled = sums.sum(3)
        all_ = _log_ratio(of(pooled, POOLED), kappa(POOLED, 0.3 * self.scale)[..., 0])
        each = _log_ratio(of(sums, BY_CATEGORY), kappa(BY_CATEGORY, 0.5 * self.scale / c))
        ring = _log_ratio(self.ring(of(pooled, RING)), kappa(RING, 0.3 * self.scale)[..., 0])
        ring_each = _log_ratio(self.ring(of(sums, RING_BY_CATEGORY)), kappa(RING_BY_CATEGORY, 0.5 * self.scale / c))
        city = _log_ratio(of(sums, CITY).sum(4), kappa(CITY, 1.0)[..., 0])
        level = ((lam.sum((1, 2)) + 1e-4) / self.scale).log()[:, None]
        city = city.flatten(1)[..., None].expand(-1, -1, n)
        return torch.cat([all_, each.flatten(1, 2), ring, ring_each.flatten(1, 2), city, level], 1)

    def _inputs(self, issues: list[int]) -> tuple[Tensor, Tensor]:
        """Events known at each issue of its own patch [L p c n], and late ones by age [L 4 c n]."""
        record, p = self.record, self.record.patch
        n, c, length = record.cube.n, record.cube.c, len(issues)
        new = record.arrivals(issues[0], length)
        issue = issues[0] + new.row * p
        channel = (record.slots(issue)[1] + new.hour - issue) % p
        here = new.age == 0
        patch = torch.zeros(length, p, c, n, device=record.device)
        flat = ((new.row * p + channel) * c + new.category) * n + new.hexagon
        patch.view(-1).index_add_(0, flat, new.weight * here)  # picking them out would wait for a GPU
        late = torch.zeros(length, 4 if self.lateness.late else 0, c, n, device=record.device)
        if self.lateness.late:
            bins = sum(new.age > bound for bound in (1, 3, 7))
            flat = ((new.row * 4 + bins) * c + new.category) * n + new.hexagon
            late.view(-1).index_add_(0, flat, new.weight * ~here)
        return patch, late

    def _fill(self, issues: list[int], lam: Tensor, recent: Tensor, patch: Tensor) -> None:
        """Put λ₀ of the same hour of the day, λ₀ being [l c k n], for events of steps that were not recorded."""
        masked, p, k = self.record.cube.masked, self.record.patch, lam.shape[2]
        if masked is None:
            return
        reach = int(FILL_DAYS * self.record.per_day)
        for i, issue in enumerate(issues):
            at, category = np.nonzero(masked[max(issue - reach, 0) : issue])
            if not at.size:
                continue
            step, of = torch.as_tensor(at + max(issue - reach, 0)), torch.as_tensor(category)
            lead = (step - issue) % k
            weight = decay((issue - 1 - step)[:, None], self.recent.half_lives.cpu())  # [e h]
            shares = torch.zeros(lam.shape[1], k, weight.shape[1]).index_put_((of, lead), weight, accumulate=True)
            recent[i] += torch.einsum("ckh,ckn->hcn", shares.to(lam.device), lam[i])
            new = step >= issue - p
            slot = int(self.record.slots(torch.tensor(issue, device=lam.device))[1])
            channel = (slot + step[new] - issue) % p
            patch[i, channel.to(lam.device), of[new].to(lam.device)] = lam[i, of[new], lead[new]]

    def state(self) -> dict[str, Any]:
        """Everything carried, as tensors of its own and plain values."""
        sums = {"days": self.days, "past": self.past.values, "recent": self.recent.sums}
        tensors = {key: value.clone() for key, value in sums.items()}
        parts = {"rates": self.rates.state(), "recurring": self.recurring.state()}
        return {**tensors, **parts, "next_issue": self.next_issue}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self.days, self.recent.sums = (state[key].to(self.record.device, copy=True) for key in ("days", "recent"))
        self.past.restore(state["past"])
        self.next_issue = state["next_issue"]
        self.rates.restore(state["rates"])
        self.recurring.restore(state["recurring"])


def _log_ratio(sums: Tensor, kappa: Tensor) -> Tensor:
    """log((events + κ) / (expected + κ)) of sums [l 2 …]: [l …]."""
    return ((sums[:, 0] + kappa) / (sums[:, 1] + kappa)).log()
