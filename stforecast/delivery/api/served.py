"""A grid as it is served: its numbers, ranks and outlines in memory, so that an answer is a look-up."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
import shapely

from stforecast.config.sections import SHIFTS, Allocation, Hours
from stforecast.cube.geometry import Geometry
from stforecast.cube.hexgrid import rounded
from stforecast.delivery.compact import to_text
from stforecast.delivery.export import short
from stforecast.delivery.residents import Residents, plan_view
from stforecast.delivery.riskgrid import NOTICE, RiskGrid, iso
from stforecast.delivery.shifts import Shift, during, shifts_of
from stforecast.delivery.store import Stored
from stforecast.instants import since_1970

NONE_GIVEN = Allocation()


@dataclass(frozen=True, eq=False)
class Places:
    """Hexagons: where they are, what they are called, for searches too, and the first part of their GeoJSON features,
    up to their properties."""

    names: tuple[str, ...]
    row: dict[str, int]
    geometry: Geometry
    centres: np.ndarray
    features: tuple[str, ...]
    called: tuple[str | None, ...]
    words: tuple[str, ...]

    @classmethod
    def of(cls, grid: RiskGrid) -> Self:
        """The places of a grid's hexagons."""
        names, cells = tuple(grid.hexagons.tolist()), grid.geometry
        shapely.prepare(cells.outlines)
        called = tuple([None] * len(names) if grid.places is None else grid.places.tolist())
        shapes = shapely.to_geojson(rounded(cells.outlines)).tolist()
        features = tuple(
            f'{{"type":"Feature","id":{name},"geometry":{shape},"properties":{{"place":{place},"hexagon":{name},'
            for name, place, shape in zip(map(json.dumps, names), map(json.dumps, called), shapes, strict=True)
        )
        rows, words = {name: row for row, name in enumerate(names)}, tuple((name or "").casefold() for name in called)
        return cls(names, rows, cells, cells.centres, features, called, words)

    def named(self, text: str) -> np.ndarray:
        """Which hexagons have a name that holds every word of a text, [n]."""
        asked = text.casefold().split()
        return np.array([all(word in name for word in asked) for name in self.words])

    def inside(self, west: float, south: float, east: float, north: float) -> np.ndarray:
        """Which hexagons meet a box in degrees, [n]; west > east is a box across the antimeridian."""
        if west <= east:
            return shapely.intersects(self.geometry.outlines, shapely.box(west, south, east, north))
        return self.inside(west, south, 180, north) | self.inside(-180, south, east, north)


@dataclass(frozen=True, eq=False)
class Served:
    """A grid of the store with the places of its hexagons. An interval is an index of the grid's arrays."""

    stored: Stored
    places: Places
    shifts: Mapping[str, Hours]
    allocation: Allocation

    @classmethod
    def of(
        cls,
        stored: Stored,
        before: Served | None = None,
        shifts: Mapping[str, Hours] = SHIFTS,
        allocation: Allocation = NONE_GIVEN,
    ) -> Served:
        """From the store; the outlines of the grid before are taken over where the hexagons are the same."""
        same = before is not None and _same_places(before.grid, stored.grid)
        served = cls(stored, before.places if before and same else Places.of(stored.grid), shifts, allocation)
        made = served.grid  # now, not while the first request waits
        _ = made.rank, made.risk, made.bounds, made.rates
        return served

    @property
    def grid(self) -> RiskGrid:
        return self.stored.grid

    @property
    def whole(self) -> int:
        """The interval of all steps together."""
        return self.grid.horizons

    @property
    def until(self) -> pd.Timestamp:
        """When the last step ends."""
        return self.grid.ends[self.whole]

    @cached_property
    def spans(self) -> list[dict[str, str]]:
        """From when to when each interval lasts."""
        times = zip(self.grid.starts, self.grid.ends, strict=True)
        return [{"valid_from": iso(start), "valid_until": iso(end)} for start, end in times]

    @cached_property
    def tag(self) -> str:
        return f"{self.stored.id}-{since_1970(self.stored.created):x}"

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What every answer says of its grid."""
        grid = self.grid
        return {
            "grid_id": self.stored.id,
            "city": self.stored.city,
            "issue_time": iso(grid.issue_time),
            "valid_until": iso(self.until),
            "complete_until": iso(grid.complete_until),
            "model": grid.model,
            "notice": NOTICE,
            **({} if grid.denominator is None else {"rate": grid.denominator.facts(grid.ends - grid.starts)}),
        }

    @cached_property
    def view(self) -> bytes:
        """What the map shows, as JSON."""
        from stforecast.delivery.webmap import view_of

        facts, plan = self.stored.facts, plan_view(self.allocation, self.residents)
        beside: dict[str, Any] = {"comparison": facts.get("comparison"), "plan": plan, "why": facts.get("why")}
        view = view_of(self.grid, self.stored.city, shifts=self.shifts, **beside)
        return to_text(view).encode()

    @property
    def residents(self) -> Residents:
        """Who lives in the hexagons, as far as it came with the grid."""
        return Residents.from_dict(self.stored.facts.get("residents", {}), self.grid)

    @cached_property
    def shifts_held(self) -> dict[str, Shift]:
        """The shifts of the grid by name; none where steps are no hours."""
        return shifts_of(self.grid, self.shifts) if self.grid.step_unit == "hour" else {}

    @cached_property
    def by_shift(self) -> dict[str, Served]:
        """The same of each shift, as its only step."""
        return {
            name: replace(self, stored=replace(self.stored, grid=during(self.grid, shift.steps)))
            for name, shift in self.shifts_held.items()
        }

    def steps(self, shift: str | None, interval: int) -> slice:
        """The steps of a shift, or of an interval."""
        if shift is not None:
            steps = self.shifts_held[shift].steps
            return slice(steps.start, steps.stop)
        return slice(None) if interval == self.whole else slice(interval, interval + 1)

    def interval(self, time: dt.datetime | None) -> int | None:
        """The step that holds an instant (without one, the whole horizon); None outside of it."""
        if time is None:
            return self.whole
        if not self.grid.issue_time <= time < self.until:
            return None
        return int(self.grid.ends[: self.whole].searchsorted(pd.Timestamp(time), "right"))


def _same_places(one: RiskGrid, other: RiskGrid) -> bool:
    names = [None if grid.places is None else grid.places.tolist() for grid in (one, other)]
    if names[0] != names[1]:
        return False
    if not np.array_equal(one.hexagons, other.hexagons) or (one.polygons is None) != (other.polygons is None):
        return False
    return one.polygons is None or bool(shapely.equals_exact(one.polygons, other.polygons).all())


def columns(served: Served, at: Any, together: Any = None) -> dict[str, list[Any]]:
    """Values of a grid at an index of [interval, category, hexagon], and its bounds at one of [category, hexagon]."""
    grid = served.grid
    found = {"rank": grid.rank[at].tolist(), "intensity": short(grid.intensity[at]), "risk": short(grid.risk[at])}
    if grid.usual is not None:
        found["usual"] = short(grid.usual[at])
    found |= {name: short(values[at]) for name, values in grid.rates.items()}
    if together is not None and grid.bounds is not None:
        found |= {name: bound[together].tolist() for name, bound in zip(("low", "high"), grid.bounds, strict=True)}
    return found
