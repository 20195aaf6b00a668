"""Section: how many reports came month by month, with trend and season apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from stforecast.reports.examined import words
from stforecast.reports.figures import BLUE, GREY, label, new_figure
from stforecast.reports.local import Local
from stforecast.reports.page import Block, Picture, Section, Table, Text

SEASON = 12
"""Months of a season; two whole ones are needed to tell it from the trend."""
ENOUGH_YEARS = 3
"""Years from which a season is told without saying of how few it is."""
LENGTH = 30.4375
"""Days of the mean month: counts are scaled to it."""
NOTE = (
    "Trend and season by STL (Cleveland et al. 1990) in its robust form, on logarithms: months far off count less. The "
    "trend describes what was reported and recorded. It does not tell why, nor whether more happened or more was "
    "reported, and its last months are the least certain. The season of a month is its mean over the years. Months "
    "whose reports are less than 98 % in are left out."
)


def section(local: Local) -> Section:
    """Monthly rates by category; trend and season where the record is long enough."""
    return Section("trends", "Trend and season", [*_blocks(local, local.groups, "trends"), Text(NOTE, note=True)])


def severity(local: Local, given: Mapping[str, list[str]]) -> Section:
    """The same by the severity classes that the configuration names."""
    title, masks = "Severity", local.classes(given)
    classes = {name: mine for name, mine in masks.items() if mine.any()}
    if not classes:
        said = "name offences of this record" if given else "are given"
        return Section("severity", title, [Text(f"No severity classes {said} (analysis.severity): all count alike.")])
    share = 1 - sum(mine.mean() for mine in classes.values())
    said = f"{share:.0%} of the events are of offences that no class names; they are left out here."
    return Section("severity", title, [Text(said), *_blocks(local, classes, "severity")])


def _blocks(local: Local, groups: Mapping[str, np.ndarray], key: str) -> list[Block]:
    months = monthly(local, groups)
    if len(months) < 3:
        return [Text("The record holds fewer than three whole months: there is no trend.")]
    rows, said = [], []
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
            said.append(f"{words(name)} {row['last year on the year before (%)']:+.0f} %")
        rows.append(row)
    frame = pd.DataFrame(rows)
    last = months.index[-1]
    blocks: list[Block] = []
    if said:
        first = frame[frame["highest month"].notna()].iloc[0]
        years = first["months"] // SEASON
        few = f", from {years} years only" if years < ENOUGH_YEARS else ""
        blocks.append(
            Text(
                f"Mean of the trend over the last twelve months, to {last:%B %Y}, against the twelve before: "
                f"{'; '.join(said)}. Of {first['group']} reports the highest month of the season is "
                f"{first['highest month']} ({first['season, highest (%)']:+.0f} % on the trend) and the lowest "
                f"{first['lowest month']} ({first['season, lowest (%)']:+.0f} %){few}.{_untold(frame)}"
            )
        )
    elif len(pd.period_range(months.index[0], last, freq="M")) < 2 * SEASON:
        blocks.append(
            Text(f"Fewer than {2 * SEASON} whole months: trend and season cannot be told apart, and are left out.")
        )
    else:
        blocks.append(Text("Months are missing or without a report: trend and season are left out."))
    panels = ", ".join(words(name) for name in months.columns)
    alt = f"Reports a month from {months.index[0]:%B %Y} to {last:%B %Y}, a panel each for {panels}. "
    alt += f"Change of the trend over the last year: {'; '.join(said)}." if said else "There is no trend in it."
    blocks.append(Picture(key, figure, alt, "Grey: reports a month of 30.4 days. Blue: trend without season."))
    formats = {str(name): "{:+.1f}" for name in frame.columns if str(name).endswith("(%)")} | {
        "mean of a month": "{:,.0f}"
    }
    blocks.append(Table(key, frame, formats=formats))
    blocks.append(Table(f"{key}_months", months.reset_index(names="month"), shown=False))
    return blocks


def _untold(frame: pd.DataFrame) -> str:
    """The groups of a table that has trends, but not theirs."""
    left = frame.loc[frame["highest month"].isna(), "group"].tolist()
    return f" Without a trend, for months without a report: {', '.join(left)}." if left else ""


def monthly(local: Local, groups: Mapping[str, np.ndarray] | None = None) -> pd.DataFrame:
    """Reports a month of LENGTH days, a row a whole local month, columns as of `Local.daily`."""
    days = local.daily(groups)
    share = local.complete_days()
    days = days[share >= 0.98]
    month = pd.DatetimeIndex(days.index).to_period("M")
    by_month = days.groupby(month)
    sums, seen = by_month.sum().where(by_month.count().eq(by_month.size(), axis=0)), by_month.size()
    whole = seen == pd.PeriodIndex(sums.index).days_in_month
    return (sums[whole].div(seen[whole], axis=0) * LENGTH).to_timestamp()


def decompose(series: pd.Series) -> pd.DataFrame | None:
    """Trend, and season as a factor on it, of monthly rates; None for less than two whole seasons or empty months."""
    from statsmodels.tsa.seasonal import STL

    if len(series) < 2 * SEASON or (series <= 0).any() or len(series) != len(pd.period_range(*_ends(series), freq="M")):
        return None
    found = STL(np.log(series.to_numpy()), period=SEASON, robust=True).fit()
    return pd.DataFrame({"trend": np.exp(found.trend), "season": np.exp(found.seasonal)}, index=series.index)


def _ends(series: pd.Series) -> tuple[pd.Timestamp, pd.Timestamp]:
    return series.index[0], series.index[-1]


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
