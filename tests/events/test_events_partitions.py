"""Files added one after another give the table of all files at once; files that did not change are not read again."""

import csv
import itertools
import os
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stforecast.config import parse
from stforecast.errors import DataError
from stforecast.events import clean_files as module
from stforecast.events.ingest import ingest
from stforecast.events.schema import EventTable
from stforecast.pipeline.preparation import Preparation

NOW = pd.Timestamp("2024-01-01", tz="UTC")
FIELDS = ("occurred", "reported", "latitude", "longitude", "offence", "event_id", "incident_id", "count", "district")
SOURCE = {
    "columns": {name: [name] for name in FIELDS},
    "time_zone": "America/Denver",
    "date_order": "month_first",
    "bounds": [-105.3, 39.5, -104.5, 40.0],
    "categories": {"property": ["theft*", "burglary"], "person": ["assault"]},
    "max_rejects": 1.0,
}
GOOD = ("5/1/2023 3:00:00 PM", "", "39.7", "-104.9", "Theft", "good", "", "1", "1")
FIGHT = ("5/1/2023 3:30:00 PM", *GOOD[1:4], "Assault", "fight", *GOOD[6:])
times = ["5/1/2023 3:00:00 PM", "5/1/2023 1:00:00 PM", "2023-05-02T01:00:00", "6/1/1999 1:00", "7/1/2023 2:00", "x"]
rows = st.tuples(
    st.sampled_from(times),
    st.sampled_from(["", "5/3/2023 1:00", "12/31/9999 1:00"]),
    st.sampled_from(["39.7", "39.8", ""]),
    st.just("-104.9"),
    st.sampled_from(["Theft", "Theft  shop", "Burglary", "Assault", "Fraud"]),
    st.sampled_from(["", "", "1", "2", "3"]),
    st.sampled_from(["", "7", "8"]),
    st.sampled_from(["1", "1", "-1"]),
    st.sampled_from(["1", "2", ""]),
)


OF_HISTORY = ("stamp", "ingested_at", "observed_from", "news", "files")
"""Facts that hang on the ingests before."""


def settings_of(root, files):
    return parse({"city": "town", "root": str(root), "source": {**SOURCE, "path": [str(f) for f in files]}}, "test")


def write(path: Path, table) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([FIELDS, *table])
    return path


def content(root: Path, table: EventTable):
    rejects = pd.read_parquet(root / "data/town/silver/rejects.parquet")
    return table.frame, rejects, {k: v for k, v in table.meta.items() if k not in OF_HISTORY}


@given(st.lists(rows, max_size=30), st.lists(st.integers(0, 30), min_size=1, max_size=2))
@settings(max_examples=10, deadline=None)
def test_appended_files_are_as_all_files_at_once(table, cuts):
    # times that are all the same would be days without times
    table = [(row[0].replace(":00", f":{i:02d}", 1), *row[1:]) for i, row in enumerate(table)]
    with tempfile.TemporaryDirectory() as name:
        folder, edges = Path(name), [0, *sorted(cuts), len(table) + 30]
        pieces = [table[a:b] for a, b in itertools.pairwise(edges)]
        files = [write(folder / f"{i}.csv", [*piece, GOOD, FIGHT]) for i, piece in enumerate(pieces)]
        at_once = ingest(settings_of(folder / "once", files), now=NOW)
        for number in range(1, len(files) + 1):
            appended = ingest(settings_of(folder / "grown", files[:number]), now=NOW + pd.Timedelta(hours=number))
        one, other = content(folder / "once", at_once), content(folder / "grown", appended)
        pd.testing.assert_frame_equal(one[0], other[0])
        pd.testing.assert_frame_equal(one[1], other[1])
        assert one[2] == other[2]
        pd.testing.assert_frame_equal(EventTable(one[0], {}).columns(["event_id"]), other[0][["event_id"]])


@pytest.fixture
def seen(monkeypatch):
    names = []
    read = module.read

    def spy(path, columns, needed, *block, **how):
        names.extend([] if block else [path.name])  # a glance at the first rows reads a small block
        return read(path, columns, needed, *block, **how)

    monkeypatch.setattr(module, "read", spy)
    return names


def taken_in(root, files, seen, now=NOW, **source):
    seen.clear()
    config = settings_of(root, files)
    source = {"categories": {"property": ["theft*"]}, **source}
    config = config.model_copy(update={"source": config.source.model_copy(update=source)})
    table = ingest(config, now=now)
    return len(table), list(seen)


def day(number, *more):
    return [(f"5/{number}/2023 3:00:00 PM", *GOOD[1:5], str(number), *GOOD[6:]), *more]


