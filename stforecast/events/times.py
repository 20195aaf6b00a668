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
from itertools import chain
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stforecast.events.texts import as_array, coded, spelled
from stforecast.sections import DateOrder

NONE = int(np.iinfo(np.int64).min)
SECOND = 1_000_000
DAY = 86_400 * SECOND
ORDERS = ("any", "month_first", "day_first", "either")
"""What a date tells of the order of day and month: nothing, as `YYYY-MM-DD`, 5/5/2024 and what is no date do; that it
is the one or the other, since one number is above 12; or that it is another day in either."""

_EPOCH = dt.date(1970, 1, 1).toordinal()
_CALENDAR = (dt.date.min.toordinal() + 1 - _EPOCH, dt.date.max.toordinal() - 1 - _EPOCH)
_SPAN = 1024  # days whose offsets are found at once
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
    which, distinct = coded(_halves(texts))
    found = chain.from_iterable(map(_word, distinct.to_pylist()))
    words = np.fromiter(found, np.int64, 4 * len(distinct)).reshape(-1, 4).T.copy()
    orders = np.where(words[0] == words[1], 0, [1, 2] @ (words[:2] != NONE)).astype(np.int8)[which[::2]]
    day = words[int(date_order == "day_first")][which[::2]]
    clock, offset = words[2:, which[1::2]]
    read = (day != NONE) & (clock != NONE)
    wall = np.where(read, day + clock, NONE)
    rows = np.flatnonzero(~read)
    offset[rows] = NONE
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
        starts, ends = _offsets(zone, wall[rows] // DAY)
        shift[rows] = starts
        for row in rows[starts != ends]:  # the two days of the year on which clocks change
            first, second = _offset(zone, int(wall[row])), _offset(zone, int(wall[row]), fold=1)
            shift[row], repeated[row], missing[row] = first, first > second, first < second
    return np.where(known, wall - shift, NONE), repeated, missing


def to_local(instants: np.ndarray, time_zone: str) -> np.ndarray:
    """UTC [r] → wall clock [r] of a time zone; none may be `NONE`."""
    zone = ZoneInfo(time_zone)
    starts, ends = _offsets(zone, instants // DAY, dt.UTC)
    for row in np.flatnonzero(starts != ends):
        starts[row] = _offset(zone, int(instants[row]), clock=dt.UTC)
    return instants + starts


def as_times(instants: np.ndarray) -> np.ndarray:
    """int64 [r] → datetime64[us] [r] (`NONE` is numpy's NaT)."""
    return instants.astype(np.int64, copy=False).view("datetime64[us]")


def _offsets(zone: ZoneInfo, days: np.ndarray, clock: dt.tzinfo | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Offsets from UTC at the midnights that begin and end days [r], of the zone's own clock or of another one."""
    if not days.size:
        return days, days
    first, last = int(days.min()) // _SPAN, (int(days.max()) + 1) // _SPAN
    found = np.concatenate([_midnights(zone, span, clock) for span in range(first, last + 1)])
    row = days - first * _SPAN
    return found[row], found[row + 1]


@lru_cache(maxsize=256)
def _midnights(zone: ZoneInfo, span: int, clock: dt.tzinfo | None) -> np.ndarray:
    """Offsets at the midnights that begin the days of a span; days beyond the calendar stand for its ends."""
    days = np.clip(np.arange(_SPAN) + span * _SPAN, *_CALENDAR)
    return np.array([_offset(zone, day * DAY, clock=clock) for day in days.tolist()], np.int64)


@lru_cache(maxsize=1 << 16)
def _offset(zone: ZoneInfo, moment: int, fold: int = 0, clock: dt.tzinfo | None = None) -> int:
    """The offset of a zone at a moment of its own clock, or of that of another one."""
    there = dt.datetime(1970, 1, 1, tzinfo=clock) + dt.timedelta(microseconds=moment)
    offset = (there.astimezone(zone) if clock else there.replace(tzinfo=zone, fold=fold)).utcoffset()
    return 0 if offset is None else offset // dt.timedelta(microseconds=1)


def _halves(texts: pa.Array) -> pa.Array:
    """Each text [r] as two [2 r], on the same bytes: what stands before the first blank (or a T behind ten letters),
    and the rest with it."""
    edges, letters = spelled(texts)
    begin, end = edges[:-1], edges[1:]
    blank = pc.find_substring(texts, " ").to_numpy()
    cut = np.where(blank < 0, end, begin + blank)
    tenth = np.flatnonzero(cut > begin + 10)
    tenth = tenth[letters[begin[tenth] + 10] == ord("T")]
    cut[tenth] = begin[tenth] + 10
    halves = np.append(np.stack([begin, cut], axis=1), edges[-1])
    return pa.LargeStringArray.from_buffers(2 * len(texts), pa.py_buffer(halves), pa.py_buffer(letters))


@lru_cache(maxsize=1 << 17)
def _word(text: str) -> tuple[int, int, int, int]:
    """Of a half of a text: the day where dates are month first and where they are day first, the time and offset."""
    return (NONE, NONE, *_clock(text[1:])) if text[:1] in (" ", "T") else (*_days(text), 0, NONE)


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


def _clock(text: str) -> tuple[int, int]:
    """A time of day and the offset from UTC written behind it."""
    if not text:
        return 0, NONE
    if len(text) == 4 and text.isascii() and text.isdigit():
        text = f"{text[:2]}:{text[2:]}"
    found = _CLOCK.fullmatch(text.strip())
    if not found:
        return NONE, NONE
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    if found[5]:
        if not 1 <= hour <= 12:
            return NONE, NONE
        hour = hour % 12 + (12 if found[5] in "pP" else 0)
    whole_day = (hour, minute, second) == (24, 0, 0)
    if minute > 59 or second > 59 or (hour > 23 and not whole_day):
        return NONE, NONE
    fraction = int((found[4] or "0").ljust(6, "0")[:6])
    offset = 0 if found[6] else NONE
    if found[7]:
        offset = (int(found[8]) * 60 + int(found[9] or 0)) * 60 * SECOND * (-1 if found[7] == "-" else 1)
    return ((hour * 60 + minute) * 60 + second) * SECOND + fraction, offset
