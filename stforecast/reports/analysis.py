"""The page of `stforecast analyse`: a city's record with its trends, rhythms, districts, hot spots and repeats."""

from __future__ import annotations

from collections.abc import Mapping

from stforecast.events.schema import EventTable
from stforecast.reports import districts, drift, hotspots, quality, repeats, rhythm, trends
from stforecast.reports.local import Local, city_facts
from stforecast.reports.page import Page, Section, said, words
from stforecast.scoring.splits import Split


def page_of(
    local: Local,
    events: EventTable,
    split: Split,
    severity: Mapping[str, list[str]],
    simulated: bool,
    predictions: drift.Predictions | None,
    least: int,
) -> Page:
    """The analysis of a record.

    Args:
        local: the events on the city's clock.
        events: all of them.
        split: into the slices that forecasters learn from and are tested on.
        severity: patterns of offences by severity class.
        simulated: whether the city is a simulated one.
        predictions: of the finished run, if there is one.
        least: the smallest count of a district that is shown.
    """
    sections = [
        Section("care", "How to read this page", [said("care")]),
        Section("quality", "The record", quality.blocks(events, local.cube.notes)),
        Section("trends", "Trend and season", trends.blocks(local)),
        Section("severity", "Severity", trends.severity(local, severity)),
        Section("rhythm", "Times of day and week", rhythm.blocks(local)),
        Section("districts", "Districts", districts.blocks(local, least)),
        Section("hotspots", "Hot spots", hotspots.blocks(local)),
        Section("repeats", "Near repeats", repeats.blocks(local)),
        Section("drift", drift.TITLE, drift.blocks(local, split, predictions)),
    ]
    facts = city_facts(local.cube, local.days, len(local.frame), simulated)
    return Page(
        "analysis", f"{words(local.cube.name).title()}: what the record of reported offences shows", facts, sections
    )
