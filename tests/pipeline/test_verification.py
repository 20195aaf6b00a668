"""`stforecast verify` finds whatever is damaged, and --repair gives back what was there."""

from __future__ import annotations

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tiny_city import config_of, trained_at

from stforecast.errors import ArtefactError, BusyError
from stforecast.pipeline.refresh import refresh
from stforecast.pipeline.stages import Stages
from stforecast.pipeline.verification import verify

MADE_AT = ("simulated.json", "ingest.json", "partition.json", "hashes.json", "forecasts.sqlite")
"""Files that say when they were made."""


def stages_of(root: Path, said: list[str]) -> Stages:
    return Stages(config_of(root), said.append)


@pytest.fixture(scope="module")
def made(tmp_path_factory, one_thread) -> Path:
    stages = trained_at(tmp_path_factory.mktemp("verify"))
    stages.evaluate()
    refresh(stages)
    return stages.config.root


@pytest.fixture
def root(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "city"))


def contents(root: Path) -> dict[str, bytes]:
    files = [path for path in root.rglob("*") if path.is_file() and path.name not in MADE_AT]
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in files
        if not {"locks", "state", "partitions"} & {*path.parts} and "sqlite" not in path.name
    }


def test_a_whole_city_is_said_to_be_whole_and_nothing_is_written(made) -> None:
    said: list[str] = []
    before = contents(made)
    verify(stages_of(made, said))
    assert said == ["verify: all files of quickstart are whole"]
    assert contents(made) == before


@pytest.mark.parametrize(
    "pattern",
    [
        *("data/*/silver/events.parquet", "data/*/silver/rejects.parquet", "data/*/silver/ingest.json"),
        *("data/*/partitions/*/events.arrow", "data/*/gold/hours.parquet", "data/*/gold/cube.json"),
        *("data/*/grids/*/risk.csv", "data/*/grids/*/grid.json", "checkpoints/*/*/rolling_climatology/ends.json"),
        *("checkpoints/*/*/run.json", "checkpoints/*/*/config.yaml", "checkpoints/*/*/scorecard.json"),
        *("checkpoints/*/*/predictions/*/*/intensity.npy", "checkpoints/*/latest"),
    ],
)
def test_what_is_damaged_is_named_and_made_again(made, pattern) -> None:
    said: list[str] = []
    stages, before = stages_of(made, said), contents(made)
    path = next(iter(sorted(made.glob(pattern))))
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    with pytest.raises(ArtefactError, match=r"quickstart: 1 damaged, see above\. Run .*verify. with --repair"):
        verify(stages)
    assert str(path) in said[0]
    verify(stages, repair=True)
    assert said[-1] == "verify: all files of quickstart are whole"
    assert contents(made) == before


@pytest.mark.parametrize("damage", ["UPDATE grids SET issue_time = created", "not a database"])
def test_a_damaged_store_is_made_again_from_the_newest_run(root, damage) -> None:
    said: list[str] = []
    stages, path = stages_of(root, said), next(root.rglob("forecasts.sqlite"))
    if damage.startswith("UPDATE"):
        with sqlite3.connect(path) as connection:
            connection.execute(damage)
        connection.close()
    else:
        path.write_text(damage * 1000)
    with pytest.raises(ArtefactError, match="1 damaged"):
        verify(stages)
    assert "forecasts.sqlite" in said[0]
    verify(stages, repair=True)
    assert said[-1] == "verify: all files of quickstart are whole"


def test_a_run_of_other_settings_is_left_as_it_is(root) -> None:
    said: list[str] = []
    stages, other = stages_of(root, said), root / "checkpoints/quickstart/other"
    shutil.copytree(stages.place.latest(), other)
    (other / "scorecard.json").write_text("{}")
    for repair in (False, True):
        with pytest.raises(ArtefactError, match="1 damaged"):
            verify(stages, repair)
    assert (other / "scorecard.json").read_text() == "{}"


@pytest.mark.parametrize(
    "path",
    [
        *("data/quickstart/silver", "data/quickstart/gold", "checkpoints/quickstart/latest"),
        *("checkpoints/quickstart/*/run.json", "checkpoints/quickstart/*/hexagon_mean"),
    ],
)
@pytest.mark.parametrize("instead", ["nothing", "a file or a folder"])
def test_what_is_missing_below_a_result_is_named_and_made_again(made, path, instead) -> None:
    said: list[str] = []
    stages, before = stages_of(made, said), contents(made)
    gone = next(iter(sorted(made.glob(path))))
    was_folder = gone.is_dir()
    shutil.rmtree(gone) if was_folder else gone.unlink()
    if instead != "nothing":
        gone.touch() if was_folder else gone.mkdir()
    with pytest.raises(ArtefactError, match="damaged, see above"):
        verify(stages)
    assert any(str(gone) in line or gone.name in line for line in said)
    verify(stages, repair=True)
    assert said[-1] == "verify: all files of quickstart are whole"
    assert contents(made) == before


def test_nothing_is_removed_while_another_works_at_a_stage(root) -> None:
    stages = stages_of(root, [])
    (stages.place.latest() / "scorecard.json").write_text("{}")
    (stages.place.gold / "cube.json").write_text("{}")
    before = contents(root)
    with ThreadPoolExecutor(1) as other, stages.place.lock("train"), pytest.raises(BusyError):
        other.submit(verify, stages, True).result()
    assert contents(root) == before


def test_a_city_without_anything_is_whole(tmp_path) -> None:
    said: list[str] = []
    verify(stages_of(tmp_path, said), repair=True)
    assert said == ["verify: all files of quickstart are whole"]
