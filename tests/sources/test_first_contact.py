"""A city in one command: rows are asked for at its publisher, and the configuration that follows reads all of them."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from portal import Diverted, Portal, portal, reports, written
from publisher import Reply
from pyproj import Transformer

from stforecast.config import load, parse
from stforecast.errors import ConfigError, DataError, FetchError
from stforecast.events.examine import first_contact
from stforecast.events.examine.first_contact import init_city, init_url
from stforecast.events.ingest import ingest
from stforecast.events.sources import resolve
from stforecast.pipeline.fetching import fetch
from stforecast.pipeline.stages import Stages

to_crs = Transformer.from_crs("EPSG:4326", "EPSG:2232", always_xy=True).transform
NOW = pd.Timestamp("2026-11-01", tz="UTC")
CITIES = {
    "austin": ("socrata", "fdj4-gpfu"),
    "boulder": ("arcgis", "BPD_Offenses/FeatureServer/0"),
    "phoenix": ("ckan", "0ce3411a-2fc6-4302-a33f-167f68608a20"),
    "chandler": ("file", "download/csv"),
}
"""Publishers of which no more than the address is known, one a kind."""


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def look(city: str, server: Portal) -> tuple[dict, str]:
    """What `init` writes for a city, and all that it says."""
    said: list[str] = []
    target = init_city(city, None, said.append, NOW, Diverted(server))
    return yaml.safe_load(target.read_text()), "\n".join(said)


def fetched(city: str, server: Portal) -> pd.DataFrame:
    """The events of a city by its configuration, fetched and ingested."""
    stages = Stages(load(f"configs/{city}.yaml"), lambda line: None)
    fetch(stages, web=Diverted(server))
    stages.ingest()
    return pd.read_parquet(f"data/{city}/silver/events.parquet")


@pytest.mark.parametrize("city", CITIES)
def test_what_is_written_reads_the_table_as_it_reads_a_file(city, monkeypatch):
    monkeypatch.setattr(first_contact, "MOST", 200)
    kind, name = CITIES[city]
    frame = reports()
    with portal({name: frame if kind == "arcgis" else written(frame)}, limit=200) as server:
        values, said = look(city, server)
        events = fetched(city, server)
    source = values["source"]
    assert source["preset"] == city
    assert source["fetch"] is True
    assert [table["kind"] for table in source["tables"]] == [kind]
    assert values["known_time"] == "reported"
    assert source["columns"]["occurred"] == ["happened"]
    assert source["columns"]["event_id"] == ["key"]
    assert "never tried live" in said
    assert "licence: not known" in said
    assert ("a sample" in said) == (kind != "file")
    if kind in ("arcgis", "ckan"):  # the date that the catalogue names is not there
        assert source["tables"][0]["date"] == "told"
    written(frame).to_csv("all.csv", index=False)
    columns = source["columns"] | {"latitude": ["lat"], "longitude": ["lon"]}
    own = {**source, "columns": columns, "fetch": False, "tables": [], "times_are": "local"}
    expected = ingest(parse({"city": "x", "source": own}, "test"), [Path("all.csv")], NOW).frame
    assert len(events) == len(frame)
    same = ["event_id", "occurred_at", "latitude", "longitude", "category"]
    for column in same:
        assert sorted(events[column].astype(str)) == sorted(expected[column].astype(str)), column


@pytest.mark.parametrize("city", CITIES)
def test_rows_without_a_key_have_that_of_socrata_or_come_whole(city):
    kind, name = CITIES[city]
    frame = reports().drop(columns="key")
    with portal({name: frame if kind == "arcgis" else written(frame)}) as server:
        values, said = look(city, server)
    assert values["source"]["columns"].get("event_id") == ([":id"] if kind == "socrata" else None)
    assert ("every fetch of what has changed is a whole one" in said) == (kind != "socrata")


def test_the_publishers_own_id_comes_before_that_of_the_server():
    frame = written(reports()).rename(
        columns={"key": "id", "happened": "date", "what": "primary_type", "lat": "latitude", "lon": "longitude"}
    )
    frame = frame.assign(latitude=frame["latitude"] + 2.1, longitude=frame["longitude"] + 17.3).drop(columns="told")
    with portal({"ijzp-q8t2": frame}) as server:
        values, said = look("chicago", server)
        events = fetched("chicago", server)
    assert set(values["source"]) == {"preset", "fetch", "tables"}
    assert "its columns are in the header" in said
    assert set(events["event_id"]) <= set(frame["id"].astype(str))


def test_a_format_that_is_no_longer_the_publishers_is_left_out():
    with portal({"ijzp-q8t2": written(reports())}) as server:
        values, said = look("chicago", server)
    assert "preset" not in values["source"]
    assert values["source"]["columns"]["occurred"] == ["happened"]
    assert values["source"]["tables"][0]["dataset"] == "ijzp-q8t2"
    assert "the columns are not those of the format of chicago" in said


def test_tables_of_other_columns_and_those_that_are_gone_are_left_out_with_a_word():
    old, new = "044f2016-1dfd-4ab0-bc1e-065da05fca2e", "bd41992a-987a-4cca-8798-fbe1cd946b07"
    frame = written(reports())
    with portal({old: frame.rename(columns={"what": "CLASS"}), new: frame}) as server:
        values, said = look("pittsburgh", server)
        assert [table["dataset"] for table in values["source"]["tables"]] == [new]
        assert f"left out: data.wprdc.org {old}: it has other columns than the newest" in said
        assert f"left out: data.wprdc.org {old}" in Path("configs/pittsburgh.yaml").read_text()
        Path("configs/pittsburgh.yaml").unlink()
        del server.tables[old]
        values, said = look("pittsburgh", server)
        assert [table["dataset"] for table in values["source"]["tables"]] == [new]
        assert f"left out: data.wprdc.org {old}: " in said
        Path("configs/pittsburgh.yaml").unlink()
        server.tables = {old: frame, new: frame}
        values, said = look("pittsburgh", server)
        assert [table["dataset"] for table in values["source"]["tables"]] == [old, new]
        assert "left out" not in said


LAYERS = "/dcgis/rest/services/FEEDS/MPD/MapServer"


def test_the_layers_of_a_service_are_found_by_their_names():
    frame = reports().drop(columns=["told", "key"]).rename(columns={"happened": "START_DATE", "what": "OFFENSE"})
    frame = frame.assign(REPORT_DAT=frame["START_DATE"] + pd.Timedelta("3h"), lat=38.85 + (frame["lat"] - 39.65) / 3)
    frame = frame.assign(lon=frame["lon"] + 27.95, CCN=range(len(frame)))
    years = {2023: 0, 2024: 700}
    tables = {f"MapServer/{n}": frame[n * 700 : n * 700 + 700] for n in (0, 1)}
    with portal(tables) as server:
        names = [f"Crime Incidents in {year}" for year in years]
        server.pages[LAYERS] = {"layers": [{"id": i, "name": n} for i, n in enumerate([*names, "Stops"])]}
        values, _ = look("washington_dc", server)
    (table,) = values["source"]["tables"]
    assert table["dataset"] == "Crime Incidents*20??"
    assert values["source"]["preset"] == "washington_dc"


def test_milliseconds_are_taken_for_local_or_utc_by_their_hours_and_else_asked_for():
    local = reports()
    utc = local.assign(
        **{
            name: local[name].dt.tz_localize("America/Denver").dt.tz_convert("UTC").dt.tz_localize(None)
            for name in ("happened", "told")
        }
    )
    for frame, expected in ((local, "local"), (utc, None)):
        with portal({"FeatureServer/0": frame}) as server:
            values, said = look("boulder", server)
        assert values["source"].get("times_are") == expected
        assert "open: source.times_are" not in said
        Path("configs/boulder.yaml").unlink()
    with portal({"FeatureServer/0": local.head(60)}) as server:
        values, said = look("boulder", server)
    assert "times_are" not in values["source"]
    assert "open: source.times_are: the times are counted from 1970" in said
    assert "# ? times_are: the times are counted from 1970" in Path("configs/boulder.yaml").read_text()


DENVER = {
    "key": "OFFENSE_ID",
    "happened": "FIRST_OCCURRENCE_DATE",
    "told": "REPORTED_DATE",
    "what": "OFFENSE_CATEGORY_ID",
}


def test_the_milliseconds_of_a_known_format_are_judged_too():
    frame = reports().rename(columns=DENVER)
    frame = frame.assign(GEO_LAT=frame["lat"], GEO_LON=frame["lon"], OFFENSE_CATEGORY_ID="larceny")
    with portal({"FeatureServer/0": frame}) as server:
        service = "/zdB7qR0BtYrg0Xpl/arcgis/rest/services/ODC_CRIME_OFFENSES_P/FeatureServer"
        server.pages[service] = {"layers": [{"id": 0, "name": "CRIME"}]}
        values, _ = look("denver", server)
        events = fetched("denver", server)
    assert values["source"]["preset"] == "denver"
    assert values["source"]["times_are"] == "local"
    assert len(events) == len(frame)


def test_what_the_catalogue_knows_is_not_asked_for():
    frame = written(reports())
    x, y = to_crs(frame["lon"], frame["lat"])
    with portal({"download/csv": frame.drop(columns=["lat", "lon"]).assign(x_coord=x, y_coord=y)}) as server:
        _, said = look("chandler", server)
    assert "open: source.crs" in said
    assert "time_zone" not in said
    assert "subdivision" not in said
    config = load("configs/chandler.yaml")
    assert (config.grid.country, config.grid.subdivision) == ("US", "AZ")
    assert resolve(config.source).time_zone == "America/Phoenix"
    (credit,) = Stages(config, lambda line: None).credits()
    assert credit == "Police reports of Chandler, Arizona. Licence: not known; the publisher's page tells."


def test_what_no_rows_can_come_of_is_said():
    frame = written(reports())
    with portal({"fdj4-gpfu": frame}) as server:
        server.fault = lambda number, reply: Reply(b"<!DOCTYPE html><html>Sign in</html>", "text/html")
        with pytest.raises(FetchError, match=r"(?s)HTML page.*by hand from https://data.austintexas.gov.*init FILE"):
            look("austin", server)
        server.fault = lambda number, reply: Reply(b'{"error": "app token required"}', status=403)
        with pytest.raises(FetchError, match="set SOCRATA_APP_TOKEN"):
            look("austin", server)
        server.fault = None
        server.tables = {"fdj4-gpfu": frame.drop(columns=["lat", "lon"])}
        with pytest.raises(DataError, match="no column holds places"):
            look("austin", server)
        server.tables = {"fdj4-gpfu": frame.head(0)}
        with pytest.raises(DataError, match="no rows"):
            look("austin", server)
        server.fault = lambda number, reply: Reply(b'{"error": {"code": 499, "message": "Token Required"}}')
        with pytest.raises(FetchError, match="is not public: Token Required"):
            look("boulder", server)
    assert not list(Path().glob("configs/*")), "nothing is written"


def test_without_a_network_it_says_what_to_do():
    closed = Portal({})
    closed.server.server_close()
    for city in ("seattle", "louisville"):
        with pytest.raises(FetchError, match=r"by hand from https://.*then `stforecast init FILE`") as error:
            look(city, closed)
        assert error.value.exit_code == 7
    with pytest.raises(FetchError, match=r"no table of it can be fetched\. Download the reports by hand from https"):
        look("toronto", closed)


def test_a_configuration_that_is_there_is_not_written_over():
    with portal({"fdj4-gpfu": written(reports())}) as server:
        look("austin", server)
        asked = len(server.asked)
        with pytest.raises(ConfigError, match="is there already"):
            look("austin", server)
        assert len(server.asked) == asked


def test_an_address_gives_a_configuration_too():
    frame, said = written(reports()), []
    with portal({"abcd-1234": frame}) as server:
        url = f"{server.url}/Public-Safety/Police-Incidents/abcd-1234/about_data"
        target = init_url(url, None, said.append, NOW, Diverted(server))
    values = yaml.safe_load(target.read_text())
    assert values["city"] == "police_incidents"
    assert values["source"]["tables"] == [{"kind": "socrata", "url": server.url, "dataset": "abcd-1234"}]
    assert values["source"]["time_zone"] == "America/Denver"
    assert values["grid"]["country"] == "US"
    assert "licence and attribution: not known" in "\n".join(said)
