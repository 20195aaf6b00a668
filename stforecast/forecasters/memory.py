"""Long memory by hand: how far a hexagon, its ring and the city depart from climatology, over days to a year.

Every feature is a logarithm of (events known + κ) / (events expected + κ) over exponentially forgotten sums, with
expectations from the rolling climatology. Trees and network read the same features.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stforecast.forecasters.climatology import Rates, smooth
from stforecast.forecasters.graph import Neighbours
from stforecast.forecasters.record import Lateness, Record

DAYS = (1, 2, 3, 7, 14, 28, 60, 90, 365)
"""Half-lives of the sums per hexagon and category, in days."""
POOLED, BY_CATEGORY, RING, CITY = (2, 7, 28, 90, 365), (14, 90), (3, 14, 60), (1, 3, 7, 28)
"""Which half-lives are read for: all categories, each category, the six neighbours, the whole city."""
HOUR_DAYS = (60, 180, 270)
"""Half-lives of the sums per hexagon and local hour of day: read for hexagon, ring, hexagon."""


@dataclass(frozen=True)
class Recall:
    """What is remembered at L issue steps.

    log_rate: log λ₀ of the K steps after each issue, [L k n c].
    features: [L n f], in the order of `Memory.names`.
    by_hour: log-ratios by local slot of day, [L n 3 slots]; `features` holds them too, flattened, at its end.
    patch: events of the p steps before each issue as known at it, [L n p c], step j at channel
        (local slot of the issue + j) mod p, so that a channel keeps its local hour.
    late: late reports that arrived in the patch, by age (2, 4, 8 patches and older), [L n 4 c]; empty without delays.
    """

    issues: list[int]
    log_rate: Tensor
    features: Tensor
    by_hour: Tensor
    patch: Tensor
    late: Tensor

    def moved(self, issue: int, log_rate: Tensor) -> Recall:
        """The last of the issues alone, as remembered then, but of the steps after a later `issue`."""
        last = {key: value[-1:] for key, value in vars(self).items() if isinstance(value, Tensor)}
        return Recall(**{**last, "issues": [issue], "log_rate": log_rate[None]})


class Memory:
    """Walks a record from issue to issue (every p steps from `phase`) and gives `Recall`s; can be saved and resumed.

    Args:
        scale: mean events of a hexagon and day in the training slice; sets the pseudo-counts κ.
    """

    def __init__(self, record: Record, lateness: Lateness, edges: Tensor, scale: float, phase: int = 0) -> None:
        self.record, self.rates, self.phase, self.scale = record, Rates(record, lateness), phase, max(scale, 1e-6)
        self.next_issue = phase
        device, p, cube = record.device, record.patch, record.cube
        days = p * cube.step_hours / 24
        self.patch_days = days
        self.ring = Neighbours(edges.cpu(), cube.n, torch.ones(edges.shape[1])).to(device)
        self.lateness = lateness
        column = lambda values: torch.tensor(values, device=device, dtype=torch.float32)[:, None, None]  # noqa: E731
        self.half_lives, self.hour_half_lives = column(DAYS), column(HOUR_DAYS)
        self.forget, self.forget_hour = 0.5 ** (days / self.half_lives), 0.5 ** (days / self.hour_half_lives)
        zeros = lambda *shape: torch.zeros(shape, device=device)  # noqa: E731
        self.seen, self.expected = (zeros(len(DAYS), cube.n, cube.c) for _ in range(2))
        self.seen_hour, self.expected_hour = (zeros(len(HOUR_DAYS), record.per_day, cube.n) for _ in range(2))
        self.past: deque[Tensor] = deque(maxlen=lateness.lags[-1] + 1)

    @property
    def names(self) -> list[str]:
        """Names of the features, in order."""
        categories = self.record.cube.categories
        out = [f"all {d} d" for d in POOLED] + [f"{c} {d} d" for d in BY_CATEGORY for c in categories]
        out += [f"ring {d} d" for d in RING] + [f"city {c} {d} d" for d in CITY for c in categories] + ["level"]
        kinds = zip(("hour", "ring hour", "hour"), HOUR_DAYS, strict=True)
        return out + [f"{kind} {slot} {d} d" for kind, d in kinds for slot in range(self.record.per_day)]

    def walk(self, count: int) -> Recall:
        """The next `count` issues."""
        issues, rates, sums, hours = [], [], [], []
        first = self.next_issue
        for s in range(first, first + count * self.record.patch, self.record.patch):
            self.rates.absorb(s)
            self._absorb(s)
            rate = self.rates.intensity(s, self.record.cube.horizons)
            self.rates.past.append(rate[0][: self.record.patch].clone())
            self.past.append(rate[1][: self.record.patch].clone())
            issues.append(s)
            rates.append(rate[1])
            sums.append(torch.stack([self.seen, self.expected]))
            hours.append(torch.stack([self.seen_hour, self.expected_hour]))
        self.next_issue = first + count * self.record.patch
        lam = torch.stack(rates)
        by_hour = self._by_hour(torch.stack(hours, 1))
        features = torch.cat([self._by_day(torch.stack(sums, 1), lam), by_hour.flatten(2)], -1)
        patch, late = self._inputs(issues)
        return Recall(issues, lam.log(), features, by_hour, patch, late)

    def _absorb(self, s: int) -> None:
        p, record = self.record.patch, self.record
        for total, forget in (
            (self.seen, self.forget),
            (self.expected, self.forget),
            (self.seen_hour, self.forget_hour),
            (self.expected_hour, self.forget_hour),
        ):
            total *= forget
        new = record.arrivals(s - p, s)
        age = (s - 1 - new.hour).div(p, rounding_mode="floor") * self.patch_days
        n, c = self.seen.shape[1:]
        place = new.hexagon * c + new.category
        self.seen.view(len(DAYS), -1).index_add_(1, place, new.weight * torch.exp2(-age / self.half_lives[..., 0]))
        place = record.slot_of_day[record.at(new.hour)] * n + new.hexagon
        self.seen_hour.view(len(HOUR_DAYS), -1).index_add_(
            1, place, new.weight * torch.exp2(-age / self.hour_half_lives[..., 0])
        )
        share = self.rates.share
        for j, lag in enumerate(self.lateness.lags):
            if lag >= len(self.past):
                break
            due = self.past[-1 - lag] * share[j]
            self.expected += self.forget**lag * due.sum(0)
            slots = record.day_slots(s - (lag + 1) * p, p)
            self.expected_hour.index_add_(1, slots, self.forget_hour**lag * due.sum(-1))

    def _by_day(self, sums: Tensor, lam: Tensor) -> Tensor:
        """Features by day from sums [2 L h n c] and λ₀ [L k n c]: [L n f]."""
        length, n = len(lam), lam.shape[2]
        c = lam.shape[3]
        which = lambda days: [DAYS.index(d) for d in days]  # noqa: E731
        kappa = lambda days, size: (size / (1 - 0.5 ** (1 / self.half_lives[which(days), 0, 0]))).view(-1, 1, 1)  # noqa: E731
        pooled = sums.sum(-1, keepdim=True)
        all_ = _log_ratio(pooled[:, :, which(POOLED)], kappa(POOLED, 0.3 * self.scale))
        each = _log_ratio(sums[:, :, which(BY_CATEGORY)], kappa(BY_CATEGORY, 0.5 * self.scale / c))
        around = pooled[:, :, which(RING), :, 0].movedim(3, 0).reshape(n, -1)
        around = self.ring(around).view(n, 2, length, len(RING)).movedim(0, 3)[..., None]
        ring = _log_ratio(around, kappa(RING, 0.3 * self.scale))
        city = _log_ratio(sums[:, :, which(CITY)].sum(3, keepdim=True), kappa(CITY, 1.0))
        level = ((lam.sum((1, 3)) + 1e-4) / self.scale).log()[..., None]
        flat = lambda z: z.movedim(1, 2).reshape(length, z.shape[2], -1)  # noqa: E731  [L h n c] → [L n h·c]
        return torch.cat([flat(all_), flat(each), flat(ring), flat(city).expand(-1, n, -1), level], -1)

    def _by_hour(self, sums: Tensor) -> Tensor:
        """Log-ratios by slot of day from sums [2 L 3 slots n]: [L n 3 slots]."""
        _, length, kinds, slots, n = sums.shape
        if slots >= 8:
            sums = smooth(sums.movedim(3, 0), (0.25, 0.5, 0.25)).movedim(0, 3)
        ring = sums[:, :, 1].movedim(3, 0).reshape(n, -1)
        sums = sums.clone()
        sums[:, :, 1] = self.ring(ring).view(n, 2, length, slots).movedim(0, 3)
        size = torch.tensor((1.5, 4.4, 2.2), device=sums.device)[:, None, None] * self.scale / slots
        kappa = size / (1 - 0.5 ** (1 / self.hour_half_lives))
        return ((sums[0] + kappa) / (sums[1] + kappa)).log().permute(0, 3, 1, 2)

    def _inputs(self, issues: list[int]) -> tuple[Tensor, Tensor]:
        """Events known at each issue of its own patch [L n p c], and late ones by age [L n 4 c]."""
        record, p = self.record, self.record.patch
        n, c, length = record.cube.n, record.cube.c, len(issues)
        new = record.arrivals(issues[0] - p, issues[-1])
        row = (new.known - issues[0]).div(p, rounding_mode="floor") + 1
        issue = issues[0] + row * p
        age = (issue - 1 - new.hour).div(p, rounding_mode="floor")
        slot = record.slot_of_day[record.at(issue)]
        channel = (slot + new.hour - issue) % p
        patch = torch.zeros(length, n, p, c, device=record.device)
        here = age == 0
        flat = ((row * n + new.hexagon) * p + channel) * c + new.category
        patch.view(-1).index_add_(0, flat[here], new.weight[here])
        if not record.cube.late:
            return patch, torch.zeros(length, n, 0, c, device=record.device)
        late = torch.zeros(length, n, 4, c, device=record.device)
        bins = torch.bucketize(age, torch.tensor((1, 3, 7), device=record.device))
        flat = ((row * n + new.hexagon) * 4 + bins) * c + new.category
        late.view(-1).index_add_(0, flat[~here], new.weight[~here])
        return patch, late

    def state(self) -> dict[str, Any]:
        """Everything carried, as tensors and plain values."""
        rates = {k: v for k, v in vars(self.rates).items() if isinstance(v, Tensor) and k != "share"}
        return {
            "next_issue": self.next_issue,
            "sums": [self.seen, self.expected, self.seen_hour, self.expected_hour],
            "past": list(self.past),
            "rates": rates,
            "rates_past": list(self.rates.past),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved `state`."""
        self.next_issue = state["next_issue"]
        for own, saved in zip(
            (self.seen, self.expected, self.seen_hour, self.expected_hour), state["sums"], strict=True
        ):
            own.copy_(saved)
        for key, saved in state["rates"].items():
            getattr(self.rates, key).copy_(saved)
        self.past.extend(state["past"])
        self.rates.past.extend(state["rates_past"])


def _log_ratio(sums: Tensor, kappa: Tensor) -> Tensor:
    """log((seen + κ) / (expected + κ)) of sums [2 …]."""
    return ((sums[0] + kappa) / (sums[1] + kappa)).log()
