"""Why a number of a written grid is what it is, of any place: what `stforecast why` says."""

from __future__ import annotations

import numpy as np
import pandas as pd

from stforecast.cube.newest_forecast import NEWEST, with_newest
from stforecast.delivery.export import open_grid
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.delivery.why import WHOLE, answer, spans_of
from stforecast.errors import ConfigError, DataError
from stforecast.pipeline.run import Run
from stforecast.pipeline.stages import Stages
from stforecast.pipeline.why import CLOSE, parts


def why_of(stages: Stages, cell: str, shift: str | None, category: str, issue_time: pd.Timestamp | None) -> None:
    """Say the parts of one number of a written grid.

    Args:
        stages: of the city.
        cell: id of a hexagon, or words of its name.
        shift: the hours; default the whole horizon.
        category: of the grid.
        issue_time: of the grid; default the newest.

    Raises:
        ConfigError: the grid has no such place, hours or category.
        DataError: the forecaster's inputs cannot be taken apart, or the record or run are not those of the grid.
    """
    config = stages.config
    grid = open_grid(stages.place.written_grid(issue_time))
    span, spans = shift or WHOLE, spans_of(grid, config.map.shifts)
    for key, value, known in (("--shift", span, [*spans]), ("--category", category, grid.categories)):
        if value not in known:
            raise ConfigError(f"{key} {value}: not one of {', '.join(known)}.")
    row, run = _row(grid, cell), Run(stages.place.latest())
    name, _, of_run = grid.model.rpartition("-")
    if of_run != run.name:
        raise DataError(
            f"the grid is of the run {of_run}, and the newest is {run.name}. Run `stforecast forecast` first."
        )
    fitted, table = run.open(name, config), stages.ingest()
    cube, *_ = with_newest(stages.newest(run, table), config.weather, stages.place.weather / NEWEST, grid.issue_time)
    states = run.states(lambda line: stages.say(f"why: {line}"))
    values, away = parts(config, fitted, cube, states, grid, np.array([row]))
    found = answer(grid, values, str(grid.hexagons[row]), category, span)
    if found is None:
        raise DataError(f"not available for {name}: its inputs cannot be taken apart.")
    place = grid.hexagons[row] if grid.places is None else f"{grid.places[row]} ({grid.hexagons[row]})"
    stages.say(f"{place}, {category}, {found['valid_from']} to {found['valid_until']}")
    for part in found["parts"]:
        number = f"{part['factor']:9.4f}" if part["group"] == "usual" else f"× {part['factor']:7.3f}"
        stages.say(f"{number}  {part['words']}")
    stages.say(f"{found['intensity']:9.4f}  expected reports")
    if away > CLOSE:
        stages.say("The record or the settings changed since the grid was written: its own number differs.")


def _row(grid: RiskGrid, cell: str) -> int:
    """The hexagon of an id, or of words in its name.

    Raises:
        ConfigError: there is none, or several.
    """
    ids = grid.hexagons.tolist()
    if cell in ids:
        return ids.index(cell)
    names, asked = [None] * len(ids) if grid.places is None else grid.places.tolist(), cell.casefold().split()
    found = [row for row, name in enumerate(names) if asked and all(word in (name or "").casefold() for word in asked)]
    if len(found) != 1:
        named = [f"{names[row]} ({ids[row]})" for row in found[:5]] or [f"ids such as {ids[0]}"]
        raise ConfigError(
            f"--cell {cell}: {'several places' if found else 'no place'} of that name: {', '.join(named)}."
        )
    return found[0]
