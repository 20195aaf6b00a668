"""What stands beside a forecast: the last weeks against the year before, and the last forecast whose reports are in."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from stforecast.cube import Cube
from stforecast.delivery.compare import compare
from stforecast.delivery.outcome import counts_of, outcome
from stforecast.delivery.prospective import Record
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.delivery.small_counts import never_shown
from stforecast.errors import ArtefactError
from stforecast.evaluation.prospective import SCORED, choose, settle


def comparison(
    cube: Cube, grid: RiskGrid, offences: list[dict[str, Any]], record: Record, stamp: str, least: int
) -> dict[str, Any]:
    """What `compare` gives, and the `outcome` of an `earlier` forecast, None without one.

    Args:
        cube: the record.
        grid: a forecast of it.
        offences: of the record, as ingest.json has them.
        record: of earlier forecasts.
        stamp: of the offences of the categories: forecasts of others are passed over.
        least: the smallest count that is shown.
    """
    never = never_shown(cube.categories, offences)
    found = compare(cube, grid, never, least)
    return found | {"earlier": _earlier(cube, grid, record, stamp, never, least)}


def _earlier(
    cube: Cube, grid: RiskGrid, record: Record, stamp: str, never: np.ndarray, least: int
) -> dict[str, Any] | None:
    """The outcome of the newest forecast on record whose reports were in, as known at the issue time of a grid."""
    entries = [
        entry
        for entry in record.entries()
        if pd.Timestamp(entry["issue_time"]) < grid.issue_time and entry.get("offences") == stamp
    ]
    issued = pd.DatetimeIndex([entry["issue_time"] for entry in entries], tz="UTC")
    issue, issues = cube.step_of(grid.issue_time), cube.step.since(cube.start, issued)
    became = settle(cube, issues, grid.horizons, issue)
    for at in np.argsort(-issues, kind="stable").tolist():
        if became[at] != SCORED:
            continue
        with suppress(ArtefactError):  # `stforecast prospective` says it
            earlier = record.open(entries[at])
            alike = earlier.categories == grid.categories and earlier.horizons == grid.horizons
            counts = counts_of(cube, earlier, issue) if alike else None
            if counts is not None:
                written = pd.DatetimeIndex([entries[at]["written_at"]])
                advance = choose(issued[[at]], written, grid.step, grid.horizons)[0][0] == SCORED
                return outcome(earlier, counts, never, least, bool(advance))
    return None
