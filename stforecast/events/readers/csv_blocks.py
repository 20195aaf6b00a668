"""A block of whole lines of a CSV file → the mapped columns of its records as Arrow texts.

Records that stand on one line of their own, with every quote around a whole field, go through Arrow's reader. All other
lines (bare, doubled and open quotes, fields with line ends, short and long rows, blank lines, repeated headers) go
through `records`, which decides what they are; both ways agree on what both can read.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from stforecast.events.readers.csv_records import BOM, Records, parse_lines

_NEWLINE, _RETURN, _QUOTE = b'\n\r"'


@dataclass(frozen=True)
class CsvLayout:
    """How the records of a file are written: its header, delimiter, and the index of each mapped field's column."""

    header: list[str]
    delimiter: str
    found: dict[str, int]


@dataclass(frozen=True)
class CsvTable:
    """Records of one block in the order of their lines: texts [r] by field, lines [r], and what is broken.

    problem: (row, reason, text) of each record that cannot be read; its texts are "".
    used: bytes of the block that were dealt with, and `passed` the lines in them.
    """

    texts: dict[str, pa.Array]
    lines: np.ndarray
    problem: list[tuple[int, str, str]]
    used: int
    passed: int


def parse_block(block: bytes, layout: CsvLayout, first: int, final: bool) -> CsvTable:
    """Parse whole lines of UTF-8.

    Args:
        block: the lines.
        layout: how records are written.
        first: the number of the first line in the file.
        final: the file ends with this block.
    """
    starts = _starts(block)
    if not block or not _is_regular(block, starts):
        return _by_line(block, layout, first, final)
    plain = np.ones(len(starts) - 1, bool)  # lines that are not left to the careful parser
    careful, used, behind = Records(), len(block), 0
    quoted = _QUOTE in block
    for line in _oddly_quoted(block, starts, layout.delimiter) if quoted else ():
        if line < behind:
            continue
        records = _record(block, starts, line, layout, first, final)
        if records.used == 0:  # unfinished: the next block has the rest of it
            used = int(starts[line])
            plain[line:] = False
            break
        behind = line + records.used
        plain[line:behind] = False
        careful.extend(records)
    lines = np.flatnonzero(plain)
    text = block if plain.all() else b"".join(block[starts[line] : starts[line + 1]] for line in lines.tolist())
    try:
        columns, wrong = _arrow(text, layout, quoted)
    except pa.ArrowInvalid:
        return _by_line(block, layout, first, final)
    whole = np.ones(len(lines), bool)
    whole[wrong] = False
    doubtful = _doubtful(columns, layout)
    if doubtful.any():
        columns = {field: texts.filter(pa.array(~doubtful)) for field, texts in columns.items()}
        whole[np.flatnonzero(whole)[doubtful]] = False
    for line in lines[~whole].tolist():
        one = [block[starts[line] : starts[line + 1]].decode()]
        careful.extend(parse_lines(one, layout.header, layout.delimiter, first + line, True))
    passed = int(np.searchsorted(starts, used))
    return _merged(columns, first + lines[whole], careful, layout, used, passed)


def _is_regular(block: bytes, starts: np.ndarray) -> bool:
    """Whether lines end with \\n or \\r\\n alone and no field is larger than the careful parser takes."""
    text, ends = np.frombuffer(block, np.uint8), starts[1:] - 1
    paired = (text[ends] == _NEWLINE) & (text[np.maximum(ends - 1, 0)] == _RETURN)
    lonely = np.count_nonzero(text == _RETURN) - np.count_nonzero(paired)
    return lonely == 0 and np.diff(starts).max() <= csv.field_size_limit()


def _starts(block: bytes) -> np.ndarray:
    """Where each line begins, and the end of the block."""
    ends = np.flatnonzero(np.frombuffer(block, np.uint8) == _NEWLINE) + 1
    return np.concatenate([[0], ends, [] if block.endswith(b"\n") else [len(block)]]).astype(np.int64)


def _oddly_quoted(block: bytes, starts: np.ndarray, delimiter: str) -> list[int]:
    """Lines in which not every quote opens or closes a whole field."""
    text = np.frombuffer(block, np.uint8)
    quotes = np.flatnonzero(text == _QUOTE)
    line = np.searchsorted(starts, quotes, side="right") - 1
    place = np.arange(len(quotes)) - np.searchsorted(line, line)  # of a quote among those of its line
    opens = place % 2 == 0
    before, behind = text[np.maximum(quotes - 1, 0)], text[np.minimum(quotes + 1, len(text) - 1)]
    edge = ord(delimiter)
    good = np.where(
        opens,
        (before == edge) | (quotes == starts[line]),
        (behind == edge) | (behind == _NEWLINE) | (behind == _RETURN) | (quotes + 1 == len(text)),
    )
    last = np.append(line[1:] != line[:-1], True)
    good &= ~(last & opens)  # a quote that opens a field is followed by another in its line
    return np.unique(line[~good]).tolist()


