"""How late reports come: what of the record is known at a step, and when the rest is expected."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from stforecast.cube import Cube

LAGS_DAYS = (0, 1, 2, 4, 8, 16, 30)
"""Ages (in days) at which late reports are taken to arrive when *expected* sums are kept; the last holds the rest."""
MATURE_DAYS = 60
"""Age from which all reports of an event count as in."""
SETTLED = 0.98
"""Share of a step's events that must have been reported for its counts to be learned from."""


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

    The share of mature events that were known within each age, per category; 1 where the record has no delay.
    """
    share = np.ones((last - first, cube.c), np.float32)
    if not late(cube, known_before):
        return share
    horizon = cube.step.in_days(MATURE_DAYS)
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


def settled_until(cube: Cube, end: int) -> int:
    """The step up to which nearly all events were reported by `end`: later ones would teach that days are quiet."""
    settled = np.flatnonzero(completeness(cube, 0, end, end).min(1) > SETTLED)
    return int(settled[-1]) + 1 if settled.size else end


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


def lags_of(cube: Cube, patch: int) -> tuple[int, ...]:
    """`LAGS_DAYS` in patches."""
    return tuple(sorted({round(days / cube.step.days / patch) for days in LAGS_DAYS}))


def delay_shares(cube: Cube, patch: int, known_before: int, phase: int = 0) -> Tensor:
    """The share of a category's events that become known each of `lags_of` patches after their own: float32 [j c].

    Delays between two lags are split between them so that the mean delay is kept; longer ones than the last lag are
    counted at it. A record without delay has the lag 0 alone, and shares of 1. Estimated from events at least 60 days
    older than `known_before`, as known then; `phase` as in training.
    """
    cube = cube.inputs
    if not late(cube, known_before):
        return torch.ones(1, cube.c)
    lags = np.array(lags_of(cube, patch))
    settled = known_before - round(MATURE_DAYS / cube.step.days / patch) * patch
    mature = (cube.hour < max(settled, known_before // 2)) & (cube.known_hour < known_before)
    delay = (cube.known_hour[mature] - phase) // patch - (cube.hour[mature] - phase) // patch
    delay = np.minimum(delay, lags[-1])
    upper = np.searchsorted(lags, delay)
    lower = np.maximum(upper - 1, 0)
    part = (delay - lags[lower]) / np.maximum(lags[upper] - lags[lower], 1)
    part[upper == 0] = 1
    share = np.zeros((len(lags), cube.c))
    weight, category = cube.weight[mature], cube.category[mature]
    np.add.at(share, (lower, category), weight * (1 - part))
    np.add.at(share, (upper, category), weight * part)
    share[0, share.sum(0) == 0] = 1
    return torch.as_tensor((share / share.sum(0)).astype(np.float32))
