"""The header of a publisher's file → which of its columns holds what; titles above it and totals below the rows."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from stforecast.config.sections import Columns, DateParts, Flags, Periods
from stforecast.errors import DataError
from stforecast.events.parsing.text_columns import is_empty, strip
from stforecast.events.readers.periods import PERIODS, PREFIX, is_period, period_columns

FIELDS = tuple(Columns.model_fields)
PARTS = tuple(DateParts.model_fields)
RAW_PREFIX = "column "
"""What stands before a column's own name where all columns are read and not only the mapped ones."""

TITLES = 50  # lines among which the header is sought
_FOOTER = re.compile(
    r"\W*(?:(?:(?:grand|sub)[ -]?)?totals?\b|(?:rows?|records?|count) *:|[\d.,]+ (?:rows?\b|records?\b|row\(s\))"
    r"|(?:generated|printed|exported|end of (?:report|file))\b)",
    re.IGNORECASE,
)
_VALUE = re.compile(r"[-+]?[0-9][0-9.,:/ T-]*(?:[AP]M|Z)?|POINT.*|true|false", re.IGNORECASE)


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


def locate(
    header: Sequence[str], columns: Columns, needed: Collection[str], origin: str, geometry: bool = False
) -> dict[str, int]:
    """Field → index of the first column that bears one of its names (case, spaces and punctuation aside).

    A part of a date has a field of its own, such as `occurred.year`, and so has the flag of an offence; `join_parts`
    makes one text of them. So has a column that is a period, such as `occurred.202403`; `unpivot` makes rows of them.

    Args:
        needed: the fields that the file must have; a place may come from latitude and longitude, from `location`, or
            be an area.
        geometry: the file holds the places beside its columns.

    Raises:
        DataError: a needed field has no column, the file says nowhere where, or its periods are no run of steps.
    """
    exact: dict[str, int] = {}
    loose: dict[str, int] = {}
    # names of the server's own, as :id and _id are, stand behind the publisher's id
    for index, name in sorted(enumerate(header), key=lambda each: each[1].strip()[:1] in (":", "_")):
        exact.setdefault(name.strip(), index)
        loose.setdefault(normalise_name(name), index)

    def index_of(names: Sequence[str]) -> int | None:
        for name in names:
            if name in exact or normalise_name(name) in loose:
                return exact[name] if name in exact else loose[normalise_name(name)]
        return None

    wanted = names_by_field(columns)
    places = {field: index_of(names) for field, names in wanted.items()}
    found = {field: index for field, index in places.items() if index is not None}
    if "latitude" in found and found["latitude"] == found.get("longitude"):
        found["location"] = found.pop("latitude")  # one column that is named for both holds both
        del found["longitude"]
    if isinstance(columns.occurred, Periods):
        periods = period_columns(header, columns.occurred.periods, origin)
        if not periods and "occurred" in needed:
            raise DataError(
                f"{origin}: no column is named as a month or day and fits {', '.join(columns.occurred.periods)}; "
                f"found: {_shown(header)}. Correct source.columns.occurred.periods, or check source.path."
            )
        found |= periods
    placed = geometry or has_coordinates(found)
    for field in (field for field in wanted if field not in found):
        place = field in ("latitude", "longitude", "location")
        if field.partition(".")[0] not in needed or (place and placed):
            continue
        names = " or ".join(map(repr, wanted[field]))
        raise DataError(
            f"{origin}: no column {names} for `{field}`; found: {_shown(header)}. Name the right one under "
            f"source.columns.{field}, or check source.preset and source.path."
        )
    if not placed and "area" not in found:
        raise DataError(
            f"{origin}: no column for the place; found: {_shown(header)}. Name those of latitude and longitude under "
            "source.columns, or one that holds both under source.columns.location; or that of the publisher's areas "
            "under source.columns.area, with grid.cells: polygons."
        )
    return found


def has_coordinates(fields: Collection[str]) -> bool:
    """Whether columns name the place, which then count and not the points beside them."""
    return "location" in fields or {"latitude", "longitude"} <= set(fields)


