"""Section: hot spots: where counts are higher together than chance would have them, and how that changed.

Gi* (Getis and Ord 1992; Ord and Getis 1995) of a hexagon compares the sum over it and its neighbours with the city.
Its z is their formula's; its p comes from drawing as many hexagons at random, since counts are too few for a normal
tail, and is controlled for false discoveries (Benjamini and Hochberg 1995) over all hexagons, or hexagons and periods.
Classes of change are those of Esri's "Emerging Hot Spot Analysis" (ArcGIS Pro, How Emerging Hot Spot Analysis works),
each period compared with the city of its own time, trends by Mann and Kendall's test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, kendalltau

from stforecast.cube.steps import step_of
from stforecast.delivery.figures import maps
from stforecast.delivery.map import GREY, patches
from stforecast.reports.local import Local
from stforecast.reports.page import Block, Picture, Table, Text, note, said, wording, words

LEVEL, MOSTLY = 0.05, 0.9
DRAWS = 49_999
LEAST_PERIODS, LEAST_EVENTS = 8, 100
PALETTE = ("#ae017e", "#f768a1", "#7f0000", "#d7301f", "#fdbb84", "#f0e442", "#009e73", "#5f6368")
"""Of the classes of change, which are all of hot spots: none is blue, the colour of cold ones."""
HOT, COLD, PLAIN = "#d55e00", "#225ea8", "#eceef0"


@dataclass(frozen=True)
class Spots:
    """Gi* of values [s n]: z, two-sided p, and +1 hot, −1 cold or 0 after control for false discoveries; each [s n]."""

    z: np.ndarray
    p: np.ndarray
    sign: np.ndarray


def gi_star(values: np.ndarray, edges: np.ndarray, seed: int = 0) -> Spots:
    """Gi* of every hexagon in every period, corrected for all of these tests.

    A hexagon without neighbours is not tested (p = 1, z = 0), nor is a period without variation.

    Args:
        values: counts by period and hexagon, [s n].
        edges: neighbours, row → row, [2 e].
        seed: of the draws.
    """
    n = values.shape[1]
    degree = np.bincount(edges[0], minlength=n)
    size, alone = degree + 1, degree == 0
    z, p = np.zeros(values.shape), np.ones(values.shape)
    drawn = _without_replacement(n, min(int(size.max(initial=1)), n), seed)
    for row, counts in enumerate(values):
        if np.ptp(counts) == 0:
            continue
        around = counts + np.bincount(edges[0], counts[edges[1]], minlength=n)
        sums = np.cumsum(counts[drawn], axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):  # by 0 where all hexagons are neighbours
            gap = (around - counts.mean() * size) / np.sqrt((n * size - size**2) / (n - 1))
        z[row] = np.where(alone, 0, np.nan_to_num(gap / counts.std()))
        for k in np.unique(degree[~alone]):
            null, here = np.sort(sums[:, k]), degree == k
            above = len(null) - np.searchsorted(null, around[here] - 1e-9)
            below = np.searchsorted(null, around[here] + 1e-9)
            p[row, here] = np.minimum(1, 2 * (1 + np.minimum(above, below)) / (len(null) + 1))
    adjusted, tested = np.ones(p.shape), np.broadcast_to(~alone, p.shape)
    if tested.any():
        adjusted[tested] = false_discovery_control(p[tested])
    return Spots(z, p, np.where(adjusted <= LEVEL, np.sign(z), 0).astype(int))


def _without_replacement(n: int, size: int, seed: int) -> np.ndarray:
    """DRAWS rows of `size` different numbers below n."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, n, (DRAWS, size))
    while (again := (np.diff(np.sort(drawn, axis=1), axis=1) == 0).any(axis=1)).any():
        if n < 4 * size:  # few places: repeats would be the rule
            drawn[again] = rng.permuted(np.broadcast_to(np.arange(n), (int(again.sum()), n)), axis=1)[:, :size]
        else:
            drawn[again] = rng.integers(0, n, (int(again.sum()), size))
    return drawn


def emerging(spots: Spots) -> np.ndarray:
    """The class of change of each hexagon.

    Trends of z are tested by Mann–Kendall, corrected for the number of hexagons that are mostly hot.

    Args:
        spots: Gi* by period, [s n].

    Returns:
        A class of `notes.yaml` for each hexagon, [n]; "" where none applies.
    """
    hot, cold = spots.sign > 0, spots.sign < 0
    often, last = hot.mean(0) >= MOSTLY, hot[-1]
    tau, p = mann_kendall(spots.z[:, often & last])
    trend = np.zeros(hot.shape[1])
    trend[often & last] = np.where(false_discovery_control(p) <= LEVEL, np.sign(tau), 0) if p.size else 0
    run = np.cumprod(hot[::-1], axis=0).sum(0)  # periods hot without a gap up to the last
    only_run = run == hot.sum(0)
    classes = {  # the first that fits
        "intensifying": last & often & (trend > 0),
        "diminishing": last & often & (trend < 0),
        "persistent": last & often,
        "new": last & only_run & (run == 1),
        "oscillating": last & cold.any(0),
        "consecutive": last & only_run,
        "sporadic": last,
        "historical": often,
    }
    return np.select([*classes.values()], [*classes], default="")


