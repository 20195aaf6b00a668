"""Fetching from a publisher that behaves: what is asked for, what comes, and that it is read as a file would be."""

from pathlib import Path

import pandas as pd
import pytest
from fetched_city import APIS, KINDS, bronze, manifest, pull, record, rows, stages_of, truth
from publisher import Table as Records
from publisher import serving

from stforecast.errors import ConfigError, DataError
from stforecast.sources import fetch as fetching
from stforecast.sources.pulls import fetched_folders


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_new_comes_with_a_request_a_page(kind: str, tmp_path: Path) -> None:
    records = Records()
    records.put(rows(0, 5000))
    with serving(records, limit=700) as publisher:
        stages = stages_of(tmp_path, publisher.url, kind)
        assert pull(stages)
        assert record(stages) == truth(records.rows)
        records.put(rows(4990, 5100, "burglary"))
        asked = len(publisher.asked)
        assert pull(stages)
        window = 14 * 100 + 200  # rows of the days that come again
        pages = {"socrata": 1, "file": 1}.get(kind, -(-window // 700))
        assert len(publisher.asked) - asked <= pages
        assert record(stages) == truth(records.rows)
        names = [folder.name for folder in fetched_folders(stages.place.bronze)]
        assert names == (["0002-whole"] if kind == "file" else ["0001-whole", "0002-changes"])
        pull(stages)  # the days that come again are other ones, once
        assert not pull(stages)


def test_rows_under_new_keys_take_the_place_of_all(tmp_path: Path) -> None:
    records = Records()
    records.put(rows(0, 3000))
    with serving(records, limit=700) as publisher:
        stages = stages_of(tmp_path, publisher.url, "socrata")
        pull(stages)
        records.rewrite()
        records.drop(["c5"])
        pull(stages)
        assert [folder.name for folder in fetched_folders(stages.place.bronze)] == ["0002-whole"]
        assert record(stages) == truth(records.rows)


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_that_becomes_none_goes(kind: str, tmp_path: Path) -> None:
    records = Records()
    records.put(rows(0, 300))
    with serving(records) as publisher:
        stages = stages_of(tmp_path, publisher.url, kind, categories={"theft": ["theft"]})
        pull(stages)
        records.put(rows(290, 291, "unfounded") | {"c291": rows(291, 292)["c291"] | {"latitude": "", "longitude": ""}})
        pull(stages)
        left = {case: row for case, row in records.rows.items() if case not in ("c290", "c291")}
        assert record(stages) == truth(left)
        records.put(rows(290, 291))
        pull(stages)
        assert record(stages) == truth(left | rows(290, 291))


@pytest.mark.parametrize("kind", KINDS)
def test_equal_rows_without_a_key_are_several_reports(kind: str, tmp_path: Path) -> None:
    records = Records()
    records.put({f"c{i}": rows(2, 3)["c2"] | {"case": f"c{i}"} for i in range(20)})
    with serving(records, limit=7) as publisher:
        stages = stages_of(tmp_path, publisher.url, kind, keyed=False)
        pull(stages)
        assert record(stages, keyed=False) == truth(records.rows, keyed=False)


@pytest.mark.parametrize("kind", APIS)
def test_what_was_withdrawn_shows_when_all_rows_come_again(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = Records()
    records.put(rows(0, 100))
    with serving(records, limit=30) as publisher:
        stages = stages_of(tmp_path, publisher.url, kind)
        pull(stages)
        records.drop(["c3"])
        records.put(rows(100, 101))
        pull(stages)
        monkeypatch.setattr(fetching, "WHOLE_AGAIN", pd.Timedelta(0))
        pull(stages)
        assert record(stages) == truth(records.rows)


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_that_is_gone_is_named_and_nothing_changes(kind: str, tmp_path: Path) -> None:
    records, said = Records(), list[str]()
    records.put(rows(0, 50))
    with serving(records, limit=30) as publisher:
        stages = stages_of(tmp_path, publisher.url, kind, said=said)
        pull(stages)
        before = bronze(stages)
        records.rename("offence", "crime_type")
        records.put({"c50": rows(50, 51)["c50"] | {"crime_type": "theft"}})
        for _ in range(2):
            with pytest.raises(DataError, match=r"offence.*crime_type"):
                pull(stages)
        assert bronze(stages) == before
        records.rename("crime_type", "offence")
        records.columns = (*records.columns, "weapon")
        records.put({case: row | {"weapon": "none"} for case, row in rows(0, 51).items()})
        pull(stages)
        assert any("new: weapon" in line for line in said)
        assert record(stages) == truth(records.rows)


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_that_lost_much_is_refused(kind: str, tmp_path: Path) -> None:
    records = Records()
    records.put(rows(0, 100))
    with serving(records) as publisher:
        stages = stages_of(tmp_path, publisher.url, kind)
        pull(stages)
        before = bronze(stages)
        records.drop([f"c{i}" for i in range(20)])
        with pytest.raises(DataError, match="max_shrink=1"):
            pull(stages, whole=True)
        assert bronze(stages) == before
        pull(stages_of(tmp_path, publisher.url, kind, max_shrink=1), whole=True)
        assert record(stages) == truth(records.rows)


@pytest.mark.parametrize("kind", ["arcgis", "ckan"])
def test_a_date_that_is_no_column_is_refused(kind: str, tmp_path: Path) -> None:
    records = Records()
    records.put(rows(0, 10))
    with serving(records) as publisher:
        stages = stages_of(tmp_path, publisher.url, kind)
        table = stages.config.source.tables[0].model_copy(update={"date": "reported"})
        wrong = stages_of(tmp_path, publisher.url, kind, tables=[table.model_dump(exclude_defaults=True)])
        with pytest.raises(ConfigError, match="reported"):
            pull(wrong)


@pytest.mark.parametrize("kind", ["arcgis", "ckan"])
def test_a_date_to_come_does_not_hide_what_is_new(kind: str, tmp_path: Path) -> None:
    records = Records()
    records.put(rows(0, 100) | rows(100, 101, day=60_000))
    with serving(records, limit=30) as publisher:
        stages = stages_of(tmp_path, publisher.url, kind)
        pull(stages)
        records.put(rows(101, 102))
        pull(stages)
        left = {case: row for case, row in records.rows.items() if case != "c100"}  # which is refused
        assert record(stages) == truth(left)


def test_the_manifest_says_what_was_asked_for_and_came(tmp_path: Path) -> None:
    records = Records()
    records.put(rows(0, 10))
    with serving(records) as publisher:
        stages = stages_of(tmp_path, publisher.url, "socrata")
        pull(stages)
        (whole,) = manifest(stages)["pulls"]
        (page,) = whole["files"].values()
        assert (whole["rows"], page["rows"], whole["asks"]) == (10, 10, "all rows")
        assert whole["columns"] == [":id", ":updated_at", "case", "date", "offence", "latitude", "longitude"]
        assert whole["fields"]["event_id"] == "case"
        assert manifest(stages)["table"]["url"] == publisher.url


def test_another_table_under_the_same_name_comes_whole(tmp_path: Path) -> None:
    records = Records()
    records.put(rows(0, 40))
    with serving(records, limit=15) as publisher, serving(records, limit=15) as other:
        pull(stages_of(tmp_path, publisher.url, "socrata"))
        other.fault = lambda asked, reply: reply if asked.number < 4 else (_ for _ in ()).throw(OSError)
        records.put(rows(40, 50))
        stages = stages_of(tmp_path, other.url, "socrata")
        with pytest.raises(Exception, match="no usable answer"):
            pull(stages)
        other.fault = None
        pull(stages)
        assert [folder.name for folder in fetched_folders(stages.place.bronze)] == ["0002-whole"]
        assert record(stages) == truth(records.rows)
