"""How cost grows: time of a training origin and peak memory against hexagons, categories and hidden size; of an epoch
against days.

    python scripts/bench/scaling.py --output scaling.json          (--large for sizes up to 16,000 hexagons)

Simulated discs of H3 cells (`cities.simulated`), each size in a process of its own, the sizes of all axes by turns.
An exponent is the slope of log cost on log size by least squares, with its standard error: 1 is cost in step with the
data. Small sizes carry fixed costs, which pull an exponent below 1; `last_step` is that between the two largest.
Memory is what is resident at most, less what is resident after the imports.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
from timing import report, significant
from workers import Worker

BASE = {"hexagons": 250, "days": 150, "categories": 3, "hidden": 64}
SIZES = {"hexagons": (250, 500, 1000, 2000), "days": (250, 500, 1000, 2000), "categories": (2, 4, 8, 16)}
SIZES |= {"hidden": (32, 64, 128, 256)}
LARGE = {"hexagons": (1000, 2000, 4000, 8000, 16000), "days": (1000, 2000, 4000, 8000)}
SMALL = {"hexagons": (30, 120)}
TARGETS = {"seconds of an origin against hexagons": 1.05, "seconds of an epoch against days": 1.05}


def cost_of(axis: str, size: int, updates: int) -> dict[str, float]:
    """Seconds of an origin, seconds of an epoch (against days alone) and peak bytes at one size."""
    sizes = BASE | ({"hexagons": 60} if axis == "days" else {}) | {axis: size}
    settings = {"model": {"hidden": sizes.pop("hidden")}, "training": {"warm_up_days": 0}}
    with Worker(sys.executable, "ours.py") as ours:
        ours.ask("simulate", settings=settings, **sizes)
        if axis == "days":
            done = ours.ask("epoch")
            return {"epoch": done["seconds"], "origin": done["seconds"] / done["origins"], "peak": done["peak"]}
        done = ours.ask("steps", count=updates + 2)
        each = np.divide(done["seconds"], done["origins"])[2:]
        return {"origin": float(np.median(each)), "peak": done["peak"]}


def exponent(sizes: list[int], costs: list[float]) -> dict[str, float]:
    """Slope of log cost on log size, its standard error, and the slope between the two largest sizes."""
    x, y = np.log(sizes), np.log(costs)
    away = x - x.mean()
    slope = float(away @ y / (away @ away))
    residual = y - y.mean() - slope * away
    error = np.sqrt(residual @ residual / max(len(x) - 2, 1) / (away @ away))
    last = (y[-1] - y[-2]) / (x[-1] - x[-2])
    return {
        "exponent": significant(slope, 3),
        "standard_error": significant(error, 2),
        "last_step": significant(last, 3),
    }


@click.command()
@click.option("--updates", default=8, show_default=True, help="Measured at each size.")
@click.option("--rounds", default=1, show_default=True)
@click.option("--axis", "axes", multiple=True, type=click.Choice(list(SIZES)), help="Only these.")
@click.option("--small", is_flag=True, help="Two small sizes of one axis, in seconds.")
@click.option("--large", is_flag=True, help="Larger sizes of hexagons and days.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path))
def main(updates: int, rounds: int, axes: tuple[str, ...], small: bool, large: bool, output: Path | None) -> None:
    """Every axis, the others held."""
    sizes = SMALL if small else LARGE if large else SIZES
    points = [(axis, size) for axis in sizes if not axes or axis in axes for size in sizes[axis]]
    costs: dict[tuple[str, int], list[dict[str, float]]] = {point: [] for point in points}
    for _ in range(1 if small else rounds):
        for point in points:
            costs[point].append(cost_of(*point, updates))
    report("scaling", {"base": BASE, "targets": TARGETS, "axes": {a: along(a, costs) for a in dict(points)}}, output)


def along(axis: str, costs: dict[tuple[str, int], list[dict[str, float]]]) -> dict[str, Any]:
    """Median costs at each size of one axis, and their exponents."""
    sizes = [size for name, size in costs if name == axis]
    kinds = costs[axis, sizes[0]][0]
    found = {kind: [float(np.median([one[kind] for one in costs[axis, size]])) for size in sizes] for kind in kinds}
    exponents = {kind: exponent(sizes, values) for kind, values in found.items()}
    units = {"epoch": "epoch_s", "origin": "origin_s", "peak": "peak_bytes"}
    table = {units[kind]: [significant(value) for value in values] for kind, values in found.items()}
    return {"sizes": sizes, **table, "exponents": exponents}


if __name__ == "__main__":
    main()
