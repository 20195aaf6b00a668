"""Bringing a table up to date: a whole pull at first, then what changed; refused where it cannot be right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from tqdm import tqdm

from stforecast.errors import DataError, FetchError
from stforecast.sources.page import Client, MovedError
from stforecast.sources.pulls import Pulls

WHOLE_AGAIN = pd.Timedelta(days=30)
"""How long changes are asked for until all rows are pulled again: a row that was withdrawn shows in no change."""
ATTEMPTS = 3
"""At a pull whose rows moved, or are not those that the publisher counts."""
Say = Callable[[str], None]
ColumnsOf = Callable[[Path], tuple[Sequence[str], Mapping[str, str]]]


def fetch(
    client: Client,
    pulls: Pulls,
    columns_of: ColumnsOf | None,
    say: Say,
    whole: bool = False,
    max_shrink: float = 0.1,
    now: pd.Timestamp | None = None,
) -> bool:
    """Bring the pulls of a table up to date; one that was interrupted is gone on with.

    Args:
        client: of the table.
        pulls: what was pulled before.
        columns_of: columns of a file, and which of them holds what the configuration reads; raises DataError where one
            that it needs is lacking. None: no matter.
        say: receives a line about what was done.
        whole: pull all rows, also where changes would do.
        max_shrink: share of the rows that may be gone in a whole pull.
        now: default the present.

    Returns:
        Whether there is anything new.

    Raises:
        DataError: columns are gone, or more rows than `max_shrink`; nothing was changed.
        FetchError: the publisher does not answer as it should.
    """
    now = now or pd.Timestamp.now("UTC")
    before = pulls.newest
    due = before is not None and not client.always_whole and now - pd.Timestamp(_compared(pulls)) >= WHOLE_AGAIN
    since = None if whole or due or before is None else before["cursor"]
    if pulls.pending is not None and (pulls.pending["whole"] or not whole):
        say(f"goes on with the pull of {pulls.pending['started'][:16]}")
    elif not _start(client, pulls, since, now, max_shrink):
        pulls.checked(now.isoformat())
        say("nothing has changed")
        return False
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _pull(client, pulls, columns_of, say)
            wrong = _wrong(client, pulls)
        except MovedError as error:
            wrong = str(error)
        if wrong is None:
            break
        if attempt == ATTEMPTS:
            pulls.give_up()
            raise FetchError(f"{wrong}, {ATTEMPTS} times. Nothing was changed. Try again later.")
        say(f"{wrong}: pulled again")
        _start(client, pulls, None if pulls.pulls[-1]["whole"] else since, now, max_shrink)
    pull = pulls.pulls[-1]
    whole = pull["whole"] or _replaced(client, pulls)
    if whole and pull["rows"] is not None:
        _check_shrink(pulls, pull["rows"], "rows", max_shrink)
    elif whole and pull["files"]:
        _check_shrink(pulls, sum(file["bytes"] for file in pull["files"].values()), "bytes", max_shrink)
    new = pulls.finish(pd.Timestamp.now("UTC").isoformat(), whole)
    rows = "" if pull["rows"] is None else f"{pull['rows']:,} rows, "
    say(f"{rows}{pull['asks']}" if new else "nothing has changed")
    return new


def _start(client: Client, pulls: Pulls, since: dict[str, object] | None, now: pd.Timestamp, max_shrink: float) -> bool:
    """Begin a pull, if there may be anything new."""
    begin = client.begin(since)
    if begin is None:
        return False
    if begin.whole and begin.rows is not None:
        _check_shrink(pulls, begin.rows, "rows", max_shrink)
    pulls.start(begin.whole, begin.cursor, begin.asks, now.isoformat())
    return True


def _pull(client: Client, pulls: Pulls, columns_of: ColumnsOf | None, say: Say) -> None:
    """Write page after page."""
    pull = pulls.pulls[-1]
    with tqdm(desc=pulls.folder.name, unit="row", initial=pull["rows"] or 0, disable=None, leave=False) as bar:
        while not pull.get("last"):
            path = pulls.page_path(client.ending(pull["cursor"]))
            page = client.page(pull["cursor"], path)
            if path.is_file() and columns_of is not None:
                try:
                    _check_columns(pulls, *columns_of(path), say)
                except DataError:
                    pulls.give_up()
                    raise
            pulls.add(path, page)
            bar.update(page.rows or 0)


def _check_columns(pulls: Pulls, columns: Sequence[str], fields: Mapping[str, str], say: Say) -> None:
    """Hold the columns of a page against those of the pull before; say which are new.

    Raises:
        DataError: one that was read is gone.
    """
    pull, before = pulls.pulls[-1], pulls.newest
    known = pull if pull["columns"] or before is None else before
    new = [name for name in columns if name not in known["columns"]]
    gone = [name for name in known["columns"] if name not in columns]
    said = f"columns gone: {', '.join(gone) or 'none'}; new: {', '.join(new) or 'none'}"
    if lost := [field for field, name in known["fields"].items() if field not in fields and name in gone]:
        raise DataError(
            f"{pulls.folder.name}: no column any more for {', '.join(lost)} ({said}). Nothing was changed. Name the "
            f"new one under source.columns.{lost[0]}."
        )
    if known["columns"] and (new or gone):
        say(said)
    pull |= {"columns": list(columns), "fields": dict(fields)}


def _wrong(client: Client, pulls: Pulls) -> str | None:
    """What is wrong with a whole pull: rows twice, written anew meanwhile, or not as many as the publisher counts."""
    pull, pages = pulls.pulls[-1], list(pulls.page_files())
    if not pull["whole"] or pull["rows"] is None or (keys := _keys(client, pulls)) is None:
        return None
    if twice := pull["rows"] - len(np.unique(keys)):
        return f"{twice:,} rows came twice"
    if len(pages) > 1:
        again = pages[0].with_name(f".again{pages[0].suffix}")
        client.page(pull["begun"], again)
        moved = not again.is_file() or not client.same(pages[0], again)
        again.unlink(missing_ok=True)
        if moved:
            return "the rows were written anew meanwhile"
    counted = client.count()
    if counted is None:
        return None
    low, high = sorted((pull["begun"]["left"], counted))  # it may have changed meanwhile
    if low <= pull["rows"] <= high:
        return None
    return f"{pull['rows']:,} rows came, where the publisher counts {counted:,}"


def _replaced(client: Client, pulls: Pulls) -> bool:
    """Whether the changes are the whole table: a publisher that writes all rows anew gives them new keys, too."""
    pull = pulls.pulls[-1]
    if not pull["rows"] or pull["rows"] < pulls.rows / 2 or (counted := client.count()) is None:
        return False
    return (keys := _keys(client, pulls)) is not None and len(np.unique(keys)) >= counted


def _keys(client: Client, pulls: Pulls) -> np.ndarray | None:
    """What tells the rows that were pulled apart [r], if they have such a thing."""
    found = [client.keys(page) for page in pulls.page_files()]
    known = [keys for keys in found if keys is not None]
    return None if len(known) < len(found) else np.concatenate([np.zeros(0, np.uint64), *known])


def _compared(pulls: Pulls) -> str:
    """When all rows were pulled."""
    return str(pulls.live[0]["compared"])


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
