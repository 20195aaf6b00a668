"""Trivial controls: what every table must be read against."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.files import read_json, write_json
from stforecast.forecasters.base import Forecaster
from stforecast.scoring.splits import Split


class HexagonMean(Forecaster):
    """Mean events a step of each hexagon and category, as known at the end of the slice before."""

    name = "hexagon_mean"
    ends: tuple[int, ...] = ()

    def fit(self, cube: Cube, split: Split, folder: Path | None = None) -> Self:
        self.ends = (split.train_end, split.validation_end)
        return self

    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        out = np.empty((len(issues), cube.horizons, cube.n, cube.c), np.float32)
        for until in {self.known_until(s) for s in issues.tolist()}:
            rows = [i for i, s in enumerate(issues.tolist()) if self.known_until(s) == until]
            out[rows] = mean_rate(cube, 0, until)
        return out

    def known_until(self, issue: int) -> int:
        """The step whose record the forecast of `issue` rests on."""
        return max((end for end in self.ends if end <= issue), default=issue)

    def save(self, folder: Path) -> None:
        write_json(folder / "ends.json", self.ends)

    @classmethod
    def load(cls, folder: Path, config: Config) -> Self:
        forecaster = cls(config)
        forecaster.ends = tuple(read_json(folder / "ends.json"))
        return forecaster


class LastWeek(Forecaster):
    """Events of the last seven days in the hexagon, spread evenly: the hot-spot map of many departments."""

    name = "last_week"

    def fit(self, cube: Cube, split: Split, folder: Path | None = None) -> Self:
        return self

    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        week = 7 * max(1, 24 // cube.step_hours)
        served = np.minimum(issues, cube.steps)
        rates = np.stack([mean_rate(cube, max(0, s - week), s) for s in served.tolist()])
        return np.repeat(rates[:, None], cube.horizons, axis=1)

    def save(self, folder: Path) -> None:
        """Nothing is learned."""

    @classmethod
    def load(cls, folder: Path, config: Config) -> Self:
        return cls(config)


def mean_rate(cube: Cube, first: int, until: int) -> np.ndarray:
    """Events a step of steps first … until − 1 as known at `until`, float32 [n c].

    One more event is spread as the category's city mean is, so that a hexagon without events has a rate above zero.
    """
    low, high = np.searchsorted(cube.known_hour, [first, until])
    new = slice(low, high)  # an event is not known before it occurs, so none is known before `first`
    here = cube.hour[new] >= first
    place = cube.hexagon[new][here].astype(np.int64) * cube.c + cube.category[new][here]
    counts = np.bincount(place, cube.weight[new][here], minlength=cube.n * cube.c).reshape(cube.n, cube.c)
    city = (counts.sum(0) + 1) / cube.n
    return ((counts + city / (1 + city)) / max(until - first, 1)).astype(np.float32)
