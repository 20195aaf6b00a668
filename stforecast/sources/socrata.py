"""Socrata: all rows in the order of their `:id`, and later those whose `:updated_at` is newer.

One query in SoQL serves API 2.1 (GET, with or without an app token) and, where a portal refuses that and there is a
token, 3.0 (POST). Pages are asked for from the last row on (keyset), not by their number: rows that come or go
meanwhile move none past another.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.csv

from stforecast.config.sections import Table
from stforecast.errors import FetchError, in_brief
from stforecast.files import write_bytes
from stforecast.sources.page import Begin, Cursor, Look, Page, UnusableError, ends_of
from stforecast.sources.web import Answer, Web

ROWS = 50_000
"""Of a page: the most that every version gives."""
TOKEN = "SOCRATA_APP_TOKEN"
ID, UPDATED = ":id", ":updated_at"


class Socrata:
    """A data set of a portal. keyed: its rows have a key in a column that is read, so that a row may come again."""

    always_whole = False

    def __init__(self, web: Web, table: Table, keyed: bool, rows: int = ROWS) -> None:
        self._web, self._table, self._keyed, self._rows = web, table, keyed, rows
        self._newest_api = False

    def ending(self, cursor: Cursor) -> str:
        """See `Client.ending`."""
        return ".csv"

    def begin(self, since: Cursor | None) -> Begin:
        """See `Client.begin`."""
        if since is not None and self._keyed:
            cursor = {**since, "whole": False}
            return Begin(False, cursor, f"rows changed since {since['updated']}")
        row = self._query(f"SELECT count(*) AS rows, max({UPDATED}) AS newest{self._condition()}", _only_row)
        newest = row["newest"] or "1970-01-01T00:00:00.000Z"
        rows = int(row["rows"])
        cursor = {"after": "", "updated": newest, "id": "", "left": rows, "size": self._rows, "whole": True}
        return Begin(True, cursor, rows=rows)

    def page(self, cursor: Cursor, into: Path) -> Page:
        """See `Client.page`. Of all rows the cursor keeps where later changes begin: at the newest change of when the
        pull began, behind the last row that bears it."""
        whole, updated, last_id, left = cursor["whole"], cursor["updated"], cursor["id"], cursor["left"]
        if whole:
            condition, order = f"{ID} > {_text(cursor['after'])}" if cursor["after"] else "", ID
        else:
            same = f"({UPDATED} = {_text(updated)} AND {ID} > {_text(last_id)})"
            condition, order = f"({UPDATED} > {_text(updated)} OR {same})", f"{UPDATED}, {ID}"
        text = f"SELECT {ID}, {UPDATED}, *{self._condition(condition)} ORDER BY {order} LIMIT {self._rows}"

        def read(answer: Answer) -> tuple[bytes, tuple[str, ...], list[str], list[str]]:
            names, ids, times = _ids_and_times(answer.body)
            before = cursor["after"] in ids if whole else (last_id, updated) in zip(ids, times, strict=True)
            if before or len(set(ids)) != len(ids):
                raise UnusableError("rows came twice")
            if whole and not ids and left > 0:
                raise UnusableError(f"a page without rows, where {left:,} are left")
            return answer.body, names, ids, times

        body, names, ids, times = self._query(text, read)
        if not ids:
            return Page(0, cursor, True, names)
        write_bytes(into, body)
        # a portal may give less than is asked for: a page as long as the longest may have another one behind it
        ends = len(ids) < min(self._rows, cursor["size"])
        size = len(ids) if cursor["size"] == self._rows else max(len(ids), cursor["size"])
        if not whole:
            return Page(len(ids), {**cursor, "updated": times[-1], "id": ids[-1]}, ends, names)
        bearing = [key for key, time in zip(ids, times, strict=True) if time == updated]
        new = {"after": ids[-1], "left": left - len(ids), "id": bearing[-1] if bearing else last_id, "size": size}
        return Page(len(ids), {**cursor, **new}, ends and left <= len(ids), names)

    def look(self, folder: Path, most: int) -> Look:
        """See `Client.look`."""
        number = self.count()
        orders, size = ends_of(number, most)
        files = []
        for order in orders:
            by = [f"`{self._table.date}`", ID] if self._table.date else [ID]
            try:
                body = self._end(by[0], order, size)
            except FetchError:
                if by[0] == ID:
                    raise
                body = self._end(ID, order, size)  # there is no such column any more
            files.append(folder / f"{order.lower()}.csv")
            write_bytes(files[-1], body)
        return Look(files, len(orders) == 1, ID, True)

    def _end(self, by: str, order: str, size: int) -> bytes:
        condition = self._condition("" if by == ID else f"{by} IS NOT NULL")
        text = f"SELECT {ID}, {UPDATED}, *{condition} ORDER BY {by} {order} LIMIT {size}"
        return self._query(text, lambda answer: (_ids_and_times(answer.body), answer.body)[1])

    def count(self) -> int:
        """See `Client.count`."""
        return int(self._query(f"SELECT count(*) AS rows{self._condition()}", _only_row)["rows"])

    def keys(self, page: Path) -> np.ndarray:
        """See `Client.keys`."""
        return np.array(_ids_and_times(page.read_bytes())[1], object)

    def _condition(self, more: str = "") -> str:
        both = [f"({self._table.where})"] if self._table.where else []
        both += [more] if more else []
        return f" WHERE {' AND '.join(both)}" if both else ""

    def _query(self, text: str, read: Any) -> Any:
        base, dataset, token = self._table.urls[0], self._table.dataset, os.environ.get(TOKEN)
        root = f"{urlsplit(base).scheme}://{urlsplit(base).netloc}"
        headers = {"X-App-Token": token} if token else {}
        if not self._newest_api:
            try:
                url = f"{root}/resource/{dataset}.csv"
                return self._web.ask(url, read, params={"$query": text}, headers=headers)
            except FetchError as error:
                refused = any(f"status {status} " in str(error) for status in (401, 403, 404, 410))
                if not refused:
                    raise
                if not token:
                    said = f"If the portal wants a token, get one there (free) and set {TOKEN} in the environment."
                    raise FetchError(f"{error}. {said}") from None
        found = self._web.ask(f"{root}/api/v3/views/{dataset}/query.csv", read, json={"query": text}, headers=headers)
        self._newest_api = True
        return found


def _text(value: str) -> str:
    """A text as SoQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def _table(body: bytes, *columns: str) -> pa.Table:
    """Columns of a CSV as texts.

    Raises:
        UnusableError: it is cut short, or lacks one of them.
    """
    if not body.endswith(b"\n"):
        raise UnusableError("an answer that is cut short")
    options = pa.csv.ConvertOptions(
        include_columns=list(columns), column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
    )
    try:
        return pa.csv.read_csv(
            io.BytesIO(body), convert_options=options, parse_options=pa.csv.ParseOptions(newlines_in_values=True)
        )
    except (pa.ArrowInvalid, KeyError) as error:
        raise UnusableError(f"no table of rows came ({in_brief(error)})") from error


def _ids_and_times(body: bytes) -> tuple[tuple[str, ...], list[str], list[str]]:
    """Names of all columns of a page; `:id` and `:updated_at` of its rows."""
    table = _table(body, ID, UPDATED)
    header = pa.csv.read_csv(
        io.BytesIO(body[: body.index(b"\n") + 1]), parse_options=pa.csv.ParseOptions(newlines_in_values=True)
    )
    return tuple(header.column_names), table[ID].to_pylist(), table[UPDATED].to_pylist()


def _only_row(answer: Answer) -> dict[str, str]:
    head, _, rest = answer.body.decode("utf-8", "replace").partition("\n")
    names = [name.strip().strip('"') for name in head.split(",")]
    values = [value.strip().strip('"') for value in rest.strip().split(",")]
    row = dict(zip(names, values, strict=False))
    if not row.get("rows", "").isdigit() or not answer.body.endswith(b"\n"):
        raise UnusableError("an answer without the number of rows")
    return {"newest": "", **row}
