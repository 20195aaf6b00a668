"""Where the time of `stforecast forecast` goes, as a process: of a trained city whose states are kept.

    python scripts/bench/forecast_process.py configs/reference/denver.yaml root=… [KEY=VALUE]…
    python scripts/bench/forecast_process.py configs/quickstart.yaml --before /tmp/before

The first call forecasts once, so that the states are kept, and notes which modules that imports. Every round is a new
process that imports these first and then makes the same forecast; parts are measured without those within them. Two
sides take turns: `kept` with the states, `replay` without. Both must give the same intensities, within 5e-6 of each.
What `process` has beyond the sum of the parts is the start and the end of the interpreter and what the benchmark reads.
The record does not change between rounds, so that `kept` opens and checks its states and takes no step.

With --before another checkout takes its turn too, with its own script and kept states. It is called from its own
folder, so that a relative `root` is that of the city as it was trained there.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from timing import report, significant, summary, turns
from workers import ROOT

from stforecast.imports import importing

PARTS = {
    "stforecast.pipeline.preparation:Preparation.ingest": "events opened",
    "stforecast.pipeline.stages:Stages.newest": "cube opened",
    "stforecast.pipeline.run:Run.open": "networks opened",
    "stforecast.forecasters.state_cache:StateCache._keep": "states written",
    "stforecast.forecasters.base:Forecaster.forecast": "forecast and usual",
    "stforecast.delivery.export:map_png": "map.png",
    "stforecast.delivery.export:view_of": "map.html",
    "stforecast.delivery.export:write_map": "map.html",
    "stforecast.delivery.export:write_grid": "grid files",
}


class Clock:
    """Seconds by part; of a part within another, only its own."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(PARTS.values(), 0.0)
        self.within = [0.0]

    def measure(self, where: str, part: str) -> None:
        """Measure a function in its place."""
        module, _, names = where.partition(":")
        *holders, name = names.split(".")
        holder: Any = importlib.import_module(module)
        for key in holders:
            holder = getattr(holder, key)
        function = getattr(holder, name)

        def measured(*args: Any, **more: Any) -> Any:
            began = time.perf_counter()
            self.within.append(0.0)
            try:
                return function(*args, **more)
            finally:
                spent = time.perf_counter() - began
                self.seconds[part] += spent - self.within.pop()
                self.within[-1] += spent

        setattr(holder, name, measured)


def forecast(modules: list[str], config: str, overrides: list[str]) -> None:
    """Forecast in this process and print what took how long, as the last line."""
    began, given = time.perf_counter(), set(sys.modules)
    atexit.register(gc.freeze)  # as the command does
    with importing():
        for name in modules:
            with suppress(Exception):  # some of a library's own modules cannot be imported alone
                importlib.import_module(name)
    imported = time.perf_counter()
    from stforecast.config import load
    from stforecast.delivery.export import open_grid
    from stforecast.pipeline.stages import Stages

    clock = Clock()
    for where, part in PARTS.items():
        clock.measure(where, part)
    ready = time.perf_counter()
    folder = Stages(load(config, overrides), lambda _: None).forecast()[0]
    done = time.perf_counter()
    parts = {"imports": imported - began, **clock.seconds}
    parts["other"] = done - ready - sum(clock.seconds.values())
    new = [name for name in sys.modules if name not in given]
    loaded = [name for name in new if "." not in name or name.startswith("stforecast.")]
    intensity = open_grid(folder).intensity.tolist()
    print(json.dumps({"parts": parts, "modules": loaded, "intensity": intensity}))


def called(checkout: Path, modules: list[str], config: str, overrides: tuple[str, ...]) -> tuple[float, dict[str, Any]]:
    """Seconds of a process, and what it says."""
    script = checkout / Path(__file__).relative_to(ROOT)
    command = [sys.executable, str(script), "--child", json.dumps(modules), config, *overrides]
    environment, folder = os.environ | {"PYTHONPATH": str(checkout)}, None if checkout == ROOT else checkout
    began = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment)
    return time.perf_counter() - began, json.loads(done.stdout.splitlines()[-1])


@click.command()
@click.argument("config")
@click.argument("overrides", nargs=-1)
@click.option("--before", type=click.Path(exists=True, path_type=Path), help="Checkout to compare with.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--child", hidden=True)
def main(
    config: str, overrides: tuple[str, ...], before: Path | None, rounds: int, output: Path | None, child: str | None
) -> None:
    """Measure the process of a forecast, part by part."""
    if child is not None:
        forecast(json.loads(child), config, list(overrides))
        return
    from stforecast.config import load
    from stforecast.config.workspace import Workspace

    loaded = load(config, list(overrides))
    state = Workspace(loaded.root, loaded.city).latest() / "state"
    checkouts = {"replay": ROOT, "kept": ROOT} | ({"before": before.resolve()} if before else {})
    modules = {at: called(at, [], config, overrides)[1]["modules"] for at in {*checkouts.values()}}
    parts: dict[str, list[dict[str, float]]] = {name: [] for name in checkouts}
    found: dict[str, np.ndarray] = {}

    def call(name: str, checkout: Path) -> float:
        if name == "replay":
            shutil.rmtree(state, ignore_errors=True)
        seconds, told = called(checkout, modules[checkout], config, overrides)
        parts[name].append({**told["parts"], "process": seconds})
        found[name] = np.array(told["intensity"])
        return seconds

    seconds = turns({name: partial(call, name, checkout) for name, checkout in checkouts.items()}, rounds)
    apart = float(np.abs(found["kept"] / found["replay"] - 1).max())
    if apart > 5e-6:
        raise SystemExit(f"kept and replayed forecasts differ by {apart:.1e}")
    medians = {
        name: {part: significant(float(np.median([one[part] for one in rows[1:]]))) for part in rows[0]}
        for name, rows in parts.items()
    }
    base = "before" if before else "replay"
    report("forecast_process", {"seconds": summary(seconds, base), "parts": medians, "apart": apart}, output)


if __name__ == "__main__":
    main()
