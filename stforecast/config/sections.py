"""The sections of a configuration: frozen models that forbid unknown keys; every field carries a description."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

Fraction = Annotated[float, Field(gt=0, lt=1)]
DateOrder = Literal["month_first", "day_first", "year_first"]
PRESETS = tuple(sorted(path.stem for path in (Path(__file__).parents[1] / "publishers").glob("*.yaml")))
"""Names of the built-in formats, a file of `publishers` each."""


class Section(BaseModel):
    """A part of the configuration; unknown keys are errors, values cannot change."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class DateParts(Section):
    """Columns that hold one part of a date and time each."""

    year: str = Field(description="column of the year")
    month: str = Field(description="column of the month")
    day: str = Field(description="column of the day of the month")
    hour: str | None = Field(None, description="column of the hour, 0 to 23")
    minute: str | None = Field(None, description="column of the minute; needs `hour`")

    @model_validator(mode="after")
    def _hour_first(self) -> DateParts:
        if self.minute and not self.hour:
            raise ValueError("name the column of the hour beside that of the minute")
        return self


class Flags(Section):
    """Columns of 1 and 0, one an offence that is named as its column."""

    flags: list[str] = Field(min_length=1, description="the columns; of several that hold 1, the first one counts")


Moment = Annotated[
    Annotated[list[str], Tag("names")] | Annotated[DateParts, Tag("parts")],
    Discriminator(lambda given: "parts" if isinstance(given, dict | DateParts) else "names"),
]
Offence = Annotated[
    Annotated[list[str], Tag("names")] | Annotated[Flags, Tag("flags")],
    Discriminator(lambda given: "flags" if isinstance(given, dict | Flags) else "names"),
]


class Columns(Section):
    """Which of the publisher's columns holds what. Names in a list are alternatives: the first that is there counts."""

    occurred: Moment = Field(
        [],
        description="date, or date and time, of (the start of) the occurrence: names, of which the first that is there "
        "counts, or a mapping where its parts have columns of their own: {year: …, month: …, day: …, hour: …, "
        "minute: …}",
    )
    occurred_time: list[str] = Field([], description="time of day in a column of its own: HH:MM[:SS] or HHMM")
    occurred_until: Moment = Field(
        [], description="end of the occurrence where it is given as a span; names or parts, as `occurred`"
    )
    occurred_until_time: list[str] = Field([], description="time of day of the end, in a column of its own")
    reported: Moment = Field([], description="when the report became known; names or parts, as `occurred`")
    latitude: list[str] = Field([], description="latitude in degrees, or northing when `crs` is projected")
    longitude: list[str] = Field([], description="longitude in degrees, or easting when `crs` is projected")
    location: list[str] = Field(
        [],
        description="one column that holds both coordinates, in place of latitude and longitude: an address with "
        '"(37.87, -122.27)" behind it, WKT or GeoJSON',
    )
    offence: Offence = Field(
        [],
        description="the publisher's offence type that `categories` groups: names, or {flags: […]} where each offence "
        "has a column of its own that holds 1 or 0",
    )
    event_id: list[str] = Field([], description="unique key of a row; without one a hash of the row is used")
    incident_id: list[str] = Field([], description="incident that several rows may share")
    district: list[str] = Field([], description="police district or area")
    arrest: list[str] = Field([], description="whether an arrest was made")
    count: list[str] = Field([], description="+1 for a report, -1 for its withdrawal")


class Gap(Section):
    """Days that were not recorded, or that were although nothing was reported."""

    first: dt.date = Field(description="first local day")
    last: dt.date = Field(description="last local day")
    categories: list[str] = Field([], description="categories that it concerns; default all")
    denied: bool = Field(False, description="these days were recorded: nothing in them is masked for being silent")

    @model_validator(mode="after")
    def _ordered(self) -> Gap:
        if self.last < self.first:
            raise ValueError("source.gaps: first is after last; exchange them")
        return self


