"""The training slice as the network reads it: segment by segment, of one stream of history or of several at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ConfigError
from stforecast.features.builder import FeatureBuilder, State, clone_state
from stforecast.features.delay import completeness
from stforecast.features.stream import issue_range
from stforecast.forecasters.gcrn.inputs import inputs_of
from stforecast.forecasters.gcrn.network import Inputs, Sizes, joined
from stforecast.scoring.splits import Split


@dataclass(frozen=True)
class Target:
    """What came of the issues of a segment.

    events, counts: flat places in [l c k n] of the cells with events, and how many, [e].
    share: of the events of a step that are reported at the end of the slice, [l c k 1].
    """

    events: Tensor
    counts: Tensor
    share: Tensor


@dataclass(frozen=True)
class Segment:
    """A segment of issues of s streams: what the network reads, one stream after another, [s·l …]; what came of each.

    city: place of the city among those that the network learns from.
    """

    inputs: Inputs
    targets: list[Target]
    city: int = 0


def segment_lengths(total: int, length: int, generator: np.random.Generator) -> list[int]:
    """Lengths of the segments that cover `total` issues: always equally many, the first one shortened at random."""
    count = math.ceil(total / length)
    first = int(generator.integers(total - (count - 1) * length, length + 1))
    lengths = [first, *([length] * (count - 2)), total - first - length * (count - 2)] if count > 1 else [total]
    return [n for n in lengths if n]


def stream_of(cube: Cube, split: Split, config: Config, patch: int) -> tuple[int, int]:
    """How many issues of the training slice are skipped, and how many each stream learns from: below 1 if too short."""
    warm = max(1, min(cube.step.in_days(config.training.warm_up_days), split.train_end // 3) // patch)
    total = (split.train_end - cube.horizons - patch) // patch - warm + 1
    streams = config.training.streams
    return warm + total % streams, total // streams


class Targets:
    """Counts of the steps before `end` as known at it, kept by cell: a dense tensor of a country would fill memory."""

    def __init__(self, cube: Cube, end: int, device: torch.device) -> None:
        seen = (cube.hour < end) & (cube.known_hour < end)
        self.n, self.c, self.horizons = cube.n, cube.c, cube.horizons
        place = (cube.hour[seen].astype(np.int64) * cube.n + cube.hexagon[seen]) * cube.c + cube.category[seen]
        cells, which = np.unique(place, return_inverse=True)
        self.hour, cell = np.divmod(cells, cube.n * cube.c)
        hexagon, category = np.divmod(cell, cube.c)
        # an issue's cells [c k n] from where its step stands at k = 0
        place = (category * cube.horizons + self.hour) * cube.n + hexagon
        self.place = torch.as_tensor(place, device=device)
        counts = np.bincount(which, cube.weight[seen], minlength=len(cells)).astype(np.float32)
        self.counts = torch.as_tensor(counts, device=device)
        self.share = torch.as_tensor(completeness(cube, 0, end, end), device=device)

    def of(self, issues: list[int]) -> Target:
        """What came of the K steps after each."""
        k, n, c = self.horizons, self.n, self.c
        bounds = np.searchsorted(self.hour, np.array(issues)[:, None] + [0, k]).tolist()
        places = [self.place[a:b] + (i * c * k - issues[i]) * n for i, (a, b) in enumerate(bounds)]
        counts = torch.cat([self.counts[a:b] for a, b in bounds])
        steps = issue_range(issues, self.share.device)[:, None] + torch.arange(k, device=self.share.device)
        return Target(torch.cat(places), counts, self.share[steps].mT[..., None])


class Stream:
    """The training slice as one epoch's segments in order of time.

    Streams are equally long parts of the slice that are read side by side, as language models batch text:
    fewer updates, each of more origins, for devices that one origin does not fill. `mine`: those that this process has.
    """

    def __init__(
        self,
        cube: Cube,
        split: Split,
        config: Config,
        builder: FeatureBuilder,
        mine: Sequence[int] | None = None,
        city: int = 0,
        sizes: Sizes | None = None,
    ) -> None:
        self.cube, self.config, self.builder, self.sizes, self.city = cube, config, builder, sizes, city
        self.mine = range(config.training.streams) if mine is None else mine
        self.epoch = 0
        end = split.train_end
        self.targets = Targets(cube, end, builder.device)
        self.streams = config.training.streams
        self.skip, self.each = stream_of(cube, split, config, builder.patch)
        if self.each < 1:
            raise ConfigError(
                f"split.train: {end} steps leave the network nothing to learn from in {self.streams} streams; give "
                "more days, or fewer training.streams."
            )

    def __len__(self) -> int:
        return math.ceil(self.each / self.config.training.truncation)

    def __iter__(self) -> Iterator[Segment]:
        generator = np.random.default_rng([self.config.seed, self.epoch])
        phase = int(generator.integers(self.builder.patch)) if self.builder.patch > 1 else 0
        states = self._states(phase)
        length = self.config.training.truncation
        lengths, ahead = segment_lengths(self.each, length, generator), max(1, self.builder.events.segment // length)
        for next_ones in (lengths[i : i + ahead] for i in range(0, len(lengths), ahead)):
            # several segments are read at a time: features cost less in long ones
            batches = [self.builder.step(state, sum(next_ones)) for state in states]
            inputs, end = [inputs_of(self.builder, batch, self.sizes) for batch in batches], 0
            for size in next_ones:
                part, end = slice(end, end + size), end + size
                targets = [self.targets.of(batch.issues[part]) for batch in batches]
                yield Segment(joined([x.part(part) for x in inputs]), targets, self.city)

    def _states(self, phase: int) -> list[State]:
        """The state of the features at the beginning of each stream of `mine`."""
        state = self.builder.init_state(phase)
        states = []
        for stream in range(max(self.mine) + 1):
            self.builder.skip(state, self.each if stream else self.skip)
            if stream in self.mine:
                states.append(clone_state(state))
        return states


class InterleavedSampler:
    """The segments of several cities, each in its own order of time, in turns drawn anew for every epoch."""

    def __init__(self, cities: list[Stream]) -> None:
        self.cities, self.epoch = cities, 0

    def __len__(self) -> int:
        return sum(map(len, self.cities))

    def __iter__(self) -> Iterator[Segment]:
        for stream in self.cities:
            stream.epoch = self.epoch
        order = np.repeat(np.arange(len(self.cities)), [len(stream) for stream in self.cities])
        ways = [iter(stream) for stream in self.cities]
        for city in np.random.default_rng([self.cities[0].config.seed, self.epoch, 1]).permutation(order).tolist():
            yield next(ways[city])
