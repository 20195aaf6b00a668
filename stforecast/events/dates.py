"""Whether the dates of a source are written month first or day first: no date is taken for another unasked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stforecast.errors import DataError
from stforecast.sections import DateOrder

Dates = Mapping[str, Sequence]  # as in `Cleaned`: what a date tells → file, line and text of the first such date


def order_of(dates: Sequence[Dates], stated: DateOrder | None) -> DateOrder | None:
    """The order of day and month in the dates of some files; None where no date depends on it.

    stated: source.date_order. Single rows that contradict it are refused by `clean`.

    Raises:
        DataError: the dates tell both orders or none, or a file tells another one than is stated.
    """
    if stated:
        for found in dates:
            _check(found, stated)
        return stated
    first: dict[str, Sequence] = {}
    for found in dates:
        first = {**found, **first}
    month, day = first.get("month_first"), first.get("day_first")
    if month and day:
        raise DataError(
            f"{_shown(month)} has the month first, but {_shown(day)} the day. Set source.date_order to month_first or "
            "day_first, and rows in the other order are refused; or write the dates of all files in one way."
        )
    if "either" in first and not (month or day):
        raise DataError(
            f"{_shown(first['either'])} may be month first or day first, and no other date tells which. Set "
            "source.date_order to month_first or day_first."
        )
    return "month_first" if month else "day_first" if day else None


def _check(found: Dates, stated: DateOrder) -> None:
    """All dates of a file that tell an order tell the other one: those that do not tell would be taken for others."""
    other = "day_first" if stated == "month_first" else "month_first"
    if other in found and "either" in found and stated not in found:
        raise DataError(
            f"{_shown(found[other])} has the {other.split('_')[0]} first, as far as the dates of that file tell, but "
            f"source.date_order (of the preset, if not set) is {stated}. Set it, or write the dates as YYYY-MM-DD."
        )


def _shown(example: Sequence) -> str:
    file, line, text = example
    return f"{file}: line {line}: {text!r:.60}"
