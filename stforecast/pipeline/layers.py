"""Layers of a city: fetched or read once, clipped and simplified, with a manifest.

layers/NAME.geojson     in degrees, clipped to `source.bounds`, simplified, with the attribute `name`
layers/NAME.json        where it is from, when it was made, licence, attribution, what was done to it
layers/fetched/NAME/    what the publisher answered, with manifests of its own
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import shapely

from stforecast.config.sections import Layer, Table
from stforecast.cube.hexgrid import DIGITS
from stforecast.cube.layers import TOLERANCE_M, clipped, read_layer, simplified
from stforecast.errors import DataError, FetchError, StforecastError
from stforecast.events.sources import resolve
from stforecast.files import atomic_path, contents, fingerprint, sha256_of
from stforecast.pipeline.preparation import Preparation
from stforecast.pipeline.results import Result
from stforecast.sources.clients import client_of, single_tables
from stforecast.sources.fetch import fetch
from stforecast.sources.pulls import FETCHED, Pulls
from stforecast.sources.web import Web


def fetch_layers(city: Preparation, missing: bool = False, web: Web | None = None) -> None:
    """Bring every layer of the configuration up to date; one that fails does not keep the others back.

    Args:
        city: its stages.
        missing: ask no publisher for a layer that is there.
        web: default the network.

    Raises:
        DataError, FetchError: the first failure, after all were tried.
    """
    if not city.config.layers:
        return
    city.simulate()
    failures: list[StforecastError] = []
    with city.place.lock("fetch"):
        for name, layer in city.config.layers.items():
            try:
                _bring(city, name, layer, missing, web or Web())
            except (DataError, FetchError) as error:
                failures.append(error)
                city.say(f"layers: {error}")
    if failures:
        raise failures[0]


def fetch_layers_first(city: Preparation) -> None:
    """Bring the layers that are not there; goes on without one that cannot be had: no forecast waits for a map."""
    try:
        fetch_layers(city, missing=True)
    except (DataError, FetchError):
        city.say("layers: goes on without")


def _bring(city: Preparation, name: str, layer: Layer, missing: bool, web: Web) -> None:
    """Bring a layer up to date: of the publisher's shapes, the settings and the bounds at hand."""
    bounds, files = resolve(city.config.source).bounds, _files(city, name, layer)
    settings = layer.model_dump(mode="json", exclude_defaults=True)
    stamp = fingerprint(settings, bounds, TOLERANCE_M, contents(files, city.place.hashes))
    path = city.place.layers / f"{name}.geojson"
    result = Result(path.with_suffix(".json"), {"stamp": stamp}, "fetch")
    there = path.is_file() and (facts := result.read()) is not None and facts["sha256"] == sha256_of(path)
    if there and missing:
        return
    paths, new = (files[:1], False) if layer.table is None else _fetch(city, name, layer, layer.table, web)
    if there and not new:
        city.say(f"layers: {name}: {path} is up to date")
        return
    made = _make(city, paths, path, name, layer.name, bounds)
    made |= {"made": pd.Timestamp.now("UTC").isoformat(), "bounds": bounds, "tolerance_m": TOLERANCE_M}
    result.write({"layer": settings, **made, "bytes": path.stat().st_size, "sha256": sha256_of(path)})


def _files(city: Preparation, name: str, layer: Layer) -> list[Path]:
    """The file of a layer, and what lies in it where it is a folder; none of one that is fetched."""
    if layer.file is None:
        return []
    path = Path(city.config.input(layer.file))
    if not path.exists():
        raise DataError(f"{path}: is absent. Correct layers.{name}.file.")
    return [path] if path.is_file() else [path, *(inner for inner in sorted(path.rglob("*")) if inner.is_file())]


def _fetch(city: Preparation, name: str, layer: Layer, table: Table, web: Web) -> tuple[list[Path], bool]:
    """The files in which a layer came, and whether there is anything new in them."""
    paths, new, folder = list[Path](), False, city.place.layers / FETCHED / name
    for single in single_tables(web, table):
        facts: dict[str, Any] = {"table": single.model_dump(mode="json", exclude_defaults=True)}
        facts |= {"licence": layer.licence, "attribution": layer.attribution}
        pulls = Pulls.open(folder / single.name, facts)
        client = client_of(single, web, keyed=False)
        new |= fetch(client, pulls, None, lambda line: city.say(f"layers: {name}: {line}"))
        paths += sorted(path for path in pulls.folder.glob("[0-9]*-*/*") if path.is_file())
    return paths, new


def _make(
    city: Preparation, paths: list[Path], path: Path, name: str, attribute: str | None, bounds: Any
) -> dict[str, Any]:
    """Write a layer; what was done, for its manifest."""
    frame = read_layer(paths, attribute, f"layers.{name}.name")
    all_shapes, points = len(frame), int(shapely.get_num_coordinates(frame.geometry.to_numpy()).sum())
    if bounds is not None and (frame := clipped(frame, bounds)).empty:
        raise DataError(f"layers.{name}: none of its {all_shapes:,} shapes lies in source.bounds. Correct one of them.")
    frame = simplified(frame)
    left = int(shapely.get_num_coordinates(frame.geometry.to_numpy()).sum())
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        frame.to_file(temporary, driver="GeoJSON", COORDINATE_PRECISION=DIGITS)
    outside = f", {all_shapes - len(frame):,} outside source.bounds left out" if all_shapes > len(frame) else ""
    city.say(
        f"layers: {name}: {len(frame):,} shapes{outside}, {left:,} of {points:,} points (within {TOLERANCE_M:g} m), "
        f"{path.stat().st_size / 1e6:.1f} MB, in {path}"
    )
    return {"shapes": len(frame), "left_out": all_shapes - len(frame), "points": left, "points_before": points}
