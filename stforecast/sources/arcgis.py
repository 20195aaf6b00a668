"""ArcGIS: the rows of a layer of a FeatureServer or MapServer, in the order of their object ids.

A page begins behind the last object id that came, and there is another one as long as `exceededTransferLimit` says so,
however few rows came. Object ids are given anew when a publisher writes its layer anew, so that they tell the rows of
one pull apart and nothing else. What changed is asked for by the date of the last edit, where the layer keeps one; else
the rows of the last OVERLAP days come again, which takes a key of the publisher's own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stforecast.config.sections import Table
from stforecast.errors import ConfigError, FetchError
from stforecast.files import write_bytes
from stforecast.sources.page import Begin, Cursor, Look, Page, UnusableError, ends_of
from stforecast.sources.web import AGAIN, Answer, Web

ROWS = 2000
"""Of a page, if the layer gives as many."""
OVERLAP = pd.Timedelta(days=14)
"""Of changes by the date of the occurrence or report."""
DAY = pd.Timedelta(days=1)
"""Of changes by the date of the edit: literals are read in a time zone of the service's own."""
TOKEN_CODES = (498, 499)
ALL = {"outFields": "*", "outSR": 4326, "returnGeometry": "true", "f": "json"}


class ArcGIS:
    """A layer. keyed: its rows have a key of the publisher's own, so that a row may come again."""

    always_whole = False

    def __init__(self, web: Web, table: Table, keyed: bool) -> None:
        self._web, self._layer, self._table, self._keyed = web, table.urls[0].rstrip("/"), table, keyed

    def ending(self, cursor: Cursor) -> str:
        """See `Client.ending`."""
        return ".json"

    def begin(self, since: Cursor | None) -> Begin:
        """See `Client.begin`."""
        if since is not None and self._keyed and since["newest"] is not None:
            newest = pd.Timestamp(since["newest"], unit="ms", tz="UTC")
            first = newest - (DAY if since["edited"] else OVERLAP)
            condition = f"{since['date']} >= timestamp '{first:%Y-%m-%d %H:%M:%S}'"
            return Begin(False, {**since, "after": None, "condition": condition}, f"rows of {first:%Y-%m-%d} and later")
        about, oid, limit, dates = self._about()
        rows, edited = self.count(), (about.get("editFieldsInfo") or {}).get("editDateField")
        if self._table.date and self._table.date not in dates:
            raise ConfigError(
                f"source.tables.date: {self._table.date} is no date of {self._layer}. It has: "
                f"{', '.join(sorted(dates)) or 'none'}."
            )
        date = edited or self._table.date
        cursor = {"oid": oid, "limit": limit, "date": date}
        cursor |= {"edited": bool(edited), "newest": None, "after": None, "condition": None, "left": rows}
        return Begin(True, cursor, rows=rows)

    def page(self, cursor: Cursor, into: Path) -> Page:
        """See `Client.page`."""
        oid, after, date = cursor["oid"], cursor["after"], cursor["date"]
        conditions = [cursor["condition"], None if after is None else f"{oid} > {after}"]
        params = {**ALL, "orderByFields": f"{oid} ASC", "resultRecordCount": cursor["limit"]}
        params |= {"where": self._where(*conditions)}

        def read(answer: Answer) -> tuple[bytes, dict[str, Any], np.ndarray]:
            found = answer_of(answer)
            ids = _ids(found, oid)
            if (np.diff(ids) <= 0).any() or (ids.size and after is not None and ids[0] <= after):
                raise UnusableError("rows came twice, or not in the order of their object ids")
            if not ids.size and (found.get("exceededTransferLimit") or self.count(*conditions)):
                raise UnusableError("a page without rows, though some are left")
            return answer.body, found, ids

        body, found, ids = self._web.ask(f"{self._layer}/query", read, params)
        if not ids.size:
            return Page(0, cursor, True)
        write_bytes(into, body)
        rows = [row["attributes"] for row in found["features"]]
        now = pd.Timestamp.now("UTC").timestamp() * 1000  # what is dated later was mistyped
        times = [row[date] for row in rows if isinstance(row.get(date), int) and row[date] <= now] if date else []
        newest = max([*times, *([] if cursor["newest"] is None else [cursor["newest"]])], default=None)
        more = found.get("exceededTransferLimit") or len(ids) >= cursor["limit"]  # old servers do not tell
        return Page(len(ids), {**cursor, "after": int(ids[-1]), "newest": newest}, not more)

    def look(self, folder: Path, most: int) -> Look:
        """See `Client.look`."""
        _, oid, limit, dates = self._about()
        date = self._table.date if self._table.date in dates else None
        orders, size = ends_of(self.count(), min(most, limit))
        files = []
        for order in orders:
            by = f"{date} {order}, {oid} {order}" if date else f"{oid} {order}"
            params = {**ALL, "orderByFields": by, "resultRecordCount": size, "where": self._where()}
            found = self._web.ask(
                f"{self._layer}/query", lambda answer: (_ids(answer_of(answer), oid), answer.body), params
            )
            files.append(folder / f"{order.lower()}.json")
            write_bytes(files[-1], found[1])
        return Look(files, len(orders) == 1, oid)

    def _about(self) -> tuple[dict[str, Any], str, int, set[str]]:
        """What the layer says of itself: all of it, its object id, the most rows of a page, and its columns of
        dates."""
        about = self._web.ask(self._layer, answer_of, {"f": "json"})
        if (oid := _oid(about)) is None:
            raise FetchError(f"{self._layer}: no layer with rows. Name the layer itself, such as …/FeatureServer/0.")
        dates = {field["name"] for field in about.get("fields") or [] if field.get("type") == "esriFieldTypeDate"}
        return about, oid, min(ROWS, about.get("maxRecordCount") or ROWS), dates

    def count(self, *conditions: str | None) -> int:
        """See `Client.count`; of rows that fulfil conditions."""
        params = {"where": self._where(*conditions), "returnCountOnly": "true", "f": "json"}
        found = self._web.ask(f"{self._layer}/query", answer_of, params).get("count")
        if not isinstance(found, int):
            raise FetchError(f"{self._layer}: does not say how many rows it has. Name a layer with rows.")
        return found

    def keys(self, page: Path) -> np.ndarray:
        """See `Client.keys`."""
        found = json.loads(page.read_bytes())
        return _ids(found, _oid(found) or "").astype(np.uint64)

    def same(self, page: Path, other: Path) -> bool:
        """See `Client.same`."""
        return bool(json.loads(page.read_bytes())["features"] == json.loads(other.read_bytes())["features"])

    def _where(self, *more: str | None) -> str:
        return " AND ".join(f"({each})" for each in (self._table.where, *more) if each) or "1=1"


