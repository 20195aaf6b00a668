"""Bronze → silver: read, clean and deduplicate the publisher's files of a city, and write the event table."""

import glob
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from stforecast.config import Config
from stforecast.config.workspace import Workspace
from stforecast.errors import DataError
from stforecast.events.assemble import Partitions, SelectedEvents
from stforecast.events.checks import check, notes
from stforecast.events.clean_files import VERSION, FileCleaner
from stforecast.events.facts import Findings
from stforecast.events.forgotten import Forgotten
from stforecast.events.parsing.dates import NAT
from stforecast.events.parsing.time_zones import to_local
from stforecast.events.parsing.times_of_day import DAY, SECOND
from stforecast.events.place_checks import NO_POINT
from stforecast.events.readers.containers import files_with_rows
from stforecast.events.readers.vector import shapefile_files
from stforecast.events.schema import EVENTS, INGESTED, REJECTS, SCHEMA, EventTable, save_first_seen, save_rejects
from stforecast.events.sightings import append
from stforecast.events.sources import IngestRules, category_lookup, wildcard
from stforecast.events.spark import spark_map
from stforecast.files import atomic_folder, contents, fingerprint
from stforecast.sealed import seal
from stforecast.sources.pulls import fetched_folders

KINDS = "CSV, GeoJSON, JSON, Parquet, GeoPackage, shapefile, Excel; also packed as .zip, .tar, .gz, .xz or .bz2"


def ingest(
    config: Config,
    paths: Sequence[Path] | None = None,
    now: pd.Timestamp | None = None,
    seen_at: pd.Timestamp | None = None,
) -> EventTable:
    """Read the publisher's files and write the folder of the event table, whole or not at all.

    What was read of each file is kept in `Workspace.partitions`, and what is new or changed is appended to
    `Workspace.seen`.

    Args:
        config: of the city.
        paths: the files; default `source_files`.
        now: later events are refused; default the present.
        seen_at: when the files were seen first; default `now`.

    Returns:
        The table that was written.

    Raises:
        ConfigError: the source section does not say enough, or Spark does not start.
        DataError: a file cannot be used, too many rows are refused (`Workspace.refused` holds them), no event is
            left, or the publisher gives only days or months where `time.step` needs more.
        ArtefactError: `Workspace.seen` is damaged.
    """
    place, now = Workspace(config.root, config.city), now or pd.Timestamp.now("UTC")
    rules, findings = IngestRules.of_city(config), Findings()
    paths = list(source_files(config, place.bronze) if paths is None else paths) or _absent(place.bronze)
    hashes = _content_hashes(paths, place.hashes)
    # the partitions change places first: a kill between the two costs nothing, the events are made from them again
    with atomic_folder(place.silver) as made, atomic_folder(place.partitions) as fresh:
        cleaner = FileCleaner(rules, now, place.partitions, fresh)
        each = partial(spark_map, config.ingest.master) if config.ingest.engine == "spark" else map
        cleaned, formats = cleaner.clean_all(dict(zip(paths, hashes, strict=True)), findings, each)
        pa.default_memory_pool().release_unused()  # what reading took; deduplicating needs as much again
        partitions = Partitions(cleaned[::-1], rules)  # of an id the last file's row counts
        events = partitions.select()
        precision = check(events, rules, cleaned, place.refused, findings)
        summary = summarise(events, rules)
        sources = [partition.source for partition in cleaned]
        order = rules.source.date_order or (formats[paths[0]].order if events.facts.orders() else None)
        meta = {
            "schema": SCHEMA,
            "city": config.city,
            "stamp": _stamp_of(paths, hashes, rules),
            "ingested_at": now.isoformat(),
            "sources": sources,
            "time_zone": rules.source.time_zone,
            "date_order": order,
            "precision": precision,
            **summary,
            "notes": [
                *(note for source in sources for note in source["notes"]),
                *findings.notes,
                *notes(events, summary, rules, cleaned),
            ],
            "doubts": findings.doubts,
        }
        save_rejects(made / REJECTS, events.rejects)
        partitions.write(made / EVENTS, events.selection)
        # before the events stand in their place: a kill between the two costs nothing, they are compared again
        sight = append(place.seen, made / EVENTS, meta, _settings_of(rules), seen_at or now)
        save_first_seen(made, sight.first_seen)
        seal(made / INGESTED, {**meta, "observed_from": sight.observed_from, "news": sight.news})
        place.refused.unlink(missing_ok=True)
        for folder in {partition.folder for partition in cleaned}:
            if folder.parent != fresh:
                folder.rename(fresh / folder.name)
    pa.default_memory_pool().release_unused()
    return EventTable.open(place.silver)


