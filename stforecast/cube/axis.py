"""The time axis of a cube: whole days of UTC hours, or local days or months, that the record covers.

An axis of hours begins at local midnight in standard time of the first kept day, so that every day of it begins at the
issue hour.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stforecast.config import Config
from stforecast.cube import hours
from stforecast.cube.steps import Step, step_of
from stforecast.errors import ArtefactError, ConfigError
from stforecast.events.parsing.timestamps import Precision
from stforecast.events.schema import EventTable

HOUR, DAY = pd.Timedelta(hours=1), pd.Timedelta(days=1)
CUT = 10
"""The last day is left out as cut short when its end is empty for so long that this many events were to be expected."""

STRAY = 3
"""Fewer than `CUT` last events are strays behind an empty stretch of so many days (or months), in which so many times
`CUT` events were to be expected."""

SPANS = {"hour": 24, "day": 7, "month": 2}
"""Steps of the longest span that is spread; a longer one says little of the step, and its event stays at the start."""

LAST_MICROSECOND = 999_999
"""Of a report that was given as a day alone: it says how long the record goes on only when that day is over."""


@dataclass(frozen=True)
class Axis:
    """Steps from `start` on, of hours in whole days; `offset` is local standard time minus UTC, in whole hours up."""

    start: pd.Timestamp
    steps: int
    step: Step
    offset: pd.Timedelta

    @property
    def end(self) -> pd.Timestamp:
        """The instant after the last step."""
        return self.time_of(self.steps)

    def time_of(self, step: int) -> pd.Timestamp:
        """The instant at which a step begins."""
        return self.step.times(self.start, [step])[0]

    def steps_of(self, times: pd.Series) -> np.ndarray:
        """The step that holds each time, int64; what is null has no meaning."""
        return self.step.since(self.start, times)

    def step_at(self, time: pd.Timestamp) -> int:
        """The step that begins at an instant.

        Raises:
            ArtefactError: none does.
        """
        step = int(self.steps_of(pd.Series([time]))[0])
        if self.time_of(step) != time:
            raise ArtefactError(f"{time}: not a step of the cube ({self.step} from {self.start}).")
        return step

    def event_steps(
        self, frame: pd.DataFrame, spans: str, embargo_hours: int, known_at: pd.Series | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The steps of events.

        Args:
            frame: columns `occurred_at` and `occurred_until` of the event table, [e].
            spans: `grid.spans`: a span counts at its start, or (aoristic) over its steps, if they are no more than
                SPANS; it is not known before the last of them.
            embargo_hours: how long after it occurred an event becomes known at the earliest; in steps, rounded up.
            known_at: see `known_times`; an event without one is known after the embargo.

        Returns:
            The first and last step in which each event may have occurred, the one in which it became known, and how
            many steps its span touches; int32 [e] each.
        """
        first = self.steps_of(frame["occurred_at"]).astype(np.int32)
        until = frame["occurred_until"]  # its end is not part of a span
        touched = self.steps_of(until - pd.Timedelta(microseconds=1)) - first + 1
        length = np.where(until.isna(), 1, np.maximum(touched, 1)).astype(np.int32)
        spread = (length > 1) & (length <= SPANS[self.step.unit]) & (spans == "aoristic")
        last = np.where(spread, first + length - 1, first).astype(np.int32)
        known = last.astype(np.int64) - (-embargo_hours // self.step.hours)
        if known_at is not None:
            known = np.where(known_at.isna(), known, np.maximum(known, self.steps_of(known_at)))
        return first, last, known.astype(np.int32), length

    def day_step(self, day: dt.date) -> int:
        """The step that begins nearest to a local day; of hours the day boundary of the axis (in winter time)."""
        if self.step.unit == "hour":
            return round((_midnight(day, self.offset) - self.start) / DAY) * self.step.per_day
        near = day + dt.timedelta(days=15) if self.step.unit == "month" else day
        return int(self.step.since(self.start, [self.step.midnight(near)])[0])

    def span(self, first: dt.date, last: dt.date) -> tuple[int, int]:
        """The steps from … to that local days touch; the one after the last is not among them."""
        if self.step.unit == "hour":
            return self.day_step(first), self.day_step(last) + self.step.per_day
        begin, end = self.step.since(self.start, [self.step.midnight(day) for day in (first, last)]).tolist()
        return begin, end + 1

    def warnings(self, config: Config, step: np.ndarray) -> list[str]:
        """Days asked for that are not in the record, and events, of these steps, far beyond its end; as sentences."""
        first, last = config.source.first_day, config.source.last_day
        messages = []
        if last is None and (strays := int((step >= self.steps + self.step.per_day).sum())):
            messages.append(
                f"{strays} events lie long after all others, which end {self.end:%Y-%m-%d %H:%M} UTC: their dates are "
                "taken for mistyped. Correct them, or set source.last_day."
            )
        if first and self.start - self._begin(first) >= DAY:
            messages.append(f"The record begins {self.start:%Y-%m-%d %H:%M} UTC, after source.first_day {first}.")
        if last and self._begin(last) >= self.end:
            messages.append(f"The record ends {self.end:%Y-%m-%d %H:%M} UTC, before source.last_day {last} is over.")
        return messages

    def _begin(self, day: dt.date) -> pd.Timestamp:
        return _midnight(day, self.offset) if self.step.unit == "hour" else self.step.midnight(day)


@dataclass(frozen=True)
class _Record:
    """First and last occurrence, and from when to when the record seems to be whole."""

    earliest: pd.Timestamp
    latest: pd.Timestamp
    begin: pd.Timestamp
    end: pd.Timestamp


def known_times(events: EventTable, reported_at: pd.Series, known_time: str) -> pd.Series | None:
    """When each event became known, null where nothing tells; None where nothing tells it of any.

    Args:
        events: the events.
        reported_at: their report times.
        known_time: as in the configuration. `first_seen`: of an event whose first sight says nothing the report time.

    Raises:
        ArtefactError: nobody took note of when the events were first seen.
    """
    if known_time == "first_seen":
        if events.first_seen is None:
            raise ArtefactError(
                "known_time: first_seen, but when these events were first seen is not noted. Run `stforecast ingest` "
                "again; of a table of your own set reported or occurred."
            )
        return events.first_seen.fillna(reported_at)
    return reported_at if known_time == "reported" and reported_at.notna().any() else None


def choose_axis(frame: pd.DataFrame, config: Config, time_zone: str, precision: Precision) -> Axis:
    """The steps from the table's first occurrence to its last, within `source.first_day` to `source.last_day`.

    A last day that the export cut short is left out, since its empty hours would pass for quiet ones; so are days that
    are asked for but not in the record. Reports do not prolong the axis: an export chosen by date of occurrence goes on
    to report for years after, and the axis would end in days that only look empty. With an `issue_hour` that is not
    local midnight the axis begins at that hour, up to a day before the first day, and ends at it, up to a day before
    the end of `source.last_day`. A first day is left out too if its first half is empty where `CUT` events were to be
    expected, unless days are asked for (in summer, and with an issue hour, days of the axis are not those of the
    calendar); of local days and months one that the record begins in the midst of.

    Args:
        frame: columns `occurred_at` and `reported_at` of the event table, [e].
        config: of the city.
        time_zone: of the city.
        precision: of the times of occurrence: `time`, `day` or `month`.

    Raises:
        ConfigError: the configured days hold none of the record, or an issue hour is given for days or months.
    """
    step = step_of(config.time.step, time_zone)
    times, reported = frame["occurred_at"], frame["reported_at"]
    earliest, latest = times.min(), times.max()
    slack = CUT / len(frame) * max(latest - earliest, DAY)
    latest = _before_strays(times, STRAY * max(slack, pd.Timedelta(days=max(1.0, step.days))))
    newest = latest if precision == "time" else step_of(precision, time_zone).times(latest, [1])[0]
    reported = reported[reported.dt.microsecond != LAST_MICROSECOND]
    newest = max(newest, reported.max()) if reported.notna().any() else newest
    record = _Record(earliest, latest, earliest - slack, newest + slack)
    return _hourly(record, config, step) if step.unit == "hour" else _local(record, config, step)


def _hourly(record: _Record, config: Config, step: Step) -> Axis:
    source = config.source
    offset = hours.standard_offset(step.time_zone, pd.Timestamp(source.first_day or record.earliest)).ceil("h")
    first = (record.earliest + offset).date()
    if source.first_day:
        first = max(source.first_day, min(first, (record.begin + offset).ceil("D").date()))
    last = source.last_day or (record.latest + offset).date()
    if last < first:
        raise _nothing_in(first, last, record)
    start, end = _midnight(first, offset), _midnight(last, offset) + DAY
    if config.issue_hour is not None:
        start -= (start.hour - config.issue_hour) % 24 * HOUR
    empty = min(record.begin, record.earliest - DAY / 2) >= start
    if empty and not source.first_day and start + 2 * DAY <= end:
        start += DAY  # the hours before the record would pass for quiet ones
    days = (end - start) // DAY if source.last_day else -((start - end) // DAY)
    days = min(days, (record.end - start) // DAY)
    return Axis(start, max(days, 1) * 24, step, offset)


def _local(record: _Record, config: Config, step: Step) -> Axis:
    source = config.source
    if config.issue_hour is not None:
        raise ConfigError(f"issue_hour: forecasts of {step.unit}s are issued at their beginning. Leave it out.")
    zero = step.times(record.earliest, [0])[0]  # when the step that holds the earliest event begins
    begin = max(record.begin, step.midnight(source.first_day) if source.first_day else zero)
    over = step.times(record.latest, [1])[0]
    end = step.midnight(source.last_day + dt.timedelta(days=1)) if source.last_day else over
    first, last = step.since(zero, [begin, min(record.end, end)]).tolist()
    first += int(step.times(zero, [first])[0] < begin)
    if last <= first:
        what = f" whole {step.unit}"
        raise _nothing_in(source.first_day or begin.date(), source.last_day or end.date(), record, what)
    start = step.times(zero, [first])[0]
    return Axis(start, last - first, step, hours.standard_offset(step.time_zone, start).ceil("h"))


def _nothing_in(first: dt.date, last: dt.date, record: _Record, what: str = " day") -> ConfigError:
    return ConfigError(
        f"source.first_day, source.last_day: {first} to {last} holds no{what} of the record, {record.earliest} to "
        f"{record.latest}. Correct one of them."
    )


def _before_strays(times: pd.Series, empty: pd.Timedelta) -> pd.Timestamp:
    """The last of the times, or the last before an `empty` stretch that fewer than `CUT` follow."""
    last = times.nlargest(CUT).sort_values()
    far = np.flatnonzero(last.diff().iloc[1:] > empty)
    return last.iloc[far[0] if far.size else -1]


def _midnight(day: dt.date, offset: pd.Timedelta) -> pd.Timestamp:
    return pd.Timestamp(day, tz="UTC") - offset
