"""The verb that reads the lake, as it is or was."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stforecast import instants
from stforecast.cli.commands import verb

if TYPE_CHECKING:
    import pandas as pd

    from stforecast.pipeline.stages import Stages


TABLES = ("bronze", "silver", "gold/by_district_day", "gold/by_hour_weekday")


@verb
@click.option("--table", default="silver", show_default=True, type=click.Choice(TABLES), help="What to write.")
@click.option("--as-of", help="A local day such as 2026-03-01, at its end; or an instant such as 2026-03-01T06:00Z.")
@click.option("--version", type=click.IntRange(0), help="Number of a version, in place of a time.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Parquet file to write.")
def lake(stages: Stages, table: str, as_of: str | None, version: int | None, output: Path | None) -> str:
    """List the versions of the Delta tables (`lake: delta`), or write a table as it was at some time."""
    if as_of is not None and version is not None:
        raise click.UsageError("give either --as-of or --version.")
    if output is None and (as_of is not None or version is not None):
        raise click.UsageError("name the file to write by --output.")
    if output is None:
        for line in stages.lake().history():
            stages.say(line)
        return "with --output FILE.parquet a table is written, with --as-of or --version as it was"
    stages.lake().save(table, output, None if as_of is None else _instant(stages, as_of), version)
    return f"open {output} in pandas, polars or DuckDB"


def _instant(stages: Stages, text: str) -> pd.Timestamp:
    """The instant that is meant, of a local day its last microsecond."""
    import pandas as pd

    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
            after = dt.date.fromisoformat(text) + dt.timedelta(days=1)
            return stages.step.midnight(after) - pd.Timedelta(microseconds=1)
        return pd.Timestamp(instants.instant(text))
    except ValueError:
        asked = f"a day such as 2026-03-01 or {instants.ASKED}"
        raise click.UsageError(f"--as-of {text!r} is not {asked}, such as {instants.EXAMPLE}.") from None
