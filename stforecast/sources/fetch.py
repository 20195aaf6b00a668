"""Bringing a table up to date: a whole pull at first, then what changed; refused where it cannot be right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from tqdm import tqdm

from stforecast.errors import DataError, FetchError
from stforecast.sources.page import Client
from stforecast.sources.pulls import Pulls

WHOLE_AGAIN = pd.Timedelta(days=30)
"""How long changes are asked for until all rows are pulled again: a row that was withdrawn shows in no change."""
ATTEMPTS = 3
"""At a whole pull whose rows are not those that the publisher counts."""


def fetch(
    client: Client,
    pulls: Pulls,
    check: Callable[[Sequence[str]], None],
    say: Callable[[str], None],
    whole: bool = False,
    max_shrink: float = 0.1,
    now: pd.Timestamp | None = None,
) -> bool:
    """Bring the pulls of a table up to date; one that was interrupted is gone on with.

    Args:
        client: of the table.
        pulls: what was pulled before.
        check: raises DataError where columns are not those that the configuration names.
        say: receives a line about what was done.
        whole: pull all rows, also where changes would do.
        max_shrink: share of the rows that may be gone in a whole pull.
        now: default the present.

    Returns:
        Whether there is anything new.

    Raises:
        DataError: columns are gone, or more rows than `max_shrink`.
        FetchError: the publisher does not answer as it should.
    """
    now = now or pd.Timestamp.now("UTC")
    before = pulls.newest
    if pulls.pending is None or (whole and not pulls.pending["whole"]):
        due = not client.always_whole and before is not None and _age(pulls, now) >= WHOLE_AGAIN
        begin = client.begin(None if whole or due or before is None else before["cursor"])
        if begin is None:
            say("nothing has changed")
            return False
        if begin.whole and begin.rows is not None:
            _check_shrink(pulls, begin.rows, "rows", max_shrink)
        pulls.start(begin.whole, begin.cursor, begin.asks, now.isoformat())
    else:
        say(f"goes on with the pull of {pulls.pending['started'][:16]}")
    for attempt in range(1, ATTEMPTS + 1):
        pull = _pull(client, pulls, check)
        if not pull["whole"] or (wrong := _wrong(client, pulls)) is None:
            break
        if attempt == ATTEMPTS:
            pulls.give_up()
            raise FetchError(f"{wrong} after {ATTEMPTS} attempts. Nothing was changed. Try again later.")
        say(f"{wrong}: all rows are pulled again")
        if (begin := client.begin(None)) is not None:
            pulls.start(True, begin.cursor, begin.asks, now.isoformat())
    whole, asks = pull["whole"] or _replaced(client, pulls), pull["asks"]
    if whole and pull["rows"] is not None:
        _check_shrink(pulls, pull["rows"], "rows", max_shrink)
    elif whole and pull["files"]:
        _check_shrink(pulls, sum(file["bytes"] for file in pull["files"].values()), "bytes", max_shrink)
    rows = "" if pull["rows"] is None else f"{pull['rows']:,} rows, "
    new = pulls.finish(pd.Timestamp.now("UTC").isoformat(), whole)
    say(f"{rows}{asks}" if new else "nothing has changed")
    return new


def _pull(client: Client, pulls: Pulls, check: Callable[[Sequence[str]], None]) -> dict[str, Any]:
    """Write page after page."""
    pull = pulls.pending
    assert pull is not None
    with tqdm(desc=pulls.folder.name, unit="row", initial=pull["rows"] or 0, disable=None, leave=False) as bar:
        while not pull.get("last"):
            path = pulls.page_path(client.ending(pull["cursor"]))
            page = client.page(pull["cursor"], path)
            if page.rows and page.columns:
                try:
                    check(page.columns)
                except DataError:
                    pulls.give_up()
                    raise
            pull["last"] = page.last
            pulls.add(path, page)
            bar.update(page.rows or 0)
    return pull


def _wrong(client: Client, pulls: Pulls) -> str | None:
    """What is wrong with a whole pull: rows twice, or not as many as the publisher counts."""
    pull, each = pulls.pulls[-1], [client.keys(path) for path in pulls.page_files()]
    keys = np.concatenate(known) if (known := [keys for keys in each if keys is not None]) else None
    if keys is not None and len(keys) != len(set(keys.tolist())):
        return f"{len(keys) - len(set(keys.tolist())):,} rows came twice"
    counted = client.count()
    if counted is None or pull["rows"] is None:
        return None
    first = pull["begun"].get("left", counted)
    low, high = sorted((first, counted))  # it may have changed meanwhile
    return (
        None if low <= pull["rows"] <= high else f"{pull['rows']:,} rows came, where the publisher counts {counted:,}"
    )


def _replaced(client: Client, pulls: Pulls) -> bool:
    """Whether the changes are the whole table: a publisher that writes all rows anew gives them new keys, too."""
    pull = pulls.pulls[-1]
    many = pull["rows"] is not None and pull["rows"] >= pulls.rows / 2
    return bool(many and pull["rows"] and (counted := client.count()) is not None and pull["rows"] >= counted)


def _age(pulls: Pulls, now: pd.Timestamp) -> pd.Timedelta:
    """How long ago all rows were pulled."""
    return now - pd.Timestamp(pulls.live[0]["compared"])


def _check_shrink(pulls: Pulls, has: int, unit: Literal["rows", "bytes"], most: float) -> None:
    """A table that lost much of what it had is rather one that failed than one that was cleaned.

    Raises:
        DataError: it did.
    """
    before = pulls.live[0] if pulls.live else {"rows": None, "files": {}}
    had = before["rows"] if unit == "rows" else sum(file["bytes"] for file in before["files"].values())
    if had and has < (1 - most) * had:
        pulls.give_up()
        raise DataError(
            f"{pulls.folder.name}: has {has:,} {unit}, and had {had:,}: more than {most:.0%} are gone. Nothing was "
            "changed. If the publisher meant it, fetch once with source.max_shrink=1."
        )
