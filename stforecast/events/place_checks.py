"""Whether the places of a record can be where they seem: the places as a whole, against time zone and each other.

A place is one number here: millionths of a degree of latitude and longitude (`pack_places`), or `NO_POINT`.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from stforecast.config.sections import Source
from stforecast.errors import DataError
from stforecast.events.coordinates import is_projected, to_degrees
from stforecast.events.facts import Findings

MILLIONTHS = 1_000_000
TURN = 360 * MILLIONTHS
NO_POINT = -(2**63)
"""Stands for the place of an event that has none but its area."""
SAMPLE = 200
"""Events whose time zones are looked up."""
MATCHING = 0.5
"""Share of them that has to lie in the configured time zone, or one with the same clocks."""
BORDER = 0.7
"""Degrees within which a time zone is looked for before its absence stops a run."""
FAR_KM, OUTLIER_KM = 150.0, 300.0
"""Distance of all places from the city that names the time zone, and of one from the middle of all, from which they are
doubted, and refused, where no bounds confirm them."""
LEAST = 8
DEFAULT_EVENTS, DEFAULT_SHARE, DEFAULT_RATIO, MOST_DEFAULTS = 5, 0.02, 5.0, 12
"""A default place is one of at most MOST_DEFAULTS coordinates that each hold DEFAULT_EVENTS events and DEFAULT_SHARE of
their category, and DEFAULT_RATIO times as many as the next busiest one. (The steepest such steps of Denver, Chicago,
Toronto and London are 2 to 3: airports, malls, a jail.)"""


class DefaultPlace(NamedTuple):
    """Events of a category at one exact coordinate."""

    category: int
    place: int
    share: float

    @property
    def degrees(self) -> str:
        """Latitude and longitude, as they stand in a configuration."""
        return "[{:.6f}, {:.6f}]".format(*unpack_places(np.array(self.place)))


def pack_places(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """One number for each place [r], int64; `NO_POINT` where it is NaN."""
    point = np.isfinite(latitude) & np.isfinite(longitude)
    y, x = (np.round(np.where(point, values, 0) * MILLIONTHS).astype(np.int64) for values in (latitude, longitude))
    return np.where(point, y * TURN + (x + TURN // 2), NO_POINT)


def unpack_places(place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude of `pack_places` places."""
    y, x = np.divmod(place, TURN)
    return y / MILLIONTHS, (x - TURN // 2) / MILLIONTHS


def check_places(place: np.ndarray, source: Source, findings: Findings) -> None:
    """Stop where the places cannot be those of the time zone.

    Args:
        place: `pack_places` places of the events [e].
        source: effective source section.
        findings: takes what is doubtful, and what is most often right.

    Raises:
        DataError: hardly any place lies in the time zone, and none near it.
    """
    zone, place = source.zone, place[place != NO_POINT]
    if source.bounds or not len(place):
        return
    some = place[np.linspace(0, len(place) - 1, min(SAMPLE, len(place))).astype(int)]
    latitude, longitude = unpack_places(some)
    middle = _middle(latitude, longitude)
    found, around = zone_at(*middle), f"places are around {_named(*middle)}"
    where = f"source.time_zone: the {around}, where the time zone is {found} and not {zone}."
    if _offsets(zone) is None:
        if _offsets(found) is not None:
            raise DataError(
                f"{where} Set it so; source.times_are says whether the publisher writes UTC. (Bounds around the "
                "places, source.bounds, confirm that all is right.)"
            )
        return
    if _share_in(zone, latitude, longitude) >= MATCHING:
        away = _km_to_city(zone, *middle)
        if away > FAR_KM:
            (findings.doubts if is_projected(source.crs) else findings.notes).append(
                f"The {around}, {away:,.0f} km from the city that names the time zone {zone}. If that is right, "
                "source.bounds says so; if not, check source.crs and the columns of the coordinates."
            )
        return
    for what, (x, y) in _misread(latitude, longitude, source):
        if _share_in(zone, y, x) >= MATCHING:
            advice = " Set source.bounds: what lies in them only exchanged is exchanged."
            raise DataError(
                f"{where} They would be in {zone} with {what}. Correct that.{advice if source.columns.location else ''}"
            )
    near = [(middle[0] + dy, middle[1] + dx) for dy in (-BORDER, 0, BORDER) for dx in (-BORDER, 0, BORDER)]
    if not _share_in(zone, *np.transpose(near)):
        raise DataError(
            f"{where} Check source.time_zone, source.crs and which columns hold the coordinates; bounds around the "
            "city (source.bounds) confirm that all is right."
        )
    findings.doubts.append(f"The {around}, at the border of {zone}: check source.time_zone.")


def place_outliers(place: np.ndarray, source: Source) -> np.ndarray:
    """Places [e] so far from the middle of all that they are another city's; none where bounds say what is right."""
    out, point = np.zeros(len(place), bool), place != NO_POINT
    if source.bounds or not point.any():
        return out
    latitude, longitude = unpack_places(place[point])
    far = _km(*_middle(latitude, longitude), latitude, longitude) > OUTLIER_KM
    out[point] = far & (far.mean() < MATCHING)  # two halves are no city and its outliers
    return out


def find_default_places(place: np.ndarray, category: np.ndarray, categories: int) -> list[DefaultPlace]:
    """The exact coordinates that hold far more events of a category than any other."""
    found = []
    for number in range(categories):
        mine, counts = np.unique(place[(category == number) & (place != NO_POINT)], return_counts=True)
        total = counts.sum()
        if total < LEAST or (len(mine) > 1 and not np.any(np.stack(unpack_places(mine)) * 100 % 1 > 1e-3)):
            continue  # few, or rounded to kilometres
        order = np.argsort(-counts, kind="stable")[: MOST_DEFAULTS + 1]
        top = np.append(counts[order], 0)[: MOST_DEFAULTS + 1]
        steps = np.flatnonzero(
            (top[:-1] >= DEFAULT_RATIO * top[1:]) & (top[:-1] >= max(DEFAULT_EVENTS, DEFAULT_SHARE * total))
        )
        for which in order[: steps[-1] + 1] if steps.size else ():
            found.append(DefaultPlace(number, int(mine[which]), float(counts[which] / total)))
    return found


def at_default_places(found: Sequence[DefaultPlace], place: np.ndarray, category: np.ndarray) -> np.ndarray:
    """Events [e] that lie at a default place of their category."""
    out = np.zeros(len(place), bool)
    for one in found:
        out |= (place == one.place) & (category == one.category)
    return out


def describe_default_places(found: Sequence[DefaultPlace], names: Sequence[str]) -> Iterator[str]:
    """A sentence for each default place."""
    for place in found:
        yield (
            f"Category {names[place.category]}: {place.share:.0%} of its reports are at one coordinate, "
            f"{place.degrees}, far more than at any other: it may stand for an unknown place (a head office, a "
            "centroid). source.default_places leaves such places out."
        )


def _misread(
    latitude: np.ndarray, longitude: np.ndarray, source: Source
) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """Longitudes and latitudes of the places if the source section were wrong in one of the usual ways."""
    exchanged = "latitude and longitude exchanged (source.columns)"
    if source.crs is None:
        yield exchanged, (latitude, longitude)
        yield "the other sign of the longitude", (-longitude, latitude)
        yield "the other sign of the latitude", (longitude, -latitude)
        return
    from pyproj import CRS, Transformer

    x, y = Transformer.from_crs("EPSG:4326", source.crs, always_xy=True).transform(longitude, latitude)
    yield exchanged, to_degrees(y, x, source.crs)
    if found := re.fullmatch(r"([0-9]+)([NS])", CRS.from_user_input(source.crs).utm_zone or ""):
        for number in (int(found[1]) - 1, int(found[1]) + 1):
            code = f"EPSG:{'326' if found[2] == 'N' else '327'}{number:02d}"
            yield f"source.crs {code} (the zone beside it)", to_degrees(x, y, code)


def _share_in(zone: str, latitude: np.ndarray, longitude: np.ndarray) -> float:
    """The share of places [r] whose clocks are those of a time zone."""
    wanted = _offsets(zone)
    found = [_offsets(zone_at(y, x)) == wanted for y, x in zip(latitude.tolist(), longitude.tolist(), strict=True)]
    return float(np.mean(found))


def zone_at(latitude: float, longitude: float) -> str:
    """The time zone of a place; "" for what is no place."""
    import tzfpy

    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        return ""
    return tzfpy.get_tz(longitude, latitude)


@lru_cache(maxsize=256)
def _offsets(zone: str) -> tuple[timedelta | None, ...] | None:
    """Offsets from UTC through a year; None for the sea and for what is no place."""
    if not zone or zone.startswith("Etc/") or zone == "UTC":
        return None
    there = ZoneInfo(zone)
    return tuple(datetime(2023, month, 15, tzinfo=there).utcoffset() for month in range(1, 13))


def _km_to_city(zone: str, latitude: float, longitude: float) -> float:
    """Kilometres to the city that a time zone is named after; 0 where the database does not know it."""
    if not (row := row_of_zone(zone)):
        return 0.0
    y, x = (_degrees_of(text) for text in re.findall(r"[-+][0-9]+", row[1]))
    return float(_km(y, x, latitude, longitude))


def _km(y: float, x: float, latitude: Any, longitude: Any) -> Any:
    """Kilometres from one place to others."""
    south, west, north, east = map(np.radians, (y, x, latitude, longitude))
    half = np.sin((north - south) / 2) ** 2 + np.cos(north) * np.cos(south) * np.sin((east - west) / 2) ** 2
    return 2 * 6371 * np.arcsin(np.sqrt(half))


def row_of_zone(zone: str) -> list[str]:
    """What the time zone database says of a zone: country code, place of its city, name and, of some, a comment."""
    rows = (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8").splitlines()
    return next((row for row in (line.split("\t") for line in rows) if len(row) > 2 and row[2] == zone), [])


def _degrees_of(text: str) -> float:
    """ISO 6709's ±DDMM, ±DDDMM, ±DDMMSS or ±DDDMMSS."""
    digits = text[1:].zfill(7 if len(text) > 6 else 5)
    degree, minute, second = int(digits[:3]), int(digits[3:5]), int(digits[5:] or 0)
    return (degree + minute / 60 + second / 3600) * (-1 if text[0] == "-" else 1)


def _middle(latitude: np.ndarray, longitude: np.ndarray) -> tuple[float, float]:
    if np.ptp(longitude) > 180:  # on both sides of the 180th meridian
        longitude = longitude % 360
    x = float(np.median(longitude))
    return float(np.median(latitude)), x - 360 if x > 180 else x


def _named(latitude: float, longitude: float) -> str:
    return f"{abs(latitude):.2f}° {'NS'[latitude < 0]} {abs(longitude):.2f}° {'EW'[longitude < 0]}"
