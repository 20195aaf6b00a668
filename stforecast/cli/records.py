"""Verbs of the record: a publisher's files found, fetched, read, built, checked and erased from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stforecast.cli.commands import cli, say, verb
from stforecast.cli.times import AS_OF, record_time
from stforecast.errors import ConfigError
from stforecast.imports import importing

if TYPE_CHECKING:
    from stforecast.pipeline.stages import Stages


@cli.command()
@click.argument("files", nargs=-1, metavar="[CITY | FILE...]")
@click.option("--url", metavar="ADDRESS", help="A page, service or file of a publisher: Socrata, ArcGIS, CKAN, CSV …")
@click.option("--city", metavar="NAME", help="Name of the city, of a-z, 0-9 and _. Default: that of what is looked at.")
@click.option("--list", "listed", is_flag=True, help="List the cities whose publishers are known.")
def init(files: tuple[str, ...], url: str | None, city: str | None, listed: bool) -> None:
    """Look into a publisher's tables or files and write configs/NAME.yaml, with reasons and open questions.

    CITY is one whose publisher is known, such as seattle or "new york": rows are fetched from it, to look at. A file
    of that name comes first. Columns are found by their values first, and by their names second. Shown are ten rows as
    they are understood, and what ingest would refuse. Exit code 7: the publisher does not answer.
    """
    if listed:
        from stforecast.publishers import catalogue

        click.echo("\n".join(catalogue()))
        return
    if bool(files) == bool(url):
        raise click.UsageError("name a city, or files, or an address by --url; --list lists the cities.")
    with importing():
        from stforecast.events.examine import first_contact
        from stforecast.events.examine.init import init as look
    if url:
        first_contact.init_url(url, city, say)
    elif preset := publisher_of(files):
        first_contact.init_city(preset, city, say)
    else:
        look(files, city, say)


def publisher_of(words: tuple[str, ...]) -> str | None:
    """The publisher that words name; None where they name files.

    Raises:
        ConfigError: they name neither.
    """
    from stforecast.config.presets import preset_of_city

    name = " ".join(words)
    files = any(Path(word).exists() for word in words)
    try:
        preset = preset_of_city(name)
    except ConfigError:
        if files or any(re.search(r"[/\\*?\[]|\.\w+$", word) for word in words):
            return None
        raise
    if files:
        say(f"{name}: is read as the file or folder of that name; for the city, call it from another folder")
    return None if files else preset


@verb
@click.option("--whole", is_flag=True, help="All rows, also where what changed would do.")
def fetch(stages: Stages, whole: bool) -> str:
    """Bring what is new at the publisher into data/NAME, with a manifest of what was asked for and came.

    Reports go into bronze, layers of boundaries and streets into layers. Where the configuration names a source of
    weather, that of the days and the place of the reports comes too, once they are ingested.

    Tokens come from the environment (SOCRATA_APP_TOKEN). An interrupted fetch goes on where it was. Exit code 7: the
    publisher does not answer as it should; what was fetched before stays as it is.
    """
    from stforecast.pipeline.fetching import fetch as bring
    from stforecast.pipeline.layers import fetch_layers
    from stforecast.pipeline.weather import fetch_weather

    bring(stages, whole)
    fetch_layers(stages)
    if stages.config.weather.source is not None:
        fetch_weather(stages, stages.ingest(), whole)
    return "ingest"


@verb
@click.option("--as-of", help=f"Write the events that were known then, in place of an ingest: {AS_OF}")
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), help="Folder for the events of --as-of.")
def ingest(stages: Stages, as_of: str | None, output: Path | None) -> str:
    """Read the publisher's files, clean them, write events and rejects (silver)."""
    if (as_of is None) != (output is None):
        raise click.UsageError("--as-of and --output go together.")
    if (time := record_time(stages.step, as_of)) is not None and output is not None:
        from stforecast.pipeline.as_of import write_as_of

        write_as_of(stages, time, output)
        return f"open {output / 'events.parquet'}"
    stages.ingest(replace_damaged=True)
    return "build"


@verb
def build(stages: Stages) -> str:
    """Bin the events into hexagons and hours (days, months) with calendar and weather (gold)."""
    stages.build(replace_damaged=True)
    return "train"


@verb
@click.option("--repair", is_flag=True, help="Make again what is damaged, from what is whole.")
def verify(stages: Stages, repair: bool) -> str:
    """Hold every file of a city that is read back against what was written; exit code 5 where one is damaged."""
    from stforecast.pipeline.verification import verify as check

    check(stages, repair)
    return "refresh"


@verb
@click.option("--id", "ids", multiple=True, metavar="ID", help="An id, as the publisher wrote it; may be given again.")
@click.option("--ids", "file", type=click.Path(dir_okay=False, path_type=Path), help="File of one id a line.")
def forget(stages: Stages, ids: tuple[str, ...], file: Path | None) -> str:
    """Erase reports, by the ids of their rows or incidents, wherever the city keeps them; they stay away.

    There is no way back but the publisher's file. Said is what cannot be unlearned without training again. A kill at
    any moment is mended by running it again. Exit code 4: an id was never in the record.
    """
    from stforecast.pipeline.forget import forget as erase

    wanted = [*ids, *(file.read_text(encoding="utf-8-sig").splitlines() if file else ())]
    if not any(text.strip() for text in wanted):
        raise click.UsageError("name reports by --id or --ids.")
    erase(stages, wanted)
    return "train"
