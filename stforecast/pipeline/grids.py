"""The stages behind a finished run: its grids of the newest record, and their maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from stforecast.cube import Cube
from stforecast.cube.build import build as build_cube
from stforecast.cube.newest_forecast import NEWEST, with_newest
from stforecast.cube.store import open_cube
from stforecast.delivery.around import around
from stforecast.delivery.export import MAP, open_comparison, open_grid, open_why, write_grid
from stforecast.delivery.layers import MapLayer, read_layers
from stforecast.delivery.outcome import counts_of
from stforecast.delivery.place_names import place_names
from stforecast.delivery.prospective import Record, cube_digest
from stforecast.delivery.rates import denominators
from stforecast.delivery.residents import plan_view
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.delivery.small_counts import never_shown, reported_view
from stforecast.delivery.webmap import view_of, write_map
from stforecast.delivery.words import SIMULATED
from stforecast.errors import ConfigError, DataError, StforecastError
from stforecast.events.schema import EventTable
from stforecast.events.sources import offences_of, resolve
from stforecast.files import fingerprint
from stforecast.forecasters.base import Forecaster
from stforecast.pipeline.comparison import comparison
from stforecast.pipeline.preparation import Preparation, one_writer
from stforecast.pipeline.residents import residents
from stforecast.pipeline.run import Run
from stforecast.pipeline.sentences import assumptions, not_trained, rough, unfetched, weather_source
from stforecast.pipeline.why import why
from stforecast.sources.pulls import last_checked


def last_issue(cube: Cube) -> int:
    """The last step at which a forecast may be issued: a week past the record's end, or three months."""
    return cube.steps + cube.step.ahead


class Grids(Preparation):
    """Forecasts of a city from its newest run."""

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
        facts, simulated = run.facts(), [SIMULATED] if self.simulated() else []
        first = [*not_trained(facts, fitted, cube.time_zone), *rough(facts)]
        learned_until = int(cube.step.since(cube.start, [run.learned_until(cube)])[0])
        record, made_from = Record(self.place.prospective), {"forecaster": fitted.name}
        made_from |= {"model_sha256": run.digest(fitted.name, self.config), "cube_sha256": cube_digest(cube)}
        made_from["offences"] = self.offences_stamp()
        least = self.config.delivery.smallest_count
        checked, credits = last_checked(self.place.bronze) if self.config.source.fetch else None, self.credits()
        denominator, places = denominators(self.config, cube), None
        for i, time in enumerate(tqdm(times, desc="forecast", unit="grid", disable=None)):
            lines = [*simulated, *first, *forecast.assumptions, *assumptions(cube, int(issues[i]), learned_until)]
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
            plan = plan_view(self.config.plan, residents(self.config, grid, lambda: cube, self.say))
            reasons = None  # of many issues the states would have to be made again
            if len(times) == 1:
                reasons = why(self.config, fitted, cube, states, grid, table.meta["offences"], self.say)
            write_grid(grid, folder, self.config.city, self.config.map.shifts, about, compared, plan, reasons)
            for line in [*lines, f"wrote {folder}; hash on the prospective record {last}"]:
                self.say(f"forecast: {line}")
            yield grid

    def map(self, issue_time: pd.Timestamp | None = None, output: Path | None = None) -> Path:
        """Draw the map of the newest written grid, or of that of an issue time, with what was reported since."""
        folder = self.place.written_grid(issue_time)
        grid, path = open_grid(folder), output or folder / MAP
        _, about = self._around(grid, "map")
        shifts, compared = self.config.map.shifts, open_comparison(folder)
        plan = plan_view(self.config.plan, residents(self.config, grid, lambda: open_cube(self.place.gold), self.say))
        write_map(
            view_of(grid, self.config.city, self._reported(grid), shifts, about, compared, plan, open_why(folder)), path
        )
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
        if (found := self.newest_record("map: no reported counts")) is None:
            return None
        cube, table = found
        if (counts := counts_of(cube, grid)) is None:
            what = f"{grid.step_unit}s and {grid.geometry.word}s"
            self.say(f"map: no reported counts: the record, until {cube.end}, does not hold these {what}")
            return None
        never = never_shown(grid.categories[1:] or grid.categories, table.meta["offences"])
        return reported_view(counts, never, self.config.delivery.smallest_count)

    def newest_record(self, missing: str) -> tuple[Cube, EventTable] | None:
        """The newest record on the cells of the newest run, and its events; None, after saying what is missing for it,
        where there is none."""
        try:
            run, table = Run(self.place.latest()), self.ingest()
            return self.newest(run, table), table
        except StforecastError as error:
            self.say(f"{missing}: {error}")
            return None

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
        step, fewest, last = cube.step_of(time), cube.step.per_day, last_issue(cube)
        if not fewest <= step <= last:
            earliest, latest = cube.time_of(fewest), cube.time_of(last)
            raise DataError(
                f"issue time {time}: the record of {self.config.city} allows {earliest} to {latest}. "
                "Choose another time, or ingest newer reports."
            )
        return step
