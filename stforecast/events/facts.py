"""What is found in the rows of a chunk: how many of each kind, examples, and until when that holds; chunks add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

FOREVER = 2**62  # µs

Example = tuple[str, int, str]
"""File, line and text."""


@dataclass
class Findings:
    """What is for the user to know of a record, and what to doubt it for: sentences."""

    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


@dataclass
class Facts:
    """Facts of some rows.

    rows: how many were read.
    due: the first instant (µs) at which the same rows may come out differently, since they tell of what was to come.
    counts: rows by kind, under these names: `left_out` and `corrected`, by reason; `offences`; `rows`, whose time is
    filled, timeless or a month without a day; `firsts`, days that are the first of a month, by days since 1970; those
    of `ParsedTimes.evidence`; `orders`, as in the examples; `minutes` of the day as written; `beside`, minutes of other
    times of day that stand behind the days of a pair of columns; an optional time that is filled or unread.
    examples: the first row of a kind, which is the bits of the `ORDERS` that a day allows, where they lead to different
    days, or a name such as `time_formats.DAY_IN_UTC`.
    """

    rows: int = 0
    due: int = FOREVER
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    examples: dict[str, Example] = field(default_factory=dict)

    @classmethod
    def total(cls, parts: Iterable[Facts]) -> Self:
        """The facts of all of some rows, in their order."""
        out = cls()
        for part in parts:
            out.rows += part.rows
            out.due = min(out.due, part.due)
            out.examples = {**part.examples, **out.examples}
            for name, counts in part.counts.items():
                out.count(name, counts)
        return out

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read the fields as JSON has them."""
        counts = {name: Counter(kinds) for name, kinds in values["counts"].items()}
        examples = {kind: (file, line, text) for kind, (file, line, text) in values["examples"].items()}
        return cls(values["rows"], values["due"], counts, examples)

    def count(self, name: str, counts: Mapping[str, int]) -> None:
        """Add to what is counted under a name."""
        self.counts.setdefault(name, Counter()).update(counts)

    def of(self, name: str) -> Counter[str]:
        """What is counted under a name."""
        return self.counts.get(name, Counter())

    def orders(self) -> dict[int, Example]:
        """The examples of days whose numbers can be taken for different ones, by the bits of the orders they allow."""
        return {int(kind): row for kind, row in sorted(self.examples.items()) if kind.isdigit()}
