"""What forecasters read beside the reports and the weather: one entry a covariate, of one of three kinds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Tag, model_validator

from stforecast.config.sections.section import Section

SENSITIVE = re.compile(
    r"depriv|income|poverty|wealth|welfare|unemploy|ethnic|racial|religio|migra|foreign|nationalit|asylum|refugee|"
    r"minorit|hispanic|latin[aox]|(?:^|[^a-z])(?:imd|idaci|idaopi|race|black|white|asian|muslim|jewish)(?:[^a-z]|$)",
    re.IGNORECASE,
)
"""Names that tell of the people who live in a place."""


class _Entry(Section):
    sensitive: bool | None = None
    """whether it tells of who lives in a place (deprivation, income, ethnicity); must be said where a name looks so"""
    read: bool | None = None
    """whether forecasters read it; default yes, and no where it is sensitive"""

    @property
    def file(self) -> str:
        """The file that it is read from."""
        return next(str(getattr(self, key)) for key in ("cells", "series", "calendar") if hasattr(self, key))

    @property
    def is_read(self) -> bool:
        """Whether forecasters read it."""
        return not self.sensitive if self.read is None else self.read


class CellValues(_Entry):
    """A value of each cell that does not change."""

    cells: str
    """file of polygons or points, or table (CSV, Excel) by the code of the cell"""
    column: str | None = None
    """attribute or column of the values; none of a count of points"""
    how: Literal["sum", "mean", "count"] | None = None
    """polygons: sum shares a count out by area, mean weighs a rate by it; points: sum, mean or count of those in the
    cell; not of a table"""
    key: str | None = None
    """of a table: the column with the code of the cell"""

    @model_validator(mode="after")
    def _of_a_file_or_a_table(self) -> CellValues:
        if (self.key is None) == (self.how is None):
            raise ValueError("give how (sum, mean or count) for polygons or points, or key for a table by cell")
        if (self.column is None) != (self.how == "count"):
            raise ValueError("name the column of the values, or set how: count for the number of points")
        return self


class AreaSeries(_Entry):
    """Values by area and hour, day or month."""

    series: str
    """table (CSV, Excel), one row an area and hour, day or month"""
    column: str
    """column of the values"""
    time: str = "date"
    """column of the date, or local date and time, at which the hour, day or month begins"""
    key: str | None = None
    """column of the area: the code of the cell, or the name of its district; without it values are the whole city's"""
    lag_hours: int = 0
    """hours from the end of the hour, day or month until its value is published"""
    ahead: bool = False
    """known in advance, so that forecasts read the value of the step they are of; else the newest published one"""

    @model_validator(mode="after")
    def _lag_of_what_is_past(self) -> AreaSeries:
        if self.lag_hours < 0 or (self.ahead and self.lag_hours):
            raise ValueError("lag_hours: 0 or more, and of values that are not known ahead")
        return self


class Calendar(_Entry):
    """Planned events, with a place or of the whole city, as school holidays are."""

    calendar: str
    """table (CSV, Excel, YAML) with start and end in local time, and perhaps latitude, longitude and radius (km),
    attendance, announced (when it became known), repeat (daily, weekly, yearly) and until (its last day)"""


def _kind(value: Any) -> str:
    """Which kind of entry a mapping is; an entry of none is refused as values by cell."""
    given = value if isinstance(value, dict) else vars(value) if isinstance(value, _Entry) else {}
    return next((f"of {key}" for key in ("series", "calendar") if key in given), "of cells")


Covariate = Annotated[
    Annotated[CellValues, Tag("of cells")]
    | Annotated[AreaSeries, Tag("of series")]
    | Annotated[Calendar, Tag("of calendar")],
    Discriminator(_kind),
]


def _checked(entries: dict[str, Covariate]) -> dict[str, Covariate]:
    for name, entry in entries.items():
        if not re.fullmatch("[a-z][a-z0-9_]*", name):
            raise ValueError(f"{name!r}: name a covariate with a to z, 0 to 9 and _")
        said = f"{name} {getattr(entry, 'column', '')} {Path(entry.file).name}"
        if entry.sensitive is None and SENSITIVE.search(said):
            raise ValueError(
                f"{name}: its name, column or file seems to tell of who lives in a place. Say sensitive: true, and "
                "forecasters do not read it unless you also say read: true; or sensitive: false if it does not"
            )
    return entries


Covariates = Annotated[dict[str, Covariate], AfterValidator(_checked)]


def check_denominator(name: str, entries: dict[str, Covariate]) -> None:
    """Rates can be per an entry of `covariates`.

    Raises:
        ValueError: there is none of that name, or it is no number of what is there.
    """
    if (entry := entries.get(name)) is None:
        raise ValueError(f"delivery.rate.of: no {name!r} in covariates; there is {', '.join(entries) or 'nothing'}")
    if isinstance(entry, Calendar):
        raise ValueError(f"delivery.rate.of: {name} is a calendar; name values by cells or a series")
    if entry.sensitive:
        raise ValueError(f"delivery.rate.of: {name} is sensitive; name a number of all who are there, as residents")
    if isinstance(entry, CellValues) and entry.how == "mean":
        raise ValueError(f"delivery.rate.of: {name} is a mean; name a number: how: sum or count, or a table by key")
