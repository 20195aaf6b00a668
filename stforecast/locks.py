"""One writer a city and stage: a lock that ends with its process, whatever ends it, and in whichever container it runs.

The lock is the system's (flock), so a stale one cannot be; the file says for people who holds it. Readers take none.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path

from stforecast.errors import BusyError

_HELD: ContextVar[frozenset[Path]] = ContextVar("held", default=frozenset())


@contextmanager
def alone(path: Path, work: str) -> Iterator[None]:
    """Hold the lock at `path`; one that this thread holds already is held on.

    Args:
        path: of the lock file, which stays.
        work: what is done under it, in a word, for whoever finds it locked.

    Raises:
        BusyError: another process or thread holds it.
    """
    if path.resolve() in _HELD.get():
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                f"{path}: {_holder(path)} is at work. Nothing was done here; run it again when that has finished."
            ) from None
        handle.truncate(0)
        since = datetime.now(UTC).isoformat(timespec="seconds")
        handle.write(json.dumps({"work": work, "host": socket.gethostname(), "process": os.getpid(), "since": since}))
        handle.flush()
        token = _HELD.set(_HELD.get() | {path.resolve()})
        try:
            yield
        finally:
            _HELD.reset(token)


def _holder(path: Path) -> str:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return f"{found['work']} of process {found['process']} on {found['host']}, since {found['since']},"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
