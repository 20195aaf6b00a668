"""Where the rows of a chunk are: coordinates in columns of their own, or both in one text, → degrees.

Stated rules, counted under `corrected` where they apply:
- longitudes from 180 to 360 are those of a circle that begins at Greenwich: 360 less;
- coordinates outside the bounds that lie inside when exchanged are exchanged (where most need it, `ingest` stops).
"""

import ast
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stforecast.events import outcomes
from stforecast.events.parsing.text_columns import factorize, is_empty, to_numbers
from stforecast.events.row_audit import RowAudit
from stforecast.events.sources import IngestRules

NEAR = 1.5e-5
"""Degrees (a metre) within which a place is one of `source.default_places`."""

_NUMBER = r"([-+]?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)"
_WKT = re.compile(rf"(?:SRID=[0-9]+;)?\s*POINT\s*(?:Z|M|ZM)?\s*\(\s*{_NUMBER}\s+{_NUMBER}(?:\s+{_NUMBER})*\s*\)", re.I)
_PAIR = re.compile(
    rf"[(\[]\s*{_NUMBER}\s*°?\s*[,;\s]\s*{_NUMBER}\s*°?\s*[)\]]\s*\Z"
    rf"|\A{_NUMBER}\s*[,;\s]\s*{_NUMBER}(?:\s*,\s*0)?\Z"
)
_COMMAS = re.compile(r"[(\[]?\s*([-+]?[0-9]+,[0-9]+)\s*[;\s]\s*([-+]?[0-9]+,[0-9]+)\s*[)\]]?")
_THOUSANDS = r"\A-?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]*)?\z"
_MARKED = re.compile(
    r"([NSEW])? ?([-+])?([0-9]+(?:[.,][0-9]+)?)[°º]? ?(?:([0-9]+(?:[.,][0-9]+)?)['’′] ?)?"
    r"(?:([0-9]+(?:[.,][0-9]+)?)(?:[\"”″]|'')? ?)?([NSEW])?"
)
_MERIDIAN = re.compile("[EW]", re.IGNORECASE)
_LATITUDE, _LONGITUDE = ("latitude", "lat", "y"), ("longitude", "lon", "lng", "long", "x")
NOWHERE = (math.nan, math.nan)


def parse_places(audit: RowAudit, texts: Mapping[str, pa.Array], rules: IngestRules) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude of the rows [r] in degrees; rows without a place, or outside the bounds, are refused.

    A row whose area alone tells its place has neither (NaN), where the rules take areas.
    """
    source = rules.source
    shown = [texts[name] for name in ("latitude", "longitude", "location")]
    y, x = (_coordinates(texts[name], source.crs) for name in ("latitude", "longitude"))
    if not is_empty(texts["location"]).all():
        which, distinct = factorize(texts["location"])
        both = np.array([parse_point(text) for text in distinct.to_pylist()])[which]
        blank = is_empty(texts["latitude"]) & is_empty(texts["longitude"])
        x, y = np.where(blank, both[:, 0], x), np.where(blank, both[:, 1], y)
    written = ~is_empty(texts["latitude"]) & ~is_empty(texts["longitude"])
    audit.refuse(written & ~(np.isfinite(x) & np.isfinite(y)), outcomes.UNREADABLE_PLACE, *shown)
    blank = is_blank_place(x, y)
    by_area = blank & ~is_empty(texts["area"]) & rules.areas
    audit.refuse(blank & ~by_area, outcomes.NO_PLACE, *shown)
    point = audit.open & ~blank
    x, y = np.where(point, x, np.nan), np.where(point, y, np.nan)
    longitude, latitude = to_degrees(x, y, source.crs)
    wrapped = (longitude > 180) & (longitude <= 360) & (np.abs(latitude) <= 90)
    longitude = np.where(wrapped, longitude - 360, longitude)
    outside = point & ~in_bounds(longitude, latitude, source.bounds)
    if outside.any() and source.bounds:
        other = to_degrees(np.where(outside, y, np.nan), np.where(outside, x, np.nan), source.crs)
        exchanged = outside & in_bounds(*other, source.bounds)
        longitude, latitude = np.where(exchanged, other, (longitude, latitude))
        outside &= ~exchanged
        audit.correct(exchanged, outcomes.EXCHANGED)
    audit.refuse(outside, outcomes.OUTSIDE, *shown)
    audit.correct(wrapped, "longitude above 180")
    if source.default_places != "found":
        audit.leave_out(is_at_any(latitude, longitude, source.default_places), outcomes.DEFAULT_PLACE)
    return latitude, longitude


def is_blank_place(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rows [r] without a place: what is within a degree or a metre of (0, 0), or Boston's (-1, -1), is a blank too."""
    return ~(np.isfinite(x) & np.isfinite(y)) | ((np.abs(x) <= 1) & (np.abs(y) <= 1))


