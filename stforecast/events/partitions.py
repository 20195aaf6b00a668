"""Cleaned files on disk: one folder a source file, so that a file that did not change is not read again.

    events.arrow       the file's cleaned rows in reading order; offence and district as numbers into `names`. Not
                       compressed: that took longer than all else that is done with it
    rejects.parquet, withdrawals.parquet
    part.json          key (file, hash of its content, settings), counts and names

What is held in memory is a chunk of rows, whatever the size of the files.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from stforecast.errors import ArtefactError
from stforecast.events.clean import Cleaned, merge
from stforecast.events.parsing.text_columns import factorize
from stforecast.events.time_formats import TextEvidence
from stforecast.files import read_json, write_json

VERSION = 5
NAMED = ("offence", "district", "file")
"""Columns that hold numbers into the partition's `names`."""
_TIME = pa.timestamp("us", "UTC")
_SCHEMA = pa.schema(
    {
        "event_id": pa.string(),
        "incident_id": pa.string(),
        **dict.fromkeys(("occurred_at", "occurred_until", "reported_at"), _TIME),
        **dict.fromkeys(("latitude", "longitude"), pa.float64()),
        **dict.fromkeys(NAMED[:2], pa.int32()),
        "arrest": pa.bool_(),
        "file": pa.int32(),
        "line": pa.int64(),
    }
)


@dataclass(frozen=True)
class Partition:
    """What became of the rows of one file. facts: the content of part.json."""

    folder: Path
    facts: dict[str, Any]

    @staticmethod
    def open(folder: Path, key: str, now: int) -> Partition | None:
        """The partition of `key` in `folder`; None where it is absent, damaged, or time has made some of it untrue."""
        path = folder / "part.json"
        try:
            facts = read_json(path) if path.is_file() else {}
        except ArtefactError:
            return None
        whole = facts.get("key") == key and facts["size"] == (folder / "events.arrow").stat().st_size
        return Partition(folder, facts) if whole and facts["now"] <= now < facts["due"] else None

    @staticmethod
    def write(folder: Path, key: str, now: int, chunks: Iterable[Cleaned], source: dict[str, Any]) -> Partition:
        """Write cleaned chunks as they come.

        Args:
            folder: of the partition.
            key: what it is made of.
            now: the instant (µs) after which events were refused.
            chunks: of the file.
            source: name, bytes, hash and notes of the file, as they stand in ingest.json; read when all chunks came.
        """
        folder.mkdir(parents=True)
        names: dict[str, dict[str, int]] = {name: {} for name in NAMED}
        rest: list[Cleaned] = []
        with pa.OSFile(str(folder / "events.arrow"), "wb") as file, pa.ipc.new_file(file, _SCHEMA) as out:
            for chunk in chunks:
                out.write_batch(_batch(chunk.events, names))
                rest.append(replace(chunk, events=chunk.events.iloc[:0]))
        total = merge(rest)
        total.rejects.to_parquet(folder / "rejects.parquet")
        total.withdrawals.to_parquet(folder / "withdrawals.parquet")
        facts = {
            "key": key,
            "now": now,
            "due": total.due,
            "size": (folder / "events.arrow").stat().st_size,
            "rows": total.rows,
            "left_out": total.left_out,
            "mended": total.mended,
            "offences": [[*kind, number] for kind, number in total.offences.items()],
            "evidence": total.evidence.to_dict(),
            "names": {name: list(codes) for name, codes in names.items()},
            "source": source,
        }
        write_json(folder / "part.json", facts)
        return Partition(folder, facts)

    @property
    def file(self) -> str:
        """The name of the file."""
        return str(self.facts["source"]["file"])

    @property
    def evidence(self) -> TextEvidence:
        """What the file's texts tell of how they are to be read."""
        return TextEvidence.from_dict(self.facts["evidence"])

    def counts(self) -> Cleaned:
        """All but the events."""
        facts = self.facts
        return Cleaned(
            pd.DataFrame(),
            pd.read_parquet(self.folder / "withdrawals.parquet"),
            pd.read_parquet(self.folder / "rejects.parquet"),
            facts["rows"],
            Counter(facts["left_out"]),
            Counter(facts["mended"]),
            Counter({(offence, category): number for offence, category, number in facts["offences"]}),
            self.evidence,
            facts["due"],
        )

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Some columns of the events, chunk by chunk."""
        fields = [_SCHEMA.get_field_index(name) for name in columns]
        options = pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
        with pa.OSFile(str(self.folder / "events.arrow")) as file:
            reader = pa.ipc.open_file(file, options=options)
            for at in range(reader.num_record_batches):
                yield reader.get_batch(at)


def replace_partitions(folder: Path, partitions: Iterable[Partition]) -> None:
    """Make `folder` hold these partitions and no others."""
    wanted = {partition.facts["key"]: partition.folder for partition in partitions}
    folder.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if wanted.get(path.name) != path:
            shutil.rmtree(path)
    for key, found in wanted.items():
        if found.parent != folder:
            found.rename(folder / key)


def _batch(events: pd.DataFrame, names: dict[str, dict[str, int]]) -> pa.RecordBatch:
    arrays = []
    for field in _SCHEMA:
        if field.name in names:
            which, distinct = factorize(_plain(events[field.name]))
            known = names[field.name]
            codes = np.array([known.setdefault(text, len(known)) for text in distinct.to_pylist()] + [-1], np.int32)
            arrays.append(pa.array(codes[which], mask=which < 0))
        else:
            arrays.append(_plain(events[field.name]).cast(field.type))
    return pa.record_batch(arrays, schema=_SCHEMA)


def _plain(column: pd.Series) -> pa.Array:
    found = pa.array(column)
    if isinstance(found, pa.ChunkedArray):
        found = found.combine_chunks()
    return found.dictionary_decode() if isinstance(found, pa.DictionaryArray) else found
