"""Forecasters that walk through the record: what they remember goes with them from issue to issue, and can be kept."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from stforecast.cube import Cube
from stforecast.features.observed import as_known
from stforecast.features.record import Record
from stforecast.forecasters.base import Forecaster


class Walk(Protocol):
    """On the way through a record, with an issue after every patch, from a phase on."""

    @property
    def record(self) -> Record:
        """What it goes through."""

    @property
    def next_issue(self) -> int:
        """The issue step that comes next."""

    def on(self, count: int) -> tuple[list[int], Tensor]:
        """The next `count` issues: their steps and λ [l c k n]."""

    def beyond(self, issue: int) -> Tensor:
        """λ [c k n] of the steps from a later `issue` on, or from the newest, from what is remembered now."""

    def state(self) -> dict[str, Any]:
        """What must be kept to go on later: tensors of its own and plain values, `next_issue` among them."""


class Walking(Forecaster):
    """A forecaster that gives all its forecasts on a walk."""

    @abstractmethod
    def patch(self, cube: Cube) -> int:
        """Steps from issue to issue."""

    @abstractmethod
    def learned(self) -> tuple[int, str]:
        """The step up to which it learned from the record, and a fingerprint of everything that it learned."""

    @abstractmethod
    def reader(self, cube: Cube, beyond: int = 0, since: int = 0) -> Any:
        """The cube, ready to be walked through up to `beyond` steps after its end; on from the issue `since`."""

    @abstractmethod
    def walk(self, reader: Any, phase: int, state: dict[str, Any] | None = None) -> Walk:
        """A walk whose issues are phase, phase + p, …, or that goes on from the `state` of such a one."""

    def walking(self) -> Walking | None:
        return self

    @as_known
    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        """λ by replay of the record up to each issue: what a carried state gives, at any issue hour."""
        reader = self.reader(cube, beyond_of(cube, issues))
        out = np.zeros((len(issues), cube.horizons, cube.n, cube.c), np.float32)
        for phase, served in by_phase(issues, self.patch(cube), cube.steps).items():
            walk = self.walk(reader, phase)
            for step, rate in along(walk, max(served)):
                for place in served.get(step, []):
                    later = int(issues[place]) > step
                    out[place] = as_array(walk.beyond(int(issues[place])) if later else rate)
        return out


def along(walk: Walk, last: int) -> Iterator[tuple[int, Tensor]]:
    """Walk up to the issue `last`: every issue step on the way with its λ [c k n]."""
    while walk.next_issue <= last:
        count = min(walk.record.stretch, (last - walk.next_issue) // walk.record.patch + 1)
        yield from zip(*walk.on(count), strict=True)


def as_array(rate: Tensor) -> np.ndarray:
    """λ [c k n] as [k n c]."""
    return rate.permute(1, 2, 0).cpu().numpy()


def beyond_of(cube: Cube, issues: np.ndarray) -> int:
    """Steps by which the last of the issues lies after the record's end."""
    return max(0, int(issues.max(initial=0)) - cube.steps)


def by_phase(issues: np.ndarray, patch: int, steps: int) -> dict[int, dict[int, list[int]]]:
    """Places of `issues`, grouped by phase (step mod patch), then by the issue step whose state serves them.

    An issue beyond the record is served by the state at its end.
    """
    groups: dict[int, dict[int, list[int]]] = {}
    for place, issue in enumerate(issues.tolist()):
        served = min(issue, steps)
        groups.setdefault(served % patch, {}).setdefault(served, []).append(place)
    return groups
