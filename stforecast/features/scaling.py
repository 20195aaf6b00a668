"""Scales of the training slice: by what events and covariates are divided before they are learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stforecast.cube import Cube, Series
from stforecast.cube.covariates import Covariate
from stforecast.features.shared import SharedRhythms


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

    @staticmethod
    def of_covariates(covariates: Sequence[Covariate], until: int) -> Standard:
        """From the rows that hold and are known before `until`, each as often as it stands there.

        Planned events keep 0, which is none, and have the root mean square of the others as spread.
        """
        names, mean, spread = [], [], []
        for one in covariates:
            value = one.value[(one.first < until) & (one.known < until)].astype(np.float64)
            mean.append(float(value.mean()) if value.size and one.kind != "planned" else 0.0)
            size = float(np.sqrt(((value - mean[-1]) ** 2).mean())) if value.size else 0.0
            spread.append(size if size > 0 else 1.0)
            names.append(one.name)
        return Standard(names, mean, spread)

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
    """What is learned of the training slice before any model.

    rate: mean events of a hexagon and day. weather, future: of these channels. until: the step at which it ends.
    covariates: of the covariates by cell. response: what each does to log λ₀ a spread, by category, [j c]; empty where
    that was not fitted, see `base_rate`. shared: what other cities tell of rates and rhythms; None where nothing.
    """

    rate: float
    weather: Standard
    future: Standard
    until: int
    covariates: Standard = field(default_factory=lambda: Standard([], [], []))
    response: list[list[float]] = field(default_factory=list)
    shared: SharedRhythms | None = None

    @staticmethod
    def of(cube: Cube, until: int, shared: SharedRhythms | None = None) -> Scales:
        """From the record as known at the step `until`, and what other cities tell."""
        seen = (cube.hour < until) & (cube.known_hour < until)
        recorded = 1.0 if cube.masked is None else float((~cube.masked[:until]).mean())
        days = max(until * recorded * cube.step.days, 1)
        rate = float(cube.weight[seen].sum()) / (days * cube.n)
        weather, future = (Standard.of(series, until) for series in (cube.weather, cube.future))
        covariates = Standard.of_covariates(cube.covariates, until)
        return Scales(rate, weather, future, until, covariates, shared=shared)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Scales:
        """Back from `dataclasses.asdict`.

        Raises:
            KeyError, TypeError, ValueError: the values are not those of scales.
        """
        weather, future, covariates = (_standard(**values[key]) for key in ("weather", "future", "covariates"))
        response = np.array(values["response"], np.float64)
        if response.size and (len(response) != len(covariates.names) or not np.isfinite(response).all()):
            raise ValueError("the response to covariates must be finite, and one of each")
        rate, until = float(values["rate"]), int(values["until"])
        if not (0 <= rate < np.inf and until >= 0):
            raise ValueError(f"rate {rate}, until {until}")
        shared = values.get("shared") and SharedRhythms.from_dict(values["shared"])
        return Scales(rate, weather, future, until, covariates, response.tolist(), shared)


def _standard(names: list[str], mean: list[float], spread: list[float]) -> Standard:
    numbers = np.array([mean, spread], np.float64).reshape(2, len(names))
    if not (np.isfinite(numbers).all() and (numbers[1] > 0).all()):
        raise ValueError("mean and spread of a channel must be finite, and the spread positive")
    return Standard([str(name) for name in names], *numbers.tolist())


def axes_of(cube: Cube) -> dict[str, Any]:
    """What a cube must share with the one that a network was trained on."""
    return {
        "hexagons": cube.cells.tolist(),
        "categories": list(cube.categories),
        "step_hours": cube.step_hours,
        "step_unit": cube.step_unit,
        "horizons": cube.horizons,
    }
