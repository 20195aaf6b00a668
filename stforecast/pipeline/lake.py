"""The lake: what ingest read and made, as Delta tables with all their past versions.

bronze                 the publisher's rows as texts, a column a field of `source.columns`; file, line, problem and
                       value (why a row cannot be read, and its text), file_hash (of the file's path and content and of
                       how it is read; a folder each). The rows of a file that changed or went are removed.
silver                 the event table, and month (local, 2024-03; a folder each, or a folder a month and district)
gold/by_district_day   see `cube.aggregates`; and month, a folder each
gold/by_hour_weekday   see `cube.aggregates`

Each has source_system (the publisher: the preset, or else the city), ingestion_timestamp (when the row came in or last
changed) and run_date (its day in UTC).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from stforecast.config import Config
from stforecast.config.workspace import Workspace
from stforecast.cube.aggregates import KEYS, aggregates
from stforecast.errors import ArtefactError
from stforecast.events.parsing.time_zones import to_local
from stforecast.events.readers.header import FIELDS
from stforecast.events.readers.read_file import read
from stforecast.events.schema import EventTable
from stforecast.events.sources import IngestRules
from stforecast.files import atomic_path, fingerprint
from stforecast.pipeline import delta
from stforecast.pipeline.results import Result

VERSION = 1
"""Of what the tables hold; raised where it changes."""
BRONZE = pa.schema(
    (name, pa.int64() if name == "line" else pa.string())
    for name in (*FIELDS, "file", "line", "problem", "value", "file_hash", "source_system")
)
TABLES = ("bronze", "silver", *(f"gold/{name}" for name in KEYS))
Rows = tuple[pa.Table, delta.Key, delta.Key]
"""Of a table: all rows, the columns that name one, and those by which its folders are parted."""
TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Lake:
    """The tables of a city. `say` receives a line for every table that changed."""

    config: Config
    say: Callable[[str], None]

    @property
    def place(self) -> Workspace:
        return Workspace(self.config.root, self.config.city)

    @property
    def folder(self) -> Path:
        return self.place.lake

    def update(self, events: EventTable, files: Sequence[Path], stamp: str) -> None:
        """Bring the tables up to date.

        Args:
            events: the event table.
            files: of the publisher, which it was made from.
            stamp: of the events and of what their counts are made with.

        Raises:
            ArtefactError: a table is damaged.
            BusyError: other writers were always sooner.
        """
        now, rules = pd.Timestamp.now("UTC"), IngestRules.of_city(self.config)
        made_with = fingerprint(VERSION, self.config.lake, stamp, events.meta["files"])
        result = Result(self.place.lake_updated, {"stamp": made_with}, "ingest")
        with suppress(ArtefactError):  # then everything is compared
            if result.read() and all(delta.open_table(self.folder / name) for name in TABLES):
                self.say(f"lake: {self.folder} is up to date")
                return
        hashes = [source["hash"] for source in events.meta["sources"]]
        parts = {
            name: partial(self._rows_of_file, path, name, rules)
            for path, content in zip(files, hashes, strict=True)
            for name in [self._file_hash(path, content, rules)]
        }
        self._note("bronze", delta.replace_parts(self.folder / "bronze", "file_hash", parts, BRONZE, now))
        for name, (rows, key, by) in self._tables(events).items():
            self._note(name, delta.upsert(self.folder / name, rows, key, by, now))
        result.write({})

    def _note(self, name: str, changes: delta.Changes) -> None:
        if changes != delta.Changes():
            self.say(f"lake: {name}: {changes.written:,} rows written, {changes.removed:,} removed")

    def check(self, events: EventTable) -> None:
        """Read every table, and hold it against the events; bronze is read, no more.

        Raises:
            ArtefactError: one is absent, damaged or of other events.
        """
        delta.check(self._open("bronze"), self.folder / "bronze")
        for name, (rows, key, _) in self._tables(events).items():
            found = delta.Difference.of(self.folder / name, self._open(name), rows, key).changes
            if found != delta.Changes():
                raise ArtefactError(
                    f"{self.folder / name}: {found.written:,} rows are missing or not what the events lead to, "
                    f"{found.removed:,} are too many. Remove {self.place.lake_updated} and run `stforecast ingest`."
                )

    def history(self) -> list[str]:
        """A line for every version of every table, the newest last."""
        return [
            f"{name}, version {number} of {at:{TIME}}: {kind.lower()}"
            for name in TABLES
            for number, at, kind in delta.versions(self._open(name))
        ]

    def save(self, name: str, path: Path, as_of: pd.Timestamp | None = None, version: int | None = None) -> None:
        """Write a table as Parquet, as it is or was.

        Args:
            name: of the table, one of `TABLES`.
            path: of the file.
            as_of: as it was at an instant.
            version: as it was in a version.

        Raises:
            ArtefactError: there is no such table, it is damaged or it is not so old.
        """
        table, folder = self._open(name), self.folder / name
        every = delta.versions(table)
        found = [one for one in every if version in (None, one[0]) and (as_of is None or one[1] <= as_of)]
        if not found:
            raise ArtefactError(
                f"{folder}: no such version; the oldest is {every[0][0]} of {every[0][1]:{TIME}}, the newest "
                f"{every[-1][0]} of {every[-1][1]:{TIME}}."
            )
        number, at, _ = found[-1]
        with delta.readable(folder, f"Files of version {number} are gone; newer versions may be whole."):
            table.load_as_version(number)
            rows = table.to_pyarrow_dataset()
            with atomic_path(path) as temporary, pq.ParquetWriter(temporary, rows.schema, compression="zstd") as out:
                for batch in rows.to_batches():
                    out.write_batch(batch)
        self.say(f"lake: wrote {path}: {name}, version {number} of {at:{TIME}}")

    def erase_past(self) -> None:
        """Write every table anew without its older versions, which hold what was erased."""
        for name in TABLES:
            if delta.open_table(self.folder / name) is not None:
                delta.erase_past(self.folder / name)
        self.say(f"lake: the tables in {self.folder} begin anew: versions from before the erasure are gone")

    def _open(self, name: str) -> DeltaTable:
        table = delta.open_table(self.folder / name)
        if table is None:
            raise ArtefactError(f"{self.folder / name}: no such table. Set lake: delta and run `stforecast ingest`.")
        return table

    def _tables(self, events: EventTable) -> Mapping[str, Rows]:
        """What each table but bronze is to hold."""
        zone = IngestRules.of_city(self.config).source.zone
        silver = events.arrow()
        local = to_local(silver["occurred_at"].cast(pa.int64()).to_numpy(), zone).astype("datetime64[us]")
        by = ("month", "district") if self.config.lake == "delta_by_district" else ("month",)
        tables: dict[str, Rows] = {"silver": (self._labelled(silver, local.astype("datetime64[M]")), ("event_id",), by)}
        for name, counts in aggregates(events, self.config).items():
            day = counts["local_date"].to_numpy("datetime64[M]") if "local_date" in counts else None
            rows = self._labelled(pa.Table.from_pandas(counts, preserve_index=False).replace_schema_metadata(), day)
            tables[f"gold/{name}"] = (rows, KEYS[name], () if day is None else ("month",))
        return tables

    def _labelled(self, rows: pa.Table, months: np.ndarray | None) -> pa.Table:
        """Rows with their months and the publisher."""
        if months is not None:
            distinct, which = np.unique(months, return_inverse=True)
            names = pa.array(np.datetime_as_string(distinct).tolist(), pa.string())
            rows = rows.append_column("month", names.take(pa.array(which)))
        return rows.append_column("source_system", pa.repeat(self._publisher, len(rows)))

    @property
    def _publisher(self) -> str:
        return self.config.source.preset or self.config.city

    def _file_hash(self, path: Path, content: str, rules: IngestRules) -> str:
        source = rules.source
        reading = source.columns.model_dump(mode="json"), source.rows_in, sorted(rules.forgotten.hashes)
        return fingerprint(VERSION, os.path.relpath(path, self.folder), content, reading, self._publisher)

    def _rows_of_file(self, path: Path, file_hash: str, rules: IngestRules) -> Iterator[pa.Table]:
        """The rows of a file, but for those that were erased."""
        source, forgotten = rules.source, rules.forgotten
        for chunk in read(path, source.columns, rows_in=source.rows_in):
            frame = chunk.frame[~forgotten.rows(chunk.frame)]
            frame = frame.assign(file=frame["file"].astype(object), file_hash=file_hash, source_system=self._publisher)
            yield pa.Table.from_pandas(frame.reindex(columns=BRONZE.names), BRONZE, preserve_index=False)
