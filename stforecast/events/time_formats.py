"""How texts that can be read in more than one way are read: what all of them together tell, or the user says."""

from collections.abc import Mapping
from functools import reduce
from operator import and_
from pathlib import Path
from typing import cast

import numpy as np

from stforecast.config.sections import DateOrder, Source
from stforecast.errors import DataError
from stforecast.events.facts import Example, Facts, Findings
from stforecast.events.parsing.dates import ORDERS
from stforecast.events.parsing.time_zones import offsets_of
from stforecast.events.parsing.times_of_day import parse_time_of_day, to_minutes
from stforecast.events.parsing.timestamp_columns import TimeFormat
from stforecast.events.precision import MINUTES, clock, coarsest, minutes_of_day, precisions, values_needed
from stforecast.events.sources import IngestRules

DAY_IN_UTC, OTHER_OFFSET = "day in UTC", "clock of another offset"
_ANY = Path("any file")
_OPEN_PAIRS = {
    DAY_IN_UTC: "a day in UTC, and the time of day in the column beside it says nothing of UTC",
    OTHER_OFFSET: "a time of day with an offset that is not the city's, and the day in the column beside it says "
    "nothing of it",
}
TOLD, ASKED = 0.2, 0.02
"""Share of dates that are a day in one order alone, among those that tell anything, below which the user is told that
few tell the order, and below which a slip may have told it. (Of whole months it is .6.)"""
FEW = 20  # dates from which the values of their parts tell which one is the day of the month
LOW_NUMBERS = 0.25  # share of numbers up to 24 from which a column is not HHMM without a question
CHANCE = 3  # standard errors by which minutes of the first hour that are not round exceed those of the others
SPANS = 0.05  # share of offsets that the time zone has not from which they are the ends of spans
BESIDE = 0.05  # share of times of day that another one beside them contradicts
_HOURS: dict[str | None, bool | None] = {"hours": True, "hhmm": False}


def configured_format(source: Source) -> TimeFormat:
    """How texts are read as far as the source section says."""
    return TimeFormat(source.date_order or "month_first", _HOURS.get(source.clock))


def infer_time_formats(files: Mapping[Path, Facts], rules: IngestRules, findings: Findings) -> dict[Path, TimeFormat]:
    """How the texts of each of some files are read.

    Args:
        files: what the texts of each tell.
        rules: of the configuration.
        findings: takes what is for the user to know of it, or to doubt the events for.

    Returns:
        The format of each file.

    Raises:
        DataError: the texts allow more than one reading, or contradict each other or what the source section states.
    """
    source = rules.source
    order, (precision, record) = _order(files, source, findings), precisions(files)
    formats = {}
    for path, facts in files.items():
        _check_pair(path.name, facts, source)
        hours = _HOURS.get(source.clock) if source.clock else _are_hours(facts, path.name, source)
        if hours and not source.clock:
            such = ", ".join(text for text, _ in facts.of("numbers").most_common(3))
            findings.notes.append(f"{path.name}: numbers such as {such} are read as hours of the day")
        spans = _are_spans(facts.of("behind"), path.name, source)
        twelve_hour = facts.of("kinds")["AM or PM"] > facts.of("kinds")["after 12"]
        # an hourly axis takes times alone, which the checks of the whole record see to
        exact = coarsest([precision[path], record]) if rules.step != "hour" else "time"
        if exact == "day":
            _check_local_midnights(path.name, facts, source)
        formats[path] = TimeFormat(order, hours, spans, twelve_hour, exact)
    return formats


def guess_time_format(facts: Facts, rules: IngestRules) -> TimeFormat:
    """How texts are likely read by what some of them tell: the others of a file may tell more."""
    try:
        return infer_time_formats({_ANY: facts}, rules, Findings())[_ANY]
    except DataError:
        return configured_format(rules.source)


