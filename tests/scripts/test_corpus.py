"""The cities that are learned from: their configurations go together, and their records are laid out as they are."""

import sys
from pathlib import Path

import h3
import pandas as pd
import pytest

from stforecast.config import load
from stforecast.cube.places import area_cells

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from corpus import CHANNELS, FILES, last_before, main, oakland  # noqa: E402

OAKLAND = ROOT / "../shared/data" / FILES["oakland"]


def test_every_city_has_a_configuration_of_the_same_form():
    configs = {path.stem: load(path) for path in (ROOT / "configs/pretrain").glob("*.yaml")}
    assert configs.keys() == FILES.keys()
    for name, config in configs.items():
        assert (config.city, str(config.root), config.known_time) == (name, "corpus", "occurred")
        assert (config.grid.resolution, config.time.step) == (8, "hour")
        assert set(config.weather.channels) <= set(CHANNELS)
        assert 2 <= len(config.source.categories) <= 5


def test_an_offence_occurred_at_its_time_of_day_before_the_report():
    reported = pd.to_datetime(pd.Series(["2010-02-22 13:40", "2010-02-22 13:40", "2010-03-01 00:05"]))
    clock = pd.to_datetime(pd.Series(["2026-01-01 13:22", "2026-01-01 23:20", "2026-01-01 00:05"]))
    expected = ["2010-02-22 13:22", "2010-02-21 23:20", "2010-03-01 00:05"]
    assert last_before(reported, clock).tolist() == [pd.Timestamp(one) for one in expected]


def test_what_is_not_there_is_left_out_and_said(tmp_path, capsys, monkeypatch):
    (tmp_path / "in/denver").mkdir(parents=True)
    (tmp_path / "in/denver/crime.csv.gz").write_bytes(b"rows")
    row = {"time_utc": "2022-02-11 04:00:00", "temperature_2m": 4.1, "windspeed_10m": 16.9, "cloudcover": 14}
    pd.DataFrame([row]).to_csv(tmp_path / "in/denver/weather_2022.csv.gz", index=False)
    (tmp_path / "in/cities/chicago").mkdir(parents=True)
    (tmp_path / "in/cities/chicago/crimes_2014.csv.xz").write_bytes(b"rows")
    (tmp_path / "in/cities/minneapolis").mkdir(parents=True)
    (tmp_path / "in/cities/minneapolis/crime.data.RData").write_bytes(b"rows")
    monkeypatch.setitem(sys.modules, "pyreadr", None)
    main(tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out/data/denver/bronze/crime.csv.gz").read_bytes() == b"rows"
    written = (tmp_path / "out/data/denver/weather/hourly.csv").read_text()
    assert written.splitlines() == ["time_utc,temperature_2m,wind_speed_10m", "2022-02-11 04:00:00,4.1,16.9"]
    said = capsys.readouterr().out
    assert "toronto: left out" in said
    assert f"chicago: left out, since there is no {tmp_path / 'in/chicago/weather.csv.gz'}" in said
    assert "pip install pyreadr" in said


@pytest.mark.skipif(not OAKLAND.is_file(), reason="no copy of Oakland's records in ../shared/data")
def test_the_area_of_oakland_leaves_out_the_missing_beats(tmp_path):
    oakland(OAKLAND, tmp_path / "area.geojson")
    cells = {h3.int_to_str(int(cell)) for cell in area_cells(tmp_path / "area.geojson", 8)}
    assert len(cells) == 152
    uptown, fruitvale = (h3.latlng_to_cell(*place, 8) for place in ((37.812, -122.268), (37.785, -122.222)))
    assert uptown not in cells
    assert fruitvale in cells
