"""One text of a day, of a time of day, or of both → eight numbers, each found once.

A text is a day (`dates`), alone or with a time of day (`times_of_day`) behind a blank, a comma or `T`; or digits alone:
`YYYYMMDDHH[MM[SS]]`, seconds or milliseconds since 1970 (UTC), or a spreadsheet's count of days (local time).

The numbers are the day under each of `ORDERS`, the time of day, its offset from UTC and the end of a span (µs, `NAT`
where there is none), what is wrong with the time of day, and what kinds of text it is (bits).
"""

import re
import unicodedata
from functools import lru_cache
from typing import Literal, NamedTuple

from stforecast.config.sections import DateOrder
from stforecast.events.parsing.dates import NAT, date_numbers, parse_date, parse_named_date
from stforecast.events.parsing.times_of_day import (
    BAD_TIME_OF_DAY,
    DAY,
    HOUR,
    SECOND,
    bare_number,
    has_am_pm,
    parse_time_of_day,
    text_after_dash,
)

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
_PLACEHOLDERS = {
    parse_date(day)[0] for day in ("1899-12-30", "1899-12-31", "1900-01-01", "1904-01-01", "1970-01-01", "2000-01-01")
}
"""Days that a time of day without one is given by spreadsheets and databases."""

Precision = Literal["time", "day", "month"]
"""What dates tell: times of day, days, or months."""
NUMBER, DASHED, FIELDS, BLANK = 1, 2, 4, 8
KINDS = {"AM or PM": 16, "1 to 12": 32, "after 12": 64, "in UTC": 128, "other offset": 256}
MARKED = NUMBER | DASHED | FIELDS


class TimeFormat(NamedTuple):
    """How texts are read that can be read in more than one way.

    order: of the numbers of a day. hours: a bare number of one or two digits is an hour (True), or minutes of HHMM
    (False), or not read (None). spans: `14:30-05:00` is a span and not a time with an offset. twelve_hour: a time from
    1 to 12 without AM or PM is not read. precision: of days and months a time of day tells nothing.
    """

    order: DateOrder = "month_first"
    hours: bool | None = None
    spans: bool = False
    twelve_hour: bool = False
    precision: Precision = "time"


DEFAULT_FORMAT = TimeFormat()


@lru_cache(maxsize=1 << 17)
def parse_half(text: str, how: TimeFormat) -> tuple[int, ...]:
    """Of half a text: a day, or behind a blank or `T` a time of day."""
    if text[:1] not in (" ", "T"):
        kind = BLANK if not text else FIELDS if date_numbers(text) else 0
        return *_micros(parse_date(text)), 0, NAT, NAT, 0, kind
    return NAT, NAT, NAT, *_clock(text[1:], how, dashes=text[0] == " ")


def _clock(text: str, how: TimeFormat, dashes: bool = True) -> tuple[int, ...]:
    """Of the text of a time of day, without the days."""
    if not text:
        return 0, NAT, NAT, 0, BLANK
    spans = how.spans and dashes
    clock = parse_time_of_day(text, how.hours, spans, how.twelve_hour)
    kind = NUMBER if bare_number(text) else DASHED if dashes and text_after_dash(text) else 0
    if has_am_pm(text):
        kind |= KINDS["AM or PM"]
    elif not clock.wrong:
        kind |= KINDS["1 to 12" if HOUR <= clock.time < 13 * HOUR else "after 12"]
    elif how.twelve_hour and not parse_time_of_day(text, how.hours, spans).wrong:
        kind |= KINDS["1 to 12"]
    if clock.offset != NAT:
        kind |= KINDS["other offset" if clock.offset else "in UTC"]
    return *clock, kind


@lru_cache(maxsize=1 << 16)
def parse_whole(text: str, how: TimeFormat) -> tuple[int, ...]:
    """Of a whole text that is not read in two halves."""
    text = " ".join(unicodedata.normalize("NFKC", text).split())
    if (instant := _of_digits(text)) is not None:
        wall, offset = instant
        day = wall // DAY * DAY
        return day, day, day, wall - day, offset, NAT, 0, 0 if offset == NAT else KINDS["in UTC"]
    if found := _YEAR_BEHIND.fullmatch(text):
        text = f"{found[1]} {found[3]} {found[2]}"
    day, rest = parse_named_date(text)
    days, rest = (day,) * 3, rest.removeprefix(":")  # SAS and Apache write 14JAN2023:00:51
    if day == NAT and (split := _SIX.fullmatch(text)):  # without a time of day six digits may be a month
        days, rest = parse_date("-".join(split.groups()[:3])), split[4]
    elif day == NAT and (split := _POINTED.fullmatch(text)):
        days, rest = parse_date(split[1]), ":".join(split.groups()[1:])
    elif day == NAT:
        split = _DAY_THEN_CLOCK.fullmatch(_WEEKDAY.sub("", text))
        days, rest = (parse_date(split[1]), split[2] or "") if split else ((NAT,) * 3, "")
    return *_micros(days), *_clock(rest[_LEAD.match(rest).end() :], how)  # type: ignore[union-attr]


@lru_cache(maxsize=1 << 17)
def parse_time_column(text: str, how: TimeFormat) -> tuple[int, ...]:
    """Of a time of day in a column of its own; a day before it counts unless it is a placeholder."""
    if not text:
        return NAT, NAT, NAT, NAT, NAT, NAT, BAD_TIME_OF_DAY, 0
    found = _clock(text, how._replace(spans=how.spans or text_after_dash(text) is not None))
    if found[3] == BAD_TIME_OF_DAY:
        whole = parse_whole(text, how)
        if not whole[6] and any(day != NAT for day in whole[:3]):
            placeholder = any(day // DAY in _PLACEHOLDERS for day in whole[:3])
            return (NAT, NAT, NAT, *whole[3:]) if placeholder else whole
    return NAT, NAT, NAT, *found


def _of_digits(text: str) -> tuple[int, int] | None:
    """Wall clock (µs) and offset of a text of digits alone."""
    if found := _COMPACT.fullmatch(text):
        day, clock = parse_date(found[1])[0], parse_time_of_day(f"{found[2]}:{found[3] or '00'}:{found[4] or '00'}")
        if day != NAT and not clock.wrong:
            return day * DAY + clock.time, NAT
    if found := _SECONDS.fullmatch(text):
        return int(found[1]) * SECOND + int((found[2] or "0").ljust(6, "0")[:6]), 0
    if found := _MILLISECONDS.fullmatch(text):
        return int(found[1]) * 1000, 0
    if found := _FINER.fullmatch(text):
        return int(found[1]), 0
    if (found := _SERIAL.fullmatch(text)) and _SERIAL_DAYS[0] <= int(found[1]) <= _SERIAL_DAYS[1]:
        seconds = round(float(f"0.{found[2] or 0}") * DAY / SECOND)  # a spreadsheet rounds them too
        return (int(found[1]) + parse_date("1899-12-30")[0]) * DAY + seconds * SECOND, NAT
    return None


def _micros(days: tuple[int, int, int]) -> tuple[int, ...]:
    return tuple(day if day == NAT else day * DAY for day in days)
