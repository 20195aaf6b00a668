"""What counts as the name of a district, and what publishers write where there is none."""

from __future__ import annotations

import re

import pandas as pd

UNKNOWN = frozenset(
    (
        *("u", "unk", "unknown", "na", "n a", "none", "null", "nil", "nan", "missing", "blank", "no district"),
        *("unassigned", "undefined", "undetermined", "unspecified"),
        *("not applicable", "not assigned", "not available", "not known", "not recorded", "not specified"),
    )
)
"""Texts that say that the district is not known, in lower case and without punctuation."""


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
