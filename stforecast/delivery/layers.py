"""The layers of a city as maps and place names read them: streets, water, rail, parks, neighbourhoods, beats."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely

from stforecast.config import Config
from stforecast.config.sections import Kind
from stforecast.config.workspace import Workspace
from stforecast.cube.geometry import Geometry
from stforecast.cube.layers import read_layer
from stforecast.errors import DataError

MARGIN = 0.05
"""How far past the cells layers are kept, as a share of the city's width and height: what a map shows around it."""
WORDS: dict[Kind, str] = {
    "streets": "street|road|highway|centerline|centreline",
    "water": "water|river|lake|hydro|stream|coast",
    "rail": "rail|train|tram|metro|subway",
    "parks": "park|green|open_space|forest",
    "neighbourhoods": "neighbo|communit|quarter|borough|suburb",
    "beats": "beat|precinct|district|division|sector|ward",
}
"""By which words in the name of a layer its kind is known."""
LINES: tuple[Kind, ...] = ("streets", "rail")
AREAS: tuple[Kind, ...] = ("neighbourhoods", "beats", "parks")
WHOLE_WORDS = {"Ne", "Nw", "Se", "Sw", "Us", "Ii", "Iii", "Iv"}
"""Of a title that was written in capitals, what stays so."""


@dataclass(frozen=True, eq=False)
class MapLayer:
    """Shapes of one kind around a city.

    name: of the configuration. shapes: single lines, polygons or points in degrees, whose longitudes run on past ±180°
    as those of the cells do, [m]. names: text, None of what has no name, [m].
    """

    name: str
    kind: Kind
    shapes: np.ndarray
    names: np.ndarray

    @property
    def dimension(self) -> int:
        """Of most of its shapes: 0 points, 1 lines, 2 polygons."""
        return int(np.bincount(shapely.get_dimensions(self.shapes)).argmax())


def read_layers(config: Config, cells: Geometry, say: Callable[[str], None]) -> list[MapLayer]:
    """The layers of a configuration around some cells: as they were fetched, or else from their files.

    One that cannot be read is left out, and `say` told so: no forecast waits for a street map.
    """
    folder, found = Workspace(config.root, config.city).layers, []
    for name, entry in config.layers.items():
        stored = folder / f"{name}.geojson"
        try:
            if stored.is_file():
                found.append(map_layer(name, entry.kind, stored, entry.name and "name", cells))
            elif entry.file is not None:
                found.append(map_layer(name, entry.kind, Path(config.input(entry.file)), entry.name, cells))
            else:
                raise DataError(f"layers.{name}: {stored} is absent. Run `stforecast fetch`.")
        except DataError as error:
            say(f"without the layer {name}: {error}")
    return found


def map_layer(name: str, kind: Kind | None, path: Path, attribute: str | None, cells: Geometry) -> MapLayer:
    """A layer from a file, cut to the surroundings of the cells.

    Raises:
        DataError: the file cannot be read, lacks the attribute, or holds nothing here.
    """
    frame = read_layer([path], attribute, f"layers.{name}.name").explode(ignore_index=True)
    texts = np.full(len(frame), None, object) if attribute is None else frame["name"].to_numpy(object)
    box, first = _surroundings(cells)

    def beside(at: np.ndarray) -> np.ndarray:
        return np.column_stack([first + (at[:, 0] - first + 180) % 360 - 180, at[:, 1]])

    shapes = shapely.transform(frame.geometry.to_numpy(), beside)
    parts, row = shapely.get_parts(shapely.clip_by_rect(shapes, *box), return_index=True)
    kept = ~shapely.is_empty(parts) & (shapely.get_dimensions(parts) == shapely.get_dimensions(shapes)[row])
    if not kept.any():
        raise DataError(f"{path}: nothing of it lies around these {cells.word}s. Is it another city's file?")
    parts, texts = parts[kept], spelled(texts[row[kept]])
    return MapLayer(name, kind or kind_of(name, int(shapely.get_dimensions(parts).max())), parts, texts)


def kind_of(name: str, dimension: int) -> Kind:
    """What a layer is by the words of its name, where its shapes can be that; else named lines are streets."""
    for kind, words in WORDS.items():
        if re.search(words, name) and not (kind in LINES and dimension != 1) and not (kind in AREAS and dimension != 2):
            return kind
    return "streets" if dimension == 1 else "other"


def spelled(names: Iterable[str | None]) -> np.ndarray:
    """Names as a reader writes them: what stands in capitals as words (E COLFAX AVE: E Colfax Ave), [m]."""
    known: dict[str | None, str | None] = {None: None}
    for name in names:
        if name not in known:
            text = " ".join(str(name).split())
            known[name] = (_title(text) if text.isupper() else text) or None
    return np.array([known[name] for name in names], object)


def _title(text: str) -> str:
    def word(found: re.Match[str]) -> str:
        digits, letters = found.groups()
        plain = letters.lower() if digits else letters.capitalize()
        return digits + (plain.upper() if plain in WHOLE_WORDS else plain)

    return re.sub(r"(\d*)([^\W\d_]+(?:'[^\W\d_]+)?)", word, text)


def _surroundings(cells: Geometry) -> tuple[tuple[float, float, float, float], float]:
    """A box around the cells with a margin, in degrees, and the longitude to which shapes are to be near."""
    west, south, east, north = shapely.total_bounds(cells.unbroken)
    x, y = MARGIN * (east - west), MARGIN * (north - south)
    return (west - x, south - y, east + x, north + y), float(shapely.get_coordinates(cells.unbroken[0])[0, 0])