def test_only_new_and_changed_files_are_read(tmp_path, seen):
    one, two, three = (write(tmp_path / f"{n}.csv", day(n)) for n in (1, 2, 3))
    parts = tmp_path / "data/town/partitions"
    assert taken_in(tmp_path, [one, two], seen) == (2, ["1.csv", "2.csv"])
    assert taken_in(tmp_path, [one, two, three], seen) == (3, ["3.csv"])
    assert taken_in(tmp_path, [three, one], seen) == (2, [])
    assert len(list(parts.iterdir())) == 2
    write(one, day(1, *day(4)))
    assert taken_in(tmp_path, [one, three], seen) == (3, ["1.csv"])
    os.utime(three, ns=(1, 1))
    assert taken_in(tmp_path, [one, three], seen) == (3, [])
    assert taken_in(tmp_path, [one, three], seen, other="rest") == (3, ["1.csv", "3.csv"])
    (next(parts.iterdir()) / "events.arrow").write_bytes(b"cut")
    assert taken_in(tmp_path, [one, three], seen, other="rest")[0] == 3
    assert len(seen) == 1


def test_a_file_that_told_of_the_future_is_read_again_when_that_has_come(tmp_path, seen):
    late = ("1/5/2024 1:00:00 PM", *GOOD[1:5], "late", *GOOD[6:])
    one, two = write(tmp_path / "1.csv", day(1, *day(2), late)), write(tmp_path / "2.csv", day(3))
    assert taken_in(tmp_path, [one], seen, first_day=pd.Timestamp("2023-01-01").date()) == (2, ["1.csv"])
    chosen = {"first_day": pd.Timestamp("2023-01-01").date(), "last_day": pd.Timestamp("2024-12-31").date()}
    assert taken_in(tmp_path, [one, two], seen, **chosen) == (3, ["1.csv", "2.csv"])
    assert taken_in(tmp_path, [one, two], seen, NOW + pd.Timedelta(days=1), **chosen) == (3, [])
    assert taken_in(tmp_path, [one, two], seen, NOW + pd.Timedelta(days=6), **chosen) == (4, ["1.csv"])


def test_the_table_is_made_again_when_what_was_to_come_has_come(tmp_path):
    late = ("1/5/2024 1:00:00 PM", *GOOD[1:5], "late", *GOOD[6:])
    path = write(tmp_path / "1.csv", day(1, *day(2), late))
    source = {**SOURCE, "path": str(path), "categories": {"property": ["theft"]}, "first_day": "2023-01-01"}
    config = parse({"city": "town", "root": str(tmp_path), "source": {**source, "last_day": "2024-12-31"}}, "test")
    said = []
    stages = Preparation(config, said.append)
    assert len(ingest(config, now=NOW)) == 2
    before = stages.gold_stamp()
    assert len(stages.ingest()) == 3
    assert stages.gold_stamp() != before
    said.clear()
    assert len(stages.ingest()) == 3
    assert said == [f"ingest: {stages.place.silver} is up to date"]


def test_a_cube_follows_the_content_of_what_it_reads(tmp_path):
    districts, path = tmp_path / "districts.gdb", write(tmp_path / "1.csv", [GOOD, FIGHT])
    districts.mkdir()
    (districts / "a.gdbtable").write_bytes(b"one")
    settings = {"source": {**SOURCE, "path": str(path)}, "grid": {"districts": str(districts)}}
    stages = Preparation(parse({"city": "town", "root": str(tmp_path), **settings}, "test"), print)
    stages.ingest()
    before = stages.gold_stamp()
    os.utime(districts / "a.gdbtable", ns=(1, 1))
    assert stages.gold_stamp() == before
    (districts / "a.gdbtable").write_bytes(b"two")
    assert stages.gold_stamp() != before


def test_what_a_killed_ingest_left_is_removed(tmp_path):
    place = tmp_path / "data/town"
    for name in (".unfinished-1-parts", ".unfinished-2-silver", ".keep"):
        (place / name).mkdir(parents=True)
        (place / name / "events.arrow").write_bytes(b"x")
    ingest(settings_of(tmp_path, [write(tmp_path / "1.csv", [GOOD, FIGHT])]), now=NOW)
    assert sorted(path.name for path in place.iterdir()) == [".keep", "hashes.json", "partitions", "seen", "silver"]


def test_what_fails_leaves_the_parts_that_were_there(tmp_path, seen):
    one = write(tmp_path / "1.csv", day(1, *day(2)))
    assert taken_in(tmp_path, [one], seen) == (2, ["1.csv"])
    bad = write(tmp_path / "2.csv", [("x", *GOOD[1:])])
    with pytest.raises(DataError, match="refused"):
        taken_in(tmp_path, [one, bad], seen, max_rejects=0.01)
    assert taken_in(tmp_path, [one], seen) == (2, [])
    assert sorted(path.name for path in (tmp_path / "data/town").iterdir()) == [
        "hashes.json",
        "partitions",
        "seen",
        "silver",
    ]
