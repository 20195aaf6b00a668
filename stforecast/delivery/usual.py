"""What is usual of an hour of the week, a weekday or a month: for questions about no particular date.

It is one cycle of the rolling climatology at its latest, calibrated as in the run and changed as the weeks before the
issue time would have it (`forecasters.recalibration`): a week of hours or days, or a year of months. What a week leaves
out, the season, is a factor of the month on the whole city: the reports of the month over those of the 365 days around
it, drawn to 1 as if the month had once more come out as the year around it. With a single year behind it a factor goes
half of the way, with six years six sevenths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from stforecast.scoring.calibration import Calibration

if TYPE_CHECKING:
    from stforecast.cube import Cube
    from stforecast.forecasters.climatology import RollingClimatology
    from stforecast.forecasters.state_cache import StateCache

YEAR, MONTH = 365, 365 / 12
"""Days."""
SETTLED_DAYS = 60
"""The last days of a record with late reports, which are left out of the season."""


@dataclass(frozen=True, eq=False)
class UsualCycle:
    """slots: expected events by `Calendar.slot`, float32 [s n c]; months: factors [12 c], of monthly steps all 1.

    The slots are the steps of a week, Monday's first, or the months of a year. Hexagons as in the RiskGrid that it is
    kept with; categories too, without `all`.
    """

    slots: np.ndarray
    months: np.ndarray

    def intensity(self, month: int, weekday: int = 0, hour: int = 0) -> np.ndarray:
        """Expected events a step in a month 1 … 12, [n c].

        Args:
            month: 1 … 12.
            weekday: 0 (Monday) … 6; counts where steps are hours or days.
            hour: 0 … 23; counts where steps are hours.
        """
        count = len(self.slots)
        slot = month - 1 if count == 12 else (24 * weekday + hour) * count // 168
        return self.slots[slot].astype(np.float64) * self.months[month - 1]


def usual_cycle(cube: Cube, issue: int, climatology: RollingClimatology, states: StateCache) -> UsualCycle:
    """What is usual, from the record as known at an issue.

    Args:
        cube: the record.
        issue: the step of the issue.
        climatology: the calibrated rolling climatology of the run.
        states: its kept states.
    """
    steps = 2 * cube.step.slots  # a slot that a clock change skips comes again
    reader, state = states.state(climatology, cube, issue, steps)
    ahead = climatology.fitted.calibration.apply(climatology.forecast_from_state(reader, state, issue, steps))
    today = climatology.forecast(cube, np.array([issue]), states).intensity[0]
    slots = Calibration.between(ahead[: len(today)], today).apply(ahead)  # at the level and contrast of today
    if cube.step.unit == "day" and (length := cube.exposure(issue, issue + steps)) is not None:
        slots = slots / length[:, None, None]  # of a day of 24 hours, where the clock changes too
    _, first = np.unique(cube.calendar(issue, issue + steps).slot, return_index=True)
    order = np.argsort(cube.cells)
    months = np.ones((12, cube.c)) if cube.step.unit == "month" else month_factors(cube, issue)
    return UsualCycle(slots[first][:, order], months)


def month_factors(cube: Cube, issue: int) -> np.ndarray:
    """Factor of each month on the level at the step `issue`, [12 c]; 1 where a year of the record is not at hand."""
    from stforecast.forecasters.recalibration import DAILY

    day = cube.step.per_day
    days = min(issue, cube.steps) // day - (SETTLED_DAYS if cube.late else 0)
    if days < YEAR:
        return np.ones((12, cube.c))
    seen = (cube.known_hour < issue) & (cube.hour < days * day)
    counts = np.zeros((days, cube.c))
    np.add.at(counts, (cube.hour[seen] // day, cube.category[seen]), cube.weight[seen])
    sums = np.concatenate([np.zeros((1, cube.c)), counts.cumsum(0)])
    begin = np.clip(np.arange(days) - YEAR // 2, 0, days - YEAR)  # at the edges the nearest whole year
    around = (sums[begin + YEAR] - sums[begin]) / YEAR
    month = _months(cube.start, days, cube.time_zone)
    had, expected = (np.stack([values[month == m].sum(0) for m in range(1, 13)]) for values in (counts, around))
    prior = counts.mean(0) * MONTH
    season = np.divide(had + prior, expected + prior, out=np.ones_like(had), where=expected + prior > 0)
    # the level holds the season of the weeks before the issue time
    last = _months(cube.time_of(issue) - pd.Timedelta(days=DAILY.window), DAILY.window, cube.time_zone)
    weight = 0.5 ** (np.arange(DAILY.window)[::-1] / DAILY.half_life)
    return season / np.average(season[last - 1], axis=0, weights=weight)


def _months(first: pd.Timestamp, days: int, time_zone: str) -> np.ndarray:
    """The local month 1 … 12 in the middle of each of the days that begin at `first`."""
    noon = pd.date_range(first + pd.Timedelta(hours=12), periods=days, freq="24h")
    return noon.tz_convert(time_zone).month.to_numpy()
