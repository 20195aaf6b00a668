"""Climatology: what a hexagon usually has at this local hour of the week, from the days before only.

λ₀ = rate of the hexagon and category × the city's profile over the week × a shrunken ratio hexagon × hour of week.
All parts are exponentially forgotten sums of events over sums of what was expected of them, so that λ₀ follows
drift and is equally honest inside and outside the training slice. Late reports enter at their decayed weight, and
expected sums are kept by the share of reports known at each age.
"""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.files import read_json, write_json
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.record import Lateness, Record
from stforecast.scoring.splits import Split

RATE_DAYS, PROFILE_DAYS = 365.0, 730.0
"""Half-lives of hexagon rates and of profiles (chosen on Denver's validation slice)."""
SHRINK_RATE_DAYS, SHRINK_PROFILE_WEEKS, SHRINK_RATIO = 30.0, 2.0, 3.0
"""Pseudo-observations: days of the city's mean rate, weeks of a flat profile, expected events at ratio 1."""
FLOOR = 1e-7


def smooth(values: Tensor, kernel: tuple[float, ...]) -> Tensor:
    """Circular smoothing along the first axis."""
    reach = len(kernel) // 2
    return sum((w * values.roll(i - reach, 0) for i, w in enumerate(kernel)), torch.zeros_like(values))


class Rates:
    """The forgetting sums behind λ₀, carried from patch to patch.

    In the order of time: `absorb(s)` takes in what became known in [s − p, s), `intensity(s, k)` gives λ₀ of the
    steps after s as (base, λ₀), both [k n c], the ratio λ₀ / base shared by the categories, and `expect(s)`
    remembers base for the patch that begins.
    """

    def __init__(
        self,
        record: Record,
        lateness: Lateness,
        rate_days: float = RATE_DAYS,
        profile_days: float = PROFILE_DAYS,
    ) -> None:
        cube, device = record.cube, record.device
        self.record, self.p = record, record.patch
        self.per_day, self.weekly = record.per_day, 7 * record.per_day
        self.step_days = cube.step_hours / 24
        self.half_lives = (rate_days, profile_days)
        self.forget = [0.5 ** (self.p * self.step_days / h) for h in self.half_lives]
        self.lags = lateness.lags
        self.share = torch.as_tensor(lateness.share, device=device)
        self.kernel = (1 / 9, 2 / 9, 3 / 9, 2 / 9, 1 / 9) if cube.step_hours == 1 else (1.0,)
        n, c = cube.n, cube.c
        zeros = lambda *shape: torch.zeros(shape, device=device)  # noqa: E731
        self.rate, self.days = zeros(n, c), zeros(c)
        self.profile, self.visits = zeros(self.weekly, c), zeros(self.weekly, c)
        self.seen, self.expected = zeros(self.weekly, n), zeros(self.weekly, n)
        self.seen_day, self.expected_day = zeros(self.per_day, n), zeros(self.per_day, n)
        self.past: deque[Tensor] = deque(maxlen=self.lags[-1] + 1)

    def absorb(self, s: int) -> None:
        """Take in the patch [s − p, s) as known at s."""
        slow, slower = self.forget
        self.rate *= slow
        self.days *= slow
        for total in (self.profile, self.visits, self.seen, self.expected, self.seen_day, self.expected_day):
            total *= slower
        self._absorb_events(s)
        for j, lag in enumerate(self.lags):
            first = s - (lag + 1) * self.p
            if first < 0:
                break
            self._absorb_exposure(first, self.share[j], slow**lag, slower**lag, lag)

    def _absorb_events(self, s: int) -> None:
        new, record = self.record.arrivals(s - self.p, s), self.record
        age = (s - 1 - new.hour).div(self.p, rounding_mode="floor") * (self.p * self.step_days)
        by_rate, by_profile = (new.weight * torch.exp2(-age / h) for h in self.half_lives)
        week, day = (table[record.at(new.hour)] for table in (record.slot_of_week, record.slot_of_day))
        n, c = self.rate.shape
        self.rate.view(-1).index_add_(0, new.hexagon * c + new.category, by_rate)
        self.profile.view(-1).index_add_(0, week * c + new.category, by_profile)
        self.seen.view(-1).index_add_(0, week * n + new.hexagon, by_profile)
        self.seen_day.view(-1).index_add_(0, day * n + new.hexagon, by_profile)

    def _absorb_exposure(self, first: int, share: Tensor, slow: float, slower: float, lag: int) -> None:
        week, day = self.record.week_slots(first, self.p), self.record.day_slots(first, self.p)
        self.days += slow * share * (self.p * self.step_days)
        self.visits.index_add_(0, week, (slower * share).expand(self.p, -1))
        if lag < len(self.past):
            base = (self.past[-1 - lag] * (slower * share)).sum(-1)
            self.expected.index_add_(0, week, base)
            self.expected_day.index_add_(0, day, base)

    def expect(self, s: int) -> None:
        """Remember what is expected of the patch [s, s + p), to be held against its events when they are known."""
        self.past.append(self.intensity(s, self.p)[0])

    def intensity(self, s: int, count: int) -> tuple[Tensor, Tensor]:
        """(base, λ₀) of steps s … s + count − 1, each [k n c]."""
        week, day = self.record.week_slots(s, count), self.record.day_slots(s, count)
        n = len(self.rate)
        city = (self.rate.sum(0) / n + 1e-3) / (self.days + 1)
        rate = (self.rate + city * SHRINK_RATE_DAYS) / (self.days + SHRINK_RATE_DAYS)
        flat = city * self.step_days * SHRINK_PROFILE_WEEKS
        profile = smooth(self.profile / n + flat, self.kernel) / (self.visits + SHRINK_PROFILE_WEEKS)
        profile = profile / profile.mean(0)
        base = rate * self.step_days * profile[week][:, None] + FLOOR
        prior = (self._smoothed(self.seen_day, day) + SHRINK_RATIO) / (
            self._smoothed(self.expected_day, day) + SHRINK_RATIO
        )
        ratio = (self._smoothed(self.seen, week) + SHRINK_RATIO * prior) / (
            self._smoothed(self.expected, week) + SHRINK_RATIO
        )
        return base, base * ratio[..., None]

    def _smoothed(self, sums: Tensor, slots: Tensor) -> Tensor:
        reach = len(self.kernel) // 2
        size = len(sums)
        parts = (w * sums[(slots + i - reach) % size] for i, w in enumerate(self.kernel))
        return sum(parts, torch.zeros((), device=sums.device))


