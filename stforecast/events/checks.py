"""What stops an ingest, and what is doubtful in one that goes through: the rows of all files judged together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stforecast.errors import DataError
from stforecast.events import outcomes
from stforecast.events.assemble import SelectedEvents
from stforecast.events.clean import Cleaned
from stforecast.events.coordinates import is_projected
from stforecast.events.hour_checks import check_times, doubts
from stforecast.events.partitions import Partition
from stforecast.events.place_checks import check_places, describe_default_places
from stforecast.events.readers.csv_records import CUT
from stforecast.events.rules import IngestRules, PlaceRules
from stforecast.events.schema import save_rejects
from stforecast.events.time_formats import TextEvidence

MOST = 0.9
MANY = 0.2
"""Share of the reports dated before they occurred from which that is no clerk's slip."""


def check(
    events: SelectedEvents, rules: IngestRules, partitions: Sequence[Partition], silver: Path
) -> tuple[list[str], list[str]]:
    """Stop where the events cannot be right; refused rows are then in `silver`, so that one can look.

    Args:
        events: of all files.
        rules: of the configuration.
        partitions: the cleaned files, in the order in which the user names them.
        silver: the folder of the event table.

    Returns:
        Sentences on what is doubtful, to stand wherever a number made from these events does, and on what most often is
        right.

    Raises:
        DataError: places are no degrees or have their axes exchanged, a file is cut short, too many rows are refused,
            no event is left, times of day or places cannot be what they seem, or no offence falls into one of the
            user's own categories.
    """
    _check_degrees(events, rules.places)
    _check_axes(events, rules.places)
    _check_rejects(events, rules, silver)
    evidence = {partition.file: partition.evidence for partition in partitions}
    check_times(evidence, rules.times)
    for one in evidence.values():
        _check_optional(one, rules.max_rejects)
    _check_events(events.counts, len(events), list(evidence))
    _check_categories(events.counts, rules)
    early, names = events.counts.mended[outcomes.EARLY], rules.category_names
    found, ordinary = check_places(events.place, rules.places)
    if early > MANY * len(events):
        found.append(f"{early:,} reports are dated before they occurred: check source.columns.reported.")
    found += doubts(events.occurred, events.category, names, rules.times)
    if rules.places.default_places != "found":
        found += describe_default_places(events.default_places, names)
    return found, ordinary


def notes(
    events: SelectedEvents, summary: dict[str, Any], rules: IngestRules, partitions: Sequence[Partition]
) -> Iterator[str]:
    """Lines on what may be right, and may not: a category without events, a pattern of the user's own that matches
    nothing, a file that loses more rows than the whole record may. Arguments as in `check`."""
    for category, number in summary["events_by_category"].items():
        if not number:
            yield f"categories.{category}: no event"
    for category, patterns in summary["patterns_without_offences"].items() if rules.own_categories else ():
        yield from (f'categories.{category}: no offence matches "{pattern}"' for pattern in patterns)
    for place in events.default_places if rules.places.default_places == "found" else ():
        name = rules.category_names[place.category]
        yield f"category {name}: left out what is at [{place.latitude:.6f}, {place.longitude:.6f}], a default place"
    for partition in partitions:
        yield from _loss(partition, rules.max_rejects)


def _check_optional(evidence: TextEvidence, max_rejects: float) -> None:
    """Stop where many ends or report times cannot be read: the others of their column may be read wrong."""
    for what in (outcomes.UNREAD_END, outcomes.UNREAD_REPORT):
        filled, unread = evidence.number(what, "given"), evidence.number(what, "unread")
        if unread > max_rejects * filled:
            file, line, text = evidence.examples[what]
            raise DataError(
                f"{file}: line {line}: {what} ({text!r:.60}), as {unread:,} of {filled:,} are. Mend the columns of "
                "occurred_until or reported under source.columns, or leave them out."
            )


def _check_degrees(events: SelectedEvents, rules: PlaceRules) -> None:
    """Stop where coordinates are metres or feet and no system is named, or degrees where one is."""
    outside = events.counts.rejects[events.counts.rejects["reason"] == outcomes.OUTSIDE]
    pairs = outside["value"].astype(str).str.findall(r"[-+]?[0-9]+(?:\.[0-9]+)?")
    numbers = np.array([[float(text) for text in pair] for pair in pairs if len(pair) == 2]).reshape(-1, 2)
    if len(outside) > events.rows_with_place and len(numbers) and (what := _wrong_system(numbers, rules)):
        first = outside.iloc[0]
        raise DataError(f"{first['file']}: line {first['line']}: {first['value']!r:.60} {what}")


