"""What may be asked: parameters and bodies, checked before anything is looked up. Unknown ones are errors."""

from __future__ import annotations

import datetime as dt
from collections.abc import Container
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from stforecast.config.sections import Allocation
from stforecast.delivery.areas import polygons_in
from stforecast.instants import ASKED, EXAMPLE, instant

MAX_ROWS = 10_000
"""Hexagons in one answer."""
MAX_LEFT_OUT = 200
"""Hexagons that a plan leaves out."""
MAX_BODY = 16 * 1024
"""Bytes of a request's body."""
NUMBER = r"-?[0-9]{1,3}(\.[0-9]{1,15})?"
BOX = rf"^{NUMBER}(,{NUMBER}){{3}}$"


def parsed_instant(value: object) -> dt.datetime:
    """The instant of a `time` parameter, in UTC."""
    try:
        return instant(str(value))
    except ValueError:
        raise ValueError(f"write a time such as {EXAMPLE}: {ASKED} (and + as %2B)") from None


def box(text: str) -> str:
    """The text of a bounding box, if it is one."""
    west, south, east, north = corners(text)
    if max(abs(west), abs(east)) > 180 or max(abs(south), abs(north)) > 90 or south > north:
        raise ValueError("write west,south,east,north in degrees: west and east from -180 to 180, south below north")
    return text


def corners(text: str) -> tuple[float, float, float, float]:
    west, south, east, north = (float(part) for part in text.split(","))
    return west, south, east, north


def checked_area(value: dict[str, Any]) -> dict[str, Any]:
    """GeoJSON, if it is of polygons."""
    polygons_in(value)
    return value


Instant = Annotated[dt.datetime, BeforeValidator(parsed_instant)]
Box = Annotated[str, Field(pattern=BOX), AfterValidator(box)]
Area = Annotated[dict[str, Any], AfterValidator(checked_area)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
Weight = Annotated[str, Field(pattern=r"^.{1,200}:[0-9]{1,6}(\.[0-9]{1,6})?$")]
Reasoned = Annotated[str, Field(pattern=r"^[^:].*:.*\S", max_length=500)]


class ViewQuestion(BaseModel):
    """The newest grid, or an earlier one of the store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    grid: int | None = Field(None, ge=1, lt=2**31, description="a `grid_id` of /v1/grids; without one the newest")


class Question(BaseModel):
    """A step (an hour, a day or a month), a shift, or the whole horizon."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    time: Instant | None = Field(
        None, description=f"{ASKED}, such as {EXAMPLE}: the step that holds it; without one the whole horizon"
    )
    shift: Name | None = Field(
        None, description="instead of a time, of a grid of hours: the next shift of that name (`map.shifts`)"
    )
    category: Name = Field("all", description="a category of the grid, or `all`: their sum")
    place: Name | None = Field(None, description="only hexagons whose place name holds all these words")

    @model_validator(mode="after")
    def _one_span(self) -> Self:
        if self.time is not None and self.shift is not None:
            raise ValueError("give either time or shift")
        return self


class TopQuestion(Question):
    """The hexagons of the highest risk."""

    k: int = Field(10, ge=1, le=MAX_ROWS, description="number of hexagons")


class RiskQuestion(Question):
    """The risk of many hexagons."""

    bbox: Box | None = Field(None, description="west,south,east,north in degrees; hexagons that meet it")
    top_k: int | None = Field(None, ge=1, le=MAX_ROWS, description="only so many, of the highest risk")
    format: Literal["json", "geojson", "csv"] = Field("json", description="of the answer")


class WhyQuestion(BaseModel):
    """One number of a hexagon."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cell: Name = Field(description="a hexagon of the grid, as `hexagon` has it")
    category: Name = Field("all", description="a category of the grid, or `all`: their sum")
    shift: Name | None = Field(None, description="the next shift of that name (`map.shifts`); without one all steps")


class SumQuestion(Question):
    """Hexagons together: those that fit all that is given; without any of it the whole city."""

    cells: str | None = Field(None, min_length=1, max_length=MAX_BODY, description="hexagons by name, with commas")
    district: Name | None = Field(None, description="only hexagons of the district of this name")


class AreaQuestion(SumQuestion):
    """Hexagons together, by an area too."""

    area: Area | None = Field(
        None,
        description="GeoJSON in longitude and latitude: a Polygon, a MultiPolygon, or features or collections of them; "
        "only hexagons whose centre lies in one",
    )


class PlanQuestion(BaseModel):
    """Places to cover, within a budget; what is not given is as configured in `plan`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: Literal["city", "district", "proportion"] | None = Field(
        None, description="what the budget is of: the city, each district, or the city shared out by expected reports"
    )
    places: int | None = Field(None, ge=1, le=MAX_ROWS, description="budget as a number of hexagons")
    area_km2: float | None = Field(None, gt=0, le=1e9, description="budget as an area, in place of `places`")
    weights: list[Weight] = Field([], description="category:number: what its reports count; may be repeated")
    leave_out: list[Reasoned] = Field(
        [], max_length=MAX_LEFT_OUT, description="hexagon:reason: is not chosen, and why; may be repeated"
    )
    shift: Name | None = Field(None, description="of a grid of hours: only the next shift of that name (`map.shifts`)")

    @model_validator(mode="after")
    def _of_one_budget(self) -> Self:
        if self.places is not None and self.area_km2 is not None:
            raise ValueError("give either places or area_km2")
        return self

    def allocation(self, configured: Allocation, cells: Container[str]) -> Allocation:
        """What is configured, with what is asked for in its place."""
        given: dict[str, Any] = self.model_dump(include={"rule", "places", "area_km2"}, exclude_none=True)
        if {"places", "area_km2"} & {*given}:
            given = {"places": None, "area_km2": None} | given
        if self.weights:
            parts = (entry.rpartition(":") for entry in self.weights)
            given["weights"] = {name: float(weight) for name, _, weight in parts}
        if self.leave_out:
            given["leave_out"] = dict(_parted(entry, cells) for entry in self.leave_out)
        return configured.model_copy(update=given)


def _parted(entry: str, cells: Container[str]) -> tuple[str, str]:
    """A cell and the reason behind its colon; the name of a cell may have a colon too."""
    ends = [at for at, letter in enumerate(entry) if letter == ":"]
    end = next((at for at in reversed(ends) if entry[:at] in cells), ends[0])
    return entry[:end], entry[end + 1 :].strip()


class UsualQuestion(BaseModel):
    """A step, at a point or in a district: by hour, weekday and month, or as the grid has days or months."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hour: int | None = Field(None, strict=True, ge=0, le=23, description="local hour; only of a grid of hours")
    weekday: int | None = Field(
        None, strict=True, ge=0, le=6, description="0 is Monday, 6 is Sunday; only of a grid of hours or days"
    )
    month: int = Field(strict=True, ge=1, le=12, description="1 is January")
    latitude: float | None = Field(None, ge=-90, le=90, description="of a point, in degrees; with longitude")
    longitude: float | None = Field(None, ge=-180, le=180, description="of a point, in degrees; with latitude")
    district: Name | None = Field(None, description="name of a district, instead of a point")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("latitude and longitude go together")
        if (self.latitude is None) == (self.district is None):
            raise ValueError("give either latitude and longitude, or district")
        return self
