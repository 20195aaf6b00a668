"""Excitation kernels learned once over several cities."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from stforecast.cube import Cube
from stforecast.errors import ConfigError
from stforecast.forecasters.hawkes import HALF_LIVES, Hawkes
from stforecast.forecasters.mixture import fit_mixture
from stforecast.forecasters.shared_kernels import SharedKernels, category_share
from stforecast.scoring.splits import Split


def pooled_kernels(records: Iterable[tuple[Cube, Split]]) -> SharedKernels:
    """The kernels under which the training slices of all records together are most likely; an event is an event.

    A record may be a part of a city's: on short ones climatology knows less, and more is left to recent events. One
    without an event after its warm-up tells that there was none.

    Args:
        records: cubes with steps of one unit, each with its slices.

    Raises:
        ConfigError: there is none, or steps are of several units.
    """
    units, found = set[str](), []
    for cube, split in records:
        units.add(cube.step_unit)
        hawkes, share = Hawkes(), category_share(cube, split.train_end)
        excitation, warm_up = hawkes.prepare(cube, split)
        parts, category, events, totals = hawkes.mixture(excitation, split, warm_up)
        cells = SharedKernels.columns(parts, category, share)
        sums = SharedKernels.columns(totals, np.arange(cube.c), share).sum(0)
        found.append((cells, events, sums))
    if len(units) != 1:
        raise ConfigError(f"shared kernels: expected records with steps of one unit, found {sorted(units) or 'none'}.")
    all_cells, counts, all_sums = zip(*found, strict=True)
    theta, _ = fit_mixture(np.concatenate(all_cells), np.concatenate(counts), np.sum(all_sums, axis=0))
    return SharedKernels.of(theta, HALF_LIVES[cube.step_unit])
