"""Tables that people keep by hand beside the reports: read as texts, with local times and numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from stforecast.cube.axis import Axis
from stforecast.cube.steps import instants_of
from stforecast.errors import DataError, in_brief

MICROSECOND = pd.Timedelta(microseconds=1)
OFFSET = r"(?:[zZ]|[T ]\d.*[+-]\d\d(?::?\d\d)?)$"
"""What a time that says how far it is from UTC ends with."""


def read_table(path: str | Path, needed: tuple[str, ...] = ()) -> pd.DataFrame:
    """A table of texts, null where blank, from CSV, Excel (the first sheet with the `needed` columns) or YAML.

    Raises:
        DataError: the file is absent, cannot be read or lacks a column.
    """
    path = Path(path)
    try:
        if path.suffix.lower() in (".yaml", ".yml"):
            found = [pd.DataFrame(yaml.safe_load(path.read_text(encoding="utf-8")), dtype=object)]
        elif path.suffix.lower() in (".xlsx", ".xls", ".xlsb", ".ods"):
            found = list(pd.read_excel(path, sheet_name=None, dtype=str, engine="calamine").values())
        else:
            found = [pd.read_csv(path, dtype=str, encoding="utf-8-sig", index_col=False)]
    except Exception as error:  # whatever the readers of three formats raise
        raise DataError(f"{path}: cannot be read as a table ({in_brief(error)}). Give a CSV, Excel or YAML.") from error
    table = next((one for one in found if {*needed} <= {*one.columns}), found[0])
    if missing := [name for name in needed if name not in table]:
        raise DataError(f"{path}: no column {', '.join(missing)}; it has {', '.join(map(str, table.columns))}.")
    table = table.map(lambda value: None if pd.isna(value) or not str(value).strip() else str(value).strip())
    for name in table:  # a spreadsheet writes dates as midnights
        text = table[name].dropna()
        if len(text) and text.str.fullmatch(r"\d{4}-\d\d-\d\d 00:00:00").all():
            table[name] = table[name].str[:10]
    return table.dropna(how="all")


def numbers(column: pd.Series, path: str | Path) -> np.ndarray:
    """A column of texts as float64, NaN where blank.

    Raises:
        DataError: a text is no number.
    """
    values = pd.to_numeric(column, errors="coerce")
    if (bad := ~np.isfinite(values) & column.notna()).any():
        raise DataError(f"{path}: {column.name} is {column[bad].iloc[0]!r}; expected a number or nothing.")
    return values.to_numpy(np.float64)


def next_step(axis: Axis, times: pd.DatetimeIndex) -> np.ndarray:
    """The first step that begins at or after each instant, int64."""
    return axis.step.since(axis.start, times - MICROSECOND) + 1


def local_times(column: pd.Series, path: str | Path, time_zone: str) -> pd.DatetimeIndex:
    """Instants (UTC) of texts; those without an offset are local.

    Raises:
        DataError: a text is no date or time of ISO form.
    """
    utc = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
    if (odd := utc.isna() | ~column.str.match(r"\d{4}-\d|\d{6}")).any():  # as `now` or 2024 are
        text = column[odd].iloc[0]
        raise DataError(f"{path}: {column.name} is {text!r}; expected a date or time as 2024-10-28 06:00.")
    aware = column.str.contains(OFFSET)
    if aware.any() and not aware.all():
        raise DataError(f"{path}: {column.name} has an offset in some rows only. Give it in all, or in none.")
    return pd.DatetimeIndex(utc) if aware.any() else instants_of(pd.DatetimeIndex(utc.dt.tz_localize(None)), time_zone)
