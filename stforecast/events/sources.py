"""The effective source: a publisher's preset with the user's fields on top, checked; and the rules of an ingest."""

from __future__ import annotations

import difflib
import re
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from stforecast.config import Config
from stforecast.config.presets import LISTED
from stforecast.config.sections import Columns, Periods, Source, Unit
from stforecast.config.workspace import Workspace
from stforecast.errors import ConfigError
from stforecast.events.forgotten import Forgotten
from stforecast.files import fingerprint
from stforecast.publishers import publisher

# what every file needs beside a place; the offence column joins it when there are categories to group
NEEDED = ("occurred",)
NO_MATTER = ("path", "max_rejects", "gaps", "tables", "fetch", "max_shrink", "kinds")
"""Keys of a source that change nothing of a row that is read."""
ACROSS = 60.0
"""Degrees that bounds across the 180th meridian may be wide: wider ones were written in another order."""


def resolve(source: Source) -> Source:
    """Merge the preset of `source` with the user's own fields; the user's win, field by field (kinds: one by one).

    Raises:
        ConfigError: the preset, the time zone or the coordinate system is unknown, or something needed is not given.
    """
    preset = publisher(source.preset).source if source.preset else Source()
    columns = Columns(**{f: getattr(source.columns, f) or getattr(preset.columns, f) for f in Columns.model_fields})
    if source.columns.location and not (source.columns.latitude or source.columns.longitude):
        columns = columns.model_copy(update={"latitude": [], "longitude": []})
    own = {f for f in source.model_fields_set if getattr(source, f) not in (None, {})}
    rest = {f: getattr(source if f in own else preset, f) for f in Source.model_fields if f != "columns"}
    rest["kinds"] = {**source.kinds, **preset.kinds, **source.kinds}  # the first that fits counts
    effective = Source(columns=columns, **rest)
    _check(effective)
    return effective


def category_names(source: Source) -> tuple[str, ...]:
    """The categories of an effective source, in order; `other` comes last."""
    names = [*source.categories, *([source.other] if source.other else [])]
    return tuple(dict.fromkeys(names))


def offences_of(source: Source) -> dict[str, list[str]]:
    """What is asked for by each category of an effective source; `other` takes what no group names."""
    return {name: source.categories.get(name, []) for name in category_names(source)}


def category_lookup(source: Source) -> Callable[[str], str | None]:
    """A function from an offence to its category (None: in no category). The first group that names it wins."""
    groups = {category: list(map(wildcard, patterns)) for category, patterns in source.categories.items()}

    def category_of(offence: str) -> str | None:
        mine = (name for name, patterns in groups.items() if any(pattern.fullmatch(offence) for pattern in patterns))
        return next(mine, source.other)

    return category_of


def wildcard(pattern: str) -> re.Pattern[str]:
    """A case-insensitive pattern in which only * and ? are special and runs of blanks are one."""
    text = re.escape(" ".join(pattern.split())).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text, re.IGNORECASE | re.DOTALL)


def _check(source: Source) -> None:
    for name in (*NEEDED, *(("offence",) if source.categories else ())):
        if not getattr(source.columns, name):
            raise ConfigError(
                f"source.columns.{name}: not given. Name the publisher's column, or set source.preset. {LISTED}"
            )
    if isinstance(source.columns.occurred, Periods) and (source.columns.count or source.columns.occurred_time):
        raise ConfigError(
            "source.columns.occurred.periods: names columns of counts, one a period. Leave out source.columns.count "
            "and source.columns.occurred_time; or, where a row is one period, name its column as occurred."
        )
    if source.columns.occurred_until_time and not source.columns.occurred_until:
        raise ConfigError(
            "source.columns.occurred_until_time: needs the column of its day under source.columns.occurred_until."
        )
    if not category_names(source):
        raise ConfigError(
            "source.categories: not given. Group the offences (category: [offences]) or set source.other."
        )
    if "all" in category_names(source):
        raise ConfigError("source.categories: `all` is the sum of the categories; choose another name.")
    if not source.time_zone:
        raise ConfigError("source.time_zone: not given. Set the city's IANA time zone, such as America/Denver.")
    try:
        zoneinfo.ZoneInfo(source.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = difflib.get_close_matches(source.time_zone, zoneinfo.available_timezones(), 3, 0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else "Use an IANA name such as America/Denver."
        raise ConfigError(f"source.time_zone: no time zone {source.time_zone!r}. {hint}") from None
    if source.crs:
        from pyproj import CRS
        from pyproj.exceptions import CRSError

        try:
            CRS.from_user_input(source.crs)
        except CRSError:
            raise ConfigError(
                f"source.crs: no coordinate system {source.crs!r}. Use a code such as EPSG:2815 or ESRI:102696."
            ) from None
    if source.bounds:
        west, south, east, north = source.bounds
        wide = (east - west) % 360
        across = east < west and wide <= ACROSS
        on_earth = min(west, east) >= -180 and max(west, east) <= 180 and -90 <= south < north <= 90
        if not on_earth or not (west < east or across):
            raise ConfigError(
                f"source.bounds: {list(source.bounds)} is not west, south, east, north in degrees (west < east, but "
                "for a city on both sides of the 180th meridian; south < north)."
            )
    if source.first_day and source.last_day and source.first_day > source.last_day:
        raise ConfigError(f"source.first_day: {source.first_day} is after source.last_day {source.last_day}.")


@dataclass(frozen=True)
class IngestRules:
    """The effective source section, with the preset's fields where the user says nothing.

    needed: the fields that a file must have. own_categories: those that the user gave. step: of the axis, which
    says how exact dates have to be. areas: an area is a place, as where the cells are polygons. forgotten: rows to pass
    over.
    """

    source: Source
    needed: tuple[str, ...]
    own_categories: Mapping[str, Sequence[str]]
    step: Unit = "hour"
    areas: bool = False
    forgotten: Forgotten = field(default_factory=Forgotten)

    @staticmethod
    def of(source: Source, step: Unit = "hour", areas: bool = False) -> IngestRules:
        """The rules of a source section, for an axis of some step, and cells that areas name or not.

        Raises:
            ConfigError: the section does not say enough, or something unknown.
        """
        whole = resolve(source)
        mapped = {name for name in source.columns.model_fields_set if getattr(source.columns, name)}
        needed = {*NEEDED, *mapped, *(("offence",) if whole.categories else ())}
        return IngestRules(whole, tuple(sorted(needed)), source.categories, step, areas)

    @staticmethod
    def of_city(config: Config) -> IngestRules:
        """The rules of a city, which pass over the reports that were erased there.

        Raises:
            ConfigError: as `of`.
            ArtefactError: the list of erased reports is damaged.
        """
        erased = Forgotten.open(Workspace(config.root, config.city).forgotten)
        areas = config.grid.cells == "polygons"
        return replace(IngestRules.of(config.source, config.time.step, areas), forgotten=erased)

    @property
    def counts(self) -> bool:
        """Whether rows are counts of reports, and not reports of which some withdraw others."""
        columns = self.source.columns
        return isinstance(columns.occurred, Periods) or bool(columns.count and not columns.incident_id)

    @property
    def category_names(self) -> tuple[str, ...]:
        """The categories in order, `other` last."""
        return category_names(self.source)

    @property
    def settings(self) -> dict[str, Any]:
        """Plain values of all that decides what becomes of a row, for fingerprints."""
        settings = self.source.model_dump(mode="json", exclude={*NO_MATTER})
        hashes = sorted(self.forgotten.hashes)
        settings |= {"step": self.step, "areas": self.areas}
        return settings | ({"forgotten": fingerprint(hashes)} if hashes else {})
