"""A city's file → cube: seconds of ours against the obvious way, and against peers that only read and group the file.

    python -m venv /tmp/peers && /tmp/peers/bin/pip install polars duckdb pandas h3 pyarrow
    python scripts/bench/cube.py --file crime.csv.gz --peers /tmp/peers/bin/python

Ours reads, cleans and settles the rows, writes events and rejects, bins them and writes the cube with graph and
calendar (configs/reference/denver.yaml). `obvious` is pandas, a loop over the rows that asks h3 for the cell, and a
groupby by hour, cell and offence; it cleans and writes nothing. `polars` and `duckdb` read the file, parse the hour and
count rows by hour, place and offence, no more. Every side times itself in a process of its own, imports left out, after
a round to warm up; sides take turns. Ours and the peers count the same rows: ours by its ledger (every row is an event,
merged, left out or refused), the peers by the sum of their groups; pandas drops what is no row to it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

COLUMNS = ("FIRST_OCCURRENCE_DATE", "GEO_LAT", "GEO_LON", "OFFENSE_CATEGORY_ID")
FORM = "%m/%d/%Y %I:%M:%S %p"


def ours(path: str) -> dict[str, float]:
    """Ingest and build from nothing."""
    from stforecast.config import load
    from stforecast.pipeline.preparation import Preparation

    with tempfile.TemporaryDirectory() as root:
        stages = Preparation(load("reference/denver", [f"root={root}", f"source.path={path}"]), lambda line: None)
        begin = time.perf_counter()
        table = stages.ingest()
        middle = time.perf_counter()
        stages.build()
        end = time.perf_counter()
    meta = table.meta
    refused, aside = sum(meta["rejected"].values()), sum(meta["left_out"].values())
    assert meta["events"] + meta["merged"] + refused + aside == meta["rows_read"]
    return {"seconds": end - begin, "ingest": middle - begin, "build": end - middle, "rows": meta["rows_read"]}


def obvious(path: str) -> dict[str, float]:
    """What one would type first."""
    import h3
    import pandas as pd

    begin = time.perf_counter()
    frame = pd.read_csv(path, encoding="utf-8-sig", low_memory=False)
    places = zip(frame["GEO_LAT"], frame["GEO_LON"], strict=True)
    frame["cell"] = [h3.latlng_to_cell(y, x, 8) if y == y and x == x else None for y, x in places]
    frame["hour"] = pd.to_datetime(frame["FIRST_OCCURRENCE_DATE"], format=FORM).dt.floor("h")
    counts = frame.groupby(["hour", "cell", "OFFENSE_CATEGORY_ID"], dropna=False).size()
    return {"seconds": time.perf_counter() - begin, "rows": int(counts.sum())}


def polars(path: str) -> dict[str, float]:
    """Read and group, lazily, the needed columns only."""
    import polars as pl

    begin = time.perf_counter()
    hour = pl.col(COLUMNS[0]).str.to_datetime(FORM, strict=False).dt.truncate("1h")
    frame = pl.scan_csv(path, infer_schema_length=0, truncate_ragged_lines=True, ignore_errors=True)
    counts = frame.group_by(hour, *COLUMNS[1:]).len().collect()
    return {"seconds": time.perf_counter() - begin, "rows": int(counts["len"].sum())}


def duckdb(path: str) -> dict[str, float]:
    """The same in SQL."""
    import duckdb as db

    begin = time.perf_counter()
    query = (
        f"SELECT count(*) AS n FROM read_csv('{path}', all_varchar=true, null_padding=true, strict_mode=false) "
        f"GROUP BY date_trunc('hour', try_strptime({COLUMNS[0]}, '{FORM}')), {', '.join(COLUMNS[1:])}"
    )
    counts = db.sql(query).fetchnumpy()["n"]
    return {"seconds": time.perf_counter() - begin, "rows": int(counts.sum())}


SIDES: dict[str, Callable[[str], dict[str, float]]] = {
    "ours": ours, "obvious": obvious, "polars": polars, "duckdb": duckdb,
}  # fmt: skip


def serve(side: str, path: str) -> None:
    """Take a round for every line on standard input."""
    for _ in sys.stdin:
        print(json.dumps(SIDES[side](path)), flush=True)


def compare(path: Path, interpreters: dict[str, str], rounds: int) -> dict[str, Any]:
    """Seconds of each side, rounds interleaved."""
    from timing import summary, turns

    sides = {
        side: subprocess.Popen(
            [python, __file__, "--side", side, "--file", str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for side, python in interpreters.items()
    }  # fmt: skip
    found: dict[str, dict[str, float]] = {}

    def turn(side: str) -> Callable[[], float]:
        def call() -> float:
            process = sides[side]
            assert process.stdin
            assert process.stdout
            process.stdin.write("\n")
            process.stdin.flush()
            found[side] = json.loads(process.stdout.readline())
            return found[side].pop("seconds")

        return call

    seconds = turns({side: turn(side) for side in sides}, rounds)
    for process in sides.values():
        process.communicate()
    if len({facts["rows"] for side, facts in found.items() if side != "obvious"}) != 1:
        raise SystemExit(f"the sides did not count the same rows: {found}")
    return {"sides": summary(seconds, "ours"), "last_round": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--file", type=Path, required=True, help="Denver's export, .csv or .csv.gz")
    parser.add_argument("--peers", help="the Python of an environment with polars, duckdb, pandas and h3")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        serve(given.side, str(given.file))
        return
    from timing import report  # beside this file; the peers' environment need not have what it imports

    peers = dict.fromkeys(("obvious", "polars", "duckdb"), given.peers) if given.peers else {}
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder, "crime.csv"), Path(folder, "crime.csv.gz")
        with (
            (gzip.open if given.file.suffix == ".gz" else open)(given.file, "rb") as source,
            plain.open("wb") as target,
        ):
            shutil.copyfileobj(source, target)
        with plain.open("rb") as source, gzip.open(packed, "wb", 6) as target:
            shutil.copyfileobj(source, target)
        for path in (plain, packed):
            results[path.name] = compare(path, {"ours": sys.executable, **peers}, given.rounds)
    report("cube", results, given.output)


if __name__ == "__main__":
    main()
