"""The record as it becomes known, patch by patch, and how complete it is.

A patch is `p` steps. At the issue step s the patch [s − p, s) has just ended, and the events with
known_hour in [s − p, s) are new: those of the patch itself, and late reports of earlier ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stforecast.cube import Cube
from stforecast.cube.hours import calendar

LAGS_DAYS = (0, 1, 2, 4, 8, 16, 30)
"""Ages (in days) at which late reports are taken to arrive when *expected* sums are kept; the last holds the rest."""


@dataclass(frozen=True)
class Arrivals:
    """Events that became known in some steps: equally long tensors [e]."""

    known: Tensor
    hour: Tensor
    hexagon: Tensor
    category: Tensor
    weight: Tensor


class Record:
    """A cube's events on a device, in the order in which they became known, and its local calendar.

    The calendar covers steps −p … steps + `beyond`; `slot_of_week` and `slot_of_day` are read by step.
    """

    def __init__(self, cube: Cube, patch: int, beyond: int = 0, device: torch.device | str = "cpu") -> None:
        self.cube, self.patch, self.device = cube, patch, torch.device(device)
        self.per_day = max(1, 24 // cube.step_hours)
        self._known_hour = cube.known_hour
        as_tensor = lambda a, kind: torch.as_tensor(a, dtype=kind, device=self.device)  # noqa: E731
        self._known, self._hour, self._hexagon, self._category = (
            as_tensor(a, torch.int64) for a in (cube.known_hour, cube.hour, cube.hexagon, cube.category)
        )
        self._weight = as_tensor(cube.weight, torch.float32)
        self.origin = patch
        last = cube.steps + cube.horizons + patch + beyond
        self.calendar = calendar(
            cube.start, cube.step_hours, -self.origin, last, cube.time_zone, cube.country, cube.subdivision
        )
        self.slot_of_week = as_tensor(self.calendar.slot_of_week, torch.int64)
        self.slot_of_day = as_tensor(self.calendar.slot_of_day, torch.int64)

    def at(self, step: Tensor) -> Tensor:
        """Rows of the calendar's arrays that hold the steps."""
        return step + self.origin

    def week_slots(self, first: int, count: int) -> Tensor:
        """Local slots of the week of steps first … first + count − 1."""
        return self.slot_of_week[first + self.origin :][:count]

    def day_slots(self, first: int, count: int) -> Tensor:
        """Local slots of the day of steps first … first + count − 1."""
        return self.slot_of_day[first + self.origin :][:count]

    def arrivals(self, first: int, last: int) -> Arrivals:
        """Events with known_hour in [first, last)."""
        low, high = np.searchsorted(self._known_hour, [first, last])
        part = slice(int(low), int(high))
        columns = (self._known, self._hour, self._hexagon, self._category, self._weight)
        return Arrivals(*(column[part] for column in columns))


@dataclass(frozen=True)
class Lateness:
    """When reports arrive: `share[j, c]` of a category's events become known `lags[j]` patches after their own.

    A record without delay has lags (0,) and shares of 1.
    """

    lags: tuple[int, ...]
    share: np.ndarray

    @staticmethod
    def of(cube: Cube, patch: int, known_before: int, phase: int = 0) -> Lateness:
        """Estimated from events at least 60 days older than `known_before`, as known then; `phase` as in training."""
        if not cube.late:
            return Lateness((0,), np.ones((1, cube.c), np.float32))
        per_patch = max(1, 24 // cube.step_hours) / patch
        lags = tuple(sorted({round(days * per_patch) for days in LAGS_DAYS}))
        settled = known_before - round(60 * per_patch) * patch
        mature = (cube.hour < max(settled, known_before // 2)) & (cube.known_hour < known_before)
        delay = (cube.known_hour[mature] - phase) // patch - (cube.hour[mature] - phase) // patch
        share = np.zeros((len(lags), cube.c))
        place = np.searchsorted(lags, delay, side="right") - 1
        np.add.at(share, (place, cube.category[mature]), cube.weight[mature])
        total = share.sum(0)
        share[0, total == 0] = 1
        return Lateness(lags, (share / share.sum(0)).astype(np.float32))


def completeness(cube: Cube, first: int, last: int, known_before: int) -> np.ndarray:
    """Expected share of the events of steps first … last − 1 that is known before `known_before`: float32 [t c].

    The share of mature events (60 days and older) that were known within each age, per category; 1 where the record
    has no delay. Thinning is exact for Poisson counts: a target seen early has intensity share × λ.
    """
    share = np.ones((last - first, cube.c), np.float32)
    if not cube.late:
        return share
    per_day = max(1, 24 // cube.step_hours)
    horizon = 60 * per_day
    settled = max(known_before - horizon, known_before // 2)
    age = np.minimum(known_before - 1 - np.arange(first, last), horizon)
    for category in range(cube.c):
        mature = (cube.hour < settled) & (cube.known_hour < known_before) & (cube.category == category)
        delay = np.minimum(cube.known_hour[mature] - cube.hour[mature], horizon)
        known = np.bincount(delay, cube.weight[mature], minlength=horizon + 1).cumsum()
        if known[-1] > 0:
            curve = np.maximum(known / known[-1], 1e-3)
            share[:, category] = np.where(age >= 0, curve[np.maximum(age, 0)], 1e-3)
    return share
