"""What stops an ingest, and what is doubtful in one that goes through: the rows of all files judged together."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stforecast.config.sections import Source
from stforecast.errors import DataError
from stforecast.events import outcomes
from stforecast.events.assemble import SelectedEvents
from stforecast.events.clean_files import Partition
from stforecast.events.coordinates import is_projected
from stforecast.events.count_checks import doubtful_areas, lost_counts, totals
from stforecast.events.facts import Facts, Findings
from stforecast.events.hour_checks import check_times, doubts, rhythm_doubts
from stforecast.events.parsing.timestamps import Precision
from stforecast.events.place_checks import check_places, describe_default_places
from stforecast.events.precision import check_spacing
from stforecast.events.readers.csv_records import CUT
from stforecast.events.schema import example, save_rejects
from stforecast.events.sources import IngestRules, category_lookup

MOST = 0.9
MANY = 0.2
"""Share of the reports dated before they occurred from which that is no clerk's slip."""


def check(
    events: SelectedEvents, rules: IngestRules, partitions: Sequence[Partition], refused: Path, findings: Findings
) -> Precision:
    """Stop where the events cannot be right.

    Args:
        events: of all files.
        rules: of the configuration.
        partitions: the cleaned files, in the order in which the user names them.
        refused: the file to write where too many rows are refused, so that one can look.
        findings: takes what is doubtful, to stand wherever a number made from these events does, and what most often
            is right.

    Returns:
        How exact the dates are, in the file where they are coarsest.

    Raises:
        DataError: places are no degrees or have their axes exchanged, a file is cut short, too many rows are refused,
            no event is left, times of day or places cannot be what they seem, or no offence falls into one of the
            user's own categories.
    """
    source, names = rules.source, rules.category_names
    _check_degrees(events, source)
    _check_axes(events, source)
    _check_rejects(events, source, refused)
    parts = dict[str, list[Facts]]()
    for partition in partitions:
        parts.setdefault(partition.table or partition.file, []).append(partition.facts)
    files = {name: Facts.total(facts) for name, facts in parts.items()}
    precision = check_times(files, source, rules.step)
    findings.doubts += [*doubtful_areas(events.areas), *lost_counts(events.rejects)]
    if rules.counts:
        findings.doubts += totals(events.facts, source)
    for facts in files.values():
        _check_optional(facts, source.max_rejects)
    _check_events(events.facts, len(events), list(files))
    _check_categories(events.facts, rules)
    check_places(events.place, source, findings)
    if (early := events.facts.of("corrected")[outcomes.EARLY]) > MANY * len(events):
        findings.doubts.append(f"{early:,} reports are dated before they occurred: check source.columns.reported.")
    findings.doubts += check_spacing(events.occurred, source, precision, rules.step)
    if precision == "time" and rules.step == "hour":
        findings.doubts += doubts(events.occurred, events.category, names, source)
    elif precision == "time":
        findings.doubts += rhythm_doubts(events.occurred, source)
    if source.default_places != "found":
        findings.doubts += describe_default_places(events.default_places, names)
    return precision


def notes(
    events: SelectedEvents, summary: dict[str, Any], rules: IngestRules, partitions: Sequence[Partition]
) -> Iterator[str]:
    """Lines on what may be right, and may not.

    Args:
        events: of all files.
        summary: their counts, see `ingest.summarise`.
        rules: of the configuration.
        partitions: the cleaned files, in the order in which the user names them.

    Returns:
        A line on events that are placed by their area; a line for each category without events, each pattern of the
        user's own that matches nothing, each default place that is left out, and each file that loses more rows than
        the whole record may.
    """
    for category, number in summary["events_by_category"].items():
        if not number:
            yield f"categories.{category}: no event"
    for category, patterns in summary["patterns_without_offences"].items() if rules.own_categories else ():
        yield from (f'categories.{category}: no offence matches "{pattern}"' for pattern in patterns)
    if by_area := summary["placed_by_area"]:
        yield f"{by_area:,} events have no coordinates and are placed by their area"
    of_several = len(partitions) > 1 and rules.counts
    if of_several and (again := int(events.rejects["reason"].eq(outcomes.OTHER_FILE).sum())):
        yield (
            f"{again:,} reports are counted in more than one file: where two files count the same area, time and "
            "offence, the greater number stands. Give each period in one file, if the newest is to count."
        )
    for place in events.default_places if rules.source.default_places == "found" else ():
        yield f"category {rules.category_names[place.category]}: left out what is at {place.degrees}, a default place"
    for partition in partitions:
        yield from _loss(partition, rules.source.max_rejects)


