"""A small simulated city from the publisher's file to the risk grid, as a user sees it."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from stforecast.cli import main
from stforecast.config import load
from stforecast.cube.store import SCHEMA_VERSION
from stforecast.files import read_json, write_json

SMALL = (
    *("synthetic.hexagons=30", "synthetic.days=120", "training.max_epochs=2", "training.warm_up_days=20"),
    *("training.truncation=7", "model.hidden=16", "training.device=cpu"),
)
FIT = Path("gcrn/progress/seed-0")
"""Where a run keeps its first network."""
FEW = "evaluation.forecasters=[gcrn, rolling_climatology]"
METRICS = {
    *("average_precision", "roc_auc", "log_loss", "brier", "poisson_deviance", "calibration_slope"),
    *("calibration_error", "pai_1", "pai_5", "pai_10", "pei_1", "pei_5", "pei_10", "hit_rate_1", "hit_rate_5"),
    *("hit_rate_10", "f1", "mae", "rmse", "r2"),
}
FORECASTERS = [
    *("gcrn", "rolling_climatology", "climatology", "hexagon_mean", "last_week", "hist_gradient_boosting"),
]
HOURS = [
    *("place", "hexagon", "valid_from", "valid_until", "local_hour", "category", "intensity", "risk", "rank"),
    *("usual", "issue_time", "model", "complete_until", "geometry"),
]
END = pd.Timestamp("2022-07-30T07:00Z")


@dataclass(frozen=True)
class Home:
    """A root with the small city in it, and the command line on it."""

    root: Path

    def call(self, verb: str, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a verb; later arguments win over the small city's."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
            main(self.command(verb, *arguments))
        assert isinstance(left.value.code, int)
        return left.value.code, out.getvalue(), err.getvalue()

    def command(self, verb: str, *arguments: str) -> list[str]:
        return [verb, "quickstart", f"root={self.root}", *SMALL, *arguments]

    def does(self, verb: str, *arguments: str) -> str:
        """Standard output of a verb that succeeds."""
        code, out, err = self.call(verb, *arguments)
        assert code == 0, err
        return out

    def refuses(self, code: int, said: list[str], verb: str, *arguments: str) -> None:
        """A verb leaves with `code` and one line that says all of `said`; only rejects and notes are written."""
        before = self.state()
        left, _, err = self.call(verb, *arguments)
        assert left == code, err
        assert err.startswith("error: ")
        assert err.count("\n") == 1, err
        for part in said:
            assert part in err
        after = self.state()
        changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        assert changed <= {self.silver.with_name("rejects.parquet"), self.silver.with_name("hashes.json")}

    def state(self) -> dict[Path, tuple[int, int]]:
        """Size and time of change of every file."""
        files = [path for path in self.root.rglob("*") if path.is_file() and path.suffix != ".lock"]
        return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in files}

    @property
    def bronze(self) -> Path:
        return self.root / "data" / "quickstart" / "bronze"

    @property
    def silver(self) -> Path:
        return self.root / "data" / "quickstart" / "silver"

    @property
    def gold(self) -> Path:
        return self.root / "data" / "quickstart" / "gold"

    @property
    def runs(self) -> Path:
        return self.root / "checkpoints" / "quickstart"

    @property
    def run(self) -> Path:
        return self.runs / (self.runs / "latest").read_text().strip()

    def grid(self, stamp: str) -> Path:
        return self.root / "data" / "quickstart" / "grids" / stamp

    def card(self) -> dict[str, Any]:
        return read_json(self.run / "scorecard.json")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, str]:
    """A city after `run`, and what the run said. Not to be changed."""
    home = Home(tmp_path_factory.mktemp("city"))
    return home, home.does("run")


@pytest.fixture
def home(finished: tuple[Home, str], tmp_path: Path) -> Home:
    """A copy of the finished city, times of change included, to do anything with."""
    shutil.copytree(finished[0].root, tmp_path / "home")
    return Home(tmp_path / "home")


def cut(path: Path, share: float = 0.5) -> None:
    """Lose the end of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


