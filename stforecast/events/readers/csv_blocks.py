"""A block of whole lines of a CSV file → the mapped columns of its records as Arrow texts.

Records in which every quote opens or closes a whole field go through Arrow's reader. Lines that are no such record
(bare quotes, short and long rows, blank lines, repeated headers) go through `parse_lines`, which decides what they are,
and so does the whole block where a quote is never closed; both ways agree on what both can read.
"""

import csv
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from stforecast.events.readers.csv_records import BOM, QUOTE, Records, parse_lines

BLANK = 200_000
"""Bytes of which a file of rows does not spend one of four on the ends of lines."""
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

    broken: (line, reason, text) of each record that cannot be read; its texts are "".
    used: bytes of the block that were dealt with, and `passed` the lines in them.
    """

    texts: dict[str, pa.Array]
    lines: np.ndarray
    broken: list[tuple[int, str, str]]
    used: int
    passed: int


def parse_block(block: bytes, layout: CsvLayout, first: int, final: bool) -> CsvTable:
    """Parse whole lines of UTF-8.

    Args:
        block: the lines.
        layout: how records are written.
        first: the number of the first line in the file.
        final: the file ends with this block.

    Returns:
        The records that end in the block; `used` tells where the rest begins, which is for the next block.

    Raises:
        csv.Error: the lines are blank, or so many quotes never close that they are no CSV.
    """
    text = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(text == _NEWLINE) + 1
    starts = np.concatenate([[0], ends, [] if block.endswith(b"\n") else [len(block)]]).astype(np.int64)
    if len(block) > BLANK and len(ends) > len(block) // 4:
        raise csv.Error(f"little but blank lines from line {first:,} on. Cut them, or download it again.")
    quotes = np.flatnonzero(text == _QUOTE)
    opens = np.flatnonzero(np.searchsorted(quotes, starts) % 2 == 0)  # lines that begin outside of a quoted field
    edges = starts[opens]  # of the records; behind the last one there is at most an unfinished record
    used, passed = int(edges[-1]), int(opens[-1])
    misplaced = np.searchsorted(edges, _misplaced(text, quotes, layout.delimiter), side="right") - 1
    largest = np.diff(np.append(edges, len(text))).max()
    lone_returns = block.count(b"\r") > block.count(b"\r\n")
    open_end = (misplaced == len(opens) - 1).any() or (final and used < len(block))
    if not block or lone_returns or open_end or largest > csv.field_size_limit():
        return _by_line(block, layout, first, final)
    plain = np.ones(len(opens) - 1, bool)
    plain[misplaced] = False
    kept = np.flatnonzero(plain)
    whole_lines = block[:used] if plain.all() else b"".join(block[edges[at] : edges[at + 1]] for at in kept.tolist())
    try:
        columns, wrong = _arrow(whole_lines, layout)
    except pa.ArrowInvalid:
        return _by_line(block, layout, first, final)
    plain[kept[wrong]] = False
    doubtful = _doubtful(columns, layout)
    if doubtful.any():
        columns = {field: texts.filter(pa.array(~doubtful)) for field, texts in columns.items()}
        plain[np.flatnonzero(plain)[doubtful]] = False
    if np.count_nonzero(~plain) > max(1000, len(plain) // 4):  # one by one they would take long
        return _by_line(block, layout, first, final)
    lines, apart = first + opens[:-1], Records()
    for at in np.flatnonzero(~plain).tolist():
        one = [block[edges[at] : edges[at + 1]].decode()]
        apart.extend(parse_lines(one, layout.header, layout.delimiter, int(lines[at]), True))
    if (np.diff(opens)[~plain] > 1).any() or any(reason == QUOTE for _, reason, _ in apart.broken):
        return _by_line(block, layout, first, final)  # an open quote may reach into the lines behind it
    return _merged(columns, lines[plain], apart, layout, used, passed)


def _misplaced(text: np.ndarray, quotes: np.ndarray, delimiter: str) -> np.ndarray:
    """Where quotes do not open or close a whole field, nor are one of two that stand for one."""
    edge = ord(delimiter)
    before, behind = text[np.maximum(quotes[::2] - 1, 0)], text[np.minimum(quotes[1::2] + 1, len(text) - 1)]
    opening = np.isin(before, (edge, _QUOTE, _NEWLINE))
    closing = np.isin(behind, (edge, _QUOTE, _NEWLINE, _RETURN))
    return np.concatenate([quotes[::2][~opening], quotes[1::2][~closing]])


def _arrow(block: bytes, layout: CsvLayout) -> tuple[dict[str, pa.Array], list[int]]:
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
            delimiter=layout.delimiter, newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=note
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
    if apart.rows or apart.broken:
        lines = np.concatenate([lines, apart.lines, [line for line, _, _ in apart.broken]]).astype(np.int64)
        order = np.argsort(lines, kind="stable")
        lines = lines[order]
        rows = [*apart.rows, *([""] * len(layout.header) for _ in apart.broken)]
        for field, index in layout.found.items():
            more = pa.array([row[index] for row in rows], pa.large_string())
            columns[field] = pa.concat_arrays([columns[field], more]).take(pa.array(order))
    return CsvTable(columns, lines, apart.broken, used, passed)


def header_of(line: str) -> tuple[list[str], str]:
    """The column names of a header line, and the delimiter between them."""
    delimiter = max(",;\t|", key=line.count)
    return next(csv.reader([line], delimiter=delimiter)), delimiter
