"""What stops an ingest, and what is said of one that goes through: the verdict on the rows of all files together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stforecast.config.sections import Source
from stforecast.errors import DataError
from stforecast.events import outcomes
from stforecast.events.clean import Cleaned
from stforecast.events.coordinates import is_projected
from stforecast.events.deduplicate import Selection
from stforecast.events.hour_checks import check_times, doubts
from stforecast.events.partitions import Partition
from stforecast.events.place_checks import DefaultPlace, check_places, describe_default_places
from stforecast.events.readers.csv_records import CUT
from stforecast.events.schema import save_rejects
from stforecast.events.sources import category_names
from stforecast.events.time_formats import TextEvidence

Categories = Mapping[str, Sequence[str]]

MOST = 0.9
MANY = 0.2
"""Share of the reports dated before they occurred from which that is no clerk's slip."""


@dataclass(frozen=True)
class SelectedEvents:
    """Which rows are events, and what became of all others; `counts` holds no events.

    placed: rows with a place within the bounds, before any is merged or left out. occurred (µs), category (number),
    reported (whether), place (`geography.packed`): of the events in order. piles: coordinates that hold far more events
    of a category than any other.
    """

    selection: Selection
    counts: Cleaned
    placed: int
    occurred: np.ndarray
    category: np.ndarray
    reported: np.ndarray
    place: np.ndarray
    default_places: Sequence[DefaultPlace]

    def __len__(self) -> int:
        return len(self.selection.rows)


def check(
    settled: SelectedEvents, source: Source, own: Categories, partitions: Sequence[Partition], silver: Path
) -> tuple[list[str], list[str]]:
    """Stop where the events cannot be right; refused rows are then in `silver`, so that one can look.

    Args:
        source: the effective one.
        own: the categories that the user gave.

    Returns:
        Sentences on what is doubtful, to stand wherever a number made from these events does, and on what most often is
        right.

    Raises:
        DataError: places are no degrees or have their axes exchanged, a file is cut short, too many rows are refused,
            no event is left, times of day or places cannot be what they seem, or no offence falls into one of the
            user's own categories.
    """
    files = [partition.facts["source"]["file"] for partition in partitions]
    _check_degrees(settled, source)
    _check_axes(settled, source)
    _check_rejects(settled, source, silver)
    evidence = {name: partition.evidence for name, partition in zip(files, partitions, strict=True)}
    check_times(evidence, source)
    for one in evidence.values():
        _check_optional(one, source)
    _check_events(settled, files)
    _check_categories(settled, source, own)
    names = category_names(source)
    early = settled.counts.mended[outcomes.EARLY]
    doubtful, ordinary = check_places(settled.place, source)
    found = [
        *doubtful,
        *(
            [f"{early:,} reports are dated before they occurred: check source.columns.reported."]
            if early > MANY * len(settled)
            else ()
        ),
        *doubts(settled.occurred, settled.category, names, source),
        *(describe_default_places(settled.default_places, names) if source.default_places != "found" else ()),
    ]
    return found, ordinary


def notes(
    settled: SelectedEvents, summary: dict[str, Any], own: Categories, partitions: Sequence[Partition], source: Source
) -> Iterator[str]:
    """Lines on what may be right, and may not: a category without events, a pattern of the user's own that matches
    nothing, a file that loses more rows than the whole record may. Arguments as in `check`."""
    for category, events in summary["events_by_category"].items():
        if not events:
            yield f"categories.{category}: no event"
    for category, patterns in summary["patterns_without_offences"].items() if own else ():
        yield from (f'categories.{category}: no offence matches "{pattern}"' for pattern in patterns)
    if source.default_places == "found":
        for place in settled.default_places:
            name = category_names(source)[place.category]
            yield f"category {name}: left out what is at [{place.latitude:.6f}, {place.longitude:.6f}], a default place"
    for partition in partitions:
        yield from _loss(partition, source)


