"""What an ingest writes into the first-seen table: what is new, changed or gone; and what is erased from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from stforecast.events.first_seen import CHANGES, INGESTS, SEEN_AT, FirstSeen, read_column, sights, words
from stforecast.events.forgotten import KEYS, Forgotten, key_texts
from stforecast.events.row_changes import Difference, compare, first_rows, instants
from stforecast.events.schema import COLUMNS
from stforecast.instants import since_1970

BULK = 0.1
"""Share of the events; more new ones at once are a backlog, a file of another year, or events with other ids."""
OF_EVENTS = ("schema", "events", "events_by_category", "first_event", "last_event", "notes")
"""Facts that are not kept: they follow from the events at hand, or may quote a report."""


@dataclass(frozen=True)
class Sight:
    """What an ingest saw. first_seen: of each event; null where that is not known. news: what is new, in sentences."""

    first_seen: pd.Series
    observed_from: str
    news: list[str]


def append(folder: Path, events: Path, facts: Mapping[str, Any], settings: str, now: pd.Timestamp) -> Sight:
    """Take in the events of an ingest: what differs from those of the one before.

    Args:
        folder: of the table; made where it is not there.
        events: the event table, Parquet.
        facts: of its ingest.json.
        settings: a fingerprint of what decides what becomes of a publisher's row.
        now: when the events were seen, with a time zone.

    Raises:
        ArtefactError: the table is damaged.
    """
    table = FirstSeen.open(folder)
    table.sweep()
    before = instants(table.ingests.column("seen_at"))
    last, seen_at = before[-1] if len(before) else None, since_1970(now)
    if last is not None:
        seen_at = max(seen_at, int(last) + 1)  # a clock that was set back does not mix up the order
    with pa.OSFile(str(events)) as file:
        found = compare(table.column, lambda name: read_column(file, name))
        seen = np.append(instants(table.column("seen_at")), seen_at)
        when = seen[np.minimum(found.first, len(seen) - 1)]
        bulk = (when == seen_at).sum() > BULK * len(when)
        other = last is not None and table.ingests.column("settings")[-1].as_py() != settings
        base = last is None or other or bool(bulk)
        if len(found.rows) or len(found.lost) or other:
            kept = {key: value for key, value in facts.items() if key not in OF_EVENTS}
            ingest = {"seen_at": seen_at, "base": base, "settings": settings, "facts": json.dumps(kept, default=str)}
            changes = [_standing(file, found, seen_at), _lost(table, found, seen_at)]
            table.grow(pa.concat_tables(changes), pa.table({key: [ingest[key]] for key in ingest}).cast(INGESTS))
    bases = np.append(table.bases, np.array([seen_at] if base else [], np.int64))
    if last is None:
        return Sight(sights(when, bases), words(seen_at), [])
    news = _news(found, words(last), seen_at - since_1970(now) > 1, other, bool(bulk))
    return Sight(sights(when, bases), table.observed_from, news)


def erase(folder: Path, forgotten: Forgotten) -> int:
    """Remove every change of the events that are on a list, from all segments in one step; how many there were.

    Raises:
        ArtefactError: the table is damaged.
    """
    table = FirstSeen.open(folder)
    table.sweep()  # what a killed writer left may hold them
    first = first_rows(table.column("event_id"))
    listed = np.zeros(len(first), bool)
    for name in KEYS:
        texts = key_texts(table.column(name).fill_null("").to_pylist())
        listed |= np.array([forgotten.has(text, [name]) for text in texts], bool)
    gone = np.isin(first, first[listed])  # of an event that vanished its id alone is kept
    if not gone.any():
        return 0
    table.without(gone)
    return int(gone.sum())


def _news(found: Difference, last: str, set_back: bool, other: bool, bulk: bool) -> list[str]:
    counts = {"new": found.added, "changed": found.changed, "gone": len(found.lost)}
    text = f"since the ingest of {last}: " + ", ".join(f"{count:,} {what}" for what, count in counts.items())
    if other:
        text += "; the settings are others too, so that this is not the publisher's alone"
    elif bulk:
        text += "; so many new ones are no day's reports: when they became known is not known"
    elif set_back:
        text += "; the clock stands before that ingest, and they count as seen right after it"
    return [text] if other or any(counts.values()) else []


def _standing(file: pa.NativeFile, found: Difference, seen_at: int) -> pa.Table:
    """The changes of events that are in the new table."""
    rows = pa.array(found.rows)
    columns = {name: read_column(file, name).take(rows) for name in COLUMNS}
    return _changes({**columns, "rank": pa.array(found.rank[found.rows])}, len(rows), seen_at, gone=False)


def _lost(table: FirstSeen, found: Difference, seen_at: int) -> pa.Table:
    """The changes of events that are no longer there."""
    ids = table.column("event_id").take(pa.array(found.lost))
    return _changes({"event_id": ids}, len(ids), seen_at, gone=True)


def _changes(columns: Mapping[str, pa.Array], count: int, seen_at: int, gone: bool) -> pa.Table:
    same = {"seen_at": pa.repeat(pa.scalar(seen_at, SEEN_AT.type), count), "gone": pa.repeat(gone, count)}
    columns = {**columns, **same}
    return pa.table({one.name: columns.get(one.name, pa.nulls(count, one.type)) for one in CHANGES}).cast(CHANGES)
