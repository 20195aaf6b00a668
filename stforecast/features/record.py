"""The record as it becomes known, patch by patch.

A patch is `p` steps. At the issue step s the patch [s − p, s) has just ended, and the events with
known_hour in [s − p, s) are new: those of the patch itself, and late reports of earlier ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stforecast.cube import Cube
from stforecast.cube.hours import calendar
from stforecast.features.delay import late

LAGS_DAYS = (0, 1, 2, 4, 8, 16, 30)
"""Ages (in days) at which late reports are taken to arrive when *expected* sums are kept; the last holds the rest."""
STRETCH, CELLS = 28, 100_000
"""Patches that are walked through at a time, at most, and hexagons × categories of these patches: they bound memory."""


@dataclass(frozen=True)
class Arrivals:
    """Events that became known in the patches before L issues, in the order of these: equally long tensors [e].

    row: the first issue that knows the event, 0 … L − 1. age: whole patches between the event and that issue.
    counted: its weight in sums that are held against what was expected; 0 before the first whole patch, for which
    nothing was expected. ends: how many of them are known at each issue.
    """

    ends: list[int]
    row: Tensor
    age: Tensor
    hour: Tensor
    hexagon: Tensor
    category: Tensor
    weight: Tensor
    counted: Tensor


def stretch_of(cube: Cube) -> int:
    """Patches of a cube to walk through at a time."""
    return max(1, min(STRETCH, CELLS // (cube.n * cube.c)))


def spaced(issues: list[int], device: torch.device) -> Tensor:
    """Equally spaced issues as a tensor made on the device, which copying them there would wait for."""
    apart = issues[1] - issues[0] if len(issues) > 1 else 1
    return torch.arange(issues[0], issues[-1] + 1, apart, device=device)


class Record:
    """A cube's `inputs` on a device, in the order in which they became known, and its local calendar.

    The calendar covers steps −p … steps + `beyond`; `slot_of_week` and `slot_of_day` are read by step. A walk that goes
    on at the issue `since` needs less: the events that are new from then on, and the calendar of these and of the
    patches whose reports are still due.

    observed: 1 where a step of the calendar was recorded and 0 where it is masked, by category, [t c]; None where all
        steps were recorded.
    """

    def __init__(
        self, cube: Cube, patch: int, beyond: int = 0, device: torch.device | str = "cpu", since: int = 0
    ) -> None:
        self.cube, self.patch, self.device = cube, patch, torch.device(device)
        self.per_day = max(1, 24 // cube.step_hours)
        newer = slice(np.searchsorted(cube.known_hour, since - patch), None)
        events = (cube.with_events(newer) if since else cube).inputs
        self._known_hour = events.known_hour.astype(np.int64)
        as_tensor = lambda a, kind: torch.as_tensor(np.array(a), dtype=kind, device=self.device)  # noqa: E731
        self._known, self._hour, self._hexagon, self._category = (
            as_tensor(a, torch.int64) for a in (events.known_hour, events.hour, events.hexagon, events.category)
        )
        self._weight = as_tensor(events.weight, torch.float32)
        self._asked: tuple[int, int] | None = None
        due = since - LAGS_DAYS[-1] * self.per_day - patch
        self.origin = patch - max(0, min(due, int(events.hour.min(initial=due))))
        last = cube.steps + cube.horizons + patch + beyond
        self.calendar = calendar(
            cube.start, cube.step_hours, -self.origin, last, cube.time_zone, cube.country, cube.subdivision
        )
        self.observed: Tensor | None = None
        if cube.masked is not None:
            observed = np.ones((len(self.calendar.hour), cube.c), np.float32)
            first = max(0, -self.origin)
            observed[first + self.origin : cube.steps + self.origin] = ~cube.masked[first:]
            self.observed = as_tensor(observed, torch.float32)
        self.slot_of_week = as_tensor(self.calendar.slot_of_week, torch.int64)
        self.slot_of_day = as_tensor(self.calendar.slot_of_day, torch.int64)

    @property
    def stretch(self) -> int:
        """Patches to walk through at a time."""
        return stretch_of(self.cube)

    def at(self, step: Tensor) -> Tensor:
        """Rows of the calendar's arrays that hold the steps."""
        return step + self.origin

    def slots(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Local slots of the week and of the day of steps."""
        return self.slot_of_week[self.at(steps)], self.slot_of_day[self.at(steps)]

    def arrivals(self, first: int, count: int) -> Arrivals:
        """Events that are new at the `count` issues first, first + p, …; each part of a memory asks for the same."""
        if self._asked != (first, count):
            self._asked, self._found = (first, count), self._arrivals(first, count)
        return self._found

    def _arrivals(self, first: int, count: int) -> Arrivals:
        p = self.patch
        low, *ends = np.searchsorted(self._known_hour, first + p * np.arange(-1, count)).tolist()
        part = slice(low, ends[-1])
        hour, weight = self._hour[part], self._weight[part]
        row = (self._known[part] - first).div(p, rounding_mode="floor") + 1
        age = (first + row * p - 1 - hour).div(p, rounding_mode="floor")
        counted = weight * (hour >= first % p)
        ends = [end - low for end in ends]
        return Arrivals(ends, row, age, hour, self._hexagon[part], self._category[part], weight, counted)


class Newest:
    """The newest m patches of something, [m …], in a longer tensor, so that few steps have to move them."""

    def __init__(self, m: int, shape: tuple[int, ...], device: torch.device) -> None:
        self.m, self.end = m, m
        self.held = torch.zeros(m, *shape, device=device)

    @property
    def values(self) -> Tensor:
        """The m newest, oldest first."""
        return self.held[self.end - self.m : self.end]

    def extended(self, new: Tensor) -> Tensor:
        """The m newest and the `new` ones [l …] behind them, [m + l …]; the last m are the newest from now on."""
        if self.end + len(new) > len(self.held):
            held = self.held.new_zeros(2 * self.m + len(new), *self.held.shape[1:])
            held[: self.m] = self.values
            self.held, self.end = held, self.m
        self.held[self.end : self.end + len(new)] = new
        self.end += len(new)
        return self.held[self.end - self.m - len(new) : self.end]

    def restore(self, values: Tensor) -> None:
        """Go on from kept `values`."""
        self.held, self.end = values.to(self.held.device, copy=True), self.m


@dataclass(frozen=True)
class Lateness:
    """When `inputs` arrive: `share[j, c]` of a category's events become known `lags[j]` patches after their own.

    Delays between two lags are split between them so that the mean delay is kept; longer ones than the last lag are
    counted at it. A record without delay has lags (0,) and shares of 1.
    """

    lags: tuple[int, ...]
    share: np.ndarray

    @property
    def late(self) -> bool:
        """Whether some reports come after the patch of their event."""
        return len(self.lags) > 1

    def plain(self) -> dict[str, Any]:
        """As plain values, to be kept."""
        return {"lags": list(self.lags), "share": self.share.tolist()}

    @staticmethod
    def from_plain(values: dict[str, Any]) -> Lateness:
        """Back from `plain`."""
        return Lateness(tuple(values["lags"]), np.array(values["share"], np.float32))

    @staticmethod
    def of(cube: Cube, patch: int, known_before: int, phase: int = 0) -> Lateness:
        """Estimated from events at least 60 days older than `known_before`, as known then; `phase` as in training."""
        cube = cube.inputs
        if not late(cube, known_before):
            return Lateness((0,), np.ones((1, cube.c), np.float32))
        per_patch = max(1, 24 // cube.step_hours) / patch
        lags = sorted({round(days * per_patch) for days in LAGS_DAYS})
        settled = known_before - round(60 * per_patch) * patch
        mature = (cube.hour < max(settled, known_before // 2)) & (cube.known_hour < known_before)
        delay = (cube.known_hour[mature] - phase) // patch - (cube.hour[mature] - phase) // patch
        delay = np.minimum(delay, lags[-1])
        upper = np.searchsorted(lags, delay)
        lower = np.maximum(upper - 1, 0)
        bounds = np.array(lags)
        part = (delay - bounds[lower]) / np.maximum(bounds[upper] - bounds[lower], 1)
        part[upper == 0] = 1
        share = np.zeros((len(lags), cube.c))
        weight, category = cube.weight[mature], cube.category[mature]
        np.add.at(share, (lower, category), weight * (1 - part))
        np.add.at(share, (upper, category), weight * part)
        share[0, share.sum(0) == 0] = 1
        return Lateness(tuple(lags), (share / share.sum(0)).astype(np.float32))
