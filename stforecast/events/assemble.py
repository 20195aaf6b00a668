"""Partitions of several files → what `settle.choose` reads, and the rows that it chose → events.parquet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stforecast.events.deduplicate import Keys, Selection, hash_columns
from stforecast.events.partitions import CODED, Partition
from stforecast.events.place_checks import pack_places
from stforecast.events.schema import COLUMNS, REJECT_COLUMNS, REPEATED, TEXT, TEXTS, TIMES
from stforecast.files import atomic_path

ROWS = 1 << 20  # rows of events.parquet made at once


@dataclass(frozen=True)
class Partitions:
    """Cleaned files in reading order, with the names of all of them: the numbers of `names` hold across files."""

    partitions: Sequence[Partition]
    names: dict[str, list[str]]
    category_of: dict[str, str]
    categories: tuple[str, ...]

    @staticmethod
    def of(partitions: Sequence[Partition], categories: tuple[str, ...]) -> Partitions:
        names = {
            kind: list(dict.fromkeys(name for partition in partitions for name in partition.facts["names"][kind]))
            for kind in ("offence", "district", "file")
        }
        kinds = {offence: category for partition in partitions for offence, category, _ in partition.facts["offences"]}
        return Partitions(partitions, names, kinds, categories)

    @property
    def offences(self) -> pa.Array:
        """The distinct offences, as `Keys.offence` numbers them."""
        return pa.array(self.names["offence"], pa.large_string())

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

    def reported(self) -> np.ndarray:
        """Rows [e] with a report time."""
        return self._joined("reported_at", bool, lambda times: np.asarray(times.is_valid()))

    def places(self) -> np.ndarray:
        """Where the rows [e] are (`geography.packed`)."""
        found = [np.zeros(0, np.int64)]
        for partition in self.partitions:
            for batch in partition.batches(["latitude", "longitude"]):
                found.append(pack_places(*(batch.column(name).to_numpy() for name in ("latitude", "longitude"))))
        return np.concatenate(found)

    def refused(self, selection: Selection, keys: Keys) -> pd.DataFrame:
        """The rows that `selection` refuses, as rejects."""
        value = keys.ids(selection.refused).to_pylist()
        value = [selection.renamed.get(row, name) for row, name in zip(selection.refused.tolist(), value, strict=True)]
        lines = self._joined("line", np.int64, pa.Array.to_numpy)
        files = np.array([*self.names["file"]], object)[keys.file[selection.refused]]
        columns = (files, lines[selection.refused], selection.reasons, np.array(value, object))
        kinds = (TEXT, np.int64, TEXT, TEXT)
        return pd.DataFrame(
            {name: pd.Series(c, dtype=k) for name, c, k in zip(REJECT_COLUMNS, columns, kinds, strict=True)}
        )

    def write(self, path: Path, selection: Selection) -> None:
        """Write the chosen rows in their order."""
        schema = _schema()
        with (
            atomic_path(path) as temporary,
            pq.ParquetWriter(temporary, schema, compression="zstd", use_dictionary=list(REPEATED)) as out,
        ):
            for begin in range(0, max(len(selection.rows), 1), ROWS):
                out.write_table(
                    self._take(selection.rows[begin : begin + ROWS], selection).select(list(COLUMNS)).cast(schema)
                )

    def _take(self, rows: np.ndarray, selection: Selection) -> pa.Table:
        """Some rows, by their place in reading order."""
        there = np.zeros(int(rows.max(initial=-1)) + 1, bool)
        there[rows] = True
        wanted, found, first = np.flatnonzero(there), [], 0
        columns = [name for name in COLUMNS if name != "category"]
        for partition in self.partitions:
            for batch in partition.batches(columns):
                here = wanted[slice(*np.searchsorted(wanted, [first, first + len(batch)]))] - first
                if here.size:
                    table = pa.Table.from_batches([batch.take(pa.array(here))])
                    found.append(self._named(table, partition))
                first += len(batch)
        if not found:
            return _schema().empty_table()
        table = pa.concat_tables(found).unify_dictionaries().take(pa.array((np.cumsum(there) - 1)[rows]))
        if selection.renamed:
            names = table.column("event_id").to_pylist()
            names = [selection.renamed.get(row, name) for row, name in zip(rows.tolist(), names, strict=True)]
            table = table.set_column(table.schema.get_field_index("event_id"), "event_id", [pa.array(names)])
        return table

    def _named(self, table: pa.Table, partition: Partition) -> pa.Table:
        """Names in the place of a part's numbers."""
        names = {kind: partition.facts["names"][kind] for kind in CODED}
        table = table.append_column("category", table.column("offence"))
        names["category"] = [self.category_of[name] for name in names["offence"]]
        for kind, texts in names.items():
            codes = table.column(kind).combine_chunks()
            named = pa.DictionaryArray.from_arrays(codes, pa.array(texts, pa.large_string()))
            table = table.set_column(table.schema.get_field_index(kind), kind, named)
        return table

    def _texts(self, column: str, rows: pa.Array) -> pa.Array:
        """The texts of some rows, in their order."""
        places = rows.to_numpy()
        wanted, found, first = np.unique(places), [pa.array([], pa.string())], 0
        for partition in self.partitions if wanted.size else ():
            for batch in partition.batches([column]):
                here = wanted[slice(*np.searchsorted(wanted, [first, first + len(batch)]))] - first
                found.append(batch.column(0).take(pa.array(here)))
                first += len(batch)
        return pa.concat_arrays(found).take(pa.array(np.searchsorted(wanted, places)))

    def _joined(self, column: str, kind: type, values: Callable[[pa.Array], np.ndarray]) -> np.ndarray:
        """The values of a column of all rows."""
        # copied, since a view of a column keeps the whole batch
        found = (
            values(batch.column(0)).copy() for partition in self.partitions for batch in partition.batches([column])
        )
        return np.concatenate([np.zeros(0, kind), *found])

    def _codes(self, kind: str) -> np.ndarray:
        found = [np.zeros(0, np.int32)]
        place = {name: number for number, name in enumerate(self.names[kind])}
        for partition in self.partitions:
            codes = np.array([place[name] for name in partition.facts["names"][kind]], np.int32)
            found += [codes[batch.column(0).to_numpy()] for batch in partition.batches([kind])]
        return np.concatenate(found)


def _schema() -> pa.Schema:
    """The schema of events.parquet, with what pandas wants to know of it."""
    empty = {name: pd.Series(dtype="float64") for name in COLUMNS}
    empty |= {name: pd.Series(dtype=TEXT) for name in TEXTS}
    empty |= {name: pd.Series(dtype="datetime64[us, UTC]") for name in TIMES}
    empty |= {"arrest": pd.Series(dtype="boolean")}
    return pa.Schema.from_pandas(pd.DataFrame(empty)[list(COLUMNS)], preserve_index=False)
