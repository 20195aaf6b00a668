"""The calendar of a UTC axis in the city's local time, and its standard time.

Every step carries its own local hour, so that days of 23 and 25 hours need no special case.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import holidays
import numpy as np
import pandas as pd

from stforecast.cube.steps import Step, utc, zone
from stforecast.errors import ConfigError


@dataclass(frozen=True)
class Calendar:
    """Local time of steps, all arrays [t].

    weekday: 0 = Monday … 6. hour: 0 … 23. slot_of_day = hour // hours of a step.
    slot: that of the week, weekday · (steps a day) + slot_of_day; of months the month of the year, from 0.
    holiday, day_before_holiday, day_after_holiday: booleans of the local date; of months none is.
    """

    weekday: np.ndarray
    hour: np.ndarray
    slot_of_day: np.ndarray
    slot: np.ndarray
    holiday: np.ndarray
    day_before_holiday: np.ndarray
    day_after_holiday: np.ndarray


def calendar(times: pd.DatetimeIndex, step: Step, country: str | None, subdivision: str | None) -> Calendar:
    """The local calendar of steps that begin at `times`, ascending.

    A step has the local time at which it begins. Where the zone is not whole hours from UTC it is the time half
    an hour later, that is of the local hour that holds most of the step's first hour.

    Raises:
        ConfigError: the zone, country or subdivision is unknown.
    """
    local = (times + pd.Timedelta(minutes=30)).tz_convert(zone(step.time_zone)).tz_localize(None).to_numpy()
    day, hour = np.divmod(local.astype("datetime64[h]").astype(np.int64), 24)
    weekday, date = (day + 3) % 7, day.astype("datetime64[D]")  # 1970 began on a Thursday
    monthly = step.unit == "month"
    free = _free_days(date, None if monthly else country, subdivision)
    slot_of_day = hour // step.hours
    return Calendar(
        weekday=weekday,
        hour=hour,
        slot_of_day=slot_of_day,
        slot=date.astype("datetime64[M]").astype(np.int64) % 12 if monthly else weekday * step.per_day + slot_of_day,
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
