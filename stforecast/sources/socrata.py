"""Socrata: all rows in the order of their `:id`, and later those whose `:updated_at` is newer.

One query in SoQL serves API 2.1 (GET, with or without an app token) and, where a portal refuses that and there is a
token, 3.0 (POST). Pages are asked for from the last row on (keyset), not by their number: rows that come or go
meanwhile move none past another.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.csv
from pandas.util import hash_array

from stforecast.config.sections import Table
from stforecast.errors import FetchError, in_brief
from stforecast.files import write_bytes
from stforecast.sources.page import Begin, Cursor, Look, MovedError, Page, UnusableError, ends_of
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
        cursor = {"after": "", "updated": newest, "id": "", "left": rows, "size": 0, "whole": True}
        return Begin(True, cursor, rows=rows)

    def page(self, cursor: Cursor, into: Path) -> Page:
        """See `Client.page`."""
        return self._page_of_all(cursor, into) if cursor["whole"] else self._page_of_changes(cursor, into)

    def _page_of_all(self, cursor: Cursor, into: Path) -> Page:
        """A page in the order of the ids; one without rows is the last.

        The cursor keeps where later changes begin: at the newest change of when the pull began, behind the last row
        that bears it. And it keeps how long pages are that have others behind them.
        """
        after, left = cursor["after"], cursor["left"]
        behind = f"{ID} > {_text(after)}" if after else ""

        def check(ids: list[str], times: list[str]) -> None:
            if after in ids:
                raise UnusableError("rows came twice")
            if not ids and left > 0 and (more := self.count(behind)):
                raise UnusableError(f"a page without rows, where {more:,} are left")

        ids, times = self._rows_of(behind, ID, into, check)
        if not ids:
            return Page(0, {**cursor, "left": 0}, True)
        left -= len(ids)
        bearing = [key for key, time in zip(ids, times, strict=True) if time == cursor["updated"]]
        new = {"after": ids[-1], "left": left, "id": bearing[-1] if bearing else cursor["id"]}
        return Page(len(ids), {**cursor, **new, "size": max(cursor["size"], len(ids) if left > 0 else 0)}, False)

    def _page_of_changes(self, cursor: Cursor, into: Path) -> Page:
        """A page in the order of the changes; one that is shorter than others were is the last. Changes that fill a
        page are counted."""
        updated, last_id, left = cursor["updated"], cursor["id"], cursor["left"]
        same = f"({UPDATED} = {_text(updated)} AND {ID} > {_text(last_id)})"
        behind = f"({UPDATED} > {_text(updated)} OR {same})"

        def check(ids: list[str], times: list[str]) -> None:
            if [updated, *times] != sorted([updated, *times]) or (last_id, updated) in zip(ids, times, strict=True):
                raise UnusableError("changes came twice, or not in their order")
            if not ids and (more := self.count(behind)):
                raise UnusableError(f"a page without rows, where {more:,} are left")

        ids, times = self._rows_of(behind, f"{UPDATED}, {ID}", into, check)
        ends = len(ids) < (cursor["size"] or self._rows)
        left = left if left or ends else self.count(behind)
        if ends and left > len(ids):
            raise MovedError(f"{left - len(ids):,} changes fewer came than the publisher counts")
        new = {"updated": times[-1], "id": ids[-1]} if ids else {}
        return Page(len(ids), {**cursor, **new, "left": 0 if ends else left - len(ids)}, ends)

    def _rows_of(
        self, condition: str, order: str, into: Path, check: Callable[[list[str], list[str]], None]
    ) -> tuple[list[str], list[str]]:
        """Write a page of rows, if it has any; `:id` and `:updated_at` of each. check: raises UnusableError."""
        text = f"SELECT {ID}, {UPDATED}, *{self._condition(condition)} ORDER BY {order} LIMIT {self._rows}"

        def read(answer: Answer) -> tuple[bytes, list[str], list[str]]:
            ids, times = _ids_and_times(answer.body)
            if len(set(ids)) != len(ids):
                raise UnusableError("rows came twice")
            check(ids, times)
            return answer.body, ids, times

        body, ids, times = self._query(text, read)
        if ids:
            write_bytes(into, body)
        return ids, times

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

    def count(self, condition: str = "") -> int:
        """See `Client.count`; of rows that fulfil a condition."""
        return int(self._query(f"SELECT count(*) AS rows{self._condition(condition)}", _only_row)["rows"])

    def keys(self, page: Path) -> np.ndarray:
        """See `Client.keys`."""
        return hash_array(np.array(_ids_and_times(page.read_bytes())[0], object), categorize=False)

    def same(self, page: Path, other: Path) -> bool:
        """See `Client.same`."""
        return page.read_bytes() == other.read_bytes()

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


def _ids_and_times(body: bytes) -> tuple[list[str], list[str]]:
    """`:id` and `:updated_at` of the rows of a page."""
    table = _table(body, ID, UPDATED)
    return table[ID].to_pylist(), table[UPDATED].to_pylist()


def _only_row(answer: Answer) -> dict[str, str]:
    head, _, rest = answer.body.decode("utf-8", "replace").partition("\n")
    names = [name.strip().strip('"') for name in head.split(",")]
    values = [value.strip().strip('"') for value in rest.strip().split(",")]
    row = dict(zip(names, values, strict=False))
    if not row.get("rows", "").isdigit() or not answer.body.endswith(b"\n"):
        raise UnusableError("an answer without the number of rows")
    return {"newest": "", **row}
