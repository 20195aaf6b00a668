"""Kernel density over space and time: prospective hot-spotting, the field's own map of where crime comes next.

λ = density × the city's intensity. The density of a category over the hexagons is that of its past events, each
weighted by its age (2^(−age / half-life)) and spread over the hexagons around it (a Gaussian of their distance); the
city's intensity, by hour, is the sum of the rolling climatology: all hexagons share one rhythm of the week, which costs
more than fresh densities bring (validation slice of Denver: average precision .0924, climatology .1012). Reports still
missing thin all hexagons alike, so a density needs no correction for them.

Bowers, Johnson & Pease 2004, Prospective hot-spotting, British Journal of Criminology 44:641-658. Half-life and
bandwidth of each category are those under which the training slice's days were most likely, given the days before.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree
from torch import Tensor

from stforecast.cube import Cube
from stforecast.features.decayed import sums_at
from stforecast.features.delay import settled_until
from stforecast.features.stream import EventStream
from stforecast.files import read_json, write_json
from stforecast.forecasters.base import AGAIN, Forecaster
from stforecast.forecasters.climatology import RollingClimatology
from stforecast.scoring.splits import Split

HALF_LIVES = (7, 14, 28, 56, 112, 224, 448, 896)
"""Half-lives to choose from, in days."""
BANDWIDTHS = (0.0, 0.4, 0.5, 0.6, 0.8, 1.2, 2.0)
"""Standard deviations to choose from, in hexagon spacings; 0 spreads nothing."""
REACH = 3.0
"""Standard deviations at which the spatial kernel is cut off."""
FLOOR_EVENTS = 1.0
"""Events that are spread evenly over the city, so that no hexagon's density is 0."""


class Kernel(Forecaster):
    """Kernel density × the city's rolling climatology."""

    name = "kernel"
    half_lives: list[float]
    bandwidths: list[float]

    @cached_property
    def city(self) -> RollingClimatology:
        """Whose sum over the hexagons is the city's intensity."""
        return RollingClimatology(self.config)

    def learn(self, cube: Cube, split: Split, folder: Path | None = None) -> None:
        self.city.learn(cube, split)
        warm_up = min(cube.step.in_days(self.config.training.warm_up_days), split.train_end // 3)
        found = likelihoods(cube, split, warm_up)
        best = [np.unravel_index(found[..., i].argmax(), found.shape[:2]) for i in range(cube.c)]
        self.half_lives = [float(HALF_LIVES[h]) for h, _ in best]
        self.bandwidths = [float(BANDWIDTHS[b]) for _, b in best]

    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        served, place = np.unique(np.minimum(issues, cube.steps), return_inverse=True)
        spreading = Spreading(cube)
        kernels = [spreading.kernel(width) for width in self.bandwidths]
        where = np.zeros((len(served), cube.n, cube.c), np.float32)
        for i, sums in enumerate(sums_at(EventStream(cube, 1), steps_of([self.half_lives], cube), served.tolist())):
            spread = [kernel @ one for kernel, one in zip(kernels, sums[0].double().numpy(), strict=True)]
            where[i] = density(np.stack(spread, 1))
        return self.city.intensity(cube, issues).sum(2, keepdims=True) * where[place][:, None]

    def save_fit(self, folder: Path) -> None:
        self.city.save_fit(folder)
        write_json(folder / "kernel.json", {"half_lives": self.half_lives, "bandwidths": self.bandwidths})

    def load_fit(self, folder: Path) -> None:
        self.city.load_fit(folder)
        values = read_json(folder / "kernel.json", AGAIN)
        self.half_lives, self.bandwidths = values["half_lives"], values["bandwidths"]


def likelihoods(cube: Cube, split: Split, warm_up: int) -> np.ndarray:
    """Σ log density of the events of the K steps after each daily issue of the training slice, [h b c].

    It differs from the Poisson likelihood of the forecasts by what all bandwidths share: the city's intensity.
    """
    end = split.train_end
    last = settled_until(cube, end) - cube.horizons  # later steps would weigh the prompt reports only
    order = np.argsort(cube.hour, kind="stable")
    order = order[cube.known_hour[order] < end]
    hour, hexagon, category, weight = (a[order] for a in (cube.hour, cube.hexagon, cube.category, cube.weight))
    spreading, half_lives = Spreading(cube), steps_of([[days] for days in HALF_LIVES], cube)
    kernels = [spreading.kernel(width) for width in BANDWIDTHS]
    total = np.zeros((len(HALF_LIVES), len(BANDWIDTHS), cube.c))
    issues = range(split.first + warm_up, last + 1, split.day)
    for s, state in zip(issues, sums_at(EventStream(cube, 1), half_lives, issues), strict=True):
        sums = state.permute(2, 0, 1).double().numpy()  # [n h c]
        flat = sums.reshape(cube.n, -1)
        new = slice(*np.searchsorted(hour, [s, s + cube.horizons]))
        for b, kernel in enumerate(kernels):
            log = np.log(density((kernel @ flat).reshape(sums.shape)))
            np.add.at(total[:, b].T, category[new], log[hexagon[new], :, category[new]] * weight[new, None])
    return total


def density(sums: np.ndarray) -> np.ndarray:
    """Shares of the hexagons in the city's events, from sums [n …]."""
    return (sums + FLOOR_EVENTS / len(sums)) / (sums.sum(0) + FLOOR_EVENTS)


def steps_of(days: Sequence[Sequence[float]], cube: Cube) -> Tensor:
    """Days as steps of the cube's axis, [h c] (or [h 1])."""
    return torch.tensor(days) * (24 / cube.step_hours)


class Spreading:
    """Distances between hexagons, in spacings; in hops over the graph where they have no coordinates."""

    def __init__(self, cube: Cube) -> None:
        self.n, reach = cube.n, REACH * max(BANDWIDTHS)
        position = positions(cube)
        if np.isnan(position).any():
            graph = csr_array((np.ones(cube.edges.shape[1]), tuple(cube.edges)), shape=(cube.n, cube.n))
            hops = dijkstra(graph, unweighted=True, limit=reach)
            self.source, self.target = np.nonzero(np.isfinite(hops))
            self.distance = hops[self.source, self.target]
            return
        tree = cKDTree(position)
        spacing = np.median(tree.query(position, k=2)[0][:, 1])
        near = tree.sparse_distance_matrix(tree, reach * spacing, output_type="coo_matrix")
        self.source, self.target, self.distance = near.col, near.row, near.data / spacing

    def kernel(self, bandwidth: float) -> csr_array:
        """[n n], from source (column) to target (row); columns sum to 1, so that no event leaves the city."""
        near = self.distance <= REACH * bandwidth
        weight = np.exp(-0.5 * (self.distance[near] / max(bandwidth, 1e-9)) ** 2)
        kernel = csr_array((weight, (self.target[near], self.source[near])), shape=(self.n, self.n))
        return kernel.multiply(1 / kernel.sum(0)).tocsr()


def positions(cube: Cube) -> np.ndarray:
    """Cell centres on the unit sphere [n 3], whose chords are short arcs; or a cube's own plane [n 2]."""
    longitude, latitude = cube.hexagons[["longitude", "latitude"]].to_numpy(np.float64).T
    if not cube.drawn:
        return np.stack([longitude, latitude], 1)
    longitude, latitude = np.radians(longitude), np.radians(latitude)
    level = np.cos(latitude)
    return np.stack([level * np.cos(longitude), level * np.sin(longitude), np.sin(latitude)], 1)
