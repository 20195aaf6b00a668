"""The steps of events: in which each occurred, and in which its report became known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stforecast.cube.axis import Axis

SPAN_HOURS = 24
"""Longest span that is spread; a longer one says little of the hour, and its event stays at the start."""


@dataclass(frozen=True)
class EventSteps:
    """Steps of events on an axis, int32 [e] each: the first and last in which an event may have occurred, and the one
    in which it became known; length: how many steps its span touches.
    """

    first: np.ndarray
    last: np.ndarray
    known: np.ndarray
    length: np.ndarray

    @staticmethod
    def of(frame: pd.DataFrame, axis: Axis, spans: str, embargo_hours: int, reported: bool) -> EventSteps:
        """The steps of events.

        Args:
            frame: columns `occurred_at`, `occurred_until` and `reported_at` of the event table, [e].
            axis: the cube's.
            spans: `grid.spans`: a span counts at its start, or (aoristic) over its steps, if it is no longer than
                SPAN_HOURS; it is not known before the last of them.
            embargo_hours: how long after it occurred an event becomes known at the earliest.
            reported: whether report times count; an event without one is known after the embargo.
        """
        first = axis.step(frame["occurred_at"]).astype(np.int32)
        until = frame["occurred_until"]  # its end is not part of a span
        touched = axis.step(until - pd.Timedelta(microseconds=1)) - first + 1
        length = np.where(until.isna(), 1, np.maximum(touched, 1)).astype(np.int32)
        spread = (length > 1) & (length <= SPAN_HOURS) & (spans == "aoristic")
        last = np.where(spread, first + length - 1, first).astype(np.int32)
        known = last.astype(np.int64) + embargo_hours
        if reported:
            at = frame["reported_at"]
            known = np.where(at.isna(), known, np.maximum(known, axis.step(at)))
        return EventSteps(first, last, known.astype(np.int32), length)
