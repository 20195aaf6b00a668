"""Ingest and build a file of any size in bounded memory: writes a publisher's CSV, takes it in, and says the peak.

    python scripts/bench/large_file.py --megabytes 2000 --folder /tmp/large

The rows have the 22 columns of Chicago's export, in its order and spelling, offences in about its proportions. They are
drawn with a seed: the places of 50,000 addresses, hours of 20 years, quoted fields, some rows without coordinates.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from timing import report

from stforecast.config import load
from stforecast.pipeline.preparation import Preparation

HEADER = (
    "ID,Case Number,Date,Block,IUCR,Primary Type,Description,Location Description,Arrest,Domestic,Beat,District,Ward,"
    "Community Area,FBI Code,X Coordinate,Y Coordinate,Year,Updated On,Latitude,Longitude,Location\n"
)
OFFENCES = {
    "THEFT": 21, "BATTERY": 18, "CRIMINAL DAMAGE": 11, "NARCOTICS": 9, "ASSAULT": 7, "OTHER OFFENSE": 6, "BURGLARY": 5,
    "MOTOR VEHICLE THEFT": 5, "DECEPTIVE PRACTICE": 5, "ROBBERY": 4, "CRIMINAL TRESPASS": 3, "WEAPONS VIOLATION": 2,
    "PROSTITUTION": 1, "OFFENSE INVOLVING CHILDREN": 1, "CRIM SEXUAL ASSAULT": 1, "SEX OFFENSE": 1,
}  # fmt: skip
ROWS = 200_000  # written at once


def write(path: Path, megabytes: int, seed: int) -> int:
    """Write rows until the file has its size; how many."""
    rng = np.random.default_rng(seed)
    latitude, longitude = rng.uniform(41.65, 42.02, 50_000), rng.uniform(-87.85, -87.53, 50_000)
    share = np.array(list(OFFENCES.values())) / sum(OFFENCES.values())
    rows = 0
    with path.open("w", encoding="ascii", newline="") as out:
        out.write(HEADER)
        while out.tell() < megabytes * 1_000_000:
            place, offence = rng.integers(0, 50_000, ROWS), rng.choice(list(OFFENCES), ROWS, p=share)
            when = pd.Timestamp("2004-01-01") + pd.to_timedelta(rng.integers(0, 20 * 365 * 1440, ROWS), unit="m")
            day, year = when.strftime("%m/%d/%Y %I:%M:00 %p"), when.year
            y = np.where(rng.random(ROWS) < 0.01, "", np.char.mod("%.9f", latitude[place]))
            x = np.where(y == "", "", np.char.mod("%.9f", longitude[place]))
            columns = (range(rows, rows + ROWS), day, place, offence, place % 4 == 0, year, y, x)
            lines = [
                f"{i},H{i:08d},{d},{p:05d} W MADISON ST,0820,{o},$500 AND UNDER,"
                f'"PARKING LOT, GARAGE",{str(a).lower()},false,{p % 999:04d},{p % 25:03d},{p % 50},{p % 77},06,,,{yr},'
                f'02/10/2018 03:50:01 PM,{la},{lo},"({la}, {lo})"\n'
                for i, d, p, o, a, yr, la, lo in zip(*columns, strict=True)
            ]
            out.writelines(lines)
            rows += ROWS
    return rows


def take_in(path: Path, root: Path) -> None:
    """Ingest and build, and print seconds and the peak of resident memory; run in a process of its own."""
    config = load("chicago", [f"root={root}", f"source.path={path}", "known_time=occurred"])
    stages = Preparation(config, lambda line: None)
    facts = {}
    for name in ("ingest", "build"):
        begin = time.perf_counter()
        getattr(stages, name)()
        facts[f"{name}_seconds"] = round(time.perf_counter() - begin, 1)
        facts[f"peak_megabytes_after_{name}"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 // 1_000_000
    print(json.dumps(facts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--megabytes", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, required=True, help="a folder to write to; it is removed at the end")
    parser.add_argument("--output", type=Path, help="write the figures as JSON")
    parser.add_argument("--take-in", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    path = given.folder / "crimes.csv"
    if given.take_in:
        take_in(path, given.folder)
        return
    given.folder.mkdir(parents=True)
    try:
        rows = write(path, given.megabytes, given.seed)
        call = [sys.executable, __file__, "--take-in", "--folder", str(given.folder)]
        done = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True)
        facts = {"megabytes": path.stat().st_size // 1_000_000, "rows": rows, **json.loads(done.stdout)}
        report("large_file", facts, given.output)
    finally:
        shutil.rmtree(given.folder)


if __name__ == "__main__":
    main()
