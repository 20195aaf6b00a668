"""What answers look like, for the OpenAPI document; the answers themselves are made in `answers`."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pydantic import BaseModel, Field


class Problem(BaseModel):
    error: str = Field(description="what is wrong, in one line")


class GridFacts(BaseModel):
    grid_id: int
    city: str
    issue_time: dt.datetime = Field(description="begin of the first hour")
    valid_until: dt.datetime = Field(description="end of the last hour")
    complete_until: dt.datetime = Field(description="reports were used up to here")
    model: str
    notice: str
    stale: bool = Field(description="whether the grid cannot be relied on any more")
    stale_reason: str | None


class Latest(GridFacts):
    created: dt.datetime
    categories: list[str]
    hexagons: int
    resolution: int
    time_zone: str
    step_hours: int
    assumptions: list[str] = Field(description="what was missing when the grid was made")


class Values(BaseModel):
    rank: int = Field(description="1 is the highest intensity of the interval and category, in the whole city")
    intensity: float = Field(description="expected number of reported offences")
    risk: float = Field(description="probability of at least one")
    usual: float | None = Field(None, description="expected number at such an hour by the average of past weeks")
    low: int | None = Field(None, description="of the 24 hours: the count is lower one time in twenty at most")
    high: int | None = Field(None, description="of the 24 hours: the count is higher one time in twenty at most")


class Row(Values):
    hexagon: str
    latitude: float
    longitude: float


class Risk(BaseModel):
    grid: GridFacts
    valid_from: dt.datetime
    valid_until: dt.datetime
    category: str
    rows: list[Row] = Field(description="in the order of rank")


class OfCategory(Values):
    category: str


class Interval(BaseModel):
    valid_from: dt.datetime
    valid_until: dt.datetime
    categories: list[OfCategory]


class Hour(Interval):
    local_hour: int


class Hexagon(BaseModel):
    grid: GridFacts
    hexagon: str
    latitude: float
    longitude: float
    district: str | None
    day: Interval
    hours: list[Hour]


class Model(BaseModel):
    grid: GridFacts
    name: str = Field(description="the run")
    forecaster: str
    train_until: dt.datetime
    validation_until: dt.datetime
    categories: list[str]
    calibration: dict[str, list[float]] = Field(description="log λ′ = intercept + slope · log λ, by category")
    scorecard: dict[str, Any] | None = Field(
        description="on the days that it was tested on; null where the run was not evaluated"
    )


class DataStatus(BaseModel):
    grid: GridFacts
    record: dict[str, Any] = Field(description="its end, what the ingest counted, how late reports come")
    last_attempt: dt.datetime | None = Field(description="when a refresh last began")
    last_success: dt.datetime | None


class Usual(BaseModel):
    category: str
    intensity: float = Field(description="expected number of reported offences in such an hour")
    risk: float = Field(description="calibrated probability of at least one")


class Prediction(BaseModel):
    grid: GridFacts
    basis: str
    place: dict[str, Any]
    weekday: int
    hour: int
    month: int
    categories: list[Usual]
