"""What each step of an ingest needs of the configuration, resolved once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stforecast.config.sections import Columns, DateOrder, Source
from stforecast.events.sources import NEEDED, category_names, resolve


@dataclass(frozen=True)
class TimeRules:
    """How times are read, and of which days rows are kept; the fields are those of `sections.Source`."""

    time_zone: str = "UTC"
    times_are: Literal["local", "utc"] | None = None
    date_order: DateOrder | None = None
    clock: Literal["hours", "hhmm", "24_hour"] | None = None
    first_day: dt.date | None = None
    last_day: dt.date | None = None
    max_rejects: float = 0.05


@dataclass(frozen=True)
class PlaceRules:
    """How places are read, and where they may be; the fields are those of `sections.Source`.

    in_one_column: a column holds both coordinates.
    """

    time_zone: str = "UTC"
    crs: str | None = None
    bounds: tuple[float, float, float, float] | None = None
    default_places: Literal["found"] | Sequence[tuple[float, float]] = ()
    in_one_column: bool = False


@dataclass(frozen=True)
class IngestRules:
    """The effective source section, by the steps that need it.

    columns, rows_in, needed: for reading; needed are the fields that a file must have. categories, other: how offences
    are grouped. category_names: in order, `other` last. own_categories: those that the user gave. settings: plain
    values of all that decides what becomes of a row, for fingerprints.
    """

    columns: Columns
    rows_in: str | None
    needed: tuple[str, ...]
    times: TimeRules
    places: PlaceRules
    categories: Mapping[str, Sequence[str]]
    other: str | None
    category_names: tuple[str, ...]
    own_categories: Mapping[str, Sequence[str]]
    max_rejects: float
    settings: Mapping[str, Any]

    @staticmethod
    def of(source: Source) -> IngestRules:
        """The rules of a source section, with its preset's where it says nothing.

        Raises:
            ConfigError: the section does not say enough, or something unknown.
        """
        whole = resolve(source)
        zone, limit = whole.time_zone or "UTC", whole.max_rejects
        mapped = {name for name in source.columns.model_fields_set if getattr(source.columns, name)}
        return IngestRules(
            whole.columns,
            whole.rows_in,
            tuple(sorted({*NEEDED, *mapped, *(("offence",) if whole.categories else ())})),
            TimeRules(zone, whole.times_are, whole.date_order, whole.clock, whole.first_day, whole.last_day, limit),
            PlaceRules(zone, whole.crs, whole.bounds, whole.default_places, bool(whole.columns.location)),
            whole.categories,
            whole.other,
            category_names(whole),
            source.categories,
            limit,
            whole.model_dump(mode="json", exclude={"path", "max_rejects", "gaps"}),
        )
