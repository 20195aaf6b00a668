"""Delimited text (CSV, with commas, semicolons, tabs or bars) → chunks, block by block."""

import csv
import io
from collections.abc import Iterator
from itertools import islice
from typing import IO

from stforecast.errors import DataError
from stforecast.events.readers.chunk import Chunk, InputFile, prefetch
from stforecast.events.readers.csv_blocks import CsvLayout, header_of, parse_block
from stforecast.events.readers.decoding import repair_utf8, utf8_blocks
from stforecast.events.readers.header import TITLES, find_header, is_footer, printable

LONGEST = 16 << 20  # bytes of a line, and of what may stand above the header
_FOOTERS = 4096  # bytes at the end of a file among which footers are sought


def chunks(origin: InputFile, binary: IO[bytes]) -> Iterator[Chunk]:
    """The records below the header; titles above it and totals below the last record are skipped."""
    layout: CsvLayout | None = None
    first, rest = 1, b""
    for more, final in prefetch(_blocks(origin, binary)):
        text = rest + more
        if layout is None:
            if (found := _header(text, final or len(text) > LONGEST, origin)) is None:
                rest = text
                continue
            layout, size, first = found
            text = text[size:]
        if final:
            text = _without_footer(text, layout)
        try:
            table = parse_block(text, layout, first, final)
        except csv.Error as error:
            raise DataError(f"{origin}: {error}") from error
        yield origin.chunk(table.texts, table.lines, table.broken)
        rest = text[table.used :]
        first += table.passed


def _header(text: bytes, final: bool, origin: InputFile) -> tuple[CsvLayout, int, int] | None:
    """What the header says, the bytes up to its end, and the number of the next line; None: more text is needed."""
    lines = list(islice(io.TextIOWrapper(io.BytesIO(text), "utf-8", newline=""), TITLES))
    whole = final or len(lines) == TITLES
    forms = [header_of(line) if line.strip() and len(line) < csv.field_size_limit() else ([], ",") for line in lines]
    try:
        found = find_header((names for names, _ in forms), origin.locate)
    except DataError:
        if whole:
            raise
        return None
    if found is None:
        if final:
            raise DataError(f"{origin}: no header line. Download it again, or remove it.")
        return None
    at, places = found
    size = sum(len(line.encode()) for line in lines[: at + 1])
    return CsvLayout(*forms[at], places), size, at + 2


def _without_footer(text: bytes, layout: CsvLayout) -> bytes:
    """The last lines of a file without a footer and what follows it."""
    end = cut = len(text)
    while end > len(text) - _FOOTERS and end > 0:
        stop = len(text[max(end - 2, 0) : end].rstrip(b"\r\n")) + max(end - 2, 0)
        start = max(text.rfind(b"\n", 0, stop), text.rfind(b"\r", 0, stop)) + 1
        line = text[start:stop]
        if line.count(b'"') % 2 or len(line) > _FOOTERS:  # the end of a record over several lines, or no footer
            break
        cells = next(csv.reader([line.decode()], delimiter=layout.delimiter), [])
        if is_footer(cells, len(layout.header)):
            cut = start
        elif any(cell.strip() for cell in cells):
            break
        end = start
    return text[:cut]


def _blocks(origin: InputFile, binary: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Whole lines as UTF-8, about a block at a time, and whether they are the last; the last hold any footer."""
    rest = b""
    for more in utf8_blocks(binary, origin.block):
        rest += more
        limit = max(len(rest) - min(origin.block, _FOOTERS), 0)
        if end := rest.rfind(b"\n" if b"\n" in rest else b"\r", 0, limit) + 1:
            yield repair_utf8(rest[:end]), False
            rest = rest[end:]
        elif limit > LONGEST:
            begin = printable(rest[:40].decode("latin-1"))
            raise DataError(
                f"{origin}: a line of more than {LONGEST >> 20} MiB, which begins with {begin!r}. Expected a line a "
                "record. Download it again, or save it as JSON or Parquet."
            )
    yield repair_utf8(rest), True