def mann_kendall(series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The Mann–Kendall trend test of each column.

    Args:
        series: values by time, [s n].

    Returns:
        Kendall's τ against time and its two-sided p-value, [n] each.
    """
    found = np.array([tuple(kendalltau(np.arange(len(series)), column)) for column in series.T]).reshape(-1, 2)
    tau, p = found.T
    return np.nan_to_num(tau), np.nan_to_num(p, nan=1.0)


def periods(local: Local) -> tuple[np.ndarray, str]:
    """Period of each event (−1 before the first), and how long one is: 13 or 4 weeks, or 3 or 1 months.

    The last one ends with the record. Days (or months) that were not recorded do not count.
    """
    recorded, at, long, short = local.recorded, pd.DatetimeIndex(local.date), 91, 28
    if local.unit == "month":
        recorded, at, long, short = _months(recorded).unique(), _months(at), 3, 1
    length = long if len(recorded) >= long * LEAST_PERIODS else short
    back = len(recorded) - np.searchsorted(recorded, at, side="right")
    count = len(recorded) // length
    found = count - 1 - back // length
    found = np.where((found >= 0) & (local.date <= local.days[-1]).to_numpy(), found, -1)
    return found, step_of("month" if local.unit == "month" else "day", "UTC").words(length)


def _months(days: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """The first day of the month of each day."""
    return days.to_period("M").to_timestamp()


def blocks(local: Local) -> list[Block]:
    """Hot spots of the whole record by category, and classes of change."""
    cube, hexagon = local.cube, local.frame["hexagon"].to_numpy()
    period, length = periods(local)
    count = int(period.max(initial=-1)) + 1
    rows: list[dict[str, Any]] = []
    signs: dict[str, np.ndarray] = {}
    changed: dict[str, np.ndarray] = {}
    for i, (name, mine) in enumerate(local.groups.items()):
        if mine.sum() < LEAST_EVENTS:
            continue
        whole = np.bincount(hexagon[mine], minlength=cube.n)
        sign = signs[name] = gi_star(whole[None].astype(float), cube.edges, local.seed + i).sign[0]
        hot, cold = sign > 0, sign < 0
        row = {"category": words(name), "hot hexagons": int(hot.sum()), "cold hexagons": int(cold.sum())}
        rows.append(row | {"reports in hot ones": float(whole[hot].sum() / whole.sum())})
        if count >= LEAST_PERIODS:
            inside = mine & (period >= 0)
            table = np.bincount(period[inside] * cube.n + hexagon[inside], minlength=count * cube.n)
            changed[name] = emerging(gi_star(table.reshape(count, cube.n).astype(float), cube.edges, local.seed + i))
    if not signs:
        return [Text(f"No category has {LEAST_EVENTS} events, too few to look for hot spots.")]
    return [*_static(local, signs, rows), *_changes(local, changed, count, length)]


def _static(local: Local, signs: dict[str, np.ndarray], rows: list[dict[str, Any]]) -> list[Block]:
    listed = "; ".join(f"{r['category']} {r['hot hexagons']} hot, {r['cold hexagons']} cold" for r in rows)
    legend = {1: ("hot spot", HOT), -1: ("cold spot", COLD), 0: ("neither", PLAIN)}
    return [
        said("hot_spots_found", hexagons=local.cube.n, **rows[0]),
        *_maps(local, "hot_spots", signs, legend, f"Maps of hot and cold spots. {listed}."),
        Table("hot_spots", pd.DataFrame(rows)),
        note("hot_spots", draws=DRAWS),
    ]


def _changes(local: Local, changed: dict[str, np.ndarray], count: int, length: str) -> list[Block]:
    if not changed:
        return [said("emerging_too_short", count=count, length=length, least=LEAST_PERIODS)]
    meanings: dict[str, str] = wording()["classes"]
    sizes = {words(name): pd.Series(of).value_counts() for name, of in changed.items()}
    frame = pd.DataFrame(sizes, index=[*meanings]).T.fillna(0).astype(int)
    frame = frame.loc[:, frame.any()]
    listed = ", ".join(f"{number} {c}" for c, number in frame.iloc[0].items() if number)
    text = f"Change in {count} periods of {length}, all reports: {listed or 'no hexagon in a class'}."
    alt = f"Maps of hexagons by class of change, a map each for all and every category. {text}"
    legend = {c: (c, colour) for c, colour in zip(meanings, PALETTE, strict=True) if c in frame} | {"": ("none", PLAIN)}
    return [
        Text(text),
        *_maps(local, "emerging", changed, legend, alt),
        Table("emerging", frame.reset_index(names="category")),
        note("emerging", classes=" ".join(f"{name.capitalize()}: {what}." for name, what in meanings.items())),
    ]


def _maps(
    local: Local, key: str, classes: Mapping[str, np.ndarray], legend: Mapping[Any, tuple[str, str]], alt: str
) -> list[Block]:
    """A map of each category, and a table, from the class of each hexagon [n]; label and colour of each class."""
    fills = {words(name): [legend[one][1] for one in of.tolist()] for name, of in classes.items()}
    figure, _ = maps(local.cube.geometry, fills, rest=0.5, scale_bar=False)
    handles = patches(dict(legend.values()), edgecolor=GREY, linewidth=0.4)
    figure.legend(handles=handles, loc="outside lower center", ncols=5, frameon=False, fontsize=8.5)
    table = pd.DataFrame({"hexagon": local.cube.cells} | {words(name): of for name, of in classes.items()})
    return [Picture(key, figure, alt), Table(f"{key}_by_hexagon", table, shown=False)]
