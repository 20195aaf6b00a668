"""When a row's offence occurred, until when, and when it was reported: UTC instants, with what is wrong booked.

Stated rules, counted under `corrected` where they apply:
- repeated and missing hours: see `parsing.time_zones`;
- where a file gives days or months, an offence occurred when its local day or month began: the day as it is written, or
  the local day of an instant that is no midnight as it is written;
- a report dated exactly at local midnight, however written, is a day without a time: known at the end of that day;
- reported before it occurred: reported_at becomes occurred_at (a clerk's slip must not make an event known early);
- an end before the start is dropped, and so is an end or a report time that cannot be read or is impossible.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stforecast.config.sections import Source, Unit
from stforecast.events import outcomes
from stforecast.events.parsing.dates import NAT, ORDERS, parse_month
from stforecast.events.parsing.text_columns import factorize, is_empty
from stforecast.events.parsing.time_zones import to_local, to_utc
from stforecast.events.parsing.times_of_day import BAD_OFFSET, BAD_TIME_OF_DAY, DAY, SECOND
from stforecast.events.parsing.timestamp_columns import ParsedTimes, TimeFormat, parse_date_and_time, parse_times
from stforecast.events.row_audit import RowAudit
from stforecast.events.time_formats import DAY_IN_UTC, OTHER_OFFSET

# Placeholders for "unknown" (1899-12-30, 1900-01-01, 1970-01-01, 1980-01-01) lie before this day, and the coverage of
# every open portal after it.
FLOOR = dt.date(1990, 1, 1)

_EPOCH = dt.date(1970, 1, 1)


def day_start(day: dt.date, time_zone: str) -> int:
    """The instant (µs) at which a local day begins."""
    return int(_local_to_utc(np.array([_micros(day)]), time_zone)[0])


def day_end(day: dt.date, time_zone: str) -> int:
    """The instant (µs) at which a day of an hourly axis ends: midnight in standard time, that is 01:00 in summer."""
    end = _micros(day) + DAY
    midnights = end + np.arange(366) * DAY
    return end - int((midnights - _local_to_utc(midnights, time_zone)).min())


@dataclass(frozen=True)
class TimeColumns:
    """The columns of times of a chunk of rows [r]; what is read of them, and what is wrong, is noted in an audit.

    texts: field → stripped texts [r], "" for blank; every field is there. present: the fields that the file has.
    limit: the present (µs), after which nothing can have occurred. step: of the axis.
    """

    audit: RowAudit
    texts: Mapping[str, pa.Array]
    present: Collection[str]
    source: Source
    time_format: TimeFormat
    limit: int
    step: Unit = "hour"

    def occurred(self) -> tuple[np.ndarray, np.ndarray]:
        """Instants of occurrence (µs) [r], `NAT` where the row is refused, and the ends of spans written with them."""
        audit, source, zone = self.audit, self.source, self.source.zone
        columns = self._columns("occurred")
        for column in columns:
            audit.refuse(is_empty(column), outcomes.NO_TIME, *columns)
        found = self._parse(columns, audit.open)
        months = self._months(found, columns)
        days = np.where(months == NAT, self._local_days(found), months)
        self._note_evidence(found, months, days)
        if self.step == "month":
            found = found._replace(wall=np.where(months == NAT, found.wall, months))
        self._refuse_unread(found, months != NAT, columns)
        dated = self.time_format.precision != "time"
        wall, offset = (days, np.full(len(days), NAT)) if dated else (found.wall, found.offset)
        if self.time_format.precision == "month":
            wall = _month_of(wall)
        audit.refuse(wall < _micros(min(FLOOR, source.first_day or FLOOR)), outcomes.TOO_OLD, *columns)
        self._refuse_future(wall, 2 * DAY, columns)  # before the conversion, which ends with the year 9999
        wall = np.where(audit.open, wall, NAT)
        occurred, repeated, missing = to_utc(wall, offset, zone, "local" if dated else source.times_are)
        if self.step == "month" and not dated:  # whatever a time beside them means
            occurred = np.where(audit.open & (months != NAT), _local_to_utc(months, zone), occurred)
        self._refuse_future(occurred, 0, columns)
        if source.first_day:
            audit.leave_out(occurred < day_start(source.first_day, zone), outcomes.OTHER_PERIOD)
        if source.last_day:
            hourly, after = self.step == "hour", source.last_day + dt.timedelta(days=1)
            end = day_end(source.last_day, zone) if hourly else day_start(after, zone)
            audit.leave_out(occurred >= end, outcomes.OTHER_PERIOD)
        if dated:
            return occurred, np.full(len(occurred), NAT)
        audit.correct(found.timeless, "occurred on a day without time")
        rows = np.flatnonzero((offset != NAT) & (offset != 0) & audit.open)
        if source.times_are is None and rows.size:
            foreign = to_local(occurred[rows], zone) - occurred[rows] != offset[rows]
            audit.correct(self._mask(rows[foreign]), "an offset that the time zone has not")
        audit.correct(repeated, "occurred in the repeated hour")
        audit.correct(missing, "occurred in the missing hour")
        return occurred, to_utc(np.where(audit.open, found.until, NAT), offset, zone, source.times_are)[0]

    def until(self, occurred: np.ndarray, written: np.ndarray) -> np.ndarray:
        """Ends of the spans (µs) [r], `NAT` where there is none.

        Args:
            occurred: when they began [r].
            written: ends that are written with the beginning [r]; they count where no other end is given.
        """
        found = self._parse_optional(self._columns("occurred_until"), outcomes.UNREAD_END)
        # the last instant of an end that is a day
        is_day = found.timeless | ((self.time_format.precision != "time") & (found.wall % DAY == 0))
        wall = np.where(is_day & (found.wall != NAT), found.wall + DAY - 1, found.wall)
        until = to_utc(wall, found.offset, self.source.zone, self.source.times_are)[0]
        until = np.where(until == NAT, written, until)
        backwards = (until != NAT) & (until < occurred)
        self.audit.correct(backwards, "end before start")
        return np.where(backwards, NAT, until)

    def reported(self, occurred: np.ndarray) -> np.ndarray:
        """When rows became known (µs) [r], `NAT` where nothing tells; never before they occurred."""
        found, zone = self._parse_optional((self.texts["reported"],), outcomes.UNREAD_REPORT), self.source.zone
        reported = to_utc(found.wall, found.offset, zone, self.source.times_are)[0]
        rows = np.flatnonzero(reported != NAT)
        day = to_local(reported[rows], zone) // DAY * DAY
        begins = reported[rows] == _local_to_utc(day, zone)
        if self.source.times_are is None:  # a day that was given the mark of UTC on its way: the day as it is written
            marked = (found.offset[rows] != NAT) & (found.wall[rows] % DAY == 0)
            day, begins = np.where(marked, found.wall[rows], day), begins | marked
        rows, day = rows[begins], day[begins]
        reported[rows] = _local_to_utc(day + DAY - 1, zone)  # the last instant of that day, not the first of the next
        self.audit.correct(self._mask(rows), "reported on a day without time")
        early = (reported != NAT) & (reported < occurred)
        self.audit.correct(early, outcomes.EARLY)
        return np.where(early, occurred, reported)

    def _refuse_future(self, instants: np.ndarray, slack: int, columns: tuple[pa.Array, ...]) -> None:
        """Refuse rows later than the present by more than `slack` (µs), until the present has reached them."""
        later = instants > self.limit + slack
        self.audit.await_until(instants[self.audit.open & later] - slack)
        self.audit.refuse(later, outcomes.FUTURE, *columns)

    def _columns(self, field: str) -> tuple[pa.Array, ...]:
        """The column of a field, and that of its time of day where the file has one."""
        paired = f"{field}_time" in self.present
        return (self.texts[field], self.texts[f"{field}_time"]) if paired else (self.texts[field],)

    def _mask(self, rows: np.ndarray) -> np.ndarray:
        """Some rows as a mask [r]."""
        out = np.zeros(len(self.audit.open), bool)
        out[rows] = True
        return out

    def _months(self, found: ParsedTimes, columns: tuple[pa.Array, ...]) -> np.ndarray:
        """The beginnings of the months [r] (µs) that texts without a day name, `NAT` where one is anything else."""
        out = np.full(len(found.wall), NAT)
        unread = np.flatnonzero(self.audit.open & (found.wall == NAT))
        if unread.size:
            which, distinct = factorize(columns[0].take(pa.array(unread)))
            first = np.array([parse_month(text) for text in distinct.to_pylist()], np.int64)
            out[unread] = np.where(first == NAT, NAT, first * DAY)[which]
        return out

    def _local_days(self, found: ParsedTimes) -> np.ndarray:
        """The days [r] (µs) that dates stand for if these are days: as they are written; or, of an instant that is no
        midnight as it is written, the local one."""
        times_are, known = self.source.times_are, found.wall != NAT
        days = np.where(known, found.wall // DAY * DAY, NAT)
        in_utc = found.offset != NAT if times_are is None else np.full(len(known), times_are == "utc")
        rows = np.flatnonzero(known & in_utc & (found.wall % DAY != 0))
        offset = np.where(found.offset[rows] == NAT, 0, found.offset[rows])
        days[rows] = to_local(found.wall[rows] - offset, self.source.zone) // DAY * DAY
        return days

    def _note_evidence(self, found: ParsedTimes, months: np.ndarray, days: np.ndarray) -> None:
        """Count what times of occurrence tell of how they are to be read."""
        facts, read = self.audit.facts, self.audit.open & (found.wall != NAT)
        timeless = int((found.timeless & (found.wall != NAT)).sum())
        orders = found.orders[self.audit.open]
        first_of_month = days[read & (_month_of(days) == days)]
        of_rows = {
            "rows": {"filled": int(self.audit.open.sum()), "timeless": timeless, "months": int((months != NAT).sum())},
            "orders": _frequencies(orders[orders != 0]),
            "minutes": _frequencies(found.wall[read] % DAY // (60 * SECOND)),
            "firsts": _frequencies(np.clip(first_of_month // DAY, 0, None)),
        }
        for name, counts in {**of_rows, **found.evidence}.items():
            facts.count(name, counts)

    def _refuse_unread(self, found: ParsedTimes, months: np.ndarray, columns: tuple[pa.Array, ...]) -> None:
        unread = self.audit.open & (found.wall == NAT)
        if not unread.any():
            return
        order = self.time_format.order
        other = (found.orders != 0) & ((found.orders & (1 << ORDERS.index(order))) == 0)
        for which, reason in (
            (found.wrong == BAD_OFFSET, outcomes.BAD_OFFSET),
            (found.wrong == BAD_TIME_OF_DAY, outcomes.UNREADABLE_TIME_OF_DAY),
            (other, f"{outcomes.OTHER_ORDER} {order}"),
            (months, outcomes.MONTH_ONLY),
            (True, outcomes.UNREADABLE_TIME),
        ):
            self.audit.refuse(unread & which, reason, *columns)

    def _parse_optional(self, columns: tuple[pa.Array, ...], what: str) -> ParsedTimes:
        """Times that a row may lack; one that cannot be read or is impossible is booked as `what` and dropped."""
        audit, latest = self.audit, self.limit + 2 * DAY
        filled = audit.open & ~np.any([is_empty(column) for column in columns], axis=0)
        found = self._parse(columns, filled)
        possible = (found.wall > _micros(dt.date(1900, 1, 1))) & (found.wall < latest)
        audit.await_until(found.wall[filled & (found.wall >= latest)] - 2 * DAY)
        audit.correct(filled & ~possible, what)
        audit.facts.count(what, {"filled": int(filled.sum()), "unread": int((filled & ~possible).sum())})
        audit.example(what, filled & ~possible, columns[0])
        return found._replace(wall=np.where(possible, found.wall, NAT))

    def _parse(self, columns: tuple[pa.Array, ...], rows: np.ndarray) -> ParsedTimes:
        """Times of some rows [r]; nothing is read of the others."""
        some = [column.filter(pa.array(rows)) for column in columns]
        if len(some) == 1:
            read = parse_times(some[0], self.time_format)
        else:
            read, day = parse_date_and_time(some[0], some[1], self.time_format)
            self._count_beside(read, day)
            if self.source.times_are is None:
                self._as_local_days(read, day, rows, columns[0])
                self._note_other_offsets(read, rows, columns[1])

        found = read.placed(rows)
        for kind in np.unique(read.orders[read.orders != 0]).tolist():
            self.audit.example(str(kind), found.orders == kind, columns[0])
        return found

    def _count_beside(self, read: ParsedTimes, day: ParsedTimes) -> None:
        """Count the times of day that stand behind the days and are others than those in the column beside."""
        behind = day.wall % DAY
        differ = (read.wall != NAT) & ~day.timeless & (behind != 0) & (behind != read.wall % DAY)
        self.audit.facts.count("beside", _frequencies(behind[differ] // (60 * SECOND)))

    def _as_local_days(self, read: ParsedTimes, day: ParsedTimes, rows: np.ndarray, shown: pa.Array) -> None:
        """Where a day beside a time of day is an instant: local midnight is that local day; any other is a question,
        but for days that no event may have: publishers wrote those by the rules that summer time had later."""
        marked = np.flatnonzero((day.offset != NAT) & (read.wall != NAT))
        local = to_local(day.wall[marked] - day.offset[marked], self.source.zone)
        midnight = local % DAY == 0
        moved = np.where(midnight, local - day.wall[marked] // DAY * DAY, 0)
        for values in (read.wall, read.until):
            values[marked] = np.where(values[marked] == NAT, NAT, values[marked] + moved)
        recent = day.wall[marked] >= _micros(self.source.first_day or FLOOR)
        asked = self._mask(np.flatnonzero(rows)[marked[~midnight & recent]])
        self.audit.example(DAY_IN_UTC, asked, shown)

    def _note_other_offsets(self, read: ParsedTimes, rows: np.ndarray, shown: pa.Array) -> None:
        """An offset behind a time of day tells nothing of the day beside it, unless it is the city's own."""
        marked = np.flatnonzero((read.offset != NAT) & (read.wall != NAT))
        wall = read.wall[marked]
        other = wall - _local_to_utc(wall, self.source.zone) != read.offset[marked]
        self.audit.example(OTHER_OFFSET, self._mask(np.flatnonzero(rows)[marked[other]]), shown)


def _micros(day: dt.date) -> int:
    return (day - _EPOCH).days * DAY


def _month_of(days: np.ndarray) -> np.ndarray:
    """The beginnings of the months of days [r] (µs); `NAT` stays."""
    months = (days // DAY).astype("datetime64[D]").astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return np.where(days == NAT, NAT, months * DAY)


def _local_to_utc(wall: np.ndarray, time_zone: str) -> np.ndarray:
    """Instants of a local clock, whatever offset is written."""
    return to_utc(wall, np.full(len(wall), NAT), time_zone, "local")[0]


def _frequencies(numbers: np.ndarray) -> Counter[str]:
    """How often each of some small numbers stands there, by its text."""
    counts = np.bincount(numbers, minlength=1)
    return Counter({str(number): int(counts[number]) for number in np.flatnonzero(counts).tolist()})
