"""Lines of a CSV file → records, each with the line on which it starts. What is broken is marked, never swallowed."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

SHORT = "short row"
LONG = "long row"
QUOTE = "unbalanced quote"
CUT = "file cut short"

BOM = "\ufeff"  # stands in the middle of files that were glued together


@dataclass
class Records:
    """Records of one block: fields of whole rows and the lines they start on, and (line, reason, text) of broken ones.

    used: lines of the block that were dealt with; the rest is an unfinished record for the next block.
    """

    rows: list[list[str]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    broken: list[tuple[int, str, str]] = field(default_factory=list)
    used: int = 0

    def extend(self, more: Records) -> None:
        """Add the records of other lines."""
        self.rows += more.rows
        self.lines += more.lines
        self.broken += more.broken


def parse_lines(lines: list[str], header: list[str], delimiter: str, first: int, final: bool) -> Records:
    """Parse physical lines.

    Args:
        lines: with their ends.
        header: the names of the columns, which a record has as many fields as.
        delimiter: between fields.
        first: the number of the first line in the file.
        final: the file ends with these lines.
    """
    out = Records()
    ended = False  # whether the reader asked for one line more than there are: a quote is open

    def lines_from(start: int) -> Iterator[str]:
        nonlocal ended
        yield from islice(lines, start, None)
        ended = True

    while out.used < len(lines):
        start, ended = out.used, False
        reader = csv.reader(lines_from(start), delimiter=delimiter)
        while out.used < len(lines):
            try:
                row = next(reader)
            except csv.Error:  # a field beyond the limit: a quote that never closes
                row = []
                size = 2
            else:
                size = start + reader.line_num - out.used
                if ended and not final:
                    return out
            text = lines[out.used]
            is_open = ended or (size > 1 and len(row) != len(header))
            last = lines[out.used + (0 if is_open else size - 1)]
            unfinished = not last.endswith(("\n", "\r"))  # only the last line of a file has no end
            if is_open:  # the quote swallowed the lines behind it: refuse its line, read the others anew
                out.broken.append((first + out.used, CUT if unfinished else QUOTE, text.strip()))
                out.used += 1
                break
            blank = size == 1 and len(row) != len(header) and not text.strip()
            if not row or blank or [row[0].removeprefix(BOM), *row[1:]] == header:
                pass
            elif len(row) < len(header):
                out.broken.append((first + out.used, CUT if unfinished else SHORT, text.strip()))
            elif any(cell.strip() for cell in row[len(header) :]):
                out.broken.append((first + out.used, LONG, text.strip()))
            else:
                out.rows.append(row)
                out.lines.append(first + out.used)
            out.used += size
    return out