class Source(Section):
    """The publisher's files and how to read them."""

    preset: str | None = Field(None, description=f"publisher's format: {', '.join(PRESETS)}")
    path: str | list[str] | None = Field(
        None,
        description="file, folder or glob (several as a list) of CSV, JSON, GeoJSON, Parquet, GeoPackage, shapefile or "
        "Excel, also packed; of a folder its CSV, Parquet and archives, or else all files of one other kind; default "
        "data/<city>/bronze",
    )
    columns: Columns = Field(Columns(), description="column mapping; overrides the preset's field by field")
    rows_in: str | None = Field(
        None,
        description="member of a JSON document that holds its rows, where it is not `features` or `data`; rows that "
        "are lists have the columns '1', '2' and so on",
    )
    crs: str | None = Field(None, description="coordinate system of projected coordinates, such as EPSG:2815")
    time_zone: str | None = Field(None, description="IANA time zone of the city; default the preset's")
    times_are: Literal["local", "utc"] | None = Field(
        None, description="how the publisher writes times; an offset such as +00 is ignored when local"
    )
    date_order: DateOrder | None = Field(
        None,
        description="whether 3/4/2024 is 4 March or 3 April (24-03-04, with two digits of the year: 4 March, "
        "year_first); default the preset's, or else what the dates of all files tell",
    )
    clock: Literal["hours", "hhmm", "24_hour"] | None = Field(
        None,
        description="how times of day without AM and PM are written: a bare number as an hour (14) or as HHMM (1430); "
        "24_hour says that they are right though none is after 12:59; default what the times of a file tell",
    )
    bounds: tuple[float, float, float, float] | None = Field(
        None,
        description="west, south, east, north in degrees (west > east across the 180th meridian); events outside are "
        "refused; default the preset's",
    )
    default_places: Literal["found"] | list[tuple[float, float]] = Field(
        [],
        description="latitude and longitude of places that stand for an unknown one (a head office, a centroid), or "
        "`found` for those that the whole record shows; events there are left out",
    )
    first_day: dt.date | None = Field(None, description="first local day kept; default the first in the file")
    last_day: dt.date | None = Field(None, description="last local day kept (to 01:00 in summer); default the last")
    gaps: list[Gap] = Field(
        [],
        description="days that were not recorded: masked, and reports in them left out; or, denied, days without "
        "reports that were recorded",
    )
    categories: dict[str, list[str]] = Field(
        {}, description="category: offences in it (case-insensitive, * and ? as wildcards); default the preset's"
    )
    other: str | None = Field(
        None, description="category for offences that no group names; without it they are left out and counted"
    )
    max_rejects: float = Field(0.05, ge=0, le=1, description="share of refused rows that stops the run")


class Grid(Section):
    """The hexagons and the time axis."""

    resolution: int = Field(8, ge=0, le=15, description="H3 resolution (8 is about 0.74 km² a hexagon)")
    min_events: int = Field(20, ge=1, description="events of the training slice that a hexagon needs to be kept")
    area: str | None = Field(None, description="polygon file (GeoJSON, GeoPackage…) of the study area, instead")
    districts: str | None = Field(None, description="polygon file whose `district_key` is attached to each hexagon")
    district_key: str = Field("name", description="attribute of `districts` that names a polygon")
    statics: str | None = Field(
        None, description="polygon file (census tracts…) whose `static_columns` are attached to each hexagon"
    )
    static_columns: dict[str, Literal["sum", "mean"]] = Field(
        {},
        description="attributes of `statics`: sum for counts (population), shared out by area, mean for rates and "
        "indices (deprivation); shown in the report, read by no forecaster",
    )
    spans: Literal["start", "aoristic"] = Field(
        "start",
        description="where an event with a span of up to 24 h enters the inputs: at its start, or in equal parts over "
        "its hours, known when the last has passed; what is forecast are counts at the start",
    )
    country: str | None = Field(
        None, description="country code of the public holidays; default that of the preset's publisher, else none"
    )
    subdivision: str | None = Field(
        None,
        description="state or province code of the public holidays; default that of the preset's publisher, else none",
    )


class Weather(Section):
    """Hourly weather of the city. A gap is masked, never filled."""

    path: str | None = Field(None, description="CSV of observed hourly weather with a UTC time column")
    forecast_path: str | None = Field(
        None, description="CSV of archived forecasts: what was forecast for that hour a day or more before it"
    )
    observed_as_forecast: bool = Field(
        False, description="use the observation as if it had been forecast: an upper bound, labelled so"
    )
    time: str = Field("time_utc", description="column of UTC times")
    channels: dict[str, str] = Field(
        {},
        description="channel: unit as published, e.g. temperature_2m: degC; units: degC, degF, K, mm, inch, "
        "percent, hPa, m/s, km/h, mph, knots, fraction",
    )