def _check_optional(evidence: TextEvidence, source: Source) -> None:
    """Stop where many ends or report times cannot be read: the others of their column may be read wrong."""
    for what in (outcomes.UNREAD_END, outcomes.UNREAD_REPORT):
        given, unread = evidence.number(what, "given"), evidence.number(what, "unread")
        if unread > source.max_rejects * given:
            file, line, text = evidence.examples[what]
            raise DataError(
                f"{file}: line {line}: {what} ({text!r:.60}), as {unread:,} of {given:,} are. Mend the columns of "
                "occurred_until or reported under source.columns, or leave them out."
            )


def _check_degrees(settled: SelectedEvents, source: Source) -> None:
    """Stop where coordinates are metres or feet and no system is named, or degrees where one is."""
    outside = settled.counts.rejects[settled.counts.rejects["reason"] == outcomes.OUTSIDE]
    if len(outside) <= settled.placed or not len(outside):
        return
    pairs = outside["value"].str.findall(r"[-+]?[0-9]+(?:\.[0-9]+)?")
    numbers = np.array([[float(text) for text in pair] for pair in pairs if len(pair) == 2]).reshape(-1, 2)
    if not len(numbers):
        return
    beyond = (np.abs(numbers) > 360).any(axis=1).mean()
    file, (line, value) = outside["file"].iloc[0], (outside["line"].iloc[0], outside["value"].iloc[0])
    if not is_projected(source.crs) and beyond > MOST:
        raise DataError(
            f"{file}: line {line}: {value!r:.60} is no latitude and longitude in degrees. Set source.crs to the "
            "coordinate system of the publisher (such as EPSG:32610), or name the columns that hold degrees."
        )
    if source.bounds and not is_projected(source.crs):
        west, south, east, north = source.bounds
        for y, x in ((1, -1), (-1, 1), (-1, -1)):
            flipped = numbers * (y, x)
            inside = (flipped >= (south, west)) & (flipped <= (north, east))
            if inside.all(axis=1).mean() > MOST:
                raise DataError(
                    f"{file}: line {line}: {value!r:.60} lies in {list(source.bounds)} only with another sign. Check "
                    "the signs of the coordinates, or those of source.bounds."
                )
    if not is_projected(source.crs) and not source.bounds and (np.abs(numbers) > (90, 180)).any(axis=1).mean() > MOST:
        raise DataError(
            f"{file}: line {line}: {value!r:.60} is no latitude and longitude, but it is with latitude and longitude "
            "exchanged. Check which columns source.columns.latitude and source.columns.longitude name."
        )
    if is_projected(source.crs) and beyond < 1 - MOST:
        raise DataError(
            f"{file}: line {line}: {value!r:.60} is in degrees, but source.crs says {source.crs}. Leave source.crs "
            "out, or name the columns that hold projected coordinates."
        )


def _check_axes(settled: SelectedEvents, source: Source) -> None:
    """Stop where exchanged axes are no clerk's slip but the configuration's."""
    exchanged = settled.counts.mended[outcomes.EXCHANGED]
    placed = settled.placed + int(settled.counts.rejects["reason"].eq(outcomes.OUTSIDE).sum())
    if exchanged > placed / 2 and not source.columns.location:
        raise DataError(
            f"source.bounds: {exchanged:,} of {placed:,} places lie in {list(source.bounds or ())} only with latitude "
            "and longitude exchanged. Check the order of source.bounds (west, south, east, north), or which columns "
            "source.columns.latitude and source.columns.longitude name."
        )


