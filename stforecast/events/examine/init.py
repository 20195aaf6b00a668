"""Files → a configuration of their city, written and explained by what it makes of their rows."""

import re
import shlex
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from stforecast.config import Config, parse
from stforecast.config.workspace import Workspace
from stforecast.errors import ConfigError, StforecastError
from stforecast.events.clean import clean
from stforecast.events.examine.entries import WIDTH, ConfigEntry, to_yaml
from stforecast.events.examine.propose import Proposal, propose
from stforecast.events.examine.sample import Sample, sample_files
from stforecast.events.ingest import ingest, source_files
from stforecast.events.parsing.dates import normalise
from stforecast.events.readers.header import FIELDS, printable
from stforecast.events.schema import REJECTS
from stforecast.files import atomic_path

FOLDER = Path("configs")
ROWS, CELL = 10, 28  # rows that are shown, and letters of each of their cells


def init(paths: Sequence[str], city: str | None, say: Callable[[str], None], now: pd.Timestamp | None = None) -> Path:
    """Write `configs/CITY.yaml` for some files, and say what was found and what is open.

    Args:
        paths: files, folders or globs, as in `source.path`.
        city: default the name of the first file.
        now: default the present; later events are refused.

    Raises:
        ConfigError: there is such a configuration, or no name for it.
        DataError: the files cannot be read, or have no dates or places.
    """
    now = now or pd.Timestamp.now("UTC")
    city = city or plain_name(Path(paths[0]).name)
    given = paths[0] if len(paths) == 1 else list(paths)
    asked = parse({"city": city, "source": {"path": given}}, "--city")
    target = new_configuration(city)
    files = source_files(asked, FOLDER)
    sample = sample_files(files)
    origin = str(files[0]) if len(files) == 1 else f"{files[0].name} and {len(files) - 1} more"
    proposal = propose(sample, city, [ConfigEntry("source.path", given)], origin, now)
    what = f"{len(sample):,} rows of {origin}" if sample.whole else f"{len(sample):,} rows from all parts of {origin}"
    write(target, proposal, sample, files, what, [], say, now)
    return target


def new_configuration(city: str) -> Path:
    """Where the configuration of a city goes.

    Raises:
        ConfigError: there is one.
    """
    target = FOLDER / f"{city}.yaml"
    if target.exists():
        raise ConfigError(f"{target}: is there already. Give another name with --city, or remove it first.")
    return target


def write(
    target: Path,
    proposal: Proposal,
    sample: Sample,
    files: Sequence[Path],
    what: str,
    remarks: Sequence[str],
    say: Callable[[str], None],
    now: pd.Timestamp,
) -> None:
    """Write a proposed configuration, and say what comes of the rows by it.

    Args:
        files: that the sample is of.
        what: they are.
        remarks: to be said, and to stand above the keys.
    """
    trial = trial_ingest(proposal.config, files)
    if trial.offences and not sample.whole:  # rare ones were not among the rows that were looked at
        proposal = proposal.regrouped(trial.offences)
        trial = trial_ingest(proposal.config, files)
    head = [f"Written by `stforecast init` from {what}.", "`# ?` marks what is left open: answer it at its key."]
    title = "\n".join(
        line for text in [*head, *remarks] for line in textwrap.wrap(printable(text), WIDTH - 2, break_on_hyphens=False)
    )
    with atomic_path(target) as temporary:
        temporary.write_text(to_yaml(proposal.entries, title), encoding="utf-8")
    for entry in proposal.entries:
        if entry.value is not None and not entry.counts:
            items = entry.value if isinstance(entry.value, list) else [entry.value]
            shown = len(items) if any(isinstance(item, dict) for item in items) else ", ".join(map(str, items))
            say(printable(f"  {entry.key}: {shown}" + (f"  ({entry.why})" if entry.why else "")))
    for note in [*remarks, *sample.notes]:
        say(printable(note))
    say("rows as they are understood:")
    for line in preview_rows(sample, proposal, now):
        say(printable(line))
    for line in [*describe_refusals(trial), *trial.notes]:
        say(line)
    for key, question in proposal.questions:
        say(printable(f"open: {key}: {' '.join(question.splitlines())}"))
    say(f"wrote {target}" + (f"; ingest will stop: {trial.stop}" if trial.stop else ""))
    command = shlex.join(["stforecast", "run", str(target)])
    say(f"next: mend {target}, then {command}" if trial.stop else f"next: {command}")


