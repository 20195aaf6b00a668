"""Cleaned files on disk: one folder a source file, so that a file that did not change is not read again.

    events.arrow       the file's cleaned rows in reading order. Not compressed: that took longer than all else that is
                       done with it
    rejects.parquet, withdrawals.parquet
    part.json          key (file, hash of its content, settings), facts and the hashes of the others

What is held in memory is a chunk of rows, whatever the size of the files.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stforecast.errors import ArtefactError
from stforecast.events.clean import Cleaned, merge
from stforecast.events.facts import Facts
from stforecast.events.schema import ARROW_SCHEMA
from stforecast.sealed import Sealed, seal, unseal

VERSION = 7
_SCHEMA = (
    ARROW_SCHEMA.remove_metadata().append(pa.field("file", pa.large_string())).append(pa.field("line", pa.int64()))
)


@dataclass(frozen=True)
class Partition:
    """What became of the rows of one file.

    key: what it is made of. source: name, bytes, hash and notes of the file, as they stand in ingest.json.
    """

    folder: Path
    key: str
    source: dict[str, Any]
    facts: Facts

    @staticmethod
    def open(folder: Path, key: str, now: int) -> Partition | None:
        """The partition of `key` in `folder`; None where it is absent, damaged, or time has made some of it untrue."""

        def read(sealed: Sealed) -> Partition | None:
            sealed.check()
            part, facts = sealed.facts, Facts.from_dict(sealed.facts["facts"])
            fits = part["key"] == key and part["now"] <= now < facts.due
            return Partition(folder, key, part["source"], facts) if fits else None

        try:
            return unseal(folder / "part.json", "It will be made again.", read)
        except ArtefactError:
            return None

    @staticmethod
    def write(folder: Path, key: str, now: int, chunks: Iterable[Cleaned], source: dict[str, Any]) -> Partition:
        """Write cleaned chunks as they come.

        Args:
            folder: of the partition.
            key: what it is made of.
            now: the instant (µs) after which events were refused.
            chunks: of the file.
            source: name, bytes, hash and notes of the file; read when all chunks came.
        """
        folder.mkdir(parents=True)
        rest: list[Cleaned] = []
        with pa.OSFile(str(folder / "events.arrow"), "wb") as file, pa.ipc.new_file(file, _SCHEMA) as out:
            for chunk in chunks:
                out.write_table(chunk.events.cast(_SCHEMA))
                rest.append(replace(chunk, events=chunk.events.schema.empty_table()))
        total = merge(rest)
        pq.write_table(total.rejects, folder / "rejects.parquet")
        pq.write_table(total.withdrawals, folder / "withdrawals.parquet")
        seal(folder / "part.json", {"key": key, "now": now, "source": source, "facts": vars(total.facts)})
        return Partition(folder, key, source, total.facts)

    @property
    def events(self) -> Path:
        """The file of the cleaned rows."""
        return self.folder / "events.arrow"

    @property
    def file(self) -> str:
        """The name of the file."""
        return str(self.source["file"])

    def cleaned(self) -> Cleaned:
        """All but the events."""
        withdrawals, rejects = (pq.read_table(self.folder / f"{name}.parquet") for name in ("withdrawals", "rejects"))
        return Cleaned(_SCHEMA.empty_table(), withdrawals, rejects, self.facts)
