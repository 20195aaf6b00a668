"""From the publisher's files to the cube: ingest and build, each skipped where it is already done.

A stage is done when its output carries the fingerprint of its inputs and settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import pandas as pd

from stforecast.config import Config
from stforecast.config.workspace import Workspace
from stforecast.cube import Cube
from stforecast.cube.aggregates import aggregates
from stforecast.cube.build import build as build_cube
from stforecast.cube.recorded import hole_messages_of_events
from stforecast.cube.steps import Step, step_of
from stforecast.cube.store import open_cube, save_cube
from stforecast.errors import ArtefactError, ConfigError, DataError
from stforecast.events import ingest as events_ingest
from stforecast.events.first_seen import FirstSeen
from stforecast.events.kinds import kind_shares
from stforecast.events.schema import AGAIN as INGEST_AGAIN
from stforecast.events.schema import FIRST_SEEN, INGESTED, EventTable
from stforecast.events.sources import resolve
from stforecast.files import contents, file_fingerprint, fingerprint, read_json
from stforecast.instants import since_1970
from stforecast.pipeline.results import Result
from stforecast.pipeline.sentences import built, summary
from stforecast.publishers import publisher
from stforecast.scoring.splits import Split
from stforecast.sealed import FILES
from stforecast.sources.pulls import is_fetched, last_fetched

if TYPE_CHECKING:
    from stforecast.pipeline.lake import Lake

Say = Callable[[str], None]
City = TypeVar("City", bound="Preparation")
Given = ParamSpec("Given")
Made = TypeVar("Made")
STAGES = (
    *("fetch", "ingest", "build", "train", "evaluate", "backtest", "report", "analyse", "forecast", "refresh", "lake"),
)
STAMPED = {"known_time", "embargo_hours", "issue_hour", "time", "grid", "weather", "covariates"}
"""Keys of the configuration that a cube is made from, beside those of its source."""
SIMULATED = "simulated.json"
"""Beside the bronze files of a simulated city: of which parameters they are, and the hash of its offences."""
SIMULATE_AGAIN = "Remove it, and the city is simulated again."


def one_writer(
    stage: Callable[Concatenate[City, Given], Made],
) -> Callable[Concatenate[City, Given], Made]:
    """A stage of a city at which one process or thread works at a time; BusyError in the others."""

    @wraps(stage)
    def locked(city: City, *args: Given.args, **kwargs: Given.kwargs) -> Made:
        with city.place.lock(stage.__name__):
            return stage(city, *args, **kwargs)

    return locked


@dataclass(frozen=True)
class Preparation:
    """The stages before training. `say` receives a line for every thing done or found done."""

    config: Config
    say: Say

    @property
    def place(self) -> Workspace:
        return Workspace(self.config.root, self.config.city)

    @property
    def step(self) -> Step:
        """The step of the axis."""
        return step_of(self.config.time.step, resolve(self.config.source).zone)

    @contextmanager
    def only_writer(self) -> Iterator[None]:
        """Hold the locks of all stages.

        Raises:
            BusyError: another process works at one.
        """
        with ExitStack() as stack:
            for stage in STAGES:
                stack.enter_context(self.place.lock(stage))
            yield

    def ingest(self, replace_damaged: bool = False) -> EventTable:
        """Bronze → silver, and into the lake where there is one.

        A table that cannot be opened is an error, unless it is to be replaced.
        """
        lake = self.lake() if self.config.lake else None
        table, files = self._ingest(replace_damaged)
        if lake is not None:
            with self.place.lock("lake"):
                lake.update(table, files, self.gold_stamp(table))
        return table

    def lake(self) -> Lake:
        """The Delta tables.

        Raises:
            ConfigError: deltalake is not installed.
        """
        if not find_spec("deltalake"):
            raise ConfigError("lake: deltalake is not installed. Run `pip install 'stforecast[lake]'`.")
        from stforecast.pipeline.lake import Lake

        return Lake(self.config, self.say)

    def _ingest(self, replace_damaged: bool) -> tuple[EventTable, list[Path]]:
        """The event table, and the files that it is made from."""
        config, silver = self.config, self.place.silver
        self.simulate()
        files = events_ingest.source_files(config, self.place.bronze)
        stamp = events_ingest.source_stamp(files, config)
        with self.forgiving(replace_damaged):
            found = EventTable.open(silver) if (silver / INGESTED).is_file() else None
            same = found and found.meta["stamp"] == stamp and FIRST_SEEN in found.meta[FILES]
            if found and same and since_1970(pd.Timestamp.now("UTC")) < found.meta["due"]:
                self.say(f"ingest: {silver} is up to date")
                return found, files
        with self.place.lock("ingest"):
            seen_at = last_fetched(self.place.bronze) if all(map(is_fetched, files)) else None
            table = events_ingest.ingest(config, files, seen_at=seen_at)
        holes = hole_messages_of_events(table, config)
        for line in [*summary(table.meta), *table.meta["notes"], *table.meta["news"], *table.meta["doubts"], *holes]:
            self.say(f"ingest: {line}")
        self.say(f"ingest: wrote {len(table):,} events to {silver}")
        return table, files

    def as_of(self, time: pd.Timestamp) -> EventTable:
        """The events as they were known at an instant (with a time zone).

        Raises:
            DataError: there was no ingest yet.
        """
        return FirstSeen.open(self.place.seen).as_of(time)

    @contextmanager
    def forgiving(self, replace_damaged: bool = True) -> Iterator[None]:
        """Go on after a result that is damaged, and is to be made again."""
        try:
            yield
        except ArtefactError as error:
            if not replace_damaged:
                raise
            self.say(f"making it again: {error}")

    def simulate(self) -> None:
        """Write the bronze files of the simulated city, where the configuration describes one and it is not there."""
        if self._simulation_due():
            with self.place.lock("ingest"):
                self._simulate()

    def _simulate(self) -> None:
        from stforecast.events.synthetic import simulate
        from stforecast.events.synthetic_files import write_city

        assert self.config.synthetic is not None
        city = simulate(self.config.synthetic, self.config.seed)
        write_city(city, self.place.bronze)
        self._simulation.write({"hash": file_fingerprint(self.place.bronze / "offences.csv")})
        self.say(f"ingest: simulated {int(city.counts.sum()):,} events of a synthetic city into {self.place.bronze}")

    @property
    def _simulation(self) -> Result:
        """What is noted of the simulated city in bronze, if it is the one that is described."""
        stamp = fingerprint(self.config.synthetic and self.config.synthetic.model_dump(mode="json"), self.config.seed)
        return Result(self.place.bronze / SIMULATED, {"stamp": stamp}, "ingest", SIMULATE_AGAIN)

    def _simulation_due(self) -> bool:
        """Whether the configuration describes a simulated city that is not the one in bronze."""
        if not self.config.synthetic or self.config.source.path:
            return False
        return not (self.place.bronze / "offences.csv").is_file() or not self._simulation.read()

    def simulated(self) -> bool:
        """Whether the record is this configuration's simulated city and nothing else."""
        if not self.config.synthetic or self.config.source.path or not (facts := self._simulation.read()):
            return False
        return [source["hash"] for source in self._events().meta["sources"]] == [facts["hash"]]

    def credits(self) -> tuple[str, ...]:
        """How the publishers of the data are to be named, as sentences."""
        found: list[tuple[str, str | None]] = []
        if preset := self.config.source.preset:
            known = publisher(preset)
            found.append((known.attribution or f"Police reports of {known.title}", known.licence))
        if self.config.weather.source:
            found.append(("Weather data by Open-Meteo.com", "CC BY 4.0"))
        found += [(each.attribution, each.licence) for each in self.config.layers.values() if each.attribution]
        said = [f"{who.rstrip('.')}." + (f" Licence: {under.rstrip('.')}." if under else "") for who, under in found]
        return tuple(dict.fromkeys(said))

    @contextmanager
    def rewriting_bronze(self) -> Iterator[None]:
        """Rewrite files of bronze; the simulated city there is known as it again, after a second attempt too."""
        path = self.place.bronze / "offences.csv"
        facts = self._simulation.read() if path.is_file() else None
        if facts and "rewriting" not in facts and facts["hash"] != file_fingerprint(path):
            facts = None  # another file lies there
        if facts:
            self._simulation.write({**facts, "rewriting": True})
        yield
        if facts:
            self._simulation.write({"hash": file_fingerprint(path)})

    def build(self, replace_damaged: bool = False) -> Cube:
        """Silver → gold. A cube that cannot be opened is an error, unless it is to be replaced."""
        table, gold = self._events(), self.place.gold
        stamp = self.gold_stamp(table)
        with self.forgiving(replace_damaged):
            if (found := self._current_cube(stamp)) is not None:
                self.say(f"build: {gold} is up to date")
                return found
        fetched = self.config.weather.source is not None  # or the file is the user's, and has to be there
        cube = build_cube(table, self.without_absent_weather("build") if fetched else self.config)
        with self.place.lock("build"):
            save_cube(cube, gold, stamp, aggregates(table, self.config))
        self.say(f"build: wrote {cube.extent}, {int(cube.weight.sum()):,} events, to {gold}")
        for line in built(cube):
            self.say(f"build: {line}")
        return cube

    def without_absent_weather(self, stage: str) -> Config:
        """The configuration without the weather files that are not there (any more): their channels are masked."""
        weather = self.config.weather
        files = {"path": weather.path, "forecast_path": weather.forecast_path}
        absent = [key for key, path in files.items() if path and not Path(self.config.input(path)).is_file()]
        for key in absent:
            self.say(f"{stage}: weather.{key}: {files[key]} is absent")
        ahead = weather.observed_as_forecast and "path" not in absent
        left = weather.model_copy(update={**dict.fromkeys(absent), "observed_as_forecast": ahead})
        return self.config.model_copy(update={"weather": left})

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

    def gold_stamp(self, events: EventTable | None = None) -> str:
        """A fingerprint of the events (default: those at hand) and settings that a cube is made from."""
        config, facts = self.config, events.meta if events else read_json(self.place.silver / INGESTED, INGEST_AGAIN)
        elsewhere = {"host", *(() if config.weather.source else ("source",))}
        parts = config.model_dump(mode="json", include=STAMPED, exclude={"weather": elsewhere})
        period = config.source.model_dump(mode="json", include={"first_day", "last_day", "gaps"})
        kinds = kind_shares(resolve(config.source)).tolist()
        grid, weather = config.grid, config.weather
        inputs = [weather.path, weather.forecast_path, grid.polygons, grid.area, grid.districts, grid.statics]
        inputs += [entry.file for entry in config.covariates.values()]
        paths = [Path(config.input(name)) for name in inputs if name]
        found = [file for path in paths for file in (path, *sorted(path.rglob("*"))) if file.is_file()]
        hashes = contents(found, self.place.hashes)  # a geodatabase is a folder
        if config.known_time == "first_seen" and FIRST_SEEN in facts.get(FILES, {}):
            hashes.append(facts[FILES][FIRST_SEEN]["sha256"])
        split = str(config.split.train), config.split.validation is None, config.split.gap
        return fingerprint((facts["stamp"], facts["due"]), parts, period, kinds, split, hashes)

    def _current_cube(self, stamp: str) -> Cube | None:
        """The gold cube, if it bears this `gold_stamp`."""
        result = Result(self.place.gold / "cube.json", {"stamp": stamp}, "build")
        return open_cube(self.place.gold) if result.read() else None

    def cube(self) -> Cube:
        """The gold cube.

        Raises:
            ArtefactError: it was not built, or from other events or settings.
        """
        if (self.place.gold / "cube.json").is_file():
            cube = self._current_cube(self.gold_stamp(self._events()))
            if cube is not None:
                return cube
        raise ArtefactError(f"{self.place.gold}: no cube of these events and settings. Run `stforecast build` first.")

    def split(self, cube: Cube) -> Split:
        """The slices of a cube under the configuration."""
        split = self.config.split
        return cube.split(split.train, split.validation, split.gap)
