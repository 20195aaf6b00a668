"""Files → a configuration of their city, written and explained."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from stforecast.config import parse
from stforecast.errors import ConfigError
from stforecast.events.days import plainly
from stforecast.events.header import printable
from stforecast.events.ingest import source_files
from stforecast.events.look.peek import peek
from stforecast.events.look.propose import propose
from stforecast.events.look.shown import refusals, ten_rows, try_out
from stforecast.events.look.written import written
from stforecast.files import atomic_path

FOLDER = Path("configs")


def init(paths: Sequence[str], city: str | None, say: Callable[[str], None], now: pd.Timestamp | None = None) -> Path:
    """Write `configs/CITY.yaml` for some files, and say what was found and what is open.

    Args:
        paths: files, folders or globs, as in `source.path`.
        city: default the name of the first file.
        now: default the present; later events are refused.

    Raises:
        ConfigError: there is such a configuration, or no name for it.
        DataError: the files cannot be read, have no dates or places, or give months only.
    """
    now = now or pd.Timestamp.now("UTC")
    city = city or _plain(Path(paths[0]))
    given = paths[0] if len(paths) == 1 else list(paths)
    asked = parse({"city": city, "source": {"path": given}}, "--city")
    target = FOLDER / f"{city}.yaml"
    if target.exists():
        raise ConfigError(f"{target}: is there already. Give another name with --city, or remove it first.")
    files = source_files(asked, FOLDER)
    table = peek(files)
    origin = str(files[0]) if len(files) == 1 else f"{files[0].name} and {len(files) - 1} more"
    proposal = propose(table, city, given, origin, now)
    trial = try_out(proposal.config, files)
    if trial.offences and not table.whole:  # rare ones were not among the rows that were looked at
        proposal = proposal.regrouped(trial.offences)
        trial = try_out(proposal.config, files)
    what = f"{len(table):,} rows of {origin}" if table.whole else f"{len(table):,} rows from all parts of {origin}"
    title = f"Written by `stforecast init` from {what}.\n`# ?` marks what the file leaves open: answer it at its key."
    with atomic_path(target) as temporary:
        temporary.write_text(written(proposal.entries, title), encoding="utf-8")
    for entry in proposal.entries:
        if entry.value is not None and not entry.counts:
            shown = ", ".join(map(str, entry.value)) if isinstance(entry.value, list) else entry.value
            say(printable(f"  {entry.key}: {shown}" + (f"  ({entry.why})" if entry.why else "")))
    for note in table.notes:
        say(note)
    say("rows as they are understood:")
    for line in ten_rows(table, proposal, now):
        say(printable(line))
    for line in [*refusals(trial), *trial.said]:
        say(line)
    for key, question in proposal.questions:
        say(printable(f"open: {key}: {question.splitlines()[0]}"))
    say(f"wrote {target}" + (f"; ingest will stop: {trial.stop}" if trial.stop else ""))
    return target


def _plain(path: Path) -> str:
    """The name of a file as that of a city."""
    stem = path.name.partition(".")[0] or path.name
    if not (name := re.sub("[^a-z0-9]+", "_", plainly(stem)).strip("_")):
        raise ConfigError(f"{path}: its name gives none for the city. Give one with --city.")
    return name
