"""Tables of typed columns (Parquet, GeoParquet, Arrow and Feather) → chunks, some rows at a time. A batch of an Arrow
file is held as a whole; of Parquet no more than the pages at hand."""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stforecast.events.readers.chunk import ROWS, Chunk, InputFile
from stforecast.events.readers.geometry import add_coordinates, points_from_wkb
from stforecast.events.readers.header import has_coordinates

_WIDE = 32
"""Columns beyond which fewer rows are read at once: where columns are periods, each cell becomes a row."""
_EXACT = 1e15  # up to there a float is one integer and no other


@dataclass(frozen=True)
class Geometry:
    """The column that holds the places as well-known binary, and their coordinate system (None: not said)."""

    column: str
    crs: str | None


def parquet(origin: InputFile, binary: IO[bytes]) -> Iterator[Chunk]:
    """The rows of a Parquet file."""
    import pyarrow.parquet as pq

    file = pq.ParquetFile(binary)
    schema = file.schema_arrow

    def batches(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return file.iter_batches(_rows_at_once(len(names)), columns=list(names))

    return chunks(origin, schema.names, _geometry(schema), batches)


def arrow(origin: InputFile, binary: IO[bytes]) -> Iterator[Chunk]:
    """The rows of an Arrow file, which Feather is too."""
    file = pa.ipc.open_file(binary)

    def batches(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        rows = _rows_at_once(len(names))
        whole = map(file.get_batch, range(file.num_record_batches))
        return (batch.slice(at, rows) for batch in whole for at in range(0, len(batch), rows))

    return chunks(origin, file.schema.names, _geometry(file.schema), batches)


def chunks(
    origin: InputFile,
    names: Sequence[str],
    geometry: Geometry | None,
    batches: Callable[[Sequence[str]], Iterable[pa.RecordBatch]],
) -> Iterator[Chunk]:
    """Batches of typed columns as chunks.

    names: what the columns are called; those of a batch may be called otherwise. batches: gives those of some columns.
    """
    found = origin.locate(names, geometry is not None)
    wanted = dict.fromkeys(names[index] for index in found.values())
    if has_coordinates(found):
        geometry = None
    if geometry:
        wanted[geometry.column] = None
    first = 1
    for batch in batches(list(wanted)):
        texts = {field: as_text(batch.column(names[index])) for field, index in found.items()}
        in_degrees = False
        if geometry:
            points = points_from_wkb(batch.column(geometry.column), origin)
            texts, in_degrees = add_coordinates(texts, points, geometry.crs, origin)
        yield origin.chunk(texts, np.arange(first, first + len(batch)), in_degrees=in_degrees)
        first += len(batch)


def _rows_at_once(columns: int) -> int:
    return ROWS if columns <= _WIDE else max(ROWS * _WIDE // columns, 1)


def as_text(column: pa.Array) -> pa.Array:
    """Values as CSV would have them: "" for null, 1 for 1.0, ISO times with their offset if they have one, JSON for
    what is nested, "" for bytes that are no text."""
    if pa.types.is_nested(column.type):
        column = pa.array(map(value_as_text, column.to_pylist()), pa.large_string())
    if pa.types.is_floating(column.type):
        if pa.types.is_float16(column.type):
            column = pc.cast(column, pa.float32())
        exact = pc.and_(pc.equal(column, pc.floor(column)), pc.less(pc.abs(column), _EXACT))
        integers = pc.cast(pc.if_else(exact, column, pa.scalar(None, column.type)), pa.int64())
        column = pc.coalesce(pc.cast(integers, pa.large_string()), pc.cast(column, pa.large_string()))
    try:
        return pc.fill_null(pc.cast(column, pa.large_string()), "")
    except pa.ArrowInvalid:
        return pa.repeat(pa.scalar("", pa.large_string()), len(column))


def value_as_text(value: Any) -> str:
    """One value as CSV would have it: "" for none, 7 for 7.0, ISO for days and times, JSON for what is nested."""
    match value:
        case str():
            return value
        case None:
            return ""
        case float() if value.is_integer() and abs(value) < _EXACT:
            return str(int(value))
        case dt.datetime():
            return value.isoformat(" ")
        case dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta() if dt.timedelta() <= value < dt.timedelta(days=1):
            return (dt.datetime.min + value).time().isoformat()
        case bool() | list() | dict():
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return str(value)


def _geometry(schema: pa.Schema) -> Geometry | None:
    """What GeoParquet says of its places; no coordinate system stands for longitude and latitude."""
    try:
        geo = json.loads((schema.metadata or {})[b"geo"])
        column = geo["primary_column"]
        facts = geo["columns"][column]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    if facts.get("encoding") != "WKB":
        return None
    crs = facts.get("crs", "OGC:CRS84")
    return Geometry(column, crs if crs is None or isinstance(crs, str) else json.dumps(crs))
