"""The cities that benchmarks run on: a configured one, built where it is not yet, or a simulated cube of any size."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import h3
import numpy as np
import pandas as pd

from stforecast.cube import Cube, hexgrid

if TYPE_CHECKING:
    from stforecast.config import Config


def of_a_city(command: Callable[..., None]) -> Callable[..., None]:
    """What a benchmark of a city is asked for: a configuration and its overrides, or --small; and --output."""

    @click.argument("config", required=False)
    @click.argument("overrides", nargs=-1)
    @click.option("--small", is_flag=True, help="A small simulated city.")
    @click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures as JSON.")
    @wraps(command)
    def asked(config: str | None, small: bool, **options: Any) -> None:
        if not small and config is None:
            raise click.UsageError("Give a configuration, or --small.")
        command(config=config, small=small, **options)

    return asked


def built(config: Config) -> tuple[Cube, Path]:
    """The cube of a configuration and its folder."""
    from stforecast.pipeline.stages import Stages

    stages = Stages(config, lambda line: print(line, file=sys.stderr))
    stages.ingest()
    return stages.build(), stages.place.gold


def simulated(hexagons: int, days: int, categories: int = 3, rate: float = 0.1, seed: int = 0) -> Cube:
    """A disc of H3 cells over which events fall at `rate` a hexagon and day, denser in some than in others.

    Known as they occur. The rate of a category falls as their number grows, so that the events stay as many.
    """
    rng = np.random.default_rng(seed)
    middle, rings = h3.latlng_to_cell(39.74, -104.99, 8), 0
    while len(found := h3.grid_disk(middle, rings)) < hexagons:
        rings += 1
    by_distance = sorted(found, key=lambda cell: (h3.grid_distance(middle, cell), cell))
    area = hexgrid.from_names(sorted(by_distance[:hexagons]))
    events = rng.poisson(rate * hexagons * days)
    share = rng.gamma(1.0, size=hexagons)
    latitude, longitude = hexgrid.centres(area).T
    return Cube.from_events(
        rng.integers(0, days * 24, events),
        rng.choice(hexagons, events, p=share / share.sum()),
        rng.integers(0, categories, events),
        name="simulated",
        start=pd.Timestamp("2020-01-01", tz="UTC"),
        steps=days * 24,
        categories=tuple(f"category_{i}" for i in range(categories)),
        hexagons=pd.DataFrame(
            {
                "hexagon": hexgrid.to_names(area),
                "latitude": latitude,
                "longitude": longitude,
                "area_km2": hexgrid.areas_km2(area),
            }
        ),
        edges=hexgrid.edges(area),
        resolution=8,
    )
