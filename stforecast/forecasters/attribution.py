"""Why a number is what it is: log λ of a place and hours, split over named groups of inputs.

The value v(S) of a set of groups is log Σ λ over the hours and categories asked for, as the forecaster gives it,
calibrated and recalibrated, where the groups in S are as they are and all others as usual (`features.groups`). A
group's part is its Shapley value: what it adds to v on average over all orders in which the groups may be joined
(Shapley 1953; Lundberg and Lee 2017). All 2^G sets are forecast, nothing is sampled. So v(∅), which is called the
usual, and the parts add up to log λ, for every forecaster alike; a group that changes nothing has 0, and groups that
do the same have the same.

Of the recalibration, the level of the city's last weeks belongs to the group `city`; the contrast, and what keeps the
sum of λ under it, are constants of the issue as the calibration is one of the run. What a network carries from before
the newest patch belongs to `last_days` in the cell itself and to `neighbours` in all others; as usual it is the state
to which the network comes to rest where everything is as usual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from stforecast.cube import Cube
from stforecast.features.groups import GROUPS
from stforecast.forecasters.recalibration import changes
from stforecast.scoring.intensity import FLOOR

if TYPE_CHECKING:
    from stforecast.forecasters.base import Forecaster
    from stforecast.forecasters.state_cache import StateCache

USUAL, CITY = GROUPS[:2]


@dataclass(frozen=True)
class Attribution:
    """Parts of log λ.

    groups: `usual`, then those that the forecaster reads, [g].
    parts: float64 [g s c m]: of spans, and of categories (`all` first where there are several). They add up to log λ.
    """

    groups: tuple[str, ...]
    parts: np.ndarray


def attribute(
    forecaster: Forecaster, cube: Cube, issue: int, cache: StateCache, cells: np.ndarray, spans: Sequence[range]
) -> Attribution | None:
    """The parts of the forecast at an issue step.

    Args:
        forecaster: fitted.
        cube: the record.
        issue: the step.
        cache: kept states, which hold the newest past.
        cells: rows of the cube, [m].
        spans: steps after the issue whose λ is added, such as the horizon and shifts.

    Returns:
        None for a forecaster whose inputs cannot be taken apart.
    """
    model = forecaster.by_group(cube, issue, cache)
    if model is None:
        return None
    issues = np.array([issue])
    past = forecaster.past(cube, issues, cache)
    factor, power = (one[0] for one in changes(cube, issues, past))
    given = np.maximum(past.at(issues).intensity[0], FLOOR, dtype=np.float64)
    kept = np.log(given.sum((0, 1))) - np.log((given**power).sum((0, 1)))  # `recalibrated` keeps Σ λ
    groups = tuple(group for group in GROUPS[1:] if group == CITY or group in model.groups)
    values = []
    sets = [frozenset(g for i, g in enumerate(groups) if number >> i & 1) for number in range(2 ** len(groups))]
    for real in tqdm(sets, desc="why", unit="set", leave=False, disable=None):
        lam = forecaster.fitted.calibration.apply(model.intensity(real, cells)).astype(np.float64)
        level = kept + np.log(np.maximum(factor, FLOOR)) if CITY in real else kept
        values.append(_logs(np.exp(power * np.log(np.maximum(lam, FLOOR)) + level), spans))
    found = np.array(values)
    return Attribution((USUAL, *groups), np.concatenate([found[:1], shapley(found)]))


def shapley(values: np.ndarray) -> np.ndarray:
    """Shapley values [g …] of a game from the values [2^g …] of all sets; bit i of a set's number is its member i."""
    count = len(values).bit_length() - 1
    numbers = np.arange(len(values))
    size = np.array([int(number).bit_count() for number in numbers])
    out = np.zeros((count, *values.shape[1:]))
    for member in range(count):
        without = numbers[numbers >> member & 1 == 0]
        weight = np.array([factorial(s) * factorial(count - s - 1) / factorial(count) for s in size[without]])
        out[member] = np.tensordot(weight, values[without | 1 << member] - values[without], 1)
    return out


def _logs(lam: np.ndarray, spans: Sequence[range]) -> np.ndarray:
    """log Σ λ [k m c] over the steps of spans, of all categories and of each: [s c m]."""
    sums = np.stack([lam[span.start : span.stop].sum(0).T for span in spans])
    if sums.shape[1] > 1:
        sums = np.concatenate([sums.sum(1, keepdims=True), sums], axis=1)
    return np.log(sums)
