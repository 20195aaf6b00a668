"""The steps of the time axis, and how many of them a forecast is of."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stforecast.config.sections.section import Section

Unit = Literal["hour", "day", "month"]
HORIZONS: dict[Unit, int] = {"hour": 24, "day": 7, "month": 1}
"""Steps of a forecast, unless told otherwise."""


class Time(Section):
    """The steps of the time axis."""

    step: Unit = "hour"
    """hour, or local day or month: for publishers that give no hours, or where days or months are asked for; default
    the preset's, else hour"""
    horizons: int | None = Field(None, ge=1, le=168)
    """steps that a forecast is of; default 24 hours, 7 days or 1 month"""
