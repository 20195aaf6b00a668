"""The cells of a cube, and the one that each event lies in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stforecast.config import Config
from stforecast.cube import hexgrid, places
from stforecast.cube.districts import district_of_centres, district_of_events
from stforecast.cube.geometry import Geometry, Hexagons
from stforecast.cube.statics import COLUMNS, statics
from stforecast.errors import ConfigError, DataError

NAMED = 5
"""Codes without a polygon that are said by name; the cube's notes have all of them."""


@dataclass(frozen=True)
class StudyArea:
    """Cells and events in them.

    geometry: the cells, in ascending order of their names. row: the cell of each event, int32 [e]; −1 where it lies in
    none. rule: how they were chosen, in words. messages: what is odd, as sentences. notes: the same in numbers.
    """

    geometry: Geometry
    row: np.ndarray
    rule: str
    messages: tuple[str, ...] = ()
    notes: dict[str, Any] = field(default_factory=dict)


def study_area(frame: pd.DataFrame, seen: np.ndarray, config: Config, names: Sequence[str] | None) -> StudyArea:
    """The cells of `grid`: those of a trained run (`names`), of `grid.area`, or with `grid.min_events` training events.

    Args:
        frame: columns latitude, longitude and, where the publisher names areas, area of the event table, [e].
        seen: which events are of the training slice and known when it ended, bool [e].

    Raises:
        ConfigError: the cells of the trained run are of another kind, resolution or file.
        DataError: a polygon file cannot be used, no event can be placed, or no cell has enough events.
    """
    return (_hexagons if config.grid.cells == "h3" else _polygons)(frame, seen, config, names)


def _hexagons(frame: pd.DataFrame, seen: np.ndarray, config: Config, names: Sequence[str] | None) -> StudyArea:
    grid = config.grid
    latitude, longitude = frame["latitude"].to_numpy(), frame["longitude"].to_numpy()
    if not (pointed := np.isfinite(latitude)).any():
        raise DataError(
            f"{config.city}: no event has a point, and hexagons need one. Set grid.cells: polygons, and name the file "
            "of the publisher's areas as grid.polygons."
        )
    cell = np.zeros(len(frame), np.int64)  # no H3 index
    cell[pointed] = hexgrid.cells_of(latitude[pointed], longitude[pointed], grid.resolution)
    if names is not None:
        area, rule = np.unique(hexgrid.from_names(names)), "hexagons of the trained run"
        if (found := hexgrid.resolution_of(area)) != grid.resolution:
            raise ConfigError(f"grid.resolution: {grid.resolution}, but the run was trained at {found}. Train again.")
    elif grid.area is not None:
        area, rule = places.area_cells(config.input(grid.area), grid.resolution), f"polygons of {grid.area}"
    else:
        found_cells, counts = np.unique(cell[seen & pointed], return_counts=True)
        area, rule = found_cells[_enough(counts, config, "hexagon", int(seen.sum()))], _rule(config, "hexagons")
    messages = []
    if without := int((~pointed).sum()):
        messages.append(f"{without:,} events have no point, and lie in no hexagon.")
    row = pd.Index(area).get_indexer(cell).astype(np.int32)
    return StudyArea(Hexagons(np.array(hexgrid.to_names(area))), row, rule, tuple(messages))


def _polygons(frame: pd.DataFrame, seen: np.ndarray, config: Config, names: Sequence[str] | None) -> StudyArea:
    path, key = str(config.grid.polygons), str(config.grid.polygon_key)
    cells, messages = places.polygon_cells(config.input(path), key)
    row, odd, notes = placed(cells, frame)
    if names is not None:
        chosen, rule = pd.Index(cells.names).get_indexer(pd.Index(sorted(names))), "areas of the trained run"
        if lost := int((chosen < 0).sum()):
            raise ConfigError(
                f"grid.polygons, grid.polygon_key: {lost} of {len(chosen)} areas of the trained run are not in {path}. "
                "Give the file that it was trained with, or train again."
            )
    else:
        counts = np.bincount(row[seen & (row >= 0)], minlength=len(cells.names))
        chosen = np.flatnonzero(_enough(counts, config, "polygon", int(seen.sum())))
        rule = _rule(config, "areas") if config.grid.min_events else f"polygons of {Path(path).name}"
    place = np.full(len(cells.names) + 1, -1, np.int32)  # and one more for events that lie in none
    place[chosen] = np.arange(len(chosen))
    return StudyArea(cells.take(chosen), place[row], rule, (*messages, *odd), notes)


