"""Recent reports of places by day and week, as far as they may be shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from stforecast.cube import Cube
from stforecast.delivery.small_counts import shown_beside_areas, shown_beside_sums

WEEKS = 4


def recent_reports(
    cube: Cube, issue: int, hexagons: np.ndarray, never: np.ndarray, least: int
) -> dict[str, Any] | None:
    """Reports of places in the last whole weeks, from Monday to Sunday, as known at an issue.

    Weeks do not move from day to day, so that sums of one forecast less those of the next tell nothing. All categories
    that may be counted are one number: sums of categories tell nothing either. Nor do those of districts and city,
    which the comparison shows: of a week that would tell another place's, nothing is shown.

    Args:
        cube: the record.
        issue: the issue step.
        hexagons: rows of the cube, [m].
        never: categories whose counts are not shown, bool [c].
        least: the smallest count that is shown.

    Returns:
        `days`: local dates; `counts`: of each place by day, and `weeks`: their sums; None where a count is below
        `least` or a sum would tell such a one; `least`; `without`: categories that are not counted. None of all where
        steps are months, or no whole week was recorded.
    """
    if cube.step_unit == "month" or never.all():
        return None
    last = min(issue, cube.steps)
    first = max(0, last - cube.step.in_days(7 * (WEEKS + 1) + 1))
    days = cube.times_of(np.arange(first, last)).tz_convert(cube.time_zone).tz_localize(None).normalize()
    unique, of_step = np.unique(days, return_inverse=True)
    length = np.bincount(of_step) * cube.step_hours
    end = cube.time_of(last).tz_convert(cube.time_zone).tz_localize(None).normalize()
    monday = end - pd.Timedelta(days=end.weekday())
    masked = cube.masked_before(issue)
    hole = np.zeros(last - first, bool) if masked is None else masked[first:last][:, ~never].any(1)
    whole = (length >= 23) & (np.bincount(of_step, hole) == 0)
    starts = [monday - pd.Timedelta(weeks=back) for back in range(WEEKS, 0, -1)]
    recorded = pd.DatetimeIndex(unique[whole])
    weeks = [one for one in starts if pd.date_range(one, periods=7).isin(recorded).all()]
    if not weeks:
        return None
    dates = pd.DatetimeIndex([date for one in weeks for date in pd.date_range(one, periods=7)])
    counted = cube.dense(first, last, issue).numpy()[:, :, ~never].sum(2)  # [t n]
    counts = np.zeros((len(unique), cube.n))
    np.add.at(counts, of_step, counted)
    every = counts[np.searchsorted(unique, dates)].T.reshape(cube.n, len(weeks), 7).astype(np.int64)
    by_week = every[hexagons]
    shown = np.array([shown_beside_sums(one, least) for one in by_week])
    sums = np.zeros((cube.n, len(weeks)), bool)
    sums[hexagons] = shown[:, :, 0]
    areas = [np.zeros(cube.n, np.int64)]  # the city, and districts
    if "district" in cube.hexagons:
        areas.append(pd.factorize(cube.hexagons["district"])[0])
    for area in areas:
        sums = shown_beside_areas(every.sum(2), sums, area, least)
    shown &= sums[hexagons][:, :, None]
    return {
        "days": [f"{date:%Y-%m-%d}" for date in dates],
        "counts": _as_shown(by_week.reshape(len(hexagons), -1), shown[:, :, 1:].reshape(len(hexagons), -1)),
        "weeks": _as_shown(by_week.sum(2), shown[:, :, 0]),
        "least": least,
        "without": [name for name, hidden in zip(cube.categories, never, strict=True) if hidden],
    }


def _as_shown(counts: np.ndarray, shown: np.ndarray) -> list[list[int | None]]:
    return [[int(c) if s else None for c, s in zip(*row, strict=True)] for row in zip(counts, shown, strict=True)]