def summarise(events: SelectedEvents, rules: IngestRules) -> dict[str, Any]:
    """Counts and shares of an ingest, as they stand in ingest.json."""
    facts, occurred, names = events.facts, events.occurred, rules.category_names
    offences, lookup = facts.of("offences"), category_lookup(rules.source)
    seconds = to_local(occurred, rules.source.zone) % DAY // SECOND
    per_category = np.bincount(events.category, minlength=len(names)).tolist()
    first, last = (occurred[0], occurred[-1]) if occurred.size else (NAT, NAT)
    return {
        "categories": list(names),
        "events": len(events),
        "events_by_category": dict(zip(names, per_category, strict=True)),
        "first_event": str(pd.Timestamp(first, unit="us", tz="UTC")),
        "last_event": str(pd.Timestamp(last, unit="us", tz="UTC")),
        "reported": _share(events.reported),
        "at_midnight": _share(seconds == 0),
        "at_noon": _share(seconds == 12 * 3600),
        "on_the_hour": _share(seconds % 3600 == 0),
        "placed_by_area": int((events.place == NO_POINT).sum()),
        "rows_read": facts.rows,
        "merged": events.selection.merged,
        "due": facts.due,
        "rejected": events.rejects["reason"].value_counts().to_dict(),
        "left_out": dict(facts.of("left_out").most_common()),
        "corrected": dict(facts.of("corrected").most_common()),
        "offences": [
            {"offence": offence, "category": lookup(offence), "rows": number}
            for offence, number in offences.most_common()
        ],
        "patterns_without_offences": _unmatched(rules.source.categories, list(offences)),
    }


def _unmatched(categories: Mapping[str, Sequence[str]], offences: Sequence[str]) -> dict[str, list[str]]:
    """The patterns of each category that match no offence."""
    found = {
        category: [text for text in patterns if not any(map(wildcard(text).fullmatch, offences))]
        for category, patterns in categories.items()
    }
    return {category: patterns for category, patterns in found.items() if patterns}


def _share(rows: np.ndarray) -> float:
    return round(float(np.mean(np.asarray(rows, float))), 6) if len(rows) else 0.0


def source_files(config: Config, bronze: Path) -> list[Path]:
    """The files of `source.path` (relative to the current folder), or else those of `bronze`, sorted, and behind them
    what was fetched, the newest last.

    Raises:
        DataError: a path names nothing, or a folder holds no file that can be read.
    """
    texts = config.source.path
    if texts is None:
        own, fetched = _in_folder(bronze), map(_in_folder, fetched_folders(bronze))
        return [*own, *(path for folder in fetched for path in folder)] or _absent(bronze)
    found: list[Path] = []
    for text in [texts] if isinstance(texts, str) else texts:
        path = Path(config.input(text)).expanduser()
        names = [str(path)] if path.exists() else sorted(glob.glob(str(path), recursive=True))
        matches = _in_folder(path) if path.is_dir() else [Path(name) for name in names if Path(name).is_file()]
        if not matches:
            raise DataError(
                f"source.path: {path.absolute()} names no file of reports ({KINDS}). Check the path; a relative "
                "one begins at the folder that the command is run from."
            )
        found += matches
    members = {other for path in found for other in shapefile_files(path)}  # a glob takes a shapefile's too
    return [path for path in dict.fromkeys(found) if path not in members]


def _absent(bronze: Path) -> list[Path]:
    """Say that a city has no files.

    Raises:
        DataError: always.
    """
    raise DataError(f"{bronze}: no offence reports. Put the publisher's file ({KINDS}) there, or set source.path.")


def source_stamp(files: Sequence[Path], config: Config) -> str:
    """A fingerprint of the files (name and content) and of how they are read; it stands in ingest.json.

    Equal stamps mean that an ingest would give the same events again, until its `due` comes.
    """
    hashes = _content_hashes(files, Workspace(config.root, config.city).hashes)
    return _stamp_of(files, hashes, IngestRules.of_city(config))


def _settings_of(rules: IngestRules) -> str:
    """A fingerprint of what decides what becomes of a publisher's row, but for what is erased."""
    return fingerprint(SCHEMA, VERSION, replace(rules, forgotten=Forgotten()).settings)


def _stamp_of(files: Sequence[Path], hashes: Sequence[str], rules: IngestRules) -> str:
    """`source_stamp` of files whose hashes are known."""
    return fingerprint(SCHEMA, rules.settings, [path.name for path in files], list(hashes))


def _content_hashes(files: Sequence[Path], known: Path) -> list[str]:
    """Hashes of the files' contents, that of a shapefile with those of all its files.

    Args:
        files: the files.
        known: where hashes are noted, see `stforecast.files.contents`.
    """
    groups = [[path, *shapefile_files(path)] for path in files]
    each = list(dict.fromkeys(path for group in groups for path in group))
    found = dict(zip(each, contents(each, known), strict=True))
    return [
        fingerprint([(path.suffix, found[path]) for path in group]) if len(group) > 1 else found[group[0]]
        for group in groups
    ]


def _in_folder(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    names = [path.name for path in folder.iterdir() if path.is_file() and not path.name.startswith("_")]
    return sorted(folder / name for name in files_with_rows(names))
