"""The stages behind the verbs: each takes up what the stage before wrote and skips what is already done.

A stage is done when its output carries the fingerprint of its inputs and settings.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from stforecast.config import Config, dump
from stforecast.cube import Cube, Series
from stforecast.cube.build import build as build_cube
from stforecast.cube.store import cube_stamp, open_cube, save_cube
from stforecast.errors import ArtefactError, ConfigError, DataError
from stforecast.events import ingest as events_ingest
from stforecast.events.schema import EventTable
from stforecast.files import atomic_path, file_fingerprint, fingerprint, read_json, write_json
from stforecast.run import Run
from stforecast.scoring.splits import Split, make_split
from stforecast.sentences import assumptions, summary
from stforecast.workspace import Workspace

Say = Callable[[str], None]
Opened = TypeVar("Opened")
SIMULATED = "simulated.json"
"""Beside the bronze files of a simulated city: of which parameters they are, and the hash of its offences."""


@dataclass(frozen=True)
class Stages:
    """The stages of one city. `say` receives a line for every thing done or found done."""

    config: Config
    say: Say

    @property
    def place(self) -> Workspace:
        return Workspace(self.config.root, self.config.city)

    # ingest

    def ingest(self, mend: bool = False) -> EventTable:
        """Bronze → silver. `mend` replaces a table that cannot be opened instead of saying so."""
        config, place = self.config, self.place
        if config.synthetic and not config.source.path:
            self._simulate()
        files = events_ingest.source_files(config, place.bronze)
        stamp = events_ingest.source_stamp(files, config)
        done = self._silver_stamp(mend) == stamp
        if done and (found := self._opened(EventTable.open, place.silver, mend)) is not None:
            self.say(f"ingest: {place.silver} is up to date")
            return found
        table = events_ingest.ingest(config, files, place.silver)
        for line in summary(table.meta):
            self.say(f"ingest: {line}")
        self.say(f"ingest: wrote {len(table):,} events to {place.silver}")
        return table

    def _simulate(self) -> None:
        """Write the bronze files of a simulated city, unless those of the same parameters and seed are there."""
        from stforecast.events.synthetic import simulate, write_city

        assert self.config.synthetic is not None
        stamp = fingerprint(self.config.synthetic.model_dump(mode="json"), self.config.seed)
        offences, note = self.place.bronze / "offences.csv", self.place.bronze / SIMULATED
        if offences.is_file() and note.is_file() and read_json(note)["stamp"] == stamp:
            return
        city = simulate(self.config.synthetic, self.config.seed)
        write_city(city, self.place.bronze)
        write_json(note, {"stamp": stamp, "hash": file_fingerprint(offences)})
        self.say(f"ingest: simulated {int(city.counts.sum()):,} events of a synthetic city into {self.place.bronze}")

    def _silver_stamp(self, mend: bool = False) -> str | None:
        path = self.place.silver / "ingest.json"
        return (self._opened(read_json, path, mend) or {}).get("stamp") if path.is_file() else None

    def _opened(self, opening: Callable[[Path], Opened], path: Path, mend: bool) -> Opened | None:
        """What lies at `path`; with `mend`, None where it cannot be opened."""
        try:
            return opening(path)
        except ArtefactError as error:
            if not mend:
                raise
            self.say(f"making it again: {error}")
            return None

    # build

    def build(self, mend: bool = False) -> Cube:
        """Silver → gold. `mend` replaces a cube that cannot be opened instead of saying so."""
        table = self._events()
        stamp = self._gold_stamp()
        if self._built(mend) == stamp and (found := self._opened(open_cube, self.place.gold, mend)) is not None:
            self.say(f"build: {self.place.gold} is up to date")
            return found
        cube = build_cube(table, self.config)
        save_cube(cube, self.place.gold, stamp)
        self.say(
            f"build: wrote {cube.steps:,} hours × {cube.n:,} hexagons × {cube.c} categories, "
            f"{int(cube.weight.sum()):,} events, to {self.place.gold}"
        )
        for line in cube.notes.get("fallbacks", []):
            self.say(f"build: {line}")
        return cube

    def _events(self) -> EventTable:
        if self._silver_stamp() is None:
            raise ArtefactError(f"{self.place.silver}: no events. Run `stforecast ingest` first.")
        return EventTable.open(self.place.silver)

    def _gold_stamp(self) -> str:
        config = self.config
        parts = config.model_dump(mode="json", include={"known_time", "embargo_hours", "issue_hour", "grid", "weather"})
        period = config.source.model_dump(mode="json", include={"first_day", "last_day"})
        inputs = [config.weather.path, config.weather.forecast_path, config.grid.area, config.grid.districts]
        found = [Path(config.input(path)) for path in inputs if path]
        sizes = [(path.stat().st_size, path.stat().st_mtime_ns) for path in found if path.exists()]
        return fingerprint(self._silver_stamp(), parts, period, str(config.split.train), sizes)

    def _built(self, mend: bool = False) -> str | None:
        """The stamp of the cube that is there; one of another schema version is an error."""
        stamp, gold = cube_stamp(self.place.gold), self.place.gold
        if stamp is None and (gold / "cube.json").exists():
            self._opened(open_cube, gold, mend)
        return stamp

    def cube(self) -> Cube:
        """The gold cube.

        Raises:
            ArtefactError: it was not built, or from other events or settings.
        """
        if self._built() != self._gold_stamp():
            raise ArtefactError(
                f"{self.place.gold}: no cube of these events and settings. Run `stforecast build` first."
            )
        return open_cube(self.place.gold)

    # train

    def split(self, cube: Cube) -> Split:
        """The slices of a cube under the configuration."""
        split, day = self.config.split, 24 // cube.step_hours
        hour = cube.start.hour if self.config.issue_hour is None else self.config.issue_hour
        first = (hour - cube.start.hour) % 24 // cube.step_hours

        def step_of_date(date: Any) -> int:
            return int((pd.Timestamp(date, tz="UTC") + pd.Timedelta(hours=hour) - cube.start) / pd.Timedelta(hours=1))

        return make_split(
            cube.steps, day, first, split.train, split.validation, split.gap // cube.step_hours, 24, step_of_date
        )

    def run(self) -> Run:
        """The run that this configuration and these events lead to, finished or not."""
        parts = self.config.model_dump(mode="json", include={"model", "training", "split", "seed"})
        return Run(self.place.run(fingerprint(self._gold_stamp(), parts)[:10]))

    def train(self, resume: bool = True) -> Run:
        """Fit and calibrate every forecaster of `evaluation.forecasters`; goes on with an unfinished run."""
        from stforecast.delivery.curves import validation_figures
        from stforecast.evaluation.backtest import calibrate
        from stforecast.forecasters.base import forecaster_class

        names = self.config.evaluation.forecasters
        if not names:
            raise ConfigError("evaluation.forecasters: empty. Name at least one, such as gcrn.")
        cube, run = self.cube(), self.run()
        split = self.split(cube)
        forecasters = [forecaster_class(name)(self.config) for name in names]
        if not resume and run.folder.exists():
            shutil.rmtree(run.folder)
        if run.finished and run.facts()["forecasters"] == names and all(map(run.has, names)):
            self.say(f"train: {run.folder} is finished")
            self.place.set_latest(run.name)
            return run
        run.folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(run.folder / "config.yaml") as temporary:
            temporary.write_text(dump(self.config), encoding="utf-8")
        for forecaster in tqdm(forecasters, desc="train", unit="forecaster", disable=None):
            if run.has(forecaster.name):
                self.say(f"train: {forecaster.name} is fitted")
                continue
            if hasattr(forecaster, "draw"):
                forecaster.draw = partial(validation_figures, cube)
            began = pd.Timestamp.now()
            forecaster.fit(cube, split, run.place(forecaster.name))
            run.keep(forecaster, calibrate(forecaster, cube, split))
            self.say(f"train: fitted {forecaster.name} in {(pd.Timestamp.now() - began).total_seconds():.0f} s")
        run.finish(cube, split, names, self._gold_stamp())
        self.place.set_latest(run.name)
        self.say(f"train: finished {run.folder}")
        return run

    # evaluate

    def evaluate(self) -> dict[str, Any]:
        """Score the run's forecasters on the test slice."""
        from stforecast.evaluation.scorecard import scorecard, table

        cube, run = self.cube(), self.run()
        run.facts()  # says so where training has not finished
        path, options = run.folder / "scorecard.json", self.config.evaluation
        made_with = {"patrol_area_km2": options.patrol_area_km2, "run": run.name}
        card = read_json(path) if path.is_file() else None
        if card and card.items() >= made_with.items() and list(card["forecasters"]) == options.forecasters:
            self.say(f"evaluate: {path} is up to date")
        else:
            split = self.split(cube)
            fitted = {name: run.open(name, self.config) for name in options.forecasters}
            card = scorecard(cube, split, fitted, options.patrol_area_km2, self.config.seed, self._oracle(cube, split))
            card |= made_with
            write_json(path, card)
            self.say(f"evaluate: wrote {path}")
        self.say(table(card))
        return card

    def _oracle(self, cube: Cube, split: Split) -> np.ndarray | None:
        """What nothing can beat, where the record is a simulated city's and nothing else."""
        from stforecast.evaluation.oracle import oracle_of
        from stforecast.events.synthetic import simulate

        note = self.place.bronze / SIMULATED
        if self.config.synthetic is None or self.config.source.path or not note.is_file():
            return None
        if [source["hash"] for source in self._events().meta["sources"]] != [read_json(note)["hash"]]:
            return None
        return oracle_of(simulate(self.config.synthetic, self.config.seed), cube, split.issues("test"))

    # forecast

    def forecast(self, issue_times: list[pd.Timestamp] | None = None, model: str | None = None) -> list[Path]:
        """Write the grid of each issue time (default: the end of the record) from the newest run."""
        from stforecast.delivery.export import write_grid

        run = Run(self.place.latest())
        facts = run.facts()
        name = model or facts["forecasters"][0]
        fitted = run.open(name, self.config)
        cube = self._cube_of(run)
        times = issue_times or [cube.end]
        issues = np.array([self._issue_step(cube, time) for time in times])
        forecast = fitted.forecaster.predict(cube, issues)
        written = []
        for i, time in enumerate(tqdm(times, desc="forecast", unit="grid", disable=None)):
            said = assumptions(cube, int(issues[i]))
            one = replace(
                forecast,
                intensity=forecast.intensity[i : i + 1],
                issue_times=forecast.issue_times[i : i + 1],
                model=f"{name}-{run.name}",
                complete_until=min(cube.end, time),
                assumptions=tuple(said),
            )
            folder = self.place.grid(time)
            write_grid(one, 0, folder, self.config.city)
            written.append(folder)
            for line in said:
                self.say(f"forecast: {line}")
            self.say(f"forecast: wrote {folder}")
        return written

    def _cube_of(self, run: Run) -> Cube:
        """The newest record on the hexagons of the run: events that were added since training are taken in."""
        table, facts, stamp = self.ingest(), run.facts(), self._gold_stamp()
        if facts["made_from"] == stamp == self._built():
            return open_cube(self.place.gold)
        self.say(f"forecast: the record or its settings changed since {run.name} was trained; its hexagons are kept")
        cube = build_cube(table, self._without_absent_weather(), facts["hexagons"], run.train_until())
        if list(cube.categories) != facts["categories"]:
            raise ConfigError(
                f"source.categories: {', '.join(cube.categories)} are not those of the trained run "
                f"({', '.join(facts['categories'])}). Train again."
            )
        weather, future = on_channels(cube.weather, facts["weather"]), on_channels(cube.future, facts["future"])
        return replace(cube, weather=weather, future=future)

    def _without_absent_weather(self) -> Config:
        """The configuration without the weather files that are not there (any more): their channels are masked."""
        weather = self.config.weather
        files = {"path": weather.path, "forecast_path": weather.forecast_path}
        absent = {key: path for key, path in files.items() if path and not Path(self.config.input(path)).is_file()}
        for key, path in absent.items():
            self.say(f"forecast: weather.{key}: {path} is absent")
        ahead = weather.observed_as_forecast and "path" not in absent
        left = weather.model_copy(update={**dict.fromkeys(absent), "observed_as_forecast": ahead})
        return self.config.model_copy(update={"weather": left})

    def _issue_step(self, cube: Cube, time: pd.Timestamp) -> int:
        step = cube.step_of(time)
        earliest, latest = cube.time_of(28 * 24), cube.end + pd.Timedelta(days=7)
        if not earliest <= time <= latest:
            raise DataError(
                f"issue time {time}: the record of {self.config.city} allows {earliest} to {latest}. "
                "Choose another time, or ingest newer reports."
            )
        return step


def on_channels(series: Series, names: list[str]) -> Series:
    """The channels that a network was trained on, in its order; one that is not there any more is NaN."""
    if list(series.names) == names:
        return series
    values = np.full((len(series.values), len(names)), np.nan, np.float32)
    for i, name in enumerate(names):
        if name in series.names:
            values[:, i] = series.values[:, series.names.index(name)]
    return Series(tuple(names), values)
