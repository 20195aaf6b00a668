"""Tables with a column a period: which columns those are, and their cells as rows of one area, offence and period."""

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa

from stforecast.errors import DataError
from stforecast.events.parsing.dates import NAT, parse_date, parse_month
from stforecast.events.parsing.text_columns import to_arrow
from stforecast.events.sources import wildcard

PREFIX = "occurred."
"""What stands before the name of a column that is a period, as that of a field."""
PERIODS = 6
"""Columns named as months or days from which a table has a column a period."""
SHOWN = 12
_MIDNIGHT = re.compile(r"[ T]00:00(:00(\.0+)?)?Z?\Z")
_MARKS = re.compile(r"[^\w/.:-]+")
_EPOCH = dt.date(1970, 1, 1)


def is_period(name: str) -> bool:
    """Whether the name of a column is a month or a day."""
    return any(day != NAT for day in _begins(name))


def period_columns(header: Sequence[str], patterns: Sequence[str], origin: str) -> dict[str, int]:
    """The columns that are periods: `occurred.` and the name of each → its index.

    Args:
        header: the names of all columns.
        patterns: names, with wildcards; of what these match, names that are no period are passed over.
        origin: the file, for messages.

    Raises:
        DataError: a name without wildcards is no period, two columns are one period, a period has a mark behind it, or
            they are neither months nor days that follow one another.
    """
    found: dict[int, str] = {}
    rest: set[str] = set()
    for pattern in patterns:
        match = wildcard(pattern)
        for index, name in enumerate(header):
            if not match.fullmatch(" ".join(name.split())):
                continue
            if is_period(name):
                found[index] = name.strip()
            elif _is_plain(pattern):
                raise DataError(
                    f"{origin}: the column {name!r} is no month or day, such as 2024-03, 202403, Mar-24 or 2024-03-01. "
                    "Correct source.columns.occurred.periods."
                )
            else:
                rest.add(name)
    names = sorted(zip(_begin(list(found.values())), found.values(), strict=True))
    if twice := [(one, other) for (at, one), (then, other) in pairwise(names) if at == then]:
        one, other = twice[0]
        raise DataError(
            f"{origin}: the columns {one!r} and {other!r} are the same period. Leave one out of "
            "source.columns.occurred.periods."
        )
    begins = {at for at, _ in names}
    if marked := [name for name in sorted(rest) if (days := {*_begins_with(name)} - {NAT}) and not days & begins]:
        raise DataError(
            f"{origin}: the column {marked[0]!r} begins with a period that no other column has, and more stands behind "
            "it. Name it as the others are named, or choose columns without it under source.columns.occurred.periods."
        )
    lost = _absent([at for at, _ in names])
    if len(lost) > len(names):
        some = ", ".join(name for _, name in names[:3])
        raise DataError(
            f"{origin}: its periods ({some} …) are neither months nor days that follow one another, so they cannot be "
            "the steps of a forecast. Give a table by month or day."
        )
    return {PREFIX + name: index for index, name in found.items()}


def note_on_periods(names: Sequence[str], patterns: Sequence[str]) -> str:
    """What is missing among the columns of periods, for the user to know; "" where nothing is.

    Args:
        names: of the columns, as fields.
        patterns: names of columns that are sought.
    """
    there = {" ".join(name.removeprefix(PREFIX).split()).casefold() for name in names}
    lost = _absent(sorted(_begin(names)))
    lost += [text for text in patterns if _is_plain(text) and " ".join(text.split()).casefold() not in there]
    if not lost:
        return ""
    more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
    return (
        f"has no column for {', '.join(lost[:SHOWN])}{more}: no report of that time is in it. Where that is not in "
        "another file either, name it under source.gaps"
    )


def unpivot(texts: Mapping[str, pa.Array], whole: np.ndarray) -> tuple[dict[str, pa.Array], np.ndarray]:
    """Rows [r] with a column a period as rows [c] of one period each: `occurred` is its name and `count` the cell.

    Args:
        texts: by field. Without columns of periods they stay as they are.
        whole: rows [r] that could be read; of any other there is one row.

    Returns:
        The texts, and the row of the table that each row comes from [c].
    """
    periods = [name for name in texts if name.startswith(PREFIX)]
    if not periods:
        return dict(texts), np.arange(len(whole))
    number = np.where(whole, len(periods), 1)
    row = np.repeat(np.arange(len(whole)), number)
    which = np.arange(len(row)) - np.repeat(np.cumsum(number) - number, number)
    out = {name: values.take(pa.array(row)) for name, values in texts.items() if name not in periods}
    out["occurred"] = to_arrow([name.removeprefix(PREFIX) for name in periods]).take(pa.array(which))
    out["count"] = pa.concat_arrays([texts[name] for name in periods]).take(pa.array(which * len(whole) + row))
    return out, row


def _is_plain(pattern: str) -> bool:
    return not {"*", "?"} & {*pattern}


def _begins(name: str) -> tuple[int, int, int]:
    """The first day of the period that a column is named for under each of `ORDERS`, in days since 1970-01-01; `NAT`
    where it is none."""
    text = _MIDNIGHT.sub("", name.removeprefix(PREFIX).strip())
    if (month := parse_month(text)) != NAT:
        return (month,) * 3
    return parse_date(text)


def _begins_with(name: str) -> tuple[int, int, int]:
    """The same of the period that a name begins with, as that of a column marked as provisional."""
    words = _MARKS.sub(" ", name).split()
    starts = (_begins(" ".join(words[:number])) for number in range(len(words), 0, -1))
    return next((days for days in starts if {*days} != {NAT}), (NAT,) * 3)


def _begin(names: Sequence[str]) -> list[int]:
    """The first days of the periods that columns are named for [p], in the order of day, month and year in which the
    fewest between them are absent."""
    orders = list(zip(*(_begins(name) for name in names), strict=True))
    whole = [days for days in orders if NAT not in days]
    if not whole:  # not all are written alike
        whole = [tuple(next(day for day in days if day != NAT) for days in zip(*orders, strict=True))]
    return list(min(whole, key=lambda days: len(_absent(sorted(set(days))))))


def _absent(days: Sequence[int]) -> list[str]:
    """The months, or else days, between the first and the last of some that are not among them, in their order."""
    if len(days) < 2:
        return []
    if all((_EPOCH + dt.timedelta(day)).day == 1 for day in days):
        months = np.array(days, "datetime64[D]").astype("datetime64[M]")
        every = np.arange(months[0], months[-1])
        return [str(month) for month in every[~np.isin(every, months)]]
    between = np.arange(days[0], days[-1])
    return [str(day) for day in between[~np.isin(between, days)].astype("datetime64[D]")]
