"""What learned forecasters read beside the events: long memory, weather and the calendar of the target hours."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stforecast.cube import Cube, Series
from stforecast.features.memory import Memory
from stforecast.features.record import Lateness, Record, spaced
from stforecast.features.rhythms import Rhythms


@dataclass(frozen=True)
class Standard:
    """Names, mean and spread of the channels of a `Series` in the training slice."""

    names: list[str]
    mean: list[float]
    spread: list[float]

    @staticmethod
    def of(series: Series, until: int) -> Standard:
        """From the steps before `until`; channels that were never observed get 0 and 1."""
        values = series.window(0, until)
        seen = np.isfinite(values)
        count = np.maximum(seen.sum(0), 1)
        mean = np.where(seen, values, 0).sum(0) / count
        spread = np.sqrt(np.where(seen, (values - mean) ** 2, 0).sum(0) / count)
        return Standard(list(series.names), mean.tolist(), np.where(spread > 0, spread, 1).tolist())

    def window(self, series: Series, first: int, last: int) -> np.ndarray:
        """Standardised values of steps first … last − 1 beside their mask, [t 2w]; a gap is 0 with mask 0.

        A channel that `series` lacks is one gap.
        """
        values = np.full((last - first, len(self.names)), np.nan, np.float32)
        given = series.window(first, last)
        for place, name in enumerate(self.names):
            if name in series.names:
                values[:, place] = given[:, series.names.index(name)]
        seen = np.isfinite(values)
        scaled = (np.where(seen, values, 0) - np.asarray(self.mean)) / np.asarray(self.spread)
        return np.concatenate([np.where(seen, scaled, 0), seen], -1).astype(np.float32)


@dataclass(frozen=True)
class Scales:
    """What is learned of the training slice before the network: rate and weather scales, in plain values."""

    rate: float
    weather: Standard
    future: Standard
    until: int

    @staticmethod
    def of(cube: Cube, until: int) -> Scales:
        """From the record as known at the step `until`."""
        seen = (cube.hour < until) & (cube.known_hour < until)
        recorded = 1.0 if cube.masked is None else float((~cube.masked[:until]).mean())
        days = max(until * recorded * cube.step_hours / 24, 1)
        rate = float(cube.weight[seen].sum()) / (days * cube.n)
        return Scales(rate, Standard.of(cube.weather, until), Standard.of(cube.future, until), until)

    def plain(self) -> dict[str, Any]:
        """As plain values, for a checkpoint."""
        return {
            "rate": self.rate,
            "until": self.until,
            "weather": asdict(self.weather),
            "future": asdict(self.future),
        }

    @staticmethod
    def from_plain(values: dict[str, Any]) -> Scales:
        """Back from `plain`."""
        weather, future = (Standard(**values[key]) for key in ("weather", "future"))
        return Scales(values["rate"], weather, future, values["until"])


class Reader:
    """A cube on a device, ready to be walked through (on from the issue `since`); covariates are read by step."""

    def __init__(
        self, cube: Cube, scales: Scales, patch: int, device: torch.device | str, beyond: int = 0, since: int = 0
    ) -> None:
        self.cube, self.scales, self.patch, self.device = cube, scales, patch, torch.device(device)
        self.record = Record(cube, patch, beyond, device, since)
        self.edges = torch.tensor(cube.edges, device=self.device)
        self.target = self._target_table()
        self.city = self._series_table(cube.weather, scales.weather)

    def memory(self, phase: int, lateness: Lateness | None = None, rhythms: Rhythms | None = None) -> Memory:
        """A walk through the record whose issues are phase, phase + p, …; lateness and rhythms where known already."""
        lateness = lateness or Lateness.of(self.cube, self.patch, self.scales.until, phase)
        return Memory(self.record, lateness, rhythms or self.rhythms, self.edges, self.scales.rate, phase)

    @cached_property
    def rhythms(self) -> Rhythms:
        """Of the training slice, as known at its end."""
        return Rhythms.of(self.cube, self.scales.until)

    def city_before(self, issues: list[int]) -> Tensor:
        """Weather of the patch before each issue, with its mask: [l p w]."""
        first = spaced(issues, self.device)[:, None]
        return self.city[self.record.at(first + torch.arange(-self.patch, 0, device=self.device))]

    def target_at(self, steps: Tensor) -> Tensor:
        """Covariates of the target steps [l k], with the lead time: [l k g]."""
        lead = torch.eye(self.cube.horizons, device=self.device).expand(len(steps), -1, -1)
        return torch.cat([self.target[self.record.at(steps)], lead], -1)

    def targets_of(self, issues: list[int]) -> Tensor:
        """The target steps of each issue, [l k]."""
        return spaced(issues, self.device)[:, None] + torch.arange(self.cube.horizons, device=self.device)

    def _target_table(self) -> Tensor:
        """Calendar and known-in-advance channels of every step of the record's calendar, [t g].

        The day of the year is left out: a few years do not part the season from the years' drift, and the city's own
        recent level, which the long memory holds, follows both.
        """
        local, cube = self.record.calendar, self.cube
        columns = [
            np.eye(7)[local.weekday],
            np.eye(self.record.per_day)[local.slot_of_day],
            np.stack([local.holiday, local.day_before_holiday, local.day_after_holiday], -1),
        ]
        calendar = torch.as_tensor(np.concatenate(columns, -1), dtype=torch.float32, device=self.device)
        return torch.cat([calendar, self._series_table(cube.future, self.scales.future)], -1)

    def _series_table(self, series: Series, standard: Standard) -> Tensor:
        first = -self.record.origin
        values = standard.window(series, first, first + len(self.record.slot_of_day))
        return torch.as_tensor(values, device=self.device)


def axes_of(cube: Cube) -> dict[str, Any]:
    """What a cube must share with the one that a network was trained on."""
    return {
        "hexagons": cube.cells.tolist(),
        "categories": list(cube.categories),
        "step_hours": cube.step_hours,
        "horizons": cube.horizons,
    }
