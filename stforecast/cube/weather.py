"""Hourly weather from a CSV in UTC: units are declared, converted and checked; gaps stay gaps. Of days and months it is
the mean.

Channels leave in degC, mm, hPa, m/s and, for percentages, as a fraction of one.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from stforecast.config.sections import Weather
from stforecast.cube.axis import Axis
from stforecast.errors import ConfigError, DataError, in_brief


@dataclass(frozen=True)
class Series:
    """Named channels by step, with gaps: values [t w] float32, NaN where nothing was observed."""

    names: tuple[str, ...] = ()
    values: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def window(self, first: int, last: int) -> np.ndarray:
        """Steps first … last − 1 as [t w]; NaN outside the series."""
        out = np.full((last - first, len(self.names)), np.nan, np.float32)
        low, high = max(first, 0), min(last, len(self.values))
        if low < high:
            out[low - first : high - first] = self.values[low:high]
        return out

    def on(self, names: list[str]) -> Series:
        """The channels of these names, in their order; one that is not there is NaN."""
        frame = pd.DataFrame(self.values, columns=pd.Index(self.names)).reindex(columns=names)
        return Series(tuple(names), frame.to_numpy(np.float32))

    def seen_before(self, step: int, least: int) -> Series:
        """The channels that were observed at `least` so many of the steps before one."""
        seen = np.isfinite(self.window(0, step)).sum(0) >= least
        return self.on([name for name, enough in zip(self.names, seen, strict=True) if enough])


@dataclass(frozen=True)
class Unit:
    """value · factor + offset is in `into`; a value outside low … high means that the unit is another one."""

    factor: float
    offset: float
    into: str
    low: float
    high: float


OBSERVED = 0.75
"""Share of the hours of a day or month that must have been observed."""


def _kind(into: str, low: float, high: float, **factors: tuple[float, float]) -> dict[str, Unit]:
    return {name: Unit(factor, offset, into, low, high) for name, (factor, offset) in factors.items()}


# The bounds hold the records of the World Meteorological Organization's archive of extremes with some room:
# −89 … 57 degC, 305 mm in an hour, 870 … 1084 hPa at sea level (300 hPa is above any city), 113 m/s.
UNITS: dict[str, Unit] = {
    **_kind("degC", -100, 70, degC=(1, 0), degF=(5 / 9, -160 / 9), K=(1, -273.15)),
    **_kind("mm", -0.1, 500, mm=(1, 0), inch=(25.4, 0)),
    # relative humidity and cloud cover are published a little above 100 % now and then
    **_kind("fraction", -0.01, 1.1, fraction=(1, 0), percent=(0.01, 0)),
    **_kind("hPa", 300, 1100, hPa=(1, 0)),
    **_kind("m/s", -0.1, 120, **{"m/s": (1, 0), "km/h": (1 / 3.6, 0), "mph": (0.44704, 0), "knots": (1852 / 3600, 0)}),
}


def read_weather(path: str | Path, settings: Weather, axis: Axis, steps: int) -> Series:
    """The declared channels of a CSV(.gz) on the first `steps` steps of an axis, as [t w] float32.

    The file may begin and end anywhere. An hour that it lacks or leaves blank is NaN; a longer step is the mean of its
    hours, and NaN where less than OBSERVED of them are there.

    Raises:
        ConfigError: no channel is declared, or with a unit that is not known.
        DataError: the file cannot be read, lacks a column, has a time that is no full hour of ISO form or is
            there twice, a value that is no number, or one that is impossible in the declared unit.
    """
    path, names = Path(path), tuple(settings.channels)
    if not names:
        raise ConfigError(
            f"weather.channels: declare which columns of {path} to use and their units, "
            "for example {temperature_2m: degC, precipitation: mm}."
        )
    for name, unit in settings.channels.items():
        if unit not in UNITS:
            raise ConfigError(f"weather.channels.{name}: unit {unit!r} is not known. Use one of: {', '.join(UNITS)}.")
    table = _read(path, settings.time, names)
    hours = _hours(table[settings.time], path, settings.time)
    index = axis.steps_of(hours)
    inside = (index >= 0) & (index < steps)
    values = np.full((steps, len(names)), np.nan, np.float32)
    for column, name in enumerate(names):
        found = _convert(table[name], path, name, settings.channels[name])[inside]
        values[:, column] = _means(index[inside], found, axis, steps)
    return Series(names, values)


def _means(step: np.ndarray, value: np.ndarray, axis: Axis, steps: int) -> np.ndarray:
    """The mean of hourly values [h] by step [t]."""
    seen = np.isfinite(value)
    count = np.bincount(step[seen], minlength=steps)
    length = axis.step.exposure(axis.start, 0, steps)
    enough = np.maximum(1, OBSERVED * axis.step.hours * (1.0 if length is None else length))
    total = np.bincount(step[seen], value[seen].astype(np.float64), minlength=steps)
    return np.divide(total, count, out=np.full(steps, np.nan), where=count >= enough)


def coverage(series: Series, steps: int) -> dict[str, float]:
    """Share of the steps 0 … steps − 1 at which each channel was observed."""
    observed = np.isfinite(series.window(0, steps))
    return {name: round(float(observed[:, i].mean()), 4) for i, name in enumerate(series.names)}


def _read(path: Path, time: str, names: tuple[str, ...]) -> pd.DataFrame:
    if not path.is_file():
        raise DataError(f"{path}: no such weather file. Correct weather.path, or set it to null to go without weather.")
    try:
        table = pd.read_csv(path, dtype=str, encoding="utf-8-sig", skip_blank_lines=False, index_col=False)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as CSV ({in_brief(error)}). Download it again.") from error
    if missing := [name for name in (time, *names) if name not in table]:
        raise DataError(
            f"{path}: no column {', '.join(missing)}. Its columns are: {', '.join(table.columns)}. "
            "Correct weather.channels or weather.time."
        )
    return table[[time, *names]].dropna(how="all")


def _hours(column: pd.Series, path: Path, name: str) -> pd.Series:
    times = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
    _refuse(times.isna(), column, path, name, "a UTC time such as 2022-02-11 04:00:00")
    _refuse(times != times.dt.floor("h"), column, path, name, "full hours, one row an hour")
    _refuse(times.duplicated(), column, path, name, "each hour once, but this one is repeated")
    return times


def _convert(column: pd.Series, path: Path, name: str, unit_name: str) -> np.ndarray:
    unit = UNITS[unit_name]
    text = column.str.strip()
    text = text.where(text != "")
    number = pd.to_numeric(text, errors="coerce")
    _refuse(number.isna() & text.notna(), column, path, name, "a number or nothing")
    value = number * unit.factor + unit.offset
    expected = f"{unit.low:g} to {unit.high:g} {unit.into} after conversion from {unit_name}: is that its unit?"
    _refuse((value < unit.low) | (value > unit.high), column, path, name, expected)
    return value.to_numpy(np.float32)


def _refuse(bad: pd.Series, column: pd.Series, path: Path, name: str, expected: str) -> None:
    if bad.any():
        label = bad.index[bad][0]
        # line 1 is the header, and the index counts the lines after it from 0, blank ones included
        raise DataError(f"{path}, line {label + 2}: {name} is {column[label]!r}; expected {expected}")
