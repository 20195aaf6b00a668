"""EventTable + covariates → Cube: the study area, when each event became known, and how long it may have taken.

The study area rests on reports that were known when the training slice ended, and on nothing later. An event with a
span is a count at its start; where `grid.spans` is aoristic, the inputs have it in equal parts over the span's hours,
and it is not known before the last of them has passed.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import pyarrow as pa

from stforecast.config import Config
from stforecast.cube import recorded
from stforecast.cube.axis import SPANS, Axis, choose_axis, known_times
from stforecast.cube.covariate_files import read_covariates
from stforecast.cube.cube import Cube, Series
from stforecast.cube.steps import utc
from stforecast.cube.study_area import cell_table, study_area
from stforecast.cube.weather import coverage, read_weather
from stforecast.errors import ConfigError, DataError
from stforecast.events import sources
from stforecast.events.kinds import kind_shares
from stforecast.events.schema import EventTable
from stforecast.scoring.splits import VALIDATION_DAYS, training_days

PLACE = ("latitude", "longitude", "area", "district")
READ = ("occurred_at", "occurred_until", "reported_at", *PLACE, "category")
"""Columns of the event table that a cube is made of."""
LATE = "Observed weather comes about 5 days late: tests read it up to the issue time, live forecasts do without."
RUNS = "Archived weather forecasts count from the start of a model's run, which comes out some hours later."
SHORT = 180
"""Days of a training slice from which on a cell needs all of `grid.min_events`."""
LEARNED = 90
"""Days of the training slice (of a short one half) of which weather that is fetched must be there, or it is not read:
what a channel does cannot be learned from less than a season."""


def build(
    events: EventTable, config: Config, cells: Sequence[str] | None = None, train_until: pd.Timestamp | None = None
) -> Cube:
    """Bin the events into steps, cells and categories, and attach graph, districts and weather.

    `cells` are those of a trained run, by name; without them the study area is `grid.area`, else the cells with
    `grid.min_events` events in the training slice (proportionally fewer in a short one), which ends at `train_until`,
    else at `split.train`.

    Raises:
        ConfigError: the source, a date, a unit or the trained run's cells do not fit.
        DataError: the study area is empty, or a weather or polygon file cannot be used.
        ArtefactError: `cells` are to be H3 cells of one resolution, and are not.
    """
    frame = events.columns(READ)
    if frame.empty:
        raise DataError(f"{config.city}: no event. Correct source.path, or source.first_day and source.last_day.")
    source = sources.resolve(config.source)
    time_zone = str(source.time_zone)
    known_at = known_times(events, frame["reported_at"], config.known_time)
    axis = choose_axis(frame, config, time_zone, events.precision)
    hour, until, known, length = axis.event_steps(frame, config.grid.spans, config.embargo_hours, known_at)
    on_axis = (hour >= 0) & (hour < axis.steps)
    train = _train_step(config, axis, train_until)
    seen = on_axis & (hour < train) & (known < train)
    area = study_area(frame, seen, _asking_less(config, train * axis.step.days), cells)
    row, geometry = area.row, area.geometry
    category = pd.Categorical(frame["category"], categories=list(events.categories)).codes
    gaps = recorded.gaps_of(config, axis, events.categories)
    unrecorded = recorded.in_gaps(gaps, hour, category)
    keep = on_axis & (row >= 0) & ~unrecorded
    if not keep.any():
        raise DataError(
            f"{config.city}: none of {len(frame)} events lies in the study area ({area.rule}, {len(geometry.names)} "
            f"{geometry.word}s) between {axis.start} and {axis.end}. Correct grid.area or grid.polygons, "
            "source.first_day or source.last_day."
        )
    hexagons = cell_table(area, config, seen & keep, frame["district"])
    end = axis.steps + axis.step.ahead + config.horizons  # of the last forecast
    beside = read_covariates(config, axis, geometry, hexagons, end)
    hexagons = hexagons.assign(**beside.columns)
    fallbacks = [
        *beside.messages,
        *events.meta.get("doubts", []),
        *area.messages,
        *_fallbacks(config, events, frame, known_at),
    ]
    fallbacks += axis.warnings(config, hour)
    total = len(frame)
    del frame  # its memory is wanted for the cells
    pa.default_memory_pool().release_unused()
    weather, future = _weather(config, axis, end)
    if config.weather.source is not None:
        least = min(axis.step.in_days(LEARNED), train // 2)
        weather, future = weather.seen_before(train, least), future.seen_before(train, least)
        fallbacks += [LATE] * bool(weather.names) + [RUNS] * bool(future.names)
    counts = {
        "table": total,
        "outside_axis": int((~on_axis).sum()),
        "outside_area": int((on_axis & (row < 0)).sum()),
        "kept": int(keep.sum()),
    }
    later = on_axis & (hour >= train)
    if gaps:
        counts["in_gaps"] = int((on_axis & (row >= 0) & unrecorded).sum())
    notes: dict[str, Any] = {
        "events": counts,
        "later_events": {"outside_area": int((later & (row < 0)).sum()), "kept": int((later & keep).sum())},
        "known_time": "occurred" if known_at is None else config.known_time,
        "embargo_hours": config.embargo_hours,
        "known_in_same_step": round(float((known[keep] == hour[keep]).mean()), 4),
        "spans": {
            "rule": config.grid.spans,
            "longest": axis.step.words(SPANS[axis.step.unit]),
            "over_1_step": round(float((length[keep] > 1).mean()), 4),
            "too_long": round(float((length[keep] > SPANS[axis.step.unit]).mean()), 4),
        },
        "train_until": axis.time_of(train).isoformat(),
        "study_area": area.rule,
        **area.notes,
        "precision": events.precision,
        "issue_hour": int(axis.start.hour),
        "weather_coverage": coverage(weather, axis.steps),
        "future_coverage": coverage(future, axis.steps),
    }
    cube = Cube.from_events(
        hour[keep],
        row[keep],
        category[keep],
        known[keep],
        until_hour=until[keep] if (until > hour).any() else None,
        name=config.city,
        start=axis.start,
        steps=axis.steps,
        categories=events.categories,
        kinds=kind_shares(source),
        hexagons=hexagons,
        edges=geometry.edges,
        polygons=geometry.polygons,
        time_zone=time_zone,
        step_hours=axis.step.hours,
        step_unit=axis.step.unit,
        horizons=config.horizons,
        resolution=geometry.resolution,
        country=config.grid.country,
        subdivision=config.grid.subdivision,
        weather=weather,
        future=future,
        covariates=beside.covariates,
        gaps=gaps,
    )
    notes |= {"holes": recorded.hole_list(cube), "fallbacks": [*fallbacks, *recorded.hole_messages(cube)]}
    return replace(cube, notes=notes)


def _train_step(config: Config, axis: Axis, train_until: pd.Timestamp | None) -> int:
    """The step after the training slice."""
    split = config.split
    if train_until is not None:
        step = int(axis.step.since(axis.start, [utc(train_until)])[0])
    elif isinstance(split.train, dt.date):
        step = axis.day_step(split.train)
    else:
        day, gap, enough = axis.step.per_day, split.gap // axis.step.hours, axis.step.in_days(VALIDATION_DAYS)
        days, horizons = axis.steps // day, config.horizons
        step = training_days(split.train, split.validation, days, day, gap, horizons, enough // day) * day
    if step <= 0:
        raise ConfigError(
            f"split.train: the training slice ends {axis.time_of(step)}, and the data begin {axis.start}. "
            "Give more days, a larger share of them, or a later date."
        )
    return min(step, axis.steps)


def _asking_less(config: Config, days: float) -> Config:
    """The configuration with `grid.min_events` in proportion to a training slice of less than SHORT days."""
    least = math.ceil(config.grid.min_events * min(1.0, days / SHORT))
    return config.model_copy(update={"grid": config.grid.model_copy(update={"min_events": least})})


def _weather(config: Config, axis: Axis, end: int) -> tuple[Series, Series]:
    """Observed channels of the axis, and channels known in advance of the steps before `end`."""
    settings = config.weather
    if settings.observed_as_forecast and (settings.path is None or settings.forecast_path is not None):
        raise ConfigError("weather.observed_as_forecast: needs weather.path, and no weather.forecast_path beside it.")
    ahead = settings.path if settings.observed_as_forecast else settings.forecast_path

    def read(path: str | None, steps: int) -> Series:
        return Series() if path is None else read_weather(config.input(path), settings, axis, steps)

    return read(settings.path, axis.steps), read(ahead, end)


def _fallbacks(config: Config, events: EventTable, frame: pd.DataFrame, known_at: pd.Series | None) -> list[str]:
    """What was assumed, in plain sentences."""
    messages = []
    later = f"{config.embargo_hours} hours after the {config.time.step} it occurred in"
    if config.known_time == "first_seen":
        messages.append(_observed(events, frame, later))
    elif known_at is None and config.known_time == "reported":
        messages.append(f"No report time in the table: each event counts as known {later}.")
    elif known_at is not None and (unknown := int(known_at.isna().sum())):
        messages.append(f"{unknown} events have no report time: such an event counts as known {later}.")
    if config.weather.observed_as_forecast:
        messages.append("Observed weather stands for a forecast of it: the skill that it brings is an upper bound.")
    return messages


def _observed(events: EventTable, frame: pd.DataFrame, later: str) -> str:
    """Since when it is observed when events become known, and what stands for it in the others."""
    assert events.first_seen is not None
    unseen, reported = events.first_seen.isna(), frame["reported_at"].notna()
    lags = (events.first_seen - frame["occurred_at"]).dropna().dt.total_seconds() / 3600
    text = f"Since the first ingest, {events.meta['observed_from']}, it is observed when an event becomes known"
    text += f": {len(lags):,} events, half of them within {lags.median():,.0f} hours. " if len(lags) else ". "
    others = {"when it was reported": unseen & reported, later: unseen & ~reported}
    counts = [f"{which.sum():,} others count as known {how}" for how, which in others.items() if which.any()]
    return f"{text}{'; '.join(counts)}{'.' if counts else ''}".strip()
