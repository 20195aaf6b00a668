"""What every reader of a publisher's file is given, and what it makes.

A chunk is a frame of texts with one column a mapped field (named as in `config.Columns`; fields that the file lacks are
absent; or each column of the file, its name behind `header.RAW_PREFIX`), and `file`, `line` (physical line on which the
record starts, the header being line 1 where nothing stands above it; the row of a sheet; in all other formats the
number of the record) and `problem` ("" or why the row cannot be read, with its text in `value`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TypeVar, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from stforecast.config.sections import Columns, Periods
from stforecast.errors import DataError
from stforecast.events.parsing.text_columns import to_arrow
from stforecast.events.readers import header
from stforecast.events.readers.periods import PREFIX, note_on_periods, unpivot

Item = TypeVar("Item")
ROWS = 32768  # rows read at once where they are not lines


@dataclass(frozen=True)
class Chunk:
    """Rows of one file, and how many of its bytes have been read by now.

    in_degrees: latitude and longitude come from a geometry, whatever `source.crs` says of the columns.
    note: what was chosen among several things in the file, for the user to know.
    """

    frame: pd.DataFrame
    position: int
    in_degrees: bool = False
    note: str = ""


@dataclass(frozen=True)
class InputFile:
    """A file, or a member of an archive, that is being read, and what is sought in it.

    path, raw: the file itself, opened. name: that of the file and, behind slashes, of what is read inside it.
    columns: None for all columns, as they are. needed: the fields that it must have. block: bytes of text parsed at
    once. rows_in: see `config.Source`. unpacked: bytes that came out of what is packed in the file, so far.
    """

    path: Path
    raw: IO[bytes]
    name: str
    columns: Columns | None
    needed: Collection[str]
    block: int
    rows_in: str | None = None
    note: str = ""
    unpacked: list[int] = field(default_factory=lambda: [0])

    def __str__(self) -> str:
        return str(self.path.parent / self.name)

    def inside(self, member: str, note: str = "") -> InputFile:
        """The same for something that the file holds."""
        return replace(self, name=f"{self.name}/{header.printable(member)}", note=note or self.note)

    def locate(self, names: Sequence[str], geometry: bool = False) -> dict[str, int]:
        """`header.locate`, or `header.every`, for this file."""
        if self.columns is None:
            return header.every(names, str(self), geometry)
        return header.locate(names, self.columns, self.needed, str(self), geometry)

    def chunk(
        self,
        texts: Mapping[str, pa.Array],
        lines: np.ndarray,
        broken: Sequence[tuple[int, str, str]] = (),
        in_degrees: bool = False,
    ) -> Chunk:
        """Texts [r] by field and their lines [r] as a chunk; broken: (line, reason, text) of unreadable rows."""
        which = np.zeros(len(lines), np.int64)
        which[np.searchsorted(lines, [line for line, _, _ in broken])] = np.arange(len(broken)) + 1
        note = self.note
        if self.columns is not None:
            if isinstance(self.columns.occurred, Periods):
                periods = [name for name in texts if name.startswith(PREFIX)]
                lost = note_on_periods(periods, self.columns.occurred.periods)
                note = "; ".join(filter(None, [note, lost and f"{self}: {lost}"]))
            texts, row = unpivot(header.join_parts(texts), which == 0)
            lines, which = lines[row], which[row]
        rows = pa.table(
            {
                **texts,
                "file": pa.DictionaryArray.from_arrays(np.zeros(len(lines), np.int8), [self.name]),
                "line": lines,
                "problem": to_arrow(["", *(reason for _, reason, _ in broken)]).take(pa.array(which)),
                "value": to_arrow(["", *(text[:200] for _, _, text in broken)]).take(pa.array(which)),
            }
        )
        return Chunk(rows.to_pandas(use_threads=False), self.raw.tell(), in_degrees, note)

    def damaged(self, error: object, what: str = "") -> DataError:
        """The error for a file that does not hold what its first bytes promise; `what` names what that is."""
        words = header.printable(" ".join(str(error).split()))[:120] or type(error).__name__
        return DataError(f"{self}: {what}damaged or cut short ({words}). Download it again, or save it as CSV.")


def first_with_columns(
    origin: InputFile, thing: str, names: Iterable[str], locate: Callable[[str], object]
) -> tuple[str, InputFile] | None:
    """The first of several sheets or layers (`thing`) that has the needed columns; None where all are empty.

    Args:
        origin: the file, which notes what could have been read as well.
        thing: what they are called.
        names: of the sheets or layers.
        locate: finds the columns of one, or None where it is empty.

    Raises:
        DataError: none has them; what the first one lacks.
    """
    found, failures = [], []
    for name in names:
        try:
            if locate(name) is not None:
                found.append(name)
        except DataError as error:
            failures.append(error)
    if failures and not found:
        raise failures[0]
    if not found:
        return None
    shown, rest = header.printable(found[0]), header.printable(", ".join(found[1:]))[:200]
    note = f"{origin}: of several the {thing} {shown} is read, not {rest}; give those as own files" if found[1:] else ""
    return found[0], origin.inside(found[0], note)


def prefetch(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each made in a thread while the one before is used."""
    with ThreadPoolExecutor(1) as pool:
        end = object()
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield cast(Item, item)