class Split(Section):
    """Time-ordered slices: training, then validation, then test."""

    train: Fraction | dt.date = Field(0.75, description="share of the days, or the first day after the slice")
    validation: Fraction | dt.date = Field(0.08, description="share of the days, or the first day after the slice")
    gap: int = Field(24, ge=0, description="hours left out between slices (one horizon)")

    @model_validator(mode="after")
    def _ordered(self) -> Split:
        if isinstance(self.train, float) and isinstance(self.validation, float) and self.train + self.validation >= 1:
            raise ValueError(
                "split.train and split.validation are shares of the days and leave none for the test slice; "
                "use for example 0.75 and 0.08"
            )
        return self


class Model(Section):
    """The graph-convolutional recurrent network."""

    hidden: int = Field(32, ge=1, description="width of the carried state")
    rank: int = Field(64, ge=1, description="rank of the bilinear read-out over the horizon")
    patch_hours: Literal[1, 2, 3, 4, 6, 8, 12, 24] = Field(24, description="hours that a step of the recurrence reads")
    conv: Literal["hex", "gcn", "cheb", "diffusion", "none"] = Field(
        "hex", description="propagation over the hexagon graph; none leaves the graph out"
    )
    carry_state: bool = Field(True, description="carry the hidden state from patch to patch; false: an ablation")
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout on inputs and read-out")


class Training(Section):
    """How the network is fitted."""

    max_epochs: int = Field(10, ge=1, description="passes over the training slice")
    learning_rate: float = Field(4e-3, gt=0, description="peak of the one-cycle schedule")
    weight_decay: float = Field(1e-2, ge=0, description="AdamW's weight decay")
    streams: int = Field(
        1, ge=1, description="parts of the training slice walked at once; more fill a GPU, and make fewer updates"
    )
    devices: int = Field(1, ge=1, description="GPUs, or processes on a CPU, that share the streams evenly")
    cities: list[str] = Field(
        [],
        description="configurations of other built cities, with the same categories and channels, whose training "
        "slices the network learns from too",
    )
    compile: bool = Field(
        False, description="torch.compile of the network's step, with CUDA graphs on a GPU; takes a minute to begin"
    )
    truncation: int = Field(7, ge=1, description="patches of truncated back-propagation")
    warm_up_days: int = Field(120, ge=0, description="first days that are read but not learned from")
    gamma: float = Field(0.0, ge=0, le=5, description="exponent of the (proper) focal loss; 0 is Poisson likelihood")
    alpha: float = Field(0.5, gt=0, lt=1, description="focal weight of hours with an event; 0.5 is neutral")
    averaging: float = Field(0.98, ge=0, lt=1, description="decay of the averaged weights, per update")
    clip: float = Field(1.0, gt=0, description="gradient norm at which updates are clipped")
    device: Literal["auto", "cpu", "gpu"] = Field("auto", description="auto uses a GPU when there is one")

    @model_validator(mode="after")
    def _shared(self) -> Training:
        if self.streams % self.devices:
            raise ValueError(
                f"training.devices: {self.devices} cannot share {self.streams} streams evenly; set training.streams to "
                f"{self.devices} or a multiple of it"
            )
        return self


class Trees(Section):
    """How tree ensembles are fitted."""

    sampling: Literal["none", "under", "smote"] = Field(
        "none", description="balanced classes of training rows by under-sampling or SMOTE; none fits the intensity"
    )


class Evaluation(Section):
    """What is compared on the test slice."""

    forecasters: list[str] = Field(
        ["gcrn", "rolling_climatology", "climatology", "hexagon_mean", "last_week", "hist_gradient_boosting"],
        min_length=1,
        description="forecasters to fit and score; the first one forecasts",
    )
    ensemble: list[str] = Field(
        ["gcrn", "hist_gradient_boosting"],
        min_length=2,
        description="forecasters that `ensemble` pools; each must be among the fitted ones",
    )
    patrol_area_km2: float = Field(5.0, gt=0, description="area of the hot-spot metrics beside 1, 5 and 10 %")


