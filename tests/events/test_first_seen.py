"""The first-seen table: what the record held on any past day, and when each event was first in it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stforecast.config import Config, parse
from stforecast.config.workspace import Workspace
from stforecast.errors import ArtefactError, DataError
from stforecast.events import first_seen
from stforecast.events.first_seen import FirstSeen
from stforecast.events.forgotten import Forgotten
from stforecast.events.ingest import ingest
from stforecast.events.row_changes import ranks
from stforecast.events.schema import EventTable
from stforecast.events.sightings import erase

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


def test_ties_keep_their_order_and_few_ranks_change() -> None:
    rng = np.random.default_rng(5)
    for _ in range(300):
        occurred = np.sort(rng.integers(0, 4, rng.integers(1, 30)))
        known = rng.permutation(len(occurred)).astype(float)
        known[rng.random(len(occurred)) < 0.4] = np.nan
        if rng.random() < 0.5:  # what is known stands in order
            known[~np.isnan(known)] = np.sort(known[~np.isnan(known)])
            found = ranks(occurred, known)
            assert (found == known)[~np.isnan(known)].all()
        found = ranks(occurred, known)
        assert ((np.diff(found) > 0) | (np.diff(occurred) > 0)).all()
    moved = ranks(np.zeros(6), np.array([5.0, 0, 1, 2, 3, 4]))
    assert moved.tolist() == [-1, 0, 1, 2, 3, 4]
    close = np.array([0.0, np.nan, np.nextafter(0, 1)])
    assert ranks(np.zeros(3), close).tolist() == [0, 1, 2]


@pytest.fixture
def grown(tmp_path) -> Config:
    """Three days: a base of 400 reports, ten more with a change and a loss, ten more."""
    config, rng = city(tmp_path), np.random.default_rng(3)
    rows = rows_of(rng, 400)
    publish(tmp_path, rows)
    ingest(config, now=FIRST)
    rows = pd.concat([rows.drop(index=5), rows_of(rng, 10, 1, 1000)], ignore_index=True)
    rows.loc[9, "Kind"] = "arson"
    publish(tmp_path, rows)
    ingest(config, now=FIRST + DAY)
    publish(tmp_path, pd.concat([rows, rows_of(rng, 10, 2, 2000)]))
    ingest(config, now=FIRST + 2 * DAY)
    return config


def test_space_is_a_fiftieth_of_full_copies(tmp_path) -> None:
    """A city of 60,000 reports of which a day brings 60 (0.1 %), corrects 120 (0.2 %) and takes away 3."""
    rng, full = np.random.default_rng(0), 0
    rows = rows_of(rng, 60_000, minutes=1)
    config = city(tmp_path)
    for day in range(90):
        if day % 9 == 0:  # ten ingests stand for ninety: what a day changes is nine times as much
            if day:
                some = rng.choice(len(rows), 9 * 120, replace=False)
                rows.loc[some, "Kind"] = rng.choice(KINDS, len(some))
                rows = rows.drop(index=rng.choice(len(rows), 27, replace=False))
                rows = pd.concat([rows, rows_of(rng, 540, day, 10**6 + day * 1000, minutes=1)], ignore_index=True)
            publish(tmp_path, rows)
            ingest(config, now=FIRST + day * DAY)
        full += (tmp_path / "data/town/silver/events.parquet").stat().st_size
    kept = sum(path.stat().st_size for path in (tmp_path / "data/town/seen").iterdir())
    assert kept <= 0.02 * full


def test_an_ingest_says_what_is_new_and_facts_are_those_of_then(grown) -> None:
    table = table_of(grown)
    assert truth_of(grown).meta["news"][0].startswith("since the ingest of 2024-03-02 06:00 UTC: ")
    then = table.as_of(FIRST + DAY)
    assert then.meta["events"] == len(then) == sum(then.meta["events_by_category"].values())
    assert then.meta["doubts"][-1] == (
        "The record is that of 2024-03-02 06:00 UTC, as it was ingested 2024-03-02 06:00 UTC."
    )
    assert then.meta["categories"] == ["theft", "other"]


def test_an_as_of_table_is_saved_and_opened(grown, tmp_path) -> None:
    then = table_of(grown).as_of(FIRST + DAY)
    (tmp_path / "then").mkdir()
    then.save(tmp_path / "then")
    opened = EventTable.open(tmp_path / "then")
    same(opened, then.frame, then.first_seen)
    assert opened.meta["stamp"] == then.meta["stamp"]


def test_other_settings_are_no_news_of_the_publisher(grown, tmp_path) -> None:
    before = truth_of(grown)
    assert before.first_seen.notna().sum() > 10
    narrow = city(tmp_path, other=None)
    events = ingest(narrow, now=FIRST + 3 * DAY)
    assert 0 < len(events) < len(before)
    assert "the settings are others too" in events.meta["news"][0]
    back = ingest(grown, now=FIRST + 4 * DAY)
    same(back, before.frame, before.first_seen)
    then = table_of(grown).as_of(FIRST + 3 * DAY)
    pd.testing.assert_frame_equal(then.frame, events.frame)
    assert then.meta["categories"] == ["theft"]
    narrow_again = ingest(narrow, now=FIRST + 5 * DAY)
    assert table_of(grown).as_of(FIRST).meta["doubts"][-1].endswith("The settings of its source were others than now.")
    pd.testing.assert_frame_equal(narrow_again.frame, events.frame)


def test_a_backlog_says_nothing_of_when_it_became_known(grown, tmp_path) -> None:
    path = tmp_path / "data/town/bronze/older.csv"
    rows_of(np.random.default_rng(8), 200, -5, 5000).to_csv(path, index=False)
    events = ingest(grown, now=FIRST + 3 * DAY)
    assert "so many new ones are no day's reports" in events.meta["news"][0]
    assert events.first_seen.notna().sum() <= 20


def test_a_clock_that_was_set_back_is_said(grown, tmp_path) -> None:
    rows_of(np.random.default_rng(8), 5, -5, 5000).to_csv(tmp_path / "data/town/bronze/older.csv", index=False)
    events = ingest(grown, now=FIRST + DAY)
    assert "the clock stands before that ingest" in events.meta["news"][0]
    assert events.first_seen.max() == FIRST + 2 * DAY + pd.Timedelta(microseconds=1)


def test_a_changed_row_without_an_id_is_one_gone_and_one_new(tmp_path) -> None:
    config = city(tmp_path, columns=COLUMNS | {"event_id": [], "incident_id": []})
    rows = rows_of(np.random.default_rng(3), 200)
    publish(tmp_path, pd.concat([rows, rows[:3]]))  # equal rows are several events
    before = ingest(config, now=FIRST)
    rows.loc[7, "Kind"] = "arson"
    publish(tmp_path, pd.concat([rows, rows[:3]]))
    after = ingest(config, now=FIRST + DAY)
    assert after.meta["news"][0].endswith(": 1 new, 0 changed, 1 gone")
    same(table_of(config).as_of(FIRST), before.frame)
    assert after.frame.loc[after.first_seen.notna(), "offence"].tolist() == ["arson"]


@pytest.mark.parametrize("key", ["event_id", "incident_id"])
def test_what_is_erased_is_in_no_past_day(grown, tmp_path, key, monkeypatch) -> None:
    monkeypatch.setattr(first_seen, "SMALL", 0)
    folder, table = tmp_path / "data/town/seen", table_of(grown)
    frames = [table.as_of(FIRST + day * DAY).frame for day in range(3)]
    vanished = sorted(set(frames[0]["event_id"]) - set(frames[1]["event_id"]))[0]
    gone = frames[0].set_index("event_id").loc[vanished]
    name = vanished if key == "event_id" else gone["incident_id"]
    newest = frames[2]["event_id"].iloc[-1]
    list_of = Forgotten().with_ids({name: [key], newest: ["event_id"]})
    orphan = folder / "events-000777.parquet"
    shutil.copy(folder / f"events-{table.segments[0]}.parquet", orphan)  # of a killed writer
    assert erase(folder, list_of) >= 3
    assert erase(folder, list_of) == 0
    assert not orphan.exists()
    left = table_of(grown)
    for day, frame in enumerate(frames):
        stays = (frame[key] != name) & (frame["event_id"] != newest) & (frame["event_id"] != vanished)
        same(left.as_of(FIRST + day * DAY), frame[stays].reset_index(drop=True))
    texts = {text for path in folder.glob("events-*") for text in pd.read_parquet(path)["event_id"]}
    assert not {vanished, newest} & texts
    assert len(list(folder.glob("*.parquet"))) == 2 * len(left.segments)


class Killed(BaseException):
    """What no handler catches."""


def test_a_kill_at_any_write_loses_nothing(tmp_path, monkeypatch) -> None:
    config, rng = city(tmp_path / "0", columns=COLUMNS | {"incident_id": []}), np.random.default_rng(3)
    rows = rows_of(rng, 60)
    publish(config.root, rows)
    ingest(config, now=FIRST)
    more = pd.concat([rows.drop(index=5), rows_of(rng, 4, 1, 1000)], ignore_index=True)
    publish(config.root, more)
    frames = [truth_of(config).frame]
    real, writes = os.replace, 0
    while True:
        writes += 1
        root = Path(shutil.copytree(tmp_path / "0", tmp_path / str(writes)))
        there = config.model_copy(update={"root": root})
        left = [writes]

        def counted(old, new, left=left) -> None:
            if left[0] <= 0:
                raise Killed
            left[0] -= 1
            real(old, new)

        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", counted)
            try:
                ingest(there, now=FIRST + DAY)
            except Killed:
                pass
            else:
                break
        events = ingest(there, now=FIRST + DAY + pd.Timedelta(hours=1))
        table = table_of(there)
        same(table.as_of(FIRST), frames[0])
        same(table.as_of(FIRST + DAY + pd.Timedelta(hours=1)), events.frame)
        assert events.first_seen.notna().sum() == 4
        assert len(list(table.folder.iterdir())) == 1 + 2 * len(table.segments)
    assert writes > 5


def test_damage_is_named_and_stops_the_ingest(grown, tmp_path) -> None:
    folder = tmp_path / "data/town/seen"
    path = next(folder.glob("events-*"))
    path.write_bytes(path.read_bytes()[:-1])
    publish(tmp_path, rows_of(np.random.default_rng(9), 50))
    with pytest.raises(ArtefactError, match=r"events-0.*damaged.* Restore the folder from a backup; or remove it"):
        ingest(grown, now=FIRST + 3 * DAY)
    (folder / "index.json").unlink()
    with pytest.raises(ArtefactError, match=r"index.json: is absent. Restore"):
        ingest(grown, now=FIRST + 3 * DAY)
    shutil.rmtree(folder)
    assert ingest(grown, now=FIRST + 3 * DAY).first_seen.isna().all()
