"""Whether real cities lie within the prior over simulated ones: summary statistics of both, in one table.

    python scripts/prior.py data/denver/gold data/chicago/gold [--cities 200]

Arguments are folders of cubes. Simulated: the range from the 5th to the 95th percentile of so many cities. A real city
is looked at as a simulated one is: the first 900 days of its record, in connected parts of 150 hexagons, of which the
median is shown; `*` marks what lies outside the range.

    rate              events of a hexagon and day
    busy              share of hexagon-days with an event
    gini              of the events of hexagons
    smooth            correlation of neighbours' log events, over their variance (Moran's I)
    week              coefficient of variation of the hours of the week (in 56 of three hours), beyond chance
    nights            variation between hexagons of the share of their events from 22 to 6 o'clock, beyond chance
    dispersion        variance / mean of the city's daily counts, without the mean of the weekday
    repeats           events of a hexagon in the 7 days after one of its events, over what its rate makes of them
    lag 1             autocorrelation of the city's daily counts
    change            relative change of hexagons' events from one year to the next (of shorter records from half to
                      half), beyond chance and beyond that of the city
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order

from stforecast.cube import Cube
from stforecast.cube.store import open_cube
from stforecast.pretraining.prior import draw_city

DAYS, HEXAGONS, PARTS = 900, 150, 9
HEADS = ("rate", "busy", "gini", "smooth", "week", "nights", "dispersion", "repeats", "lag 1", "change")


def figures(cube: Cube, rows: np.ndarray, days: int = DAYS) -> list[float]:
    """The statistics in the order of HEADS, of some hexagons and the first days of a record."""
    place = np.full(cube.n, -1)
    place[rows] = np.arange(len(rows))
    days = min(days, round(cube.steps * cube.step.days))
    mine = (place[cube.hexagon] >= 0) & (cube.hour < days * cube.step.per_day)
    hour, hexagon, weight = cube.hour[mine], place[cube.hexagon[mine]], cube.weight[mine]
    day = hour // cube.step.per_day
    counts = np.bincount(day * len(rows) + hexagon, weight, days * len(rows)).reshape(days, -1)
    total = counts.sum(0)
    ranked = np.sort(total)
    gini = 1 - 2 * (ranked.cumsum() / ranked.sum()).mean() + 1 / len(ranked)
    by_day = counts.sum(1)
    weekday = np.arange(days) % 7
    usual = np.bincount(weekday, by_day) / np.maximum(np.bincount(weekday), 1)
    left = by_day - usual[weekday]
    after = np.zeros((7 + days, len(rows)))
    for lag in range(1, 8):
        after[7 - lag : 7 - lag + days] += counts
    repeats = (counts * after[7 : 7 + days])[:-7].sum() / (counts[:-7] * 7 * total / days).sum()
    half = min(days // 2, 365)
    one, other = counts[:half].sum(0), counts[half : 2 * half].sum(0)
    other = other * one.sum() / max(other.sum(), 1)
    change = np.sqrt(max(((one - other) ** 2 - one - other).sum(), 0) / max(((one + other) ** 2 / 4).sum(), 1))
    together = np.corrcoef(by_day[1:], by_day[:-1])[0, 1]
    log = np.log1p(total) - np.log1p(total).mean()
    one, other = place[cube.edges]
    both = (one >= 0) & (other >= 0)
    smooth = (log[one[both]] * log[other[both]]).mean() / log.var()
    rate, busy, dispersion = total.mean() / days, (counts > 0).mean(), left.var() / by_day.mean()
    rhythm = _rhythm(cube, hour, hexagon, weight, total)
    return [rate, busy, gini, smooth, *rhythm, dispersion, repeats, together, change]


def _rhythm(
    cube: Cube, hour: np.ndarray, hexagon: np.ndarray, weight: np.ndarray, total: np.ndarray
) -> tuple[float, float]:
    """Contrast of the week, and of hexagons' nights; none where steps are longer than three hours."""
    if cube.step_hours > 3:
        return np.nan, np.nan
    slot = cube.calendar(0, cube.steps).slot[hour] * cube.step_hours
    sums = np.bincount(slot // 3, weight, 56)
    week = np.sqrt(max(sums.var() - sums.mean(), 0)) / sums.mean()
    night = (slot % 24 < 6) | (slot % 24 >= 22)
    found, share = np.bincount(hexagon, weight * night, len(total)), weight[night].sum() / total.sum()
    chance = total * share * (1 - share)
    return week, np.sqrt(max(((found - total * share) ** 2 - chance).sum(), 0) / ((total * share) ** 2).sum())


def parts(cube: Cube) -> Iterator[np.ndarray]:
    """Connected parts of a city: the hexagons nearest to one of them, along the graph."""
    graph = csr_array((np.ones(cube.edges.shape[1]), tuple(cube.edges)), shape=(cube.n, cube.n))
    for first in np.random.default_rng(0).choice(np.unique(cube.hexagon), 4 * PARTS):
        found = breadth_first_order(graph, first, return_predecessors=False)[:HEXAGONS]
        if len(found) >= min(40, cube.n):
            yield found


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--cities", default=200, show_default=True, help="simulated cities")
def main(folders: tuple[Path, ...], cities: int) -> None:
    """Print the table."""
    drawn = [draw_city(seed) for seed in range(cities)]
    simulated = np.array([figures(cube, np.arange(cube.n)) for cube in drawn])
    low, high = np.nanpercentile(simulated, [5, 95], axis=0)
    rows = {"simulated, 5 %": low, "median": np.nanmedian(simulated, 0), "95 %": high}
    for folder in folders:
        cube = open_cube(folder)
        found = [figures(cube, part) for part, _ in zip(parts(cube), range(PARTS), strict=False)]
        rows[cube.name] = np.nanmedian(found, 0)
    click.echo("".join([f"{'':24}", *(f"{head:>11}" for head in HEADS)]))
    for name, values in rows.items():
        marks = np.where((values < low) | (values > high), "*", " ")
        click.echo(f"{name:24}" + "".join(f"{v:10.3f}{mark}" for v, mark in zip(values, marks, strict=True)))


if __name__ == "__main__":
    main()
