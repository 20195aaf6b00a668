"""A forecast in other cells, shared out by area: hexagons read by beat, and beats by hexagon."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from scipy.sparse import csr_array

from stforecast.cube.geometry import Geometry, geometry_of
from stforecast.cube.overlap import hexagons_over, shares
from stforecast.cube.places import polygon_cells
from stforecast.delivery import export
from stforecast.delivery.place_names import place_names
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.errors import ArtefactError, ConfigError, DataError
from stforecast.forecasters.forecast import Forecast

FULL = 0.99
"""Share of a cell's area that must be forecast, or it is said that part of it is not."""
SAVED = "forecast.json"
HELD = (export.FACTS, SAVED)
"""What a folder of a grid, or of a saved forecast, is known by."""
Converted = TypeVar("Converted", Forecast, RiskGrid)


def convert(forecast: Converted, to: str | Path | int, key: str | None = None) -> Converted:
    """A forecast in the polygons of a file or in H3 hexagons, with its expected reports shared out by area.

    Expected reports are shared as if they lay evenly over a cell (areal weighting), so that their sum stays what it was
    within the new cells; risk is 1 − exp(−λ) of what arrives. What rates are per is shared likewise, and unknown where
    it is of a part. New cells of which nothing was forecast are left out. What lies outside them, and which of them are
    forecast in part, stands in the `assumptions`. Intervals and districts are of the old cells and are left out,
    and cells are named anew.

    Args:
        forecast: a forecast, or one issue of it as a grid.
        to: a polygon file, or the resolution of H3 hexagons, 0 to 15.
        key: attribute of the file that names its polygons.

    Raises:
        ConfigError: `key` is not given with a file, or the resolution does not fit.
        DataError: the file cannot be used, or lies elsewhere.
        ArtefactError: the forecast's cells have no outlines.

    Example:
        >>> by_beat = st.convert(forecast, "beats.geojson", key="beat")
    """
    source = forecast.geometry
    target, words = _target(source, to, key)
    share = shares(source, target)
    met = np.flatnonzero(share.sum(0) > 0)
    if not met.size:
        raise DataError(f"{to}: no cell of it meets the forecast's {source.word}s. Is it another city's file?")
    share = share[:, met]
    axis = -1 if isinstance(forecast, RiskGrid) else -2
    lam, usual = forecast.intensity, forecast.usual
    expected = np.moveaxis(lam, axis, -1).reshape(-1, len(source.names)).sum(0, dtype=np.float64)
    said: list[str] = _said(source, target, met, share, expected, words)
    own: dict[str, Any] = {}
    if isinstance(forecast, RiskGrid) and (below := forecast.denominator) is not None:
        own["denominator"] = replace(below, values=_shared(below.values, share, -1))
        said.append(f"What rates are per ({below.what}) is shared out likewise.")
    if isinstance(forecast, RiskGrid) and forecast.places is not None:
        cells = geometry_of(target.names[met], None if target.polygons is None else target.outlines[met])
        own["places"] = place_names(cells)
    return replace(
        forecast,
        intensity=_shared(lam, share, axis),
        usual=None if usual is None else _shared(usual, share, axis),
        hexagons=target.names[met],
        polygons=None if target.polygons is None else target.outlines[met],
        districts=None,
        spreads={},
        joint={},
        assumptions=(*forecast.assumptions, *said),
        **own,
    )


def convert_folder(folder: Path, to: str | Path | int, key: str | None, output: Path) -> tuple[tuple[str, ...], str]:
    """Convert the grid or saved forecast of a folder into another; its assumptions, and how to look at it.

    Raises:
        ArtefactError: the folder holds neither, or it is damaged.
        ConfigError: `output` is the folder itself, or holds other files: either would be lost; or as of `convert`.
        DataError: as of `convert`.
    """
    if output.resolve() == folder.resolve():
        raise ConfigError(f"{output}: is what is converted, and would be lost. Name another folder.")
    if output.is_dir() and any(output.iterdir()) and not any((output / name).is_file() for name in HELD):
        raise ConfigError(f"{output}: holds other files. Name a folder that is not there yet.")
    if (folder / export.FACTS).is_file():
        grid = convert(export.open_grid(folder), to, key)
        export.write_grid(grid, output, export.city_of(folder))
        return grid.assumptions, f"open {output / export.MAP}"
    if not (folder / SAVED).is_file():
        raise ArtefactError(f"{folder}: holds neither a grid ({export.FACTS}) nor a saved forecast ({SAVED}).")
    forecast = convert(Forecast.load(folder), to, key)
    forecast.save(output)
    return forecast.assumptions, f"stforecast.Forecast.load({str(output)!r})"


def _target(source: Geometry, to: str | Path | int, key: str | None) -> tuple[Geometry, str]:
    """The new cells, and what they are in words."""
    if isinstance(to, int):
        if not 0 <= to <= 15:
            raise ConfigError(f"resolution: {to} is none of H3. Give 0 to 15.")
        return hexagons_over(source, to), f"hexagons of H3 resolution {to}"
    if key is None:
        raise ConfigError(f"key: name the attribute of {to} that holds the code or name of a polygon.")
    return polygon_cells(to, key)[0], f"areas of {Path(to).name}"


def _shared(values: np.ndarray, share: csr_array, axis: int) -> np.ndarray:
    """Values with the cells of `axis` shared out."""
    last = np.moveaxis(values, axis, -1)
    shared = (last.reshape(-1, last.shape[-1]).astype(np.float64) @ share).reshape(*last.shape[:-1], share.shape[1])
    return np.ascontiguousarray(np.moveaxis(shared, -1, axis), values.dtype)


def _said(
    source: Geometry, target: Geometry, met: np.ndarray, share: csr_array, expected: np.ndarray, words: str
) -> list[str]:
    lines = [
        f"Shared out by area from {len(source.names):,} {source.word}s to {len(met):,} {words}, as if the reports of "
        f"each {source.word} lay evenly over it."
    ]
    outside = 1 - (expected @ share).sum() / max(expected.sum(), 1e-300)
    if outside > 1e-6:
        lines.append(f"{outside:.2%} of the expected reports lie outside these {target.word}s and are left out.")
    part = (source.areas_km2 @ share) / target.areas_km2[met] < FULL
    if part.any():
        lines.append(
            f"{int(part.sum()):,} of these {target.word}s are forecast in part: what is to be expected in the rest of "
            "them is not in their figures."
        )
    return lines
