"""The table that trees learn from: one row a hexagon, hour and category, of the long memory that the network reads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stforecast.cube import Cube
from stforecast.features.memory import Recall, blocks
from stforecast.features.reader import Reader, Scales
from stforecast.features.recent import Around, decay, half_lives

LOG_RATE, CATEGORY = 0, 6
"""Columns of a row that hold log λ₀ and the category."""


@dataclass(frozen=True)
class Sample:
    """Cells of the training slice: every one with an event, and of the quiet ones a share in proportion to λ₀.

    A leaf with E expected events then holds about density · E quiet rows wherever it lies, and the draw adds
    1 / density to the variance of its estimate; drawn evenly, the quiet rows would be spent where nothing ever
    happens. It is local case-control sampling (Fithian and Hastie 2014) with climatology as the pilot.

    rows: features, float32 [r f]. counts: y, [r]. density: quiet rows drawn per expected event.
    """

    rows: np.ndarray
    counts: np.ndarray
    density: float

    @property
    def event(self) -> np.ndarray:
        """Rows with y > 0, [r]."""
        return self.counts > 0

    @property
    def rate(self) -> np.ndarray:
        """λ₀ of each row, [r]."""
        return np.exp(self.rows[:, LOG_RATE])

    @property
    def weight(self) -> np.ndarray:
        """Cells of the training slice that each row stands for, [r]."""
        return np.where(self.event, 1, 1 / chance(self.rate, self.density)).astype(np.float32)


def chance(rate: np.ndarray, density: float) -> np.ndarray:
    """The chance with which a quiet cell of climatology `rate` is drawn."""
    return np.minimum(1, density * rate)


class RowTable:
    """Rows of features for issues × horizons × hexagons × categories of a cube."""

    def __init__(self, cube: Cube, scales: Scales, beyond: int = 0) -> None:
        self.cube, self.patch = cube, min(max(1, 24 // cube.step_hours), cube.horizons)
        self.reader = Reader(cube, scales, self.patch, "cpu", beyond)
        self.around, self.half_lives = Around(self.reader.edges, cube.n), half_lives(cube.step_hours)

    def rows(self, recall: Recall, at: tuple[Tensor, ...] | None = None) -> Tensor:
        """Features [r f] of the cells `at` (equally long indices issue, horizon, hexagon, category; default all)."""
        c = self.cube.c
        if at is None:
            at = torch.ones(recall.log_rate.permute(0, 2, 3, 1).shape).nonzero().unbind(1)
        issue, lead, hexagon, category = at
        steps = torch.tensor(recall.issues)[issue] + lead
        block, here = blocks(c), recall.features[issue, :, hexagon]

        def own(name: str) -> Tensor:
            """The columns of a block that are of the row's own category."""
            return here.gather(1, torch.arange(block[name].start, block[name].stop, c) + category[:, None])

        slots = self.reader.record.slot_of_day[self.reader.record.at(steps)]
        patch = recall.patch
        channel = slots % self.patch
        columns = [
            recall.log_rate[issue, category, lead, hexagon],
            recall.log_rate.exp().sum(1)[issue, lead, hexagon].log(),
            patch.sum(2)[issue, channel, hexagon],
            patch.sum((1, 2))[issue, hexagon],
            patch.sum(1)[issue, category, hexagon],
            lead.float(),
            category.float(),
            hexagon.float(),
        ]
        left = decay(lead[:, None] + 1, self.half_lives) * (math.log(2) / self.half_lives)  # [r h]
        recent = []
        for sums in (recall.recent, self.around(recall.recent)):
            mine = sums[issue, :, category, hexagon] * left
            ratio = (mine.sum(1) + 1e-4).log() - columns[LOG_RATE]
            recent += [mine, sums.sum(2)[issue, :, hexagon] * left, ratio[:, None]]
        again = recall.recurring[issue, :, category, lead, hexagon]
        table = self.reader.target[self.reader.record.at(steps)]
        weekday = table[:, :7].argmax(1).float()
        return torch.cat(
            [
                torch.stack([*columns, slots.float(), weekday], 1),
                here[:, block["all"]],
                own("each"),
                here[:, block["ring"]],
                own("ring each"),
                own("city"),
                here[:, block["level"]],
                table[:, 7 + self.reader.record.per_day :],
                self.reader.city_before(recall.issues).mean(1)[issue],
                *recent,
                again,
            ],
            1,
        )
