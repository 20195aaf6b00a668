"""A table of a publisher's rows → the configuration that reads it, with reasons and open questions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from stforecast.config import Config, parse
from stforecast.config.sections import PRESETS, Columns, Source
from stforecast.config.yamls import values_of
from stforecast.errors import DataError
from stforecast.events import outcomes
from stforecast.events.clean import Cleaned, clean
from stforecast.events.coordinates import in_bounds, is_blank_place, to_degrees
from stforecast.events.examine.area_columns import (
    area_entries,
    find_area_column,
    find_count_column,
    find_period_columns,
)
from stforecast.events.examine.columns import Column, ColumnRole, columns_of
from stforecast.events.examine.entries import ConfigEntry, category_entries, to_yaml
from stforecast.events.examine.offence_columns import (
    find_district_column,
    find_flag_columns,
    find_key_columns,
    find_offence_column,
    possible_offence_columns,
)
from stforecast.events.examine.place_columns import PlaceColumns, find_place_columns
from stforecast.events.examine.region import holiday_entries, place_entries
from stforecast.events.examine.sample import Sample
from stforecast.events.examine.time_columns import find_time_columns
from stforecast.events.examine.time_settings import TimeSettings, clock_entry, infer_time_settings
from stforecast.events.parsing.text_columns import to_arrow, to_numbers
from stforecast.events.parsing.times_of_day import DAY
from stforecast.events.parsing.timestamp_columns import TimeFormat
from stforecast.events.readers.header import locate
from stforecast.events.sources import NEEDED, IngestRules, resolve
from stforecast.events.time_formats import guess_time_format
from stforecast.publishers import publisher

IN_BOUNDS = 0.9
"""Share of the places that lie in the bounds of the publisher whose file it is."""


@dataclass(frozen=True)
class Proposal:
    """A configuration in the making.

    entries: its keys. rules, time_format: how the rows are read, open questions being answered by the likeliest guess.
    placed: where the rows are is known.
    """

    entries: list[ConfigEntry]
    rules: IngestRules
    time_format: TimeFormat
    placed: bool

    def regrouped(self, offences: Mapping[str, int]) -> Proposal:
        """The same with categories of other offences, where it has categories of its own."""
        of_groups = [entry.key.startswith(("source.categories", "source.other")) for entry in self.entries]
        if not any(of_groups):
            return self
        at = of_groups.index(True)
        rest = [entry for entry, grouped in zip(self.entries, of_groups, strict=True) if not grouped]
        groups = category_entries(offences, {})
        source = self.rules.source.model_copy(update=_grouped(groups))
        rules = IngestRules.of(source, self.rules.step, self.rules.areas)
        return replace(self, entries=[*rest[:at], *groups, *rest[at:]], rules=rules)

    @property
    def questions(self) -> list[tuple[str, str]]:
        """What is open: key and question."""
        return [(entry.key, entry.question) for entry in self.entries if entry.question]

    @property
    def config(self) -> Config:
        """What the written file is read as."""
        origin = "the proposed configuration"
        return parse(values_of(to_yaml(self.entries, ""), origin), origin)


def propose(
    sample: Sample,
    city: str,
    whence: Sequence[ConfigEntry],
    origin: str,
    now: pd.Timestamp,
    preset: str | None = None,
) -> Proposal:
    """The configuration for a table.

    Args:
        whence: the keys that say where the rows come from.
        origin: the files, for messages.
        preset: the publisher, where it is known; one that has a format is left out if the columns are others.

    Raises:
        DataError: no column holds dates or places.
    """
    if known := _match_publisher(sample, PRESETS if preset is None else (preset,)):
        return _of_publisher(known, sample, city, whence, now)
    given = Source()
    if preset and not publisher(preset).has_format:
        given = publisher(preset).source
        whence = [ConfigEntry("source.preset", preset, "whose columns are found below"), *whence]
    published = {name: texts for name, texts in sample.columns.items() if name not in sample.of_server}
    roles, columns = find_period_columns(columns_of(published))
    wide = bool(roles)
    roles = roles or find_time_columns(columns)
    if not roles:
        raise DataError(
            f"{origin}: no column holds dates of 1990 or later; found: {', '.join(sample.columns):.400}. Name the file "
            "of the reports themselves, or write the configuration by hand."
        )
    places = find_place_columns(_without(columns, roles), sample.points, sample.in_degrees)
    occurred = _column_of("occurred", roles, columns)
    if places is None:
        roles |= _by_area(columns, roles, wide, origin)
        question = "the city's IANA time zone, such as Europe/London"
        placing, zone = [ConfigEntry("source.time_zone", question=question)], ""
    else:
        roles |= places.roles
        placing, zone = place_entries(places, sample.whole)
    if given.time_zone and zone in ("", given.time_zone):
        placing, zone = [entry for entry in placing if entry.key != "source.time_zone"], given.time_zone
    left = _without(columns, roles)
    counted = wide or "count" in roles
    roles = (_of_counts(left, places) if counted else _others(left, occurred, places, sample.whole)) | roles
    if sample.row_id and "event_id" not in roles and not counted:
        roles["event_id"] = ColumnRole(sample.row_id, "the number that the publisher's server keeps a row under")
    offence = _column_of("offence", roles, columns)
    possible = {} if offence else possible_offence_columns(_without(columns, roles))
    names = {field: role.names for field, role in roles.items()}
    draft = Source.model_validate({"columns": names, "time_zone": zone or "UTC", "other": "any"})
    frame = sample.mapped(draft.columns)
    placed = places is None or places.in_degrees
    # times are judged by rows that have a place
    judged = frame if places and placed else frame.assign(latitude="10", longitude="10")
    timing = infer_time_settings(judged, draft, bool(zone), occurred.order if occurred else "month_first", origin, now)
    if timing.step == "hour" and not roles["occurred"].question:
        marked = occurred is not None and occurred.has_offset and timing.source.times_are is None
        said = (
            "; counted from 1970 in UTC" if occurred and occurred.in_digits else "; the written offset from UTC counts"
        )
        precision = timing.precision + (said if marked else "")
        roles["occurred"] = replace(roles["occurred"], why=f"{roles['occurred'].why}; {precision}")
    entries = [
        ConfigEntry("city", city),
        _known_time("reported" in roles),
        *_step(timing),
        *whence,
        *(
            ConfigEntry(f"source.columns.{field}", roles[field].names, roles[field].why, roles[field].question)
            for field in Columns.model_fields
            if field in roles
        ),
        *placing,
        *timing.entries,
        *category_entries(offence.counts if offence else {}, possible),
    ]
    source = resolve(timing.source.model_copy(update=_grouped(entries)))
    rules = IngestRules.of(source, timing.step, places is None)
    entries += _losses(clean(frame if placed else judged, rules, now, timing.time_format))
    if places is None:
        entries += area_entries(city, roles["area"])
    return Proposal(entries + ([] if given.time_zone else holiday_entries(zone)), rules, timing.time_format, placed)


def _of_publisher(preset: str, sample: Sample, city: str, whence: Sequence[ConfigEntry], now: pd.Timestamp) -> Proposal:
    source = resolve(Source(preset=preset))
    rules = IngestRules.of(source, publisher(preset).step or "hour")
    found = locate(list(sample.columns), source.columns, (), preset, sample.in_degrees)
    frame = sample.mapped(source.columns)
    cleaned = clean(frame, rules, now)
    written = None if source.times_are else clock_entry(cleaned.facts, source, frame)
    if written and written.value:
        rules = IngestRules.of(source.model_copy(update={"times_are": written.value}), rules.step)
    entries = [
        ConfigEntry("city", city),
        _known_time("reported" in found),
        ConfigEntry("source.preset", preset, "its columns are in the header, and the places lie in its bounds"),
        *whence,
        *([written] if written else []),
    ]
    return Proposal(entries, rules, guess_time_format(cleaned.facts, rules), True)


def _known_time(reported: bool) -> ConfigEntry:
    value, what = ("reported", "a column tells when each") if reported else ("occurred", "no column tells when a")
    return ConfigEntry("known_time", value, f"{what} report became known")


def _step(timing: TimeSettings) -> list[ConfigEntry]:
    """The step of the axis where the dates bear no time of day."""
    if timing.step == "hour":
        return []
    why = "the dates bear no time of day" if timing.step == "day" else "the dates are months"
    return [ConfigEntry("time.step", timing.step, why)]


def _by_area(columns: Sequence[Column], times: dict[str, ColumnRole], wide: bool, origin: str) -> dict[str, ColumnRole]:
    """The roles of area, offence and count in a table without coordinates.

    Raises:
        DataError: no column holds areas.
    """
    left = _without(columns, times)
    out = {"offence": offence} if (offence := find_offence_column(left)) else {}
    area = find_area_column(_without(left, out), wide)
    if area is None:
        raise DataError(
            f"{origin}: no column holds places: latitude and longitude, both in one text, metres or feet, or codes of "
            f"areas; found: {', '.join(column.name for column in columns):.400}. Reports without places cannot be "
            "forecast."
        )
    out["area"] = area
    if not wide and (count := find_count_column(columns, times | out)):
        out["count"] = count
    return out


def _of_counts(left: Sequence[Column], places: PlaceColumns | None) -> dict[str, ColumnRole]:
    """The roles of the other columns of a table of counts, whose rows have no keys."""
    found = {"offence": find_offence_column(left), "district": find_district_column(left, places)}
    return {field: role for field, role in found.items() if role}


def _others(
    left: Sequence[Column], occurred: Column | None, places: PlaceColumns | None, whole: bool
) -> dict[str, ColumnRole]:
    """The roles of the columns that hold neither times nor places."""
    days = occurred.times // DAY if occurred and occurred.times is not None else None
    out = find_flag_columns(left)
    if offence := find_offence_column(left):
        out["offence"] = offence
    out |= find_key_columns(_without(left, out), days, whole)
    if district := find_district_column(_without(left, out), places):
        out["district"] = district
    return out


def _losses(cleaned: Cleaned) -> list[ConfigEntry]:
    """A higher limit of refused rows where many have no place, which is a publisher's way and no mistake."""
    refused, events = cleaned.rejects["reason"].to_pylist(), len(cleaned.events)
    share = refused.count(outcomes.NO_PLACE) / max(len(refused) + events, 1)
    if share <= Source().max_rejects or share == 1:
        return []
    limit = min(math.ceil(share * 1.25 / 0.05) * 0.05, 0.95)
    return [ConfigEntry("source.max_rejects", round(limit, 2), f"{share:.1%} of the rows have no place")]


