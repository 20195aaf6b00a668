"""Open-Meteo on this machine: its archive, its previous runs and its forecast, with their nulls, units and errors.

`now` is its clock. Observations are 5 days late and differ from the final ones for 5 days more. `fault` is asked before
every answer, with the number of the request; it may give another status and body, or cut the body short.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
from loopback import answering

NAMES = {
    "temperature_unit": {"celsius": "°C", "fahrenheit": "°F"},
    "wind_speed_unit": {"ms": "m/s", "kmh": "km/h", "mph": "mp/h", "kn": "kn"},
    "precipitation_unit": {"mm": "mm", "inch": "inch"},
}
KINDS = {
    "temperature_2m": "temperature_unit",
    "precipitation": "precipitation_unit",
    "wind_speed_10m": "wind_speed_unit",
}
LATE, REVISED = pd.Timedelta(days=5), pd.Timedelta(days=10)
ARCHIVED = pd.Timestamp("2024-01-01", tz="UTC")
Fault = Callable[[int, bytes], tuple[int, bytes, int | None]]


def value(name: str, hours: np.ndarray, now: int, final: np.ndarray) -> np.ndarray:
    """What is said of hours (since 1970) at a moment; of those that are not final another value."""
    base = {"temperature_2m": 10.0, "precipitation": 1.0, "wind_speed_10m": 3.0}[name]
    return np.round(base + hours % 24 / 10 + np.where(final, 0, 0.5 + now % 10 / 100), 3)


class OpenMeteoServer:
    """The server; `asked` are the queries so far."""

    def __init__(self, now: str) -> None:
        self.now, self.fault = pd.Timestamp(now, tz="UTC"), None
        self.asked: list[dict[str, str]] = []
        self.future_runs = True
        handler = type("Handler", (_Handler,), {"owner": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    fault: Fault | None

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, bytes]:
        """Status and body, before a fault."""
        first, last = (pd.Timestamp(query[key], tz="UTC") for key in ("start_date", "end_date"))
        newest = self.now.floor("D") + pd.Timedelta(days=0 if path == "/v1/archive" else 16)
        if last > newest:
            reason = f"Parameter 'end_date' is out of allowed range from 1940-01-01 to {newest:%Y-%m-%d}"
            return 400, json.dumps({"error": True, "reason": reason}).encode()
        times = pd.date_range(first, last + pd.Timedelta(days=1), freq="h", inclusive="left")
        hours = ((times - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(hours=1)).to_numpy()
        now = int((self.now - pd.Timestamp(0, tz="UTC")) // pd.Timedelta(hours=1))
        found: dict[str, Any] = {"time": times.strftime("%Y-%m-%dT%H:%M").tolist()}
        units = {"time": "iso8601"}
        for asked in query["hourly"].split(","):
            name, _, lead = asked.partition("_previous_day")
            if name not in KINDS:
                reason = (
                    f"Data corrupted at path ''. Cannot initialize VariableOrDerived from invalid String value {name}."
                )
                return 400, json.dumps({"error": True, "reason": reason}).encode()
            if path == "/v1/archive":
                values = value(name, hours, now, times < self.now - REVISED)
                there = times < self.now - LATE
            elif lead:
                values = value(name, hours, now, times <= self.now + pd.Timedelta(days=int(lead))) + 20
                there = (times >= ARCHIVED) & ((times <= self.now) | self.future_runs)
            else:
                values = value(name, hours, now, np.zeros(len(hours), bool)) + 40
                there = np.ones(len(hours), bool)
            found[asked] = [float(one) if seen else None for one, seen in zip(values, there, strict=True)]
            units[asked] = NAMES[KINDS[name]][query[KINDS[name]]]
        place = {"latitude": float(query["latitude"]), "longitude": float(query["longitude"]), "elevation": 1609.0}
        facts = {"generationtime_ms": len(self.asked) / 7, "utc_offset_seconds": 0, "timezone": "GMT"}
        return 200, json.dumps({**place, **facts, "hourly_units": units, "hourly": found}, ensure_ascii=False).encode()


class _Handler(BaseHTTPRequestHandler):
    owner: OpenMeteoServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.owner.asked.append({"path": parts.path, **query})
        status, body, cut = *self.owner.answer(parts.path, query), None
        if self.owner.fault is not None and (other := self.owner.fault(len(self.owner.asked), body)) is not None:
            status, body, cut = other
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def open_meteo(now: str) -> Iterator[OpenMeteoServer]:
    """A server that answers while the block runs."""
    found = OpenMeteoServer(now)
    with answering(found.server):
        yield found
