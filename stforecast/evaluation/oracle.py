"""The oracle of a simulated city on the axis and the hexagons of a cube."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stforecast.cube import Cube
from stforecast.events.synthetic import oracle

if TYPE_CHECKING:
    from stforecast.events.synthetic import City


def oracle_of(
    city: City, cube: Cube, issues: np.ndarray, forecast: Callable[[City, np.ndarray, int], np.ndarray] = oracle
) -> np.ndarray | None:
    """λ [m k n c] that no forecast can beat at the issue steps of a cube built from the city's events.

    `forecast` takes the city's own steps and a number of hours ahead; it may know less than the oracle.

    None where the cube has other hexagons, categories or hours than the city, or another step.
    """
    cells, shift = city.cells.tolist(), (cube.start - city.start) // pd.Timedelta(hours=1)
    if issues.size and not 0 <= issues.min() + shift <= issues.max() + shift <= len(city.counts) - cube.horizons:
        return None
    if cube.step_hours != 1 or not {*cube.cells.tolist()} <= {*cells} or not {*cube.categories} <= {*city.categories}:
        return None
    order = [cells.index(cell) for cell in cube.cells.tolist()]
    kinds = [city.categories.index(name) for name in cube.categories]
    return forecast(city, issues + shift, cube.horizons)[:, :, order][..., kinds]
