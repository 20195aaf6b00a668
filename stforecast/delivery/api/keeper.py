"""The grid that is served now, and whether it can still be relied on.

The store is looked at once a second in a thread of its own; requests are answered from what was found last. A store
that cannot be read leaves the grid in memory as it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import pandas as pd

from stforecast.delivery.api.served import Served
from stforecast.delivery.riskgrid import iso
from stforecast.delivery.store import State, Store

SECONDS = 1.0
"""Between two looks at the store."""
UNFINISHED = pd.Timedelta(hours=1)
"""After which a refresh that did not report back counts as failed."""
LOG = logging.getLogger("stforecast.service")


def utc_now() -> pd.Timestamp:
    return pd.Timestamp.now("UTC")


class Keeper:
    """Holds what was found last: `served` (None before the first refresh) and `state`."""

    def __init__(self, store: Store, clock: Callable[[], pd.Timestamp] = utc_now) -> None:
        self.store, self.clock = store, clock
        self.served: Served | None = None
        self.state = State()
        self.unreadable_since: pd.Timestamp | None = None
        self.look()

    def look(self) -> None:
        """Take up what is new in the store."""
        try:
            state = self.store.state()
            if state.current is not None and (self.served is None or state.current != self.served.stored.id):
                self.served = Served.of(self.store.open(state.current), self.served)
                LOG.info("grid %s, issued %s", state.current, self.served.grid.issue_time)
            self.state, self.unreadable_since = state, None
        except Exception:  # whatever it is, the grid in memory is whole and goes on being served
            if self.unreadable_since is None:
                LOG.exception("the store cannot be read")
                self.unreadable_since = self.clock()

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(SECONDS)
            await asyncio.to_thread(self.look)

    def stale_reason(self) -> str | None:
        """Why the grid cannot be relied on any more; None while it can."""
        now, state, reasons = self.clock(), self.state, []
        if self.unreadable_since is not None:
            reasons.append(f"the store has not been readable since {iso(self.unreadable_since)}")
        if state.attempted is not None:
            unfinished = state.succeeded is None or state.attempted > state.succeeded
            if state.error is not None:
                reasons.append(f"the refresh of {iso(state.attempted)} failed")
            elif unfinished and now - state.attempted > UNFINISHED:
                reasons.append(f"the refresh of {iso(state.attempted)} has not ended")
        if self.served is not None and now >= self.served.until:
            reasons.append(f"its 24 hours ended {iso(self.served.until)}")
        return "; ".join(reasons) or None

    def close(self) -> None:
        self.store.close()