def by_phase(issues: np.ndarray, patch: int, steps: int) -> dict[int, dict[int, list[int]]]:
    """Places of `issues`, grouped by phase (issue mod patch), then by the issue step whose state serves them.

    An issue beyond the last whole patch of the record is served by the state of the last one.
    """
    groups: dict[int, dict[int, list[int]]] = {}
    for place, issue in enumerate(issues.tolist()):
        phase = issue % patch
        served = min(issue, phase + (steps - phase) // patch * patch)
        groups.setdefault(phase, {}).setdefault(served, []).append(place)
    return groups


class RollingClimatology(Forecaster):
    """λ₀ of each day from the days before it: the offset of the network, and the control to beat."""

    name = "rolling_climatology"
    half_lives = (RATE_DAYS, PROFILE_DAYS)
    ends = (0, 0)

    def fit(self, cube: Cube, split: Split, folder: Path | None = None) -> Self:
        """Remember the ends of the slices: reporting delays are estimated from what was known at the first."""
        self.ends = (split.train_end, split.validation_end)
        return self

    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        patch = min(max(1, 24 // cube.step_hours), cube.horizons)
        out = np.zeros((len(issues), cube.horizons, cube.n, cube.c), np.float32)
        record = Record(cube, patch, beyond=max(0, int(issues.max(initial=0)) - cube.steps))
        for phase, served in by_phase(issues, patch, cube.steps).items():
            rates = Rates(record, Lateness.of(cube, patch, self.ends[0], phase), *self.half_lives)
            end = phase
            for s in sorted(served):
                while end <= self.learned_until(s):
                    rates.absorb(end)
                    rates.expect(end)
                    end += patch
                for place in served[s]:
                    out[place] = rates.intensity(int(issues[place]), cube.horizons)[1].cpu().numpy()
        return out

    def learned_until(self, issue: int) -> int:
        """The last step whose record the forecast of `issue` rests on."""
        return issue

    def save(self, folder: Path) -> None:
        write_json(folder / "ends.json", self.ends)

    @classmethod
    def load(cls, folder: Path, config: Config) -> Self:
        forecaster = cls(config)
        forecaster.ends = tuple(read_json(folder / "ends.json"))
        return forecaster


class FixedClimatology(RollingClimatology):
    """λ₀ without forgetting, as it stood at the end of the slice before: training, or validation for test issues."""

    name = "climatology"
    half_lives = (math.inf, math.inf)

    def learned_until(self, issue: int) -> int:
        return max((end for end in self.ends if end <= issue), default=issue)
