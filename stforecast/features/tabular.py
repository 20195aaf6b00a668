"""The tabular view that trees learn from: one row a hexagon, hour and category, of what the network reads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stforecast.features.builder import FeatureBatch, FeatureBuilder
from stforecast.features.covariates import Covariates
from stforecast.features.decayed import decay
from stforecast.features.table import LEVEL

LOG_RATE, CATEGORY = 0, 3
"""Columns of a row that hold log λ₀ and the category."""


@dataclass(frozen=True)
class Sample:
    """Cells of the training slice: every one with an event, and of the quiet ones a share in proportion to λ₀.

    A leaf with E expected events then holds about density · E quiet rows wherever it lies, and the draw adds
    1 / density to the variance of its estimate; drawn evenly, the quiet rows would be spent where nothing ever
    happens. It is local case-control sampling (Fithian and Hastie 2014) with climatology as the pilot.

    rows: features, float32 [r f]. counts: y, [r]. density: quiet rows drawn per expected event.
    share: of a cell's events that are already reported, [r], where many are still to come.
    started: whether the last column is the logarithm of a factor on λ₀, from which the fit starts.
    """

    rows: np.ndarray
    counts: np.ndarray
    density: float
    share: np.ndarray | float = 1.0
    started: bool = False

    @property
    def event(self) -> np.ndarray:
        """Rows with y > 0, [r]."""
        return self.counts > 0

    @property
    def rate(self) -> np.ndarray:
        """λ₀ of each row, [r]."""
        return np.exp(self.rows[:, LOG_RATE])

    @property
    def start(self) -> np.ndarray:
        """λ of each row that the fit starts from, [r]."""
        return starting_rate(self.rows, self.started)

    @property
    def weight(self) -> np.ndarray:
        """Cells of the training slice that each row stands for, [r]."""
        return np.where(self.event, 1, 1 / chance(self.rate, self.density)).astype(np.float32)


def starting_rate(rows: np.ndarray, started: bool) -> np.ndarray:
    """λ₀ of rows [r f], times the factor that the last column is the logarithm of where one is `started` from: [r]."""
    return np.exp(rows[:, LOG_RATE] + rows[:, -1] if started else rows[:, LOG_RATE])


def chance(rate: np.ndarray, density: float) -> np.ndarray:
    """The chance with which a quiet cell of climatology `rate` is drawn."""
    return np.minimum(1, density * rate)


def tabular_rows(
    builder: FeatureBuilder,
    batch: FeatureBatch,
    at: tuple[Tensor, ...] | None = None,
    covariates: Covariates | None = None,
) -> Tensor:
    """Features of cells.

    Args:
        builder: of the record.
        batch: features at the issues.
        at: the cells, as equally long indices of issue, horizon, hexagon and category; default all.
        covariates: others than the record's own.

    Returns:
        Rows [r f], in the order of `at`.
    """
    events, covariates = builder.events, covariates or builder.covariates
    if at is None:
        at = torch.ones(batch.log_rate.permute(0, 2, 3, 1).shape).nonzero().unbind(1)
    issue, lead, hexagon, category = at
    steps = torch.tensor(batch.issues)[issue] + lead
    slots = events.slot_of_day[events.at(steps)]
    target, cycle = covariates.target[events.at(steps)], covariates.cycle
    columns = [
        batch.log_rate[issue, category, lead, hexagon],
        batch.log_rate.exp().sum(1)[issue, lead, hexagon].log(),
        lead.float(),
        category.float(),
        slots.float(),
        target[:, :cycle].argmax(1).float(),
    ]
    return torch.cat(
        [
            torch.stack(columns, 1),
            *log_ratios(builder, batch.features[issue, :, hexagon], category),
            target[:, cycle + events.per_day :],
            covariates.weather_before(batch.issues).mean(1)[issue],
            *recent_rates(builder, batch.recent, at),
            batch.seasonal[issue, :, category, lead, hexagon],
            batch.by_cell[issue, :, lead, hexagon],
        ],
        1,
    )


def log_ratios(builder: FeatureBuilder, features: Tensor, category: Tensor) -> list[Tensor]:
    """Of features [r f] those of all categories together, and those of the row's own."""
    c, out = builder.cube.c, []
    places = builder.table.layout(c)
    for family in builder.table.log_ratios:
        place = places[family.name]
        if family.by_category:
            out.append(features.gather(1, torch.arange(place.start, place.stop, c) + category[:, None]))
        else:
            out.append(features[:, place])
    return [*out, features[:, places[LEVEL]]]


def recent_rates(builder: FeatureBuilder, recent: Tensor, at: tuple[Tensor, ...]) -> list[Tensor]:
    """Rates that recent events leave at the step ahead, of the own category and of all; then those of the ring."""
    (issue, lead, hexagon, category), half_lives = at, builder.recent.half_lives
    left = decay(lead[:, None] + 1, half_lives) * (math.log(2) / half_lives)  # [r h]
    out = []
    for sums in (recent, builder.ring(recent) / builder.ring.widest):
        out += [sums[issue, :, category, hexagon] * left, sums.sum(2)[issue, :, hexagon] * left]
    return out
