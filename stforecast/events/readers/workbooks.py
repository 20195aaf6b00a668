"""Workbooks (.xlsx, .xlsb, .xls, .ods) → chunks. A sheet is held in memory as a whole, empty cells too: a million rows,
the most that Excel has, of six columns take some 400 MB."""

import re
import zipfile
from collections.abc import Iterator
from itertools import islice
from typing import IO, Any

import numpy as np
import pyarrow as pa

from stforecast.errors import DataError
from stforecast.events.readers.chunk import ROWS, Chunk, InputFile, first_with_columns
from stforecast.events.readers.columnar import value_as_text
from stforecast.events.readers.header import TITLES, find_header, is_footer

CELLS = 50_000_000  # of a sheet, 1.2 GB: a million rows of 48 columns
_PLACE = re.compile(rb' r="([A-Z]{1,3})([0-9]{1,7})"')


def chunks(origin: InputFile, binary: IO[bytes]) -> Iterator[Chunk]:
    """The rows of the first sheet that has the needed columns; titles and totals are skipped."""
    try:
        import python_calamine as calamine
    except ImportError:
        raise DataError(
            f"{origin}: is a workbook, and python-calamine is not installed. Run `pip install 'stforecast[excel]'`, or "
            "save the sheet as CSV."
        ) from None
    _check_extent(origin, binary)
    try:
        book = calamine.CalamineWorkbook.from_filelike(binary)
        tables = [sheet.name for sheet in book.sheets_metadata if sheet.typ == calamine.SheetTypeEnum.WorkSheet]

        def header(name: str) -> object:
            return find_header(islice(_texts(book.get_sheet_by_name(name)), TITLES), origin.inside(name).locate)

        if not (found := first_with_columns(origin, "sheet", tables, header)):
            raise DataError(f"{origin}: its sheets are empty. Save the reports anew, or as CSV.")
        name, inside = found
        yield from _rows(book.get_sheet_by_name(name), inside)
    except calamine.PasswordError as error:
        raise DataError(f"{origin}: is locked with a password. Save it without one, or as CSV.") from error
    except calamine.CalamineError as error:
        raise origin.damaged(error, "is an Excel workbook or the like, ") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of the library's Rust, and no Exception
            raise
        raise origin.damaged(error, "is an Excel workbook or the like, ") from error


def _check_extent(origin: InputFile, binary: IO[bytes]) -> None:
    """Refuse a sheet of .xlsx one of whose cells lies so far away that the rectangle to it would fill the memory."""
    if zipfile.is_zipfile(binary):
        with zipfile.ZipFile(binary) as archive:
            parts = [name for name in archive.namelist() if name.startswith("xl/") and name.endswith(".xml")]
            for name in parts:
                columns, rows, rest = {b"A"}, {b"1"}, b""
                with archive.open(name) as part:
                    while block := part.read(1 << 20):
                        if found := _PLACE.findall(rest + block):
                            columns.update(column for column, _ in found)
                            rows = {max(rows | {row for _, row in found}, key=int)}
                        rest = block[-16:]
                number = max(columns, key=lambda letters: (len(letters), letters))
                width = sum((letter - 64) * 26**place for place, letter in enumerate(reversed(number)))
                height = int(max(rows, key=int))
                if width * height > CELLS:
                    raise DataError(
                        f"{origin}: {name} has cells until {number.decode()}{height}, {width * height:,} in all, of "
                        f"which {CELLS:,} can be read. Delete what lies beyond the reports, or save the sheet as CSV."
                    )
    binary.seek(0)


def _rows(sheet: Any, origin: InputFile) -> Iterator[Chunk]:
    top = list(islice(_texts(sheet), TITLES))
    at, found = find_header(top, origin.locate) or (0, {})
    rows, first = islice(_texts(sheet), at + 1, None), at + 2
    while batch := list(islice(rows, ROWS)):
        size = len(batch)
        if size < ROWS:
            while batch and (not any(batch[-1]) or is_footer(batch[-1], sum(map(bool, top[at])))):
                batch.pop()
        texts = {field: pa.array([row[index] for row in batch], pa.large_string()) for field, index in found.items()}
        yield origin.chunk(texts, np.arange(first, first + len(batch)))
        first += size


def _texts(sheet: Any) -> Iterator[list[str]]:
    return (list(map(value_as_text, row)) for row in sheet.iter_rows())
