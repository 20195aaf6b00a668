"""Files of every kind → the same rows; fast and careful parsing agree; nothing is swallowed."""

import csv
import gzip
import io
import zipfile

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stforecast.config.sections import Columns
from stforecast.errors import DataError
from stforecast.events.readers.csv_records import CUT, LONG, QUOTE, SHORT, parse_lines
from stforecast.events.readers.header import locate
from stforecast.events.readers.read_file import read

COLUMNS = Columns(occurred=["Date"], latitude=["Lat"], longitude=["Lon"], offence=["Primary Type"])
NEEDED = ("occurred", "latitude", "longitude", "offence")
TABLE = "Date,Extra,Lat,Lon,Primary Type\n1/2/2019 3:00,a,1,2,THEFT\n1/2/2019 4:00,b,3,4,CAFÉ\n"


def rows(path, block=1 << 20):
    return pd.concat([chunk.frame for chunk in read(path, COLUMNS, NEEDED, block)], ignore_index=True)


def test_every_container_gives_the_same_rows(tmp_path):
    normalise_name = tmp_path / "plain.csv"
    normalise_name.write_text(TABLE, encoding="utf-8")
    expected = rows(normalise_name).drop(columns="file")
    assert expected["offence"].tolist() == ["THEFT", "CAFÉ"]
    assert expected["line"].tolist() == [2, 3]
    variants = {
        "bom.csv": b"\xef\xbb\xbf" + TABLE.encode(),
        "crlf.csv": TABLE.replace("\n", "\r\n").encode(),
        "cr.csv": TABLE.replace("\n", "\r").encode(),
        "latin.csv": TABLE.encode("latin-1"),
        "windows.csv": TABLE.encode("cp1252"),
        "utf16.csv": TABLE.encode("utf-16"),
        "utf16le.csv": TABLE.encode("utf-16-le"),
        "utf16be.csv": TABLE.encode("utf-16-be"),
        "semicolon.csv": TABLE.replace(",", ";").encode(),
        "noend.csv": TABLE.rstrip("\n").encode(),
        "duplicated.csv": TABLE.replace("Extra", "Date").encode(),
        "gz.csv.gz": gzip.compress(TABLE.encode()),
        "gz_without_the_ending.csv": gzip.compress(TABLE.encode()),
    }
    for name, content in variants.items():
        (tmp_path / name).write_bytes(content)
        pd.testing.assert_frame_equal(rows(tmp_path / name).drop(columns="file"), expected)
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("inner.csv", TABLE)
        archive.writestr("readme.pdf", "x")
        archive.writestr("readme.txt", "x")
    pd.testing.assert_frame_equal(rows(tmp_path / "z.zip").drop(columns="file"), expected)
    assert rows(tmp_path / "z.zip")["file"].unique().tolist() == ["z.zip/inner.csv"]


def test_parquet(tmp_path):
    frame = pd.read_csv(io.StringIO(TABLE), dtype={"Lat": float})
    frame["Date"] = pd.to_datetime(frame["Date"])
    frame["key"] = [2020454617.0, None]
    frame.to_parquet(tmp_path / "x.parquet")
    columns = COLUMNS.model_copy(update={"incident_id": ["key"]})
    (chunk,) = read(tmp_path / "x.parquet", columns, NEEDED)
    assert chunk.frame["occurred"].str.startswith("2019-01-02 03:00:00").tolist() == [True, False]
    assert chunk.frame["incident_id"].tolist() == ["2020454617", ""]
    assert chunk.frame["line"].tolist() == [1, 2]


