"""Erasing reports of a small trained city: nothing of them is left in any file, and nothing of them comes back."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import sqlite3
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_city import SMALL, config_of, holders, trained_at

from stforecast.cli import main
from stforecast.errors import ConfigError, DataError
from stforecast.events.forgotten import Forgotten
from stforecast.pipeline.forget import forget
from stforecast.pipeline.refresh import refresh
from stforecast.pipeline.stages import Stages

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, one_thread) -> Path:
    """A city with everything that holds reports: a run, its scores, a map with counts, a served grid, an analysis."""
    stages = trained_at(tmp_path_factory.mktemp("forget"))
    stages.evaluate()
    last = stages.cube().end
    stages.forecast([last - pd.Timedelta(days=1)])
    stages.map()
    refresh(stages, last + pd.Timedelta(days=400))
    return stages.config.root


@pytest.fixture
def root(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "city"))


def events_of(root: Path) -> pd.DataFrame:
    return pd.read_parquet(root / "data/quickstart/silver/events.parquet").set_index("event_id", drop=False)


def findable(root: Path, at: int) -> pd.Series:
    """An event that shares neither coordinates nor time with another."""
    events = events_of(root)
    shared = [events[name].duplicated(keep=False) for name in ("latitude", "longitude", "occurred_at")]
    return events[~np.any(shared, axis=0)].iloc[at]


def test_nothing_of_an_erased_report_is_left_and_it_stays_away(root: Path) -> None:
    lines: list[str] = []
    stages, events = Stages(config_of(root), lines.append), events_of(root)
    newest, event = findable(root, -1), findable(root, 700)
    bronze = root / "data/quickstart/bronze/offences.csv"
    publisher, before = bronze.read_bytes(), holders(root, event)
    assert {"events.parquet", "events.arrow", "offences.csv"} <= {Path(name).name for name in before}
    with closing(sqlite3.connect(root / "data/quickstart/forecasts.sqlite")) as store, store:
        day, second = f"{newest['occurred_at']:%Y-%m-%d}", f"{newest['occurred_at']:%Y-%m-%d %H:%M:%S}"
        store.execute("UPDATE grids SET facts = replace(facts, ?, ?)", (f'"{day}"', f'"{second}"'))  # as once written
        store.execute("UPDATE grids SET facts = ? || facts", (" " * 1_000_000,))  # on pages that nothing else needs
        names = "city, model, created, content, facts, digest"
        store.execute(
            f"INSERT INTO grids (issue_time, {names}) SELECT '2022-07-01 00:00:00.000000', {names} FROM grids"
        )
    assert any(name.startswith("data/quickstart/forecasts.sqlite") for name in holders(root, newest))
    run, data = stages.place.latest(), root / "data/quickstart"
    made = [*(run / name / "made from the record" for name in ("state", "predictions", "report")), data / "analysis/a"]
    for path in made:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    with closing(sqlite3.connect(root / "data/quickstart/forecasts.sqlite")) as service:
        service.execute("SELECT count(*) FROM grids").fetchall()  # whose open file keeps what was written ahead
        forget(stages, [event["event_id"], f" {newest['event_id']} "])
        assert not any(path.exists() for path in made)
        for one in (event, newest):
            assert holders(root, one) == []
    left = events_of(root)
    assert set(events.index) - set(left.index) == {event["event_id"], newest["event_id"]}
    pd.testing.assert_frame_equal(left, events.loc[left.index])
    rows = publisher.splitlines(keepends=True)
    gone = tuple(name.encode() for name in (event["event_id"], newest["event_id"]))
    assert bronze.read_bytes() == b"".join(row for row in rows if not row.startswith(gone))
    assert stages.simulated()
    assert any(f"run {run.name} has learned from what was known until 2022-" in line for line in lines)
    for name in (event["event_id"], newest["event_id"]):
        assert name not in stages.place.forgotten.read_text()
    bronze.write_bytes(publisher)  # as the next download would
    refresh(Stages(config_of(root), lambda _: None))
    pd.testing.assert_frame_equal(events_of(root), left)
    assert json.loads((root / "data/quickstart/silver/ingest.json").read_text())["left_out"]["erased on request"] >= 2


class Killed(BaseException):
    """What no handler catches."""


def test_a_kill_at_any_write_is_mended_by_the_same_command(root: Path, tmp_path: Path, monkeypatch) -> None:
    events, event = events_of(root), findable(root, 1000)
    real = {os: os.replace, shutil: shutil.rmtree}

    def attempt(folder: Path, writes: int) -> int:
        """Forget, killed after so many renames and removals; how many of these were left."""
        left = [writes]

        def counted(function, *args, **kwargs) -> None:
            if left[0] <= 0:
                left[0] = -1  # the dead do nothing more
                raise Killed
            left[0] -= 1
            function(*args, **kwargs)

        with monkeypatch.context() as patched:
            for module, function in real.items():
                patched.setattr(module, function.__name__, partial(counted, function))
            with suppress(Killed):
                forget(Stages(config_of(folder), lambda _: None), [event["event_id"]])
        return left[0]

    whole = 1000 - attempt(Path(shutil.copytree(root, tmp_path / "whole")), 1000)
    assert whole > 20
    for writes in range(0, whole, 3):
        folder = Path(shutil.copytree(root, tmp_path / str(writes)))
        assert attempt(folder, writes) == -1
        assert writes == 0 or Forgotten.open(folder / "data/quickstart/forgotten.json").has(event["event_id"])
        attempt(folder, 1000)
        assert holders(folder, event) == []
        assert Stages(config_of(folder), lambda _: None).simulated()
        pd.testing.assert_frame_equal(events_of(folder), events.drop(event["event_id"]))


def forget_by_command(root: Path, *options: str, capsys) -> tuple[int, str]:
    with pytest.raises(SystemExit) as left:
        main(["forget", "configs/quickstart.yaml", f"root={root}", *SMALL, *options])
    return int(left.value.code or 0), "".join(capsys.readouterr())


def test_ids_that_are_not_there_are_said_and_kept_away(root: Path, tmp_path: Path, capsys) -> None:
    event = findable(root, 7)
    names = tmp_path / "names.txt"
    names.write_text(f"{event['event_id']}\n\nR-unknown\n")
    code, said = forget_by_command(root, "--ids", str(names), capsys=capsys)
    assert code == 4
    assert "error: R-unknown: in no file of the record, and on the deny list all the same." in said
    assert "1 of 2 ids are in the record" in said
    assert holders(root, event) == []
    assert forget_by_command(root, "--id", "R-unknown", capsys=capsys)[0] == 0  # erased before
    with (root / "data/quickstart/bronze/offences.csv").open("a") as file:
        file.write("R-unknown,assault,2022-05-01 10:10:00,2022-05-01 10:40:00,39.0,-102.5\n")
    assert "R-unknown" not in Stages(config_of(root), lambda _: None).ingest().frame["event_id"].tolist()
    assert forget_by_command(root, capsys=capsys)[0] == 2


def test_the_publishers_file_elsewhere_is_not_touched(root: Path, tmp_path: Path) -> None:
    elsewhere = Path(shutil.move(root / "data/quickstart/bronze/offences.csv", tmp_path / "offences.csv"))
    content, lines, event = elsewhere.read_bytes(), [], findable(root, 3)
    stages = Stages(config_of(root, f"source.path={elsewhere}"), lines.append)
    forget(stages, [event["event_id"]])
    assert elsewhere.read_bytes() == content
    assert f"forget: {elsewhere}: the publisher's, not touched; ingest passes over 1 rows" in lines
    assert holders(root, event) == []
    stages.ingest()
    assert holders(root, event) == []


def test_a_record_without_ids_says_what_to_do(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"source.columns.event_id: not given, so that no report can be named"):
        forget(Stages(config_of(root, "source.columns.event_id=[]"), lambda _: None), ["R00000001"])


def test_a_copy_that_cannot_be_rewritten_is_an_error_when_all_else_is_done(root: Path) -> None:
    bronze, event = root / "data/quickstart/bronze", findable(root, 5)
    packed = bronze / "offences.csv.gz"
    packed.write_bytes(gzip.compress((bronze / "offences.csv").read_bytes()))
    (bronze / "offences.csv").unlink()
    with pytest.raises(DataError, match=r"offences.csv.gz, 1 rows: not text or Parquet, not rewritten. Replace it"):
        forget(Stages(config_of(root, f"source.path={packed}"), lambda _: None), [event["event_id"]])
    assert holders(root, event) == []  # the grep does not look into what is packed
    assert event["event_id"] not in events_of(root).index


def test_a_run_of_an_older_version_is_named_as_what_has_learned(root: Path) -> None:
    lines: list[str] = []
    stages, event = Stages(config_of(root), lines.append), findable(root, 700)
    old = root / "checkpoints/quickstart/0123456789"
    old.mkdir()
    (old / "config.yaml").write_text("city: quickstart\n")
    (old / "run.json").write_text('{"schema": 5}')
    forget(stages, [event["event_id"]])
    assert any("run 0123456789 has learned" in line and f"remove {old}" in line for line in lines)


@pytest.mark.parametrize("folder", ["silver", "gold", "partitions"])
def test_nothing_is_left_where_a_link_leads_to(root: Path, tmp_path: Path, folder: str) -> None:
    event, place, elsewhere = findable(root, 700), root / "data/quickstart" / folder, tmp_path / "disk"
    shutil.move(place, elsewhere)
    place.symlink_to(elsewhere)
    forget(Stages(config_of(root), lambda _: None), [event["event_id"]])
    assert not holders(tmp_path, event)
