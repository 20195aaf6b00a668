"""Everything that a run depends on, as one frozen model; unknown keys are errors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from stforecast.config import sections
from stforecast.config.presets import preset_values

DEFAULT_CHANNELS = {"temperature_2m": "degC", "precipitation": "mm", "wind_speed_10m": "m/s"}
"""Of weather that is fetched."""


class Config(sections.Section):
    """Everything that a run depends on."""

    city: str
    """name used in paths"""
    root: Path = Path(".")
    """folder that holds data/ and checkpoints/"""
    seed: int = Field(0, ge=0)
    """seed of everything random"""
    seeds: int = Field(3, ge=1)
    """fits of different seeds whose forecasts are averaged, where fits differ by seed"""
    known_time: Literal["reported", "occurred", "first_seen"] = "reported"
    """when an event counts as known: when it was reported (publishers without report time: occurrence + embargo), when
    it occurred, or when an ingest first saw it (what the first ingest held: as reported)"""
    embargo_hours: int = Field(0, ge=0)
    """hours after an occurrence before which no report of it can be known"""
    issue_hour: int | None = Field(None, ge=0, le=23)
    """UTC hour of daily issue times, where steps are hours; default local midnight in winter"""
    lake: Literal["delta", "delta_by_district"] | None = None
    """keep the publisher's rows, the events and counts of them as Delta tables too, in data/<city>/lake with all their
    past versions: a folder a month, or a month and district; needs the extra `lake`"""
    source: sections.Source = sections.Source()
    """offence reports"""
    ingest: sections.Ingest = sections.Ingest()
    """where reports are read"""
    time: sections.Time = sections.Time()
    """steps of the time axis"""
    grid: sections.Grid = sections.Grid()
    """hexagons and calendar"""
    weather: sections.Weather = sections.Weather()
    """weather channels"""
    covariates: sections.Covariates = Field({})
    """what else forecasters read, an entry a name: values by `cells`, a `series` by area and time, or a `calendar` of
    planned events"""
    layers: sections.Layers = Field({})
    """boundaries, streets and names by a name of yours, which `stforecast fetch` writes as
    data/<city>/layers/NAME.geojson"""
    split: sections.Split = sections.Split()
    """time-ordered slices"""
    model: sections.Model = sections.Model()
    """network"""
    training: sections.Training = sections.Training()
    """fitting"""
    trees: sections.Trees = sections.Trees()
    """tree ensembles"""
    evaluation: sections.Evaluation = sections.Evaluation()
    """comparison"""
    backtest: sections.Backtest = sections.Backtest()
    """rolling origin"""
    analysis: sections.Analysis = sections.Analysis()
    """page about the record"""
    delivery: sections.Delivery = sections.Delivery()
    """past reports on maps and pages, and rates"""
    map: sections.Map = sections.Map()
    """choices of the interactive map"""
    plan: sections.Allocation = sections.Allocation()
    """places for prevention, services and presence"""
    service: sections.Service = sections.Service()
    """store and service"""
    synthetic: sections.Synthetic | None = None
    """simulated city that writes the bronze files"""

    @field_validator("city")
    @classmethod
    def _plain(cls, city: str) -> str:
        if not re.fullmatch("[a-z0-9_]+", city):
            raise ValueError("use only a to z, 0 to 9 and _, for example sao_paulo")
        return city

    @model_validator(mode="before")
    @classmethod
    def _of_preset(cls, values: Any) -> Any:
        """Write into `grid` whose public holidays count, and into `time` the step, so that what a cube is built from
        shows in the configuration: those of the preset's publisher, unless told otherwise."""
        source, grid = values.get("source"), values.get("grid", {})
        if not (isinstance(source, dict) and isinstance(source.get("preset"), str) and isinstance(grid, dict)):
            return values
        preset = preset_values(source["preset"])
        place = {key: preset.get(key) for key in ("country", "subdivision")}
        if grid.get("country", place["country"]) != place["country"]:
            del place["subdivision"]  # of another country
        values = values | {"grid": place | grid}
        if "step" in preset and isinstance(time := values.get("time", {}), dict):
            values["time"] = {"step": preset["step"]} | time
        return values

    @model_validator(mode="before")
    @classmethod
    def _of_weather_source(cls, values: Any) -> Any:
        """Write into `weather` the files that its source leads to, so that what a cube is built from shows in the
        configuration."""
        weather = values.get("weather")
        if not (isinstance(weather, dict) and weather.get("source") is not None):
            return values
        folder = f"data/{values.get('city')}/weather"
        files = {"path": f"{folder}/observed.csv", "forecast_path": f"{folder}/forecast.csv"}
        for key, path in files.items():
            if weather.get(key, path) not in (path, None):
                raise ValueError(f"weather.{key}: its source writes {path}; leave out {key}, or leave out source")
        return values | {"weather": files | weather | {"channels": weather.get("channels") or DEFAULT_CHANNELS}}

    @model_validator(mode="after")
    def _rate_of_a_number(self) -> Config:
        if self.delivery.rate is not None:
            sections.check_denominator(self.delivery.rate.of, self.covariates)
        return self

    @property
    def horizons(self) -> int:
        """Steps that a forecast is of."""
        return self.time.horizons or sections.HORIZONS[self.time.step]

    def input(self, path: str) -> str:
        """A configured input file: `data/…` lies below the root, any other path is as given."""
        return str(self.root / path) if Path(path).parts[:1] == ("data",) else path
