"""Shifts: the steps of a grid that hours of the local day, or days of the week, have in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from stforecast.config.sections import SHIFTS, Hours
from stforecast.delivery.riskgrid import HORIZON, RiskGrid, with_sums

WEEK = {"weekdays": (0, 5), "weekend": (5, 7)}
"""Of a grid of days, by weekday from Monday = 0."""


@dataclass(frozen=True)
class Shift:
    """A shift as a grid holds it.

    label: its name. hours: of the day, such as 23–07; empty of days. steps: of the grid. cut: how much of it the grid
    holds, such as only 7 hours, where that is not the whole; else empty.
    """

    label: str
    hours: str
    steps: range
    cut: str


def shifts_of(grid: RiskGrid, named: Mapping[str, Hours] = SHIFTS) -> dict[str, Shift]:
    """The next time that each shift lies in a grid as a whole; where it never does, the time of which most does.

    Args:
        grid: of hours; of days the weekdays and the weekend are its shifts, and of months there are none.
        named: from and to which local hour each lasts.

    Returns:
        Shifts by name, without those of which the grid holds nothing.
    """
    if grid.step_unit == "month":
        return {}
    times = pd.DatetimeIndex([*grid.starts[:HORIZON], grid.ends[HORIZON]]).tz_convert(grid.time_zone)
    of_days = grid.step_unit == "day"
    slots, cycle = np.asarray(times.weekday if of_days else times.hour), 7 if of_days else 24
    found = {}
    for name, (begin, end) in (WEEK if of_days else named).items():
        length = (end - begin) % cycle or cycle
        steps, whole = _next(slots, begin, length, cycle)
        if steps:
            hours = "" if of_days else f"{begin:02}–{end:02}"
            cut = "" if whole else f"only {grid.step.words(len(steps))}"
            found[name] = Shift(name.replace("_", " ").capitalize(), hours, steps, cut)
    return found


def during(grid: RiskGrid, steps: range) -> RiskGrid:
    """The grid of a span of hours as its only step, added as horizons are; without ranges, which are of these."""
    inside = slice(steps.start, steps.stop)

    def summed(values: np.ndarray) -> np.ndarray:
        return with_sums(np.ascontiguousarray(grid.leaves(values)[inside]), grid.categories)[[HORIZON, HORIZON]]

    below = grid.denominator
    if below is not None and below.exposure:
        below = replace(below, values=below.values[inside].sum(0, keepdims=True, dtype=np.float64))
    return replace(
        grid,
        intensity=summed(grid.intensity),
        usual=None if grid.usual is None else summed(grid.usual),
        issue_time=grid.starts[steps.start],
        step_hours=grid.step_hours * len(steps),
        spreads={},
        joint={},
        denominator=below,
    )


def _next(slots: np.ndarray, begin: int, length: int, cycle: int) -> tuple[range, bool]:
    """The steps of a shift, and whether they are all of it: of the slots in which steps begin, and the last ends."""
    since = (slots - begin) % cycle
    begins = np.diff(since, prepend=cycle) < 0  # a clock change may skip the first hour
    runs = np.split(np.arange(len(slots)), np.flatnonzero(begins)[1:])
    best, most = range(0), False
    for run in runs:
        inside = run[(since[run] < length) & (run < len(slots) - 1)]
        if not len(inside):
            continue
        first, last = int(inside[0]), int(inside[-1])
        ended = begins[last + 1] or since[last + 1] >= length
        whole = bool((first > 0 or since[0] == 0) and ended)
        if (whole, len(inside)) > (most, len(best)) and not most:
            best, most = range(first, last + 1), whole
    return best, most