def layers_of(web: Web, table: Table) -> list[Table]:
    """The table itself, or one for each layer of its service with the name that `dataset` gives.

    Raises:
        FetchError: no layer bears it.
    """
    if not table.dataset:
        return [table]
    from fnmatch import fnmatchcase

    service = table.urls[0].rstrip("/")
    about = web.ask(service, answer_of, {"f": "json"})
    named = {str(each["name"]): each["id"] for each in [*about.get("layers", []), *about.get("tables", [])]}
    found = [name for name in named if fnmatchcase(name.lower(), table.dataset.lower())]
    if not found:
        raise FetchError(f"{service}: no layer {table.dataset!r}. It has: {', '.join(named) or 'none'}.")
    update = {"dataset": None}
    return [table.model_copy(update={**update, "url": f"{service}/{named[name]}"}) for name in sorted(found)]


def answer_of(answer: Answer) -> dict[str, Any]:
    """A JSON document that is no error: ArcGIS tells of errors with status 200.

    Raises:
        UnusableError: it is cut short, or an error that may pass.
        FetchError: an error that will not.
    """
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        raise UnusableError("an answer that is cut short, or no JSON") from None
    if not isinstance(found, dict):
        raise UnusableError("no answer of ArcGIS")
    if isinstance(error := found.get("error"), dict):
        said = f"{error.get('message')} {' '.join(map(str, error.get('details') or []))}".strip()
        if error.get("code") in TOKEN_CODES:
            raise FetchError(f"is not public: {said}")
        # 400 is also what an overloaded service says; what is wrong for good stays wrong
        if error.get("code") in AGAIN or "perform" in said.lower() or "timeout" in said.lower():
            raise UnusableError(f"error {error.get('code')}: {said}")
        raise FetchError(f"error {error.get('code')}: {said}")
    return found


def _oid(about: dict[str, Any]) -> str | None:
    fields = about.get("fields") or []
    named = next((field["name"] for field in fields if field.get("type") == "esriFieldTypeOID"), None)
    return about.get("objectIdField") or about.get("objectIdFieldName") or named


def _ids(found: dict[str, Any], oid: str) -> np.ndarray:
    try:
        return np.array([row["attributes"][oid] for row in found["features"]], np.int64)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise UnusableError(f"no rows with the object id {oid}") from None
