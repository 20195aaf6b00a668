"""A publisher on this machine: one table behind the APIs of Socrata, ArcGIS and CKAN, and as a file.

It behaves as the real ones are known to, badly where it is told to: `fault` is asked before every answer and may spoil
it, or change the table. Every request is kept.
"""

from __future__ import annotations

import csv
import email.utils
import hashlib
import io
import json
import random
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

from loopback import answering

COLUMNS = ("case", "date", "offence", "latitude", "longitude")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Table:
    """Rows by their `case`, each with a key and a time of change as the publisher keeps them."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    changed: dict[str, datetime] = field(default_factory=dict)
    clock: datetime = EPOCH
    next_key: int = 1
    columns: tuple[str, ...] = COLUMNS

    def put(self, rows: dict[str, dict[str, Any]]) -> None:
        """Add rows, or give them other values."""
        self.clock += timedelta(hours=1)
        for case, row in rows.items():
            if case not in self.keys:
                self.keys[case] = self.next_key
                self.next_key += 1
            self.rows[case], self.changed[case] = row, self.clock

    def drop(self, cases: list[str]) -> None:
        """Withdraw rows."""
        for case in cases:
            del self.rows[case], self.keys[case], self.changed[case]

    def rewrite(self, seed: int = 0) -> None:
        """Write all rows anew, in another order, under new keys."""
        self.clock += timedelta(hours=1)
        order = random.Random(seed).sample(list(self.rows), len(self.rows))
        self.keys = {case: self.next_key + i for i, case in enumerate(order)}
        self.next_key += len(self.rows)
        self.changed = dict.fromkeys(self.rows, self.clock)

    def rename(self, old: str, new: str) -> None:
        """Give a column another name."""
        self.columns = tuple(new if name == old else name for name in self.columns)
        self.rows = {
            case: {new if name == old else name: value for name, value in row.items()}
            for case, row in self.rows.items()
        }

    def listed(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Key, time of change and values of each row, in the order of the keys."""
        order = sorted(self.rows, key=self.keys.__getitem__)
        return [(f"row-{self.keys[c]:012}", _stamp(self.changed[c]), self.rows[c]) for c in order]


