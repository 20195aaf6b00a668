"""Bronze → silver: read, clean and settle the publisher's files of a city, and write the event table."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from stforecast.config import Config
from stforecast.config.sections import DateOrder, Source
from stforecast.errors import DataError
from stforecast.events import outcomes
from stforecast.events.assemble import Partitions
from stforecast.events.checks import SelectedEvents, check, notes
from stforecast.events.clean import Cleaned, clean
from stforecast.events.deduplicate import merge, select_events, sorted_rejects
from stforecast.events.parsing.dates import NAT
from stforecast.events.parsing.time_zones import to_local
from stforecast.events.parsing.times_of_day import DAY, SECOND
from stforecast.events.parsing.timestamp_columns import TimeFormat
from stforecast.events.partitions import VERSION, Partition, keep
from stforecast.events.place_checks import at_default_places, find_default_places, place_outliers
from stforecast.events.readers.chunk import prefetch
from stforecast.events.readers.containers import files_with_rows
from stforecast.events.readers.header import months_only_error
from stforecast.events.readers.read_file import read
from stforecast.events.readers.vector import shapefile_files
from stforecast.events.schema import SCHEMA, EventTable, save_rejects
from stforecast.events.sources import NEEDED, category_names, resolve, wildcard
from stforecast.events.time_formats import TextEvidence, configured_format, infer_time_formats
from stforecast.files import contents, fingerprint, sweep, write_json
from stforecast.pipeline.workspace import Workspace

GLANCE = 1 << 17  # bytes of text from which a first guess is made of how it is to be read
UNFINISHED = ".parts-"  # folders of files that are being read
KINDS = "CSV, GeoJSON, JSON, Parquet, GeoPackage, shapefile, Excel; also packed as .zip, .tar, .gz, .xz or .bz2"


def source_files(config: Config, bronze: Path) -> list[Path]:
    """The files of `source.path` (relative to the current folder), or else those of `bronze`, sorted.

    Raises:
        DataError: a path names nothing, or a folder holds no file that can be read.
    """
    given = config.source.path
    if given is None:
        if not bronze.is_dir() or not (files := _in_folder(bronze)):
            raise DataError(
                f"{bronze}: no offence reports. Put the publisher's file ({KINDS}) there, or set source.path."
            )
        return files
    found: list[Path] = []
    for text in [given] if isinstance(given, str) else given:
        path = Path(config.input(text)).expanduser()
        if path.is_dir():
            matches = _in_folder(path)
        elif path.is_file():
            matches = [path]
        else:
            matches = sorted(Path(name) for name in glob.glob(str(path), recursive=True) if Path(name).is_file())
        if not matches:
            raise DataError(
                f"source.path: {path.absolute()} names no file of reports ({KINDS}). Check the path; a relative "
                "one begins at the folder that the command is run from."
            )
        found += matches
    partitions = {other for path in found for other in shapefile_files(path)}  # a glob takes a shapefile's too
    return [path for path in dict.fromkeys(found) if path not in partitions]


def source_stamp(files: Sequence[Path], config: Config) -> str:
    """A fingerprint of the files (name and content) and of how they are read; it stands in ingest.json.

    Equal stamps mean that an ingest would give the same events again, until its `due` comes.
    """
    how = resolve(config.source).model_dump(mode="json", exclude={"path", "max_rejects", "gaps"})
    hashes = _hashes(files, Workspace(config.root, config.city).hashes)
    return fingerprint(SCHEMA, how, [path.name for path in files], hashes)


def _hashes(files: Sequence[Path], known: Path) -> list[str]:
    """Hashes of the files' contents, that of a shapefile with those of all its files; known: see `contents`."""
    groups = [[path, *shapefile_files(path)] for path in files]
    each = list(dict.fromkeys(path for group in groups for path in group))
    found = dict(zip(each, contents(each, known), strict=True))
    return [
        fingerprint([(path.suffix, found[path]) for path in group]) if len(group) > 1 else found[group[0]]
        for group in groups
    ]


