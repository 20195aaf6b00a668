"""`stforecast verify`: every file of a city that the package reads back, held against what was written."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from stforecast.config.workspace import Workspace, database
from stforecast.delivery.export import FACTS
from stforecast.errors import ArtefactError
from stforecast.events.first_seen import FirstSeen
from stforecast.events.forgotten import Forgotten
from stforecast.events.schema import INGESTED, EventTable
from stforecast.files import UNFINISHED, read_json
from stforecast.forecasters.base import CALIBRATION
from stforecast.pipeline.backtesting import backtest
from stforecast.pipeline.preparation import SIMULATE_AGAIN, SIMULATED
from stforecast.pipeline.run import Run
from stforecast.pipeline.stages import Stages
from stforecast.sealed import Sealed, unseal
from stforecast.sources.pulls import FETCHED, MANIFEST
from stforecast.sources.pulls import check as check_pulls


@dataclass(frozen=True)
class Artefact:
    """What is checked, and removed as a whole where it is damaged. check: raises an ArtefactError."""

    path: Path
    check: Callable[[], Any]


def verify(stages: Stages, repair: bool = False) -> None:
    """Check the files of a city; with `repair`, make again what is damaged and follows from what is whole.

    Raises:
        ArtefactError: some are damaged, or cannot be made again.
        BusyError: another process works at a stage of the city; nothing is made again.
    """
    damaged = list(_damaged(stages))
    if damaged and repair:
        with stages.only_writer():
            _make_again(stages, damaged)
        damaged = list(_damaged(stages))
    if damaged:
        todo = "Correct what is said above" if repair else "Run `stforecast verify` with --repair"
        raise ArtefactError(f"{stages.config.city}: {len(damaged)} damaged, see above. {todo}.")
    stages.say(f"verify: all files of {stages.config.city} are whole")


def _damaged(stages: Stages) -> Iterator[Artefact]:
    for artefact in tqdm(list(_artefacts(stages)), desc="verify", disable=None):
        try:
            artefact.check()
        except ArtefactError as error:
            stages.say(f"verify: {error}")
            yield artefact


def _artefacts(stages: Stages) -> Iterator[Artefact]:
    place, again = stages.place, "Run `stforecast {}` again."
    ingest, build, forecast = (again.format(verb) for verb in ("ingest", "build", "forecast"))
    trained = place.pointer.exists() or any(place.runs.glob("*/run.json"))
    built = trained or place.gold.exists()
    for folder, facts, remedy, needed in (  # what a later stage was made from must be there
        (place.silver, INGESTED, ingest, built),
        (place.gold, "cube.json", build, trained),
        *((path, "partition.json", ingest, True) for path in _within(place.partitions)),
        *((path, FACTS, forecast, True) for path in _within(place.grids)),
    ):
        if needed or folder.exists():
            yield _sealed(folder, facts, remedy)
    if place.seen.exists():
        yield Artefact(place.seen, partial(FirstSeen.open, place.seen))
    for path in sorted((place.bronze / FETCHED).glob(f"*/{MANIFEST}")):
        yield Artefact(path.parent, partial(check_pulls, path.parent))
    for path in sorted(place.runs.rglob("*.json")):
        if not any(part.startswith(UNFINISHED) for part in path.parts):
            yield from _of_run(path)
    if (place.bronze / SIMULATED).is_file():
        yield Artefact(place.bronze / SIMULATED, partial(read_json, place.bronze / SIMULATED, SIMULATE_AGAIN))
    if stages.config.lake:
        yield Artefact(place.lake, partial(_check_lake, stages))
    if place.forgotten.is_file():
        yield Artefact(place.forgotten, partial(Forgotten.open, place.forgotten))
    if trained:
        yield Artefact(place.pointer, partial(_check_latest, place))
    if stages.config.service.database or place.store.is_file():
        yield Artefact(place.store, partial(_check_store, stages))


def _of_run(path: Path) -> Iterator[Artefact]:
    """What a JSON below the folder of runs speaks for."""
    again = {CALIBRATION: "train", "run.json": "train", "backtest.json": "backtest"}.get(path.name, "evaluate")
    remedy = f"Run `stforecast {again}` again; remove its run where that is of other settings or an older version."
    if path.name in (CALIBRATION, "predictions.json"):
        yield _sealed(path.parent, path.name, remedy)
    elif path.name == "run.json":
        yield Artefact(path, partial(unseal, path, remedy, Sealed.check))
        with suppress(ArtefactError):  # said just now
            for name in read_json(path)["forecasters"]:
                if not (path.parent / name / CALIBRATION).is_file():
                    yield _sealed(path.parent / name, CALIBRATION, remedy)
    elif path.name in ("scorecard.json", "backtest.json"):
        yield Artefact(path, partial(read_json, path, remedy))


def _within(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir() and not path.name.startswith(UNFINISHED))


def _sealed(folder: Path, facts: str, remedy: str) -> Artefact:
    return Artefact(folder, partial(unseal, folder / facts, remedy, Sealed.check))


def _check_latest(place: Workspace) -> None:
    if not Run(place.latest()).finished:
        raise ArtefactError(f"{place.latest()}: run.json is absent. Run `stforecast train` to go on with it.")


def _check_lake(stages: Stages) -> None:
    stages.lake().check(EventTable.open(stages.place.silver))


def _check_store(stages: Stages) -> None:
    from stforecast.delivery.store import Store  # of an extra, which those who serve have

    with closing(Store(database(stages.config), stages.config.city)) as store:
        for number in store.numbers():
            store.open(number)
        store.state()


def _make_again(stages: Stages, damaged: list[Artefact]) -> None:
    """Remove what is damaged, and run the stages that make it; a run of other settings is left to the user."""
    place, paths = stages.place, [artefact.path for artefact in damaged]
    in_store = place.store in paths
    for path in paths:
        if path in (place.silver, place.gold) or path.parent in (place.partitions, place.grids):
            _remove(path)
    if place.lake in paths:
        _remove(place.lake_updated)  # then ingest compares
    stages.ingest(replace_damaged=True)
    stages.build(replace_damaged=True)
    run = stages.run().folder
    mine = [path.relative_to(run).parts for path in paths if path.is_relative_to(run)]
    scored = bool(mine) and (run / "predictions").is_dir()
    for parts in mine:
        _remove(run.joinpath(*parts))
    if any(parts[0] == "predictions" for parts in mine):
        _remove(run / "scorecard.json")
    if mine or place.pointer in paths:
        if place.pointer.is_dir():
            _remove(place.pointer)
        stages.train()
    if scored:
        stages.evaluate()
    if any(parts[0] == "backtest" for parts in mine):
        backtest(stages)
    if times := [pd.Timestamp(path.name) for path in paths if path.parent == place.grids]:
        stages.forecast(sorted(times))
    if in_store:
        if not stages.config.service.database:
            for ending in ("", "-wal", "-shm"):
                _remove(place.store.with_name(place.store.name + ending))
        from stforecast.pipeline.refresh import refresh

        refresh(stages)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
