"""Looking into files: which column is what, by values under any header, and the configuration that follows."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml

from stforecast.config import load, parse
from stforecast.errors import ConfigError, DataError
from stforecast.events.examine.columns import Column
from stforecast.events.examine.entries import ConfigEntry, to_yaml
from stforecast.events.examine.init import describe_refusals, init, trial_ingest
from stforecast.events.examine.offence_columns import find_offence_column
from stforecast.events.examine.offence_words import LEFT_OUT, offence_group
from stforecast.events.examine.region import candidate_systems, padded_bounds, subdivisions_of
from stforecast.events.examine.sample import sample_files
from stforecast.events.examine.time_columns import find_time_columns
from stforecast.events.ingest import ingest

NOW = pd.Timestamp("2026-11-01", tz="UTC")
SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "samples"
HOURS = np.array(
    [36, 33, 31, 22, 20, 16, 18, 25, 39, 40, 49, 45, 36, 49, 54, 55, 57, 61, 63, 54, 54, 51, 49, 43], float
)
KINDS = ["THEFT", "BURGLARY", "ASSAULT", "ROBBERY", "MOTOR VEHICLE THEFT", "NARCOTICS", "OTHER OFFENSE"]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def record(rows=600):
    """Reports of a made-up Denver in which nothing but the values tells what a column is."""
    rng = np.random.default_rng(7)
    hours = rng.choice(24, rows, p=HOURS / HOURS.sum())
    times = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 300, rows) * 24 + hours, "h")
    times += pd.to_timedelta(rng.integers(0, 60, rows), "min")
    reported = times + pd.to_timedelta(np.round(rng.gamma(0.5, 900, rows)) + 1, "min")
    updated = reported.normalize() + pd.to_timedelta(rng.integers(20, 60, rows) * 24 * 60 + 38, "min")
    place = rng.integers(0, 200, rows)
    return pd.DataFrame(
        {
            "key": rng.permutation(rows) * 7 + 20230000,
            "updated": updated.strftime("%Y-%m-%d %H:%M:%S"),
            "reported": reported.strftime("%Y-%m-%d %H:%M:%S"),
            "occurred": times.strftime("%Y-%m-%d %H:%M:%S"),
            "day": times.strftime("%m/%d/%Y"),
            "clock": times.strftime("%H%M").str.lstrip("0").replace("", "0"),
            "hour": times.hour,
            "offence": np.array(KINDS)[rng.integers(0, len(KINDS), rows)],
            "street": [f"{n} MAIN ST" for n in place],
            "district": place % 4 + 1,
            "lat": np.round(39.65 + 0.05 * (place % 4) + 0.0002 * place, 6),
            "lon": np.round(-104.98 + 0.001 * (place % 17), 6),
        }
    )


def look(frame, name="reports.csv", city=None):
    """What `init` writes for a table, and what it says."""
    frame.to_csv(name, index=False)
    said = []
    target = init([name], city, said.append, NOW)
    return yaml.safe_load(target.read_text()), target.read_text(), said


def columns(values):
    return {
        field: names[0] if isinstance(names, list) else names for field, names in values["source"]["columns"].items()
    }


TRANSLATED = {
    "spanish": [
        "clave",
        "actualizado",
        "fecha denuncia",
        "fecha hecho",
        "tipo",
        "calle",
        "distrito",
        "latitud",
        "longitud",
    ],
    "german": ["Nummer", "geändert", "Anzeige", "Tatzeit", "Straftat", "Straße", "Bezirk", "Breite", "Länge"],
    "numbered": [f"x{n}" for n in range(9)],
}


@pytest.mark.parametrize("language", TRANSLATED)
def test_columns_are_found_by_their_values_whatever_the_header(language):
    frame = record()[["key", "updated", "reported", "occurred", "offence", "street", "district", "lat", "lon"]]
    names = dict(zip(frame, TRANSLATED[language], strict=True))
    values, _, said = look(frame.rename(columns=names))
    expected = ["occurred", "reported", "latitude", "longitude", "offence", "event_id", "district"]
    own = ["occurred", "reported", "lat", "lon", "offence", "key", "district"]
    assert columns(values) == {field: names[column] for field, column in zip(expected, own, strict=True)}
    assert values["known_time"] == "reported"
    assert values["source"]["time_zone"] == "America/Denver"
    assert values["grid"] == {"country": "US"}
    assert sum("→" in line for line in said) == 10
    events = ingest(parse(values, "test"), [Path("reports.csv")], NOW).frame
    assert set(events["category"]) == {"person", "vehicle", "property"}
    assert len(events) == record()["offence"].isin(KINDS[:5]).sum()


def test_a_day_beside_hhmm_is_one_occurrence_and_numbers_of_districts_are_no_hours():
    values, _, _ = look(record()[["key", "district", "day", "clock", "offence", "lat", "lon"]])
    found = columns(values)
    assert (found["occurred"], found["occurred_time"]) == ("day", "clock")
    assert values["source"]["date_order"] == "month_first"


def test_hours_alone_are_times_of_day():
    frame = record(2000)
    values, text, _ = look(frame[["district", "day", "hour", "offence", "lat", "lon"]].rename(columns={"hour": "x"}))
    assert columns(values)["occurred_time"] == "x"
    assert "whole hours" in text
    numbers = Column("district", 0, pa.array([str(n % 21 + 1) for n in range(500)], pa.large_string()))
    assert numbers.clock is None


def test_parts_of_a_date_are_put_together():
    frame = record()
    times = pd.to_datetime(frame["occurred"])
    parts = {part: getattr(times.dt, part) for part in ("year", "month", "day", "hour", "minute")}
    frame = pd.DataFrame({f"x_{n}": part for n, part in enumerate(parts.values())}).join(
        frame[["offence", "lat", "lon"]]
    )
    values, _, _ = look(frame)
    assert values["source"]["columns"]["occurred"] == dict(zip(parts, ["x_0", "x_1", "x_2", "x_3", "x_4"], strict=True))


def test_keys_are_no_times_and_times_since_1970_are():
    keys = Column("id", 0, pa.array([str(1_700_000_000 + 977 * n) for n in range(300)], pa.large_string()))
    assert keys.times is None
    millis = [str(1_700_000_000_000 + 60_000 * 997 * n) for n in range(300)]
    assert Column("t", 0, pa.array(millis, pa.large_string())).times is not None


def test_days_without_times_are_called_that():
    _, text, said = look(record()[["day", "offence", "lat", "lon"]])
    assert "step: day  # the dates bear no time of day" in text
    assert "will stop" not in said[-2]


@pytest.mark.parametrize("written", ["%d/%m/%Y", "%m/%d/%Y"])
def test_days_are_called_that_where_most_may_be_months_too(written):
    frame = record().drop(columns=["updated", "reported", "occurred", "clock", "hour"])
    day = pd.to_datetime(frame["day"], format="%m/%d/%Y")
    few = frame[day.dt.day <= 15].assign(day=day.dt.strftime(written))
    values, _, said = look(few)
    assert values["time"] == {"step": "day"}
    assert values["source"]["date_order"] == ("day_first" if written.startswith("%d") else "month_first")
    assert not [line for line in said if "will stop" in line]


def test_what_stops_an_ingest_is_shown_and_no_file_named_that_is_removed():
    record().to_csv("cut.csv", index=False)
    with Path("cut.csv").open("a") as file:
        file.write("401,2024-01-02 03")
    said = []
    init(["cut.csv"], None, said.append, NOW)
    assert "ingest will stop: cut.csv: line 602: the file ends in the middle of a row" in said[-2]
    assert "rejects.parquet" not in said[-2]
    assert any(line.startswith("  file cut short: 1 (such as cut.csv line 602") for line in said)


def test_an_open_order_of_dates_is_a_question_at_its_key():
    frame = record()
    day = pd.to_datetime(frame["occurred"])
    frame["when"] = (
        "0"
        + (day.dt.day % 9 + 1).astype(str)
        + "/0"
        + (day.dt.month % 9 + 1).astype(str)
        + day.dt.strftime("/%Y %H:%M")
    )
    values, text, said = look(frame[["when", "offence", "lat", "lon"]])
    assert "date_order" not in values["source"]
    assert "  # ? date_order: reports.csv: line 2:" in text
    assert "The ten rows take" in text
    assert "ingest will stop" in said[-2]
    assert "source.date_order" in said[-2]
    there = load("configs/reports.yaml", ["source.date_order=day_first"])
    assert len(ingest(there, [Path("reports.csv")], NOW).frame) > 300


def test_a_trial_that_stops_tells_the_refused_rows_and_no_folder_that_is_gone():
    frame = record()
    frame.loc[::5, "lat"] = np.nan
    frame.to_csv("reports.csv", index=False)
    names = {"occurred": ["occurred"], "latitude": ["lat"], "longitude": ["lon"], "offence": ["offence"]}
    source = {"columns": names, "time_zone": "America/Denver", "other": "any"}
    trial = trial_ingest(parse({"city": "here", "source": source}, "test"), [Path("reports.csv")])
    assert "120 of 600 rows refused" in trial.stop
    assert "rejects.parquet" not in trial.stop
    assert len(trial.rejects) == 120
    assert any(line.startswith("  no coordinates: 120 ") for line in describe_refusals(trial))


@pytest.mark.parametrize(
    ("zone", "mark", "times_are"), [("UTC", "", "utc"), ("America/Denver", "+00", "local"), ("UTC", "+00", None)]
)
def test_utc_is_found_by_the_hours_of_the_day_and_not_by_a_mark_alone(zone, mark, times_are):
    frame = record(2000)
    local = pd.to_datetime(frame["occurred"]).dt.tz_localize(
        "America/Denver", nonexistent="shift_forward", ambiguous=True
    )
    frame["occurred"] = local.dt.tz_convert(zone).dt.strftime("%Y-%m-%d %H:%M:%S") + mark
    values, text, _ = look(frame[["occurred", "offence", "lat", "lon"]])
    assert values["source"].get("times_are") == times_are
    assert ("the written offset from UTC counts" in text) == (times_are is None)


def test_metres_are_an_open_question_unless_degrees_stand_beside_them():
    from pyproj import Transformer

    frame = record().rename(columns={"occurred": "a", "offence": "b"})[["a", "b", "lat", "lon"]]
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:2232", always_xy=True).transform(frame["lon"], frame["lat"])
    both = frame.assign(x=np.round(x, 1), y=np.round(y, 1))
    assert columns(look(both, "both.csv")[0])["latitude"] == "lat"
    values, text, said = look(both.drop(columns=["lat", "lon"]))
    assert columns(values)["latitude"] == "y"
    assert "# ? crs: the coordinates are metres or feet" in text
    assert "EPSG:2232 would be at 39.7" in text
    assert "ingest will stop: source.time_zone: not given" in said[-2]
    assert said[-1].startswith("next: mend configs/")
    there = load("configs/reports.yaml", ["source.crs=EPSG:2232", "source.time_zone=America/Denver"])
    events = ingest(there, [Path("reports.csv")], NOW).frame
    assert events["latitude"].between(39.6, 39.9).all()


def test_points_of_geojson_are_the_places():
    rows = record().rename(columns={"occurred": "a", "offence": "b"})
    features = [
        {"type": "Feature", "properties": {"a": a, "b": b}, "geometry": {"type": "Point", "coordinates": [x, y]}}
        for a, b, x, y in rows[["a", "b", "lon", "lat"]].itertuples(index=False)
    ]
    Path("city.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    values = yaml.safe_load(init(["city.geojson"], None, lambda line: None, NOW).read_text())
    assert columns(values) == {"occurred": "a", "offence": "b"}
    assert values["source"]["time_zone"] == "America/Denver"


def test_all_columns_are_read_below_titles_and_of_several_files():
    Path("a.csv").write_text("Crime report,,\n,,\nid,when,what\n1,2024-01-01 10:00,THEFT\n")
    Path("b.csv").write_text("id,when,what,more\n2,2024-01-02 10:00,THEFT,1.5\n")
    sample = sample_files([Path("a.csv"), Path("b.csv")])
    assert {name: texts.to_pylist() for name, texts in sample.columns.items()} == {
        "id": ["1", "2"],
        "when": ["2024-01-01 10:00", "2024-01-02 10:00"],
        "what": ["THEFT", "THEFT"],
        "more": ["", "1.5"],
    }
    Path("c.csv").write_text("1,2024-01-01 10:00,39.7,-104.9\n2,2024-01-01 11:00,39.7,-104.9\n")
    with pytest.raises(DataError, match="no header with the names of the columns"):
        sample_files([Path("c.csv")])


@pytest.mark.parametrize(
    ("offence", "group"),
    [
        ("THEFT FROM MOTOR VEHICLE", "vehicle"),
        ("BIKE - STOLEN", "property"),
        ("ASSAULT W/DANGEROUS WEAPON", "person"),
        ("WEAPONS VIOLATION", LEFT_OUT),
        ("THEFT OF IDENTITY", LEFT_OUT),
        ("Robo a transeúnte", "person"),
        ("Robo de vehículo con violencia", "vehicle"),
        ("Furto de veículo", "vehicle"),
        ("Lesão corporal", "person"),
        ("Wohnungseinbruchdiebstahl", "property"),
        ("Diebstahl aus Kfz", "vehicle"),
        ("Vol avec violence", "person"),
        ("Cambriolage", "property"),
        ("Vol à main armée", "person"),
        ("Vols à la roulotte", "vehicle"),
        ("Räuberischer Diebstahl", "person"),
        ("SERIOUS CRIMINAL TRESPASS - RESIDENTIAL", "property"),
        ("TRESPASSING", LEFT_OUT),
        ("OTHER OFFENSE", None),
    ],
)
def test_words_tell_the_group_of_an_offence(offence, group):
    assert offence_group(offence) == group


def test_the_offence_is_the_column_with_words_of_offences():
    texts = {"weekday": ["Monday", "Friday"], "type": ["THEFT", "ASSAULT"], "place": ["STREET", "PARK"]}
    found = [
        Column(name, n, pa.array(values * 50, pa.large_string())) for n, (name, values) in enumerate(texts.items())
    ]
    assert find_offence_column(found).column == "type"


def test_a_language_without_known_words_leaves_the_column_of_offences_to_the_user():
    """All reports in one category stand as a question wherever a column may tell them apart."""
    frame = record()[["occurred", "lat", "lon", "street"]]
    values, _, said = look(frame.assign(druh=np.array(["Vloupání", "Napadení", "Loupež"])[np.arange(600) % 3]))
    assert values["source"]["other"] == "any"
    (asked,) = [line for line in said if line.startswith("open: source.other")]
    assert asked.endswith("its values: druh: Vloupání (200), Napadení (200), Loupež (200)")
    _, _, said = look(frame, "thefts.csv")
    assert not [line for line in said if line.startswith("open: source.other")]


def test_the_end_of_the_occurrence_lies_before_the_report():
    frame = record()
    frame["end"] = (pd.to_datetime(frame["occurred"]) + pd.Timedelta("1s")).dt.strftime("%Y-%m-%d %H:%M:%S")
    given = ["reported", "end", "updated", "occurred"]
    found = [Column(f"x{n}", n, pa.array(frame[name], pa.large_string())) for n, name in enumerate(given)]
    roles = {field: role.column for field, role in find_time_columns(found).items()}
    assert roles == {"occurred": "x3", "reported": "x0", "occurred_until": "x1"}


def test_bounds_leave_strays_out_and_subdivisions_are_named_only_where_sure():
    rng = np.random.default_rng(1)
    x, y = np.append(rng.uniform(10, 10.2, 1000), 50.0), np.append(rng.uniform(50, 50.1, 1000), 10.0)
    west, south, east, north = padded_bounds(x, y, True)
    assert 9.9 < west < 10 < 10.2 < east < 10.3
    assert 49.9 < south < 50 < 50.1 < north < 50.2
    assert subdivisions_of("AU", "Australia/Melbourne")[0] == "VIC"
    assert subdivisions_of("US", "America/Denver")[0] is None
    assert any(
        code == "EPSG:27700" and zone == "Europe/London" for code, *_, zone in candidate_systems(530_000, 180_000)
    )


def test_written_yaml_keeps_values_and_long_questions():
    entries = [
        ConfigEntry("a.b", ["x: y", "true"], "why"),
        ConfigEntry("a.c", question="what?\none\ntwo"),
        ConfigEntry("d.e", question="open " * 60),
    ]
    text = to_yaml(entries, "title")
    assert yaml.safe_load(text) == {"a": {"b": ["x: y", "true"]}}
    assert "  # ? c: what?\n  #     one\n  #     two\n" in text
    assert max(map(len, text.splitlines())) <= 120


def test_names_places_and_dates_that_are_missing_are_said():
    frame = record()
    with pytest.raises(DataError, match="no column holds dates"):
        look(frame[["offence", "lat", "lon"]])
    with pytest.raises(DataError, match="no column holds places"):
        look(frame[["occurred", "offence"]])
    with pytest.raises(ConfigError, match="Give one with --city"):
        look(frame, "---.csv")
    with pytest.raises(ConfigError, match="use only a to z"):
        look(frame, city="Sao Paulo")
    assert not list(Path().glob("configs/*"))


@pytest.mark.parametrize(
    ("preset", "sample"),
    [
        ("atlanta", "atlanta_apd_2000rows.csv"),
        ("boston", "boston_bpd_2023_2000rows.csv"),
        ("chicago", "chicago_cpd_publisher_2000rows.csv"),
        ("los_angeles", "losangeles_lapd_2020_modified_2000rows.csv"),
        ("new_york", "newyork_2014_2015_2000rows.csv"),
        ("st_louis", "stlouis_slmpd_july2017_2000rows.csv"),
        ("washington_dc", "washingtondc_mpd_2024_2000rows.csv"),
    ],
)
@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the folder shared/data beside the repository is absent")
def test_samples_of_publishers_give_the_events_of_their_preset(preset, sample):
    path = SAMPLES / sample
    assert yaml.safe_load(init([str(path)], "as_is", lambda line: None, NOW).read_text())["source"]["preset"] == preset
    header, _, rest = path.read_text(encoding="utf-8-sig").partition("\n")
    Path("plain.csv").write_text(",".join(f"x{n}" for n in range(header.count(",") + 1)) + "\n" + rest)
    values = yaml.safe_load(init(["plain.csv"], None, lambda line: None, NOW).read_text())
    assert "preset" not in values["source"]
    if preset == "st_louis":
        values["source"] |= {"crs": "ESRI:102696", "time_zone": "America/Chicago"}
    everything = {"categories": {"any": ["*"]}, "other": None, "max_rejects": 0.5}
    own = ingest(parse(values | {"source": values["source"] | everything}, "own"), [Path("plain.csv")], NOW)
    theirs = {"city": "theirs", "source": {"preset": preset, **everything}}
    known = ingest(parse(theirs, "theirs"), [path], NOW)
    assert abs(len(own.frame) - len(known.frame)) <= 0.01 * len(known.frame)
    times = [sample.frame["occurred_at"].value_counts() for sample in (own, known)]
    assert times[0].reindex(times[1].index, fill_value=0).clip(upper=times[1]).sum() >= 0.99 * len(known.frame)
    if len(own.frame) == len(known.frame):
        for axis in ("latitude", "longitude"):
            np.testing.assert_allclose(np.sort(own.frame[axis]), np.sort(known.frame[axis]), atol=1e-4)
