"""The stage behind `stforecast plan`: from a written grid to a written plan."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from stforecast.config.sections.covariates import SENSITIVE, CellValues
from stforecast.cube.store import open_cube
from stforecast.delivery.export import open_grid
from stforecast.delivery.plan import PURPOSE, make_plan
from stforecast.delivery.plan_files import write_plan
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.errors import ArtefactError
from stforecast.pipeline.stages import Stages


def plan(stages: Stages, issue_time: pd.Timestamp | None = None, output: Path | None = None) -> Path:
    """Plan with the newest written grid, or with that of an issue time; the folder that was written.

    Raises:
        ArtefactError: there is no such grid, or it is damaged.
        ConfigError: the configured plan does not fit the grid, or `output` holds other files.
    """
    folder = stages.place.written_grid(issue_time)
    grid, target = open_grid(folder), output or folder / "plan"
    found = make_plan(grid, stages.config.plan)
    people, tenths_of = _residents(stages, grid)
    lines = found.lines()
    write_plan(found, target, stages.config.city, people, tenths_of, lines)
    for line in [*grid.assumptions, *lines, PURPOSE, f"wrote {target}"]:
        stages.say(f"plan: {line}")
    return target


def _residents(stages: Stages, grid: RiskGrid) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Of the cells of a grid, how many live there, and what else the cube knows of who does, [n …] each."""
    people, other = (pd.DataFrame(index=range(len(grid.hexagons))) for _ in range(2))
    if (below := grid.denominator) is not None and not below.exposure:
        people[below.of] = below.values.astype(np.float64)
    columns = {name: bool(SENSITIVE.search(name)) for name in stages.config.grid.static_columns}
    given = stages.config.covariates.items()
    columns |= {name: bool(entry.sensitive) for name, entry in given if isinstance(entry, CellValues)}
    told = [name for name, sensitive in columns.items() if sensitive]
    counted = [name for name in columns if name not in told and re.search("population|resident", name.lower())]
    if not (told or counted):
        return people, other
    try:
        cells = open_cube(stages.place.gold).hexagons.set_index("hexagon").reindex(grid.hexagons)
    except ArtefactError as error:
        stages.say(f"plan: nothing beside it of who lives there: {error}")
        return people, other
    for frame, names in ((people, counted), (other, told)):
        for name in names:
            if name in cells and cells[name].notna().any():
                frame[name] = cells[name].to_numpy(np.float64)
    return people, other
