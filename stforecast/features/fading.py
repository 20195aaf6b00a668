"""Sums of past events that fade exponentially with their age, carried from issue to issue."""

from __future__ import annotations

import numpy as np

from stforecast.cube import Cube


class Fading:
    """Σ weight · 2^(−age / half-life) of the events known so far, by hexagon and category: [n h c].

    An event of the step before counts fully; a late report enters at its faded weight.

    Args:
        half_lives: in steps, [h 1], or [h c] where they differ by category.
    """

    def __init__(self, cube: Cube, half_lives: np.ndarray) -> None:
        self.cube, self.half_lives, self.now = cube.inputs, np.asarray(half_lives, np.float64), 0
        self.sums = np.zeros((cube.n, len(half_lives), cube.c))

    def at(self, step: int) -> np.ndarray:
        """The sums of the events known at a `step`, which must not lie before that of the last call: [n h c]."""
        cube, (n, h, c) = self.cube, self.sums.shape
        new = slice(*np.searchsorted(cube.known_hour, [self.now, step]))
        category = cube.category[new].astype(np.int64)
        half_life = np.broadcast_to(self.half_lives, (h, c))[:, category]  # [h e]
        weight = cube.weight[new] * np.exp2(-(step - 1 - cube.hour[new]) / half_life)
        place = (cube.hexagon[new] * h + np.arange(h)[:, None]) * c + category
        self.sums *= np.exp2(-(step - self.now) / self.half_lives)
        self.sums += np.bincount(place.ravel(), weight.ravel(), minlength=n * h * c).reshape(n, h, c)
        self.now = step
        return self.sums
