"""What a reader calls a cell: the crossing or street at its middle, or where it lies in its area.

Near the middle of a cell the crossing of two named streets names it (E Colfax Ave & N Broadway), or else the nearest
named street; streets of a longer name in the city are the better known and may lie a little farther off. Where there is
none, the neighbourhood, beat or district that holds the middle does. Cells that have one name are told apart by area,
then by compass and at last by distance from the middle of those that share it: District 6, north-east (1.2 km).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyproj
import shapely

from stforecast.config.sections import Kind
from stforecast.cube.geometry import DEGREES, Geometry, plane_about
from stforecast.delivery.layers import MapLayer

COMPASS = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
MIDDLE = 0.3
"""Share of the way to the farthest cell within which a cell lies in the middle."""
LESS_KNOWN = 0.25
"""How much farther off a street may seem for each class that it is less known, in half widths of a cell."""
SHARES = (0.15, 0.45)
"""The best known streets hold this share of the length of all, the next ones up to that."""
SIDES = re.compile(r"\b(?:[nsew]|[ns][ew]|north|south|east|west)\b\.?", re.IGNORECASE)
AREAS: dict[Kind, str] = {"neighbourhoods": "Area", "beats": "Beat"}
"""Kinds of layers that name what lies in them, best first, and what a number of theirs is called."""


def place_names(cells: Geometry, layers: Sequence[MapLayer] = (), districts: np.ndarray | None = None) -> np.ndarray:
    """Names of cells, [n], unique within the city as far as streets, areas and distances tell them apart.

    Args:
        cells: where they lie.
        layers: streets, neighbourhoods and beats count.
        districts: of the cells, None where one has none, [n].
    """
    latitude, longitude = cells.centres.T
    forth = pyproj.Transformer.from_crs(DEGREES, plane_about(longitude, latitude), always_xy=True)
    middle = np.stack(forth.transform(longitude, latitude), 1)
    names, area = np.full(len(middle), "", object), np.full(len(middle), "", object)
    for kind, word in AREAS.items():
        for layer in layers:
            if layer.kind == kind and layer.dimension == 2:
                area = np.where(area == "", _holders(layer, longitude, latitude, word), area)
    if districts is not None:
        area = np.where(area == "", [called(name or "", "District") for name in districts], area)
    streets = [layer for layer in layers if layer.kind == "streets" and layer.dimension == 1]
    if streets:
        lines, texts = (np.concatenate([getattr(one, each) for one in streets]) for each in ("shapes", "names"))
        if (named := np.array([text is not None for text in texts])).any():
            plain = shapely.transform(lines[named], lambda at: np.stack(forth.transform(*at.T), 1))
            names = _by_street(plain, texts[named].astype(str), middle, cells)
    by_area = names == ""
    names[by_area] = area[by_area]
    again = _shared(names) & ~by_area & (area != "")
    names[again] = names[again] + ", " + area[again]
    return _apart(names, middle)


def called(name: str, word: str) -> str:
    """A number or short code of an area with the word for such areas; any other name as it is."""
    return f"{word} {name}" if re.fullmatch(r"\w{1,3}|\w*\d\w*", name) else name


def known(names: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """How well known streets are by the length of all that bears their name: 0 the best, 1, 2; [m].

    Args:
        names: of pieces of streets, "" of those that have none, [m].
        lengths: of these, [m].
    """
    total = pd.Series(lengths).groupby(names).sum().drop("", errors="ignore")
    ordered = total.iloc[np.lexsort([total.index.to_numpy(str), -total.to_numpy()])]
    before = ordered.cumsum() - ordered
    ranks = pd.Series(np.searchsorted(np.array(SHARES) * ordered.sum(), before, side="right"), ordered.index)
    return ranks.reindex(names).fillna(len(SHARES)).to_numpy(np.int64)


def _by_street(lines: np.ndarray, names: np.ndarray, middle: np.ndarray, cells: Geometry) -> np.ndarray:
    """The crossing, or else the street, nearest to each middle within half a cell's width, [n]; "" without one.

    Args:
        lines: pieces of streets in the plane, [m].
        names: of these, [m].
        middle: of the cells in the plane, [n, 2].
        cells: how large they are.
    """
    rank, reach = known(names, shapely.length(lines)), 500 * np.sqrt(cells.areas_km2)
    tree, centres = shapely.STRtree(lines), shapely.points(middle)
    found = np.full(len(middle), "", object)
    cell, line = tree.query(centres, predicate="dwithin", distance=reach)
    away = shapely.distance(centres[cell], lines[line]) / reach[cell] + LESS_KNOWN * rank[line]
    _take_best(found, cell, away, names[line])

    one, other = tree.query(lines, predicate="intersects")
    base = pd.Series(names).str.replace(SIDES, "", regex=True).str.split().str.join(" ").to_numpy(object)
    better = (rank[one] < rank[other]) | ((rank[one] == rank[other]) & (names[one] < names[other]))
    pairs = better & (base[one] != base[other])
    one, other = one[pairs], other[pairs]
    places, pair = shapely.get_coordinates(shapely.intersection(lines[one], lines[other]), return_index=True)
    if not len(places):
        return found
    cell, place = shapely.STRtree(shapely.points(places)).query(centres, predicate="dwithin", distance=reach)
    pair = pair[place]
    away = np.hypot(*(places[place] - middle[cell]).T) / reach[cell] + LESS_KNOWN * (rank[one] + rank[other])[pair]
    _take_best(found, cell, away, names[one][pair] + np.array(" & ", object) + names[other][pair])
    return found


def _take_best(found: np.ndarray, cell: np.ndarray, away: np.ndarray, names: np.ndarray) -> None:
    """Give each cell the name that is least far away; of equally near ones the first in alphabetical order."""
    order = np.lexsort([names.astype(str), away.round(6), cell])
    _, first = np.unique(cell[order], return_index=True)
    best = order[first]
    found[cell[best]] = names[best]


def _holders(layer: MapLayer, longitude: np.ndarray, latitude: np.ndarray, word: str) -> np.ndarray:
    """The name of the first area that holds each point, [n]; "" where none does."""
    found = np.full(len(longitude), "", object)
    point, area = shapely.STRtree(layer.shapes).query(shapely.points(longitude, latitude), predicate="intersects")
    for at, row in sorted(zip(point.tolist(), area.tolist(), strict=True), reverse=True):
        found[at] = called(layer.names[row] or "", word)
    return found


def _shared(names: np.ndarray) -> np.ndarray:
    """Which names stand more than once, [n]."""
    return pd.Series(names).duplicated(keep=False).to_numpy()


def _apart(names: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Names that several cells have, with where the cells lie among these, [n]."""
    out, away = names.copy(), np.zeros(len(names))
    for name, rows in pd.Series(np.arange(len(names))).groupby(names, sort=False).indices.items():
        if len(rows) == 1 and name:
            continue
        east, north = (middle[rows] - middle[rows].mean(0)).T
        away[rows] = np.hypot(east, north)
        sides = np.array(COMPASS, object)[(np.degrees(np.arctan2(east, north)) / 45).round().astype(int) % 8]
        inner = away[rows] <= MIDDLE * away[rows].max()
        if name:
            out[rows] = f"{name}, " + np.where(inner, "middle", sides)
        else:
            out[rows] = np.where(inner, "Centre", [f"{side.capitalize()} of the centre" for side in sides])
    again = _shared(out)
    out[again] = [f"{name} ({metres / 1000:.1f} km)" for name, metres in zip(out[again], away[again], strict=True)]
    return out
