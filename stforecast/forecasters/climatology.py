"""Climatology as a forecaster: λ₀ with forgetting (rolling) or without (fixed at the end of a slice)."""

from __future__ import annotations

import math

import numpy as np

from stforecast.cube import Cube
from stforecast.forecasters.base import WithoutParameters
from stforecast.forecasters.rates import PROFILE_DAYS, RATE_DAYS, Rates
from stforecast.forecasters.record import Lateness, Record


def by_phase(issues: np.ndarray, patch: int, steps: int) -> dict[int, dict[int, list[int]]]:
    """Places of `issues`, grouped by phase (step mod patch), then by the issue step whose state serves them.

    An issue beyond the record is served by the state at its end.
    """
    groups: dict[int, dict[int, list[int]]] = {}
    for place, issue in enumerate(issues.tolist()):
        served = min(issue, steps)
        groups.setdefault(served % patch, {}).setdefault(served, []).append(place)
    return groups


class RollingClimatology(WithoutParameters):
    """λ₀ of each day from the days before it: the offset of the network, and the control to beat."""

    name = "rolling_climatology"
    half_lives = (RATE_DAYS, PROFILE_DAYS)

    def intensity(self, cube: Cube, issues: np.ndarray, steps: int | None = None) -> np.ndarray:
        """λ₀ of the `steps` after each issue (default: the cube's horizons), [m k n c]."""
        patch, steps = min(max(1, 24 // cube.step_hours), cube.horizons), steps or cube.horizons
        out = np.zeros((len(issues), steps, cube.n, cube.c), np.float32)
        record = Record(cube, patch, beyond=max(0, int(issues.max(initial=0)) - cube.steps) + steps)
        for phase, served in by_phase(issues, patch, cube.steps).items():
            # reporting delays as they were known when training ended
            rates = Rates(record, Lateness.of(cube, patch, self.ends[0], phase), *self.half_lives)
            end = phase
            for s in sorted(served):
                while end <= self.learned_until(s):
                    count = min(record.stretch, (self.learned_until(s) - end) // patch + 1)
                    rates.walk(end, count)
                    end += count * patch
                for place in served[s]:
                    out[place] = rates.intensity(int(issues[place]), steps).permute(1, 2, 0).numpy()
        return out

    def learned_until(self, issue: int) -> int:
        """The last step whose record the forecast of `issue` rests on."""
        return issue


class FixedClimatology(RollingClimatology):
    """λ₀ without forgetting, as it stood at the end of the slice before: training, or validation for test issues."""

    name = "climatology"
    half_lives = (math.inf, math.inf)

    def learned_until(self, issue: int) -> int:
        return self.slice_end(issue)
