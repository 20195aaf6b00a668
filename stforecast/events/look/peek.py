"""Rows from all parts of a publisher's files with all their columns, as a table of texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from stforecast.config.sections import Columns
from stforecast.errors import DataError
from stforecast.events.geometry import has_place
from stforecast.events.header import OWN, joined, locate
from stforecast.events.read import ahead, read
from stforecast.events.texts import as_array, is_empty, stripped

ROWS = 60_000
"""Most rows that are looked at, from the beginning of each part of the files: they may be sorted by anything."""
BLOCK = 1 << 18  # bytes of text parsed at once
_PLACE = ("latitude", "longitude")


@dataclass(frozen=True)
class Table:
    """Rows [r] of all columns.

    columns: name → stripped texts [r], in the order of the file. points: latitude and longitude as texts [r] where the
    file holds points beside its columns. in_degrees: and its coordinate system is known. lines: `file`, `line`,
    `problem` and `value` of a chunk. whole: these are all rows of the files.
    """

    columns: dict[str, pa.Array]
    points: dict[str, pa.Array]
    in_degrees: bool
    lines: pd.DataFrame
    whole: bool
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.lines)

    def mapped(self, columns: Columns) -> pd.DataFrame:
        """The rows as a chunk of `read` with these columns has them."""
        found = locate(list(self.columns), columns, (), "the file", bool(self.points))
        texts = list(self.columns.values())
        by_field = joined({field: texts[index] for field, index in found.items()})
        if not has_place(found):
            by_field |= self.points
        return pd.DataFrame({name: values.to_pandas() for name, values in by_field.items()}).join(self.lines)


def peek(files: Sequence[Path]) -> Table:
    """Read some files and keep rows from all their parts, neighbours together.

    Raises:
        DataError: a file cannot be read, or none has a row.
    """
    frames: list[pd.DataFrame] = []
    degrees, notes, share = [], dict[str, None](), 1.0
    for path in files:
        for chunk in ahead(read(path, None, block=BLOCK)):
            frames.append(_head(chunk.frame, share))
            degrees.append(chunk.in_degrees)
            notes |= dict.fromkeys([chunk.note] if chunk.note else [])
            while sum(map(len, frames)) > ROWS:
                share /= 2
                frames = [_head(frame, 0.5) for frame in frames]
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    if not len(table):
        raise DataError(f"{files[0]}: the file has no rows. Download it again, or name another one.")

    def texts(name: str) -> pa.Array:
        return stripped(as_array(table[name].fillna("").astype(str)), False)

    lines = ["file", "line", "problem", "value"]
    return Table(
        {name.removeprefix(OWN): texts(name) for name in map(str, table) if name.startswith(OWN)},
        {name: values for name in _PLACE if name in table and not is_empty(values := texts(name)).all()},
        all(degrees),
        table[lines].assign(file=table["file"].astype("category")),
        share == 1,
        tuple(notes),
    )


def _head(frame: pd.DataFrame, share: float) -> pd.DataFrame:
    """The first rows of a chunk: neighbours, since the rows of an incident are neighbours."""
    return frame.head(math.ceil(len(frame) * share))
