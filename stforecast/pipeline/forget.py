"""Erasure: reports are removed wherever a city keeps them, and stay away.

The deny list is written first, and all else is made again from what is left. A kill at any moment is mended by the same
command: what was done is found done, and the rest is done.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from contextlib import closing, suppress
from typing import Any

import pandas as pd

from stforecast.config.workspace import database
from stforecast.delivery.export import open_grid
from stforecast.errors import ArtefactError, ConfigError, DataError
from stforecast.events.erase import erase, ids_in
from stforecast.events.forgotten import KEYS, Forgotten, key_texts
from stforecast.events.ingest import source_files
from stforecast.events.sightings import erase as erase_seen
from stforecast.events.sources import resolve
from stforecast.files import read_json
from stforecast.pipeline.stages import Stages
from stforecast.sources.pulls import rewriting

DERIVED = ("*/state", "*/predictions", "*/report", "*/backtest/*/*/state", "*/backtest/*/*/predictions")
"""Folders of runs that were made from the record and can be made from what is left of it."""


def forget(stages: Stages, ids: Sequence[str]) -> None:
    """Erase reports.

    Args:
        stages: of the city.
        ids: of rows or of incidents with all their rows, as the publisher wrote them.

    Raises:
        ConfigError: the record has no ids, or there is a lake that the configuration does not name.
        DataError: a file cannot be rewritten, or ids were never in the record; all else is done by then.
        BusyError: another process works at a stage that writes what is to be erased; nothing is done.
    """
    with stages.only_writer():
        _forget(stages, ids)


def _forget(stages: Stages, ids: Sequence[str]) -> None:
    place, source = stages.place, resolve(stages.config.source)
    if not (source.columns.event_id or source.columns.incident_id):
        raise ConfigError(
            "source.columns.event_id: not given, so that no report can be named. Name the publisher's column of ids "
            "there; if there is none, remove the row from the publisher's file and run `stforecast refresh`."
        )
    if place.lake.exists() and not stages.config.lake:
        raise ConfigError(
            f"lake: not set, and {place.lake} may hold what is to be erased. Set it as it was, or remove the folder "
            "with all its past."
        )
    wanted, known = {text for text in key_texts(list(ids)) if text}, Forgotten.open(place.forgotten)
    new = {text for text in wanted if not known.has(text)}
    found, incidents = ids_in(source_files(stages.config, place.bronze), source, new)
    # an id is an incident's where it is no row's: keys of rows and of incidents may be the same numbers
    fields = {text: KEYS[:1] if KEYS[0] in found.get(text, ()) else found.get(text) or KEYS for text in new}
    known.with_ids(fields).write(place.forgotten)
    _say(stages, f"{len(found)} of {len(wanted)} ids are in the record, {len(wanted - new)} were erased before")
    stubborn = _rewrite(stages)
    _renew(stages, incidents - wanted)
    for line in remaining(stages):
        _say(stages, line)
    if stubborn:
        raise DataError(
            f"{', '.join(stubborn)}: not text or Parquet, not rewritten. Replace it by one without the rows."
        )
    if missing := sorted(new - found.keys()):
        raise DataError(f"{', '.join(missing)}: in no file of the record, and on the deny list all the same. Check it.")


def remaining(stages: Stages) -> list[str]:
    """What still holds something of erased reports, in sentences."""
    lines, now = [], stages.gold_stamp()
    for folder in sorted(path.parent for path in stages.place.runs.glob("*/config.yaml")):
        facts: dict[str, Any] = {}
        with suppress(ArtefactError):  # of an older version, damaged or unfinished
            facts = read_json(folder / "run.json")
        if facts.get("made_from") != now:
            until = facts.get("validation_until", "a time that it does not say")
            lines.append(
                f"run {folder.name} has learned from what was known until {until}, and cannot unlearn a report in it: "
                f"train again, then remove {folder}"
            )
    return [
        *lines,
        "runs of other cities that name this one in training.cities, all that started from a run that has learned from "
        "it, and weights that were pretrained on it, have learned from it too",
        "forecasts that were written or published stay: expected numbers, each from the record of its time",
        "what left these folders stays as it is: the publisher's files, backups, maps and pages that were sent on",
    ]


def _say(stages: Stages, line: str) -> None:
    stages.say(f"forget: {line}")


def _rewrite(stages: Stages) -> list[str]:
    """Rewrite the files in bronze without what is on the deny list; those that cannot be."""
    place, stubborn = stages.place, []
    source, forgotten = resolve(stages.config.source), Forgotten.open(place.forgotten)
    with stages.rewriting_bronze():
        for path in source_files(stages.config, place.bronze):
            own = path.resolve().is_relative_to(place.bronze.resolve())
            with rewriting(path):
                rows, done = erase(path, source, forgotten, rewrite=own)
            if rows and done:
                _say(stages, f"{path}: rewritten without {rows} rows")
            elif rows and own:
                stubborn.append(f"{path}, {rows} rows")
            elif rows:
                _say(stages, f"{path}: the publisher's, not touched; ingest passes over {rows} rows")
    return stubborn


def _renew(stages: Stages, incidents: Collection[str]) -> None:
    """Make again what is made from the record; say whether events of the same incidents stay."""
    config, place = stages.config, stages.place
    derived = [path for pattern in DERIVED for path in place.runs.glob(pattern)]
    for folder in [place.partitions, place.analysis, *derived]:
        if folder.exists():  # what cannot be removed is an error: it may hold what is to be erased
            shutil.rmtree(folder.resolve())
        if folder.is_symlink():
            folder.unlink()
    place.refused.unlink(missing_ok=True)
    _say(stages, "kept states, predictions of the test slice and the pages of report and analyse are removed")
    if changes := erase_seen(place.seen, Forgotten.open(place.forgotten)):
        _say(stages, f"{place.seen}: rewritten without {changes} rows, so that no past day is replayed with them")
    table = stages.ingest(replace_damaged=True)
    stages.build(replace_damaged=True)
    if config.lake:
        stages.lake().erase_past()
    for path in place.grids.glob("[0-9]*Z/map.html"):
        if '"reported":null' not in path.read_text(encoding="utf-8"):
            stages.map(open_grid(path.parent).issue_time)
    if place.pointer.is_file() and (config.service.database or place.store.is_file()):
        from stforecast.delivery.store import Store  # of an extra, which those who serve have
        from stforecast.pipeline.refresh import refresh

        refresh(stages)
        with closing(Store(database(config), config.city)) as store:
            store.retire(pd.Timestamp.max.floor("D").tz_localize("UTC"))
            store.compact()
    if others := int(table.columns(KEYS)[KEYS[1]].isin(incidents).sum()):
        _say(stages, f"{others} other events of the same incidents stay; to erase them too, name the incidents")
