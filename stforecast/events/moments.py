"""When a row's offence occurred, until when, and when it was reported: UTC instants, with what is wrong booked.

Stated rules, counted under `mended` where they apply:
- repeated and missing hours: see `times`;
- a report dated exactly at local midnight, however written, is a day without a time: known at the end of that day;
- reported before it occurred: reported_at becomes occurred_at (a clerk's slip must not make an event known early);
- an end before the start is dropped, and so is an end or a report time that cannot be read or is impossible.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter

import numpy as np
import pyarrow as pa

from stforecast.config.sections import Source
from stforecast.events import ledger as why
from stforecast.events.clocks import BAD_CLOCK, BAD_OFFSET, DAY, SECOND
from stforecast.events.days import NONE, ORDERS
from stforecast.events.ledger import Ledger
from stforecast.events.reading import CLOCK_ELSEWHERE, DAY_IN_UTC
from stforecast.events.stamps import is_month
from stforecast.events.texts import by_text, is_empty
from stforecast.events.times import Parsed, Reading, parse, parse_pair
from stforecast.events.zones import to_local, to_utc

# Placeholders for "unknown" (1899-12-30, 1900-01-01, 1970-01-01, 1980-01-01) lie before this day, and the coverage of
# every open portal after it.
FLOOR = dt.date(1990, 1, 1)

_EPOCH = dt.date(1970, 1, 1)

Texts = dict[str, pa.Array]  # field → stripped texts [r], "" for blank; every field is present


def day_start(day: dt.date, time_zone: str) -> int:
    """The instant (µs) at which a local day begins."""
    wall = np.array([(day - _EPOCH).days * DAY])
    return int(to_utc(wall, np.array([NONE]), time_zone, "local")[0][0])


def day_end(day: dt.date, time_zone: str) -> int:
    """The instant (µs) at which a day of the axis ends: midnight in standard time, that is 01:00 in summer."""
    end = (day - _EPOCH).days * DAY + DAY
    midnights = end + np.arange(366) * DAY
    standard = (midnights - to_utc(midnights, np.full(366, NONE), time_zone, "local")[0]).min()
    return end - int(standard)


def occurred(
    book: Ledger, texts: Texts, paired: bool, source: Source, reading: Reading, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Instants (µs, NONE where refused) of the rows [r], and the ends of spans that are written with them.

    Args:
        paired: the time of day is a column of its own.
        limit: the present (µs), after which nothing can have occurred.
    """
    zone = source.time_zone or "UTC"
    shown = (texts["occurred"], texts["occurred_time"]) if paired else (texts["occurred"],)
    for column in shown:
        book.refuse(is_empty(column), why.NO_TIME, *shown)
    found = _parse(book, shown, book.open, source, reading)
    wall, offset = found.wall, found.offset
    book.count("rows", Counter(given=int(book.open.sum()), timeless=int((found.timeless & (wall != NONE)).sum())))
    kinds = np.bincount(found.orders[book.open], minlength=8)
    book.count("orders", Counter({str(kind): int(kinds[kind]) for kind in np.flatnonzero(kinds[1:]) + 1}))
    for name, counts in found.told.items():
        book.count(name, counts)
    minutes = np.bincount((wall[book.open & (wall != NONE)] % DAY // (60 * SECOND)), minlength=1)
    book.count("minutes", Counter({str(minute): int(minutes[minute]) for minute in np.flatnonzero(minutes).tolist()}))
    unread = book.open & (wall == NONE)
    if unread.any():
        bit = 1 << ORDERS.index(reading.order)
        book.refuse(unread & (found.wrong == BAD_OFFSET), why.BAD_OFFSET, *shown)
        book.refuse(unread & (found.wrong == BAD_CLOCK), why.UNREADABLE_CLOCK, *shown)
        other = unread & (found.orders != 0) & (found.orders & bit == 0)
        book.refuse(other, f"{why.OTHER_ORDER} {reading.order}", *shown)
        book.refuse(unread & by_text(texts["occurred"], is_month).astype(bool), why.MONTH_ONLY, *shown)
        book.refuse(unread, why.UNREADABLE_TIME, *shown)
    book.refuse(wall < (min(FLOOR, source.first_day or FLOOR) - _EPOCH).days * DAY, why.TOO_OLD, *shown)
    book.await_until(wall[book.open & (wall > limit + 2 * DAY)] - 2 * DAY)
    book.refuse(wall > limit + 2 * DAY, why.FUTURE, *shown)  # before the conversion, which ends with the year 9999
    wall = np.where(book.open, wall, NONE)
    occurred, repeated, missing = to_utc(wall, offset, zone, source.times_are)
    book.await_until(occurred[book.open & (occurred > limit)])
    book.refuse(occurred > limit, why.FUTURE, *shown)
    if source.first_day:
        book.leave_out(occurred < day_start(source.first_day, zone), why.OTHER_PERIOD)
    if source.last_day:
        book.leave_out(occurred >= day_end(source.last_day, zone), why.OTHER_PERIOD)
    book.mend(found.timeless, "occurred on a day without time")
    if source.times_are is None and (written := (offset != NONE) & (offset != 0) & book.open).any():
        rows = np.flatnonzero(written)
        other = to_local(occurred[rows], zone) - occurred[rows] != offset[rows]
        book.mend(np.isin(np.arange(len(wall)), rows[other]), "an offset that the time zone has not")
    book.mend(repeated, "occurred in the repeated hour")
    book.mend(missing, "occurred in the missing hour")
    return occurred, to_utc(np.where(book.open, found.until, NONE), offset, zone, source.times_are)[0]


def until(
    book: Ledger,
    texts: Texts,
    paired: bool,
    occurred: np.ndarray,
    written: np.ndarray,
    source: Source,
    reading: Reading,
    limit: int,
) -> np.ndarray:
    """Ends of the spans (µs, NONE where there is none) [r]; the other arguments as in `occurred`.

    Args:
        occurred: its first result.
        written: its second one, which counts where no end is given.
    """
    columns = (texts["occurred_until"], texts["occurred_until_time"]) if paired else (texts["occurred_until"],)
    found = _optional(book, columns, why.UNREAD_END, source, reading, limit)
    # the last instant of an end that is a day
    wall = np.where(found.timeless & (found.wall != NONE), found.wall + DAY - 1, found.wall)
    until = to_utc(wall, found.offset, source.time_zone or "UTC", source.times_are)[0]
    until = np.where(until == NONE, written, until)
    backwards = (until != NONE) & (until < occurred)
    book.mend(backwards, "end before start")
    return np.where(backwards, NONE, until)


def reported(
    book: Ledger, texts: Texts, occurred: np.ndarray, source: Source, reading: Reading, limit: int
) -> np.ndarray:
    """When rows became known (µs, NONE where nothing tells) [r], never before they occurred; arguments as above."""
    found = _optional(book, (texts["reported"],), why.UNREAD_REPORT, source, reading, limit)
    zone = source.time_zone or "UTC"
    reported = to_utc(found.wall, found.offset, zone, source.times_are)[0]
    rows = np.flatnonzero(reported != NONE)
    day, unwritten = to_local(reported[rows], zone) // DAY * DAY, np.full(len(rows), NONE)
    begins = reported[rows] == to_utc(day, unwritten, zone, "local")[0]
    if source.times_are is None:  # a day that was given the mark of UTC on its way: the day as it is written
        marked = (found.offset[rows] != NONE) & (found.wall[rows] % DAY == 0)
        day, begins = np.where(marked, found.wall[rows], day), begins | marked
    rows, day = rows[begins], day[begins]
    # the last instant of that day, not the first of the next
    reported[rows] = to_utc(day + DAY - 1, unwritten[begins], zone, "local")[0]
    book.mend(np.isin(np.arange(len(reported)), rows), "reported on a day without time")
    early = (reported != NONE) & (reported < occurred)
    book.mend(early, why.EARLY)
    return np.where(early, occurred, reported)


def _optional(
    book: Ledger, columns: tuple[pa.Array, ...], what: str, source: Source, reading: Reading, limit: int
) -> Parsed:
    given = book.open & ~np.any([is_empty(column) for column in columns], axis=0)
    found = _parse(book, columns, given, source, reading)
    wall = found.wall
    possible = (wall > (dt.date(1900, 1, 1) - _EPOCH).days * DAY) & (wall < limit + 2 * DAY)
    book.await_until(wall[given & (wall >= limit + 2 * DAY)] - 2 * DAY)
    book.mend(given & ~possible, what)
    book.count(what, Counter(given=int(given.sum()), unread=int((given & ~possible).sum())))
    book.example(what, given & ~possible, columns[0])
    wall[~possible] = NONE
    return found


def _parse(book: Ledger, columns: tuple[pa.Array, ...], rows: np.ndarray, source: Source, reading: Reading) -> Parsed:
    """Times of some rows [r]; nothing is read of the others."""
    some = [column.filter(pa.array(rows)) for column in columns]
    if len(some) == 1:
        read = parse(some[0], reading)
    else:
        read, day = parse_pair(some[0], some[1], reading)
        _count_beside(book, read, day)
        if source.times_are is None:
            if (day.offset != NONE).any():
                _as_local_days(book, read, day, rows, columns[0], source)
            if (read.offset != NONE).any():
                _ask_of_offsets(book, read, rows, columns[1], source.time_zone or "UTC")

    def placed(values: np.ndarray, blank: int) -> np.ndarray:
        out = np.full(len(rows), blank, values.dtype)
        out[rows] = values
        return out

    orders = placed(read.orders, 0)
    for kind in np.unique(read.orders[read.orders != 0]).tolist():
        book.example(str(kind), orders == kind, columns[0])
    wall, offset, until = (placed(values, NONE) for values in (read.wall, read.offset, read.until))
    return Parsed(wall, offset, until, orders, placed(read.wrong, 0), placed(read.timeless, False), read.told)


def _as_local_days(book: Ledger, read: Parsed, day: Parsed, rows: np.ndarray, shown: pa.Array, source: Source) -> None:
    """Where a day beside a time of day is an instant: local midnight is that local day; any other is a question, but
    for days that no event may have: publishers wrote those by the rules that summer time had later."""
    zone, first = source.time_zone or "UTC", ((source.first_day or FLOOR) - _EPOCH).days * DAY
    marked = np.flatnonzero((day.offset != NONE) & (read.wall != NONE))
    local = to_local(day.wall[marked] - day.offset[marked], zone)
    midnight = local % DAY == 0
    moved = np.where(midnight, local - day.wall[marked] // DAY * DAY, 0)
    for values in (read.wall, read.until):
        values[marked] = np.where(values[marked] == NONE, NONE, values[marked] + moved)
    asked = np.zeros(len(rows), bool)
    asked[np.flatnonzero(rows)[marked[~midnight & (day.wall[marked] >= first)]]] = True
    book.example(DAY_IN_UTC, asked, shown)


def _count_beside(book: Ledger, read: Parsed, day: Parsed) -> None:
    """Count the times of day that stand behind the days and are others than those in the column beside."""
    own = day.wall % DAY
    differ = (read.wall != NONE) & ~day.timeless & (own != 0) & (own != read.wall % DAY)
    minutes = np.bincount(own[differ] // (60 * SECOND), minlength=1)
    book.count("beside", Counter({str(minute): int(minutes[minute]) for minute in np.flatnonzero(minutes).tolist()}))


def _ask_of_offsets(book: Ledger, read: Parsed, rows: np.ndarray, shown: pa.Array, zone: str) -> None:
    """An offset behind a time of day tells nothing of the day beside it, unless it is the city's own."""
    marked = np.flatnonzero((read.offset != NONE) & (read.wall != NONE))
    wall = read.wall[marked]
    other = wall - to_utc(wall, np.full(len(wall), NONE), zone, "local")[0] != read.offset[marked]
    asked = np.zeros(len(rows), bool)
    asked[np.flatnonzero(rows)[marked[other]]] = True
    book.example(CLOCK_ELSEWHERE, asked, shown)
