"""Section: when offences are reported to occur: times of day, weekdays, and whether weekends differ.

Weekends are held against weekdays twice: how much is reported (a Poisson regression of daily counts on weekend and
month, with standard errors that are robust to over-dispersion and to the likeness of neighbouring days), and how
concentrated it is (Gini coefficients of days thinned to equally many events; days permuted within their week).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from stforecast.reports.examined import words
from stforecast.reports.figures import heat, label, new_figure
from stforecast.reports.local import Local
from stforecast.reports.page import Block, Picture, Section, Table, Text, p_value

BINS = {"night, 0–6": (0, 6), "morning, 6–12": (6, 12), "afternoon, 12–18": (12, 18), "evening, 18–24": (18, 24)}
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WEEKEND = np.array([False, False, False, False, False, True, True])
LAG_DAYS = 7
LEVEL = 0.05
LEAST_WEEKS, LEAST_EVENTS = 8, 10
DRAWS, THINNED = 1999, 4
CAPTION = (
    "Mean reports in an hour; rows are weekdays, columns local hours. An hour that is darker than both its neighbours "
    "on every weekday, often 00 or 12, is a sign of times that were entered rather than known."
)


@dataclass(frozen=True)
class Effect:
    """An estimate with its 95 % interval and p-value, from so many weeks; NaN where it cannot be measured."""

    estimate: float
    low: float
    high: float
    p: float
    weeks: int

    def leaves_out(self, none: float) -> bool:
        """Whether the value that says that there is no difference lies outside the interval."""
        return self.high < none or none < self.low


def section(local: Local) -> Section:
    """Times of day, hour × weekday, and the two weekend tests."""
    return Section("rhythm", "Times of day and week", [*_bins(local), _heat(local), *_weekend(local)])


def _bins(local: Local) -> list[Block]:
    hour = local.frame["time"].dt.hour.to_numpy()
    rows = []
    for name, mine in local.groups.items():
        row: dict[str, object] = {"category": words(name), "events": int(mine.sum())}
        rows.append(row | {b: float(np.mean((hour[mine] >= lo) & (hour[mine] < hi))) for b, (lo, hi) in BINS.items()})
    frame = pd.DataFrame(rows)
    exact = local.frame["time"].dt.strftime("%H:%M:%S").isin(["00:00:00", "12:00:00"]).mean()
    said = (
        f"Each six-hour part of the day would hold a quarter if hours did not matter. {exact:.1%} of these events "
        "stand at exactly midnight or noon, which is often an entry for an unknown hour: night and afternoon hold them."
    )
    return [Text(said), Table("times_of_day", frame, formats=dict.fromkeys(BINS, "{:.1%}"))]


def _heat(local: Local) -> Picture:
    """Mean reports of an hour, by weekday and hour, a panel each for all and every category."""
    groups = local.groups
    weekday, hour = local.frame["time"].dt.weekday.to_numpy(), local.frame["time"].dt.hour.to_numpy()
    weeks = max(len(local.recorded) / 7, 1)
    figure, axes = new_figure(-(-len(groups) // 2), 2, height=2.1)
    peaks = []
    for one, (name, mine) in zip(axes, groups.items(), strict=False):
        table = np.bincount(weekday[mine] * 24 + hour[mine], minlength=168).reshape(7, 24) / weeks
        image = heat(one, table, WEEKDAYS, [f"{h:02d}" for h in range(24)], every=6)
        figure.colorbar(image, ax=one, shrink=0.85).outline.set_visible(False)
        label(one, words(name), "", "")
        day, at = divmod(int(table.argmax()), 24)
        peaks.append(f"{words(name)} most on {WEEKDAYS[day]} {at:02d}:00")
    for spare in axes[len(groups) :]:
        spare.set_visible(False)
    alt = f"Heat maps of reports by hour of the day and weekday: {'; '.join(peaks)}."
    return Picture("hours_and_weekdays", figure, alt, CAPTION)


def _weekend(local: Local) -> list[Block]:
    weeks = len(local.recorded) // 7
    if weeks < LEAST_WEEKS:
        return [Text(f"The record holds {weeks} weeks: too few to hold weekends against weekdays.")]
    daily, rng = local.daily(), np.random.default_rng(local.seed)
    rows = []
    for name, mine in local.groups.items():
        if daily[name].sum() < LEAST_WEEKS * LEAST_EVENTS:
            continue
        volume, spread = weekend_volume(daily[name].dropna()), weekend_concentration(*_weeks(local, mine), rng=rng)
        rows.append((words(name), volume, spread))
    if not rows:
        return [Text("Too few events to hold weekends against weekdays.")]
    found = [effect for _, *pair in rows for effect in pair if np.isfinite(effect.p)]
    adjusted = dict(zip(map(id, found), false_discovery_control([e.p for e in found]), strict=True)) if found else {}
    up: list[str] = []
    down: list[str] = []
    more: list[str] = []
    less: list[str] = []
    alone: list[str] = []
    for name, v, s in rows:
        for what, effect, none in (("volume", v, 1.0), ("concentration", s, 0.0)):
            if effect.leaves_out(none) != (adjusted.get(id(effect), 1) <= LEVEL):
                alone.append(f"{what} of {name}")
        if adjusted.get(id(v), 1) <= LEVEL and v.leaves_out(1):
            (up if v.estimate > 1 else down).append(f"{name} ({100 * (v.estimate - 1):+.0f} %)")
        if adjusted.get(id(s), 1) <= LEVEL and s.leaves_out(0):
            (more if s.estimate > 0 else less).append(name)
    parts = [f"more is reported in {', '.join(up)}"] if up else []
    parts += [f"less in {', '.join(down)}"] if down else []
    parts += [f"reports are more concentrated in few hexagons in {', '.join(more)}"] if more else []
    parts += [f"less concentrated in {', '.join(less)}"] if less else []
    said = f"On weekends {'; '.join(parts)}." if parts else "No difference between weekends and weekdays is clear."
    if alone:
        said += f" Not clear, for only one of interval and p tells a difference: {', '.join(alone)}."
    note = (
        f"Saturdays and Sundays against other days of the same month, local days of midnight to midnight; {weeks} "
        f"weeks. p-values are controlled for false discoveries over the table's {len(found)} tests (Benjamini and "
        "Hochberg 1995). Concentration is measured at equally many events a day, so that a busier day is not more even "
        "for that alone. A difference tells when reports date offences to; default times and spans shift some of them."
    )
    volumes = _effects("reports a day, weekend ÷ weekday", [(name, v, adjusted.get(id(v))) for name, v, _ in rows])
    measured = [(name, s, adjusted.get(id(s))) for name, _, s in rows if np.isfinite(s.estimate)]
    spreads = _effects("Gini, weekend minus weekday", measured)
    blocks: list[Block] = [Text(said), Table("weekend_volume", volumes, formats=_formats(volumes, "{:.3f}"))]
    if measured:
        blocks.append(Table("weekend_concentration", spreads, formats=_formats(spreads, "{:+.4f}")))
    if left := [name for name, _, s in rows if not np.isfinite(s.estimate)]:
        reason = f"concentration needs {LEAST_WEEKS} weeks of at least {LEAST_EVENTS} events on each day"
        blocks.append(Text(f"Left out of the comparison of concentration: {', '.join(left)}; {reason}."))
    return [*blocks, Text(note, note=True)]


def _effects(of: str, rows: list[tuple[str, Effect, float | None]]) -> pd.DataFrame:
    """A row a category: estimate, interval, p controlled for false discoveries, weeks."""
    values = [(name, e.estimate, e.low, e.high, p, e.weeks) for name, e, p in rows]
    return pd.DataFrame(values, columns=["category", of, "from", "to", "p", "weeks"]).astype({"p": float})


def _formats(frame: pd.DataFrame, form: str) -> dict[str, Any]:
    return dict.fromkeys(map(str, frame.columns[1:4]), form) | {"p": p_value}


def weekend_volume(daily: pd.Series) -> Effect:
    """Rate of reports on weekends ÷ weekdays from counts by local day: a factor, with months held constant."""
    import statsmodels.api as sm

    index = pd.DatetimeIndex(daily.index)
    month = pd.get_dummies(pd.Series(index.to_period("M").astype(str)), dtype=float)
    design = np.column_stack([WEEKEND[index.weekday].astype(float), month.to_numpy()])
    design = design[:, np.r_[True, month.to_numpy().T @ daily.to_numpy() > 0]]  # a month without events has no rate
    fit = sm.GLM(daily.to_numpy(float), design, family=sm.families.Poisson(), hasconst=True).fit(
        cov_type="HAC", cov_kwds={"maxlags": LAG_DAYS}
    )
    low, high = np.exp(fit.conf_int()[0])
    return Effect(float(np.exp(fit.params[0])), float(low), float(high), float(fit.pvalues[0]), len(daily) // 7)


def _weeks(local: Local, mine: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Day (counted from the first Monday) and hexagon of events in whole weeks, and the number of days."""
    first = local.days[0] + pd.Timedelta(days=(-local.days[0].weekday()) % 7)
    count = (local.days[-1] - first).days + 1
    day = (local.date[mine] - first).dt.days.to_numpy()
    keep = (day >= 0) & (day < count - count % 7)
    return day[keep], local.frame["hexagon"].to_numpy()[mine][keep], count - count % 7


