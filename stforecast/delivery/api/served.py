"""A grid as it is served: intensities, ranks and outlines in memory, so that an answer is a look-up.

Intervals are the grid's hours, 0 … k − 1, and behind them the 24 hours as a whole, k.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
import shapely

from stforecast.cube.hexgrid import centres, from_names, polygons, resolution_of
from stforecast.delivery.export import DIGITS, right_handed
from stforecast.delivery.riskgrid import NOTICE, RiskGrid, risk
from stforecast.delivery.store import Stored


@dataclass(frozen=True, eq=False)
class Places:
    """Hexagons: where they are, and the first part of their GeoJSON features, up to their properties."""

    names: tuple[str, ...]
    row: dict[str, int]
    resolution: int
    centres: np.ndarray
    outlines: np.ndarray
    features: tuple[str, ...]

    @classmethod
    def of(cls, hexagons: np.ndarray) -> Self:
        names, cells = tuple(hexagons.tolist()), from_names(hexagons.tolist())
        outlines = right_handed(polygons(cells))
        shapely.prepare(outlines)
        shapes = shapely.to_geojson(shapely.transform(outlines, lambda degrees: degrees.round(DIGITS))).tolist()
        features = tuple(
            f'{{"type":"Feature","id":"{name}","geometry":{shape},"properties":{{"hexagon":"{name}",'
            for name, shape in zip(names, shapes, strict=True)
        )
        row = {name: row for row, name in enumerate(names)}
        return cls(names, row, resolution_of(cells), centres(cells), outlines, features)

    def inside(self, west: float, south: float, east: float, north: float) -> np.ndarray:
        """Which hexagons meet a box in degrees, [n]; west > east is a box across the antimeridian."""
        if west <= east:
            return shapely.intersects(self.outlines, shapely.box(west, south, east, north))
        return self.inside(west, south, 180, north) | self.inside(-180, south, east, north)


@dataclass(frozen=True, eq=False)
class Served:
    """Arrays of intervals × categories × hexagons: intensity, usual (or None) and rank; order: hexagons by rank.

    low, high: of the counts of the 24 hours, [c n]; None where the grid has no intervals. tag: another grid has
    another one.
    """

    stored: Stored
    places: Places
    intensity: np.ndarray
    usual: np.ndarray | None
    order: np.ndarray
    rank: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None

    @classmethod
    def of(cls, stored: Stored, before: Served | None = None) -> Served:
        """From the store; the outlines of the grid before are taken over where the hexagons are the same."""
        grid = stored.grid
        same = before is not None and before.places.names == tuple(grid.hexagons.tolist())
        intensity = _with_day(grid.intensity)
        order = np.argsort(-intensity, axis=-1, kind="stable")  # as in RiskGrid: ties in the order of their ids
        rank = np.empty(order.shape, np.int32)
        np.put_along_axis(rank, order, np.arange(1, order.shape[-1] + 1, dtype=np.int32), axis=-1)
        bounds: list[np.ndarray | None] = [None, None]
        if grid.spreads:
            found = [grid.spreads[name].interval(day) for name, day in zip(grid.categories, intensity[-1], strict=True)]
            bounds = [np.stack(parts) for parts in zip(*found, strict=True)]
        return cls(
            stored=stored,
            places=before.places if before and same else Places.of(grid.hexagons),
            intensity=intensity,
            usual=None if grid.usual is None else _with_day(grid.usual),
            order=order,
            rank=rank,
            low=bounds[0],
            high=bounds[1],
        )

    @property
    def grid(self) -> RiskGrid:
        return self.stored.grid

    @property
    def day(self) -> int:
        """The interval of the 24 hours as a whole."""
        return len(self.grid.intensity)

    @cached_property
    def until(self) -> pd.Timestamp:
        """When the last hour ends."""
        return self.grid.issue_time + pd.Timedelta(hours=24)

    @cached_property
    def spans(self) -> list[dict[str, str]]:
        """From when to when each interval lasts."""
        begins = [*self.grid.valid_from, self.grid.issue_time]
        ends = [*self.grid.valid_from[1:], self.until, self.until]
        return [{"valid_from": iso(begin), "valid_until": iso(end)} for begin, end in zip(begins, ends, strict=True)]

    @cached_property
    def local_hours(self) -> list[int]:
        """The local hour in which each hour begins."""
        return self.grid.valid_from.tz_convert(self.grid.time_zone).hour.tolist()

    @cached_property
    def tag(self) -> str:
        return f"{self.stored.id}-{self.stored.created.value:x}"

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
        }

    @cached_property
    def view(self) -> bytes:
        """What the map shows, as JSON."""
        from stforecast.delivery.webmap import view_of

        return json.dumps(view_of(self.grid, self.stored.city), separators=(",", ":"), allow_nan=False).encode()

    def interval(self, time: dt.datetime | None) -> int | None:
        """The interval that holds an instant (without one, the 24 hours); None outside of them."""
        if time is None:
            return self.day
        at = (time - self.grid.issue_time) // pd.Timedelta(hours=self.grid.step_hours)
        return int(at) if 0 <= at < self.day else None


def iso(time: pd.Timestamp) -> str:
    return time.tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%SZ")


def columns(served: Served, at: Any, of_day: Any = None) -> dict[str, list[Any]]:
    """rank, intensity, risk and usual at an index of [interval, category, hexagon]; low and high at one of [c n]."""
    lam = served.intensity[at]
    found = {"rank": served.rank[at].tolist(), "intensity": _short(lam), "risk": _short(risk(lam))}
    if served.usual is not None:
        found["usual"] = _short(served.usual[at])
    if of_day is not None and served.low is not None and served.high is not None:
        found |= {"low": served.low[of_day].tolist(), "high": served.high[of_day].tolist()}
    return found


def _short(values: np.ndarray) -> list[Any]:
    return values.round(8).tolist()  # finer than any forecast is known


def _with_day(values: np.ndarray) -> np.ndarray:
    """Values [k n c] as [k + 1, c, n], their sum over the hours last."""
    each = np.ascontiguousarray(values.transpose(0, 2, 1))
    return np.concatenate([each, each.sum(0, keepdims=True)])
