"""The text of a time of day → microseconds, the offset from UTC written behind it, and the end of a span.

Read are `H:MM[:SS[.f]]` (or `:f`), `14h30`, `14.30 Uhr`, `2 PM`, `2:00 p. m.`, `1430`, `143000` (`2400` and `24:00` are
the end of the day), the hour alone, a spreadsheet's fraction of a day (`0.6041667`), each with `Z`, `UTC` or an offset
such as `+00`, `-07:00` or `GMT-0700 (MST)`; and spans such as `14:30-15:30`.
"""

import re
from typing import NamedTuple

from stforecast.events.parsing.dates import NAT, normalise

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR

BAD_TIME_OF_DAY, BAD_OFFSET = 1, 2
OFFSETS = (-12 * 60, 14 * 60)  # minutes: no place on earth is further from UTC

_TIME = (
    r"([0-9]{1,2})(?: ?(?:(?P<h>h)|:|(?P<dot>\.)) ?([0-9]{2})(?:(?(dot)\.|[:m]) ?([0-9]{2})(?:[.,:]([0-9]{1,9}))?)?)"
    r"(?: ?(?:m|mn|min|s))?"
)
_HOURS = r"(?P<unit> ?(?:h|hs|hrs?|hours?|uhr)\.?)?"
_HALF = r"(?: ?([ap])(?:\.? ?m)?\.?(?![a-z]))?"
_OFFSET = r" ?(?:(z|utc|gmt)(?![a-z]))?(?:([-+])([0-9]{2}):?([0-9]{2})?(?::?00)?)?(?: ?\([a-z ]*\))?"
_FULL = re.compile(_TIME + _HOURS + _HALF + _OFFSET)
_HOUR = re.compile(r"([0-9]{1,2})(?: ?(?:h|hs|hrs?|hours?|uhr)\.?|(?: ?([ap])(?:\.? ?m)?\.?))")
_COMPACT = re.compile(r"([0-9]{2})([0-9]{2})(?: ?(?:h|hs|hrs?|hours?|uhr)\.?)?" + _OFFSET)
_NUMBER = re.compile(r"([0-9]{1,4})(?:\.0*)?")
_SIX = re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})")
_FRACTION = re.compile(r"0?\.[0-9]+")
_HALVES = re.compile(r"[0-9] ?[ap](?:\.? ?m)?\.?(?: |$|[-+(])")
_DASH = re.compile(r"([0-9]{1,2}:[0-9]{2})-([0-9]{2}:[0-9]{2})")
_TO = re.compile(r" ?(?:-| to | a | bis | until ) ?")


class TimeOfDay(NamedTuple):
    """A time of day (µs), its written offset and the end of its span (µs of the same clock), `NAT` where there is
    none, and what is wrong with it (0, `BAD_TIME_OF_DAY`, `BAD_OFFSET`)."""

    time: int
    offset: int
    until: int
    wrong: int


MIDNIGHT = TimeOfDay(0, NAT, NAT, 0)
UNREADABLE = TimeOfDay(NAT, NAT, NAT, BAD_TIME_OF_DAY)


def parse_time_of_day(
    text: str, hours: bool | None = None, spans: bool = False, twelve_hour: bool = False
) -> TimeOfDay:
    """The time of day that a text tells; of no text it is midnight.

    Args:
        text: stripped.
        hours: a bare number of one or two digits is an hour (True), or minutes of HHMM (False), or not read (None).
        spans: `14:30-05:00` is a span; without it, a time with an offset.
        twelve_hour: a time from 1 to 12 without AM or PM is not read.
    """
    clock = _clock_of(text, hours, spans)
    either_half = twelve_hour and not clock.wrong and HOUR <= clock.time < 13 * HOUR and not has_am_pm(text)
    return UNREADABLE if either_half else clock


def has_am_pm(text: str) -> bool:
    """Whether AM or PM stands in the text of a time of day."""
    return _HALVES.search(normalise(text)) is not None


def _clock_of(text: str, hours: bool | None, spans: bool) -> TimeOfDay:
    if found := _NUMBER.fullmatch(text):
        digits = found[1]
        if len(digits) <= 2 and int(digits):
            if hours is None:
                return UNREADABLE
            digits += "00" if hours else ""
        return _checked(int(digits) // 100, int(digits) % 100)
    if found := _SIX.fullmatch(text):
        return _checked(int(found[1]), int(found[2]), int(found[3]))
    text = normalise(text).replace("a. m", "am").replace("p. m", "pm")
    if not text:
        return MIDNIGHT
    if _FRACTION.fullmatch(text):
        return TimeOfDay(round(float(text) * DAY / SECOND) * SECOND, NAT, NAT, 0)
    dash = _DASH.fullmatch(text)
    if dash and spans:
        return _span(dash[1], dash[2])
    if found := _FULL.fullmatch(text):
        hour, _, dot, minute, second, fraction, unit, half, zulu, sign, hours_off, minutes_off = found.groups()
        if dot and not (unit or second or half):
            return UNREADABLE  # 14.25 may be a quarter past two
        one = _checked(int(hour), int(minute), int(second or 0), half)
        if one.wrong:
            return one
        offset = 0 if zulu else NAT
        if sign:
            minutes = (int(hours_off) * 60 + int(minutes_off or 0)) * (-1 if sign == "-" else 1)
            if not OFFSETS[0] <= minutes <= OFFSETS[1]:
                return TimeOfDay(NAT, NAT, NAT, BAD_OFFSET)
            offset = minutes * 60 * SECOND
        return one._replace(time=one.time + int((fraction or "0").ljust(6, "0")[:6]), offset=offset)
    if found := _HOUR.fullmatch(text):
        return _checked(int(found[1]), 0, 0, found[2])
    if found := _COMPACT.fullmatch(text):
        offset = 0 if found[3] else NAT
        if found[4]:
            return UNREADABLE  # 1430-0500 may be a span
        return _checked(int(found[1]), int(found[2]))._replace(offset=offset)
    edges = _TO.split(text)
    return _span(*edges) if len(edges) == 2 else UNREADABLE


def bare_number(text: str) -> str | None:
    """The digits of a time of day that is a bare number."""
    found = _NUMBER.fullmatch(text)
    return found[1] if found else None


def text_after_dash(text: str) -> str | None:
    """What stands behind the dash of a text such as `14:30-05:00`, which may be a span or not."""
    found = _DASH.fullmatch(text)
    return found[2] if found else None


def to_minutes(text: str) -> int:
    """Minutes of a text such as 05:30."""
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


def _span(begin: str, end: str) -> TimeOfDay:
    one, other = _clock_of(begin, None, False), _clock_of(end, None, False)
    if not begin or not end or one.wrong or other.wrong or (one.offset, other.offset) != (NAT, NAT):
        return UNREADABLE
    return one._replace(until=other.time + (DAY if other.time < one.time else 0))


def _checked(hour: int, minute: int, second: int = 0, half: str | None = None) -> TimeOfDay:
    if half:
        if hour > (12 if half == "a" else 23) or (hour == 0 and half == "p"):
            return UNREADABLE
        hour = hour % 12 + (12 if half == "p" else 0)  # 00:30 AM and 14:30 PM can mean one thing only
    if minute > 59 or second > 59 or (hour > 23 and (hour, minute, second) != (24, 0, 0)):
        return UNREADABLE
    return TimeOfDay(((hour * 60 + minute) * 60 + second) * SECOND, NAT, NAT, 0)