def _check_rejects(settled: SelectedEvents, source: Source, silver: Path) -> None:
    """Stop on too many refused rows. The share is of the rows that concern the configuration: kept or refused."""
    everything = settled.counts.rejects
    rejects = everything[everything["reason"] != outcomes.OTHER_FILE]
    where = f"See {silver / 'rejects.parquet'}"
    cut = rejects[rejects["reason"] == CUT]
    if len(cut):
        save_rejects(silver, everything)
        raise DataError(
            f"{cut['file'].iloc[0]}: line {cut['line'].iloc[0]}: the file ends in the middle of a row, so rows are "
            f"missing. Download it again (or remove that line to do without them). {where}."
        )
    concerned = len(settled) + settled.selection.merged + len(rejects)
    if len(rejects) <= source.max_rejects * concerned:
        return
    save_rejects(silver, everything)
    reasons = "; ".join(
        f"{reason}: {len(rows)} (such as {' '.join(_example(rows))})"
        for reason, rows in sorted(rejects.groupby("reason"), key=lambda group: -len(group[1]))
    )
    raise DataError(
        f"{len(rejects)} of {concerned} rows refused ({len(rejects) / concerned:.1%}; source.max_rejects is "
        f"{source.max_rejects:.1%}). {reasons}. {_hint(rejects, source)}{where}; mend the file or the source section, "
        "or raise the limit."
    )


def _hint(rejects: pd.DataFrame, source: Source) -> str:
    """What a common slip in the source section would explain."""
    unread = rejects[rejects["reason"] == outcomes.UNREADABLE_TIME]["value"]
    names = source.columns.occurred
    if (
        isinstance(names, list)
        and len(names) > 1
        and len(unread)
        and unread.str.match(r"[0-9]{1,4}(?: |$)").mean() > MOST
    ):
        return (
            f"Of the names in source.columns.occurred ({', '.join(names)}) only the first that the file has is read. "
            f"Where each column holds a part, write occurred: {{year: {names[0]}, month: …, day: …, hour: …}}. "
        )
    return ""


def _check_events(settled: SelectedEvents, files: Sequence[str]) -> None:
    counts = settled.counts
    if not len(settled):
        top = ", ".join(repr(offence) for (offence, _), _ in counts.offences.most_common(5))
        left_out = ", ".join(f"{reason}: {number}" for reason, number in counts.left_out.most_common())
        raise DataError(
            f"{', '.join(files[:3])}: no event is left of {counts.rows} rows ({left_out or 'the file has no rows'}). "
            f"Check source.categories against the offences ({top}), source.first_day and source.last_day."
        )


def _check_categories(settled: SelectedEvents, source: Source, own: Categories) -> None:
    """Stop where no offence of the record falls into a category that the user made: its name is misspelt there."""
    offences = settled.counts.offences
    taken = {category for _, category in offences}
    for category, patterns in own.items():
        if category not in taken:
            free = Counter({name: rows for (name, group), rows in offences.items() if group in (None, source.other)})
            top = ", ".join(f"{name!r}: {rows:,}" for name, rows in free.most_common(5))
            raise DataError(
                f"source.categories.{category}: {', '.join(map(repr, patterns)) or 'no pattern'} matches no offence "
                f"that the categories before it leave. Most frequent in no category: {top or 'none'}. Mend the "
                "patterns, or leave the category out."
            )


def _loss(partition: Partition, source: Source) -> Iterator[str]:
    """A line if the file loses more rows than the whole record may, in which a small file would not show."""
    counts = partition.counts()
    refused, name = counts.rejects, partition.facts["source"]["file"]
    events = counts.rows - len(refused) - counts.left_out.total()
    reasons = Counter(refused["reason"].tolist())
    if events and len(refused) > max(1, source.max_rejects * (events + len(refused))):
        what = f"{len(refused):,} of its {events + len(refused):,} rows were refused, most for"
    elif not events and counts.rows:
        what = f"none of its {counts.rows:,} rows became an event:"
        reasons += counts.left_out
    else:
        return
    reason = reasons.most_common(1)[0][0]
    if reason != outcomes.OTHER_PERIOD:  # which the user wanted
        rows = refused[refused["reason"] == reason]
        yield f"{name}: {what} {reason}" + (f" ({_example(rows)[1]})" if len(rows) else "")


def _example(rejects: pd.DataFrame) -> tuple[str, str]:
    """The file, and line and text, of the first of some refused rows, if possible of one that has a text."""
    evidence = rejects[rejects["value"].str.strip() != ""]
    row = (evidence if len(evidence) else rejects).iloc[0]
    return row["file"], f"line {row['line']}: {row['value']!r:.60}"
