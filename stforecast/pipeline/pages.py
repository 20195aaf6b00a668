"""The stages behind `stforecast report` and `stforecast analyse`: what stands on the pages, and what they read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from stforecast.cube.covariate_files import number_of
from stforecast.errors import ArtefactError
from stforecast.events.examine.offence_words import sexual_categories
from stforecast.events.schema import EventTable
from stforecast.features.targets import outcomes
from stforecast.forecasters.weights import origin, starts
from stforecast.pipeline.preparation import one_writer
from stforecast.pipeline.results import Result
from stforecast.pipeline.stages import Stages
from stforecast.reports import (
    accuracy,
    card,
    comparison,
    districts,
    drift,
    hotspots,
    importance,
    issues,
    quality,
    rates,
    repeats,
    rhythm,
    trends,
)
from stforecast.reports.evaluated import PERIODS, EvaluatedRun, with_large_districts
from stforecast.reports.local import Local, city_facts, span_in_words, whole_days
from stforecast.reports.page import Page, Section, check_libraries, said, words, write_page


@one_writer
def report(stages: Stages) -> Path:
    """Write `report/` into the folder of the run that this configuration leads to; the HTML file.

    Raises:
        ArtefactError: there is no cube, the run is not finished, or it was not evaluated.
    """
    check_libraries()
    run, events, least = evaluated(stages), EventTable.open(stages.place.silver), stages.config.delivery.smallest_count
    cube, sexual = run.cube, sexual_categories(events.meta["offences"])
    sections = [
        Section("forecasters", "The forecasters compared", comparison.blocks(run)),
        Section("quality", "The record", quality.blocks(events, cube.notes)),
        Section("curves", "Reliability and ranking", accuracy.curves(run)),
        Section("errors", "Where the forecast errs", accuracy.errors(run)),
        Section("importance", "What the forecast rests on", importance.blocks(run)),
        Section("issues", "Three forecasts and what was reported", issues.blocks(run, sexual, least)),
        *_rates(stages, run, sexual),
        Section("card", "Model card", card.blocks(run, events.meta, least)),
    ]
    facts = city_facts(cube, whole_days(cube), int(cube.weight.sum()), stages.simulated(), stages.credits())
    facts |= {PERIODS[name]: span_in_words(cube, *span) for name, span in run.slices.items()}
    facts["Model"] = f"{words(run.leader)} ({run.leader}), run {run.name}"
    facts["Compared with"] = ", ".join(words(name) for name in run.intensity if name != run.leader) or "nothing"
    title = f"{words(cube.name).title()}: how well reported offences were forecast"
    page = Page("report", title, facts, sections, cube.geometry.word)
    path = write_page(page, stages.run(run.cube).folder / "report")
    stages.say(f"report: wrote {path}")
    return path


def _rates(stages: Stages, run: EvaluatedRun, sexual: Collection[str]) -> list[Section]:
    """The section of rates, where there are any."""
    delivery = stages.config.delivery
    if delivery.rate is None:
        return []
    number = number_of(delivery.rate.of, stages.config, run.cube)
    return [Section("rates", "Rates", rates.blocks(run, delivery.rate, number, sexual, delivery.smallest_count))]


@one_writer
def analyse(stages: Stages) -> Path:
    """Write `data/<city>/analysis/`; the HTML file.

    Raises:
        ArtefactError: there are no events or no cube of them.
    """
    check_libraries()
    cube, config = stages.cube(), stages.config
    run = stages.run(cube)
    events, split, predictions = EventTable.open(stages.place.silver), stages.split(cube), None
    if run.finished:
        name = run.facts()["forecasters"][0]
        predictions = drift.Predictions(run.name, name, stages.predictions(run, cube, split, [name])[name])
    local = Local.of(cube, events, config.seed)
    sections = [
        Section("care", "How to read this page", [said("care")]),
        Section("quality", "The record", quality.blocks(events, cube.notes)),
        Section("trends", "Trend and season", trends.blocks(local)),
        Section("severity", "Severity", trends.severity(local, config.analysis.severity)),
        Section("rhythm", "Times of day and week", rhythm.blocks(local)),
        Section("districts", "Districts", districts.blocks(local, config.delivery.smallest_count)),
        Section("hotspots", "Hot spots", hotspots.blocks(local)),
        Section("repeats", "Near repeats", repeats.blocks(local)),
        Section("drift", drift.Span.of(cube.step).title, drift.blocks(local, split, predictions)),
    ]
    facts = city_facts(cube, local.days, len(local.frame), stages.simulated(), stages.credits())
    title = f"{words(cube.name).title()}: what the record of reported offences shows"
    path = write_page(Page("analysis", title, facts, sections, cube.geometry.word), stages.place.analysis)
    stages.say(f"analyse: wrote {path}")
    return path


def evaluated(stages: Stages) -> EvaluatedRun:
    """The run of this configuration on its test slice.

    Raises:
        ArtefactError: there is no cube, the run is not finished, or it was not evaluated.
    """
    cube = stages.cube()
    run = stages.run(cube)
    started = run.facts()["started"]
    result, split = Result(run.folder / "scorecard.json", {"run": run.name}, "evaluate"), stages.split(cube)
    if (card := result.scores()) is None:
        raise ArtefactError(f"{result.path}: the run was not evaluated by this version. Run `stforecast evaluate`.")
    counts, least = outcomes(cube, split, "test"), stages.config.delivery.smallest_count
    return EvaluatedRun(
        run.name,
        replace(cube, hexagons=with_large_districts(cube.hexagons, counts.sum((0, 1, 3)), least)),
        split,
        card,
        counts,
        stages.predictions(run, cube, split, [*card["forecasters"]]),
        lambda name: run.open(name, stages.config),
        stages.config.seed,
        origin(started) if starts(started, stages.config, next(iter(card["forecasters"]))) else "",
    )
