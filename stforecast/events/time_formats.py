"""How texts that can be read in more than one way are read: what all of them together tell, or the user says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any, Self, cast

from stforecast.config.sections import DateOrder
from stforecast.errors import DataError
from stforecast.events.parsing.dates import ORDERS
from stforecast.events.parsing.time_zones import offsets_of
from stforecast.events.parsing.times_of_day import parse_time_of_day, to_minutes
from stforecast.events.parsing.timestamp_columns import TimeFormat
from stforecast.events.rules import TimeRules

Example = tuple[str, int, str]
"""File, line and text."""

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
_HOURS: dict[str | None, bool] = {"hours": True, "hhmm": False}


@dataclass
class TextEvidence:
    """What the texts of some rows tell of how they are to be read; that of several chunks adds.

    examples: the first row of a kind, which is the bits of the `ORDERS` that a day allows, where they lead to different
    days, or a name such as DAY_IN_UTC. counts: rows by kind, under these names: those of `ParsedTimes.evidence`;
    `orders`, as in the examples; `rows`, whose time was read or not; `minutes` of the day as written; `beside`, minutes
    of other times of day that stand behind the days of a pair of columns.
    """

    examples: dict[str, Example] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, later: TextEvidence) -> None:
        """Add what later rows tell."""
        self.examples = {**later.examples, **self.examples}
        for name, counts in later.counts.items():
            self.counts.setdefault(name, Counter()).update(counts)

    @classmethod
    def total(cls, parts: Iterable[TextEvidence]) -> Self:
        """What all of some rows tell, in their order."""
        out = cls()
        for part in parts:
            out.add(part)
        return out

    def of(self, name: str) -> Counter[str]:
        """What is counted under a name."""
        return self.counts.get(name, Counter())

    def either_order(self) -> tuple[int, int]:
        """Dates that are other days month first and day first, and those that are one in one of these orders alone."""
        either, one_way = (
            sum(rows for kind, rows in self.of("orders").items() if int(kind) & 3 in bits) for bits in ((3,), (1, 2))
        )
        return either, one_way

    def orders(self) -> dict[int, Example]:
        """The examples of days whose numbers can be taken for different ones, by the bits of the orders they allow."""
        return {int(kind): row for kind, row in sorted(self.examples.items()) if kind.isdigit()}

    def number(self, name: str, *kinds: str) -> int:
        """How many rows are counted under some kinds of a name; without kinds under all."""
        counts = self.of(name)
        return sum(counts[kind] for kind in kinds) if kinds else counts.total()

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` reads back."""
        return {"examples": self.examples, "counts": self.counts}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read `to_dict`'s values."""
        examples = {kind: (file, line, text) for kind, (file, line, text) in values["examples"].items()}
        return cls(examples, {name: Counter(counts) for name, counts in values["counts"].items()})


def configured_format(rules: TimeRules) -> TimeFormat:
    """How texts are read as far as the source section says."""
    return TimeFormat(rules.date_order or "month_first", _HOURS.get(rules.clock))


def infer_time_formats(
    files: Mapping[Path, TextEvidence], rules: TimeRules
) -> tuple[dict[Path, TimeFormat], list[str], list[str]]:
    """How the texts of each of some files are read.

    Args:
        files: what the texts of each tell.
        rules: of the configuration.

    Returns:
        The format of each file, and sentences on it that are for the user to know, or to doubt the events for.

    Raises:
        DataError: the texts allow more than one reading, or contradict each other or what the source section states.
    """
    order, notes, doubts = _order(files, rules)
    time_formats = {}
    for path, evidence in files.items():
        _check_pair(path.name, evidence, rules)
        hours = _are_hours(evidence, path.name, rules)
        if hours and not rules.clock:
            such = ", ".join(text for text, _ in evidence.counts["numbers"].most_common(3))
            notes.append(f"{path.name}: numbers such as {such} are read as hours of the day")
        spans = _are_spans(evidence.of("behind"), path.name, rules)
        twelve_hour = evidence.number("kinds", "AM or PM") > evidence.number("kinds", "after 12")
        hours = configured_format(rules).hours if hours is None else hours
        time_formats[path] = TimeFormat(order, hours, spans, twelve_hour)
    return time_formats, notes, doubts


def guess_time_format(evidence: TextEvidence, rules: TimeRules) -> TimeFormat:
    """How texts are likely read by what some of them tell: the others of a file may tell more."""
    try:
        return infer_time_formats({_ANY: evidence}, rules)[0][_ANY]
    except DataError:
        return configured_format(rules)


def _check_pair(file: str, evidence: TextEvidence, rules: TimeRules) -> None:
    """Stop where a day and a time of day in columns of their own contradict each other."""
    for kind, what in _OPEN_PAIRS.items():
        if (example := evidence.examples.get(kind)) and rules.times_are is None:
            raise DataError(
                f"{_shown(example)} is {what}. Set source.times_are to local (day and time are local as they are "
                "written) or to utc."
            )
    beside = evidence.of("beside")
    given = evidence.number("rows", "given")
    default = len(beside) <= 2 and beside.total() > given / 2  # as 12:00, winter and summer
    if beside.total() > BESIDE * given and not default:
        raise DataError(
            f"{file}: {beside.total():,} times of day under source.columns.occurred_time differ from those behind the "
            "days under source.columns.occurred. Name the column that is right under `occurred`, and leave "
            "`occurred_time` out."
        )


