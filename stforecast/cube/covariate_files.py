"""From the files of `covariates:` to covariates on the steps and cells of a cube."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from stforecast.config import Config
from stforecast.config.sections import AreaSeries, CellValues
from stforecast.cube import planned
from stforecast.cube.axis import Axis
from stforecast.cube.covariates import EVERYWHERE, Covariate
from stforecast.cube.cube import Cube
from stforecast.cube.geometry import Geometry
from stforecast.cube.polygon_files import read_shapes
from stforecast.cube.statics import TAKEN, statics
from stforecast.cube.steps import Step, step_of
from stforecast.cube.tables import local_times, next_step, numbers, read_table
from stforecast.cube.weather import OBSERVED
from stforecast.errors import ConfigError, DataError

LONGEST = 800
"""More hours, days or months than any step holds of them."""


@dataclass
class Found:
    """What was read: covariates for forecasters, static columns for the table of cells, and what is odd, in words."""

    covariates: tuple[Covariate, ...] = ()
    columns: dict[str, np.ndarray] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)


def read_covariates(config: Config, axis: Axis, geometry: Geometry, cells: pd.DataFrame, end: int) -> Found:
    """The covariates of a configuration.

    Args:
        config: of the city.
        axis: steps of the cube.
        geometry: its cells.
        cells: their table, with the `district` of each, [n].
        end: the step up to which forecasts may look.

    Raises:
        ConfigError: a name or key does not fit.
        DataError: a file cannot be read, or holds what it must not.
    """
    found, covariates = Found(), []
    for name, entry in config.covariates.items():
        sensitive = bool(entry.sensitive)
        if isinstance(entry, CellValues):
            if name in (*TAKEN, *cells.columns):
                raise ConfigError(f"covariates.{name}: cells have a column of that name already. Choose another.")
            found.columns[name] = values = _cell_values(name, entry, config, geometry)
            if missing := int(np.isnan(values).sum()):
                word = f"{geometry.word}s"
                found.messages.append(f"{name} is not known of {missing:,} of {len(values):,} {word}.")
            covariate = Covariate.static(name, values, sensitive)
        elif not entry.is_read:
            continue
        elif isinstance(entry, AreaSeries):
            covariate, messages = read_series(name, entry, config, axis, geometry, cells, end)
            found.messages += messages
        else:
            path = config.input(entry.calendar)
            rows, messages = planned.rows_of(name, path, read_table(path), axis, config.horizons, geometry, end)
            covariate = Covariate.of(name, "planned", rows, sensitive)
            found.messages += messages
        if entry.is_read:
            covariates.append(covariate)
    found.covariates = tuple(covariates)
    return found


def read_series(
    name: str, entry: AreaSeries, config: Config, axis: Axis, geometry: Geometry, cells: pd.DataFrame, end: int
) -> tuple[Covariate, list[str]]:
    """A series by area and time, and what is odd about it in words; arguments and errors as of `read_covariates`."""
    rows, messages = _series(name, entry, config, axis, geometry, cells)
    rows = rows[(rows["last"] > 0) & (rows["first"] < end)]
    messages += _masked(name, rows, axis.steps)
    return Covariate.of(name, "ahead" if entry.ahead else "past", rows, bool(entry.sensitive)), messages


def number_of(name: str, config: Config, cube: Cube) -> Covariate:
    """How many there are in each cell, for rates: an entry of `covariates`, whether forecasters read it or not.

    Raises:
        ConfigError: the series is not by cell: how much of a district's number is in one of its cells is not known.
        DataError: its file cannot be read, or holds what it must not.
    """
    entry = config.covariates[name]
    if not isinstance(entry, AreaSeries):
        return Covariate.static(name, cube.hexagons[name].to_numpy(np.float64))
    path, geometry = config.input(entry.series), cube.geometry
    if entry.key is None or not read_table(path, (entry.key,))[entry.key].isin(geometry.names).any():
        what = f"and {path} has it by none. Name values by {geometry.word}, or a series with their codes as its key."
        raise ConfigError(f"delivery.rate.of: rates take the number in each {geometry.word}, {what}")
    end = cube.steps + cube.step.ahead + cube.horizons
    return read_series(name, entry, config, cube.axis, geometry, cube.hexagons, end)[0]


def _cell_values(name: str, entry: CellValues, config: Config, geometry: Geometry) -> np.ndarray:
    """The value of each cell, NaN where unknown, [n]."""
    path, setting = config.input(entry.cells), f"covariates.{name}"
    if entry.key is not None:
        column = str(entry.column)
        table = read_table(path, (entry.key, column)).dropna(subset=[entry.key])
        if (again := table[entry.key].duplicated()).any():
            raise DataError(f"{path}: {entry.key} {table[entry.key][again].iloc[0]} stands there twice.")
        values = pd.Series(numbers(table[column], path), table[entry.key]).reindex(geometry.names).to_numpy()
        if np.isnan(values).all():
            raise DataError(
                f"{path}: no {geometry.word} has one of its codes, such as {table[entry.key].iloc[0]}; theirs are such "
                f"as {geometry.names[0]}. Correct {setting}.key, or grid.polygon_key."
            )
        return values
    own = geometry.polygons is not None and entry.cells == config.grid.polygons
    if not own and (points := _points_in(path, geometry, entry.column, setting)) is not None:
        if entry.how == "count":
            return np.bincount(points.index, minlength=len(geometry.names)).astype(np.float64)
        grouped = points.groupby(level=0)
        found, without = (grouped.sum(), 0) if entry.how == "sum" else (grouped.mean(), np.nan)
        return found.reindex(range(len(geometry.names)), fill_value=without).to_numpy()
    if entry.how == "count":
        raise ConfigError(f"{setting}.how: count is of points, and {path} holds polygons. Use sum or mean of a column.")
    column = str(entry.column)
    frame = statics(entry.cells, {column: str(entry.how)}, geometry, config, setting)
    return frame[column].to_numpy(np.float64)


def _points_in(path: str, geometry: Geometry, column: str | None, setting: str) -> pd.Series | None:
    """The attribute of a file's points (1 without one) by the row of the cell that holds each; None of other files."""
    frame = read_shapes(path, [] if column is None else [column])
    if not (points := frame.geom_type == "Point").any():
        return None
    if not points.all():
        raise DataError(f"{path}: expected points alone. Save it so.")
    if column is not None and (column not in frame or not pd.api.types.is_numeric_dtype(frame[column])):
        raise DataError(f"{path}: no attribute {column!r} with numbers. Correct {setting}.column.")
    row = geometry.rows(frame.geometry.y.to_numpy(), frame.geometry.x.to_numpy())
    if (row < 0).all():
        raise DataError(f"{path}: none of its points lies in the study area. Is it another city's file?")
    values = np.ones(len(frame)) if column is None else frame[column].to_numpy(np.float64)
    return pd.Series(values[row >= 0], row[row >= 0])


