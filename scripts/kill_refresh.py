"""Kill -9 a refresh at random moments: does the service go on answering from a whole grid, and does the next succeed?

    python scripts/kill_refresh.py --kills 20

A small simulated city is trained in a temporary folder and served by `stforecast serve`. Before every refresh the
publisher adds a day of reports; then the refresh is killed at a moment drawn evenly over the time that one works. All
the while the service is asked for its grid: every answer must be 200 and hold every hexagon, and answers of one grid
must be equal. At the end a refresh is left to finish, and its grid must be the one that is served.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import click
import pandas as pd

SMALL = (
    *("synthetic.hexagons=37", "synthetic.days=100", "evaluation.forecasters=[rolling_climatology]"),
    *("weather.path=null", "weather.forecast_path=null", "weather.channels={}", "service.rate_limit=100000/second"),
)
HEXAGONS = 37
FIRST_NEW = pd.Timestamp("2022-07-10")


class Asker(threading.Thread):
    """Asks for the grid again and again; keeps what was wrong, and a digest of the rows of every grid."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port, self.done = port, threading.Event()
        self.answers, self.wrong, self.rows = 0, list[str](), dict[int, str]()

    def run(self) -> None:
        while not self.done.wait(0.02):
            self.answers += 1
            try:
                self.look()
            except (OSError, ValueError, KeyError) as error:
                self.wrong.append(repr(error))

    def look(self) -> int:
        """The id of the grid that answers now."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v1/risk", timeout=10) as answer:
            found = json.load(answer)
        rows, number = found["rows"], int(found["grid"]["grid_id"])
        digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
        if len(rows) != HEXAGONS or self.rows.setdefault(number, digest) != digest:
            self.wrong.append(f"grid {number}: {len(rows)} hexagons, or not what it was")
        return number


class City:
    """A small city and the commands on it."""

    def __init__(self, root: Path) -> None:
        self.root, self.day = root, FIRST_NEW
        self.environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(self, verb: str, *options: str) -> subprocess.Popen[str]:
        config = ("configs/quickstart.yaml", f"root={self.root}", *SMALL)
        command = [sys.executable, "-u", "-m", "stforecast", verb, *options, *config]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=self.environment
        )

    def finish(self, verb: str) -> str:
        """The last line that a verb said but one, which is what it did."""
        process = self.start(verb)
        said = process.communicate()[0].splitlines()
        if process.returncode:
            raise click.ClickException(f"{verb} left with {process.returncode}")
        return said[-2]

    def publish(self) -> None:
        """A day of new reports."""
        with (self.root / "data/quickstart/bronze/offences.csv").open("a", encoding="utf-8") as file:
            for i in range(40):
                at = f"{self.day:%Y-%m-%d} {i % 24:02d}"
                file.write(f"N{self.day:%j}{i},assault,{at}:10:00,{at}:40:00,39.0,-102.5\n")
        self.day += pd.Timedelta(days=1)


def at_work(city: City, process: subprocess.Popen[str]) -> None:
    """Wait until a refresh has taken the lock: everything before is imports."""
    lock = city.root / "data/quickstart/refresh.lock"
    before = lock.stat().st_mtime_ns
    while process.poll() is None and lock.stat().st_mtime_ns == before:
        time.sleep(0.002)


def kill_one(city: City, after: float) -> str:
    """Begin a refresh and kill it some time after it took the lock; the last thing that it had done."""
    city.publish()
    process = city.start("refresh")
    at_work(city, process)
    time.sleep(after)
    process.kill()
    said = process.communicate()[0].splitlines()
    return {"next": "all done"}.get(stage := said[-1].split(":")[0], stage) if said else "lock taken"


@click.command()
@click.option("--kills", default=20, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(kills: int, seed: int) -> None:
    """Kill refreshes and print what the service did as JSON; leaves with 1 where it did not hold."""
    moments = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        city = City(Path(folder))
        city.finish("run")
        city.finish("refresh")
        city.publish()
        process = city.start("refresh")
        at_work(city, process)
        began = time.perf_counter()
        assert process.stdout is not None
        takes = next(time.perf_counter() - began for line in process.stdout if line.startswith("refresh:"))
        process.communicate()
        server = city.start("serve", "--port", "0")
        assert server.stdout is not None
        try:
            port = re.search(r":(\d+)/", server.stdout.readline())
            assert port is not None, "the service did not start"
            asker = Asker(int(port[1]))
            asker.start()
            killed = Counter(kill_one(city, moments.uniform(0, takes)) for _ in range(kills))
            city.publish()
            last = city.finish("refresh")
            time.sleep(3)  # the service looks at the store once a second
            asker.done.set()
            asker.join()
            served = asker.look()
        finally:
            server.terminate()
            server.wait()
    result = {"refresh_seconds": round(takes, 1), "killed_after": dict(killed), "answers": asker.answers}
    result |= {"wrong": asker.wrong[:5], "grids_seen": sorted(asker.rows), "last_refresh": last.replace(folder, "…")}
    whole = not asker.wrong and f"grid {served}," in last
    click.echo(json.dumps(result | {"served_at_the_end": served, "held": whole}, indent=2))
    sys.exit(0 if whole else 1)


if __name__ == "__main__":
    main()
