"""Cells, calendar and weather: what a cube holds beside the reports."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from stforecast.config.sections.section import Section


class Grid(Section):
    """The cells and the time axis."""

    cells: Literal["h3", "polygons"] = "h3"
    """what events are counted in: H3 hexagons, or the polygons of a file (beats, wards, census areas)"""
    resolution: int = Field(8, ge=0, le=15)
    """H3 resolution (8 is about 0.74 km² a hexagon); not of polygons"""
    polygons: str | None = None
    """polygon file (GeoJSON, GeoPackage, shapefile or GeoParquet, zipped or not) whose polygons are the cells"""
    polygon_key: str | None = None
    """attribute of `polygons` with the code or name of each, by which events without a point are placed too"""
    min_events: int = Field(20, ge=0)
    """events of the training slice that a cell needs to be kept, of a slice of less than 180 days proportionally fewer;
    0 keeps every polygon"""
    area: str | None = None
    """polygon file (GeoJSON, GeoPackage…) of the study area, in place of `min_events`; not with polygons as cells"""
    districts: str | None = None
    """polygon file whose `district_key` is attached to each cell whose centre it holds"""
    district_key: str = "name"
    """attribute of `districts` that names a polygon"""
    statics: str | None = None
    """polygon file (census tracts…) whose `static_columns` are attached to each cell"""
    static_columns: dict[str, Literal["sum", "mean"]] = Field({})
    """attributes of `statics`: sum for counts (population), shared out by area, mean for rates and indices
    (deprivation); shown in the report, read by no forecaster"""
    spans: Literal["start", "aoristic"] = "start"
    """where an event with a span of up to 24 hours (7 days, 2 months) enters the inputs: at its start, or in equal
    parts over its steps, known when the last has passed; forecasts are always of counts at the start"""
    country: str | None = None
    """country code of the public holidays; default that of the preset's publisher, else none"""
    subdivision: str | None = None
    """state or province code of the public holidays; default that of the preset's publisher, else none"""

    @property
    def word(self) -> str:
        """What a reader calls a cell."""
        return "hexagon" if self.cells == "h3" else "area"

    @model_validator(mode="after")
    def _of_one_kind(self) -> Grid:
        if self.cells == "h3":
            if self.polygons is not None or self.polygon_key is not None:
                raise ValueError("polygons, polygon_key: set cells to polygons, or leave them out")
            if self.min_events == 0:
                raise ValueError("min_events: at least 1 for hexagons; 0 keeps every polygon where cells are polygons")
        else:
            if self.polygons is None or self.polygon_key is None:
                raise ValueError("cells are polygons: name their file as polygons, and its attribute as polygon_key")
            if self.area is not None:
                raise ValueError("area: the polygons are the study area; leave out of their file what is not of it")
        return self


class Weather(Section):
    """Hourly weather of the city. A gap is masked, never filled."""

    source: Literal["open_meteo"] | None = None
    """where weather of the city's centre is fetched from: observations, forecasts as they were issued, and the newest
    one; it gives `channels`, `path` and `forecast_path`, unless they are declared; null: without these"""
    host: str | None = None
    """address of a server of your own that answers as Open-Meteo does; default Open-Meteo's, that for customers where
    OPEN_METEO_API_KEY stands in the environment"""
    path: str | None = None
    """CSV of observed hourly weather with a UTC time column"""
    forecast_path: str | None = None
    """CSV of archived forecasts: what was forecast for that hour a day or more before it"""
    observed_as_forecast: bool = False
    """use the observation as if it had been forecast: an upper bound, labelled so"""
    time: str = "time_utc"
    """column of UTC times"""
    channels: dict[str, str] = Field({})
    """channel: unit as published, e.g. temperature_2m: degC; units: degC, degF, K, mm, inch, percent, hPa, m/s,
    km/h, mph, knots, fraction"""

    @model_validator(mode="after")
    def _of_one_origin(self) -> Weather:
        if self.host is not None and (self.source is None or not self.host.startswith(("http://", "https://"))):
            raise ValueError("host: an address that begins with https:// or http://, beside source")
        if self.source is not None and self.observed_as_forecast:
            raise ValueError("observed_as_forecast: forecasts are fetched; leave it out, or leave out source")
        return self
