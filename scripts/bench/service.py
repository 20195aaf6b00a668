"""Load on the service over loopback, on a simulated grid of 3,000 hexagons × 24 hours × 4 categories.

    python scripts/bench/service.py --seconds 20 --output service.json

`stforecast serve` runs as a process of its own. Requests leave at fixed times whether earlier ones are answered or not
(open loop), and a latency counts from the time at which its request was due. Three phases: `/v1/top` and
`/v1/hexagons/{cell}` by turns; the same while another process stores a new grid twice; one GeoJSON hour after another.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import h3
import numpy as np
import pandas as pd

from stforecast.config import Config, parse
from stforecast.config.workspace import database
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.delivery.store import Store
from stforecast.delivery.usual import UsualCycle
from stforecast.forecasters.forecast import Forecast
from stforecast.scoring.conformal import Spread

CATEGORIES = ("property", "person", "vehicle", "other")
TARGETS = {"p99_ms": 25, "geojson_ms": 300, "dropped": 0}


@dataclass
class Load:
    """Answers of a phase: seconds from when each request was due, and what went wrong."""

    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    grids: set[int] = field(default_factory=set)

    def summary(self) -> dict[str, Any]:
        p50, p99, most = np.quantile(self.seconds, (0.5, 0.99, 1)) * 1000
        found = {"requests": len(self.seconds), "p50_ms": round(p50, 2), "p99_ms": round(p99, 2)}
        return found | {"max_ms": round(most, 2), "dropped": len(self.wrong), "grids_seen": len(self.grids)}


class Connections:
    """Keep-alive connections; one more is made where all are busy."""

    def __init__(self, port: int) -> None:
        self.port, self.idle = port, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]()

    async def get(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        while self.idle and self.idle[-1][0].at_eof():  # let go by the service, which it may do with an idle one
            self.idle.pop()[1].close()
        reader, writer = self.idle.pop() if self.idle else await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        body = await reader.readexactly(int(length[1]))
        self.idle.append((reader, writer))
        return int(head.split()[1]), body


async def open_loop(port: int, paths: list[str], rate: float, seconds: float) -> Load:
    """`rate` requests a second for `seconds`."""
    load, connections, due = Load(), Connections(port), time.perf_counter()

    async def ask(path: str, at: float) -> None:
        try:
            status, body = await connections.get(path)
            if status != 200:
                load.wrong.append(f"{path}: {status}")
            load.grids.add(json.loads(body)["grid"]["grid_id"])
        except (OSError, EOFError, ValueError, KeyError) as error:
            load.wrong.append(f"{path}: {error!r}")
        load.seconds.append(time.perf_counter() - at)

    async with asyncio.TaskGroup() as group:
        for i in range(round(rate * seconds)):
            at = due + i / rate
            await asyncio.sleep(max(0, at - time.perf_counter()))
            group.create_task(ask(paths[i % len(paths)], at))
    return load


async def hours_of_geojson(port: int, issued: pd.Timestamp) -> dict[str, Any]:
    """Every hour of the grid as GeoJSON, one after another."""
    connections, took, size = Connections(port), [], 0
    for hour in range(24):
        began = time.perf_counter()
        at = (issued + pd.Timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%MZ")
        status, body = await connections.get(f"/v1/risk?format=geojson&time={at}")
        took.append(1000 * (time.perf_counter() - began))
        assert status == 200, body
        size = len(body)
    return {"p50_ms": round(float(np.median(took)), 1), "max_ms": round(max(took), 1), "bytes": size}


def simulated(hexagons: int, seed: int) -> tuple[RiskGrid, UsualCycle]:
    rng = np.random.default_rng(seed)
    middle, rings = h3.latlng_to_cell(39.74, -104.99, 8), 0
    while len(cells := h3.grid_disk(middle, rings)) < hexagons:
        rings += 1
    shape = (1, 24, hexagons, len(CATEGORIES))
    issued = pd.Timestamp.now("UTC").floor("h")
    forecast = Forecast(
        intensity=rng.gamma(0.5, 0.05, shape).astype(np.float32),
        usual=rng.gamma(0.5, 0.05, shape).astype(np.float32),
        issue_times=pd.DatetimeIndex([issued]),
        hexagons=np.array(sorted(cells)[:hexagons]),
        categories=CATEGORIES,
        step_hours=1,
        time_zone="America/Denver",
        model="simulated",
        complete_until=issued,
        spreads=dict.fromkeys(("all", *CATEGORIES), Spread(0.9, 0.3, (0.5,), (0.05, 0.05), (0.95, 0.95))),
    )
    week = rng.gamma(0.5, 0.05, (168, hexagons, len(CATEGORIES))).astype(np.float32)
    return RiskGrid.of(forecast), UsualCycle(week, np.ones((12, len(CATEGORIES))))


def put(root: str, hexagons: int, seed: int, ready: Any = None, wanted: Any = None) -> None:
    """Store a grid, as the last step of a refresh does; between two events where they are given."""
    grid, usual = simulated(hexagons, seed)
    if ready is not None:
        ready.set()
        wanted.wait()
    config = config_of(root)
    store = Store(database(config), config.city)
    store.put(grid, usual, {"record": {}, "run": {}}, pd.Timestamp.now("UTC"))
    store.close()


def config_of(root: str) -> Config:
    return parse({"city": "simulated", "root": root}, "bench")


@contextmanager
def server(root: str, log: Any = subprocess.DEVNULL) -> Iterator[tuple[int, int]]:
    """A serving process; its port and its id."""
    file = Path(root) / "bench.yaml"
    file.write_text(f"city: simulated\nroot: {root}\nservice: {{rate_limit: 1000000/second}}\n")
    command = [sys.executable, "-m", "stforecast", "serve", str(file), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    try:
        said = re.search(r":(\d+)/", process.stdout.readline())
        assert said is not None, "the service did not start"
        yield int(said[1]), process.pid
    finally:
        process.terminate()
        process.wait()


async def measure(root: str, port: int, hexagons: int, rate: float, seconds: float) -> dict[str, Any]:
    connections = Connections(port)
    top = json.loads((await connections.get("/v1/top?k=50"))[1])
    cells = [f"/v1/hexagons/{row['hexagon']}" for row in top["rows"]]
    paths = [path for cell in cells for path in ("/v1/top?k=10&category=person", cell)]
    await open_loop(port, paths, rate, 2)  # to be warm
    quiet = await open_loop(port, paths, rate, seconds)
    context, writers = multiprocessing.get_context("spawn"), []
    for seed in (1, 2):
        ready, wanted = context.Event(), context.Event()
        context.Process(target=put, args=(root, hexagons, seed, ready, wanted)).start()
        writers.append(wanted)
        ready.wait()

    async def store_twice() -> None:
        for wanted in writers:
            await asyncio.sleep(seconds / 3)
            wanted.set()

    swapped, _ = await asyncio.gather(open_loop(port, paths, rate, seconds), store_twice())
    issued = pd.Timestamp(top["grid"]["issue_time"])
    found = {"quiet": quiet.summary(), "while_storing": swapped.summary()}
    return found | {"geojson_hour": await hours_of_geojson(port, issued)}


@click.command()
@click.option("--hexagons", default=3000, show_default=True)
@click.option("--rate", default=200.0, show_default=True, help="Requests a second.")
@click.option("--seconds", default=20.0, show_default=True, help="Of each phase.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="JSON file of the figures.")
def main(hexagons: int, rate: float, seconds: float, output: Path | None) -> None:
    """Measure the service and print the figures as JSON."""
    with tempfile.TemporaryDirectory() as root:
        put(root, hexagons, 0)
        with server(root) as (port, _):
            found = asyncio.run(measure(root, port, hexagons, rate, seconds))
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]}
    result = {"hexagons": hexagons, "rate": rate, "machine": machine, "targets": TARGETS, **found}
    text = json.dumps(result, indent=2)
    click.echo(text)
    if output:
        output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
