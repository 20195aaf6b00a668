"""Tables that a spreadsheet may open without running what stands in them."""

from __future__ import annotations

from typing import Any

import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What begins so is run as a formula by a spreadsheet."""


def harmless(value: Any) -> Any:
    """A value for a cell or header: text that would be run gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def to_csv(frame: pd.DataFrame) -> str:
    """A table as CSV with harmless cells and headers."""
    safe = frame.rename(columns=harmless)
    for place, kind in enumerate(safe.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            safe.isetitem(place, safe.iloc[:, place].map(harmless).array)
    return safe.to_csv(index=False, lineterminator="\n")
