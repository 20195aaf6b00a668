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
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stforecast.errors import ArtefactError, DataError
from stforecast.events.row_changes import first_rows, instants, newest_rows
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
SEEN_AT = pa.field("seen_at", pa.timestamp("us", "UTC"))
CHANGES = pa.schema(
    [*ARROW_SCHEMA.remove_metadata(), SEEN_AT, pa.field("gone", pa.bool_()), pa.field("rank", pa.float64())]
)
INGESTS = pa.schema(
    [SEEN_AT, pa.field("base", pa.bool_()), pa.field("settings", pa.string()), pa.field("facts", pa.string())]
)
SHARED = (*REPEATED, "latitude", "longitude", "seen_at", "rank")
"""Columns with fewer values than rows."""


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
        return pa.concat_arrays(
            [pa.array([], CHANGES.field(name).type), *(read_column(file, name) for file in self.files)]
        )

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
        return EventTable(frame, self._facts(frame, which, now), sights(seen[first[rows]], self.bases))

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

    def grow(self, changes: pa.Table, ingest: pa.Table) -> None:
        """Append the changes of one ingest."""
        names, ingests = [*self.segments], [ingest]
        if names and pq.read_metadata(self.files[-1]).num_rows < SMALL:
            changes = pa.concat_tables([pq.read_table(self.files[-1]), changes])
            ingests = [pq.read_table(self.folder / _ingests(names.pop())), ingest]
        name = self._write(max(self.segments, default="0"), changes, pa.concat_tables(ingests))
        self._put([*names, name])

    def without(self, rows: np.ndarray) -> None:
        """Remove some of the changes, a mask [r], from all segments in one step."""
        begin, names = 0, list[str]()
        for name, file in zip(self.segments, self.files, strict=True):
            changes = pq.read_table(file)
            mine = rows[begin : begin + len(changes)]
            begin += len(changes)
            if mine.any():
                ingests = pq.read_table(self.folder / _ingests(name))
                name = self._write(max([*self.segments, *names]), changes.filter(pa.array(~mine)), ingests)
            names.append(name)
        self._put(names)

    def sweep(self) -> None:
        """Remove the segments that the index does not name: those that were put together, or a killed writer left."""
        named = {file for name in self.segments for file in (_events(name), _ingests(name))}
        for path in self.folder.glob("*-*.parquet"):
            if path.name not in named:
                path.unlink()

    def _write(self, newest: str, changes: pa.Table, ingests: pa.Table) -> str:
        """Write a segment under the number after the newest one; its number."""
        name = f"{int(newest) + 1:06d}"
        for file, rows in ((_events(name), changes), (_ingests(name), ingests)):
            shared = [column for column in SHARED if column in rows.column_names]
            with atomic_path(self.folder / file) as temporary:
                pq.write_table(rows, temporary, compression="zstd", compression_level=9, use_dictionary=shared)
        return name

    def _put(self, names: Sequence[str]) -> None:
        files = [self.folder / file for name in names for file in (_events(name), _ingests(name))]
        seal(self.folder / INDEX, {"schema": SCHEMA, "segments": names}, files)
        FirstSeen(self.folder, tuple(names)).sweep()


def words(instant: int) -> str:
    """An instant (µs since 1970) for the user."""
    return f"{pd.Timestamp(instant, unit='us'):%Y-%m-%d %H:%M} UTC"


def sights(when: np.ndarray, bases: np.ndarray) -> pd.Series:
    """Times of first sight [e] (µs), null where they are those of a base."""
    return pd.Series(pd.DatetimeIndex(when.view("datetime64[us]"), tz="UTC")).mask(np.isin(when, bases))


def read_column(file: pa.NativeFile, name: str) -> pa.Array:
    """A column of an open Parquet file."""
    return pq.read_table(file, columns=[name]).column(0).combine_chunks()


def _events(name: str) -> str:
    return f"events-{name}.parquet"


def _ingests(name: str) -> str:
    return f"ingests-{name}.parquet"
