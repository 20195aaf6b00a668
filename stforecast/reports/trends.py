"""Section: how many reports came month by month, with trend and season apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from stforecast.delivery.figures import BLUE, GREY, label, new_figure
from stforecast.reports.local import Local
from stforecast.reports.page import Block, Picture, Table, Text, note, standing, words

SEASON = 12
"""Months of a season; two whole ones are needed to tell it from the trend."""
ENOUGH_YEARS = 3
"""Years from which a season is told without saying of how few it is."""
LENGTH = 30.4375
"""Days of the mean month: counts are scaled to it."""


def blocks(local: Local) -> list[Block]:
    """Monthly rates by category; trend and season where the record is long enough."""
    return [*_blocks(local, local.groups, "trends"), note("trends")]


def severity(local: Local, patterns: Mapping[str, list[str]]) -> list[Block]:
    """The same by the severity classes that the configuration names, with `patterns` of offences."""
    classes = {name: mine for name, mine in local.classes(patterns).items() if mine.any()}
    if not patterns:
        return [Text("The configuration has no severity classes (analysis.severity), so all offences count alike.")]
    if not classes:
        return [Text("No offence of this record is in the severity classes of the configuration (analysis.severity).")]
    share = 1 - sum(mine.mean() for mine in classes.values())
    text = f"{share:.0%} of the events are of offences that no severity class names; they are left out here."
    return [Text(text), *_blocks(local, classes, "severity")]


def _blocks(local: Local, groups: Mapping[str, np.ndarray], key: str) -> list[Block]:
    months = monthly(local, groups)
    if len(months) < 3:
        return [Text("The record holds fewer than three whole months, too few for a trend.")]
    first, last = months.index[0], months.index[-1]
    rows, changes = [], []
    figure, axes = new_figure(months.shape[1], 1, height=1.9, sharex=True)
    for one, name in zip(axes, months.columns, strict=True):
        series = months[name]
        one.plot(series.asfreq("MS"), color=GREY, linewidth=0.9)  # broken where months are missing
        label(one, words(name), "", "a month")
        one.set_ylim(0, series.max() * 1.08 + 1e-9)
        row = {"group": words(name), "months": series.count(), "mean of a month": series.mean()}
        if (parts := decompose(series.dropna())) is not None:
            one.plot(series.index, parts["trend"], color=BLUE, linewidth=1.8)
            row |= figures(parts)
            changes.append(f"{words(name)} {row['last year on the year before (%)']:+.0f} %")
        rows.append(row)
    frame, span = pd.DataFrame(rows), len(pd.period_range(first, last, freq="M"))
    caption = "Grey: reports a month of 30.4 days."
    alt = standing("trends_alt", first=first, last=last, groups=", ".join(map(words, months.columns)))
    if changes:
        text = standing("trend_changes", last=last, changes="; ".join(changes)) + f" {_season(frame)}"
        caption += " Blue: trend without season."
        alt += f" Change of the trend in the last year: {'; '.join(changes)}."
    else:
        text = standing("trend_too_short" if span < 2 * SEASON else "trend_broken", needed=2 * SEASON, span=span)
    return [
        Text(text),
        Picture(key, figure, alt, caption),
        Table(key, frame),
        Table(f"{key}_months", months.reset_index(names="month"), shown=False),
    ]


def _season(frame: pd.DataFrame) -> str:
    """The season of the first group that has one, and which groups have none."""
    known = frame["highest month"].notna()
    first, left = frame[known].iloc[0], frame.loc[~known, "group"].tolist()
    years = first["months"] // SEASON
    few = f", from {years} years only" if years < ENOUGH_YEARS else ""
    text = standing("season", few=few, **first)
    return text + (f" Without a trend, for months without a report: {', '.join(left)}." if left else "")


def monthly(local: Local, groups: Mapping[str, np.ndarray] | None = None) -> pd.DataFrame:
    """Reports a month of LENGTH days, a row a whole local month, columns as of `Local.daily`."""
    days = local.daily(groups)
    days = days[local.complete_days() >= 0.98]
    by_month = days.groupby(pd.DatetimeIndex(days.index).to_period("M"))
    sums, seen = by_month.sum().where(by_month.count().eq(by_month.size(), axis=0)), by_month.size()
    whole = seen == pd.PeriodIndex(sums.index).days_in_month
    return (sums[whole].div(seen[whole], axis=0) * LENGTH).to_timestamp()


def decompose(series: pd.Series) -> pd.DataFrame | None:
    """Trend, and season as a factor on it, of monthly rates; None for less than two whole seasons or empty months."""
    from statsmodels.tsa.seasonal import STL

    if len(series) < 2 * SEASON or (series <= 0).any() or series.asfreq("MS").isna().any():
        return None
    found = STL(np.log(series.to_numpy()), period=SEASON, robust=True).fit()
    return pd.DataFrame({"trend": np.exp(found.trend), "season": np.exp(found.seasonal)}, index=series.index)


def figures(parts: pd.DataFrame) -> dict[str, object]:
    """Change of the trend, and the season as the mean of its years: that of one year alone overstates its extremes."""
    names = pd.DatetimeIndex(parts.index).month_name()
    trend, season = parts["trend"], parts["season"].groupby(names, sort=False).mean()
    change = trend.iloc[-SEASON:].mean() / trend.iloc[-2 * SEASON : -SEASON].mean() - 1
    return {
        "last year on the year before (%)": 100 * change,
        "highest month": season.idxmax(),
        "season, highest (%)": 100 * (season.max() - 1),
        "lowest month": season.idxmin(),
        "season, lowest (%)": 100 * (season.min() - 1),
    }
