"""Which columns hold the place: degrees first, then one column of both, then metres or feet of some system."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pyarrow as pa

from stforecast.events.coordinates import is_blank_place, parse_point
from stforecast.events.examine.columns import FEW, Column, ColumnRole
from stforecast.events.examine.offence_words import has_word_for
from stforecast.events.parsing.text_columns import to_numbers
from stforecast.events.place_checks import zone_at

CITY = 3.0
"""Degrees within which the middle nine tenths of a city's places lie."""
POLAR = 70.0
"""Latitude beyond which no city is looked for."""
PROJECTED = (500.0, 400_000.0)
"""Metres or feet across the middle nine tenths of a city's places, and the least coordinate of most of them."""
LEAST_PROJECTED = 5_000.0
PAIRS = 0.3
"""Share of the texts of a column that have to end in coordinates: addresses without a known place have none."""
JOINT = 1.5
"""Pairs of coordinates for each single one: places repeat as pairs."""
Pair = tuple[tuple[float, ...], Column, Column, bool]
"""Rank of two columns, that of y, that of x, and whether it is sure which is which."""


@dataclass(frozen=True)
class PlaceColumns:
    """Where the rows [r] are, and which columns say so.

    x, y: longitude and latitude, or what is to be projected; NaN where there is none. in_degrees: they are degrees.
    """

    roles: dict[str, ColumnRole]
    x: np.ndarray
    y: np.ndarray
    in_degrees: bool

    @property
    def middle(self) -> tuple[float, float]:
        """The medians of y and x."""
        return float(np.nanmedian(self.y)), float(np.nanmedian(self.x))


def find_place_columns(
    columns: Sequence[Column], points: Mapping[str, pa.Array], in_degrees: bool
) -> PlaceColumns | None:
    """The places of a table; None where nothing holds them.

    Args:
        points: latitude and longitude that the file holds beside its columns.
        in_degrees: and their coordinate system is known.
    """
    beside = None
    if points:
        y, x = (to_numbers(points[name]) for name in ("latitude", "longitude"))
        in_degrees = in_degrees or bool(np.nanmax(np.abs(np.append(x, y))) <= 360)
        beside = _places({}, x, y, in_degrees)
    if beside and in_degrees:
        return beside
    return _degrees(columns) or _both_in_one(columns) or beside or _projected(columns)


def _degrees(columns: Sequence[Column]) -> PlaceColumns | None:
    """The best pair of columns of degrees."""
    found = []
    for one, other in combinations([column for column in columns if _is_degrees(column)], 2):
        orders = [(y, x) for y, x in ((one, other), (other, one)) if _on_land(y, x)]
        named = [pair for pair in orders if _are_named(*pair)]
        for y, x in (named or orders)[:1]:
            sure = bool(named) or len(orders) == 1
            found.append(((not named, -min(y.share, x.share), *_nearness(y, x)), y, x, sure))
    question = "latitude and longitude may be exchanged: check the ten rows"
    return _best(found, "degrees of one city, around {:.3f}", question, True)


def _both_in_one(columns: Sequence[Column]) -> PlaceColumns | None:
    for column in columns:
        which, distinct = column.codes
        some = [text for text in distinct if text][:FEW]
        if column.is_numeric or np.isfinite([parse_point(text)[0] for text in some]).mean() < PAIRS:
            continue
        x, y = np.array([parse_point(text) for text in distinct])[which].T
        return _places({"location": ColumnRole(column.name, "both coordinates in one text")}, x, y, True)
    return None


def _projected(columns: Sequence[Column]) -> PlaceColumns | None:
    """The best pair of columns of metres or feet."""
    found = []
    for one, other in combinations([column for column in columns if _is_projected(column)], 2):
        rows = one.filled & other.filled
        pairs = len(np.unique(np.stack([one.numbers[rows], other.numbers[rows]]), axis=1).T)
        single = min(len(np.unique(column.numbers[rows])) for column in (one, other))
        if rows.sum() < 0.5 * one.filled.sum() or pairs > JOINT * single:
            continue
        y, x = (one, other) if _are_named(one, other) else (other, one)
        named = _are_named(y, x)
        found.append(((not named, *_nearness(y, x)), y, x, named))
    question = "easting and northing may be exchanged"
    return _best(found, "metres or feet of one city, repeating in pairs", question, False)


def _best(found: Sequence[Pair], why: str, question: str, in_degrees: bool) -> PlaceColumns | None:
    """The places of the first of some pairs by rank."""
    if not found:
        return None
    _, y, x, sure = min(found, key=lambda pair: pair[0])
    y_role = ColumnRole(y.name, why.format(np.median(_known(y))), "" if sure else question)
    roles = {"latitude": y_role, "longitude": ColumnRole(x.name, why.format(np.median(_known(x))))}
    return _places(roles, x.numbers, y.numbers, in_degrees)


def _are_named(y: Column, x: Column) -> bool:
    return has_word_for(y.name, "latitude") and has_word_for(x.name, "longitude")


def _nearness(y: Column, x: Column) -> tuple[int, int]:
    """By which pairs of columns are ranked: how far apart they stand, and where."""
    return abs(y.place - x.place), min(y.place, x.place)


def _is_degrees(column: Column) -> bool:
    if not column.is_numeric or column.is_whole:
        return False
    known = _known(column)
    return bool(known.size and np.abs(known).max() <= 360 and _spread(known) < CITY)


def _is_projected(column: Column) -> bool:
    if not column.is_numeric or column.times is not None:
        return False
    known = _known(column)
    if not known.size or np.median(np.abs(known)) < LEAST_PROJECTED or _spread(known) > PROJECTED[1]:
        return False
    keys = column.is_whole and len(column.counts) > 0.98 * column.filled.sum()
    small = known.size < 20
    return not keys and (small or (_spread(known) > PROJECTED[0] and len(np.unique(known)) > 0.05 * known.size))


def _on_land(y: Column, x: Column) -> bool:
    latitude, longitude = float(np.median(_known(y))), float(np.median(_known(x)))
    longitude = longitude - 360 if longitude > 180 else longitude
    zone = zone_at(latitude, longitude) if abs(latitude) <= POLAR else ""
    return bool(zone) and not zone.startswith(("Etc/", "Antarctica/"))


def _known(column: Column) -> np.ndarray:
    """Numbers that are no blanks in disguise."""
    found = column.numbers[np.isfinite(column.numbers)]
    return found[np.abs(found) > 1] if np.mean(np.abs(found) > 1) > 0.5 else found


def _spread(values: np.ndarray) -> float:
    return float(np.subtract(*np.quantile(values, [0.95, 0.05])))


def _places(roles: dict[str, ColumnRole], x: np.ndarray, y: np.ndarray, in_degrees: bool) -> PlaceColumns | None:
    blank = is_blank_place(x, y)
    x, y = (np.where(blank, np.nan, values) for values in (x, y))
    if in_degrees:
        x = np.where(x > 180, x - 360, x)
    return None if blank.all() else PlaceColumns(roles, x, y, in_degrees)