def _series(
    name: str, entry: AreaSeries, config: Config, axis: Axis, geometry: Geometry, cells: pd.DataFrame
) -> tuple[pd.DataFrame, list[str]]:
    """Rows of a covariate, and what is odd."""
    path = config.input(entry.series)
    keys = [entry.key] if entry.key else []
    table = read_table(path, (entry.time, entry.column, *keys)).dropna(subset=[entry.time, *keys])
    local = local_times(table[entry.time], path, axis.step.time_zone)
    period = _period(table[entry.time], local, axis.step.time_zone)
    zero = period.times(axis.start, [0])[0]
    frame = pd.DataFrame({"number": period.since(zero, local), "area": table[entry.key] if entry.key else ""})
    frame["value"] = numbers(table[entry.column], path)
    again = frame.duplicated(["number", "area"]).to_numpy()
    if period.unit == "hour":  # what is of shorter periods is averaged
        again = table.duplicated([entry.time, *keys]).to_numpy() & ~_shown_twice(local, axis.step.time_zone)
    if again.any():
        row = table[again].iloc[0]
        raise DataError(f"{path}: {' '.join(str(row[key]) for key in [*keys, entry.time])} stands there twice.")
    frame = _on_steps(frame.dropna(subset=["value"]), entry, axis, period, zero, config.horizons)
    if entry.key is None:
        return frame.assign(cell=EVERYWHERE), []
    code = pd.Series(geometry.names)
    if not code.isin(frame["area"]).any():
        code = cells["district"].astype(object).reset_index(drop=True)
    if not code.isin(frame["area"]).any():
        raise DataError(
            f"{path}: no {geometry.word} is, and none lies in a district called, {table[entry.key].iloc[0]}. Correct "
            f"covariates.{name}.key, or name the file of these areas as grid.districts."
        )
    places_of = pd.DataFrame({"area": code, "cell": np.arange(len(code))})
    lost = int((~code.isin(frame["area"])).sum())
    messages = [f"{name} is not known of {lost:,} of {len(code):,} {geometry.word}s."] if lost else []
    return frame.merge(places_of, on="area"), messages


