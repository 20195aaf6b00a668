"""The stage behind `stforecast plan`: from a written grid to a written plan."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from stforecast.cube.store import open_cube
from stforecast.delivery.export import open_grid
from stforecast.delivery.plan import PURPOSE, make_plan
from stforecast.delivery.plan_files import write_plan
from stforecast.delivery.shifts import shifts_of
from stforecast.errors import ConfigError
from stforecast.pipeline.residents import residents
from stforecast.pipeline.stages import Stages


def plan(
    stages: Stages, issue_time: pd.Timestamp | None = None, output: Path | None = None, shift: str | None = None
) -> Path:
    """Plan with the newest written grid, or with that of an issue time; the folder that was written.

    Args:
        stages: of the city.
        issue_time: of the grid.
        output: the folder; by default `plan`, or of a shift `plan_SHIFT`, beside the grid.
        shift: a name of `map.shifts`; without one the plan is for the whole horizon.

    Raises:
        ArtefactError: there is no such grid, or it is damaged.
        ConfigError: the configured plan or the shift does not fit the grid, or `output` holds other files.
    """
    folder = stages.place.written_grid(issue_time)
    grid, target = open_grid(folder), output or folder / ("plan" if shift is None else f"plan_{shift}")
    named = shifts_of(grid, stages.config.map.shifts)
    if shift is not None and shift not in named:
        which = f"not one of {', '.join(named)}" if named else f"a forecast of {grid.step_unit}s has none"
        raise ConfigError(f"--shift {shift}: {which}. Name one of map.shifts that the forecast reaches.")
    who = residents(stages.config, grid, lambda: open_cube(stages.place.gold), stages.say)
    found = make_plan(grid, stages.config.plan, named[shift] if shift else None)
    write_plan(found, target, stages.config.city, who)
    for line in [*grid.assumptions, *found.lines(), PURPOSE, f"wrote {target}"]:
        stages.say(f"plan: {line}")
    return target
