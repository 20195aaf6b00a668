"""Offences → the categories of a configuration, by their words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from stforecast.events.examine.entries import ConfigEntry
from stforecast.events.examine.offence_words import GROUPS, LEFT_OUT, offence_group

LISTED = 40
"""Offences that are listed where no word tells their group."""


def category_entries(offences: Mapping[str, int]) -> list[ConfigEntry]:
    """The keys `source.categories` or `source.other` for offences and their rows, the most frequent first."""
    any_kind = ConfigEntry("source.other", "any", "all reports in one category")
    if not offences:
        return [any_kind]
    groups: dict[str | None, dict[str, int]] = {}
    for text, rows in offences.items():
        kind = " ".join(text.split())
        group = groups.setdefault(offence_group(text), {})
        group[kind] = group.get(kind, 0) + rows
    entries = [
        ConfigEntry(f"source.categories.{name}", list(groups[name]), counts=list(groups[name].values()))
        for name in GROUPS
        if name in groups
    ]
    if not entries:
        kinds = {kind: rows for group in groups.values() for kind, rows in group.items()}
        question = f"no word tells the groups of the offences; make source.categories of {_counted(kinds)}"
        return [replace(any_kind, question=question)]
    if LEFT_OUT in groups:
        said = f"left out (found by patrols, traffic, fraud): {_counted(groups[LEFT_OUT])}"
        entries.append(ConfigEntry("source.categories", why=said))
    if None in groups:
        question = f"no word tells the group of these; place them above, or leave them out: {_counted(groups[None])}"
        entries.append(ConfigEntry("source.categories", question=question))
    return entries


def _counted(kinds: Mapping[str, int]) -> str:
    first = ", ".join(f"{kind} ({rows:,})" for kind, rows in list(kinds.items())[:LISTED])
    return first + (f" and {len(kinds) - LISTED} more" if len(kinds) > LISTED else "")
