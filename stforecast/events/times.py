"""Publisher's times → wall clock. All are int64 microseconds since 1970-01-01; `NONE` stands for unreadable or absent.

A text is a day (`days`), alone or with a time of day (`clocks`) behind a blank, a comma or `T`; or digits alone:
`YYYYMMDDHH[MM[SS]]`, seconds or milliseconds since 1970 (UTC), or a spreadsheet's count of days (local time).
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stforecast.events.clocks import BAD_CLOCK, DAY, HOUR, SECOND, behind_dash, clock_of, has_half, number_of
from stforecast.events.days import NONE, ORDERS, days_of, named_day, numbers_of
from stforecast.events.texts import as_array, coded, spelled
from stforecast.sections import DateOrder

BAD_DAY = 3

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

_NUMBER, _DASHED, _FIELDS, _BLANK = 1, 2, 4, 8
_KINDS = {"AM or PM": 16, "1 to 12": 32, "after 12": 64, "in UTC": 128, "other offset": 256}
_MARKED = _NUMBER | _DASHED | _FIELDS
SOME = 100
"""Distinct days whose numbers are looked at, which tells enough of which of them is the day of the month."""


@dataclass(frozen=True)
class Reading:
    """How texts are read that can be read in more than one way.

    order: of the numbers of a day. hours: a bare number of one or two digits is an hour (True), or minutes of HHMM
    (False), or not read (None). spans: `14:30-05:00` is a span and not a time with an offset. halves: a clock from 1 to
    12 without AM or PM is not read.
    """

    order: DateOrder = "month_first"
    hours: bool | None = None
    spans: bool = False
    halves: bool = False

    @property
    def clock(self) -> tuple[bool | None, bool, bool]:
        """What concerns times of day."""
        return self.hours, self.spans, self.halves


@dataclass(frozen=True)
class Parsed:
    """Times as they are written [r].

    wall, offset, until: wall clock, the written offset from UTC and the wall clock at the end of a span (µs, `NONE`
    where there is none). orders: what the day tells of `ORDERS`, one bit each where they lead to different days, else
    0. wrong: 0, or why there is no wall clock. timeless: no time of day is written. told: what the texts tell of a
    `Reading`: bare numbers, what stands behind dashes, the numbers of days, kinds of clocks → rows.
    """

    wall: np.ndarray
    offset: np.ndarray
    until: np.ndarray
    orders: np.ndarray
    wrong: np.ndarray
    timeless: np.ndarray
    told: dict[str, Counter[str]] = field(default_factory=dict)


def parse(texts: pa.Array | Sequence[str], reading: Reading = Reading()) -> Parsed:
    """Read date-and-time texts [r] (stripped).

    A day and a time of day are each read once and not once a row: there are few of either.
    """
    texts = as_array(texts)
    which, distinct = coded(_halves(texts))
    halves = distinct.to_pylist()
    how = reading.clock
    words = _table(_half(text, how) for text in halves)
    day, clock = which[::2], which[1::2]
    found = _joined(words, day, clock, reading.order)
    known = (words[:3] != NONE).any(axis=0)[day]
    told = _told(halves, words[-1], which if known.all() else np.concatenate([day, clock[known]]))
    rest = np.flatnonzero(found.wall == NONE)
    if rest.size:
        which, distinct = coded(texts.take(pa.array(rest)))
        words = _table(_whole(text, how) for text in distinct.to_pylist())
        again = _joined(words, which, which, reading.order)
        for name in ("wall", "offset", "until", "orders", "wrong", "timeless"):
            getattr(found, name)[rest] = getattr(again, name)
        unseen = which[~known[rest]]
        for name, counts in _told(distinct.to_pylist(), words[-1] & ~_MARKED, unseen).items():
            told.setdefault(name, Counter()).update(counts)
    return replace(found, told=told)


def parse_pair(
    days: pa.Array | Sequence[str],
    clocks: pa.Array | Sequence[str],
    reading: Reading = Reading(),
) -> tuple[Parsed, Parsed]:
    """Read a column of days and one of times of day [r]; also what the column of days alone says.

    A time behind the day is ignored. A time of day may stand behind a day that is a placeholder or the same one.
    """
    day = parse(days, reading)
    which, distinct = coded(as_array(clocks))
    texts = distinct.to_pylist()
    how = reading.clock
    table = _table(_of_day(text, how) for text in texts)
    clock, offset, until, wrong, _ = table[3:, which]
    before = table[:3, which]  # the day before the time of day
    known = day.wall != NONE
    date = np.where(known, day.wall // DAY * DAY, NONE)
    other = (before != NONE).any(axis=0) & (before[ORDERS.index(reading.order)] != date)
    wrong = np.where(known, np.where(other, BAD_CLOCK, wrong), day.wrong).astype(np.int8)
    read = wrong == 0
    told = {name: counts for name, counts in day.told.items() if name in ("first", "last", "one", "two")}
    both = Parsed(
        np.where(read, date + clock, NONE),
        np.where(read, offset, NONE),
        np.where(read & (until != NONE), date + until, NONE),
        day.orders,
        wrong,
        np.zeros(len(read), bool),
        told | _told(texts, table[-1], which[known]),
    )
    return both, day


def is_month(text: str) -> bool:
    """Whether a text is a month without a day, such as 2019-01."""
    return _MONTH.fullmatch(text) is not None


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


How = tuple[bool | None, bool, bool]
"""`Reading.clock`."""


@lru_cache(maxsize=1 << 17)
def _half(text: str, how: How) -> tuple[int, ...]:
    """Of half a text: the day under each of `ORDERS` (µs); time, offset, end of a span, what is wrong; its kinds."""
    if text[:1] not in (" ", "T"):
        kind = _BLANK if not text else _FIELDS if numbers_of(text) else 0
        return *_micros(days_of(text)), 0, NONE, NONE, 0, kind
    return NONE, NONE, NONE, *_clock(text[1:], how, dashes=text[0] == " ")


def _clock(text: str, how: How, dashes: bool = True) -> tuple[int, ...]:
    """Of the text of a time of day: time, offset, end of a span, what is wrong; its kinds."""
    if not text:
        return 0, NONE, NONE, 0, _BLANK
    hours, spans, halves = how
    clock = clock_of(text, hours, spans and dashes, halves)
    kind = _NUMBER if number_of(text) else _DASHED if dashes and behind_dash(text) else 0
    if has_half(text):
        kind |= _KINDS["AM or PM"]
    elif not clock.wrong:
        kind |= _KINDS["1 to 12" if HOUR <= clock.time < 13 * HOUR else "after 12"]
    elif halves and not clock_of(text, hours, spans and dashes).wrong:
        kind |= _KINDS["1 to 12"]
    if clock.offset != NONE:
        kind |= _KINDS["other offset" if clock.offset else "in UTC"]
    return *clock, kind


@lru_cache(maxsize=1 << 16)
def _whole(text: str, how: How) -> tuple[int, ...]:
    """The same of a whole text that is not read by halves."""
    text = " ".join(unicodedata.normalize("NFKC", text).split())
    if (instant := _of_digits(text)) is not None:
        wall, offset = instant
        day = wall // DAY * DAY
        return day, day, day, wall - day, offset, NONE, 0, 0 if offset == NONE else _KINDS["in UTC"]
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
def _of_day(text: str, how: How) -> tuple[int, ...]:
    """The same of a time of day in a column of its own; a day before it counts unless it is a placeholder."""
    if not text:
        return NONE, NONE, NONE, NONE, NONE, NONE, BAD_CLOCK, 0
    hours, spans, halves = how
    found = _clock(text, (hours, spans or behind_dash(text) is not None, halves))
    if found[3] == BAD_CLOCK:
        whole = _whole(text, how)
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


def _joined(words: np.ndarray, days: np.ndarray, clocks: np.ndarray, order: DateOrder) -> Parsed:
    """Words [8 w], and which of them is the day and which the time of day of each row [r] → times."""
    there = words[:3] != NONE
    differ = ((words[:3] != words[:3].max(axis=0)) & there).any(axis=0) | (there.sum(axis=0) == 1)
    orders = np.where(differ, [1, 2, 4] @ there, 0).astype(np.int8)[days]
    some = there.any(axis=0)[days]
    day, (clock, offset, until) = words[ORDERS.index(order), days], words[3:6, clocks]
    bad = words[6].astype(np.int8)[clocks]
    wrong = np.where(some & (bad != 0), bad, np.where(day == NONE, BAD_DAY, 0).astype(np.int8))
    read = wrong == 0
    end = np.where(read & (until != NONE), day + until, NONE)
    wall, offset = np.where(read, day + clock, NONE), np.where(read, offset, NONE)
    return Parsed(wall, offset, end, orders, wrong, (words[7] & _BLANK > 0)[clocks])


def _told(texts: list[str], kinds: np.ndarray, which: np.ndarray) -> dict[str, Counter[str]]:
    """What distinct texts of a kind that tells something tell, by the rows that bear them."""
    out: dict[str, Counter[str]] = {}
    if not kinds.any():
        return out
    rows = np.bincount(which[which >= 0], minlength=len(texts))
    for name, flag in _KINDS.items():
        if number := int(rows[kinds & flag > 0].sum()):
            out.setdefault("kinds", Counter())[name] = number
    for place in np.flatnonzero(kinds & _FIELDS)[:SOME].tolist():
        one, two, last = numbers_of(texts[place]) or ("", "", "")
        said = [("first", one), ("last", last)] if len(last) <= 2 else []
        said += [("one", one), ("two", two)] if max(int(one), int(two)) <= 12 else []
        for name, what in said:
            out.setdefault(name, Counter())[what] += int(rows[place])
    for place in np.flatnonzero(kinds & (_NUMBER | _DASHED)).tolist():
        text, dashed = texts[place].strip(), int(kinds[place]) & _DASHED
        found = behind_dash(text) if dashed else number_of(text.lstrip("T"))
        out.setdefault("behind" if dashed else "numbers", Counter())[found or ""] += int(rows[place])
    return out


def _table(rows: Iterable[tuple[int, ...]]) -> np.ndarray:
    """Rows of eight numbers as columns [8 r]."""
    return np.fromiter(chain.from_iterable(rows), np.int64).reshape(-1, 8).T.copy()


def _micros(days: tuple[int, int, int]) -> tuple[int, ...]:
    return tuple(day if day == NONE else day * DAY for day in days)
