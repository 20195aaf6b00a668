"""How the times of a table are read: order of dates, clock, local time or UTC, precision."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from stforecast.config.sections import DateOrder, Source, Unit
from stforecast.errors import DataError
from stforecast.events.clean import clean
from stforecast.events.examine.entries import ConfigEntry
from stforecast.events.facts import Facts, Findings
from stforecast.events.hour_checks import is_clock_open, likelier_clock
from stforecast.events.parsing.times_of_day import DAY
from stforecast.events.parsing.timestamp_columns import TimeFormat
from stforecast.events.precision import LEAST, STEPS
from stforecast.events.sources import IngestRules
from stforecast.events.time_formats import infer_time_formats

HOURLY = 0.97
"""Share of times on the hour from which they are hours and no more."""
_EPOCH = r"-?\d{9,14}"
_ASKED = re.compile(r"source\.(date_order|clock|times_are)")


@dataclass(frozen=True)
class TimeSettings:
    """The source with what was found, how its texts are read, the keys to be written, the precision in words and the
    step that follows from it."""

    source: Source
    time_format: TimeFormat
    entries: list[ConfigEntry]
    precision: str
    step: Unit


def infer_time_settings(
    frame: pd.DataFrame, draft: Source, zoned: bool, likely: DateOrder, origin: str, now: pd.Timestamp
) -> TimeSettings:
    """What the times of some rows tell; a question that they leave open is answered by the likeliest guess.

    Args:
        zoned: the time zone of the draft is that of the places.
        likely: the order of day, month and year that is taken where the dates leave it open.
    """
    entries = []
    while True:
        rules = IngestRules.of(draft, "month")  # which takes dates of any precision
        facts = clean(frame, rules, now).facts
        try:
            time_format = infer_time_formats({Path(origin): facts}, rules, Findings())[Path(origin)]
            if not facts.orders() or draft.date_order is not None:
                break
            # read with that order all dates tell how exact they are, and not those alone that have but one
            draft = draft.model_copy(update={"date_order": time_format.order})
            entries.append(ConfigEntry("source.date_order", time_format.order, "as the days beyond the 12th tell"))
        except DataError as error:
            found = _ASKED.search(str(error))
            if not found or getattr(draft, found[1]) is not None:
                raise
            guess = {"date_order": likely, "clock": "hours", "times_are": "local"}[found[1]]
            draft = draft.model_copy(update={found[1]: guess})
            entries.append(ConfigEntry(f"source.{found[1]}", question=f"{error} The ten rows take {guess}."))
    cleaned = clean(frame, rules, now, time_format)
    occurred = cleaned.events["occurred_at"].cast(pa.int64()).to_numpy()
    timed = time_format.precision == "time"
    if timed and draft.times_are is None and zoned and (entry := clock_entry(cleaned.facts, rules.source, frame)):
        draft = draft.model_copy(update={"times_are": entry.value})
        entries.append(entry)
    hourly = float(np.mean(occurred % (DAY // 24) == 0)) >= HOURLY if len(occurred) >= LEAST else False
    words = ("whole hours" if hourly else "to the minute") if timed else f"{time_format.precision}s"
    return TimeSettings(draft, time_format, entries, words, STEPS[time_format.precision])


def clock_entry(facts: Facts, source: Source, frame: pd.DataFrame) -> ConfigEntry | None:
    """The key that says whether times are local or UTC, where it takes one.

    Args:
        facts: what the texts tell.
        source: names the time zone, and not how times are written.
        frame: the texts.
    """
    if how := likelier_clock(facts, source):
        reason = f"by the hours of the day, which are a city's only if times are {how}"
        return ConfigEntry("source.times_are", how.lower(), reason)
    if frame["occurred"].str.fullmatch(_EPOCH).mean() > 0.5 and is_clock_open(facts, source):
        question = (
            "the times are counted from 1970: in UTC, as the ten rows take it, or in local time? The hours of the day "
            "do not tell; compare a row with the publisher's page, and set utc or local"
        )
        return ConfigEntry("source.times_are", question=question)
    return None
