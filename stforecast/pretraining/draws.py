"""Episodes of real and simulated cities, mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stforecast.cube import Cube
from stforecast.pretraining.episodes import Episode, episode
from stforecast.pretraining.places import log_uniform
from stforecast.pretraining.prior import draw_city

LEARNED = 60, 120
"""Days of a simulated city that are learned from."""
RECORD = 7, 400
"""Days of its record before them; longer ones are left to real cities, since a simulation costs by its length."""


@dataclass(frozen=True)
class Draws:
    """The episode of a number: of a simulated city for a share of them, else of one of the records.

    Pure, so that what is read follows from the number, whoever reads it.
    """

    cubes: Sequence[Cube]
    simulated: float
    seed: int

    def __call__(self, number: int) -> Episode:
        rng = np.random.default_rng([self.seed, number])
        own = int(rng.integers(2**31))
        return simulated_episode(own) if rng.random() < self.simulated else episode(self.cubes, own)


def simulated_episode(seed: int) -> Episode:
    """An episode of a city of its own."""
    rng = np.random.default_rng(seed)
    learned, record = int(rng.integers(*LEARNED, endpoint=True)), int(log_uniform(rng, *RECORD))
    cube = draw_city(seed, record + learned + 8)
    until = record * cube.step.per_day
    return Episode(cube, until, until, until + learned * cube.step.per_day, cube.name)
