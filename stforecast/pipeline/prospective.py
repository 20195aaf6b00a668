"""The stages behind `stforecast prospective`: whether the record is whole, and how its forecasts did."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stforecast.cube.build import build
from stforecast.delivery.export import open_grid
from stforecast.delivery.prospective import RESTORE, Findings, Record
from stforecast.delivery.riskgrid import iso
from stforecast.errors import ArtefactError
from stforecast.evaluation.prospective import SCORED, by_month, choose, settle
from stforecast.events.schema import EventTable
from stforecast.features.delay import windows
from stforecast.files import write_json
from stforecast.pipeline.stages import Stages
from stforecast.reports.page import check_libraries, write_page
from stforecast.reports.prospective import page_of

OTHER, OTHER_STEP = "of other offences", "of other steps"
"""What becomes of a forecast whose categories, or whose steps, are not those of the configuration."""


def verify(stages: Stages) -> str:
    """Say what is wrong with the record and the written grids that it must hold; the hash of its last line else.

    Raises:
        ArtefactError: there is no record, or it is not as it was written.
    """
    written = sorted(stages.place.grids.glob("[0-9]*Z/grid.json"))  # before the record is read: all of them are on it
    record = Record(stages.place.prospective)
    found = _check(stages, record)
    began = min((pd.Timestamp(entry["written_at"]).timestamp() for entry in found.entries), default=0.0)
    for path in (path for path in written if path.exists() and path.stat().st_mtime >= began):
        grid = open_grid(path.parent)
        key = iso(grid.issue_time), grid.model
        same = [record.open(entry) for entry in found.entries if (entry["issue_time"], entry["model"]) == key]
        if not any(np.array_equal(one.intensity, grid.intensity) for one in same):
            found.faults.append(f"{path.parent}: this grid, or its line, was changed or removed. {RESTORE}")
            stages.say(f"prospective: {found.faults[-1]}")
    if found.faults:
        raise ArtefactError(f"faults of the record: {len(found.faults)}; the first: {found.faults[0]}")
    return found.last


def score(stages: Stages) -> Path:
    """Score what was forecast in advance and is settled; the page, with `scores.json` beside it.

    Raises:
        ArtefactError: there is no record.
    """
    check_libraries()
    record, models = Record(stages.place.prospective), dict[str, Any]()
    found, table = _check(stages, record), stages.ingest()
    for model in dict.fromkeys(entry["model"] for entry in found.entries):
        models[model] = _score(stages, record, [entry for entry in found.entries if entry["model"] == model], table)
        counted = ", ".join(f"{count} {what}" for what, count in models[model]["counted"].items())
        stages.say(f"prospective: {model}: {counted}")
    result = {"city": stages.config.city, "faults": found.faults, "last": found.last, "models": models}
    path = write_page(
        page_of(result, stages.simulated(), stages.config.grid.word),
        stages.place.prospective.with_name("prospective_scores"),
    )
    write_json(path.with_name("scores.json"), result)
    return path


def _check(stages: Stages, record: Record) -> Findings:
    """What is in the record, said."""
    found = record.check()
    for line in found.faults:
        stages.say(f"prospective: {line}")
    if found.torn:
        stages.say("prospective: a writer was killed in its last line; the next forecast removes what is left of it")
    stages.say(f"prospective: forecasts as they were written: {len(found.entries)}; last hash {found.last}")
    return found


def _score(stages: Stages, record: Record, entries: list[dict[str, Any]], table: EventTable) -> dict[str, Any]:
    """What became of the forecasts of a model, and the scores of those that count."""
    if entries[0].get("offences") != stages.offences_stamp():
        return {"counted": {OTHER: len(entries)}}
    first = record.open(entries[0])
    if first.step_unit != stages.config.time.step:
        stages.say(
            f"prospective: {first.model}: its steps are {first.step_unit}s, not {stages.config.time.step}s; set "
            f"time.step={first.step_unit} to score it"
        )
        return {"counted": {OTHER_STEP: len(entries)}}
    steps = first.horizons
    issued, written = (pd.DatetimeIndex([entry[key] for entry in entries]) for key in ("issue_time", "written_at"))
    became, skipped = choose(issued, written, first.step, steps)
    cells = {} if first.polygons is not None else {"cells": "h3", "resolution": first.geometry.resolution}
    grid = stages.config.grid.model_copy(update=cells)
    config = stages.config.model_copy(update={"grid": grid, "weather": type(stages.config.weather)()})
    cube = build(table, config, first.hexagons.tolist())  # for its counts alone
    left = np.flatnonzero(became == SCORED)
    became[left] = settle(cube, cube.steps_of(issued[left]), steps)
    rows = [i for i in np.argsort(issued, kind="stable") if became[i] == SCORED]
    out: dict[str, Any] = {
        "counted": dict(Counter(became.tolist())),
        "steps": [skipped + 1, steps],
        "step": first.step_unit,
    }
    if not rows:
        return out
    grids, issues = [record.open(entries[i]) for i in rows], cube.steps_of(issued[rows])
    dense = cube.dense(int(issues[0]), int(issues[-1]) + steps).numpy().astype(np.uint16)

    def stacked(name: str) -> np.ndarray:
        """λ [m k n c]: hexagons of grids and cubes are in the order of their ids, categories in that of the stamp."""
        each = [grid.leaves(getattr(grid, name))[skipped:] for grid in grids]
        return np.stack(each).transpose(0, 1, 3, 2)

    return out | by_month(
        entries[0]["forecaster"],
        stacked("intensity"),
        stacked("usual"),
        windows(dense, issues - issues[0], steps)[:, skipped:],
        issued[rows].tz_convert(cube.time_zone).strftime("%Y-%m").tolist(),
        cube.hexagons["area_km2"].to_numpy(float),
        config.evaluation.patrol_area_km2,
        config.seed,
        cube.step_unit,
    )
