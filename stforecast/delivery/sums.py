"""Ranges of sums of a grid: of any hexagons over any of its steps, by its joint law (`scoring.joint`).

`web/sums.js` does the same in a browser.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import shapely

from stforecast.cube.hexgrid import DIGITS
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
            if grid.bounds is not None and lam.shape[1] == grid.horizons:
                alone = np.flatnonzero(np.diff(of.indptr) == 1)
                low[0, alone], high[0, alone] = grid.bounds[:, category, held[of.indices[of.indptr[alone]]]]
            found |= {"low": low[0].tolist(), "high": high[0].tolist()}
        rows += [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]
    return rows


def inside(grid: RiskGrid, polygons: Sequence[shapely.Geometry]) -> np.ndarray:
    """Which cells lie in any of some polygons in longitude and latitude: those whose centre does; bool [n].

    `web/areas.js` does the same.
    """
    latitude, longitude = grid.geometry.centres.round(DIGITS).T
    found = np.zeros(len(grid.hexagons), bool)
    for polygon in map(_unbroken, polygons):
        for turn in (-360, 0, 360):  # polygons and cities may lie across the antimeridian
            found |= shapely.contains_xy(polygon, longitude + turn, latitude)
    return found


def _unbroken(polygon: shapely.Geometry) -> shapely.Geometry:
    """A polygon whose corners leap from one side of the antimeridian to the other, without the leap."""
    east = shapely.get_coordinates(polygon)[:, 0]

    def near(degrees: np.ndarray) -> np.ndarray:
        return east[0] + (degrees - east[0] + 180) % 360 - 180

    if not np.ptp(east) > 180 > np.ptp(near(east)) > 0:
        return polygon
    return shapely.transform(polygon, lambda at: np.stack([near(at[:, 0]), at[:, 1]], 1))


def selected(grid: RiskGrid, hexagons: np.ndarray, steps: slice, category: int) -> dict[str, Any]:
    """What is expected of some cells together over some steps, with the range where the grid has a joint law.

    Args:
        grid: of cells with outlines.
        hexagons: which, bool [n].
        steps: of the grid.
        category: index of one.

    Returns:
        `hexagons`, `area_km2`, `intensity`, `risk`, `share` of the city (None where nothing is expected of it), `usual`
        where the grid has it, `low` and `high`.
    """
    of_city = grid.intensity[:HORIZON, category][steps].sum(0)
    lam = of_city[hexagons].sum()
    found = {
        "hexagons": int(hexagons.sum()),
        "area_km2": round(float(grid.geometry.areas_km2[hexagons].sum()), DIGITS),
        "intensity": round(float(lam), 8),
        "risk": round(float(risk(lam)), 8),
        "share": round(float(lam / of_city.sum()), 8) if of_city.sum() > 0 else None,
    }
    if grid.usual is not None:
        found["usual"] = round(float(grid.usual[:HORIZON, category][steps][:, hexagons].sum()), 8)
    chosen = np.zeros(grid.horizons, bool)
    chosen[steps] = True
    if (bounds := range_of_sum(grid, hexagons, chosen, category)) is not None:
        found |= dict(zip(("low", "high"), bounds, strict=True))
    return found


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
