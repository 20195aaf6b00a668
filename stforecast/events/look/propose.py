"""A table of a publisher's rows → the configuration that reads it, with reasons and open questions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from stforecast.config import Config, parse
from stforecast.config.sections import Columns, Source
from stforecast.errors import DataError
from stforecast.events import ledger as why
from stforecast.events.clean import Cleaned, clean
from stforecast.events.clocks import DAY
from stforecast.events.header import locate, monthly
from stforecast.events.look.columns import Column, columns_of
from stforecast.events.look.groups import categories_of
from stforecast.events.look.peek import Table
from stforecast.events.look.publishers import publisher_of
from stforecast.events.look.region import holidays_of, placing_of
from stforecast.events.look.roles import Role
from stforecast.events.look.timing import timing_of
from stforecast.events.look.what import district_of, flags_of, keys_of, offence_of
from stforecast.events.look.when import roles_of_times
from stforecast.events.look.where import Places, find_places
from stforecast.events.look.written import Entry
from stforecast.events.reading import reading_of, stated
from stforecast.events.sources import resolve
from stforecast.events.times import Reading


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

    def regrouped(self, offences: Mapping[str, int]) -> Proposal:
        """The same with categories of other offences, where it has categories of its own."""
        of_groups = [entry.key.startswith(("source.categories", "source.other")) for entry in self.entries]
        if not any(of_groups):
            return self
        at = of_groups.index(True)
        rest = [entry for entry, grouped in zip(self.entries, of_groups, strict=True) if not grouped]
        groups = categories_of(offences)
        source = self.source.model_copy(update=_grouped(groups))
        return replace(self, entries=[*rest[:at], *groups, *rest[at:]], source=source)

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
    placing, zone = placing_of(places, table.whole)
    draft = _source(roles, places, zone)
    frame = table.mapped(draft.columns)
    if not places.in_degrees:  # times are judged by rows that have a place
        frame = frame.assign(latitude="10", longitude="10")
    occurred, offence = (_column_of(field, roles, columns) for field in ("occurred", "offence"))
    timing = timing_of(frame, draft, bool(zone), occurred.order if occurred else "month_first", origin, now)
    if not roles["occurred"].asks:
        marked = occurred is not None and occurred.has_offset and timing.source.times_are is None
        precision = timing.precision + ("; the written offset from UTC counts" if marked else "")
        roles["occurred"] = replace(roles["occurred"], why=f"{roles['occurred'].why}; {precision}")
    entries = [
        Entry("city", city),
        _known_time("reported" in roles),
        Entry("source.path", path),
        *(
            Entry(f"source.columns.{field}", _names(role), role.why, role.asks)
            for field, role in _sorted(roles).items()
        ),
        *placing,
        *timing.entries,
        *categories_of(offence.counts if offence else {}),
    ]
    source = resolve(timing.source.model_copy(update=_grouped(entries)))
    entries += _losses(clean(frame, source, now, timing.reading))
    return Proposal(entries + holidays_of(zone), source, timing.reading, places.in_degrees)


def _of_publisher(preset: str, table: Table, city: str, path: str | list[str], now: pd.Timestamp) -> Proposal:
    source = resolve(Source(preset=preset))
    found = locate(list(table.columns), source.columns, (), preset)
    cleaned = clean(table.mapped(source.columns), source, now)
    try:
        reading = reading_of({Path(preset): cleaned.told}, source)[0][Path(preset)]
    except DataError:  # which the trial tells
        reading = stated(source)
    entries = [
        Entry("city", city),
        _known_time("reported" in found),
        Entry("source.preset", preset, "its columns are in the header, and the places lie in its bounds"),
        Entry("source.path", path),
    ]
    return Proposal(entries, source, reading, True)


def _known_time(reported: bool) -> Entry:
    if reported:
        return Entry("known_time", "reported", "a column tells when each report became known")
    return Entry("known_time", "occurred", "no column tells when a report became known")


def _others(
    left: Sequence[Column], columns: Sequence[Column], roles: dict[str, Role], places: Places, table: Table
) -> dict[str, Role]:
    """The roles of the columns that hold neither times nor places."""
    occurred = _column_of("occurred", roles, columns)
    days = occurred.times // DAY if occurred and occurred.times is not None else None
    out = flags_of(left)
    if offence := offence_of(left):
        out["offence"] = offence
    out |= keys_of(_without(left, out), days, table.whole)
    if district := district_of(_without(left, out), places):
        out["district"] = district
    return out


def _source(roles: dict[str, Role], places: Places, zone: str) -> Source:
    """The source as far as it is known, in one category."""
    columns = {field: _names(role) for field, role in roles.items()}
    return Source.model_validate({"columns": columns, "time_zone": zone or "UTC", "other": "any"})


def _losses(cleaned: Cleaned) -> list[Entry]:
    """A higher limit of refused rows where many have no place, which is a publisher's way and no mistake."""
    refused, events = cleaned.rejects["reason"], len(cleaned.events)
    share = float((refused == why.NO_PLACE).sum() / max(len(refused) + events, 1))
    if share <= Source().max_rejects or share == 1:
        return []
    limit = min(math.ceil(share * 1.25 / 0.05) * 0.05, 0.95)
    return [Entry("source.max_rejects", round(limit, 2), f"{share:.1%} of the rows have no place")]


def _grouped(entries: Sequence[Entry]) -> dict[str, Any]:
    """The categories among the entries, as fields of the source."""
    groups = {entry.key.rpartition(".")[2]: entry.value for entry in entries if entry.counts}
    return {"categories": groups, "other": None} if groups else {}


def _column_of(field: str, roles: dict[str, Role], columns: Sequence[Column]) -> Column | None:
    """The column of a field, if it is one."""
    return next((column for column in columns if field in roles and column.name == roles[field].column), None)


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
