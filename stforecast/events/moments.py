"""When a row's offence occurred, until when, and when it was reported: UTC instants, with what is wrong booked.

Stated rules, counted under `mended` where they apply:
- repeated and missing hours: see `times`;
- a report dated exactly at local midnight, however written, is a day without a time: known at the end of that day;
- reported before it occurred: reported_at becomes occurred_at (a clerk's slip must not make an event known early);
- an end before the start is dropped, and so is an end or a report time that cannot be read or is impossible.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa

from stforecast.events import ledger as why
from stforecast.events.ledger import Ledger
from stforecast.events.texts import by_text, is_empty
from stforecast.events.times import DAY, NONE, ORDERS, is_month, parse, parse_pair, to_local, to_utc
from stforecast.sections import Source

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


def occurred(book: Ledger, texts: Texts, paired: bool, source: Source, limit: int) -> np.ndarray:
    """Instants (µs, NONE where refused) of the rows [r]; paired: the time of day is a column of its own.

    limit: the present (µs), after which nothing can have occurred.
    """
    zone = source.time_zone or "UTC"
    shown = (texts["occurred"], texts["occurred_time"]) if paired else (texts["occurred"],)
    for column in shown:
        book.refuse(is_empty(column), why.NO_TIME, *shown)
    wall, offset, orders = _parse(book, shown, book.open, source)
    unread = book.open & (wall == NONE)
    if unread.any():
        order = source.date_order or "month_first"
        other = unread & (orders != 0) & (orders != ORDERS.index(order))
        book.refuse(other, f"{why.OTHER_ORDER} {order}", *shown)
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
    book.mend(repeated, "occurred in the repeated hour")
    book.mend(missing, "occurred in the missing hour")
    return occurred


def until(book: Ledger, texts: Texts, paired: bool, occurred: np.ndarray, source: Source, limit: int) -> np.ndarray:
    """Ends of the spans (µs, NONE where there is none) [r]; arguments as in `occurred`, whose result is one of them."""
    columns = (texts["occurred_until"], texts["occurred_until_time"]) if paired else (texts["occurred_until"],)
    wall, offset = _optional(book, columns, "unreadable end", source, limit)
    until = to_utc(wall, offset, source.time_zone or "UTC", source.times_are)[0]
    backwards = (until != NONE) & (until < occurred)
    book.mend(backwards, "end before start")
    return np.where(backwards, NONE, until)


def reported(book: Ledger, texts: Texts, occurred: np.ndarray, source: Source, limit: int) -> np.ndarray:
    """When rows became known (µs, NONE where nothing tells) [r], never before they occurred; arguments as above."""
    wall, offset = _optional(book, (texts["reported"],), "unreadable report time", source, limit)
    zone = source.time_zone or "UTC"
    reported = to_utc(wall, offset, zone, source.times_are)[0]
    rows = np.flatnonzero(reported != NONE)
    day, unwritten = to_local(reported[rows], zone) // DAY * DAY, np.full(len(rows), NONE)
    begins = reported[rows] == to_utc(day, unwritten, zone, "local")[0]
    rows, day = rows[begins], day[begins]
    # the last instant of that day, not the first of the next
    reported[rows] = to_utc(day + DAY - 1, unwritten[begins], zone, "local")[0]
    book.mend(np.isin(np.arange(len(reported)), rows), "reported on a day without time")
    early = (reported != NONE) & (reported < occurred)
    book.mend(early, "reported before it occurred")
    return np.where(early, occurred, reported)


def _optional(
    book: Ledger, columns: tuple[pa.Array, ...], what: str, source: Source, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    given = book.open & ~np.any([is_empty(column) for column in columns], axis=0)
    wall, offset, _ = _parse(book, columns, given, source)
    possible = (wall > (dt.date(1900, 1, 1) - _EPOCH).days * DAY) & (wall < limit + 2 * DAY)
    book.await_until(wall[given & (wall >= limit + 2 * DAY)] - 2 * DAY)
    book.mend(given & ~possible, what)
    return np.where(possible, wall, NONE), offset


def _parse(
    book: Ledger, columns: tuple[pa.Array, ...], rows: np.ndarray, source: Source
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    wall = np.full(len(rows), NONE, np.int64)
    offset = np.full(len(rows), NONE, np.int64)
    orders = np.zeros(len(rows), np.int8)
    some, order = [column.filter(pa.array(rows)) for column in columns], source.date_order or "month_first"
    read = parse(some[0], order) if len(some) == 1 else parse_pair(some[0], some[1], order)
    wall[rows], offset[rows], orders[rows] = read
    book.note_dates(orders, columns[0])
    return wall, offset, orders
