"""A table of a publisher's rows → the configuration that reads it, with reasons and open questions."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from stforecast.config import PRESET_COUNTRY, Config, parse
from stforecast.errors import DataError
from stforecast.events import ledger as why
from stforecast.events.clean import Cleaned, clean
from stforecast.events.clocks import DAY
from stforecast.events.days import NONE
from stforecast.events.geography import zone_at
from stforecast.events.header import locate, monthly
from stforecast.events.hours import LEAST, better_reading
from stforecast.events.look.columns import Column, columns_of
from stforecast.events.look.peek import Table
from stforecast.events.look.publishers import publisher_of
from stforecast.events.look.region import bounds_of, country_of, subdivisions_of, systems_of
from stforecast.events.look.roles import Role
from stforecast.events.look.what import district_of, flags_of, keys_of, offence_of
from stforecast.events.look.when import roles_of_times
from stforecast.events.look.where import Places, find_places
from stforecast.events.look.words import GROUPS, LEFT_OUT, group_of
from stforecast.events.look.written import Entry
from stforecast.events.reading import reading_of, stated
from stforecast.events.sources import resolve
from stforecast.events.times import Reading
from stforecast.sections import Columns, DateOrder, Source

LISTED = 40
"""Offences that are listed where no word tells their group."""
SUBDIVISIONS = 16
HOURLY = 0.97
"""Share of times on the hour from which they are hours and no more."""
_ASKED = re.compile(r"source\.(date_order|clock|times_are)")


@dataclass(frozen=True)
class Proposal:
    """A configuration in the making.

    entries: its keys. source, reading: how the rows are read, open questions being answered by the likeliest guess.
    placed: where the rows are is known.
    """

    entries: list[Entry]
    source: Source
    reading: Reading
    placed: bool

    @property
    def questions(self) -> list[tuple[str, str]]:
        """What is open: key and question."""
        return [(entry.key, entry.asks) for entry in self.entries if entry.asks]

    @property
    def config(self) -> Config:
        """What the written file is read as."""
        values: dict[str, Any] = {}
        for entry in self.entries:
            if entry.value is not None:
                *parents, name = entry.key.split(".")
                node = values
                for parent in parents:
                    node = node.setdefault(parent, {})
                node[name] = entry.value
        return parse(values, "the proposed configuration")


def propose(table: Table, city: str, path: str | list[str], origin: str, now: pd.Timestamp) -> Proposal:
    """The configuration for a table.

    Args:
        path: `source.path`.
        origin: the files, for messages.

    Raises:
        DataError: no column holds dates or places, or the publisher gives months only.
    """
    if preset := publisher_of(table):
        return _of_publisher(preset, table, city, path, now)
    columns = columns_of(table.columns)
    roles = roles_of_times(columns)
    if not roles:
        if any(column.is_month for column in columns):
            raise monthly(origin)
        raise DataError(
            f"{origin}: no column holds dates of 1990 or later; found: {', '.join(table.columns):.400}. Name the file "
            "of the reports themselves, or write the configuration by hand."
        )
    places = find_places(_without(columns, roles), table.points, table.in_degrees)
    if places is None:
        raise DataError(
            f"{origin}: no column holds places: latitude and longitude, both in one text, or metres or feet; found: "
            f"{', '.join(table.columns):.400}. Reports without places cannot be forecast on hexagons."
        )
    roles |= places.roles
    roles |= _others(_without(columns, roles), columns, roles, places, table)
    placing, zone = _placing(places, table.whole)
    draft = _source(roles, places, zone)
    frame = table.mapped(draft.columns)
    if not places.in_degrees:  # times are judged by rows that have a place
        frame = frame.assign(latitude="10", longitude="10")
    occurred = next((column for column in columns if column.name == roles["occurred"].column), None)
    likely = occurred.order if occurred else "month_first"
    draft, reading, timing, precision = _timing(frame, draft, bool(zone), likely, origin, now)
    if not roles["occurred"].asks:
        roles["occurred"] = replace(roles["occurred"], why=f"{roles['occurred'].why}; {precision}")
    offences = next(
        (column for column in columns if "offence" in roles and column.name == roles["offence"].column), None
    )
    entries = [
        Entry("city", city),
        _known_time("reported" in roles),
        Entry("source.path", path),
        *(
            Entry(f"source.columns.{field}", _names(role), role.why, role.asks)
            for field, role in _sorted(roles).items()
        ),
        *placing,
        *timing,
        *_categories(offences),
    ]
    source = resolve(draft.model_copy(update=_grouped(entries)))
    entries += _losses(clean(frame, source, now, reading))
    return Proposal(entries + _holidays(zone), source, reading, places.in_degrees)


def _of_publisher(preset: str, table: Table, city: str, path: str | list[str], now: pd.Timestamp) -> Proposal:
    source = resolve(Source(preset=preset))
    found = locate(list(table.columns), source.columns, (), preset)
    cleaned = clean(table.mapped(source.columns), source, now)
    try:
        reading, _ = reading_of({preset: cleaned.told}, source)
    except DataError:  # which the trial tells
        reading = stated(source)
    entries = [
        Entry("city", city),
        _known_time("reported" in found),
        Entry("source.preset", preset, "its columns are in the header, and the places lie in its bounds"),
        Entry("source.path", path),
    ]
    subdivision = Entry("grid.subdivision", asks=f"code of the state of {PRESET_COUNTRY} whose public holidays count")
    return Proposal([*entries, subdivision], source, reading, True)


def _known_time(reported: bool) -> Entry:
    if reported:
        return Entry("known_time", "reported", "a column tells when each report became known")
    return Entry("known_time", "occurred", "no column tells when a report became known")


def _others(
    left: Sequence[Column], columns: Sequence[Column], roles: dict[str, Role], places: Places, table: Table
) -> dict[str, Role]:
    """The roles of the columns that hold neither times nor places."""
    occurred = next((column for column in columns if column.name == roles["occurred"].column), None)
    wall = occurred.times if occurred is not None and occurred.times is not None else np.full(len(table), NONE)
    out = flags_of(left)
    if offence := offence_of(left):
        out["offence"] = offence
    out |= keys_of(_without(left, out), wall // DAY, table.whole)
    if district := district_of(_without(left, out), places):
        out["district"] = district
    return out


def _placing(places: Places, whole: bool) -> tuple[list[Entry], str]:
    """Coordinate system, time zone and bounds; and the time zone, "" where it is open."""
    if not places.in_degrees:
        y, x = places.middle
        fitting = "".join(
            f"{code} would be at {latitude:.2f}, {longitude:.2f} in {zone} ({name})\n"
            for code, name, latitude, longitude, zone in systems_of(x, y)
        )
        asks = (
            f"the coordinates are metres or feet (such as {x:.1f}, {y:.1f}) of a system that the file does not name; "
            "set the publisher's, for example\n"
            f"{fitting}EPSG:326NN (or 327NN in the south) is zone NN of UTM"
        )
        zone_asks = "the city's IANA time zone, such as America/Chicago; it follows from crs"
        return [Entry("source.crs", asks=asks), Entry("source.time_zone", asks=zone_asks)], ""
    zone = zone_at(*places.middle)
    bounds = bounds_of(places.x, places.y, whole)
    west, south, east, north = bounds
    inside = (places.x >= west) & (places.x <= east) & (places.y >= south) & (places.y <= north)
    outside = int((np.isfinite(places.x) & ~inside).sum())
    around = f"around the middle 99 % of the places; {outside:,} of {np.isfinite(places.x).sum():,} lie outside"
    return [Entry("source.time_zone", zone, "where the places are"), Entry("source.bounds", bounds, around)], zone


def _source(roles: dict[str, Role], places: Places, zone: str) -> Source:
    """The source as far as it is known, in one category."""
    columns = {field: _names(role) for field, role in roles.items()}
    return Source.model_validate({"columns": columns, "time_zone": zone or "UTC", "other": "any"})


def _timing(
    frame: pd.DataFrame, draft: Source, zoned: bool, likely: DateOrder, origin: str, now: pd.Timestamp
) -> tuple[Source, Reading, list[Entry], str]:
    """How times are read: the source with it, the reading, what is to be written of it, and the precision.

    Args:
        zoned: the time zone of the draft is that of the places.
        likely: the order of day, month and year that is taken where the dates leave it open.
    """
    entries = []
    while True:
        told = clean(frame, draft, now, stated(draft)).told
        try:
            reading, _ = reading_of({origin: told}, draft)
            break
        except DataError as error:
            found = _ASKED.search(str(error))
            if not found or getattr(draft, found[1]) is not None:
                raise
            guess = {"date_order": likely, "clock": "hours", "times_are": "local"}[found[1]]
            draft = draft.model_copy(update={found[1]: guess})
            entries.append(Entry(f"source.{found[1]}", asks=str(error).removeprefix(f"{origin}: ")))
    cleaned = clean(frame, draft, now, reading)
    occurred = cleaned.events["occurred_at"].to_numpy("datetime64[us]").astype(np.int64)
    if told.orders() and draft.date_order is None:
        draft = draft.model_copy(update={"date_order": reading.order})
        entries.append(Entry("source.date_order", reading.order, "as the days beyond the 12th tell"))
    if draft.times_are is None and zoned and (how := better_reading(occurred, draft)):
        reason = f"by the hours of the day, which are a city's only if times are {how}"
        draft = draft.model_copy(update={"times_are": how.lower()})
        entries.append(Entry("source.times_are", how.lower(), reason))
    hourly = float(np.mean(occurred % (DAY // 24) == 0)) >= HOURLY if len(occurred) >= LEAST else False
    return draft, reading, entries, "whole hours" if hourly else "to the minute"


def _categories(offences: Column | None) -> list[Entry]:
    """Groups of offences by their words."""
    any_kind = Entry("source.other", "any", "all reports in one category")
    if offences is None:
        return [any_kind]
    groups: dict[str | None, dict[str, int]] = {}
    for text, rows in offences.counts.items():
        kind = " ".join(text.split())
        group = groups.setdefault(group_of(text), {})
        group[kind] = group.get(kind, 0) + rows
    entries = [
        Entry(f"source.categories.{name}", list(groups[name]), counts=list(groups[name].values()))
        for name in GROUPS
        if name in groups
    ]
    if entries and LEFT_OUT in groups:
        said = f"left out (found by patrols, traffic, fraud): {_counted(groups[LEFT_OUT])}"
        entries.append(Entry("source.categories", why=said))
    if entries and None in groups:
        asks = f"no word tells the group of these; place them above, or leave them out: {_counted(groups[None])}"
        entries.append(Entry("source.categories", asks=asks))
    if not any(entry.counts for entry in entries):
        kinds = {kind: rows for group in groups.values() for kind, rows in group.items()}
        asks = f"no word tells the groups of the offences; make source.categories of {_counted(kinds)}"
        return [replace(any_kind, asks=asks)]
    return entries


def _counted(kinds: dict[str, int]) -> str:
    first = ", ".join(f"{kind} ({rows:,})" for kind, rows in list(kinds.items())[:LISTED])
    return first + (f" and {len(kinds) - LISTED} more" if len(kinds) > LISTED else "")


def _grouped(entries: Sequence[Entry]) -> dict[str, Any]:
    """The categories among the entries, as fields of the source."""
    groups = {entry.key.rpartition(".")[2]: entry.value for entry in entries if entry.counts}
    return {"categories": groups, "other": None} if groups else {}


def _losses(cleaned: Cleaned) -> list[Entry]:
    """A higher limit of refused rows where many have no place, which is a publisher's way and no mistake."""
    refused, events = cleaned.rejects["reason"], len(cleaned.events)
    share = float((refused == why.NO_PLACE).sum() / max(len(refused) + events, 1))
    if share <= Source().max_rejects or share == 1:
        return []
    limit = min(math.ceil(share * 1.25 / 0.05) * 0.05, 0.95)
    return [Entry("source.max_rejects", round(limit, 2), f"{share:.1%} of the rows have no place")]


