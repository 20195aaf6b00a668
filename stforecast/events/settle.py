"""Cleaned chunks → events: what takes more than one row to know (merging, ids, withdrawals, incidents, coverage).

Everything here is by key and in reading order, so any division into chunks gives the same events and rejects. `choose`
decides on a few narrow columns (`Keys`), so that the rows themselves may lie on disk; `settle` does so in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import pyarrow as pa

from stforecast.events import ledger as why
from stforecast.events.clean import Cleaned
from stforecast.events.schema import REJECT_COLUMNS
from stforecast.events.texts import as_chunks, code_of, coded
from stforecast.events.times import DAY, to_local
from stforecast.sections import Source

COVERED = 0.1  # a month belongs to a file's coverage if it has this share of a typical month's events


@dataclass(frozen=True)
class Keys:
    """What tells events apart, in reading order: texts as numbers (−1: null) and the distinct ids and incidents."""

    event: np.ndarray
    ids: pa.Array
    incident: np.ndarray
    incidents: pa.Array
    offence: np.ndarray
    category: np.ndarray
    occurred: np.ndarray  # µs
    file: np.ndarray


@dataclass
class Choice:
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

    return Cleaned(
        stack("events"),
        stack("withdrawals"),
        stack("rejects"),
        sum(part.rows for part in parts),
        total("left_out"),
        total("mended"),
        total("offences"),
        min((part.due for part in parts), default=Cleaned.due),
    )


def settle(cleaned: Cleaned, source: Source) -> Cleaned:
    """Unique ids, no withdrawn reports, one event an incident and category, within coverage; sorted by time.

    Rows that are merged into another event of their incident are counted as mended ("same incident").
    """
    events = cleaned.events
    event, ids = coded(as_chunks(events["event_id"]))
    incident, incidents = coded(as_chunks(events["incident_id"]))
    offence, offences = coded(as_chunks(events["offence"]))
    keys = Keys(
        event=event,
        ids=ids,
        incident=incident,
        incidents=incidents,
        offence=offence,
        category=pd.factorize(events["category"])[0],
        occurred=events["occurred_at"].to_numpy("datetime64[us]").astype(np.int64),
        file=pd.factorize(events["file"])[0],
    )
    choice = choose(keys, cleaned.withdrawals, offences, source)
    names = events["event_id"].to_numpy(object).copy()
    for row, name in choice.renamed.items():
        names[row] = name
    events = events.assign(event_id=pd.Series(names, dtype=events["event_id"].dtype))
    refused = events.iloc[choice.refused][["file", "line"]].assign(
        file=lambda frame: frame["file"].astype(cleaned.rejects["file"].dtype),
        reason=choice.reasons,
        value=names[choice.refused],
    )
    rejects = pd.concat([cleaned.rejects, refused[list(REJECT_COLUMNS)]], ignore_index=True)
    return replace(
        cleaned,
        events=events.iloc[choice.rows].reset_index(drop=True),
        rejects=sorted_rejects(rejects),
        left_out=cleaned.left_out + choice.left_out,
        mended=cleaned.mended + Counter({"same incident": choice.merged}),
    )


def sorted_rejects(rejects: pd.DataFrame) -> pd.DataFrame:
    """Refused rows by file and line."""
    return rejects.sort_values(["file", "line"], kind="stable", ignore_index=True)


def choose(keys: Keys, withdrawals: pd.DataFrame, offences: pa.Array, source: Source) -> Choice:
    """The events among the rows of `keys`; `withdrawals` hold incident_id and offence as texts."""
    choice = Choice(np.arange(len(keys.event)))
    for step in (_unique, _withdraw, _covered, _incidents):
        step(choice, keys, withdrawals, offences, source)
    order = np.argsort(keys.occurred[choice.rows], kind="stable")
    choice.rows = choice.rows[order]
    return choice


def _unique(choice: Choice, keys: Keys, withdrawals: pd.DataFrame, offences: pa.Array, source: Source) -> None:
    """Number the equal rows of a file that share a hash; refuse all but the first row of an id.

    Equal rows of one file are several events; those of overlapping exports are the same events again.
    """
    event, first = keys.event, _first(keys.event, len(keys.ids))
    repeated = np.flatnonzero(first[event] != np.arange(len(event)))
    if not repeated.size:
        return
    # only the rows that share their id with another matter
    rows = np.flatnonzero(np.isin(event, event[repeated]))
    frame = pd.DataFrame({"file": keys.file[rows], "event": event[rows]}, index=rows)
    number = frame.groupby(["file", "event"]).cumcount()
    named = keys.ids.take(pa.array(frame["event"])).to_pylist()
    for row, name, n in zip(rows.tolist(), named, number.tolist(), strict=True):
        if n and name.startswith("#"):
            choice.renamed[row] = f"{name}-{n}"
    if choice.renamed:
        new = pa.array(list(choice.renamed.values()), keys.ids.type)
        known = code_of(new, keys.ids)
        fresh, _ = pd.factorize(np.array(new.to_pylist(), object))
        event = event.copy()
        event[list(choice.renamed)] = np.where(known >= 0, known, len(keys.ids) + fresh)
        first = _first(event, len(keys.ids) + len(new))
    again = first[event] != np.arange(len(event))
    choice.refused = np.flatnonzero(again)
    same = keys.file[choice.refused] == keys.file[first[event[choice.refused]]]
    choice.reasons = np.where(same, why.DUPLICATE, why.OTHER_FILE).astype(object)
    choice.rows = choice.rows[~again]


def _withdraw(choice: Choice, keys: Keys, withdrawals: pd.DataFrame, offences: pa.Array, source: Source) -> None:
    """Each withdrawal takes away one report of its incident and offence, the first read first."""
    if withdrawals.empty:
        return
    back = pd.DataFrame(
        {
            "incident": code_of(as_chunks(withdrawals["incident_id"]).combine_chunks(), keys.incidents),
            "offence": code_of(as_chunks(withdrawals["offence"]).combine_chunks(), offences),
        }
    )
    back = back[(back >= 0).all(axis=1)]
    rows = choice.rows[np.isin(keys.incident[choice.rows], back["incident"])]
    reports = pd.DataFrame({"incident": keys.incident[rows], "offence": keys.offence[rows]})
    number = reports.groupby(["incident", "offence"]).cumcount()
    most = reports.join(back.value_counts().rename("number"), on=["incident", "offence"])["number"].fillna(0)
    _leave_out(choice, np.isin(choice.rows, rows[(number < most).to_numpy()]), why.WITHDRAWN)


def _covered(choice: Choice, keys: Keys, withdrawals: pd.DataFrame, offences: pa.Array, source: Source) -> None:
    """Leave out stragglers years before (or after) what the file really covers, where the user chose no period.

    A yearly file also holds a few old occurrences that were reported late; taken at their word they would stretch the
    time axis by decades of hours without data. A typical month is the median over events of their month's events.
    """
    if not choice.rows.size:
        return
    days = to_local(keys.occurred[choice.rows], source.time_zone or "UTC") // DAY
    month = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    lowest = int(month.min())
    counts = np.bincount(month - lowest)
    full = np.flatnonzero((counts > 0) & (counts >= COVERED * np.median(counts[month - lowest]))) + lowest
    outside = np.zeros(len(month), bool)
    if source.first_day is None:
        outside |= month < full.min()
    if source.last_day is None:
        outside |= month > full.max() + 1  # the newest month may just have begun
    _leave_out(choice, outside, why.NOT_COVERED)


def _incidents(choice: Choice, keys: Keys, withdrawals: pd.DataFrame, offences: pa.Array, source: Source) -> None:
    """Rows of one incident and category are one event, the earliest."""
    rows = choice.rows[keys.incident[choice.rows] >= 0]
    rows = rows[np.argsort(keys.occurred[rows], kind="stable")]
    kinds = int(keys.category.max(initial=0)) + 1
    pair = keys.incident[rows].astype(np.int64) * kinds + keys.category[rows]
    first = _first(pair, len(keys.incidents) * kinds)
    merged = rows[first[pair] != np.arange(len(rows))]
    keep = np.ones(len(keys.event), bool)
    keep[merged] = False
    choice.merged = len(merged)
    choice.rows = choice.rows[keep[choice.rows]]


def _first(codes: np.ndarray, size: int) -> np.ndarray:
    """The first place of each code."""
    first = np.zeros(size, np.int32)
    first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1, dtype=np.int32)
    return first


def _leave_out(choice: Choice, which: np.ndarray, reason: str) -> None:
    if number := int(which.sum()):
        choice.left_out[reason] += number
        choice.rows = choice.rows[~which]
