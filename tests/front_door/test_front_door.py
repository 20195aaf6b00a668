"""The Python API as a user types it: cubes from tables, fits, forecasts, comparisons, and a forecaster of one's own."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from own_forecaster import Persistence

import stforecast as st
from stforecast.config import load
from stforecast.errors import ArtefactError, ConfigError, DataError
from stforecast.forecasters import registry
from stforecast.pipeline.stages import Stages
from stforecast.testing import check_forecaster, small_city

SMALL = ("synthetic.hexagons=19", "synthetic.days=100", "training.max_epochs=1", "training.warm_up_days=20")


@pytest.fixture(scope="module")
def cube(tmp_path_factory: pytest.TempPathFactory) -> st.Cube:
    return st.load_cube("quickstart", f"root={tmp_path_factory.mktemp('city')}", *SMALL)


@pytest.fixture(scope="module")
def split(cube: st.Cube) -> st.Split:
    return cube.split(train=0.75, validation=0.08)


@pytest.fixture(scope="module")
def model(cube: st.Cube, split: st.Split) -> st.Forecaster:
    return st.GCRN(hidden=8, max_epochs=1, warm_up_days=20, device="cpu").fit(cube, split)


def test_the_import_is_light() -> None:
    code = (
        "import sys, time; began = time.perf_counter(); import stforecast; took = time.perf_counter() - began;"
        "heavy = {'torch', 'pandas', 'numpy', 'sklearn'} & {*sys.modules}; assert not heavy, heavy; print(took)"
    )
    took = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert float(took) < 3  # a tenth of that on a machine that does nothing else
    assert {"GCRN", "load_cube", "evaluate"} <= {*dir(st)}
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        st.Nothing  # noqa: B018


def test_every_name_is_there() -> None:
    for name in st.__all__:
        assert getattr(st, name) is not None


@pytest.mark.parametrize("module", ["pipeline.loading", "testing"])
def test_examples_of_docstrings(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"stforecast.{module}"))
    assert found.attempted
    assert not found.failed


def test_fit_forecast_and_compare(cube: st.Cube, split: st.Split, model: st.Forecaster, tmp_path: Path) -> None:
    time = cube.time_of(int(split.issues("test")[2]))
    forecast = model.predict(cube, time.isoformat())
    assert forecast.issue_times[0] == time
    frame, data = forecast.to_frame(), forecast.to_xarray()
    assert len(frame) == forecast.intensity.size
    row = frame.iloc[1000]
    inside = {"step": (row["time"] - time) / pd.Timedelta(hours=1), "hexagon": row["hexagon"]}
    chosen = data.sel(issue_time=time.tz_convert(None), category=row["category"], **inside)
    assert float(chosen["intensity"]) == row["intensity"]
    assert row["risk"] == pytest.approx(-np.expm1(-row["intensity"]))
    assert len(forecast.plot("theft").axes) == 2
    opened = st.Forecast.load(forecast.save(tmp_path / "forecast"))
    pd.testing.assert_frame_equal(opened.to_frame(), frame)
    assert opened.spreads == forecast.spreads
    assert opened.complete_until == forecast.complete_until
    (tmp_path / "forecast" / "forecast.parquet").write_bytes(b"damaged")
    with pytest.raises(ArtefactError, match=r"forecast\.parquet: damaged"):
        st.Forecast.load(tmp_path / "forecast")
    with pytest.raises(ArtefactError, match="no category 'nothing'"):
        forecast.plot("nothing")
    card = st.evaluate(cube, split, [model, st.RollingClimatology(), Persistence()])
    assert [*card.forecasters] == ["gcrn", "rolling_climatology", "persistence"]
    assert card.table().loc["gcrn", "average_precision"] > card.table().loc["persistence", "average_precision"]
    assert len(card.differences()["pair"].unique()) == 2


def test_issue_times_in_every_form(cube: st.Cube, split: st.Split, model: st.Forecaster) -> None:
    times = pd.date_range(cube.time_of(int(split.issues("test")[0])), periods=3, freq="24h")
    found = model.predict(cube, times).intensity
    for given in ([*times], [time.isoformat() for time in times], times.to_pydatetime()):
        np.testing.assert_array_equal(model.predict(cube, given).intensity, found)
    np.testing.assert_allclose(model.predict(cube, times[1]).intensity[0], found[1], rtol=1e-5)
    assert model.predict(cube, cube.end).complete_until == cube.end
    for wrong in (100, [100], "2023-01-01", pd.Timestamp("2023-01-01"), "yesterday"):
        with pytest.raises(ArtefactError, match=r"issue times: .*Z or an offset"):
            model.predict(cube, wrong)


def test_settings_by_keyword() -> None:
    assert st.GCRN(hidden=16, gamma=1, seeds=2).config.model.hidden == 16
    assert st.GCRN(seeds=3, seed=4).seeds == [4, 5, 6]
    assert st.XGBoost(n_estimators=7, sampling="under").settings["n_estimators"] == 7
    with pytest.raises(ConfigError, match=r"GCRN: no setting 'width'\. Known: seed, seeds, hidden"):
        st.GCRN(width=3)
    with pytest.raises(ConfigError, match=r"GCRN: model\.hidden"):
        st.GCRN(hidden=0)


def events(count: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    times = pd.Timestamp("2024-02-01") + pd.to_timedelta(np.sort(rng.integers(0, 60 * 86_400, count)), unit="s")
    place = rng.integers(0, 3, count) / 50
    kind = rng.choice(["theft", "assault"], count)
    return pd.DataFrame({"occurred_at": times, "latitude": 39.7 + place, "longitude": -105 + place, "category": kind})


def tables() -> dict[str, Any]:
    import duckdb
    import polars
    import pyarrow as pa

    frame = events()
    return {
        "pandas": frame,
        "arrow": pa.Table.from_pandas(frame, preserve_index=False),
        "polars": polars.from_pandas(frame),
        "duckdb": duckdb.from_df(frame),
    }


@pytest.mark.parametrize("library", ["pandas", "arrow", "polars", "duckdb"])
def test_a_table_of_any_library_is_a_cube(library: str) -> None:
    found = st.load_cube(tables()[library], time_zone="America/Denver")
    frame = events()
    local = frame["occurred_at"].dt.tz_localize("America/Denver", nonexistent="shift_forward")
    inside = (local >= found.start) & (local < found.end)
    assert inside.mean() > 0.95
    assert found.weight.sum() == inside.sum()
    assert (found.n, found.categories) == (3, ("assault", "theft"))
    hour = (local[inside].dt.tz_convert("UTC").dt.floor("h") - found.start) / pd.Timedelta(hours=1)
    np.testing.assert_array_equal(np.unique(found.hour), np.unique(hour))


def test_what_is_no_table_of_events_is_named() -> None:
    with pytest.raises(DataError, match="list is no configuration"):
        st.load_cube([1, 2])
    with pytest.raises(DataError, match="no column category"):
        st.load_cube(events().drop(columns="category"), time_zone="UTC")
    with pytest.raises(DataError, match="needs time_zone"):
        st.load_cube(events())
    with pytest.raises(DataError, match=r"1 rows lack a time.* row 5"):
        st.load_cube(events().assign(latitude=lambda f: f["latitude"].where(f.index != 5)), time_zone="UTC")
    with pytest.raises(ConfigError, match="no such configuration"):
        st.load_cube("nowhere")


def test_a_saved_cube_is_loaded_from_its_folder(cube: st.Cube, tmp_path: Path) -> None:
    from stforecast.cube.store import save_cube

    save_cube(cube, tmp_path / "gold", "stamp")
    np.testing.assert_array_equal(st.load_cube(tmp_path / "gold").hour, cube.hour)


def test_slices_by_share_and_by_date(cube: st.Cube) -> None:
    share = cube.split(0.5, 0.2)
    date = cube.time_of(share.train_end).tz_convert(cube.time_zone).date()
    assert cube.split(date, 0.2).train_end == share.train_end
    assert share.validation_start == share.train_end + 24


@pytest.mark.parametrize("kind", [Persistence, st.RollingClimatology, st.Kernel, st.Hawkes])
def test_forecasters_pass_the_check(kind: type[st.Forecaster]) -> None:
    check_forecaster(kind)


class Leaking(Persistence):
    """Counts all events, whenever they become known."""

    name = "leaking"

    def intensity(self, cube: st.Cube, issues: np.ndarray) -> np.ndarray:
        return np.stack([cube.dense(s, s + cube.horizons).numpy() for s in issues.tolist()]) + 0.01


class Forgetful(Persistence):
    """Opens as another than it was saved."""

    name = "forgetful"

    def load_fit(self, folder: Path) -> None:
        self.mean = np.ones(2)


class Negative(Persistence):
    """Gives what no intensity can be."""

    name = "negative"

    def intensity(self, cube: st.Cube, issues: np.ndarray) -> np.ndarray:
        return super().intensity(cube, issues) - 1


@pytest.mark.parametrize(
    ("kind", "what"),
    [(Leaking, "known later"), (Forgetful, "saved and opened"), (Negative, "not negative")],
)
def test_the_check_finds_what_is_wrong(kind: type[st.Forecaster], what: str) -> None:
    with pytest.raises(AssertionError, match=what):
        check_forecaster(kind)


def test_an_own_forecaster_takes_part_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trained, scored, forecast and mapped by its name in a configuration, without a change in the package."""
    names = "evaluation.forecasters=[own_forecaster:Persistence, rolling_climatology, ensemble]"
    options = (f"root={tmp_path}", *SMALL, names, "evaluation.ensemble=[persistence, rolling_climatology]")
    stages = Stages(load("quickstart", options), lambda line: None)
    stages.ingest()
    stages.build()
    stages.train()
    assert [*stages.evaluate().forecasters] == ["persistence", "rolling_climatology", "ensemble"]
    (folder,) = stages.forecast()
    assert "persistence" in (folder / "map.html").read_text()
    assert stages.forecast(model="ensemble")


def test_an_installed_package_brings_a_forecaster(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("persistence", "own_forecaster:Persistence", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    registry.forecaster_class.cache_clear()
    assert registry.forecaster_class("persistence") is Persistence
    registry.forecaster_class.cache_clear()


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("nowhere:Nothing", "No module named 'nowhere'"),
        ("own_forecaster:Nothing", "has no attribute 'Nothing'"),
        ("own_forecaster:np", "no subclass"),
        ("nothing", "'nothing' is not one of gcrn"),
    ],
)
def test_a_forecaster_that_cannot_be_found(name: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        registry.forecaster_class(name)


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(ArtefactError, match="same name"):
        st.evaluate(small_city(), small_city().split(), [st.LastWeek(), st.LastWeek()])
