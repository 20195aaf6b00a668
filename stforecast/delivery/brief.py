"""What a briefing says of the hours of a shift, or of all: one page for a city or one of its districts.

Numbers are those of the tables and of the service, spelled alike: hours are added as `shifts.during` adds them, ranges
are `sums.range_of_sum`. `brief_tables` has the tables; `brief_pdf` and brief.html show them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stforecast.config.sections import SHIFTS, Hours
from stforecast.delivery.brief_tables import (
    PLACES,
    Part,
    Table,
    compared,
    districts,
    ordered,
    places,
    totals,
    unusual,
)
from stforecast.delivery.place_names import called
from stforecast.delivery.riskgrid import NOTICE, RiskGrid
from stforecast.delivery.shifts import shifts_of
from stforecast.delivery.words import WARNINGS, local_text, span_label
from stforecast.errors import ConfigError

PURPOSE = "For prevention, services and presence: where reports are to be expected, and not what is to be done there."


@dataclass(frozen=True, eq=False)
class Brief:
    """What a briefing says.

    title: city, or district of it. when: the hours. about: issue, end and model. warning: what must not be
    overlooked, or empty. grid: the forecast. inside: cells that it is about, bool [n]. expected: reports in these
    hours, [n]. top: rows of the places that are numbered, [p]. places, totals, districts, unusual, compared: tables, of
    which the last three may be None. score: how earlier forecasts did, or None. caveats: sentences.
    """

    title: str
    when: str
    about: str
    warning: str
    grid: RiskGrid
    inside: np.ndarray
    expected: np.ndarray
    top: np.ndarray
    places: Table
    totals: Table
    districts: Table | None
    unusual: Table | None
    compared: Table | None
    caveats: tuple[str, ...]
    score: Table | None = None


def brief_of(
    grid: RiskGrid,
    city: str,
    shift: str | None = None,
    district: str | None = None,
    shifts: Mapping[str, Hours] = SHIFTS,
    comparison: Mapping[str, Any] | None = None,
) -> Brief:
    """The briefing of a grid.

    Args:
        grid: of cells with outlines.
        city: its name.
        shift: which hours; None of all.
        district: which cells; None of all.
        shifts: from and to which local hour each lasts.
        comparison: with the year before, as the pipeline gives it.

    Raises:
        ConfigError: the grid has no such shift or district.
    """
    steps, named = _hours(grid, shift, shifts)
    part, inside = Part(grid, steps), _cells(grid, district)
    rows, top = np.flatnonzero(inside), part.order[inside[part.order]][:PLACES]
    title = city.replace("_", " ").title() + (f", {called(district, 'District')}" if district is not None else "")
    end = local_text(grid.ends[steps[-1]], grid.time_zone)
    issued = local_text(grid.issue_time, grid.time_zone)
    return Brief(
        title=title,
        when=": ".join(filter(None, (named, f"{_span(grid, steps)}, {grid.time_zone} time"))),
        about=f"Issued {issued}. Valid until {end}. Model {grid.model}.",
        warning=" ".join(words for words in WARNINGS.values() if words in grid.assumptions),
        grid=grid,
        inside=inside,
        expected=part.lam[0],
        top=top,
        places=places(part, top, rows, district),
        totals=totals(part, rows, district),
        districts=districts(part) if district is None else None,
        unusual=unusual(part, rows, district is None),
        compared=None if comparison is None else compared(comparison, district),
        caveats=_caveats(grid),
    )


def _hours(grid: RiskGrid, shift: str | None, shifts: Mapping[str, Hours]) -> tuple[range, str]:
    """The steps of a shift and how it is called; all of them without one."""
    if shift is None:
        return range(grid.horizons), ""
    found = shifts_of(grid, shifts)
    if shift not in found:
        there = f"it has {', '.join(found)}. Choose one" if found else "it has none. Leave it out"
        raise ConfigError(f"shift {shift}: no shift of this forecast of {grid.step_unit}s; {there}.")
    one = found[shift]
    return one.steps, " ".join(filter(None, (one.label, one.cut and f"({one.cut})")))


def _span(grid: RiskGrid, steps: range) -> str:
    """From when to when, with the day once where it is one."""
    begin, between, end = span_label(grid, steps).partition(" to ")
    day = begin.rpartition(" ")[0]
    return f"{begin}{between}{end.removeprefix(f'{day} ') if grid.step_unit == 'hour' else end}"


def _cells(grid: RiskGrid, district: str | None) -> np.ndarray:
    if district is None:
        return np.ones(len(grid.hexagons), bool)
    names = [] if grid.districts is None else ordered({*grid.districts} - {None})
    if not names:
        raise ConfigError(
            f"district {district}: this grid has no districts. Name their file as grid.districts and forecast again."
        )
    if district not in names:
        raise ConfigError(f"district {district}: the grid has none of that name, but {', '.join(names)}.")
    return np.asarray(grid.districts == district)


def _caveats(grid: RiskGrid) -> tuple[str, ...]:
    until = local_text(grid.complete_until, grid.time_zone)
    assumed = " ".join(f"{line.rstrip('.')}." for line in grid.assumptions if line not in WARNINGS.values())
    return (
        f"{PURPOSE} {NOTICE}",
        f"Record used until {until}; what was reported later is not in it. "
        + ("Ranges are of the count that is reported in the end. " if grid.spreads or grid.joint else "")
        + assumed,
        *([f"Data: {' '.join(grid.credits)}"] if grid.credits else []),
    )
