"""Files → a configuration of their city, written and explained."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from stforecast.config import parse
from stforecast.errors import ConfigError
from stforecast.events.examine.entries import to_yaml
from stforecast.events.examine.preview import describe_refusals, preview_rows, trial_ingest
from stforecast.events.examine.propose import propose
from stforecast.events.examine.sample import sample_files
from stforecast.events.ingest import source_files
from stforecast.events.parsing.dates import normalise
from stforecast.events.readers.header import printable
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
    sample = sample_files(files)
    origin = str(files[0]) if len(files) == 1 else f"{files[0].name} and {len(files) - 1} more"
    proposal = propose(sample, city, given, origin, now)
    trial = trial_ingest(proposal.config, files)
    if trial.offences and not sample.whole:  # rare ones were not among the rows that were looked at
        proposal = proposal.regrouped(trial.offences)
        trial = trial_ingest(proposal.config, files)
    what = f"{len(sample):,} rows of {origin}" if sample.whole else f"{len(sample):,} rows from all parts of {origin}"
    title = f"Written by `stforecast init` from {what}.\n`# ?` marks what the file leaves open: answer it at its key."
    with atomic_path(target) as temporary:
        temporary.write_text(to_yaml(proposal.entries, title), encoding="utf-8")
    for entry in proposal.entries:
        if entry.value is not None and not entry.counts:
            shown = ", ".join(map(str, entry.value)) if isinstance(entry.value, list) else entry.value
            say(printable(f"  {entry.key}: {shown}" + (f"  ({entry.why})" if entry.why else "")))
    for note in sample.notes:
        say(note)
    say("rows as they are understood:")
    for line in preview_rows(sample, proposal, now):
        say(printable(line))
    for line in [*describe_refusals(trial), *trial.notes]:
        say(line)
    for key, question in proposal.questions:
        say(printable(f"open: {key}: {question.splitlines()[0]}"))
    say(f"wrote {target}" + (f"; ingest will stop: {trial.stop}" if trial.stop else ""))
    return target


def _plain(path: Path) -> str:
    """The name of a file as that of a city."""
    stem = path.name.partition(".")[0] or path.name
    if not (name := re.sub("[^a-z0-9]+", "_", normalise(stem)).strip("_")):
        raise ConfigError(f"{path}: its name gives none for the city. Give one with --city.")
    return name
