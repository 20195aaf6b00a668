"""CKAN: the rows of a resource of the datastore.

All rows come in the order of `_id`, which grows with every row. What is new comes from the newest date back over
OVERLAP days, which takes a key of the publisher's own and dates that sort as text. Pages are asked for by their place:
where a row before them is withdrawn meanwhile, one is passed over, and the pull is begun anew.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stforecast.config.sections import Table
from stforecast.errors import ConfigError, FetchError
from stforecast.files import write_bytes
from stforecast.sources.page import Begin, Cursor, Look, MovedError, Page, UnusableError, ends_of
from stforecast.sources.web import Answer, Web

ROWS = 32_000
"""Of a page: the most that CKAN gives unless told otherwise."""
OVERLAP = pd.Timedelta(days=14)
ID = "_id"


class Ckan:
    """A resource. keyed: its rows have a key of the publisher's own, so that a row may come again."""

    always_whole = False

    def __init__(self, web: Web, table: Table, keyed: bool, rows: int = ROWS) -> None:
        self._web, self._table, self._keyed, self._rows = web, table, keyed, rows
        self._url = f"{table.urls[0].rstrip('/')}/api/3/action/datastore_search"

    def ending(self, cursor: Cursor) -> str:
        """See `Client.ending`."""
        return ".json"

    def begin(self, since: Cursor | None) -> Begin:
        """See `Client.begin`."""
        if since is not None and self._keyed and since["newest"] is not None:
            until = f"{pd.Timestamp(since['newest']) - OVERLAP:%Y-%m-%d}"
            cursor = {"offset": 0, "newest": since["newest"], "until": until, "total": 0, "sortable": True}
            return Begin(False, cursor, f"rows of {until} and later")
        params = {"resource_id": self._table.dataset, "sort": f"{ID} desc", "limit": 1}
        found = self._web.ask(self._url, _result, params)
        rows, last = found["total"], max(_ids(found), default=0)
        cursor = {"offset": 0, "newest": None, "until": None, "total": rows, "sortable": True}
        cursor |= {"left": rows, "last": int(last), "kept": 0}
        return Begin(True, cursor, rows=rows)

    def page(self, cursor: Cursor, into: Path) -> Page:
        """See `Client.page`."""
        date, until, offset = self._table.date, cursor["until"], cursor["offset"]
        sort = f"{ID} asc" if until is None else f'"{date}" desc, {ID} desc'

        def read(answer: Answer) -> tuple[bytes, dict[str, Any]]:
            found = _result(answer)
            ids = _ids(found)
            if len(set(ids)) != len(ids) or (until is None and (np.diff(ids) <= 0).any()):
                raise UnusableError("rows came twice, or not in the order that was asked for")
            if until is not None and cursor["sortable"] and _dates(found, date) != sorted(_dates(found, date))[::-1]:
                raise UnusableError("rows came that are not in the order of their dates")
            if not len(ids) and offset < found["total"]:
                raise UnusableError(f"a page without rows, where {found['total'] - offset:,} are left")
            return answer.body, found

        params = {"resource_id": self._table.dataset, "sort": sort, "limit": self._rows, "offset": offset}
        body, found = self._web.ask(self._url, read, params)
        rows, total = found["records"], found["total"]
        if total < cursor["total"]:
            raise MovedError("rows were withdrawn meanwhile")
        if not rows:
            return Page(0, cursor, True)
        if date and date not in rows[0]:
            raise ConfigError(f"source.tables.date: {date} is no column of {self._url}. It has: {', '.join(rows[0])}.")
        write_bytes(into, body)
        dates = _dates(found, date)
        sortable = cursor["sortable"] and all(re.match(r"\d{4}-\d\d-\d\d", text) for text in dates)
        past = [text for text in dates if text <= f"{pd.Timestamp.now('UTC'):%Y-%m-%d~}"]  # others were mistyped
        newest = max([*past, *filter(None, [cursor["newest"]])], default=None) if sortable else None
        new = {"offset": offset + len(rows), "newest": newest, "total": total, "sortable": sortable}
        last = offset + len(rows) >= total
        if until is not None:
            return Page(len(rows), {**cursor, **new}, last or (sortable and min(dates, default=until) < until))
        new["kept"] = cursor["kept"] + int((_ids(found) <= cursor["last"]).sum())
        if last and new["kept"] != cursor["left"]:
            raise MovedError("rows were withdrawn meanwhile")
        return Page(len(rows), {**cursor, **new}, last)

    def look(self, folder: Path, most: int) -> Look:
        """See `Client.look`."""
        orders, size = ends_of(self.count(), most)
        files = []
        for order in orders:
            sort = f'"{self._table.date or ID}" {order.lower()}'
            params = {"resource_id": self._table.dataset, "sort": sort, "limit": size}
            try:
                body = self._web.ask(self._url, _rows, params)
            except FetchError:  # there is no such column any more
                body = self._web.ask(self._url, _rows, {**params, "sort": f"{ID} {order.lower()}"})
            files.append(folder / f"{order.lower()}.json")
            write_bytes(files[-1], body)
        return Look(files, len(orders) == 1, ID)

    def count(self) -> int:
        """See `Client.count`."""
        params = {"resource_id": self._table.dataset, "limit": 0}
        return int(self._web.ask(self._url, _result, params)["total"])

    def keys(self, page: Path) -> np.ndarray:
        """See `Client.keys`."""
        return _ids(json.loads(page.read_bytes())["result"]).astype(np.uint64)

    def same(self, page: Path, other: Path) -> bool:
        """See `Client.same`."""
        one, two = (json.loads(path.read_bytes())["result"]["records"] for path in (page, other))
        return bool(one == two)


def _result(answer: Answer) -> dict[str, Any]:
    """The result of an action.

    Raises:
        UnusableError: the answer is cut short, or none of CKAN.
        FetchError: the portal refuses.
    """
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise UnusableError("an answer that is cut short, or no JSON") from None
    if isinstance(found, dict) and found.get("success") is False:
        raise FetchError(f"refuses: {json.dumps(found.get('error'))[:200]}")
    result = found.get("result") if isinstance(found, dict) else None
    if (
        not isinstance(result, dict)
        or not isinstance(result.get("records"), list)
        or not isinstance(result.get("total"), int)
    ):
        raise UnusableError("no rows of CKAN")
    return result


def _rows(answer: Answer) -> bytes:
    """The body of an answer with rows."""
    _result(answer)
    return answer.body


def _dates(result: dict[str, Any], date: str | None) -> list[str]:
    """The dates of rows, as far as they have one."""
    return [str(row[date]) for row in result["records"] if row.get(date)] if date else []


def _ids(result: dict[str, Any]) -> np.ndarray:
    try:
        return np.array([row[ID] for row in result["records"]], np.int64)
    except (KeyError, TypeError, ValueError):
        raise UnusableError(f"rows without {ID}") from None
