"""A refresh: take in what is new, forecast from the newest run, put the grid into the store. Never trains.

One at a time. Until the new grid is in the store, whole, the service answers from the old one; a refresh that fails
says so there.
"""

from __future__ import annotations

import shutil
from contextlib import closing, suppress
from typing import Any

import pandas as pd

from stforecast.config.workspace import database
from stforecast.cube import Cube
from stforecast.delivery.export import check_grid, open_comparison, open_why
from stforecast.delivery.store import Store
from stforecast.delivery.usual import usual_cycle
from stforecast.errors import ArtefactError, StforecastError
from stforecast.events.schema import EventTable
from stforecast.files import fingerprint, read_json
from stforecast.forecasters.base import Forecaster
from stforecast.pipeline.fetching import fetch_first
from stforecast.pipeline.grids import last_issue
from stforecast.pipeline.preparation import Say, one_writer
from stforecast.pipeline.residents import residents
from stforecast.pipeline.run import Run
from stforecast.pipeline.stages import Stages
from stforecast.pipeline.weather import fetch_weather_first

SHOWN = ("average_precision", "roc_auc", "log_loss", "poisson_deviance", "calibration_slope", "hit_rate_5", "coverage")
"""What the service tells of a scorecard."""


@one_writer
def refresh(stages: Stages, now: pd.Timestamp | None = None) -> int:
    """The id of the grid that is current afterwards: a new one, or the one that was there where nothing is new.

    Raises:
        BusyError: another refresh of the city is at work.
        StforecastError: as the stages say; the store keeps the reason.
    """
    now = now or pd.Timestamp.now("UTC")
    with closing(Store(database(stages.config), stages.config.city)) as store:
        try:
            store.note(attempted=now)
            return _refresh(stages, store, now)
        except BaseException as error:
            known = isinstance(error, StforecastError)
            store.note(error=str(error) if known else f"{type(error).__name__}, see its log")
            raise


def _refresh(stages: Stages, store: Store, now: pd.Timestamp) -> int:
    run = Run(stages.place.latest())
    fetch_first(stages)
    table = stages.ingest(replace_damaged=True)
    fetch_weather_first(stages, table)
    cube = stages.newest(run, table)
    issue_time = newest_issue(cube, now)
    trained = (run.folder / "run.json").stat().st_mtime_ns
    asked = stages.config.delivery.model_dump()
    made_from = fingerprint(stages.gold_stamp(table), run.name, trained, str(issue_time), asked)
    with stages.place.lock("forecast"):
        if (current := store.state().current) is not None:
            with suppress(ArtefactError):  # a damaged grid is replaced
                if store.open(current).facts.get("made_from") == made_from:
                    check_grid(stages.place.grid(issue_time))
                    store.note(succeeded=now, error=None)
                    stages.say(f"refresh: nothing is new since grid {current}")
                    return current
        fitted = run.open(run.facts()["forecasters"][0], stages.config)
        (grid,) = stages.grids(run, fitted, table, cube, [issue_time])
        climatology = run.climatology(cube, stages.config)
        usual = usual_cycle(cube, cube.step_of(issue_time), climatology, run.states(stages.say))
        facts = {
            "made_from": made_from,
            "record": record_facts(table, cube),
            "run": run_facts(run, fitted, stages.say),
            "comparison": open_comparison(stages.place.grid(issue_time)),
            "why": open_why(stages.place.grid(issue_time)),
            "residents": residents(stages.config, grid, lambda: cube, stages.say).to_dict(),
        }
        made = store.put(grid, usual, facts, pd.Timestamp.now("UTC"))
        stages.say(f"refresh: grid {made}, issued {issue_time}, is current in {store.name}")
        kept = issue_time - pd.Timedelta(days=stages.config.service.keep_days)
        last = grid.step.times(issue_time, [-grid.horizons])[0]  # of months longer ago
        for old in store.retire(min(kept, last)):
            shutil.rmtree(stages.place.grid(old), ignore_errors=True)
    return made


def newest_issue(cube: Cube, now: pd.Timestamp) -> pd.Timestamp:
    """When the step of now began, if a forecast may be issued then; else the end of the record."""
    step = int(cube.step.since(cube.start, [now])[0])
    return cube.time_of(step if cube.steps <= step <= last_issue(cube) else cube.steps)


def record_facts(table: EventTable, cube: Cube) -> dict[str, Any]:
    """What the service tells of the record: counts of the ingest, and how late reports come."""
    meta, frame = table.meta, table.frame
    keys = ("ingested_at", "rows_read", "events", "events_by_category", "rejected", "left_out", "corrected")
    newest = frame[frame["occurred_at"] >= frame["occurred_at"].max() - pd.Timedelta(days=365)]
    hours = (newest["reported_at"] - newest["occurred_at"]).dropna().dt.total_seconds() / 3600
    lag = {"median_hours": hours.median(), "p90_hours": hours.quantile(0.9), "reports": len(hours)}
    return {
        "until": cube.end.isoformat(),
        "known_time": cube.notes.get("known_time"),
        "last_event": meta["last_event"][:10],  # the day: to the second it would be that of a single report
        **{key: meta[key] for key in keys},
        "sources": [source["file"] for source in meta["sources"]],
        "reporting_lag": lag if len(hours) else None,
    }


def run_facts(run: Run, fitted: Forecaster, say: Say) -> dict[str, Any]:
    """What the service tells of the run behind a grid: its slices, calibration and scores."""
    facts, path, card = run.facts(), run.folder / "scorecard.json", None
    try:
        card = read_json(path, "Run `stforecast evaluate` again.") if path.is_file() else None
    except ArtefactError as error:
        say(f"refresh: without scores: {error}")
    return {
        "name": run.name,
        "forecaster": fitted.name,
        "train_until": facts["train_until"],
        "validation_until": facts["validation_until"],
        "categories": facts["categories"],
        "calibration": fitted.fitted.calibration.to_dict(),
        "scorecard": card
        and {
            "slice": card["slice"],
            "test": card["split"]["test"],
            "unfair": card.get("unfair", {}),
            "forecasters": {
                name: {key: scores[key] for key in SHOWN if scores.get(key) is not None}
                for name, scores in card["forecasters"].items()
            },
        },
    }
