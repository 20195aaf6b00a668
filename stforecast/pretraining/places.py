"""Where simulated cities lie: patches of hexagons at real places, and noise that neighbours share."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import Any

import h3.api.basic_int as h3
import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from stforecast.cube import hexgrid

SPOTS: tuple[tuple[float, float, str, str, str | None], ...] = (
    (33.45, -112.07, "America/Phoenix", "US", "AZ"),
    (32.78, -96.80, "America/Chicago", "US", "TX"),
    (35.15, -90.05, "America/Chicago", "US", "TN"),
    (39.10, -84.51, "America/New_York", "US", "OH"),
    (33.75, -84.39, "America/New_York", "US", "GA"),
    (47.61, -122.33, "America/Los_Angeles", "US", "WA"),
    (39.74, -104.99, "America/Denver", "US", "CO"),
    (53.54, -113.49, "America/Edmonton", "CA", "AB"),
    (45.50, -73.57, "America/Toronto", "CA", "QC"),
    (20.67, -103.35, "America/Mexico_City", "MX", None),
    (4.71, -74.07, "America/Bogota", "CO", None),
    (-34.60, -58.44, "America/Argentina/Buenos_Aires", "AR", None),
    (-23.55, -46.63, "America/Sao_Paulo", "BR", "SP"),
    (53.48, -2.24, "Europe/London", "GB", "ENG"),
    (52.52, 13.40, "Europe/Berlin", "DE", "BE"),
    (40.42, -3.70, "Europe/Madrid", "ES", "MD"),
    (60.17, 24.94, "Europe/Helsinki", "FI", None),
    (-33.92, 18.42, "Africa/Johannesburg", "ZA", None),
    (19.08, 72.88, "Asia/Kolkata", "IN", "MH"),
    (35.68, 139.69, "Asia/Tokyo", "JP", None),
    (-37.81, 144.96, "Australia/Melbourne", "AU", "VIC"),
    (-36.85, 174.76, "Pacific/Auckland", "NZ", None),
)
"""Latitude, longitude, time zone, country and subdivision: many clocks, holidays and seasons."""


@dataclass(frozen=True)
class Place:
    """A connected patch of hexagons, as a cube has them."""

    hexagons: pd.DataFrame
    edges: np.ndarray
    resolution: int
    latitude: float
    time_zone: str
    country: str
    subdivision: str | None


def draw_place(rng: np.random.Generator) -> Place:
    """40 to 250 hexagons about one of the SPOTS."""
    latitude, longitude, time_zone, country, subdivision = SPOTS[rng.integers(len(SPOTS))]
    latitude, longitude = latitude + rng.uniform(-0.2, 0.2), longitude + rng.uniform(-0.2, 0.2)
    resolution = int(rng.choice([7, 8, 9], p=[0.25, 0.55, 0.2]))
    count = round(log_uniform(rng, 40, 250))
    cells = _patch(h3.latlng_to_cell(latitude, longitude, resolution), count, rng.uniform(0, 0.6), rng)
    centres = hexgrid.centres(cells)
    hexagons = pd.DataFrame(
        {
            "hexagon": hexgrid.to_names(cells),
            "latitude": centres[:, 0],
            "longitude": centres[:, 1],
            "area_km2": hexgrid.areas_km2(cells),
        }
    )
    return Place(hexagons, hexgrid.edges(cells), resolution, latitude, time_zone, country, subdivision)


def _patch(centre: int, count: int, ragged: float, rng: np.random.Generator) -> np.ndarray:
    """Connected cells [count] int64 in ascending order, grown from a centre: a disc where `ragged` is 0."""
    middle, found, seen, edge = h3.cell_to_latlng(centre), list[int](), {centre}, [(0.0, centre)]
    while len(found) < count:
        found.append(heapq.heappop(edge)[1])
        for other in h3.grid_disk(found[-1], 1):
            if other not in seen:
                seen.add(other)
                away = h3.great_circle_distance(middle, h3.cell_to_latlng(other))
                heapq.heappush(edge, (away * math.exp(ragged * rng.standard_normal()), other))
    return np.array(sorted(found), np.int64)


def field(edges: np.ndarray, n: int, channels: int, rounds: int, rng: np.random.Generator) -> np.ndarray:
    """Noise with mean 0 and variance 1 over the hexagons, [n channels], that neighbours share the more, the more
    `rounds` of averaging it has been through.
    """
    degree = np.bincount(edges[0], minlength=n)
    mean = csr_array((1 / degree[edges[0]], (edges[0], edges[1])), shape=(n, n))
    values = rng.standard_normal((n, channels))
    for _ in range(rounds):
        values = (values + mean @ values) / 2
    return (values - values.mean(0)) / values.std(0)


def log_uniform(rng: np.random.Generator, low: float, high: float, size: int | tuple[int, ...] | None = None) -> Any:
    """A number whose logarithm is uniform, or an array of them of that size."""
    return np.exp(rng.uniform(math.log(low), math.log(high), size))
