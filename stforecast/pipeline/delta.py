"""Delta tables that are brought up to date: only rows that changed are written, and every version stays readable.

A commit is whole or absent, and what a killed writer left is in no version. Of two writers that meet the
later one looks at the table again and writes what is still to be written.

deltalake runs threads of its own, which a forked process does not have: start others with `spawn`.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from stforecast.errors import ArtefactError, BusyError, in_brief
from stforecast.files import atomic_folder

KEEP = {f"delta.{what}RetentionDuration": "interval 36500 days" for what in ("log", "deletedFile")}
"""Versions and their files stay until the user removes them."""
HOW: dict[str, Any] = {
    "writer_properties": WriterProperties(compression="ZSTD"),
    "commit_properties": CommitProperties(max_commit_retries=0),
}
"""How everything is written. deltalake's own second attempt may put two first versions into one another, or rows beside
those of another writer that bear the same key: a commit that comes second fails here, and the table is looked at again.
"""
WAITS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
"""Seconds, on average, before each attempt after one that another writer forestalled."""
CAME = ("ingestion_timestamp", "run_date")
"""Columns that say when a row came into the table, or last changed there: the instant, and its day in UTC."""
GONE = "gone"
"""Column of merged rows alone: the row is to be removed."""
RESTORE = "Restore it from a backup; or remove the folder, and the next ingest writes the table anew, without its past."
Key = Sequence[str]


@dataclass(frozen=True)
class Changes:
    """How a table differed from what it was to be: rows that were new or other, and rows that it had beyond."""

    written: int = 0
    removed: int = 0


@contextmanager
def readable(folder: Path, remedy: str = RESTORE) -> Iterator[None]:
    """Say of what Delta cannot read where it is and what to do.

    Raises:
        ArtefactError: the table, or a version of it, is damaged or of a kind that is not read.
    """
    try:
        yield
    except CommitFailedError:
        raise
    except (DeltaError, pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno and not isinstance(error, FileNotFoundError):
            raise  # which the system says
        raise ArtefactError(f"{folder}: cannot be read as a Delta table ({_plain(error)}). {remedy}") from error


def open_table(folder: Path) -> DeltaTable | None:
    """The table in a folder; None where there is none."""
    with readable(folder):
        return DeltaTable(folder) if DeltaTable.is_deltatable(str(folder)) else None


def upsert(folder: Path, rows: pa.Table, key: Key, parts: Key, now: pd.Timestamp) -> Changes:
    """Make a table hold certain rows: those that are new or other are merged, those that are no more are removed.

    Args:
        folder: of the table; made where it is absent, written anew where it is parted in another way.
        rows: all that it is to hold.
        key: columns that name a row.
        parts: columns by which its folders are parted.
        now: what new and changed rows bear.

    Raises:
        ArtefactError: the table is damaged.
        BusyError: other writers were always sooner.
    """

    def attempt() -> Changes:
        table = open_table(folder)
        if table is None:
            write_deltalake(
                folder,
                _stamped(rows, now),
                mode="error",
                partition_by=list(parts),
                configuration=KEEP,
                **HOW,
            )
            return Changes(len(rows))
        found = Difference.of(folder, table, rows, key)
        if table.metadata().partition_columns != list(parts) or not found.alike:
            write_deltalake(
                table,
                found.all_stamped(now),
                mode="overwrite",
                schema_mode="overwrite",
                partition_by=list(parts),
                **HOW,
            )
        elif found.changes != Changes():
            _merge(table, found, key, parts[:1], now)
        return found.changes

    return _retried(folder, attempt)


@dataclass(frozen=True)
class Difference:
    """A table beside the rows that it is to hold.

    rows: these. place: where each stands in the table, null where it does not, [r]. same: whether it is the same there,
    bool [r]. gone: rows of the table that are no more, bool. stored: the table. alike: it has the same columns; else
    those that both have are compared.
    """

    rows: pa.Table
    stored: pa.dataset.Dataset
    place: pa.Array
    same: pa.Array
    gone: pa.Array
    alike: bool

    @staticmethod
    def of(folder: Path, table: DeltaTable, rows: pa.Table, key: Key) -> Difference:
        """Compare, column by column, so that no two columns of the table are held at once."""
        with readable(folder):
            stored = table.to_pyarrow_dataset()
            known, mine = _keys(stored.to_table(columns=list(key))), _keys(rows.select(key))
            place = pc.index_in(mine, value_set=known)
            same = place.is_valid()
            for name in (name for name in rows.column_names if name in stored.schema.names):
                old, new = _column(stored, name, rows[name].type).take(place), rows[name].combine_chunks()
                equal = pc.fill_null(pc.equal(old, new), False)
                same = pc.and_(same, pc.or_(equal, pc.and_(old.is_null(), new.is_null())))
            alike = {*rows.column_names, *CAME} == {*stored.schema.names}
            return Difference(rows, stored, place, same, pc.invert(pc.is_in(known, value_set=mine)), alike)

    @property
    def changes(self) -> Changes:
        """How many rows differ."""
        return Changes(len(self.rows) - self.same.true_count, self.gone.true_count)

    def all_stamped(self, now: pd.Timestamp) -> pa.Table:
        """All rows; those that are the same in the table bear what they bear there."""
        out = _stamped(self.rows, now)
        for name in CAME:
            at, column = out.column_names.index(name), out[name].combine_chunks()
            before = _column(self.stored, name, column.type).take(self.place)
            out = out.set_column(at, name, pc.if_else(self.same, before, column))
        return out


def _merge(table: DeltaTable, found: Difference, key: Key, part: Key, now: pd.Timestamp) -> None:
    """Write what differs, in one commit that reads the folders in which something does (of the first column)."""
    changed, wanted = pc.invert(found.same), [*dict.fromkeys([*key, *part])]
    rows = _stamped(found.rows.filter(changed), now)
    lost = found.stored.to_table(columns=wanted).filter(found.gone)
    source = pa.concat_tables(
        [rows.append_column(GONE, pa.repeat(False, len(rows))), lost.append_column(GONE, pa.repeat(True, len(lost)))],
        promote_options="permissive",
    )
    where = " AND ".join(f"old.{name} = new.{name}" for name in key)
    for name in part:
        before = _column(found.stored, name, pa.string()).take(found.place.filter(changed).drop_null())
        touched = sorted({*before.to_pylist(), *source[name].to_pylist()})
        where += f" AND old.{name} IN ({', '.join(map(_quoted, touched))})"
    (
        table.merge(source, where, source_alias="new", target_alias="old", **HOW)
        .when_matched_delete(f"new.{GONE}")
        .when_matched_update_all(except_cols=[GONE])
        .when_not_matched_insert_all(f"NOT new.{GONE}", except_cols=[GONE])
        .execute()
    )


def replace_parts(
    folder: Path,
    part: str,
    wanted: Mapping[str, Callable[[], Iterator[pa.Table]]],
    schema: pa.Schema,
    now: pd.Timestamp,
) -> Changes:
    """Make a table hold certain parts, each written once and whole.

    Args:
        folder: of the table.
        part: column whose values name the parts.
        wanted: what gives the rows of each part that the table is to hold.
        schema: of the rows.
        now: what new rows bear.

    Raises:
        ArtefactError, BusyError: as `upsert`.
    """

    def attempt() -> Changes:
        table = open_table(folder)
        rows_in = {} if table is None else _rows_of_parts(table, part)
        new, gone = [name for name in wanted if name not in rows_in], [*(rows_in.keys() - wanted.keys())]
        written = 0

        def batches() -> Iterator[pa.RecordBatch]:
            nonlocal written
            for some in (some for name in new for some in wanted[name]()):
                written += len(some)
                yield from _stamped(some, now).to_batches()

        rows = pa.RecordBatchReader.from_batches(_stamped(schema.empty_table(), now).schema, batches())
        if table is None:
            write_deltalake(folder, rows, mode="error", partition_by=[part], configuration=KEEP, **HOW)
        elif new or gone:
            where = f"{part} IN ({', '.join(map(_quoted, [*new, *gone]))})"
            write_deltalake(table, rows, mode="overwrite", predicate=where, **HOW)
        return Changes(written, sum(rows_in[name] for name in gone))

    return _retried(folder, attempt)


def erase_past(folder: Path) -> None:
    """Write a table anew as it is now: older versions go, with their files and with what the log says of them."""
    with readable(folder):
        table = DeltaTable(folder)
        parts, rows = table.metadata().partition_columns, table.to_pyarrow_dataset().scanner().to_reader()
        with atomic_folder(folder) as fresh:
            write_deltalake(fresh, rows, partition_by=parts, configuration=KEEP, **HOW)


def check(table: DeltaTable, folder: Path) -> None:
    """Read all of a table.

    Raises:
        ArtefactError: a file of it is absent or cannot be read.
    """
    with readable(folder):
        for _ in table.to_pyarrow_dataset().to_batches():
            pass


def versions(table: DeltaTable) -> list[tuple[int, pd.Timestamp, str]]:
    """Number, time and kind of every version, the oldest first, as its own commit has them."""
    found = [(one["version"], pd.Timestamp(one["timestamp"], unit="ms", tz="UTC"), one) for one in table.history()]
    return [(number, at, str(one.get("operation"))) for number, at, one in sorted(found, key=lambda one: one[0])]


def _plain(error: Exception) -> str:
    return re.sub(r"\x1b\[\d*m", "", in_brief(error))  # without colours


def _rows_of_parts(table: DeltaTable, part: str) -> dict[str, int]:
    adds = pa.table(table.get_add_actions(flatten=True)).select([f"partition.{part}", "num_records"])
    sums = adds.group_by(f"partition.{part}").aggregate([("num_records", "sum")])
    return dict(zip(sums[f"partition.{part}"].to_pylist(), sums["num_records_sum"].to_pylist(), strict=True))


def _stamped(rows: pa.Table, now: pd.Timestamp) -> pa.Table:
    at = pa.scalar(now.to_pydatetime(warn=False), pa.timestamp("us", "UTC")), pa.scalar(now.date(), pa.date32())
    for name, value in zip(CAME, at, strict=True):
        rows = rows.append_column(name, pa.repeat(value, len(rows)))
    return rows


def _keys(rows: pa.Table) -> pa.Array:
    """The key of every row as one text."""
    texts = [column.combine_chunks().cast(pa.large_string()) for column in rows.columns]
    return pc.binary_join_element_wise(*texts, pa.scalar("\x1f", pa.large_string()))


def _column(stored: pa.dataset.Dataset, name: str, kind: pa.DataType) -> pa.Array:
    return stored.to_table(columns=[name])[name].combine_chunks().cast(kind)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _retried(folder: Path, attempt: Callable[[], Changes]) -> Changes:
    """What an attempt gives, again and again while other writers are sooner."""
    for wait in WAITS:
        existed = DeltaTable.is_deltatable(str(folder))
        try:
            return attempt()
        except CommitFailedError:
            pass
        except DeltaError as error:  # of a first version too, where another writer was sooner
            if existed or not DeltaTable.is_deltatable(str(folder)):
                raise ArtefactError(f"{folder}: not written ({_plain(error)}). What was there stands.") from error
        time.sleep(wait * random.uniform(0.5, 1.5))
    raise BusyError(
        f"{folder}: others wrote to this table at each of {len(WAITS)} attempts. Nothing was written here; run it "
        "again when they have finished."
    )
