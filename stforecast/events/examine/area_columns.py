"""Tables without coordinates: which column holds the code of an area, and where rows are counts of reports, which
columns hold them."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stforecast.events.counts import LARGEST, parse_counts
from stforecast.events.examine.columns import MOST, Column, ColumnRole
from stforecast.events.examine.entries import ConfigEntry
from stforecast.events.examine.offence_words import has_word_for
from stforecast.events.parsing.text_columns import factorize
from stforecast.events.readers.periods import PERIODS, is_period

READ = 0.5
"""Share of the values of a column of counts that are whole numbers; publishers hide small ones."""
REPEATED = 3
"""Rows for each area of a table that does not have a column a period."""

DENSE = 0.1
"""Share of all combinations of area, time and offence that a table of counts has: it may leave out the empty ones."""


def find_period_columns(columns: Sequence[Column]) -> tuple[dict[str, ColumnRole], list[Column]]:
    """The occurrence of a table with a column a period, empty for any other; and the columns that are no periods."""
    periods = [column for column in columns if is_period(column.name) and _are_counts(column)]
    if len(periods) < PERIODS:
        return {}, list(columns)
    first, last = periods[0].name, periods[-1].name
    pattern = "20*" if all(column.name.startswith("20") for column in periods) else "*"
    why = f"{len(periods)} columns of counts that are named as periods, {first} to {last}"
    rest = [column for column in columns if not is_period(column.name)]
    return {"occurred": ColumnRole({"periods": [pattern]}, why)}, rest


def find_area_column(columns: Sequence[Column], wide: bool) -> ColumnRole | None:
    """The column of the codes of areas: by its name, or codes that repeat; of several the one with the most values.

    Args:
        columns: that have no role yet.
        wide: the table has a column a period, so that an area may have one row.
    """
    found = [column for column in columns if _may_be_areas(column, wide)]
    if not found:
        return None
    ranked = sorted(found, key=lambda column: (not _are_codes(column), -len(column.counts), column.place))
    chosen, others = ranked[0], [column.name for column in ranked[1:]]
    why = f"{len(chosen.counts):,} areas" + (", by its name" if has_word_for(chosen.name, "area") else "")
    question = f"{', '.join(others)} may be the areas too: name the one whose polygons you have" if others else ""
    return ColumnRole(chosen.name, why, question)


def find_count_column(columns: Sequence[Column], roles: Mapping[str, ColumnRole]) -> ColumnRole | None:
    """The column that says how many reports a row stands for: whole numbers by its name, or where rows are cells.

    Args:
        columns: all of the table.
        roles: of time, area and perhaps offence.
    """
    taken = {name for role in roles.values() for name in role.columns}
    free = [column for column in columns if column.name not in taken and not has_word_for(column.name, "area")]
    numbers = [column for column in free if _are_counts(column)]
    named = [column for column in numbers if has_word_for(column.name, "count")]
    if named:
        others = ", ".join(column.name for column in named[1:])
        question = f"{others} may be the number of reports too" if others else ""
        return ColumnRole(named[0].name, "whole numbers, by its name", question)
    if not numbers or not _are_cells([column for column in columns if column.name in taken]):
        return None
    others = ", ".join(column.name for column in numbers[1:])
    question = f"is it the number of reports{f', or {others}' if others else ''}? without it each row is one report"
    return ColumnRole(numbers[0].name, "whole numbers, and no area has two rows of a time and offence", question)


def area_entries(city: str, area: ColumnRole) -> list[ConfigEntry]:
    """The keys of the cells, whose polygons only the user has."""
    question = "polygon file of the areas (GeoJSON, GeoPackage, shapefile or GeoParquet, zipped or not)"
    return [
        ConfigEntry("grid.cells", "polygons", "reports have an area and no coordinates"),
        ConfigEntry("grid.polygons", f"data/{city}/areas.geojson", question=question),
        ConfigEntry("grid.polygon_key", area.columns[0], question="attribute of that file that holds the same codes"),
    ]


def _are_counts(column: Column) -> bool:
    """Whether the values are whole numbers of reports, some of which may be hidden."""
    numbers, wrong, _ = parse_counts(column.texts)
    good = wrong == ""
    keys = len(column.counts) > 0.9 * column.filled.sum() and column.filled.sum() >= 50
    return bool(good[column.filled].mean() >= READ and numbers[good].max() <= LARGEST and not keys)


def _may_be_areas(column: Column, wide: bool) -> bool:
    if column.times is not None or column.is_month or column.share < MOST or len(column.counts) < 2:
        return False
    repeated = wide or REPEATED * len(column.counts) <= column.filled.sum()
    return repeated and (has_word_for(column.name, "area") or (_are_codes(column) and not column.is_numeric))


def _are_codes(column: Column) -> bool:
    """Whether the values are codes: with digits, and without blanks."""
    texts = column.texts.filter(column.filled)
    return bool(np.asarray(pc.match_substring_regex(texts, r"^\S*[0-9]\S*$")).mean() >= MOST)


def _are_cells(columns: Sequence[Column]) -> bool:
    """Whether no two rows have the same values in some columns, and many of all their combinations are there."""
    separator = pa.scalar("\x1f", pa.large_string())
    keys = pc.binary_join_element_wise(*(column.texts for column in columns), separator)
    combinations = math.prod(len(column.counts) for column in columns)
    return len(factorize(keys)[1]) == len(keys) and len(keys) >= DENSE * combinations
