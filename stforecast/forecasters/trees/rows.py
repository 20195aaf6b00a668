"""The rows that trees are fitted to, and those by which their number is chosen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from stforecast.cube import Cube
from stforecast.features.builder import FeatureBatch, FeatureBuilder, State
from stforecast.features.delay import completeness, settled_until
from stforecast.features.scaling import Scales
from stforecast.features.tabular import Sample
from stforecast.scoring.splits import Split


class Rows:
    """The cells of a split's slices, of which every one with an event is drawn and of the quiet ones a share.

    Args:
        cube: the record.
        split: its slices.
        scales: those of the training slice.
        patch: steps from issue to issue.
        warm_up: steps that are read before they are learned from.
        quiet: how many quiet rows of the training slice are drawn at most, and per expected event.
        read: what is read of cells, as `tabular_rows` does.
        started: see `Sample`.
    """

    def __init__(
        self,
        cube: Cube,
        split: Split,
        scales: Scales,
        patch: int,
        warm_up: int,
        quiet: tuple[float, float],
        read: Callable[[FeatureBuilder, FeatureBatch, tuple[Tensor, ...]], Tensor],
        started: bool = False,
    ) -> None:
        self.read, self.started = read, started
        self.cube, self.split, self.scales, self.patch, end = cube, split, scales, patch, split.train_end
        self.known = cube.as_known(end)
        self.warm_up = max(1, min(warm_up, end // 3) // patch)
        self.first = split.first % patch + self.warm_up * patch
        # later hours would teach that recent hours are quiet
        self.last = settled_until(self.known, end) - cube.horizons
        most, per_event = quiet
        here = (cube.hour >= self.first) & (cube.hour < self.last + cube.horizons) & (cube.known_hour < end)
        expected = float(cube.weight[here].sum(dtype=np.float64)) * cube.horizons / patch
        self.density = min(per_event, most / max(expected, 1))

    def training(self, seed: int) -> Sample:
        """Those of the training slice, as known at its end; none where it is too short."""
        builder = FeatureBuilder(self.known, self.scales, self.patch)
        state = builder.init_state(self.split.first % self.patch)
        builder.skip(state, self.warm_up)
        return self._drawn(builder, state, self.last, self.split.train_end, seed)

    def validation(self, seed: int) -> Sample:
        """Those of the validation slice, as known at its end: each with the share of its reports known by then."""
        end = self.split.validation_end
        builder = FeatureBuilder(self.cube.as_known(end), self.scales, self.patch)
        first = int(self.split.issues("validation")[0])
        state = builder.init_state(first % self.patch)
        builder.skip(state, first // self.patch)
        return self._drawn(builder, state, end - self.cube.horizons, end, seed, early=True)

    def _drawn(
        self, builder: FeatureBuilder, state: State, last: int, end: int, seed: int, early: bool = False
    ) -> Sample:
        """Rows of the next issues of a state up to `last`, with counts as known before the step `end`.

        early: reports of them are still coming in.
        """
        counts = builder.cube.dense(0, end, known_before=end)
        share = torch.as_tensor(completeness(builder.cube, 0, end, end))
        generator = torch.Generator().manual_seed(seed)
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        while (first := int(state["next_issue"])) <= last or not parts:
            batch = builder.step(state, min(builder.events.segment, max(0, (last - first) // builder.patch) + 1))
            ahead = builder.covariates.targets_of(batch.issues).clamp(max=end - 1)
            y, known = counts[ahead], share[ahead][:, :, None].expand_as(counts[ahead])
            drawn = torch.rand(y.shape, generator=generator) < self.density * batch.log_rate.exp().permute(0, 2, 3, 1)
            inside = (torch.tensor(batch.issues) <= last)[:, None, None, None]
            keep = ((y > 0) | drawn) & (known > 0) & inside
            rows = self.read(builder, batch, keep.nonzero().unbind(1))
            parts.append((rows, y[keep], known[keep] if early else torch.ones(len(rows))))
        found, events, reported = (torch.cat(each).numpy() for each in zip(*parts, strict=True))
        return Sample(found, events, self.density, reported, self.started)
