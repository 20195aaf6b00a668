"""An earlier forecast against what came."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from stforecast.cube import Cube
from stforecast.delivery.map import TOP_SHARE, highest
from stforecast.delivery.riskgrid import HORIZON, RiskGrid, iso
from stforecast.delivery.small_counts import hides_each
from stforecast.delivery.words import horizon_label


def counts_of(cube: Cube, grid: RiskGrid, known_before: int | None = None) -> np.ndarray | None:
    """Reports in the horizon of a grid, in the order of its categories without `all`, [c n].

    Args:
        cube: the record.
        grid: a forecast.
        known_before: of reports that were known before this step; default all.

    Returns:
        None where the record does not hold the grid's steps, hexagons or categories.
    """
    first, categories = int(cube.step.since(cube.start, [grid.issue_time])[0]), grid.categories[1:] or grid.categories
    last = first + grid.horizons
    place = pd.Index(cube.cells).get_indexer(pd.Index(grid.hexagons))
    which = pd.Index(cube.categories).get_indexer(pd.Index(categories))
    on_axis = cube.step == grid.step and cube.time_of(first) == grid.issue_time
    if not on_axis or min(first, *place, *which) < 0 or last > cube.steps:
        return None
    return cube.dense(first, last, known_before).numpy()[:, place][:, :, which].sum(0).T


def outcome(grid: RiskGrid, counts: np.ndarray, never: np.ndarray, least: int, in_advance: bool) -> dict[str, Any]:
    """How a forecast did over its horizon, as plain values.

    Args:
        grid: the forecast.
        counts: what came, as `counts_of` gives it.
        never: categories of sexual offences, bool [c]: only their sum over the city is shown.
        least: the smallest count that is shown of a hexagon.
        in_advance: whether the forecast was made before its first step was over.

    Returns:
        Which forecast, and a row a category: reports `expected` and those that `came`, `top`: the share of these in the
        top hexagons, None where it would tell a small count, and `inside`: the share of hexagons whose count lay in its
        range, None without ranges.
    """
    single = len(counts) == len(grid.categories)
    came = counts if single else np.concatenate([counts.sum(0, keepdims=True), counts])
    sexual = never if single else np.r_[False, never]
    rows = []
    for at, category in enumerate(grid.categories):
        top = highest(grid.intensity[HORIZON, at], TOP_SHARE)
        held, rest = came[at, top], np.delete(came[at], top)
        told = sexual[at] or not came[at].any() or not (hides_each(held, least) and hides_each(rest, least))
        row = {"category": category, "expected": round(float(grid.intensity[HORIZON, at].sum()), 3)}
        row |= {"came": int(came[at].sum()), "top": None if told else round(float(held.sum() / came[at].sum()), 4)}
        inside = None
        if grid.bounds is not None:
            low, high = grid.bounds[:, at]
            inside = round(float(((low <= came[at]) & (came[at] <= high)).mean()), 4)
        rows.append(row | {"inside": inside})
    return {
        "issue_time": iso(grid.issue_time),
        "label": horizon_label(grid),
        "model": grid.model,
        "in_advance": in_advance,
        "level": next((spread.level for spread in grid.spreads.values()), None),
        "top_share": TOP_SHARE,
        "categories": rows,
    }
