"""Ranges of sums of a grid: of any hexagons over any of its steps, by its joint law (`scoring.joint`).

`web/sums.js` does the same in a browser.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from stforecast.delivery.riskgrid import HORIZON, RiskGrid
from stforecast.scoring.intensity import risk
from stforecast.scoring.joint import MEMORY, moments, neighbourhoods, parted, together


def range_of_sum(grid: RiskGrid, hexagons: np.ndarray, steps: np.ndarray, category: int) -> tuple[int, int] | None:
    """The lowest and the highest count in the range of a sum; None where the grid has no joint law.

    Of one hexagon over the whole horizon it is `RiskGrid.bounds`.

    Args:
        grid: of cells with outlines.
        hexagons: those that are summed, bool [n].
        steps: likewise, bool [k].
        category: index of one.
    """
    if grid.bounds is not None and hexagons.sum() == 1 and steps.all():
        low, high = grid.bounds[:, category, hexagons].ravel().tolist()
        return low, high
    if not grid.joint:
        return None
    expected = np.where(steps[:, None] & hexagons, grid.intensity[:HORIZON, category], 0)
    return grid.joint[grid.categories[category]].interval(expected, neighbourhoods(grid.geometry.centres))


def areas(grid: RiskGrid, steps: slice, category: int) -> list[dict[str, Any]]:
    """What is expected of the city and of each district over some steps, with ranges where the grid has a joint law.

    Returns:
        `district` (None of the whole city, which comes first), `hexagons`, `intensity`, `risk`, `low` and `high`.
    """
    lam, near = grid.intensity[:HORIZON, category][steps][None], neighbourhoods(grid.geometry.centres)
    kinds, rows = [(np.arange(lam.shape[-1]), together(lam.shape[-1]), [None])], []
    if grid.districts is not None and not pd.isna(grid.districts).all():
        label, names = pd.factorize(grid.districts, sort=True)
        inside = np.flatnonzero(label >= 0)
        kinds.append((inside, parted(label[inside]), [*names]))
    for held, of, called in kinds:
        sums = moments(lam[..., held], of, near[held])
        found = {
            "district": called,
            "hexagons": np.diff(of.indptr).tolist(),
            "intensity": sums.mean[0].round(8).tolist(),
            "risk": risk(sums.mean[0]).round(8).tolist(),
        }
        if grid.joint:
            low, high = grid.joint[grid.categories[category]].bounds(sums)
            found |= {"low": low[0].tolist(), "high": high[0].tolist()}
        rows += [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]
    return rows


def view_of_sums(grid: RiskGrid) -> dict[str, Any] | None:
    """What `web/sums.js` needs beside λ, as plain values for JSON; None where the grid has no joint law."""
    if not grid.joint:
        return None
    return {
        "level": next(iter(grid.joint.values())).level,
        "memory": MEMORY,
        "variances": [grid.joint[name].variances for name in grid.categories],
        "neighbourhoods": neighbourhoods(grid.geometry.centres).tolist(),
    }
