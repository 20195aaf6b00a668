"""Rates: expected reports per so many residents, or per hours of exposure, and where none is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stforecast.config import Config
from stforecast.config.sections import Rate
from stforecast.cube import Cube
from stforecast.cube.covariate_files import number_of
from stforecast.cube.covariates import Covariate

HOUR = pd.Timedelta(hours=1)
CAUTION = (
    "Reports are by where offences take place, and residents by where people live: in centres, at stations and in "
    "parks, where many come and few live, a rate by residents is high without anyone there being at a higher risk."
)


@dataclass(frozen=True, eq=False)
class Denominator:
    """What expected reports are divided by.

    of: its name. per: rates are per so many. smallest: of fewer there is no rate; of exposure, of fewer on average over
    the interval. values: of cells, float32, NaN where unknown: a number that stands for any interval, [n], or the hours
    of exposure in each step, [k n].
    """

    of: str
    per: int
    smallest: float
    values: np.ndarray

    @classmethod
    def at(cls, rate: Rate, covariate: Covariate, cube: Cube, issue: int, rows: np.ndarray) -> Denominator:
        """What is known at an issue of the steps that are forecast, at rows of the cube's cells."""
        values, seen = covariate.window(issue, issue, cube.horizons, cube.n)
        number = np.where(seen > 0, values, np.nan)[:, rows]
        if covariate.kind == "static":
            number = number[0]
        else:
            times = cube.times_of(issue + np.arange(cube.horizons + 1))
            number = number * ((times[1:] - times[:-1]) / HOUR).to_numpy()[:, None]
        return cls(rate.of, rate.per, rate.smallest, number.astype(np.float32))

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any], values: np.ndarray) -> Denominator:
        """From its `facts`, and values [k n], those of each step alike where it is no exposure."""
        return cls(facts["of"], facts["per"], facts["smallest"], values if facts["exposure"] else values[0])

    @property
    def exposure(self) -> bool:
        """Whether hours count, not heads."""
        return self.values.ndim == 2

    @property
    def what(self) -> str:
        """Its name as words."""
        return self.of.replace("_", " ")

    @property
    def words(self) -> str:
        """What rates are per: per 1,000 residents, per hour of exposure (visitors)."""
        if not self.exposure:
            return f"per {self.per:,} {self.what}"
        return f"per {f'{self.per:,} hours' if self.per > 1 else 'hour'} of exposure ({self.what})"

    @property
    def rule(self) -> str:
        """Where no rate is shown, in words."""
        of = f"fewer than {self.smallest:,g} {self.what}"
        return f"{of} on average over the time, or not known" if self.exposure else f"{of}, or not known"

    def facts(self, lengths: pd.TimedeltaIndex) -> dict[str, Any]:
        """Everything but the values, and of how many cells there is no rate over the horizon; of intervals [i]."""
        named = {name: getattr(self, name) for name in ("of", "per", "smallest", "exposure", "words", "rule")}
        return named | {"masked": int(self.masked(lengths)[-1].sum())}

    def about(self, lengths: pd.TimedeltaIndex, cell: str) -> str:
        """What rates are per, and of how many cells there is none over the horizon, as sentences."""
        masked = self.masked(lengths)[-1]
        return f"Rates are {self.words}. No rate ({self.rule}): {masked.sum():,} of {masked.size:,} {cell}s."

    def sums(self) -> np.ndarray:
        """Of the steps and, last, of the horizon: float64 [i n], or [1 n] where all have the same."""
        values = np.atleast_2d(self.values).astype(np.float64)
        return np.concatenate([values, values.sum(0, keepdims=True)]) if self.exposure else values

    def masked(self, lengths: pd.TimedeltaIndex) -> np.ndarray:
        """Of which cells there is no rate: bool [i n], or [1 n]; lengths of the intervals, [i]."""
        number = self.sums()
        if self.exposure:
            number /= np.asarray(lengths / HOUR)[:, None]
        return ~(number >= self.smallest)  # of NaN too

    def rates(self, intensity: np.ndarray, lengths: pd.TimedeltaIndex) -> dict[str, np.ndarray]:
        """`rate` of expected reports [i c n], NaN where none is shown, and its `denominator`: [i c n] each."""
        number = self.sums()
        shown = np.where(self.masked(lengths), np.nan, number)
        whole = np.broadcast_to(number[:, None], intensity.shape)
        return {"rate": self.per * intensity / shown[:, None], "denominator": whole}


def denominators(config: Config, cube: Cube) -> Callable[[int], Denominator | None]:
    """What grids of a cube divide by at an issue step, in the order of their cells; None where nothing is configured.

    Raises:
        ConfigError, DataError: as of `number_of`.
    """
    if (rate := config.delivery.rate) is None:
        return lambda _: None
    number, order = number_of(rate.of, config, cube), np.argsort(cube.cells)
    return lambda issue: Denominator.at(rate, number, cube, issue, order)