def _order(files: Mapping[Path, TextEvidence], rules: TimeRules) -> tuple[DateOrder, list[str], list[str]]:
    """The order of day, month and year, and sentences as in `infer_time_formats`."""
    if rules.date_order:
        for evidence in files.values():
            _check_order(evidence, rules.date_order)
        return rules.date_order, [], []
    everything = TextEvidence.total(files.values())
    first = everything.orders()
    if not first:
        return "month_first", [], []
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
    either, one_way = everything.either_order()
    unlikely = either and not _has_more_days(everything, possible[0])
    if len(possible) == 1 and unlikely and one_way < ASKED * (either + one_way):
        possible = [*possible, *(order for order in ORDERS[:2] if order not in possible)]  # a slip decides nothing
    if len(possible) > 1:
        example = next(
            (row for kind, row in first.items() if kind & 3 == 3), first.get(left, next(iter(first.values())))
        )
        names = " or ".join(order.replace("_", " ") for order in possible)
        raise DataError(
            f"{_shown(example)} may be {names}, and {'hardly any' if one_way else 'no'} other date tells which. Set "
            f"source.date_order to {' or '.join(possible)}."
        )
    order = cast(DateOrder, possible[0])
    words = order.replace("_", " ")
    notes, doubts = [], []
    for path, evidence in files.items():
        open_ones, closed = evidence.either_order()
        if open_ones and not closed:
            notes.append(f"{path.name}: no date tells the order of day and month; read {words}, as in the other files")
    if unlikely and one_way < TOLD * (either + one_way):
        row = next(row for kind, row in first.items() if kind & 3 != 3)
        doubts.append(
            f"The dates are read {words} because of {one_way} of {either + one_way:,}, such as {_shown(row)}: check "
            "that, and set source.date_order."
        )
    return order, notes, doubts


def _has_more_days(evidence: TextEvidence, order: str) -> bool:
    """Whether dates that are days in either order name no fewer days of the month in this one than months."""
    days, months = ("one", "two") if order == "day_first" else ("two", "one")
    return len(evidence.of(days)) >= len(evidence.of(months))


def _check_order(evidence: TextEvidence, configured_format: str) -> None:
    """All dates of a file that tell an order tell another one: those that do not tell would be taken for others."""
    bit = 1 << ORDERS.index(configured_format)
    kinds = evidence.orders()
    alone = {kind: row for kind, row in kinds.items() if kind in (1, 2, 4)}
    if alone and bit not in alone and any(kind & bit for kind in kinds):
        kind, row = next(iter(alone.items()))
        raise DataError(
            f"{_shown(row)} has {_named(kind)}, as far as the dates of that file tell, but source.date_order (of the "
            f"preset, if not set) is {configured_format}. Set it, or write the dates as YYYY-MM-DD."
        )


def _with_many_days(evidence: TextEvidence, possible: list[str]) -> list[str]:
    """Of day first and year first the order whose days of the month are many and whose years are few."""
    first, last = evidence.of("first"), evidence.of("last")
    if first.total() >= FEW and len(first) >= 2 * len(last):
        return ["day_first"]
    if first.total() >= FEW and len(last) >= 2 * len(first):
        return ["year_first"]
    return possible


def _are_hours(evidence: TextEvidence, file: str, rules: TimeRules) -> bool | None:
    """Whether bare numbers are hours and not HHMM; None where hardly any could be either, which are then not read."""
    numbers = evidence.of("numbers")
    low = {text: rows for text, rows in numbers.items() if len(text) <= 2 and 1 <= int(text) <= 24}
    high = sum(
        n for text, n in numbers.items() if text not in low and int(text) and not parse_time_of_day(text, False).wrong
    )
    odd = sum(rows for text, rows in low.items() if _is_odd(int(text)))
    alike = sum(rows for text, rows in numbers.items() if text not in low and _is_odd(int(text) % 100)) / 23  # an hour
    rows = sum(low.values())
    if rules.clock:
        return _HOURS.get(rules.clock) if rows else None
    if high and rows < LOW_NUMBERS * (rows + high) and odd <= alike + CHANCE * alike**0.5 + 1:
        return False
    if rows <= rules.max_rejects * evidence.number("rows", "given") and not high:
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


def _are_spans(behind: Mapping[str, int], file: str, rules: TimeRules) -> bool:
    """Whether times behind a dash, as in 14:30-15:30, end spans and are no offsets from UTC."""
    known = offsets_of(rules.time_zone)
    others = {text: rows for text, rows in behind.items() if -to_minutes(text) not in known}
    if sum(others.values()) <= SPANS * sum(behind.values()):
        return False
    if len(behind) <= 2 and max(map(to_minutes, behind)) <= 12 * 60:
        raise DataError(
            f"{file}: -{next(iter(others))} behind a time of day may end a span, or be an offset from UTC that "
            f"{rules.time_zone} does not have. Write the end in a column of its own "
            "(source.columns.occurred_until), or the times without it."
        )
    return True


def _named(bits: int) -> str:
    return " or ".join(f"the {order.replace('_', ' ')}" for bit, order in enumerate(ORDERS) if bits >> bit & 1)


def _shown(example: Example) -> str:
    file, line, text = example
    return f"{file}: line {line}: {text!r:.60}"
