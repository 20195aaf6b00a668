"""Cleaned chunks → events: what takes more than one row to know (merging, ids, withdrawals, incidents, coverage).

Everything here is by key and in reading order, so any division into chunks gives the same events and rejects. It is
decided on a few narrow columns (`Keys`), so that the rows themselves may lie on disk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count

import numpy as np
import pandas as pd
import pyarrow as pa

from stforecast.config.sections import Source
from stforecast.events import outcomes
from stforecast.events.clean import Cleaned
from stforecast.events.parsing.text_columns import codes_in, factorize, hash_texts, to_arrow
from stforecast.events.parsing.time_zones import to_local
from stforecast.events.parsing.times_of_day import DAY
from stforecast.events.schema import REJECT_COLUMNS
from stforecast.events.time_formats import TextEvidence

COVERED = 0.1  # a month belongs to a file's coverage if it has this share of a typical month's events


@dataclass(frozen=True)
class Keys:
    """What tells events apart, in reading order. `event` and `incident` number texts (see `hash_columns`); 0: no text.

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


def merge(parts: Sequence[Cleaned]) -> Cleaned:
    """Add the results of chunks, in reading order."""

    def total(name: str) -> Counter:
        out: Counter = Counter()
        for part in parts:
            out.update(getattr(part, name))
        return out

    def stack(name: str) -> pd.DataFrame:
        frames = [getattr(part, name) for part in parts]
        return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)

    evidence = TextEvidence()
    for part in parts:
        evidence.add(part.evidence)
    return Cleaned(
        stack("events"),
        stack("withdrawals"),
        stack("rejects"),
        sum(part.rows for part in parts),
        total("left_out"),
        total("mended"),
        total("offences"),
        evidence,
        min((part.due for part in parts), default=Cleaned.due),
    )


def settle(cleaned: Cleaned, source: Source) -> Cleaned:
    """Unique ids, no withdrawn reports, one event an incident and category, within coverage; sorted by time.

    Rows that are merged into another event of their incident are counted as mended ("same incident").
    """
    events = cleaned.events
    ids, incidents = to_arrow(events["event_id"]), to_arrow(events["incident_id"])
    (event, incident), (same_event, same_incident), number = hash_columns(
        lambda number: (number(ids), number(incidents)), [ids.take, incidents.take]
    )
    offence, offences = factorize(to_arrow(events["offence"]))
    keys = Keys(
        event=event,
        incident=incident,
        same_event=same_event,
        same_incident=same_incident,
        offence=offence,
        category=pd.factorize(events["category"])[0],
        occurred=events["occurred_at"].to_numpy("datetime64[us]").astype(np.int64),
        file=pd.factorize(events["file"])[0],
        ids=lambda rows: ids.take(pa.array(rows)),
        number=number,
    )
    selection = select_events(keys, cleaned.withdrawals, offences, source)
    names = events["event_id"].to_numpy(object).copy()
    for row, name in selection.renamed.items():
        names[row] = name
    events = events.assign(event_id=pd.Series(names, dtype=events["event_id"].dtype))
    refused = events.iloc[selection.refused][["file", "line"]].assign(
        file=lambda frame: frame["file"].astype(cleaned.rejects["file"].dtype),
        reason=selection.reasons,
        value=names[selection.refused],
    )
    rejects = pd.concat([cleaned.rejects, refused[list(REJECT_COLUMNS)]], ignore_index=True)
    return replace(
        cleaned,
        events=events.iloc[selection.rows].reset_index(drop=True),
        rejects=sorted_rejects(rejects),
        left_out=cleaned.left_out + selection.left_out,
        mended=cleaned.mended + Counter({"same incident": selection.merged}),
    )


def sorted_rejects(rejects: pd.DataFrame) -> pd.DataFrame:
    """Refused rows by file and line."""
    return rejects.sort_values(["file", "line"], kind="stable", ignore_index=True)


def select_events(keys: Keys, withdrawals: pd.DataFrame, offences: pa.Array, source: Source) -> Selection:
    """The events among the rows of `keys`; `withdrawals` hold incident_id and offence as texts."""
    selection = Selection(np.arange(len(keys.event)))
    for step in (_unique, _withdraw, _covered, _sort, _incidents):
        step(selection, keys, withdrawals, offences, source)
    return selection


