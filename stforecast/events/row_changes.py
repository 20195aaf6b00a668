"""What differs between two states of the event table: by id, by a hash of the content, by order among ties."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from stforecast.events.deduplicate import Hashes
from stforecast.events.parsing.text_columns import hash_texts, mixed
from stforecast.events.schema import COLUMNS

Column = Callable[[str], pa.Array]
"""A column by its name; one is held in memory at a time."""
SALT = np.uint64(0x9E3779B97F4A7C15)
"""Keeps the number 0 from looking like a null."""


@dataclass(frozen=True)
class Difference:
    """What a new table [e] has that the one before had not.

    rows: of the new table that are new, changed, or in another place among ties. rank: of all its rows, see `ranks`.
    lost: the last changes of events that it has no longer. first: the first change of each event; beyond all changes
    where it was never seen. added, changed: numbers of events.
    """

    rows: np.ndarray
    rank: np.ndarray
    lost: np.ndarray
    first: np.ndarray
    added: int
    changed: int


def compare(changes: Column, table: Column) -> Difference:
    """Compare a table with what is known by the changes [r] until now, oldest first."""
    held, ids = changes("event_id"), table("event_id")
    count = len(held)
    first = first_rows(pa.concat_arrays([held, ids.cast(held.type)]))
    live = newest_rows(first[:count])
    live = live[~changes("gone").to_numpy(zero_copy_only=False)[live]]
    stood = np.full(len(first) + 1, -1)  # by the first change of an event: its last one, if it was there
    stood[first[live]] = live
    before = stood[first[count:]]
    there = np.flatnonzero(before >= 0)
    now, then = pa.array(there), pa.array(before[there])
    same = np.zeros(len(ids), bool)
    same[there] = digests(lambda name: table(name).take(now)) == digests(lambda name: changes(name).take(then))
    known = np.full(len(ids), np.nan)
    known[same] = changes("rank").to_numpy(zero_copy_only=False)[before[same]]
    rank = ranks(instants(table("occurred_at")), known)
    return Difference(
        rows=np.flatnonzero(rank != known),
        rank=rank,
        lost=np.setdiff1d(live, before),
        first=first[count:],
        added=len(ids) - len(there),
        changed=len(there) - int(same.sum()),
    )


def first_rows(ids: pa.Array) -> np.ndarray:
    """The first row with the same id, for each row [r]."""
    if not len(ids):
        return np.zeros(0, np.int64)
    return Hashes.of(lambda key: hash_texts(ids, key), lambda rows: ids.take(pa.array(rows))).first


def newest_rows(first: np.ndarray) -> np.ndarray:
    """The last row of each id, by what `first_rows` has found; sorted."""
    newest = np.zeros(len(first), np.int64)
    newest[first] = np.arange(len(first))  # of several the last one is assigned
    return np.sort(newest[np.unique(first)])


def instants(times: pa.Array) -> np.ndarray:
    """Microseconds since 1970 [r] of times without nulls."""
    return np.asarray(times.cast(pa.int64()))


def digests(column: Column) -> np.ndarray:
    """A 64-bit hash of the content of each event [e], uint64; where its row stood in which file is no part of it."""
    found = np.zeros(1, np.uint64)
    for name in COLUMNS:
        values = column(name)
        if pa.types.is_large_string(values.type) or pa.types.is_string(values.type):
            numbers = hash_texts(values, 0)
        else:
            numbers = mixed(_bits(values) ^ SALT)
            numbers[np.asarray(values.is_null())] = 0
        found = mixed(found ^ numbers)
    return found


def _bits(values: pa.Array) -> np.ndarray:
    if not pa.types.is_floating(values.type):
        values = values.cast(pa.int64())
    return np.asarray(values.fill_null(0)).view(np.uint64)


def ranks(occurred: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Numbers [e] by which events sort that occurred at the same instant, so that few of the known ones change.

    A new event comes between its neighbours. One that no longer stands before those behind it counts as new.

    Args:
        occurred: of the events in the order of the table, µs [e].
        known: the rank that an event had; NaN: it is new.
    """
    at, count = np.arange(len(occurred)), len(occurred)
    begins = np.diff(occurred, prepend=occurred[:1] - 1) != 0
    group = np.cumsum(begins)
    least = pd.Series(known[::-1]).fillna(np.inf).groupby(group[::-1]).cummin()
    kept = known < least.groupby(group[::-1]).shift(fill_value=np.inf).to_numpy()[::-1]
    first = np.maximum.accumulate(np.where(begins, at, 0))
    last = np.minimum.accumulate(np.where(np.append(begins[1:], True), at, count)[::-1])[::-1]
    before = np.maximum.accumulate(np.where(kept, at, -1))
    after = np.minimum.accumulate(np.where(kept, at, count)[::-1])[::-1]
    low = np.where(before >= first, known[np.maximum(before, 0)], np.nan)
    high = np.where(after <= last, known[np.minimum(after, count - 1)], np.nan)
    between = low + (high - low) * (at - before) / np.maximum(after - before, 1)
    anew = (at - first).astype(float)
    found = np.select(
        [kept, ~np.isnan(between), ~np.isnan(low), ~np.isnan(high)],
        [known, between, low + (at - before), high - (after - at)],
        anew,
    )
    # a distance cannot be divided for ever
    tight = group[1:][(np.diff(found) <= 0) & ~begins[1:]]
    return np.where(np.isin(group, tight), anew, found)
