"""The calendar of a UTC axis in the city's local time, and its standard time.

Every step carries its own local hour, so that days of 23 and 25 hours need no special case.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays
import numpy as np
import pandas as pd

from stforecast.errors import ConfigError


@dataclass(frozen=True)
class Calendar:
    """Local time of steps, all arrays [t].

    weekday: 0 = Monday … 6. hour: 0 … 23. slot_of_day = hour // step_hours.
    slot_of_week = weekday · (24 // step_hours) + slot_of_day.
    holiday, day_before_holiday, day_after_holiday: booleans of the local date.
    """

    weekday: np.ndarray
    hour: np.ndarray
    slot_of_day: np.ndarray
    slot_of_week: np.ndarray
    holiday: np.ndarray
    day_before_holiday: np.ndarray
    day_after_holiday: np.ndarray


def calendar(
    times: pd.DatetimeIndex, step_hours: int, time_zone: str, country: str | None, subdivision: str | None
) -> Calendar:
    """The local calendar of steps that begin at `times`, ascending.

    A step has the local time at which it begins. Where the zone is not whole hours from UTC it is the time half
    an hour later, that is of the local hour that holds most of the step's first hour.

    Raises:
        ConfigError: `step_hours` does not divide 24, or the zone, country or subdivision is unknown.
    """
    if step_hours < 1 or 24 % step_hours:
        raise ConfigError(f"step_hours: expected a divisor of 24, found {step_hours}.")
    local = (times + pd.Timedelta(minutes=30)).tz_convert(zone(time_zone)).tz_localize(None).to_numpy()
    day, hour = np.divmod(local.astype("datetime64[h]").astype(np.int64), 24)
    weekday, date = (day + 3) % 7, day.astype("datetime64[D]")  # 1970 began on a Thursday
    free = _free_days(date, country, subdivision)
    slot_of_day = hour // step_hours
    return Calendar(
        weekday=weekday,
        hour=hour,
        slot_of_day=slot_of_day,
        slot_of_week=weekday * (24 // step_hours) + slot_of_day,
        holiday=np.isin(date, free),
        day_before_holiday=np.isin(date + 1, free),
        day_after_holiday=np.isin(date - 1, free),
    )


def standard_offset(time_zone: str, start: pd.Timestamp) -> pd.Timedelta:
    """Local standard time minus UTC, in the year from `start` on: the smallest offset, on either hemisphere.

    Raises:
        ConfigError: the zone is unknown.
    """
    days = pd.date_range(utc(start).floor("D"), periods=366, freq="D")
    offsets = days.tz_convert(zone(time_zone)).tz_localize(None) - days.tz_localize(None)
    return pd.Timedelta(offsets.min())


def zone(time_zone: str) -> ZoneInfo:
    """The IANA zone of that name.

    Raises:
        ConfigError: there is none.
    """
    try:
        return ZoneInfo(time_zone)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            f"source.time_zone: no time zone {time_zone!r}. Give an IANA name such as America/Denver."
        ) from error


def utc(time: str | pd.Timestamp) -> pd.Timestamp:
    """The instant in UTC; a time without zone is one already."""
    stamp = pd.Timestamp(time)
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")


def _free_days(date: np.ndarray, country: str | None, subdivision: str | None) -> np.ndarray:
    if country is None or not date.size:
        return np.array([], "datetime64[D]")
    low, high = ((date[at] + shift).astype("datetime64[Y]").astype(int) + 1970 for at, shift in ((0, -1), (-1, 1)))
    return np.concatenate([_holidays(country, subdivision, year) for year in range(low, high + 1)])


@lru_cache(maxsize=1024)
def _holidays(country: str, subdivision: str | None, year: int) -> np.ndarray:
    try:
        found = holidays.country_holidays(country, subdiv=subdivision, years=year)
    except NotImplementedError as error:
        raise ConfigError(
            f"grid.country, grid.subdivision: no public holidays are known for {country!r}, {subdivision!r}. "
            "Give ISO codes such as US and CO, or grid.country=null for none."
        ) from error
    return np.array(sorted(found), "datetime64[D]")
