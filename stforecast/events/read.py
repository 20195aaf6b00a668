"""Publisher's files → chunks of text in bounded memory.

A chunk is a frame of strings with one column a mapped field (named as in `config.Columns`; fields that the file lacks
are absent), and `file`, `line` (physical line on which the record starts, the header being line 1; row number in
Parquet) and `problem` ("" or why the row cannot be read, with its text in `value`).

Text may be UTF-8 (BOM or not), UTF-16, or Windows-1252; a byte that is not UTF-8 is read as Windows-1252, so that
files glued together from both survive.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zipfile
import zlib
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from stforecast.errors import DataError
from stforecast.events import blocks
from stforecast.events.header import joined, locate
from stforecast.events.texts import as_array
from stforecast.sections import Columns

Item = TypeVar("Item")
BLOCK = 8 << 20  # bytes of text parsed at once
ROWS = 32768  # rows of Parquet read at once


@dataclass(frozen=True)
class Chunk:
    """Rows of one file, and how many of its bytes have been read by now.

    in_degrees: latitude and longitude come from a geometry, whatever `source.crs` says of the columns.
    """

    frame: pd.DataFrame
    position: int
    in_degrees: bool = False


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


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each made in a thread while the one before is used."""
    with ThreadPoolExecutor(1) as pool:
        end = object()
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield cast(Item, item)


def _csv(
    binary: io.BufferedReader[Any],
    raw: IO[bytes],
    name: str,
    path: Path,
    columns: Columns,
    needed: Collection[str],
    block: int,
) -> Iterator[Chunk]:
    layout: blocks.Layout | None = None
    first, rest = 1, b""
    for more, final in ahead(_blocks(binary, block)):
        text = rest + more
        if layout is None:
            header, size, first = _header(text)
            if header is None:
                rest = text
                continue
            names, delimiter = blocks.header_of(header)
            layout = blocks.Layout(names, delimiter, locate(names, columns, needed, str(path)))
            text = text[size:]
        table = blocks.parse(text, layout, first, final)
        yield Chunk(_frame(name, table), raw.tell())
        rest = text[table.used :]
        first += table.passed
    if layout is None:
        origin = path if name == path.name else path / name
        raise DataError(f"{origin}: no header line. Download it again, or remove it.")


def _zip(raw: IO[bytes], path: Path, columns: Columns, needed: Collection[str], block: int) -> Iterator[Chunk]:
    with zipfile.ZipFile(raw) as archive:
        found = [info for info in archive.infolist() if not info.filename.startswith("__MACOSX")]
        of = {end: [info for info in found if info.filename.lower().endswith(end)] for end in (".csv", ".txt")}
        members = of[".csv"] or of[".txt"]  # beside a .csv a .txt says what is in it
        if not members:
            raise DataError(f"{path}: holds no .csv file. Unpack it and name the file under source.path.")
        for info in members:
            with archive.open(info) as member:
                unpacked = io.BufferedReader(cast(io.RawIOBase, member))
                yield from _csv(unpacked, raw, f"{path.name}/{info.filename}", path, columns, needed, block)


def _parquet(raw: IO[bytes], path: Path, columns: Columns, needed: Collection[str]) -> Iterator[Chunk]:
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(raw)
        header = file.schema_arrow.names
        found = locate(header, columns, needed, str(path))
        names = list(dict.fromkeys(header[index] for index in found.values()))
        first = 1
        for batch in file.iter_batches(ROWS, columns=names):
            texts = {field: _as_text(batch.column(header[index])) for field, index in found.items()}
            lines = np.arange(first, first + len(batch))
            yield Chunk(_frame(path.name, blocks.Table(texts, lines, [], 0, len(batch))), raw.tell())
            first += len(batch)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: damaged Parquet ({' '.join(str(error).split()):.120}). Download it again.") from error


def _as_text(column: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    if pa.types.is_floating(column.type):
        whole = pc.all(pc.equal(column, pc.floor(column)), skip_nulls=True).as_py()
        if whole:  # keys that became floats because some were null
            column = pc.cast(column, pa.int64(), safe=False)
    return pc.fill_null(pc.cast(column, pa.large_string()), "")


def _frame(name: str, table: blocks.Table) -> pd.DataFrame:
    size = len(table.lines)
    which = np.zeros(size, np.int64)
    which[[row for row, _, _ in table.problem]] = np.arange(len(table.problem)) + 1
    rows = pa.table(
        {
            **joined(table.texts),
            "file": pa.DictionaryArray.from_arrays(np.zeros(size, np.int8), [name]),
            "line": table.lines,
            "problem": as_array(["", *(reason for _, reason, _ in table.problem)]).take(pa.array(which)),
            "value": as_array(["", *(text[:200] for _, _, text in table.problem)]).take(pa.array(which)),
        }
    )
    return rows.to_pandas(use_threads=False)


def _header(block: bytes) -> tuple[str | None, int, int]:
    """The first line that is not blank (None: all are), the bytes up to its end, and the number of the next line."""
    size, first = 0, 1
    for line in io.TextIOWrapper(io.BytesIO(block), "utf-8", newline=""):
        size += len(line.encode())
        first += 1
        if line.strip():
            return line, size, first
    return None, 0, 1


def _blocks(binary: io.BufferedReader[Any], block: int) -> Iterator[tuple[bytes, bool]]:
    """Whole lines as UTF-8, about `block` bytes at a time, and whether they are the last."""
    rest = b""
    for more in _bytes(binary, block):
        if end := more.rfind(b"\n") + 1:
            text, rest = b"".join((rest, memoryview(more)[:end])), more[end:]
        else:
            rest += more
            end = rest.rfind(b"\r", 0, -1) + 1  # a \r at the very end may go on with \n
            text, rest = rest[:end], rest[end:]
        if text:
            yield _utf8(text), False
    yield _utf8(rest), True


def _bytes(binary: io.BufferedReader[Any], block: int) -> Iterator[bytes]:
    """The stream as UTF-8 without its mark; wrong bytes of UTF-8 stay as they are."""
    head = binary.peek(4096)[:4096]
    wide = None
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        wide = "utf-16"
    elif head[1::2].count(0) > len(head) // 4:
        wide = "utf-16-le"
    elif head[0::2].count(0) > len(head) // 4:
        wide = "utf-16-be"
    elif head.startswith(codecs.BOM_UTF8):
        binary.read(len(codecs.BOM_UTF8))
    decoder = codecs.getincrementaldecoder(wide)("replace") if wide else None
    while more := binary.read(block):
        yield decoder.decode(more).encode() if decoder else more
    if decoder:
        yield decoder.decode(b"", True).encode()


def _utf8(text: bytes) -> bytes:
    edges = pa.py_buffer(np.array([0, len(text)]))
    try:
        pa.LargeStringArray.from_buffers(1, edges, pa.py_buffer(text)).validate(full=True)
    except pa.ArrowInvalid:
        return text.decode("utf-8", "stforecast-windows-1252").encode()
    return text


def _windows(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(bytes([b]).decode("cp1252", "ignore") or chr(b) for b in wrong), error.end


codecs.register_error("stforecast-windows-1252", _windows)
