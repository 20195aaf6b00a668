"""From the publisher's files to the cube: ingest and build, each skipped where it is already done.

A stage is done when its output carries the fingerprint of its inputs and settings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd

from stforecast.config import Config
from stforecast.config.workspace import Workspace
from stforecast.cube import Cube
from stforecast.cube.build import build as build_cube
from stforecast.cube.recorded import hole_messages_of_events
from stforecast.cube.store import cube_stamp, open_cube, save_cube
from stforecast.errors import ArtefactError, DataError
from stforecast.events import ingest as events_ingest
from stforecast.events.schema import EventTable
from stforecast.files import contents, file_fingerprint, fingerprint, read_json, write_json
from stforecast.pipeline.sentences import built, summary
from stforecast.scoring.splits import Split

Say = Callable[[str], None]
Opened = TypeVar("Opened")
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

    def ingest(self, mend: bool = False) -> EventTable:
        """Bronze → silver. `mend` replaces a table that cannot be opened instead of saying so."""
        config, place = self.config, self.place
        if self._other_simulation():
            self._simulate()
        files = events_ingest.source_files(config, place.bronze)
        stamp = events_ingest.source_stamp(files, config)
        found_stamp, due = self._silver_stamp(mend)
        done = found_stamp == stamp and pd.Timestamp.now("UTC").value // 1000 < due
        # what is to be mended is read as a whole: damage inside the file would show too late otherwise
        opening = EventTable.open_whole if mend else EventTable.open
        if done and (found := self._opened(opening, place.silver, mend)) is not None:
            self.say(f"ingest: {place.silver} is up to date")
            return found
        table = events_ingest.ingest(config, files, place.silver)
        holes = hole_messages_of_events(table, config)
        for line in [*summary(table.meta), *table.meta["notes"], *table.meta["doubts"], *holes]:
            self.say(f"ingest: {line}")
        self.say(f"ingest: wrote {len(table):,} events to {place.silver}")
        return table

    def _simulate(self) -> None:
        """Write the bronze files of the simulated city."""
        from stforecast.events.synthetic import simulate
        from stforecast.events.synthetic_files import write_city

        assert self.config.synthetic is not None
        offences, note = self.place.bronze / "offences.csv", self.place.bronze / SIMULATED
        city = simulate(self.config.synthetic, self.config.seed)
        write_city(city, self.place.bronze)
        write_json(note, {"stamp": self._simulation(), "hash": file_fingerprint(offences)})
        self.say(f"ingest: simulated {int(city.counts.sum()):,} events of a synthetic city into {self.place.bronze}")

    def _simulation(self) -> str | None:
        """A fingerprint of the simulated city that the configuration describes, None where it describes none."""
        synthetic = self.config.synthetic
        return fingerprint(synthetic.model_dump(mode="json"), self.config.seed) if synthetic else None

    def _other_simulation(self) -> bool:
        """Whether the configuration describes a simulated city that is not the one in bronze."""
        if not self.config.synthetic or self.config.source.path:
            return False
        offences, note = self.place.bronze / "offences.csv", self.place.bronze / SIMULATED
        return not (offences.is_file() and note.is_file() and read_json(note)["stamp"] == self._simulation())

    def simulated(self) -> bool:
        """Whether the record is this configuration's simulated city and nothing else."""
        note = self.place.bronze / SIMULATED
        if self.config.source.path or not note.is_file():
            return False
        facts = read_json(note)
        files = [source["hash"] for source in self._events().meta["sources"]]
        return facts["stamp"] == self._simulation() and files == [facts["hash"]]

    def _silver_stamp(self, mend: bool = False) -> tuple[str | None, int]:
        """Of which files and settings the events are, and when (µs) they may be others; a cube is of both."""
        path = self.place.silver / "ingest.json"
        facts = (self._opened(read_json, path, mend) or {}) if path.is_file() else {}
        return facts.get("stamp"), facts.get("due", 0)

    def _opened(self, opening: Callable[[Path], Opened], path: Path, mend: bool) -> Opened | None:
        """What lies at `path`; with `mend`, None where it cannot be opened."""
        try:
            return opening(path)
        except ArtefactError as error:
            if not mend:
                raise
            self.say(f"making it again: {error}")
            return None

    def build(self, mend: bool = False) -> Cube:
        """Silver → gold. `mend` replaces a cube that cannot be opened instead of saying so."""
        table = self._events()
        self._check_silver()
        stamp = self.gold_stamp()
        if self._built(mend) == stamp and (found := self._opened(open_cube, self.place.gold, mend)) is not None:
            self.say(f"build: {self.place.gold} is up to date")
            return found
        cube = build_cube(table, self.config)
        save_cube(cube, self.place.gold, stamp)
        self.say(
            f"build: wrote {cube.steps:,} hours × {cube.n:,} hexagons × {cube.c} categories, "
            f"{int(cube.weight.sum()):,} events, to {self.place.gold}"
        )
        for line in built(cube):
            self.say(f"build: {line}")
        return cube

    def _events(self) -> EventTable:
        if self._silver_stamp()[0] is None:
            raise ArtefactError(f"{self.place.silver}: no events. Run `stforecast ingest` first.")
        return EventTable.open(self.place.silver)

    def _check_silver(self) -> None:
        """The events are of the files and settings at hand; where the files are gone, the events stand for them."""
        try:
            files = events_ingest.source_files(self.config, self.place.bronze)
        except DataError:
            return
        if self._silver_stamp()[0] != events_ingest.source_stamp(files, self.config) or self._other_simulation():
            raise ArtefactError(
                f"{self.place.silver}: no events of these files and settings. Run `stforecast ingest` first."
            )

    def gold_stamp(self) -> str:
        """A fingerprint of the events and settings that a cube is made from."""
        config = self.config
        parts = config.model_dump(mode="json", include={"known_time", "embargo_hours", "issue_hour", "grid", "weather"})
        period = config.source.model_dump(mode="json", include={"first_day", "last_day", "gaps"})
        grid, weather = config.grid, config.weather
        inputs = [weather.path, weather.forecast_path, grid.area, grid.districts, grid.statics]
        given = [Path(config.input(name)) for name in inputs if name]
        found = [file for path in given for file in (path, *sorted(path.rglob("*"))) if file.is_file()]
        hashes = contents(found, self.place.hashes)  # a geodatabase is a folder
        return fingerprint(self._silver_stamp(), parts, period, str(config.split.train), hashes)

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
        self._check_silver()
        if self._built() != self.gold_stamp():
            raise ArtefactError(
                f"{self.place.gold}: no cube of these events and settings. Run `stforecast build` first."
            )
        return open_cube(self.place.gold)

    def split(self, cube: Cube) -> Split:
        """The slices of a cube under the configuration."""
        split = self.config.split
        return cube.split(split.train, split.validation, split.gap)