# what a run leaves


def test_run_writes_every_file_of_the_contract(finished: tuple[Home, str]) -> None:
    home, said = finished
    for path in ("silver/events", "silver/rejects", "gold/events", "gold/hexagons", "gold/hours"):
        assert len(pd.read_parquet(home.silver.parent / f"{path}.parquet"))
    assert read_json(home.gold / "cube.json")["schema_version"] == SCHEMA_VERSION
    assert (home.runs / "latest").read_text() == f"{home.run.name}\n"
    assert (home.run / FIT / "best.ckpt").is_file()
    assert (home.run / FIT / "last.ckpt").is_file()
    written = sorted(path.name for path in home.grid("20220730T070000Z").iterdir())
    tables = ["risk.csv", "risk.geojson", "risk.parquet", "risk_horizon.csv", "risk_horizon.parquet"]
    why = ["why.csv", "why.json", "why.parquet"]
    assert written == ["compare.csv", "compare.json", "grid.json", "map.html", "map.png", *tables, *why]
    assert not [path for path in home.root.rglob("*") if path.name.startswith(".")]
    last = said.splitlines()[-1]
    assert last.startswith("next: ")
    assert "map.html" in last
    assert "tensorboard --logdir" in last


def test_the_configuration_of_the_run_loads_to_what_was_run(finished: tuple[Home, str]) -> None:
    home, _ = finished
    config = load(home.run / "config.yaml")
    assert config == load("quickstart", home.command("run")[2:])
    assert yaml.safe_load((home.run / "config.yaml").read_text())["city"] == "quickstart"


def test_scorecard_holds_the_promised_metrics(finished: tuple[Home, str]) -> None:
    home, said = finished
    card = home.card()
    assert card["city"] == "quickstart"
    assert set(card["split"]) == {"train", "validation", "test"}
    assert list(card["forecasters"]) == FORECASTERS
    assert card["categories"] == ["theft", "violence", "damage"]
    for name, entry in card["forecasters"].items():
        assert entry.keys() >= METRICS
        assert list(entry["by_category"]) == card["categories"]
        for metrics in (entry, *entry["by_category"].values()):
            assert all(isinstance(metrics[key], float) for key in METRICS)
            assert 0 < metrics["average_precision"] < 1
        assert name in said
    assert list(card["differences"]) == [f"gcrn - {name}" for name in FORECASTERS[1:]]
    skill = {name: entry["skill"] for name, entry in card["forecasters"].items()}
    assert skill["rolling_climatology"] == 0
    assert max(skill.values()) < 1
    assert card["oracle"]["poisson_deviance"] < min(e["poisson_deviance"] for e in card["forecasters"].values())


def test_risk_grid_is_what_the_contract_says(finished: tuple[Home, str]) -> None:
    home, _ = finished
    folder = home.grid("20220730T070000Z")
    hours, day = (geopandas.read_parquet(folder / f"{name}.parquet") for name in ("risk", "risk_horizon"))
    assert hours.crs.to_epsg() == day.crs.to_epsg() == 4326
    of_day = [c for c in HOURS if c != "local_hour"]
    of_day[6:6] = ["low", "high"]
    for table, name, columns in ((hours, "risk", HOURS), (day, "risk_horizon", of_day)):
        assert list(table.columns) == columns
        text = pd.read_csv(folder / f"{name}.csv")
        assert list(text.columns) == columns
        assert len(text) == len(table)
        np.testing.assert_allclose(text["risk"], table["risk"], rtol=1e-6)
        assert not table.isna().any(axis=None)
        assert table.geometry.is_valid.all()
    assert len(hours) == 24 * 30 * 4
    assert (hours["issue_time"] == END).all()
    assert (hours["complete_until"] == END).all()
    assert hours["valid_from"].min() == END
    assert ((hours["valid_until"] - hours["valid_from"]) == pd.Timedelta(hours=1)).all()
    local = hours["valid_from"].dt.tz_convert("America/Denver").dt.hour
    assert (hours["local_hour"] == local).all()
    np.testing.assert_allclose(hours["risk"], -np.expm1(-hours["intensity"]), rtol=1e-5)
    cells = hours.pivot_table(index=["hexagon", "valid_from"], columns="category", values="intensity")
    np.testing.assert_allclose(cells["all"], cells[["theft", "violence", "damage"]].sum(axis=1), rtol=1e-5)
    for table, by in ((hours, ["valid_from", "category"]), (day, ["category"])):
        for _, part in table.groupby(by):
            ordered = part.sort_values("rank")
            assert ordered["rank"].tolist() == list(range(1, 31))
            assert ordered["risk"].is_monotonic_decreasing
    sums = hours.groupby(["hexagon", "category"])["intensity"].sum()
    np.testing.assert_allclose(
        day.set_index(["hexagon", "category"])["intensity"],
        sums[day.set_index(["hexagon", "category"]).index],
        rtol=1e-5,
    )
    assert set(hours["model"]) == {f"gcrn-{home.run.name}"}


