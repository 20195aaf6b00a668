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
from stforecast.events import outcomes
from stforecast.events.parsing.dates import NAT, ORDERS
from stforecast.events.parsing.text_columns import is_empty, map_texts
from stforecast.events.parsing.time_zones import to_local, to_utc
from stforecast.events.parsing.times_of_day import BAD_OFFSET, BAD_TIME_OF_DAY, DAY, SECOND
from stforecast.events.parsing.timestamp_columns import ParsedTimes, TimeFormat, parse_date_and_time, parse_times
from stforecast.events.parsing.timestamps import is_month
from stforecast.events.row_audit import RowAudit
from stforecast.events.time_formats import DAY_IN_UTC, OTHER_OFFSET

# Placeholders for "unknown" (1899-12-30, 1900-01-01, 1970-01-01, 1980-01-01) lie before this day, and the coverage of
# every open portal after it.
FLOOR = dt.date(1990, 1, 1)

_EPOCH = dt.date(1970, 1, 1)

Texts = dict[str, pa.Array]  # field → stripped texts [r], "" for blank; every field is present


def day_start(day: dt.date, time_zone: str) -> int:
    """The instant (µs) at which a local day begins."""
    wall = np.array([(day - _EPOCH).days * DAY])
    return int(to_utc(wall, np.array([NAT]), time_zone, "local")[0][0])


def day_end(day: dt.date, time_zone: str) -> int:
    """The instant (µs) at which a day of the axis ends: midnight in standard time, that is 01:00 in summer."""
    end = (day - _EPOCH).days * DAY + DAY
    midnights = end + np.arange(366) * DAY
    standard = (midnights - to_utc(midnights, np.full(366, NAT), time_zone, "local")[0]).min()
    return end - int(standard)


