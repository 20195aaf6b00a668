"""From the features of an issue to what the network reads."""

from __future__ import annotations

import torch

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.features.builder import FeatureBatch, FeatureBuilder
from stforecast.features.covariates import Covariates
from stforecast.features.delay import late
from stforecast.features.seasonal import COUNT
from stforecast.features.table import LATE_PATCHES, LEVEL
from stforecast.forecasters.gcrn.network import Inputs, Sizes
from stforecast.forecasters.gcrn.parts import BOUND


def inputs_of(builder: FeatureBuilder, batch: FeatureBatch, covariates: Covariates | None = None) -> Inputs:
    """What the network reads at the issues of `batch`; `covariates`: others than the record's own."""
    covariates, level = covariates or builder.covariates, builder.table.layout(builder.cube.c)[LEVEL]
    parts = [batch.features[:, : level.start].clamp(-BOUND, BOUND), batch.features[:, level]]
    target = covariates.target_at(covariates.targets_of(batch.issues))
    if covariates.cells.channels:  # how they change within the horizon is in λ₀
        parts.append(batch.by_cell.mean(2))
        target = torch.cat([target, batch.by_cell.mean(3).mT], 2)
    features = torch.cat(parts, 1)
    return Inputs(
        nodes=torch.cat([batch.patch.flatten(1, 2).log1p(), batch.late.flatten(1, 2).log1p(), features], 1),
        features=features,
        city=covariates.weather_before(batch.issues).flatten(1),
        target=target,
        recent=batch.recent,
        seasonal=batch.seasonal,
        log_rate=batch.log_rate,
    )


def sizes_of(builder: FeatureBuilder) -> Sizes:
    """Widths of what `inputs_of` gives."""
    cube, by_cell = builder.cube, builder.covariates.cells.channels
    features = builder.table.layout(cube.c)[LEVEL].stop + by_cell
    delayed = (len(LATE_PATCHES) + 1) * cube.c if late(cube.inputs, builder.scales.until) else 0
    return Sizes(
        c=cube.c,
        nodes=builder.patch * cube.c + delayed + features,
        features=features,
        seasonal=COUNT,
        city=builder.patch * builder.covariates.weather.shape[1],
        target=builder.covariates.target.shape[1] + cube.horizons + by_cell,
        recent=[hours / cube.step_hours for hours in builder.table.recent_hours],
    )


def patch_steps(config: Config, cube: Cube) -> int:
    """Steps of a patch; no longer than the horizon, so that every step of the record is forecast once."""
    return min(max(1, config.model.patch_hours // cube.step_hours), cube.horizons)
