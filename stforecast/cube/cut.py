"""A part of a cube's record as a cube of its own, in which nothing tells what occurred before or after."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stforecast.cube.covariates import ALWAYS, Covariate
from stforecast.cube.cube import Cube
from stforecast.cube.holes import Gap
from stforecast.cube.weather import Series


def cut(cube: Cube, first: int, last: int) -> Cube:
    """The steps first … last − 1 of a cube, with the events that occurred in them; they begin at step 0.

    Hexagons stay as they are. Late reports keep the time at which they became known, beyond the last step too; what is
    known in advance reaches as far beyond it as it did.

    Args:
        cube: the record.
        first: the step that becomes step 0; of hours the begin of a day, or issue times move.
        last: the step after the part, at most `cube.steps`.
    """
    keep = (cube.hour >= first) & (cube.hour < last)
    events = {name: getattr(cube, name)[keep] for name in cube.event_columns}
    for name in ("hour", "known_hour", "until_hour"):
        if name in events:
            events[name] = events[name] - np.int32(first)
    beyond = max(0, len(cube.future.values) - cube.steps)
    gaps = [replace(gap, first=max(gap.first - first, 0), last=min(gap.last, last) - first) for gap in cube.gaps]
    return replace(
        cube,
        start=cube.time_of(first),
        steps=last - first,
        **events,
        weather=_series(cube.weather, first, last),
        future=_series(cube.future, first, last + beyond),
        covariates=tuple(_covariate(one, first, last) for one in cube.covariates),
        gaps=tuple(gap for gap in gaps if _holds(gap)),
        masked=None if cube.masked is None else cube.masked[first:last],
    )


def _series(series: Series, first: int, last: int) -> Series:
    return Series(series.names, series.window(first, last)) if series.names else series


def _covariate(one: Covariate, first: int, last: int) -> Covariate:
    """Its rows that concern steps of the part, or later ones, and are known by its end."""
    rows = one.rows
    rows = rows[(rows["last"] > first) & (rows["known"] <= last)]
    always = np.abs(rows[["first", "last", "known"]]) >= ALWAYS
    shifted = rows[["first", "last", "known"]].where(always, rows[["first", "last", "known"]] - first)
    return Covariate.of(one.name, one.kind, rows.assign(**shifted), one.sensitive)


def _holds(gap: Gap) -> bool:
    return gap.first < gap.last
