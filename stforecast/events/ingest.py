"""Bronze → silver: read, clean and settle the publisher's files of a city, and write the event table."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from stforecast.config import Config
from stforecast.errors import DataError
from stforecast.events import ledger as why
from stforecast.events.clean import Cleaned, clean
from stforecast.events.read import monthly, read
from stforecast.events.records import CUT
from stforecast.events.schema import COLUMNS, SCHEMA, EventTable, save_rejects
from stforecast.events.settle import merge, settle
from stforecast.events.sources import NEEDED, categories_of, resolve, wildcard
from stforecast.files import file_fingerprint, fingerprint
from stforecast.sections import Source
from stforecast.workspace import Workspace

ENDINGS = (".csv", ".csv.gz", ".zip", ".parquet")
DAYS_ONLY = 0.9  # share of events at exactly local midnight from which the publisher gives days, not times


def source_files(config: Config, bronze: Path) -> list[Path]:
    """The files of `source.path` (relative to the current folder), or else those of `bronze`, sorted.

    Raises:
        DataError: a path names nothing, or a folder holds no file that can be read.
    """
    given = config.source.path
    if given is None:
        if not bronze.is_dir() or not (files := _in_folder(bronze)):
            raise DataError(
                f"{bronze}: no offence reports. Put the publisher's file ({', '.join(ENDINGS)}) there, or set "
                "source.path."
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
            raise DataError(f"source.path: {text} names no file of {', '.join(ENDINGS)}. Check the path.")
        found += matches
    return list(dict.fromkeys(found))


def source_stamp(files: Sequence[Path], config: Config) -> str:
    """A fingerprint of the files (name, size, time of change) and of how they are read; it stands in ingest.json.

    Equal stamps mean that an ingest would give the same events again.
    """
    how = resolve(config.source).model_dump(mode="json", exclude={"path", "max_rejects"})
    which = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return fingerprint(SCHEMA, how, which)


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
    stamp = source_stamp(files, config)
    mapped = {name for name in config.source.columns.model_fields_set if getattr(config.source.columns, name)}
    needed = {*NEEDED, *mapped, *(("offence",) if source.categories else ())}
    parts = list(_chunks(files, source, needed, now))
    settled = settle(merge(parts), source)
    _check_rejects(settled, source, silver)
    meta = {
        "schema": SCHEMA,
        "city": config.city,
        "stamp": stamp,
        "ingested_at": now.isoformat(),
        "sources": [{"file": f.name, "bytes": f.stat().st_size, "hash": file_fingerprint(f)} for f in files],
        "time_zone": source.time_zone,
        **_summary(settled, source),
    }
    table = EventTable(settled.events[list(COLUMNS)], meta)
    _check_events(table, settled, files)
    table.save(silver, settled.rejects)
    return table


def _in_folder(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.name.lower().endswith(ENDINGS) and not path.name.startswith((".", "_"))
    )


def _chunks(files: Sequence[Path], source: Source, needed: set[str], now: pd.Timestamp) -> Iterator[Cleaned]:
    total = sum(path.stat().st_size for path in files)
    with tqdm(total=total, unit="B", unit_scale=True, desc="ingest", disable=None) as bar:
        done = 0
        for path in files:
            for chunk in read(path, source.columns, needed):
                part = clean(chunk.frame, source, now)
                months = part.rejects["reason"].eq(why.MONTH_ONLY).sum()
                if months > len(chunk.frame) / 2:
                    raise monthly(str(path))
                yield part
                bar.update(done + chunk.position - bar.n)
            done += path.stat().st_size


def _check_rejects(settled: Cleaned, source: Source, silver: Path) -> None:
    """Stop on too many refused rows. The share is of the rows that concern the configuration: kept or refused."""
    rejects = settled.rejects[settled.rejects["reason"] != why.OTHER_FILE]
    where = f"See {silver / 'rejects.parquet'}"
    cut = rejects[rejects["reason"] == CUT]
    if len(cut):
        save_rejects(silver, settled.rejects)
        raise DataError(
            f"{cut['file'].iloc[0]}: line {cut['line'].iloc[0]}: the file ends in the middle of a row, so rows are "
            f"missing. Download it again (or remove that line to do without them). {where}."
        )
    concerned = len(settled.events) + settled.mended["same incident"] + len(rejects)
    if len(rejects) <= source.max_rejects * concerned:
        return
    save_rejects(silver, settled.rejects)
    reasons = "; ".join(
        f"{reason}: {len(rows)} (such as {rows['file'].iloc[0]} line {rows['line'].iloc[0]}: "
        f"{rows['value'].iloc[0]!r:.60})"
        for reason, rows in sorted(rejects.groupby("reason"), key=lambda group: -len(group[1]))
    )
    raise DataError(
        f"{len(rejects)} of {concerned} rows refused ({len(rejects) / concerned:.1%}; source.max_rejects is "
        f"{source.max_rejects:.1%}). {reasons}. {where}; mend the file or the source section, or raise the limit."
    )


def _check_events(table: EventTable, settled: Cleaned, files: Sequence[Path]) -> None:
    names = ", ".join(path.name for path in files[:3])
    if not len(table):
        top = ", ".join(repr(offence) for (offence, _), _ in settled.offences.most_common(5))
        left_out = ", ".join(f"{reason}: {number}" for reason, number in settled.left_out.most_common())
        raise DataError(
            f"{names}: no event is left of {settled.rows} rows ({left_out or 'the file has no rows'}). Check "
            f"source.categories against the offences ({top}), source.first_day and source.last_day."
        )
    midnight = table.meta["at_midnight"]
    if len(table) >= 50 and midnight > DAYS_ONLY:
        raise DataError(
            f"{names}: {midnight:.0%} of the events are at exactly midnight, so the publisher gives days without times "
            "and an hourly forecast is not possible. If a column holds the time, name it under "
            "source.columns.occurred_time."
        )


def _summary(settled: Cleaned, source: Source) -> dict[str, Any]:
    events, rejected = settled.events, settled.rejects["reason"].value_counts()
    local = events["occurred_at"].dt.tz_convert(source.time_zone)
    seconds = (local.dt.hour * 3600 + local.dt.minute * 60 + local.dt.second).to_numpy()
    merged = settled.mended["same incident"]
    mended = Counter(settled.mended)
    del mended["same incident"]
    patterns = {
        category: [p for p in given if not any(wildcard(p).fullmatch(offence) for offence, _ in settled.offences)]
        for category, given in source.categories.items()
    }
    per_category = events["category"].value_counts()
    return {
        "categories": list(categories_of(source)),
        "events": len(events),
        "events_by_category": {name: int(per_category.get(name, 0)) for name in categories_of(source)},
        "first_event": str(events["occurred_at"].min()),
        "last_event": str(events["occurred_at"].max()),
        "reported": _share(events["reported_at"].notna()),
        "at_midnight": _share(seconds == 0),
        "at_noon": _share(seconds == 12 * 3600),
        "on_the_hour": _share(seconds % 3600 == 0),
        "rows_read": settled.rows,
        "merged": merged,
        "rejected": {str(reason): int(number) for reason, number in rejected.items()},
        "left_out": dict(settled.left_out.most_common()),
        "mended": dict(mended.most_common()),
        "offences": [
            {"offence": offence, "category": category, "rows": number}
            for (offence, category), number in settled.offences.most_common()
        ],
        "patterns_without_offences": {category: names for category, names in patterns.items() if names},
    }


def _share(rows: pd.Series | np.ndarray) -> float:
    return round(float(np.mean(np.asarray(rows, float))), 6) if len(rows) else 0.0
