"""Steps, horizons and cells in words, and times in local time, for maps, pages and the service."""

from __future__ import annotations

import re

import pandas as pd

from stforecast.cube.steps import Step
from stforecast.delivery.riskgrid import HORIZON, RiskGrid

SIMULATED = "A simulated city: no report in it is real."
UNTRAINED = "Not trained on this record: learned from others, and only calibrated on this one."
WARNINGS = {"simulated": SIMULATED, "untrained": UNTRAINED}
"""What must not be overlooked in what a grid assumes, by name."""


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
    times = local_times(grid)
    names = zone_names(grid) or [""] * len(times)
    clocks = [f"{time:%H:%M} {name}".strip() for time, name in zip(times, names, strict=True)]
    days = [f"{time:%a} {time.day} {time:%b}" for time in times]
    return [f"{day} {begin} to {end}" for day, begin, end in zip(days, clocks, clocks[1:], strict=False)]


def local_times(grid: RiskGrid) -> list[pd.Timestamp]:
    """When each step begins and the last ends, in local time, [k + 1]."""
    return [time.tz_convert(grid.time_zone) for time in [*grid.starts[:HORIZON], grid.ends[HORIZON]]]


def zone_names(grid: RiskGrid) -> list[str] | None:
    """What the zone is called when each step begins and the last ends, [k + 1]; None where that does not change."""
    times = local_times(grid)
    if grid.step.unit != "hour" or times[0].utcoffset() == times[-1].utcoffset():
        return None
    return [time.strftime("%Z") for time in times]


def horizon_label(grid: RiskGrid) -> str:
    """From when to when the horizon lasts, as `span_label` says it."""
    return span_label(grid, range(grid.horizons))


def span_label(grid: RiskGrid, steps: range) -> str:
    """From when to when some steps last, in local time; of days and months the first and the last."""
    first, last = steps[0], steps[-1]
    if grid.step.unit == "hour":
        return " to ".join(local_text(time, grid.time_zone) for time in (grid.starts[first], grid.ends[last]))
    labels = step_labels(grid)
    return " to ".join(dict.fromkeys((labels[first], labels[last])))


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
