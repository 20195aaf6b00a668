"""Tables that are brought up to date: against a dictionary, by two processes, killed, and read by others."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stforecast.errors import ArtefactError, BusyError

deltalake = pytest.importorskip("deltalake", reason="deltalake is not installed")
from stforecast.pipeline import delta  # noqa: E402

Rows = dict[str, tuple[float | None, str, str | None]]
KEY, MONTH = ("event_id",), ("month",)
NOW = pd.Timestamp("2026-03-01 12:00", tz="UTC")
SPAWN = multiprocessing.get_context("spawn")
MONTHS = [f"2024-{month:02d}" for month in range(1, 7)]


def table_of(rows: Rows) -> pa.Table:
    """Rows as ids → (value, month, district)."""
    value, month, district = zip(*rows.values(), strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "event_id": pa.array([*rows], pa.large_string()),
            "value": pa.array(value, pa.float64()),
            "month": pa.array(month, pa.string()),
            "district": pa.array(district, pa.large_string()),
        }
    )


def put(folder: Path, rows: Rows, now: pd.Timestamp = NOW, parts: tuple[str, ...] = MONTH) -> delta.Changes:
    return delta.upsert(folder, table_of(rows), KEY, parts, now)


def rows_in(folder: Path, version: int | None = None) -> Rows:
    found = deltalake.DeltaTable(folder, version=version).to_pyarrow_table().to_pylist()
    out: Rows = {row["event_id"]: (row["value"], row["month"], row["district"]) for row in found}
    assert len(out) == len(found)
    return out


records = st.dictionaries(
    st.sampled_from(["1", "2", "3", "it's", "é", ""]),
    st.tuples(
        st.sampled_from([None, 0.0, 1.5]),
        st.sampled_from(MONTHS[:3]),
        st.sampled_from([None, "a/b", "O'Neil %20", "a=b"]),  # never blank, which Delta keeps as null
    ),
)


@given(st.lists(records, min_size=1, max_size=5), st.booleans())
@settings(deadline=None, max_examples=40)
def test_a_table_is_what_a_dictionary_is(history: list[Rows], by_district: bool) -> None:
    parts = ("month", "district") if by_district else MONTH
    came: dict[str, pd.Timestamp] = {}
    kept: list[Rows] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "table"
        for number, rows in enumerate(history):
            before, now = kept[-1] if kept else {}, NOW + pd.Timedelta(days=number)
            changed = {name for name in rows if name not in before or before[name] != rows[name]}
            found = put(folder, rows, now, parts)
            assert found == delta.Changes(len(changed), len(before.keys() - rows.keys()))
            if not kept or found != delta.Changes():
                kept.append(rows)
            came = {name: now if name in changed else came[name] for name in rows}
            stored = deltalake.DeltaTable(folder).to_pyarrow_table().to_pylist()
            assert {row["event_id"]: row["ingestion_timestamp"] for row in stored} == came
            assert all(row["run_date"] == row["ingestion_timestamp"].date() for row in stored)
        assert [rows_in(folder, version) for version in range(len(kept))] == kept
        assert len(delta.versions(deltalake.DeltaTable(folder))) == len(kept)
        delta.erase_past(folder)
        assert rows_in(folder) == kept[-1]
        assert len(delta.versions(deltalake.DeltaTable(folder))) == 1


def many(count: int, value: float) -> Rows:
    return {str(i): (value, MONTHS[i % len(MONTHS)], "x") for i in range(count)}


def test_few_changes_write_few_rows_in_the_months_that_they_touch(tmp_path: Path) -> None:
    rows = many(6000, 0.0)
    put(tmp_path, rows)
    first = {*deltalake.DeltaTable(tmp_path).file_uris()}
    rows["6"] = (1.0, MONTHS[0], "x")  # another value
    rows["7"] = (0.0, MONTHS[2], "x")  # moved from the second month
    del rows["12"]
    assert put(tmp_path, rows) == delta.Changes(2, 1)
    metrics = deltalake.DeltaTable(tmp_path).history(1)[0]["operationMetrics"]
    assert [metrics[f"num_target_rows_{kind}"] for kind in ("inserted", "updated", "deleted")] == [0, 2, 1]
    written = {*deltalake.DeltaTable(tmp_path).file_uris()} - first
    assert {uri.split("month=")[1][:7] for uri in written} <= {*MONTHS[:3]}
    assert rows_in(tmp_path) == rows


def test_the_past_stays_until_the_user_lets_go_of_it(tmp_path: Path) -> None:
    for value in range(103):  # after a hundred the log is drawn together
        put(tmp_path, many(6, float(value)))
    table = deltalake.DeltaTable(tmp_path)
    assert list(tmp_path.glob("_delta_log/*checkpoint.parquet"))
    assert len(delta.versions(table)) == 103
    assert rows_in(tmp_path, 0) == many(6, 0.0)
    assert table.vacuum(dry_run=False) == []
    assert table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert rows_in(tmp_path) == many(6, 102.0)
    assert put(tmp_path, many(6, 0.0)) == delta.Changes(6, 0)


def test_another_way_of_parting_keeps_when_rows_came(tmp_path: Path) -> None:
    put(tmp_path, many(6, 0.0))
    assert put(tmp_path, many(7, 0.0), NOW + pd.Timedelta(days=1), ("month", "district")) == delta.Changes(1, 0)
    table = deltalake.DeltaTable(tmp_path)
    assert table.metadata().partition_columns == ["month", "district"]
    assert sorted(table.to_pandas()["run_date"].astype(str)) == ["2026-03-01"] * 6 + ["2026-03-02"]
    assert rows_in(tmp_path, 0) == many(6, 0.0)


def test_a_column_more_changes_no_row(tmp_path: Path) -> None:
    put(tmp_path, many(6, 0.0))
    wider = table_of(many(7, 0.0)).append_column("more", pa.array(range(7)))
    assert delta.upsert(tmp_path, wider, KEY, MONTH, NOW + pd.Timedelta(days=1)) == delta.Changes(1, 0)
    frame = deltalake.DeltaTable(tmp_path).to_pandas().sort_values("event_id")
    assert [*frame["more"]] == [*range(7)]
    assert [*frame["run_date"].astype(str)] == ["2026-03-01"] * 6 + ["2026-03-02"]


def test_a_month_is_read_from_its_own_files(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    put(tmp_path, many(60, 2.0))
    for folder in tmp_path.glob("month=*"):
        if folder.name != "month=2024-03":
            shutil.rmtree(folder)
    scanned = polars.scan_delta(str(tmp_path)).filter(polars.col("month") == "2024-03").collect()
    assert len(scanned) == 10
    rows = deltalake.DeltaTable(tmp_path).to_pyarrow_dataset()  # DuckDB's own reader of Delta has to be downloaded
    assert duckdb.sql("select sum(value) from rows where month = '2024-03'").fetchall() == [(20.0,)]
    assert rows.schema.field("event_id").type == pa.string()
    with pytest.raises(ArtefactError, match="cannot be read as a Delta table"):
        delta.check(deltalake.DeltaTable(tmp_path), tmp_path)


def test_parts_are_written_once_and_replaced_whole(tmp_path: Path) -> None:
    schema, asked = pa.schema([("file_hash", pa.string()), ("text", pa.string())]), []

    def part(name: str, *texts: str):
        def rows():
            asked.append(name)
            yield pa.table({"file_hash": [name] * len(texts), "text": [*texts]}, schema)

        return rows

    def replace(**parts) -> delta.Changes:
        return delta.replace_parts(tmp_path, "file_hash", parts, schema, NOW)

    assert replace(a=part("a", "1", "2"), b=part("b", "3")) == delta.Changes(3, 0)
    assert replace(a=part("a", "1", "2"), b=part("b", "3")) == delta.Changes()
    assert replace(a=part("a", "1", "2"), c=part("c", "4", "5")) == delta.Changes(2, 1)
    assert replace(c=part("c", "4", "5")) == delta.Changes(0, 2)
    assert asked == ["a", "b", "c"]
    assert sorted(deltalake.DeltaTable(tmp_path).to_pandas()["text"]) == ["4", "5"]
    assert sorted(deltalake.DeltaTable(tmp_path, version=0).to_pandas()["text"]) == ["1", "2", "3"]
    assert len(delta.versions(deltalake.DeltaTable(tmp_path))) == 3


def write_at_once(folders: list[Path], states: list[Rows], barrier: Any) -> None:
    for folder in folders:
        for rows in states:
            barrier.wait(60)
            put(folder, rows)


def test_two_processes_write_one_after_the_other(tmp_path: Path) -> None:
    """Each version is the whole of what one of them wrote, from the first on, which both try to make.

    With deltalake's own second attempts two of three versions held rows of both.
    """
    folders, barrier = [tmp_path / str(number) for number in range(6)], SPAWN.Barrier(2)
    states = [[many(20 + which, float(which)), many(24 + which, 5.0 + which)] for which in (0, 1)]
    both = [SPAWN.Process(target=write_at_once, args=(folders, mine, barrier)) for mine in states]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
        assert process.exitcode == 0
    for folder in folders:
        found = [rows_in(folder, version) for version, _, _ in delta.versions(deltalake.DeltaTable(folder))]
        assert len(found) == 4
        assert all(state in found for mine in states for state in mine)


def write_for_ever(folder: Path) -> None:
    while True:
        put(folder, many(21, 1.0))
        put(folder, many(22, 2.0))


def test_a_killed_writer_leaves_the_version_before(tmp_path: Path) -> None:
    put(tmp_path, many(21, 1.0))
    draw = random.Random(0)
    for _ in range(3):
        process = SPAWN.Process(target=write_for_ever, args=(tmp_path,))
        process.start()
        before, until = len(delta.versions(deltalake.DeltaTable(tmp_path))), time.monotonic() + 60
        while len(delta.versions(deltalake.DeltaTable(tmp_path))) == before and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(draw.uniform(0, 0.2))
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        assert rows_in(tmp_path) in (many(21, 1.0), many(22, 2.0))
    put(tmp_path, many(5, 7.0))
    assert rows_in(tmp_path) == many(5, 7.0)


def test_writers_that_are_always_late_give_up_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta, "WAITS", (0.0,) * 3)
    put(tmp_path, many(6, 0.0))
    difference_of, calls = delta.Difference.of, 0

    def sooner(folder, table, rows, key):  # another writer commits between our look and our commit
        nonlocal calls
        calls += 1
        found = difference_of(folder, table, rows, key)
        deltalake.DeltaTable(tmp_path).update({"value": str(10 + calls)})
        return found

    monkeypatch.setattr(delta.Difference, "of", staticmethod(sooner))
    with pytest.raises(BusyError, match="at each of 3 attempts"):
        put(tmp_path, many(6, 1.0))
    assert calls == 3
    assert {value for value, _, _ in rows_in(tmp_path).values()} == {13.0}


def test_what_is_no_table_is_said(tmp_path: Path) -> None:
    put(tmp_path, many(6, 0.0))
    log = tmp_path / "_delta_log/00000000000000000000.json"
    log.write_text(log.read_text()[:100])
    with pytest.raises(ArtefactError, match="Restore it from a backup; or remove the folder"):
        put(tmp_path, many(6, 1.0))
