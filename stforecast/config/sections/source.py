"""The publisher's files and how to read them."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal, get_args

from pydantic import Discriminator, Field, Tag, model_validator

from stforecast.config.sections.section import Section
from stforecast.config.sections.tables import Table

DateOrder = Literal["month_first", "day_first", "year_first"]
OffenceKind = Literal[
    "theft",
    "theft_from_vehicle",
    "vehicle_theft",
    "burglary",
    "robbery",
    "assault",
    "threats",
    "damage",
    "sexual",
    "homicide",
    "arson",
    "other",
]
"""Harmonised kinds of offence. `threats` holds harassment, stalking and kidnapping too, `other` what patrols find,
traffic and fraud."""
KINDS: tuple[OffenceKind, ...] = get_args(OffenceKind)
"""In the order of the last axis of `Cube.kinds`."""


class DateParts(Section):
    """Columns that hold one part of a date and time each."""

    year: str
    """column of the year"""
    month: str
    """column of the month"""
    day: str | None = None
    """column of the day of the month; without it the dates are months"""
    hour: str | None = None
    """column of the hour, 0 to 23"""
    minute: str | None = None
    """column of the minute; needs `hour`"""

    @model_validator(mode="after")
    def _each_needs_the_one_before(self) -> DateParts:
        if self.minute and not self.hour:
            raise ValueError("name the column of the hour beside that of the minute")
        if self.hour and not self.day:
            raise ValueError("name the column of the day beside that of the hour")
        return self


class Flags(Section):
    """Columns of 1 and 0, one an offence that is named as its column."""

    flags: list[str] = Field(min_length=1)
    """the columns; of several that hold 1, the first one counts"""


class Periods(Section):
    """Columns of counts, one a month or day that is named as its column."""

    periods: list[str] = Field(min_length=1)
    """the columns (202403, Mar-24, 2024-03-01 …), whose cells say how many reports there were; * and ? are wildcards,
    and what they match is passed over where it is no month or day"""


def _kind_of_times(value: object) -> str:
    """Which of the forms of a time's columns a value has."""
    if isinstance(value, Periods) or (isinstance(value, dict) and "periods" in value):
        return "periods"
    return "parts" if isinstance(value, dict | DateParts) else "names"


TimeColumns = Annotated[
    Annotated[list[str], Tag("names")] | Annotated[DateParts, Tag("parts")], Discriminator(_kind_of_times)
]
OccurredColumns = Annotated[
    Annotated[list[str], Tag("names")] | Annotated[DateParts, Tag("parts")] | Annotated[Periods, Tag("periods")],
    Discriminator(_kind_of_times),
]
OffenceColumns = Annotated[
    Annotated[list[str], Tag("names")] | Annotated[Flags, Tag("flags")],
    Discriminator(lambda value: "flags" if isinstance(value, dict | Flags) else "names"),
]


class Columns(Section):
    """Which of the publisher's columns holds what. Names in a list are alternatives: the first that is there counts."""

    occurred: OccurredColumns = Field([])
    """date, or date and time, of (the start of) the occurrence: names, of which the first that is there counts; a
    mapping where its parts have columns of their own: {year: …, month: …, day: …, hour: …, minute: …}; or, of a table
    of counts with a column a month or day, {periods: ["20*"]}"""
    occurred_time: list[str] = Field([])
    """time of day in a column of its own: HH:MM[:SS] or HHMM"""
    occurred_until: TimeColumns = Field([])
    """end of the occurrence where it is given as a span; names or parts, as `occurred`"""
    occurred_until_time: list[str] = Field([])
    """time of day of the end, in a column of its own"""
    reported: TimeColumns = Field([])
    """when the report became known; names or parts, as `occurred`"""
    latitude: list[str] = Field([])
    """latitude in degrees, or northing when `crs` is projected"""
    longitude: list[str] = Field([])
    """longitude in degrees, or easting when `crs` is projected"""
    location: list[str] = Field([])
    """one column that holds both coordinates, in place of latitude and longitude: an address with "(37.87, -122.27)"
    behind it, WKT or GeoJSON"""
    area: list[str] = Field([])
    """the publisher's own code of an area (beat, ward, LSOA, tract): with `grid.cells: polygons` it places reports
    without coordinates"""
    offence: OffenceColumns = Field([])
    """the publisher's offence type that `categories` groups: names, or {flags: […]} where each offence has a column
    of its own that holds 1 or 0"""
    event_id: list[str] = Field([])
    """unique key of a row; without one a hash of the row is used"""
    incident_id: list[str] = Field([])
    """incident that several rows may share"""
    district: list[str] = Field([])
    """police district or area"""
    arrest: list[str] = Field([])
    """whether an arrest was made"""
    count: list[str] = Field([])
    """how many reports a row stands for; -1 withdraws one of the same incident"""


