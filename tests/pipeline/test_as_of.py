"""Forecasts from what was known on a past day, and known times that ingests have observed."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tiny_city import SMALL, config_of, trained_at

import stforecast as st
from stforecast.cli import main
from stforecast.config import Config
from stforecast.cube.build import build
from stforecast.delivery.export import open_grid
from stforecast.errors import ArtefactError, DataError
from stforecast.events.ingest import ingest
from stforecast.events.schema import EventTable
from stforecast.pipeline.doctor import city as doctor
from stforecast.pipeline.forget import forget
from stforecast.pipeline.loading import load_cube
from stforecast.pipeline.stages import Stages
from stforecast.pipeline.verification import verify

pytestmark = pytest.mark.usefixtures("one_thread")
DAY = pd.Timedelta(days=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, one_thread) -> Path:
    return trained_at(tmp_path_factory.mktemp("as-of")).config.root


@pytest.fixture
def root(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "city"))


def revise(root: Path) -> pd.Timestamp:
    """Let the publisher add, change and remove reports of the last days; when the old ones were still known."""
    path, before = root / "data/quickstart/bronze/offences.csv", pd.Timestamp.now("UTC")
    rows = pd.read_csv(path)
    rows.loc[rows.index[-60:-30], ["LATITUDE", "LONGITUDE"]] = rows[["LATITUDE", "LONGITUDE"]].iloc[:30].to_numpy()
    more = rows[-40:].assign(REPORT_ID=[f"N{i}" for i in range(40)])
    time.sleep(0.01)
    pd.concat([rows[:-20], more]).to_csv(path, index=False)
    return before


def by_command(*words: str) -> int:
    with pytest.raises(SystemExit) as left:
        main([*words])
    return int(left.value.code or 0)


def test_a_forecast_as_of_then_is_the_one_that_was_made_then(root: Path, tmp_path, capsys) -> None:
    stages = Stages(config_of(root, f"source.path={root}/data/quickstart/bronze/offences.csv"), lambda _: None)
    stages.ingest()
    issue = Stages(config_of(root), lambda _: None).cube().end
    made = open_grid(stages.forecast([issue])[0])
    before = revise(root)
    stages.ingest()
    now = open_grid(stages.forecast([issue])[0])
    then = open_grid(stages.forecast([issue], as_of=before)[0])
    assert not np.array_equal(now.intensity, made.intensity)
    np.testing.assert_array_equal(then.intensity, made.intensity)
    np.testing.assert_array_equal(then.usual, made.usual)
    assert any(line.startswith("The record is that of ") for line in then.assumptions)
    words = ["configs/quickstart.yaml", f"root={root}", *SMALL, f"source.path={stages.config.source.path}"]
    at = before.isoformat()
    assert by_command("forecast", *words, "--issue-time", f"{issue:%Y-%m-%dT%H:%MZ}", "--as-of", at) == 0
    np.testing.assert_array_equal(open_grid(stages.place.grid(issue)).intensity, made.intensity)
    assert by_command("ingest", *words, "--as-of", at, "--output", str(tmp_path / "then/silver")) == 0
    table = EventTable.open(tmp_path / "then/silver")
    pd.testing.assert_frame_equal(table.frame, stages.as_of(before).frame)
    assert by_command("ingest", *words, "--as-of", at) == 2
    assert by_command("ingest", *words, "--as-of", "yesterday", "--output", str(tmp_path / "x")) == 2
    assert by_command("ingest", *words, "--as-of", "2020-01-01", "--output", str(tmp_path / "x")) == 4
    assert by_command("ingest", *words, "--as-of", at, "--output", str(root)) == 5
    assert by_command("ingest", *words, "--as-of", at, "--output", str(stages.place.silver)) == 5
    said = capsys.readouterr()
    assert "'yesterday' is not a date or a time with Z or an offset" in said.err + said.out


def test_erased_reports_are_in_no_past_day_and_doctor_and_verify_know_the_folder(root: Path) -> None:
    said: list[str] = []
    stages = Stages(config_of(root), said.append)
    before = pd.Timestamp.now("UTC")
    events = EventTable.open(stages.place.silver).frame
    name = events["event_id"].iloc[500]
    forget(stages, [name])
    assert any("so that no past day is replayed with them" in line for line in said)
    pd.testing.assert_frame_equal(stages.as_of(before).frame, events[events["event_id"] != name].reset_index(drop=True))
    assert any(line.startswith("seen ") for line in doctor(stages))
    verify(stages)
    path = next(stages.place.seen.glob("events-*"))
    path.write_bytes(b"x" + path.read_bytes()[1:])
    with pytest.raises(ArtefactError, match="1 damaged"):
        verify(stages)
    assert any(str(path) in line for line in said)


def observed(tmp_path: Path, days: list[pd.DataFrame], first: pd.Timestamp, *more: str) -> Config:
    """A city whose publisher gives no report times, ingested once a day."""
    tmp_path.mkdir(exist_ok=True)
    path = tmp_path / "export.csv"
    columns = "{occurred: [OCCURRED_UTC], reported: [], offence: [OFFENSE], latitude: [LATITUDE], longitude: "
    columns += "[LONGITUDE], event_id: [REPORT_ID]}"
    settings = [f"source.path={path}", f"source.columns={columns}", "known_time=first_seen", *more]
    config = config_of(tmp_path, *settings)
    for number, rows in enumerate(days):
        rows.to_csv(path, index=False)
        ingest(config, now=first + number * DAY)
    return config


@pytest.fixture(scope="module")
def exports(trained) -> tuple[list[pd.DataFrame], pd.Timestamp]:
    """Exports of 31 days that lag three days behind, and the time of the first one."""
    rows = pd.read_csv(trained / "data/quickstart/bronze/offences.csv")
    times = pd.to_datetime(rows["OCCURRED_UTC"], utc=True)
    first = times.max().floor("D") - 28 * DAY + pd.Timedelta(hours=10)
    return [rows[times < first + (day - 3) * DAY] for day in range(31)], first


def test_an_event_is_known_from_its_first_sight(exports, tmp_path) -> None:
    days, first = exports
    config = observed(tmp_path, days, first)
    stages = Stages(config, lambda _: None)
    table = stages.ingest()
    cube = stages.build()
    assert cube.notes["known_time"] == "first_seen"
    seen = table.first_seen
    assert seen.isna().sum() == len(stages.as_of(first))
    new = (seen.notna() & table.frame["occurred_at"].lt(cube.end)).to_numpy()
    lag = (seen - table.frame["occurred_at"])[new]
    assert lag.min() >= 3 * DAY
    late = cube.known_hour > cube.hour
    assert cube.weight[late].sum() > 0.9 * new.sum()
    assert ((cube.known_hour[late] - 10 + cube.start.hour) % 24 == 0).all()
    text = next(line for line in cube.notes["fallbacks"] if line.startswith("Since the first ingest"))
    assert (
        f"{first:%Y-%m-%d %H:%M} UTC, it is observed when an event becomes known: {seen.notna().sum():,} events" in text
    )
    assert f"{seen.isna().sum():,} others count as known 0 hours after the hour it occurred in." in text


def test_nothing_that_is_first_seen_after_the_issue_time_reaches_a_forecast(exports, tmp_path) -> None:
    days, first = exports
    issue = first + 20 * DAY + pd.Timedelta(hours=1)
    other = [rows.copy() for rows in days]
    known = set(days[20]["REPORT_ID"])
    for rows in other[21:]:
        rows.loc[~rows["REPORT_ID"].isin(known), "OFFENSE"] = days[0]["OFFENSE"].iloc[0]
    late = days[0].sample(40, random_state=1).assign(REPORT_ID=[f"L{i}" for i in range(40)])
    other[21:] = [pd.concat([rows, late]) for rows in other[21:]]
    cubes = []
    for name, history in {"a": days, "b": other}.items():
        config = observed(tmp_path / name, history, first)
        table = EventTable.open(Stages(config, print).place.silver)
        cells = cubes[0].cells.tolist() if cubes else None
        cubes.append(build(table, config, cells, first))
    a, b = cubes
    step = a.step_of(issue)
    assert not np.array_equal(a.weight, b.weight) or not np.array_equal(a.known_hour, b.known_hour)
    both = [
        pd.DataFrame({column: getattr(cube, column)[cube.known_hour < step] for column in cube.event_columns})
        for cube in cubes
    ]
    pd.testing.assert_frame_equal(*both)
    model = st.RollingClimatology().fit(a, a.split(train=0.6, validation=0.1))
    forecasts = [model.predict(cube, issue).intensity for cube in cubes]
    np.testing.assert_array_equal(*forecasts)


def test_a_cube_of_then_has_the_known_times_of_then(exports, tmp_path) -> None:
    days, first = exports
    stages = Stages(observed(tmp_path, days, first), lambda _: None)
    whole, issue = stages.as_of(first + 40 * DAY), first + 20 * DAY + pd.Timedelta(hours=1)
    cube = build(whole, stages.config, None, first)
    then = build(stages.as_of(issue), stages.config, cube.cells.tolist(), first)
    now = (cube.known_hour < cube.step_of(issue)) & (cube.hour < then.steps)  # the record ended sooner then
    assert now.sum() > 1000
    for column in cube.event_columns:
        np.testing.assert_array_equal(getattr(then, column), getattr(cube, column)[now])


def test_a_table_of_ones_own_has_no_first_sight() -> None:
    times = pd.date_range("2024-01-01", periods=400, freq="150min")
    events = pd.DataFrame({"occurred_at": times, "latitude": 39.74, "longitude": -104.99, "category": "theft"})
    assert load_cube(events, time_zone="UTC").notes["known_time"] == "occurred"


def test_a_date_is_the_local_day_as_it_begins(root: Path) -> None:
    from stforecast.cli.times import record_time

    stages = Stages(config_of(root), lambda _: None)
    midnight = pd.Timestamp("2026-07-01", tz=stages.step.time_zone)
    assert record_time(stages.step, "2026-07-01") == midnight
    assert record_time(stages.step, "2026-07-01T00:00-06:00") == pd.Timestamp("2026-07-01T06:00Z")
    assert record_time(stages.step, None) is None
    with pytest.raises(DataError, match="is not known: the first ingest was"):
        stages.as_of(pd.Timestamp("2020-01-01T00:00Z"))
