"""What the ranges of sums hold on the test slice: hexagons, districts, random areas and the city, by shift and day.

    python scripts/coverage_of_sums.py configs/reference/denver.yaml source.path=… 'evaluation.forecasters=[…]'

The run must have been trained with the same settings (`stforecast train`). Shifts are thirds of the horizon. Districts
are those of the cube, or squares of about 60 cells where it has none. Random areas are contiguous, of 3 cells to a
third of the city, evenly in the logarithm. No range has seen a day of the test slice.

    below, inside, above   share of the sums below their range, inside, and above it
    integers               what these ranges hold where the law is right: more than 90 % as whole counts force it
    Poisson                what is inside ranges that know of no spread about λ
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import click
import numpy as np
import pandas as pd
from scipy.stats import nbinom

from stforecast.config import load
from stforecast.cube import Cube
from stforecast.features.targets import outcomes, scored
from stforecast.files import write_json
from stforecast.forecasters.registry import names_of
from stforecast.pipeline.stages import Stages
from stforecast.scoring.joint import PARTS, JointSpread, Moments, moments, neighbourhoods, parted, together
from stforecast.scoring.metrics import ALL

if TYPE_CHECKING:
    from scipy.sparse import csr_array

AREAS, LEAST_CELLS = 200, 3
DISTRICT = 8
"""Side of a square that stands for a district, in distances between neighbouring cells."""
GROUPS = {
    "below .5": (0, 0.5),
    ".5 to 3": (0.5, 3),
    "3 and more": (3, np.inf),
    "3 to 10": (3, 10),
    "10 to 40": (10, 40),
}
GROUPS |= {"40 and more": (40, np.inf)}
LEAST_SUMS = 50
"""A group of fewer says nothing."""


def random_areas(edges: np.ndarray, n: int, rng: np.random.Generator) -> csr_array:
    """Contiguous areas that grow from a cell by neighbours of any of theirs: [AREAS n], 1 where a cell is inside.

    Args:
        edges: pairs of neighbours, both ways, [2 e].
        n: number of cells.
        rng: to draw with.
    """
    from scipy.sparse import csr_array

    neighbours = [edges[1, edges[0] == cell].tolist() for cell in range(n)]
    inside = np.zeros((AREAS, n))
    for area in inside:
        size = int(np.exp(rng.uniform(np.log(LEAST_CELLS), np.log(max(n / 3, LEAST_CELLS + 1)))))
        border = [int(rng.integers(n))]
        while border and area.sum() < size:
            cell = border.pop(int(rng.integers(len(border))))
            area[cell] = 1
            border = list({*border, *neighbours[cell]} - {*np.flatnonzero(area).tolist()})
    return csr_array(inside)


def places(cube: Cube) -> dict[str, csr_array]:
    """Which cells each area holds, [a n], by the kind of area."""
    centres = cube.geometry.centres
    named = "district" in cube.hexagons and cube.hexagons["district"].notna().any()
    label = (
        pd.factorize(cube.hexagons["district"], use_na_sentinel=False)[0]
        if named
        else neighbourhoods(centres, DISTRICT)
    )
    return {
        "hexagon": parted(np.arange(cube.n)),
        "district": parted(label),
        "random area": random_areas(cube.edges, cube.n, np.random.default_rng(0)),
        "city": together(cube.n),
    }


def sums_of(cube: Cube, lam: np.ndarray, y: np.ndarray) -> Iterator[tuple[str, Moments, np.ndarray]]:
    """Every kind of sum by its name: moments and counts of λ and counts [m k n]."""
    near, k = neighbourhoods(cube.geometry.centres), lam.shape[1]
    for place, areas in places(cube).items():
        for time, length in (("shift", k // 3), ("day", k)):
            parts = [moments(lam[:, i : i + length], areas, near) for i in range(0, k, length)]
            came = [y[:, i : i + length].sum(1, dtype=np.float64) @ areas.T for i in range(0, k, length)]
            mean, variance = (np.concatenate([getattr(one, name) for one in parts]) for name in ("mean", "parts"))
            yield f"{place} × {time}", Moments(mean.ravel(), variance.reshape(-1, PARTS)), np.concatenate(came).ravel()


def figures(law: JointSpread, sums: Moments, y: np.ndarray) -> dict[str, dict[str, float]]:
    """What ranges of one kind of sum hold, by group of Λ."""
    (low, high), (least, most) = law.bounds(sums), replace(law, variances=(0.0,) * PARTS).bounds(sums)
    law_of = nbinom(1 / (dispersion := law.dispersion(sums)), 1 / (1 + dispersion * sums.mean))
    right, out = law_of.cdf(high) - law_of.cdf(low - 1), {}
    for name, (begin, end) in GROUPS.items():
        here = (sums.mean >= begin) & (sums.mean < end)
        if np.count_nonzero(here) >= LEAST_SUMS:
            out[name] = {
                "sums": int(here.sum()),
                "below": float((y < low)[here].mean()),
                "inside": float(((low <= y) & (y <= high))[here].mean()),
                "above": float((y > high)[here].mean()),
                "integers": float(right[here].mean()),
                "Poisson": float(((least <= y) & (y <= most))[here].mean()),
            }
    return out


@click.command()
@click.argument("config")
@click.argument("overrides", nargs=-1)
def main(config: str, overrides: tuple[str, ...]) -> None:
    """Measure the ranges of sums of every forecaster of a trained run, and write coverage_of_sums.json into it."""
    stages = Stages(load(config, overrides), click.echo)
    cube, run = stages.cube(), stages.run()
    split, result = stages.split(cube), {}
    for name in names_of(stages.config):
        forecaster = run.open(name, stages.config)
        lam, y = forecaster.forecast(cube, scored(cube, split, "test")).intensity, outcomes(cube, split, "test")
        result[name] = found = {}
        for i, view in enumerate((ALL, *cube.categories)):
            of = [each.sum(-1, dtype=np.float64) if view == ALL else each[..., i - 1] for each in (lam, y)]
            law = forecaster.fitted.joint[view]
            click.echo(f"{name}, {cube.name}, {view}: variances {', '.join(f'{v:.4f}' for v in law.variances)}")
            found[view] = {kind: figures(law, sums, came) for kind, sums, came in sums_of(cube, *of)}
            for kind, groups in found[view].items():
                for group, row in groups.items():
                    shares = "  ".join(f"{key} {100 * value:5.1f}" for key, value in row.items() if key != "sums")
                    click.echo(f"  {kind:20s} Λ {group:12s} {row['sums']:9,d}  {shares}")
    write_json(run.folder / "coverage_of_sums.json", result)


if __name__ == "__main__":
    main()
