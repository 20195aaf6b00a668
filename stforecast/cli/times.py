"""Issue times as the command line takes them: instants at which steps begin, or local days and months."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

import click

from stforecast import instants

if TYPE_CHECKING:
    import pandas as pd

    from stforecast.cube.steps import Step

DATES = {"day": (r"\d{4}-\d\d-\d\d", "%Y-%m-%d", "2024-09-30"), "month": (r"\d{4}-\d\d", "%Y-%m", "2024-09")}
"""How a local day or month is written: its pattern, its format and an example."""

ISSUE_TIME = "A whole hour such as 2024-09-30T06:00Z; where steps are days or months also 2024-09-30 or 2024-09."
AS_OF = "2026-03-01T06:00Z, or 2026-03-01 as that day began there."


def issue_times(step: Step, single: str | None, first: str | None, last: str | None) -> list[pd.Timestamp] | None:
    """Issue times from the options; None where none is given.

    Args:
        step: of the axis.
        single: one issue time.
        first: of a batch, with one of each day (of months, of each month).
        last: of the batch.
    """
    import numpy as np

    if single is not None and (first or last):
        raise click.UsageError("--issue-time goes without --from and --to.")
    if (first is None) != (last is None):
        raise click.UsageError("--from and --to go together.")
    if single is not None:
        return [issue_time(step, single)]
    if first is None or last is None:
        return None
    begin, end = issue_time(step, first), issue_time(step, last)
    if end < begin:
        raise click.UsageError(f"--to {last} lies before --from {first}.")
    return list(step.times(begin, np.arange(0, step.since(begin, [end])[0] + 1, step.per_day)))


def issue_time(step: Step, text: str) -> pd.Timestamp:
    """The instant at which a step begins, in UTC.

    Args:
        step: of the axis.
        text: with Z or an offset, such as 2024-09-30T06:00Z; of days and months also a local date, such as 2024-09-30
            or 2024-09.
    """
    import pandas as pd

    asked, example = instants.ASKED, instants.EXAMPLE
    if step.unit in DATES:
        pattern, form, example = DATES[step.unit]
        asked = f"a {step.unit} or {asked}"
        if re.fullmatch(pattern, text):
            try:
                return step.midnight(dt.datetime.strptime(text, form).date())
            except ValueError:  # such as 2024-02-30
                pass
    try:
        time = pd.Timestamp(instants.instant(text))
    except ValueError:
        raise click.UsageError(f"{text!r} is not {asked}; write for example {example}.") from None
    if step.unit == "hour":
        if time != time.floor("h"):
            raise click.UsageError(f"{text!r} is not a whole hour.")
    elif time != step.times(time, [0])[0]:
        raise click.UsageError(
            f"{text!r} is not the beginning of a {step.unit} in {step.time_zone}; write for example {example}."
        )
    return time


def record_time(step: Step, text: str | None) -> pd.Timestamp | None:
    """An instant of the record, in UTC; None where none is given.

    Args:
        step: of the axis, for its time zone.
        text: with Z or an offset, such as 2024-09-30T06:00Z; or a local date, such as 2024-09-30, as it began.
    """
    import pandas as pd

    pattern, form, _ = DATES["day"]
    try:
        if text is None:
            return None
        if re.fullmatch(pattern, text):
            return step.midnight(dt.datetime.strptime(text, form).date())
        return pd.Timestamp(instants.instant(text))
    except ValueError:
        raise click.UsageError(f"{text!r} is not a date or {instants.ASKED}; write for example {AS_OF}") from None