def _masked(name: str, rows: pd.DataFrame, steps: int) -> list[str]:
    """That no area has a value at many steps of the record, in words."""
    change = np.zeros(steps + 1)
    np.add.at(change, rows["first"].clip(0, steps), 1)
    np.add.at(change, rows["last"].clip(0, steps), -1)
    share = float((change.cumsum()[:-1] > 0).mean())
    if share >= OBSERVED:
        return []
    return [f"{name} is known at {share:.0%} of the steps of the record, and masked at the others."]


def _on_steps(
    frame: pd.DataFrame, entry: AreaSeries, axis: Axis, period: Step, zero: pd.Timestamp, horizons: int
) -> pd.DataFrame:
    """Values by area and number of the period as rows: first, last, known, area and value.

    What is shorter than a step is averaged over it, where OBSERVED of it is there. What is past holds from when it is
    published until its successor is to be, so that a value that fails to come is masked and not the last one again.
    """
    if frame.empty:
        return frame.assign(first=0, last=0, known=0)
    number = np.arange(frame["number"].min() - LONGEST, frame["number"].max() + LONGEST + 1)
    begin, end, later = (period.times(zero, number + shift) for shift in (0, 1, 2))
    if entry.ahead:
        shorter = period.hours < axis.step.hours
        first = axis.step.since(axis.start, begin) if shorter else next_step(axis, begin)
        last = next_step(axis, end)
        known = first - horizons
    else:
        lag = pd.Timedelta(hours=entry.lag_hours)
        first, last = next_step(axis, end + lag), next_step(axis, later + lag)
        known = first
    place = frame["number"].to_numpy() - number[0]
    out = frame.assign(first=first[place], last=last[place], known=known[place])
    grouped = out.groupby(["first", "area"], as_index=False).agg(
        value=("value", "mean"), count=("value", "size"), last=("last", "max"), known=("known", "max")
    )
    due = pd.Series(first).value_counts().reindex(grouped["first"]).to_numpy()
    return grouped[grouped["count"] >= OBSERVED * due].drop(columns="count")


def _shown_twice(times: pd.DatetimeIndex, time_zone: str) -> np.ndarray:
    """Whether local clocks show the same time again an hour later, bool."""
    here, later = (each.tz_convert(time_zone).tz_localize(None) for each in (times, times + pd.Timedelta(hours=1)))
    return np.asarray(here == later)


def _period(column: pd.Series, times: pd.DatetimeIndex, time_zone: str) -> Step:
    """Whether the values are of hours, local days or months, as the dates show."""
    local = times.tz_convert(time_zone)
    if (local != local.normalize()).any():
        return step_of("hour", time_zone)
    months = len(local) > 0 and (local.day == 1).all() and (len(local.unique()) > 1 or len(str(column.iloc[0])) == 7)
    return step_of("month" if months else "day", time_zone)
