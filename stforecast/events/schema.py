"""The event table (silver): one row an event, that is one incident of one category.

    column          dtype                  meaning
    event_id        str                    the publisher's key, else a hash of the row (and its occurrence number)
    incident_id     str, null              incident that several rows may share
    occurred_at     datetime64[us, UTC]    (start of the) occurrence
    occurred_until  datetime64[us, UTC]    end of the span where the publisher gives one; never before occurred_at
    reported_at     datetime64[us, UTC]    when the report became known; never before occurred_at; null where unknown
    latitude        float64, null          degrees; null where the area alone tells the place
    longitude       float64, null          degrees
    area            str, null              the publisher's own code of an area
    offence         str                    the publisher's own type
    category        str                    the configuration's group
    district        str, null              police district
    arrest          boolean, null          whether an arrest was made

Rows are sorted by occurred_at, ties in reading order. On disk, a folder that is replaced as a whole: `events.parquet`
(this table), `first_seen.parquet` (first_seen_at of each row, see `events.first_seen`; null where it is not known),
`rejects.parquet` (one row a refused row: file, line, reason, value) and `ingest.json` (counts, source hashes, stamp,
`due`, the µs since 1970 at which rows that told of the future may be events, and the hashes of the others).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stforecast.errors import ArtefactError
from stforecast.events.parsing.timestamps import Precision
from stforecast.files import atomic_path
from stforecast.sealed import FILES, Sealed, seal, unseal

SCHEMA = 3
TEXT = pd.Series(["text"]).dtype  # object before pandas 3, str from there on
UTC_TIME = "datetime64[us, UTC]"
TIMES = ("occurred_at", "occurred_until", "reported_at")
DTYPES: dict[str, Any] = {
    **dict.fromkeys(("event_id", "incident_id"), TEXT),
    **dict.fromkeys(TIMES, UTC_TIME),
    **dict.fromkeys(("latitude", "longitude"), "float64"),
    **dict.fromkeys(("area", "offence", "category", "district"), TEXT),
    "arrest": "boolean",
}
COLUMNS = tuple(DTYPES)
ARROW_SCHEMA = pa.Schema.from_pandas(
    pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in DTYPES.items()}), preserve_index=False
)
"""Of events.parquet, with what pandas wants to know of it."""
REQUIRED = ("event_id", "occurred_at", "offence", "category")
REJECT_COLUMNS = ("file", "line", "reason", "value")
REPEATED = ("area", "offence", "category", "district")  # few distinct texts
INGESTED, REJECTS = "ingest.json", "rejects.parquet"
EVENTS, FIRST_SEEN = "events.parquet", "first_seen.parquet"
AGAIN = "Run `stforecast ingest` again."


class EventTable:
    """Events and how they came about (`meta`: the content of `ingest.json`); of a saved table, read when it is asked.

    Args:
        source: the events, or the open Parquet file that holds them.
        meta: how they came about.
        first_seen: when each event was first seen, null where that is not known; or the open Parquet file; None where
            nobody took note.

    Raises:
        ArtefactError: a column is missing or has another dtype, a required value is null, an event id repeats,
            a place is missing, or a place or a time is impossible.
    """

    def __init__(
        self,
        source: pd.DataFrame | pa.NativeFile,
        meta: dict[str, Any],
        first_seen: pd.Series | pa.NativeFile | None = None,
    ) -> None:
        self.meta, self._source, self._first_seen = meta, source, first_seen
        if isinstance(source, pd.DataFrame):
            _check(source)

    @property
    def frame(self) -> pd.DataFrame:
        """All columns, checked."""
        if not isinstance(self._source, pd.DataFrame):
            frame = _read(self._source, None)
            _check(frame)
            self._source = frame
        return self._source

    def columns(self, names: Sequence[str]) -> pd.DataFrame:
        """Some columns of all events, without reading the others; repeated texts may be categorical."""
        return self._source[list(names)] if isinstance(self._source, pd.DataFrame) else _read(self._source, names)

    def arrow(self) -> pa.Table:
        """All columns as Arrow has them, null where a coordinate is not known."""
        source, schema = self._source, ARROW_SCHEMA.remove_metadata()
        if isinstance(source, pd.DataFrame):
            return pa.Table.from_pandas(source, schema, preserve_index=False)
        table = pq.read_table(source, use_threads=False).cast(schema)
        for name in ("latitude", "longitude"):
            known = pc.is_finite(table[name])
            table = table.set_column(schema.get_field_index(name), name, pc.if_else(known, table[name], None))
        return table

    @property
    def first_seen(self) -> pd.Series | None:
        """When each event was first seen, null where that is not known; None where nobody took note."""
        if isinstance(self._first_seen, pa.NativeFile):
            self._first_seen = pq.read_table(self._first_seen).column(0).to_pandas()
        return self._first_seen

    def save(self, folder: Path) -> None:
        """Write the table into an empty folder.

        Args:
            folder: that of `open`.
        """
        self.frame.to_parquet(folder / EVENTS, index=False, compression="zstd")
        if self.first_seen is not None:
            save_first_seen(folder, self.first_seen)
        seal(folder / INGESTED, self.meta)

    def __len__(self) -> int:
        return len(self._source) if isinstance(self._source, pd.DataFrame) else int(self.meta["events"])

    @property
    def categories(self) -> tuple[str, ...]:
        """The configuration's categories in its order, with or without events."""
        return tuple(self.meta["categories"])

    @property
    def precision(self) -> Precision:
        """What the publisher gives of when an event occurred."""
        return self.meta.get("precision", "time")

    @staticmethod
    def open(folder: Path) -> EventTable:
        """Open a saved table.

        Raises:
            ArtefactError: it is absent, damaged or of another version.
        """
        if not (folder / INGESTED).is_file():
            raise ArtefactError(f"{folder / EVENTS}: no events yet. Run `stforecast ingest` first.")
        return unseal(folder / INGESTED, AGAIN, _open)


