"""Cleaned chunks → events: what takes more than one row to know (merging, ids, withdrawals, incidents, coverage).

Everything here is by key and in reading order, so any division into chunks gives the same events and rejects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from stforecast.events import ledger as why
from stforecast.events.clean import Cleaned
from stforecast.events.schema import REJECT_COLUMNS
from stforecast.sections import Source

COVERED = 0.1  # a month belongs to a file's coverage if it has this share of a typical month's events


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
    )


def settle(cleaned: Cleaned, source: Source) -> Cleaned:
    """Unique ids, no withdrawn reports, one event an incident and category, within coverage; sorted by time.

    Rows that are merged into another event of their incident are counted as mended ("same incident").
    """
    for step in (_unique, _withdraw, _covered, _incidents):
        cleaned = step(cleaned, source)
    events = cleaned.events.sort_values("occurred_at", kind="stable", ignore_index=True)
    rejects = cleaned.rejects.sort_values(["file", "line"], kind="stable", ignore_index=True)
    return replace(cleaned, events=events, rejects=rejects)


def _unique(cleaned: Cleaned, source: Source) -> Cleaned:
    """Number the equal rows of a file that share a hash; refuse all but the first row of an id.

    Equal rows of one file are several events; those of overlapping exports are the same events again.
    """
    events = cleaned.events
    repeated = events["event_id"].duplicated().to_numpy(bool)
    hashed = events["event_id"].str.startswith("#").to_numpy(bool)
    if (repeated & hashed).any():
        number = events.groupby(["file", "event_id"]).cumcount().to_numpy()
        ids = events["event_id"].to_numpy(object).copy()
        rows = np.flatnonzero(hashed & (number > 0))
        ids[rows] = [f"{ids[row]}-{number[row]}" for row in rows]
        events = events.assign(event_id=pd.Series(ids, dtype=events["event_id"].dtype))
    again = events["event_id"].duplicated().to_numpy(bool)
    if not again.any():
        return replace(cleaned, events=events)
    first_file = events.groupby("event_id")["file"].transform("first")
    refused = events.loc[again, ["file", "line"]].assign(
        reason=np.where(events["file"] == first_file, why.DUPLICATE, why.OTHER_FILE)[again],
        value=events.loc[again, "event_id"],
    )
    rejects = pd.concat([cleaned.rejects, refused[list(REJECT_COLUMNS)]], ignore_index=True)
    return replace(cleaned, events=events[~again].reset_index(drop=True), rejects=rejects)


def _withdraw(cleaned: Cleaned, source: Source) -> Cleaned:
    """Each withdrawal takes away one report of its incident and offence, the first read first."""
    if cleaned.withdrawals.empty:
        return cleaned
    key = ["incident_id", "offence"]
    withdrawals = cleaned.withdrawals.groupby(key).size().rename("withdrawals")
    number = cleaned.events.groupby(key).cumcount()
    taken = (number < cleaned.events.join(withdrawals, on=key)["withdrawals"].fillna(0)).to_numpy(bool)
    return _leave_out(cleaned, taken & cleaned.events["incident_id"].notna().to_numpy(), why.WITHDRAWN)


def _covered(cleaned: Cleaned, source: Source) -> Cleaned:
    """Leave out stragglers years before (or after) what the file really covers, where the user chose no period.

    A yearly file also holds a few old occurrences that were reported late; taken at their word they would stretch the
    time axis by decades of hours without data. A typical month is the median over events of their month's events.
    """
    events = cleaned.events
    if events.empty:
        return cleaned
    time = events["occurred_at"].dt.tz_convert(source.time_zone)
    month = (time.dt.year * 12 + time.dt.month - 1).to_numpy(int)
    names, which, counts = np.unique(month, return_inverse=True, return_counts=True)
    full = names[counts >= COVERED * np.median(counts[which])]
    outside = np.zeros(len(events), bool)
    if source.first_day is None:
        outside |= month < full.min()
    if source.last_day is None:
        outside |= month > full.max() + 1  # the newest month may just have begun
    return _leave_out(cleaned, outside, why.NOT_COVERED)


def _incidents(cleaned: Cleaned, source: Source) -> Cleaned:
    """Rows of one incident and category are one event, the earliest."""
    events = cleaned.events
    known = events[events["incident_id"].notna()].sort_values("occurred_at", kind="stable")
    merged = np.zeros(len(events), bool)
    merged[known.index[known.duplicated(["incident_id", "category"])]] = True
    if not merged.any():
        return cleaned
    mended = cleaned.mended + Counter({"same incident": int(merged.sum())})
    return replace(cleaned, events=events[~merged].reset_index(drop=True), mended=mended)


def _leave_out(cleaned: Cleaned, rows: np.ndarray, reason: str) -> Cleaned:
    if not rows.any():
        return cleaned
    left_out = cleaned.left_out + Counter({reason: int(rows.sum())})
    return replace(cleaned, events=cleaned.events[~rows].reset_index(drop=True), left_out=left_out)