def _check_optional(facts: Facts, max_rejects: float) -> None:
    """Stop where many ends or report times cannot be read: the others of their column may be read wrong."""
    for what in (outcomes.UNREAD_END, outcomes.UNREAD_REPORT):
        filled, unread = facts.of(what)["filled"], facts.of(what)["unread"]
        if unread > max_rejects * filled:
            file, line, text = facts.examples[what]
            raise DataError(
                f"{file}: line {line}: {what} ({text!r:.60}), as {unread:,} of {filled:,} are. Mend the columns of "
                "occurred_until or reported under source.columns, or leave them out."
            )


def _check_degrees(events: SelectedEvents, source: Source) -> None:
    """Stop where coordinates are metres or feet and no system is named, or degrees where one is."""
    outside = events.rejects[events.rejects["reason"] == outcomes.OUTSIDE]
    pairs = outside["value"].astype(str).str.findall(r"[-+]?[0-9]+(?:\.[0-9]+)?")
    numbers = np.array([[float(text) for text in pair] for pair in pairs if len(pair) == 2]).reshape(-1, 2)
    if len(outside) > events.rows_with_place and len(numbers) and (what := _wrong_system(numbers, source)):
        first = outside.iloc[0]
        raise DataError(f"{first['file']}: line {first['line']}: {first['value']!r:.60} {what}")


def _wrong_system(numbers: np.ndarray, source: Source) -> str:
    """What is wrong with pairs of coordinates [r] outside the bounds, and what to do; "" where nothing tells."""
    size, bounds, projected = np.abs(numbers), source.bounds, is_projected(source.crs)
    no_degrees = (size > 360).any(axis=1).mean()
    if projected and no_degrees < 1 - MOST:
        return (
            f"is in degrees, but source.crs says {source.crs}. Leave source.crs out, or name the columns that hold "
            "projected coordinates."
        )
    if not projected and no_degrees > MOST:
        return (
            "is no latitude and longitude in degrees. Set source.crs to the coordinate system of the publisher (such "
            "as EPSG:32610), or name the columns that hold degrees."
        )
    if not projected and not bounds and (size > (90, 180)).any(axis=1).mean() > MOST:
        return (
            "is no latitude and longitude, but it is with latitude and longitude exchanged. Check which columns "
            "source.columns.latitude and source.columns.longitude name."
        )
    if not projected and bounds and _are_mirrored(numbers, bounds):
        return (
            f"lies in {list(bounds)} only with another sign. Check the signs of the coordinates, or those of "
            "source.bounds."
        )
    return ""


def _are_mirrored(numbers: np.ndarray, bounds: tuple[float, float, float, float]) -> bool:
    """Whether latitudes and longitudes [r 2] lie within bounds with another sign."""
    west, south, east, north = bounds
    ways = (numbers * signs for signs in ((1, -1), (-1, 1), (-1, -1)))
    return any(((way >= (south, west)) & (way <= (north, east))).all(axis=1).mean() > MOST for way in ways)


def _check_axes(events: SelectedEvents, source: Source) -> None:
    """Stop where exchanged axes are no clerk's slip but the configuration's."""
    exchanged = events.facts.of("corrected")[outcomes.EXCHANGED]
    placed = events.rows_with_place + int(events.rejects["reason"].eq(outcomes.OUTSIDE).sum())
    if exchanged > placed / 2 and not source.columns.location:
        raise DataError(
            f"source.bounds: {exchanged:,} of {placed:,} places lie in {list(source.bounds or ())} only with latitude "
            "and longitude exchanged. Check the order of source.bounds (west, south, east, north), or which columns "
            "source.columns.latitude and source.columns.longitude name."
        )