def _stamp(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z")


@dataclass
class Reply:
    """An answer before it is sent; `cut` bytes of its body are, then the connection is dropped."""

    body: bytes
    kind: str = "application/json"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    claimed: int | None = None


@dataclass(frozen=True)
class Asked:
    """A request: its number (from 1 on), path and query, decoded, and headers."""

    number: int
    text: str
    headers: dict[str, str]

    @property
    def is_page(self) -> bool:
        """Whether it asks for rows and not for facts."""
        if "count(*)" in self.text or "returnCountOnly" in self.text or "limit=1&" in f"{self.text}&":
            return False
        return "/FeatureServer" not in self.text or "/query" in self.text

    @property
    def of_changes(self) -> bool:
        """Whether it asks for rows that changed."""
        return any(sign in self.text for sign in (":updated_at >", "timestamp '", '" desc'))


Fault = Callable[[Asked, Reply], Reply]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Whoever asked has gone, or was to be left without an answer."""


class Publisher:
    """The server.

    Args:
        table: what it has; its clock is the server's.
        limit: most rows of an answer.
        context: of TLS.

    fault: spoils a reply. old_api: whether Socrata's 2.1 is served. tag: of a file, or none. ranges: of it.
    """

    def __init__(self, table: Table, limit: int = 10_000, context: ssl.SSLContext | None = None) -> None:
        self.table, self.limit, self.asked = table, limit, list[Asked]()
        self.fault: Fault | None = None
        self.old_api, self.tag, self.ranges = True, "strong", True
        handler = type("Handler", (_Handler,), {"publisher": self})
        self.server = _Server(("127.0.0.1", 0), handler)
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{'http' if context is None else 'https'}://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str, query: dict[str, str], headers: Any, body: bytes) -> Reply:
        """What is answered to a request, before it is spoiled."""
        if path.startswith("/resource/"):
            if not self.old_api:
                return Reply(b'{"message":"this version has ended"}', status=410)
            return self._soql(query["$query"])
        if path.startswith("/api/v3/views/"):
            if not headers.get("X-App-Token"):
                return Reply(b'{"error":"token required"}', status=403)
            return self._soql(json.loads(body)["query"])
        if path == "/api/3/action/datastore_search":
            return self._ckan(query)
        if "/FeatureServer" in path:
            return self._arcgis(path, query)
        if path == "/export.csv":
            return self._file(headers)
        return Reply(b"not here", "text/plain", 404)

    # Socrata
    def _soql(self, text: str) -> Reply:
        rows = self.table.listed()
        if match := re.search(r"\(:updated_at > '([^']*)' OR \(:updated_at = '[^']*' AND :id > '([^']*)'\)\)", text):
            rows = [row for row in rows if (row[1], row[0]) > (match[1], match[2])]
        elif match := re.search(r":id > '([^']*)'", text):
            rows = [row for row in rows if row[0] > match[1]]
        if "count(*)" in text:
            newest = max((row[1] for row in rows), default="")
            head, values = (["rows", "newest"], [len(rows), newest]) if "newest" in text else (["rows"], [len(rows)])
            return Reply(_csv(head, [values]), "text/csv")
        if "ORDER BY :updated_at" in text:
            rows.sort(key=lambda row: (row[1], row[0]))
        found = re.search(r"LIMIT (\d+)", text)
        rows = rows[: min(int(found[1]) if found else 1000, self.limit)]
        head = [":id", ":updated_at", *self.table.columns]
        return Reply(
            _csv(head, [[k, t, *(row.get(c, "") for c in self.table.columns)] for k, t, row in rows]), "text/csv"
        )

    # CKAN
    def _ckan(self, query: dict[str, str]) -> Reply:
        rows = [{"_id": int(key[4:]), **row} for key, _, row in self.table.listed()]
        total, offset = len(rows), int(query.get("offset", 0))
        if '" desc' in query.get("sort", ""):
            rows.sort(key=lambda row: (row["date"], row["_id"]), reverse=True)
        elif query.get("sort") == "_id desc":
            rows.reverse()
        rows = rows[offset : offset + min(int(query.get("limit", 100)), self.limit)]
        return Reply(json.dumps({"help": "", "success": True, "result": {"records": rows, "total": total}}).encode())

    # ArcGIS
    def _arcgis(self, path: str, query: dict[str, str]) -> Reply:
        date = {"name": "date", "type": "esriFieldTypeDate"}
        if not path.endswith("/query"):
            fields = [
                {"name": "OBJECTID", "type": "esriFieldTypeOID"},
                *([date] if "date" in self.table.columns else []),
            ]
            about = {"objectIdField": "OBJECTID", "maxRecordCount": self.limit, "fields": fields}
            return Reply(
                json.dumps(about if path.endswith("/0") else {"layers": [{"id": 0, "name": "Crime 2026"}]}).encode()
            )
        rows = [(int(key[4:]), row) for key, _, row in self.table.listed()]
        where = query["where"]
        if match := re.search(r"OBJECTID > (\d+)", where):
            rows = [row for row in rows if row[0] > int(match[1])]
        if match := re.search(r"date >= timestamp '([^']*)'", where):
            rows = [row for row in rows if row[1]["date"].replace("T", " ") >= match[1]]
        if query.get("returnCountOnly"):
            return Reply(json.dumps({"count": len(rows)}).encode())
        page = rows[: min(int(query["resultRecordCount"]), self.limit)]
        features = []
        for oid, row in page:
            point = {"x": float(row["longitude"] or "nan"), "y": float(row["latitude"] or "nan")}
            values = {**row, "date": int(datetime.fromisoformat(row["date"]).replace(tzinfo=UTC).timestamp() * 1000)}
            features.append({"attributes": {"OBJECTID": oid, **values}, "geometry": point})
        found = {"objectIdFieldName": "OBJECTID", "spatialReference": {"wkid": 4326}, "features": features}
        if len(page) < len(rows):
            found["exceededTransferLimit"] = True
        return Reply(json.dumps(found).encode())

    # a file
    def export(self) -> bytes:
        """The table as a file."""
        return _csv(
            self.table.columns, [[row.get(c, "") for c in self.table.columns] for _, _, row in self.table.listed()]
        )

    def _file(self, headers: Any) -> Reply:
        body = self.export()
        tag = f'"{hashlib.sha256(body).hexdigest()[:12]}"'
        tag, time = f"W/{tag}" if self.tag == "weak" else tag, email.utils.format_datetime(self.table.clock, True)
        given = {"ETag": tag, "Last-Modified": time} if self.tag else {}
        if self.tag and headers.get("If-None-Match") == tag:
            return Reply(b"", status=304)
        if self.ranges and (asked := headers.get("Range")) and headers.get("If-Range") in given.values():
            first = int(asked.removeprefix("bytes=").rstrip("-"))
            given["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
            return Reply(body[first:], "text/csv", 206, given)
        return Reply(body, "text/csv", headers=given)


def _csv(head: Any, rows: list[list[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([list(head), *rows])
    return text.getvalue().encode()


class _Handler(BaseHTTPRequestHandler):
    publisher: Publisher
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one piece, or each answer waits for an acknowledgement

    def do_GET(self) -> None:
        self._reply(b"")

    def do_POST(self) -> None:
        self._reply(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _reply(self, body: bytes) -> None:
        publisher, parts = self.publisher, urlsplit(self.path)
        text = unquote_plus(self.path) + body.decode()
        asked = Asked(len(publisher.asked) + 1, text, dict(self.headers))
        publisher.asked.append(asked)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        reply = publisher.answer(parts.path, query, self.headers, body)
        if publisher.fault is not None:
            reply = publisher.fault(asked, reply)
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(reply.body) if reply.claimed is None else reply.claimed))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):  # whoever asked has gone
            self.wfile.write(reply.body[: reply.cut])
            self.wfile.flush()
        self.close_connection = reply.cut is not None or reply.claimed is not None

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(table: Table, limit: int = 10_000, context: ssl.SSLContext | None = None) -> Iterator[Publisher]:
    """A publisher that answers while the block runs."""
    publisher = Publisher(table, limit, context)
    with answering(publisher.server):
        yield publisher
