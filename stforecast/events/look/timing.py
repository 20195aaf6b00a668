"""How the times of a table are read: order of dates, clock, local time or UTC, precision."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stforecast.config.sections import DateOrder, Source
from stforecast.errors import DataError
from stforecast.events.clean import clean
from stforecast.events.clocks import DAY
from stforecast.events.hours import LEAST, better_reading, written
from stforecast.events.look.written import Entry
from stforecast.events.reading import reading_of, stated
from stforecast.events.times import Reading

HOURLY = 0.97
"""Share of times on the hour from which they are hours and no more."""
_ASKED = re.compile(r"source\.(date_order|clock|times_are)")


@dataclass(frozen=True)
class Timing:
    """The source with what was found, how its texts are read, the keys to be written, and the precision in words."""

    source: Source
    reading: Reading
    entries: list[Entry]
    precision: str


def timing_of(
    frame: pd.DataFrame, draft: Source, zoned: bool, likely: DateOrder, origin: str, now: pd.Timestamp
) -> Timing:
    """What the times of some rows tell; a question that they leave open is answered by the likeliest guess.

    Args:
        zoned: the time zone of the draft is that of the places.
        likely: the order of day, month and year that is taken where the dates leave it open.
    """
    entries = []
    while True:
        told = clean(frame, draft, now, stated(draft)).told
        try:
            reading = reading_of({Path(origin): told}, draft)[0][Path(origin)]
            break
        except DataError as error:
            found = _ASKED.search(str(error))
            if not found or getattr(draft, found[1]) is not None:
                raise
            guess = {"date_order": likely, "clock": "hours", "times_are": "local"}[found[1]]
            draft = draft.model_copy(update={found[1]: guess})
            entries.append(Entry(f"source.{found[1]}", asks=f"{error} The ten rows take {guess}."))
    cleaned = clean(frame, draft, now, reading)
    occurred = cleaned.events["occurred_at"].to_numpy("datetime64[us]").astype(np.int64)
    if told.orders() and draft.date_order is None:
        draft = draft.model_copy(update={"date_order": reading.order})
        entries.append(Entry("source.date_order", reading.order, "as the days beyond the 12th tell"))
    if draft.times_are is None and zoned and (how := better_reading(written(cleaned.told), cleaned.told, draft)):
        reason = f"by the hours of the day, which are a city's only if times are {how}"
        draft = draft.model_copy(update={"times_are": how.lower()})
        entries.append(Entry("source.times_are", how.lower(), reason))
    hourly = float(np.mean(occurred % (DAY // 24) == 0)) >= HOURLY if len(occurred) >= LEAST else False
    return Timing(draft, reading, entries, "whole hours" if hourly else "to the minute")
