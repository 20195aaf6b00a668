"""What was fetched is checked, erased from, and told apart from what was not."""

from __future__ import annotations

from pathlib import Path

import pytest
from fetched_city import APIS, KINDS, bronze, pull, record, rows, stages_of, truth
from publisher import Reply, serving
from publisher import Table as Records

from stforecast.errors import ArtefactError, ConfigError, FetchError
from stforecast.events.forgotten import Forgotten
from stforecast.pipeline import forget as forgetting
from stforecast.pipeline.fetching import fetch_first
from stforecast.pipeline.verification import verify
from stforecast.sources.pulls import Pulls, last_checked


def records_of(number: int = 50) -> Records:
    found = Records()
    found.put(rows(0, number))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_verify_finds_what_was_changed_removed_or_added(kind: str, tmp_path: Path) -> None:
    with serving(records_of(), limit=20) as publisher:
        said: list[str] = []
        stages = stages_of(tmp_path, publisher.url, kind, said=said)
        pull(stages)
        verify(stages)
        path = sorted(stages.place.bronze.glob("fetched/*/*/*"))[0]
        whole = path.read_bytes()
        for wrong in (whole[:-20], whole.replace(b"theft", b"arson"), None):
            path.unlink() if wrong is None else path.write_bytes(wrong)
            with pytest.raises(ArtefactError, match="1 damaged"):
                verify(stages)
            assert path.name in said[-1]
        path.write_bytes(whole)
        verify(stages)
        path.with_name("extra.csv").write_bytes(whole)
        with pytest.raises(ArtefactError):
            verify(stages)
        assert "was not fetched" in said[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_an_erased_report_leaves_bronze_and_stays_out_of_silver(kind: str, tmp_path: Path) -> None:
    with serving(records_of(), limit=20) as publisher:
        stages = stages_of(tmp_path, publisher.url, kind)
        pull(stages)
        record(stages)
        Forgotten().with_ids({"c7": ("event_id", "incident_id")}).write(stages.place.forgotten)
        assert forgetting._rewrite(stages) == []
        assert not any(b"c7" in path.read_bytes() for path in stages.place.bronze.glob("fetched/*/*/*"))
        verify(stages)
        left = {case: row for case, row in publisher.table.rows.items() if case != "c7"}
        assert record(stages) == truth(left)
        publisher.table.put(rows(5, 9, "burglary"))
        pull(stages)
        verify(stages)
        left = {case: row for case, row in publisher.table.rows.items() if case != "c7"}
        assert record(stages) == truth(left)
        pull(stages, whole=True)
        assert record(stages) == truth(left)


def test_erasing_goes_on_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(records_of(), limit=20) as publisher:
        stages = stages_of(tmp_path, publisher.url, "ckan")
        pull(stages)
        Forgotten().with_ids({"c7": ("event_id", "incident_id")}).write(stages.place.forgotten)
        erase = forgetting.erase

        def killed(*arguments: object, **more: object) -> object:
            erase(*arguments, **more)
            raise KeyboardInterrupt

        monkeypatch.setattr(forgetting, "erase", killed)
        with pytest.raises(KeyboardInterrupt):
            forgetting._rewrite(stages)
        monkeypatch.setattr(forgetting, "erase", erase)
        forgetting._rewrite(stages)
        verify(stages)


def test_a_table_that_was_never_fetched_stops_a_run(tmp_path: Path) -> None:
    with serving(records_of()) as publisher, serving(records_of()) as other:
        tables = [{"kind": "file", "url": f"{each.url}/export.csv"} for each in (publisher, other)]
        said: list[str] = []
        stages = stages_of(tmp_path, publisher.url, "file", said=said, tables=tables, fetch=True)
        other.fault = lambda asked, reply: Reply(b"no", status=404)
        with pytest.raises(FetchError):
            fetch_first(stages)
        other.fault = None
        fetch_first(stages)
        other.fault = lambda asked, reply: Reply(b"no", status=404)
        fetch_first(stages)
        assert "fetch: goes on with what was fetched before" in said
        alone = stages_of(tmp_path, publisher.url, "file", tables=tables[:1], said=said)
        pull(alone)
        assert any("is of no table of source.tables" in line for line in said)


def test_when_the_publisher_was_asked_is_noted_where_nothing_is_new(tmp_path: Path) -> None:
    with serving(records_of()) as publisher:
        stages = stages_of(tmp_path, publisher.url, "socrata")
        pull(stages)
        first = last_checked(stages.place.bronze)
        pull(stages)
        assert str(last_checked(stages.place.bronze)) > str(first)


@pytest.mark.parametrize("kind", APIS)
def test_a_pull_whose_pages_are_lost_is_begun_anew(kind: str, tmp_path: Path) -> None:
    with serving(records_of(), limit=10) as publisher:
        stages = stages_of(tmp_path, publisher.url, kind)
        publisher.fault = lambda asked, reply: reply if asked.number < 5 else Reply(b"no", status=400)
        with pytest.raises(FetchError):
            pull(stages)
        assert bronze(stages) == {}
        for path in stages.place.bronze.glob("fetched/*/.*/*"):
            path.unlink()
        publisher.fault = None
        pull(stages)
        assert record(stages) == truth(publisher.table.rows)


def test_layers_of_a_service_are_tables_of_their_own(tmp_path: Path) -> None:
    with serving(records_of()) as publisher:
        table = {"kind": "arcgis", "url": f"{publisher.url}/FeatureServer", "dataset": "Crime *", "date": "date"}
        stages = stages_of(tmp_path, publisher.url, "arcgis", tables=[table], fetch=True)
        pull(stages)
        assert record(stages) == truth(publisher.table.rows)
        none = stages_of(tmp_path / "other", publisher.url, "arcgis", tables=[table | {"dataset": "Fire"}])
        with pytest.raises(FetchError, match="Crime 2026"):
            pull(none)


def test_two_tables_with_pages_of_one_name_are_not_mixed(tmp_path: Path) -> None:
    with serving(records_of()) as publisher, serving(Records()) as other:
        other.table.put(rows(50, 90))
        tables = [{"kind": "socrata", "url": publisher.url, "dataset": "abcd-1234"}]
        tables += [{"kind": "socrata", "url": other.url, "dataset": "efgh-5678"}]
        stages = stages_of(tmp_path, "", "socrata", tables=tables)
        other.answer = lambda path, query, headers, body, answer=other.answer: answer(  # type: ignore[method-assign]
            path.replace("efgh-5678", "abcd-1234"), query, headers, body
        )
        pull(stages)
        assert record(stages) == truth(rows(0, 90))


def test_a_city_without_tables_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"source\.tables"):
        pull(stages_of(tmp_path, "", "file", tables=[]))


def test_a_manifest_that_is_damaged_is_named(tmp_path: Path) -> None:
    with serving(records_of()) as publisher:
        stages = stages_of(tmp_path, publisher.url, "file")
        pull(stages)
        (path,) = stages.place.bronze.glob("fetched/*/manifest.json")
        path.write_text(path.read_text()[:-9])
        with pytest.raises(ArtefactError, match="Remove its folder"):
            pull(stages)
        with pytest.raises(ArtefactError):
            Pulls.open(path.parent, {})
