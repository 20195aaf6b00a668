"""The stages behind the verbs: each takes up what the stage before wrote and skips what is already done."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from stforecast.config import dump, load
from stforecast.cube import Cube
from stforecast.cube.build import build as build_cube
from stforecast.cube.newest_forecast import NEWEST, with_newest
from stforecast.delivery.around import around
from stforecast.delivery.export import MAP, open_comparison, open_grid, write_grid
from stforecast.delivery.figures import validation_figures
from stforecast.delivery.layers import MapLayer, read_layers
from stforecast.delivery.outcome import counts_of
from stforecast.delivery.place_names import place_names
from stforecast.delivery.prospective import Record, cube_digest
from stforecast.delivery.rates import denominators
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.delivery.small_counts import reported_view
from stforecast.delivery.webmap import view_of, write_map
from stforecast.delivery.words import SIMULATED
from stforecast.errors import ConfigError, DataError, StforecastError
from stforecast.events.examine.offence_words import sexual_categories
from stforecast.events.schema import EventTable
from stforecast.events.sources import offences_of, resolve
from stforecast.files import fingerprint, write_text
from stforecast.forecasters.base import PROGRESS, Forecaster
from stforecast.forecasters.registry import create_forecaster, in_order, names_of
from stforecast.pipeline.comparison import comparison
from stforecast.pipeline.preparation import Preparation, one_writer
from stforecast.pipeline.results import Result
from stforecast.pipeline.run import SCHEMA, Run
from stforecast.pipeline.sentences import assumptions, unfetched, weather_source
from stforecast.scoring.splits import Split
from stforecast.sources.pulls import last_checked

if TYPE_CHECKING:
    from stforecast.evaluation.scorecard import Scorecard


def last_issue(cube: Cube) -> int:
    """The last step at which a forecast may be issued: a week past the record's end, or three months."""
    return cube.steps + cube.step.ahead


