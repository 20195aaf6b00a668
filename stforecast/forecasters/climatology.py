"""Climatology as a forecaster: λ₀ with forgetting (rolling) or without (fixed at the end of a slice)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor

from stforecast.cube import Cube
from stforecast.features.climatology import COUNT_DAYS, Rates
from stforecast.features.observed import as_known
from stforecast.features.record import Lateness, Record
from stforecast.features.rhythms import Rhythms
from stforecast.files import fingerprint
from stforecast.forecasters.base import WithoutParameters
from stforecast.forecasters.walking import Walking, along, as_array, beyond_of, by_phase


class RollingClimatology(Walking, WithoutParameters):
    """λ₀ of each day from the days before it: the offset of the network, and the control to beat."""

    name = "rolling_climatology"
    half_lives = (90.0, COUNT_DAYS)
    """Of rates and of counts by hour; the network, which reads how recent weeks depart from λ₀, has a slower one."""

    def patch(self, cube: Cube) -> int:
        return min(max(1, 24 // cube.step_hours), cube.horizons)

    def learned(self) -> tuple[int, str]:
        return self.ends[0], fingerprint(self.name, self.ends[0], self.half_lives)

    def reader(self, cube: Cube, beyond: int = 0, since: int = 0) -> Record:
        return Record(cube, self.patch(cube), beyond, since=since)

    def walk(self, reader: Record, phase: int, state: dict[str, Any] | None = None) -> RateWalk:
        # reporting delays and rhythms as they were known when training ended
        if state:
            lateness, rhythms = Lateness.from_plain(state["lateness"]), Rhythms(*state["rhythms"])
        else:
            lateness = Lateness.of(reader.cube, reader.patch, self.ends[0], phase)
            rhythms = Rhythms.of(reader.cube, self.ends[0])
        return RateWalk(Rates(reader, lateness, rhythms, self.half_lives), lateness, phase, state)


class FixedClimatology(RollingClimatology):
    """λ₀ without forgetting, as it stood at the end of the slice before: training, or validation for test issues."""

    name = "climatology"
    half_lives = (math.inf, math.inf)

    def walking(self) -> None:
        """It stands still: the newest day is not what its forecasts rest on."""

    @as_known
    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        reader = self.reader(cube, beyond_of(cube, issues))
        out = np.zeros((len(issues), cube.horizons, cube.n, cube.c), np.float32)
        for phase, served in by_phase(issues, reader.patch, cube.steps).items():
            walk = self.walk(reader, phase)
            for step in sorted(served):
                for _ in along(walk, self.slice_end(step)):
                    pass
                for place in served[step]:
                    out[place] = as_array(walk.beyond(int(issues[place])))
        return out


class RateWalk:
    """λ₀ on its way through a record."""

    def __init__(self, rates: Rates, lateness: Lateness, phase: int, state: dict[str, Any] | None = None) -> None:
        self.rates, self.lateness, self.next_issue = rates, lateness, phase
        if state:
            self.rates.restore(state["rates"])
            self.next_issue = state["next_issue"]

    @property
    def record(self) -> Record:
        """What it goes through."""
        return self.rates.record

    def on(self, count: int) -> tuple[list[int], Tensor]:
        """The next `count` issues: their steps and λ₀ [l c k n]."""
        first, p = self.next_issue, self.rates.p
        self.next_issue = first + count * p
        return list(range(first, self.next_issue, p)), self.rates.walk(first, count)

    def beyond(self, issue: int, steps: int | None = None) -> Tensor:
        """λ₀ [c k n] of the `steps` (default: the cube's horizons) from `issue` on."""
        return self.rates.intensity(issue, steps or self.record.cube.horizons)

    def state(self) -> dict[str, Any]:
        """What must be kept to go on later."""
        return {
            "rates": self.rates.state(),
            "lateness": self.lateness.plain(),
            "rhythms": self.rates.rhythms.plain(),
            "next_issue": self.next_issue,
        }
