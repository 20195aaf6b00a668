"""Where grids are kept for the service: SQLite by default, PostgreSQL where `service.database` names one.

A grid is added and made current in one transaction, and read in one: a reader has the old grid or the new one, whole.
What is read is held against the digest that was written with it: a database does not notice that a byte changed.
A grid replaces an earlier one of the same issue time and model. `retire` removes the old ones; the current one stays.
Every transaction opens SQLite's file anew: what is at the address now, not a file that was deleted or replaced.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from stforecast.delivery.packed import pack, unpack
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.delivery.tables import GRIDS, METADATA, SCHEMA, STATE, VERSION
from stforecast.delivery.usual import UsualCycle
from stforecast.errors import ArtefactError, ConfigError

AGAIN = "Run `stforecast refresh` again."
COVERED = ("city", "issue_time", "model", "created", "content", "facts")
"""Columns of a grid that its digest covers; `facts` has the hash of `usual`."""
EXISTING = {"uri": "true", "mode": "rw"}
"""Without it SQLite makes an empty database where a store was deleted."""


@dataclass(frozen=True)
class State:
    """How things stand for a city.

    current: its grid. attempted, succeeded: when a refresh last began, and last succeeded. error: why the last one
    failed. created: when the current grid was made; another store may give its number to another grid.
    """

    current: int | None = None
    attempted: pd.Timestamp | None = None
    succeeded: pd.Timestamp | None = None
    error: str | None = None
    created: pd.Timestamp | None = None

    def noted(self) -> dict[str, Any]:
        """Its columns of the table of states."""
        return {name: getattr(self, name) for name in ("current", "attempted", "succeeded", "error")}


@dataclass(frozen=True, eq=False)
class Stored:
    """A grid of the store. facts: those that came with it to `put`. usual: only of the newest grid."""

    id: int
    city: str
    created: pd.Timestamp
    grid: RiskGrid
    facts: dict[str, Any]
    usual: UsualCycle | None


class Store:
    """The grids of one city. Every failure of the database is an ArtefactError."""

    def __init__(self, url: str, city: str) -> None:
        self.city = city
        try:
            address = sa.make_url(url)
        except SQLAlchemyError as error:
            raise ConfigError(
                "service.database: not a URL. Write for example postgresql+psycopg://user@host/name."
            ) from error
        self.name = address.render_as_string(hide_password=True)
        lite = address.get_backend_name() == "sqlite"
        if lite and address.database:
            path = Path(address.database)
            path.parent.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # said when it is opened
                path.touch()
            address = address.set(database=f"file:{quote(address.database)}").update_query_dict(EXISTING)
        options = {"poolclass": sa.NullPool} if lite else {"isolation_level": "REPEATABLE READ"}
        try:
            self.engine = sa.create_engine(address, **options)
        except (SQLAlchemyError, ImportError) as error:
            raise ConfigError(
                f"service.database: {self.name} has no driver here ({error}). Try pip install 'psycopg[binary]'."
            ) from error
        if lite:
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
            sa.event.listen(self.engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        self._check()

    def state(self) -> State:
        """How things stand."""
        with self._begin() as connection:
            return self._state(connection)

    def _state(self, connection: sa.Connection) -> State:
        asked = sa.select(STATE, GRIDS.c.created).outerjoin_from(STATE, GRIDS).where(STATE.c.city == self.city)
        row = connection.execute(asked).one_or_none()
        if row is None:
            return State()
        found = State(row.current, row.attempted, row.succeeded, row.error, row.created)
        if row.digest != _digest(self.city, found.noted()):
            raise ArtefactError(f"{self.name}: what it says of the last refresh is damaged. {AGAIN}")
        return found

    def note(self, **values: Any) -> None:
        """Note how a refresh goes, in columns of `state`; the current grid stays."""
        with self._begin() as connection:
            self._set(connection, **values)

    def put(self, grid: RiskGrid, usual: UsualCycle, facts: dict[str, Any], now: pd.Timestamp) -> int:
        """Add a grid and make it current, in one transaction; its id. `facts` come back with it."""
        slots = np.ascontiguousarray(usual.slots, "<f4").tobytes()
        row = {
            "city": self.city,
            "issue_time": grid.issue_time,
            "model": grid.model,
            "created": now,
            "content": pack(grid, self.city),
            "facts": {"more": facts, "months": usual.months.tolist(), "usual": sha256(slots).hexdigest()},
        }
        same = (GRIDS.c.city == self.city, GRIDS.c.issue_time == grid.issue_time, GRIDS.c.model == grid.model)
        with self._begin() as connection:
            added = sa.insert(GRIDS).values(**row, usual=slots, digest=_digest(row))
            made = connection.execute(added).inserted_primary_key
            assert made is not None
            self._set(connection, current=made[0], succeeded=now, error=None)
            connection.execute(sa.delete(GRIDS).where(*same, GRIDS.c.id != made[0]))
            older = (GRIDS.c.city == self.city, GRIDS.c.id != made[0], GRIDS.c.usual.is_not(None))
            connection.execute(sa.update(GRIDS).where(*older).values(usual=None))
        return int(made[0])

    def open(self, grid_id: int) -> Stored:
        """The grid of that id.

        Raises:
            ArtefactError: it is not there (any more), or damaged.
        """
        with self._begin() as connection:
            row = connection.execute(sa.select(GRIDS).where(GRIDS.c.id == grid_id)).one_or_none()
        if row is None:
            raise ArtefactError(f"{self.name}: holds no grid {grid_id}. {AGAIN}")
        try:
            whole = row.digest == _digest({name: getattr(row, name) for name in COVERED})
            if not whole or (row.usual and sha256(row.usual).hexdigest() != row.facts["usual"]):
                raise ValueError("not what was written")
            grid, months, usual = unpack(row.content), np.array(row.facts["months"]), None
            if row.usual is not None:
                slots = np.frombuffer(row.usual, "<f4").reshape(-1, len(grid.hexagons), months.shape[1])
                usual = UsualCycle(slots, months)
            return Stored(row.id, row.city, row.created, grid, row.facts["more"], usual)
        except (KeyError, TypeError, ValueError) as error:
            raise ArtefactError(f"{self.name}: grid {grid_id} is damaged ({error}). {AGAIN}") from error

    def listed(self) -> list[dict[str, Any]]:
        """Id, issue time, model and time of making of all grids of the city, newest first."""
        columns = (GRIDS.c.id, GRIDS.c.issue_time, GRIDS.c.model, GRIDS.c.created)
        asked = (
            sa.select(*columns).where(GRIDS.c.city == self.city).order_by(GRIDS.c.issue_time.desc(), GRIDS.c.id.desc())
        )
        with self._begin() as connection:
            return [dict(row) for row in connection.execute(asked).mappings()]

    def numbers(self) -> list[int]:
        """The ids of all grids of the city."""
        with self._begin() as connection:
            return list(connection.execute(sa.select(GRIDS.c.id).where(GRIDS.c.city == self.city)).scalars())

    def retire(self, before: pd.Timestamp) -> list[pd.Timestamp]:
        """Remove the grids that were issued before `before`, but for the current one; their issue times."""
        with self._begin() as connection:
            current = sa.select(STATE.c.current).where(STATE.c.city == self.city, STATE.c.current.is_not(None))
            old = (GRIDS.c.city == self.city, GRIDS.c.issue_time < before, GRIDS.c.id.not_in(current))
            return sorted(connection.execute(sa.delete(GRIDS).where(*old).returning(GRIDS.c.issue_time)).scalars())

    def compact(self) -> None:
        """Leave nothing of removed rows in the file of SQLite; a PostgreSQL server sees to its own."""
        if self.engine.dialect.name == "sqlite":
            with self._begin() as connection:
                for statement in ("COMMIT", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)", "BEGIN"):
                    connection.exec_driver_sql(statement)

    def close(self) -> None:
        """Let go of every connection."""
        self.engine.dispose()

    def _set(self, connection: sa.Connection, **values: Any) -> None:
        before = State()
        with suppress(ArtefactError):  # what is damaged is written anew
            before = self._state(connection)
        noted = replace(before, **values).noted()
        row = {**noted, "digest": _digest(self.city, noted)}
        if not connection.execute(sa.update(STATE).where(STATE.c.city == self.city).values(row)).rowcount:
            connection.execute(sa.insert(STATE).values(city=self.city, **row))

    def _check(self) -> None:
        """Make the tables where they are not there; refuse those of another version."""
        if not self._tables():
            with suppress(ArtefactError), self._begin() as connection:  # another process may make them just now
                METADATA.create_all(connection, checkfirst=False)
                connection.execute(sa.insert(VERSION).values(number=SCHEMA))
        numbers, whole = [], self._tables() == {*METADATA.tables}
        if whole:
            with self._begin() as connection:
                numbers = list(connection.execute(sa.select(VERSION.c.number)).scalars())
        if numbers != [SCHEMA]:
            raise ArtefactError(
                f"{self.name}: not a store of schema version {SCHEMA}. Name another in service.database, or remove it "
                "and run `stforecast refresh`: all that is in it can be made again."
            )

    def _tables(self) -> set[str]:
        with self._begin() as connection:
            return {*sa.inspect(connection).get_table_names()} & {*METADATA.tables}

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        try:
            with self.engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, ValueError, TypeError, OverflowError) as error:  # the latter from damaged values
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise ArtefactError(
                f"{self.name}: cannot be used ({reason}). Is it there, and yours to write? Where it is damaged, "
                "`stforecast verify` with --repair makes it again."
            ) from error


def _prepare_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy says so, reading ones too
    for pragma in ("busy_timeout=10000", "journal_mode=WAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _digest(*values: Any) -> str:
    """Of what is written of a grid or of a state, as it is read again."""

    def plain(value: Any) -> str:
        return value.hex() if isinstance(value, bytes) else value.floor("us").isoformat()

    return sha256(json.dumps(values, sort_keys=True, default=plain).encode()).hexdigest()
