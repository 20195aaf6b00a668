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

LONGEST = 1 << 18
"""Letters of a record; of one that goes on, a quote never closes."""
AGAIN = 8
"""How often as much as there is may be read again because quotes did not close."""
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

    Raises:
        csv.Error: so many quotes never close that the lines are no CSV.
    """
    out = Records()
    taken, again, limit = 0, 0, AGAIN * max(sum(map(len, lines)), LONGEST)
    ended = False  # whether the reader asked for one line more than there are: a quote is open

    def lines_from(start: int) -> Iterator[str]:
        nonlocal ended, taken
        for line in islice(lines, start, None):
            taken += len(line)
            if taken > LONGEST:
                raise csv.Error
            yield line
        ended = True

    while out.used < len(lines):
        start, ended = out.used, False
        reader = csv.reader(lines_from(start), delimiter=delimiter)
        while out.used < len(lines):
            taken = 0
            try:
                row = next(reader)
            except csv.Error:  # a field or record beyond the limit: a quote that never closes
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
                reason = CUT if unfinished else QUOTE if '"' in text else LONG
                out.broken.append((first + out.used, reason, text.strip()))
                out.used += 1
                again += taken
                if again > limit:
                    raise csv.Error(
                        f"the quote in line {first + out.used - 1} and many before it never close. Save it anew with a "
                        "second quote before each quote inside a field."
                    )
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