def _unique(selection: Selection, keys: Keys, withdrawals: pd.DataFrame, offences: pa.Array, source: Source) -> None:
    """Number the equal rows of a file that share a hash; refuse all but the first row of an id.

    Equal rows of one file are several events; those of overlapping exports are the same events again.
    """
    first = keys.same_event
    repeated = first != np.arange(len(first))
    if not repeated.any():
        return
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
    again = first != np.arange(len(first))
    selection.refused = np.flatnonzero(again)
    same = keys.file[selection.refused] == keys.file[first[selection.refused]]
    selection.reasons = np.where(same, outcomes.DUPLICATE, outcomes.OTHER_FILE).astype(object)
    selection.rows = selection.rows[~again]


def _withdraw(selection: Selection, keys: Keys, withdrawals: pd.DataFrame, offences: pa.Array, source: Source) -> None:
    """Each withdrawal takes away one report of its incident and offence, the first read first."""
    if withdrawals.empty:
        return
    back = pd.DataFrame(
        {
            "incident": keys.number(to_arrow(withdrawals["incident_id"])),
            "offence": codes_in(to_arrow(withdrawals["offence"]), offences),
        }
    )
    rows = selection.rows[np.isin(keys.incident[selection.rows], back["incident"])]
    reports = pd.DataFrame({"incident": keys.incident[rows], "offence": keys.offence[rows]})
    number = reports.groupby(["incident", "offence"]).cumcount()
    most = reports.join(back.value_counts().rename("number"), on=["incident", "offence"])["number"].fillna(0)
    _leave_out(selection, np.isin(selection.rows, rows[(number < most).to_numpy()]), outcomes.WITHDRAWN)


def _covered(selection: Selection, keys: Keys, withdrawals: pd.DataFrame, offences: pa.Array, source: Source) -> None:
    """Leave out stragglers years before (or after) what the file really covers, where the user chose no period.

    A yearly file also holds a few old occurrences that were reported late; taken at their word they would stretch the
    time axis by decades of hours without data. A typical month is the median over events of their month's events.
    """
    if not selection.rows.size or (source.first_day and source.last_day):
        return
    days = to_local(keys.occurred[selection.rows], source.time_zone or "UTC") // DAY
    month = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    lowest = int(month.min())
    counts = np.bincount(month - lowest)
    full = np.flatnonzero((counts > 0) & (counts >= COVERED * np.median(counts[month - lowest]))) + lowest
    outside = np.zeros(len(month), bool)
    if source.first_day is None:
        outside |= month < full.min()
    if source.last_day is None:
        outside |= month > full.max() + 1  # the newest month may just have begun
    _leave_out(selection, outside, outcomes.NOT_COVERED)


def _sort(selection: Selection, keys: Keys, withdrawals: pd.DataFrame, offences: pa.Array, source: Source) -> None:
    selection.rows = selection.rows[np.argsort(keys.occurred[selection.rows], kind="stable")]


def _incidents(selection: Selection, keys: Keys, withdrawals: pd.DataFrame, offences: pa.Array, source: Source) -> None:
    """Rows of one incident and category are one event, the earliest."""
    incident = keys.same_incident
    shared = np.zeros(len(incident), bool)
    shared[incident[incident != np.arange(len(incident))]] = True
    rows = selection.rows[shared[incident[selection.rows]] & (keys.incident[selection.rows] != 0)]
    kinds = int(keys.category.max(initial=0)) + 1
    merged = rows[first_occurrence(incident[rows] * kinds + keys.category[rows]) != np.arange(len(rows))]
    keep = np.ones(len(incident), bool)
    keep[merged] = False
    selection.merged = len(merged)
    selection.rows = selection.rows[keep[selection.rows]]


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
    """A 64-bit hash for every text of some columns, the first row with that text, and the hash: equal for equal texts
    and, as is checked, only then.

    columns: makes the columns of hashes by a hash. texts: for each column, the texts of some rows of it.
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


def _leave_out(selection: Selection, which: np.ndarray, reason: str) -> None:
    if number := int(which.sum()):
        selection.left_out[reason] += number
        selection.rows = selection.rows[~which]
