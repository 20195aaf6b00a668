"""What a cube and a network take in memory, counted before it is spent."""

from __future__ import annotations

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.features import rhythms, seasonal, table
from stforecast.features.delay import lags_of
from stforecast.features.stream import segment_length
from stforecast.forecasters.gcrn.inputs import patch_steps
from stforecast.forecasters.gcrn.network import QUERY
from stforecast.forecasters.gcrn.propagation import SUPPORTS
from stforecast.scoring.splits import Split

FLOAT = 4
EVENT = 26 * 8
"""Bytes of an event in the cube, on the device and in what it is sorted and counted with."""
LIBRARIES = 70 << 20
"""What PyTorch and Lightning take once they train, measured on a CPU."""


def cost(cube: Cube, split: Split, config: Config) -> dict[str, int]:
    """Bytes on the training device, by what they are for; the interpreter and its libraries come on top.

    Counted by hexagon in single-precision numbers, as the tensors of a training step and of the validation slice that
    are alive at once.
    """
    n, c, k, model = cube.n, cube.c, cube.horizons, config.model
    slots, length, read = cube.step.per_day, config.training.truncation, table.TABLES[cube.step_unit]
    ahead = length * max(1, segment_length(cube) // length)
    p = patch_steps(config, cube)
    own = config.training.streams // config.training.processes
    day, recent = len(read.half_lives) * c, len(read.recent_hours) * c
    by_cell, features = 2 * len(cube.covariates), read.layout(c)[table.LEVEL].stop
    each = sum(len(family.half_lives) for family in read.log_ratios if family.by_category) + 1
    late = len(table.LATE_PATCHES) + 1
    hours = 1 if cube.step_unit == "month" else cube.step_hours
    nodes, shared = p * hours + late, read.layout(1)[table.LEVEL].stop - each + 1 + by_cell
    lags = lags_of(cube, p)[-1] if cube.late else 0
    # counts by hour of the week and the rhythm behind them, sums, what was expected of them and of patches whose
    # reports are still due
    season = cube.step.slots
    memory = (2 + len(table.SEASONAL_WEEKS)) * season * c + len(table.SEASONAL_DAYS) * slots * c + rhythms.COUNT
    memory += 2 * day + recent + (2 * (lags + 1) + ahead) * c
    # one issue: what is remembered of it and read, then of each category what the layers keep for their gradients, then
    # the gradients
    leaves, supports = c * k, SUPPORTS[model.conv]
    given = features + c * (p + late * cube.late) + 2 * (c * (nodes + each) + shared)
    given += recent + (1 + seasonal.COUNT) * leaves + by_cell * k
    layers = (11 + 4 * supports) * model.hidden + 2 * nodes + 4 * each + 3 * QUERY + 4 * len(read.recent_hours) + 6 * k
    gradients = (4 + 2 * supports) * model.hidden + each + 2 * QUERY + 6 * k
    of_all = 2 * (model.hidden + 2 * shared)
    once = 2 * seasonal.COUNT * leaves  # of one issue at a time
    features_read = own * given * (ahead + (length if own > 1 else 0))  # streams are laid side by side
    segment = own * length * (c * (layers + gradients) + of_all) + once
    # forecasts of the validation slice, calibrated and scored: about five arrays of its size
    checked = len(split.issues("validation")) * leaves
    return {
        "PyTorch and Lightning at work": LIBRARIES,
        "events of the cube, and on the device": cube.hour.size * EVENT,
        "state of the features": (own + 1) * n * memory * FLOAT,
        "what is read of a segment": n * features_read * FLOAT,
        "a segment of training, or the forecasts of the validation slice": n * max(segment, 5 * checked) * FLOAT,
        "counts of the validation slice": n * checked * FLOAT,
        "forecasts of a year": cube.step.in_days(365) // slots * n * leaves * FLOAT * 3,
    }