def _record(block: bytes, starts: np.ndarray, line: int, layout: CsvLayout, first: int, final: bool) -> Records:
    """What the careful parser makes of the record at `line`; nothing is used of it if it has no end."""
    end, size = len(starts) - 1, 1
    while True:
        until = min(line + size, end)
        text = io.StringIO(block[starts[line] : starts[until]].decode(), newline="")
        records = parse_lines(text.readlines(), layout.header, layout.delimiter, first + line, final and until == end)
        if records.used or until == end:
            return records
        size *= 2


def _arrow(block: bytes, layout: CsvLayout, quoted: bool) -> tuple[dict[str, pa.Array], list[int]]:
    """The mapped columns of the rows with as many fields as the header, and the indices of all other rows."""
    wrong: list[int] = []

    def note(row: Any) -> str:
        wrong.append(row.number - 1)
        return "skip"

    names = [str(index) for index in range(len(layout.header))]
    wanted = list(dict.fromkeys(names[index] for index in layout.found.values()))
    mark = BOM.encode()
    if block.startswith(mark):
        block = mark + block  # Arrow takes one away
    if not block:
        return {field: pa.array([], pa.large_string()) for field in layout.found}, wrong
    table = arrow_csv.read_csv(
        pa.py_buffer(block),
        arrow_csv.ReadOptions(use_threads=False, block_size=len(block) + 1, column_names=names),
        arrow_csv.ParseOptions(
            delimiter=layout.delimiter,
            quote_char='"' if quoted else False,
            ignore_empty_lines=False,
            invalid_row_handler=note,
        ),
        arrow_csv.ConvertOptions(
            include_columns=wanted,
            column_types=dict.fromkeys(wanted, pa.large_string()),
            strings_can_be_null=False,
            check_utf8=False,  # `read` has seen to that
        ),
    ).combine_chunks()
    texts = {name: table.column(name).chunk(0) if len(table) else pa.array([], pa.large_string()) for name in wanted}
    return {field: texts[names[index]] for field, index in layout.found.items()}, wrong


def _doubtful(columns: dict[str, pa.Array], layout: CsvLayout) -> np.ndarray:
    """Rows [r] that may be no records: headers in the middle of files glued together, and blank lines."""
    size = len(next(iter(columns.values())))
    header, blank = np.ones(size, bool), np.ones(size, bool)
    for field, index in layout.found.items():
        if header.any():
            words = pa.array([layout.header[index], BOM + layout.header[index]])
            header &= np.asarray(pc.is_in(columns[field], words))
        if blank.any():
            blank &= np.asarray(pc.equal(pc.utf8_trim_whitespace(columns[field]), ""))
    return header | blank


def _by_line(block: bytes, layout: CsvLayout, first: int, final: bool) -> CsvTable:
    lines = io.StringIO(block.decode(), newline="").readlines()
    records = parse_lines(lines, layout.header, layout.delimiter, first, final)
    used = len("".join(lines[: records.used]).encode())
    none = {field: pa.array([], pa.large_string()) for field in layout.found}
    return _merged(none, np.zeros(0, np.int64), records, layout, used, records.used)


def _merged(
    columns: dict[str, pa.Array], lines: np.ndarray, apart: Records, layout: CsvLayout, used: int, passed: int
) -> CsvTable:
    """Both kinds of records in the order of their lines."""
    if not apart.rows and not apart.broken:
        return CsvTable(columns, lines, [], used, passed)
    lines = np.concatenate([lines, apart.lines, [line for line, _, _ in apart.broken]]).astype(np.int64)
    order = np.argsort(lines, kind="stable")
    blank = [""] * len(apart.broken)
    texts = {}
    for field, index in layout.found.items():
        more = pa.array([row[index] for row in apart.rows] + blank, pa.large_string())
        texts[field] = pa.concat_arrays([columns[field], more]).take(pa.array(order))
    row_of = np.empty(len(order), np.int64)
    row_of[order] = np.arange(len(order))
    places = row_of[len(order) - len(apart.broken) :].tolist()
    problem = [(row, reason, text) for row, (_, reason, text) in zip(places, apart.broken, strict=True)]
    return CsvTable(texts, lines[order], sorted(problem), used, passed)


def header_of(line: str) -> tuple[list[str], str]:
    """The column names of a header line, and the delimiter between them."""
    delimiter = max(",;\t|", key=line.count)
    return next(csv.reader([line], delimiter=delimiter)), delimiter