class Gap(Section):
    """Days that were not recorded, or that were although nothing was reported."""

    first: dt.date
    """first local day"""
    last: dt.date
    """last local day"""
    categories: list[str] = Field([])
    """categories that it concerns; default all"""
    denied: bool = False
    """these days were recorded: nothing in them is masked for being silent"""

    @model_validator(mode="after")
    def _ordered(self) -> Gap:
        if self.last < self.first:
            raise ValueError("source.gaps: first is after last; exchange them")
        return self


class Source(Section):
    """The publisher's files and how to read them."""

    preset: str | None = None
    """publisher whose format and tables are built in, as `stforecast init --list` names it"""
    path: str | list[str] | None = None
    """file, folder or glob (several as a list) of CSV, JSON, GeoJSON, Parquet, GeoPackage, shapefile or Excel, also
    packed; of a folder its CSV, Parquet and archives, or else all files of one other kind; default
    data/<city>/bronze"""
    tables: list[Table] = Field([])
    """tables at the publisher, which `stforecast fetch` brings into data/<city>/bronze; default the preset's"""
    fetch: bool = False
    """run and refresh fetch what is new first"""
    max_shrink: float = Field(0.1, ge=0, le=1)
    """share of a table's rows that may be gone when all are fetched again; more are taken for a fault of the
    publisher's, and refused"""
    columns: Columns = Columns()
    """column mapping; overrides the preset's field by field"""
    rows_in: str | None = None
    """member of a JSON document that holds its rows, where it is not `features` or `data`; rows that are lists have
    the columns '1', '2' and so on"""
    crs: str | None = None
    """coordinate system of projected coordinates, such as EPSG:2815"""
    time_zone: str | None = None
    """IANA time zone of the city; default the preset's"""
    times_are: Literal["local", "utc"] | None = None
    """how the publisher writes times; an offset such as +00 is ignored when local"""
    date_order: DateOrder | None = None
    """whether 3/4/2024 is 4 March or 3 April (24-03-04, with two digits of the year: 4 March, year_first); default
    the preset's, or else what the dates of all files show"""
    clock: Literal["hours", "hhmm", "24_hour"] | None = None
    """how times of day without AM and PM are written: a bare number as an hour (14) or as HHMM (1430); 24_hour says
    that they are right though none is after 12:59; default what the times of a file show"""
    bounds: tuple[float, float, float, float] | None = None
    """west, south, east, north in degrees (west > east across the 180th meridian); events outside are refused;
    default the preset's"""
    default_places: Literal["found"] | list[tuple[float, float]] = Field([])
    """latitude and longitude of places that stand for an unknown one (a head office, a centroid), or `found` for
    those that the whole record shows; events there are left out"""
    first_day: dt.date | None = None
    """first local day kept; default the first in the file"""
    last_day: dt.date | None = None
    """last local day kept (of hourly steps to 01:00 in summer); default the last"""
    gaps: list[Gap] = Field([])
    """days that were not recorded: masked, and reports in them left out; or, with denied: true, days without reports
    that were recorded all the same"""
    categories: dict[str, list[str]] = Field({})
    """category: offences in it (case-insensitive, * and ? as wildcards); default the preset's"""
    other: str | None = None
    """category for offences that no group names; without it they are left out and counted"""
    kinds: dict[str, OffenceKind | None] = Field({})
    """offence, as `categories` lists it (case-insensitive, * and ? as wildcards): its kind, by which forecasters know
    what categories of different cities have in common; null says that it is of no kind; added to those of the preset,
    default what the words of the offence tell"""
    max_rejects: float = Field(0.05, ge=0, le=1)
    """share of refused rows that stops the run"""

    @model_validator(mode="after")
    def _of_one_origin(self) -> Source:
        if self.fetch and self.path is not None:
            raise ValueError("fetch brings files into data/<city>/bronze: leave path out, or set fetch to false")
        names = [table.name for table in self.tables]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"tables: {', '.join(twice)} stands there twice; join the conditions in one where")
        return self

    @property
    def zone(self) -> str:
        """The time zone, UTC where none is named."""
        return self.time_zone or "UTC"
