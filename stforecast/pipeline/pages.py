"""The stages behind `stforecast report` and `stforecast analyse`: they hand the pages what these read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from stforecast.errors import ArtefactError
from stforecast.events.schema import EventTable
from stforecast.features.targets import outcomes
from stforecast.pipeline.preparation import one_writer
from stforecast.pipeline.results import Result
from stforecast.pipeline.stages import Stages
from stforecast.reports import analysis
from stforecast.reports import report as reports
from stforecast.reports.drift import Predictions
from stforecast.reports.evaluated import EvaluatedRun, with_large_districts
from stforecast.reports.local import Local
from stforecast.reports.page import check_libraries, write_page


@one_writer
def report(stages: Stages) -> Path:
    """Write `report/` into the folder of the run that this configuration leads to; the HTML file.

    Raises:
        ArtefactError: there is no cube, the run is not finished, or it was not evaluated.
    """
    check_libraries()
    page = reports.page_of(
        evaluated(stages),
        EventTable.open(stages.place.silver),
        stages.simulated(),
        stages.config.delivery.smallest_count,
    )
    path = write_page(page, stages.run().folder / "report")
    stages.say(f"report: wrote {path}")
    return path


@one_writer
def analyse(stages: Stages) -> Path:
    """Write `data/<city>/analysis/`; the HTML file.

    Raises:
        ArtefactError: there are no events or no cube of them.
    """
    check_libraries()
    cube, run, config = stages.cube(), stages.run(), stages.config
    events, split, predictions = EventTable.open(stages.place.silver), stages.split(cube), None
    if run.finished:
        name = run.facts()["forecasters"][0]
        predictions = Predictions(run.name, name, stages.predictions(run, cube, split, [name])[name])
    local = Local.of(cube, events, config.seed)
    severity, least = config.analysis.severity, config.delivery.smallest_count
    page = analysis.page_of(local, events, split, severity, stages.simulated(), predictions, least)
    path = write_page(page, stages.place.silver.parent / "analysis")
    stages.say(f"analyse: wrote {path}")
    return path


def evaluated(stages: Stages) -> EvaluatedRun:
    """The run of this configuration on its test slice.

    Raises:
        ArtefactError: there is no cube, the run is not finished, or it was not evaluated.
    """
    cube, run = stages.cube(), stages.run()
    run.facts()
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
    )