def _holidays(zone: str) -> list[Entry]:
    if not (country := country_of(zone)):
        return [Entry("grid.country", asks="country code whose public holidays count; without it there are none")]
    known, every = subdivisions_of(country, zone)
    entries = [Entry("grid.country", country, f"of the time zone {zone}")]
    if known:
        entries.append(Entry("grid.subdivision", known, "the only one in that time zone"))
    elif every:
        some = ", ".join(every[:SUBDIVISIONS]) + (" …" if len(every) > SUBDIVISIONS else "")
        asks = f"code of the state or province whose public holidays count beside those of {country}: {some}"
        entries.append(Entry("grid.subdivision", asks=asks))
    return entries


def _names(role: Role) -> list[str] | dict[str, str]:
    return [role.column] if isinstance(role.column, str) else role.column


def _sorted(roles: dict[str, Role]) -> dict[str, Role]:
    """Roles in the order of `source.columns`."""
    return {field: roles[field] for field in Columns.model_fields if field in roles}


def _without(columns: Sequence[Column], roles: dict[str, Role]) -> list[Column]:
    """The columns that have no role yet."""
    taken: set[str] = set()
    for role in roles.values():
        taken |= {role.column} if isinstance(role.column, str) else set(role.column.values())
    return [column for column in columns if column.name not in taken]
