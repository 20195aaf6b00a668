"""Cleaned rows → events: what takes more than one row to know (repeated ids, withdrawals, coverage, incidents).

Everything here is by key and in reading order, so any division into chunks gives the same events and rejects. It is
decided on a few narrow columns (`Keys`), so that the rows themselves may lie on disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import pandas as pd
import pyarrow as pa

from stforecast.config.sections import Source
from stforecast.events import outcomes
from stforecast.events.parsing.text_columns import codes_in, hash_texts
from stforecast.events.parsing.time_zones import to_local
from stforecast.events.parsing.times_of_day import DAY

COVERED = 0.1  # a month belongs to a file's coverage if it has this share of a typical month's events


@dataclass(frozen=True)
class Hashes:
    """A 64-bit hash for every text of a column [r], equal for equal texts and, as was checked, only then.

    numbers: the hashes; 0: no text. first: the first row with the same text. key: of the hash. texts: the texts of some
    rows.
    """

    numbers: np.ndarray
    first: np.ndarray
    key: int
    texts: Callable[[np.ndarray], pa.Array]

    @staticmethod
    def of(numbers: Callable[[int], np.ndarray], texts: Callable[[np.ndarray], pa.Array]) -> Hashes:
        """The hashes of a column by the first key under which no two texts share one.

        Args:
            numbers: the hashes of all rows [r] under a key.
            texts: the texts of some rows.
        """
        for key in count():
            found = numbers(key)
            first = first_occurrence(found)
            rows = np.flatnonzero((first != np.arange(len(first))) & (found != 0))
            if texts(rows).equals(texts(first[rows])):
                return Hashes(found, first, key, texts)
        raise AssertionError


@dataclass(frozen=True)
class Keys:
    """What tells rows [r] apart, in reading order."""

    event: Hashes
    incident: Hashes
    offence: np.ndarray  # into the distinct offences
    category: np.ndarray
    occurred: np.ndarray  # µs
    file: np.ndarray


@dataclass
class Selection:
    """Which rows are events, in the order of the table, and what became of the others.

    renamed: row → id of equal rows of a file after the first. refused: rows whose id is there before, and why.
    """

    rows: np.ndarray
    renamed: dict[int, str] = field(default_factory=dict)
    refused: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    reasons: np.ndarray = field(default_factory=lambda: np.zeros(0, object))
    left_out: Counter[str] = field(default_factory=Counter)
    merged: int = 0

    def refuse(self, which: np.ndarray, reasons: np.ndarray | str) -> None:
        """Refuse some of the rows [e]; reasons: of each of them, or of all."""
        self.refused = np.append(self.refused, self.rows[which])
        self.reasons = np.append(self.reasons, np.broadcast_to(np.asarray(reasons, object), int(which.sum())))
        self.rows = self.rows[~which]

    def leave_out(self, which: np.ndarray, reason: str) -> None:
        """Leave out some of the rows [e]."""
        if number := int(which.sum()):
            self.left_out[reason] += number
            self.rows = self.rows[~which]


def select_events(
    keys: Keys, replaced: np.ndarray, withdrawals: pa.Table, offences: pa.Array, source: Source
) -> Selection:
    """The events among cleaned rows: unique ids, no withdrawn reports, within coverage, one an incident and category.

    Args:
        keys: of the rows.
        replaced: whether a later row [r] of the same id is no event.
        withdrawals: incident_id and offence, as texts.
        offences: the distinct ones, as `Keys.offence` numbers them.
        source: of which days rows are kept.

    Returns:
        The events, sorted by time of occurrence; rows at the same time in reading order.
    """
    selection = _unique_ids(keys)
    selection.leave_out(replaced[selection.rows], outcomes.REPLACED)
    selection.leave_out(_withdrawn(selection.rows, keys, withdrawals, offences), outcomes.WITHDRAWN)
    selection.leave_out(_not_covered(keys.occurred[selection.rows], source), outcomes.NOT_COVERED)
    selection.rows = selection.rows[np.argsort(keys.occurred[selection.rows], kind="stable")]
    again = _repeats_an_incident(selection.rows, keys)
    selection.rows, selection.merged = selection.rows[~again], int(again.sum())
    return selection


def _unique_ids(keys: Keys) -> Selection:
    """All rows but those whose id is there before; equal rows of a file that share a hash are numbered.

    Equal rows of one file are several events; those of overlapping exports are the same events again.
    """
    selection, first = Selection(np.arange(len(keys.category))), keys.event.first
    repeated = first != selection.rows
    if not repeated.any():
        return selection
    # only the rows that share their id with another matter
    rows = np.flatnonzero(np.isin(first, first[repeated]))
    number = pd.DataFrame({"file": keys.file[rows], "first": first[rows]}).groupby(["file", "first"]).cumcount()
    for row, name, n in zip(rows.tolist(), keys.event.texts(rows).to_pylist(), number.tolist(), strict=True):
        if n and name.startswith("#"):
            selection.renamed[row] = f"{name}-{n}"
    if selection.renamed:
        event = keys.event.numbers.copy()
        event[list(selection.renamed)] = hash_texts(pa.array(selection.renamed.values(), pa.string()), keys.event.key)
        first = first_occurrence(event)
    again = first != selection.rows
    same_file = keys.file[again] == keys.file[first[again]]
    selection.refuse(again, np.where(same_file, outcomes.DUPLICATE, outcomes.OTHER_FILE))
    return selection


def _withdrawn(rows: np.ndarray, keys: Keys, withdrawals: pa.Table, offences: pa.Array) -> np.ndarray:
    """Rows that a withdrawal takes away: each takes one report of its incident and offence, the first read first."""
    out = np.zeros(len(rows), bool)
    if not len(withdrawals):
        return out
    incident, offence = (withdrawals.column(name).combine_chunks() for name in ("incident_id", "offence"))
    by = ["incident", "offence"]
    back = pd.DataFrame({"incident": hash_texts(incident, keys.incident.key), "offence": codes_in(offence, offences)})
    some = np.flatnonzero(np.isin(keys.incident.numbers[rows], back["incident"]))
    reports = pd.DataFrame(dict(zip(by, (keys.incident.numbers[rows[some]], keys.offence[rows[some]]), strict=True)))
    most = reports.join(back.value_counts().rename("number"), on=by)["number"].fillna(0)
    out[some] = (reports.groupby(by).cumcount() < most).to_numpy()
    return out


def _not_covered(occurred: np.ndarray, source: Source) -> np.ndarray:
    """Stragglers [e] years before (or after) what the file really covers, where the user chose no period.

    A yearly file also holds a few old occurrences that were reported late; taken at their word they would stretch the
    time axis by decades of hours without data. A typical month is the median over events of their month's events.
    """
    outside = np.zeros(len(occurred), bool)
    if not occurred.size or (source.first_day and source.last_day):
        return outside
    days = to_local(occurred, source.zone) // DAY
    month = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    lowest = int(month.min())
    counts = np.bincount(month - lowest)
    full = np.flatnonzero((counts > 0) & (counts >= COVERED * np.median(counts[month - lowest]))) + lowest
    if source.first_day is None:
        outside |= month < full.min()
    if source.last_day is None:
        outside |= month > full.max() + 1  # the newest month may just have begun
    return outside


def _repeats_an_incident(rows: np.ndarray, keys: Keys) -> np.ndarray:
    """Rows [e] of an incident and category of which an earlier one is there: together they are one event."""
    first = keys.incident.first
    shared = np.zeros(len(first), bool)
    shared[first[first != np.arange(len(first))]] = True
    some = np.flatnonzero(shared[first[rows]] & (keys.incident.numbers[rows] != 0))
    pair = pd.DataFrame({"incident": first[rows[some]], "category": keys.category[rows[some]]})
    out = np.zeros(len(rows), bool)
    out[some] = pair.duplicated()
    return out


def first_occurrence(numbers: np.ndarray) -> np.ndarray:
    """The first row [r] with the same number, for each row."""
    which, distinct = pd.factorize(numbers)
    first = np.zeros(len(distinct), np.int64)
    first[which[::-1]] = np.arange(len(which) - 1, -1, -1)
    return first[which]
