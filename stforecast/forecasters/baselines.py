"""The field's own baselines: the mean of the last twelve, the same time last year or a season ago, and EWMA.

All are means of counts a step as they were known at the issue. An analyst who knows how late reports come divides fresh
counts by the share of them that is in, and so does this: λ = (Σ w · y) / (Σ w · s · e), over steps with weight w, known
counts y, share known s (`features.delay.arrived`) and length e in usual steps; what is expected of a step is in
proportion to its length. Steps that were not recorded, or of which less than REPORTED is expected to be in, are left
out, and older ones take their place.

A count of 0 must not make events impossible: every hexagon is given one more day (or month; or step, where one step is
all that is read) at the city's mean rate, which leaves the city's total as it is.

Gorr, Olligschlaeger & Thompson 2003, Short-term forecasting of crime, International Journal of Forecasting 19:579-594
(last year's month as police use it, and smoothing, by area and month). Hyndman & Athanasopoulos 2021, Forecasting:
principles and practice, 3rd ed., sections 5.2 (means, seasonal naive) and 8.1 (simple exponential smoothing).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from stforecast.cube import Cube
from stforecast.features.delay import arrived
from stforecast.features.targets import known_share, outcomes, scored
from stforecast.files import read_json, write_json
from stforecast.forecasters.base import AGAIN, Forecaster
from stforecast.scoring.metrics import poisson_deviance
from stforecast.scoring.splits import Split

LAST = 12
"""Days or months that `mean_of_last_12` averages."""
RATES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8)
"""Weights of the newest day or month to choose from."""
REPORTED = 0.5
"""Share of a step's events that must be in for its counts to be read."""


class MeanOfLast12(Forecaster):
    """Mean of the last 12 recorded months, or days; by the hour the last 12 days, spread evenly over their hours."""

    name = "mean_of_last_12"

    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        return weighted_means(cube, issues, lambda age: age < LAST)


class EWMA(Forecaster):
    """Exponentially weighted mean of the counts by month or day (by the hour spread evenly over a day).

    A recorded day that is d days old has the weight (1 − rate)^d. The rate of each category is that one of RATES under
    which its deviance is least on the validation slice, as known at its end.
    """

    name = "ewma"
    rates: list[float]

    def learn(self, cube: Cube, split: Split, folder: Path | None = None) -> None:
        issues, counts = scored(cube, split, "validation"), outcomes(cube, split, "validation")
        share, losses = known_share(cube, split), np.zeros((len(RATES), cube.c))
        for i, rate in enumerate(RATES):
            self.rates = [rate] * cube.c
            expected = self.raw(cube, issues) * share  # of the reports that are in by the slice's end
            losses[i] = [poisson_deviance(expected[..., c], counts[..., c]) for c in range(cube.c)]
        self.rates = [RATES[i] for i in losses.argmin(0)]

    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        return weighted_means(cube, issues, lambda age: (1 - np.array(self.rates)) ** age)

    def save_fit(self, folder: Path) -> None:
        write_json(folder / "rates.json", {"rates": self.rates})

    def load_fit(self, folder: Path) -> None:
        self.rates = read_json(folder / "rates.json", AGAIN)["rates"]


class SeasonalNaive(Forecaster):
    """Counts of the same slot a week ago: the hour of the week, or the weekday; by the month it is `last_year`.

    Where that step was not recorded, or its reports are not in, those of the week before it, and so on; the mean of the
    record where there are none.
    """

    name = "seasonal_naive"

    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        return a_season_ago(cube, issues, cube.step.slots)


class LastYear(Forecaster):
    """Counts of the same month a year ago; by the day or hour, of the same slot of the week 52 weeks ago.

    Where that step was not recorded, those of the year before it, and so on; the mean of the record where there are
    none.
    """

    name = "last_year"

    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        return a_season_ago(cube, issues, cube.step.year)


