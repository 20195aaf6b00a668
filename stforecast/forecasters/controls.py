"""Trivial controls: what every table must be read against."""

from __future__ import annotations

import numpy as np

from stforecast.cube import Cube
from stforecast.forecasters.base import WithoutParameters


class HexagonMean(WithoutParameters):
    """Mean events a step of each hexagon and category, as known at the end of the slice before."""

    name = "hexagon_mean"

    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        ends = [self.slice_end(issue) for issue in issues.tolist()]
        rates = {end: mean_rate(cube, 0, end) for end in set(ends)}
        return np.repeat(np.stack([rates[end] for end in ends])[:, None], cube.horizons, axis=1)


class LastWeek(WithoutParameters):
    """Events of the last seven recorded days (or of the last month) in the hexagon, spread evenly: the hot-spot map of
    many departments.
    """

    name = "last_week"

    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        week = max(1, cube.step.in_days(7))
        served = np.minimum(issues, cube.steps)
        rates = np.stack([mean_rate(cube, last_observed(cube, week, s), s) for s in served.tolist()])
        return np.repeat(rates[:, None], cube.horizons, axis=1)


def last_observed(cube: Cube, count: int, until: int) -> int | np.ndarray:
    """The step from which on `count` steps before `until` were recorded; by category where they differ, [c]."""
    if cube.masked is None:
        return max(0, until - count)
    seen = [np.flatnonzero(~masked) for masked in cube.masked[:until].T]
    return np.array([steps[-count] if len(steps) > count else 0 for steps in seen])


def mean_rate(cube: Cube, first: int | np.ndarray, until: int) -> np.ndarray:
    """Events a recorded step of steps first … until − 1 as known at `until`, float32 [n c]; `first` may be [c].

    Every hexagon is given m / (1 + m) of an event, where m is the category's mean over hexagons: none has a rate of 0.
    """
    cube, steps = cube.inputs, np.maximum(until - first, 1)
    if cube.masked is not None:
        ahead = np.arange(until)[:, None] >= first
        steps = np.maximum((ahead & ~cube.masked[:until]).sum(0), 1)
    low, high = np.searchsorted(cube.known_hour, [np.min(first), until])
    new = slice(low, high)  # an event is not known before it occurs, so none is known before `first`
    here = cube.hour[new] >= np.broadcast_to(first, cube.c)[cube.category[new]]
    place = cube.hexagon[new][here].astype(np.int64) * cube.c + cube.category[new][here]
    counts = np.bincount(place, cube.weight[new][here], minlength=cube.n * cube.c).reshape(cube.n, cube.c)
    city = (counts.sum(0) + 1) / cube.n
    return ((counts + city / (1 + city)) / steps).astype(np.float32)
