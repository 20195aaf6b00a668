"""Files that would take time or memory without end are refused soon, in one line that names them."""

import bz2
import gzip
import io
import lzma
import tarfile
import time
import zipfile

import pytest
from packed_files import xlsx, zip_members

from stforecast.config.sections import Columns
from stforecast.errors import DataError
from stforecast.events.coordinates import NOWHERE, parse_point
from stforecast.events.readers import containers, csv_records, delimited, json_rows
from stforecast.events.readers.read_file import read

COLUMNS = Columns(occurred=["when"], latitude=["lat"], longitude=["lon"], offence=["type"], event_id=["id"])
HEAD = b"id,when,type,lat,lon\n"
ROW = b"1,2024-01-01 10:00:00,THEFT,39.7,-104.9\n"
ROWS = HEAD + ROW * 200


def read_all(path, block=1 << 20):
    return [chunk.frame for chunk in read(path, COLUMNS, ("occurred",), block)]


def refused(path, block=1 << 20):
    began = time.perf_counter()
    with pytest.raises(DataError) as caught:
        read_all(path, block)
    assert time.perf_counter() - began < 10
    assert path.name in str(caught.value)
    assert str(caught.value).isprintable()
    return str(caught.value)


def tar(content):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("rows.csv")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


PACKINGS = {
    "rows.csv.gz": gzip.compress,
    "rows.csv.xz": lzma.compress,
    "rows.csv.bz2": bz2.compress,
    "rows.zip": lambda content: zip_members(**{"rows.csv": content}),
    "rows.tar.gz": lambda content: gzip.compress(tar(content)),
    "nested.zip": lambda content: zip_members(**{"inner.zip": zip_members(**{"rows.csv": content})}),
    "nested.zip.gz": lambda content: gzip.compress(zip_members(**{"rows.csv": content})),
}


@pytest.mark.parametrize("name", PACKINGS)
def test_what_unpacks_to_far_more_than_its_file_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setattr(containers, "FREE", 1 << 20)
    path = tmp_path / name
    path.write_bytes(PACKINGS[name](ROWS + ROW * 150_000))
    assert "unpacks to more than 100 times the size of its file" in refused(path)
    path.write_bytes(PACKINGS[name](ROWS))
    assert sum(map(len, read_all(path))) == 200


def test_members_that_share_their_bytes_count_each(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "FREE", 1 << 20)
    path = tmp_path / "many.zip"
    path.write_bytes(zip_members(**{f"{n}.csv": HEAD + ROW * 20_000 for n in range(4)}))
    assert "unpacks to more than" in refused(path)


def test_a_workbook_is_not_opened_that_unpacks_to_far_more_than_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "FREE", 1 << 18)
    path = tmp_path / "book.xlsx"
    path.write_bytes(
        xlsx(("S", [["id", "when", "type", "lat", "lon"], *[[1, "2024-01-01", "a", 39.7, -104.9]] * 5000]))
    )
    assert zipfile.ZipFile(path).infolist()[-1].file_size > 1 << 18
    assert "unpacks to more than" in refused(path)


def test_a_workbook_with_a_cell_at_the_end_of_the_sheet_is_refused(tmp_path):
    """Read as it is, it takes 400 GB, and the library ends the process."""
    path = tmp_path / "book.xlsx"
    path.write_bytes(xlsx(("S", [["id", "when", "type", "lat", "lon"], [1, "2024-01-01", "a", 39.7, -104.9]])))
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    parts["xl/worksheets/sheet1.xml"] = parts["xl/worksheets/sheet1.xml"].replace(b"</sheetData>", far)
    path.write_bytes(zip_members(**parts))
    assert "has cells until XFD1048576, 17,179,869,184 in all" in refused(path)


@pytest.mark.parametrize("block", [1 << 18, 1 << 20])
def test_a_line_without_end_is_refused(tmp_path, monkeypatch, block):
    monkeypatch.setattr(delimited, "LONGEST", 1 << 20)
    path = tmp_path / "long.csv"
    path.write_bytes(ROWS + b"2,2024-01-01 10:00:00," + b"x" * (4 << 20) + b",39.7,-104.9\n" + ROW)
    assert "a line of more than 1 MiB, which begins with '2,2024-01-01 10:00:00,xxx" in refused(path, block)
    path.write_bytes(b"\n" * (4 << 20))
    assert "no header" in refused(path, block)
    path.write_bytes(ROWS + b"\n" * (4 << 20))
    assert "blank lines from line" in refused(path, block)


def test_a_long_line_alone_is_a_row_that_is_refused(tmp_path):
    path = tmp_path / "long.csv"
    path.write_bytes(HEAD + ROW + b"2,2024-01-01 10:00:00," + b"x" * 300_000 + b",39.7,-104.9\n" + ROW)
    assert [problem for frame in read_all(path) for problem in frame["problem"]] == ["", csv_records.LONG, ""]


def test_one_open_quote_costs_its_line_and_many_the_file(tmp_path):
    path = tmp_path / "quotes.csv"
    path.write_bytes(HEAD + b'0,2024-01-01 10:00:00,"THEFT,39.7,-104.9\n' + ROW * 50_000)
    frames = read_all(path)
    assert sum(map(len, frames)) == 50_001
    assert [problem for frame in frames for problem in frame["problem"] if problem] == [csv_records.QUOTE]
    path.write_bytes(HEAD + b'1,2024-01-01 10:00:00,x"y,39.7,"\n' * 50_000)  # open however it is read
    assert "and many before it never close. Save it anew" in refused(path)


def test_a_long_quoted_text_is_read(tmp_path):
    path = tmp_path / "long.csv"
    text = b"line of a story\n" * 8_000
    path.write_bytes(HEAD + ROW + b'2,2024-01-01 10:00:00,"' + text + b'",39.7,-104.9\n' + ROW)
    for block in (1 << 14, 1 << 20):
        offences = [offence for frame in read_all(path, block) for offence in frame["offence"]]
        assert offences == ["THEFT", text.decode(), "THEFT"]


def test_json_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(json_rows, "LARGEST", 1 << 20)
    path = tmp_path / "deep.json"
    for content in (b'[{"id":' + b"[" * 100_000, b"[" * 100_000, b'[{"id":"' + b"x" * (8 << 20)):
        path.write_bytes(content)
        assert "damaged or cut short" in refused(path, 1 << 14)


def test_a_place_that_is_nested_deep_is_none():
    assert parse_point('{"a":' + "[" * 5000 + "]" * 5000 + "}") == NOWHERE
