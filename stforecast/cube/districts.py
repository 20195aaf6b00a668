"""Which district a cell is of: that of the file that holds its centre, or that of most of its events."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from stforecast.cube.polygon_files import check_attributes, labels, read_polygons
from stforecast.errors import DataError

UNKNOWN = frozenset(
    (
        *("u", "unk", "unknown", "na", "n a", "none", "null", "nil", "nan", "missing", "blank", "no district"),
        *("unassigned", "undefined", "undetermined", "unspecified"),
        *("not applicable", "not assigned", "not available", "not known", "not recorded", "not specified"),
    )
)
"""Texts that say that the district is not known, in lower case and without punctuation."""


def district_of_centres(path: str | Path, key: str, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """The attribute `key` of the first polygon that holds each point [n] in degrees; None where none does or where it
    is no name (`named`).

    Raises:
        DataError: the file cannot be read, has no polygon, no CRS or no such attribute, or holds no point at all.
    """
    import geopandas

    frame = read_polygons(path, [key])
    check_attributes(path, frame, [key], "grid.district_key")
    points = geopandas.GeoDataFrame(geometry=geopandas.points_from_xy(longitude, latitude), crs="EPSG:4326")
    # the labels under a name of our own: a key called index_right would collide with the join's
    labelled = geopandas.GeoDataFrame({"district": frame[key].to_numpy()}, geometry=frame.geometry.to_numpy(), crs=4326)
    joined = points.sjoin(labelled, how="left", predicate="within")["district"]
    joined = joined[~joined.index.duplicated()].sort_index()
    if joined.isna().all():
        raise DataError(f"{path}: no cell of the study area lies in its polygons. Is it another city's file?")
    return labels(named(joined))


def district_of_events(hexagon: np.ndarray, district: pd.Series, n: int) -> np.ndarray:
    """The most common named `district` [e] of each hexagon's events (row numbers [e]); None without one.

    Of equally common districts the first in alphabetical order.
    """
    events = pd.DataFrame({"hexagon": hexagon, "district": named(district).to_numpy(object)})
    count = events.value_counts().reset_index().sort_values(["count", "district"], ascending=[False, True])
    found = count.drop_duplicates("hexagon").set_index("hexagon")["district"].reindex(range(n)).astype(object)
    return found.where(found.notna(), None).to_numpy()


def named(district: pd.Series) -> pd.Series:
    """The districts that have a name.

    No name is a text without a letter or digit (blank, -, ?), one of UNKNOWN in any spelling (U, N/A, Unknown), or
    zeros alone: districts are numbered from one, and St. Louis writes 0 beside an unknown street. Every other text is a
    name, 99 too: nothing tells it from the district of that number.

    Args:
        district: texts or numbers, or null, [e].

    Returns:
        The same, null where it is no name, [e].
    """
    return district.where(~district.isin([text for text in district.dropna().unique() if not _is_name(str(text))]))


def _is_name(text: str) -> bool:
    words = re.sub(r"[\W_]+", " ", text).strip().casefold()
    return bool(words.strip("0 ")) and words not in UNKNOWN
