"""Fetching from a publisher that behaves: what is asked for, what comes, and that it is read as a file would be."""

from pathlib import Path

import pytest
from publisher import Publisher, serving
from publisher import Table as Records

from stforecast.config.sections import Table
from stforecast.sources.clients import client_of, single_tables
from stforecast.sources.fetch import fetch
from stforecast.sources.pulls import Pulls, fetched_folders
from stforecast.sources.web import Retry, Web

KINDS = ("socrata", "arcgis", "ckan", "file")


def rows(first: int, last: int, offence: str = "theft") -> dict[str, dict[str, str]]:
    """Rows by their case; a day has 100."""
    return {
        f"c{i}": {
            "case": f"c{i}",
            "date": f"2026-{1 + i // 2800:02}-{1 + i // 100 % 28:02}T12:{i % 60:02}:00",
            "offence": offence,
            "latitude": f"{39 + i / 1e5:.5f}",
            "longitude": "-104.9",
        }
        for i in range(first, last)
    }


def table_of(kind: str, publisher: Publisher) -> Table:
    path = {"arcgis": "/FeatureServer/0", "file": "/export.csv"}.get(kind, "")
    dataset = {"socrata": "abcd-1234", "ckan": "crimes"}.get(kind)
    date = "date" if kind in ("arcgis", "ckan") else None
    return Table(kind=kind, url=publisher.url + path, dataset=dataset, date=date)


def pull(table: Table, root: Path, keyed: bool = True, **options: object) -> list[bool]:
    web = Web(Retry(total=4, backoff_factor=0), pause=0)
    return [
        fetch(
            client_of(single, web, keyed),
            Pulls.open(root / "fetched" / single.name, {"table": single.model_dump(mode="json")}),
            lambda columns: None,
            lambda line: None,
            **options,
        )
        for single in single_tables(web, table)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_new_comes_with_a_request_a_page(kind: str, tmp_path: Path) -> None:
    records = Records()
    records.put(rows(0, 5000))
    with serving(records, limit=700) as publisher:
        table = table_of(kind, publisher)
        assert pull(table, tmp_path) == [True]
        records.put(rows(4990, 5100, "burglary"))
        asked = len(publisher.asked)
        assert pull(table, tmp_path) == [True]
        window = 14 * 100 + 200  # rows of the days that come again
        pages = {"socrata": 1, "file": 1}.get(kind, -(-window // 700))
        assert len(publisher.asked) - asked <= pages
        names = [folder.name for folder in fetched_folders(tmp_path)]
        assert names == (["0002-whole"] if kind == "file" else ["0001-whole", "0002-changes"])
        pull(table, tmp_path)  # the days that come again are other ones, once
        assert pull(table, tmp_path) == [False]


def test_rows_under_new_keys_take_the_place_of_all(tmp_path: Path) -> None:
    records = Records()
    records.put(rows(0, 3000))
    with serving(records, limit=700) as publisher:
        pull(table_of("socrata", publisher), tmp_path)
        records.rewrite()
        pull(table_of("socrata", publisher), tmp_path)
    assert [folder.name for folder in fetched_folders(tmp_path)] == ["0002-whole"]
