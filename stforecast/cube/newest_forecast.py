"""The newest weather forecast before an issue: what fills the steps ahead of which none is archived yet.

A file holds the forecast of a moment, which its name tells. One that came after an issue is not read for it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from stforecast.config.sections import Weather
from stforecast.cube.cube import Cube, Series
from stforecast.cube.weather import read_weather

NEWEST = "newest"
"""Folder of the files."""
_NAME = "%Y%m%dT%H%M%SZ"


def name_of(time: pd.Timestamp) -> str:
    """The name of the file of a forecast that had come at a time (UTC); a part of a second counts as a whole one."""
    return f"{time.tz_convert('UTC').ceil('s').strftime(_NAME)}.csv"


def with_newest(
    cube: Cube, settings: Weather, folder: Path, issue_time: pd.Timestamp
) -> tuple[Cube, np.ndarray, pd.Timestamp | None]:
    """Fill the steps from an issue on of which no forecast is archived.

    Args:
        cube: of which nothing is forecast before the issue time.
        settings: of the files.
        folder: of the files.
        issue_time: the first one.

    Returns:
        The cube, whether a step was filled [t], and when the forecast that it was filled from had come.
    """
    found = [path for path in folder.glob("*.csv") if path.name <= name_of(issue_time)]
    values, issue = cube.future.values.copy(), cube.step_of(issue_time)
    if not found or not cube.future.names:
        return cube, np.zeros(len(values), bool), None
    path = max(found)
    newest = read_weather(path, settings, cube.axis, len(values)).on(list(cube.future.names)).values
    gaps = np.isnan(values) & np.isfinite(newest)
    gaps[:issue] = False
    values[gaps] = newest[gaps]
    came = pd.to_datetime(path.stem, format=_NAME, utc=True)
    return replace(cube, future=Series(cube.future.names, values)), gaps.any(1), came
