"""The time axis of a cube: whole days of UTC hours that the record covers.

It begins at local midnight in standard time of the first kept day, so that every day of it begins at the issue hour.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stforecast.config import Config
from stforecast.cube import hours
from stforecast.errors import ConfigError

HOUR, DAY = pd.Timedelta(hours=1), pd.Timedelta(days=1)
CUT = 10
"""The last day is left out as cut short when its end is empty for so long that this many events were to be expected."""

STRAY = 3
"""Fewer than `CUT` last events are strays behind an empty stretch of so many days, in which so many times `CUT` events
were to be expected."""

SPAN_HOURS = 24
"""Longest span that is spread; a longer one says little of the hour, and its event stays at the start."""

LAST_MICROSECOND = 999_999
"""Of a report that was given as a day alone: it says how long the record goes on only when that day is over."""


@dataclass(frozen=True)
class Axis:
    """Whole days of UTC hours; `offset` is local standard time minus UTC, rounded up to whole hours."""

    start: pd.Timestamp
    steps: int
    offset: pd.Timedelta

    def step(self, times: pd.Series) -> np.ndarray:
        """The hour that holds each time, int64; what is null has no meaning."""
        since = times.to_numpy("datetime64[us]") - np.datetime64(self.start.tz_convert(None), "us")
        return since.astype(np.int64) // 3_600_000_000

    def event_steps(
        self, frame: pd.DataFrame, spans: str, embargo_hours: int, reported: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The steps of events.

        Args:
            frame: columns `occurred_at`, `occurred_until` and `reported_at` of the event table, [e].
            spans: `grid.spans`: a span counts at its start, or (aoristic) over its steps, if it is no longer than
                SPAN_HOURS; it is not known before the last of them.
            embargo_hours: how long after it occurred an event becomes known at the earliest.
            reported: whether report times count; an event without one is known after the embargo.

        Returns:
            The first and last step in which each event may have occurred, the one in which it became known, and how
            many steps its span touches; int32 [e] each.
        """
        first = self.step(frame["occurred_at"]).astype(np.int32)
        until = frame["occurred_until"]  # its end is not part of a span
        touched = self.step(until - pd.Timedelta(microseconds=1)) - first + 1
        length = np.where(until.isna(), 1, np.maximum(touched, 1)).astype(np.int32)
        spread = (length > 1) & (length <= SPAN_HOURS) & (spans == "aoristic")
        last = np.where(spread, first + length - 1, first).astype(np.int32)
        known = last.astype(np.int64) + embargo_hours
        if reported:
            at = frame["reported_at"]
            known = np.where(at.isna(), known, np.maximum(known, self.step(at)))
        return first, last, known.astype(np.int32), length

    def day_step(self, day: dt.date) -> int:
        """The step at the day boundary of the axis that is nearest to local winter midnight of `day`."""
        return round((_midnight(day, self.offset) - self.start) / DAY) * 24

    def warnings(self, config: Config, hour: np.ndarray) -> list[str]:
        """Days asked for that are not in the record, and events, of these steps, far beyond its end; as sentences."""
        first, last = config.source.first_day, config.source.last_day
        messages = []
        end = self.start + self.steps * HOUR
        if last is None and (strays := int((hour >= self.steps + 24).sum())):
            messages.append(
                f"{strays} events lie long after all others, which end {end:%Y-%m-%d %H:%M} UTC: their dates are taken "
                "for mistyped. Correct them, or set source.last_day."
            )
        if first and self.start - _midnight(first, self.offset) >= DAY:
            messages.append(f"The record begins {self.start:%Y-%m-%d %H:%M} UTC, after source.first_day {first}.")
        if last and _midnight(last, self.offset) >= end:
            messages.append(f"The record ends {end:%Y-%m-%d %H:%M} UTC, before source.last_day {last} is over.")
        return messages


def choose_axis(frame: pd.DataFrame, config: Config, time_zone: str) -> Axis:
    """The days from the table's first occurrence to its last, within `source.first_day` to `source.last_day`.

    A last day that the export cut short is left out, since its empty hours would pass for quiet ones; so are days that
    are asked for but not in the record. Reports do not prolong the axis: an export chosen by date of occurrence goes on
    to report for years after, and the axis would end in days that only look empty. With an `issue_hour` that is not
    local midnight the axis begins at that hour, up to a day before the first day, and ends at it, up to a day before
    the end of `source.last_day`.
    """
    earliest, latest = frame["occurred_at"].min(), frame["occurred_at"].max()
    source, slack = config.source, CUT / len(frame) * max(latest - earliest, DAY)
    latest = _before_strays(frame["occurred_at"], STRAY * max(slack, DAY))
    offset = hours.standard_offset(time_zone, pd.Timestamp(source.first_day or earliest)).ceil("h")
    first = (earliest + offset).date()
    if source.first_day:
        first = max(source.first_day, min(first, (earliest - slack + offset).ceil("D").date()))
    last = source.last_day or (latest + offset).date()
    if last < first:
        raise ConfigError(
            f"source.first_day, source.last_day: {first} to {last} holds no day of the record, {earliest} to {latest}. "
            "Correct one of them."
        )
    start, end = _midnight(first, offset), _midnight(last, offset) + DAY
    if config.issue_hour is not None:
        start -= (start.hour - config.issue_hour) % 24 * HOUR
    reported = frame["reported_at"]
    reported = reported[reported.dt.microsecond != LAST_MICROSECOND]
    newest = max(latest, reported.max()) if reported.notna().any() else latest
    days = (end - start) // DAY if source.last_day else -((start - end) // DAY)
    days = min(days, (newest + slack - start) // DAY)
    return Axis(start, max(days, 1) * 24, offset)


def _before_strays(times: pd.Series, empty: pd.Timedelta) -> pd.Timestamp:
    """The last of the times, or the last before an `empty` stretch that fewer than `CUT` follow."""
    last = times.nlargest(CUT).sort_values()
    far = np.flatnonzero(last.diff().iloc[1:] > empty)
    return last.iloc[far[0] if far.size else -1]


def _midnight(day: dt.date, offset: pd.Timedelta) -> pd.Timestamp:
    return pd.Timestamp(day, tz="UTC") - offset
