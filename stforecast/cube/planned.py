"""Calendars of planned events: festivals with a place and a crowd, matches that come every week, school holidays.

The value at a cell and step is the share of the step that an event takes, times log(1 + attendance), of one where none
is given; of a cell whose centre lies within the radius, of the one that holds the place itself, or, without a place, of
all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stforecast.cube.axis import Axis
from stforecast.cube.covariates import EVERYWHERE, ROWS
from stforecast.cube.geometry import Geometry
from stforecast.cube.steps import instants_of
from stforecast.cube.tables import local_times, next_step, numbers
from stforecast.errors import DataError

KNOWN = ("start", "end", "name", "latitude", "longitude", "radius", "attendance", "announced", "repeat", "until")
"""Columns of a calendar."""
REPEATS = {
    "daily": pd.DateOffset(days=1),
    "weekly": pd.DateOffset(weeks=1),
    "yearly": pd.DateOffset(years=1),
}
EARTH_KM = 6371.0088


def rows_of(
    name: str, path: str | Path, table: pd.DataFrame, axis: Axis, horizons: int, geometry: Geometry, end: int
) -> tuple[pd.DataFrame, list[str]]:
    """Rows of a covariate from a calendar, and what is odd.

    An event is known from the step that begins when it is `announced` or next after it; without that, a horizon before
    the step in which it starts, so that every forecast of it knows it.

    Raises:
        DataError: a column is unknown or missing, or a value is not what it must be.
    """
    if missing := [key for key in ("start", "end") if key not in table]:
        raise DataError(f"{path}: no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}.")
    if odd := [str(key) for key in table if key not in KNOWN]:
        raise DataError(f"{path}: unknown column {odd[0]}; a calendar has some of {', '.join(KNOWN)}.")
    table = table.reindex(columns=list(KNOWN)).astype(object)
    table = table.where(table.notna(), None)
    place = {key: numbers(table[key], path) for key in ("latitude", "longitude", "radius", "attendance")}
    if (np.isnan(place["latitude"]) != np.isnan(place["longitude"])).any():
        raise DataError(
            f"{path}: an event has a latitude or longitude alone. Give both, or neither for the whole city."
        )
    parts, outside, until = [], 0, axis.time_of(end)
    for i, event in enumerate(table.to_dict("records")):
        steps = _steps(path, event, axis, horizons, until)
        cells = np.array([EVERYWHERE])
        if not np.isnan(place["latitude"][i]):
            cells = _within(geometry, *(place[key][i] for key in ("latitude", "longitude", "radius")))
        outside += not len(cells)
        crowd = place["attendance"][i]
        steps["value"] *= np.log1p(1 if np.isnan(crowd) else max(crowd, 0))
        parts.append(steps.merge(pd.DataFrame({"cell": cells}), how="cross"))
    rows = pd.concat(parts) if parts else pd.DataFrame(columns=list(ROWS))
    messages = [f"{outside:,} of {len(table):,} events of {name} lie in no {geometry.word}."] if outside else []
    return rows, messages


def _steps(path: str | Path, event: dict[Any, Any], axis: Axis, horizons: int, until: pd.Timestamp) -> pd.DataFrame:
    """The steps that an event and its repetitions take: first, last, known, and the share taken as value."""
    zone = axis.step.time_zone
    begin, end = (_local(event[key], key, path, zone) for key in ("start", "end"))
    if begin is None or end is None or end <= begin:
        raise DataError(f"{path}: an event from {event['start']} to {event['end']}. Give a start, and an end after it.")
    shifts, repeat = [begin], event["repeat"]
    if repeat is not None:
        if repeat not in REPEATS:
            raise DataError(f"{path}: repeat is {repeat!r}; expected {', '.join(REPEATS)} or nothing.")
        last = _local(event["until"], "until", path, zone) or until.tz_convert(zone).tz_localize(None)
        shifts = list(pd.date_range(begin, last, freq=REPEATS[repeat], inclusive="left"))
    elif event["until"] is not None:
        raise DataError(f"{path}: until {event['until']} without repeat. Say {', '.join(REPEATS)}, or leave it out.")
    starts, ends = (instants_of(pd.DatetimeIndex(shifts) + length, zone) for length in (begin - begin, end - begin))
    first, after = axis.step.since(axis.start, starts), next_step(axis, ends)
    announced = _local(event["announced"], "announced", path, zone)
    known = first - horizons
    if announced is not None:
        known = np.full(len(first), next_step(axis, instants_of(pd.DatetimeIndex([announced]), zone))[0])
    frames, final = [], np.maximum(first + 1, after - 1)
    for low, high in ((first, first + 1), (first + 1, after - 1), (final, after)):
        a, b = axis.step.times(axis.start, low), axis.step.times(axis.start, np.maximum(high, low + 1))
        share = (np.minimum(b, ends) - np.maximum(a, starts)) / (b - a)
        whole = np.minimum(np.asarray(share, np.float64), 1)
        frames.append(pd.DataFrame({"first": low, "last": high, "known": known, "value": whole})[high > low])
    return pd.concat(frames)


def _local(text: str | None, key: str, path: str | Path, zone: str) -> pd.Timestamp | None:
    """A local time without a zone; a day alone is its beginning where an event starts, and else its end."""
    if text is None:
        return None
    at = local_times(pd.Series([text], name=key), path, zone)[0]
    local = at.tz_convert(zone).tz_localize(None)
    return local + pd.Timedelta(days=1) if key != "start" and len(text) == 10 else local


def _within(geometry: Geometry, latitude: float, longitude: float, radius: float) -> np.ndarray:
    """The cells whose centre lies within a radius in km, and the one that holds the place."""
    a, b = (np.radians(x) for x in (geometry.centres.T, np.array([latitude, longitude])))
    half = np.sin((a[0] - b[0]) / 2) ** 2 + np.cos(a[0]) * np.cos(b[0]) * np.sin((a[1] - b[1]) / 2) ** 2
    near = 2 * EARTH_KM * np.arcsin(np.sqrt(half)) <= (0 if np.isnan(radius) else radius)
    here = geometry.rows(np.array([latitude]), np.array([longitude]))
    return np.union1d(np.flatnonzero(near), here[here >= 0])
