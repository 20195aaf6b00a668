"""Local time ↔ UTC. Instants and wall clocks are int64 microseconds since 1970-01-01; `NAT` stands for absent.

Local time that is not unique follows one rule, `fold=0` of PEP 495: a time in the repeated hour of autumn is its
first (daylight-saving) pass; a time in the missing hour of spring is shifted forward by the gap.
"""

from functools import lru_cache
from typing import Literal

import numpy as np
import pandas as pd

from stforecast.events.parsing.dates import NAT
from stforecast.events.parsing.times_of_day import DAY, SECOND


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
    known = wall != NAT
    written = np.zeros(len(wall), bool) if times_are == "local" else offset != NAT
    instants = np.where(known, wall - np.where(written, offset, 0), NAT)
    repeated, missing = np.zeros((2, len(wall)), bool)
    if times_are != "utc":
        rows = np.flatnonzero(known & ~written)
        first, second = (_localized(wall[rows], time_zone, fold) for fold in (0, 1))
        repeated[rows], missing[rows] = first != second, first == NAT
        instants[rows] = np.where(first == NAT, _localized(wall[rows] - DAY, time_zone, 0) + DAY, first)
    return instants, repeated, missing


def to_local(instants: np.ndarray, time_zone: str) -> np.ndarray:
    """UTC [r] → wall clock [r] of a time zone; none may be `NAT`."""
    return _stamps(instants).tz_localize("UTC").tz_convert(time_zone).tz_localize(None).asi8


@lru_cache(maxsize=64)
def offsets_of(time_zone: str) -> frozenset[int]:
    """The offsets from UTC, in minutes, that a time zone has had since 1990."""
    instants = np.arange(20 * 365, 68 * 365, 30) * DAY
    return frozenset(((to_local(instants, time_zone) - instants) // (60 * SECOND)).tolist())


def _localized(wall: np.ndarray, time_zone: str, fold: int) -> np.ndarray:
    """Instants [r] of a pass of local times; `NAT` in the missing hour."""
    return _stamps(wall).tz_localize(time_zone, ambiguous=np.full(len(wall), fold == 0), nonexistent="NaT").asi8


def _stamps(micros: np.ndarray) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(micros.view("datetime64[us]"))
