"""The cube: events on an axis of steps × cells × categories, sparse on disk (`cube.store`), dense on the device.

`hour`, `known_hour` and `until_hour` are steps of the axis. An event is known at the issue step s (the forecast of
steps s, s + 1, …) when known_hour < s. `weight` is the number of events in the cell. Targets are the counts at `hour`;
`until_hour`, the last step of the span in which an event occurred, is there where the inputs spread events over it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stforecast.config.sections import KINDS, Unit
from stforecast.cube.axis import Axis
from stforecast.cube.cells import add_up, scatter, spread, wrong_events
from stforecast.cube.covariates import Covariate, wrong
from stforecast.cube.geometry import Geometry, geometry_of
from stforecast.cube.grids import from_counts
from stforecast.cube.holes import NEVER, Gap, Hole, find, masked
from stforecast.cube.hours import Calendar, calendar, standard_offset
from stforecast.cube.steps import LENGTHS, Step, utc
from stforecast.cube.weather import Series
from stforecast.errors import ArtefactError
from stforecast.instants import instant
from stforecast.scoring.splits import VALIDATION_DAYS, Split, make_split

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Cube:
    """Counts of events [t n c] as a COO tensor, with the graph and the covariates of its hexagons and hours.

    hour, hexagon, category, known_hour, weight: equally long arrays, sorted by (known_hour, hour).
    until_hour: as long as these, or None where events have no span; forecasters read `inputs`.
    hexagons: one row a hexagon, in the order of the index `hexagon`; columns as in `hexagons.parquet`.
    edges: int64 [2, e], from row to row of `hexagons`; both directions of an undirected graph.
    polygons: outlines in longitude and latitude, [n], where cells are polygons of a file; None of H3 cells, and of
        places that have no outline.
    weather: observed channels (past only). future: channels that are known in advance for every step.
    covariates: what else forecasters read, by cell and step.
    kinds: shares of the harmonised kinds (`config.sections.KINDS`) in each category, float32 [c K]; a row sums to 1, or
        is 0 where no kind is known. None where none is of any.
    gaps: holes that the user names or denies. masked: steps and categories that count as not observed, bool [t c], of
        the record `as_known` at an issue; None where all is observed.
    """

    name: str
    start: pd.Timestamp
    steps: int
    categories: tuple[str, ...]
    hour: np.ndarray
    hexagon: np.ndarray
    category: np.ndarray
    known_hour: np.ndarray
    weight: np.ndarray
    hexagons: pd.DataFrame
    edges: np.ndarray
    until_hour: np.ndarray | None = None
    time_zone: str = "UTC"
    step_hours: int = 1
    step_unit: Unit = "hour"
    horizons: int = 24
    resolution: int | None = None
    country: str | None = None
    subdivision: str | None = None
    weather: Series = field(default_factory=Series)
    future: Series = field(default_factory=Series)
    notes: dict[str, Any] = field(default_factory=dict)
    gaps: tuple[Gap, ...] = ()
    masked: np.ndarray | None = None
    polygons: np.ndarray | None = None
    covariates: tuple[Covariate, ...] = ()
    kinds: np.ndarray | None = None

    def __post_init__(self) -> None:
        events = {name: getattr(self, name) for name in self.event_columns}
        shape = {"hour": self.steps, "hexagon": self.n, "category": self.c}
        if odd := wrong_events(events, shape) or wrong(self.covariates, self.n):
            raise ArtefactError(f"cube {self.name}: {odd}.")
        if self.kinds is not None and self.kinds.shape != (self.c, len(KINDS)):
            raise ArtefactError(f"cube {self.name}: kinds {self.kinds.shape}, expected {(self.c, len(KINDS))}.")

    @property
    def n(self) -> int:
        """Number of hexagons."""
        return len(self.hexagons)

    @property
    def c(self) -> int:
        """Number of categories."""
        return len(self.categories)

    @property
    def event_columns(self) -> tuple[str, ...]:
        """Names of the event arrays."""
        spans = () if self.until_hour is None else ("until_hour",)
        return ("hour", "hexagon", "category", "known_hour", "weight", *spans)

    @property
    def end(self) -> pd.Timestamp:
        """The instant after the last step."""
        return self.time_of(self.steps)

    @cached_property
    def step(self) -> Step:
        """What a step of the axis is."""
        return Step(self.step_unit, self.step_hours, self.time_zone)

    @property
    def extent(self) -> str:
        """Steps, cells and categories in words."""
        cells = f"{self.n:,} {self.geometry.word}{'' if self.n == 1 else 's'}"
        return f"{self.step.words(self.steps)} × {cells} × {self.c} {'category' if self.c == 1 else 'categories'}"

    @property
    def counted(self) -> bool:
        """Whether forecasts are held to counts, not to whether there was an event: days and months hold several."""
        return self.step_unit != "hour"

    def exposure(self, first: int, last: int) -> np.ndarray | None:
        """The length of steps first … last − 1 in usual ones, float32 [t]; None where all are alike."""
        return self.step.exposure(self.start, first, last)

    @cached_property
    def axis(self) -> Axis:
        """The time axis."""
        return Axis(self.start, self.steps, self.step, standard_offset(self.time_zone, self.start).ceil("h"))

    @cached_property
    def cells(self) -> np.ndarray:
        """Identifiers of the hexagons, as strings."""
        return self.hexagons["hexagon"].to_numpy(dtype=str)

    @property
    def drawn(self) -> bool:
        """Whether the cells lie on the earth and have outlines: H3 cells and polygons do."""
        return self.resolution is not None or self.polygons is not None

    @cached_property
    def geometry(self) -> Geometry:
        """Where the cells lie, and what a reader calls one.

        Raises:
            ArtefactError: they have no outlines.
        """
        return geometry_of(self.cells, self.polygons)

    @property
    def late(self) -> bool:
        """Whether some events become known after the step in which they occur."""
        return bool((self.known_hour > self.hour).any())

    @cached_property
    def holes(self) -> tuple[Hole, ...]:
        """Stretches that were not recorded, found in the events or given, with the issues at which they are known."""
        return find(self)

    def masked_before(self, issue: int = NEVER) -> np.ndarray | None:
        """What is masked as known at an issue (default: at the end), bool [t c]; None where all is observed."""
        return masked(self.holes, self.steps, self.c, issue) if self.masked is None else self.masked

    def as_known(self, issue: int) -> Cube:
        """The cube with what is masked as known at an issue; the cube itself where nothing is."""
        found = self.masked_before(issue)
        return self if found is None or self.masked is not None else replace(self, masked=found)

    def time_of(self, step: int) -> pd.Timestamp:
        """The instant at which `step` begins (UTC)."""
        return self.step.times(self.start, [int(step)])[0]

    def times_of(self, steps: np.ndarray) -> pd.DatetimeIndex:
        """The instants at which `steps` begin (UTC)."""
        return self.step.times(self.start, steps)

    def calendar(self, first: int, last: int) -> Calendar:
        """The local calendar of steps first … last − 1, on the axis or off it."""
        times = self.times_of(np.arange(first, last))
        return calendar(times, self.step, self.country, self.subdivision)

    def step_of(self, time: pd.Timestamp) -> int:
        """The step that begins at `time`.

        Raises:
            ArtefactError: `time` is not on the axis' grid.
        """
        return self.axis.step_at(pd.Timestamp(time))

    def steps_of(self, times: Any) -> np.ndarray:
        """The steps that begin at times, int64 [m].

        Args:
            times: text with Z or an offset ("2024-10-28T06:00Z"), a Timestamp, or a list or range of them.

        Raises:
            ArtefactError: a time is no instant, or not on the axis' grid.
        """
        asked = [times] if isinstance(times, str | dt.datetime | int) else [*times]
        try:
            return np.array([self.axis.step_at(pd.Timestamp(instant(str(one)))) for one in asked], np.int64)
        except ValueError as error:
            raise ArtefactError(f"issue times: {error}.") from error

    def split(
        self, train: float | dt.date | None = None, validation: float | dt.date | None = None, gap_hours: int = 24
    ) -> Split:
        """Time-ordered slices: training, then validation, then test.

        Args:
            train: share of the days, or the first day after the slice; default 0.75, of less than a year less.
            validation: likewise; default 0.08, of less than a year 29 days, and at most a third of those before the
                test slice. Where only one of the two is given, the other is its share whatever the length.
            gap_hours: hours left out between slices.

        Raises:
            ConfigError: a slice has no room for one forecast.
        """
        gap, day, step_of_date = gap_hours // self.step_hours, self.step.per_day, self.axis.day_step
        enough = self.step.in_days(VALIDATION_DAYS) // day
        return make_split(self.steps, day, 0, train, validation, gap, self.horizons, step_of_date, enough)

    def dense(
        self, first: int = 0, last: int | None = None, known_before: int | None = None, device: Any = "cpu"
    ) -> torch.Tensor:
        """Counts of steps first … last − 1 as float32 [t n c] on `device`, in one scatter.

        Only events known before the step `known_before` (default: all). Steps outside the axis are zero.
        """
        last = self.steps if last is None else last
        keep = (self.hour >= first) & (self.hour < last)
        if known_before is not None:
            keep &= self.known_hour < known_before
        place = self.hour[keep].astype(np.int64) - first, self.hexagon[keep], self.category[keep]
        return scatter(*place, self.weight[keep], (last - first, self.n, self.c), device)

    @property
    def inputs(self) -> Cube:
        """The record as forecasters read it: every event spread evenly over the steps of its span.

        These are aoristic weights (Ratcliffe 2000): an event that took place at some time within L steps enters each
        with weight 1/L. A weight tells how long the span is, so no part is known before the event as a whole, which
        is not before the span has ended. Parts beyond the axis are left out.
        """
        return self if self.until_hour is None else self._spread

    @cached_property
    def _spread(self) -> Cube:
        assert self.until_hour is not None
        event, hour, share = spread(self.hour, self.until_hour, self.steps)
        weight = self.weight[event] * share
        parts = add_up(hour, self.hexagon[event], self.category[event], self.known_hour[event], weight)
        return replace(self, **parts, until_hour=None)

    def with_events(self, keep: np.ndarray | slice) -> Cube:
        """The same cube with only the events of a boolean mask or a slice."""
        return replace(self, **{name: getattr(self, name)[keep] for name in self.event_columns})

    @staticmethod
    def from_events(
        hour: np.ndarray,
        hexagon: np.ndarray,
        category: np.ndarray,
        known_hour: np.ndarray | None = None,
        weight: np.ndarray | None = None,
        until_hour: np.ndarray | None = None,
        **rest: Any,
    ) -> Cube:
        """A cube from unsorted, possibly repeated event cells; equal cells are summed."""
        known_hour = hour if known_hour is None else known_hour
        weight = np.ones(len(hour), np.float32) if weight is None else weight
        return Cube(**add_up(hour, hexagon, category, known_hour, weight, until_hour), **rest)

    @staticmethod
    def from_dense(
        counts: np.ndarray,
        *,
        edge_index: np.ndarray | None = None,
        coordinates: np.ndarray | None = None,
        start: str | pd.Timestamp = "2000-01-01",
        step_hours: int | None = None,
        step_unit: Unit = "hour",
        horizons: int = 24,
        categories: tuple[str, ...] | None = None,
        time_zone: str = "UTC",
        name: str = "grid",
        **rest: Any,
    ) -> Cube:
        """Any published grid or graph: counts [t n c] (or [t n]; non-negative, whole or not).

        The graph is `edge_index` [2, e], or joins places whose `coordinates` [n, 2] (longitude and latitude, or any
        plane) lie within 1.5 times the smallest distance of two: the eight neighbours of a square grid, the six
        of a hexagonal one.

        Raises:
            ArtefactError: negative or non-finite counts, neither or both of `edge_index` and `coordinates`, or shapes
                that do not agree.
        """
        c = np.atleast_3d(counts).shape[2]
        return Cube.from_events(
            **from_counts(counts, edge_index, coordinates),
            name=name,
            start=utc(start),
            steps=len(counts),
            categories=categories or tuple(f"category_{i}" for i in range(c)),
            time_zone=time_zone,
            step_hours=step_hours or LENGTHS[step_unit],
            step_unit=step_unit,
            horizons=horizons,
            **rest,
        )
