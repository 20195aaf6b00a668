"""Partitions of several files → the events among their rows → events.parquet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stforecast.events import outcomes
from stforecast.events.clean import Cleaned, merge, sorted_rejects
from stforecast.events.deduplicate import Keys, Selection, hash_columns, select_events
from stforecast.events.partitions import NAMED, Partition
from stforecast.events.place_checks import (
    DefaultPlace,
    at_default_places,
    find_default_places,
    pack_places,
    place_outliers,
)
from stforecast.events.rules import IngestRules
from stforecast.events.schema import COLUMNS, DTYPES, REPEATED, TEXT
from stforecast.files import atomic_path

ROWS = 1 << 20  # rows of events.parquet made at once


@dataclass(frozen=True)
class SelectedEvents:
    """Which rows are events, and what became of all others; `counts` holds no events.

    rows_with_place: rows with a place within the bounds, before any is merged or left out. occurred (µs), category
    (number), reported (whether), place (`place_checks.pack_places`): of the events [e]. default_places: coordinates
    that hold far more events of a category than any other.
    """

    selection: Selection
    counts: Cleaned
    rows_with_place: int
    occurred: np.ndarray
    category: np.ndarray
    reported: np.ndarray
    place: np.ndarray
    default_places: Sequence[DefaultPlace]

    def __len__(self) -> int:
        return len(self.selection.rows)


@dataclass(frozen=True)
class Partitions:
    """Cleaned files in reading order, with the names of all of them: the numbers of `names` hold across files."""

    partitions: Sequence[Partition]
    names: dict[str, list[str]]
    category_of: dict[str, str]
    categories: tuple[str, ...]

    @staticmethod
    def of(partitions: Sequence[Partition], categories: tuple[str, ...]) -> Partitions:
        """Partitions in reading order, and the names of the categories."""
        names = {
            kind: list(dict.fromkeys(name for partition in partitions for name in partition.facts["names"][kind]))
            for kind in NAMED
        }
        kinds = {offence: category for partition in partitions for offence, category, _ in partition.facts["offences"]}
        return Partitions(partitions, names, kinds, categories)

    def select(self, rules: IngestRules) -> SelectedEvents:
        """The events: deduplicated, without rows that are far from all others or at a default place to be left out."""
        counts, keys = merge([partition.counts() for partition in self.partitions]), self.keys()
        offences = pa.array(self.names["offence"], pa.large_string())
        selection, place = select_events(keys, counts.withdrawals, offences, rules.times), self._places()
        selection.refuse(place_outliers(place[selection.rows], rules.places), outcomes.FAR_AWAY)
        rows = selection.rows
        found = find_default_places(place[rows], keys.category[rows], len(self.categories))
        if rules.places.default_places == "found":
            selection.leave_out(at_default_places(found, place[rows], keys.category[rows]), outcomes.DEFAULT_PLACE)
        rejects = pd.concat([counts.rejects, self._refused(selection)], ignore_index=True)
        counts = replace(counts, rejects=sorted_rejects(rejects), left_out=counts.left_out + selection.left_out)
        rows, reported = selection.rows, self._joined("reported_at", bool, lambda times: np.asarray(times.is_valid()))
        events = keys.occurred[rows], keys.category[rows], reported[rows], place[rows]
        return SelectedEvents(selection, counts, len(keys.event), *events, found)

    def keys(self) -> Keys:
        """The narrow columns of all rows."""

        def columns(number: Callable[[pa.Array], np.ndarray]) -> tuple[np.ndarray, ...]:
            return tuple(self._joined(name, np.uint64, number) for name in ("event_id", "incident_id"))

        (event, incident), (same_event, same_incident), number = hash_columns(
            columns, [partial(self._texts, "event_id"), partial(self._texts, "incident_id")]
        )
        offence = self._codes("offence")
        kinds = [self.categories.index(self.category_of[name]) for name in self.names["offence"]]
        return Keys(
            event=event,
            incident=incident,
            same_event=same_event,
            same_incident=same_incident,
            offence=offence,
            category=np.array(kinds, np.int16)[offence],
            occurred=self._joined("occurred_at", np.int64, lambda times: times.cast(pa.int64()).to_numpy()),
            file=self._codes("file"),
            ids=lambda rows: self._texts("event_id", pa.array(rows)),
            number=number,
        )

    def write(self, path: Path, selection: Selection) -> None:
        """Write the events in their order."""
        schema = _schema()
        with (
            atomic_path(path) as temporary,
            pq.ParquetWriter(temporary, schema, compression="zstd", use_dictionary=list(REPEATED)) as out,
        ):
            for begin in range(0, max(len(selection.rows), 1), ROWS):
                rows = selection.rows[begin : begin + ROWS]
                table = self._take(rows, COLUMNS, selection.renamed) if rows.size else schema.empty_table()
                out.write_table(table.cast(schema))

    def _refused(self, selection: Selection) -> pd.DataFrame:
        """The rows that a selection refuses, as rejects; none where it refuses none."""
        if not selection.refused.size:
            return pd.DataFrame()
        columns = ["file", "line", "event_id"]
        frame = (
            self._take(selection.refused, columns, selection.renamed)
            .to_pandas()
            .set_axis([*columns[:2], "value"], axis=1)
        )
        return frame.astype({"file": TEXT, "value": TEXT}).assign(reason=pd.Series(selection.reasons, dtype=TEXT))

    def _take(self, rows: np.ndarray, columns: Sequence[str], renamed: dict[int, str]) -> pa.Table:
        """Some columns of some rows, with names in the place of numbers."""
        batches, place = self._batches(rows, [name for name in columns if name != "category"])
        tables = [self._named(pa.Table.from_batches([batch]), partition) for partition, batch in batches]
        table = pa.concat_tables(tables).unify_dictionaries().take(place).select(list(columns))
        if renamed:
            ids = table.column("event_id").to_pylist()
            ids = [renamed.get(row, name) for row, name in zip(rows.tolist(), ids, strict=True)]
            table = table.set_column(table.schema.get_field_index("event_id"), "event_id", [pa.array(ids)])
        return table

    def _named(self, table: pa.Table, partition: Partition) -> pa.Table:
        names = {kind: partition.facts["names"][kind] for kind in NAMED if kind in table.column_names}
        if "offence" in names:
            table = table.append_column("category", table.column("offence"))
            names["category"] = [self.category_of[name] for name in names["offence"]]
        for kind, texts in names.items():
            codes = table.column(kind).combine_chunks()
            named = pa.DictionaryArray.from_arrays(codes, pa.array(texts, pa.large_string()))
            table = table.set_column(table.schema.get_field_index(kind), kind, named)
        return table

    def _batches(
        self, rows: np.ndarray, columns: Sequence[str]
    ) -> tuple[list[tuple[Partition, pa.RecordBatch]], pa.Array]:
        """Batches that hold some rows and no others, each with its partition; and where in them each row is."""
        there = np.zeros(int(rows.max(initial=-1)) + 1, bool)
        there[rows] = True
        wanted, found, first = np.flatnonzero(there), [], 0
        for partition in self.partitions if wanted.size else ():
            for batch in partition.batches(columns):
                here = wanted[slice(*np.searchsorted(wanted, [first, first + len(batch)]))] - first
                if here.size:
                    found.append((partition, batch.take(pa.array(here))))
                first += len(batch)
        return found, pa.array((np.cumsum(there) - 1)[rows])

    def _texts(self, column: str, rows: pa.Array) -> pa.Array:
        """The texts of some rows, in their order."""
        batches, place = self._batches(rows.to_numpy(), [column])
        return pa.concat_arrays([pa.array([], pa.string()), *(batch.column(0) for _, batch in batches)]).take(place)

    def _joined(self, column: str, kind: type, values: Callable[[pa.Array], np.ndarray]) -> np.ndarray:
        """The values of a column of all rows."""
        batches = (batch for partition in self.partitions for batch in partition.batches([column]))
        # copied, since a view of a column keeps the whole batch
        return np.concatenate([np.zeros(0, kind), *(values(batch.column(0)).copy() for batch in batches)])

    def _places(self) -> np.ndarray:
        """Where all rows are."""
        batches = (batch for partition in self.partitions for batch in partition.batches(["latitude", "longitude"]))
        found = (pack_places(batch.column(0).to_numpy(), batch.column(1).to_numpy()) for batch in batches)
        return np.concatenate([np.zeros(0, np.int64), *found])

    def _codes(self, kind: str) -> np.ndarray:
        found = [np.zeros(0, np.int32)]
        place = {name: number for number, name in enumerate(self.names[kind])}
        for partition in self.partitions:
            codes = np.array([place[name] for name in partition.facts["names"][kind]], np.int32)
            found += [codes[batch.column(0).to_numpy()] for batch in partition.batches([kind])]
        return np.concatenate(found)


def _schema() -> pa.Schema:
    """The schema of events.parquet, with what pandas wants to know of it."""
    empty = pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in DTYPES.items()})
    return pa.Schema.from_pandas(empty, preserve_index=False)
