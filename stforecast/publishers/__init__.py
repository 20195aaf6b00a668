"""Formats, addresses and quirks of publishers as data: a YAML each, named as `source.preset` names it.

`events.sources.resolve` merges the format of one with the user's own fields. Column names are compared without case,
spaces and punctuation (`Primary Type` = `primary_type` = `PrimaryType`), so a variant of a header needs a name of its
own only where its words differ.

The default categories group the publisher's own offence types into person, vehicle and property. They leave out what
is mostly found by patrols and not reported by a victim (drugs, driving, weapons found, prostitution, warrants): its
counts follow where the police look, and a forecast of them would send the police to where it already was. Fraud is
left out too, since the recorded place is seldom where it happened. `source.other` takes in all the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from stforecast.config.presets import PRESETS, preset_values
from stforecast.config.sections import Columns, Section, Source
from stforecast.errors import ConfigError

__all__ = ["Publisher", "catalogue", "publisher"]


class Publisher(Section):
    """What is known of a publisher and of the files that it hands out.

    One whose format was never looked at (`verified: address only`) is known by little more than where its tables are.
    """

    title: str = Field(description="city, and its state or country")
    publisher: str | None = Field(None, description="who publishes the records")
    addresses: list[str] = Field(min_length=1, description="where its data sets, or the portal that has them, are")
    licence: str = Field(
        "not known; the publisher's page tells",
        description="licence of the data as far as known; the publisher's page decides",
    )
    attribution: str | None = Field(
        None, description="how the publisher is to be named beside what is made of the data"
    )
    country: str = Field(description="country code of the public holidays; default of grid.country")
    subdivision: str | None = Field(
        None, description="state or province code of the public holidays; default of grid.subdivision"
    )
    precision: str | None = Field(None, description="how exact times of occurrence and of report are, in words")
    step: Literal["day", "month"] | None = Field(
        None, description="the shortest step that can be had, where the publisher gives only days or months"
    )
    quirks: list[str] = Field([], description="what a reader of the files has to know, in words")
    covers: str | None = Field(None, description="what its tables covered when somebody last looked")
    verified: Literal["rows tried", "documentation only", "address only"] = Field(
        description="whether the format was tried on rows of the publisher, comes from its documentation, or is unknown"
    )
    live: str | None = Field(
        None, description="when this program last fetched its tables from the publisher itself; none: never tried live"
    )
    tried: str = Field(description="which rows were tried, or where the format or the address comes from")
    source: Source = Field(
        description="how the files are read, and its tables (the newest last), as in the section `source`"
    )

    @property
    def has_format(self) -> bool:
        """Whether its columns are known."""
        return self.verified != "address only"

    @property
    def kinds(self) -> str:
        """How many tables of which kind can be fetched."""
        kinds = Counter(table.kind for table in self.source.tables)
        return ", ".join(f"{number} × {kind}" for kind, number in kinds.items()) or "none: download by hand"

    @property
    def tried_live(self) -> str:
        """When the tables were fetched from the publisher itself."""
        return self.live or ("never tried live" if self.source.tables else "no table to try")

    @model_validator(mode="after")
    def _known_or_not(self) -> Publisher:
        if self.has_format:
            needed = ("publisher", "attribution", "precision", "quirks")
            if missing := [name for name in needed if not getattr(self, name)]:
                raise ValueError(f"{', '.join(missing)}: not given, though the format is known")
        elif self.source.columns != Columns():
            raise ValueError("source.columns: given, though no more than the address is known")
        return self


@cache
def publisher(preset: str) -> Publisher:
    """What is known of a publisher.

    Args:
        preset: the name of its file.

    Raises:
        ConfigError: there is no such file, or a field of it is missing or wrong.
    """
    values = preset_values(preset)
    try:
        return Publisher.model_validate(values)
    except ValidationError as error:
        raise ConfigError(f"stforecast/publishers/{preset}.yaml: {error}") from error


def catalogue() -> Iterator[str]:
    """The publishers that are known, a line each."""
    for name in PRESETS:
        known = publisher(name)
        yield f"{name:<17} {known.title}: {known.kinds}; format: {known.verified}; {known.tried_live}"
