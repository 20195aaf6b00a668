"""The page of `stforecast report`: a finished run, for a reader who does not open a terminal."""

from __future__ import annotations

from stforecast.events.examine.offence_words import sexual_categories
from stforecast.events.schema import EventTable
from stforecast.reports import accuracy, card, comparison, days, importance, quality
from stforecast.reports.evaluated import PERIODS, EvaluatedRun
from stforecast.reports.local import city_facts, whole_days
from stforecast.reports.page import Page, Section, words


def page_of(run: EvaluatedRun, events: EventTable, simulated: bool, least: int) -> Page:
    """The report on a run.

    Args:
        run: with its predictions.
        events: those that its cube was built from.
        simulated: whether the city is a simulated one.
        least: the smallest past count of a hexagon and day that is shown.
    """
    sexual = sexual_categories(events.meta["offences"])
    sections = [
        Section("forecasters", "The forecasters compared", comparison.blocks(run)),
        Section("quality", "The record", quality.blocks(events, run.cube.notes)),
        Section("curves", "Reliability and ranking", accuracy.curves(run)),
        Section("errors", "Where the forecast errs", accuracy.errors(run)),
        Section("importance", "What the forecast rests on", importance.blocks(run)),
        Section("days", "Three days: forecast and what was reported", days.blocks(run, sexual, least)),
        Section("card", "Model card", card.blocks(run, events.meta, least)),
    ]
    periods = {
        PERIODS[name]: " to ".join(f"{time:%Y-%m-%d %H:%M}" for time in span) for name, span in run.slices.items()
    }
    facts = city_facts(run.cube, whole_days(run.cube), int(run.cube.weight.sum()), simulated) | periods
    facts["Model"] = f"{words(run.leader)} ({run.leader}), run {run.name}"
    facts["Compared with"] = ", ".join(words(name) for name in run.intensity if name != run.leader) or "nothing"
    return Page("report", f"{words(run.cube.name).title()}: how well reported offences were forecast", facts, sections)
