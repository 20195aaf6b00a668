"""Section: is the city of the last weeks still the one that forecasters learned from?

The number and the mix of reports in the last weeks are compared with all windows of the same length in the training
slice, each as it was known at its own end, so that late reports burden both alike. The windows are the blocks of a
moving-block bootstrap: how far one of them lies from the mean of the others is what chance and season do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.spatial.distance import jensenshannon
from scipy.stats import false_discovery_control

from stforecast.cube import Cube
from stforecast.delivery.figures import label, new_figure, whiskers
from stforecast.features.targets import outcomes, scored
from stforecast.reports.local import Local
from stforecast.reports.page import Block, Picture, Table, Text, note, standing, words
from stforecast.scoring.bootstrap import ENOUGH_BLOCKS, block_count, day_weights, interval, of_blocks, ratio_draws
from stforecast.scoring.calibration import calibration_slope
from stforecast.scoring.intensity import pool
from stforecast.scoring.splits import Split

WEEKS, LEVEL, LEAST_WINDOWS = 4, 0.05, 60
TITLE = f"The last {WEEKS} weeks and the period before"
WITHIN, OUTSIDE, CLEAR = "within", "outside", "outside, clear of chance"
LEAST_DAYS = 10
"""Days of the test slice that a month must have for its calibration to be told."""


@dataclass(frozen=True)
class Predictions:
    """Calibrated λ [m k n c] of a forecaster of a run on the test slice."""

    run: str
    forecaster: str
    intensity: np.ndarray


class Shift(NamedTuple):
    """A distance of the last window from the others, what 95 % of these lie within, and the share that lie as far.

    ratio: last count ÷ geometric mean of the others; NaN of a mix.
    """

    distance: float
    limit: float
    p: float
    ratio: float = np.nan


def level_shift(counts: np.ndarray) -> Shift:
    """From counts of windows [w + 1], the last of them in question: |log (count ÷ geometric mean of the others)|."""
    logs = np.log(np.maximum(counts, 0.5))
    away = logs - _others_mean(logs)
    return _shift(np.abs(away), ratio=float(np.exp(away[-1])))


def mix_shift(counts: np.ndarray) -> Shift:
    """From counts of windows by kind [w + 1, kinds], the last in question: Jensen–Shannon distance to the others' mix.

    In base 2: 0 for the same mix, 1 for nothing in common.
    """
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return _shift(np.nan_to_num(jensenshannon(share, _others_mean(share), base=2, axis=1)))


def _others_mean(values: np.ndarray) -> np.ndarray:
    """The mean of the training windows but each itself; for the last one of all of them."""
    total, size = values[:-1].sum(0), len(values) - 1
    return np.concatenate([(total - values[:-1]) / (size - 1), total[None] / size])


def _shift(away: np.ndarray, ratio: float = np.nan) -> Shift:
    reference, now = away[:-1], float(away[-1])
    p = (1 + np.count_nonzero(reference >= now)) / (len(reference) + 1)
    return Shift(now, float(np.quantile(reference, 0.95)), float(p), ratio)


def windows_of(local: Local, split: Split, kind: np.ndarray, kinds: int) -> np.ndarray:
    """Events by kind in every window of WEEKS weeks, as known at the window's end.

    Args:
        local: the events.
        split: training windows begin on every day of its training slice; those with masked hours are left out.
        kind: of each event, −1 for none, [e].
        kinds: how many there are.

    Returns:
        Counts of the training windows and last of the newest window, [w + 1, kinds].
    """
    cube, day = local.cube, split.day
    length = 7 * WEEKS * day
    step, known, rows = local.frame["step"].to_numpy(), local.frame["known"].to_numpy(), []
    ends = [end for end in range(split.first + length, split.train_end + 1, day) if recorded(cube, end - length, end)]
    for end in (*ends, cube.steps):
        here = (step >= end - length) & (step < end) & (known < end) & (kind >= 0)
        rows.append(np.bincount(kind[here], minlength=kinds))
    return np.array(rows)


def recorded(cube: Cube, first: int, last: int) -> bool:
    """Whether none of the steps first … last − 1 is masked."""
    masked = cube.masked_before()
    return masked is None or not masked[first:last].any()


def blocks(local: Local, split: Split, predictions: Predictions | None) -> list[Block]:
    """Number of reports by category and mixes of categories, hours and districts; calibration of the `predictions`."""
    return [*_shifts(local, split), *_calibration(local, split, predictions)]


def _shifts(local: Local, split: Split) -> list[Block]:
    """The shifts in one table."""
    if not recorded(local.cube, local.cube.steps - 7 * WEEKS * split.day, local.cube.steps):
        return [Text(f"Not all hours of the last {WEEKS} weeks were recorded.")]
    shifts = shifts_of(local, split)
    if not shifts:
        return [Text(f"The period that forecasters learn from is too short to compare the last {WEEKS} weeks with.")]
    frame = table_of(shifts)
    return [Text(headline(frame)), Table("drift", frame), note("drift", weeks=WEEKS, tests=len(shifts))]


def table_of(shifts: Mapping[str, Shift]) -> pd.DataFrame:
    """A row a shift: how far the last weeks lie from the others, and the verdict that the headline repeats."""
    frame = pd.DataFrame([*shifts.values()], index=[*shifts])[["ratio", "distance", "limit", "p"]]
    frame["p"] = false_discovery_control(frame["p"])
    outside = frame["distance"] > frame["limit"]
    frame["verdict"] = np.select([outside & (frame["p"] <= LEVEL), outside], [CLEAR, OUTSIDE], WITHIN)
    headings = {"ratio": "last weeks ÷ earlier", "limit": "95 % of windows within"}
    return frame.rename(columns=headings).reset_index(names="of")


def headline(frame: pd.DataFrame) -> str:
    """What `table_of` shows, in words: what lies outside by itself, and what of it is clear over all tests."""
    outside = frame.loc[frame["verdict"] != WITHIN, "of"].tolist()
    clear = frame.loc[frame["verdict"] == CLEAR, "of"].tolist()
    if not outside:
        return standing("drift_within", weeks=WEEKS)
    text = standing("drift_outside", weeks=WEEKS, names=", ".join(outside), count=len(outside), tests=len(frame))
    return f"{text} {standing('drift_clear' if clear else 'drift_not_clear', names=', '.join(clear))}"


def shifts_of(local: Local, split: Split) -> dict[str, Shift]:
    """Every shift by name; none where there are too few windows."""
    if (split.train_end - split.first) // split.day - 7 * WEEKS + 1 < LEAST_WINDOWS:
        return {}
    category = pd.Categorical(local.frame["category"], local.cube.categories).codes
    district = pd.Categorical(local.district())
    by_category = windows_of(local, split, category, local.cube.c)
    numbers = {"all": by_category.sum(1)} | dict(zip(local.cube.categories, by_category.T, strict=True))
    shifts = {f"number of {words(name)} reports": level_shift(values) for name, values in numbers.items()}
    shifts["mix of categories"] = mix_shift(by_category)
    shifts["mix of hours"] = mix_shift(windows_of(local, split, local.frame["time"].dt.hour.to_numpy(), 24))
    if (count := len(district.categories)) > 1:
        shifts["mix of districts"] = mix_shift(windows_of(local, split, district.codes, count))
    return shifts


def _calibration(local: Local, split: Split, predictions: Predictions | None) -> list[Block]:
    """Calibration by month of the test slice."""
    if predictions is None:
        return [Text("There is no finished run of this configuration: its calibration by month is left out.")]
    cube, name = local.cube, words(predictions.forecaster)
    issued = cube.times_of(scored(cube, split, "test")).tz_convert(cube.time_zone).tz_localize(None)
    months = by_month(np.asarray(predictions.intensity), outcomes(cube, split, "test"), issued, local.seed)
    if not len(months):
        return [Text("There are too few test days to compare forecast and reports by month.")]
    figure, (axes,) = new_figure(height=max(1.6, 0.9 + 0.27 * len(months)))
    low, ratio, high = months[["from", "reported ÷ expected", "to"]].to_numpy().T
    whiskers(axes, months["month"].tolist(), low, ratio, high, zero=1)
    label(axes, f"Reported ÷ expected by month, {name}", "with 95 % interval")
    text = f"The {name} (run {predictions.run}) on its test days: {months_in_words(months)}"
    alt = f"{text} " + "; ".join(f"{m} {r:.2f}" for m, r in zip(months["month"], ratio, strict=True)) + "."
    return [Text(text), Picture("calibration", figure, alt), Table("calibration", months)]


def months_in_words(months: pd.DataFrame) -> str:
    """What `by_month` shows: all months together, those off 1, and those of too few weeks to tell."""
    told = months[months["weeks"] >= ENOUGH_BLOCKS]
    off = told.loc[(told["from"] > 1) | (told["to"] < 1), "month"].tolist()
    ratio = months["reported"].sum() / months["expected"].sum()
    excluded = f"the interval excludes 1 in {', '.join(off)}" if off else "in no month does the interval exclude 1"
    text = f"reported ÷ expected is {ratio:.3f} in these months together; {excluded}."
    for weeks in range(1, ENOUGH_BLOCKS):
        if few := months.loc[months["weeks"] == weeks, "month"].tolist():
            text += f" {', '.join(few)}: {of_blocks(weeks)}."
    return text


def by_month(lam: np.ndarray, counts: np.ndarray, issued: pd.DatetimeIndex, seed: int = 0) -> pd.DataFrame:
    """Reported ÷ expected with its day-block interval, and the calibration slope, of each month.

    Args:
        lam: λ, [m k n c].
        counts: reports, [m k n c].
        issued: local issue times, [m].
        seed: of the draws of days.
    """
    month, rows = issued.to_period("M"), []
    for name in month.unique():
        here = np.flatnonzero(month == name)
        if len(here) < LEAST_DAYS:
            continue
        came, expected = (v[here].sum(axis=(1, 2, 3), dtype=np.float64) for v in (counts, lam))
        found = interval(ratio_draws(came, expected, day_weights(len(here), seed=seed)))
        ratio, slope = (found.low, found.estimate, found.high), calibration_slope(pool(lam[here]), pool(counts[here]))
        rows.append((str(name), int(came.sum()), expected.sum(), *ratio, slope, block_count(len(here))))
    names = ["month", "reported", "expected", "from", "reported ÷ expected", "to", "slope", "weeks"]
    return pd.DataFrame(rows, columns=names)
