"""The interactive map: what it offers to choose, and what it shows below the cells."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from stforecast.config.sections.section import Section

Hours = tuple[int, int]
SHIFTS: dict[str, Hours] = {"day": (7, 15), "evening": (15, 23), "night": (23, 7)}


def _of_a_day(shifts: dict[str, Hours]) -> dict[str, Hours]:
    for name, (begin, end) in shifts.items():
        if not re.fullmatch("[a-z][a-z0-9_]*", name) or name == "all":
            raise ValueError(f"{name}: begin with a letter, use only a to z, 0 to 9 and _, and not `all`")
        if not (0 <= begin <= 24 and 0 <= end <= 24) or begin == end:
            raise ValueError(f"{name}: [{begin}, {end}] are not two different hours from 0 to 24, such as [23, 7]")
    return shifts


class Tiles(Section):
    """Pictures of an online map below the cells. Whoever opens the map tells their server where they look."""

    url: str
    """address with {z}, {x} and {y}, such as https://tiles.example.org/{z}/{x}/{y}.png"""
    attribution: str
    """how their publisher wants to be named, in plain text; stands on the map"""

    @model_validator(mode="after")
    def _of_a_server(self) -> Tiles:
        parts = urlsplit(self.url)
        plain = re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]+)?", parts.netloc)
        if parts.scheme not in ("http", "https") or not plain:
            raise ValueError("url: write https://, a plain host and a path; browsers are let to no other host")
        if missing := [part for part in ("{z}", "{x}", "{y}") if part not in self.url]:
            raise ValueError(
                f"url: {missing[0]} is missing; write such as https://tiles.example.org/{{z}}/{{x}}/{{y}}.png"
            )
        return self


class Map(Section):
    """What the interactive map offers to choose, and shows beside the forecast and the `layers`."""

    shifts: Annotated[dict[str, Hours], AfterValidator(_of_a_day)] = Field(SHIFTS)
    """hours of the local day that are chosen by name, as [from, to]: a shift may cross midnight, and [0, 24] is a whole
    day; only where steps are hours"""
    tiles: Tiles | None = None
    """online map below the cells; without it the map asks no other machine for anything"""


def host_of(url: str) -> str:
    """The only other machine that a page with tiles at this address may ask."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
