"""Which columns tell what was reported: the offence, the keys of report and incident, district, arrest and count."""

from collections.abc import Sequence

import numpy as np
import pyarrow.compute as pc

from stforecast.events.clean import ARREST
from stforecast.events.deduplicate import first_occurrence
from stforecast.events.examine.columns import FEW, MOST, Column, ColumnRole, first_with_name
from stforecast.events.examine.offence_words import has_word_for, offence_group
from stforecast.events.examine.place_columns import PlaceColumns

WORDS = 0.3
"""Share of the rows with the word of an offence from which their column is that of offences by its values."""
NEAR_BEST = 0.05
KINDS = 400
"""Offences that a publisher tells apart, at most."""
HALF = 0.5
"""Share of the rows with a value from which an unknown column may be that of offences."""
REPEATED = 5
"""Rows of a value, on average, from which it may be."""
KEYS = 0.5
"""Distinct values for each row from which a column may be one of keys."""
ONE_DAY = 0.8
"""Share of the rows with the key of another row that are of its day too."""
DISTRICTS = (3, 100)
APART = 0.5
"""Share of the variance of the places that districts have to explain."""


def find_offence_column(columns: Sequence[Column]) -> ColumnRole | None:
    """The column of offences: of those with many words of offences the one with the fewest kinds that are not few."""
    evidence: list[tuple[float, Column]] = []
    for column in columns:
        if _holds_kinds(column):
            rows = sum(rows for text, rows in column.counts.items() if offence_group(text))
            evidence.append((rows / len(column.texts), column))
    best = max((share for share, _ in evidence), default=0.0)
    if best >= WORDS:
        good = {column.name: share for share, column in evidence if share >= best - NEAR_BEST}
        likely = [column for _, column in evidence if column.name in good]
        fewest = min(likely, key=lambda column: (len(column.counts) < 4, len(column.counts)))
        chosen = first_with_name(likely, "offence") or fewest
        why = f"{good[chosen.name]:.0%} of the rows have the word of an offence; kinds: {len(chosen.counts)}"
        return ColumnRole(chosen.name, why)
    named = first_with_name([column for _, column in evidence], "offence")
    question = "no value holds a known word of an offence: is it the right column?"
    return ColumnRole(named.name, "by its name", question) if named else None


def possible_offence_columns(columns: Sequence[Column]) -> dict[str, dict[str, int]]:
    """Columns that may hold offences of which no word is known, with the rows of their values."""
    some = [column for column in columns if _holds_kinds(column) and column.share >= HALF and len(column.counts) > 1]
    return {column.name: column.counts for column in some if len(column.counts) <= column.filled.sum() / REPEATED}


def find_key_columns(columns: Sequence[Column], days: np.ndarray | None, whole: bool) -> dict[str, ColumnRole]:
    """The keys of reports and of incidents, whose rows are of one day.

    Args:
        days: of the occurrence [r]; None where they stand in parts, and only a name tells a key of incidents.
        whole: these are all rows of the files.
    """
    keys = [column for column in columns if _is_key(column)]
    unique = [column for column in keys if len(column.counts) == column.filled.sum() and column.share > 0.99]
    rest = [column for column in keys if column not in unique]
    if days is None:
        shared = [column for column in rest if has_word_for(column.name, "incident_id")]
    else:
        shared = [column for column in rest if _of_one_day(column, days)]
    out: dict[str, ColumnRole] = {}
    incident = first_with_name(shared, "incident_id") or (shared[0] if shared else None)
    if incident is None and (found := first_with_name(unique, "incident_id")):
        unique.remove(incident := found)
    if incident:
        repeats = 1 - len(incident.counts) / incident.filled.sum()
        by_name = "a key, by its name of incidents"
        why = f"a key that {repeats:.1%} of the rows repeat" if incident in shared else by_name
        out["incident_id"] = ColumnRole(incident.name, why)
    if unique:
        event = first_with_name(unique, "event_id") or unique[0]
        more = "" if whole else " (of more)"
        out["event_id"] = ColumnRole(event.name, f"no value twice in {len(event.texts):,} rows{more}")
    return out


def find_district_column(columns: Sequence[Column], places: PlaceColumns | None) -> ColumnRole | None:
    """The column of districts: few values, each in a part of the city."""
    found = []
    for column in columns:
        kinds = len(column.counts)
        if not DISTRICTS[0] <= kinds <= DISTRICTS[1] or column.times is not None or column.share < 0.5:
            continue
        apart = _apart(column, places) if places and len(column.texts) >= FEW else 0.0
        if apart >= APART or has_word_for(column.name, "district"):
            found.append((not has_word_for(column.name, "district"), kinds, column.name, apart))
    if not found:
        return None
    _, kinds, name, apart = min(found)
    return ColumnRole(name, f"{kinds} values, each in a part of the city" if apart >= APART else "by its name")


def find_flag_columns(columns: Sequence[Column]) -> dict[str, ColumnRole]:
    """Whether an arrest was made, which only a name can tell, and the +1 and −1 of reports and withdrawals."""
    out = {}
    arrests = [column for column in columns if {text.lower() for text in column.counts} <= ARREST.keys()]
    if arrest := first_with_name(arrests, "arrest"):
        out["arrest"] = ColumnRole(arrest.name, "yes or no, by its name")
    for column in columns:
        if {"1", "-1"} <= column.counts.keys() <= {"1", "-1", "0"} and column.counts["1"] > column.counts["-1"]:
            out["count"] = ColumnRole(column.name, "1 for a report, -1 for its withdrawal")
            break
    return out


def _holds_kinds(column: Column) -> bool:
    """Whether the values are words, and no more of them than offences can be."""
    few = len(column.counts) <= max(KINDS, 0.05 * len(column.texts))
    return few and not column.is_numeric and column.times is None


def _is_key(column: Column) -> bool:
    """Whether the values are keys: nearly all of them distinct, with digits, no blanks, and no mere row numbers."""
    distinct = len(column.counts)
    if distinct < KEYS * column.filled.sum() or column.share < MOST or column.times is not None:
        return False
    if column.is_numeric and not column.is_whole:
        return False
    texts = column.texts.filter(column.filled)
    if np.asarray(pc.match_substring_regex(texts, r"^\S*[0-9]\S*$")).mean() < MOST:
        return False
    if not column.is_whole or distinct < FEW:
        return True
    steps = np.diff(column.numbers[column.filled])
    return bool(np.mean(steps == 1) < 0.5)


def _of_one_day(column: Column, days: np.ndarray) -> bool:
    """Whether most rows with the same key are of the same day."""
    which, _ = column.codes
    first = first_occurrence(which)
    again = np.flatnonzero((first != np.arange(len(first))) & column.filled)
    return bool(again.size and np.mean(days[again] == days[first[again]]) >= ONE_DAY)


def _apart(column: Column, places: PlaceColumns) -> float:
    """The share of the variance of the places that lies between the values of a column."""
    which, distinct = column.codes
    rows = column.filled & np.isfinite(places.x)
    which = which[rows]
    counts = np.bincount(which, minlength=len(distinct))
    within = total = 0.0
    for values in (places.x[rows], places.y[rows]):
        values = np.clip(values, *np.quantile(values, [0.01, 0.99]))
        means = np.bincount(which, values, len(distinct)) / np.maximum(counts, 1)
        within += float(np.mean((values - means[which]) ** 2))
        total += float(np.var(values))
    return 1 - within / max(total, 1e-12)
