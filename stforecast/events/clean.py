"""One chunk of text → events and rejects. Pure, so that a Spark or Dask job can map it over partitions.

A row is, in this order: left out, with nothing of it kept, because its report was erased; refused as unreadable (short,
long, unbalanced quote); a withdrawal (`count` −1), kept aside until its report is known; left out because no category
names its offence; refused for its count; refused or left out for its time; refused for its place; or as many events
as its count says, one without a count. Rows that are left out are counted and are not rejects.

Stated rules, counted under `corrected` where they apply:
- times: see `event_times`; places: see `coordinates`; counts: see `counts`.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from stforecast.config.sections import Periods
from stforecast.events import outcomes
from stforecast.events.coordinates import parse_places
from stforecast.events.counts import parse_counts
from stforecast.events.event_times import TimeColumns
from stforecast.events.facts import Facts
from stforecast.events.parsing.dates import NAT
from stforecast.events.parsing.text_columns import factorize, is_empty, strip, to_arrow
from stforecast.events.parsing.timestamp_columns import TimeFormat
from stforecast.events.readers.header import FIELDS
from stforecast.events.row_audit import RowAudit
from stforecast.events.sources import IngestRules, category_lookup
from stforecast.events.time_formats import configured_format
from stforecast.instants import since_1970

KEYS = ("event_id", "incident_id", "area", "district", "count")
YOUNGER = ("area", "location")
"""Fields that are younger than the ids of records without them."""

ARREST = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", "0.0"), False),
}


@dataclass(frozen=True)
class Cleaned:
    """What became of some rows; results of several chunks add (`merge`).

    events: columns of `EventTable`, `file` and `line`; ids may still repeat. withdrawals: incident_id, offence.
    rejects: file, line, reason, value. others: event_id of rows that became no event.
    """

    events: pa.Table
    withdrawals: pa.Table
    rejects: pa.Table
    others: pa.Table
    facts: Facts


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
    erased = rules.forgotten.rows(chunk)
    if number := int(erased.sum()):
        chunk = chunk[~erased]
    present = [name for name in FIELDS if name in chunk]
    nothing = pa.repeat(pa.scalar("", pa.large_string()), len(chunk))
    texts = {name: strip(to_arrow(chunk[name]), name in KEYS) if name in present else nothing for name in FIELDS}
    audit = RowAudit(chunk)
    if number:
        audit.facts.rows += number
        audit.facts.count("left_out", {outcomes.FORGOTTEN: number})
    filled = [name for name in present if name != "occurred" or not isinstance(rules.source.columns.occurred, Periods)]
    audit.leave_out(np.all([is_empty(texts[name]) for name in filled], axis=0), outcomes.BLANK_ROW)
    reports, wrong = _numbers(audit, texts) if "count" in present else (np.ones(len(chunk), np.int64), None)
    withdrawn = audit.open & (reports == -1) & ~is_empty(texts["incident_id"])
    audit.leave_out(withdrawn, outcomes.WITHDRAWAL)
    which, distinct = factorize(texts["offence"])
    offences = [" ".join(text.split()) for text in distinct.to_pylist()]
    categories = list(map(category_lookup(rules.source), offences))
    asked = np.bincount(which[audit.open], np.maximum(reports[audit.open], 1), len(offences))
    audit.facts.count("offences", {offences[code]: int(asked[code]) for code in np.flatnonzero(asked).tolist()})
    audit.leave_out(np.array([category is None for category in categories], bool)[which], outcomes.NO_CATEGORY)
    if wrong is not None:
        for reason in outcomes.COUNTS:
            audit.refuse(wrong == reason, reason, texts["count"], texts["occurred"])
    time_format = time_format or configured_format(rules.source)
    times = TimeColumns(audit, texts, present, rules.source, time_format, since_1970(now), rules.step)
    occurred, written = times.occurred()
    latitude, longitude = parse_places(audit, texts, rules)
    until = times.until(occurred, written)
    reported = times.reported(occurred)

    rows = np.flatnonzero(audit.open)
    ids, rows = _ids(texts, rows, reports[rows]), np.repeat(rows, reports[rows])
    taken, offence = pa.array(rows), pa.array(which[rows])
    events = pa.table(
        {
            "event_id": ids,
            "incident_id": _or_null(texts["incident_id"].take(taken)),
            "occurred_at": _utc(occurred[rows]),
            "occurred_until": _utc(until[rows]),
            "reported_at": _utc(reported[rows]),
            "latitude": latitude[rows],
            "longitude": longitude[rows],
            "area": _or_null(texts["area"].take(taken)),
            "offence": to_arrow(offences).take(offence),
            "category": to_arrow(categories).take(offence),
            "district": _or_null(texts["district"].take(taken)),
            "arrest": _arrests(texts["arrest"].take(taken)),
            "file": audit.file.take(taken),
            "line": audit.line[rows],
        }
    )
    withdrawals = pa.table(
        {
            "incident_id": texts["incident_id"].filter(pa.array(withdrawn)),
            "offence": to_arrow(offences).take(pa.array(which[withdrawn])),
        }
    )
    others = texts["event_id"].filter(pa.array(~audit.open & ~is_empty(texts["event_id"])))
    return Cleaned(events, withdrawals, audit.rejects(), pa.table({"event_id": others}), audit.facts)


def merge(chunks: Iterable[Cleaned]) -> Cleaned:
    """Add the results of chunks, in reading order."""
    chunks = list(chunks)

    def stack(name: str) -> pa.Table:
        return pa.concat_tables(getattr(chunk, name) for chunk in chunks)

    facts = Facts.total(chunk.facts for chunk in chunks)
    return Cleaned(stack("events"), stack("withdrawals"), stack("rejects"), stack("others"), facts)


def _numbers(audit: RowAudit, texts: Mapping[str, pa.Array]) -> tuple[np.ndarray, np.ndarray]:
    """How many reports the rows [r] stand for, and what is wrong with it; rows that stand for none are left out."""
    number, wrong, grouped = parse_counts(texts["count"])
    audit.leave_out((number == 0) & (wrong == ""), outcomes.NOT_COUNTED)
    audit.correct(grouped, outcomes.GROUPED_COUNT)
    return number, wrong


def _ids(texts: Mapping[str, pa.Array], rows: np.ndarray, number: np.ndarray) -> pa.Array:
    """The keys of the events [e] of some rows [r]; of several of one row all but the first bear which one they are.

    Args:
        rows: of the texts.
        number: events of each.
    """
    ids = _keys(texts, rows)
    if (number == 1).all():
        return ids
    copy = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
    ids = ids.take(pa.array(np.repeat(np.arange(len(rows)), number)))
    numbered = pc.binary_join_element_wise(ids, pa.array(copy).cast(pa.large_string()), pa.scalar("+", ids.type))
    return pc.if_else(pa.array(copy == 0), ids, numbered)


def _keys(texts: Mapping[str, pa.Array], rows: np.ndarray) -> pa.Array:
    """The publisher's keys; where there is none, a hash of the row, which equal rows share until `deduplicate`.

    How many reports a row stands for is not part of it, so that where it grows the first ones stay who they are.
    """
    ids = texts["event_id"].take(pa.array(rows))
    blank = is_empty(ids)
    if not blank.any():
        return ids
    if not is_empty(texts["count"]).all():
        texts = {**texts, "count": pa.repeat(pa.scalar("1", pa.large_string()), len(texts["count"]))}
    names = sorted(texts.keys() - {"event_id", *YOUNGER})
    names += [name for name in YOUNGER if not is_empty(texts[name]).all()]
    cells = [texts[name].take(pa.array(rows[blank])) for name in names]
    joined = pc.binary_join_element_wise(*cells, pa.scalar("\x1f", pa.large_string())).to_pylist()
    hashes = ["#" + hashlib.blake2b(row.encode(), digest_size=10).hexdigest() for row in joined]
    return pc.replace_with_mask(ids, pa.array(blank), to_arrow(hashes))


def _or_null(texts: pa.Array) -> pa.Array:
    return pc.if_else(pa.array(is_empty(texts)), pa.scalar(None, texts.type), texts)


def _arrests(texts: pa.Array) -> pa.Array:
    which, distinct = factorize(texts)
    return pa.array([ARREST.get(text.lower()) for text in distinct.to_pylist()], pa.bool_()).take(pa.array(which))


def _utc(instants: np.ndarray) -> pa.Array:
    return pa.array(instants, pa.timestamp("us", "UTC"), mask=instants == NAT)
