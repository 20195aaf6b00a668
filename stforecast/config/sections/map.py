"""What the interactive map offers to choose."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

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


class Map(Section):
    """What the interactive map offers to choose."""

    shifts: Annotated[dict[str, Hours], AfterValidator(_of_a_day)] = Field(SHIFTS)
    """hours of the local day that are chosen by name, as [from, to]: a shift may cross midnight, and [0, 24] is a whole
    day; only where steps are hours"""
