"""The publisher's files → partitions of cleaned rows on disk, each file read as all files together tell."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from stforecast.errors import ArtefactError
from stforecast.events.clean import Cleaned, clean, merge
from stforecast.events.facts import Facts, Findings
from stforecast.events.parsing.timestamp_columns import TimeFormat
from stforecast.events.precision import check_precision
from stforecast.events.readers.chunk import prefetch
from stforecast.events.readers.read_file import read
from stforecast.events.schema import ARROW_SCHEMA
from stforecast.events.sources import IngestRules
from stforecast.events.time_formats import guess_time_format, infer_time_formats
from stforecast.files import UNFINISHED, fingerprint
from stforecast.instants import since_1970
from stforecast.sealed import Sealed, seal, unseal
from stforecast.sources.pulls import pull_of

VERSION = 12
PARTITION_SCHEMA = (
    ARROW_SCHEMA.remove_metadata().append(pa.field("file", pa.large_string())).append(pa.field("line", pa.int64()))
)
REST = ("withdrawals", "rejects", "others")
"""What is kept of cleaned rows beside the events."""


@dataclass(frozen=True)
class Partition:
    """What became of the rows of one file, in a folder, so that a file that did not change is not read again.

    In the folder are `events.arrow` (the cleaned rows in reading order; not compressed, since that took longer than all
    else that is done with it), `rejects.parquet`, `withdrawals.parquet`, `others.parquet` (of fetched changes: ids of
    rows that are no events, and take the place of older ones) and `partition.json` (key, facts and the hashes of
    the others). What is held in memory is a chunk of rows, whatever the size of the file.

    key: what it is made of. source: name, bytes, hash and notes of the file, as they stand in ingest.json; of a page
    that was fetched also its pull.
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
            return unseal(folder / "partition.json", "It will be made again.", read)
        except ArtefactError:
            return None

    @staticmethod
    def write(folder: Path, key: str, now: int, chunks: Iterable[Cleaned], source: dict[str, Any]) -> Partition:
        """Write cleaned chunks as they come; where two write the same, as when a machine was lost, the first stays.

        Args:
            folder: of the partition.
            key: what it is made of.
            now: the instant (µs) after which events were refused.
            chunks: of the file.
            source: name, bytes, hash and notes of the file; read when all chunks came.
        """
        made = folder.with_name(f"{UNFINISHED}{secrets.token_hex(6)}-{folder.name}")
        made.mkdir(parents=True)
        rest: list[Cleaned] = []
        with pa.OSFile(str(made / "events.arrow"), "wb") as file, pa.ipc.new_file(file, PARTITION_SCHEMA) as out:
            for chunk in chunks:
                out.write_table(chunk.events.cast(PARTITION_SCHEMA))
                others = chunk.others if source.get("pull", "").endswith("-changes") else chunk.others.slice(0, 0)
                rest.append(replace(chunk, events=chunk.events.schema.empty_table(), others=others))
        total = merge(rest)
        for name in REST:
            pq.write_table(getattr(total, name), made / f"{name}.parquet")
        seal(made / "partition.json", {"key": key, "now": now, "source": source, "facts": vars(total.facts)})
        shutil.rmtree(made) if folder.exists() else made.rename(folder)
        return Partition(folder, key, source, total.facts)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The cleaned rows, some columns of them, batch by batch."""
        fields = pa.ipc.IpcReadOptions(included_fields=[PARTITION_SCHEMA.get_field_index(name) for name in columns])
        with (
            pa.OSFile(str(self.folder / "events.arrow")) as file,
            pa.ipc.open_file(file, options=fields) as reader,
        ):
            for number in range(reader.num_record_batches):
                yield reader.get_batch(number).select(columns)

    @property
    def file(self) -> str:
        """The name of the file."""
        return str(self.source["file"])

    @property
    def table(self) -> str | None:
        """The table that the file is a page of, if it was fetched: all pages of one are read alike."""
        return str(self.source["pull"]).partition("/")[0] if "pull" in self.source else None

    def cleaned(self) -> Cleaned:
        """All but the events."""
        rest = {name: pq.read_table(self.folder / f"{name}.parquet") for name in REST}
        return Cleaned(PARTITION_SCHEMA.empty_table(), **rest, facts=self.facts)


GLANCE = 1 << 17  # bytes of text from which a first guess is made of how it is to be read
Job = tuple[Path, str, TimeFormat]
"""A file, the hash of its content, and the format of its times."""
Each = Callable[[Callable[[Job], Partition], Sequence[Job]], Iterable[Partition]]
"""Calls a function for each of some files."""


@dataclass(frozen=True)
class FileCleaner:
    """Reads and cleans files, but for those of which `known` holds a partition.

    rules: of the configuration. now: later events are refused. known: folder of the partitions of earlier ingests.
    fresh: folder for new ones.
    """

    rules: IngestRules
    now: pd.Timestamp
    known: Path
    fresh: Path

    def clean_all(
        self, files: Mapping[Path, str], findings: Findings, each: Each = map
    ) -> tuple[list[Partition], dict[Path, TimeFormat]]:
        """The partitions of files; these are read as their first rows have it, and anew where that was wrong.

        Args:
            files: with the hashes of their contents.
            findings: takes what is for the user to know of their times, or to doubt the events for.
            each: calls a function for each file, here or elsewhere.

        Returns:
            The partitions, and the format of the times in each file.

        Raises:
            DataError: a file cannot be read, gives only months, or its times allow more than one reading.
        """
        guess = self._guess(next(iter(files)))
        once = each(self._partition, [(path, digest, guess) for path, digest in files.items()])
        partitions = dict(zip(files, once, strict=True))
        first = dict[str, Path]()  # of each table
        alike = {path: first.setdefault(partition.table or str(path), path) for path, partition in partitions.items()}
        facts = {
            path: Facts.total(partitions[page].facts for page in files if alike[page] == path)
            for path in first.values()
        }
        found = infer_time_formats(facts, self.rules, findings)
        formats = {path: found[alike[path]] for path in files}
        wrong = {path: digest for path, digest in files.items() if formats[path] != guess}
        second = each(self._partition, [(path, digest, formats[path]) for path, digest in wrong.items()])
        partitions.update(zip(wrong, second, strict=True))
        return list(partitions.values()), formats

    def _guess(self, path: Path) -> TimeFormat:
        """The format that the first rows of a file suggest."""
        source = self.rules.source
        chunks = read(path, source.columns, self.rules.needed, GLANCE, source.rows_in)
        facts = (clean(chunk.frame, self.rules, self.now).facts for chunk in chunks)
        return guess_time_format(next(facts, Facts()), self.rules)

    def _partition(self, job: Job) -> Partition:
        (path, digest, time_format), instant, rules = job, since_1970(self.now), self.rules
        key = fingerprint(VERSION, rules.settings, time_format._asdict(), rules.needed, str(path.resolve()), digest)
        known = Partition.open(self.known / key, key, instant)
        if known is not None:
            return known
        notes: list[str] = []
        source = {"file": path.name, "bytes": path.stat().st_size, "hash": digest, "notes": notes}
        source |= {"pull": pull} if (pull := pull_of(path)) else {}
        return Partition.write(self.fresh / key, key, instant, self._chunks(path, time_format, notes), source)

    def _chunks(self, path: Path, time_format: TimeFormat, notes: list[str]) -> Iterator[Cleaned]:
        """The cleaned rows of a file; notes on what of it is read are added to `notes`."""
        rules, source = self.rules, self.rules.source
        in_degrees = replace(rules, source=source.model_copy(update={"crs": None}))
        name, size = f"ingest {path.name}", path.stat().st_size
        with tqdm(total=size, unit="B", unit_scale=True, desc=name, disable=None) as bar:
            for chunk in prefetch(read(path, source.columns, rules.needed, rows_in=source.rows_in)):
                if chunk.note and chunk.note not in notes:
                    notes.append(chunk.note)
                cleaned = clean(chunk.frame, in_degrees if chunk.in_degrees else rules, self.now, time_format)
                if cleaned.facts.of("rows")["months"] > len(chunk.frame) / 2:
                    check_precision(str(path), cleaned.facts, "month", rules.step)
                yield cleaned
                bar.update(chunk.position - bar.n)
