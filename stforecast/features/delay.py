"""How much of the record is known at a step."""

from __future__ import annotations

from typing import Any

import numpy as np

from stforecast.cube import Cube


def windows(values: Any, issues: np.ndarray | list[int], horizons: int) -> Any:
    """The `horizons` steps from each issue on, of an array or a tensor: [t …] → [m k …]."""
    return values[np.asarray(issues)[:, None] + np.arange(horizons)]


def completeness(cube: Cube, first: int, last: int, known_before: int) -> np.ndarray:
    """Expected share of the events of steps first … last − 1 that is known before `known_before`: float32 [t c].

    0 where the steps were not recorded, as known then; else `arrived`. Thinning is exact for Poisson counts: a target
    seen early has intensity share × λ.
    """
    share, masked = arrived(cube, first, last, known_before), cube.masked_before(known_before)
    if masked is not None:
        here = masked[max(first, 0) : max(last, 0)]
        share[max(-first, 0) :][: len(here)][here] = 0
    return share


def arrived(cube: Cube, first: int, last: int, known_before: int) -> np.ndarray:
    """The share of the reports of recorded steps that has come in before `known_before`: float32 [t c].

    The share of mature events (60 days and older) that were known within each age, per category; 1 where the record
    has no delay.
    """
    share = np.ones((last - first, cube.c), np.float32)
    if not late(cube, known_before):
        return share
    per_day = max(1, 24 // cube.step_hours)
    horizon = 60 * per_day
    settled = max(known_before - horizon, known_before // 2)
    age = np.minimum(known_before - 1 - np.arange(first, last), horizon)
    for category in range(cube.c):
        mature = (cube.hour < settled) & (cube.known_hour < known_before) & (cube.category == category)
        delay = np.minimum(cube.known_hour[mature] - cube.hour[mature], horizon)
        known = np.bincount(delay, cube.weight[mature], minlength=horizon + 1).cumsum()
        if known[-1] > 0:
            curve = np.maximum(known / known[-1], 1e-3)
            share[:, category] = np.where(age >= 0, curve[np.maximum(age, 0)], 1e-3)
    return share


def reported_share(cube: Cube, first: int, last: int) -> float:
    """Estimated share of the events of steps first … last − 1 that the record holds at its end.

    Of those that are reported within 60 days; 1 where nothing tells how late reports are.
    """
    known_until = int(cube.known_hour.max(initial=0)) + 1
    here = (cube.hour >= first) & (cube.hour < last)
    events = np.bincount(cube.category[here], cube.weight[here], minlength=cube.c)
    share = arrived(cube, first, last, known_until).mean(0)
    return float(events @ share / events.sum()) if events.any() else 1.0


def late(cube: Cube, known_before: int) -> bool:
    """Whether a report that is known by then came after its step; later reports must not tell."""
    return bool(((cube.known_hour > cube.hour) & (cube.known_hour < known_before)).any())
