"""What a column is for, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stforecast.events.look.columns import Column
from stforecast.events.look.words import is_named


@dataclass(frozen=True)
class Role:
    """The column (or of a date in parts: part → column) of a field of `source.columns`, and why it is that one.

    asks: what the user has to answer, where the file leaves it open.
    """

    column: str | dict[str, str]
    why: str
    asks: str = ""


def first_named(columns: Sequence[Column], role: str) -> Column | None:
    """The first of some columns whose name has a word for a role."""
    return next((column for column in columns if is_named(column.name, role)), None)
