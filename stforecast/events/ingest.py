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
from stforecast.events import ledger as why
from stforecast.events.checks import Settled, check, notes
from stforecast.events.clean import Cleaned, clean
from stforecast.events.clocks import DAY, SECOND
from stforecast.events.containers import chosen
from stforecast.events.days import NONE
from stforecast.events.gather import Parts
from stforecast.events.geography import at_piles, piles, strays
from stforecast.events.header import monthly
from stforecast.events.parts import VERSION, Part, keep
from stforecast.events.read import ahead, read
from stforecast.events.reading import Told, reading_of, stated
from stforecast.events.schema import SCHEMA, EventTable, save_rejects
from stforecast.events.settle import choose, merge, sorted_rejects
from stforecast.events.sources import NEEDED, categories_of, resolve, wildcard
from stforecast.events.times import Reading
from stforecast.events.vector import siblings
from stforecast.events.zones import to_local
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
    parts = {other for path in found for other in siblings(path)}  # a glob takes a shapefile's too
    return [path for path in dict.fromkeys(found) if path not in parts]


def source_stamp(files: Sequence[Path], config: Config) -> str:
    """A fingerprint of the files (name and content) and of how they are read; it stands in ingest.json.

    Equal stamps mean that an ingest would give the same events again, until its `due` comes.
    """
    how = resolve(config.source).model_dump(mode="json", exclude={"path", "max_rejects", "gaps"})
    hashes = _hashes(files, Workspace(config.root, config.city).hashes)
    return fingerprint(SCHEMA, how, [path.name for path in files], hashes)


def _hashes(files: Sequence[Path], known: Path) -> list[str]:
    """Hashes of the files' contents, that of a shapefile with those of all its files; known: see `contents`."""
    groups = [[path, *siblings(path)] for path in files]
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
    stamp, hashed = source_stamp(files, config), dict(zip(files, _hashes(files, place.hashes), strict=True))
    mapped = {name for name in config.source.columns.model_fields_set if getattr(config.source.columns, name)}
    needed = sorted({*NEEDED, *mapped, *(("offence",) if source.categories else ())})
    silver.parent.mkdir(parents=True, exist_ok=True)
    sweep(silver.parent, f"{UNFINISHED}*")
    sweep(silver)
    with TemporaryDirectory(prefix=UNFINISHED, dir=silver.parent) as fresh:
        cleaned, order, said, unsure = _as_told(hashed, source, needed, now, silver / "parts", Path(fresh))
        pa.default_memory_pool().release_unused()  # what reading took; settling needs as much again
        parts = Parts.of(cleaned[::-1], categories_of(source))  # of an id the last file's row counts
        settled = _settle(parts, source)
        summary, own = _summary(settled, source), config.source.categories
        doubts, ordinary = check(settled, source, own, cleaned, silver)
        meta = {
            "schema": SCHEMA,
            "city": config.city,
            "stamp": stamp,
            "ingested_at": now.isoformat(),
            "sources": [part.facts["source"] for part in cleaned],
            "time_zone": source.time_zone,
            "date_order": source.date_order or (order if settled.counts.told.orders() else None),
            **summary,
            "notes": [
                *(note for part in cleaned for note in part.facts["source"]["notes"]),
                *said,
                *ordinary,
                *notes(settled, summary, own, cleaned, source),
            ],
            "doubts": [*unsure, *doubts],
        }
        save_rejects(silver, settled.counts.rejects)
        parts.write(silver / "events.parquet", settled.choice)
        write_json(silver / "ingest.json", meta)
        keep(silver / "parts", cleaned)
    pa.default_memory_pool().release_unused()
    return EventTable.open(silver)


def _settle(parts: Parts, source: Source) -> Settled:
    counts, keys = merge([part.counts() for part in parts.parts]), parts.keys()
    choice = choose(keys, counts.withdrawals, parts.offences, source)
    rejects, place = counts.rejects, parts.places()
    far = strays(place[choice.rows], source)
    choice.refused = np.append(choice.refused, choice.rows[far])
    choice.reasons = np.append(choice.reasons, np.full(int(far.sum()), why.STRAY, object))
    choice.rows = choice.rows[~far]
    if choice.refused.size:
        rejects = pd.concat([rejects, parts.refused(choice, keys)], ignore_index=True)
    counts = replace(counts, rejects=sorted_rejects(rejects), left_out=counts.left_out + choice.left_out)
    rows, names = choice.rows, categories_of(source)
    found = piles(place[rows], keys.category[rows], len(names))
    if source.default_places == "found" and found:
        there = at_piles(found, place[rows], keys.category[rows])
        choice.rows = rows = rows[~there]
        counts.left_out[why.DEFAULT_PLACE] += int(there.sum())
    events = keys.occurred[rows], keys.category[rows], parts.reported()[rows], place[rows]
    return Settled(choice, counts, len(keys.event), *events, found)


