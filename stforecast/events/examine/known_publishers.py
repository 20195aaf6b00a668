"""Whether a table is that of a publisher whose format is known."""

from __future__ import annotations

import numpy as np

from stforecast.config.sections import PRESETS
from stforecast.errors import DataError
from stforecast.events.coordinates import in_bounds, to_degrees
from stforecast.events.examine.sample import Sample
from stforecast.events.parsing.text_columns import to_arrow, to_numbers
from stforecast.events.readers.header import locate
from stforecast.events.sources import NEEDED
from stforecast.publishers import publisher

IN_BOUNDS = 0.9


def match_publisher(sample: Sample) -> str | None:
    """The name of the preset whose columns the table has, and whose bounds hold its places."""
    for name in PRESETS:
        source = publisher(name).source
        try:
            found = locate(list(sample.columns), source.columns, (*NEEDED, "offence"), name)
        except DataError:
            continue
        frame = sample.mapped(source.columns)
        if not {"longitude", "latitude"} <= found.keys():
            continue
        x, y = (to_numbers(to_arrow(frame[field])) for field in ("longitude", "latitude"))
        known = np.isfinite(x) & np.isfinite(y) & ((np.abs(x) > 1) | (np.abs(y) > 1))
        if known.any() and in_bounds(*to_degrees(x[known], y[known], source.crs), source.bounds).mean() >= IN_BOUNDS:
            return name
    return None