def weighted_means(cube: Cube, issues: np.ndarray, weigh: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """λ [m k n c] from the mean of the record before each issue, weighted by age.

    Args:
        cube: the record.
        issues: issue steps, [m].
        weigh: the weights [t c] of steps by their age [t c], in recorded days, or months.
    """
    record, length = cube.inputs, lengths(cube, issues)
    out = np.zeros((len(issues), cube.horizons, cube.n, cube.c), np.float32)
    for i, issue in enumerate(issues.tolist()):
        share = share_known(record, min(issue, cube.steps))
        to_come = length[issue : issue + cube.horizons, None, None]
        out[i] = mean(record, share, weigh(ages(share, cube.step.per_day)), length) * to_come
    return out


def a_season_ago(cube: Cube, issues: np.ndarray, season: int) -> np.ndarray:
    """λ [m k n c] from the counts of one step, a whole number of seasons of so many steps before each that is forecast.

    It is the newest that was recorded and reported. Where clocks were changed in between, it is moved by as much, so
    that it has the same local hour.
    """
    record, length, k = cube.inputs, lengths(cube, issues), np.arange(cube.horizons)
    slot, slots = cube.calendar(0, len(length)).slot, cube.step.slots
    out = np.zeros((len(issues), cube.horizons, cube.n, cube.c), np.float32)
    for i, issue in enumerate(issues.tolist()):
        until = min(issue, cube.steps)
        share, target = share_known(record, until), issue + k
        usual = mean(record, share, np.ones_like(share), length)
        source = np.full((cube.horizons, cube.c), -1)
        for before in range(season, issue + cube.horizons, season):
            step = np.maximum(target - before, 0)
            step += (slot[target] - slot[step] + slots // 2) % slots - slots // 2
            there = (target >= before) & (step >= 0) & (step < until)
            step = np.where(there, step, 0)
            source = np.where((source < 0) & there[:, None] & (share[step] > 0), step[:, None], source)
            if (source >= 0).all():
                break
        out[i] = usual
        if (found := source >= 0).any():
            first = int(source[found].min())
            counts = record.dense(first, int(source.max()) + 1, known_before=until).numpy()
            at, category = np.maximum(source, first), np.arange(cube.c)
            seen = (share[at, category] * length[at])[:, None]  # [k 1 c]
            read = (counts.transpose(0, 2, 1)[at - first, category].swapaxes(1, 2) + usual.mean(0)) / (seen + 1)
            out[i] = np.where(found[:, None], read, usual)
        out[i] *= length[target, None, None]
    return out


def mean(record: Cube, share: np.ndarray, weight: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Weighted mean of events a usual step over steps 0 … t − 1, with one more day or month at the city's: [n c].

    Args:
        record: events to be read, those of `Cube.inputs`.
        share: as `share_known` gives it, [t c].
        weight: of the steps, [t c].
        length: of the steps in usual ones, at least [t].
    """
    until, unit = len(share), record.step.per_day
    known = slice(int(np.searchsorted(record.known_hour, until)))
    weight = np.where(share > 0, weight, 0)
    hour, category = record.hour[known], record.category[known].astype(np.int64)
    place = record.hexagon[known].astype(np.int64) * record.c + category
    weighted = record.weight[known] * weight[hour, category]
    counts = np.bincount(place, weighted, minlength=record.n * record.c).reshape(record.n, record.c)
    seen = (weight * share * length[:until, None]).sum(0)
    city = (counts.sum(0) + 1) / (record.n * np.maximum(seen, unit))  # with an event more, so that it is above 0
    return (counts + unit * city) / (seen + unit)


def share_known(record: Cube, until: int) -> np.ndarray:
    """Expected share of the events of steps 0 … until − 1 that is known at `until`; 0 where not to be read: [t c]."""
    share = arrived(record, 0, until, until).astype(np.float64)
    if record.masked is not None:
        share[record.masked[:until]] = 0
    return np.where(share < REPORTED, 0, share)


def ages(share: np.ndarray, per_day: int) -> np.ndarray:
    """How many whole recorded days, or months, lie between each step and the issue, [t c]; of steps that are read."""
    read = share > 0
    return np.maximum(read[::-1].cumsum(0)[::-1] - 1, 0) // per_day


def lengths(cube: Cube, issues: np.ndarray) -> np.ndarray:
    """The length of the steps from 0 on to the last that is forecast, in usual ones, [t]."""
    last = int(issues.max(initial=0)) + cube.horizons
    found = cube.exposure(0, last)
    return np.ones(last) if found is None else found.astype(np.float64)