def test_geojson_opens_in_gdal_with_a_feature_a_hexagon(finished: tuple[Home, str]) -> None:
    home, _ = finished
    path = home.grid("20220730T070000Z") / "risk.geojson"
    frame = geopandas.read_file(path)
    assert len(frame) == frame["hexagon"].nunique() == 30
    feature = json.loads(path.read_text())["features"][0]["properties"]
    assert len(feature["risk_by_step"]) == 24
    assert (path.parent / "map.png").read_bytes().startswith(b"\x89PNG")


def test_tensorboard_shows_scalars_and_images(finished: tuple[Home, str]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    home, _ = finished
    events = EventAccumulator(str(home.run / FIT))
    events.Reload()
    assert len(events.Scalars("validation/poisson_deviance")) == 2
    assert {"train/loss", "calibration/theft/slope"} <= set(events.Tags()["scalars"])
    assert set(events.Tags()["images"]) == {"reliability", "hit rate", "map"}


# doing only what is left to do


def test_a_second_run_does_nothing_again(home: Home) -> None:
    before = home.state()
    said = home.does("run")
    after = home.state()
    again = {path for path in after if after[path] != before.get(path)}
    assert again <= set(home.grid("20220730T070000Z").iterdir()) | {home.runs / "latest"}
    for line in ("silver is up to date", "gold is up to date", "is finished", "scorecard.json is up to date"):
        assert line in said


def test_a_setting_redoes_only_what_depends_on_it(home: Home) -> None:
    def changed(before: dict[Path, tuple[int, int]]) -> set[str]:
        after = home.state()
        return {str(path.relative_to(home.root)) for path in after if after[path] != before.get(path)}

    first, before = home.run, home.state()
    home.does("evaluate", "evaluation.patrol_area_km2=2")
    assert changed(before) == {f"checkpoints/quickstart/{first.name}/scorecard.json"}

    before = home.state()
    said = home.does("run", "evaluation.forecasters=[last_week, gcrn]")
    assert "train: gcrn is fitted" in said
    assert home.run == first
    assert list(home.card()["forecasters"]) == ["last_week", "gcrn"]
    assert not {name for name in changed(before) if "silver" in name or "gold" in name or name.endswith("ckpt")}

    before = home.state()
    home.does("run", "training.max_epochs=1", FEW)
    assert home.run != first
    assert not {name for name in changed(before) if "silver" in name or "gold" in name or first.name in name}

    before = home.state()
    home.does("build", "grid.min_events=2")
    assert changed(before) == {f"data/quickstart/gold/{path.name}" for path in home.gold.iterdir()}


def test_a_scorecard_of_an_older_version_is_made_again(home: Home) -> None:
    card = home.card()
    older = {key: value for key, value in card.items() if key != "blocks"}
    write_json(home.run / "scorecard.json", older)
    assert "scorecard.json is up to date" not in home.does("evaluate")
    assert home.card() == card


def test_another_pool_is_another_ensemble(home: Home) -> None:
    names = "evaluation.forecasters=[rolling_climatology, hexagon_mean, last_week, ensemble]"
    pools = [
        f"evaluation.ensemble=[{pool}]" for pool in ("rolling_climatology, hexagon_mean", "last_week, hexagon_mean")
    ]
    home.does("run", names, pools[0])
    first = home.card()["forecasters"]["ensemble"]["poisson_deviance"]
    home.refuses(5, ["holds no ensemble", "stforecast train"], "evaluate", names, pools[1])
    said = home.does("run", names, pools[1])
    assert "train: last_week is fitted" in said
    assert home.card()["forecasters"]["ensemble"]["poisson_deviance"] != first


def test_another_seed_is_another_city(home: Home) -> None:
    """The oracle must be that of the city in the files."""
    before = (home.bronze / "offences.csv").read_bytes()
    assert "simulated" in home.does("run", "seed=8", FEW)
    assert (home.bronze / "offences.csv").read_bytes() != before
    card = home.card()
    assert card["oracle"]["poisson_deviance"] < card["forecasters"]["rolling_climatology"]["poisson_deviance"]


def test_another_grid_than_the_simulated_one_has_no_oracle(home: Home) -> None:
    home.does("run", "grid.resolution=7", FEW)
    assert "oracle" not in home.card()


def interrupt(home: Home, how: signal.Signals, *arguments: str) -> tuple[Path, int, str]:
    """Send a signal to `run` once training has kept a checkpoint: the run's folder, exit code, standard error."""
    finished = home.run
    process = subprocess.Popen(
        [sys.executable, "-m", "stforecast", *home.command("run", *arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        # a shell's background job ignores Ctrl-C, and its children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        while not (
            kept := [run for run in home.runs.glob("*") if run != finished and (run / FIT / "last.ckpt").is_file()]
        ):
            assert process.poll() is None, "the run ended before it could be interrupted"
            time.sleep(0.005)
        process.send_signal(how)
        err = process.communicate()[1]
    finally:
        process.kill()
    assert not (kept[0] / "run.json").exists()
    assert home.run == finished  # `latest` is of a finished run only
    return kept[0], process.returncode, err


def test_a_killed_run_goes_on_to_the_identical_result(home: Home, tmp_path: Path) -> None:
    arguments = ("training.max_epochs=6", FEW)
    whole = Home(tmp_path / "whole")
    shutil.copytree(home.root, whole.root)
    run, _, _ = interrupt(home, signal.SIGKILL, *arguments)
    assert torch.load(run / FIT / "last.ckpt", weights_only=True)["epoch"] < 5
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for one in (home, whole):
            one.does("run", *arguments)
    finally:
        torch.set_num_threads(threads)
    assert home.run == run
    assert home.run.name == whole.run.name
    for name in ("best.ckpt", "last.ckpt"):
        resumed, uninterrupted = (
            torch.load(one.run / FIT / name, weights_only=True)["state_dict"] for one in (home, whole)
        )
        assert resumed.keys() == uninterrupted.keys()
        assert [key for key in resumed if not torch.equal(resumed[key], uninterrupted[key])] == []
    assert (home.run / "scorecard.json").read_text() == (whole.run / "scorecard.json").read_text()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_how_to_go_on(home: Home, how: signal.Signals) -> None:
    _, code, err = interrupt(home, how, "training.max_epochs=50", FEW)
    assert code == 130
    assert err == "stopped; run the same command again to go on\n"


def test_fresh_forgets_an_unfinished_run(home: Home) -> None:
    marker = home.run / "left"
    marker.touch()
    home.does("train", FEW, "--fresh")
    assert not marker.exists()
    assert (home.run / FIT / "best.ckpt").is_file()


# forecasts of other times and other records


def read(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "risk.parquet")


def test_forecast_in_the_past_at_another_hour(home: Home) -> None:
    said = home.does("forecast", "--issue-time", "2022-07-10T09:00-06:00")
    grid = read(home.grid("20220710T150000Z"))
    assert grid["valid_from"].min() == pd.Timestamp("2022-07-10T15:00Z")
    assert grid["complete_until"].max() == pd.Timestamp("2022-07-10T15:00Z")
    assert said.splitlines()[-1].startswith("next: open ")
    day_before = home.does("forecast", "--issue-time", "2022-07-09T15:00Z")
    assert "wrote" in day_before
    assert not np.allclose(read(home.grid("20220709T150000Z"))["intensity"], grid["intensity"])


def test_forecast_of_a_batch_equals_its_single_forecasts(home: Home) -> None:
    home.does("forecast", "--from", "2022-07-11T07:00Z", "--to", "2022-07-13T07:00Z")
    stamps = [f"202207{day}T070000Z" for day in (11, 12, 13)]
    batch = [read(home.grid(stamp)) for stamp in stamps]
    for stamp, grid in zip(stamps, batch, strict=True):
        home.does("forecast", "--issue-time", stamp)
        pd.testing.assert_frame_equal(read(home.grid(stamp)), grid)


def test_forecast_past_the_end_says_what_it_assumed(home: Home) -> None:
    said = home.does("forecast", "--issue-time", "2022-08-02T07:00Z")
    assert "The record ends 2022-07-30 07:00 UTC, 72 hours before the issue time" in said
    assert "The observed weather of the day before is missing: the forecast does without it." in said
    folder = home.grid("20220802T070000Z")
    assert (read(folder)["complete_until"] == END).all()
    facts = json.loads((folder / "risk.geojson").read_text())["metadata"]
    assert len(facts["assumptions"]) == 3


def test_map_lays_the_reports_since_over_a_grid(home: Home) -> None:
    home.does("forecast", "--issue-time", "2022-07-28T07:00Z")
    folder, other = home.grid("20220728T070000Z"), home.root / "map.html"
    assert "no reported counts" in home.does("map")  # the newest grid is of the hours after the record
    said = home.does("map", "delivery.smallest_count=1", "--issue-time", "2022-07-28T07:00Z", "--output", str(other))
    assert said.splitlines()[-1] == f"next: open {other}"
    found = re.search('<script id="view" type="application/json">(.*?)</script>', other.read_text())
    assert found is not None
    view = json.loads(found[1])
    counts = np.frombuffer(base64.b64decode(view["reported"]["counts"]), "<f4").reshape(3, 30)
    events = pd.read_parquet(home.gold / "events.parquet")
    start = pd.Timestamp(json.loads((home.gold / "cube.json").read_text())["start"])
    first = int((pd.Timestamp("2022-07-28T07:00Z") - start) / pd.Timedelta(hours=1))
    events = events[events["hour"].between(first, first + 23)]
    names = pd.read_parquet(home.gold / "hexagons.parquet")["hexagon"].to_numpy()
    expected = np.zeros((3, 30))
    place = pd.Index(view["hexagons"]).get_indexer(names[events["hexagon"]])
    np.add.at(expected, (events["category"], place), events["weight"])
    np.testing.assert_array_equal(counts, np.where(expected >= 1, expected, np.nan))
    assert np.isfinite(counts).sum() > 5
    assert (view["reported"]["least"], view["reported"]["never"]) == (1, [False] * 3)
    assert (folder / "map.html").read_text() != other.read_text()
    home.refuses(5, ["20220727T070000Z", "--issue-time"], "map", "--issue-time", "2022-07-27T07:00Z")


@pytest.mark.parametrize("model", FORECASTERS)
def test_every_forecaster_can_be_delivered(home: Home, model: str) -> None:
    home.does("forecast", "--model", model, "--issue-time", "2022-07-31T13:00Z")
    grid = read(home.grid("20220731T130000Z"))
    assert set(grid["model"]) == {f"{model}-{home.run.name}"}
    assert grid["risk"].between(0, 1, inclusive="neither").all()


@pytest.mark.parametrize("settings", [(), ("weather.path=null", "weather.forecast_path=null")])
def test_forecast_without_weather_just_works(home: Home, settings: tuple[str, ...]) -> None:
    if not settings:
        shutil.rmtree(home.bronze / "weather")
    said = home.does("forecast", *settings)
    assert "The observed weather of the day before is missing: the forecast does without it." in said
    assert "The weather forecast is missing: the forecast does without it." in said
    assert ("weather.path: data/quickstart/bronze/weather/weather.csv is absent" in said) == (not settings)


def test_forecast_with_weather_that_ends_early(home: Home) -> None:
    path = home.bronze / "weather" / "weather_forecast.csv"
    table = pd.read_csv(path)
    table[pd.to_datetime(table["time_utc"]) < END + pd.Timedelta(hours=6)].to_csv(path, index=False)
    said = home.does("forecast")
    assert "The weather forecast is missing for 18 of 24 hours" in said
    assert "No observed weather" not in said


def append(home: Home, days: int) -> None:
    """The last days of the publisher's file once more, as newer ones, and one event far outside the area."""
    path = home.bronze / "offences.csv"
    table = pd.read_csv(path, encoding="utf-8-sig", dtype=str)
    occurred = pd.to_datetime(table["OCCURRED_UTC"])
    new = table[occurred >= END.tz_localize(None) - pd.Timedelta(days=days)].copy()
    for name in ("OCCURRED_UTC", "REPORTED_UTC"):
        new[name] = (pd.to_datetime(new[name]) + pd.Timedelta(days=days)).dt.strftime("%Y-%m-%d %H:%M:%S")
    new["REPORT_ID"] = "N" + new["REPORT_ID"]
    far = new.iloc[[-1]].assign(REPORT_ID="F1", LATITUDE="39.15", LONGITUDE="-102.75")
    pd.concat([table, new, far]).to_csv(path, index=False, encoding="utf-8-sig", lineterminator="\r\n")


def test_events_appended_since_training_are_taken_in(home: Home) -> None:
    later = "2022-08-04T07:00Z"
    home.does("forecast", "--issue-time", "2022-07-28T07:00Z")
    home.does("forecast", "--issue-time", later)
    past, blind = read(home.grid("20220728T070000Z")), read(home.grid("20220804T070000Z"))
    run, checkpoint = home.run, (home.run / FIT / "best.ckpt").stat().st_mtime_ns
    append(home, days=5)
    said = home.does("forecast")
    assert "changed since" in said
    assert "its hexagons are kept" in said
    seen = read(home.grid("20220804T070000Z"))
    assert (seen["complete_until"] == pd.Timestamp(later, tz="UTC")).all()
    assert set(seen["hexagon"]) == set(blind["hexagon"])
    merged = seen.merge(blind, on=["hexagon", "valid_from", "category"])
    assert not np.allclose(merged["intensity_x"], merged["intensity_y"], rtol=1e-3)
    home.does("forecast", "--issue-time", "2022-07-28T07:00Z")
    pd.testing.assert_frame_equal(read(home.grid("20220728T070000Z")), past)  # nothing known later reaches it
    assert home.run == run
    assert (run / FIT / "best.ckpt").stat().st_mtime_ns == checkpoint


def test_a_run_after_events_were_appended_trains_anew_and_has_no_oracle(home: Home) -> None:
    first = home.run
    append(home, days=5)
    home.does("run", FEW)
    assert home.run != first
    assert "oracle" not in home.card()
    assert home.grid("20220804T070000Z").is_dir()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--issue-time", "2022-04-01T18:00Z"), 4, ["issue time 2022-04-01 18:00", "2022-04-02", "2022-08-06"]),
        (("--issue-time", "2022-12-03T06:00Z"), 4, ["issue time 2022-12-03 06:00", "ingest newer reports"]),
        (("--from", "2022-07-20T06:00Z", "--to", "2022-12-03T06:00Z"), 4, ["issue time", "2022-08-06"]),
        (("--model", "oracle"), 5, ["holds no oracle", "stforecast train"]),
        (("grid.resolution=9",), 3, ["grid.resolution", "trained at 8"]),
        (("source.categories={crime: ['*']}",), 3, ["source.categories", "theft, violence, damage", "Train again"]),
        (
            ("source.categories={theft: [burglary], violence: ['assault*', robbery], damage: ['vandal*', graffiti]}",),
            3,
            ["source.categories", "theft, damage took in other offences", "theft*, burglary", "train again"],
        ),
    ],
)
def test_a_forecast_that_cannot_be_is_refused(
    home: Home, arguments: tuple[str, ...], code: int, said: list[str]
) -> None:
    if arguments[0].startswith("source"):  # is ingested under the new categories first
        assert home.call("forecast", *arguments)[0] == code
    home.refuses(code, said, "forecast", *arguments)


# what goes wrong


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("source.time_zone=Denver",), 3, ["source.time_zone", "'Denver'", "America/Denver"]),
        (("source.time_zone=Mars/Olympus_Mons",), 3, ["source.time_zone", "Mars/Olympus_Mons"]),
        (("source.columns.occurred=[WHEN]",), 4, ["offences.csv", "'WHEN'", "OCCURRED_UTC", "source.columns.occurred"]),
        (("source.path=nowhere.csv",), 4, ["source.path", "nowhere.csv"]),
        (("grid.min_events=100000",), 4, ["no hexagon has", "grid.min_events"]),
        (("grid.area=nowhere.geojson",), 4, ["nowhere.geojson"]),
        (("weather.path=nowhere.csv",), 4, ["nowhere.csv: no such weather file", "weather.path"]),
        (("weather.channels={temperature_2m: kelvin}",), 3, ["weather.channels.temperature_2m", "'kelvin'"]),
        (("split.validation=2020-01-01",), 3, ["split", "validation"]),
        (("evaluation.forecasters=[gcrn, oracle]",), 3, ["evaluation.forecasters", "'oracle'", "last_week"]),
        (("evaluation.forecasters=[]",), 3, ["evaluation.forecasters"]),
        (("grid.resolutoin=8",), 3, ["grid.resolutoin", "doctor --keys"]),
        (("grid.resolution=high",), 3, ["grid.resolution", "'high'"]),
    ],
)
def test_a_wrong_setting_is_refused_by_run(home: Home, arguments: tuple[str, ...], code: int, said: list[str]) -> None:
    home.refuses(code, said, "run", *arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_a_gpu_that_is_not_there(home: Home) -> None:
    home.refuses(3, ["training.device", "training.device=auto"], "train", "training.device=gpu")


def test_stages_out_of_order_name_the_one_before(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.refuses(5, ["silver", "stforecast ingest"], "build")
    home.refuses(5, ["gold", "stforecast build"], "train")
    home.refuses(5, ["gold", "stforecast build"], "evaluate")
    home.refuses(5, ["latest", "stforecast train"], "forecast")
    home.does("ingest")
    home.does("build")
    home.refuses(5, ["training has not finished", "stforecast train"], "evaluate")


def test_a_city_without_files(tmp_path: Path) -> None:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(["run", "denver", f"root={tmp_path}"])
    assert left.value.code == 4
    assert "denver/bronze: no offence reports" in err.getvalue()
    assert not any(tmp_path.iterdir())


def test_a_truncated_csv(home: Home) -> None:
    (home.bronze / "offences.csv").write_bytes((home.bronze / "offences.csv").read_bytes()[:-20])
    home.refuses(4, ["offences.csv", "ends in the middle of a row", "Download it again"], "run")
    rejects = pd.read_parquet(home.silver.with_name("rejects.parquet")).set_index("line")
    assert rejects["reason"][rejects.index.max()] == "file cut short"


def test_a_truncated_gzip(home: Home, tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "offences.csv.gz"
    path.write_bytes(gzip.compress((home.bronze / "offences.csv").read_bytes()))
    cut(path)
    home.refuses(4, ["offences.csv.gz", "cut short", "Download it again"], "run", f"source.path={path}")


def new_schema(home: Home) -> None:
    path = home.gold / "cube.json"
    write_json(path, read_json(path) | {"schema_version": 99})


@pytest.mark.parametrize(
    ("damage", "said", "remedy"),
    [
        (lambda home: cut(home.silver / "events.parquet"), ["silver/events.parquet"], "ingest"),
        (lambda home: (home.silver / "events.parquet").unlink(), ["silver/events.parquet"], "ingest"),
        (lambda home: cut(home.gold / "events.parquet"), ["gold", "events.parquet"], "build"),
        (lambda home: (home.gold / "hours.parquet").unlink(), ["gold", "hours.parquet"], "build"),
        (lambda home: cut(home.gold / "cube.json"), ["cube.json"], "build"),
        (new_schema, ["cube.json", f"schema version 99, expected {SCHEMA_VERSION}"], "build"),
    ],
)
def test_damaged_tables_are_named_and_their_stage_mends_them(
    home: Home, damage: Callable[[Home], None], said: list[str], remedy: str
) -> None:
    damage(home)
    for verb in ("run", "forecast") if remedy == "ingest" else ("run", "train", "evaluate", "forecast"):
        home.refuses(5, [*said, f"stforecast {remedy}"], verb)
    assert "making it again" in home.does(remedy)
    assert home.does("run").count("is finished") == 1


def test_damage_inside_a_table_is_mended(home: Home) -> None:
    """The foot of the file says that all is well, and a page of it does not."""
    path = home.silver / "events.parquet"
    content = bytearray(path.read_bytes())
    content[50:1500] = bytes(1450)
    path.write_bytes(content)
    assert "making it again" in home.does("ingest")
    assert "up to date" in home.does("ingest")


@pytest.mark.parametrize(
    ("name", "content", "verb", "said"),
    [
        ("gcrn/seed-0.safetensors", None, "forecast", ["seed-0.safetensors", "stforecast train"]),
        ("gcrn/seed-0.safetensors", b"", "forecast", ["seed-0.safetensors", "stforecast train"]),
        ("run.json", None, "forecast", ["run.json", "again"]),
        ("run.json", b"[]", "evaluate", ["run.json", "stforecast train"]),
        ("run.json", b'{"schema": 1}', "forecast", ["run.json", "stforecast train"]),
        ("run.json", b'{"schema": 99}', "evaluate", ["run.json", "stforecast train"]),
        ("gcrn/calibration.json", None, "forecast", ["gcrn/calibration.json", "again"]),
        ("gcrn/calibration.json", b"{}", "forecast", ["gcrn/calibration.json", "stforecast train"]),
    ],
)
def test_a_damaged_run_is_named(home: Home, name: str, content: bytes | None, verb: str, said: list[str]) -> None:
    path = home.run / name
    path.write_bytes(path.read_bytes()[:40] if content is None else content)
    home.refuses(5, said, verb)
    before = home.card()
    home.does("run")
    assert home.card() == before


def test_a_damaged_last_checkpoint_stops_a_resumed_run(home: Home) -> None:
    (home.run / "run.json").unlink()
    (home.run / "gcrn" / "calibration.json").unlink()
    cut(home.run / FIT / "last.ckpt")
    left, _, err = home.call("train", FEW)
    assert left == 5
    assert "last.ckpt" in err
    assert err.count("\n") == 1
    assert home.does("train", FEW, "--fresh")


def test_latest_that_points_nowhere_is_mended_by_train(home: Home) -> None:
    run = home.run
    (home.runs / "latest").write_text("nowhere\n")
    home.refuses(5, ["latest", "nowhere", "stforecast train"], "forecast")
    home.does("train")
    assert home.run == run


# what it costs


def test_doctor_counts_the_cost_of_a_city(home: Home) -> None:
    said = home.does("doctor")
    assert "2,880 hours × 30 hexagons × 3 categories" in said
    assert said.count(" MB") >= 4
    new_schema(home)
    assert f"schema version 99, expected {SCHEMA_VERSION}" in home.does("doctor")
