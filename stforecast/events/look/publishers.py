"""Whether a table is that of a publisher whose format is known."""

from __future__ import annotations

import numpy as np

from stforecast.config.sections import PRESETS
from stforecast.errors import DataError
from stforecast.events.header import locate
from stforecast.events.look.peek import Table
from stforecast.events.places import degrees, within
from stforecast.events.sources import NEEDED
from stforecast.events.texts import as_array, numbers_of
from stforecast.publishers import publisher

IN_BOUNDS = 0.9


def publisher_of(table: Table) -> str | None:
    """The name of the preset whose columns the table has, and whose bounds hold its places."""
    for name in PRESETS:
        source = publisher(name).source
        try:
            found = locate(list(table.columns), source.columns, (*NEEDED, "offence"), name)
        except DataError:
            continue
        frame = table.mapped(source.columns)
        if not {"longitude", "latitude"} <= found.keys():
            continue
        x, y = (numbers_of(as_array(frame[field])) for field in ("longitude", "latitude"))
        known = np.isfinite(x) & np.isfinite(y) & ((np.abs(x) > 1) | (np.abs(y) > 1))
        if known.any() and within(*degrees(x[known], y[known], source.crs), source).mean() >= IN_BOUNDS:
            return name
    return None
