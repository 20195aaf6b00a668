"""Which columns tell when an offence occurred, until when, and when it was reported.

The earliest of the times is the occurrence. The report comes after it, by hours to weeks; the end of the occurrence
lies between them. A time of much later, or of the same hour for all rows, is that of an update.
"""

from collections.abc import Sequence

import numpy as np

from stforecast.events.examine.columns import MOST, Column, ColumnRole, first_with_name
from stforecast.events.examine.offence_words import has_word_for
from stforecast.events.parsing.dates import NAT
from stforecast.events.parsing.times_of_day import DAY

SAME = 0.98
"""Share of rows with equal days from which two columns of times are one."""
ORDERED = 0.95
"""Share of rows in which a later time is not before an earlier one."""
WEEKS = 21 * DAY
"""Median lag beyond which a time is no report's."""
PARTS = {"month": (1, 12, 3), "day": (1, 31, 20), "hour": (0, 23, 20), "minute": (0, 59, 10)}
"""Part of a date → its least and greatest value, and how many of them a column of it has."""
_NO_HOUR = "no column holds the {}"


def find_time_columns(columns: Sequence[Column]) -> dict[str, ColumnRole]:
    """The roles of the columns of times, by field; empty where nothing tells when an offence occurred."""
    times = [column for column in columns if column.times is not None]
    clocks = [column for column in columns if column.times is None and column.clock is not None]
    if not times:
        months = [column for column in columns if column.is_month]
        month = first_with_name(months, "occurred") or first_with_name(months, "month") or next(iter(months), None)
        return {"occurred": ColumnRole(month.name, "months without a day")} if month else _in_parts(columns)
    occurred = _earliest([column for column in times if column.share >= 0.5] or times)
    rest = [column.name for column in times if column is not occurred]
    kind = "times" if occurred.has_clock else "days"
    why = f"{kind}, hardly ever after {' or '.join(rest)}" if rest else f"the only column of {kind}"
    out = {"occurred": ColumnRole(occurred.name, why)}
    if not occurred.has_clock:
        if clock := _nearest(occurred, clocks):
            clocks.remove(clock)
            out["occurred_time"] = ColumnRole(clock.name, "times of day, spread as those of a city")
        else:
            out["occurred"] = ColumnRole(occurred.name, f"{why}; {_NO_HOUR.format('time of day')}")
    later = [column for column in times if column is not occurred and _is_later(column, occurred)]
    reported = _report(later, occurred)
    if reported:
        why = f"{_lag(reported, occurred)} after the occurrence in the median, hardly ever before it"
        out["reported"] = ColumnRole(reported.name, why)
        later.remove(reported)
        later = [column for column in later if _before(column, reported) >= ORDERED - 0.05]
    if later := [column for column in later if not has_word_for(column.name, "updated") and not _is_batch(column)]:
        until = first_with_name(later, "until") or later[0]
        if reported or has_word_for(until.name, "until") or until.share < MOST:
            out["occurred_until"] = ColumnRole(until.name, "not before the occurrence, and before the report")
            if not until.has_clock and "occurred_time" in out:
                if clock := _nearest(until, clocks):
                    out["occurred_until_time"] = ColumnRole(clock.name, "the times of day beside it")
                else:
                    del out["occurred_until"]
    return out


def _in_parts(columns: Sequence[Column]) -> dict[str, ColumnRole]:
    """The occurrence from columns of year, month, day, hour and minute."""
    this_year = np.datetime64("now", "Y").astype(int) + 1970
    years = [column for column in columns if column.among(1990, int(this_year))]
    if not years:
        return {}
    year = first_with_name(years, "year") or years[0]
    parts, left = {"year": year.name}, [column for column in columns if column is not year]
    for part, (low, high, distinct) in PARTS.items():
        fitting = [column for column in left if column.among(low, high, distinct)]
        high_enough = [c for c in fitting if c.filled.sum() >= 28 and c.numbers[c.filled].max() > high / 2]
        found = first_with_name(fitting, part) or min(
            high_enough, key=lambda column: abs(column.place - year.place), default=None
        )
        if found is None:
            break
        parts[part] = found.name
        left.remove(found)
    if "month" not in parts:
        return {}
    missing = next((part for part in ("day", "hour") if part not in parts), None)
    why = "numbers from the ranges of year, month, day, hour and minute"
    return {"occurred": ColumnRole(parts, why + (f"; {_NO_HOUR.format(missing)}" if missing else ""))}


def _earliest(times: Sequence[Column]) -> Column:
    """The column that is before the others; of equal ones that which has times of day, and is no plain number."""

    def place(column: Column) -> tuple[bool, int, bool, bool, int]:
        updated = has_word_for(column.name, "updated") and not has_word_for(column.name, "occurred")
        after = sum(_before(column, other) < ORDERED for other in times if other is not column)
        return updated, after, not column.has_clock, column.in_digits, column.place

    return min(times, key=place)


def _report(later: Sequence[Column], occurred: Column) -> Column | None:
    """The column of the report among those after the occurrence."""
    possible = [
        column
        for column in later
        if column.share >= 0.9
        and not has_word_for(column.name, "updated")
        and not _is_batch(column)
        and _median_lag(column, occurred) <= WEEKS
        and (has_word_for(column.name, "reported") or not has_word_for(column.name, "until"))
    ]
    return max(possible, key=lambda column: sum(_before(other, column) >= ORDERED for other in possible), default=None)


def _nearest(day: Column, clocks: Sequence[Column]) -> Column | None:
    """The times of day that belong to a column of days: the next ones to its right, if they are many, and the best."""
    full = [clock for clock in clocks if clock.share >= 0.8 * day.share]
    best = max((clock.hours_fit for clock in full), default=0.0)
    good = [clock for clock in full if clock.hours_fit >= best - 0.1 or has_word_for(clock.name, "time")]
    named = [clock for clock in good if has_word_for(clock.name, "time")]
    return min(named or good, key=lambda clock: (clock.place < day.place, abs(clock.place - day.place)), default=None)


def _is_later(column: Column, occurred: Column) -> bool:
    """Whether a column is not before the occurrence, and not the same once more."""
    one, other = _compared(column, occurred)
    return _before(occurred, column) >= ORDERED and float(np.mean(one == other)) < SAME


def _is_batch(column: Column) -> bool:
    """Whether all times of a column are those of a machine that runs at one hour."""
    wall = column.times[column.times != NAT]  # type: ignore[index]
    return not column.has_clock and bool(np.mean(wall % (DAY // 24) == 0) < 0.5)


def _before(one: Column, other: Column) -> float:
    """The share of rows in which one time is not after another."""
    first, second = _compared(one, other)
    return float(np.mean(first <= second)) if first.size else 0.0


def _compared(one: Column, other: Column) -> tuple[np.ndarray, np.ndarray]:
    """The times of the rows that have both; days, where either has no times of day."""
    first, second = _both(one, other)
    return (first, second) if one.has_clock and other.has_clock else (first // DAY, second // DAY)


def _both(one: Column, other: Column) -> tuple[np.ndarray, np.ndarray]:
    assert one.times is not None
    assert other.times is not None
    rows = (one.times != NAT) & (other.times != NAT)
    return one.times[rows], other.times[rows]


def _median_lag(column: Column, occurred: Column) -> float:
    later, earlier = _both(column, occurred)
    return float(np.median(later - earlier)) if later.size else float("inf")


def _lag(column: Column, occurred: Column) -> str:
    hours = _median_lag(column, occurred) / (DAY / 24)
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.0f} days"
