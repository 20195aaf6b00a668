"""One chunk of text → events and rejects. Pure, so that a Spark or Dask job can map it over partitions.

A row is, in this order: refused as unreadable (short, long, unbalanced quote); a withdrawal (`count` −1), kept aside
until its report is known; left out because no category names its offence; refused or left out for its time; refused
for its place; or an event. Rows that are left out are counted and are not rejects.

Stated rules, counted under `mended` where they apply:
- times: see `event_times`; places: see `coordinates`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from stforecast.events import outcomes
from stforecast.events.coordinates import parse_places
from stforecast.events.event_times import TimeColumns
from stforecast.events.parsing.dates import NAT
from stforecast.events.parsing.text_columns import factorize, is_empty, strip, to_arrow
from stforecast.events.parsing.timestamp_columns import TimeFormat
from stforecast.events.readers.header import FIELDS
from stforecast.events.row_audit import FOREVER, RowAudit
from stforecast.events.rules import IngestRules
from stforecast.events.schema import REJECT_COLUMNS
from stforecast.events.sources import category_lookup
from stforecast.events.time_formats import TextEvidence, configured_format

KEYS = ("event_id", "incident_id", "district", "count")

ARREST = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", "0.0"), False),
}


@dataclass(frozen=True)
class Cleaned:
    """What became of some rows; results of several chunks add (`merge`).

    events: columns of `EventTable`, `file` and `line`; ids may still repeat. withdrawals: incident_id, offence.
    rejects: file, line, reason, value. offences: (offence, category or None) → rows. evidence: what the texts tell of
    how times are to be read. due: the first instant (µs) at which the same rows may come out differently, since they
    tell of what was then to come.
    """

    events: pd.DataFrame
    withdrawals: pd.DataFrame
    rejects: pd.DataFrame
    rows: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)
    offences: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    evidence: TextEvidence = field(default_factory=TextEvidence)
    due: int = FOREVER


def clean(chunk: pd.DataFrame, rules: IngestRules, now: pd.Timestamp, time_format: TimeFormat | None = None) -> Cleaned:
    """Events, withdrawals and rejects of one chunk of `readers.read_file.read`.

    Args:
        chunk: the texts of some rows.
        rules: of the configuration.
        now: the instant after which nothing can have occurred.
        time_format: how times are read; by default as the configuration states, and month first where it does not.

    Returns:
        What became of each row.
    """
    present = [name for name in FIELDS if name in chunk]
    nothing = pa.repeat(pa.scalar("", pa.large_string()), len(chunk))
    texts = {name: strip(to_arrow(chunk[name]), name in KEYS) if name in present else nothing for name in FIELDS}
    audit = RowAudit(to_arrow(chunk["problem"]), to_arrow(chunk["value"]))
    audit.leave_out(np.all([is_empty(texts[name]) for name in present], axis=0), outcomes.BLANK_ROW)
    withdrawn = audit.open & np.asarray(pc.equal(texts["count"], "-1"))
    audit.leave_out(withdrawn, outcomes.WITHDRAWAL)
    audit.leave_out(np.asarray(pc.equal(texts["count"], "0")), outcomes.NOT_COUNTED)
    which, distinct = factorize(texts["offence"])
    kinds = [" ".join(text.split()) for text in distinct.to_pylist()]
    groups = list(map(category_lookup(rules.categories, rules.other), kinds))
    offences = _in_order(which[audit.open], list(zip(kinds, groups, strict=True)))
    audit.leave_out(np.array([group is None for group in groups], bool)[which], outcomes.NO_CATEGORY)
    times_format = time_format or configured_format(rules.times)
    times = TimeColumns(audit, texts, present, rules.times, times_format, now.value // 1000)
    occurred, written = times.occurred()
    latitude, longitude = parse_places(audit, texts, rules.places)
    until = times.until(occurred, written)
    reported = times.reported(occurred)

    rows = np.flatnonzero(audit.open)
    kept, taken = pa.array(rows), pa.array(which[rows])
    file, line = pa.array(chunk["file"].astype("category")), chunk["line"].to_numpy()
    events = pa.table(
        {
            "event_id": _ids(texts, rows),
            "incident_id": _or_null(texts["incident_id"].take(kept)),
            "occurred_at": _utc(occurred[rows]),
            "occurred_until": _utc(until[rows]),
            "reported_at": _utc(reported[rows]),
            "latitude": latitude[rows],
            "longitude": longitude[rows],
            "offence": _each(kinds).take(taken),
            "category": _each(groups).take(taken),
            "district": _or_null(texts["district"].take(kept)),
            "arrest": _arrests(texts["arrest"].take(kept)),
            "file": file.take(kept),
            "line": line[rows],
        }
    )
    withdrawals = pa.table(
        {
            "incident_id": texts["incident_id"].filter(pa.array(withdrawn)),
            "offence": _each(kinds).take(pa.array(which[withdrawn])),
        }
    )
    refused, reasons, values = zip(*sorted(audit.refused), strict=True) if audit.refused else ((), (), ())
    no = np.array(refused, np.int64)
    columns = (file.dictionary.take(file.indices.take(pa.array(no))), line[no], _each(reasons), _each(values))
    rejects = pa.table(dict(zip(REJECT_COLUMNS, columns, strict=True)))
    examples = {kind: (file[row].as_py(), int(line[row]), text) for kind, (row, text) in audit.examples.items()}
    counts = len(chunk), audit.left_out, audit.mended, offences
    return Cleaned(
        _frame(events), _frame(withdrawals), _frame(rejects), *counts, TextEvidence(examples, audit.counts), audit.due
    )


def merge(chunks: Sequence[Cleaned]) -> Cleaned:
    """Add the results of chunks, in reading order."""

    def total(name: str) -> Counter:
        return sum((getattr(chunk, name) for chunk in chunks), Counter())

    def stack(name: str) -> pd.DataFrame:
        frames = [getattr(chunk, name) for chunk in chunks]
        return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)

    return Cleaned(
        stack("events"),
        stack("withdrawals"),
        stack("rejects"),
        sum(chunk.rows for chunk in chunks),
        total("left_out"),
        total("mended"),
        total("offences"),
        TextEvidence.total(chunk.evidence for chunk in chunks),
        min((chunk.due for chunk in chunks), default=FOREVER),
    )


def sorted_rejects(rejects: pd.DataFrame) -> pd.DataFrame:
    """Refused rows by file and line."""
    return rejects.sort_values(["file", "line"], kind="stable", ignore_index=True)


def _frame(table: pa.Table) -> pd.DataFrame:
    return table.to_pandas(use_threads=False, types_mapper={pa.bool_(): pd.BooleanDtype()}.get)


def _ids(texts: Mapping[str, pa.Array], rows: np.ndarray) -> pa.Array:
    """The publisher's keys; where there is none, a hash of the row, which equal rows share until `settle`."""
    ids = texts["event_id"].take(pa.array(rows))
    blank = is_empty(ids)
    if not blank.any():
        return ids
    names = sorted(texts.keys() - {"event_id", "location"})
    if not is_empty(texts["location"]).all():  # a field that is younger than the ids of records without it
        names.append("location")
    cells = [texts[name].take(pa.array(rows[blank])) for name in names]
    joined = pc.binary_join_element_wise(*cells, pa.scalar("\x1f", pa.large_string())).to_pylist()
    hashes = ["#" + hashlib.blake2b(row.encode(), digest_size=10).hexdigest() for row in joined]
    return pc.replace_with_mask(ids, pa.array(blank), _each(hashes))


def _in_order(which: np.ndarray, meanings: list[tuple[str, str | None]]) -> Counter[tuple[str, str | None]]:
    """How many rows [r] bear each meaning, in order of appearance."""
    first = np.full(len(meanings), len(which))
    first[which[::-1]] = np.arange(len(which))[::-1]
    number = np.bincount(which, minlength=len(meanings))
    counts: Counter[tuple[str, str | None]] = Counter()
    for code in np.argsort(first, kind="stable").tolist():
        if number[code]:
            counts[meanings[code]] += int(number[code])
    return counts


def _each(texts: Sequence[str | None]) -> pa.Array:
    return pa.array(texts, pa.large_string())


def _or_null(texts: pa.Array) -> pa.Array:
    return pc.if_else(pa.array(is_empty(texts)), pa.scalar(None, texts.type), texts)


def _arrests(texts: pa.Array) -> pa.Array:
    which, distinct = factorize(texts)
    return pa.array([ARREST.get(text.lower()) for text in distinct.to_pylist()], pa.bool_()).take(pa.array(which))


def _utc(instants: np.ndarray) -> pa.Array:
    return pa.array(instants, pa.timestamp("us", "UTC"), mask=instants == NAT)
