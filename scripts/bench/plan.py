"""How near plans by the greedy rule come to the best choice, and how fast, on written grids, whole and by shift.

python scripts/bench/plan.py data/denver/grids/20241027T070000Z ...
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from stforecast.config.sections import Allocation
from stforecast.delivery.allocation import greedy
from stforecast.delivery.export import open_grid
from stforecast.delivery.plan import districts_of, make_plan
from stforecast.delivery.shifts import shifts_of

CITY: list[dict[str, Any]] = [{"places": 10}, {"area_km2": 5}, {"area_km2": 20}]
DISTRICTS: list[dict[str, Any]] = [
    {"rule": "district", "places": 2},
    {"rule": "district", "area_km2": 3},
    {"rule": "proportion", "places": 30},
    {"rule": "proportion", "area_km2": 20},
]


def main() -> None:
    for folder in map(Path, sys.argv[1:]):
        grid, gaps = open_grid(folder), []
        print(f"{folder}: {len(grid.hexagons)} {grid.geometry.word}s, {len(districts_of(grid)[1])} districts")
        for name, shift in {"whole": None, **shifts_of(grid)}.items():
            for choice in CITY + (DISTRICTS if districts_of(grid)[1] else []):
                began = time.perf_counter()
                plan = make_plan(grid, Allocation(**choice), shift)
                seconds = time.perf_counter() - began
                began = time.perf_counter()
                greedy(plan.value, plan.area, np.zeros(len(plan.value), int), np.array([20.0]))
                rule = time.perf_counter() - began
                gaps.append(plan.gap)
                print(
                    f"  {name}, {choice}: at most {plan.gap:.4%} below the best; greedy {1000 * rule:.1f} ms, ", end=""
                )
                print(
                    f"plan {seconds:.2f} s; covers {plan.covered.share:.1%}, {plan.covered.low} to {plan.covered.high}"
                )
        print(f"  at most {max(gaps):.4%} in {len(gaps)} plans")


if __name__ == "__main__":
    main()
