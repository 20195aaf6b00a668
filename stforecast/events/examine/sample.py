"""Rows from all parts of a publisher's files with all their columns, as a table of texts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from stforecast.config.sections import Columns
from stforecast.errors import DataError
from stforecast.events.parsing.text_columns import is_empty, strip, to_arrow
from stforecast.events.readers.chunk import prefetch
from stforecast.events.readers.header import RAW_PREFIX, has_coordinates, join_parts, locate
from stforecast.events.readers.periods import unpivot
from stforecast.events.readers.read_file import read

ROWS = 60_000
"""Most rows that are looked at, from the beginning of each part of the files: they may be sorted by anything."""
BLOCK = 1 << 18  # bytes of text parsed at once
_PLACE = ("latitude", "longitude")


@dataclass(frozen=True)
class Sample:
    """Rows [r] of all columns.

    columns: name → stripped texts [r], in the order of the file. points: latitude and longitude as texts [r] where the
    file holds points beside its columns. in_degrees: and its coordinate system is known. lines: `file`, `line`,
    `problem` and `value` of a chunk. whole: these are all rows of the files. of_server: columns of which the
    publisher knows nothing, since its server adds them to the rows; row_id: that of them which tells a row for good.
    """

    columns: dict[str, pa.Array]
    points: dict[str, pa.Array]
    in_degrees: bool
    lines: pd.DataFrame
    whole: bool
    notes: tuple[str, ...]
    of_server: frozenset[str] = frozenset()
    row_id: str | None = None

    def __len__(self) -> int:
        return len(self.lines)

    def mapped(self, columns: Columns) -> pd.DataFrame:
        """The rows as a chunk of `read` with these columns has them."""
        found = locate(list(self.columns), columns, (), "the file", bool(self.points))
        texts = list(self.columns.values())
        by_field = join_parts({field: texts[index] for field, index in found.items()})
        if not has_coordinates(found):
            by_field |= self.points
        by_field, row = unpivot(by_field, self.lines["problem"].to_numpy() == "")
        lines = self.lines.iloc[row].reset_index(drop=True)
        return pd.DataFrame({name: values.to_pandas() for name, values in by_field.items()}).join(lines)


def sample_files(files: Sequence[Path]) -> Sample:
    """Read some files and keep rows from all their parts, neighbours together.

    Raises:
        DataError: a file cannot be read, or none has a row.
    """
    frames: list[pd.DataFrame] = []
    in_degrees, notes, share = [], dict[str, None](), 1.0
    for path in files:
        for chunk in prefetch(read(path, None, block=BLOCK)):
            frames.append(_head(chunk.frame, share))
            in_degrees.append(chunk.in_degrees)
            notes |= dict.fromkeys([chunk.note] if chunk.note else [])
            while sum(map(len, frames)) > ROWS:
                share /= 2
                frames = [_head(frame, 0.5) for frame in frames]
    sample = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    if not len(sample):
        raise DataError(f"{files[0]}: the file has no rows. Download it again, or name another one.")

    def texts(name: str) -> pa.Array:
        return strip(to_arrow(sample[name].fillna("").astype(str)), False)

    lines = ["file", "line", "problem", "value"]
    return Sample(
        {name.removeprefix(RAW_PREFIX): texts(name) for name in map(str, sample) if name.startswith(RAW_PREFIX)},
        {name: values for name in _PLACE if name in sample and not is_empty(values := texts(name)).all()},
        all(in_degrees),
        sample[lines].assign(file=sample["file"].astype("category")),
        share == 1,
        tuple(notes),
    )


def _head(frame: pd.DataFrame, share: float) -> pd.DataFrame:
    """The first rows of a chunk: neighbours, since the rows of an incident are neighbours."""
    return frame.head(math.ceil(len(frame) * share))
