"""Rows that mean the same in every city, by hours or days: what trees read that are fitted to many cities.

Nothing in them names a city, a hexagon or a category. What a city does not have is NaN: weather and forecasts of it,
late reports. Covariates by cell have other names in each city; they act through λ₀ alone.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from stforecast.config.city import DEFAULT_CHANNELS
from stforecast.config.sections import KINDS
from stforecast.errors import ConfigError
from stforecast.features.builder import FeatureBatch, FeatureBuilder
from stforecast.features.city_facts import edge_km
from stforecast.features.covariates import HOLIDAYS, Covariates
from stforecast.features.scaling import Standard
from stforecast.features.seasonal import COUNT
from stforecast.features.table import BY_DAY, LATE_PATCHES
from stforecast.features.tabular import log_ratios, recent_rates

WEATHER = tuple(DEFAULT_CHANNELS)
"""Channels that are read, where a city has them, as observed and as known in advance."""
NUMBERS = ("step_hours", "edge_km", "age_days", "events_seen", "categories")
_RATIOS = [f"{family.name.replace(' ', '_')}_{days}d" for family in BY_DAY.log_ratios for days in family.half_lives]
_RECENT = [
    f"recent_{place}{whose}_{hours:.0f}h"
    for place in ("", "ring_")
    for whose in ("own", "all")
    for hours in BY_DAY.recent_hours
]
COLUMNS = (
    *("log_rate", "log_rate_all", "hours_ahead", "hour", "weekday"),
    *("per_day", "per_day_city", *NUMBERS, *(f"kind_{kind}" for kind in KINDS)),
    *_RATIOS,
    *("level", "holiday", "day_before_holiday", "day_after_holiday"),
    *(f"{when}_{name}" for when in ("ahead", "before") for name in WEATHER),
    *_RECENT,
    *(f"seasonal_{i}" for i in range(COUNT)),
    *(f"late_{i}" for i in range(len(LATE_PATCHES) + 1)),
)
"""Names of the columns; the first is log λ₀."""


def canonical_rows(
    builder: FeatureBuilder,
    batch: FeatureBatch,
    at: tuple[Tensor, ...] | None = None,
    covariates: Covariates | None = None,
) -> Tensor:
    """Features of cells; arguments as of `tabular_rows`.

    Returns:
        Rows [r f] in the order of `at`, columns as in `COLUMNS`.

    Raises:
        ConfigError: the steps are months, of which other things are read.
    """
    cube, events, covariates = builder.cube, builder.events, covariates or builder.covariates
    if cube.step_unit == "month":
        raise ConfigError("trees of many cities read hours and days, not months; start from none.")
    if at is None:
        at = torch.ones(batch.log_rate.permute(0, 2, 3, 1).shape).nonzero().unbind(1)
    issue, lead, hexagon, category = at
    steps = events.at(torch.tensor(batch.issues)[issue] + lead)
    target, first = covariates.target[steps], covariates.cycle + events.per_day
    rate = batch.log_rate.exp()
    per_day = rate.mean(2) / cube.step.days  # [l c n]
    whole_day = events.per_day == 1
    hour = torch.full(issue.shape, torch.nan) if whole_day else events.slot_of_day[steps] * float(cube.step_hours)
    columns = [
        batch.log_rate[issue, category, lead, hexagon],
        rate.sum(1)[issue, lead, hexagon].log(),
        (lead + 1.0) * cube.step_hours,
        hour,
        target[:, : covariates.cycle].argmax(1).float(),
        per_day[issue, category, hexagon].log(),
        per_day.sum(2)[issue, category].log(),
    ]
    before = covariates.weather_before(batch.issues).mean(1)[issue]
    late = batch.late[issue, :, category, hexagon].log1p()
    return torch.cat(
        [
            torch.stack(columns, 1),
            _numbers(builder, batch.issues)[issue],
            _kinds(builder)[category],
            *log_ratios(builder, batch.features[issue, :, hexagon], category),
            target[:, first : first + HOLIDAYS],
            _channels(target[:, first + HOLIDAYS :], builder.scales.future),
            _channels(before, builder.scales.weather),
            *recent_rates(builder, batch.recent, at),
            batch.seasonal[issue, :, category, lead, hexagon],
            late if late.shape[1] else torch.full((len(issue), len(LATE_PATCHES) + 1), torch.nan),
        ],
        1,
    )


def _numbers(builder: FeatureBuilder, issues: list[int]) -> Tensor:
    """Numbers of scale at issues, [l x], in the order of `NUMBERS`."""
    cube, at = builder.cube, np.array(issues)
    known = np.searchsorted(cube.known_hour, at)
    fixed = np.broadcast_to([cube.step_hours, edge_km(cube)], (len(at), 2))
    return torch.as_tensor(
        np.column_stack([fixed, at * cube.step.days, np.log1p(known), np.full(len(at), cube.c)]), dtype=torch.float32
    )


def _kinds(builder: FeatureBuilder) -> Tensor:
    """Shares of the harmonised kinds in each category, [c x]; 0 where none is known."""
    kinds = builder.cube.kinds
    return torch.zeros(builder.cube.c, len(KINDS)) if kinds is None else torch.as_tensor(kinds)


def _channels(values: Tensor, standard: Standard) -> Tensor:
    """The channels of `WEATHER` from those of a city [r 2w], masks behind the values; NaN where there is none."""
    width = len(standard.names)
    out = torch.full((len(values), len(WEATHER)), torch.nan)
    for place, name in enumerate(WEATHER):
        if name in standard.names:
            at = standard.names.index(name)
            seen = values[:, width + at]
            out[:, place] = torch.where(seen > 0, values[:, at] / seen, torch.nan)
    return out
