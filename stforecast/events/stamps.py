"""One text of a day, of a time of day, or of both → eight numbers, each found once.

A text is a day (`days`), alone or with a time of day (`clocks`) behind a blank, a comma or `T`; or digits alone:
`YYYYMMDDHH[MM[SS]]`, seconds or milliseconds since 1970 (UTC), or a spreadsheet's count of days (local time).

The numbers are the day under each of `ORDERS`, the time of day, its offset from UTC and the end of a span (µs, `NONE`
where there is none), what is wrong with the time of day, and what kinds of text it is (bits).
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from functools import lru_cache

from stforecast.events.clocks import BAD_CLOCK, DAY, HOUR, SECOND, behind_dash, clock_of, has_half, number_of
from stforecast.events.days import NONE, days_of, named_day, numbers_of

_SECONDS = re.compile(r"([0-9]{9,10})(?:\.([0-9]{1,9}))?")
_MILLISECONDS = re.compile(r"(-?[0-9]{11,13})(?:\.0*)?")
_FINER = re.compile(r"([0-9]{16})(?:[0-9]{3})?")
_COMPACT = re.compile(r"((?:19|20)[0-9]{6})T?([0-9]{2})([0-9]{2})?([0-9]{2})?")
_SERIAL = re.compile(r"([3-7][0-9]{4})(?:\.([0-9]+))?")
_SERIAL_DAYS = (32874, 73050)  # 1990 … 2099, counted from 1899-12-30
_SIX = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})[_ T](.+)")
_DAY_THEN_CLOCK = re.compile(r"([^\s,]+?)(?:(?:, ?| |T(?=[0-9]{1,2}[:0-9]))(.*))?")
_LEAD = re.compile(r"[, ]*(?:(?:at|a las|[aà]s?|um|-) +|t(?=[0-9]))?", re.IGNORECASE)
_WEEKDAY = re.compile(r"^[^\W0-9_]+\.?,? +(?=[0-9])")
_POINTED = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})-([0-9]{2})\.([0-9]{2})\.([0-9]{2})")
_YEAR_BEHIND = re.compile(r"((?:\w+,? )?\w+ [0-9]{1,2}) ([0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?)(?: [A-Z]{3,4})? ([0-9]{4})")
_MONTH = re.compile(r"[0-9]{4}[-/][0-9]{1,2}")
_PLACEHOLDERS = {
    (day - dt.date(1970, 1, 1)).days
    for day in map(
        dt.date.fromisoformat, ("1899-12-30", "1899-12-31", "1900-01-01", "1904-01-01", "1970-01-01", "2000-01-01")
    )
}
"""Days that a time of day without one is given by spreadsheets and databases."""

NUMBER, DASHED, FIELDS, BLANK = 1, 2, 4, 8
KINDS = {"AM or PM": 16, "1 to 12": 32, "after 12": 64, "in UTC": 128, "other offset": 256}
MARKED = NUMBER | DASHED | FIELDS

How = tuple[bool | None, bool, bool]
"""`Reading.clock`."""


@lru_cache(maxsize=1 << 17)
def of_half(text: str, how: How) -> tuple[int, ...]:
    """Of half a text: a day, or behind a blank or `T` a time of day."""
    if text[:1] not in (" ", "T"):
        kind = BLANK if not text else FIELDS if numbers_of(text) else 0
        return *_micros(days_of(text)), 0, NONE, NONE, 0, kind
    return NONE, NONE, NONE, *_clock(text[1:], how, dashes=text[0] == " ")


def _clock(text: str, how: How, dashes: bool = True) -> tuple[int, ...]:
    """Of the text of a time of day, without the days."""
    if not text:
        return 0, NONE, NONE, 0, BLANK
    hours, spans, halves = how
    clock = clock_of(text, hours, spans and dashes, halves)
    kind = NUMBER if number_of(text) else DASHED if dashes and behind_dash(text) else 0
    if has_half(text):
        kind |= KINDS["AM or PM"]
    elif not clock.wrong:
        kind |= KINDS["1 to 12" if HOUR <= clock.time < 13 * HOUR else "after 12"]
    elif halves and not clock_of(text, hours, spans and dashes).wrong:
        kind |= KINDS["1 to 12"]
    if clock.offset != NONE:
        kind |= KINDS["other offset" if clock.offset else "in UTC"]
    return *clock, kind


@lru_cache(maxsize=1 << 16)
def of_whole(text: str, how: How) -> tuple[int, ...]:
    """Of a whole text that is not read by halves."""
    text = " ".join(unicodedata.normalize("NFKC", text).split())
    if (instant := _of_digits(text)) is not None:
        wall, offset = instant
        day = wall // DAY * DAY
        return day, day, day, wall - day, offset, NONE, 0, 0 if offset == NONE else KINDS["in UTC"]
    if found := _YEAR_BEHIND.fullmatch(text):
        text = f"{found[1]} {found[3]} {found[2]}"
    day, rest = named_day(text)
    days, rest = (day,) * 3, rest.removeprefix(":")  # SAS and Apache write 14JAN2023:00:51
    if day == NONE and (split := _SIX.fullmatch(text)):  # without a time of day six digits may be a month
        days, rest = days_of("-".join(split.groups()[:3])), split[4]
    elif day == NONE and (split := _POINTED.fullmatch(text)):
        days, rest = days_of(split[1]), ":".join(split.groups()[1:])
    elif day == NONE:
        split = _DAY_THEN_CLOCK.fullmatch(_WEEKDAY.sub("", text))
        days, rest = (days_of(split[1]), split[2] or "") if split else ((NONE,) * 3, "")
    return *_micros(days), *_clock(rest[_LEAD.match(rest).end() :], how)  # type: ignore[union-attr]


@lru_cache(maxsize=1 << 17)
def of_column(text: str, how: How) -> tuple[int, ...]:
    """Of a time of day in a column of its own; a day before it counts unless it is a placeholder."""
    if not text:
        return NONE, NONE, NONE, NONE, NONE, NONE, BAD_CLOCK, 0
    hours, spans, halves = how
    found = _clock(text, (hours, spans or behind_dash(text) is not None, halves))
    if found[3] == BAD_CLOCK:
        whole = of_whole(text, how)
        if not whole[6] and any(day != NONE for day in whole[:3]):
            placeholder = any(day // DAY in _PLACEHOLDERS for day in whole[:3])
            return (NONE, NONE, NONE, *whole[3:]) if placeholder else whole
    return NONE, NONE, NONE, *found


def _of_digits(text: str) -> tuple[int, int] | None:
    """Wall clock (µs) and offset of a text of digits alone."""
    if found := _COMPACT.fullmatch(text):
        day, clock = days_of(found[1])[0], clock_of(f"{found[2]}:{found[3] or '00'}:{found[4] or '00'}")
        if day != NONE and not clock.wrong:
            return day * DAY + clock.time, NONE
    if found := _SECONDS.fullmatch(text):
        return int(found[1]) * SECOND + int((found[2] or "0").ljust(6, "0")[:6]), 0
    if found := _MILLISECONDS.fullmatch(text):
        return int(found[1]) * 1000, 0
    if found := _FINER.fullmatch(text):
        return int(found[1]), 0
    if (found := _SERIAL.fullmatch(text)) and _SERIAL_DAYS[0] <= int(found[1]) <= _SERIAL_DAYS[1]:
        seconds = round(float(f"0.{found[2] or 0}") * DAY / SECOND)  # a spreadsheet rounds them too
        first = (dt.date(1899, 12, 30) - dt.date(1970, 1, 1)).days
        return (int(found[1]) + first) * DAY + seconds * SECOND, NONE
    return None


def is_month(text: str) -> bool:
    """Whether a text is a month without a day, such as 2019-01."""
    return _MONTH.fullmatch(text) is not None


def _micros(days: tuple[int, int, int]) -> tuple[int, ...]:
    return tuple(day if day == NONE else day * DAY for day in days)
