"""The tables of the store, for SQLite and PostgreSQL alike.

version  number of the schema
grids    a row a grid: city, issue_time, model, created, content (`packed.pack`), facts (JSON: the record and
         the run behind it, months), usual (`UsualCycle.slots`, of the newest grid only), and the digest of all of that
state    a row a city: its current grid, how the last refresh went, and the digest of both
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import sqlalchemy as sa

from stforecast.cube.steps import utc

SCHEMA = 4


class Instant(sa.types.TypeDecorator[pd.Timestamp]):
    """An instant: UTC in the database, an aware pandas Timestamp outside it."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: pd.Timestamp | None, dialect: Any) -> Any:
        return None if value is None else value.tz_convert("UTC").to_pydatetime()

    def process_result_value(self, value: Any, dialect: Any) -> pd.Timestamp | None:
        return None if value is None else utc(value)


METADATA = sa.MetaData()
VERSION = sa.Table("version", METADATA, sa.Column("number", sa.Integer, primary_key=True))
GRIDS = sa.Table(
    "grids",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("city", sa.String(200), nullable=False, index=True),
    sa.Column("issue_time", Instant, nullable=False),
    sa.Column("model", sa.String(200), nullable=False),
    sa.Column("created", Instant, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("facts", sa.JSON, nullable=False),
    sa.Column("usual", sa.LargeBinary),
    sa.Column("digest", sa.String(64), nullable=False),
    sqlite_autoincrement=True,  # an id is never given twice: readers tell grids apart by it
)
STATE = sa.Table(
    "state",
    METADATA,
    sa.Column("city", sa.String(200), primary_key=True),
    sa.Column("current", sa.ForeignKey("grids.id")),
    sa.Column("attempted", Instant),
    sa.Column("succeeded", Instant),
    sa.Column("error", sa.Text),
    sa.Column("digest", sa.String(64), nullable=False),
)
