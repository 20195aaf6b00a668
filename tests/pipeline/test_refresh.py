"""A refresh of a small trained city, as cron would run it."""

from __future__ import annotations

import contextlib
import fcntl
import io
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_city import SMALL, config_of, trained_at

from stforecast.cli import main
from stforecast.config.workspace import database
from stforecast.delivery.export import open_comparison, open_grid
from stforecast.delivery.store import Store
from stforecast.errors import ArtefactError, BusyError, DataError
from stforecast.pipeline.refresh import refresh
from stforecast.pipeline.run import Run
from stforecast.pipeline.stages import Stages

pytestmark = pytest.mark.usefixtures("one_thread")
END = pd.Timestamp("2022-07-10T07:00Z")
LATER = END + pd.Timedelta(days=400)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, one_thread) -> Path:
    return trained_at(tmp_path_factory.mktemp("refresh")).config.root


@pytest.fixture
def root(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "city"))


@pytest.fixture
def stages(root) -> Stages:
    return Stages(config_of(root), lambda _: None)


@pytest.fixture
def store(stages) -> Iterator[Store]:
    opened = Store(database(stages.config), stages.config.city)
    yield opened
    opened.close()


def add_reports(root: Path, day: str, count: int = 30) -> None:
    """What a publisher appends: `count` reports of a day."""
    with (root / "data/quickstart/bronze/offences.csv").open("a", encoding="utf-8") as file:
        for i in range(count):
            file.write(f"N{day}{i},assault,{day} {i % 24:02d}:10:00,{day} {i % 24:02d}:40:00,39.0,-102.5\n")


