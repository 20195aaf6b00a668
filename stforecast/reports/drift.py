"""Section: is the city of the last weeks (or months) still the one that forecasters learned from?

The number and the mix of reports in them are compared with all windows of the same length in the training
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
from stforecast.cube.steps import Step
from stforecast.delivery.figures import label, new_figure, whiskers
from stforecast.features.targets import outcomes, scored
from stforecast.reports.local import Local
from stforecast.reports.page import Block, Picture, Table, Text, note, standing, words
from stforecast.reports.terms import terms_of
from stforecast.scoring.bootstrap import ENOUGH_BLOCKS, Blocks, blocks_of, interval, ratio_draws
from stforecast.scoring.calibration import calibration_slope
from stforecast.scoring.intensity import pool
from stforecast.scoring.splits import Split

LEVEL = 0.05
WITHIN, OUTSIDE, CLEAR = "within", "outside", "outside, clear of chance"


@dataclass(frozen=True)
class Span:
    """What is compared: windows of `steps` steps, `words` long, and at least so many of them.

    calibration is told by `period`, a month or a year, of those that hold at least `issues` of the test slice.
    """

    steps: int
    words: str
    windows: int
    period: str
    issues: int

    @staticmethod
    def of(step: Step) -> Span:
        """Four weeks by the day, and calibration by month; of monthly steps three months, and calibration by year."""
        if step.unit == "month":
            return Span(3, "3 months", 24, "year", 6)
        return Span(28 * step.per_day, "4 weeks", 60, "month", 10)

    @property
    def title(self) -> str:
        """Of the section."""
        return f"The last {self.words} and the period before"


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
    """Events by kind in every window, as known at the window's end.

    Args:
        local: the events.
        split: training windows begin on every day (or month) of its training slice, but for those with masked steps.
        kind: of each event, −1 for none, [e].
        kinds: how many there are.

    Returns:
        Counts of the training windows and last of the newest window, [w + 1, kinds].
    """
    cube, day, length = local.cube, split.day, Span.of(local.cube.step).steps
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
    span, cube = Span.of(local.cube.step), local.cube
    if not recorded(cube, cube.steps - span.steps, cube.steps):
        return [Text(f"The last {span.words} were not recorded as a whole.")]
    shifts = shifts_of(local, split)
    if not shifts:
        return [Text(f"The period that forecasters learn from is too short to compare the last {span.words} with.")]
    frame = table_of(shifts)
    about = note("drift", span=span.words, tests=len(shifts))
    return [Text(headline(frame, span.words)), Table("drift", frame), about]


def table_of(shifts: Mapping[str, Shift]) -> pd.DataFrame:
    """A row a shift: how far the last window lies from the others, and the verdict that the headline repeats."""
    frame = pd.DataFrame([*shifts.values()], index=[*shifts])[["ratio", "distance", "limit", "p"]]
    frame["p"] = false_discovery_control(frame["p"])
    outside = frame["distance"] > frame["limit"]
    frame["verdict"] = np.select([outside & (frame["p"] <= LEVEL), outside], [CLEAR, OUTSIDE], WITHIN)
    headings = {"ratio": "last ÷ earlier", "limit": "95 % of windows within"}
    return frame.rename(columns=headings).reset_index(names="of")


def headline(frame: pd.DataFrame, span: str) -> str:
    """What `table_of` shows, in words: what lies outside by itself, and what of it is clear over all tests."""
    outside = frame.loc[frame["verdict"] != WITHIN, "of"].tolist()
    clear = frame.loc[frame["verdict"] == CLEAR, "of"].tolist()
    if not outside:
        return standing("drift_within", span=span)
    text = standing("drift_outside", span=span, names=", ".join(outside), count=len(outside), tests=len(frame))
    return f"{text} {standing('drift_clear' if clear else 'drift_not_clear', names=', '.join(clear))}"


def shifts_of(local: Local, split: Split) -> dict[str, Shift]:
    """Every shift by name; none where there are too few windows."""
    span = Span.of(local.cube.step)
    if (split.train_end - split.first - span.steps) // split.day + 1 < span.windows:
        return {}
    category = pd.Categorical(local.frame["category"], local.cube.categories).codes
    district = pd.Categorical(local.district())
    by_category = windows_of(local, split, category, local.cube.c)
    numbers = {"all": by_category.sum(1)} | dict(zip(local.cube.categories, by_category.T, strict=True))
    shifts = {f"number of {words(name)} reports": level_shift(values) for name, values in numbers.items()}
    shifts["mix of categories"] = mix_shift(by_category)
    if local.unit == "hour":
        shifts["mix of hours"] = mix_shift(windows_of(local, split, local.frame["time"].dt.hour.to_numpy(), 24))
    if (count := len(district.categories)) > 1:
        shifts["mix of districts"] = mix_shift(windows_of(local, split, district.codes, count))
    return shifts


def _calibration(local: Local, split: Split, predictions: Predictions | None) -> list[Block]:
    """Calibration by month (or year) of the test slice."""
    cube, period = local.cube, Span.of(local.cube.step).period
    if predictions is None:
        return [Text(f"There is no finished run of this configuration: its calibration by {period} is left out.")]
    name, terms = words(predictions.forecaster), terms_of(cube.step, cube.horizons)
    issued = cube.times_of(scored(cube, split, "test")).tz_convert(cube.time_zone).tz_localize(None)
    found = by_period(np.asarray(predictions.intensity), outcomes(cube, split, "test"), issued, cube.step, local.seed)
    if not len(found):
        return [Text(f"There are too few test {terms['issues']} to compare forecast and reports by {period}.")]
    figure, (axes,) = new_figure(height=max(1.6, 0.9 + 0.27 * len(found)))
    low, ratio, high = found[["from", "reported ÷ expected", "to"]].to_numpy().T
    whiskers(axes, found[period].tolist(), low, ratio, high, zero=1)
    label(axes, f"Reported ÷ expected by {period}, {name}", "with 95 % interval")
    text = f"The {name} (run {predictions.run}) on its test {terms['issues']}: {in_words(found, period)}"
    alt = f"{text} " + "; ".join(f"{m} {r:.2f}" for m, r in zip(found[period], ratio, strict=True)) + "."
    if cube.horizons > cube.step.per_day:
        text += " " + standing("overlapping", **terms)
    return [Text(text), Picture("calibration", figure, alt), Table("calibration", found)]


def in_words(found: pd.DataFrame, period: str) -> str:
    """What `by_period` shows: all periods together, those off 1, and those of too few blocks to tell."""
    blocks = found.columns[-1]
    told = found[found[blocks] >= ENOUGH_BLOCKS]
    off = told.loc[(told["from"] > 1) | (told["to"] < 1), period].tolist()
    ratio = found["reported"].sum() / found["expected"].sum()
    excluded = f"the interval excludes 1 in {', '.join(off)}" if off else f"in no {period} does the interval exclude 1"
    text = f"reported ÷ expected is {ratio:.3f} in these {period}s together; {excluded}."
    for count in range(1, ENOUGH_BLOCKS):
        if few := found.loc[found[blocks] == count, period].tolist():
            rest = "no interval" if count == 1 else f"95 % intervals from {count} {blocks}, too few to be trusted"
            text += f" {', '.join(few)}: {rest}."
    return text


def by_period(lam: np.ndarray, counts: np.ndarray, issued: pd.DatetimeIndex, step: Step, seed: int = 0) -> pd.DataFrame:
    """Reported ÷ expected with its block interval, and the calibration slope, of each month (or year).

    Args:
        lam: λ, [m k n c].
        counts: reports, [m k n c].
        issued: local issue times, [m].
        step: of the axis.
        seed: of the draws of blocks.

    Returns:
        A row a period; the last column is named as the blocks are, and holds their number.
    """
    span, horizons, rows = Span.of(step), lam.shape[1], []
    of = issued.to_period(span.period[0].upper())
    for name in of.unique():
        here = np.flatnonzero(of == name)
        if len(here) < span.issues:
            continue
        blocks = Blocks.of(len(here), step.unit, horizons)
        came, expected = (v[here].sum(axis=(1, 2, 3), dtype=np.float64) for v in (counts, lam))
        found = interval(ratio_draws(came, expected, blocks.weights(len(here), seed)))
        ratio, slope = (found.low, found.estimate, found.high), calibration_slope(pool(lam[here]), pool(counts[here]))
        rows.append((str(name), int(came.sum()), expected.sum(), *ratio, slope, blocks.count))
    block = blocks_of(Blocks.of(1, step.unit, horizons).name)
    names = [span.period, "reported", "expected", "from", "reported ÷ expected", "to", "slope", block]
    return pd.DataFrame(rows, columns=names)
