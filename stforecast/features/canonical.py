"""What learned forecasters read alike of every city: features of a category beside those of all, and numbers of scale.

Nothing of it names a city, a category or a hexagon, so that what was learned in one city holds in another: of a step
of one hour or of a day, hexagons small or large, and a record of a week or of years.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from stforecast.features.builder import FeatureBatch, FeatureBuilder
from stforecast.features.climatology import SLOW
from stforecast.features.covariates import HOLIDAYS, Covariates
from stforecast.features.table import LATE_PATCHES, LEVEL

LEADS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0)
"""Hours ahead between which what is read of the lead time is a straight line in their logarithm."""


def about(builder: FeatureBuilder, issues: list[int]) -> Tensor:
    """What is known about city and category at issues: numbers of scale, then the kinds of offence, [l c x]."""
    scale, age = math.log(2) / SLOW[0], builder.recorded_days(issues).clamp(min=0)
    effective = (1 - torch.exp(-scale * age)) / scale
    age = ((1 + effective).log() - 4)[:, None, None] / 2
    return torch.cat([age.expand(-1, builder.cube.c, -1), builder.of_city.expand(len(issues), -1, -1)], 2)


def by_category(builder: FeatureBuilder, features: Tensor) -> tuple[Tensor, Tensor]:
    """Log-ratios and level [l f n] parted into those of each category [l c f n] and those of all [l f n]."""
    c, own, shared = builder.cube.c, [], []
    places = builder.table.layout(c)
    for family in builder.table.log_ratios:
        here = features[:, places[family.name]]
        if family.by_category:
            own.append(here.unflatten(1, (-1, c)).transpose(1, 2))
        else:
            shared.append(here)
    return torch.cat(own, 2), torch.cat([*shared, features[:, places[LEVEL]]], 1)


def levels_of(batch: FeatureBatch, step_days: float) -> Tensor:
    """log λ₀ of each category and hexagon, as events a day, over the steps ahead: [l c 1 n]."""
    per_day = batch.log_rate.exp().mean(2, keepdim=True) / step_days
    return (per_day + 1e-4).log()


def late_of(builder: FeatureBuilder, batch: FeatureBatch) -> Tensor:
    """Late reports of the patch by age, [l c 4 n]; 0 where none come late."""
    if batch.late.shape[1]:
        return batch.late.transpose(1, 2)
    length, c, n = batch.log_rate.shape[0], builder.cube.c, builder.cube.n
    return batch.late.new_zeros(length, c, len(LATE_PATCHES) + 1, n)


def by_hour(builder: FeatureBuilder, values: Tensor, dim: int) -> Tensor:
    """Values of the steps of a patch or a day along `dim` as values of their hours; of months as they are."""
    cube = builder.cube
    hours = 1 if cube.step_unit == "month" else cube.step_hours
    return values if hours == 1 else values.repeat_interleave(hours, dim) / hours


def calendar_of(builder: FeatureBuilder, covariates: Covariates, steps: Tensor) -> Tensor:
    """Of the target steps [l k] weekday, local hours, holidays and lead time, [l k g]."""
    at = covariates.target[covariates.events.at(steps), : covariates.calendar]
    weekday, slot, holidays = at.split([covariates.cycle, covariates.events.per_day, HOLIDAYS], -1)
    lead = leads_of(builder.cube.horizons, builder.cube.step_hours, steps.device).expand(len(steps), -1, -1)
    return torch.cat([weekday, by_hour(builder, slot, -1), holidays, lead], -1)


def channels(values: Tensor, have: Sequence[str], want: Sequence[str]) -> Tensor:
    """Named channels, then their masks, along the last axis [… 2w]; one that is not there is 0 with mask 0."""
    if list(have) == list(want):
        return values
    out = values.new_zeros(*values.shape[:-1], 2 * len(want))
    for place, name in enumerate(want):
        if name in have:
            for half, width in ((0, 0), (len(want), len(have))):
                out[..., half + place] = values[..., width + have.index(name)]
    return out


def leads_of(horizons: int, step_hours: float, device: torch.device) -> Tensor:
    """Lead times as shares of the two nearest of `LEADS`, [k 8]."""
    ahead = (torch.arange(1, horizons + 1, device=device) * step_hours).clamp(max=LEADS[-1]).log2()
    return (1 - (ahead[:, None] - torch.arange(len(LEADS), device=device)).abs()).clamp(min=0)
