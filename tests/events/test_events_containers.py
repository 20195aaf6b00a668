"""Whatever rows are packed in, the same come out; what is not read is named, and what is damaged is one clear error."""

import bz2
import csv
import datetime as dt
import gzip
import io
import json
import lzma
import re
import sqlite3
import sys
import tarfile
import warnings
import zipfile
from xml.sax.saxutils import escape

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packed_files import xlsx, zip_members

from stforecast.config import parse
from stforecast.config.sections import Columns
from stforecast.errors import DataError
from stforecast.events.ingest import ingest, source_files, source_stamp
from stforecast.events.readers.read_file import read
from stforecast.events.readers.vector import shapefile_files

COLUMNS = Columns(
    occurred=["when"], latitude=["lat"], longitude=["lon"], offence=["type"], event_id=["id"], district=["area"]
)
NEEDED = ("occurred", "latitude", "longitude", "offence", "event_id")
NAMES = ["id", "when", "type", "area"]
ROWS = [
    {"id": "007", "when": "2024-01-01 10:00:00", "type": "THEFT", "area": "A", "lat": 39.7, "lon": -104.9},
    {"id": "8", "when": "2024-01-02T22:00:00-07:00", "type": 'say "é", or; not', "area": "", "lat": 39.71, "lon": -1.5},
]


def frame_of(path, columns=COLUMNS, needed=NEEDED, block=1 << 20):
    return pd.concat([chunk.frame for chunk in read(path, columns, needed, block)], ignore_index=True)


def error_of(path, columns=COLUMNS):
    """The message, which is one line that a terminal can show."""
    with pytest.raises(DataError) as caught:
        frame_of(path, columns)
    message = str(caught.value)
    assert path.name in message
    assert message.isprintable()
    return message


def frame(rows):
    return pd.DataFrame(rows, columns=[*NAMES, "lat", "lon"])


def points(rows, crs="EPSG:4326"):
    table = frame(rows)
    places = gpd.points_from_xy(table["lon"], table["lat"])
    return gpd.GeoDataFrame(table[NAMES], geometry=places, crs="EPSG:4326").to_crs(crs)


def as_csv(rows, delimiter=","):
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=delimiter)
    writer.writerows([[*NAMES, "lat", "lon"], *([row[name] for name in [*NAMES, "lat", "lon"]] for row in rows)])
    return buffer.getvalue().encode()


def features(rows):
    return [
        {
            "type": "Feature",
            "properties": {name: row[name] or None for name in NAMES},
            "geometry": {"type": "Point", "coordinates": [row["lon"], row["lat"]]},
        }
        for row in rows
    ]


def lines(values, before=""):
    return "".join(f"{before}{json.dumps(value)}\n" for value in values).encode()


def rows_json(rows):
    names = [*NAMES, "lat", "lon"]
    meta = {"view": {"columns": [{"name": name, "fieldName": f"f_{name}"} for name in names]}}
    return json.dumps({"meta": meta, "data": [[row[name] for name in names] for row in rows]}).encode()


def arcgis(rows):
    each = [
        {"attributes": {name: row[name] for name in NAMES}, "geometry": {"x": row["lon"], "y": row["lat"]}}
        for row in rows
    ]
    return json.dumps({"spatialReference": {"wkid": 4326}, "features": each}).encode()


