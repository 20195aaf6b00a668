"""What a network reads of episodes: segment by segment, of several episodes side by side.

Episodes are drawn by number, so that a process that goes on after a kill, or another one, reads the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from stforecast.cube import Cube, Series
from stforecast.errors import StforecastError
from stforecast.features.base_rate import learned_scales
from stforecast.features.builder import FeatureBuilder
from stforecast.features.shared import SharedRhythms
from stforecast.forecasters.gcrn.inputs import inputs_of
from stforecast.forecasters.gcrn.network import Inputs, Sizes
from stforecast.forecasters.gcrn.segments import Target, Targets

if TYPE_CHECKING:
    from stforecast.pretraining.episodes import Episode

WARM_DAYS = 28
"""Before the first issue that is learned from: what the state remembers is about as long."""
HIDDEN = 0.3
"""Share of the episodes whose weather, and of those whose kinds of offence, are hidden: as they go missing in life."""


@dataclass(frozen=True)
class Part:
    """A segment of an episode: what is read, what came of it (None while the state warms up), and the city's graph.

    number: of the episode. first: whether it is the first of it. edges: int64 [2 e]. n, c: hexagons and categories.
    """

    number: int

    inputs: Inputs
    target: Target | None
    first: bool
    edges: Tensor
    n: int
    c: int

    def to(self, device: torch.device) -> Part:
        """It on a device, but for the edges."""
        return replace(self, inputs=_moved(self.inputs, device), target=self.target and _moved(self.target, device))


def _moved(values: Any, device: torch.device) -> Any:
    moved = {name: one.to(device) for name, one in vars(values).items() if isinstance(one, Tensor)}
    return replace(values, **moved)


def thinned(cube: Cube, number: int) -> Cube:
    """The cube of the episode of a number, at times without its weather or the kinds of its categories."""
    weather, kinds = np.random.default_rng([number, 1]).random(2) < HIDDEN
    cube = replace(cube, weather=Series(), future=Series()) if weather else cube
    return replace(cube, kinds=None) if kinds else cube


def parts_of(
    number: int, episode: Episode, sizes: Sizes, length: int, shared: SharedRhythms | None = None
) -> Iterator[Part]:
    """An episode as segments of `length` issues in order of time, the first one to warm up the state."""
    until, patch = episode.until, episode.cube.step.per_day
    cube = thinned(episode.cube.as_known(episode.last), number)
    builder = FeatureBuilder(cube, learned_scales(cube.as_known(until), until, patch, 0, shared), patch)
    state = builder.init_state(episode.first % patch)
    before = episode.first // patch  # issues of the state before the first that is learned from
    warm = min(cube.step.in_days(WARM_DAYS) // patch, max(before - 1, 0))
    builder.skip(state, before - warm)
    targets = Targets(cube, cube.steps, builder.device)

    def part(inputs: Inputs, target: Target | None, first: bool) -> Part:
        return Part(number, inputs, target, first, builder.edges, cube.n, cube.c)

    if warm:
        yield part(inputs_of(builder, builder.step(state, warm), sizes), None, True)
    left, first = (episode.last - episode.first) // patch, not warm
    while left >= length:
        many = min(left // length, max(1, builder.events.segment // length))
        batch = builder.step(state, many * length)
        inputs = inputs_of(builder, batch, sizes)
        for i in range(many):
            here = slice(i * length, (i + 1) * length)
            yield part(inputs.part(here), targets.of(batch.issues[here]), first)
            first = False
        left -= many * length


class EpisodeStream(IterableDataset[list[Part] | StforecastError]):
    """Episodes, several side by side: for each update a segment of each that has not ended.

    Where an episode cannot be drawn, the error is what comes last: one that is raised in another process would reach
    the user with the traceback of that process.

    Args:
        draw: the episode of a number.
        sizes: of the network.
        numbers: of the episodes, in the order in which they are read.
        beside: how many are read side by side.
        length: issues of a segment.
        shared: what cities share in rates and rhythms.
    """

    def __init__(
        self,
        draw: Callable[[int], Episode],
        sizes: Sizes,
        numbers: range,
        beside: int,
        length: int,
        shared: SharedRhythms | None = None,
    ) -> None:
        self.draw, self.sizes, self.numbers, self.beside = draw, sizes, numbers, beside
        self.length, self.shared = length, shared

    def __iter__(self) -> Iterator[list[Part] | StforecastError]:
        torch.set_num_threads(1)
        try:
            yield from self._updates()
        except StforecastError as error:
            yield error

    def _updates(self) -> Iterator[list[Part]]:
        for first in range(0, len(self.numbers), self.beside):
            ways = [self._parts(number) for number in self.numbers[first : first + self.beside]]
            while parts := [part for way in ways if (part := next(way, None)) is not None]:
                yield parts

    def _parts(self, number: int) -> Iterator[Part]:
        return parts_of(number, self.draw(number), self.sizes, self.length, self.shared)
