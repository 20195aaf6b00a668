"""The events of a cube in the order in which they become known, patch by patch, on a device.

A patch is `p` steps. At the issue step s the patch [s − p, s) has just ended, and the events with
known_hour in [s − p, s) are new: those of the patch itself, and late reports of earlier ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stforecast.cube import Cube
from stforecast.features.delay import LAGS_DAYS

SEGMENT, CELLS = 28, 100_000
"""Patches that are read at a time, at most, and hexagons × categories of these patches: they bound memory."""


@dataclass(frozen=True)
class Arrivals:
    """Events that became known before L issues, in the order of these: equally long tensors [e].

    ends: how many of them are known at each issue. row: the first issue that knows the event, 0 … L − 1.
    age: steps between the event and that issue, 0 in the step before it. counted: the weight in sums that are held
    against what was expected; 0 before the first whole patch, for which nothing was expected.
    """

    ends: list[int]
    row: Tensor
    age: Tensor
    hour: Tensor
    hexagon: Tensor
    category: Tensor
    weight: Tensor
    counted: Tensor


def segment_length(cube: Cube) -> int:
    """Patches of a cube to read at a time."""
    return max(1, min(SEGMENT, CELLS // (cube.n * cube.c)))


def issue_range(issues: list[int], device: torch.device) -> Tensor:
    """Equally spaced issues as a tensor made on the device, which copying them there would wait for."""
    apart = issues[1] - issues[0] if len(issues) > 1 else 1
    return torch.arange(issues[0], issues[-1] + 1, apart, device=device)


class EventStream:
    """A cube's `inputs` on a device, in the order in which they became known, and its local calendar.

    Args:
        cube: the record.
        patch: steps of a patch.
        past_end: steps after the cube's end that the calendar must cover (beside horizons and a patch).
        device: where the tensors lie.
        since: the issue from which on a state goes on; then only the events that are new from there on are held, and
            the calendar of these and of the patches whose reports are still due.

    Attributes:
        calendar: local calendar of the steps −`origin` …; `slot` and `slot_of_day` are read by step.
        observed: 1 where a step of the calendar was recorded and 0 where it is masked, by category, [t c]; None where
            all steps were recorded.
        length: of each step of the calendar in usual ones, [t]; None where all are alike.
        segment: patches to read at a time.
    """

    def __init__(
        self, cube: Cube, patch: int, past_end: int = 0, device: torch.device | str = "cpu", since: int = 0
    ) -> None:
        self.cube, self.patch, self.device = cube, patch, torch.device(device)
        self.per_day, self.segment = cube.step.per_day, segment_length(cube)
        newer = slice(np.searchsorted(cube.known_hour, since - patch), None)
        events = (cube.with_events(newer) if since else cube).inputs
        self._known_hour = events.known_hour.astype(np.int64)
        as_tensor = lambda a, kind: torch.as_tensor(np.array(a), dtype=kind, device=self.device)  # noqa: E731
        self._known, self._hour, self._hexagon, self._category = (
            as_tensor(a, torch.int64) for a in (events.known_hour, events.hour, events.hexagon, events.category)
        )
        self._weight = as_tensor(events.weight, torch.float32)
        self._asked: tuple[int, int] | None = None
        due = since - cube.step.in_days(LAGS_DAYS[-1]) - patch
        self.origin = patch - max(0, min(due, int(events.hour.min(initial=due))))
        last = cube.steps + cube.horizons + patch + past_end
        self.calendar = cube.calendar(-self.origin, last)
        self.observed: Tensor | None = None
        if cube.masked is not None:
            observed = np.ones((len(self.calendar.hour), cube.c), np.float32)
            first = max(0, -self.origin)
            observed[first + self.origin : cube.steps + self.origin] = ~cube.masked[first:]
            self.observed = as_tensor(observed, torch.float32)
        length = cube.exposure(-self.origin, last)
        self.length = None if length is None else as_tensor(length, torch.float32)
        self.slot = as_tensor(self.calendar.slot, torch.int64)
        self.slot_of_day = as_tensor(self.calendar.slot_of_day, torch.int64)

    def at(self, step: Tensor) -> Tensor:
        """Rows of the calendar's arrays that hold the steps."""
        return step + self.origin

    def slots(self, steps: Tensor) -> tuple[Tensor, Tensor]:
        """Local slots of the week and of the day of steps."""
        return self.slot[self.at(steps)], self.slot_of_day[self.at(steps)]

    def arrivals(self, first: int, count: int) -> Arrivals:
        """Events that are new at the `count` issues first, first + p, …; all sums of a segment ask for the same."""
        if self._asked != (first, count):
            issues = list(range(first, first + count * self.patch, self.patch))
            self._asked, self._found = (first, count), self.arrivals_at(issues, first - self.patch, first % self.patch)
        return self._found

    def arrivals_at(self, issues: list[int], since: int, begin: int = 0) -> Arrivals:
        """Events that are new at ascending issues, after the issue `since`; those before `begin` are not counted."""
        low, *ends = np.searchsorted(self._known_hour, [since, *issues]).tolist()
        part = slice(low, ends[-1])
        hour, weight = self._hour[part], self._weight[part]
        step = issue_range(issues, self.device) if len({*np.diff(issues)}) < 2 else torch.tensor(issues)
        row = torch.searchsorted(step, self._known[part], right=True)
        age = step[row] - 1 - hour
        ends = [end - low for end in ends]
        counted = weight * (hour >= begin)
        return Arrivals(ends, row, age, hour, self._hexagon[part], self._category[part], weight, counted)
