"""Issue times as the command line takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stforecast import instants

if TYPE_CHECKING:
    import pandas as pd


def issue_times(single: str | None, first: str | None, last: str | None) -> list[pd.Timestamp] | None:
    """Issue times from the options; None where none is given."""
    import pandas as pd

    if single is not None and (first or last):
        raise click.UsageError("--issue-time goes without --from and --to.")
    if (first is None) != (last is None):
        raise click.UsageError("--from and --to go together.")
    if single is not None:
        return [instant(single)]
    if first is None or last is None:
        return None
    begin, end = instant(first), instant(last)
    if end < begin:
        raise click.UsageError(f"--to {last} lies before --from {first}.")
    return list(pd.date_range(begin, end, freq="24h"))


def instant(text: str) -> pd.Timestamp:
    """A whole hour in UTC from text with Z or an offset, such as 2024-09-30T06:00Z."""
    import pandas as pd

    try:
        time = pd.Timestamp(instants.instant(text))
    except ValueError:
        raise click.UsageError(f"{text!r} is not {instants.ASKED}; write for example {instants.EXAMPLE}.") from None
    if time != time.floor("h"):
        raise click.UsageError(f"{text!r} is not a whole hour.")
    return time