def ingest(
    config: Config, paths: Sequence[Path] | None = None, silver: Path | None = None, now: pd.Timestamp | None = None
) -> EventTable:
    """Read the publisher's files and write `silver/{events,rejects}.parquet` and `ingest.json`.

    paths: default `source_files`. silver: default the city's. now: default the present; later events are refused.

    Raises:
        ConfigError: the source section does not say enough.
        DataError: a file cannot be used, too many rows are refused (rejects.parquet is written, so that one can look;
            events are not), no event is left, or the publisher gives only months or days.
    """
    place = Workspace(config.root, config.city)
    silver = silver or place.silver
    now = now or pd.Timestamp.now("UTC")
    source = resolve(config.source)
    files = list(paths) if paths is not None else source_files(config, place.bronze)
    if not files:
        raise DataError(f"{place.bronze}: no offence reports. Put the publisher's file there, or set source.path.")
    stamp, hash_texts = source_stamp(files, config), dict(zip(files, _hashes(files, place.hashes), strict=True))
    mapped = {name for name in config.source.columns.model_fields_set if getattr(config.source.columns, name)}
    needed = sorted({*NEEDED, *mapped, *(("offence",) if source.categories else ())})
    silver.parent.mkdir(parents=True, exist_ok=True)
    sweep(silver.parent, f"{UNFINISHED}*")
    sweep(silver)
    with TemporaryDirectory(prefix=UNFINISHED, dir=silver.parent) as fresh:
        cleaned, order, said, unsure = _as_told(hash_texts, source, needed, now, silver / "parts", Path(fresh))
        pa.default_memory_pool().release_unused()  # what reading took; settling needs as much again
        partitions = Partitions.of(cleaned[::-1], category_names(source))  # of an id the last file's row counts
        settled = _settle(partitions, source)
        summary, own = _summary(settled, source), config.source.categories
        doubts, ordinary = check(settled, source, own, cleaned, silver)
        meta = {
            "schema": SCHEMA,
            "city": config.city,
            "stamp": stamp,
            "ingested_at": now.isoformat(),
            "sources": [partition.facts["source"] for partition in cleaned],
            "time_zone": source.time_zone,
            "date_order": source.date_order or (order if settled.counts.evidence.orders() else None),
            **summary,
            "notes": [
                *(note for partition in cleaned for note in partition.facts["source"]["notes"]),
                *said,
                *ordinary,
                *notes(settled, summary, own, cleaned, source),
            ],
            "doubts": [*unsure, *doubts],
        }
        save_rejects(silver, settled.counts.rejects)
        partitions.write(silver / "events.parquet", settled.selection)
        write_json(silver / "ingest.json", meta)
        keep(silver / "parts", cleaned)
    pa.default_memory_pool().release_unused()
    return EventTable.open(silver)


def _settle(partitions: Partitions, source: Source) -> SelectedEvents:
    counts, keys = merge([partition.counts() for partition in partitions.partitions]), partitions.keys()
    selection = select_events(keys, counts.withdrawals, partitions.offences, source)
    rejects, place = counts.rejects, partitions.places()
    far = place_outliers(place[selection.rows], source)
    selection.refused = np.append(selection.refused, selection.rows[far])
    selection.reasons = np.append(selection.reasons, np.full(int(far.sum()), outcomes.FAR_AWAY, object))
    selection.rows = selection.rows[~far]
    if selection.refused.size:
        rejects = pd.concat([rejects, partitions.refused(selection, keys)], ignore_index=True)
    counts = replace(counts, rejects=sorted_rejects(rejects), left_out=counts.left_out + selection.left_out)
    rows, names = selection.rows, category_names(source)
    found = find_default_places(place[rows], keys.category[rows], len(names))
    if source.default_places == "found" and found:
        there = at_default_places(found, place[rows], keys.category[rows])
        selection.rows = rows = rows[~there]
        counts.left_out[outcomes.DEFAULT_PLACE] += int(there.sum())
    events = keys.occurred[rows], keys.category[rows], partitions.reported()[rows], place[rows]
    return SelectedEvents(selection, counts, len(keys.event), *events, found)


def _as_told(
    files: Mapping[Path, str], source: Source, needed: Sequence[str], now: pd.Timestamp, known: Path, fresh: Path
) -> tuple[list[Partition], DateOrder, list[str], list[str]]:
    """The cleaned files, the order of day and month in their dates, what is said of how they were read, and doubted.

    All texts together tell it: they are read as the first rows have it, and a file anew if that was wrong.

    Args:
        files: with the hashes of their contents.
    """

    def partitions(time_formats: Mapping[Path, TimeFormat]) -> list[Partition]:
        return list(_partitions(files, source, time_formats, needed, now, known, fresh))

    guess = dict.fromkeys(files, _guess(next(iter(files)), source, needed, now))
    cleaned = partitions(guess)
    evidence = {path: partition.evidence for path, partition in zip(files, cleaned, strict=True)}
    time_formats, said, doubts = infer_time_formats(evidence, source)
    order = next(iter(time_formats.values())).order
    return (cleaned if time_formats == guess else partitions(time_formats)), order, said, doubts


