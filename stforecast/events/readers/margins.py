"""What stands above the header and below the rows of a table made for people: titles and totals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from stforecast.errors import DataError

TITLES = 50  # lines among which the header is sought
_FOOTER = re.compile(
    r"\W*(?:(?:(?:grand|sub)[ -]?)?totals?\b|(?:rows?|records?|count) *:|[\d.,]+ (?:rows?\b|records?\b|row\(s\))"
    r"|(?:generated|printed|exported|end of (?:report|file))\b)",
    re.IGNORECASE,
)


def find_header(
    rows: Iterable[Sequence[str]], locate: Callable[[Sequence[str]], dict[str, int]]
) -> tuple[int, dict[str, int]] | None:
    """The index of the first of the leading rows that bears the needed columns, and where it has them.

    A row above it is a title (or Excel's `sep=;`). None: all rows are blank.

    Raises:
        DataError: none does; the message is that of the row with the most cells, which is likely meant as the header.
    """
    failures: list[tuple[int, int, DataError]] = []
    for index, row in enumerate(rows):
        if filled := sum(bool(cell.strip()) for cell in row):
            try:
                return index, locate(row)
            except DataError as error:
                failures.append((filled, -index, error))
    if failures:
        raise max(failures, key=lambda failure: failure[:2])[2]
    return None


def is_footer(cells: Sequence[str], width: int) -> bool:
    """Whether a row among the last of a table of `width` columns is a total or a remark such as `Total: 1,234 rows`.

    It has a word for that in its first cell and too few cells for a record.
    """
    filled = [cell for cell in cells if cell.strip()]
    return bool(filled) and len(filled) < min(width, 4) and _FOOTER.match(filled[0]) is not None
