"""A city whose record comes from the publisher on this machine, and its record as ingest reads it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd

from stforecast import config
from stforecast.events.ingest import ingest
from stforecast.pipeline.fetching import fetch
from stforecast.pipeline.stages import Stages
from stforecast.sources.web import Retry, Web

KINDS = ("socrata", "arcgis", "ckan", "file")
APIS = KINDS[:3]
FAST = Retry(total=4, backoff_factor=0)


def rows(first: int, last: int, offence: str = "theft", day: int | None = None) -> dict[str, dict[str, str]]:
    """Rows by their case; a day has 100."""
    return {
        f"c{i}": {
            "case": f"c{i}",
            "date": f"{pd.Timestamp('2025-01-01') + pd.Timedelta(days=i // 100 if day is None else day):%Y-%m-%d}"
            f"T{i * 7 % 24:02}:{i * 13 % 60:02}:00",
            "offence": offence,
            "latitude": f"{39 + i % 100 / 1e4:.5f}",
            "longitude": "-104.9",
        }
        for i in range(first, last)
    }


def source_of(kind: str, url: str) -> dict[str, Any]:
    """A table at a publisher, as a configuration has it."""
    path = {"arcgis": "/FeatureServer/0", "file": "/export.csv"}.get(kind, "")
    table = {"kind": kind, "url": url + path}
    if kind in ("socrata", "ckan"):
        table["dataset"] = "abcd-1234"
    if kind in ("arcgis", "ckan"):
        table["date"] = "date"
    return table


def stages_of(
    root: Path, url: str, kind: str, keyed: bool = True, said: list[str] | None = None, **source: Any
) -> Stages:
    """The stages of the city; what they say goes into `said`."""
    columns = {"occurred": "date", "offence": "offence", "latitude": "latitude", "longitude": "longitude"}
    values = {
        "city": "fetched",
        "root": str(root),
        "source": {
            "tables": [source_of(kind, url)],
            "columns": {field: [name] for field, name in (columns | ({"event_id": "case"} if keyed else {})).items()},
            "categories": {"all offences": ["*"]},
            "time_zone": "Etc/UTC",
            "bounds": [-106, 38, -103, 41],
            "first_day": "2024-01-01",
            "last_day": "2026-12-31",
            "max_rejects": 1,
            **source,
        },
    }
    return Stages(config.parse(values, "test"), (said if said is not None else []).append)


def pull(stages: Stages, whole: bool = False, web: Web | None = None) -> bool:
    """Fetch, without waiting."""
    return fetch(stages, whole, web or Web(FAST, pause=0))


Record = list[tuple[str, ...]]


def record(stages: Stages, keyed: bool = True) -> Record:
    """What ingest makes of the files in bronze: case, time, offence and latitude of every event."""
    frame = ingest(stages.config).frame
    cases = frame["event_id"] if keyed else [""] * len(frame)
    times = frame["occurred_at"].dt.strftime("%Y-%m-%dT%H:%M:%S")
    return sorted(zip(cases, times, frame["offence"], frame["latitude"].map("{:.5f}".format), strict=True))


def truth(table_rows: dict[str, dict[str, str]], keyed: bool = True) -> Record:
    """The same of the publisher's rows."""
    return sorted(
        (row["case"] if keyed else "", row["date"], row["offence"], row["latitude"]) for row in table_rows.values()
    )


def bronze(stages: Stages) -> dict[str, str]:
    """A digest of every file that ingest would read."""
    folder = stages.place.bronze
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    shown = [path for path in files if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in shown
        if path.name != "manifest.json"
    }


def manifest(stages: Stages) -> dict[str, Any]:
    """The manifest of the only table."""
    (path,) = stages.place.bronze.glob("fetched/*/manifest.json")
    return dict(json.loads(path.read_text()))


def page_rows(body: bytes) -> list[Any] | None:
    """The rows of a page of any API, to be changed and put back by `with_rows`; None: it is none."""
    try:
        found = json.loads(body)
    except ValueError:
        lines = body.decode().splitlines()
        return lines[1:] if lines and '":id"' in lines[0] else None
    if "features" in found:
        return list(found["features"])
    return list(found["result"]["records"]) if "result" in found else None


def with_rows(body: bytes, rows: list[Any]) -> bytes:
    """A page with other rows."""
    try:
        found = json.loads(body)
    except ValueError:
        return "".join(f"{line}\n" for line in [body.decode().splitlines()[0], *rows]).encode()
    if "features" in found:
        found["features"] = rows
    else:
        found["result"]["records"] = rows
    return json.dumps(found).encode()
