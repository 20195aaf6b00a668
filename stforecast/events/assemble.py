"""Partitions of several files → the events among their rows → events.parquet."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stforecast.events import outcomes
from stforecast.events.clean import merge
from stforecast.events.clean_files import PARTITION_SCHEMA, Partition
from stforecast.events.deduplicate import Hashes, Keys, Selection, select_events
from stforecast.events.facts import Facts
from stforecast.events.parsing.text_columns import hash_texts
from stforecast.events.place_checks import (
    NO_POINT,
    DefaultPlace,
    at_default_places,
    find_default_places,
    pack_places,
    place_outliers,
)
from stforecast.events.schema import ARROW_SCHEMA, COLUMNS, REPEATED, TEXT
from stforecast.events.sources import IngestRules
from stforecast.files import atomic_path

ROWS = 1 << 20  # rows of events.parquet made at once


@dataclass(frozen=True)
class SelectedEvents:
    """Which rows are events, and what became of all others.

    rejects: file, line, reason, value of refused rows, by file and line. rows_with_place: rows with a place within the
    bounds, before any is merged or left out. occurred (µs), category (number), reported (whether), place
    (`place_checks.pack_places`): of the events [e]. default_places: coordinates that hold far more events of a category
    than any other. areas: the distinct codes of all rows.
    """

    selection: Selection
    facts: Facts
    rejects: pd.DataFrame
    rows_with_place: int
    occurred: np.ndarray
    category: np.ndarray
    reported: np.ndarray
    place: np.ndarray
    default_places: Sequence[DefaultPlace]
    areas: Sequence[str]

    def __len__(self) -> int:
        return len(self.selection.rows)


class Partitions:
    """Cleaned files in reading order.

    Args:
        partitions: of the files; one at least.
        rules: of the configuration.
    """

    def __init__(self, partitions: Sequence[Partition], rules: IngestRules) -> None:
        self._partitions, self._rules = partitions, rules

    def select(self) -> SelectedEvents:
        """The events: deduplicated, without rows that are far from all others or at a default place to be left out."""
        source, categories = self._rules.source, self._rules.category_names
        cleaned, place = merge(partition.cleaned() for partition in self._partitions), self._places()
        (offence, offences), (category, named) = self._codes("offence"), self._codes("category")
        keys = Keys(
            event=self._hashes("event_id"),
            incident=self._hashes("incident_id"),
            offence=offence,
            category=np.array([categories.index(name) for name in named.to_pylist()], np.int16)[category],
            occurred=self._column(["occurred_at"], np.int64, lambda times: times.cast(pa.int64()).to_numpy()),
            file=self._complete_together(),
        )
        selection = select_events(keys, self._replaced(keys.event), cleaned.withdrawals, offences, source)
        selection.refuse(place_outliers(place[selection.rows], source), outcomes.FAR_AWAY)
        rows = selection.rows
        found = find_default_places(place[rows], keys.category[rows], len(categories))
        if source.default_places == "found":
            selection.leave_out(at_default_places(found, place[rows], keys.category[rows]), outcomes.DEFAULT_PLACE)
        rejects = pd.concat([cleaned.rejects.to_pandas(), self._refused(selection)], ignore_index=True)
        cleaned.facts.count("left_out", selection.left_out)
        rows, reported = selection.rows, self._column(["reported_at"], bool, lambda times: np.asarray(times.is_valid()))
        return SelectedEvents(
            selection,
            cleaned.facts,
            rejects.sort_values(["file", "line"], kind="stable", ignore_index=True),
            int((place != NO_POINT).sum()),
            keys.occurred[rows],
            keys.category[rows],
            reported[rows],
            place[rows],
            found,
            self._distinct("area"),
        )

    def write(self, path: Path, selection: Selection) -> None:
        """Write the events in their order.

        Args:
            path: of events.parquet.
            selection: which rows are events.
        """
        with (
            atomic_path(path) as temporary,
            pq.ParquetWriter(temporary, ARROW_SCHEMA, compression="zstd", use_dictionary=list(REPEATED)) as out,
        ):
            for begin in range(0, max(len(selection.rows), 1), ROWS):
                table = self._take(selection.rows[begin : begin + ROWS], list(COLUMNS), selection.renamed)
                out.write_table(table.cast(ARROW_SCHEMA))

    def _complete_together(self) -> np.ndarray:
        """A number for the file of each of all rows [r], or for the pull that it is a page of: equal rows in it are
        several events."""
        which, names = self._codes("file")
        pulls = {part.file: part.source["pull"] for part in self._partitions if "pull" in part.source}
        together = pd.factorize(np.array([pulls.get(name, name) for name in names.to_pylist()], object))[0]
        return together[which]

    def _replaced(self, event: Hashes) -> np.ndarray:
        """Whether a row [r] is older than fetched changes with a row of its id that is no event."""
        out, first, gone = [], 0, np.zeros(0, np.uint64)
        for partition in self._partitions:  # the newest first
            rows = sum(map(len, partition.batches(["event_id"])))
            out.append(np.isin(event.numbers[first : first + rows], gone))
            others = partition.cleaned().others.column("event_id").combine_chunks()
            gone = np.append(gone, hash_texts(others, event.key))
            first += rows
        return np.concatenate([np.zeros(0, bool), *out])

    def _refused(self, selection: Selection) -> pd.DataFrame:
        """The rows that a selection refuses, as rejects; none where it refuses none."""
        if not selection.refused.size:
            return pd.DataFrame()
        table = self._take(selection.refused, ["file", "line", "event_id"], selection.renamed)
        frame = table.rename_columns(["file", "line", "value"]).to_pandas()
        return frame.assign(reason=pd.Series(selection.reasons, dtype=TEXT))

    def _take(self, rows: np.ndarray, columns: list[str], renamed: Mapping[int, str]) -> pa.Table:
        """Some columns of some rows, in their order."""
        table = self._rows(rows, columns)
        if renamed:
            ids = table.column("event_id").to_pylist()
            ids = [renamed.get(row, name) for row, name in zip(rows.tolist(), ids, strict=True)]
            table = table.set_column(columns.index("event_id"), "event_id", [pa.array(ids, pa.large_string())])
        return table

    def _batches(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        return (batch for partition in self._partitions for batch in partition.batches(columns))

    def _rows(self, rows: np.ndarray, columns: list[str]) -> pa.Table:
        """Some columns of some rows, in their order; one column at a time, so that no two are held twice."""
        schema = pa.schema([PARTITION_SCHEMA.field(name) for name in columns])
        if not len(rows):
            return schema.empty_table()
        order = np.argsort(rows, kind="stable")
        ascending, place = np.asarray(rows)[order], pa.array(np.argsort(order))
        found = []
        for name in columns:
            first, parts = 0, []
            for batch in self._batches([name]):
                here = slice(*np.searchsorted(ascending, [first, first + len(batch)]))
                parts.append(batch.column(0).take(pa.array(ascending[here] - first)))
                first += len(batch)
            found.append(pa.concat_arrays(parts).take(place))
        return pa.table(found, schema=schema)

    def _column(self, names: list[str], kind: type, values: Callable[..., np.ndarray]) -> np.ndarray:
        """A value for each of all rows [r], made from some columns batch by batch."""
        batches = self._batches(names)
        # copied, since a view of a column keeps the whole batch
        return np.concatenate([np.zeros(0, kind), *(values(*batch.columns).copy() for batch in batches)])

    def _codes(self, name: str) -> tuple[np.ndarray, pa.Array]:
        """For each of all rows which of the distinct texts of a column it bears [r], and those."""
        nothing = pa.array([], pa.large_string()).dictionary_encode()
        batches = (batch.column(0).dictionary_encode() for batch in self._batches([name]))
        texts = pa.chunked_array([nothing, *batches]).unify_dictionaries()
        return np.concatenate([chunk.indices.to_numpy() for chunk in texts.chunks]), texts.chunk(0).dictionary

    def _distinct(self, name: str) -> list[str]:
        """The distinct texts of a column, sorted."""
        batches = (batch.column(0).unique().to_pylist() for batch in self._batches([name]))
        return sorted({text for texts in batches for text in texts if text})

    def _hashes(self, name: str) -> Hashes:
        return Hashes.of(
            lambda key: self._column([name], np.uint64, lambda texts: hash_texts(texts, key)),
            lambda rows: self._rows(rows, [name]).column(0),
        )

    def _places(self) -> np.ndarray:
        """Where all rows are, see `pack_places`."""
        names = ["latitude", "longitude"]
        return self._column(names, np.int64, lambda y, x: pack_places(y.to_numpy(), x.to_numpy()))
