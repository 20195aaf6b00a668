"""The stage behind `stforecast backtest`: fits, calibrations and forecasts of every fold, kept as they are made.

A killed backtest goes on where it was: each fold is a run of its own on disk (see `run.py`), and what is there is not
made again. Forecasts are always made by a forecaster opened from its files, so that going on changes no figure.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stforecast.config import dump
from stforecast.cube import Cube
from stforecast.delivery.figures import backtest_figure, call_cells
from stforecast.delivery.words import called
from stforecast.evaluation.comparison import as_csv, as_markdown, compare
from stforecast.evaluation.predictions import kept_predictions, predictions
from stforecast.evaluation.rolling import Panel, folds, offsets
from stforecast.files import atomic_path, write_text
from stforecast.forecasters.registry import names_of
from stforecast.forecasters.weights import Weights, unfair
from stforecast.pipeline.preparation import one_writer
from stforecast.pipeline.results import Result
from stforecast.pipeline.run import Run
from stforecast.pipeline.stages import Stages
from stforecast.scoring.splits import Split


@one_writer
def backtest(stages: Stages) -> Path:
    """Fit and score every forecaster of `evaluation.forecasters` on the folds; the folder of the results."""
    options, order = stages.config.backtest, stages.order()
    names = [*names_of(stages.config)]
    cube = stages.cube()
    run = stages.run(cube)
    split = stages.split(cube)
    parts = folds(split, options.folds, options.test_days, cube.step)
    hours, cell = offsets(cube, split, options.issue_hours), stages.config.grid.word
    days = (parts[0].steps - parts[0].test_start) // split.day
    folder = run.backtest(options.folds, days, options.refit)
    patrol = stages.config.evaluation.patrol_area_km2
    made_with = {"run": run.name, "refit": options.refit, "patrol_area_km2": patrol, "issue_hours": [*hours]}
    result = Result(folder / "backtest.json", made_with, "backtest")
    runs = [Run(folder / f"fold_{i + 1}") for i in range(len(parts))]
    if (scores := stages.kept_scores(result, names, runs)) is None:
        panel = Panel.of(cube, parts, hours)
        write_text(folder / "config.yaml", dump(stages.config))
        weights = stages.start("backtest", cube, split)  # the same for all folds
        _fit_all(stages, cube, parts, runs, hours, order, weights)

        def intensity(name: str) -> np.ndarray:
            return np.concatenate([kept_predictions(one.predictions(name, hour)) for one in runs for hour in hours])

        scores = compare(cube, parts, panel, names, intensity, patrol, stages.config.seed)
        tested, started = (parts[0].test_start, parts[-1].steps), weights.facts() if weights else None
        scores["unfair"] = {} if stages.simulated() else unfair(started, stages.config, names, cube, *tested)
        write_text(folder / "table.csv", as_csv(scores))
        write_text(folder / "table.md", called(as_markdown(made_with | scores), cell))
        with atomic_path(folder / "curves.png") as temporary:
            call_cells(backtest_figure(scores), cell).savefig(temporary)
        scores = result.write(scores)
        stages.say(f"backtest: wrote {folder}")
    stages.say(called(as_markdown(scores), cell))
    return folder


def _fit_all(
    stages: Stages,
    cube: Cube,
    parts: list[Split],
    runs: list[Run],
    hours: dict[int, int],
    names: list[str],
    weights: Weights | None,
) -> None:
    """Every forecaster of every fold, fitted, calibrated and its test slice forecast, but for what is there."""
    refit = stages.config.backtest.refit
    with tqdm(total=len(parts) * len(names), desc="backtest", unit="fit", disable=None) as bar:
        for i, (part, run) in enumerate(zip(parts, runs, strict=True)):
            for name in names:
                if not stages.whole(run, name):
                    (run.folder.parent / "backtest.json").unlink(missing_ok=True)
                    fitted = stages.fit(run, name, cube, part, weights, runs[0] if i and not refit else None)
                    stages.say(f"backtest: fold {i + 1} of {len(parts)}: {fitted}")
                bar.update()
            opened = {name: run.open(name, stages.config) for name in names}
            for hour, offset in hours.items():
                predictions(cube, part.at(offset), opened, folder=partial(run.predictions, hour=hour), say=stages.say)
