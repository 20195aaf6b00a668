"""Climatology as a forecaster: λ₀ with decay (rolling) or without (fixed at the end of a slice)."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.features.builder import State
from stforecast.features.climatology import ROLLING, Climatology
from stforecast.features.shared import SharedRhythms
from stforecast.features.stream import EventStream
from stforecast.files import fingerprint
from stforecast.forecasters.base import Forecaster, WithoutParameters
from stforecast.forecasters.by_group import ByGroup, Constant
from stforecast.forecasters.streaming import StreamingForecaster, as_array, by_phase, steps_past_end

if TYPE_CHECKING:
    from stforecast.forecasters.state_cache import StateCache


SHARED = "shared.json"
"""In the folder of a saved climatology: what other cities told."""


class RollingClimatology(StreamingForecaster, WithoutParameters):
    """λ₀ of each day from the days before it: the control to beat. The offset of the network decays more slowly.

    Args:
        shared: what other cities tell, from which it starts.
    """

    name = "rolling_climatology"
    half_lives = ROLLING

    def __init__(
        self,
        config: Config | None = None,
        parts: Mapping[str, Forecaster] | None = None,
        ends: tuple[int, ...] = (),
        shared: SharedRhythms | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(config, parts, ends, **settings)
        self.shared = shared

    def fingerprint(self) -> tuple[int, str]:
        told = () if self.shared is None else (asdict(self.shared),)
        return self.ends[0], fingerprint(self.name, self.ends[0], self.half_lives, *told)

    def save_fit(self, folder: Path) -> None:
        super().save_fit(folder)
        (folder / SHARED).unlink(missing_ok=True)  # of a fit that was here before
        if self.shared is not None:
            self.shared.save(folder / SHARED)

    def load_fit(self, folder: Path) -> None:
        super().load_fit(folder)
        if (folder / SHARED).is_file():
            self.shared = SharedRhythms.open(folder / SHARED)

    def reader(self, cube: Cube, past_end: int = 0, since: int = 0) -> Climatology:
        return Climatology(EventStream(cube, self.patch(cube), past_end, since=since), self.half_lives[cube.step_unit])

    def init_state(self, reader: Climatology, phase: int) -> State:
        # reporting delays and rhythms as they were known when training ended
        learned = reader.learned_state(self.ends[0], phase, self.shared)
        return {"climatology": learned, "next_issue": learned["newest"] + 1 + phase}

    def step(self, reader: Climatology, state: State, count: int, wanted: Collection[int]) -> dict[int, np.ndarray]:
        first, patch = int(state["next_issue"]), reader.p
        rates = reader.step(state["climatology"], first, count)
        state["next_issue"] = state["next_issue"] + count * patch
        issues = range(first, first + count * patch, patch)
        return {issue: as_array(rate) for issue, rate in zip(issues, rates, strict=True) if issue in wanted}

    def forecast_from_state(
        self, reader: Climatology, state: State, issue: int, steps: int | None = None
    ) -> np.ndarray:
        """λ of the `steps` (default: the cube's horizons) from an issue on, [k n c]."""
        return as_array(reader.forecast(state["climatology"], issue, steps or reader.events.cube.horizons))

    def by_group(self, cube: Cube, issue: int, cache: StateCache) -> ByGroup:
        return Constant(self.forecast_from_state(*cache.state(self, cube, issue, 0), issue))


class FixedClimatology(WithoutParameters):
    """λ₀ without decay, as it stood at the end of the slice before: training, or validation for test issues."""

    name = "climatology"

    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        patch = min(cube.step.per_day, cube.horizons)
        climatology = Climatology(EventStream(cube, patch, steps_past_end(cube, issues)), (math.inf, math.inf))
        out = np.zeros((len(issues), cube.horizons, cube.n, cube.c), np.float32)
        for phase, served in by_phase(issues, patch, cube.steps).items():
            state, first = climatology.learned_state(self.ends[0], phase), phase
            for step in sorted(served):
                first = climatology.advance(state, first, self.slice_end(step))
                for place in served[step]:
                    out[place] = as_array(climatology.forecast(state, int(issues[place]), cube.horizons))
        return out
