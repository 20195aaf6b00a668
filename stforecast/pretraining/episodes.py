"""Episodes: parts of cities' records, drawn at random, of which one network learns what to trust of any record.

An episode has a begin and an hour of issue of its own, a ball of neighbouring hexagons, and categories grouped anew.
Its record is as long, before the first issue that is learned from, as a new city's may be: a week or four years.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order

from stforecast.cube import Cube
from stforecast.cube.cells import add_up
from stforecast.cube.covariates import EVERYWHERE, Covariate
from stforecast.cube.cut import cut
from stforecast.cube.recorded import in_gaps
from stforecast.errors import ArtefactError
from stforecast.pretraining.places import log_uniform

RECORD = 7, 1500
"""Days of the record before the first issue that is learned from, log-uniform."""
LEARNED = 60, 180
"""Days of issues that are learned from; at most half of the record of a short city."""
HEXAGONS = 60, 250
"""Hexagons, log-uniform."""
FEWEST = 20
"""Events before the first issue that is learned from, and after it, with fewer of which an episode is drawn again."""
TRIES = 100


@dataclass(frozen=True)
class Episode:
    """A part of the record of a city.

    cube: the part, from its step 0 on. until: the step at which its training slice ends. first, last: the issues that
    are learned from are those at first, first + a day, … before last, whose horizons the record holds. city: its name.
    """

    cube: Cube
    until: int
    first: int
    last: int
    city: str


def episode(cubes: Sequence[Cube], seed: int) -> Episode:
    """Draw an episode from cities, each as likely as the square root of its events.

    Args:
        cubes: records of steps of equal length.
        seed: of all draws.

    Raises:
        ArtefactError: the cities have too few events, or too short a record.
    """
    rng = np.random.default_rng(seed)
    weight = np.sqrt([cube.weight.sum() for cube in cubes])
    for _ in range(TRIES):
        cube = cubes[rng.choice(len(cubes), p=weight / weight.sum())]
        day = cube.step.per_day
        days = (cube.steps - cube.horizons) // day
        learned = min(int(rng.integers(*LEARNED, endpoint=True)), days // 2)
        if days - learned < RECORD[0]:
            continue
        record = int(log_uniform(rng, RECORD[0], min(RECORD[1], days - learned)))
        length = (record + learned - 1) * day + cube.horizons
        begin = int(rng.integers(cube.steps - length, endpoint=True))
        size = int(log_uniform(rng, *HEXAGONS))
        rows = ball(cube, int(rng.integers(cube.n)), size)
        groups = _groups(rng, cube.c)
        if len(rows) < min(HEXAGONS[0], cube.n) / 2:
            continue  # an island
        part = regroup(choose(cut(cube, begin, begin + length), rows), groups)
        until = record * day
        before = part.weight[part.hour < until].sum()
        if min(before, part.weight.sum() - before) >= FEWEST:
            return Episode(replace(part, notes={}), until, until, until + learned * day, cube.name)
    raise ArtefactError(
        f"pretraining: {TRIES} parts of the cities held fewer than {FEWEST} events. Give longer records."
    )


def ball(cube: Cube, centre: int, size: int) -> np.ndarray:
    """The `size` hexagons nearest to one along the graph, rows in ascending order; fewer where no more are joined."""
    graph = csr_array((np.ones(cube.edges.shape[1]), (cube.edges[0], cube.edges[1])), shape=(cube.n, cube.n))
    return np.sort(breadth_first_order(graph, centre, directed=False, return_predecessors=False)[:size])


def choose(cube: Cube, rows: np.ndarray) -> Cube:
    """A cube of some hexagons, with the edges between them.

    Args:
        cube: the record.
        rows: of the hexagons, ascending.
    """
    place = np.full(cube.n, -1, np.int32)
    place[rows] = np.arange(len(rows))
    keep = place[cube.hexagon] >= 0
    edges = place[cube.edges].astype(np.int64)
    return replace(
        cube.with_events(keep),
        hexagon=place[cube.hexagon[keep]],
        hexagons=cube.hexagons.iloc[rows].reset_index(drop=True),
        edges=edges[:, (edges >= 0).all(0)],
        polygons=None if cube.polygons is None else cube.polygons[rows],
        covariates=tuple(_of_rows(one, place) for one in cube.covariates),
    )


def _of_rows(one: Covariate, place: np.ndarray) -> Covariate:
    rows = one.rows
    cell = np.where(rows["cell"] == EVERYWHERE, EVERYWHERE, place[rows["cell"]])
    kept = (rows["cell"] == EVERYWHERE) | (cell >= 0)
    return Covariate.of(one.name, one.kind, rows.assign(cell=cell)[kept], one.sensitive)


def regroup(cube: Cube, groups: np.ndarray) -> Cube:
    """A cube whose categories are merged or left out.

    What is masked or a gap in one part of a merged category is so in all of it, and reports in it are left out. Its
    kinds are the mean of its parts'.

    Args:
        cube: the record.
        groups: the new category of each old one, −1 where it is left out, int [c]; every one of 0 … max is some's.
    """
    parts = [np.flatnonzero(groups == group) for group in range(groups.max() + 1)]
    gaps = [gap if gap.category is None else replace(gap, category=int(groups[gap.category])) for gap in cube.gaps]
    masked = None if cube.masked is None else np.stack([cube.masked[:, part].any(1) for part in parts], 1)
    group = groups[cube.category]
    keep = (group >= 0) & ~in_gaps(tuple(gaps), cube.hour, group)
    if masked is not None:
        keep &= ~masked[cube.hour, group]
    kept = cube.with_events(keep)
    events = {name: getattr(kept, name) for name in cube.event_columns} | {"category": groups[kept.category]}
    return replace(
        cube,
        **add_up(**events),
        categories=tuple("+".join(cube.categories[i] for i in part) for part in parts),
        kinds=None if cube.kinds is None else np.stack([cube.kinds[part].mean(0) for part in parts]),
        gaps=tuple(gap for gap in gaps if gap.category != -1),
        masked=masked,
    )


def _groups(rng: np.random.Generator, c: int) -> np.ndarray:
    """As they are every second time; else some left out, and the others put into groups, int [c]."""
    if rng.random() < 0.5:
        return np.arange(c)
    groups = rng.integers(rng.integers(1, c, endpoint=True), size=c)
    groups[(rng.random(c) < 0.25) & (np.arange(c) != rng.integers(c))] = -1
    named = np.unique(groups[groups >= 0], return_inverse=True)[1]
    groups[groups >= 0] = named
    return groups
