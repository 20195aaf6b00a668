"""Parts of several files → what `settle.choose` reads, and the rows that it chose → events.parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stforecast.events.parts import Part
from stforecast.events.schema import COLUMNS, REJECT_COLUMNS, REPEATED, TEXT, TEXTS, TIMES
from stforecast.events.settle import Choice, Keys
from stforecast.events.texts import coded
from stforecast.files import atomic_path

ROWS = 1 << 20  # rows of events.parquet made at once


@dataclass(frozen=True)
class Parts:
    """Cleaned files in reading order, with the names of all of them: the numbers of `names` hold across files."""

    parts: Sequence[Part]
    names: dict[str, list[str]]
    category_of: dict[str, str]
    categories: tuple[str, ...]

    @staticmethod
    def of(parts: Sequence[Part], categories: tuple[str, ...]) -> Parts:
        names = {
            kind: list(dict.fromkeys(name for part in parts for name in part.facts["names"][kind]))
            for kind in ("offence", "district", "file")
        }
        kinds = {offence: category for part in parts for offence, category, _ in part.facts["offences"]}
        return Parts(parts, names, kinds, categories)

    @property
    def offences(self) -> pa.Array:
        """The distinct offences, as `Keys.offence` numbers them."""
        return pa.array(self.names["offence"], pa.large_string())

    def keys(self) -> Keys:
        """The narrow columns of all rows."""
        with ThreadPoolExecutor(2) as pool:
            (event, ids), (incident, incidents) = pool.map(
                lambda name: coded(self._column(name)), ("event_id", "incident_id")
            )
        offence = self._codes("offence")
        kinds = [self.categories.index(self.category_of[name]) for name in self.names["offence"]]
        return Keys(
            event=event,
            ids=ids,
            incident=incident,
            incidents=incidents,
            offence=offence,
            category=np.array(kinds, np.int16)[offence],
            occurred=np.concatenate(
                [
                    np.zeros(0, np.int64),
                    *(b.column(0).cast(pa.int64()).to_numpy() for b in self._batches("occurred_at")),
                ]
            ),
            file=self._codes("file"),
        )

    def reported(self) -> np.ndarray:
        """Rows [e] with a report time."""
        known = [np.asarray(pc.is_valid(batch.column(0))) for batch in self._batches("reported_at")]
        return np.concatenate([np.zeros(0, bool), *known])

    def refused(self, choice: Choice, keys: Keys) -> pd.DataFrame:
        """The rows that `choice` refuses, as rejects."""
        value = keys.ids.take(pa.array(keys.event[choice.refused])).to_pylist()
        value = [choice.renamed.get(row, name) for row, name in zip(choice.refused.tolist(), value, strict=True)]
        lines = np.concatenate([np.zeros(0, np.int64), *(b.column(0).to_numpy() for b in self._batches("line"))])
        files = np.array([*self.names["file"]], object)[keys.file[choice.refused]]
        columns = (files, lines[choice.refused], choice.reasons, np.array(value, object))
        kinds = (TEXT, np.int64, TEXT, TEXT)
        return pd.DataFrame(
            {name: pd.Series(c, dtype=k) for name, c, k in zip(REJECT_COLUMNS, columns, kinds, strict=True)}
        )

    def write(self, path: Path, choice: Choice) -> None:
        """Write the chosen rows in their order."""
        schema = _schema()
        with (
            atomic_path(path) as temporary,
            pq.ParquetWriter(temporary, schema, compression="zstd", use_dictionary=list(REPEATED)) as out,
        ):
            for begin in range(0, max(len(choice.rows), 1), ROWS):
                out.write_table(
                    self._take(choice.rows[begin : begin + ROWS], choice).select(list(COLUMNS)).cast(schema)
                )

    def _take(self, rows: np.ndarray, choice: Choice) -> pa.Table:
        """Some rows, by their place in reading order."""
        wanted, found, first = np.sort(rows), [], 0
        columns = [name for name in COLUMNS if name != "category"]
        for part in self.parts:
            for batch in part.batches(columns):
                here = wanted[slice(*np.searchsorted(wanted, [first, first + len(batch)]))] - first
                if here.size:
                    table = pa.Table.from_batches([batch.take(pa.array(here))])
                    found.append(self._named(table, part))
                first += len(batch)
        empty = pa.table({name: pa.array([], type=_schema().field(name).type) for name in COLUMNS})
        table = pa.concat_tables(found).take(pa.array(np.searchsorted(wanted, rows))) if found else empty
        if choice.renamed:
            names = table.column("event_id").to_pylist()
            names = [choice.renamed.get(row, name) for row, name in zip(rows.tolist(), names, strict=True)]
            table = table.set_column(table.schema.get_field_index("event_id"), "event_id", [pa.array(names)])
        return table

    def _named(self, table: pa.Table, part: Part) -> pa.Table:
        """Names in the place of a part's numbers."""
        names = part.facts["names"]
        offence = table.column("offence")
        kinds = pa.array([self.category_of[name] for name in names["offence"]], pa.large_string())
        table = table.append_column("category", kinds.take(offence.combine_chunks()))
        for kind in ("offence", "district"):
            texts = pa.array(names[kind], pa.large_string()).take(table.column(kind).combine_chunks())
            table = table.set_column(table.schema.get_field_index(kind), kind, texts)
        return table

    def _batches(self, column: str) -> Iterator[pa.RecordBatch]:
        for part in self.parts:
            yield from part.batches([column])

    def _column(self, column: str) -> pa.ChunkedArray:
        return pa.chunked_array([batch.column(0) for batch in self._batches(column)], pa.string())

    def _codes(self, kind: str) -> np.ndarray:
        found = [np.zeros(0, np.int32)]
        place = {name: number for number, name in enumerate(self.names[kind])}
        for part in self.parts:
            codes = np.array([place[name] for name in part.facts["names"][kind]], np.int32)
            found += [codes[batch.column(0).to_numpy()] for batch in part.batches([kind])]
        return np.concatenate(found)


def _schema() -> pa.Schema:
    """The schema of events.parquet, with what pandas wants to know of it."""
    empty = {name: pd.Series(dtype="float64") for name in COLUMNS}
    empty |= {name: pd.Series(dtype=TEXT) for name in TEXTS}
    empty |= {name: pd.Series(dtype="datetime64[us, UTC]") for name in TIMES}
    empty |= {"arrest": pd.Series(dtype="boolean")}
    return pa.Schema.from_pandas(pd.DataFrame(empty)[list(COLUMNS)], preserve_index=False)
