"""The deny list, and files without the rows that are on it."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest

from stforecast.config.sections import Columns, Source
from stforecast.errors import ArtefactError
from stforecast.events.erase import erase, ids_in
from stforecast.events.forgotten import KEYS, Forgotten
from stforecast.events.readers.read_file import read

COLUMNS = {name: [name] for name in ("occurred", "event_id", "incident_id", "offence", "latitude", "longitude")}
SOURCE = Source(columns=Columns(**COLUMNS))
TEXT = """Reports of the city\r
event_id,incident_id,occurred,latitude,longitude,offence\r
1,A,2024-01-01 10:00,39.7,-104.9,theft\r
2,A,2024-01-01 10:00,39.7,-104.9,"breaking\r
and entering"\r
3,B,2024-01-02 11:00,39.7,-104.9,caf\u00e9 5" pipe\r
4.0,1,2024-01-03 12:00,39.7,-104.9,theft\r
\r
5,C,2024-01-04\r
6,D,2024-01-05 13:00,39.7,-104.9,theft\r
Total: 6 rows\r
"""


def forgotten(*ids: str, names: tuple[str, ...] = KEYS) -> Forgotten:
    return Forgotten().with_ids(dict.fromkeys(ids, names))


def rewritten(path: Path, found: Forgotten) -> bytes:
    assert erase(path, SOURCE, found, rewrite=True)[1]
    return path.read_bytes()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize(
    ("erased", "gone"),
    [
        ("3", slice(5, 6)),
        ("2", slice(3, 5)),
        ("A", slice(2, 5)),
        ("4", slice(6, 8)),  # a blank line belongs to what stands above it
        ("5", slice(8, 9)),  # a short row, which cannot be read
        ("6", slice(9, 11)),
        ("7", slice(0)),
    ],
)
def test_all_other_rows_keep_their_bytes(encoding: str, erased: str, gone: slice, tmp_path: Path) -> None:
    path = tmp_path / "reports.csv"
    path.write_bytes(TEXT.encode(encoding))
    kept = TEXT.splitlines(keepends=True)
    del kept[gone]
    for _ in range(2):
        assert rewritten(path, forgotten(erased)) == "".join(kept).encode(encoding)


def test_an_id_of_a_row_is_told_from_the_same_number_of_an_incident(tmp_path: Path) -> None:
    path = tmp_path / "reports.csv"
    path.write_text(TEXT)
    found, incidents = ids_in([path], SOURCE, {"1", "A", "5", "9"})
    assert found == {"1": {"event_id", "incident_id"}, "A": {"incident_id"}, "5": set()}
    assert incidents == {"A", "1"}
    frame = next(read(path, SOURCE.columns)).frame
    assert frame["event_id"][forgotten("1", names=KEYS[:1]).rows(frame)].tolist() == ["1"]
    assert frame["event_id"][forgotten("1").rows(frame)].tolist() == ["1", "4.0"]


def test_parquet_is_rewritten_and_a_packed_file_is_not(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"latitude": 39.7, "longitude": -104.9}
        | {"event_id": [1, 2, 3], "incident_id": ["A", "B", "B"], "more": [[1], [2], []]}
    )
    path = tmp_path / "reports.parquet"
    frame.to_parquet(path)
    assert erase(path, SOURCE, forgotten("B"), rewrite=True) == (2, True)
    pd.testing.assert_frame_equal(pd.read_parquet(path), frame[:1], check_dtype=False)
    packed = tmp_path / "reports.csv.gz"
    packed.write_bytes(content := gzip.compress(TEXT.encode()))
    assert erase(packed, SOURCE, forgotten("3"), rewrite=True) == (1, False)
    assert packed.read_bytes() == content


def test_a_list_that_is_damaged_is_no_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "forgotten.json"
    assert Forgotten.open(path) == Forgotten()
    forgotten("1").write(path)
    assert [Forgotten.open(path).has(text) for text in "12"] == [True, False]
    assert all(map(Forgotten.open(path).with_ids({"2": KEYS}).has, "12"))
    assert forgotten("1").hashes.isdisjoint(forgotten("1").hashes)  # each list has a salt of its own
    for text in ("{", "[]", '{"salt": 1, "hashes": []}', '{"salt": "xyz", "hashes": []}'):
        path.write_text(text)
        with pytest.raises(ArtefactError, match="erased reports would come back"):
            Forgotten.open(path)
