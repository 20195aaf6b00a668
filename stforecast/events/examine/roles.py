"""What a column is for, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stforecast.events.examine.columns import Column
from stforecast.events.examine.offence_words import has_word_for


@dataclass(frozen=True)
class ColumnRole:
    """The column (or of a date in parts: part → column) of a field of `source.columns`, and why it is that one.

    asks: what the user has to answer, where the file leaves it open.
    """

    column: str | dict[str, str]
    why: str
    question: str = ""


def first_with_name(columns: Sequence[Column], role: str) -> Column | None:
    """The first of some columns whose name has a word for a role."""
    return next((column for column in columns if has_word_for(column.name, role)), None)
