"""What a proposed configuration makes of a publisher's rows, in lines for the user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from stforecast.config import Config
from stforecast.config.workspace import Workspace
from stforecast.errors import StforecastError
from stforecast.events.clean import clean
from stforecast.events.examine.propose import Proposal
from stforecast.events.examine.sample import Sample
from stforecast.events.ingest import ingest
from stforecast.events.readers.header import FIELDS
from stforecast.events.rules import IngestRules

ROWS = 10
CELL = 28


@dataclass(frozen=True)
class Trial:
    """What an ingest came to: its events by category, rows by offence, the refused rows, notes and doubts, and what
    stopped it."""

    events: dict[str, int]
    offences: dict[str, int]
    rejects: pd.DataFrame
    notes: list[str]
    stop: str


def trial_ingest(config: Config, files: Sequence[Path]) -> Trial:
    """Ingest the files into a folder that is removed again."""
    with TemporaryDirectory(prefix="stforecast-") as folder:
        there = config.model_copy(update={"root": Path(folder)})
        silver = Workspace(there.root, there.city).silver
        meta: dict[str, Any] = {"events_by_category": {}, "offences": [], "notes": [], "doubts": []}
        stop = ""
        try:
            meta = ingest(there, files).meta
        except StforecastError as error:
            stop = str(error).partition(f" See {silver}")[0]
        path = silver / "rejects.parquet"
        rejects = pd.read_parquet(path) if path.is_file() else pd.DataFrame({"reason": []})
        offences = {row["offence"]: row["rows"] for row in meta["offences"] if row["offence"]}
        return Trial(meta["events_by_category"], offences, rejects, [*meta["notes"], *meta["doubts"]], stop)


def preview_rows(sample: Sample, proposal: Proposal, now: pd.Timestamp) -> Iterator[str]:
    """Rows from all parts of a table: the cells that are read, and what is made of them."""
    source, zone = proposal.source, proposal.source.time_zone or "UTC"
    frame = sample.mapped(source.columns)
    some = frame.iloc[np.unique(np.linspace(0, len(frame) - 1, ROWS).astype(int))].reset_index(drop=True)
    given = [name for name in FIELDS if name in some]
    read = some if proposal.placed else some.assign(latitude="10", longitude="10")
    rules = IngestRules.of(source.model_copy(update={"other": source.other or "left out"}))
    cleaned = clean(read, rules, now, proposal.time_format)
    events, rejects = cleaned.events.to_pandas(), cleaned.rejects.to_pandas()
    if sample.in_degrees and not {"latitude", "longitude", "location"} & set(given):
        given = [*given, "latitude", "longitude"]
    yield f"  {' | '.join(given)}"
    for _, row in some.iterrows():
        cells = (" ".join(row[name].split())[:CELL] for name in given)
        yield f"  line {row['line']:,}: {' | '.join(cells)}"
        yield f"    → {_made(events, rejects, row, zone, proposal.placed)}"


def describe_refusals(trial: Trial) -> Iterator[str]:
    """How many rows an ingest refuses, by reason with an example."""
    events = sum(trial.events.values())
    if trial.events:
        kinds = ", ".join(f"{name} {number:,}" for name, number in trial.events.items())
        yield f"ingest makes {events:,} events of it ({kinds}) and refuses {len(trial.rejects):,} rows"
    for reason, rows in sorted(trial.rejects.groupby("reason"), key=lambda group: -len(group[1])):
        row = rows.iloc[0]
        yield f"  {reason}: {len(rows):,} (such as {row['file']} line {row['line']}: {row['value']!r:.60})"


def _made(events: pd.DataFrame, rejects: pd.DataFrame, row: pd.Series, zone: str, placed: bool) -> str:
    mine = events[(events["line"] == row["line"]) & (events["file"] == row["file"])]
    if mine.empty:
        mine = rejects[(rejects["line"] == row["line"]) & (rejects["file"] == row["file"])]
        return f"refused: {mine['reason'].iloc[0]}" if len(mine) else "left out"
    event = mine.iloc[0]
    time = event["occurred_at"]
    if not placed:
        return f"{time.tz_convert(zone):%Y-%m-%d %H:%M} local, place not known yet, {event['category']}"
    return (
        f"{time.tz_convert(zone):%a %Y-%m-%d %H:%M} local, {time:%Y-%m-%d %H:%M} UTC, {event['latitude']:.5f} "
        f"{event['longitude']:.5f}, {event['category']}"
    )
