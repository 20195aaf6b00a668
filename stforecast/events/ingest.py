"""Bronze → silver: read, clean and settle the publisher's files of a city, and write the event table."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from tqdm import tqdm

from stforecast.config import Config
from stforecast.errors import DataError
from stforecast.events import ledger as why
from stforecast.events.clean import Cleaned, clean
from stforecast.events.dates import order_of
from stforecast.events.gather import Parts
from stforecast.events.parts import VERSION, Part, keep
from stforecast.events.read import ahead, monthly, read
from stforecast.events.records import CUT
from stforecast.events.schema import SCHEMA, EventTable, save_rejects
from stforecast.events.settle import Choice, choose, merge, sorted_rejects
from stforecast.events.sources import NEEDED, categories_of, resolve, wildcard
from stforecast.events.times import DAY, NONE, SECOND, to_local
from stforecast.files import file_fingerprint, fingerprint, write_json
from stforecast.sections import DateOrder, Source
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
    needed = sorted({*NEEDED, *mapped, *(("offence",) if source.categories else ())})
    silver.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".parts-", dir=silver.parent) as fresh:
        cleaned, order = _in_their_order(files, source, needed, now, silver / "parts", Path(fresh))
        parts = Parts.of(cleaned, categories_of(source))
        settled = _settle(parts, source)
        _check_axes(settled, source)
        _check_rejects(settled, source, silver)
        meta = {
            "schema": SCHEMA,
            "city": config.city,
            "stamp": stamp,
            "ingested_at": now.isoformat(),
            "sources": [part.facts["source"] for part in cleaned],
            "time_zone": source.time_zone,
            "date_order": order,
            **_summary(settled, source),
        }
        _check_events(meta, settled, files)
        save_rejects(silver, settled.counts.rejects)
        parts.write(silver / "events.parquet", settled.choice)
        write_json(silver / "ingest.json", meta)
        keep(silver / "parts", cleaned)
    pa.default_memory_pool().release_unused()
    return EventTable.open(silver)


@dataclass(frozen=True)
class _Settled:
    """Which rows are events, and what became of all others; `counts` holds no events.

    placed: rows with a place within the bounds, before any is merged or left out. occurred (µs), category (number),
    reported (whether): of the events in order.
    """

    choice: Choice
    counts: Cleaned
    placed: int
    occurred: np.ndarray
    category: np.ndarray
    reported: np.ndarray

    def __len__(self) -> int:
        return len(self.choice.rows)


def _settle(parts: Parts, source: Source) -> _Settled:
    counts, keys = merge([part.counts() for part in parts.parts]), parts.keys()
    choice = choose(keys, counts.withdrawals, parts.offences, source)
    rejects = counts.rejects
    if choice.refused.size:
        rejects = pd.concat([rejects, parts.refused(choice, keys)], ignore_index=True)
    counts = replace(counts, rejects=sorted_rejects(rejects), left_out=counts.left_out + choice.left_out)
    rows = choice.rows
    return _Settled(choice, counts, len(keys.event), keys.occurred[rows], keys.category[rows], parts.reported()[rows])


def _in_their_order(
    files: Sequence[Path], source: Source, needed: Sequence[str], now: pd.Timestamp, known: Path, fresh: Path
) -> tuple[list[Part], DateOrder | None]:
    """The cleaned files, and the order of day and month in their dates (None: none depends on it).

    Where it is not stated, all dates tell: they are read as the first rows have it, and anew if that was wrong.
    """

    def parts(order: DateOrder) -> list[Part]:
        return list(_parts(files, source.model_copy(update={"date_order": order}), needed, now, known, fresh))

    guess = source.date_order
    if guess is None:
        told = next((clean(chunk.frame, source, now).dates for chunk in read(files[0], source.columns, needed)), {})
        guess = "day_first" if "day_first" in told else "month_first"
    cleaned = parts(guess)
    order = order_of([part.facts["dates"] for part in cleaned], source.date_order)
    return (cleaned if order in (None, guess) else parts(order)), order


def _parts(
    files: Sequence[Path], source: Source, needed: Sequence[str], now: pd.Timestamp, known: Path, fresh: Path
) -> Iterator[Part]:
    """The cleaned files in order: those that are known, and the others read and written to the folder `fresh`."""
    how = source.model_dump(mode="json", exclude={"path", "max_rejects"})
    instant = now.value // 1000
    for path in files:
        facts = path.stat()
        key = fingerprint(VERSION, how, needed, str(path.resolve()), facts.st_size, facts.st_mtime_ns)
        part = Part.open(known / key, key, instant)
        if part is None:
            with ThreadPoolExecutor(1) as pool:
                digest = pool.submit(file_fingerprint, path)
                chunks = _chunks(path, source, needed, now)
                part = Part.write(fresh / key, key, instant, chunks)
                part = part.of({"file": path.name, "bytes": facts.st_size, "hash": digest.result()})
        yield part


def _in_folder(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.name.lower().endswith(ENDINGS) and not path.name.startswith((".", "_"))
    )


def _chunks(path: Path, source: Source, needed: Sequence[str], now: pd.Timestamp) -> Iterator[Cleaned]:
    with tqdm(total=path.stat().st_size, unit="B", unit_scale=True, desc=f"ingest {path.name}", disable=None) as bar:
        for chunk in ahead(read(path, source.columns, needed)):
            part = clean(chunk.frame, source, now)
            months = part.rejects["reason"].eq(why.MONTH_ONLY).sum()
            if months > len(chunk.frame) / 2:
                raise monthly(str(path))
            yield part
            bar.update(chunk.position - bar.n)


def _check_axes(settled: _Settled, source: Source) -> None:
    """Stop where exchanged axes are no clerk's slip but the configuration's."""
    exchanged = settled.counts.mended[why.EXCHANGED]
    placed = settled.placed + int(settled.counts.rejects["reason"].eq(why.OUTSIDE).sum())
    if exchanged > placed / 2:
        raise DataError(
            f"source.bounds: {exchanged:,} of {placed:,} places lie in {list(source.bounds or ())} only with latitude "
            "and longitude exchanged. Check the order of source.bounds (west, south, east, north), or which columns "
            "source.columns.latitude and source.columns.longitude name."
        )


def _check_rejects(settled: _Settled, source: Source, silver: Path) -> None:
    """Stop on too many refused rows. The share is of the rows that concern the configuration: kept or refused."""
    everything = settled.counts.rejects
    rejects = everything[everything["reason"] != why.OTHER_FILE]
    where = f"See {silver / 'rejects.parquet'}"
    cut = rejects[rejects["reason"] == CUT]
    if len(cut):
        save_rejects(silver, everything)
        raise DataError(
            f"{cut['file'].iloc[0]}: line {cut['line'].iloc[0]}: the file ends in the middle of a row, so rows are "
            f"missing. Download it again (or remove that line to do without them). {where}."
        )
    concerned = len(settled) + settled.choice.merged + len(rejects)
    if len(rejects) <= source.max_rejects * concerned:
        return
    save_rejects(silver, everything)
    reasons = "; ".join(
        f"{reason}: {len(rows)} (such as {rows['file'].iloc[0]} line {rows['line'].iloc[0]}: "
        f"{rows['value'].iloc[0]!r:.60})"
        for reason, rows in sorted(rejects.groupby("reason"), key=lambda group: -len(group[1]))
    )
    raise DataError(
        f"{len(rejects)} of {concerned} rows refused ({len(rejects) / concerned:.1%}; source.max_rejects is "
        f"{source.max_rejects:.1%}). {reasons}. {where}; mend the file or the source section, or raise the limit."
    )


def _check_events(meta: dict[str, Any], settled: _Settled, files: Sequence[Path]) -> None:
    names, counts = ", ".join(path.name for path in files[:3]), settled.counts
    if not len(settled):
        top = ", ".join(repr(offence) for (offence, _), _ in counts.offences.most_common(5))
        left_out = ", ".join(f"{reason}: {number}" for reason, number in counts.left_out.most_common())
        raise DataError(
            f"{names}: no event is left of {counts.rows} rows ({left_out or 'the file has no rows'}). Check "
            f"source.categories against the offences ({top}), source.first_day and source.last_day."
        )
    midnight = meta["at_midnight"]
    if len(settled) >= 50 and midnight > DAYS_ONLY:
        raise DataError(
            f"{names}: {midnight:.0%} of the events are at exactly midnight, so the publisher gives days without times "
            "and an hourly forecast is not possible. If a column holds the time, name it under "
            "source.columns.occurred_time."
        )


def _summary(settled: _Settled, source: Source) -> dict[str, Any]:
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
