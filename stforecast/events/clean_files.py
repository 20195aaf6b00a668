"""The publisher's files → partitions of cleaned rows on disk, each file read as all files together tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from stforecast.events import outcomes
from stforecast.events.clean import Cleaned, clean
from stforecast.events.facts import Facts, Findings
from stforecast.events.parsing.timestamp_columns import TimeFormat
from stforecast.events.partitions import VERSION, Partition
from stforecast.events.readers.chunk import prefetch
from stforecast.events.readers.header import months_only_error
from stforecast.events.readers.read_file import read
from stforecast.events.rules import IngestRules
from stforecast.events.time_formats import guess_time_format, infer_time_formats
from stforecast.files import fingerprint
from stforecast.instants import since_1970

GLANCE = 1 << 17  # bytes of text from which a first guess is made of how it is to be read


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
        self, files: Mapping[Path, str], findings: Findings
    ) -> tuple[list[Partition], dict[Path, TimeFormat]]:
        """The partitions of files; these are read as their first rows have it, and anew where that was wrong.

        Args:
            files: with the hashes of their contents.
            findings: takes what is for the user to know of their times, or to doubt the events for.

        Returns:
            The partitions, and the format of the times in each file.

        Raises:
            DataError: a file cannot be read, gives only months, or its times allow more than one reading.
        """
        guess = self._guess(next(iter(files)))
        partitions = {path: self._partition(path, digest, guess) for path, digest in files.items()}
        facts = {path: partition.facts for path, partition in partitions.items()}
        formats = infer_time_formats(facts, self.rules.source, findings)
        for path, digest in files.items():
            if formats[path] != guess:
                partitions[path] = self._partition(path, digest, formats[path])
        return list(partitions.values()), formats

    def _guess(self, path: Path) -> TimeFormat:
        """The format that the first rows of a file suggest."""
        source = self.rules.source
        chunks = read(path, source.columns, self.rules.needed, GLANCE, source.rows_in)
        facts = (clean(chunk.frame, self.rules, self.now).facts for chunk in chunks)
        return guess_time_format(next(facts, Facts()), source)

    def _partition(self, path: Path, digest: str, time_format: TimeFormat) -> Partition:
        instant, rules = since_1970(self.now), self.rules
        key = fingerprint(VERSION, rules.settings, time_format._asdict(), rules.needed, str(path.resolve()), digest)
        known = Partition.open(self.known / key, key, instant)
        if known is not None:
            return known
        notes: list[str] = []
        source = {"file": path.name, "bytes": path.stat().st_size, "hash": digest, "notes": notes}
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
                if cleaned.rejects["reason"].to_pylist().count(outcomes.MONTH_ONLY) > len(chunk.frame) / 2:
                    raise months_only_error(str(path))
                yield cleaned
                bar.update(chunk.position - bar.n)
