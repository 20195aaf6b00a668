"""From the publisher's files to the cube: ingest and build, each skipped where it is already done.

A stage is done when its output carries the fingerprint of its inputs and settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from stforecast.config import Config
from stforecast.config.workspace import Workspace
from stforecast.cube import Cube
from stforecast.cube.build import build as build_cube
from stforecast.cube.recorded import hole_messages_of_events
from stforecast.cube.store import open_cube, save_cube
from stforecast.errors import ArtefactError, DataError
from stforecast.events import ingest as events_ingest
from stforecast.events.schema import EventTable
from stforecast.files import contents, file_fingerprint, fingerprint, read_json
from stforecast.instants import since_1970
from stforecast.pipeline.results import Result
from stforecast.pipeline.sentences import built, summary
from stforecast.scoring.splits import Split

Say = Callable[[str], None]
SIMULATED = "simulated.json"
"""Beside the bronze files of a simulated city: of which parameters they are, and the hash of its offences."""


@dataclass(frozen=True)
class Preparation:
    """The stages before training. `say` receives a line for every thing done or found done."""

    config: Config
    say: Say

    @property
    def place(self) -> Workspace:
        return Workspace(self.config.root, self.config.city)

    def ingest(self, replace_damaged: bool = False) -> EventTable:
        """Bronze → silver. A table that cannot be opened is an error, unless it is to be replaced."""
        config, silver = self.config, self.place.silver
        if self._simulation_due():
            self._simulate()
        files = events_ingest.source_files(config, self.place.bronze)
        result = Result(silver / "ingest.json", {"stamp": events_ingest.source_stamp(files, config)}, "ingest")

        with self._forgiving(replace_damaged):
            facts = result.read()
            if facts is not None and since_1970(pd.Timestamp.now("UTC")) < facts.get("due", 0):
                # what is to be replaced is read as a whole: damage inside the file would show too late otherwise
                found = EventTable.open(silver, whole=replace_damaged)
                self.say(f"ingest: {silver} is up to date")
                return found
        table = events_ingest.ingest(config, files, silver)
        holes = hole_messages_of_events(table, config)
        for line in [*summary(table.meta), *table.meta["notes"], *table.meta["doubts"], *holes]:
            self.say(f"ingest: {line}")
        self.say(f"ingest: wrote {len(table):,} events to {silver}")
        return table

    @contextmanager
    def _forgiving(self, replace_damaged: bool) -> Iterator[None]:
        """Go on after a result that is damaged, where it is to be replaced."""
        try:
            yield
        except ArtefactError as error:
            if not replace_damaged:
                raise
            self.say(f"making it again: {error}")

    def _simulate(self) -> None:
        """Write the bronze files of the simulated city."""
        from stforecast.events.synthetic import simulate
        from stforecast.events.synthetic_files import write_city

        assert self.config.synthetic is not None
        city = simulate(self.config.synthetic, self.config.seed)
        write_city(city, self.place.bronze)
        self._simulation.write({"hash": file_fingerprint(self.place.bronze / "offences.csv")})
        self.say(f"ingest: simulated {int(city.counts.sum()):,} events of a synthetic city into {self.place.bronze}")

    @property
    def _simulation(self) -> Result:
        """The simulated city in bronze, if it is the one that the configuration describes."""
        synthetic, seed = self.config.synthetic, self.config.seed
        stamp = fingerprint(synthetic.model_dump(mode="json"), seed) if synthetic else None
        return Result(self.place.bronze / SIMULATED, {"stamp": stamp}, "ingest")

    def _simulation_due(self) -> bool:
        """Whether the configuration describes a simulated city that is not the one in bronze."""
        if not self.config.synthetic or self.config.source.path:
            return False
        return not (self.place.bronze / "offences.csv").is_file() or self._simulation.read() is None

    def simulated(self) -> bool:
        """Whether the record is this configuration's simulated city and nothing else."""
        facts = None if self.config.source.path else self._simulation.read()
        return facts is not None and [source["hash"] for source in self._events().meta["sources"]] == [facts["hash"]]

    def build(self, replace_damaged: bool = False) -> Cube:
        """Silver → gold. A cube that cannot be opened is an error, unless it is to be replaced."""
        table, gold = self._events(), self.place.gold
        with self._forgiving(replace_damaged):
            if (found := self._current_cube()) is not None:
                self.say(f"build: {gold} is up to date")
                return found
        cube = build_cube(table, self.config)
        save_cube(cube, gold, self.gold_stamp())
        self.say(
            f"build: wrote {cube.steps:,} hours × {cube.n:,} hexagons × {cube.c} categories, "
            f"{int(cube.weight.sum()):,} events, to {gold}"
        )
        for line in built(cube):
            self.say(f"build: {line}")
        return cube

    def _events(self) -> EventTable:
        """The events of the files and settings at hand; where the files are gone, the events stand for them.

        Raises:
            ArtefactError: there are none.
        """
        table = EventTable.open(self.place.silver)
        try:
            files = events_ingest.source_files(self.config, self.place.bronze)
        except DataError:
            return table
        if table.meta["stamp"] != events_ingest.source_stamp(files, self.config) or self._simulation_due():
            raise ArtefactError(
                f"{self.place.silver}: no events of these files and settings. Run `stforecast ingest` first."
            )
        return table

    def gold_stamp(self) -> str:
        """A fingerprint of the events and settings that a cube is made from."""
        config, path = self.config, self.place.silver / "ingest.json"
        facts = read_json(path) if path.is_file() else {}
        parts = config.model_dump(mode="json", include={"known_time", "embargo_hours", "issue_hour", "grid", "weather"})
        period = config.source.model_dump(mode="json", include={"first_day", "last_day", "gaps"})
        grid, weather = config.grid, config.weather
        inputs = [weather.path, weather.forecast_path, grid.area, grid.districts, grid.statics]
        paths = [Path(config.input(name)) for name in inputs if name]
        found = [file for path in paths for file in (path, *sorted(path.rglob("*"))) if file.is_file()]
        hashes = contents(found, self.place.hashes)  # a geodatabase is a folder
        events = facts.get("stamp"), facts.get("due", 0)
        return fingerprint(events, parts, period, str(config.split.train), hashes)

    def _current_cube(self) -> Cube | None:
        """The gold cube, if it is of the events and settings at hand."""
        result = Result(self.place.gold / "cube.json", {"stamp": self.gold_stamp()}, "build")
        return open_cube(self.place.gold) if result.read() else None

    def cube(self) -> Cube:
        """The gold cube.

        Raises:
            ArtefactError: it was not built, or from other events or settings.
        """
        if (self.place.gold / "cube.json").is_file():
            self._events()
            if (cube := self._current_cube()) is not None:
                return cube
        raise ArtefactError(f"{self.place.gold}: no cube of these events and settings. Run `stforecast build` first.")

    def split(self, cube: Cube) -> Split:
        """The slices of a cube under the configuration."""
        split = self.config.split
        return cube.split(split.train, split.validation, split.gap)
