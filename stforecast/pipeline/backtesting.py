"""The stage behind `stforecast backtest`: fits, calibrations and forecasts of every fold, kept as they are made.

A killed backtest goes on where it was: each fold is a run of its own on disk (see `run.py`), and what is there is not
made again. Forecasts are always made by a forecaster opened from its files, so that going on changes no figure.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from stforecast.config import dump
from stforecast.cube import Cube
from stforecast.delivery.curves import backtest_figure
from stforecast.evaluation.comparison import as_csv, as_markdown, compare
from stforecast.evaluation.predictions import kept_predictions, predictions
from stforecast.evaluation.rolling import Panel, folds, offsets
from stforecast.files import atomic_path, read_json, write_json
from stforecast.forecasters.registry import in_order, names_of
from stforecast.pipeline.run import Run
from stforecast.scoring.splits import Split

if TYPE_CHECKING:
    from stforecast.pipeline.stages import Stages


def backtest(stages: Stages) -> Path:
    """Fit and score every forecaster of `evaluation.forecasters` on the folds; the folder of the results."""
    options, order = stages.config.backtest, in_order(stages.config)  # a wrong name shows before the first fit
    names = [*names_of(stages.config)]
    cube, run = stages.cube(), stages.run()
    split = stages.split(cube)
    parts, hours = folds(split, options.folds, options.test_days), offsets(cube, split, options.issue_hours)
    days = (parts[0].steps - parts[0].test_start) // split.day
    folder = run.backtest(options.folds, days, options.refit)
    path, patrol = folder / "backtest.json", stages.config.evaluation.patrol_area_km2
    made_with = {"run": run.name, "refit": options.refit, "patrol_area_km2": patrol, "issue_hours": [*hours]}
    result = read_json(path) if path.is_file() else None
    fold_runs = [Run(folder / f"fold_{i + 1}") for i in range(len(parts))]
    held = all(one.has(name, stages.config) for one in fold_runs for name in names)
    held = held and result is not None and "blocks" in result  # an older one tells no blocks
    if result and held and result.items() >= made_with.items() and list(result["forecasters"]) == names:
        stages.say(f"backtest: {path} is up to date")
    else:
        panel = Panel.of(cube, parts, hours)
        _text(folder / "config.yaml", dump(stages.config))
        _fit_all(stages, cube, parts, fold_runs, hours, order)

        def intensity(name: str) -> np.ndarray:
            return _read([one.predictions(name, hour) for one in fold_runs for hour in hours], panel.counts.shape)

        result = made_with | compare(cube, parts, panel, names, intensity, patrol, stages.config.seed)
        _write(folder, result)
        stages.say(f"backtest: wrote {folder}")
    stages.say(as_markdown(result))
    return folder


def _fit_all(
    stages: Stages, cube: Cube, parts: list[Split], runs: list[Run], hours: dict[int, int], names: list[str]
) -> None:
    """Every forecaster of every fold, fitted, calibrated and its test slice forecast, but for what is there."""
    refit = stages.config.backtest.refit
    with tqdm(total=len(parts) * len(names), desc="backtest", unit="fit", disable=None) as bar:
        for i, (part, run) in enumerate(zip(parts, runs, strict=True)):
            for name in names:
                began = pd.Timestamp.now()
                if not run.has(name, stages.config):
                    run.forget(name)
                    (run.folder.parent / "backtest.json").unlink(missing_ok=True)
                    _fit(stages, cube, part, name, run, runs[0] if i and not refit else run)
                    took = (pd.Timestamp.now() - began).total_seconds()
                    stages.say(f"backtest: fold {i + 1} of {len(parts)}: fitted {name} in {took:.0f} s")
                bar.update()
            fitted = {name: run.open(name, stages.config) for name in names}
            for hour, offset in hours.items():
                predictions(cube, part.at(offset), fitted, path=partial(run.predictions, hour=hour))


def _fit(stages: Stages, cube: Cube, part: Split, name: str, run: Run, first: Run) -> None:
    """A forecaster fitted to the fold, or that of the first fold, calibrated anew, where its fit is carried."""
    if first is not run:
        first.open(name, stages.config).calibrate(cube, part).save(run.place(name))
    else:
        stages.create(run, name, cube, part).fit(cube, part, run.place(name)).save(run.place(name))


def _read(paths: list[Path], shape: tuple[int, ...]) -> np.ndarray:
    """Kept forecasts one after another, as `shape` [m k n c].

    Raises:
        ArtefactError: one is damaged.
    """
    out, row = np.empty(shape, np.float32), 0
    for path in paths:
        found = kept_predictions(path)
        out[row : row + len(found)] = found
        row += len(found)
    return out


def _write(folder: Path, result: dict[str, Any]) -> None:
    """Every file of the result; backtest.json, which says that all is done, comes last."""
    _text(folder / "table.csv", as_csv(result))
    _text(folder / "table.md", as_markdown(result))
    with atomic_path(folder / "curves.png") as temporary:
        backtest_figure(result).savefig(temporary)
    write_json(folder / "backtest.json", result)


def _text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
