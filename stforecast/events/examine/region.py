"""What follows from where the places are: time zone, bounds, holidays, and what their coordinate system may be."""

import re
from collections.abc import Iterator

import numpy as np

from stforecast.events.coordinates import in_bounds, to_degrees
from stforecast.events.examine.entries import ConfigEntry
from stforecast.events.examine.place_columns import PlaceColumns
from stforecast.events.place_checks import row_of_zone, zone_at

MIDDLE = (0.005, 0.995)
MARGIN = 0.25
"""Bounds hold the middle 99 % of the places on either axis and a quarter of its width around it."""
STATE_PLANES = re.compile(r"NAD83 / (?!BLM).* \(ft(US)?\)|NAD_1983_StatePlane_.*")
"""Names of the state planes of the United States: in feet, and those that only Esri numbers."""
OTHER_SYSTEMS = ("EPSG:27700", "EPSG:2154", "EPSG:28992", "EPSG:31370", "EPSG:2056", "EPSG:2193")
"""National grids of Britain, France, the Netherlands, Belgium, Switzerland and New Zealand."""
WEB_MAP, LEAST_OF_WEB_MAP = "EPSG:3857", 1_000_000.0
"""The system of web maps, and the coordinate that one of a place has that is far from the Gulf of Guinea."""

SUBDIVISIONS = 16
"""Codes of states or provinces that are listed."""


def place_entries(places: PlaceColumns, whole: bool) -> tuple[list[ConfigEntry], str]:
    """Coordinate system, time zone and bounds; and the time zone, "" where it is open."""
    if not places.in_degrees:
        y, x = places.middle
        fitting = "".join(
            f"{code} would be at {latitude:.2f}, {longitude:.2f} in {zone} ({name})\n"
            for code, name, latitude, longitude, zone in candidate_systems(x, y)
        )
        question = (
            f"the coordinates are metres or feet (such as {x:.1f}, {y:.1f}) of a system that the file does not name; "
            "set the publisher's, for example\n"
            f"{fitting}EPSG:326NN (or 327NN in the south) is zone NN of UTM"
        )
        zone_asks = "the city's IANA time zone, such as America/Chicago; it follows from crs"
        return [ConfigEntry("source.crs", question=question), ConfigEntry("source.time_zone", question=zone_asks)], ""
    zone = zone_at(*places.middle)
    bounds = padded_bounds(places.x, places.y, whole)
    outside = int((np.isfinite(places.x) & ~in_bounds(places.x, places.y, bounds)).sum())
    around = f"around the middle 99 % of the places; {outside:,} of {np.isfinite(places.x).sum():,} lie outside"
    return [
        ConfigEntry("source.time_zone", zone, "where the places are"),
        ConfigEntry("source.bounds", bounds, around),
    ], zone


def holiday_entries(zone: str) -> list[ConfigEntry]:
    """The keys of the public holidays, whose country the time zone tells."""
    if not (country := country_of(zone)):
        return [
            ConfigEntry("grid.country", question="country code whose public holidays count; without it there are none")
        ]
    known, every = subdivisions_of(country, zone)
    entries = [ConfigEntry("grid.country", country, f"of the time zone {zone}")]
    if known:
        entries.append(ConfigEntry("grid.subdivision", known, "the only one in that time zone"))
    elif every:
        some = ", ".join(every[:SUBDIVISIONS]) + (" …" if len(every) > SUBDIVISIONS else "")
        question = f"code of the state or province whose public holidays count beside those of {country}: {some}"
        entries.append(ConfigEntry("grid.subdivision", question=question))
    return entries


def padded_bounds(longitude: np.ndarray, latitude: np.ndarray, whole: bool) -> list[float]:
    """West, south, east and north around the places [r] in hundredths of a degree; what lies far off is outside.

    Args:
        whole: these are all places of the record; the rest of it may lie further out.
    """
    edges = []
    for values in (longitude, latitude):
        low, high = np.nanquantile(values, MIDDLE)
        margin = max((MARGIN if whole else 1) * (high - low), 0.01)
        edges.append((np.floor((low - margin) * 100) / 100, np.ceil((high + margin) * 100) / 100))
    (west, east), (south, north) = edges
    return [round(float(edge), 2) for edge in (west, south, east, north)]


def country_of(zone: str) -> str | None:
    """The country of a time zone, if its public holidays are known."""
    import holidays

    row = row_of_zone(zone)
    return row[0] if row and row[0] in holidays.list_supported_countries() else None


def subdivisions_of(country: str, zone: str) -> tuple[str | None, list[str]]:
    """The state or province whose public holidays count where the time zone tells it, and all that the country has."""
    import holidays

    of_country = holidays.country_holidays(country)
    comment = (row_of_zone(zone) + [""] * 4)[3].removesuffix(" (most areas)")
    return of_country.subdivisions_aliases.get(comment), list(of_country.subdivisions)


def candidate_systems(x: float, y: float) -> Iterator[tuple[str, str, float, float, str]]:
    """Coordinate systems in whose area of use a place lies on land: code, name, latitude, longitude, time zone.

    Tried are state planes of the United States, some national grids, and that of web maps. Zones of
    UTM are not: all of them would fit.
    """
    from pyproj import CRS
    from pyproj.database import query_crs_info
    from pyproj.enums import PJType

    known = [info for author in ("EPSG", "ESRI") for info in query_crs_info(author, PJType.PROJECTED_CRS)]
    planes = [f"{info.auth_name}:{info.code}" for info in known if STATE_PLANES.fullmatch(info.name)]
    web = [WEB_MAP] if abs(x) > LEAST_OF_WEB_MAP else []
    for code in (*web, *OTHER_SYSTEMS, *planes):
        system = CRS.from_user_input(code)
        area = system.area_of_use
        longitude, latitude = (float(value[0]) for value in to_degrees(np.array([x]), np.array([y]), code))
        if area is None or not (area.west <= longitude <= area.east and area.south <= latitude <= area.north):
            continue
        zone = zone_at(latitude, longitude)
        if zone and not zone.startswith("Etc/"):
            yield code, system.name, latitude, longitude, zone
