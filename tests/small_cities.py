"""Small simulated cities for the tests of the forecasters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import h3.api.basic_int as h3
import numpy as np
import pandas as pd
import pytest

from stforecast import config
from stforecast.config.sections import Unit
from stforecast.cube import Cube, Series
from stforecast.cube.hexgrid import areas_km2, centres, edges, to_names
from stforecast.features.scaling import Scales
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.gcrn.forecaster import GCRN
from stforecast.forecasters.gcrn.trained import Trained
from stforecast.forecasters.gcrn.training import Module
from stforecast.forecasters.registry import BUILT_IN, forecaster_class
from stforecast.forecasters.trees import Trees
from stforecast.scoring.splits import Split, make_split


def cells(rings: int = 1) -> np.ndarray:
    """A pentagon with its disc, an ordinary disc elsewhere, and a hexagon without neighbours."""
    pentagon = sorted(h3.get_pentagons(8))[0]
    denver, alone = h3.latlng_to_cell(39.74, -104.99, 8), h3.latlng_to_cell(41.88, -87.63, 8)
    return np.array(sorted({*h3.grid_disk(pentagon, 1), *h3.grid_disk(denver, rings), alone}), np.int64)


def places(rings: int = 1) -> dict[str, Any]:
    """Hexagons and edges of a cube."""
    found = cells(rings)
    position = centres(found)
    frame = pd.DataFrame(
        {
            "hexagon": to_names(found),
            "latitude": position[:, 0],
            "longitude": position[:, 1],
            "area_km2": areas_km2(found),
        }
    )
    return {"hexagons": frame, "edges": edges(found), "resolution": 8}


def delays(count: int, rng: np.random.Generator, mean: float = 60.0) -> np.ndarray:
    """Hours from occurrence to report: none for half of the events, geometric for the others."""
    return np.where(rng.random(count) < 0.5, 0, rng.geometric(1 / mean, count))


def city(
    days: int = 100,
    late: bool = False,
    seed: int = 0,
    rate: float = 1.0,
    excitation: float = 0.0,
    weather: bool = False,
    rings: int = 1,
    **rest: Any,
) -> Cube:
    """An hourly city of two categories: `rate` events a hexagon and day, and `excitation` for each that a neighbour
    had yesterday.
    """
    rng = np.random.default_rng(seed)
    place = places(rings)
    n, steps = len(place["hexagons"]), days * 24
    rhythm = (1 + 0.8 * np.sin(np.arange(24) * np.pi / 12))[:, None] / 48
    base = rate * rng.gamma(2, 0.5, (n, 1, 2)) * rhythm
    around = np.zeros((n, n))
    around[place["edges"][1], place["edges"][0]] = 1
    counts = np.zeros((days, n, 24, 2))
    for day in range(days):
        excited = excitation * (around @ counts[day - 1].sum((1, 2)))
        counts[day] = rng.poisson(base + excited[:, None, None] * rhythm)
    day, hexagon, hour, category = np.nonzero(counts)
    hour = hour + 24 * day
    series = {}
    if weather:
        values = rng.normal(10, 5, (steps + 48, 2)).astype(np.float32)
        values[rng.random(steps + 48) < 0.3] = np.nan
        series = {"weather": Series(("temperature",), values[:steps, :1]), "future": Series(("rain",), values[:, 1:])}
    options: dict[str, Any] = {"start": pd.Timestamp("2023-01-10 07:00", tz="UTC"), "time_zone": "America/Denver"}
    return Cube.from_events(
        hour,
        hexagon,
        category,
        hour + delays(len(hour), rng) if late else None,
        counts[day, hexagon, hour % 24, category],
        name="small",
        steps=steps,
        categories=("property", "violent"),
        country="US",
        **{**options, **place, **series, **rest},
    )


def with_events(cube: Cube, keep: np.ndarray, **more: np.ndarray) -> Cube:
    """The cube with a part of its events, and others beside them."""
    old = {key: getattr(cube, key)[keep] for key in ("hour", "hexagon", "category", "known_hour", "weight")}
    arrays = {key: np.concatenate([old[key], more[key]]) if more else old[key] for key in old}
    order = np.lexsort((arrays["hour"], arrays["known_hour"]))
    return replace(cube, **{key: values[order].astype(old[key].dtype) for key, values in arrays.items()})


def half_late(cube: Cube, hours: int) -> Cube:
    """The cube with every other event reported so many hours late."""
    late = replace(cube, known_hour=cube.hour + hours * (np.arange(len(cube.hour)) % 2))
    return with_events(late, late.hour >= 0)


def summed(cube: Cube, hours: int, unit: Unit = "hour") -> Cube:
    """An hourly cube in steps of so many hours, with the weather of the first of them."""
    series = {
        name: replace(one, values=one.values[::hours])
        for name, one in (("weather", cube.weather), ("future", cube.future))
    }
    return replace(
        cube,
        steps=cube.steps // hours,
        step_hours=hours,
        step_unit=unit,
        horizons=24 // hours,
        hour=cube.hour // hours,
        known_hour=cube.known_hour // hours,
        **series,
    )


def with_categories(cube: Cube, c: int, seed: int = 5) -> Cube:
    """The cube with every event's category drawn anew among c."""
    drawn = np.random.default_rng(seed).integers(0, c, len(cube.hour)).astype(cube.category.dtype)
    return replace(cube, category=drawn, categories=tuple(f"group {i}" for i in range(c)))