def _guess(path: Path, source: Source, needed: Sequence[str], now: pd.Timestamp) -> TimeFormat:
    """The reading that the first rows of a file suggest."""
    chunks = read(path, source.columns, needed, GLANCE, source.rows_in)
    evidence = next((clean(chunk.frame, source, now).evidence for chunk in chunks), TextEvidence())
    try:
        return infer_time_formats({path: evidence}, source)[0][path]
    except DataError:  # the others may tell
        return configured_format(source)


def _partitions(
    files: Mapping[Path, str],
    source: Source,
    time_formats: Mapping[Path, TimeFormat],
    needed: Sequence[str],
    now: pd.Timestamp,
    known: Path,
    fresh: Path,
) -> Iterator[Partition]:
    """The cleaned files in order: those that are known, and the others read and written to the folder `fresh`."""
    how = source.model_dump(mode="json", exclude={"path", "max_rejects", "gaps"})
    instant = now.value // 1000
    for path, digest in files.items():
        time_format = time_formats[path]
        key = fingerprint(VERSION, how, asdict(time_format), needed, str(path.resolve()), digest)
        partition = Partition.open(known / key, key, instant)
        if partition is None:
            said: dict[str, None] = {}
            partition = Partition.write(
                fresh / key, key, instant, _chunks(path, source, time_format, needed, now, said)
            )
            partition = partition.of(
                {"file": path.name, "bytes": path.stat().st_size, "hash": digest, "notes": list(said)}
            )
        yield partition


def _in_folder(folder: Path) -> list[Path]:
    names = [path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("_")]
    return sorted(folder / name for name in files_with_rows(names))


def _chunks(
    path: Path, source: Source, time_format: TimeFormat, needed: Sequence[str], now: pd.Timestamp, said: dict[str, None]
) -> Iterator[Cleaned]:
    """The cleaned rows of a file; notes on what of it is read are put into `said`."""
    with tqdm(total=path.stat().st_size, unit="B", unit_scale=True, desc=f"ingest {path.name}", disable=None) as bar:
        for chunk in prefetch(read(path, source.columns, needed, rows_in=source.rows_in)):
            if chunk.note:
                said[chunk.note] = None
            how = source.model_copy(update={"crs": None}) if chunk.in_degrees else source
            partition = clean(chunk.frame, how, now, time_format)
            months = partition.rejects["reason"].eq(outcomes.MONTH_ONLY).sum()
            if months > len(chunk.frame) / 2:
                raise months_only_error(str(path))
            yield partition
            bar.update(chunk.position - bar.n)


def _summary(settled: SelectedEvents, source: Source) -> dict[str, Any]:
    counts, occurred = settled.counts, settled.occurred
    seconds = to_local(occurred, source.time_zone or "UTC") % DAY // SECOND
    names = category_names(source)
    per_category = np.bincount(settled.category, minlength=len(names)).tolist()
    first, last = (occurred[0], occurred[-1]) if occurred.size else (NAT, NAT)
    patterns = {
        category: [p for p in given if not any(wildcard(p).fullmatch(offence) for offence, _ in counts.offences)]
        for category, given in source.categories.items()
    }
    return {
        "categories": list(names),
        "events": len(settled),
        "events_by_category": dict(zip(names, per_category, strict=True)),
        "first_event": str(pd.Timestamp(first, unit="us", tz="UTC")),
        "last_event": str(pd.Timestamp(last, unit="us", tz="UTC")),
        "reported": _share(settled.reported),
        "at_midnight": _share(seconds == 0),
        "at_noon": _share(seconds == 12 * 3600),
        "on_the_hour": _share(seconds % 3600 == 0),
        "rows_read": counts.rows,
        "merged": settled.selection.merged,
        "due": counts.due,
        "rejected": {str(reason): int(number) for reason, number in counts.rejects["reason"].value_counts().items()},
        "left_out": dict(counts.left_out.most_common()),
        "mended": dict(counts.mended.most_common()),
        "offences": [
            {"offence": offence, "category": category, "rows": number}
            for (offence, category), number in counts.offences.most_common()
        ],
        "patterns_without_offences": {category: names for category, names in patterns.items() if names},
    }


def _share(rows: np.ndarray) -> float:
    return round(float(np.mean(np.asarray(rows, float))), 6) if len(rows) else 0.0
