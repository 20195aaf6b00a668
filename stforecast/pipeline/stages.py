"""The stages behind the verbs: each takes up what the stage before wrote and skips what is already done."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from stforecast.config import dump, load
from stforecast.cube import Cube
from stforecast.delivery.figures import validation_figures
from stforecast.errors import ConfigError
from stforecast.files import fingerprint, write_text
from stforecast.forecasters.base import PROGRESS
from stforecast.forecasters.registry import create_forecaster, in_order, names_of
from stforecast.forecasters.weights import Learned, Weights
from stforecast.pipeline.grids import Grids
from stforecast.pipeline.preparation import one_writer
from stforecast.pipeline.results import Result
from stforecast.pipeline.run import SCHEMA, Run
from stforecast.pipeline.sentences import of_no_kind
from stforecast.pipeline.starting import starting_weights
from stforecast.scoring.splits import Split

if TYPE_CHECKING:
    from stforecast.evaluation.scorecard import Scorecard


class Stages(Grids):
    """All stages of one city."""

    def run(self, cube: Cube | None = None) -> Run:
        """The run that this configuration, these events and weights to start from lead to, finished or not."""
        parts = self.config.model_dump(mode="json", include={"model", "training", "trees", "split", "seed", "seeds"})
        del parts["training"]["nodes"], parts["training"]["start"]  # the fit is the same
        auxiliary = [other.gold_stamp() for other in self._auxiliary()]
        cube = cube or self.cube()
        weights, _ = self.starting_weights(cube, self.split(cube))
        start = weights and weights.digest  # not what of them is used: no fit hangs on which others are listed
        return Run(self.place.runs / fingerprint(SCHEMA, self.gold_stamp(), parts, start, *auxiliary)[:10])

    def starting_weights(self, cube: Cube, split: Split) -> tuple[Weights | None, str]:
        """What a fit starts from, None for random weights; and why, where it is not as asked."""
        return starting_weights(self.config, cube, split, self.simulated())

    def start(self, stage: str, cube: Cube, split: Split) -> Weights | None:
        """What the fits of a stage start from; it says so."""
        weights, why = self.starting_weights(cube, split)
        if weights or why:
            named = weights and f"{weights.name}: {', '.join(weights.starts)}"
            self.say(f"{stage}: starts from {named or f'scratch: {why}'}")
        for line in of_no_kind(cube) if weights else ():
            self.say(f"{stage}: {line}")
        return weights

    def fit(
        self, run: Run, name: str, cube: Cube, split: Split, weights: Weights | None, fitted: Run | None = None
    ) -> str:
        """Fit a forecaster from weights, or calibrate that of the run `fitted` anew, and save it in a run; a line that
        says so."""
        began, place = pd.Timestamp.now(), run.place(name)
        run.forget(name)
        if fitted is not None:
            model = fitted.open(name, self.config).calibrate(cube, split)
        else:
            more = {"auxiliary": self.auxiliary(cube, split), "plot": partial(validation_figures, cube)}
            more |= weights.starts.get(name, {}) if weights else {}
            model = run.create(name, self.config, **more).fit(cube, split, place)
        model.save(place)
        remark = f" ({model.fitted.remark})" if model.fitted.remark else ""
        return f"fitted {name} in {(pd.Timestamp.now() - began).total_seconds():.0f} s{remark}"

    def auxiliary(self, cube: Cube, split: Split) -> list[tuple[Cube, Split]]:
        """The cities of `training.cities`: their training slices end where, and before, that of this city does."""
        end, found = cube.time_of(split.train_end), []
        for other in self._auxiliary():
            theirs = other.cube()
            slices = other.split(theirs)
            last = int(theirs.step.since(theirs.start, [end])[0])
            if last < slices.day:
                raise ConfigError(
                    f"training.cities: the record of {theirs.name} begins {theirs.start}, and the training slice of "
                    f"{cube.name} ends {end}: what came later must not be learned from. Leave it out."
                )
            found.append((theirs, replace(slices, train_end=min(slices.train_end, last))))
        return found

    def _auxiliary(self) -> list[Stages]:
        root = f"root={self.config.root}"
        return [Stages(load(path, [root]), self.say) for path in self.config.training.cities]

    def order(self) -> list[str]:
        """The forecasters that are fitted, in order; what cannot be made here shows before anything is written."""
        order = in_order(self.config)
        for name in order:
            create_forecaster(name, self.config)
        return order

    @one_writer
    def train(self, resume: bool = True) -> Run:
        """Fit and calibrate every forecaster of `evaluation.forecasters`; goes on with an unfinished run."""
        names, cube = [*names_of(self.config)], self.cube()
        run, split = self.run(cube), self.split(cube)
        order = self.order()
        if not resume and run.folder.exists():
            shutil.rmtree(run.folder)
        whole = {name: self.whole(run, name) for name in order}
        finished = False
        with self.forgiving():
            finished = run.finished and run.facts()["forecasters"] == names
        if finished and all(whole.values()):
            self.say(f"train: {run.folder} is finished")
            self.place.set_latest(run.name)
            return run
        run.folder.mkdir(parents=True, exist_ok=True)
        if not run.config.is_file():
            write_text(run.config, dump(self.config))
        weights = self.start("train", cube, split)
        for name in tqdm(order, desc="train", unit="forecaster", disable=None):
            if whole[name]:
                self.say(f"train: {name} is fitted")
            else:
                self.say(f"train: {self.fit(run, name, cube, split, weights)}")
        write_text(run.config, dump(self.config))
        learned = [Learned.of(cube, split.validation_end)]
        learned += [Learned.of(other, part.train_end) for other, part in self.auxiliary(cube, split)]
        started = {**weights.facts(), "adapt": self.config.training.adapt} if weights else None
        run.finish(cube, split, names, self.gold_stamp(), self._offences(), learned, started)
        self.place.set_latest(run.name)
        self.say(f"train: finished {run.folder}")
        return run

    def join(self) -> None:
        """Take part in a fit of the network over several machines, of which another keeps it and does all else."""
        cube = self.cube()
        run, split = self.run(cube), self.split(cube)
        if "gcrn" in in_order(self.config) and not self.whole(run, "gcrn"):
            weights, _ = self.starting_weights(cube, split)
            start = weights.starts["gcrn"] if weights else {}
            network = run.create("gcrn", self.config, auxiliary=self.auxiliary(cube, split), **start)
            network.learn(cube, split, run.place("gcrn") / PROGRESS)

    def whole(self, run: Run, name: str) -> bool:
        """Whether a forecaster is fitted in a run and its files are whole."""
        with self.forgiving():
            return run.has(name, self.config, whole=True)
        return False

    @one_writer
    def evaluate(self) -> Scorecard:
        """Score the run's forecasters on the test slice."""
        from stforecast.evaluation.scorecard import Scorecard, score

        cube = self.cube()
        run, split = self.run(cube), self.split(cube)
        run.facts()  # says so where training has not finished
        names = [*names_of(self.config)]
        area = self.config.evaluation.patrol_area_km2
        result = Result(run.folder / "scorecard.json", {"patrol_area_km2": area, "run": run.name}, "evaluate")
        if (values := self.kept_scores(result, names, [run])) is None:
            found, oracle = self.predictions(run, cube, split, names), self.oracle(cube, split)
            fits = {name: run.open(name, self.config).fitted for name in names}
            unfair = {} if self.simulated() else run.seen(cube, split, self.config)
            card = score(cube, split, fits, found, "test", area, self.config.seed, oracle, unfair)
            values = result.write(card.values)
            self.say(f"evaluate: wrote {result.path}")
        card = Scorecard(values)
        self.say(str(card))
        return card

    def kept_scores(self, result: Result, names: list[str], runs: list[Run]) -> dict[str, Any] | None:
        """The scores of forecasters that a stage wrote; None where they are of others, or damaged."""
        with self.forgiving():
            fitted = all(run.has(name, self.config) for run in runs for name in names)
            if fitted and (scores := result.scores(names)) is not None:
                self.say(f"{result.stage}: {result.path} is up to date")
                return scores
        return None

    def predictions(self, run: Run, cube: Cube, split: Split, names: list[str]) -> dict[str, np.ndarray]:
        """Calibrated λ [m k n c] of forecasters of a run on the test slice, from the files that it keeps."""
        from stforecast.evaluation.predictions import predictions

        hour, fitted = int(cube.time_of(split.first).hour), {name: run.open(name, self.config) for name in names}
        return predictions(cube, split, fitted, folder=lambda name: run.predictions(name, hour), say=self.say)

    def oracle(self, cube: Cube, split: Split) -> np.ndarray | None:
        """What nothing can beat, where the record is a simulated city's and nothing else."""
        from stforecast.evaluation.oracle import oracle_of
        from stforecast.events.synthetic import simulate
        from stforecast.features.targets import scored

        if self.config.synthetic is None or not self.simulated():
            return None
        return oracle_of(simulate(self.config.synthetic, self.config.seed), cube, scored(cube, split, "test"))