def tar_members(name, content, mode="w:gz"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def ods(rows):
    urn = "urn:oasis:names:tc:opendocument:xmlns:"

    def cell(value):
        if isinstance(value, float):
            return f'<table:table-cell office:value-type="float" office:value="{value!r}"/>'
        return f'<table:table-cell office:value-type="string"><text:p>{escape(value)}</text:p></table:table-cell>'

    body = "".join(f"<table:table-row>{''.join(map(cell, row))}</table:table-row>" for row in rows)
    return zip_members(
        **{
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "content.xml": f'<office:document-content xmlns:office="{urn}office:1.0" xmlns:table="{urn}table:1.0" '
            f'xmlns:text="{urn}text:1.0"><office:body><office:spreadsheet><table:table table:name="S">{body}'
            "</table:table></office:spreadsheet></office:body></office:document-content>",
            "META-INF/manifest.xml": f'<manifest:manifest xmlns:manifest="{urn}manifest:1.0"/>',
        }
    )


def cells(rows):
    return [[*NAMES, "lat", "lon"], *([row[name] for name in [*NAMES, "lat", "lon"]] for row in rows)]


def shapefile(rows, path, crs="EPSG:4326"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        points(rows, crs).to_file(path)
    return {other.name: other.read_bytes() for other in [path, *shapefile_files(path)]}


BYTES = {
    "a.csv": as_csv,
    "tabs.tsv": lambda rows: as_csv(rows, "\t"),
    "semicolons.csv": lambda rows: b"sep=;\r\n" + as_csv(rows, ";"),
    "utf16.csv": lambda rows: as_csv(rows).decode().encode("utf-16"),
    "a.csv.gz": lambda rows: gzip.compress(as_csv(rows)),
    "a.csv.xz": lambda rows: lzma.compress(as_csv(rows)),
    "a.csv.bz2": lambda rows: bz2.compress(as_csv(rows)),
    "a.zip": lambda rows: zip_members(**{"readme.txt": b"x", "in/a.csv": as_csv(rows), "codes.xlsx": b"x"}),
    "a.tar.gz": lambda rows: tar_members("./in/a.csv", as_csv(rows)),
    "a.tar.xz": lambda rows: tar_members("a.geojson", json.dumps({"features": features(rows)}).encode(), "w:xz"),
    "zip_in_zip.zip": lambda rows: zip_members(**{"b.zip": zip_members(**{"a.csv": as_csv(rows)})}),
    "array.json": lambda rows: json.dumps(rows, indent=1).encode(),
    "utf16.json": lambda rows: json.dumps(rows, ensure_ascii=False).encode("utf-16"),
    "lines.jsonl": lines,
    "rows.json": rows_json,
    "arcgis.json": arcgis,
    "a.geojson": lambda rows: json.dumps({"type": "FeatureCollection", "features": features(rows)}).encode(),
    "named.csv": lambda rows: b"\xef\xbb\xbf\n" + json.dumps({"features": features(rows), "crs": None}).encode(),
    "a.geojsonl": lambda rows: lines(features(rows)),
    "a.geojsons": lambda rows: lines(features(rows), "\x1e"),
    "a.geojson.gz": lambda rows: gzip.compress(lines(features(rows))),
}
WORKBOOKS = {
    "a.xlsx": lambda rows: xlsx(("S", cells(rows))),
    "xlsx.zip": lambda rows: zip_members(**{"a.xlsx": xlsx(("S", cells(rows)))}),
    "a.ods": lambda rows: ods(cells(rows)),
}


def files_of(rows, folder):
    """The same rows in every container."""
    found = []
    for name, content in BYTES.items():
        (folder / name).write_bytes(content(rows))
        found.append(folder / name)
    frame(rows).to_parquet(folder / "plain.parquet")
    (folder / "plain.parquet.gz").write_bytes(gzip.compress((folder / "plain.parquet").read_bytes()))
    pyarrow.feather.write_feather(frame(rows), folder / "a.feather")
    points(rows).to_parquet(folder / "geo.parquet")
    points(rows).to_file(folder / "a.gpkg")
    (folder / "gpkg.csv").write_bytes((folder / "a.gpkg").read_bytes())
    (folder / "gpkg.zip").write_bytes(zip_members(**{"a.gpkg": (folder / "a.gpkg").read_bytes()}))
    members = shapefile(rows, folder / "a.shp")
    (folder / "shp.zip").write_bytes(zip_members(**{f"Q/{name.upper()}": content for name, content in members.items()}))
    made = ("plain.parquet", "plain.parquet.gz", "a.feather", "geo.parquet", "a.gpkg", "gpkg.csv", "gpkg.zip")
    return found + [folder / name for name in (*made, "a.shp", "shp.zip")]


text = st.text(alphabet='a7 ",;|\t\néЖ漢{[<', max_size=6).map(lambda words: f"0{words}0")  # blanks at the ends: `clean`
row = st.fixed_dictionaries(
    {
        "id": text,
        "when": st.datetimes(min_value=dt.datetime(1990, 1, 1)).map(
            lambda at: at.replace(microsecond=0).isoformat(" ")
        ),
        "type": text,
        "area": text | st.just(""),
        "lat": st.floats(-80, 80),
        "lon": st.floats(-179, 179),
    }
)


@given(st.lists(row, min_size=1, max_size=4))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_container_gives_the_same_rows(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("rows")
    for path in files_of(rows, folder):
        _same(frame_of(path), rows, path)
        if path.suffix != ".shp":
            _same(frame_of(path, block=64), rows, path)


@given(st.lists(row, min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_workbooks_give_the_same_rows(tmp_path_factory, rows):
    pytest.importorskip("python_calamine", reason="python-calamine (the extra excel) is not installed")
    folder = tmp_path_factory.mktemp("rows")
    for name, content in WORKBOOKS.items():
        if name == "a.ods":  # blanks in a row are one, and line ends are paragraphs
            rows = [{**row, **{key: "".join(row[key].split()) for key in ("id", "type", "area")}} for row in rows]
        (folder / name).write_bytes(content(rows))
        _same(frame_of(folder / name), rows, folder / name)


def _same(got, rows, path):
    assert got["problem"].eq("").all(), path
    for field, name in (("event_id", "id"), ("occurred", "when"), ("offence", "type"), ("district", "area")):
        assert got[field].tolist() == [row[name] for row in rows], (path, field)
    for field, name in (("latitude", "lat"), ("longitude", "lon")):
        assert got[field].astype(float).tolist() == [row[name] for row in rows], (path, field)


def test_values_become_the_texts_of_csv(tmp_path):
    table = pd.DataFrame(
        {
            "id": [2**53 + 1, 7],
            "when": pd.to_datetime(["2024-01-01 10:00:00", "2024-07-01 10:00:00"]),
            "zoned": pd.to_datetime(["2024-01-01 10:00:00", "2024-07-01 10:00:00"]).tz_localize("America/Denver"),
            "type": ["007", None],
            "number": [1.0, 2.5],
        }
    )
    columns = Columns(occurred=["when"], reported=["zoned"], offence=["type"], event_id=["id"], incident_id=["number"])
    places = gpd.GeoDataFrame(table, geometry=gpd.points_from_xy([-104.9, -104.8], [39.7, 39.6]), crs="EPSG:4326")
    places.to_file(tmp_path / "a.gpkg")
    places.to_parquet(tmp_path / "a.parquet")
    for path in (tmp_path / "a.gpkg", tmp_path / "a.parquet"):
        got = frame_of(path, columns, ("occurred",))
        assert got["event_id"].tolist() == ["9007199254740993", "7"]
        assert got["offence"].tolist() == ["007", ""]
        assert got["incident_id"].tolist() == ["1", "2.5"]
        assert got["occurred"].str.fullmatch(r"2024-0[17]-01[ T]10:00:00(\.0+)?").all()
        assert got["reported"].str.replace(":", "").str.endswith(("-0700", "-0600")).all()
    (tmp_path / "a.json").write_text(
        '[{"id": 9007199254740993, "when": 1704103200000, "type": true, "number": 3.0, "zoned": {"type": "Point", '
        '"coordinates": [-104.9, 39.7]}, "lat": null}, {"when": "", "type": 1e3, "later": "\\ud800", "lat": 1}]'
    )
    columns = columns.model_copy(update={"latitude": ["lat"], "longitude": ["zoned"], "district": ["later"]})
    got = frame_of(tmp_path / "a.json", columns, ("occurred",))
    assert got["event_id"].tolist() == ["9007199254740993", ""]
    assert got["occurred"].tolist() == ["1704103200000", ""]
    assert got["offence"].tolist() == ["true", "1000"]
    assert got["incident_id"].tolist() == ["3", ""]
    assert got["latitude"].tolist() == ["", "1"]
    assert got["reported"].tolist() == ['{"type":"Point","coordinates":[-104.9,39.7]}', ""]
    assert got["district"].tolist() == ["", "?"]


def test_places_come_from_the_points_unless_columns_name_them(tmp_path):
    columns = COLUMNS.model_copy(update={"latitude": ["Y"], "longitude": ["X"]})
    for crs in ("EPSG:2232", "EPSG:3857"):
        points(ROWS, crs).to_file(tmp_path / "a.gpkg")
        points(ROWS, crs).to_parquet(tmp_path / "a.parquet")
        shapefile(ROWS, tmp_path / "a.shp", crs)
        places = [row["geometry"] for row in points(ROWS, crs).iterfeatures()]
        document = {"features": [f | {"geometry": g} for f, g in zip(features(ROWS), places, strict=True)]}
        (tmp_path / "a.geojson").write_text(
            json.dumps({**document, "crs": {"properties": {"name": f"urn:ogc:def:crs:EPSG::{crs[5:]}"}}})
        )
        for name in ("a.gpkg", "a.parquet", "a.shp", "a.geojson"):
            (chunk,) = read(tmp_path / name, columns, NEEDED)
            assert chunk.in_degrees
            np.testing.assert_allclose(chunk.frame["latitude"].astype(float), [39.7, 39.71], atol=1e-7)
            np.testing.assert_allclose(chunk.frame["longitude"].astype(float), [-104.9, -1.5], atol=1e-7)
    (tmp_path / "a.prj").unlink()
    (chunk,) = read(tmp_path / "a.shp", columns, NEEDED)
    assert not chunk.in_degrees  # source.crs says what they are
    own = [f | {"properties": {**f["properties"], "Y": 1, "X": 2}} for f in features(ROWS)]
    (tmp_path / "own.geojson").write_text(json.dumps({"features": own}))
    (chunk,) = read(tmp_path / "own.geojson", columns, NEEDED)
    assert not chunk.in_degrees
    assert chunk.frame["latitude"].tolist() == ["1", "1"]
    areas = gpd.GeoDataFrame(frame(ROWS), geometry=[shapely.box(0, 0, 1, 1)] * 2, crs="EPSG:4326")
    for name in ("areas.gpkg", "areas.parquet", "areas.geojson"):
        areas.to_parquet(tmp_path / name) if name.endswith("parquet") else areas.to_file(tmp_path / name)
        assert frame_of(tmp_path / name)["latitude"].tolist() == ["39.7", "39.71"]
        assert "no points (Polygon)" in error_of(tmp_path / name, columns)


def test_what_is_no_point_has_no_place(tmp_path):
    line = {"type": "LineString", "coordinates": [[1, 2], [3, 4]]}
    shapes = [
        {"type": "MultiPoint", "coordinates": [[-1.5, 50]]},
        {"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]},
        {"type": "Point", "coordinates": []},
        {"type": "Point", "coordinates": [3, 4, 5]},
        line,
        None,
    ]
    each = [features(ROWS)[0] | {"geometry": shape} for shape in shapes]
    (tmp_path / "a.geojson").write_text(json.dumps({"features": each}))
    own = [None if shape is None or not shape["coordinates"] else shapely.geometry.shape(shape) for shape in shapes]
    own[2] = shapely.Point()
    gpd.GeoDataFrame([ROWS[0]] * 6, geometry=own).drop(columns=["lat", "lon"]).to_parquet(tmp_path / "a.parquet")
    for name in ("a.geojson", "a.parquet"):
        got = frame_of(tmp_path / name)
        assert got["latitude"].tolist() == ["50", "", "", "4", "", ""]
    (tmp_path / "lines.geojson").write_text(json.dumps({"features": [features(ROWS)[0] | {"geometry": line}]}))
    assert "no points (LineString)" in error_of(tmp_path / "lines.geojson")
    (tmp_path / "crs.geojson").write_text(
        json.dumps({"features": features(ROWS), "crs": {"properties": {"name": "nowhere"}}})
    )
    assert "coordinate system is not known" in error_of(tmp_path / "crs.geojson")


def test_titles_and_footers(tmp_path):
    body = b"id,when,type,area,lat,lon\n1,t,A,x,2,3\n"
    for before in (
        b"",
        b"sep=,\n",
        b"Crime Incidents Report,,,,,\n\nGenerated 01/05/2024,,,,,\n",
        b"Report\r\n,,,,,\r\n",
    ):
        for behind in (b"", b"Total,1234", b"Total: 1,234 rows\n", b'"Grand total",,,,,\n,,,,,\n', b",,,,,Total: 2\n\n",
                       b"\n(1 rows affected)\n", b"Total,1\nGenerated 1 May 2024"):  # fmt: skip
            (tmp_path / "a.csv").write_bytes(before + body + behind)
            for block in (100, 1 << 20):
                got = frame_of(tmp_path / "a.csv", block=block)
                assert got["event_id"].tolist() == ["1"], (before, behind)
                assert got["line"].tolist() == [2 + before.count(b"\n")]
    (tmp_path / "a.csv").write_bytes(body + b"2,t,A\nTotal,1\n3,t,B,x,4,5\nTotal rec,t,C,x,6,7\n")
    got = frame_of(tmp_path / "a.csv")  # only what ends the file is a footer, and a whole row is none
    assert got["event_id"].tolist() == ["1", "", "", "3", "Total rec"]
    (tmp_path / "b.csv").write_bytes(b"Report of May\nid,when,kind,area,lat,lon\n1,t,A,x,2,3\n")
    assert "no column 'type' for `offence`; found: id, when, kind" in error_of(tmp_path / "b.csv")


def test_sheets(tmp_path):
    pytest.importorskip("python_calamine", reason="python-calamine (the extra excel) is not installed")
    head = ["id", "when", "time", "type", "lat", "lon"]
    titles = [["Crime report"], [""]]
    good = [
        [7.0, (45292.25, 1), (0.5, 3), "007", 39.7, -104.9],
        ["08", (45293, 2), (0.4375, 3), "B", 39.71, -104.8],
        ["", "", "", "Total: 2"],
    ]
    (tmp_path / "a.xlsx").write_bytes(xlsx(("About", [["x"]]), ("2024", [*titles, head, *good]), ("2023", [head])))
    columns = COLUMNS.model_copy(update={"occurred_time": ["time"], "district": []})
    (chunk,) = read(tmp_path / "a.xlsx", columns, NEEDED)
    assert chunk.frame["event_id"].tolist() == ["7", "08"]
    assert chunk.frame["occurred"].tolist() == ["2024-01-01 06:00:00", "2024-01-02"]
    assert chunk.frame["occurred_time"].tolist() == ["12:00:00", "10:30:00"]
    assert chunk.frame["offence"].tolist() == ["007", "B"]
    assert chunk.frame["line"].tolist() == [4, 5]
    assert chunk.frame["file"].unique().tolist() == ["a.xlsx/2024"]
    assert "the sheet 2024 is read, not 2023" in chunk.note
    (tmp_path / "b.xlsx").write_bytes(xlsx(("S", [["x", "y"]])))
    assert "b.xlsx/S: no column 'when'" in error_of(tmp_path / "b.xlsx")
    (tmp_path / "c.xlsx").write_bytes(xlsx(("S", [])))
    assert "empty" in error_of(tmp_path / "c.xlsx")


def test_a_workbook_without_its_reader_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    (tmp_path / "a.xlsx").write_bytes(xlsx(("S", [["x"]])))
    assert "pip install 'stforecast[excel]'" in error_of(tmp_path / "a.xlsx")


def test_names_that_a_shapefile_cut_short(tmp_path):
    rows = gpd.GeoDataFrame(
        {"occurrence_date": ["2024-01-01"], "offence_category": ["A"], "number": ["1"]},
        geometry=gpd.points_from_xy([1], [2]),
        crs="EPSG:4326",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows.to_file(tmp_path / "a.shp")
    columns = Columns(occurred=["occurrence_date"], offence=["Offence Category"], event_id=["number"])
    got = frame_of(tmp_path / "a.shp", columns, ("occurred", "offence"))
    assert (got["occurred"][0], got["offence"][0]) == ("2024-01-01", "A")
    (tmp_path / "a.csv").write_text("occurrence,Offence Ca,lat,lon\n")
    assert "no column 'occurrence_date'" in error_of(tmp_path / "a.csv", columns)
    twice = columns.model_copy(update={"reported": ["occurrence_of_report"]})
    assert "no column 'occurrence_date'" in error_of(tmp_path / "a.shp", twice)


HTML = b"<!DOCTYPE html>\n<html><body>Please log in</body></html>"
REFUSED = {
    "a.csv.zst": (b"\x28\xb5\x2f\xfd\x04\x00abc", r"\.zst"),
    "a.7z": (b"7z\xbc\xaf\x27\x1c\x00\x04", r"\.7z"),
    "a.rar": (b"Rar!\x1a\x07\x01\x00", r"\.rar"),
    "a.pdf": (b"%PDF-1.7\n%\xe2\xe3", "PDF"),
    "login.csv": (HTML, "web page"),
    "login.csv.gz": (gzip.compress(b"\n" + HTML), "web page"),
    "wide.csv": (HTML.decode().encode("utf-16"), "web page"),
    "a.xml": (b'<?xml version="1.0"?>\n<rows><row/></rows>', "XML"),
    "a.kml": (b'<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"/>', "KML"),
    "a.RData": (gzip.compress(b"RDX3\nX\n\x00\x00\x00\x03"), "R workspace"),
    "a.rds": (lzma.compress(b"X\n\x00\x00\x00\x03\x00\x04"), "R object"),
    "a.mdb": (b"\x00\x01\x00\x00Standard Jet DB\x00\x01", "Access"),
    "a.avro": (b"Obj\x01\x04\x14avro.codec", "Avro"),
    "old.feather": (b"FEA1\x00\x00\x00\x00", "Feather of version 1"),
    "a.png": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "image"),
    "a.docx": (zip_members(**{"word/document.xml": b"<x/>"}), "text document"),
    "a.odt": (zip_members(mimetype=b"application/vnd.oasis.opendocument.text"), "text document"),
    "what.bin": (bytes(range(256)) * 8, "binary file of an unknown format"),
    "only.zip": (zip_members(**{"a\x1b[31m.pdf": b"%PDF"}), "holds no file that is read"),
    "pdf.zip": (zip_members(**{"a.csv": b"%PDF-1.4"}), "PDF"),
    "numbers.json": (b"[[1, 2], [3, 4]]", "row 1 is no object"),
    "texts.json": (b'[{"id": 1}, "x"]', "row 2 is no object"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_read_is_named(tmp_path, name):
    content, expected = REFUSED[name]
    (tmp_path / name).write_bytes(content)
    message = error_of(tmp_path / name)
    assert re.search(expected, message), message


def test_databases_and_tables_that_are_not_read(tmp_path):
    with sqlite3.connect(tmp_path / "a.gpkg") as database:
        database.execute("create table x (y)")
    database.close()
    assert "SQLite database and no GeoPackage" in error_of(tmp_path / "a.gpkg")
    pyarrow.orc.write_table(pa.table({"a": range(100)}), tmp_path / "a.orc")
    assert "is ORC" in error_of(tmp_path / "a.orc")
    shapefile(ROWS, tmp_path / "s.shp")
    assert "dBASE" in error_of(tmp_path / "s.dbf")
    assert "index of a shapefile" in error_of(tmp_path / "s.shx")
    (tmp_path / "s.dbf").unlink()
    assert "its .dbf is missing" in error_of(tmp_path / "s.shp")


def test_a_locked_zip(tmp_path):
    content = bytearray(zip_members(**{"a.csv": as_csv(ROWS)}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(content)
    assert "locked with a password" in error_of(tmp_path / "a.zip")


def test_text_that_looks_odd_is_still_text(tmp_path):
    for head in ("ORCID", "{when", "[id]", "<3", "BZh", "GIF8"):
        (tmp_path / "a.csv").write_text(f"{head},when,type,id,lat,lon\nx,t,A,1,2,3\n")
        assert frame_of(tmp_path / "a.csv")["offence"].tolist() == ["A"]


def test_damaged_files_of_every_container(tmp_path):
    many = [{**ROWS[0], "id": f"{number:05d}"} for number in range(300)]
    for path in files_of(many, tmp_path):
        content = path.read_bytes()
        for part in (0.4, 0.9):
            path.write_bytes(content[: int(len(content) * part)])
            if path.name.endswith((".csv", ".tsv", ".jsonl", ".geojsonl", ".geojsons")) and content[:1] not in b"S\xef":
                try:
                    assert len(frame_of(path)) <= 300  # rows before the damage are whole
                except DataError:
                    error_of(path)
            else:
                assert "damaged" in error_of(path), path
        path.write_bytes(content)
    for ending in (".dbf", ".shx"):
        content = (tmp_path / f"a{ending}").read_bytes()
        (tmp_path / f"a{ending}").write_bytes(content[: len(content) // 2])
        assert "damaged" in error_of(tmp_path / "a.shp")
        (tmp_path / f"a{ending}").write_bytes(content)


def test_damaged_workbooks(tmp_path):
    pytest.importorskip("python_calamine", reason="python-calamine (the extra excel) is not installed")
    for name, content in WORKBOOKS.items():
        whole = content(ROWS)
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        assert "damaged" in error_of(tmp_path / name)
    (tmp_path / "empty.xlsx").write_bytes(zip_members(**{"xl/worksheets/sheet1.xml": b"<worksheet/>"}))
    assert "damaged" in error_of(tmp_path / "empty.xlsx")
    (tmp_path / "locked.xls").write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
    assert "damaged" in error_of(tmp_path / "locked.xls")


def test_json_rows_that_are_lists_under_a_member_of_any_name(tmp_path):
    columns = Columns(occurred=["4"], latitude=["1"], longitude=["2"], offence=["3"])
    rows = [[39.7, -104.9, "THEFT", "2024-01-01"], [39.71, -104.8, "ARSON", "2024-01-02", 7]]
    named = [{"1": 39.7, "2": -104.9, "3": "THEFT", "4": "2024-01-01"}]
    documents = {
        "a.json": {"sums": [[2024, 2]], "points": rows},
        "b.json": {"points": named},
        "c.json": {"points": []},
        "d.json": {"population": 7},
        "e.json": [{"name": "x"}],
    }
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name, document in documents.items():
            archive.writestr(name, json.dumps(document))
    chunks = list(read(tmp_path / "all.zip", columns, ("occurred", "offence"), rows_in="points"))
    frame = pd.concat([chunk.frame for chunk in chunks], ignore_index=True)
    assert frame["offence"].tolist() == ["THEFT", "ARSON", "THEFT"]
    assert frame["latitude"].tolist() == ["39.7", "39.71", "39.7"]
    assert frame["line"].tolist() == [1, 2, 1]
    said = "has no rows under points, so that nothing of it is read"
    assert [chunk.note for chunk in chunks if chunk.note] == [
        f"{tmp_path}/all.zip/{name}.json: {said}" for name in "de"
    ]


def test_one_page_of_an_answer_is_noted(tmp_path):
    page = json.loads(arcgis(ROWS)) | {"exceededTransferLimit": True}
    (tmp_path / "a.json").write_text(json.dumps(page))
    assert [chunk.note for chunk in read(tmp_path / "a.json", COLUMNS, NEEDED)] == [
        f"{tmp_path / 'a.json'}: is one page of the answer of a server that has more rows"
    ]


def test_many_rows_come_in_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr("stforecast.events.readers.json_rows.ROWS", 3)
    many = [{**ROWS[0], "id": str(number)} for number in range(10)]
    (tmp_path / "a.geojson").write_text(json.dumps({"features": features(many)}))
    chunks = list(read(tmp_path / "a.geojson", COLUMNS, NEEDED, 100))
    assert [len(chunk.frame) for chunk in chunks] == [3, 3, 3, 1]
    assert pd.concat([chunk.frame for chunk in chunks])["line"].tolist() == list(range(1, 11))
    late = {"features": features(many), "crs": {"properties": {"name": "EPSG:2232"}}}
    (tmp_path / "late.geojson").write_text(json.dumps(late))
    assert "behind its rows" in error_of(tmp_path / "late.geojson")


def city(tmp_path, path):
    columns = {name: getattr(COLUMNS, name) for name in ("occurred", "latitude", "longitude", "offence", "event_id")}
    source = {"path": str(path), "columns": columns, "time_zone": "America/Denver", "other": "any", "crs": "EPSG:2232"}
    return parse({"city": "town", "root": str(tmp_path), "source": source}, "test")


def test_a_shapefile_is_one_file_and_changes_with_its_siblings(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    shapefile(ROWS, folder / "a.shp")
    assert source_files(city(tmp_path, folder), folder) == [folder / "a.shp"]
    config = city(tmp_path, folder / "a.*")
    assert source_files(config, folder) == [folder / "a.shp"]
    before = source_stamp([folder / "a.shp"], config)
    content = (folder / "a.dbf").read_bytes()
    (folder / "a.dbf").write_bytes(content.replace(b"THEFT", b"ARSON"))
    assert source_stamp([folder / "a.shp"], config) != before
    events = ingest(config)
    assert events.frame["offence"].tolist()[0] == "ARSON"
    np.testing.assert_allclose(events.frame["latitude"][0], 39.7)  # degrees, whatever source.crs says
    (folder / "a.dbf").write_bytes(content)
    assert ingest(config).frame["offence"].tolist()[0] == "THEFT"


def test_a_folder_gives_its_tables_or_files_of_one_other_kind(tmp_path):
    for name in ("a.json", "a.txt", "a.xlsx", "b.geojson", "c.jsonl.gz", ".d.geojson", "_e.geojson", "f.pdf"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in source_files(city(tmp_path, tmp_path), tmp_path)] == ["b.geojson", "c.jsonl.gz"]
    for name in ("a.csv.xz", "b.tar.gz"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in source_files(city(tmp_path, tmp_path), tmp_path)] == ["a.csv.xz", "b.tar.gz"]


def test_the_choice_among_sheets_is_noted(tmp_path):
    pytest.importorskip("python_calamine", reason="python-calamine (the extra excel) is not installed")
    (tmp_path / "a.xlsx").write_bytes(xlsx(("One", cells(ROWS)), ("Two", cells(ROWS))))
    config = city(tmp_path, tmp_path / "a.xlsx")
    config = config.model_copy(update={"source": config.source.model_copy(update={"crs": None})})
    for _ in range(2):  # read, and known
        assert any("the sheet One is read, not Two" in note for note in ingest(config).meta["notes"])