@contextlib.contextmanager
def held(root: Path, stage: str) -> Iterator[None]:
    """The lock of a stage, as another process holds it."""
    path = root / f"data/quickstart/locks/{stage}.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def fingerprints(folder: Path) -> dict[str, int]:
    """When each file was written, but for what forecasts keep for the next one."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "state"]
    return {str(path): path.stat().st_mtime_ns for path in files}


def test_a_refresh_puts_the_written_grid_into_the_store_and_never_trains(stages, store) -> None:
    before = fingerprints(stages.place.runs)
    number = refresh(stages, LATER)
    found, written = store.open(number), open_grid(stages.place.grid(END))
    assert store.state().current == number
    np.testing.assert_array_equal(found.grid.intensity, written.intensity)
    assert found.grid.issue_time == END
    assert found.facts["run"]["forecaster"] == "rolling_climatology"
    assert found.facts["record"]["events"] == found.facts["record"]["rows_read"] - sum(
        found.facts["record"]["rejected"].values()
    )
    assert 0 < found.facts["record"]["reporting_lag"]["median_hours"] < 24
    assert fingerprints(stages.place.runs) == before


def test_the_usual_week_goes_on_from_the_calibrated_climatology(stages, store) -> None:
    found = store.open(refresh(stages, LATER))
    cube, run = stages.cube(), Run(stages.place.latest())
    day = run.open("rolling_climatology", stages.config).forecast(cube, np.array([cube.steps])).intensity[0]
    order = np.argsort(cube.cells)
    local = found.grid.starts[:-1].tz_convert(cube.time_zone)
    for k, time_ in enumerate(local):
        lam = found.usual.slots[24 * time_.weekday() + time_.hour]
        np.testing.assert_allclose(lam, day[k][order], rtol=1e-3)
    assert found.usual.slots.shape == (168, cube.n, cube.c)
    weekly = found.usual.slots.sum((0, 1)) / 7
    np.testing.assert_allclose(weekly, day.sum((0, 1)), rtol=0.35)  # days of a week differ, but not by so much


def test_a_new_day_goes_on_from_what_was_kept_and_equals_a_replay(stages, store, root) -> None:
    refresh(stages, LATER)
    (path,) = (stages.place.latest() / "state").iterdir()
    assert path.name == "rolling_climatology-00.pt"  # a step of the day, which begins at local midnight
    before = path.read_bytes()
    for day in ("2022-07-10", "2022-07-11"):
        add_reports(root, day)
        warm = store.open(refresh(stages, LATER))
    assert path.read_bytes() != before
    stamp = path.stat().st_mtime_ns
    assert warm.grid.issue_time == END + pd.Timedelta(days=2)
    shutil.rmtree(path.parent)
    stages.forecast()
    assert path.stat().st_mtime_ns > stamp
    replayed = open_grid(stages.place.grid(warm.grid.issue_time))
    np.testing.assert_allclose(warm.grid.intensity, replayed.intensity, rtol=5e-6)
    np.testing.assert_allclose(warm.grid.usual, replayed.usual, rtol=5e-6)


def test_where_nothing_is_new_the_grid_stays_and_the_store_says_when_it_was_looked(stages, store) -> None:
    first = refresh(stages, LATER)
    made = store.open(first).created
    assert refresh(stages, LATER + pd.Timedelta(hours=1)) == first
    assert store.open(first).created == made
    assert store.state().succeeded == LATER + pd.Timedelta(hours=1)


def test_new_reports_are_taken_in(root, stages, store) -> None:
    first = refresh(stages, LATER)
    events = store.open(first).facts["record"]["events"]
    add_reports(root, "2022-07-10")
    add_reports(root, "2022-07-11")
    second = refresh(stages, LATER)
    assert second > first
    assert store.state().current == second
    assert store.open(second).facts["record"]["events"] > events
    assert store.open(second).grid.issue_time > END


def test_a_live_record_is_forecast_from_this_hour_on(stages, store) -> None:
    now = END + pd.Timedelta(hours=30, minutes=20)
    found = store.open(refresh(stages, now)).grid
    assert found.issue_time == END + pd.Timedelta(hours=30)
    assert found.complete_until == END
    assert any("30 hours before the issue time" in line for line in found.assumptions)


def test_a_failure_leaves_the_grid_and_says_why(root, stages, store) -> None:
    first = refresh(stages, LATER)
    (root / "data/quickstart/bronze/offences.csv").write_text("SOMETHING,ELSE\n1,2\n")
    with pytest.raises(DataError):
        refresh(stages, LATER)
    state = store.state()
    assert (state.current, state.attempted) == (first, LATER)
    assert "offences.csv" in state.error
    assert len(store.open(first).grid.hexagons) == 19


def test_without_a_run_it_says_to_train(root, stages, store) -> None:
    shutil.rmtree(stages.place.runs)
    with pytest.raises(ArtefactError, match="stforecast train"):
        refresh(stages, LATER)
    assert "stforecast train" in store.state().error
    assert store.state().current is None


def test_a_defect_is_recorded_by_name_alone(stages, store, monkeypatch) -> None:
    monkeypatch.setattr("stforecast.pipeline.refresh.usual_cycle", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        refresh(stages, LATER)
    assert store.state().error == "ZeroDivisionError, see its log"


def test_old_grids_go_with_their_folders(root, store) -> None:
    stages = Stages(config_of(root, "service.keep_days=1"), lambda _: None)
    stages.place.grid(END).with_name(".unfinished-1-20220710T070000Z").mkdir(parents=True)
    hours = [END + pd.Timedelta(hours=h) for h in (1, 30)]
    for now in hours:
        refresh(stages, now)
    assert sorted(path.name for path in stages.place.grid(END).parent.iterdir()) == ["20220711T130000Z"]
    assert store.open(store.state().current).grid.issue_time == hours[-1]


def test_a_second_refresh_leaves_at_once(root, stages) -> None:
    error = io.StringIO()
    with held(root, "refresh"):
        with pytest.raises(BusyError, match="another process is at work"):
            refresh(stages, LATER)
        with contextlib.redirect_stderr(error), pytest.raises(SystemExit) as left:
            main(["refresh", "configs/quickstart.yaml", f"root={root}", *SMALL])
    assert left.value.code == 6
    assert "is at work. Nothing was done here" in error.getvalue()


@pytest.mark.parametrize("stage", ["ingest", "build", "train", "evaluate", "backtest", "forecast", "report", "analyse"])
def test_a_stage_that_another_process_is_at_leaves_at_once_and_changes_nothing(root, stages, stage) -> None:
    if stage in ("ingest", "build"):
        shutil.rmtree(stages.place.silver if stage == "ingest" else stages.place.gold)
    before = results(root)
    error = io.StringIO()
    with held(root, stage), contextlib.redirect_stderr(error), pytest.raises(SystemExit) as left:
        main([stage, "configs/quickstart.yaml", f"root={root}", *SMALL])
    assert left.value.code == 6
    assert f"{stage}.lock" in error.getvalue()
    assert results(root) == before


def results(root: Path) -> dict[str, int]:
    return {path: when for path, when in fingerprints(root).items() if not path.endswith(".lock")}


def test_a_refresh_looks_whether_its_grid_is_there(stages, store) -> None:
    number = refresh(stages, LATER)
    grid = stages.place.newest_grid()
    whole = {path.name: path.read_bytes() for path in grid.iterdir()}
    (grid / "risk.csv").write_bytes(whole["risk.csv"][:-1])
    assert refresh(stages, LATER) > number
    assert {path.name: path.read_bytes() for path in grid.iterdir()} == whole
    shutil.rmtree(grid)
    refresh(stages, LATER)
    assert {path.name: path.read_bytes() for path in grid.iterdir()} == whole
    number = store.state().current
    assert refresh(stages, LATER) == number


def test_a_killed_refresh_holds_no_lock(root, stages, store) -> None:
    command = [sys.executable, "-m", "stforecast", "refresh", "configs/quickstart.yaml", f"root={root}", *SMALL]
    lock = root / "data/quickstart/locks/refresh.lock"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not lock.exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert refresh(stages, LATER) == store.state().current


def test_a_grid_is_compared_with_what_came_before(stages, store) -> None:
    day = pd.Timedelta(days=1)
    stages.forecast([END - 2 * day, END - day])
    refresh(stages, LATER)
    found = open_comparison(stages.place.grid(END))
    assert store.open(store.state().current).facts["comparison"] == found
    assert found["until"] == "2022-07-10T07:00:00Z"
    cube, table = stages.cube(), pd.DataFrame(found["table"])
    week = table[table["span"].eq("last_7_days") & table["district"].isna()].set_index("category")["reported"]
    dense = cube.dense(cube.steps - 7 * 24).numpy().sum((0, 1))
    assert week.to_dict() == {"all": dense.sum(), **dict(zip(cube.categories, dense, strict=True))}
    earlier = found["earlier"]
    assert (earlier["issue_time"], earlier["in_advance"]) == ("2022-07-09T07:00:00Z", False)
    assert earlier["categories"][0]["came"] == cube.dense(cube.steps - 24).numpy().sum()
    expected = open_grid(stages.place.grid(END - day)).intensity[-1, 0].sum()
    assert earlier["categories"][0]["expected"] == pytest.approx(expected, abs=1e-3)
    first = open_comparison(stages.place.grid(END - 2 * day))
    assert (first["until"], first["earlier"]) == ("2022-07-08T07:00:00Z", None)  # and nothing that came later
    drawn = stages.map(END).read_text()
    assert '"comparison":{"until":"2022-07-10T07:00:00Z"' in drawn
