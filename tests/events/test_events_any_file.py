"""Any file of a publisher: the drawn instants and places come back, or a refusal that names the line or the file.

Drawn are a city and its time zone, events, a form of their times, a form of their places, dirt, and a container.
"""

import bz2
import datetime as dt
import gzip
import io
import json
import lzma
import random
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo

import geopandas as gpd
import numpy as np
import pandas as pd
from hypothesis import event, given, settings
from hypothesis import strategies as st
from packed_files import xlsx, zip_members
from pyproj import Transformer

from stforecast.config import parse
from stforecast.errors import DataError
from stforecast.events.ingest import ingest

NOW = pd.Timestamp("2030-01-01", tz="UTC")
CITIES = {
    "America/Denver": (39.74, -104.99, 32613),
    "America/Argentina/Buenos_Aires": (-34.60, -58.38, 32721),
    "Europe/Berlin": (52.52, 13.40, 32633),
    "Asia/Kolkata": (28.61, 77.21, 32643),
    "Australia/Sydney": (-33.87, 151.21, 32756),
    "Pacific/Fiji": (-18.14, 178.44, 32760),
}
MONTHS = ("enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre")
MONTHS += ("noviembre", "diciembre")
SHORT = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]


def half(t, mark):
    return f"{t.hour % 12 or 12}:{t:%M:%S} {mark[t.hour // 12]}"


HOURS_OF_A_CITY = [36, 33, 31, 22, 20, 16, 18, 25, 39, 40, 49, 45, 40, 49, 54, 55, 57, 61, 63, 54, 54, 51, 49, 43]
# name: columns → text of a local wall clock; the key that is set where the texts alone do not tell
LOCAL = {
    "ISO": lambda t: {"when": f"{t:%Y-%m-%dT%H:%M:%S}.000"},
    "blank": lambda t: {"when": f"{t:%Y-%m-%d %H:%M:%S}"},
    "slashes": lambda t: {"when": f"{t:%Y/%m/%d %H:%M}"},
    "US": lambda t: {"when": f"{t.month}/{t.day}/{t.year} {half(t, ('AM', 'PM'))}"},
    "US, browser": lambda t: {"when": f"{t.month}/{t.day}/{t.year}, {half(t, ('AM', 'PM'))}".replace(" ", "\u202f")},
    "Spanish": lambda t: {"when": f"{t:%d/%m/%Y} {half(t, ('a. m.', 'p. m.'))}"},
    "German": lambda t: {"when": f"{t:%d.%m.%Y %H:%M} Uhr"},
    "French": lambda t: {"when": f"{t:%d/%m/%y} {t:%H}h{t:%M}"},
    "short year first": lambda t: {"when": f"{t:%y-%m-%d %H:%M}"},
    "words": lambda t: {"when": f"{t.day} de {MONTHS[t.month - 1]} de {t.year} {t:%H:%M}"},
    "database": lambda t: {"when": f"{t:%d}-{SHORT[t.month - 1]}-{t:%y} {t:%H:%M:%S}"},
    "digits": lambda t: {"when": f"{t:%Y%m%d%H%M%S}"},
    "serial": lambda t: {"when": f"{(t - dt.datetime(1899, 12, 30)) / dt.timedelta(days=1):.9f}"},
    "day and HHMM": lambda t: {"when": f"{t:%m/%d/%Y} 12:00:00 AM", "time": f"{t.hour * 100 + t.minute}"},
    "day and clock": lambda t: {"when": f"{t:%Y-%m-%d}", "time": f"{t:%H:%M:%S}"},
    "day and half day": lambda t: {"when": f"{t:%Y-%m-%d}", "time": half(t, ("AM", "PM"))},
    "day and spreadsheet time": lambda t: {"when": f"{t:%Y-%m-%d}", "time": f"12/30/1899 {half(t, ('AM', 'PM'))}"},
    "day and span": lambda t: {"when": f"{t:%Y-%m-%d}", "time": f"{t:%H:%M}-{t + dt.timedelta(hours=1):%H:%M}"},
    "parts": lambda t: {"y": t.year, "m": t.month, "d": t.day, "h": t.hour, "min": t.minute},
}
HOURS = {"day and hour": lambda t: {"when": f"{t:%Y-%m-%d}", "time": f"{t.hour}"}}
EXACT = {
    "UTC": lambda t: {"when": f"{t:%Y-%m-%dT%H:%M:%SZ}"},
    "offset": lambda t: {"when": f"{t:%Y-%m-%d %H:%M:%S}+00"},
    "epoch": lambda t: {"when": f"{int(t.timestamp())}"},
    "epoch, ms": lambda t: {"when": f"{int(t.timestamp()) * 1000}"},
    "e-mail": lambda t: {"when": f"{t:%a, %d %b %Y %H:%M:%S} GMT"},
}
WITH_SECONDS = {
    *EXACT,
    *("ISO", "blank", "US", "US, browser", "Spanish", "database", "digits", "serial", "day and clock"),
    *("day and half day", "day and spreadsheet time"),
}
DIRT = ("", "unknown", "2023-02-30 10:00", "99/99/2023 10:00", "2023-05-05 25:61", "2023-05-05T10:00:00+19:00")
PLACES = {
    "columns": lambda y, x, _: {"lat": f"{y:.6f}", "lon": f"{x:.6f}"},
    "decimal commas": lambda y, x, _: {"lat": f"{y:.6f}".replace(".", ","), "lon": f"{x:.6f}".replace(".", ",")},
    "full circle": lambda y, x, _: {"lat": f"{y:.6f}", "lon": f"{x % 360:.6f}"},
    "projected": lambda y, x, to: dict(zip(("lon", "lat"), (f"{v:.3f}" for v in to.transform(x, y)), strict=True)),
    "in an address": lambda y, x, _: {"where": f"12 ELM ST\nTOWN\n({y:.6f}, {x:.6f})"},
    "WKT": lambda y, x, _: {"where": f"POINT ({x:.6f} {y:.6f})"},
    "geometry": lambda y, x, _: {},
}


