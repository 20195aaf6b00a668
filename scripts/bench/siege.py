"""The service under siege over loopback, on a small simulated grid.

    python scripts/bench/siege.py --connections 1000 --seconds 60 --requests 50000 --output siege.json

`stforecast serve` runs as a process of its own. Another process holds hostile connections, of each kind as many, and
opens one anew within two seconds after it is cut off. Meanwhile `/healthz` is asked at fixed times, each time over a
new connection; a latency counts from the time at which its request was due. Afterwards questions of every kind are
asked in turn, and the memory of the service is looked at.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import platform
import random
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import numpy as np
from service import Connections, put, server

TARGETS = {"healthz_p99_ms": 50, "healthz_failed": 0, "log_bytes": 1_000_000, "memory_growth": 0.05}
HEAD = b"HTTP/1.1\r\nHost: localhost\r\n"
PAUSE = 0.5
"""Seconds between two bytes or lines of those that are slow."""

Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter
Attack = Callable[[Reader, Writer], Coroutine[Any, Any, None]]


async def endless(writer: Writer, text: bytes) -> None:
    while True:
        writer.write(text)
        await writer.drain()
        await asyncio.sleep(PAUSE)


async def idle(reader: Reader, _: Writer) -> None:
    await reader.read()


async def slow_head(_: Reader, writer: Writer) -> None:
    writer.write(b"GET / " + HEAD)
    await endless(writer, b"X-More: 1\r\n")


async def slow_body(_: Reader, writer: Writer) -> None:
    writer.write(b"POST /v1/predict " + HEAD + b"Content-Length: 9000\r\n\r\n")
    await endless(writer, b"{")


async def half_closed(reader: Reader, writer: Writer) -> None:
    writer.write(b"GET / HTTP/1.1\r\nHost:")
    writer.write_eof()
    await reader.read()


async def vanishing(_: Reader, writer: Writer) -> None:
    writer.write(b"GET /v1/top " + HEAD + b"\r\n")
    await writer.drain()
    writer.transport.abort()


async def large_head(reader: Reader, writer: Writer) -> None:
    writer.write(b"GET / " + HEAD + b"X: y\r\n" * 40_000)
    await reader.read()


async def no_http(reader: Reader, writer: Writer) -> None:
    writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500))
    await reader.read()


async def slow_reader(reader: Reader, writer: Writer) -> None:
    writer.write((b"GET /v1/risk?format=geojson " + HEAD + b"\r\n") * 3)
    while await reader.read(200):
        await asyncio.sleep(PAUSE)


async def never_asked(_: Reader, writer: Writer) -> None:
    """After an answer a head that does not end."""
    writer.write(b"GET /healthz " + HEAD + b"\r\nG")
    await endless(writer, b"E")


ATTACKS: tuple[Attack, ...] = (idle, slow_head, slow_body, half_closed, vanishing)
ATTACKS += (large_head, no_http, slow_reader, never_asked)


async def hold(port: int, number: int, opened: Counter[str]) -> None:
    """One hostile connection, again and again; from many addresses, lest the ports of one run out."""
    attack, address = ATTACKS[number % len(ATTACKS)], f"127.0.1.{1 + number % 100}"
    while True:
        with suppress(OSError):
            its = socket.socket()
            its.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            its.bind((address, 0))
            its.setblocking(False)
            await asyncio.get_running_loop().sock_connect(its, ("127.0.0.1", port))
            reader, writer = await asyncio.open_connection(sock=its, limit=256)
            opened[attack.__name__] += 1
            try:
                await attack(reader, writer)
            finally:
                writer.transport.abort()
        await asyncio.sleep(random.uniform(0, 2))


def besiege(port: int, connections: int, seconds: float, ready: Any, found: Any) -> None:
    """Hold so many hostile connections for so long; how many were opened of each kind goes to `found`."""

    async def all_of_them() -> Counter[str]:
        opened = Counter[str]()
        tasks = [asyncio.create_task(hold(port, i, opened)) for i in range(connections)]
        await asyncio.sleep(2)
        ready.set()
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return opened

    found.put(asyncio.run(all_of_them()))


async def healthy(port: int, rate: float, seconds: float) -> dict[str, Any]:
    """Latencies of `/healthz`."""
    took, wrong, began = list[float](), Counter[str](), time.perf_counter()

    async def ask(due: float) -> None:
        try:
            connections = Connections(port)
            _, body = await asyncio.wait_for(connections.get("/healthz"), 10)
            assert body == b"ok\n"
            connections.idle.pop()[1].close()
        except (OSError, EOFError, TimeoutError, AssertionError) as error:
            wrong[repr(error)] += 1
        took.append(1000 * (time.perf_counter() - due))

    async with asyncio.TaskGroup() as group:
        for i in range(round(rate * seconds)):
            due = began + i / rate
            await asyncio.sleep(max(0, due - time.perf_counter()))
            group.create_task(ask(due))
    p50, p99, most = np.quantile(took, (0.5, 0.99, 1)).round(2).tolist()
    found = {"healthz_asked": len(took), "healthz_p50_ms": p50, "healthz_p99_ms": p99, "healthz_max_ms": most}
    return {**found, "healthz_failed": wrong.total(), "failures": dict(wrong)}


def busy(process: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(process: int) -> int:
    """Bytes of memory of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


