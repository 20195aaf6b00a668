"""Columns of publishers' times → wall clocks; one text is read by `timestamps`.

All are int64 microseconds since 1970-01-01; `NAT` stands for unreadable or absent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stforecast.config.sections import DateOrder
from stforecast.events.parsing.dates import NAT, ORDERS, date_numbers
from stforecast.events.parsing.text_columns import factorize, offsets_and_bytes, to_arrow
from stforecast.events.parsing.times_of_day import BAD_TIME_OF_DAY, DAY, bare_number, text_after_dash
from stforecast.events.parsing.timestamps import (
    BLANK,
    DASHED,
    DEFAULT_FORMAT,
    FIELDS,
    KINDS,
    MARKED,
    NUMBER,
    TimeFormat,
    parse_half,
    parse_time_column,
    parse_whole,
)

BAD_DAY = 3

SOME = 100
"""Distinct days whose numbers are looked at, which tells enough of which of them is the day of the month."""


class ParsedTimes(NamedTuple):
    """Times as they are written [r].

    wall, offset, until: wall clock, the written offset from UTC and the wall clock at the end of a span (µs, `NAT`
    where there is none). orders: what the day tells of `ORDERS`, one bit each where they lead to different days, else
    0. wrong: 0, or why there is no wall clock. timeless: no time of day is written. evidence: what the texts tell of a
    `TimeFormat`: bare numbers, what stands behind dashes, the numbers of days, kinds of clocks → rows.
    """

    wall: np.ndarray
    offset: np.ndarray
    until: np.ndarray
    orders: np.ndarray
    wrong: np.ndarray
    timeless: np.ndarray
    evidence: dict[str, Counter[str]]

    def placed(self, rows: np.ndarray) -> ParsedTimes:
        """The same as those of some rows [r], given as a mask, of which the others are not read."""
        arrays = []
        for values, nothing in zip(self[:6], (NAT, NAT, NAT, 0, 0, False), strict=True):
            arrays.append(np.full(len(rows), nothing, values.dtype))
            arrays[-1][rows] = values
        return ParsedTimes._make([*arrays, self.evidence])


def parse_times(texts: pa.Array | Sequence[str], time_format: TimeFormat = DEFAULT_FORMAT) -> ParsedTimes:
    """Read a column of days, or of days with times of day.

    A day and a time of day are each read once and not once a row: there are few of either.

    Args:
        texts: stripped [r].
        time_format: how they are read where they can be read in more than one way.

    Returns:
        Wall clocks [r], what is wrong where there is none, and what the texts tell of their format.
    """
    texts = to_arrow(texts)
    which, distinct = factorize(_halves(texts))
    halves = distinct.to_pylist()
    words = _table(parse_half(text, time_format) for text in halves)
    day, clock = which[::2], which[1::2]
    found = _joined(words, day, clock, time_format.order)
    known = (words[:3] != NAT).any(axis=0)[day]
    evidence = _evidence_of(halves, words[-1], which if known.all() else np.concatenate([day, clock[known]]))
    rest = np.flatnonzero(found.wall == NAT)
    if rest.size:
        which, distinct = factorize(texts.take(pa.array(rest)))
        words = _table(parse_whole(text, time_format) for text in distinct.to_pylist())
        again = _joined(words, which, which, time_format.order)
        for values, others in zip(found[:6], again[:6], strict=True):
            values[rest] = others
        unseen = which[~known[rest]]
        for name, counts in _evidence_of(distinct.to_pylist(), words[-1] & ~MARKED, unseen).items():
            evidence.setdefault(name, Counter()).update(counts)
    return found._replace(evidence=evidence)


def parse_date_and_time(
    days: pa.Array | Sequence[str], clocks: pa.Array | Sequence[str], time_format: TimeFormat = DEFAULT_FORMAT
) -> tuple[ParsedTimes, ParsedTimes]:
    """Read a column of days and one of times of day.

    A time behind the day is ignored. A time of day may stand behind a day that is a placeholder or the same one.

    Args:
        days: stripped texts [r].
        clocks: stripped texts of times of day [r].
        time_format: how they are read where they can be read in more than one way.

    Returns:
        The times of both [r], and those that the column of days alone tells [r].
    """
    day = parse_times(days, time_format)
    which, distinct = factorize(to_arrow(clocks))
    texts = distinct.to_pylist()
    table = _table(parse_time_column(text, time_format) for text in texts)
    clock, offset, until, wrong, _ = table[3:, which]
    before = table[:3, which]  # the day before the time of day
    known = day.wall != NAT
    date = np.where(known, day.wall // DAY * DAY, NAT)
    other = (before != NAT).any(axis=0) & (before[ORDERS.index(time_format.order)] != date)
    wrong = np.where(known, np.where(other, BAD_TIME_OF_DAY, wrong), day.wrong).astype(np.int8)
    read = wrong == 0
    evidence = {name: counts for name, counts in day.evidence.items() if name in ("first", "last", "one", "two")}
    both = ParsedTimes(
        np.where(read, date + clock, NAT),
        np.where(read, offset, NAT),
        np.where(read & (until != NAT), date + until, NAT),
        day.orders,
        wrong,
        np.zeros(len(read), bool),
        evidence | _evidence_of(texts, table[-1], which[known]),
    )
    return both, day


def _halves(texts: pa.Array) -> pa.Array:
    """Each text [r] as two [2 r], on the same bytes: what stands before the first blank (or a T behind ten letters),
    and the rest with it."""
    edges, letters = offsets_and_bytes(texts)
    begin, end = edges[:-1], edges[1:]
    blank = pc.find_substring(texts, " ").to_numpy()
    cut = np.where(blank < 0, end, begin + blank)
    tenth = np.flatnonzero(cut > begin + 10)
    tenth = tenth[letters[begin[tenth] + 10] == ord("T")]
    cut[tenth] = begin[tenth] + 10
    halves = np.append(np.stack([begin, cut], axis=1), edges[-1])
    return pa.LargeStringArray.from_buffers(2 * len(texts), pa.py_buffer(halves), pa.py_buffer(letters))


def _joined(words: np.ndarray, days: np.ndarray, clocks: np.ndarray, order: DateOrder) -> ParsedTimes:
    """Words [8 w], and which of them is the day and which the time of day of each row [r] → times."""
    there = words[:3] != NAT
    differ = ((words[:3] != words[:3].max(axis=0)) & there).any(axis=0) | (there.sum(axis=0) == 1)
    orders = np.where(differ, [1, 2, 4] @ there, 0).astype(np.int8)[days]
    some = there.any(axis=0)[days]
    day, (clock, offset, until) = words[ORDERS.index(order), days], words[3:6, clocks]
    bad = words[6].astype(np.int8)[clocks]
    wrong = np.where(some & (bad != 0), bad, np.where(day == NAT, BAD_DAY, 0).astype(np.int8))
    read = wrong == 0
    end = np.where(read & (until != NAT), day + until, NAT)
    wall, offset = np.where(read, day + clock, NAT), np.where(read, offset, NAT)
    return ParsedTimes(wall, offset, end, orders, wrong, (words[7] & BLANK > 0)[clocks], {})


def _evidence_of(texts: list[str], kinds: np.ndarray, which: np.ndarray) -> dict[str, Counter[str]]:
    """What distinct texts of a kind that tells something tell, by the rows that bear them."""
    out: dict[str, Counter[str]] = {}
    if not kinds.any():
        return out
    rows = np.bincount(which[which >= 0], minlength=len(texts))
    for name, flag in KINDS.items():
        if number := int(rows[kinds & flag > 0].sum()):
            out.setdefault("kinds", Counter())[name] = number
    for place in np.flatnonzero(kinds & FIELDS)[:SOME].tolist():
        one, two, last = date_numbers(texts[place]) or ("", "", "")
        kinds_of = [("first", one), ("last", last)] if len(last) <= 2 else []
        kinds_of += [("one", one), ("two", two)] if max(int(one), int(two)) <= 12 else []
        for name, what in kinds_of:
            out.setdefault(name, Counter())[what] += int(rows[place])
    for place in np.flatnonzero(kinds & (NUMBER | DASHED)).tolist():
        text, dashed = texts[place].strip(), int(kinds[place]) & DASHED
        found = text_after_dash(text) if dashed else bare_number(text.lstrip("T"))
        out.setdefault("behind" if dashed else "numbers", Counter())[found or ""] += int(rows[place])
    return out


def _table(rows: Iterable[tuple[int, ...]]) -> np.ndarray:
    """Rows of eight numbers as columns [8 r]."""
    return np.fromiter(chain.from_iterable(rows), np.int64).reshape(-1, 8).T.copy()
