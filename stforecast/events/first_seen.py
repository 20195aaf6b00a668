"""The first-seen table: what the event table held after each ingest, and when each event was first in it.

    index.json               the segments, oldest first, with size and hash of every file; written last
    events-NNNNNN.parquet    one row a change: the columns of the event table, and
                             seen_at  when the ingest saw it
                             gone     whether the event was no longer there; then all but its id is null
                             rank     order among events that occurred at the same instant
    ingests-NNNNNN.parquet   one row an ingest that changed something: seen_at; base; settings, a fingerprint; facts,
                             what its ingest.json said, as JSON

No file is changed once it is written: a segment of fewer than SMALL rows is put together with the next changes under a
new number, so that a refresh every hour does not leave thousands of files.

`base`: when the new events of an ingest became known is not known. It is the first one, or one under other settings,
or one of which so many events are new that they are no day's reports.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stforecast.errors import ArtefactError, DataError
from stforecast.events.forgotten import KEYS, Forgotten, key_texts
from stforecast.events.row_changes import Difference, compare, first_rows, instants, newest_rows
from stforecast.events.schema import ARROW_SCHEMA, COLUMNS, REPEATED, EventTable, of_arrow
from stforecast.events.schema import SCHEMA as EVENTS_SCHEMA
from stforecast.files import atomic_path, fingerprint
from stforecast.instants import since_1970
from stforecast.sealed import Sealed, seal, unseal

SCHEMA, INDEX = 1, "index.json"
AGAIN = (
    "Restore the folder from a backup; or remove it: what the record held on past days is lost then, and is kept "
    "again from the next ingest on."
)
SMALL = 1 << 16
BULK = 0.1
"""Share of the events; more new ones at once are a backlog, a file of another year, or events with other ids."""
SEEN_AT = pa.field("seen_at", pa.timestamp("us", "UTC"))
CHANGES = pa.schema(
    [*ARROW_SCHEMA.remove_metadata(), SEEN_AT, pa.field("gone", pa.bool_()), pa.field("rank", pa.float64())]
)
INGESTS = pa.schema(
    [SEEN_AT, pa.field("base", pa.bool_()), pa.field("settings", pa.string()), pa.field("facts", pa.string())]
)
SHARED = (*REPEATED, "latitude", "longitude", "seen_at", "rank")
"""Columns with fewer values than rows."""
OF_EVENTS = ("schema", "events", "events_by_category", "first_event", "last_event", "notes")
"""Facts that are not kept: they follow from the events at hand, or may quote a report."""


@dataclass(frozen=True)
class FirstSeen:
    """An open table, empty where there is none yet.

    segments: their numbers, oldest first. files: their changes. ingests: those of all segments.
    """

    folder: Path
    segments: tuple[str, ...] = ()
    files: tuple[pa.NativeFile, ...] = ()
    ingests: pa.Table = field(default_factory=INGESTS.empty_table)

    @staticmethod
    def open(folder: Path) -> FirstSeen:
        """The table of a folder.

        Raises:
            ArtefactError: it is damaged.
        """
        # a writer that is killed before its first index leaves the first segment
        if not (folder / INDEX).is_file() and all("-000001." in path.name for path in folder.glob("*-*.parquet")):
            return FirstSeen(folder)

        def read(sealed: Sealed) -> FirstSeen:
            if sealed.facts["schema"] != SCHEMA:
                raise ArtefactError(f"{sealed.path}: not of schema version {SCHEMA}. {AGAIN}")
            names = tuple(sealed.facts["segments"])
            ingests = [pq.read_table(sealed.file(_ingests(name))) for name in names]
            # opened now: the next ingest may put them together with what is new
            files = tuple(pa.OSFile(str(sealed.file(_events(name)))) for name in names)
            return FirstSeen(folder, names, files, pa.concat_tables(ingests))

        return unseal(folder / INDEX, AGAIN, read)

    def column(self, name: str) -> pa.Array:
        """A column of all changes [r], oldest first."""
        return pa.concat_arrays([pa.array([], CHANGES.field(name).type), *(_column(file, name) for file in self.files)])

    @property
    def bases(self) -> np.ndarray:
        """When the ingests were whose new events may have been known long before, µs."""
        return instants(self.ingests.filter(self.ingests.column("base")).column("seen_at"))

    @property
    def observed_from(self) -> str:
        """The first ingest: from then on it is observed when an event becomes known."""
        return words(instants(self.ingests.column("seen_at"))[0])

    def as_of(self, time: pd.Timestamp) -> EventTable:
        """The event table as it stood at an instant, row for row: that of the last ingest until then.

        Args:
            time: with a time zone.

        Raises:
            DataError: nothing is remembered of that time.
        """
        now, ingested = since_1970(time), instants(self.ingests.column("seen_at"))
        which = int(np.searchsorted(ingested, now, "right")) - 1
        if which < 0:
            since = f"the first ingest was {words(ingested[0])}" if len(ingested) else "no ingest is remembered"
            raise DataError(f"{self.folder}: what the record held {words(now)} is not known: {since}.")
        seen = instants(self.column("seen_at"))
        first = first_rows(self.column("event_id")[: np.searchsorted(seen, now, "right")])
        rows = newest_rows(first)
        rows = rows[~np.asarray(self.column("gone"))[rows]]
        rank, occurred = (self.column(name).take(pa.array(rows)) for name in ("rank", "occurred_at"))
        rows = rows[np.lexsort((np.asarray(rank), instants(occurred)))]
        columns = {name: self.column(name).take(pa.array(rows)) for name in COLUMNS}
        frame = of_arrow(pa.table(columns).cast(ARROW_SCHEMA))
        return EventTable(frame, self._facts(frame, which, now), _sights(seen[first[rows]], self.bases))

    def _facts(self, frame: pd.DataFrame, which: int, now: int) -> dict[str, Any]:
        """What ingest.json said then, of the events at hand."""
        ingest = self.ingests.slice(which, 1).to_pylist()[0]
        facts, counts = json.loads(ingest["facts"]), frame["category"].value_counts()
        seen = since_1970(pd.Timestamp(ingest["seen_at"]))
        said = f"The record is that of {words(now)}, as it was ingested {words(seen)}."
        if ingest["settings"] != self.ingests.column("settings")[-1].as_py():
            said += " The settings of its source were others than now."
        return {
            **facts,
            "schema": EVENTS_SCHEMA,
            "stamp": fingerprint("as of", facts["stamp"], seen, len(frame)),
            "events": len(frame),
            "events_by_category": {name: int(counts.get(name, 0)) for name in facts["categories"]},
            "first_event": str(frame["occurred_at"].min()),
            "last_event": str(frame["occurred_at"].max()),
            "observed_from": self.observed_from,
            "notes": [],
            "doubts": [*facts["doubts"], said],
        }


@dataclass(frozen=True)
class Sight:
    """What an ingest saw. first_seen: of each event; null where that is not known. note: what is new, for the user."""

    first_seen: pd.Series
    observed_from: str
    note: str


def append(folder: Path, events: Path, facts: Mapping[str, Any], settings: str, now: pd.Timestamp) -> Sight:
    """Take in the events of an ingest: what differs from those of the one before.

    Args:
        folder: of the table; made where it is not there.
        events: the event table, Parquet.
        facts: of its ingest.json.
        settings: a fingerprint of what decides what becomes of a publisher's row.
        now: when the events were seen, with a time zone.

    Raises:
        ArtefactError: the table is damaged.
    """
    table = FirstSeen.open(folder)
    _sweep(table)
    before = instants(table.ingests.column("seen_at"))
    last, seen_at = before[-1] if len(before) else None, since_1970(now)
    if last is not None:
        seen_at = max(seen_at, int(last) + 1)  # a clock that was set back does not mix up the order
    with pa.OSFile(str(events)) as file:
        found = compare(table.column, lambda name: _column(file, name))
        seen = np.append(instants(table.column("seen_at")), seen_at)
        when = seen[np.minimum(found.first, len(seen) - 1)]
        bulk = (when == seen_at).sum() > BULK * len(when)
        other = last is not None and table.ingests.column("settings")[-1].as_py() != settings
        base = last is None or other or bool(bulk)
        if len(found.rows) or len(found.lost) or other:
            kept = {key: value for key, value in facts.items() if key not in OF_EVENTS}
            ingest = {"seen_at": seen_at, "base": base, "settings": settings, "facts": json.dumps(kept, default=str)}
            changes = [_standing(file, found, seen_at), _lost(table, found, seen_at)]
            _grow(table, pa.concat_tables(changes), pa.table({key: [ingest[key]] for key in ingest}).cast(INGESTS))
    bases = np.append(table.bases, np.array([seen_at] if base else [], np.int64))
    note = "" if last is None else _note(found, words(last), seen_at, since_1970(now), other, bool(bulk))
    return Sight(_sights(when, bases), words(seen_at) if last is None else table.observed_from, note)


def erase(folder: Path, forgotten: Forgotten) -> int:
    """Remove every change of the events that are on a list, from all segments in one step; how many there were.

    Raises:
        ArtefactError: the table is damaged.
    """
    table = FirstSeen.open(folder)
    _sweep(table)  # what a killed writer left may hold them
    first = first_rows(table.column("event_id"))
    listed = np.zeros(len(first), bool)
    for name in KEYS:
        texts = key_texts(table.column(name).fill_null("").to_pylist())
        listed |= np.array([forgotten.has(text, [name]) for text in texts], bool)
    gone = np.isin(first, first[listed])  # of an event that vanished its id alone is kept
    if not gone.any():
        return 0
    begin, names = 0, list[str]()
    for name, file in zip(table.segments, table.files, strict=True):
        changes = pq.read_table(file)
        mine = gone[begin : begin + len(changes)]
        begin += len(changes)
        if mine.any():
            ingests = pq.read_table(folder / _ingests(name))
            name = _write(folder, max([*table.segments, *names]), changes.filter(pa.array(~mine)), ingests)
        names.append(name)
    _put(table, names)
    return int(gone.sum())


def words(instant: int) -> str:
    """An instant (µs since 1970) for the user."""
    return f"{pd.Timestamp(instant, unit='us'):%Y-%m-%d %H:%M} UTC"


def _note(found: Difference, last: str, seen_at: int, now: int, other: bool, bulk: bool) -> str:
    counts = {"new": found.added, "changed": found.changed, "gone": len(found.lost)}
    text = f"since the ingest of {last}: " + ", ".join(f"{count:,} {what}" for what, count in counts.items())
    if other:
        return f"{text}; the settings are others too, so that this is not the publisher's alone"
    if bulk:
        return f"{text}; so many new ones are no day's reports: when they became known is not known"
    if seen_at > now + 1:
        return f"{text}; the clock stands before that ingest, and they count as seen right after it"
    return text if any(counts.values()) else ""


def _sights(when: np.ndarray, bases: np.ndarray) -> pd.Series:
    """Times of first sight [e] (µs), null where they are those of a base."""
    return pd.Series(pd.DatetimeIndex(when.view("datetime64[us]"), tz="UTC")).mask(np.isin(when, bases))


def _standing(file: pa.NativeFile, found: Difference, seen_at: int) -> pa.Table:
    """The changes of events that are in the new table."""
    rows = pa.array(found.rows)
    columns = {name: _column(file, name).take(rows) for name in COLUMNS}
    return _changes({**columns, "rank": pa.array(found.rank[found.rows])}, len(rows), seen_at, gone=False)


def _lost(table: FirstSeen, found: Difference, seen_at: int) -> pa.Table:
    """The changes of events that are no longer there."""
    ids = table.column("event_id").take(pa.array(found.lost))
    return _changes({"event_id": ids}, len(ids), seen_at, gone=True)


def _changes(columns: Mapping[str, pa.Array], count: int, seen_at: int, gone: bool) -> pa.Table:
    same = {"seen_at": pa.repeat(pa.scalar(seen_at, SEEN_AT.type), count), "gone": pa.repeat(gone, count)}
    columns = {**columns, **same}
    return pa.table({one.name: columns.get(one.name, pa.nulls(count, one.type)) for one in CHANGES}).cast(CHANGES)


def _grow(table: FirstSeen, changes: pa.Table, ingest: pa.Table) -> None:
    """Append changes of one ingest."""
    names, ingests = [*table.segments], [ingest]
    if names and pq.read_metadata(table.files[-1]).num_rows < SMALL:
        changes = pa.concat_tables([pq.read_table(table.files[-1]), changes])
        ingests = [pq.read_table(table.folder / _ingests(names.pop())), ingest]
    name = _write(table.folder, max(table.segments, default="0"), changes, pa.concat_tables(ingests))
    _put(table, [*names, name])


def _write(folder: Path, newest: str, changes: pa.Table, ingests: pa.Table) -> str:
    """Write a segment under the number after that of the newest; its number."""
    name = f"{int(newest) + 1:06d}"
    for path, rows in ((folder / _events(name), changes), (folder / _ingests(name), ingests)):
        shared = [column for column in SHARED if column in rows.column_names]
        with atomic_path(path) as temporary:
            pq.write_table(rows, temporary, compression="zstd", compression_level=9, use_dictionary=shared)
    return name


def _put(table: FirstSeen, names: Sequence[str]) -> None:
    """Put segments in the place of those of an open table."""
    files = [table.folder / file for name in names for file in (_events(name), _ingests(name))]
    seal(table.folder / INDEX, {"schema": SCHEMA, "segments": names}, files)
    _sweep(FirstSeen(table.folder, tuple(names)))


def _sweep(table: FirstSeen) -> None:
    """Remove segments that the index does not name."""
    named = {file for name in table.segments for file in (_events(name), _ingests(name))}
    for path in table.folder.glob("*-*.parquet"):
        if path.name not in named:
            path.unlink()


def _column(file: pa.NativeFile, name: str) -> pa.Array:
    return pq.read_table(file, columns=[name]).column(0).combine_chunks()


def _events(name: str) -> str:
    return f"events-{name}.parquet"


def _ingests(name: str) -> str:
    return f"ingests-{name}.parquet"
