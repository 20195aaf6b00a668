"""Instants: as callers write them, on the command line and in the service, and as numbers."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

ASKED = "a time with Z or an offset from UTC"
EXAMPLE = "2024-09-30T06:00Z"


def instant(text: str) -> dt.datetime:
    """The instant that ISO 8601 text names.

    Args:
        text: such as 2024-09-30T06:00Z, 2024-09-30T00:00-06:00 or 20240930T060000Z. Without Z or an offset it could be
            local time as well as UTC, and is not guessed at.

    Returns:
        The instant, in UTC.

    Raises:
        ValueError: the text is no time, or one without Z or an offset.
    """
    try:
        time = dt.datetime.fromisoformat(text)
        if time.tzinfo is not None:
            return time.astimezone(dt.UTC)
    except (ValueError, OverflowError):  # no ISO 8601, or beyond the first or the last year once it is UTC
        pass
    raise ValueError(f"{text!r}: expected {ASKED}, such as {EXAMPLE}")


def since_1970(time: pd.Timestamp) -> int:
    """Microseconds since 1970 of a time in any year; its nanoseconds end in 2262."""
    return int(time.as_unit("us").asm8.view("i8"))
