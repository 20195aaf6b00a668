"""The page of `stforecast report`: a finished run, for a reader who does not open a terminal."""

from __future__ import annotations

from stforecast.events.schema import EventTable
from stforecast.reports import accuracy, card, comparison, days, importance, quality
from stforecast.reports.evaluated import PERIODS, EvaluatedRun, words
from stforecast.reports.local import city_facts, whole_days
from stforecast.reports.page import Page


def page_of(run: EvaluatedRun, events: EventTable, simulated: bool) -> Page:
    """The report on a run.

    Args:
        run: with its predictions.
        events: those that its cube was built from.
        simulated: whether the city is a simulated one.
    """
    sections = [
        comparison.section(run),
        quality.section(events, run.cube.notes),
        accuracy.curves_section(run),
        accuracy.errors_section(run),
        importance.section(run),
        days.section(run),
        card.section(run, events.meta),
    ]
    periods = {
        PERIODS[name]: " to ".join(f"{time:%Y-%m-%d %H:%M}" for time in span) for name, span in run.slices.items()
    }
    facts = city_facts(run.cube, whole_days(run.cube), int(run.cube.weight.sum()), simulated) | periods
    facts["Model"] = f"{words(run.leader)} ({run.leader}), run {run.name}"
    facts["Compared with"] = ", ".join(words(name) for name in run.intensity if name != run.leader) or "nothing"
    return Page("report", f"{words(run.cube.name).title()}: how well reported offences were forecast", facts, sections)
