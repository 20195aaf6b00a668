"""Section: when offences are reported to occur: times of day, weekdays, and whether weekends differ.

Weekends are compared with weekdays twice: how much is reported (a Poisson regression of daily counts on weekend and
month, with standard errors that are robust to over-dispersion and to the likeness of neighbouring days), and how
concentrated it is (Gini coefficients of days thinned to equally many events; days permuted within their week).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from stforecast.delivery.figures import colour_bar, heat, panels
from stforecast.reports.local import Local
from stforecast.reports.page import Block, Picture, Table, Text, note, said, standing, words
from stforecast.reports.terms import WEEKDAYS

BINS = {"night, 0–6": (0, 6), "morning, 6–12": (6, 12), "afternoon, 12–18": (12, 18), "evening, 18–24": (18, 24)}
WEEKEND = np.array([False, False, False, False, False, True, True])
CHANGES = {
    ("number", True): "More reports",
    ("number", False): "Fewer reports",
    ("concentration", True): "Reports closer together, in fewer hexagons",
    ("concentration", False): "Reports spread more evenly over the hexagons",
}
"""What it is called where the number or the concentration of reports is higher on weekends, or lower."""
LAG_DAYS = 7
LEVEL = 0.05
LEAST_WEEKS, LEAST_EVENTS = 8, 10
DRAWS, THINNED = 1999, 4


class Effect(NamedTuple):
    """An estimate with its 95 % interval and p-value, from so many weeks; NaN where it cannot be measured."""

    estimate: float
    low: float
    high: float
    p: float
    weeks: int


def blocks(local: Local) -> list[Block]:
    """Times of day, hour × weekday, and the two weekend tests, as far as the record and its steps tell them."""
    if local.unit == "month":
        return [Text(f"{_why(local, 'month')}: what differs by hour or weekday is left out.")]
    if local.unit == "day":
        return [Text(f"{_why(local, 'day')}: what differs by hour is left out."), *_weekend(local)]
    return [*_bins(local), _heat(local), *_weekend(local)]


def _why(local: Local, unit: str) -> str:
    """Why nothing finer than a unit is told."""
    if local.precision == unit:
        return f"The publisher gives the {unit} of an event and no more"
    return f"The steps of this configuration are {unit}s"


def _bins(local: Local) -> list[Block]:
    hour = local.frame["time"].dt.hour.to_numpy()
    rows = [
        {"category": words(name), "events": int(mine.sum())}
        | {part: float(np.mean((hour[mine] >= low) & (hour[mine] < high))) for part, (low, high) in BINS.items()}
        for name, mine in local.groups.items()
    ]
    exact = local.frame["time"].dt.strftime("%H:%M:%S").isin(["00:00:00", "12:00:00"]).mean()
    table = Table("times_of_day", pd.DataFrame(rows))
    return [said("times_of_day", exact=exact), table]


def _heat(local: Local) -> Picture:
    """Mean reports of an hour, by weekday and hour, a panel each for all and every category."""
    weekday, hour = local.frame["time"].dt.weekday.to_numpy(), local.frame["time"].dt.hour.to_numpy()
    weeks = max(len(local.recorded) / 7, 1)
    figure, axes = panels(map(words, local.groups), height=2.1)
    peaks = []
    for one, (name, mine) in zip(axes, local.groups.items(), strict=True):
        table = np.bincount(weekday[mine] * 24 + hour[mine], minlength=168).reshape(7, 24) / weeks
        colour_bar(figure, one, heat(one, table, WEEKDAYS, [f"{h:02d}" for h in range(24)], every=6))
        day, at = divmod(int(table.argmax()), 24)
        peaks.append(f"{words(name)} most on {WEEKDAYS[day]} {at:02d}:00")
    alt = f"Heat maps of reports by hour of the day and weekday: {'; '.join(peaks)}."
    return Picture("hours_and_weekdays", figure, alt, standing("hours_and_weekdays"))


def _weekend(local: Local) -> list[Block]:
    weeks = len(local.recorded) // 7
    if weeks < LEAST_WEEKS:
        return [Text(f"The record holds {weeks} weeks: too few to compare weekends with weekdays.")]
    daily, rng = local.daily(), np.random.default_rng(local.seed)
    chosen = {name: mine for name, mine in local.groups.items() if daily[name].sum() >= LEAST_WEEKS * LEAST_EVENTS}
    if not chosen:
        return [Text("Too few events to compare weekends with weekdays.")]
    rows = []
    for name, mine in chosen.items():
        rows.append((words(name), "number", *weekend_volume(daily[name].dropna())))
        rows.append((words(name), "concentration", *weekend_concentration(*_weeks(local, mine), rng=rng)))
    found = pd.DataFrame(rows, columns=["category", "what", "estimate", "from", "to", "p", "weeks"])
    tested, number = found["p"].notna(), found["what"] == "number"
    found.loc[tested, "p"] = false_discovery_control(found.loc[tested, "p"].to_numpy())
    none = number.astype(float)  # no difference is a ratio of 1, or a difference of 0
    excluded, small = (found["to"] < none) | (none < found["from"]), found["p"] <= LEVEL
    clear, up = excluded & small, found["estimate"] > none
    percent = (100 * (found["estimate"] - 1)).map(" ({:+.0f} %)".format).where(number, "")
    parts = [
        f" {what}: {', '.join(names)}."
        for (of, more), what in CHANGES.items()
        if (names := (found["category"] + percent)[clear & (found["what"] == of) & (up == more)].tolist())
    ]
    text = f"On weekends, by category, against weekdays.{''.join(parts)}" if parts else standing("weekend_alike")
    if alone := (found["what"] + " of " + found["category"] + " reports")[excluded != small].tolist():
        text += f" Not clear, because interval and p disagree: {', '.join(alone)}."
    blocks: list[Block] = [Text(text)]
    for name, here, of in (
        ("weekend_volume", number, "reports a day, weekend ÷ weekday"),
        ("weekend_concentration", ~number & tested, "Gini, weekend minus weekday"),
    ):
        if here.any():
            blocks.append(Table(name, found[here].drop(columns="what").rename(columns={"estimate": of})))
    if left := ", ".join(found.loc[~number & ~tested, "category"]):
        blocks.append(said("weekend_left_out", names=left, weeks=LEAST_WEEKS, events=LEAST_EVENTS))
    return [*blocks, note("weekend", weeks=weeks, tests=int(tested.sum()))]


def weekend_volume(daily: pd.Series) -> Effect:
    """Rate of reports on weekends ÷ weekdays from counts by local day: a factor, with months held constant."""
    import statsmodels.api as sm

    index = pd.DatetimeIndex(daily.index)
    month = pd.get_dummies(pd.Series(index.to_period("M").astype(str)), dtype=float)
    design = np.column_stack([WEEKEND[index.weekday].astype(float), month.to_numpy()])
    design = design[:, np.r_[True, month.to_numpy().T @ daily.to_numpy() > 0]]  # a month without events has no rate
    model = sm.GLM(daily.to_numpy(float), design, family=sm.families.Poisson(), hasconst=True)
    fit = model.fit(cov_type="HAC", cov_kwds={"maxlags": LAG_DAYS})
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

    Weeks with a day of fewer than LEAST_EVENTS events are left out.

    Args:
        day: of each event, counted from a Monday, [e].
        hexagon: of each event, [e].
        days: how many there are, whole weeks.
        rng: thins days, permutes and draws weeks.

    Returns:
        The effect; its two-sided p is of weekday and weekend labels permuted among the seven days of each week. NaN
        where fewer than LEAST_WEEKS weeks remain.
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
    size, counts = len(places), np.unique(places, return_counts=True)[1]
    padded = np.concatenate([np.zeros(size - len(counts)), np.sort(counts)])
    return float((2 * np.arange(1, size + 1) - size - 1) @ padded / (size * padded.sum()))
