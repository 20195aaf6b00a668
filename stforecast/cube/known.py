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
        length = _length(frame["occurred_until"], axis, first).astype(np.int32)
        spread = (length > 1) & (length <= SPAN_HOURS) & (spans == "aoristic")
        last = np.where(spread, first + length - 1, first).astype(np.int32)
        known = last.astype(np.int64) + embargo_hours
        if reported:
            at = frame["reported_at"]
            known = np.where(at.isna(), known, np.maximum(known, axis.step(at)))
        return EventSteps(first, last, known.astype(np.int32), length)


def _length(occurred_until: pd.Series, axis: Axis, first: np.ndarray) -> np.ndarray:
    """How many hours the span of each event touches, int64; 1 where there is none. Its end is not part of it."""
    last = axis.step(occurred_until - pd.Timedelta(microseconds=1))
    return np.where(occurred_until.isna(), 1, np.maximum(last - first, 0) + 1)