def _open(sealed: Sealed) -> EventTable:
    if sealed.facts.get("schema") != SCHEMA:
        raise ArtefactError(f"{sealed.path}: not of schema version {SCHEMA}. {AGAIN}")
    # opened now: another ingest may put a new file in its place before the rows are read
    events, *seen = (
        pa.OSFile(str(sealed.file(name))) for name in (EVENTS, FIRST_SEEN) if name in (EVENTS, *sealed.facts[FILES])
    )
    return EventTable(events, dict(sealed.facts), *seen)


def _read(file: pa.NativeFile, names: Sequence[str] | None) -> pd.DataFrame:
    repeated = None if names is None else [name for name in REPEATED if name in names]
    columns = None if names is None else list(names)
    return of_arrow(pq.read_table(file, columns=columns, read_dictionary=repeated))


def of_arrow(table: pa.Table) -> pd.DataFrame:
    """Events as a frame; Arrow's columns are let go one by one as pandas takes them over."""
    return table.to_pandas(
        types_mapper={pa.bool_(): pd.BooleanDtype()}.get, split_blocks=True, self_destruct=True, use_threads=False
    )


def _check(frame: pd.DataFrame) -> None:
    if list(frame.columns) != list(COLUMNS):
        raise ArtefactError(f"event table: expected the columns {list(COLUMNS)}, found {list(frame.columns)}.")
    for column, expected in DTYPES.items():
        found, values = frame[column].dtype, frame[column]
        text = expected is TEXT and (pd.api.types.is_string_dtype(found) or not values.notna().any())
        if not text and str(found) != str(expected):
            raise ArtefactError(f"event table: {column} has dtype {found}, expected {expected}.")
    empty = [column for column in REQUIRED if frame[column].isna().any()]
    if empty:
        raise ArtefactError(f"event table: null values in {', '.join(empty)}.")
    if frame["event_id"].duplicated().any():
        raise ArtefactError("event table: event_id repeats.")
    blank = frame["latitude"].isna() | frame["longitude"].isna()
    if (blank & frame["area"].isna()).any():
        raise ArtefactError("event table: neither coordinates nor an area.")
    point = frame[~blank]
    if not (point["latitude"].abs().le(90).all() and point["longitude"].abs().le(180).all()):
        raise ArtefactError("event table: coordinates outside ±90, ±180 degrees.")
    for column in ("occurred_until", "reported_at"):
        if (frame[column] < frame["occurred_at"]).any():
            raise ArtefactError(f"event table: {column} before occurred_at.")


def save_first_seen(folder: Path, first_seen: pd.Series) -> None:
    """Write when each event was first seen."""
    path = folder / FIRST_SEEN
    first_seen.to_frame("first_seen_at").to_parquet(path, index=False, compression="zstd")


def save_rejects(path: Path, rejects: pd.DataFrame) -> None:
    """Write the refused rows."""
    with atomic_path(path) as temporary:
        rejects[list(REJECT_COLUMNS)].to_parquet(temporary, index=False, compression="zstd")


def example(rejects: pd.DataFrame) -> tuple[str, str]:
    """The file, and line and text, of the first of some refused rows, if possible of one that has a text."""
    evidence = rejects[rejects["value"].str.strip() != ""]
    row = (evidence if len(evidence) else rejects).iloc[0]
    return row["file"], f"line {row['line']}: {row['value']!r:.60}"