def _check_rejects(events: SelectedEvents, source: Source, refused: Path) -> None:
    """Stop on too many refused rows. The share is of the rows that concern the configuration: events or refused."""
    rejects = events.rejects[events.rejects["reason"] != outcomes.OTHER_FILE]
    where = f"See {refused}"
    cut = rejects[rejects["reason"] == CUT]
    concerned = len(events) + events.selection.merged + len(rejects)
    if cut.empty and len(rejects) <= source.max_rejects * concerned:
        return
    save_rejects(refused, events.rejects)
    if len(cut):
        raise DataError(
            f"{cut['file'].iloc[0]}: line {cut['line'].iloc[0]}: the file ends in the middle of a row, so rows are "
            f"missing. Download it again (or remove that line to do without them). {where}."
        )
    reasons = "; ".join(
        f"{reason}: {len(rows)} (such as {' '.join(example(rows))})"
        for reason, rows in sorted(rejects.groupby("reason"), key=lambda group: -len(group[1]))
    )
    advice = _columns_of_parts(rejects, source) + _places_of_areas(rejects, source)
    raise DataError(
        f"{len(rejects)} of {concerned} rows refused ({len(rejects) / concerned:.1%}; source.max_rejects is "
        f"{source.max_rejects:.1%}). {reasons}. {advice}{where}; mend the file or "
        "the source section, or raise the limit."
    )


def _columns_of_parts(rejects: pd.DataFrame, source: Source) -> str:
    """What to do where the columns that are named as alternatives each hold a part of the date."""
    names = source.columns.occurred
    unread = rejects[rejects["reason"] == outcomes.UNREADABLE_TIME]["value"]
    if not isinstance(names, list) or len(names) < 2 or not unread.str.match(r"[0-9]{1,4}(?: |$)").mean() > MOST:
        return ""
    return (
        f"Of the names in source.columns.occurred ({', '.join(names)}) only the first that the file has is read. "
        f"Where each column holds a part, write occurred: {{year: {names[0]}, month: …, day: …, hour: …}}. "
    )


def _places_of_areas(rejects: pd.DataFrame, source: Source) -> str:
    """What to do where reports have an area and no coordinates."""
    if not source.columns.area or not rejects["reason"].eq(outcomes.NO_PLACE).any():
        return ""
    return "Reports with an area alone are kept where grid.cells is polygons. "


def _check_events(facts: Facts, number: int, files: Sequence[str]) -> None:
    if not number:
        top = ", ".join(repr(offence) for offence, _ in facts.of("offences").most_common(5))
        left_out = ", ".join(f"{reason}: {rows}" for reason, rows in facts.of("left_out").most_common())
        raise DataError(
            f"{', '.join(files[:3])}: no event is left of {facts.rows} rows ({left_out or 'the file has no rows'}). "
            f"Check source.categories against the offences ({top}), source.first_day and source.last_day."
        )


def _check_categories(facts: Facts, rules: IngestRules) -> None:
    """Stop where no offence of the record falls into a category that the user made: its name is misspelt there."""
    lookup = category_lookup(rules.source)
    categories = {offence: lookup(offence) for offence in facts.of("offences")}
    for category, patterns in rules.own_categories.items():
        if category not in categories.values():
            rest = (None, rules.source.other)
            free = Counter({name: rows for name, rows in facts.of("offences").items() if categories[name] in rest})
            top = ", ".join(f"{name!r}: {rows:,}" for name, rows in free.most_common(5))
            raise DataError(
                f"source.categories.{category}: {', '.join(map(repr, patterns)) or 'no pattern'} matches no offence "
                f"that the categories before it leave. Most frequent in no category: {top or 'none'}. Mend the "
                "patterns, or leave the category out."
            )


def _loss(partition: Partition, max_rejects: float) -> Iterator[str]:
    """A line if the file loses more rows than the whole record may, in which a small file would not show."""
    facts, refused = partition.facts, partition.cleaned().rejects.to_pandas()
    left_out = facts.of("left_out")
    events = facts.rows - len(refused) - left_out.total()
    reasons = Counter(refused["reason"].tolist())
    if events and len(refused) > max(1, max_rejects * (events + len(refused))):
        what = f"{len(refused):,} of its {events + len(refused):,} rows were refused, most for"
    elif not events and facts.rows:
        what = f"none of its {facts.rows:,} rows became an event:"
        reasons += left_out
    else:
        return
    reason = reasons.most_common(1)[0][0]
    if reason != outcomes.OTHER_PERIOD:  # which the user wanted
        rows = refused[refused["reason"] == reason]
        yield f"{partition.file}: {what} {reason}" + (f" ({example(rows)[1]})" if len(rows) else "")