def separated(frame, delimiter):
    return frame.to_csv(index=False, sep=delimiter).encode()


def geojson(frame):
    shapes = [{"type": "Point", "coordinates": [x, y]} for x, y in zip(frame["_x"], frame["_y"], strict=True)]
    rows = frame.drop(columns=["_x", "_y"]).to_dict("records")
    each = [{"type": "Feature", "properties": p, "geometry": g} for p, g in zip(rows, shapes, strict=True)]
    return json.dumps({"type": "FeatureCollection", "features": each}).encode()


def points(frame):
    return gpd.GeoDataFrame(
        frame.drop(columns=["_x", "_y"]), geometry=gpd.points_from_xy(frame["_x"], frame["_y"]), crs=4326
    )


def shapefile(frame, folder):
    points(frame).to_file(folder / "shapes.shp")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in folder.glob("shapes.*"):
            archive.write(path, path.name)
            path.unlink()
    (folder / "f.zip").write_bytes(buffer.getvalue())
    return folder / "f.zip"


def written(name, content):
    def write(frame, folder):
        (folder / name).write_bytes(content(frame))
        return folder / name

    return write


def saved(name, save):
    def write(frame, folder):
        save(frame, folder / name)
        return folder / name

    return write


PLAIN = {
    "csv": written("f.csv", lambda f: separated(f, ",")),
    "semicolons": written("f.csv", lambda f: b"sep=;\n" + separated(f, ";")),
    "titles": written("f.csv", lambda f: b"Incidents,,\nGenerated,,\n" + separated(f, ",") + b"Total,3\n"),
    "tabs": written("f.tsv", lambda f: separated(f, "\t")),
    "UTF-16": written("f.csv", lambda f: separated(f, ",").decode().encode("utf-16")),
    "gz": written("f.csv.gz", lambda f: gzip.compress(separated(f, ","))),
    "xz": written("f.csv.xz", lambda f: lzma.compress(separated(f, ","))),
    "bz2": written("f.csv.bz2", lambda f: bz2.compress(separated(f, ","))),
    "zip": written("f.zip", lambda f: zip_members(**{"f.csv": separated(f, ",")})),
    "JSON": written("f.json", lambda f: f.to_json(orient="records").encode()),
    "JSON lines": written("f.jsonl", lambda f: f.to_json(orient="records", lines=True).encode()),
    "Parquet": saved("f.parquet", lambda f, path: f.to_parquet(path)),
    "Feather": saved("f.feather", lambda f, path: f.to_feather(path)),
    "Excel": written("f.xlsx", lambda f: xlsx(("Sheet", [["Incidents"], list(f), *f.astype(str).values.tolist()]))),
}
SPATIAL = {
    "GeoJSON": written("f.geojson", geojson),
    "GeoPackage": saved("f.gpkg", lambda f, path: points(f).to_file(path)),
    "GeoParquet": saved("f.parquet", lambda f, path: points(f).to_parquet(path)),
    "shapefile": shapefile,
}
TEXT = ("csv", "semicolons", "tabs", "UTF-16", "gz", "xz", "bz2", "zip")


@dataclass
class Drawn:
    """A file's content, and what it tells: instant, latitude and longitude by id."""

    frame: pd.DataFrame
    truth: dict[str, tuple[dt.datetime, float, float]]
    form: str
    dirty: list[str]
    source: dict


