"""Forecasters that carry a state from issue to issue, so that a new day is one step and not a replay of the record."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from stforecast.cube import Cube
from stforecast.features.builder import FeatureBatch, FeatureBuilder, State
from stforecast.features.covariates import Covariates
from stforecast.features.groups import OF_EVENTS, InputsByGroup, Read
from stforecast.features.scaling import Scales
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.by_group import ByGroup

if TYPE_CHECKING:
    from stforecast.forecasters.state_cache import StateCache

CELLS = 2_500
"""Hexagons × categories that are worth a thread. For fewer, threads wait for each other longer than they work: two made
a training origin of Denver (1,326) 3 % faster on a quiet machine, and 3 to 38 times slower beside a busy core."""


class StreamingForecaster(Forecaster):
    """A forecaster whose forecasts rest on a state: `init_state`, `step`, `forecast_from_state`.

    A state is a dictionary of tensors, `next_issue` among them (`features.builder.State`). `step` changes it in place.
    """

    def patch(self, cube: Cube) -> int:
        """Steps from issue to issue."""
        return min(cube.step.per_day, cube.horizons)

    @abstractmethod
    def fingerprint(self) -> tuple[int, str]:
        """The step up to which it learned from the record, and a hash of everything that it learned."""

    @abstractmethod
    def reader(self, cube: Cube, past_end: int = 0, since: int = 0) -> Any:
        """The cube, ready to be read up to `past_end` steps after its end; on from the issue `since`.

        Its `events` are the `EventStream` that it reads.
        """

    @abstractmethod
    def init_state(self, reader: Any, phase: int) -> State:
        """The state before the first patch; issues are phase, phase + p, …"""

    @abstractmethod
    def step(self, reader: Any, state: State, count: int, wanted: Collection[int]) -> dict[int, np.ndarray]:
        """Take in the patches before the next `count` issues: λ [k n c] at those of them that are wanted."""

    @abstractmethod
    def forecast_from_state(self, reader: Any, state: State, issue: int) -> np.ndarray:
        """λ [k n c] at the newest issue of a state, or at a later one that knows no more than it."""

    def rollout(self, reader: Any, state: State, wanted: Collection[int]) -> Iterator[tuple[int, np.ndarray]]:
        """Take in patches up to the last of the wanted issues: each of these with its λ [k n c]."""
        last, events = max(wanted), reader.events
        cube, patch = events.cube, self.patch(events.cube)
        while (first := int(state["next_issue"])) <= last:
            with threads_for(cube.n * cube.c):
                found = self.step(reader, state, min(events.segment, (last - first) // patch + 1), wanted)
            yield from found.items()

    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        """λ by replay of the record up to each issue: what a carried state gives, at any issue hour."""
        reader = self.reader(cube, steps_past_end(cube, issues))
        out = np.zeros((len(issues), cube.horizons, cube.n, cube.c), np.float32)
        for phase, served in by_phase(issues, self.patch(cube), cube.steps).items():
            state = self.init_state(reader, phase)
            for issue, lam in self.rollout(reader, state, served):
                for place in served[issue]:
                    later = int(issues[place]) > issue  # only the record's end serves later issues, and it comes last
                    out[place] = self.forecast_from_state(reader, state, int(issues[place])) if later else lam
        return out


class LearnedForecaster(StreamingForecaster):
    """A forecaster that reads the features of a `FeatureBuilder`, which its state holds."""

    scales: Scales
    """Those of the training slice."""
    device = torch.device("cpu")
    """Where it forecasts."""
    reads_covariates = True

    def reader(self, cube: Cube, past_end: int = 0, since: int = 0) -> FeatureBuilder:
        return FeatureBuilder(cube, self.scales, self.patch(cube), self.device, past_end, since)

    @abstractmethod
    def forecast_features(
        self, reader: FeatureBuilder, state: State, batch: FeatureBatch, covariates: Covariates | None = None
    ) -> np.ndarray:
        """λ [k n c] of the one issue of a batch, from a state before it; `covariates`: others than the record's own."""

    @property
    def reach(self) -> int:
        """How many neighbours away the newest patch of a cell is read."""
        return 1

    def rest(self, reader: FeatureBuilder, inputs: InputsByGroup) -> Tensor:
        """What it carries where everything has been as usual: [… n h], or of each category in turn [… c·n h]."""
        return torch.zeros(1, reader.cube.n, 0)

    @abstractmethod
    def forecast_read(self, reader: FeatureBuilder, read: Read, before: Tensor, cells: np.ndarray) -> np.ndarray:
        """λ [k m c] of the cells [m] from what is read, and from what it carries [… n h] from before the patch."""

    def by_group(self, cube: Cube, issue: int, cache: StateCache) -> ByGroup | None:
        if cube.horizons % self.patch(cube):  # no state is kept that serves it
            return None
        return Learned(self, *cache.state(self, cube, issue, max(0, issue - cube.steps)), issue)

    def forecast_from_state(self, reader: FeatureBuilder, state: State, issue: int) -> np.ndarray:
        return self.forecast_features(reader, state, reader.at_issue(state, issue))