async def questions(port: int, process: int, requests: int) -> dict[str, Any]:
    """Memory over so many questions: from a tenth of them on, its range relative to what it was then."""
    connections, sizes, statuses = Connections(port), list[int](), Counter[int]()
    top = json.loads((await connections.get("/v1/top?k=50"))[1])
    paths = [f"/v1/hexagons/{row['hexagon']}" for row in top["rows"]]
    others = ("/v1/top", "/v1/risk?top_k=20", "/v1/risk?format=csv", "/v1/grids/latest", "/metrics", "/docs")
    wrong = ("/v1/top?k=0", "/v1/hexagons/none", "/nothing", "/v1/risk?time=never")
    paths = [path for cell in paths for path in (cell, *others, *wrong)]

    async def some(numbers: range) -> None:
        for i in numbers:
            statuses[(await connections.get(paths[i % len(paths)]))[0]] += 1

    step = max(1, requests // 20)
    for start in range(0, requests, step):
        numbers = range(start, min(requests, start + step))
        await asyncio.gather(*(some(numbers[i::8]) for i in range(8)))
        sizes.append(resident(process))
    base = sizes[1]
    growth = max(abs(size - base) for size in sizes[1:]) / base
    facts = {"requests": statuses.total(), "statuses": {str(status): n for status, n in sorted(statuses.items())}}
    return {**facts, "memory_bytes": base, "memory_growth": round(growth, 4)}


def measure(connections: int, seconds: float, requests: int, hexagons: int = 200) -> dict[str, Any]:
    """The figures of a siege and of the questions after it."""
    context = multiprocessing.get_context("spawn")
    ready, found = context.Event(), context.Queue()
    with tempfile.TemporaryDirectory() as root:
        log = Path(root) / "log"
        put(root, hexagons, 0)
        with log.open("w") as handle, server(root, handle) as (port, process):
            quiet = asyncio.run(healthy(port, 50, min(seconds, 10)))
            asked = (port, connections, seconds, ready, found)
            siege = context.Process(target=besiege, args=asked)
            siege.start()
            ready.wait()
            before = busy(process)
            answers = asyncio.run(healthy(port, 50, seconds))
            cores = round((busy(process) - before) / seconds, 2)
            opened = found.get()
            siege.join()
            open_files = len(list(Path(f"/proc/{process}/fd").iterdir()))
            memory = asyncio.run(questions(port, process, requests))
        size = log.stat().st_size
    without = {name.replace("healthz", "quiet"): quiet[name] for name in ("healthz_p50_ms", "healthz_p99_ms")}
    service = {"cores": cores, "opened": dict(opened), "log_bytes": size, "open_files": open_files}
    result = {**without, **answers, **service, **memory}
    return result | {"missed": [name for name, most in TARGETS.items() if result[name] > most]}


@click.command()
@click.option("--connections", default=1000, show_default=True, help="Hostile ones, at a time.")
@click.option("--seconds", default=60.0, show_default=True, help="Of the siege.")
@click.option("--requests", default=50_000, show_default=True, help="After the siege, for the memory.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="JSON file of the figures.")
def main(connections: int, seconds: float, requests: int, output: Path | None) -> None:
    """Measure the service and print the figures as JSON."""
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]}
    found = measure(connections, seconds, requests)
    sizes = {"connections": connections, "seconds": seconds}
    text = json.dumps({**sizes, "machine": machine, "targets": TARGETS, **found}, indent=2)
    click.echo(text)
    if output:
        output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