def _check_pair(file: str, facts: Facts, source: Source) -> None:
    """Stop where a day and a time of day in columns of their own contradict each other."""
    for kind, what in _OPEN_PAIRS.items():
        if (example := facts.examples.get(kind)) and source.times_are is None:
            raise DataError(
                f"{_shown(example)} is {what}. Set source.times_are to local (day and time are local as they are "
                "written) or to utc."
            )
    beside, filled = facts.of("beside"), facts.of("rows")["filled"]
    default = len(beside) <= 2 and beside.total() > filled / 2  # as 12:00, winter and summer
    if beside.total() > BESIDE * filled and not default:
        raise DataError(
            f"{file}: {beside.total():,} times of day under source.columns.occurred_time differ from those behind the "
            "days under source.columns.occurred. Name the column that is right under `occurred`, and leave "
            "`occurred_time` out."
        )


def _check_local_midnights(file: str, facts: Facts, source: Source) -> None:
    """Stop where days may be local midnights written in UTC, which east of Greenwich is the day before."""
    minutes = minutes_of_day(facts)
    most = np.argsort(-minutes, kind="stable")[: values_needed(minutes)].tolist()
    midnights = {-ahead % MINUTES for ahead in offsets_of(source.zone) if ahead > 0}
    if source.times_are is None and not facts.of("kinds")["in UTC"] and set(most) <= midnights:
        times = " and ".join(map(clock, sorted(most)))
        raise DataError(
            f"{file}: the times of day are {times}, as they are written. In UTC that is the midnight at which the next "
            f"day begins in {source.zone}. Set source.times_are to utc if the days are meant so, or to local if they "
            "are right as they are written."
        )


def _order(files: Mapping[Path, Facts], source: Source, findings: Findings) -> DateOrder:
    """The order of day, month and year."""
    if source.date_order:
        for facts in files.values():
            _check_order(facts, source.date_order)
        return source.date_order
    everything = Facts.total(files.values())
    first = everything.orders()
    if not first:
        return "month_first"
    left = reduce(and_, first)
    if not left:
        one, other = next((a, b) for a in first for b in first if not a & b)
        raise DataError(
            f"{_shown(first[one])} has {_named(one)}, but {_shown(first[other])} has {_named(other)}. Set "
            "source.date_order to month_first or day_first, and rows in the other order are refused; or write the "
            "dates of all files in one way."
        )
    possible: list[str] = [order for bit, order in enumerate(ORDERS) if left >> bit & 1]
    if set(possible) == {"day_first", "year_first"}:
        possible = _with_many_days(everything, possible)
    either, one_way = _either_order(everything)
    unlikely = either and not _has_more_days(everything, possible[0])
    if len(possible) == 1 and unlikely and one_way < ASKED * (either + one_way):
        possible = list(dict.fromkeys([*possible, *ORDERS[:2]]))  # a slip decides nothing
    names = " or ".join(possible).replace("_", " ")
    if len(possible) > 1:
        either_way = [row for kind, row in first.items() if kind & 3 == 3]
        example = next(iter(either_way or first.values()))
        raise DataError(
            f"{_shown(example)} may be {names}, and {'hardly any' if one_way else 'no'} other date tells which. Set "
            f"source.date_order to {' or '.join(possible)}."
        )
    for path, facts in files.items():
        if _either_order(facts)[0] and not _either_order(facts)[1]:
            findings.notes.append(
                f"{path.name}: no date tells the order of day and month; read {names}, as in the other files"
            )
    if unlikely and one_way < TOLD * (either + one_way):
        row = next(row for kind, row in first.items() if kind & 3 != 3)
        findings.doubts.append(
            f"The dates are read {names} because of {one_way} of {either + one_way:,}, such as {_shown(row)}: check "
            "that, and set source.date_order."
        )
    return cast(DateOrder, possible[0])


def _either_order(facts: Facts) -> tuple[int, int]:
    """Dates that are other days month first and day first, and those that are one in one of these orders alone."""
    bits = [(int(kind) & 3, rows) for kind, rows in facts.of("orders").items()]
    return sum(rows for kind, rows in bits if kind == 3), sum(rows for kind, rows in bits if kind in (1, 2))


