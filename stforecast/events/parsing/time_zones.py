"""Local time ↔ UTC. Instants and wall clocks are int64 microseconds since 1970-01-01; `NAT` stands for absent.

Local time that is not unique follows one rule, `fold=0` of PEP 495: a time in the repeated hour of autumn is its
first (daylight-saving) pass; a time in the missing hour of spring is shifted forward by the gap.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

from stforecast.events.parsing.dates import NAT
from stforecast.events.parsing.times_of_day import DAY

_EPOCH = dt.date(1970, 1, 1).toordinal()
_CALENDAR = (dt.date.min.toordinal() + 1 - _EPOCH, dt.date.max.toordinal() - 1 - _EPOCH)
_SPAN = 1024  # days whose offsets are found at once


def to_utc(
    wall: np.ndarray, offset: np.ndarray, time_zone: str, times_are: Literal["local", "utc"] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Local times → UTC.

    Args:
        wall: wall clocks [r] (µs).
        offset: offsets from UTC that are written with them [r] (µs), `NAT` where there is none.
        time_zone: IANA name.
        times_are: `local` ignores written offsets; `utc` reads a time without offset as UTC; None as local.

    Returns:
        Instants [r] (µs), whether each lay in the repeated hour [r], and whether in the missing hour [r].
    """
    written = np.zeros(len(wall), bool) if times_are == "local" else offset != NAT
    shift = np.where(written, offset, 0)
    repeated = np.zeros(len(wall), bool)
    missing = np.zeros(len(wall), bool)
    known = wall != NAT
    if times_are != "utc":
        rows = np.flatnonzero(known & ~written)
        zone = ZoneInfo(time_zone)
        starts, ends = _offsets(zone, wall[rows] // DAY)
        shift[rows] = starts
        for row in rows[starts != ends]:  # the two days of the year on which clocks change
            first, second = _offset(zone, int(wall[row])), _offset(zone, int(wall[row]), fold=1)
            shift[row], repeated[row], missing[row] = first, first > second, first < second
    return np.where(known, wall - shift, NAT), repeated, missing


def to_local(instants: np.ndarray, time_zone: str) -> np.ndarray:
    """UTC [r] → wall clock [r] of a time zone; none may be `NAT`."""
    zone = ZoneInfo(time_zone)
    starts, ends = _offsets(zone, instants // DAY, dt.UTC)
    for row in np.flatnonzero(starts != ends):
        starts[row] = _offset(zone, int(instants[row]), clock=dt.UTC)
    return instants + starts


@lru_cache(maxsize=64)
def offsets_of(time_zone: str) -> frozenset[int]:
    """The offsets from UTC, in minutes, that a time zone has had since 1990."""
    there = ZoneInfo(time_zone)
    months = (dt.datetime(year, month, 15, tzinfo=there) for year in range(1990, 2038) for month in range(1, 13))
    return frozenset(int((day.utcoffset() or dt.timedelta()).total_seconds() // 60) for day in months)


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
