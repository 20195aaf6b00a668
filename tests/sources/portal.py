"""Portals on this machine that hold several tables, each behind the API of its kind, with the pages about them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from loopback import answering
from publisher import Publisher, Reply, Table

from stforecast.sources.web import Retry, Web


class Portal(Publisher):
    """Tables by the part of an address that names them; `pages` answer to others, as JSON or as they are."""

    def __init__(self, tables: Mapping[str, pd.DataFrame], limit: int = 2000) -> None:
        super().__init__(Table(), limit)
        self.tables, self.pages = dict(tables), dict[str, Any]()

    def answer(self, path: str, query: dict[str, str], headers: Any, body: bytes) -> Reply:
        if path in self.pages:
            page = self.pages[path]
            return page if isinstance(page, Reply) else Reply(json.dumps(page).encode())
        asked = f"{path} {query.get('resource_id', '')}"
        frame = next(
            (frame for name, frame in self.tables.items() if re.search(rf"(/| ){name}(\.csv|/| |$)", asked)), None
        )
        if frame is None:
            return Reply(b'{"success": false, "error": {"code": 404, "message": "not here"}}', status=404)
        if path.startswith("/resource/"):
            return self._rows_of_socrata(frame, query["$query"])
        if path.startswith("/api/3/"):
            return self._rows_of_ckan(frame, query)
        if "Server/" in path:
            return self._rows_of_arcgis(frame, path, query)
        return Reply(frame.to_csv(index=False).encode(), "text/csv")

    def _rows_of_socrata(self, frame: pd.DataFrame, text: str) -> Reply:
        frame = frame.copy()
        frame.insert(0, ":id", [f"row-{i:06}" for i in range(len(frame))])
        frame.insert(1, ":updated_at", "2026-01-01T00:00:00.000Z")
        if "count(*)" in text:
            return Reply(f"rows,newest\n{len(frame)},2026-01-01T00:00:00.000Z\n".encode(), "text/csv")
        if match := re.search(r":id > '([^']*)'", text):
            frame = frame[frame[":id"] > match[1]]
        by, order = re.search(r"ORDER BY `?([:\w]+)`? ?(ASC|DESC)?", text).groups()
        if by not in frame:
            return Reply(b'{"message": "no such column"}', status=400)
        frame = frame.sort_values(by, ascending=order != "DESC", kind="stable")
        frame = frame.head(int(re.search(r"LIMIT (\d+)", text)[1]))
        return Reply(frame.to_csv(index=False).encode(), "text/csv")

    def _rows_of_ckan(self, frame: pd.DataFrame, query: dict[str, str]) -> Reply:
        frame = frame.assign(_id=range(1, len(frame) + 1))
        by, order = re.fullmatch(r'"?([^"]+?)"? (asc|desc).*', query.get("sort", "_id asc")).groups()
        if by not in frame:
            return Reply(b'{"success": false, "error": "no such column"}', status=409)
        first = int(query.get("offset", 0))
        rows = frame.sort_values(by, ascending=order == "asc", kind="stable")[first : first + int(query["limit"])]
        result = {"records": json.loads(rows.to_json(orient="records")), "total": len(frame)}
        return Reply(json.dumps({"success": True, "result": result}).encode())

    def _rows_of_arcgis(self, frame: pd.DataFrame, path: str, query: dict[str, str]) -> Reply:
        fields = [
            {"name": name, "type": f"esriFieldType{'Date' if frame[name].dtype.kind == 'M' else 'String'}"}
            for name in frame
        ]
        if not path.endswith("/query"):
            oid = {"name": "OBJECTID", "type": "esriFieldTypeOID"}
            return Reply(json.dumps({"fields": [oid, *fields], "maxRecordCount": self.limit}).encode())
        if query.get("returnCountOnly"):
            return Reply(json.dumps({"count": len(frame)}).encode())
        rows = frame.assign(OBJECTID=range(1, len(frame) + 1))
        by, order = re.match(r"(\w+) (ASC|DESC)", query["orderByFields"]).groups()
        rows = rows.sort_values(by, ascending=order == "ASC", kind="stable")
        if match := re.search(r"OBJECTID > (\d+)", query["where"]):
            rows = rows[rows["OBJECTID"] > int(match[1])]
        page = rows.head(min(int(query["resultRecordCount"]), self.limit))
        features = [
            {
                "attributes": {k: v for k, v in row.items() if k not in ("lat", "lon")},
                "geometry": {"x": row["lon"], "y": row["lat"]} if "lon" in row else None,
            }
            for row in json.loads(page.to_json(orient="records", date_unit="ms"))
        ]
        found = {"objectIdFieldName": "OBJECTID", "spatialReference": {"wkid": 4326}, "features": features}
        return Reply(json.dumps(found | {"exceededTransferLimit": len(page) < len(rows)}).encode())


class Diverted(Web):
    """The network, with a portal on this machine in the place of every host."""

    def __init__(self, portal: Portal) -> None:
        super().__init__(Retry(total=1, backoff_factor=0), pause=0)
        self.portal = portal

    def _open(self, url: str, *arguments: Any) -> Any:
        parts = urlsplit(url)
        return super()._open(url.replace(f"{parts.scheme}://{parts.netloc}", self.portal.url, 1), *arguments)


@contextmanager
def portal(tables: Mapping[str, pd.DataFrame], limit: int = 2000) -> Iterator[Portal]:
    """A portal that answers while the block runs."""
    found = Portal(tables, limit)
    with answering(found.server):
        yield found


HOURS = (36, 33, 31, 22, 20, 16, 18, 25, 39, 40, 49, 45, 36, 49, 54, 55, 57, 61, 63, 54, 54, 51, 49, 43)
"""Reports of a city by hour of the day."""


def reports(rows: int = 1500) -> pd.DataFrame:
    """Reports of a made-up Denver, in the order of their occurrence."""
    rng = np.random.default_rng(3)
    hours = rng.choice(24, rows, p=np.array(HOURS) / sum(HOURS))
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, rows) * 24 + hours, "h")
    times = (times + pd.to_timedelta(rng.integers(0, 60, rows), "min")).sort_values()
    place = rng.integers(0, 200, rows)
    kinds = np.array(["THEFT", "BURGLARY", "ASSAULT", "ROBBERY", "MOTOR VEHICLE THEFT"])
    return pd.DataFrame(
        {
            "key": rng.permutation(rows) * 7 + 20240000,
            "happened": times,
            "told": times + pd.to_timedelta(np.round(rng.gamma(0.5, 900, rows)) + 1, "min"),
            "what": kinds[rng.integers(0, len(kinds), rows)],
            "lat": np.round(39.65 + 0.05 * (place % 4) + 0.0002 * place, 6),
            "lon": np.round(-104.98 + 0.001 * (place % 17), 6),
        }
    )


def written(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with its times as texts."""
    times = {name: frame[name].dt.strftime("%Y-%m-%dT%H:%M:%S") for name in frame if frame[name].dtype.kind == "M"}
    return frame.assign(**times)