def _has_more_days(facts: Facts, order: str) -> bool:
    """Whether dates that are days in either order name no fewer days of the month in this one than months."""
    days, months = ("one", "two") if order == "day_first" else ("two", "one")
    return len(facts.of(days)) >= len(facts.of(months))


def _check_order(facts: Facts, order: str) -> None:
    """All dates of a file that tell an order tell another one: those that do not tell would be taken for others."""
    bit = 1 << ORDERS.index(order)
    kinds = facts.orders()
    alone = {kind: row for kind, row in kinds.items() if kind in (1, 2, 4)}
    if alone and bit not in alone and any(kind & bit for kind in kinds):
        kind, row = next(iter(alone.items()))
        raise DataError(
            f"{_shown(row)} has {_named(kind)}, as far as the dates of that file tell, but source.date_order (of the "
            f"preset, if not set) is {order}. Set it, or write the dates as YYYY-MM-DD."
        )


def _with_many_days(facts: Facts, possible: list[str]) -> list[str]:
    """Of day first and year first the order whose days of the month are many and whose years are few."""
    first, last = facts.of("first"), facts.of("last")
    if first.total() >= FEW and len(first) >= 2 * len(last):
        return ["day_first"]
    if first.total() >= FEW and len(last) >= 2 * len(first):
        return ["year_first"]
    return possible


def _are_hours(facts: Facts, file: str, source: Source) -> bool | None:
    """Whether bare numbers are hours and not HHMM; None where hardly any could be either, which are then not read."""
    numbers = facts.of("numbers")
    low = {text: rows for text, rows in numbers.items() if len(text) <= 2 and 1 <= int(text) <= 24}
    high = sum(
        n for text, n in numbers.items() if text not in low and int(text) and not parse_time_of_day(text, False).wrong
    )
    odd = sum(rows for text, rows in low.items() if _is_odd(int(text)))
    alike = sum(rows for text, rows in numbers.items() if text not in low and _is_odd(int(text) % 100)) / 23  # an hour
    rows = sum(low.values())
    if high and rows < LOW_NUMBERS * (rows + high) and odd <= alike + CHANCE * alike**0.5 + 1:
        return False
    if rows <= source.max_rejects * facts.of("rows")["filled"] and not high:
        return None
    if high or rows < 3 or len(low) < 2:
        text = max(low, key=lambda text: (int(text) % 5 > 0, low[text]))
        raise DataError(
            f"{file}: {text!r} may be the hour {text.zfill(2)}:00 or the minute 00:{text.zfill(2)}, and the other "
            "times of day do not tell which. Set source.clock to hours, or to hhmm."
        )
    return True


def _is_odd(minute: int) -> bool:
    """Whether a minute is one of the first 24 and no round one, nor the first, which stands for an unknown time."""
    return 1 < minute <= 24 and minute % 5 > 0


def _are_spans(behind: Mapping[str, int], file: str, source: Source) -> bool:
    """Whether times behind a dash, as in 14:30-15:30, end spans and are no offsets from UTC."""
    known = offsets_of(source.zone)
    others = {text: rows for text, rows in behind.items() if -to_minutes(text) not in known}
    if sum(others.values()) <= SPANS * sum(behind.values()):
        return False
    if len(behind) <= 2 and max(map(to_minutes, behind)) <= 12 * 60:
        raise DataError(
            f"{file}: -{next(iter(others))} behind a time of day may end a span, or be an offset from UTC that "
            f"{source.zone} does not have. Write the end in a column of its own "
            "(source.columns.occurred_until), or the times without it."
        )
    return True


def _named(bits: int) -> str:
    return " or ".join(f"the {order.replace('_', ' ')}" for bit, order in enumerate(ORDERS) if bits >> bit & 1)


def _shown(example: Example) -> str:
    file, line, text = example
    return f"{file}: line {line}: {text!r:.60}"
