"""How texts that can be read in more than one way are read: what all of them together tell, or the user says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import and_
from typing import Any, Self

from stforecast.errors import DataError
from stforecast.events.clocks import clock_of, minutes_of
from stforecast.events.days import ORDERS
from stforecast.events.times import Reading
from stforecast.sections import Source

Example = tuple[str, int, str]
"""File, line and text."""

DAY_IN_UTC = "day in UTC"
FEW = 20  # dates from which the values of their parts tell which one is the day of the month
LOW_NUMBERS = 0.25  # share of numbers up to 24 from which a column is not HHMM without a question
SPANS = 0.05  # share of impossible offsets from which what stands behind a dash is the end of a span
_HOURS = {"hours": True, "hhmm": False}
OFFSETS = 4  # more written offsets than that no city has


@dataclass
class Told:
    """What the texts of some rows tell of how they are to be read; that of several chunks adds.

    examples: bits of the `ORDERS` that a day allows, where they lead to different days, and DAY_IN_UTC → the first row
    of the kind. counts: `Parsed.told`, `rows` whose time was read or not, and `minutes` of the day as written → rows.
    """

    examples: dict[str, Example] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, later: Told) -> None:
        """Add what later rows tell."""
        self.examples = {**later.examples, **self.examples}
        for name, counts in later.counts.items():
            self.counts.setdefault(name, Counter()).update(counts)

    def orders(self) -> dict[int, Example]:
        """The examples of days whose numbers can be taken for different ones, by the bits of the orders they allow."""
        return {int(kind): row for kind, row in sorted(self.examples.items()) if kind != DAY_IN_UTC}

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` reads back."""
        return {"examples": self.examples, "counts": self.counts}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read `to_dict`'s values."""
        examples = {kind: (file, line, text) for kind, (file, line, text) in values["examples"].items()}
        return cls(examples, {name: Counter(counts) for name, counts in values["counts"].items()})


def stated(source: Source) -> Reading:
    """How texts are read as far as the source section says."""
    return Reading(source.date_order or "month_first", _HOURS.get(source.clock))


def reading_of(files: Mapping[str, Told], source: Source) -> tuple[Reading, list[str]]:
    """How the texts of some files are read, and what is to be said of it.

    Raises:
        DataError: the texts allow more than one reading, or contradict each other or what the source section states.
    """
    order = _order(files, source)
    for told in files.values():
        if (example := told.examples.get(DAY_IN_UTC)) and source.times_are is None:
            raise DataError(
                f"{_shown(example)} is a day in UTC, and the time of day in the column beside it says nothing of UTC. "
                "Set source.times_are to local (day and time are local as they are written) or to utc."
            )
    verdicts = {file: _are_hours(told, file, source) for file, told in files.items()}
    yes, no = ([file for file, verdict in verdicts.items() if verdict is which] for which in (True, False))
    if yes and no:
        raise DataError(
            f"{yes[0]}: times of day are numbers up to 24, as hours are, but those of {no[0]} are hours and minutes "
            "(HHMM). Write them in one way, or read the files with configurations of their own."
        )
    said = [f"{file}: numbers such as {_such(files[file])} are read as hours of the day" for file in yes]
    spans = any(_are_spans(told.counts.get("behind", Counter())) for told in files.values())
    hours = True if yes else False if no else stated(source).hours
    return Reading(order or "month_first", hours, spans), said


def _order(files: Mapping[str, Told], source: Source) -> Any:
    """The order of day, month and year; None where no date depends on it."""
    stated = source.date_order
    if stated:
        for told in files.values():
            _check_order(told, stated)
        return stated
    first: dict[int, Example] = {}
    for told in files.values():
        first = told.orders() | first
    if not first:
        return None
    left = reduce(and_, first)
    if not left:
        one, other = next((a, b) for a in sorted(first) for b in sorted(first) if not a & b)
        raise DataError(
            f"{_shown(first[one])} has {_named(one)}, but {_shown(first[other])} has {_named(other)}. Set "
            "source.date_order to month_first or day_first, and rows in the other order are refused; or write the "
            "dates of all files in one way."
        )
    possible = [order for bit, order in enumerate(ORDERS) if left >> bit & 1]
    if set(possible) == {"day_first", "year_first"}:
        possible = _with_many_days(files, possible)
    if len(possible) > 1:
        example = first.get(left) or next(iter(first.values()))
        names = " or ".join(order.replace("_", " ") for order in possible)
        raise DataError(
            f"{_shown(example)} may be {names}, and no other date tells which. Set source.date_order to "
            f"{' or '.join(possible)}."
        )
    return possible[0]


def _check_order(told: Told, stated: str) -> None:
    """All dates of a file that tell an order tell another one: those that do not tell would be taken for others."""
    bit = 1 << ORDERS.index(stated)
    kinds = told.orders()
    alone = {kind: row for kind, row in kinds.items() if kind in (1, 2, 4)}
    if alone and bit not in alone and any(kind & bit for kind in kinds):
        kind, row = next(iter(alone.items()))
        raise DataError(
            f"{_shown(row)} has {_named(kind)}, as far as the dates of that file tell, but source.date_order (of the "
            f"preset, if not set) is {stated}. Set it, or write the dates as YYYY-MM-DD."
        )


def _with_many_days(files: Mapping[str, Told], possible: list[str]) -> list[str]:
    """Of day first and year first the order whose days of the month are many and whose years are few."""
    first, last = (
        sum((told.counts.get(n, Counter()) for told in files.values()), Counter()) for n in ("first", "last")
    )
    if first.total() >= FEW and len(first) >= 2 * len(last):
        return ["day_first"]
    if first.total() >= FEW and len(last) >= 2 * len(first):
        return ["year_first"]
    return possible


def _are_hours(told: Told, file: str, source: Source) -> bool | None:
    """Whether bare numbers are hours and not HHMM; None where hardly any could be either, which are then not read."""
    numbers = told.counts.get("numbers", Counter())
    low = {text: rows for text, rows in numbers.items() if len(text) <= 2 and 1 <= int(text) <= 24}
    high = sum(n for text, n in numbers.items() if text not in low and int(text) and not clock_of(text, False).wrong)
    rows = sum(low.values())
    if source.clock:
        return _HOURS.get(source.clock) if rows else None
    if high and rows < LOW_NUMBERS * (rows + high):
        return False
    if rows <= source.max_rejects * told.counts.get("rows", Counter()).total():
        return None
    if high or rows < 3 or len(low) < 2:
        text = next(iter(low))
        raise DataError(
            f"{file}: {text!r} may be the hour {text.zfill(2)}:00 or the minute 00:{text.zfill(2)}, and the other "
            "times of day do not tell which. Set source.clock to hours, or to hhmm."
        )
    return True


def _are_spans(behind: Mapping[str, int]) -> bool:
    """Whether times behind a dash, as in 14:30-15:30, end spans and are no offsets from UTC."""
    impossible = sum(rows for text, rows in behind.items() if minutes_of(text) > 12 * 60)
    return impossible > SPANS * sum(behind.values()) or len(behind) > OFFSETS


def _such(told: Told) -> str:
    return ", ".join(text for text, _ in told.counts["numbers"].most_common(3))


def _named(bits: int) -> str:
    return " or ".join(f"the {order.replace('_', ' ')}" for bit, order in enumerate(ORDERS) if bits >> bit & 1)


def _shown(example: Example) -> str:
    file, line, text = example
    return f"{file}: line {line}: {text!r:.60}"
