"""Who lives in the cells of a grid, as far as the configuration asks for it."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from stforecast.config import Config
from stforecast.config.sections.covariates import SENSITIVE, CellValues
from stforecast.cube import Cube
from stforecast.delivery.residents import Residents
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.errors import ArtefactError
from stforecast.pipeline.preparation import Say


def residents(config: Config, grid: RiskGrid, cube: Callable[[], Cube], say: Say) -> Residents:
    """Of the cells of a grid, how many live there, and what else the cube knows of who does.

    Args:
        config: of the city, with rates, covariates and static columns.
        grid: of which cells.
        cube: gives the cube; asked only where there is something to know.
        say: told where there is no cube.
    """
    found = Residents.unknown(grid)
    if (below := grid.denominator) is not None and not below.exposure:
        found.people[below.of] = below.values.astype(np.float64)
    columns = {name: bool(SENSITIVE.search(name)) for name in config.grid.static_columns}
    given = config.covariates.items()
    columns |= {name: bool(entry.sensitive) for name, entry in given if isinstance(entry, CellValues)}
    told = [name for name, sensitive in columns.items() if sensitive]
    counted = [name for name in columns if name not in told and re.search("population|resident", name.lower())]
    if not (told or counted):
        return found
    try:
        cells = cube().hexagons.set_index("hexagon").reindex(grid.hexagons)
    except ArtefactError as error:
        say(f"plan: nothing beside it of who lives there: {error}")
        return found
    for frame, names in ((found.people, counted), (found.other, told)):
        for name in names:
            if name in cells and cells[name].notna().any():
                frame[name] = cells[name].to_numpy(np.float64)
    return found