def every(header: Sequence[str], origin: str, geometry: bool = False) -> dict[str, int]:
    """Each name behind `RAW_PREFIX` → index of the first column that bears it.

    Raises:
        DataError: the row is no header: a title, or a record of a file without one.
    """
    names = [name.strip() for name in header]
    filled = [name for name in names if name]
    periods = {name for name in filled if is_period(name)}
    if len(periods) < PERIODS:  # as a record may have some dates
        periods = set()
    values = sum(_VALUE.fullmatch(name) is not None and name not in periods for name in filled)
    if len(filled) < (1 if geometry else 2) or 2 * len(filled) <= len(names) or 4 * values > len(filled):
        raise DataError(
            f"{origin}: no header with the names of the columns; found: {_shown(header)}. Write one above the rows."
        )
    return {RAW_PREFIX + name: names.index(name) for name in dict.fromkeys(filled)}


def join_parts(texts: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
    """Texts [r] by field, with one text such as `2023-04-01 4:07` in the place of the parts of a date, and the name of
    an offence in that of its flag.

    It is "" where all parts are blank. A part that is blank beside others leaves a text that is no time.
    """
    fields = [name for name in texts if "." in name]
    if PREFIX + PARTS[0] not in fields:  # the others are periods
        fields = [name for name in fields if not name.startswith(PREFIX)]
    out = {field: values for field, values in texts.items() if field not in fields}
    for field in dict.fromkeys(name.partition(".")[0] for name in fields):
        if field == "offence":
            out[field] = _flagged(
                {name.partition(".")[2]: texts[name] for name in texts if name.startswith("offence.")}
            )
            continue
        part = {name: strip(texts[f"{field}.{name}"], True) for name in PARTS if f"{field}.{name}" in texts}
        days = [part[name] for name in ("month", "day") if name in part]
        day = pc.binary_join_element_wise(_long(part["year"]), *days, _text("-"))
        if (hour := part.get("hour")) is not None:
            minute = _padded(part["minute"]) if "minute" in part else pa.repeat(_text("00"), len(day))
            day = pc.binary_join_element_wise(day, pc.binary_join_element_wise(hour, minute, _text(":")), _text(" "))
        blank = is_empty(part["year"]) & is_empty(days[-1])
        out[field] = pc.if_else(pa.array(blank), _text(""), day)
    return out


def _flagged(flags: Mapping[str, pa.Array]) -> pa.Array:
    """The name of the first of some columns [r] that holds a 1; "" where none does."""
    yes = pa.array(["1", "true"], pa.large_string())
    out: pa.Array = _text("")
    for name, values in reversed(list(flags.items())):
        out = pc.if_else(pc.is_in(strip(values, True), yes), _text(name), out)
    return out


def names_by_field(columns: Columns) -> dict[str, list[str]]:
    """The names that are looked for, by field."""
    out: dict[str, list[str]] = {}
    for field in FIELDS:
        given = getattr(columns, field)
        if isinstance(given, Periods):
            continue  # which the header alone tells
        if isinstance(given, DateParts):
            out |= {f"{field}.{part}": [name] for part in PARTS if (name := getattr(given, part))}
        elif isinstance(given, Flags):
            out |= {f"{field}.{name}": [name] for name in given.flags}
        else:
            out[field] = given
    return out


def printable(text: str) -> str:
    """A publisher's text for a message, whatever bytes it holds."""
    return "".join(c if c.isprintable() else "·" for c in text)


def _shown(header: Sequence[str]) -> str:
    """The column names for a message."""
    return printable(", ".join(name.strip() for name in header[:40]))[:600]


def normalise_name(name: str) -> str:
    """A column's name without what publishers write in several ways: case, spaces and punctuation."""
    return "".join(c for c in name.casefold() if c.isalnum())


def _padded(minutes: pa.Array) -> pa.Array:
    """Minutes of two digits; a blank one stays, so that nothing is read of it."""
    return pc.if_else(pa.array(is_empty(minutes)), minutes, pc.utf8_lpad(minutes, 2, "0"))


def _long(years: pa.Array) -> pa.Array:
    """Years of four digits, by POSIX's rule: 69 … 99 are of the last century."""
    short = pc.match_substring_regex(years, r"\A[0-9]{1,2}\z")
    padded = pc.utf8_lpad(years, 2, "0")
    century = pc.if_else(pc.greater_equal(padded, _text("69")), _text("19"), _text("20"))
    return pc.if_else(short, pc.binary_join_element_wise(century, padded, _text("")), years)


def _text(text: str) -> pa.Scalar:
    return pa.scalar(text, pa.large_string())
