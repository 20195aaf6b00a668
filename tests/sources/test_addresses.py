"""What is at an address is found by what answers there."""

import pytest
from portal import Diverted, portal, reports, written
from publisher import Reply

from stforecast.errors import ConfigError, FetchError
from stforecast.sources.addresses import table_at

ITEM, RESOURCE = "0123456789abcdef" * 2, "b973d8cb-eeb2-4e7e-99da-c92938efc9c0"
SERVICE = "/arcgis/rest/services/Crime/FeatureServer"


@pytest.fixture
def server():
    frame = reports(20)
    tables = {
        "abcd-1234": written(frame),
        "Crime/FeatureServer/0": frame,
        "Crime/FeatureServer/7": frame,
        RESOURCE: written(frame),
        "crimes.csv": written(frame),
    }
    with portal(tables) as found:
        resource = {"id": RESOURCE, "name": "Crimes", "format": "CSV", "datastore_active": True}
        found.pages = {
            SERVICE: {"layers": [{"id": 0, "name": "Crime"}]},
            "/two/FeatureServer": {"layers": [{"id": 0, "name": "2025"}], "tables": [{"id": 7, "name": "2026"}]},
            f"/sharing/rest/content/items/{ITEM}": {"title": "Police reports", "url": f"{found.url}{SERVICE}"},
            "/api/3/action/resource_show": {"success": True, "result": resource},
            "/api/3/action/package_show": {"success": True, "result": {"resources": [resource, {"format": "PDF"}]}},
            "/page.html": Reply(b"<!doctype html><p>Crime data", "text/html"),
        }
        yield found


SOCRATA = {"kind": "socrata", "dataset": "abcd-1234"}
LAYER = {"kind": "arcgis", "url": f"{SERVICE}/0"}
CKAN = {"kind": "ckan", "dataset": RESOURCE}


@pytest.mark.parametrize(
    ("path", "expected", "name"),
    [
        ("/d/abcd-1234", SOCRATA, None),
        ("/resource/abcd-1234.json?$limit=5", SOCRATA, None),
        ("/api/views/abcd-1234/rows.csv?accessType=DOWNLOAD", SOCRATA, None),
        ("/Police/Crimes-2020-present/abcd-1234/about_data", SOCRATA, "Crimes-2020-present"),
        (f"{SERVICE}/0", LAYER, "Crime"),
        (f"{SERVICE}/0/query?where=1%3D1", LAYER, "Crime"),
        (SERVICE, LAYER, "Crime"),
        (f"/home/item.html?id={ITEM}", LAYER, "Police reports"),
        (f"/datasets/{ITEM}_0/about", LAYER, "Police reports"),
        (f"/dataset/crimes/resource/{RESOURCE}", CKAN, "crimes"),
        ("/dataset/crimes", CKAN, "crimes"),
        (f"/api/3/action/datastore_search?resource_id={RESOURCE}", CKAN, "Crimes"),
        ("/files/crimes.csv", {"kind": "file", "url": "/files/crimes.csv"}, "crimes"),
    ],
)
def test_a_table_is_found(server, path, expected, name, monkeypatch):
    monkeypatch.setattr("stforecast.sources.addresses.ONLINE", server.url)
    table, named = table_at(Diverted(server), server.url + path)
    assert table.model_dump(exclude_defaults=True) == {
        **expected,
        "url": server.url + expected.get("url", ""),
    }
    assert name in (None, named)


def test_several_tables_are_listed_with_the_command_to_type(server):
    with pytest.raises(ConfigError, match=r"(?s)holds 2 tables.*init --url http\S+/two/FeatureServer/7   # 2026"):
        table_at(Diverted(server), f"{server.url}/two/FeatureServer")
    both = [{"id": f"{n}" * 8, "name": str(n), "format": "csv", "url": f"{server.url}/{n}.csv"} for n in (1, 2)]
    server.pages["/api/3/action/package_show"] = {"success": True, "result": {"resources": both}}
    with pytest.raises(ConfigError, match=r"init --url \S+/dataset/crimes/resource/22222222   # 2, csv"):
        table_at(Diverted(server), f"{server.url}/dataset/crimes")


def test_what_is_no_table_is_said_with_what_would_be_one(server, monkeypatch):
    monkeypatch.setattr("stforecast.sources.addresses.ONLINE", server.url)
    with pytest.raises(FetchError, match=r"HTML page.*Known are pages"):
        table_at(Diverted(server), f"{server.url}/page.html")
    with pytest.raises(FetchError, match=r"status 404.*Known are pages"):
        table_at(Diverted(server), f"{server.url}/d/wxyz-9876")
    with pytest.raises(ConfigError, match="begins with https://"):
        table_at(Diverted(server), "data.seattle.gov/d/tazs-3rd5")


def test_an_answer_that_names_a_private_address_elsewhere_is_not_followed(server):
    about = {"id": "x", "format": "CSV", "url": "http://127.0.0.1:1/secret.csv"}
    server.pages["/api/3/action/resource_show"] = {"success": True, "result": about}
    with pytest.raises(FetchError, match="a private address"):
        table_at(Diverted(server), f"{server.url}/dataset/crimes/resource/other")
