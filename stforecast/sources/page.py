"""What a client of a publisher does: one page of rows after another, from a cursor on.

A cursor is a dictionary of plain values. It says where the next page begins, so that a fetch that was killed goes on
where it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Cursor = Mapping[str, Any]


class UnusableError(Exception):
    """An answer that is not what it has to be, and is asked for again."""


class MovedError(Exception):
    """Rows that changed their places while they were pulled: the pull is begun anew."""


@dataclass(frozen=True)
class Page:
    """What a page held, and where the next one begins.

    rows: their number; of plain files, whose rows are not looked at, None. last: there is no page behind it.
    """

    rows: int | None
    cursor: Cursor
    last: bool


@dataclass(frozen=True)
class Begin:
    """Where a pull begins: a whole one, or one of what changed since another. asks: what for, in words; rows: how many
    there are to come, if the publisher tells."""

    whole: bool
    cursor: Cursor
    asks: str = "all rows"
    rows: int | None = None


@dataclass(frozen=True)
class Look:
    """Rows of a table as files: the oldest and the newest ones, where it can be asked for them. whole: these are all
    rows. row_id: the column of the server's own number of a row; stable: which a row keeps for good."""

    files: list[Path]
    whole: bool
    row_id: str | None = None
    stable: bool = False


def ends_of(rows: int, most: int) -> tuple[tuple[str, ...], int]:
    """The orders in which a table of `rows` rows is asked for its first ones, and how many these are, so that no row
    comes twice."""
    return (("ASC",), rows) if rows <= most else (("ASC", "DESC"), min(most, rows // 2))


class Client(Protocol):
    """Something at its publisher that comes page by page."""

    always_whole: bool
    """Every pull is of all there is, or adds to it: nothing that is withdrawn goes unseen."""

    def ending(self, cursor: Cursor) -> str:
        """How the name of the file of the page at a cursor ends."""

    def begin(self, since: Cursor | None) -> Begin | None:
        """Where to begin: at the rows that are new or changed since the last cursor of the pull before, if the
        publisher can tell them; else, and without `since`, at the first of all rows. None: nothing has changed."""

    def page(self, cursor: Cursor, into: Path) -> Page:
        """Write the page at a cursor as the publisher wrote it; no rows, no file."""

    def count(self) -> int | None:
        """How many rows the table has, if the publisher tells."""

    def keys(self, page: Path) -> np.ndarray | None:
        """What tells the rows of a page that was written apart, if they have such a thing: uint64 [r]."""

    def same(self, page: Path, other: Path) -> bool:
        """Whether two pages that were written hold the same rows."""


class TableClient(Client, Protocol):
    """A table of reports at its publisher."""

    def look(self, folder: Path, most: int) -> Look:
        """Write rows into a folder, at most `most` of each end of the table, to find out what it holds."""
