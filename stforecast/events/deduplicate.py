"""Cleaned rows → events: what takes more than one row to know (repeated ids, withdrawals, coverage, incidents).

Everything here is by key and in reading order, so any division into chunks gives the same events and rejects. It is
decided on a few narrow columns (`Keys`), so that the rows themselves may lie on disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import numpy as np
import pandas as pd
import pyarrow as pa

from stforecast.events import outcomes
from stforecast.events.parsing.text_columns import codes_in, hash_texts, to_arrow
from stforecast.events.parsing.time_zones import to_local
from stforecast.events.parsing.times_of_day import DAY
from stforecast.events.rules import TimeRules

COVERED = 0.1  # a month belongs to a file's coverage if it has this share of a typical month's events


@dataclass(frozen=True)
class Keys:
    """What tells rows [r] apart, in reading order. `event` and `incident` are hashes of texts; 0: no text.

    same_event, same_incident: the first row with the same text. ids: the event ids of some rows. number: the function
    behind `event` and `incident`.
    """

    event: np.ndarray
    incident: np.ndarray
    same_event: np.ndarray
    same_incident: np.ndarray
    offence: np.ndarray  # into the distinct offences
    category: np.ndarray
    occurred: np.ndarray  # µs
    file: np.ndarray
    ids: Callable[[np.ndarray], pa.Array]
    number: Callable[[pa.Array], np.ndarray]


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


def select_events(keys: Keys, withdrawals: pd.DataFrame, offences: pa.Array, times: TimeRules) -> Selection:
    """The events among cleaned rows: unique ids, no withdrawn reports, within coverage, one an incident and category.

    Args:
        keys: of the rows.
        withdrawals: incident_id and offence, as texts.
        offences: the distinct ones, as `Keys.offence` numbers them.
        times: of which days rows are kept.

    Returns:
        The events, sorted by time of occurrence; rows at the same time in reading order.
    """
    selection = _unique_ids(keys)
    selection.leave_out(_withdrawn(selection.rows, keys, withdrawals, offences), outcomes.WITHDRAWN)
    selection.leave_out(_not_covered(keys.occurred[selection.rows], times), outcomes.NOT_COVERED)
    selection.rows = selection.rows[np.argsort(keys.occurred[selection.rows], kind="stable")]
    again = _repeats_an_incident(selection.rows, keys)
    selection.rows, selection.merged = selection.rows[~again], int(again.sum())
    return selection


def _unique_ids(keys: Keys) -> Selection:
    """All rows but those whose id is there before; equal rows of a file that share a hash are numbered.

    Equal rows of one file are several events; those of overlapping exports are the same events again.
    """
    selection, first = Selection(np.arange(len(keys.event))), keys.same_event
    repeated = first != selection.rows
    if not repeated.any():
        return selection
    # only the rows that share their id with another matter
    rows = np.flatnonzero(np.isin(first, first[repeated]))
    number = pd.DataFrame({"file": keys.file[rows], "first": first[rows]}).groupby(["file", "first"]).cumcount()
    for row, name, n in zip(rows.tolist(), keys.ids(rows).to_pylist(), number.tolist(), strict=True):
        if n and name.startswith("#"):
            selection.renamed[row] = f"{name}-{n}"
    if selection.renamed:
        event = keys.event.copy()
        event[list(selection.renamed)] = keys.number(pa.array(selection.renamed.values(), pa.string()))
        first = first_occurrence(event)
    again = first != selection.rows
    same_file = keys.file[again] == keys.file[first[again]]
    selection.refuse(again, np.where(same_file, outcomes.DUPLICATE, outcomes.OTHER_FILE))
    return selection


def _withdrawn(rows: np.ndarray, keys: Keys, withdrawals: pd.DataFrame, offences: pa.Array) -> np.ndarray:
    """Rows that a withdrawal takes away: each takes one report of its incident and offence, the first read first."""
    out = np.zeros(len(rows), bool)
    if withdrawals.empty:
        return out
    back = pd.DataFrame(
        {
            "incident": keys.number(to_arrow(withdrawals["incident_id"])),
            "offence": codes_in(to_arrow(withdrawals["offence"]), offences),
        }
    )
    some = np.flatnonzero(np.isin(keys.incident[rows], back["incident"]))
    reports = pd.DataFrame({"incident": keys.incident[rows[some]], "offence": keys.offence[rows[some]]})
    number = reports.groupby(["incident", "offence"]).cumcount()
    most = reports.join(back.value_counts().rename("number"), on=["incident", "offence"])["number"].fillna(0)
    out[some] = (number < most).to_numpy()
    return out


def _not_covered(occurred: np.ndarray, times: TimeRules) -> np.ndarray:
    """Stragglers [e] years before (or after) what the file really covers, where the user chose no period.

    A yearly file also holds a few old occurrences that were reported late; taken at their word they would stretch the
    time axis by decades of hours without data. A typical month is the median over events of their month's events.
    """
    outside = np.zeros(len(occurred), bool)
    if not occurred.size or (times.first_day and times.last_day):
        return outside
    days = to_local(occurred, times.time_zone) // DAY
    month = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    lowest = int(month.min())
    counts = np.bincount(month - lowest)
    full = np.flatnonzero((counts > 0) & (counts >= COVERED * np.median(counts[month - lowest]))) + lowest
    if times.first_day is None:
        outside |= month < full.min()
    if times.last_day is None:
        outside |= month > full.max() + 1  # the newest month may just have begun
    return outside


def _repeats_an_incident(rows: np.ndarray, keys: Keys) -> np.ndarray:
    """Rows [e] of an incident and category of which an earlier one is there: together they are one event."""
    first = keys.same_incident
    shared = np.zeros(len(first), bool)
    shared[first[first != np.arange(len(first))]] = True
    some = np.flatnonzero(shared[first[rows]] & (keys.incident[rows] != 0))
    kinds = int(keys.category.max(initial=0)) + 1
    pair = first[rows[some]] * kinds + keys.category[rows[some]]
    out = np.zeros(len(rows), bool)
    out[some[first_occurrence(pair) != np.arange(len(pair))]] = True
    return out


def first_occurrence(numbers: np.ndarray) -> np.ndarray:
    """The first row [r] with the same number, for each row."""
    which, distinct = pd.factorize(numbers)
    first = np.zeros(len(distinct), np.int64)
    first[which[::-1]] = np.arange(len(which) - 1, -1, -1)
    return first[which]


def hash_columns(
    columns: Callable[[Callable[[pa.Array], np.ndarray]], tuple[np.ndarray, ...]],
    texts: Sequence[Callable[[pa.Array], pa.Array]],
) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...], Callable[[pa.Array], np.ndarray]]:
    """A 64-bit hash for every text of some columns, equal for equal texts and, as is checked, only then.

    Args:
        columns: makes the columns of hashes by a hash.
        texts: for each column, the texts of some rows of it.

    Returns:
        The columns of hashes, for each column the first row with the same text, and the hash.
    """
    for key in count():
        number = partial(hash_texts, key=key)
        found = columns(number)
        first = tuple(first_occurrence(numbers) for numbers in found)
        if all(map(_are_alike, found, first, texts)):
            return found, first, number
    raise AssertionError


def _are_alike(numbers: np.ndarray, first: np.ndarray, texts: Callable[[pa.Array], pa.Array]) -> bool:
    rows = np.flatnonzero((first != np.arange(len(first))) & (numbers != 0))
    return texts(pa.array(rows)).equals(texts(pa.array(first[rows])))