def test_dirty_rows_are_marked_with_their_line(tmp_path):
    path = tmp_path / "dirty.csv"
    header = "Date,Extra,Lat,Lon,Primary Type\n"
    path.write_text(
        header
        + 'd1,"two\nlines, quoted",1,2,A\n'  # lines 2 and 3
        + "d2,short\n"  # 4
        + header  # 5
        + "d3,x,1,2,B,,\n"  # 6: surplus blanks are harmless
        + "d4,x,1,2,C,oops\n"  # 7
        + "\n"  # 8
        + 'd5,"never closed,1,2,D\n'  # 9
        + "d6,x,1,2,E\n"  # 10
        + 'd7,say ""hi"",1,2,F\n'  # 11
        + "\ufeff"
        + header,  # 12
        encoding="utf-8",
    )
    frame = rows(path)
    good = frame[frame["problem"] == ""]
    assert list(zip(good["line"], good["offence"], strict=True)) == [(2, "A"), (6, "B"), (10, "E"), (11, "F")]
    bad = frame[frame["problem"] != ""]
    assert list(zip(bad["line"], bad["problem"], strict=True)) == [(4, SHORT), (7, LONG), (9, QUOTE)]
    for block in (1, 7, 40, 100):
        pd.testing.assert_frame_equal(rows(path, block), frame, check_dtype=False)


@pytest.mark.parametrize("end", ["d9,x,1", 'd9,"x'])
def test_a_file_that_ends_inside_a_row(tmp_path, end):
    path = tmp_path / "cut.csv"
    path.write_text(TABLE + end)
    assert rows(path)["problem"].tolist() == ["", "", CUT]


cells = st.text(alphabet='ab",\n\r ', max_size=4)
lines_of_text = st.lists(st.lists(cells, min_size=1, max_size=4).map(",".join), max_size=12).map("\n".join)


def whole(text: str, block: int):
    """Parse a text block by block, as `read` does."""
    header, rest, first, out = ["a", "b", "c"], [], 2, ([], [], [])
    lines = list(io.StringIO(text, newline=""))
    while True:
        more, lines = lines[:block], lines[block:]
        records = parse_lines(rest + more, header, ",", first, not more)
        out[0].extend(records.rows)
        out[1].extend(records.lines)
        out[2].extend(records.broken)
        if not more:
            return out
        rest = (rest + more)[records.used :]
        first += records.used


@given(lines_of_text, st.integers(1, 6))
@settings(max_examples=300)
def test_any_block_size_gives_the_same(text, block):
    expected = whole(text, 10**6)
    assert whole(text, block) == expected
    starts = expected[1] + [line for line, _, _ in expected[2]]
    assert len(starts) == len(set(starts))
    assert expected[1] == sorted(expected[1])


@given(st.lists(st.tuples(*[st.text(alphabet='xyz",\n ', min_size=1, max_size=5)] * 3), max_size=20))
def test_well_formed_csv_as_the_standard_library_reads_it(table):
    table = [row for row in table if any(cell.strip() for cell in row)]
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(table)
    got = whole(buffer.getvalue(), 3)
    assert [tuple(row) for row in got[0]] == table
    assert got[2] == []


@pytest.mark.parametrize("header", [["ID", "Primary Type"], ["id", "primary_type"], ["Id", "PrimaryType"]])
def test_header_forms(header):
    columns = Columns(offence=["Primary Type"], event_id=["ID"])
    assert locate(header, columns, (), "f", geometry=True) == {"event_id": 0, "offence": 1}


def test_a_missing_column_says_what_to_do(tmp_path):
    path = tmp_path / "weather.csv"
    path.write_text("time,temperature\n1,2\n")
    with pytest.raises(
        DataError, match=r"weather\.csv: no column 'Date' for `occurred`; found: time, temperature\. Name"
    ):
        rows(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.csv", b"", "empty"),
        ("n.csv", b"\n\n", "no header"),
        ("t.csv.gz", gzip.compress(TABLE.encode() * 500)[:-40], "cut short"),
        ("z.zip", b"PK\x03\x04 no archive", "damaged"),
        ("p.parquet", b"PAR1 no parquet PAR1", "damaged"),
    ],
)
def test_damaged_files_are_one_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        rows(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)
