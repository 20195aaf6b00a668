"""Publisher's times → UTC. Instants are int64 microseconds since 1970-01-01; `NONE` stands for unreadable or absent.

Read are `M/D/YYYY` or `D/M/YYYY` (one of them; also with `-` or `.`) and `YYYY-MM-DD` (also with `/`, or `YYYYMMDD`),
alone or with a time behind a blank or `T`: `H:MM[:SS[.f]] [AM|PM]` or `HHMM` (`2400` is the end of the day), and an
offset (`Z`, `+00`, `-07:00`); and epoch milliseconds.

Local time that is not unique follows one rule, `fold=0` of PEP 495: a time in the repeated hour of autumn is its
first (daylight-saving) pass; a time in the missing hour of spring is shifted forward by the gap.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stforecast.events.texts import as_array, coded
from stforecast.sections import DateOrder

NONE = int(np.iinfo(np.int64).min)
SECOND = 1_000_000
DAY = 86_400 * SECOND
ORDERS = ("any", "month_first", "day_first", "either")
"""What a date tells of the order of day and month: nothing, as `YYYY-MM-DD`, 5/5/2024 and what is no date do; that it
is the one or the other, since one number is above 12; or that it is another day in either."""

_EPOCH = dt.date(1970, 1, 1).toordinal()
_YEAR_FIRST = re.compile(r"(\d{4})([-/])(\d{1,2})\2(\d{1,2})|(\d{4})(\d\d)(\d\d)", re.ASCII)
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4}|\d\d)", re.ASCII)
_CLOCK = re.compile(
    r"(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*(?:([ap])\.?m\.?)?\s*(?:(z|utc)|([+-])(\d\d):?(\d\d)?)?",
    re.IGNORECASE | re.ASCII,
)
_DIGITS = re.compile(r"(\d{1,4})(?:\.0)?", re.ASCII)
_MILLISECONDS = r"\A-?[0-9]{11,13}\z"
_MONTH = re.compile(r"\d{4}[-/]\d{1,2}", re.ASCII)


def parse(
    texts: pa.Array | Sequence[str], date_order: DateOrder = "month_first"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Date-and-time texts (stripped) → wall clock [r], the written offset from UTC [r] (`NONE`: none written), and
    what each date tells of the order of day and month [r], into `ORDERS`.

    A day and a time of day are each read once and not once a row: there are few of either.
    """
    texts = as_array(texts)
    marked = pc.equal(pc.utf8_slice_codeunits(texts, 10, 11), "T")
    if pc.any(marked).as_py():
        texts = pc.if_else(marked, pc.utf8_replace_slice(texts, 10, 11, " "), texts)
    words = pc.split_pattern(texts, " ", max_splits=1)
    begin = np.asarray(words.offsets)[:-1]
    timed = np.diff(np.asarray(words.offsets)) > 1
    which, distinct = coded(words.values.take(pa.array(begin)))
    days = np.array([_days(text) for text in distinct.to_pylist()], np.int64).reshape(-1, 2)
    day = days[which, int(date_order == "day_first")]
    orders = np.where(days[:, 0] == days[:, 1], 0, (days != NONE) @ [1, 2]).astype(np.int8)[which]
    clock, offset = np.zeros(len(texts), np.int64), np.full(len(texts), NONE, np.int64)
    which, distinct = coded(words.values.take(pa.array(begin[timed] + 1)))
    found = [_clock(text) for text in distinct.to_pylist()]
    clock[timed] = np.array([NONE if one is None else one[0] for one in found], np.int64)[which]
    offset[timed] = np.array([NONE if one is None or one[1] is None else one[1] for one in found], np.int64)[which]
    read = (day != NONE) & (clock != NONE)
    wall = np.where(read, day + np.where(read, clock, 0), NONE)
    offset[~read] = NONE
    rows = np.flatnonzero(~read)
    if rows.size:
        rest = texts.take(pa.array(rows))
        epochs = np.asarray(pc.match_substring_regex(rest, _MILLISECONDS))
        wall[rows[epochs]] = np.asarray(pc.cast(rest.filter(pa.array(epochs)), pa.int64())) * 1000
        offset[rows[epochs]] = 0
    return wall, offset, orders


