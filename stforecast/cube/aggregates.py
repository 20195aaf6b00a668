"""Counts that analysts ask for, from all events of the record, wherever they lie; Parquet beside the cube.

by_district_day.parquet   district, local_date, category, events, arrest_known, arrests, arrest_share
by_hour_weekday.parquet   local_weekday (0 = Monday), local_hour, category, events, hours, arrest_known, arrests,
                          arrest_share

`arrest_share` is that of the events of which the publisher says whether an arrest was made (`arrest_known`); null where
there is none. A district, day and category without events has no row; of months the day is the first. The second table
has the events of the time axis that were recorded, and in `hours` how many such hours that is, so that events / hours
is a mean; of a record of days or months it is empty.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from stforecast.config import Config
from stforecast.cube.cube import Cube
from stforecast.cube.districts import district_of_centres, named
from stforecast.cube.recorded import city_record
from stforecast.events.schema import EventTable

UNKNOWN_DISTRICT = "unknown"
"""Of events without a district; no district is named so (`districts.UNKNOWN`)."""
KEYS = {
    "by_district_day": ("district", "local_date", "category"),
    "by_hour_weekday": ("local_weekday", "local_hour", "category"),
}
"""Columns by which a row of each table is known."""
HALF_AN_HOUR = pd.Timedelta(minutes=30)
"""Where a zone is not whole hours from UTC, an hour of UTC stands for the local hour that holds most of it."""


def aggregates(events: EventTable, config: Config) -> dict[str, pd.DataFrame]:
    """The tables by name, sorted by their keys; none where no time axis fits the record.

    Raises:
        DataError: the file of `grid.districts` cannot be used.
    """
    record = city_record(events, config)
    if record is None:
        return {}
    frame = events.columns(("occurred_at", "latitude", "longitude", "category", "district", "arrest"))
    local = frame["occurred_at"].dt.tz_convert(record.time_zone).dt.tz_localize(None)
    frame = frame.assign(
        category=pd.Categorical(frame["category"], categories=list(record.categories)),
        district=_districts(frame, config),
        local_date=local.dt.floor("D").astype("datetime64[s]"),
        local_weekday=local.dt.weekday.astype("int8"),
        local_hour=local.dt.hour.astype("int8"),
    )
    by_day = _counts(frame, KEYS["by_district_day"]).reset_index()
    by_hour = _by_hour(frame, record)
    tables = {
        "by_district_day": by_day.assign(local_date=by_day["local_date"].dt.date),
        "by_hour_weekday": by_hour if events.precision == "time" else by_hour[:0],
    }
    return {name: table.assign(category=table["category"].astype("str")) for name, table in tables.items()}


def _counts(frame: pd.DataFrame, keys: Sequence[Hashable]) -> pd.DataFrame:
    arrest = frame["arrest"]
    known = {"arrest_known": arrest.notna(), "arrests": arrest.fillna(False).astype(bool)}
    groups = frame.assign(**known).groupby(list(keys), observed=True)
    out = groups.agg(events=("category", "size"), arrest_known=("arrest_known", "sum"), arrests=("arrests", "sum"))
    return out.assign(arrest_share=out["arrests"] / out["arrest_known"].where(out["arrest_known"] > 0))


def _by_hour(frame: pd.DataFrame, record: Cube) -> pd.DataFrame:
    masked = record.masked_before()
    recorded = np.ones((record.steps, record.c), bool) if masked is None else ~masked
    hours = pd.date_range(record.start, record.end, freq="h", inclusive="left")
    local = (hours + HALF_AN_HOUR).tz_convert(record.time_zone)
    number = np.zeros((7, 24, record.c), np.int64)
    np.add.at(number, (local.weekday, local.hour), recorded[record.axis.steps_of(hours.to_series())])
    step = record.axis.steps_of(frame["occurred_at"])
    on_axis = (step >= 0) & (step < record.steps)
    on_axis[on_axis] = recorded[step[on_axis], frame["category"].cat.codes.to_numpy()[on_axis]]
    keys = KEYS["by_hour_weekday"]
    every = pd.MultiIndex.from_product([range(7), range(24), record.categories], names=keys)
    found: Any = _counts(frame[on_axis], keys).reindex(every)
    counts = found[["events", "arrest_known", "arrests"]].fillna(0).astype("int64")
    out = counts.assign(arrest_share=found["arrest_share"]).reset_index()
    out.insert(4, "hours", number.ravel())
    return out.astype({"local_weekday": "int8", "local_hour": "int8"})


def _districts(frame: pd.DataFrame, config: Config) -> np.ndarray:
    """The district of each event: the publisher's, else that of `grid.districts` at its point."""
    found = named(frame["district"].astype(object)).to_numpy(object, copy=True)
    if config.grid.districts is not None:
        at = np.flatnonzero(pd.isna(found) & frame["latitude"].notna().to_numpy())
        points = frame[["latitude", "longitude"]].iloc[at]
        path, key = config.input(config.grid.districts), config.grid.district_key
        if at.size:
            found[at] = district_of_centres(path, key, *points.to_numpy().T)
    return np.where(pd.isna(found), UNKNOWN_DISTRICT, found)