def another_future(cube: Cube, t0: int, late: bool, seed: int = 9) -> Cube:
    """The cube with other events known from t0 on, and other weather observed from then on."""
    rng, count = np.random.default_rng(seed), 400
    known = rng.integers(t0, cube.steps, count)
    changed = with_events(
        cube,
        cube.known_hour < t0,
        hour=rng.integers(0, known + 1) if late else known,
        known_hour=known,
        hexagon=rng.integers(0, cube.n, count),
        category=rng.integers(0, cube.c, count),
        weight=rng.integers(1, 5, count).astype(np.float32),
    )
    values = cube.weather.values.copy()
    values[t0:] = 50  # where there is weather
    return replace(changed, weather=replace(cube.weather, values=values))


def split_of(cube: Cube, train: float = 0.6, validation: float = 0.15) -> Split:
    """Slices with a gap of one horizon."""
    day = cube.step.per_day
    return make_split(cube.steps, day, 0, train, validation, cube.horizons, cube.horizons, lambda date: 0)


def settings(**sections: Any) -> config.Config:
    """A configuration of a small network; sections are merged key by key."""
    values: dict[str, Any] = {
        "city": "small",
        "seeds": 1,
        "model": {"hidden": 8, "rank": 4},
        "training": {"max_epochs": 2, "truncation": 7, "warm_up_days": 14, "device": "cpu"},
    }
    for key, value in sections.items():
        values[key] = {**values.get(key, {}), **value} if isinstance(value, dict) else value
    return config.parse(values, "test")


def fitted(name: str, cube: Cube, split: Split | None = None, **sections: Any) -> Forecaster:
    """A forecaster that has learned from the training slice, with what it reads, and is not calibrated."""
    config = sections.pop("config", None) or settings(**sections)
    kind, split = forecaster_class(name), split or split_of(cube)
    parts = {part: fitted(part, cube, split, config=config) for part in kind.needs(config)}
    forecaster = kind(config, parts)
    forecaster.learn(cube, split)
    return forecaster.uncalibrated(cube)


def forecaster_of(*modules: Module, **sections: Any) -> GCRN:
    """A forecaster with these networks."""
    forecaster = GCRN(settings(**sections))
    forecaster.fits = [Trained(module.settings, module.edges, module.best, module.graph) for module in modules]
    forecaster.scales = Scales.from_dict(modules[0].settings["scales"])
    return forecaster


def with_small_trees(monkeypatch: pytest.MonkeyPatch, quiet_rows: int) -> None:
    """Few rows and few trees for every tree model."""
    monkeypatch.setattr(Trees, "quiet_rows", quiet_rows)
    for kind in map(forecaster_class, sorted(BUILT_IN)):
        if issubclass(kind, Trees):
            size = "max_iter" if "max_iter" in kind.settings else "n_estimators"
            monkeypatch.setattr(kind, "settings", {**kind.settings, size: 10})
