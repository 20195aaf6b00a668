"""Publisher's files → chunks of text in bounded memory.

A chunk is a frame of strings with one column a mapped field (named as in `config.Columns`; fields that the file lacks
are absent), and `file`, `line` (physical line on which the record starts, the header being line 1; row number in
Parquet) and `problem` ("" or why the row cannot be read, with its text in `value`).

Text may be UTF-8 (BOM or not), UTF-16, or Windows-1252; a byte that is not UTF-8 is read as Windows-1252, so that
files glued together from both survive.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TextIO, cast

import numpy as np
import pandas as pd

from stforecast.errors import DataError
from stforecast.events.records import parse_block
from stforecast.sections import Columns

BLOCK = 8 << 20  # characters of text parsed at once
ROWS = 32768  # rows of Parquet read at once
FIELDS = tuple(Columns.model_fields)


@dataclass(frozen=True)
class Chunk:
    """Rows of one file, and how many of its bytes have been read by now."""

    frame: pd.DataFrame
    position: int


def read(path: Path, columns: Columns, needed: Collection[str], block: int = BLOCK) -> Iterator[Chunk]:
    """Chunks of one .csv, .csv.gz, .zip (of .csv) or .parquet file; what it is, its first bytes say.

    Raises:
        DataError: the file is empty, damaged, or lacks the column of a needed field.
    """
    with path.open("rb") as raw:
        magic = raw.read(4)
        raw.seek(0)
        if not magic:
            raise DataError(f"{path}: the file is empty. Download it again, or remove it.")
        try:
            if magic == b"PAR1":
                yield from _parquet(raw, path, columns, needed)
            elif magic[:2] == b"PK":
                yield from _zip(raw, path, columns, needed, block)
            elif magic[:2] == b"\x1f\x8b":
                with gzip.open(raw) as unpacked:
                    yield from _csv(io.BufferedReader(unpacked), raw, path.name, path, columns, needed, block)
            else:
                yield from _csv(raw, raw, path.name, path, columns, needed, block)
        except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
            raise DataError(
                f"{path}: damaged or cut short ({error or type(error).__name__}). Download it again."
            ) from error


def locate(header: Sequence[str], columns: Columns, needed: Collection[str], origin: str) -> dict[str, int]:
    """Field → index of the first column that bears one of its names (case, spaces and punctuation aside).

    Raises:
        DataError: a needed field has no column, or the publisher gives months only.
    """
    exact: dict[str, int] = {}
    loose: dict[str, int] = {}
    for index, name in enumerate(header):
        exact.setdefault(name.strip(), index)
        loose.setdefault(_plain(name), index)
    found: dict[str, int] = {}
    for field in FIELDS:
        for name in getattr(columns, field):
            if name in exact or _plain(name) in loose:
                found[field] = exact[name] if name in exact else loose[_plain(name)]
                break
    for field in (field for field in FIELDS if field in needed and field not in found):
        if field == "occurred" and "month" in loose and "crimetype" in loose:
            raise monthly(origin)
        names = " or ".join(repr(name) for name in getattr(columns, field))
        shown = ", ".join(name.strip() for name in header[:40])
        raise DataError(
            f"{origin}: no column {names} for `{field}`; found: {shown:.600}. Name the right one under "
            f"source.columns.{field}, or check source.preset and source.path."
        )
    return found


def monthly(origin: str) -> DataError:
    """The error for a publisher of months."""
    return DataError(
        f"{origin}: the publisher gives only the month of an offence (as data.police.uk does), so an hourly forecast "
        "is not possible with it. Use a publisher that gives day and time."
    )


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


def _csv(
    binary: io.BufferedReader[Any],
    raw: IO[bytes],
    name: str,
    path: Path,
    columns: Columns,
    needed: Collection[str],
    block: int,
) -> Iterator[Chunk]:
    with _text(binary) as text:
        header, first, delimiter = _header(text, path if name == path.name else path / name)
        found = locate(header, columns, needed, str(path))
        rest: list[str] = []
        while True:
            more = text.readlines(block)
            lines = rest + more
            records = parse_block(lines, header, delimiter, first, final=not more)
            yield Chunk(_frame(name, records.rows, records.lines, records.broken, found), raw.tell())
            if not more:
                return
            rest = lines[records.used :]
            first += records.used


def _zip(raw: IO[bytes], path: Path, columns: Columns, needed: Collection[str], block: int) -> Iterator[Chunk]:
    with zipfile.ZipFile(raw) as archive:
        members = [
            info
            for info in archive.infolist()
            if info.filename.lower().endswith((".csv", ".txt")) and not info.filename.startswith("__MACOSX")
        ]
        if not members:
            raise DataError(f"{path}: holds no .csv file. Unpack it and name the file under source.path.")
        for info in members:
            with archive.open(info) as member:
                unpacked = io.BufferedReader(cast(io.RawIOBase, member))
                yield from _csv(unpacked, raw, f"{path.name}/{info.filename}", path, columns, needed, block)


def _parquet(raw: IO[bytes], path: Path, columns: Columns, needed: Collection[str]) -> Iterator[Chunk]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(raw)
        header = file.schema_arrow.names
        found = locate(header, columns, needed, str(path))
        names = list(dict.fromkeys(header[index] for index in found.values()))
        first = 1
        for batch in file.iter_batches(ROWS, columns=names):
            frame = pd.DataFrame({field: _as_text(batch.column(header[index])) for field, index in found.items()})
            yield Chunk(_complete(frame, path.name, list(range(first, first + len(frame))), None), raw.tell())
            first += len(frame)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: damaged Parquet ({' '.join(str(error).split()):.120}). Download it again.") from error


def _as_text(column: object) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_floating(column.type):  # type: ignore[attr-defined]
        whole = pc.all(pc.equal(column, pc.floor(column)), skip_nulls=True).as_py()
        if whole:  # keys that became floats because some were null
            column = pc.cast(column, pa.int64(), safe=False)
    return np.array(pc.fill_null(pc.cast(column, pa.string()), "").to_pylist(), object)


def _frame(
    name: str, rows: list[list[str]], lines: list[int], broken: list[tuple[int, str, str]], found: dict[str, int]
) -> pd.DataFrame:
    blank = [""] * len(broken)
    cells = {field: _objects([row[index] for row in rows] + blank) for field, index in found.items()}
    return _complete(pd.DataFrame(cells), name, lines + [line for line, _, _ in broken], broken)


def _complete(
    frame: pd.DataFrame, name: str, lines: list[int], broken: list[tuple[int, str, str]] | None
) -> pd.DataFrame:
    whole = [""] * (len(lines) - len(broken or []))
    frame = frame.assign(
        file=_objects([name] * len(lines)),
        line=np.array(lines, np.int64),
        problem=_objects(whole + [reason for _, reason, _ in broken or []]),
        value=_objects(whole + [text[:200] for _, _, text in broken or []]),
    )
    return frame.sort_values("line", kind="stable", ignore_index=True) if broken else frame


def _objects(texts: list[str]) -> np.ndarray:
    out = np.empty(len(texts), object)
    out[:] = texts
    return out


def _header(text: TextIO, origin: Path) -> tuple[list[str], int, str]:
    """The header, the number of the line behind it, and the delimiter."""
    first = 1
    while line := text.readline():
        first += 1
        if line.strip():
            delimiter = max(",;\t|", key=line.count)
            return next(csv.reader([line], delimiter=delimiter)), first, delimiter
    raise DataError(f"{origin}: no header line. Download it again, or remove it.")


@contextmanager
def _text(binary: io.BufferedReader[Any]) -> Iterator[TextIO]:
    """Decode a binary stream, then let go of it without closing it."""
    head = binary.peek(4096)[:4096]
    encoding = "utf-8-sig"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    elif head[1::2].count(0) > len(head) // 4:
        encoding = "utf-16-le"
    elif head[0::2].count(0) > len(head) // 4:
        encoding = "utf-16-be"
    errors = "replace" if encoding.startswith("utf-16") else "stforecast-windows-1252"
    text = io.TextIOWrapper(binary, encoding=encoding, errors=errors, newline="")
    try:
        yield text
    finally:
        text.detach()


def _windows(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(bytes([b]).decode("cp1252", "ignore") or chr(b) for b in wrong), error.end


codecs.register_error("stforecast-windows-1252", _windows)