def occurred(
    audit: RowAudit, texts: Texts, paired: bool, source: Source, time_format: TimeFormat, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """Instants (µs, NAT where refused) of the rows [r], and the ends of spans that are written with them.

    Args:
        paired: the time of day is a column of its own.
        limit: the present (µs), after which nothing can have occurred.
    """
    zone = source.time_zone or "UTC"
    shown = (texts["occurred"], texts["occurred_time"]) if paired else (texts["occurred"],)
    for column in shown:
        audit.refuse(is_empty(column), outcomes.NO_TIME, *shown)
    found = _parse(audit, shown, audit.open, source, time_format)
    wall, offset = found.wall, found.offset
    audit.count("rows", Counter(given=int(audit.open.sum()), timeless=int((found.timeless & (wall != NAT)).sum())))
    kinds = np.bincount(found.orders[audit.open], minlength=8)
    audit.count("orders", Counter({str(kind): int(kinds[kind]) for kind in np.flatnonzero(kinds[1:]) + 1}))
    for name, counts in found.evidence.items():
        audit.count(name, counts)
    minutes = np.bincount((wall[audit.open & (wall != NAT)] % DAY // (60 * SECOND)), minlength=1)
    audit.count("minutes", Counter({str(minute): int(minutes[minute]) for minute in np.flatnonzero(minutes).tolist()}))
    unread = audit.open & (wall == NAT)
    if unread.any():
        bit = 1 << ORDERS.index(time_format.order)
        audit.refuse(unread & (found.wrong == BAD_OFFSET), outcomes.BAD_OFFSET, *shown)
        audit.refuse(unread & (found.wrong == BAD_TIME_OF_DAY), outcomes.UNREADABLE_TIME_OF_DAY, *shown)
        other = unread & (found.orders != 0) & (found.orders & bit == 0)
        audit.refuse(other, f"{outcomes.OTHER_ORDER} {time_format.order}", *shown)
        audit.refuse(unread & map_texts(texts["occurred"], is_month).astype(bool), outcomes.MONTH_ONLY, *shown)
        audit.refuse(unread, outcomes.UNREADABLE_TIME, *shown)
    audit.refuse(wall < (min(FLOOR, source.first_day or FLOOR) - _EPOCH).days * DAY, outcomes.TOO_OLD, *shown)
    audit.await_until(wall[audit.open & (wall > limit + 2 * DAY)] - 2 * DAY)
    audit.refuse(
        wall > limit + 2 * DAY, outcomes.FUTURE, *shown
    )  # before the conversion, which ends with the year 9999
    wall = np.where(audit.open, wall, NAT)
    occurred, repeated, missing = to_utc(wall, offset, zone, source.times_are)
    audit.await_until(occurred[audit.open & (occurred > limit)])
    audit.refuse(occurred > limit, outcomes.FUTURE, *shown)
    if source.first_day:
        audit.leave_out(occurred < day_start(source.first_day, zone), outcomes.OTHER_PERIOD)
    if source.last_day:
        audit.leave_out(occurred >= day_end(source.last_day, zone), outcomes.OTHER_PERIOD)
    audit.mend(found.timeless, "occurred on a day without time")
    if source.times_are is None and (written := (offset != NAT) & (offset != 0) & audit.open).any():
        rows = np.flatnonzero(written)
        other = to_local(occurred[rows], zone) - occurred[rows] != offset[rows]
        audit.mend(np.isin(np.arange(len(wall)), rows[other]), "an offset that the time zone has not")
    audit.mend(repeated, "occurred in the repeated hour")
    audit.mend(missing, "occurred in the missing hour")
    return occurred, to_utc(np.where(audit.open, found.until, NAT), offset, zone, source.times_are)[0]


def until(
    audit: RowAudit,
    texts: Texts,
    paired: bool,
    occurred: np.ndarray,
    written: np.ndarray,
    source: Source,
    time_format: TimeFormat,
    limit: int,
) -> np.ndarray:
    """Ends of the spans (µs, NAT where there is none) [r]; the other arguments as in `occurred`.

    Args:
        occurred: its first result.
        written: its second one, which counts where no end is given.
    """
    columns = (texts["occurred_until"], texts["occurred_until_time"]) if paired else (texts["occurred_until"],)
    found = _optional(audit, columns, outcomes.UNREAD_END, source, time_format, limit)
    # the last instant of an end that is a day
    wall = np.where(found.timeless & (found.wall != NAT), found.wall + DAY - 1, found.wall)
    until = to_utc(wall, found.offset, source.time_zone or "UTC", source.times_are)[0]
    until = np.where(until == NAT, written, until)
    backwards = (until != NAT) & (until < occurred)
    audit.mend(backwards, "end before start")
    return np.where(backwards, NAT, until)


def reported(
    audit: RowAudit, texts: Texts, occurred: np.ndarray, source: Source, time_format: TimeFormat, limit: int
) -> np.ndarray:
    """When rows became known (µs, NAT where nothing tells) [r], never before they occurred; arguments as above."""
    found = _optional(audit, (texts["reported"],), outcomes.UNREAD_REPORT, source, time_format, limit)
    zone = source.time_zone or "UTC"
    reported = to_utc(found.wall, found.offset, zone, source.times_are)[0]
    rows = np.flatnonzero(reported != NAT)
    day, unwritten = to_local(reported[rows], zone) // DAY * DAY, np.full(len(rows), NAT)
    begins = reported[rows] == to_utc(day, unwritten, zone, "local")[0]
    if source.times_are is None:  # a day that was given the mark of UTC on its way: the day as it is written
        marked = (found.offset[rows] != NAT) & (found.wall[rows] % DAY == 0)
        day, begins = np.where(marked, found.wall[rows], day), begins | marked
    rows, day = rows[begins], day[begins]
    # the last instant of that day, not the first of the next
    reported[rows] = to_utc(day + DAY - 1, unwritten[begins], zone, "local")[0]
    audit.mend(np.isin(np.arange(len(reported)), rows), "reported on a day without time")
    early = (reported != NAT) & (reported < occurred)
    audit.mend(early, outcomes.EARLY)
    return np.where(early, occurred, reported)


def _optional(
    audit: RowAudit, columns: tuple[pa.Array, ...], what: str, source: Source, time_format: TimeFormat, limit: int
) -> ParsedTimes:
    given = audit.open & ~np.any([is_empty(column) for column in columns], axis=0)
    found = _parse(audit, columns, given, source, time_format)
    wall = found.wall
    possible = (wall > (dt.date(1900, 1, 1) - _EPOCH).days * DAY) & (wall < limit + 2 * DAY)
    audit.await_until(wall[given & (wall >= limit + 2 * DAY)] - 2 * DAY)
    audit.mend(given & ~possible, what)
    audit.count(what, Counter(given=int(given.sum()), unread=int((given & ~possible).sum())))
    audit.example(what, given & ~possible, columns[0])
    wall[~possible] = NAT
    return found


def _parse(
    audit: RowAudit, columns: tuple[pa.Array, ...], rows: np.ndarray, source: Source, time_format: TimeFormat
) -> ParsedTimes:
    """Times of some rows [r]; nothing is read of the others."""
    some = [column.filter(pa.array(rows)) for column in columns]
    if len(some) == 1:
        read = parse_times(some[0], time_format)
    else:
        read, day = parse_date_and_time(some[0], some[1], time_format)
        _count_beside(audit, read, day)
        if source.times_are is None:
            if (day.offset != NAT).any():
                _as_local_days(audit, read, day, rows, columns[0], source)
            if (read.offset != NAT).any():
                _ask_of_offsets(audit, read, rows, columns[1], source.time_zone or "UTC")

    def placed(values: np.ndarray, blank: int) -> np.ndarray:
        out = np.full(len(rows), blank, values.dtype)
        out[rows] = values
        return out

    orders = placed(read.orders, 0)
    for kind in np.unique(read.orders[read.orders != 0]).tolist():
        audit.example(str(kind), orders == kind, columns[0])
    wall, offset, until = (placed(values, NAT) for values in (read.wall, read.offset, read.until))
    return ParsedTimes(wall, offset, until, orders, placed(read.wrong, 0), placed(read.timeless, False), read.evidence)


def _as_local_days(
    audit: RowAudit, read: ParsedTimes, day: ParsedTimes, rows: np.ndarray, shown: pa.Array, source: Source
) -> None:
    """Where a day beside a time of day is an instant: local midnight is that local day; any other is a question, but
    for days that no event may have: publishers wrote those by the rules that summer time had later."""
    zone, first = source.time_zone or "UTC", ((source.first_day or FLOOR) - _EPOCH).days * DAY
    marked = np.flatnonzero((day.offset != NAT) & (read.wall != NAT))
    local = to_local(day.wall[marked] - day.offset[marked], zone)
    midnight = local % DAY == 0
    moved = np.where(midnight, local - day.wall[marked] // DAY * DAY, 0)
    for values in (read.wall, read.until):
        values[marked] = np.where(values[marked] == NAT, NAT, values[marked] + moved)
    asked = np.zeros(len(rows), bool)
    asked[np.flatnonzero(rows)[marked[~midnight & (day.wall[marked] >= first)]]] = True
    audit.example(DAY_IN_UTC, asked, shown)


def _count_beside(audit: RowAudit, read: ParsedTimes, day: ParsedTimes) -> None:
    """Count the times of day that stand behind the days and are others than those in the column beside."""
    own = day.wall % DAY
    differ = (read.wall != NAT) & ~day.timeless & (own != 0) & (own != read.wall % DAY)
    minutes = np.bincount(own[differ] // (60 * SECOND), minlength=1)
    audit.count("beside", Counter({str(minute): int(minutes[minute]) for minute in np.flatnonzero(minutes).tolist()}))


def _ask_of_offsets(audit: RowAudit, read: ParsedTimes, rows: np.ndarray, shown: pa.Array, zone: str) -> None:
    """An offset behind a time of day tells nothing of the day beside it, unless it is the city's own."""
    marked = np.flatnonzero((read.offset != NAT) & (read.wall != NAT))
    wall = read.wall[marked]
    other = wall - to_utc(wall, np.full(len(wall), NAT), zone, "local")[0] != read.offset[marked]
    asked = np.zeros(len(rows), bool)
    asked[np.flatnonzero(rows)[marked[other]]] = True
    audit.example(OTHER_OFFSET, asked, shown)