def _as_told(
    files: Mapping[Path, str], source: Source, needed: Sequence[str], now: pd.Timestamp, known: Path, fresh: Path
) -> tuple[list[Part], DateOrder, list[str], list[str]]:
    """The cleaned files, the order of day and month in their dates, what is said of how they were read, and doubted.

    All texts together tell it: they are read as the first rows have it, and a file anew if that was wrong.

    Args:
        files: with the hashes of their contents.
    """

    def parts(readings: Mapping[Path, Reading]) -> list[Part]:
        return list(_parts(files, source, readings, needed, now, known, fresh))

    guess = dict.fromkeys(files, _guess(next(iter(files)), source, needed, now))
    cleaned = parts(guess)
    told = {path: part.told for path, part in zip(files, cleaned, strict=True)}
    readings, said, doubts = reading_of(told, source)
    order = next(iter(readings.values())).order
    return (cleaned if readings == guess else parts(readings)), order, said, doubts


def _guess(path: Path, source: Source, needed: Sequence[str], now: pd.Timestamp) -> Reading:
    """The reading that the first rows of a file suggest."""
    chunks = read(path, source.columns, needed, GLANCE, source.rows_in)
    told = next((clean(chunk.frame, source, now).told for chunk in chunks), Told())
    try:
        return reading_of({path: told}, source)[0][path]
    except DataError:  # the others may tell
        return stated(source)


def _parts(
    files: Mapping[Path, str],
    source: Source,
    readings: Mapping[Path, Reading],
    needed: Sequence[str],
    now: pd.Timestamp,
    known: Path,
    fresh: Path,
) -> Iterator[Part]:
    """The cleaned files in order: those that are known, and the others read and written to the folder `fresh`."""
    how = source.model_dump(mode="json", exclude={"path", "max_rejects", "gaps"})
    instant = now.value // 1000
    for path, digest in files.items():
        reading = readings[path]
        key = fingerprint(VERSION, how, asdict(reading), needed, str(path.resolve()), digest)
        part = Part.open(known / key, key, instant)
        if part is None:
            said: dict[str, None] = {}
            part = Part.write(fresh / key, key, instant, _chunks(path, source, reading, needed, now, said))
            part = part.of({"file": path.name, "bytes": path.stat().st_size, "hash": digest, "notes": list(said)})
        yield part


def _in_folder(folder: Path) -> list[Path]:
    names = [path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("_")]
    return sorted(folder / name for name in chosen(names))


def _chunks(
    path: Path, source: Source, reading: Reading, needed: Sequence[str], now: pd.Timestamp, said: dict[str, None]
) -> Iterator[Cleaned]:
    """The cleaned rows of a file; notes on what of it is read are put into `said`."""
    with tqdm(total=path.stat().st_size, unit="B", unit_scale=True, desc=f"ingest {path.name}", disable=None) as bar:
        for chunk in ahead(read(path, source.columns, needed, rows_in=source.rows_in)):
            if chunk.note:
                said[chunk.note] = None
            how = source.model_copy(update={"crs": None}) if chunk.in_degrees else source
            part = clean(chunk.frame, how, now, reading)
            months = part.rejects["reason"].eq(why.MONTH_ONLY).sum()
            if months > len(chunk.frame) / 2:
                raise monthly(str(path))
            yield part
            bar.update(chunk.position - bar.n)


def _summary(settled: Settled, source: Source) -> dict[str, Any]:
    counts, occurred = settled.counts, settled.occurred
    seconds = to_local(occurred, source.time_zone or "UTC") % DAY // SECOND
    names = categories_of(source)
    per_category = np.bincount(settled.category, minlength=len(names)).tolist()
    first, last = (occurred[0], occurred[-1]) if occurred.size else (NONE, NONE)
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
        "merged": settled.choice.merged,
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
