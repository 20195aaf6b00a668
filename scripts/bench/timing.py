"""What the benchmarks share: sides measured round by round in one run, their medians and spread, and a report as JSON.

Sides take turns, so that what else the machine does falls on all of them. A ratio is base / side: how many times
faster than `base` that side is; its 95 % interval is from rounds drawn anew, those of both sides together.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from stforecast.files import write_json


def interleaved(sides: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each call, by side: one unmeasured call each to be warm, then `rounds` in turns."""

    def timed(side: Callable[[], object]) -> Callable[[], float]:
        def call() -> float:
            gc.collect()
            began = time.perf_counter()
            side()
            return time.perf_counter() - began

        return call

    return turns({name: timed(side) for name, side in sides.items()}, rounds)


def turns(sides: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """As `interleaved`, with sides that measure themselves."""
    for side in sides.values():
        side()
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            seconds[name].append(side())
    return seconds


def summary(seconds: dict[str, list[float]], base: str) -> dict[str, Any]:
    """Median, quartiles and least in seconds of each side, and the ratio of the median of `base` to its own."""
    rounds = len(seconds[base])
    drawn = np.random.default_rng(0).integers(rounds, size=(2000, rounds))
    medians = {name: float(np.median(values)) for name, values in seconds.items()}
    draws = {name: np.median(np.array(values)[drawn], 1) for name, values in seconds.items()}
    found = {}
    for name, values in seconds.items():
        low, high = np.quantile(values, (0.25, 0.75))
        ratios = np.quantile(draws[base] / draws[name], (0.025, 0.975))
        found[name] = {
            "median_s": significant(medians[name]),
            "quartiles_s": [significant(low), significant(high)],
            "least_s": significant(min(values)),
            "rounds": len(values),
            "ratio": significant(medians[base] / medians[name]),
            "ratio_interval": [significant(ratio) for ratio in ratios],
        }
    return found


def significant(value: float, digits: int = 4) -> float:
    """A figure to `digits` significant digits."""
    return float(f"{value:.{digits}g}")


def machine() -> dict[str, Any]:
    """What the figures were measured on; torch's facts where it is imported already."""
    facts: dict[str, Any] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    if torch := sys.modules.get("torch"):
        facts |= {"torch": torch.__version__, "threads": torch.get_num_threads()}
        if torch.cuda.is_available():
            facts["gpu"] = torch.cuda.get_device_name()
    return facts


def report(name: str, facts: dict[str, Any], output: Path | None) -> None:
    """Print the figures with those of the machine; write them as JSON where `output` is given."""
    result = {"benchmark": name, **facts, "machine": machine()}
    click.echo(json.dumps(result, indent=2))
    if output:
        write_json(output, result)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
