"""Publisher's times → UTC. Instants are int64 microseconds since 1970-01-01; `NONE` stands for unreadable or absent.

Read are `M/D/YYYY` or `YYYY-MM-DD` (also with `/`, or `YYYYMMDD`), alone or with a time behind a blank or `T`:
`H:MM[:SS[.f]] [AM|PM]` or `HHMM` (`2400` is the end of the day), and an offset (`Z`, `+00`, `-07:00`); and epoch
milliseconds.

Local time that is not unique follows one rule, `fold=0` of PEP 495: a time in the repeated hour of autumn is its
first (daylight-saving) pass; a time in the missing hour of spring is shifted forward by the gap.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

NONE = int(np.iinfo(np.int64).min)
SECOND = 1_000_000
DAY = 86_400 * SECOND

_EPOCH = dt.date(1970, 1, 1).toordinal()
_YEAR_FIRST = re.compile(r"(\d{4})([-/])(\d{1,2})\2(\d{1,2})|(\d{4})(\d\d)(\d\d)", re.ASCII)
_MONTH_FIRST = re.compile(r"(\d{1,2})([-/])(\d{1,2})\2(\d{4}|\d\d)", re.ASCII)
_CLOCK = re.compile(
    r"(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*(?:([ap])\.?m\.?)?\s*(?:(z|utc)|([+-])(\d\d):?(\d\d)?)?",
    re.IGNORECASE | re.ASCII,
)
_DIGITS = re.compile(r"(\d{1,4})(?:\.0)?", re.ASCII)
_MILLISECONDS = re.compile(r"-?\d{11,13}", re.ASCII)
_MONTH = re.compile(r"\d{4}[-/]\d{1,2}", re.ASCII)


def parse(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Date-and-time texts (stripped) → wall clock [r] and the written offset from UTC [r] (`NONE`: none written)."""
    wall = np.full(len(texts), NONE, np.int64)
    offset = np.full(len(texts), NONE, np.int64)
    for row, text in enumerate(texts):
        if text[10:11] == "T":
            text = f"{text[:10]} {text[11:]}"
        first, _, rest = text.partition(" ")
        day = _day(first)
        clock = _clock(rest)
        if day is not None and clock is not None:
            wall[row] = day + clock[0]
            if clock[1] is not None:
                offset[row] = clock[1]
        elif _MILLISECONDS.fullmatch(text):
            wall[row] = int(text) * 1000
            offset[row] = 0
    return wall, offset


def parse_pair(days: Sequence[str], clocks: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The same from a column of days (a time behind the day is ignored) and one of times (`HH:MM[:SS]` or HHMM)."""
    digits = [_DIGITS.fullmatch(clock) for clock in clocks]
    texts = [
        f"{day.partition(' ')[0].partition('T')[0]} {found[1].zfill(4) if found else clock or 'none'}"
        for day, clock, found in zip(days, clocks, digits, strict=True)
    ]
    return parse(texts)


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
        days, which = np.unique(wall[rows] // DAY, return_inverse=True)
        starts = np.array([_offset(zone, int(day) * DAY) for day in days], np.int64)
        ends = np.array([_offset(zone, (int(day) + 1) * DAY) for day in days], np.int64)
        shift[rows] = starts[which]
        for row in rows[(starts != ends)[which]]:  # the two days of the year on which clocks change
            first, second = _offset(zone, int(wall[row])), _offset(zone, int(wall[row]), fold=1)
            shift[row], repeated[row], missing[row] = first, first > second, first < second
    return np.where(known, wall - shift, NONE), repeated, missing


def as_times(instants: np.ndarray) -> np.ndarray:
    """int64 [r] → datetime64[us] [r] (`NONE` is numpy's NaT)."""
    return instants.astype(np.int64, copy=False).view("datetime64[us]")


@lru_cache(maxsize=1 << 16)
def _offset(zone: ZoneInfo, wall: int, fold: int = 0) -> int:
    moment = dt.datetime(1970, 1, 1, tzinfo=None) + dt.timedelta(microseconds=wall)
    offset = moment.replace(tzinfo=zone, fold=fold).utcoffset()
    return 0 if offset is None else offset // dt.timedelta(microseconds=1)


@lru_cache(maxsize=1 << 16)
def _day(text: str) -> int | None:
    if found := _YEAR_FIRST.fullmatch(text):
        year, month, day = (found[1], found[3], found[4]) if found[1] else (found[5], found[6], found[7])
    elif found := _MONTH_FIRST.fullmatch(text):
        year, month, day = found[4], found[1], found[3]
        if len(year) == 2:  # POSIX: 69 … 99 are of the last century
            year = ("19" if year >= "69" else "20") + year
    else:
        return None
    try:
        return (dt.date(int(year), int(month), int(day)).toordinal() - _EPOCH) * DAY
    except ValueError:
        return None


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
