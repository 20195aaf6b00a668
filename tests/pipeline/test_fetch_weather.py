"""Weather that is fetched, from the configuration to the grid: what reaches a forecast, and what is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from open_meteo import OpenMeteoServer, open_meteo
from tiny_city import config_of

from stforecast.config import Config, dump, load
from stforecast.config.loading import parse
from stforecast.cube.newest_forecast import name_of, with_newest
from stforecast.errors import ConfigError, FetchError
from stforecast.pipeline.stages import Stages
from stforecast.pipeline.weather import fetch_weather, fetch_weather_first, lead_days
from stforecast.sources.web import Retry, Web

pytestmark = pytest.mark.usefixtures("one_thread")
WEB = Web(Retry(total=1, backoff_factor=0), pause=0)
HOUR = pd.Timedelta(hours=1)
FIRST, DAYS = pd.Timestamp("2024-06-01 06:00", tz="UTC"), 200
END = FIRST + pd.Timedelta(days=DAYS) + HOUR  # local midnight in winter
MORE = (
    "synthetic.first_day=2024-06-01",
    f"synthetic.days={DAYS}",
    "evaluation.forecasters=[hist_gradient_boosting]",
)


def city(root: Path, host: str, *more: str) -> tuple[Stages, list[str]]:
    said: list[str] = []
    weather = ("weather={source: open_meteo, host: '" + host + "'}",)
    return Stages(config_of(root, *MORE, *weather, *more), said.append), said


@pytest.fixture(scope="module")
def server() -> Iterator[OpenMeteoServer]:
    with open_meteo(f"{END + 30 * HOUR:%Y-%m-%d %H:%M}") as found:
        yield found


@pytest.fixture(scope="module")
def trained(server: OpenMeteoServer, tmp_path_factory, one_thread) -> tuple[Path, list[str]]:
    root = tmp_path_factory.mktemp("weather")
    stages, said = city(root, server.url)
    fetch_weather(stages, stages.ingest(), web=WEB, now=server.now)
    stages.build()
    stages.train()
    return root, said


@pytest.fixture
def root(trained, tmp_path) -> Path:
    return Path(shutil.copytree(trained[0], tmp_path / "city"))


def test_weather_is_of_the_days_and_the_middle_of_the_city(trained, server) -> None:
    root, said = trained
    folder = root / "data/quickstart/weather"
    asked = [one for one in server.asked if one["path"] == "/v1/archive"]
    assert [(one["latitude"], one["longitude"]) for one in asked] == [("39.0", "-102.5")]
    assert (asked[0]["start_date"], asked[0]["end_date"]) == ("2024-05-31", f"{server.now:%Y-%m-%d}")
    assert any("10,000 calls a day" in line and "CC BY 4.0" in line for line in said)
    manifest = json.loads((folder / "fetched/issued/manifest.json").read_text())
    assert manifest["licence"] == "CC BY 4.0"
    assert "Open-Meteo" in manifest["attribution"]
    stages, _ = city(root, server.url)
    cube = stages.cube()
    assert cube.weather.names == cube.future.names == ("temperature_2m", "precipitation", "wind_speed_10m")
    late = cube.step_of((server.now - pd.Timedelta(days=5)).floor("h"))
    hour = cube.times_of(np.arange(cube.steps)).hour
    np.testing.assert_allclose(cube.weather.values[: late - 240, 0], 10 + hour[: late - 240] / 10, rtol=1e-6)
    np.testing.assert_allclose(cube.weather.values[: late - 240, 1], 1 + (hour[: late - 240] + 1) % 24 / 10, rtol=1e-6)
    assert np.isnan(cube.weather.values[late:, 0]).all()  # masked, not filled with forecasts
    np.testing.assert_allclose(cube.future.values[: cube.steps, 0], 30 + hour / 10, rtol=1e-6)


def test_nothing_is_asked_for_twice(root: Path, server, monkeypatch) -> None:
    stages, said = city(root, server.url)
    before = len(server.asked)
    fetch_weather(stages, stages.ingest(), web=WEB, now=server.now)
    assert len(server.asked) == before
    stages.build()
    assert said[-1].endswith("is up to date")
    monkeypatch.setattr(server, "now", server.now + pd.Timedelta(days=25))
    for _ in range(2):  # once more, when the last days are settled, and never again
        fetch_weather(stages, stages.ingest(), web=WEB, now=server.now)
        asked = server.asked[before:]
        assert [one["path"] for one in asked] == ["/v1/archive", "/v1/forecast"]
        assert {one["end_date"] for one in asked} == {"2024-12-26"}
        assert all(one["start_date"] >= "2024-12-01" for one in asked)


def test_a_forecast_that_came_after_an_issue_does_not_reach_it(root: Path, server) -> None:
    stages, _ = city(root, server.url)
    cube, newest = stages.cube(), stages.place.weather / "newest"
    values = cube.future.values.copy()
    values[cube.steps :] = np.nan  # none archived yet
    cube = replace(cube, future=replace(cube.future, values=values))
    (path,) = newest.glob("*.csv")
    came = END - 30 * pd.Timedelta(minutes=1)
    path.rename(newest / name_of(came))
    for issue in (END - 24 * HOUR, END - HOUR):  # an older issue is replayed
        found, filled, since = with_newest(cube, stages.config.weather, newest, issue)
        assert found is cube
        assert since is None
        assert not filled.any()
    later = END + 24 * HOUR
    found, filled, since = with_newest(cube, stages.config.weather, newest, later)
    issue = cube.step_of(later)
    assert since == came
    assert filled[issue : issue + 24].all()
    np.testing.assert_array_equal(found.future.values[:issue], values[:issue])  # nor does the issue of the day before
    np.testing.assert_allclose(found.future.values[issue : issue + 24, 0], 50.5, atol=2.5)


def test_what_is_known_later_changes_no_forecast(root: Path, server) -> None:
    stages, _ = city(root, server.url)
    issue = END - 20 * 24 * HOUR
    (first,) = [grid_of(path) for path in stages.forecast([issue])]
    folder = stages.place.weather
    for path, gone in ((folder / "observed.csv", issue), (folder / "forecast.csv", issue + 24 * HOUR)):
        table = pd.read_csv(path, index_col=0)
        late = pd.to_datetime(table.index, utc=True) >= gone
        assert late.any()
        table[late] = table[late] * 0 + 9.9
        table.to_csv(path)
    for path in (folder / "newest").glob("*.csv"):
        table = pd.read_csv(path, index_col=0)
        (table * 0 + 1).to_csv(path)
    (second,) = [grid_of(path) for path in stages.forecast([issue])]
    pd.testing.assert_frame_equal(first, second)
    table = pd.read_csv(folder / "forecast.csv", index_col=0)
    (table * 0 - 9.9).clip(lower=0).to_csv(folder / "forecast.csv")
    (third,) = [grid_of(path) for path in stages.forecast([issue])]
    assert not second.equals(third)  # what is known before does


def grid_of(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "risk.parquet")


def test_the_grid_says_what_it_lacked(root: Path, server) -> None:
    stages, said = city(root, server.url)
    forecast = stages.place.weather / "forecast.csv"
    table = pd.read_csv(forecast, index_col=0)
    table[pd.to_datetime(table.index, utc=True) < END + 24 * HOUR].to_csv(forecast)
    stages.forecast([END + 24 * HOUR, END + 48 * HOUR])
    assert any("Observed weather comes about 5 days late" in line for line in said)
    assert any("observed weather of the day before is missing" in line for line in said)
    assert any("weather forecast is missing: the forecast" in line for line in said)
    said.clear()
    for path in (stages.place.weather / "newest").glob("*.csv"):
        path.rename(path.with_name(name_of(END + 10 * HOUR)))
    stages.forecast([END + 24 * HOUR])
    assert any("is the newest one of 2024-12-18 17:00 UTC: made nearer to its hours" in line for line in said)
    shutil.rmtree(stages.place.weather)
    said.clear()
    stages.forecast([END])
    assert any("observed weather of the day before is missing" in line for line in said)
    assert any("weather forecast is missing" in line for line in said)


def test_without_a_network_a_run_goes_on_without_weather(tmp_path: Path) -> None:
    stages, said = city(tmp_path, "http://127.0.0.1:9", "evaluation.forecasters=[rolling_climatology]")
    with pytest.raises(FetchError):
        fetch_weather(stages, stages.ingest(), web=WEB)
    fetch_weather_first(stages, stages.ingest(), web=WEB)
    assert any("goes on with what was fetched before" in line for line in said)
    stages.build()
    stages.train()
    stages.forecast()
    assert any("No observed weather was read: Open-Meteo's was not at hand" in line for line in said)
    assert any("No weather forecast was read" in line for line in said)


def test_what_is_not_wanted_is_not_fetched(tmp_path: Path, server) -> None:
    stages, said = city(tmp_path, server.url, "weather.path=null", "evaluation.forecasters=[rolling_climatology]")
    before = len(server.asked)
    fetch_weather(stages, stages.ingest(), web=WEB, now=server.now)
    assert {one["path"] for one in server.asked[before:]} == {"/v1/forecast"}
    cube = stages.build()
    assert not cube.weather.names
    assert cube.future.names
    stages.train()
    stages.forecast()
    assert not any("observed weather" in line.lower() for line in said)


def test_weather_that_was_hardly_learned_from_is_not_read(tmp_path: Path) -> None:
    with open_meteo("2024-04-01 00:00") as early:
        more = ("synthetic.first_day=2023-06-01", "synthetic.days=270")  # archived forecasts begin in 2024
        stages, _ = city(tmp_path, early.url, *more)
        fetch_weather(stages, stages.ingest(), web=WEB, now=early.now)
        cube = stages.build()
    assert cube.weather.names
    assert not cube.future.names


@pytest.mark.parametrize(
    ("bounds", "centre"),
    [("[170, -10, -170, 10]", 180.0), ("[178, -10, -176, 10]", -179.0), ("[-103, 38, -102, 39]", -102.5)],
)
def test_the_middle_may_lie_beyond_the_180th_meridian(tmp_path: Path, bounds: str, centre: float) -> None:
    from stforecast.pipeline.weather import _place

    stages, _ = city(tmp_path, "http://127.0.0.1:9", f"source.bounds={bounds}")
    found = _place(stages.config, None, {})
    assert abs(found.longitude) == centre if centre == 180 else found.longitude == centre


def test_without_bounds_it_is_where_the_reports_lie(tmp_path: Path) -> None:
    from stforecast.pipeline.weather import _place

    class Table:
        def columns(self, names: object) -> pd.DataFrame:
            return pd.DataFrame({"latitude": [-17.0, -18, -19, np.nan], "longitude": [179.0, 179.5, -179.2, np.nan]})

    stages, _ = city(tmp_path, "http://127.0.0.1:9", "source.bounds=null")
    found = _place(stages.config, Table(), {})
    assert (found.latitude, found.longitude) == (-18.0, 179.5)
    before = {"latitude": -18.05, "longitude": 179.55}
    assert _place(stages.config, Table(), before).latitude == -18.05  # it has hardly moved


def test_steps_ask_for_the_lead_of_their_last_hour() -> None:
    config = load("configs/quickstart.yaml")
    assert lead_days(config) == 1
    days = config.model_copy(update={"time": type(config.time)(step="day", horizons=7)})
    assert lead_days(days) == 7
    assert lead_days(config.model_copy(update={"time": type(config.time)(step="month", horizons=1)})) is None


def test_the_configuration_names_the_files_and_reads_itself_back(tmp_path: Path) -> None:
    config = parse({"city": "denver", "weather": {"source": "open_meteo"}}, "x")
    assert config.weather.path == "data/denver/weather/observed.csv"
    assert list(config.weather.channels) == ["temperature_2m", "precipitation", "wind_speed_10m"]
    (tmp_path / "x.yaml").write_text(dump(config))
    assert load(tmp_path / "x.yaml") == config
    without = parse({"city": "denver", "weather": {"source": "open_meteo", "path": None}}, "x")
    assert without.weather.path is None
    assert without.weather.forecast_path is not None
    for wrong, match in (
        ({"source": "open_meteo", "path": "own.csv"}, "weather.path: its source writes"),
        ({"source": "open_meteo", "observed_as_forecast": True}, "forecasts are fetched"),
        ({"host": "https://x"}, "beside source"),
        ({"source": "open_meteo", "host": "ftp://x"}, "begins with https"),
    ):
        with pytest.raises(ConfigError, match=match):
            parse({"city": "denver", "weather": wrong}, "x")
    assert Config(city="x").weather.source is None
