"""`stforecast run` on a quiet machine and beside a busy core, by turns, in a folder of its own each time.

    python scripts/bench/busy.py                                            (the quickstart city, in minutes)
    python scripts/bench/busy.py configs/reference/denver.yaml source.path=… --before /tmp/before --output busy.json
    python scripts/bench/busy.py --small

The busy core is a process that counts; the system places it, or it stays on one core with --pinned. Processor seconds
stand beside those of the clock: threads that spin while they wait show there, and other people's work does not.
`others` is how many cores other processes took meanwhile: a quiet run of which it is above a tenth or so was not
quiet. With --before another checkout takes turns too, and `this_over_before` is its quiet machine against ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
from timing import report, significant
from workers import ROOT, alone

SMALL = (
    *("synthetic.hexagons=19", "synthetic.days=100", "training.max_epochs=1", "training.warm_up_days=20"),
    "evaluation.forecasters=[gcrn, rolling_climatology]",
)
TARGET = {"busy_over_quiet": 2, "this_over_before": 1.1}
COUNTING = "import os, sys\nif sys.argv[1:]: os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"


def machine_seconds() -> float:
    """Processor seconds that all processes took since the machine began; NaN where the system does not tell."""
    stat = Path("/proc/stat")
    if not stat.is_file():
        return float("nan")
    user, nice, system, _, _, interrupts, soft = map(int, stat.read_text(encoding="ascii").split()[1:8])
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def ended(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """Exit status of a process that ends, and the processor seconds that it took."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_utime + usage.ru_stime


def measured(checkout: Path, arguments: list[str], busy: list[str] | None) -> dict[str, float]:
    """A run, beside the process `busy` where one is given: seconds by the clock, of processors, and cores of others."""
    with TemporaryDirectory() as root:
        # -P: what is imported is the checkout's, not what lies in the working folder
        command = [sys.executable, "-P", "-m", "stforecast", "run", *arguments, f"root={root}"]
        log = Path(root) / "said"
        # in a session of its own, as other people's work is
        loop = subprocess.Popen(busy, start_new_session=True) if busy else None
        taken, began = machine_seconds(), time.perf_counter()
        with log.open("wb") as out:
            run = subprocess.Popen(command, env=alone(checkout), stdout=out, stderr=out)
            status, processor = ended(run)
        seconds = time.perf_counter() - began
        taken = machine_seconds() - taken - processor
        if loop:
            loop.kill()
            taken -= ended(loop)[1]
        if status:
            raise click.ClickException(f"{' '.join(command)}:\n{log.read_text()}")
    return {"seconds": seconds, "processor_seconds": processor, "others": taken / seconds}


def middle(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Medians of runs, and each of them."""
    values = {key: [significant(run[key]) for run in runs] for key in runs[0]}
    return {f"median_{key}": significant(float(np.median(each))) for key, each in values.items()} | {"runs": values}


@click.command()
@click.argument("config", default=str(ROOT / "configs/quickstart.yaml"))
@click.argument("overrides", nargs=-1)
@click.option("--before", type=click.Path(exists=True, path_type=Path), help="Another checkout, to compare with.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--pinned", is_flag=True, help="Keep the busy process on core 0.")
@click.option("--small", is_flag=True, help="A very small city.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path))
def main(
    config: str,
    overrides: tuple[str, ...],
    before: Path | None,
    rounds: int,
    pinned: bool,
    small: bool,
    output: Path | None,
) -> None:
    """Seconds of a run, quiet and busy."""
    arguments = [config, *(SMALL if small else ()), *overrides]
    counting = [sys.executable, "-c", COUNTING, *(["0"] if pinned else [])]
    sides = {"quiet": (ROOT, None), "busy": (ROOT, counting)}
    if before:
        sides |= {"quiet, before": (before.resolve(), None), "busy, before": (before.resolve(), counting)}
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, (checkout, busy) in sides.items():
            runs[name].append(measured(checkout, arguments, busy))
            click.echo(f"{name}: {runs[name][-1]}", err=True)
    found = {name: middle(each) for name, each in runs.items()}

    def ratio(one: str, other: str) -> dict[str, float]:
        keys = ("median_seconds", "median_processor_seconds")
        return {key.removeprefix("median_"): significant(found[one][key] / found[other][key]) for key in keys}

    facts: dict[str, Any] = {"run": arguments, "sides": found, "busy_over_quiet": ratio("busy", "quiet")}
    if before:
        facts |= {"this_over_before": ratio("quiet", "quiet, before")}
        facts |= {"busy_over_quiet, before": ratio("busy, before", "quiet, before")}
    report("busy", facts | {"pinned": pinned, "target": TARGET}, output)


if __name__ == "__main__":
    main()
