"""What a step of a time axis is: so many hours of UTC, or a local day, or a local month.

Hours are all alike. A local day has 23 to 25 hours and a month 28 to 31 days; what is expected of a step is in
proportion to its length.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from stforecast.config.sections import Unit
from stforecast.errors import ConfigError

LENGTHS: dict[Unit, int] = {"hour": 1, "day": 24, "month": 730}
"""Hours of a step of each unit, of days and months as they are on average."""


@dataclass(frozen=True)
class Step:
    """A step of an axis.

    unit: `hour` for steps of equal length in UTC, else `day` or `month` of the time zone.
    hours: its length; of days and months the usual one.
    """

    unit: Unit = "hour"
    hours: int = 1
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        if self.unit == "hour" and (self.hours < 1 or 24 % self.hours):
            raise ConfigError(f"step_hours: expected a divisor of 24, found {self.hours}.")
        if self.unit != "hour" and self.hours != LENGTHS[self.unit]:
            raise ConfigError(f"step_hours: expected {LENGTHS[self.unit]} of a {self.unit}, found {self.hours}.")

    def __str__(self) -> str:
        return f"steps of {self.hours} h" if self.unit == "hour" else f"{self.unit}s of {self.time_zone}"

    def words(self, count: int) -> str:
        """So many steps in words."""
        count, unit = (count * self.hours, "hour") if self.unit == "hour" else (count, self.unit)
        return f"{count:,} {unit}" if count == 1 else f"{count:,} {unit}s"

    @property
    def per_day(self) -> int:
        """Steps from one time of issue to the next: those of a day, or one."""
        return max(1, 24 // self.hours)

    @property
    def between_issues(self) -> Unit:
        """What lies between two issues: a day, or a month."""
        return "month" if self.unit == "month" else "day"

    @property
    def cycle(self) -> str:
        """What is usual comes again after: a week, or of months a year."""
        return "year" if self.unit == "month" else "week"

    @property
    def slots(self) -> int:
        """Steps after which what is usual comes again: those of a week, or the twelve months of a year."""
        return 12 if self.unit == "month" else 7 * self.per_day

    @property
    def week(self) -> int:
        """Steps of a week, for which a single month stands."""
        return 1 if self.unit == "month" else self.slots

    @property
    def weekdays(self) -> int:
        """Days of the week that its steps tell apart: 7, or 1 where they are months."""
        return self.week // self.per_day

    @property
    def year(self) -> int:
        """Steps after which what is usual comes again about a year later."""
        return self.in_days(365) // self.slots * self.slots

    @property
    def ahead(self) -> int:
        """Steps past the record's end at the last of which a forecast may be issued: of a week, or three months."""
        return 3 if self.unit == "month" else self.in_days(7)

    @property
    def days(self) -> float:
        """Its length in days."""
        return self.hours / 24

    def in_days(self, days: float) -> int:
        """How many steps so many days are, rounded."""
        return round(days / self.days)

    def times(self, start: pd.Timestamp, steps: Any) -> pd.DatetimeIndex:
        """The instants (UTC) at which `steps` [t] begin, counted from the step that begins at `start`."""
        steps = np.asarray(steps)
        if self.unit == "hour":
            return pd.DatetimeIndex(start + pd.to_timedelta(steps * self.hours, unit="h"))
        first = self._number(pd.DatetimeIndex([start]))[0]
        return self._begin(first + steps.astype(np.int64))

    def since(self, start: pd.Timestamp, times: Any) -> np.ndarray:
        """The steps, counted from the one that begins at `start`, that hold instants [t]: int64 [t]; of null none."""
        times = pd.DatetimeIndex(times)
        if self.unit == "hour":
            since = times.tz_convert(None).to_numpy("datetime64[us]") - np.datetime64(start.tz_convert(None), "us")
            return since.astype(np.int64) // (3_600_000_000 * self.hours)
        return self._number(times) - self._number(pd.DatetimeIndex([start]))[0]

    def midnight(self, day: dt.date) -> pd.Timestamp:
        """The instant (UTC) at which a local day begins."""
        return instants_of(pd.DatetimeIndex([pd.Timestamp(day)]), self.time_zone)[0]

    def exposure(self, start: pd.Timestamp, first: int, last: int) -> np.ndarray | None:
        """The length of steps first … last − 1 in usual ones, float32 [t]; None where all are alike."""
        if self.unit == "hour":
            return None
        ends = self.times(start, np.arange(first, last + 1)).as_unit("s").asi8
        return (np.diff(ends) / (3600 * self.hours)).astype(np.float32)

    def _number(self, times: pd.DatetimeIndex) -> np.ndarray:
        """Local days or months since 1970, int64 [t]."""
        local = times.tz_convert(zone(self.time_zone)).tz_localize(None).to_numpy()
        return local.astype("datetime64[D]" if self.unit == "day" else "datetime64[M]").astype(np.int64)

    def _begin(self, number: np.ndarray) -> pd.DatetimeIndex:
        """When local days or months since 1970 begin."""
        local = pd.DatetimeIndex(number.astype("datetime64[D]" if self.unit == "day" else "datetime64[M]"))
        return instants_of(local, self.time_zone)


def step_of(unit: Unit, time_zone: str) -> Step:
    """An hour, a local day or a local month as a step."""
    return Step(unit, LENGTHS[unit], time_zone)


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


def instants_of(local: pd.DatetimeIndex, time_zone: str) -> pd.DatetimeIndex:
    """Local midnights in UTC; of one that a clock change skips when the clock goes on, of two the first."""
    first = np.ones(len(local), bool)
    there = local.as_unit("us").tz_localize(zone(time_zone), nonexistent="shift_forward", ambiguous=first)
    return there.tz_convert("UTC")


def utc(time: str | pd.Timestamp) -> pd.Timestamp:
    """The instant in UTC; a time without zone is one already."""
    stamp = pd.Timestamp(time)
    return stamp.tz_localize("UTC") if stamp.tzinfo is None else stamp.tz_convert("UTC")
