"""The stage behind `stforecast brief`: one page from a written grid, with how the forecasts before it did."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stforecast.delivery.brief import brief_of
from stforecast.delivery.brief_pdf import write_brief
from stforecast.delivery.brief_tables import Table, lately
from stforecast.delivery.export import open_comparison, open_grid
from stforecast.delivery.layers import read_layers
from stforecast.delivery.outcome import counts_of, outcome
from stforecast.delivery.prospective import Record
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.delivery.small_counts import never_shown
from stforecast.errors import ArtefactError
from stforecast.evaluation.prospective import SCORED, choose, settle
from stforecast.pipeline.stages import Stages

DAYS, MONTHS = 7, 3
"""Before a grid, in which the forecasts were issued that are looked back at; of months the second."""


def brief(
    stages: Stages,
    issue_time: pd.Timestamp | None = None,
    shift: str | None = None,
    beat: str | None = None,
    output: Path | None = None,
) -> Path:
    """Write a briefing from the newest written grid, or from that of an issue time; the PDF, with HTML beside it.

    Args:
        stages: of the city.
        issue_time: of the grid.
        shift: which hours; None of all.
        beat: which district; None of all.
        output: the PDF; default beside the grid.

    Raises:
        ArtefactError: there is no such grid, or it is damaged.
        ConfigError: the grid has no such shift or district.
    """
    folder = stages.place.written_grid(issue_time)
    grid, named = open_grid(folder), [re.sub(r"[^\w-]+", "_", name) for name in (shift, beat) if name is not None]
    path, config = output or folder / f"{'-'.join(['brief', *named])}.pdf", stages.config
    found = brief_of(grid, config.city, shift, beat, config.map.shifts, open_comparison(folder))
    layers = read_layers(config, grid.geometry, lambda line: stages.say(f"brief: {line}"))
    write_brief(replace(found, score=_lately(stages, grid)), layers, path)
    stages.say(f"brief: wrote {path} and {path.with_suffix('.html').name}")
    return path


def _forecaster(model: str) -> str:
    """The forecaster of a model, whose name ends with the hash of its run."""
    return model.rpartition("-")[0]


def _lately(stages: Stages, grid: RiskGrid) -> Table | None:
    """How the forecasts on record did that were issued shortly before a grid; None where nothing can say so."""
    if (newest := stages.newest_record("brief: nothing of how earlier forecasts did")) is None:
        return None
    cube, table = newest
    record, stamp, found = Record(stages.place.prospective), stages.offences_stamp(), list[dict[str, Any]]()
    monthly = grid.step_unit == "month"
    first = grid.step.times(grid.issue_time, [-MONTHS if monthly else -DAYS * grid.step.per_day])[0]
    entries = [
        entry
        for entry in record.entries()
        if first <= pd.Timestamp(entry["issue_time"]) < grid.issue_time
        and entry.get("offences") == stamp
        and _forecaster(entry["model"]) == _forecaster(grid.model)
    ]
    issued, written = (
        pd.DatetimeIndex([one[key] for one in entries], tz="UTC") for key in ("issue_time", "written_at")
    )
    became = settle(cube, cube.step.since(cube.start, issued), grid.horizons)
    advance = choose(issued, written, grid.step, grid.horizons)[0]
    in_advance = bool(((advance == SCORED) & (became == SCORED)).any())
    if not in_advance:
        advance = choose(issued, issued, grid.step, grid.horizons)[0]
    never, least = never_shown(cube.categories, table.meta["offences"]), stages.config.delivery.smallest_count
    for at in np.flatnonzero((advance == SCORED) & (became == SCORED)).tolist():
        try:
            earlier = record.open(entries[at])
        except ArtefactError as error:
            stages.say(f"brief: {error}")
            continue
        alike = earlier.categories == grid.categories and earlier.horizons == grid.horizons
        if alike and (counts := counts_of(cube, earlier)) is not None:
            found.append(outcome(earlier, counts, never, least, in_advance))
    waiting = int(((advance == SCORED) & (became != SCORED)).sum())
    return lately(found, waiting, in_advance, grid.geometry.word, f"{MONTHS} months" if monthly else f"{DAYS} days")