def to_degrees(x: np.ndarray, y: np.ndarray, crs: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of coordinates of a system; of None they are that already."""
    if crs is None:
        return x, y
    from pyproj import Transformer

    longitude, latitude = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    return longitude, latitude


def is_projected(crs: str | None) -> bool:
    """Whether a coordinate system counts metres or feet, and not degrees."""
    from pyproj import CRS

    return crs is not None and not CRS.from_user_input(crs).is_geographic


def in_bounds(longitude: np.ndarray, latitude: np.ndarray, bounds: Sequence[float] | None) -> np.ndarray:
    """Whether places lie within the bounds; without any, within the world. West of 180° may be east of it."""
    west, south, east, north = bounds or (-180, -90, 180, 90)
    after, before = longitude >= west, longitude <= east
    return np.asarray((after & before if west <= east else after | before) & (latitude >= south) & (latitude <= north))


def is_at_any(latitude: np.ndarray, longitude: np.ndarray, known: Iterable[tuple[float, float]]) -> np.ndarray:
    """Whether places [r] are one of some known ones (latitude, longitude)."""
    found = np.zeros(len(latitude), bool)
    for y, x in known:
        found |= (np.abs(latitude - y) <= NEAR) & (np.abs(longitude - x) <= NEAR)
    return found


def _coordinates(texts: pa.Array, crs: str | None) -> np.ndarray:
    """Numbers of a column of coordinates [r]; NaN where there is none."""
    if is_projected(crs) and (thousands := np.asarray(pc.match_substring_regex(texts, _THOUSANDS))).any():
        texts = pc.if_else(pa.array(thousands), pc.replace_substring(texts, ",", ""), texts)
    numbers = to_numbers(texts)
    rest = np.flatnonzero(~np.isfinite(numbers) & ~is_empty(texts))
    if rest.size:
        which, distinct = factorize(texts.take(pa.array(rest)))
        numbers[rest] = np.array([_degrees_of(text) for text in distinct.to_pylist()])[which]
    return numbers


def _degrees_of(text: str) -> float:
    """A coordinate with the marks of degrees, minutes and seconds, or a letter for its sign."""
    plain = text.strip("' ").replace("\u2212", "-").upper()
    found = _MARKED.fullmatch(plain)
    if not found or ((found[1] or found[6]) and found[2]):
        return math.nan
    degree, minute, second = (float(part.replace(",", ".")) if part else 0.0 for part in found.group(3, 4, 5))
    if minute >= 60 or second >= 60:
        return math.nan
    negative = found[2] == "-" or (found[1] or found[6] or "N") in "SW"
    return (degree + minute / 60 + second / 3600) * (-1 if negative else 1)


@lru_cache(maxsize=1 << 17)
def parse_point(text: str) -> tuple[float, float]:
    """The coordinates (x, y) in a text; NOWHERE where there are none.

    Read are WKT points and JSON objects; a pair in brackets at the end of the text, or a text that is a pair, names the
    latitude first, unless the first number can be none.
    """
    if found := _WKT.fullmatch(text):
        return float(found[1]), float(found[2])
    if text.startswith("{"):
        return _of_json(text)
    if found := _PAIR.search(text):
        one, other = (float(value) for value in found.groups() if value is not None)
    elif found := _COMMAS.fullmatch(text):
        one, other = (float(value.replace(",", ".")) for value in found.groups())
    elif len(parts := re.split(r"\s*[,;]\s*", text)) == 2:  # with marks of degrees
        one, other = map(_degrees_of, parts)
        if math.isnan(one + other):
            return NOWHERE
        return (one, other) if _MERIDIAN.search(parts[0]) else (other, one)
    else:
        return NOWHERE
    return (one, other) if abs(one) > 90 else (other, one)


def _of_json(text: str) -> tuple[float, float]:
    try:
        values: Any = json.loads(text)
    except (ValueError, RecursionError):
        try:
            values = ast.literal_eval(text)  # as Python prints it
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return NOWHERE
    try:
        if "coordinates" in values:
            x, y = values["coordinates"][:2]
        else:
            small = {name.lower(): value for name, value in values.items()}
            y, x = (next((small[name] for name in names if name in small), None) for names in (_LATITUDE, _LONGITUDE))
        return float(x), float(y)
    except (AttributeError, TypeError, ValueError):
        return NOWHERE
