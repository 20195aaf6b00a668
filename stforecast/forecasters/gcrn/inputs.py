"""From what is remembered at an issue to what the network reads."""

from __future__ import annotations

import torch

from stforecast.features.memory import Recall, blocks
from stforecast.features.reader import Reader
from stforecast.features.recurring import COUNT
from stforecast.forecasters.gcrn.network import Inputs, Sizes
from stforecast.forecasters.gcrn.parts import BOUND


def inputs_of(reader: Reader, recall: Recall) -> Inputs:
    """What the network reads at the issues of `recall`."""
    steps, level = reader.targets_of(recall.issues), blocks(reader.cube.c)["level"]
    memory = torch.cat([recall.features[:, : level.start].clamp(-BOUND, BOUND), recall.features[:, level]], 1)
    return Inputs(
        nodes=torch.cat([recall.patch.flatten(1, 2).log1p(), recall.late.flatten(1, 2).log1p(), memory], 1),
        memory=memory,
        city=reader.city_before(recall.issues).flatten(1),
        target=reader.target_at(steps),
        recent=recall.recent,
        recurring=recall.recurring,
        log_rate=recall.log_rate,
    )


def sizes_of(reader: Reader) -> Sizes:
    """Widths of what `inputs_of` gives."""
    cube, start = reader.cube, reader.memory(0)
    memory, late = len(start.names), 4 * cube.c if start.lateness.late else 0
    return Sizes(
        c=cube.c,
        nodes=reader.patch * cube.c + late + memory,
        memory=memory,
        recurring=COUNT,
        city=reader.patch * reader.city.shape[1],
        target=reader.target.shape[1] + cube.horizons,
        step_hours=cube.step_hours,
    )