def parse_pair(
    days: pa.Array | Sequence[str], clocks: pa.Array | Sequence[str], date_order: DateOrder = "month_first"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same from a column of days (a time behind the day is ignored) and one of times (`HH:MM[:SS]` or HHMM)."""

    def day_of(text: str) -> str:
        return text.partition(" ")[0].partition("T")[0]

    def clock_of(text: str) -> str:
        return found[1].zfill(4) if (found := _DIGITS.fullmatch(text)) else text or "none"

    def each(texts: pa.Array | Sequence[str], meaning: Callable[[str], str]) -> pa.Array:
        which, distinct = coded(as_array(texts))
        return as_array([meaning(text) for text in distinct.to_pylist()]).take(pa.array(which))

    blank = pa.scalar(" ", pa.large_string())
    return parse(pc.binary_join_element_wise(each(days, day_of), each(clocks, clock_of), blank), date_order)


def is_month(text: str) -> bool:
    """Whether a text is a month without a day, such as 2019-01."""
    return _MONTH.fullmatch(text) is not None


def to_utc(
    wall: np.ndarray, offset: np.ndarray, time_zone: str, times_are: Literal["local", "utc"] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wall clock [r] and written offset [r] → UTC [r], in the repeated hour [r] bool, in the missing hour [r] bool.

    times_are: `local` ignores written offsets; `utc` reads a time without offset as UTC; None as local.
    """
    written = np.zeros(len(wall), bool) if times_are == "local" else offset != NONE
    shift = np.where(written, offset, 0)
    repeated = np.zeros(len(wall), bool)
    missing = np.zeros(len(wall), bool)
    known = wall != NONE
    if times_are != "utc":
        rows = np.flatnonzero(known & ~written)
        zone = ZoneInfo(time_zone)
        days, which = _distinct(wall[rows] // DAY)
        starts = np.array([_offset(zone, int(day) * DAY) for day in days], np.int64)
        ends = np.array([_offset(zone, (int(day) + 1) * DAY) for day in days], np.int64)
        shift[rows] = starts[which]
        for row in rows[(starts != ends)[which]]:  # the two days of the year on which clocks change
            first, second = _offset(zone, int(wall[row])), _offset(zone, int(wall[row]), fold=1)
            shift[row], repeated[row], missing[row] = first, first > second, first < second
    return np.where(known, wall - shift, NONE), repeated, missing


def to_local(instants: np.ndarray, time_zone: str) -> np.ndarray:
    """UTC [r] → wall clock [r] of a time zone; none may be `NONE`."""
    zone, utc = ZoneInfo(time_zone), dt.UTC

    def ahead(instant: int) -> int:
        moment = (dt.datetime(1970, 1, 1, tzinfo=utc) + dt.timedelta(microseconds=instant)).astimezone(zone)
        offset = moment.utcoffset()
        return 0 if offset is None else offset // dt.timedelta(microseconds=1)

    days, which = _distinct(instants // DAY)
    starts = np.array([ahead(int(day) * DAY) for day in days], np.int64)
    ends = np.array([ahead((int(day) + 1) * DAY) for day in days], np.int64)
    shift = starts[which]
    for row in np.flatnonzero((starts != ends)[which]):
        shift[row] = ahead(int(instants[row]))
    return instants + shift


def as_times(instants: np.ndarray) -> np.ndarray:
    """int64 [r] → datetime64[us] [r] (`NONE` is numpy's NaT)."""
    return instants.astype(np.int64, copy=False).view("datetime64[us]")


def _distinct(days: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct days in order, and which of them each row [r] is; days are so dense that none is searched for."""
    if not days.size:
        return days, days
    first = days.min()
    there = np.zeros(days.max() - first + 1, bool)
    there[days - first] = True
    return np.flatnonzero(there) + first, (np.cumsum(there) - 1)[days - first]


@lru_cache(maxsize=1 << 16)
def _offset(zone: ZoneInfo, wall: int, fold: int = 0) -> int:
    moment = dt.datetime(1970, 1, 1, tzinfo=None) + dt.timedelta(microseconds=wall)
    offset = moment.replace(tzinfo=zone, fold=fold).utcoffset()
    return 0 if offset is None else offset // dt.timedelta(microseconds=1)


@lru_cache(maxsize=1 << 16)
def _days(text: str) -> tuple[int, int]:
    """The day that a text names where dates are month first, and where they are day first."""
    if found := _YEAR_FIRST.fullmatch(text):
        year, month, day = (found[1], found[3], found[4]) if found[1] else (found[5], found[6], found[7])
        return (same := _day(year, month, day)), same
    if found := _YEAR_LAST.fullmatch(text):
        year, one, other = found[4], found[1], found[3]
        if len(year) == 2:  # POSIX: 69 … 99 are of the last century
            year = ("19" if year >= "69" else "20") + year
        return _day(year, one, other), _day(year, other, one)
    return NONE, NONE


def _day(year: str, month: str, day: str) -> int:
    try:
        return (dt.date(int(year), int(month), int(day)).toordinal() - _EPOCH) * DAY
    except ValueError:
        return NONE


@lru_cache(maxsize=1 << 18)
def _clock(text: str) -> tuple[int, int | None] | None:
    if not text:
        return 0, None
    if len(text) == 4 and text.isascii() and text.isdigit():
        text = f"{text[:2]}:{text[2:]}"
    found = _CLOCK.fullmatch(text.strip())
    if not found:
        return None
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if found[5]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found[5] in "pP" else 0)
    whole_day = (hour, minute, second) == (24, 0, 0)
    if minute > 59 or second > 59 or (hour > 23 and not whole_day):
        return None
    fraction = int((found[4] or "0").ljust(6, "0")[:6])
    offset = 0 if found[6] else None
    if found[7]:
        offset = (int(found[8]) * 60 + int(found[9] or 0)) * 60 * SECOND * (-1 if found[7] == "-" else 1)
    return ((hour * 60 + minute) * 60 + second) * SECOND + fraction, offset
