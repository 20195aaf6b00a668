"""Steps, horizons and cells in words, and times in local time, for maps, pages and the service."""

from __future__ import annotations

import re

import pandas as pd

from stforecast.cube.steps import Step
from stforecast.delivery.riskgrid import HORIZON, RiskGrid

SIMULATED = "A simulated city: no report in it is real."
"""What a grid of one assumes first."""


def length_of(step: Step, count: int = 1) -> str:
    """So many steps in words that stand behind "the": hour, 24 hours, day, 7 days, month."""
    return step.words(count).removeprefix("1 ")


def horizon_length(grid: RiskGrid) -> str:
    """How long the horizon is, as `length_of` says it."""
    return length_of(grid.step, grid.horizons)


def step_labels(grid: RiskGrid) -> list[str]:
    """A label a step in local time, [k]: distinct where a clock change repeats an hour, because the zone is named."""
    begins = grid.starts[:HORIZON].tz_convert(grid.time_zone)
    if grid.step.unit == "month":
        return [f"{begin:%B %Y}" for begin in begins]
    if grid.step.unit == "day":
        return [f"{begin:%a} {begin.day} {begin:%b %Y}" for begin in begins]
    return [f"{day} {clock} to {end}" for (day, clock), (_, end) in step_bounds(grid)]


def step_bounds(grid: RiskGrid) -> list[list[list[str]]]:
    """Local day and clock of the begin and of the end of each step, [k 2 2]; of days and months its label for both."""
    if grid.step.unit != "hour":
        return [[[label], [label]] for label in step_labels(grid)]
    begins, ends = (times[:HORIZON].tz_convert(grid.time_zone) for times in (grid.starts, grid.ends))
    clock = "%H:%M %Z" if begins[0].utcoffset() != ends[-1].utcoffset() else "%H:%M"
    return [
        [[f"{time:%a} {time.day} {time:%b}", time.strftime(clock)] for time in step]
        for step in zip(begins, ends, strict=True)
    ]


def horizon_label(grid: RiskGrid) -> str:
    """From when to when the horizon lasts, in local time; of days and months the first and the last."""
    if grid.step.unit == "hour":
        return " to ".join(local_text(times[HORIZON], grid.time_zone) for times in (grid.starts, grid.ends))
    labels = step_labels(grid)
    return " to ".join(dict.fromkeys((labels[0], labels[-1])))


def local_text(time: pd.Timestamp, time_zone: str) -> str:
    """An instant in local time, such as Mon 30 Sep 2024 00:00."""
    local = time.tz_convert(time_zone)
    return f"{local:%a} {local.day} {local:%b %Y %H:%M}"


def called(text: str, cell: str) -> str:
    """Text written of hexagons, of cells that are called otherwise; but for the forecaster of that name."""
    if cell == "hexagon":
        return text

    def spelled(found: re.Match[str]) -> str:
        article, word = found.groups("")
        if article:
            article = f"{article[0]}{'n' if cell[0] in 'aeiou' else ''} "
        return article + (cell.capitalize() if word[0] == "H" else cell)

    return re.sub(r"\b([Aa] )?([Hh]exagon)(?![ _]mean)", spelled, text)