def weekend_concentration(day: np.ndarray, hexagon: np.ndarray, days: int, rng: np.random.Generator) -> Effect:
    """Mean Gini coefficient of weekend days minus that of weekdays, each week at equally many events a day.

    Two-sided p: weekday and weekend labels permuted among the seven days of each week. Weeks with a day of fewer than
    LEAST_EVENTS events are left out; NaN where fewer than LEAST_WEEKS remain.
    """
    order = np.argsort(day, kind="stable")
    parts = np.split(hexagon[order], np.searchsorted(day[order], np.arange(1, days)))
    values = []
    for week in range(days // 7):
        chosen = parts[7 * week : 7 * week + 7]
        least = min(map(len, chosen))
        if least >= LEAST_EVENTS:
            values.append([np.mean([gini(rng.choice(one, least, False)) for _ in range(THINNED)]) for one in chosen])
    if len(values) < LEAST_WEEKS:
        return Effect(np.nan, np.nan, np.nan, np.nan, len(values))
    table = np.array(values)  # [weeks 7]
    gap = table[:, WEEKEND].mean(1) - table[:, ~WEEKEND].mean(1)
    null = np.zeros(DRAWS)
    for i in range(DRAWS):
        mixed = rng.permuted(table, axis=1)
        null[i] = mixed[:, WEEKEND].mean() - mixed[:, ~WEEKEND].mean()
    p = (1 + np.count_nonzero(np.abs(null) >= abs(gap.mean()) - 1e-12)) / (DRAWS + 1)
    drawn = gap[rng.integers(0, len(gap), (DRAWS, len(gap)))].mean(1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Effect(float(gap.mean()), float(low), float(high), float(p), len(values))


def gini(places: np.ndarray) -> float:
    """Gini coefficient of how e events are spread over e places, of which those named held some: 0 … 1 − 1/e."""
    counts = np.sort(np.unique(places, return_counts=True)[1])
    size = len(places)
    padded = np.concatenate([np.zeros(size - len(counts)), counts])
    return float((2 * np.arange(1, size + 1) - size - 1) @ padded / (size * padded.sum()))
