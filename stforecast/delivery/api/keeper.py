"""The grid that is served now, and whether it can still be relied on.

The store is looked at once a second in a thread of its own; requests are answered from what was found last. A store
that cannot be read, does not answer or was emptied leaves the grid in memory as it is, and is said.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

import pandas as pd

from stforecast.config.sections import SHIFTS, Allocation, Hours
from stforecast.delivery.api.served import NONE_GIVEN, Served
from stforecast.delivery.riskgrid import iso
from stforecast.delivery.store import State, Store
from stforecast.delivery.words import horizon_length

SECONDS = 1.0
"""Between two looks at the store."""
LATE = 3.0
"""Seconds after which a look that has not ended is taken for one that failed."""
UNFINISHED = pd.Timedelta(hours=1)
"""After which a refresh that did not report back counts as failed."""
LOG = logging.getLogger("stforecast.service")


def utc_now() -> pd.Timestamp:
    return pd.Timestamp.now("UTC")


class Keeper:
    """Holds what was found last: `served` (None before the first refresh) and `state`."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], pd.Timestamp] = utc_now,
        shifts: Mapping[str, Hours] = SHIFTS,
        allocation: Allocation = NONE_GIVEN,
    ) -> None:
        self.store, self.clock, self.shifts, self.allocation = store, clock, shifts, allocation
        self.served: Served | None = None
        self._earlier: Served | None = None
        self.state = State()
        self.trouble: str | None = None
        self.since = clock()
        self.look()

    def look(self) -> None:
        """Take up what is new in the store."""
        try:
            state, served = self.store.state(), self.served
            known = served and (served.stored.id, served.stored.created)
            if state.current is not None and (state.current, state.created) != known:
                self.served = Served.of(self.store.open(state.current), served, self.shifts, self.allocation)
                LOG.info("grid %s, issued %s", state.current, self.served.grid.issue_time)
            self.state = state
            self._note("the store has held no grid" if served and state.current is None else None)
        except Exception as error:  # whatever it is, the grid in memory is whole and goes on being served
            self._note("the store has not been readable", error)

    def open(self, grid_id: int) -> Served | None:
        """A grid of the store, the last one from memory; None where the store holds it no more.

        Raises:
            ArtefactError: the store cannot be read.
        """
        if grid_id not in self.store.numbers():
            return None
        for held in (self.served, self._earlier):
            if held is not None and held.stored.id == grid_id:
                return held
        self._earlier = Served.of(self.store.open(grid_id), self.served, self.shifts, self.allocation)
        return self._earlier

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(SECONDS)
            look = asyncio.create_task(asyncio.to_thread(self.look))
            if not (await asyncio.wait([look], timeout=LATE))[0]:
                self._note("the store has not answered")
            await look

    def _note(self, trouble: str | None, error: Exception | None = None) -> None:
        if trouble is not None and self.trouble is None:
            self.since = self.clock()
            LOG.error("%s since %s", trouble, iso(self.since), exc_info=error)
        self.trouble = trouble

    def stale_reason(self) -> str | None:
        """Why the grid cannot be relied on any more; None while it can."""
        now, state, reasons = self.clock(), self.state, []
        if self.trouble is not None:
            reasons.append(f"{self.trouble} since {iso(self.since)}")
        if state.attempted is not None:
            unfinished = state.succeeded is None or state.attempted > state.succeeded
            if state.error is not None:
                reasons.append(f"the refresh of {iso(state.attempted)} failed")
            elif unfinished and now - state.attempted > UNFINISHED:
                reasons.append(f"the refresh of {iso(state.attempted)} has not ended")
        if self.served is not None and now >= self.served.until:
            reasons.append(f"its {horizon_length(self.served.grid)} ended {iso(self.served.until)}")
        return "; ".join(reasons) or None

    def close(self) -> None:
        self.store.close()
