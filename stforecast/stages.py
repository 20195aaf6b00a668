"""The stages behind the verbs: each takes up what the stage before wrote and skips what is already done.

A stage is done when its output carries the fingerprint of its inputs and settings.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stforecast.config import Config, dump
from stforecast.cube import Cube, Series
from stforecast.cube.build import build as build_cube
from stforecast.cube.store import cube_stamp, open_cube, save_cube
from stforecast.errors import ArtefactError, ConfigError, DataError
from stforecast.events import ingest as events_ingest
from stforecast.events.schema import EventTable
from stforecast.files import atomic_path, fingerprint, read_json, write_json
from stforecast.run import Run
from stforecast.scoring.splits import Split, make_split
from stforecast.workspace import Workspace

Say = Callable[[str], None]


@dataclass(frozen=True)
class Stages:
    """The stages of one city. `say` receives a line for every thing done or found done."""

    config: Config
    say: Say

    @property
    def place(self) -> Workspace:
        return Workspace(self.config.root, self.config.city)

    # ingest

    def ingest(self) -> EventTable:
        """Bronze → silver."""
        config, place = self.config, self.place
        if config.synthetic and not config.source.path and not (place.bronze / "offences.csv").exists():
            self._simulate()
        files = events_ingest.source_files(config, place.bronze)
        stamp = events_ingest.source_stamp(files, config)
        if self._silver_stamp() == stamp:
            self.say(f"ingest: {place.silver} is up to date")
            return EventTable.open(place.silver)
        table = events_ingest.ingest(config, files, place.silver)
        for line in summary(table.meta):
            self.say(f"ingest: {line}")
        self.say(f"ingest: wrote {len(table):,} events to {place.silver}")
        return table

    def _simulate(self) -> None:
        from stforecast.events.synthetic import simulate, write_city

        assert self.config.synthetic is not None
        city = simulate(self.config.synthetic, self.config.seed)
        write_city(city, self.place.bronze)
        self.say(f"ingest: simulated {int(city.counts.sum()):,} events of a synthetic city into {self.place.bronze}")

    def _silver_stamp(self) -> str | None:
        path = self.place.silver / "ingest.json"
        return read_json(path).get("stamp") if path.is_file() else None

    # build

    def build(self) -> Cube:
        """Silver → gold."""
        table = self._events()
        stamp = self._gold_stamp()
        if cube_stamp(self.place.gold) == stamp:
            self.say(f"build: {self.place.gold} is up to date")
            return open_cube(self.place.gold)
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

    def cube(self) -> Cube:
        """The gold cube.

        Raises:
            ArtefactError: it was not built, or from other events or settings.
        """
        if cube_stamp(self.place.gold) != self._gold_stamp():
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
        config = self.config
        parts = config.model_dump(mode="json", include={"model", "training", "split", "seed"})
        forecasters = sorted(config.evaluation.forecasters)
        return Run(self.place.run(fingerprint(self._gold_stamp(), parts, forecasters)[:10]))

    def train(self, resume: bool = True) -> Run:
        """Fit and calibrate every forecaster of `evaluation.forecasters`; goes on with an unfinished run."""
        from stforecast.delivery.curves import validation_figures
        from stforecast.evaluation.backtest import calibrate
        from stforecast.forecasters.base import forecaster_class

        names = self.config.evaluation.forecasters
        kinds = {name: forecaster_class(name) for name in names}
        cube, run = self.cube(), self.run()
        split = self.split(cube)
        if not resume and run.folder.exists():
            shutil.rmtree(run.folder)
        if run.finished:
            self.say(f"train: {run.folder} is finished")
            self.place.set_latest(run.name)
            return run
        run.folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(run.folder / "config.yaml") as temporary:
            temporary.write_text(dump(self.config), encoding="utf-8")
        for name, kind in kinds.items():
            if run.has(name):
                self.say(f"train: {name} is fitted")
                continue
            forecaster = kind(self.config)
            if hasattr(forecaster, "draw"):
                forecaster.draw = partial(validation_figures, cube)
            began = pd.Timestamp.now()
            forecaster.fit(cube, split, run.place(name))
            run.keep(forecaster, calibrate(forecaster, cube, split))
            self.say(f"train: fitted {name} in {(pd.Timestamp.now() - began).total_seconds():.0f} s")
        run.finish(cube, split, names, self._gold_stamp())
        self.place.set_latest(run.name)
        self.say(f"train: finished {run.folder}")
        return run

    # evaluate

    def evaluate(self) -> dict[str, Any]:
        """Score the run's forecasters on the test slice."""
        from stforecast.evaluation.scorecard import scorecard, table

        run, cube = self.run(), self.cube()
        path = run.folder / "scorecard.json"
        names = run.facts()["forecasters"]
        options = self.config.evaluation
        if path.is_file() and read_json(path).get("patrol_area_km2") == options.patrol_area_km2:
            self.say(f"evaluate: {path} is up to date")
            card = read_json(path)
        else:
            split = self.split(cube)
            fitted = {name: run.open(name, self.config) for name in names}
            card = scorecard(cube, split, fitted, options.patrol_area_km2, self.config.seed, self._oracle(cube, split))
            card["patrol_area_km2"], card["run"] = options.patrol_area_km2, run.name
            write_json(path, card)
            self.say(f"evaluate: wrote {path}")
        self.say(table(card))
        return card

    def _oracle(self, cube: Cube, split: Split) -> np.ndarray | None:
        """What nothing can beat, where the city is simulated."""
        if self.config.synthetic is None or self.config.source.path:
            return None
        from stforecast.events.synthetic import oracle, simulate

        city = simulate(self.config.synthetic, self.config.seed)
        shift = int((cube.start - city.start) / pd.Timedelta(hours=1))
        order = [city.cells.tolist().index(cell) for cell in cube.cells.tolist()]
        kinds = [city.categories.index(name) for name in cube.categories]
        return oracle(city, split.issues("test") + shift, cube.horizons)[:, :, order][..., kinds]

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
        for i, time in enumerate(times):
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
        table = self.ingest()
        facts = run.facts()
        if facts["made_from"] == self._gold_stamp() and cube_stamp(self.place.gold) == self._gold_stamp():
            return open_cube(self.place.gold)
        self.say(f"forecast: the record has changed since {run.name} was trained; its hexagons are kept")
        cube = build_cube(table, self.config, facts["hexagons"], run.train_until())
        if list(cube.categories) != facts["categories"]:
            raise ConfigError(
                f"source.categories: {', '.join(cube.categories)} are not those of the trained run "
                f"({', '.join(facts['categories'])}). Train again."
            )
        return cube

    def _issue_step(self, cube: Cube, time: pd.Timestamp) -> int:
        step = cube.step_of(time)
        earliest, latest = cube.time_of(28 * 24), cube.end + pd.Timedelta(days=7)
        if not earliest <= time <= latest:
            raise DataError(
                f"issue time {time}: the record of {self.config.city} allows {earliest} to {latest}. "
                "Choose another time, or ingest newer reports."
            )
        return step


def assumptions(cube: Cube, issue: int) -> list[str]:
    """What a forecast had to assume, in plain sentences."""
    said = []
    if issue > cube.steps:
        late, end = issue - cube.steps, f"{cube.end:%Y-%m-%d %H:%M} UTC"
        said.append(f"The record ends {end}, {late} h before the issue time: nothing later was used.")
    if cube.late:
        said.append("Reports of the last days are still arriving: those known at the issue time were used.")
    said += _missing(cube.weather, issue - 24, "observed weather of the day before")
    return said + _missing(cube.future, issue, "weather forecast")


def _missing(series: Series, first: int, what: str) -> list[str]:
    hours = int(np.isnan(series.window(first, first + 24)).all(1).sum()) if series.names else 0
    return [f"No {what} for {hours} of 24 hours: it is masked, not filled."] if hours else []


def summary(meta: dict[str, Any]) -> list[str]:
    """What an ingest counted, as lines."""
    lines = []
    for key in ("rejected", "left_out", "mended"):
        counts = meta.get(key)
        if isinstance(counts, dict):
            lines += [f"{key.replace('_', ' ')}: {count:,} {reason}" for reason, count in counts.items() if count]
    return lines
