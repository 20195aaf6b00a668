"""Weather files: declared units, gaps that stay gaps, and refusals that name the line."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stforecast.config.sections import Weather
from stforecast.cube.axis import Axis
from stforecast.cube.steps import Step
from stforecast.cube.weather import UNITS, coverage, read_weather
from stforecast.errors import ConfigError, DataError

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
START = pd.Timestamp("2022-02-11 04:00", tz="UTC")
HEADER = "time_utc,t,rain,wind\n"
ROWS = "2022-02-11 04:00:00,1,0.5,10\n2022-02-11T05:00:00Z,,0,20\n2022-02-11 07:00,3,,30\n"
UNITS_OF = {"t": "degC", "rain": "mm"}


def write(folder: Path, text: str, name: str = "weather.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def axis_from(start: pd.Timestamp) -> Axis:
    return Axis(start, 1, Step(), pd.Timedelta(0))


def read(path: Path, start: pd.Timestamp = START, steps: int = 5, **channels: str) -> np.ndarray:
    return read_weather(path, Weather(channels=channels or UNITS_OF), axis_from(start), steps).values


def test_gaps_stay_gaps(tmp_path: Path) -> None:
    nan = np.nan
    found = read_weather(write(tmp_path, HEADER + ROWS), Weather(channels=UNITS_OF), axis_from(START), 5)
    assert found.names == ("t", "rain")
    assert found.values.dtype == np.float32
    np.testing.assert_array_equal(found.values, [[1, 0.5], [nan, 0], [nan, nan], [3, nan], [nan, nan]])
    assert coverage(found, 5) == {"t": 0.4, "rain": 0.4}


@pytest.mark.parametrize(("shift", "expected"), [(-2, [0, 0, 1]), (1, [0, 0, 3]), (3, [3, 0, 0]), (9, [0, 0, 0])])
def test_the_file_may_begin_and_end_anywhere(tmp_path: Path, shift: int, expected: list) -> None:
    path = write(tmp_path, HEADER + ROWS)
    found = read(path, START + pd.Timedelta(hours=shift), 3, t="degC")
    np.testing.assert_array_equal(np.nan_to_num(found[:, 0]), expected)


@pytest.mark.parametrize(
    ("unit", "value", "expected"),
    [
        ("degC", 20, 20),
        ("degF", 68, 20),
        ("K", 293.15, 20),
        ("mm", 3, 3),
        ("inch", 1, 25.4),
        ("percent", 55, 0.55),
        ("fraction", 0.55, 0.55),
        ("hPa", 1013, 1013),
        ("m/s", 10, 10),
        ("km/h", 36, 10),
        ("mph", 10, 4.4704),
        ("knots", 10, 5.14444),
    ],
)
def test_every_unit(tmp_path: Path, unit: str, value: float, expected: float) -> None:
    path = write(tmp_path, f"time_utc,x\n2022-02-11 04:00,{value}\n")
    assert read(path, x=unit)[0, 0] == pytest.approx(expected, rel=1e-5)
    documented = Weather.model_fields["channels"].description or ""
    assert set(documented.split("units:")[1].replace(",", " ").split()) == set(UNITS)


@pytest.mark.parametrize(
    ("published", "declared"),
    [
        ("277.9", "degC"),
        ("80", "degC"),
        ("4", "K"),
        ("59", "fraction"),
        ("101300", "hPa"),
        ("29.9", "hPa"),
        ("-3", "mm"),
    ],
)
def test_an_impossible_value_means_a_wrong_unit(tmp_path: Path, published: str, declared: str) -> None:
    path = write(tmp_path, f"time_utc,x\n2022-02-11 04:00,\n2022-02-11 05:00,{published}\n")
    with pytest.raises(DataError, match=r"weather.csv, line 3: x is .* is that its unit\?"):
        read(path, x=declared)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("2022-02-11 04:00,1,0,0\n2022-02-11 04:00,2,0,0\n", "line 3: time_utc .* repeated"),
        ("2022-02-11 04:00,1,0,0\n\n2022-02-11T04:00+00:00,2,0,0\n", "line 4: time_utc .* repeated"),
        ("2022-02-11 04:00,1,0,0\n2022-02-11 04:30,1,0,0\n", "line 3: time_utc .* full hours"),
        ("11.2.2022 4 Uhr,1,0,0\n", "line 2: time_utc .* a UTC time"),
        (",1,0,0\n", "line 2: time_utc .* a UTC time"),
        ("2022-02-11 04:00,warm,0,0\n", "line 2: t is 'warm'; expected a number"),
        ("2022-02-11 04:00,inf,0,0\n", "line 2: t is 'inf'"),
    ],
)
def test_rows_that_are_refused(tmp_path: Path, rows: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        read(write(tmp_path, HEADER + rows))
    assert "\n" not in str(error.value)


def test_settings_and_columns_that_do_not_fit(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + ROWS)
    with pytest.raises(ConfigError, match="declare which columns"):
        read_weather(path, Weather(), axis_from(START), 5)
    with pytest.raises(ConfigError, match=r"channels\.t: unit 'celsius' is not known. Use one of: degC"):
        read(path, t="celsius")
    with pytest.raises(DataError, match=r"no column snow\. Its columns are: time_utc, t, rain, wind"):
        read(path, t="degC", snow="mm")
    with pytest.raises(DataError, match="no column hour"):
        read_weather(path, Weather(time="hour", channels=UNITS_OF), axis_from(START), 5)
    with pytest.raises(DataError, match="no such weather file"):
        read(tmp_path / "absent.csv")


def test_a_truncated_archive_is_refused_in_one_line(tmp_path: Path) -> None:
    rows = "".join(f"{START + pd.Timedelta(hours=i)},{i % 30},0,0\n" for i in range(3000))
    whole = gzip.compress((HEADER + rows).encode())
    path = tmp_path / "weather.csv.gz"
    path.write_bytes(whole)
    assert np.isfinite(read(path)).all()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read as CSV") as error:
        read(path)
    assert "\n" not in str(error.value)


@pytest.mark.skipif(not DATA.is_dir(), reason="no shared/data folder beside the repository")
def test_real_files() -> None:
    hours = 24 * 365 * 2
    chicago = {"temperature_k": "K", "relative_humidity_pct": "percent", "pressure_hpa": "hPa", "wind_speed_ms": "m/s"}
    found = read(DATA / "chicago/weather.csv.gz", pd.Timestamp("2016-01-01 06:00", tz="UTC"), hours, **chicago)
    assert found.shape == (hours, 4)
    assert -35 < np.nanmin(found[:, 0]) < np.nanmax(found[:, 0]) < 45
    assert np.nanmax(found[:, 1]) <= 1
    assert np.isnan(found[-24 * 29 :]).all()  # the file ends a month before the axis does
    denver = {"temperature_2m": "degC", "precipitation": "mm", "windspeed_10m": "km/h"}
    path = DATA / "denver/weather_2022.csv.gz"
    settings = Weather(channels=denver)
    series = read_weather(path, settings, axis_from(pd.Timestamp("2022-01-01", tz="UTC")), 365 * 24)
    assert coverage(series, 365 * 24)["temperature_2m"] == pytest.approx(324 / 365, abs=0.01)
    assert np.nanmax(series.values[:, 2]) < 30
    with pytest.raises(DataError, match="is that its unit"):
        read_weather(path, Weather(channels={"relativehumidity_2m": "fraction"}), axis_from(START), 10)
