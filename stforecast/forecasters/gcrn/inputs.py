"""From the features of an issue to what the network reads."""

from __future__ import annotations

import torch

from stforecast.config import Config
from stforecast.config.sections import KINDS
from stforecast.cube import Cube
from stforecast.features import canonical, city_facts
from stforecast.features.builder import FeatureBatch, FeatureBuilder
from stforecast.features.covariates import HOLIDAYS, Covariates
from stforecast.features.table import LEVEL
from stforecast.forecasters.gcrn.network import Inputs, Sizes
from stforecast.forecasters.gcrn.parts import BOUND


def inputs_of(
    builder: FeatureBuilder, batch: FeatureBatch, sizes: Sizes | None = None, covariates: Covariates | None = None
) -> Inputs:
    """What the network reads at the issues of `batch`.

    Args:
        builder: of the record.
        batch: features at the issues.
        sizes: of the network, which may know other channels than the record has; default the record's own.
        covariates: others than the record's own.
    """
    covariates, cube, scales = covariates or builder.covariates, builder.cube, builder.scales
    sizes = sizes or sizes_of(builder)
    own, shared = canonical.by_category(builder, batch.features)
    steps = covariates.targets_of(batch.issues)
    future = covariates.target[covariates.events.at(steps), covariates.calendar :]
    # how covariates change within the horizon is in λ₀
    by_cell = canonical.channels(batch.by_cell.movedim(1, -1), scales.covariates.names, sizes.covariates)  # [l k n 2j]
    before = canonical.channels(covariates.weather_before(batch.issues), scales.weather.names, sizes.weather)
    hours = 1 if cube.step_unit == "month" else cube.step_hours
    level = canonical.levels_of(batch, cube.step.days) / 4
    return Inputs(
        nodes=torch.cat(
            [canonical.by_hour(builder, batch.patch, 1).transpose(1, 2), canonical.late_of(builder, batch)], 2
        ).log1p(),
        own=torch.cat([own.clamp(-BOUND, BOUND), level], 2),
        shared=torch.cat([shared[:, :-1].clamp(-BOUND, BOUND), shared[:, -1:], by_cell.mean(1).mT], 1),
        city=before.repeat_interleave(hours, 1).flatten(1),
        about=canonical.about(builder, batch.issues),
        target=torch.cat(
            [
                canonical.calendar_of(builder, covariates, steps),
                canonical.channels(future, scales.future.names, sizes.future),
                by_cell.mean(2),
            ],
            2,
        ),
        recent=batch.recent,
        seasonal=batch.seasonal,
        log_rate=batch.log_rate,
        step_hours=cube.step_hours,
    )


def sizes_of(builder: FeatureBuilder) -> Sizes:
    """Those of a network that reads all that this record has."""
    cube, table, scales = builder.cube, builder.table, builder.scales
    hours = 1 if cube.step_unit == "month" else cube.step_hours
    of_each = sum(len(family.half_lives) for family in table.log_ratios if family.by_category)
    return Sizes(
        patch=builder.patch * hours,
        own=of_each + 1,
        shared=table.layout(1)[LEVEL].stop - of_each,
        about=len(city_facts.NUMBERS) + len(KINDS),
        calendar=builder.covariates.cycle + builder.events.per_day * hours + HOLIDAYS + len(canonical.LEADS),
        weather=list(scales.weather.names),
        future=list(scales.future.names),
        covariates=list(scales.covariates.names),
        recent=list(table.recent_hours),
    )


def patch_steps(config: Config, cube: Cube) -> int:
    """Steps of a patch; no longer than the horizon, so that every step of the record is forecast once."""
    return min(max(1, config.model.patch_hours // cube.step_hours), cube.horizons)
