"""`stforecast analyse`: one page about a city's record: trends, rhythms, districts, hot spots, repeats and drift."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stforecast.events.schema import EventTable
from stforecast.reports import districts, drift, hotspots, quality, repeats, rhythm, trends
from stforecast.reports.examined import words
from stforecast.reports.local import Local
from stforecast.reports.page import Page, Section, Text, check_libraries, write_page

if TYPE_CHECKING:
    from stforecast.pipeline.stages import Stages

CARE = (
    "Where several things are tested at once, false discoveries are controlled (Benjamini and Hochberg 1995) within "
    "each section, not over the page: of all that is called clear, about one in twenty may still be chance. Everything "
    "here describes reports. Nothing here tells why they come."
)


def analyse(stages: Stages) -> Path:
    """Write `data/<city>/analysis/`; returns the HTML file.

    Raises:
        ArtefactError: there are no events or no cube of them.
    """
    check_libraries()
    cube = stages.cube()
    events = EventTable.open(stages.place.silver)
    local, split = Local.of(cube, events, stages.config.seed), stages.split(cube)
    last = drift.section(local, split)
    sections = [
        Section("care", "How to read this page", [Text(CARE)]),
        quality.section(events, cube.notes),
        trends.section(local),
        trends.severity(local, stages.config.analysis.severity),
        rhythm.section(local),
        districts.section(local),
        hotspots.section(local),
        repeats.section(local),
        Section(last.key, last.title, [*last.blocks, *drift.calibration_blocks(stages, local, split)]),
    ]
    page = Page(
        "analysis",
        f"{words(cube.name).title()}: what the record of reported offences shows",
        _facts(local, stages),
        sections,
    )
    path = write_page(page, stages.place.silver.parent / "analysis")
    stages.say(f"analyse: wrote {path}")
    return path


def _facts(local: Local, stages: Stages) -> list[tuple[str, str]]:
    cube = local.cube
    simulated = ", a simulated city: no report in it is real" if stages.simulated() else ""
    return [
        ("City", words(cube.name).title() + simulated),
        ("Record", f"{local.days[0]:%Y-%m-%d} to {local.days[-1]:%Y-%m-%d}, {len(local.frame):,} events"),
        ("Places", f"{cube.n:,} hexagons of H3 resolution {cube.resolution}"),
        ("Categories", ", ".join(map(words, cube.categories))),
        ("Local time", cube.time_zone),
    ]