def _wrong_system(numbers: np.ndarray, rules: PlaceRules) -> str:
    """What is wrong with pairs of coordinates [r 2] outside the bounds, and what to do; "" where nothing tells."""
    beyond = (np.abs(numbers) > 360).any(axis=1).mean()
    if is_projected(rules.crs):
        return (
            ""
            if beyond >= 1 - MOST
            else (
                f"is in degrees, but source.crs says {rules.crs}. Leave source.crs out, or name the columns that hold "
                "projected coordinates."
            )
        )
    if beyond > MOST:
        return (
            "is no latitude and longitude in degrees. Set source.crs to the coordinate system of the publisher (such "
            "as EPSG:32610), or name the columns that hold degrees."
        )
    if not rules.bounds:
        return (
            ""
            if (np.abs(numbers) > (90, 180)).any(axis=1).mean() <= MOST
            else (
                "is no latitude and longitude, but it is with latitude and longitude exchanged. Check which columns "
                "source.columns.latitude and source.columns.longitude name."
            )
        )
    west, south, east, north = rules.bounds
    for signs in ((1, -1), (-1, 1), (-1, -1)):
        flipped = numbers * signs
        if ((flipped >= (south, west)) & (flipped <= (north, east))).all(axis=1).mean() > MOST:
            return (
                f"lies in {list(rules.bounds)} only with another sign. Check the signs of the coordinates, or those of "
                "source.bounds."
            )
    return ""


def _check_axes(events: SelectedEvents, rules: PlaceRules) -> None:
    """Stop where exchanged axes are no clerk's slip but the configuration's."""
    exchanged = events.counts.mended[outcomes.EXCHANGED]
    placed = events.rows_with_place + int(events.counts.rejects["reason"].eq(outcomes.OUTSIDE).sum())
    if exchanged > placed / 2 and not rules.in_one_column:
        raise DataError(
            f"source.bounds: {exchanged:,} of {placed:,} places lie in {list(rules.bounds or ())} only with latitude "
            "and longitude exchanged. Check the order of source.bounds (west, south, east, north), or which columns "
            "source.columns.latitude and source.columns.longitude name."
        )


def _check_rejects(events: SelectedEvents, rules: IngestRules, silver: Path) -> None:
    """Stop on too many refused rows. The share is of the rows that concern the configuration: kept or refused."""
    everything = events.counts.rejects
    rejects = everything[everything["reason"] != outcomes.OTHER_FILE]
    where = f"See {silver / 'rejects.parquet'}"
    cut = rejects[rejects["reason"] == CUT]
    if len(cut):
        save_rejects(silver, everything)
        raise DataError(
            f"{cut['file'].iloc[0]}: line {cut['line'].iloc[0]}: the file ends in the middle of a row, so rows are "
            f"missing. Download it again (or remove that line to do without them). {where}."
        )
    concerned = len(events) + events.selection.merged + len(rejects)
    if len(rejects) <= rules.max_rejects * concerned:
        return
    save_rejects(silver, everything)
    reasons = "; ".join(
        f"{reason}: {len(rows)} (such as {' '.join(_example(rows))})"
        for reason, rows in sorted(rejects.groupby("reason"), key=lambda group: -len(group[1]))
    )
    raise DataError(
        f"{len(rejects)} of {concerned} rows refused ({len(rejects) / concerned:.1%}; source.max_rejects is "
        f"{rules.max_rejects:.1%}). {reasons}. {_hint(rejects, rules.columns.occurred)}{where}; mend the file or "
        "the source section, or raise the limit."
    )


def _hint(rejects: pd.DataFrame, names: object) -> str:
    """What a common slip in the source section would explain."""
    unread = rejects[rejects["reason"] == outcomes.UNREADABLE_TIME]["value"]
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


def _check_events(counts: Cleaned, number: int, files: Sequence[str]) -> None:
    if not number:
        top = ", ".join(repr(offence) for (offence, _), _ in counts.offences.most_common(5))
        left_out = ", ".join(f"{reason}: {number}" for reason, number in counts.left_out.most_common())
        raise DataError(
            f"{', '.join(files[:3])}: no event is left of {counts.rows} rows ({left_out or 'the file has no rows'}). "
            f"Check source.categories against the offences ({top}), source.first_day and source.last_day."
        )


def _check_categories(counts: Cleaned, rules: IngestRules) -> None:
    """Stop where no offence of the record falls into a category that the user made: its name is misspelt there."""
    offences = counts.offences
    taken = {category for _, category in offences}
    for category, patterns in rules.own_categories.items():
        if category not in taken:
            free = Counter({name: rows for (name, group), rows in offences.items() if group in (None, rules.other)})
            top = ", ".join(f"{name!r}: {rows:,}" for name, rows in free.most_common(5))
            raise DataError(
                f"source.categories.{category}: {', '.join(map(repr, patterns)) or 'no pattern'} matches no offence "
                f"that the categories before it leave. Most frequent in no category: {top or 'none'}. Mend the "
                "patterns, or leave the category out."
            )


def _loss(partition: Partition, max_rejects: float) -> Iterator[str]:
    """A line if the file loses more rows than the whole record may, in which a small file would not show."""
    counts = partition.counts()
    refused, name = counts.rejects, partition.file
    events = counts.rows - len(refused) - counts.left_out.total()
    reasons = Counter(refused["reason"].tolist())
    if events and len(refused) > max(1, max_rejects * (events + len(refused))):
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