@st.composite
def files(draw):
    zone = draw(st.sampled_from(sorted(CITIES)))
    latitude, longitude, code = CITIES[zone]
    forms = {**LOCAL, **HOURS, **EXACT}
    form, place = draw(st.sampled_from(sorted(forms))), draw(st.sampled_from(sorted(PLACES)))
    rng = random.Random(draw(st.integers(0, 2**32)))
    there, to = ZoneInfo(zone), Transformer.from_crs(4326, code, always_xy=True)
    begin = dt.datetime(draw(st.integers(1995, 2028)), draw(st.integers(1, 12)), 1, tzinfo=dt.UTC)
    rows, truth, dirty = [], {}, []
    for i in range(draw(st.sampled_from([30, 60, 120]))):
        day, (hour,) = rng.randrange(90), rng.choices(range(24), HOURS_OF_A_CITY)
        wall = begin.replace(tzinfo=there) + dt.timedelta(days=day, hours=hour, seconds=rng.randrange(3600))
        instant = wall.astimezone(dt.UTC)
        if form in HOURS:
            instant = instant.replace(minute=0, second=0)
        local = instant.astimezone(there)
        if form not in EXACT and (local.fold or local.utcoffset() != local.replace(fold=1).utcoffset()):
            continue  # a time in the repeated hour is read as its first pass
        if form in HOURS and local.minute:
            local = local.replace(minute=0)  # half an hour from UTC
            instant = local.astimezone(dt.UTC)
        texts = forms[form](instant if form in EXACT else local.replace(tzinfo=None))
        y, x = latitude + rng.uniform(-0.05, 0.05), longitude + rng.uniform(-0.05, 0.05)
        row = {
            "id": f"e{i:04d}",
            **texts,
            **PLACES[place](y, x, to),
            "type": rng.choice(["THEFT", 'A "B", C', "é;ß"]),
        }
        if "when" in row and rng.random() < 0.05:
            row["when"] = rng.choice(DIRT)
            dirty.append(row["id"])
        else:
            truth[row["id"]] = (instant, y, x)
        rows.append(row | ({"_x": x, "_y": y} if place == "geometry" else {}))
    columns = {"occurred": ["when"], "offence": ["type"], "event_id": ["id"]}
    if form == "parts":
        columns["occurred"] = {"year": "y", "month": "m", "day": "d", "hour": "h", "minute": "min"}
    if form.startswith("day and"):
        columns["occurred_time"] = ["time"]
    if place in ("in an address", "WKT"):
        columns["location"] = ["where"]
    elif place != "geometry":
        columns |= {"latitude": ["lat"], "longitude": ["lon"]}
    source = {"columns": columns, "time_zone": zone, "other": "any", "max_rejects": 0.5}
    # so that no straggler counts as outside the file's coverage
    source |= {"first_day": "1991-01-01", "last_day": "2029-12-31"}
    if place == "projected":
        source["crs"] = f"EPSG:{code}"
    return Drawn(pd.DataFrame(rows), truth, form, dirty, source)


@settings(deadline=None)
@given(files(), st.data())
def test_the_drawn_instants_and_places_come_back_or_the_line_is_named(drawn, data):
    containers = SPATIAL if "_x" in drawn.frame else PLAIN
    if find_spec("python_calamine") is None:
        containers = {name: write for name, write in containers.items() if name != "Excel"}
    name = data.draw(st.sampled_from(sorted(containers)))
    with tempfile.TemporaryDirectory() as folder:
        path = containers[name](drawn.frame, Path(folder))
        config = parse({"city": "town", "root": folder, "source": drawn.source}, "test")
        events, error = None, None
        try:
            events = ingest(config, [path], now=NOW)
        except DataError as caught:
            error = str(caught)
        event(f"{drawn.form}, {'read' if events else 'asked for'}")
        if events is None:  # two readings are possible
            assert path.name in error
            assert "source.date_order" in error or "source.clock" in error
            return
        frame, rejects = events.frame, pd.read_parquet(Path(folder) / "data/town/silver/rejects.parquet")
        assert set(frame["event_id"]) == set(drawn.truth)
        instants = pd.DatetimeIndex([drawn.truth[key][0] for key in frame["event_id"]])
        expected = instants.floor("s" if drawn.form in WITH_SECONDS else "min")
        assert (frame["occurred_at"] == expected.as_unit("us")).all()
        places = np.array([drawn.truth[key][1:] for key in frame["event_id"]])
        assert np.abs(frame[["latitude", "longitude"]].to_numpy() - places).max() < 2e-6
        assert len(rejects) == len(drawn.dirty) + (name == "titles" and len(rejects) > len(drawn.dirty))
        if name in TEXT and "where" not in drawn.frame:  # an address runs over several lines
            lines = drawn.frame.index[drawn.frame["id"].isin(drawn.dirty)] + 2 + (name == "semicolons")
            assert rejects["line"].tolist() == lines.tolist()
