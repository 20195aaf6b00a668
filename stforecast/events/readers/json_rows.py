"""JSON → chunks: GeoJSON, ArcGIS, CKAN, arrays of objects, Socrata's rows.json, and any of their objects one a line or
behind record separators.

Text is read as it is needed and no more than `ROWS` rows are held, however large the file. A document of more rows must
name its coordinate system or columns before its rows, as all known writers do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from itertools import count, islice
from typing import IO, Any

import numpy as np
import pyarrow as pa

from stforecast.errors import DataError
from stforecast.events.readers.chunk import ROWS, Chunk, InputFile
from stforecast.events.readers.columnar import value_as_text
from stforecast.events.readers.decoding import texts
from stforecast.events.readers.geometry import add_coordinates, crs_of_json, points_from_json
from stforecast.events.readers.header import has_coordinates, names_by_field
from stforecast.sources.pulls import is_fetched

ROWS_OF = ("features", "data")  # members of a document that hold its rows
LARGEST = 64 << 20  # letters of one row; more is a string without end
_BLANK = re.compile("[\\s\x1e\ufeff]*")
_NUMBER = "+-.eE0123456789"
_DECODER = json.JSONDecoder()


def chunks(origin: InputFile, binary: IO[bytes]) -> Iterator[Chunk]:
    """The rows of a JSON document or of a sequence of objects; columns that a row lacks are blank in it."""
    members: dict[str, Any] = {}
    header: dict[str, None] = {}
    first, crs, placed = 1, None, False
    try:
        rows = _rows(_Text(texts(binary, origin.block)), members, (origin.rows_in,) if origin.rows_in else ROWS_OF)
        while batch := list(islice(rows, ROWS)):
            records, shapes, arcgis = [], [], False
            for number, row in enumerate(batch, first):
                record, shape, arc = _record(row, members, number, origin)
                records.append(record)
                shapes.append(shape)
                arcgis |= arc
                header |= dict.fromkeys(record)
            named = crs_of_json(members, arcgis)
            if first > 1 and named != crs:
                raise DataError(f"{origin}: names its coordinate system behind its rows. Save it anew, as GeoPackage.")
            crs = named
            placed |= any(shape is not None for shape in shapes)
            names = list(header)
            found = origin.locate(names, placed)
            columns = {field: _column([record.get(names[at]) for record in records]) for field, at in found.items()}
            if members.get("exceededTransferLimit") and not is_fetched(origin.path):
                origin = replace(origin, note=f"{origin}: is one page of the answer of a server that has more rows")
            in_degrees = False
            if not has_coordinates(found):
                columns, in_degrees = add_coordinates(columns, points_from_json(shapes, origin), crs, origin)
            yield origin.chunk(columns, np.arange(first, first + len(batch)), in_degrees=in_degrees)
            first += len(batch)
        if origin.rows_in and origin.rows_in not in members:
            nothing = dict.fromkeys(names_by_field(origin.columns) if origin.columns else (), _column([]))
            origin = replace(
                origin, note=f"{origin}: has no rows under {origin.rows_in}, so that nothing of it is read"
            )
            yield origin.chunk(nothing, np.arange(0))
    except (ValueError, RecursionError) as error:
        raise origin.damaged(getattr(error, "msg", error)) from error  # its position is one in the text at hand


def _record(row: Any, members: dict[str, Any], number: int, origin: InputFile) -> tuple[dict[str, Any], Any, bool]:
    """The named values of a row, its geometry, and whether it is one of ArcGIS."""
    match row:
        case {"attributes": dict(values)} if row.keys() <= {"attributes", "geometry"}:
            return values, row.get("geometry"), True
        case {"type": "Feature", "properties": dict() | None as values}:
            key = {"id": row["id"]} if "id" in row else {}
            return key | (values or {}), row.get("geometry"), False
        case dict():
            return row, None, False
        case list() if "meta" in members or origin.rows_in:
            return dict(zip(_names(members) or map(str, count(1)), row, strict=False)), None, False
    raise DataError(
        f"{origin}: row {number} is no object with named values. Export the reports as CSV, GeoJSON or an array of "
        "objects."
    )


def _names(members: dict[str, Any]) -> list[str]:
    """Names of the columns of rows without names, where Socrata writes them."""
    match members.get("meta"):
        case {"view": {"columns": list(columns)}}:
            return [str(column.get("name")) if isinstance(column, dict) else "" for column in columns]
    return []


def _column(values: list[Any]) -> pa.Array:
    found = list(map(value_as_text, values))
    try:
        return pa.array(found, pa.large_string())
    except UnicodeEncodeError:  # half of a letter that was escaped as two
        return pa.array([text.encode("utf-8", "replace").decode() for text in found], pa.large_string())


def _rows(text: _Text, members: dict[str, Any], rows_in: Collection[str]) -> Iterator[Any]:
    """The rows of a document, what stands beside them being put into `members`; or objects one after another.

    Args:
        rows_in: the members that hold rows; where they are not those of known writers, nothing else is a row.
    """
    if rows_in != ROWS_OF and text.peek() != "{":
        return
    if text.peek() == "[":
        yield from text.items()
        if text.peek():
            raise ValueError("more text behind the end")
    one_by_one = False
    while text.peek():
        if one_by_one:
            yield text.value()
            continue
        yield from _members(text, members, rows_in)
        one_by_one = not members.keys() & {*rows_in}
        if one_by_one and rows_in == ROWS_OF:
            yield dict(members)
            members.clear()


def _members(text: _Text, members: dict[str, Any], rows_in: Collection[str]) -> Iterator[Any]:
    """The rows of the object that comes; its other members, and `data` for rows of CKAN, go into `members`."""
    for name in text.names():
        if name in rows_in and text.peek() == "[":
            members[name] = None  # it is there
            yield from text.items()
        elif name == "result" and rows_in == ROWS_OF and "success" in members and text.peek() == "{":
            yield from _members(text, members, ("records",))
            members["data"] = members.pop("records", None)
        else:
            members[name] = text.value()


class _Text:
    """Text that is read as it is needed."""

    def __init__(self, blocks: Iterator[str]) -> None:
        self.blocks, self.text, self.at, self.ended = blocks, "", 0, False

    def peek(self) -> str:
        """The next letter that is not blank; "" at the end."""
        while True:
            found = _BLANK.match(self.text, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.text) or self.ended:
                return self.text[self.at : self.at + 1]
            self._more()

    def take(self, letters: str) -> str:
        """The next letter, which must be one of some."""
        letter = self.peek()
        if not letter or letter not in letters:
            raise ValueError(f"expected {' or '.join(letters)}, found {letter or 'the end'}")
        self.at += 1
        return letter

    def value(self) -> Any:
        """The next value."""
        self.peek()
        while True:
            tried = len(self.text) - self.at
            try:
                value, end = _DECODER.raw_decode(self.text, self.at)
            except ValueError:
                if self.ended or tried > LARGEST:
                    raise
            else:
                if self.text[end : end + 1] not in _NUMBER or self.ended:  # else it may go on
                    self.at = end
                    return value
            self._more(tried)  # a try costs as much as there is

    def items(self) -> Iterator[Any]:
        """The items of the array that comes."""
        return self._listed("[]", self.value)

    def names(self) -> Iterator[str]:
        """The names in the object that comes; before the next one is asked for, its value must have been taken."""

        def name() -> Any:
            found = self.value()
            self.take(":")
            return found

        return self._listed("{}", name)

    def _listed(self, brackets: str, item: Callable[[], Any]) -> Iterator[Any]:
        self.take(brackets[0])
        if self.peek() == brackets[1]:
            self.at += 1
            return
        while True:
            yield item()
            if self.take(f",{brackets[1]}") == brackets[1]:
                return

    def _more(self, least: int = 1) -> None:
        """Read on by so many letters or more."""
        parts = [self.text[self.at :]]
        while least > 0 and not self.ended:
            more = next(self.blocks, None)
            self.ended = more is None
            parts.append(more or "")
            least -= len(parts[-1])
        self.text, self.at = "".join(parts), 0