class Learned(ByGroup):
    """A learned forecaster at an issue, from the state that serves it.

    Where only one of `last_days` and `neighbours` is as it is, a cell reads of itself what others do not read of it.
    Then cells that do not read each other are forecast together.
    """

    def __init__(self, forecaster: LearnedForecaster, reader: FeatureBuilder, state: State, issue: int) -> None:
        self.forecaster, self.reader = forecaster, reader
        self.inputs = InputsByGroup(reader, state, issue)
        self.groups = self.inputs.groups
        with torch.inference_mode():
            rest = forecaster.rest(reader, self.inputs)
        self.carried = {False: rest, True: state.get("before", rest)}
        source, target = reader.cube.edges
        self.near = [{cell} for cell in range(reader.cube.n)]
        for _ in range(forecaster.reach):
            reached = [set(cells) for cells in self.near]
            for a, b in zip(source.tolist(), target.tolist(), strict=True):
                reached[a] |= self.near[b]
                reached[b] |= self.near[a]
            self.near = reached

    def intensity(self, real: frozenset[str], cells: np.ndarray) -> np.ndarray:
        mine, theirs = (group in real for group in OF_EVENTS)
        if mine == theirs:
            return self._read(real, None, cells)
        out = np.empty((self.reader.cube.horizons, len(cells), self.reader.cube.c), np.float32)
        colour = self._coloured(cells)
        for one in range(colour.max(initial=-1) + 1):
            here = colour == one
            own = torch.zeros(self.reader.cube.n, dtype=torch.bool)
            own[torch.as_tensor(cells[here])] = True
            out[:, here] = self._read(real, own.to(self.reader.device), cells[here])
        return out

    def _read(self, real: frozenset[str], own: Tensor | None, cells: np.ndarray) -> np.ndarray:
        mine, theirs = (self.carried[group in real] for group in OF_EVENTS)
        # the hexagons stand one category after another, where each has a state
        before = mine if own is None else torch.where(own.repeat(mine.shape[-2] // len(own))[:, None], mine, theirs)
        return self.forecaster.forecast_read(self.reader, self.inputs.read(real, own), before, cells)

    def _coloured(self, cells: np.ndarray) -> np.ndarray:
        """A number for each cell [m], another one for cells that read each other."""
        colour = np.full(self.reader.cube.n, -1)
        for cell in cells.tolist():
            taken = {*colour[[*self.near[cell]]].tolist()}
            colour[cell] = next(number for number in count() if number not in taken)
        return colour[cells]


def as_array(rate: Tensor) -> np.ndarray:
    """λ [c k n] as [k n c]."""
    return rate.permute(1, 2, 0).cpu().numpy()


def steps_past_end(cube: Cube, issues: np.ndarray) -> int:
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


@contextmanager
def threads_for(cells: int) -> Iterator[None]:
    """Work with as many threads as pay, and no more than PyTorch is set to.

    Their number shows in the last digits of sums. So it follows from the city and never from what else the machine
    does: a run that is repeated, or resumed on a busier day, gives the same.

    Args:
        cells: hexagons × categories that one operation goes through.
    """
    set_to = torch.get_num_threads()
    torch.set_num_threads(max(1, min(set_to, cells // CELLS)))
    try:
        yield
    finally:
        torch.set_num_threads(set_to)