class Backtest(Section):
    """Folds of a rolling origin: each trains on all that came before it."""

    folds: int = Field(4, ge=1, description="number of folds")
    test_days: int | None = Field(
        None, ge=1, description="days of the test slice of each fold; default the configured test slice in equal parts"
    )
    refit: bool = Field(
        True, description="fit anew in every fold; false: carry the first fold's fit and calibrate it anew"
    )
    issue_hours: list[Annotated[int, Field(ge=0, le=23)]] | None = Field(
        None, min_length=1, description="UTC hours of issue that are scored; default the cube's own"
    )


class Analysis(Section):
    """What `stforecast analyse` adds to the record."""

    severity: dict[str, list[str]] = Field(
        {},
        description="severity class: offences in it (case-insensitive, * and ? as wildcards), for trends by class; an "
        "offence belongs to the first class that names it",
    )


class Service(Section):
    """Where grids are kept and how they are served."""

    database: str | None = Field(
        None,
        description="SQLAlchemy URL such as postgresql+psycopg://user@host/name (password through PGPASSWORD or "
        ".pgpass); default SQLite at data/<city>/forecasts.sqlite",
    )
    keep_days: int = Field(30, ge=1, description="days for which a refresh keeps grids and their folders")
    api_keys_file: str | None = Field(
        None,
        description="file of SHA-256 digests of API keys in hexadecimal, one a line; keys themselves may be given in "
        "STFORECAST_API_KEYS, parted by commas; without keys only this machine is served",
    )
    rate_limit: str = Field("500/second", description="requests a client may make, such as 500/second or 1200/minute")


class SyntheticType(Section):
    """A kind of hexagon in the simulated city."""

    share: float = Field(ge=0, le=1, description="share of the hexagons; the last type takes what is left")
    rate: float = Field(1.0, gt=0, description="factor on the base rates of such a hexagon")
    peak_hour: float = Field(ge=0, lt=24, description="local hour at which its rhythm peaks")
    contrast: float = Field(ge=0, description="half the log ratio of its peak hour to its quietest hour")
    weekend: float = Field(0.0, description="log factor from Friday 18:00 to Sunday 18:00")


class SyntheticCategory(Section):
    """A category of the simulated city."""

    offences: list[str] = Field(min_length=1, description="offences under which the publisher files its events")
    rate: float = Field(gt=0, description="events a hexagon and day without excitation, on average")
    peak_hour: float = Field(ge=0, lt=24, description="local hour at which its rhythm peaks")
    contrast: float = Field(ge=0, description="half the log ratio of its peak hour to its quietest hour")
    weekend: float = Field(0.0, description="log factor from Friday 18:00 to Sunday 18:00")
    temperature: float = Field(0.0, description="log factor per 10 K above the yearly mean")
    rain: float = Field(0.0, description="log factor of heavy rain; drizzle has a part of it")
    branching: float = Field(ge=0, lt=1, description="events that one event of it excites directly, on average")
    half_life_hours: float = Field(gt=0, description="half-life of the excitation that this category receives")


class Synthetic(Section):
    """The simulated city: base rates, rhythm, weather, drift and self-excitation."""

    latitude: float = Field(ge=-85, le=85, description="centre of the city")
    longitude: float = Field(ge=-180, le=180, description="centre of the city")
    resolution: int = Field(8, ge=0, le=15, description="H3 resolution of the simulated hexagons")
    hexagons: int = Field(ge=7, description="number of hexagons, a disc around the centre")
    time_zone: str = Field(description="IANA time zone whose local hours the rhythms follow")
    first_day: dt.date = Field(description="first local day")
    days: int = Field(ge=1, description="length of the history")
    types: dict[str, SyntheticType] = Field(min_length=1, description="kinds of hexagons, busiest surroundings first")
    categories: dict[str, SyntheticCategory] = Field(min_length=1, description="categories of events")
    concentration: float = Field(1.0, ge=0, description="log standard deviation of base rates between hexagons")
    season: float = Field(0.1, ge=0, description="log amplitude over the year, peak in mid-July, beside temperature")
    drift: float = Field(0.25, ge=0, description="log standard deviation of the slow change of a hexagon's rates")
    drift_days: int = Field(60, ge=1, description="days between the knots of that change")
    neighbour_share: float = Field(0.5, ge=0, le=1, description="share of the excitation that goes to the neighbours")
    cross_share: float = Field(0.1, ge=0, le=1, description="share of the excitation that goes to other categories")