def placed(cells: Geometry, frame: pd.DataFrame) -> tuple[np.ndarray, list[str], dict[str, Any]]:
    """The cell of each event: the one that holds its point or, where it has none, the one of its own area code.

    Args:
        cells: polygons, or hexagons.
        frame: columns latitude, longitude and perhaps area, [e].

    Returns:
        Rows of `cells`, int64 [e], −1 where an event lies in none; what is odd, as sentences; and the same in numbers.
    """
    latitude, longitude = frame["latitude"].to_numpy(), frame["longitude"].to_numpy()
    pointed = np.isfinite(latitude)
    row = np.full(len(frame), -1, np.int64)
    row[pointed] = cells.rows(latitude[pointed], longitude[pointed])
    messages, notes = [], dict[str, Any]()
    codes = frame["area"].astype(object) if "area" in frame else pd.Series(None, range(len(frame)), dtype=object)
    code, distinct = pd.factorize(codes)
    named = np.append(pd.Index(cells.names).get_indexer(pd.Index([str(one).strip() for one in distinct])), -1)[code]
    if (both := pointed & (row >= 0) & (named >= 0)).any():
        notes["code_and_point_disagree"] = differ = int((named != row)[both].sum())
        if differ:
            messages.append(
                f"{differ:,} of {int(both.sum()):,} events with a point lie in another polygon than the one of their "
                "area code: the point decides."
            )
    by_code = ~pointed & (code >= 0)
    row[by_code] = named[by_code]
    lost = pd.Series(codes.to_numpy()[by_code & (named < 0)]).value_counts()
    if len(lost):
        notes["codes_without_polygon"] = {str(name): int(count) for name, count in lost.items()}
        first = ", ".join(f"{name} ({count:,})" for name, count in lost.head(NAMED).items())
        more = f" and {len(lost) - NAMED:,} more" if len(lost) > NAMED else ""
        messages.append(
            f"{len(lost):,} area codes have no polygon: {first}{more}. Their {int(lost.sum()):,} events "
            f"({lost.sum() / len(frame):.1%}) are left out."
        )
    if without := int((~pointed & (code < 0)).sum()):
        messages.append(f"{without:,} events have neither a point nor an area code, and lie in no polygon.")
    return row, messages, notes


def _enough(counts: np.ndarray, config: Config, word: str, seen: int) -> np.ndarray:
    """Which cells have enough events of the training slice, of their `counts` [n]."""
    enough = counts >= config.grid.min_events
    if not enough.any():
        raise DataError(
            f"{config.city}: no {word} has {config.grid.min_events} events in the training slice ({seen} events known "
            f"by its end, at most {counts.max(initial=0)} in a {word}). Lower grid.min_events"
            f"{' or grid.resolution' if word == 'hexagon' else ''}, or raise split.train."
        )
    return enough


def _rule(config: Config, words: str) -> str:
    least = config.grid.min_events
    events = "event" if least == 1 else "events"
    return f"{words} with at least {least} {events} by the end of the period that is learned from"


def cell_table(area: StudyArea, config: Config, seen: np.ndarray, district: pd.Series) -> pd.DataFrame:
    """The table of a cube's cells: id, centre, area, district and what else is attached to them.

    Args:
        area: the cells and the events in them.
        config: its `grid` names the files of districts and statics.
        seen: events [e] whose districts count.
        district: of each event, [e].

    Raises:
        ConfigError, DataError: a file cannot be used.
    """
    grid, cells = config.grid, area.geometry
    latitude, longitude = cells.centres.T
    if grid.districts is not None:
        names = district_of_centres(config.input(grid.districts), grid.district_key, latitude, longitude)
    else:
        names = district_of_events(area.row[seen], district[seen], len(cells.names))
    table = pd.DataFrame(
        {
            "hexagon": pd.Series(cells.names, dtype="str"),
            "latitude": latitude,
            "longitude": longitude,
            "area_km2": cells.areas_km2,
            "district": pd.Series(names, dtype="str"),
        }
    )
    columns = grid.static_columns
    if not columns:
        return table
    if grid.statics is None:
        raise ConfigError("grid.static_columns: name the polygon file that holds them as grid.statics.")
    return table.join(statics(grid.statics, columns, cells, config, COLUMNS))
