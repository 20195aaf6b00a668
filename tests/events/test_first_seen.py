"""The first-seen table: what the record held on any past day, and when each event was first in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stforecast.config import Config, parse
from stforecast.config.workspace import Workspace
from stforecast.errors import DataError
from stforecast.events import first_seen
from stforecast.events.first_seen import FirstSeen
from stforecast.events.ingest import ingest
from stforecast.events.schema import EventTable

COLUMNS = {
    "occurred": ["When"],
    "latitude": ["Lat"],
    "longitude": ["Lon"],
    "offence": ["Kind"],
    "event_id": ["Key"],
    "reported": ["Told"],
    "district": ["Beat"],
    "incident_id": ["Case"],
}
KINDS = ("theft", "robbery", "fraud")
FIRST = pd.Timestamp("2024-03-01T06:00Z")
DAY = pd.Timedelta(days=1)


def city(root: Path, step: str = "hour", **source) -> Config:
    source = {"columns": COLUMNS, "time_zone": "America/Denver", "categories": {"theft": ["theft"]}, **source}
    values = {"city": "town", "root": str(root), "time": {"step": step}, "source": {"other": "other", **source}}
    return parse(values, "test")


def publish(root: Path, rows: pd.DataFrame) -> None:
    path = root / "data/town/bronze/export.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.to_csv(path, index=False)


def rows_of(rng: np.random.Generator, count: int, day: int = 0, first: int = 0, minutes: int = 60) -> pd.DataFrame:
    """Some reports before a day; times are shared by many where `minutes` are."""
    when = (
        pd.Timestamp("2024-03-01")
        + day * DAY
        - pd.to_timedelta(rng.integers(1, 1 + 40 * 1440 // minutes, count) * minutes, unit="min")
    )
    told = pd.Series(when + pd.to_timedelta(rng.integers(0, 600, count), unit="min"))
    return pd.DataFrame(
        {
            "Key": [f"K{first + i}" for i in range(count)],
            "Case": [f"C{(first + i) // 2}" for i in range(count)],
            "When": when.strftime("%Y-%m-%d %H:%M"),
            "Told": told.dt.strftime("%Y-%m-%d %H:%M").mask(rng.random(count) < 0.3),
            "Lat": (39.7 + rng.normal(0, 0.02, count)).round(6),
            "Lon": (-104.9 + rng.normal(0, 0.02, count)).round(6),
            "Kind": rng.choice(KINDS, count),
            "Beat": rng.choice(["1", "2", ""], count),
        }
    )


def truth_of(config: Config) -> EventTable:
    return EventTable.open(Workspace(config.root, config.city).silver)


def table_of(config: Config) -> FirstSeen:
    return FirstSeen.open(Workspace(config.root, config.city).seen)


def same(table: EventTable, truth: pd.DataFrame, seen: pd.Series | None = None) -> None:
    pd.testing.assert_frame_equal(table.frame, truth)
    if seen is not None:
        pd.testing.assert_series_equal(table.first_seen, seen, check_names=False)


@pytest.mark.parametrize("seed", range(2))
def test_ninety_daily_exports_are_replayed_as_each_day_saw_them(tmp_path, monkeypatch, seed) -> None:
    minutes = (60, 1440)[seed]
    rng, config = np.random.default_rng(seed), city(tmp_path, "day" if minutes == 1440 else "hour")
    monkeypatch.setattr(first_seen, "SMALL", (300, 1 << 16)[seed])
    rows = rows_of(rng, 200, minutes=minutes)
    taken, away = len(rows), rows[:0]
    tables, days, first = [], [], dict[str, pd.Timestamp]()
    for day in range(90):
        if day and rng.random() < 0.8:
            more = rows_of(rng, int(rng.integers(0, 12)), day, taken, minutes=minutes)
            rows, taken = pd.concat([rows, more]), taken + len(more)
            drop = rng.random(len(rows)) < 0.01
            back = rng.random(len(away)) < 0.3
            rows, away = pd.concat([rows[~drop], away[back]]), pd.concat([away[~back], rows[drop]])
            for name, values in {
                "Kind": rng.choice(KINDS, len(rows)),
                "Lat": 39.7 + rng.normal(0, 0.02, len(rows)),
            }.items():
                rows[name] = np.where(rng.random(len(rows)) < 0.01, values, rows[name])
        if rng.random() < 0.1:
            rows = rows.sample(frac=1, random_state=day)
        elif rng.random() < 0.3:  # one is moved up
            rows = pd.concat([rows[-1:], rows[:-1]])
        publish(tmp_path, rows)
        now = FIRST + day * DAY
        events = ingest(config, now=now)
        for name in events.frame["event_id"]:
            first.setdefault(name, pd.NaT if day == 0 else now)
        tables.append(events.frame)
        days.append(now)
        seen = pd.Series(pd.DatetimeIndex([first[name] for name in events.frame["event_id"]], tz="UTC").as_unit("us"))
        same(events, tables[-1], seen)
        if day % 9 == 0:
            same(table_of(config).as_of(now), tables[-1], seen)
    table = table_of(config)
    for now, frame in zip(days, tables, strict=True):
        same(table.as_of(now + pd.Timedelta(hours=23)), frame)
    with pytest.raises(DataError, match="is not known: the first ingest was 2024-03-01 06:00 UTC"):
        table.as_of(FIRST - pd.Timedelta(seconds=1))
    files = [path for path in Workspace(config.root, "town").seen.iterdir() if path.suffix == ".parquet"]
    assert len(files) == 2 * len(table.segments)