def plain_name(name: str) -> str:
    """The name of a file, or of a table, as that of a city.

    Raises:
        ConfigError: it gives none.
    """
    stem = name.partition(".")[0] or name
    if not (plain := re.sub("[^a-z0-9]+", "_", normalise(stem)).strip("_")):
        raise ConfigError(f"{name}: its name gives none for the city. Give one with --city.")
    return plain


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
        place = Workspace(there.root, there.city)
        meta: dict[str, Any] = {"events_by_category": {}, "offences": [], "notes": [], "doubts": []}
        stop = ""
        try:
            meta = ingest(there, files).meta
        except StforecastError as error:
            stop = str(error).partition(f" See {place.refused}")[0]
        path = place.refused if stop else place.silver / REJECTS
        rejects = pd.read_parquet(path) if path.is_file() else pd.DataFrame({"reason": []})
        offences = {row["offence"]: row["rows"] for row in meta["offences"] if row["offence"]}
        return Trial(meta["events_by_category"], offences, rejects, [*meta["notes"], *meta["doubts"]], stop)


def preview_rows(sample: Sample, proposal: Proposal, now: pd.Timestamp) -> Iterator[str]:
    """Rows from all parts of a table: the cells that are read, and what is made of them."""
    source = proposal.rules.source
    frame = sample.mapped(source.columns)
    if "count" in frame and (frame["count"] != "0").any():
        frame = frame[frame["count"] != "0"]
    some = frame.iloc[np.unique(np.linspace(0, len(frame) - 1, ROWS).astype(int))].reset_index(drop=True)
    lines, some = some["line"], some.assign(line=some.index)  # where columns are periods, a line is many rows
    given = [name for name in FIELDS if name in some]
    read = some if proposal.placed else some.assign(latitude="10", longitude="10")
    shown = source.model_copy(update={"other": source.other or "left out"})
    events = clean(read, replace(proposal.rules, source=shown), now, proposal.time_format).events.to_pandas()
    rejects = clean(read, proposal.rules, now, proposal.time_format).rejects.to_pandas()
    if sample.in_degrees and not {"latitude", "longitude", "location"} & set(given):
        given = [*given, "latitude", "longitude"]
    yield f"  {' | '.join(given)}"
    for line, (_, row) in zip(lines, some.iterrows(), strict=True):
        cells = (" ".join(row[name].split())[:CELL] for name in given)
        yield f"  line {line:,}: {' | '.join(cells)}"
        yield f"    → {_made(events, rejects, row, proposal)}"


def describe_refusals(trial: Trial) -> Iterator[str]:
    """How many rows an ingest refuses, by reason with an example."""
    events = sum(trial.events.values())
    if trial.events:
        kinds = ", ".join(f"{name} {number:,}" for name, number in trial.events.items())
        yield f"ingest makes {events:,} events of it ({kinds}) and refuses {len(trial.rejects):,} rows"
    for reason, rows in sorted(trial.rejects.groupby("reason"), key=lambda group: -len(group[1])):
        row = rows.iloc[0]
        yield f"  {reason}: {len(rows):,} (such as {row['file']} line {row['line']}: {row['value']!r:.60})"


def _made(events: pd.DataFrame, rejects: pd.DataFrame, row: pd.Series, proposal: Proposal) -> str:
    mine = events[events["line"] == row["line"]]
    if mine.empty:
        mine = rejects[rejects["line"] == row["line"]]
        return f"refused: {mine['reason'].iloc[0]}" if len(mine) else "left out"
    event = mine.iloc[0]
    time, precision = event["occurred_at"], proposal.time_format.precision
    local = time.tz_convert(proposal.rules.source.zone)
    if precision != "time":
        when = f"{local:%Y-%m}" if precision == "month" else f"{local:%a %Y-%m-%d}"
    else:
        when = f"{local:%Y-%m-%d %H:%M} local"
    if not proposal.placed:
        return f"{when}, place not known yet, {event['category']}"
    if precision == "time":
        when = f"{local:%a} {when}, {time:%Y-%m-%d %H:%M} UTC"
    point = f"{event['latitude']:.5f} {event['longitude']:.5f}"
    number = f"{len(mine):,} × " if len(mine) > 1 else ""
    return f"{number}{when}, {event['area'] if pd.isna(event['latitude']) else point}, {event['category']}"