def _grouped(entries: Sequence[ConfigEntry]) -> dict[str, Any]:
    """The categories among the entries, as fields of the source."""
    groups = {entry.key.rpartition(".")[2]: entry.value for entry in entries if entry.counts}
    return {"categories": groups, "other": None} if groups else {}


def _column_of(field: str, roles: dict[str, ColumnRole], columns: Sequence[Column]) -> Column | None:
    """The column of a field, if it is one."""
    return next((column for column in columns if field in roles and column.name == roles[field].column), None)


def _without(columns: Sequence[Column], roles: dict[str, ColumnRole]) -> list[Column]:
    """The columns that have no role yet."""
    taken = {name for role in roles.values() for name in role.columns}
    return [column for column in columns if column.name not in taken]


def _match_publisher(sample: Sample, presets: Sequence[str]) -> str | None:
    """The first of some presets whose columns the table has, and whose bounds hold its places."""
    for name in presets:
        source = publisher(name).source
        try:
            found = locate(list(sample.columns), source.columns, (*NEEDED, "offence"), name, sample.in_degrees)
        except DataError:
            continue
        frame = sample.mapped(source.columns)
        if not {"longitude", "latitude"} <= set(frame):
            continue
        x, y = (to_numbers(to_arrow(frame[field])) for field in ("longitude", "latitude"))
        known, crs = ~is_blank_place(x, y), source.crs if "latitude" in found else None
        if known.any() and in_bounds(*to_degrees(x[known], y[known], crs), source.bounds).mean() >= IN_BOUNDS:
            return name
    return None
