"""Section: is the city of the last weeks still the one that is learned from?

Each of the last weeks' level and mix is held against all windows of the same length in the training slice, each as it
was known at its own end, so that late reports burden both alike. The windows are the blocks of a moving-block
bootstrap: how far one of them lies from the mean of the others is what chance and season do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial.distance import jensenshannon
from scipy.stats import false_discovery_control

from stforecast.evaluation.backtest import outcomes
from stforecast.reports.examined import kept, words
from stforecast.reports.figures import BLUE, GREY, label, new_figure
from stforecast.reports.local import Local
from stforecast.reports.page import Block, Picture, Section, Table, Text, p_value
from stforecast.scoring.bootstrap import Draws, day_weights, interval
from stforecast.scoring.intensity import pool
from stforecast.scoring.slope import calibration_slope
from stforecast.scoring.splits import Split

WEEKS, LEVEL, LEAST_WINDOWS = 4, 0.05, 60
LEAST_DAYS = 10
"""Days of the test slice that a month must have for its calibration to be told."""


@dataclass(frozen=True)
class Shift:
    """A distance of the last window from the others, what 95 % of these lie within, and the share that lie as far."""

    distance: float
    usual: float
    p: float


def level_shift(counts: np.ndarray) -> Shift:
    """From counts of windows [w + 1], the last of them in question: |log| of count over the mean of the others."""
    logs = np.log(np.maximum(counts, 0.5))
    away = np.abs(logs - _others_mean(logs))
    return _shift(away)


def mix_shift(counts: np.ndarray) -> Shift:
    """From counts of windows by kind [w + 1, kinds], the last in question: Jensen–Shannon distance to the others' mix.

    In base 2: 0 for the same mix, 1 for nothing in common.
    """
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    others = _others_mean(share)
    return _shift(np.nan_to_num(jensenshannon(share, others, base=2, axis=1)))


def _others_mean(values: np.ndarray) -> np.ndarray:
    """The mean of the training windows but each itself; for the last one of all of them."""
    total, size = values[:-1].sum(0), len(values) - 1
    out = np.empty(values.shape)
    out[:-1] = (total - values[:-1]) / (size - 1)
    out[-1] = total / size
    return out


def _shift(away: np.ndarray) -> Shift:
    reference, now = away[:-1], float(away[-1])
    p = (1 + np.count_nonzero(reference >= now)) / (len(reference) + 1)
    return Shift(now, float(np.quantile(reference, 0.95)), float(p))


def windows_of(local: Local, split: Split, kind: np.ndarray, kinds: int) -> np.ndarray:
    """Events known at its end of every training window of WEEKS weeks, and last of the newest: [w + 1, kinds].

    kind: of each event, −1 for none. Training windows begin on every day.
    """
    cube, day = local.cube, split.day
    length = 7 * WEEKS * day
    step, known, rows = local.frame["step"].to_numpy(), local.frame["known"].to_numpy(), []
    for end in (*range(split.first + length, split.train_end + 1, day), cube.steps):
        here = (step >= end - length) & (step < end) & (known < end) & (kind >= 0)
        rows.append(np.bincount(kind[here], minlength=kinds))
    return np.array(rows)


def section(local: Local, split: Split) -> Section:
    """Level by category, and mixes of categories, hours and districts, in one table."""
    title = f"The last {WEEKS} weeks against the training slice"
    shifts, counts = shifts_of(local, split)
    if not shifts:
        return Section("drift", title, [Text("The training slice is too short to tell what is usual.")])
    adjusted = false_discovery_control([shift.p for shift in shifts.values()])
    frame = pd.DataFrame(
        {
            "of": list(shifts),
            "last weeks over usual": [counts.get(name, np.nan) for name in shifts],
            "distance": [s.distance for s in shifts.values()],
            "95 % of windows within": [s.usual for s in shifts.values()],
            "p": adjusted,
        }
    )
    clear = [name for name, p in zip(shifts, adjusted, strict=True) if p <= LEVEL]
    said = (
        f"The last {WEEKS} weeks differ from the training slice in {', '.join(clear)}: what was learned there may fit "
        "less."
        if clear
        else f"Nothing in the last {WEEKS} weeks lies outside what windows of the training slice do by themselves."
    )
    note = (
        "Level: logarithm of the number of reports over the mean of the other windows. Mix: Jensen–Shannon distance, "
        "0 for the same mix and 1 for nothing in common. p: share of the training windows that lie as far from the "
        f"others, controlled for false discoveries over {len(shifts)} tests. Windows overlap, and in a training slice "
        "of few years few are apart: p is rough. Every window counts what was known at its own end."
    )
    formats: dict[str, Any] = {
        "last weeks over usual": "{:.2f}",
        "distance": "{:.3f}",
        "95 % of windows within": "{:.3f}",
        "p": p_value,
    }
    return Section("drift", title, [Text(said), Table("drift", frame, formats=formats), Text(note, note=True)])


def shifts_of(local: Local, split: Split) -> tuple[dict[str, Shift], dict[str, float]]:
    """Every shift by name, and of levels the last count over the mean; empty where there are too few windows."""
    if (split.train_end - split.first) // split.day - 7 * WEEKS + 1 < LEAST_WINDOWS:
        return {}, {}
    category = pd.Categorical(local.frame["category"], list(local.categories)).codes.astype(np.int64)
    by_category = windows_of(local, split, category, len(local.categories))
    levels = {"all": by_category.sum(1)} | {name: by_category[:, i] for i, name in enumerate(local.categories)}
    shifts = {f"level of {words(name)}": level_shift(values) for name, values in levels.items()}
    ratios = {f"level of {words(n)}": float(v[-1] / max(v[:-1].mean(), 1e-9)) for n, v in levels.items()}
    shifts["mix of categories"] = mix_shift(by_category)
    hour = local.frame["time"].dt.hour.to_numpy(np.int64)
    shifts["mix of hours"] = mix_shift(windows_of(local, split, hour, 24))
    district = pd.Categorical(local.district())
    if len(district.categories) > 1:
        codes = district.codes.astype(np.int64)
        shifts["mix of districts"] = mix_shift(windows_of(local, split, codes, len(district.categories)))
    return shifts, ratios


def calibration_blocks(stages: object, local: Local, split: Split) -> Sequence[Block]:
    """Calibration of the run of this configuration by month of its test slice, if there is one."""
    from stforecast.stages import Stages

    assert isinstance(stages, Stages)
    run = stages.run()
    if not run.finished:
        return [Text("There is no finished run of this configuration: its calibration by month is left out.")]
    name = run.facts()["forecasters"][0]
    lam, counts = kept(stages, run, local.cube, split, name), outcomes(local.cube, split, "test")
    issued = local.cube.times_of(split.issues("test")).tz_convert(local.cube.time_zone).tz_localize(None)
    months = by_month(np.asarray(lam), counts, issued, local.seed)
    if not len(months):
        return [Text("The test slice is too short to tell calibration by month.")]
    figure, (axes,) = new_figure(height=2.8)
    place, ratio = np.arange(len(months)), months["reported over expected"]
    axes.axhline(1, color=GREY, linewidth=0.8)
    axes.vlines(place, months["from"], months["to"], color=BLUE, linewidth=2)
    axes.plot(place, ratio, "o", color=BLUE, markersize=5)
    axes.set_xticks(place, months["month"], rotation=45 if len(months) > 8 else 0)
    label(axes, f"Reported over expected by month, {words(name)}", "", "with 95 % interval")
    off = months[(months["from"] > 1) | (months["to"] < 1)]["month"].tolist()
    said = f"Calibration of the {words(name)} (run {run.name}) by month of its test slice: "
    said += f"the level is off in {', '.join(off)}." if off else "no month's level is clear of what was expected."
    formats = (
        {"expected": "{:,.0f}"}
        | dict.fromkeys(("reported over expected", "from", "to"), "{:.3f}")
        | {"slope": "{:.2f}"}
    )
    alt = f"{said} " + "; ".join(f"{m} {r:.2f}" for m, r in zip(months["month"], ratio, strict=True)) + "."
    return [Text(said), Picture("calibration", figure, alt), Table("calibration", months, formats=formats)]


def by_month(lam: np.ndarray, counts: np.ndarray, issued: pd.DatetimeIndex, seed: int = 0) -> pd.DataFrame:
    """Σy / Σλ with its day-block interval and the calibration slope of each month; [m k n c], issue times [m]."""
    month, rows = issued.to_period("M"), []
    for name in month.unique():
        here = np.flatnonzero(month == name)
        if len(here) < LEAST_DAYS:
            continue
        came, expected = (v[here].sum(axis=(1, 2, 3), dtype=np.float64) for v in (counts, lam))
        weights = day_weights(len(here), seed=seed)
        ratio = interval(Draws(came.sum() / expected.sum(), (weights @ came) / (weights @ expected)))
        slope = calibration_slope(pool(lam[here]), pool(counts[here]))
        rows.append((str(name), int(came.sum()), expected.sum(), ratio.low, ratio.estimate, ratio.high, slope))
    names = ["month", "reported", "expected", "from", "reported over expected", "to", "slope"]
    return pd.DataFrame(rows, columns=names)
