"""`stforecast report`: one page about a finished run, for a reader who does not open a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stforecast.events.schema import EventTable
from stforecast.reports import accuracy, card, comparison, days, importance, quality
from stforecast.reports.examined import Examined, examined, words
from stforecast.reports.local import whole_days
from stforecast.reports.page import Page, check_libraries, write_page

if TYPE_CHECKING:
    from stforecast.pipeline.stages import Stages


def report(stages: Stages) -> Path:
    """Write `report/` into the folder of the run that this configuration leads to; returns the HTML file.

    Raises:
        ArtefactError: there is no cube, the run is not finished, or it was not evaluated.
    """
    check_libraries()
    found = examined(stages)
    events = EventTable.open(stages.place.silver)
    sections = [
        comparison.section(found),
        quality.section(events, found.cube.notes),
        accuracy.curves_section(found),
        accuracy.errors_section(found),
        importance.section(found, stages),
        days.section(found),
        card.section(found, events.meta),
    ]
    title = f"{words(found.cube.name).title()}: forecasts of reported offences, examined"
    path = write_page(Page("report", title, _facts(found, stages.simulated()), sections), found.run.folder / "report")
    stages.say(f"report: wrote {path}")
    return path


def _facts(found: Examined, simulated: bool) -> list[tuple[str, str]]:
    cube, days = found.cube, whole_days(found.cube)
    slices = [
        (
            "Training slice" if name == "train" else f"{name.capitalize()} slice",
            " to ".join(f"{time:%Y-%m-%d %H:%M}" for time in span),
        )
        for name, span in found.slices.items()
    ]
    return [
        ("City", words(cube.name).title() + (", a simulated city: no report in it is real" if simulated else "")),
        *slices,
        (
            "Places",
            f"{cube.n:,} hexagons of H3 resolution {cube.resolution}" if cube.resolution else f"{cube.n:,} places",
        ),
        ("Categories", ", ".join(map(words, cube.categories))),
        ("Model", f"{words(found.leader)} ({found.leader}), run {found.run.name}"),
        ("Compared with", ", ".join(words(name) for name in found.intensity if name != found.leader) or "nothing"),
        ("Record", f"{days[0]:%Y-%m-%d} to {days[-1]:%Y-%m-%d}, {int(cube.weight.sum()):,} events"),
        ("Local time", cube.time_zone),
    ]
