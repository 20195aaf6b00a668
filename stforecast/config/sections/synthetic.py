"""The simulated city."""

from __future__ import annotations

import datetime as dt

from pydantic import Field

from stforecast.config.sections.section import Section


class SyntheticType(Section):
    """A kind of hexagon in the simulated city."""

    share: float = Field(ge=0, le=1)
    """share of the hexagons; the last type takes what is left"""
    rate: float = Field(1.0, gt=0)
    """factor on the base rates of such a hexagon"""
    peak_hour: float = Field(ge=0, lt=24)
    """local hour at which its rhythm peaks"""
    contrast: float = Field(ge=0)
    """half the log ratio of its peak hour to its quietest hour"""
    weekend: float = 0.0
    """log factor from Friday 18:00 to Sunday 18:00"""


class SyntheticCategory(Section):
    """A category of the simulated city."""

    offences: list[str] = Field(min_length=1)
    """offences under which the publisher files its events"""
    rate: float = Field(gt=0)
    """events a hexagon and day without excitation, on average"""
    peak_hour: float = Field(ge=0, lt=24)
    """local hour at which its rhythm peaks"""
    contrast: float = Field(ge=0)
    """half the log ratio of its peak hour to its quietest hour"""
    weekend: float = 0.0
    """log factor from Friday 18:00 to Sunday 18:00"""
    temperature: float = 0.0
    """log factor per 10 K above the yearly mean"""
    rain: float = 0.0
    """log factor of heavy rain; drizzle has a part of it"""
    branching: float = Field(ge=0, lt=1)
    """events that one event of it excites directly, on average"""
    half_life_hours: float = Field(gt=0)
    """half-life of the excitation that this category receives"""


class Synthetic(Section):
    """The simulated city: base rates, rhythm, weather, drift and self-excitation."""

    latitude: float = Field(ge=-85, le=85)
    """centre of the city"""
    longitude: float = Field(ge=-180, le=180)
    """centre of the city"""
    resolution: int = Field(8, ge=0, le=15)
    """H3 resolution of the simulated hexagons"""
    hexagons: int = Field(ge=7)
    """number of hexagons, a disc around the centre"""
    time_zone: str
    """IANA time zone whose local hours the rhythms follow"""
    first_day: dt.date
    """first local day"""
    days: int = Field(ge=1)
    """length of the history"""
    types: dict[str, SyntheticType] = Field(min_length=1)
    """kinds of hexagons, busiest surroundings first"""
    categories: dict[str, SyntheticCategory] = Field(min_length=1)
    """categories of events"""
    concentration: float = Field(1.0, ge=0)
    """log standard deviation of base rates between hexagons"""
    season: float = Field(0.1, ge=0)
    """log amplitude over the year, peak in mid-July, beside temperature"""
    drift: float = Field(0.25, ge=0)
    """log standard deviation of the slow change of a hexagon's rates"""
    drift_days: int = Field(60, ge=1)
    """days between the knots of that change"""
    neighbour_share: float = Field(0.5, ge=0, le=1)
    """share of the excitation that goes to the neighbours"""
    cross_share: float = Field(0.1, ge=0, le=1)
    """share of the excitation that goes to other categories"""
