"""The keys of a proposed configuration, those of its categories, and all of them as YAML with their reasons."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from stforecast.events.examine.offence_words import GROUPS, LEFT_OUT, offence_group
from stforecast.events.readers.header import printable

WIDTH = 118
LISTED = 40
"""Offences that are listed where no word tells their group."""
FEW_LISTED = 6
"""Values of a column that are listed where it may hold the offences."""


@dataclass(frozen=True)
class ConfigEntry:
    """A key of the configuration.

    key: dotted. value: None leaves the key to the user, as a comment. why: the reason. asks: what the user has to
    answer. counts: rows of each item of a list, which is then written one item a line.
    """

    key: str
    value: Any = None
    why: str = ""
    question: str = ""
    counts: Sequence[int] = ()


def to_yaml(entries: Sequence[ConfigEntry], title: str) -> str:
    """The entries as YAML, sections in the order in which they come."""
    lines = [f"# {line}" for line in title.splitlines()]
    section: tuple[str, ...] = ()
    for entry in entries:
        *parents, name = entry.key.split(".")
        for at, parent in enumerate(parents):
            if tuple(parents[: at + 1]) != section[: at + 1]:
                prefix = ".".join(parents[: at + 1]) + "."
                live = any(other.value is not None and other.key.startswith(prefix) for other in entries)
                lines += [""] * (at == 0) + ["  " * at + ("" if live else "# ") + f"{parent}:"]
        section = tuple(parents)
        lines += _lines(entry, name, len(parents))
    return "\n".join(lines) + "\n"


def _lines(entry: ConfigEntry, name: str, depth: int) -> list[str]:
    indent, question = "  " * depth, entry.question
    line, why = f"{indent}{name}: {_flow(entry.value)}", printable(entry.why)
    if entry.value is None:
        lines = _comment(f"{name}: {entry.why}" if entry.why else "", depth)
        question = f"{name}: {question}"
    elif isinstance(entry.value, list) and any(isinstance(item, dict) for item in entry.value):
        lines = [*_comment(why, depth), f"{indent}{name}:", *(f"{indent}  - {_flow(item)}" for item in entry.value)]
    elif entry.counts:
        width = max(len(_flow(item)) for item in entry.value)
        items = zip(entry.value, entry.counts, strict=True)
        lines = [f"{indent}{name}:", *(f"{indent}  - {_flow(item):<{width}}  # {rows:,}" for item, rows in items)]
    elif why and len(line) + len(why) + 4 <= WIDTH:
        lines = [f"{line}  # {why}"]
    else:
        lines = [*_comment(entry.why, depth), line]
    return lines + _comment(f"? {question}" if entry.question else "", depth)


def _comment(text: str, depth: int) -> list[str]:
    """A text as comment lines; all but its first line stand further in."""
    first, further = "  " * depth + "# ", "  " * depth + "#     "
    lines: list[str] = []
    for line in text.split("\n"):
        indent = further if lines else first
        lines += textwrap.wrap(printable(line), WIDTH, initial_indent=indent, subsequent_indent=further)
    return lines


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def category_entries(offences: Mapping[str, int], possible: Mapping[str, Mapping[str, int]]) -> list[ConfigEntry]:
    """The keys `source.categories` or `source.other` for offences and their rows, the most frequent first.

    Args:
        possible: where the column of offences is not known, those that it may be, with the rows of their values.
    """
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
        question = f"no word tells the groups of the offences; make source.categories of {_counted(offences)}"
        if not offences:
            named = "; ".join(f"{name}: {_counted(counts, FEW_LISTED)}" for name, counts in possible.items())
            question = named and (
                "no column holds a known word of an offence; if one of these tells what was reported, name it as "
                f"source.columns.offence and make source.categories of its values: {named}"
            )
        return [ConfigEntry("source.other", "any", "all reports in one category", question)]
    if LEFT_OUT in groups:
        reason = f"left out (found by patrols, traffic, fraud): {_counted(groups[LEFT_OUT])}"
        entries.append(ConfigEntry("source.categories", why=reason))
    if None in groups:
        question = f"no word tells the group of these; place them above, or leave them out: {_counted(groups[None])}"
        entries.append(ConfigEntry("source.categories", question=question))
    return entries


def _counted(kinds: Mapping[str, int], listed: int = LISTED) -> str:
    first = ", ".join(f"{kind} ({rows:,})" for kind, rows in list(kinds.items())[:listed])
    return first + (f" and {len(kinds) - listed} more" if len(kinds) > listed else "")
