"""What answers look like, for the OpenAPI document; the answers themselves are made in `answers`."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pydantic import BaseModel, Field

from stforecast.config.sections import Unit

PLACE = "what a reader calls the hexagon: a crossing, a street, or where it lies in its area; null in older grids"


class Problem(BaseModel):
    error: str = Field(description="what is wrong, in one line")


class RateFacts(BaseModel):
    of: str = Field(description="what rates are per: a covariate of the configuration")
    per: int = Field(description="rates are per so many of them, or of their hours")
    smallest: float = Field(description="no rate of fewer; of exposure, of fewer on average over the interval")
    exposure: bool = Field(description="whether hours of those who are there count, not heads")
    words: str
    rule: str = Field(description="where no rate is shown, in words")
    masked: int = Field(description="hexagons without a rate over the whole horizon")


class GridFacts(BaseModel):
    grid_id: int
    city: str
    issue_time: dt.datetime = Field(description="begin of the first step")
    valid_until: dt.datetime = Field(description="end of the last step")
    complete_until: dt.datetime = Field(description="reports were used up to here")
    model: str
    notice: str
    stale: bool = Field(description="whether the grid cannot be relied on any more")
    stale_reason: str | None
    rate: RateFacts | None = Field(None, description="of `rate` in the rows; absent where the city has none")


class Latest(GridFacts):
    created: dt.datetime
    categories: list[str]
    hexagons: int
    cell: str = Field(description="what stands in `hexagon`: the H3 name of a hexagon, or the code of an area")
    resolution: int | None = Field(description="of H3; null where cells are areas of the city's own")
    time_zone: str
    step: Unit = Field(description="whether steps are hours, or local days or months")
    step_hours: int = Field(description="of days and months the usual number")
    assumptions: list[str] = Field(description="what was missing when the grid was made")
    credits: list[str] = Field(description="how the publishers of the data are to be named")


class Listed(BaseModel):
    grid_id: int
    issue_time: dt.datetime
    model: str
    created: dt.datetime


class Grids(BaseModel):
    grid: GridFacts = Field(description="the one that is served")
    grids: list[Listed] = Field(description="all that the store holds, the newest first")


class ComparedSpan(BaseModel):
    name: str
    label: str
    from_: dt.datetime = Field(alias="from")
    until: dt.datetime
    before_from: dt.datetime = Field(description="of the span a year before")
    before_until: dt.datetime


class OutcomeRow(BaseModel):
    category: str
    expected: float
    came: int
    top: float | None = Field(
        description="share of what came in the top hexagons; null where it would tell small counts"
    )
    inside: float | None = Field(description="share of hexagons whose count lay in its range")


class Outcome(BaseModel):
    issue_time: dt.datetime
    label: str
    model: str
    in_advance: bool = Field(description="whether it was made before its first step was over")
    level: float | None = Field(description="of the ranges")
    top_share: float
    categories: list[OutcomeRow]


class Comparison(BaseModel):
    grid: GridFacts
    until: dt.datetime = Field(description="where the spans end")
    until_label: str
    horizon: str = Field(description="how long the forecast is, of which `expected` is")
    corrected: bool = Field(description="whether the year before is counted at the same age, and there are estimates")
    notes: list[str]
    spans: list[ComparedSpan]
    table: dict[str, list[Any]] = Field(description="columns; a row a district (null: the city), category and span")
    earlier: Outcome | None = Field(description="the newest forecast whose reports are in, against what came")


class Values(BaseModel):
    rank: int = Field(description="1 is the highest intensity of the interval and category, in the whole city")
    intensity: float = Field(description="expected number of reported offences")
    risk: float = Field(description="probability of at least one")
    usual: float | None = Field(None, description="expected number at such a time by the average of the past")
    rate: float | None = Field(None, description="expected number as `grid.rate` says it; null where none is shown")
    denominator: float | None = Field(None, description="residents, or hours of exposure; null where not known")
    low: int | None = Field(None, description="of the whole horizon: the count is lower one time in twenty at most")
    high: int | None = Field(None, description="of the whole horizon: the count is higher one time in twenty at most")


class Row(Values):
    place: str | None = Field(description=PLACE)
    hexagon: str
    latitude: float
    longitude: float


class Risk(BaseModel):
    grid: GridFacts
    valid_from: dt.datetime
    valid_until: dt.datetime
    category: str
    rows: list[Row] = Field(description="in the order of rank")


class Area(BaseModel):
    district: str | None = Field(description="null: the whole city")
    hexagons: int
    intensity: float = Field(description="expected number of reported offences")
    risk: float = Field(description="probability of at least one")
    low: int | None = Field(None, description="of the range that holds the count nine times in ten")
    high: int | None = Field(None, description="likewise; both are absent where nothing is known of it")


class Sum(BaseModel):
    grid: GridFacts
    valid_from: dt.datetime
    valid_until: dt.datetime
    category: str
    hexagons: int
    area_km2: float
    intensity: float = Field(description="expected number of reported offences")
    risk: float = Field(description="probability of at least one")
    share: float | None = Field(description="of what is expected in the whole city")
    usual: float | None = Field(None, description="expected number at such a time by the average of the past")
    low: int | None = Field(None, description="of the range that holds the count nine times in ten")
    high: int | None = Field(None, description="likewise; both are absent where nothing is known of it")


class Areas(BaseModel):
    grid: GridFacts
    valid_from: dt.datetime
    valid_until: dt.datetime
    category: str
    rows: list[Area] = Field(description="the whole city, then its districts by name")


class Covered(BaseModel):
    places: int
    area_km2: float
    share_of_area: float
    expected: float = Field(description="expected number of reported offences")
    share: float = Field(description="of those expected in the whole city")
    low: int | None = Field(description="of the range that holds the count `level` of the time; null where not known")
    high: int | None
    weighted: float = Field(description="expected number, each report by the weight of its category")
    weighted_share: float


class Plan(BaseModel):
    grid: GridFacts
    purpose: str
    valid_from: dt.datetime
    valid_until: dt.datetime
    shift: dict[str, Any] | None = Field(description="label, hours, and how much of it the grid holds")
    rule: str
    budget: dict[str, Any] = Field(description="`unit` (places or km2), and `of` each district or the city")
    weights: dict[str, float]
    level: float | None = Field(description="of the ranges")
    covered: Covered
    usual_top_places: Covered | None = Field(description="the same rule and budget, by what is usual")
    greedy: dict[str, Any] = Field(description="what the greedy rule covers, and how far it is below the best at most")
    left_out: dict[str, str] = Field(description="hexagon: reason")
    in_words: list[str]
    places: list[dict[str, Any]] = Field(description="as in places.csv")
    districts: list[dict[str, Any]] = Field(description="how places fall on districts, in shares")
    tenths: dict[str, list[dict[str, Any]]] = Field(description="and on tenths of the city by who lives there")


class Part(BaseModel):
    group: str
    words: str
    log_part: float = Field(description="over the groups they add up to the logarithm of `intensity`")
    factor: float = Field(description="what the usual is multiplied by; of `usual` the expected number itself")


class Why(BaseModel):
    grid: GridFacts
    hexagon: str
    place: str | None = Field(description=PLACE)
    category: str
    offences: list[str] = Field(description="that the category asks for; of `all` none")
    valid_from: dt.datetime
    valid_until: dt.datetime
    intensity: float = Field(description="expected number of reported offences")
    parts: list[Part]


class OfCategory(Values):
    category: str


class Interval(BaseModel):
    valid_from: dt.datetime
    valid_until: dt.datetime
    categories: list[OfCategory]


class Step(Interval):
    local_hour: int | None = Field(None, description="of a grid of hours: the local hour in which it begins")
    local_date: dt.date | None = Field(
        None, description="of a grid of days or months: the local date on which it begins"
    )


class Hexagon(BaseModel):
    grid: GridFacts
    place: str | None = Field(description=PLACE)
    hexagon: str
    latitude: float
    longitude: float
    district: str | None
    horizon: Interval = Field(description="all steps together")
    steps: list[Step]


class Model(BaseModel):
    grid: GridFacts
    name: str = Field(description="the run")
    forecaster: str
    train_until: dt.datetime
    validation_until: dt.datetime
    categories: list[str]
    calibration: dict[str, list[float]] = Field(description="log λ′ = intercept + slope · log λ, by category")
    scorecard: dict[str, Any] | None = Field(
        description="on the days that it was tested on; `unfair`: which forecasters have learned from these; null "
        "where the run was not evaluated"
    )


class DataStatus(BaseModel):
    grid: GridFacts
    record: dict[str, Any] = Field(description="its end, what the ingest counted, how late reports come")
    last_attempt: dt.datetime | None = Field(description="when a refresh last began")
    last_success: dt.datetime | None


class Usual(BaseModel):
    category: str
    intensity: float = Field(description="expected number of reported offences in such a step")
    risk: float = Field(description="calibrated probability of at least one")


class Prediction(BaseModel):
    grid: GridFacts
    basis: str
    place: dict[str, Any]
    hour: int | None = None
    weekday: int | None = None
    month: int
    categories: list[Usual]