class Stages(Preparation):
    """All stages of one city."""

    def run(self) -> Run:
        """The run that this configuration and these events lead to, finished or not."""
        parts = self.config.model_dump(mode="json", include={"model", "training", "trees", "split", "seed", "seeds"})
        del parts["training"]["nodes"]  # the fit is the same
        auxiliary = [other.gold_stamp() for other in self._auxiliary()]
        return Run(self.place.runs / fingerprint(SCHEMA, self.gold_stamp(), parts, *auxiliary)[:10])

    def fit(self, run: Run, name: str, cube: Cube, split: Split, fitted: Run | None = None) -> str:
        """Fit a forecaster, or calibrate that of the run `fitted` anew, and save it in a run; a line that says so."""
        began, place = pd.Timestamp.now(), run.place(name)
        run.forget(name)
        if fitted is not None:
            fitted.open(name, self.config).calibrate(cube, split).save(place)
        else:
            auxiliary, plot = self.auxiliary(cube, split), partial(validation_figures, cube)
            run.create(name, self.config, auxiliary=auxiliary, plot=plot).fit(cube, split, place).save(place)
        return f"fitted {name} in {(pd.Timestamp.now() - began).total_seconds():.0f} s"

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

    @one_writer
    def train(self, resume: bool = True) -> Run:
        """Fit and calibrate every forecaster of `evaluation.forecasters`; goes on with an unfinished run."""
        names, cube, run = [*names_of(self.config)], self.cube(), self.run()
        split = self.split(cube)
        order = in_order(self.config)
        for name in order:
            create_forecaster(name, self.config)  # what cannot be made here shows before anything is written
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
        for name in tqdm(order, desc="train", unit="forecaster", disable=None):
            if whole[name]:
                self.say(f"train: {name} is fitted")
            else:
                self.say(f"train: {self.fit(run, name, cube, split)}")
        write_text(run.config, dump(self.config))
        run.finish(cube, split, names, self.gold_stamp(), self._offences())
        self.place.set_latest(run.name)
        self.say(f"train: finished {run.folder}")
        return run

    def join(self) -> None:
        """Take part in a fit of the network over several machines, of which another keeps it and does all else."""
        cube, run = self.cube(), self.run()
        if "gcrn" in in_order(self.config) and not self.whole(run, "gcrn"):
            split = self.split(cube)
            network = run.create("gcrn", self.config, auxiliary=self.auxiliary(cube, split))
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

        cube, run = self.cube(), self.run()
        run.facts()  # says so where training has not finished
        names, split = [*names_of(self.config)], self.split(cube)
        area = self.config.evaluation.patrol_area_km2
        result = Result(run.folder / "scorecard.json", {"patrol_area_km2": area, "run": run.name}, "evaluate")
        if (values := self.kept_scores(result, names, [run])) is None:
            found, oracle = self.predictions(run, cube, split, names), self.oracle(cube, split)
            fits = {name: run.open(name, self.config).fitted for name in names}
            values = result.write(score(cube, split, fits, found, "test", area, self.config.seed, oracle).values)
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

    @one_writer
    def forecast(
        self, issue_times: list[pd.Timestamp] | None = None, model: str | None = None, as_of: pd.Timestamp | None = None
    ) -> list[Path]:
        """Write the grid of each issue time (default: the end of the record) by what is known now, or was `as_of`."""
        run = Run(self.place.latest())
        fitted = run.open(model or run.facts()["forecasters"][0], self.config)
        table = self.ingest() if as_of is None else self.as_of(as_of)
        cube = self.newest(run, table)
        grids = self.grids(run, fitted, table, cube, issue_times or [cube.end])
        return [self.place.grid(grid.issue_time) for grid in grids]

    def grids(
        self, run: Run, fitted: Forecaster, table: EventTable, cube: Cube, times: list[pd.Timestamp]
    ) -> Iterator[RiskGrid]:
        """The grid of each issue time from a forecaster of a run and the newest record, one by one, as it is written.

        Each is put on the prospective record first.

        Raises:
            DataError: the record does not allow an issue time.
        """
        issues = np.array([self._issue_step(cube, time) for time in times])
        cube, newest, came = with_newest(cube, self.config.weather, self.place.weather / NEWEST, min(times))
        states = run.states(lambda line: self.say(f"forecast: {line}"))
        forecast = fitted.forecast(cube, issues, states)
        usual = run.climatology(cube, self.config).forecast(cube, issues, states).intensity
        forecast = replace(forecast, usual=usual, model=f"{fitted.name}-{run.name}")
        simulated = [SIMULATED] if self.simulated() else []
        learned_until = cube.step_of(pd.Timestamp(run.facts()["validation_until"]))
        record, made_from = Record(self.place.prospective), {"forecaster": fitted.name}
        made_from |= {"model_sha256": run.digest(fitted.name, self.config), "cube_sha256": cube_digest(cube)}
        made_from["offences"] = self.offences_stamp()
        least = self.config.delivery.smallest_count
        checked, credits = last_checked(self.place.bronze) if self.config.source.fetch else None, self.credits()
        denominator, places = denominators(self.config, cube), None
        for i, time in enumerate(tqdm(times, desc="forecast", unit="grid", disable=None)):
            lines = [*simulated, *forecast.assumptions, *assumptions(cube, int(issues[i]), learned_until)]
            lines += unfetched(checked, time)
            lines += weather_source(cube, self.config.weather, newest[issues[i] :][: cube.horizons], came)
            folder, below = self.place.grid(time), denominator(int(issues[i]))
            grid = RiskGrid.of(forecast, i)
            if places is None:  # the hexagons of all issues are the same
                layers, about = self._around(grid, "forecast")
                places = place_names(grid.geometry, layers, grid.districts)
            grid = replace(grid, assumptions=tuple(lines), denominator=below, credits=credits, places=places)
            lines += [] if below is None else [below.about(grid.ends - grid.starts, grid.geometry.word)]
            last = record.append(grid, self.config.city, made_from)
            compared = comparison(cube, grid, table.meta["offences"], record, made_from["offences"], least)
            write_grid(grid, folder, self.config.city, self.config.map.shifts, about, compared)
            for line in [*lines, f"wrote {folder}; hash on the prospective record {last}"]:
                self.say(f"forecast: {line}")
            yield grid

    def map(self, issue_time: pd.Timestamp | None = None, output: Path | None = None) -> Path:
        """Draw the map of the newest written grid, or of that of an issue time, with what was reported since."""
        folder = self.place.written_grid(issue_time)
        grid, path = open_grid(folder), output or folder / MAP
        _, about = self._around(grid, "map")
        shifts, compared = self.config.map.shifts, open_comparison(folder)
        write_map(view_of(grid, self.config.city, self._reported(grid), shifts, about, compared), path)
        self.say(f"map: wrote {path}")
        return path

    def _around(self, grid: RiskGrid, stage: str) -> tuple[list[MapLayer], dict[str, Any]]:
        """The layers around the cells of a grid, and what its map shows of them."""
        layers = read_layers(self.config, grid.geometry, lambda line: self.say(f"{stage}: {line}"))
        found = around(layers, self.config.map.tiles)
        for line in found["left_out"]:
            self.say(f"{stage}: {line}")
        return layers, found

    def _reported(self, grid: RiskGrid) -> dict[str, Any] | None:
        """What may be shown of the reports in the horizon of a grid; None where the record does not hold them."""
        try:
            run, table = Run(self.place.latest()), self.ingest()
            cube = self.newest(run, table)
        except StforecastError as error:
            self.say(f"map: no reported counts: {error}")
            return None
        if (counts := counts_of(cube, grid)) is None:
            what = f"{grid.step_unit}s and {grid.geometry.word}s"
            self.say(f"map: no reported counts: the record, until {cube.end}, does not hold these {what}")
            return None
        sexual = sexual_categories(table.meta["offences"])
        never = np.array([name in sexual for name in grid.categories[1:] or grid.categories])
        return reported_view(counts, never, self.config.delivery.smallest_count)

    def newest(self, run: Run, table: EventTable) -> Cube:
        """The newest record on the hexagons of the run: events that were added since training are taken in."""
        facts, stamp = run.facts(), self.gold_stamp(table)
        if facts["made_from"] == stamp and (cube := self._current_cube(stamp)) is not None:
            return cube
        if (asked := (self.config.time.step, self.config.horizons)) != (facts["step"], facts["horizons"]):
            raise ConfigError(
                f"time.step, time.horizons: {', '.join(map(str, asked))}, but the run was trained with "
                f"{facts['step']}, {facts['horizons']}. Set them so, or train again."
            )
        kept = f"its {self.config.grid.word}s are kept"
        self.say(f"forecast: the record or its settings changed since {run.name} was trained; {kept}")
        cube = build_cube(table, self.without_absent_weather("forecast"), facts["hexagons"], run.train_until())
        if cube.notes["known_time"] != facts["known_time"] or self.config.embargo_hours != facts["embargo_hours"]:
            raise ConfigError(
                f"known_time, embargo_hours: {cube.notes['known_time']}, {self.config.embargo_hours}, but the run was "
                f"trained with {facts['known_time']}, {facts['embargo_hours']}. Set them so, or train again."
            )
        if list(cube.categories) != facts["categories"]:
            raise ConfigError(
                f"source.categories: {', '.join(cube.categories)} are not those of the trained run "
                f"({', '.join(facts['categories'])}). Train again."
            )
        now, then = self._offences(), facts.get("offences", self._offences())
        if other := [name for name in now if now[name] != then[name]]:
            raise ConfigError(
                f"source.categories: {', '.join(other)} took in other offences when {run.name} was trained "
                f"({', '.join(then[other[0]]) or 'what no group names'}). Set them so, or train again."
            )
        if cube.start != pd.Timestamp(facts["start"]):
            raise DataError(
                f"{self.place.silver}: the record begins {cube.start}, that of the trained run {facts['start']}. "
                "Set source.first_day to the first day of the run, or train again."
            )
        return replace(cube, weather=cube.weather.on(facts["weather"]), future=cube.future.on(facts["future"]))

    def _offences(self) -> dict[str, list[str]]:
        return offences_of(resolve(self.config.source))

    def offences_stamp(self) -> str:
        """A fingerprint of the categories, in their order, and of the offences that each asks for."""
        return fingerprint([*self._offences().items()])

    def _issue_step(self, cube: Cube, time: pd.Timestamp) -> int:
        step, fewest, last = cube.step_of(time), cube.step.in_days(28), last_issue(cube)
        if not fewest <= step <= last:
            earliest, latest = cube.time_of(fewest), cube.time_of(last)
            raise DataError(
                f"issue time {time}: the record of {self.config.city} allows {earliest} to {latest}. "
                "Choose another time, or ingest newer reports."
            )
        return step
