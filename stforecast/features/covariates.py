"""What is read beside the events: weather before the issue, calendar and weather forecasts of the hours ahead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stforecast.features.cell_covariates import CellCovariates
from stforecast.features.scaling import Scales
from stforecast.features.stream import EventStream, issue_range

HOLIDAYS = 3
"""Columns: a holiday, the day before one, the day after one."""


@dataclass(frozen=True)
class Covariates:
    """Covariates by step of the stream's calendar.

    target: weekday, slot of the day, holidays and channels known in advance with their masks, [t g].
    weather: observed channels with their masks, [t w].
    cells: covariates by cell.
    """

    events: EventStream
    target: Tensor
    weather: Tensor
    cells: CellCovariates

    @staticmethod
    def of(events: EventStream, scales: Scales) -> Covariates:
        """Of a record's calendar and channels.

        The day and the month of the year are left out: a few years do not part the season from the years' drift, and
        the city's own recent level, which the log-ratios hold, follows both.
        """
        local, cube, first = events.calendar, events.cube, -events.origin
        last, cycle = first + len(local.hour), cube.step.weekdays
        columns = [
            np.eye(cycle)[local.slot // events.per_day % cycle],
            np.eye(events.per_day)[local.slot_of_day],
            np.stack([local.holiday, local.day_before_holiday, local.day_after_holiday], -1),
            scales.future.window(cube.future, first, last),
        ]
        target = torch.as_tensor(np.concatenate(columns, -1), dtype=torch.float32, device=events.device)
        weather = torch.as_tensor(scales.weather.window(cube.weather, first, last), device=events.device)
        return Covariates(events, target, weather, CellCovariates(cube, scales, events.device))

    @property
    def cycle(self) -> int:
        """How many of these are of the weekday; they come first of all."""
        return self.events.cube.step.weekdays

    @property
    def calendar(self) -> int:
        """How many of the columns of `target` are the calendar's; they come first."""
        return self.cycle + self.events.per_day + HOLIDAYS

    def weather_before(self, issues: list[int]) -> Tensor:
        """Weather of the patch before each issue: [l p w]."""
        first = issue_range(issues, self.weather.device)[:, None]
        return self.weather[self.events.at(first + torch.arange(-self.events.patch, 0, device=self.weather.device))]

    def target_at(self, steps: Tensor) -> Tensor:
        """Covariates of the target steps [l k], with the lead time: [l k g]."""
        lead = torch.eye(self.events.cube.horizons, device=self.target.device).expand(len(steps), -1, -1)
        return torch.cat([self.target[self.events.at(steps)], lead], -1)

    def targets_of(self, issues: list[int]) -> Tensor:
        """The target steps of each issue, [l k]."""
        device = self.target.device
        return issue_range(issues, device)[:, None] + torch.arange(self.events.cube.horizons, device=device)
