"""Why a grid has its numbers, for the places that it flags, and beside them their reports lately."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.delivery.recent import recent_reports
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.delivery.small_counts import never_shown
from stforecast.delivery.why import flagged, logs, spans_of, to_values
from stforecast.events.sources import offences_of, resolve
from stforecast.forecasters.attribution import attribute
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.state_cache import StateCache
from stforecast.pipeline.preparation import Say

CLOSE = 1e-5
"""How near the parts must come to log λ of the grid."""


def why(
    config: Config,
    fitted: Forecaster,
    cube: Cube,
    states: StateCache,
    grid: RiskGrid,
    offences: list[dict[str, Any]],
    say: Say,
) -> dict[str, Any]:
    """What `delivery.why` describes.

    Args:
        config: of the city.
        fitted: what forecast the grid.
        cube: the record that it read.
        states: kept ones.
        grid: the forecast.
        offences: of the record, as ingest.json has them.
        say: receives a line where the parts cannot be given.
    """
    rows = flagged(grid, spans_of(grid, config.map.shifts))
    found, away = parts(config, fitted, cube, states, grid, rows)
    if not found["groups"]:
        say(f"why: not available for {fitted.name}: its inputs cannot be taken apart")
    elif away > CLOSE:
        say(f"why: left out, as the parts are {away:.1g} from log λ")
        found = to_values((), {}, grid.hexagons[rows], np.zeros(0))
    never = never_shown(cube.categories, offences)
    issue, cells = cube.step_of(grid.issue_time), pd.Index(cube.cells).get_indexer(pd.Index(grid.hexagons[rows]))
    recent = recent_reports(cube, issue, cells, never, config.delivery.smallest_count)
    return found | {"recent": recent, "contents": offences_of(resolve(config.source))}


def parts(
    config: Config, fitted: Forecaster, cube: Cube, states: StateCache, grid: RiskGrid, rows: np.ndarray
) -> tuple[dict[str, Any], float]:
    """The parts of a grid's hexagons `rows`, without groups where there are none; and how far they are from log λ."""
    spans, issue = spans_of(grid, config.map.shifts), cube.step_of(grid.issue_time)
    cells = pd.Index(cube.cells).get_indexer(pd.Index(grid.hexagons[rows]))
    found = attribute(fitted, cube, issue, states, cells, [*spans.values()])
    if found is None:
        return to_values((), {}, grid.hexagons[rows], np.zeros(0)), 0.0
    away = abs(found.parts.sum(0) - np.stack([logs(grid, span)[:, rows] for span in spans.values()])).max()
    return to_values(found.groups, spans, grid.hexagons[rows], found.parts), float(away)
