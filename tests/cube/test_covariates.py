"""Covariates: which value holds at which step and cell, and from when on it is known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
from shapely import Point, box

from stforecast import config
from stforecast.cube import Cube
from stforecast.cube.axis import Axis
from stforecast.cube.build import build
from stforecast.cube.covariate_files import read_covariates
from stforecast.cube.covariates import Covariate
from stforecast.cube.geometry import Polygons
from stforecast.cube.steps import step_of
from stforecast.cube.store import open_cube, save_cube
from stforecast.errors import ConfigError, DataError

ZONE = "America/Denver"
WEST, SOUTH, SIDE = -105.0, 39.7, 0.01


def square(column: float, row: float, side: float = 1) -> Any:
    x, y = WEST + column * SIDE, SOUTH + row * SIDE
    return box(x, y, x + side * SIDE, y + side * SIDE)


CELLS = Polygons(np.array(["A", "B", "C"]), np.array([square(0, 0), square(1, 0), square(2, 0)], object))
TABLE = pd.DataFrame({"hexagon": ["A", "B", "C"], "district": ["north", "north", None]})


def axis(unit: Any = "hour", start: str = "2024-03-01 07:00", steps: int = 40 * 24) -> Axis:
    return Axis(pd.Timestamp(start, tz="UTC"), steps, step_of(unit, ZONE), pd.Timedelta(hours=-7))


def read(folder: Path, text: str, on: Axis, **entry: Any) -> Covariate:
    """The covariate `x` of a file with this text."""
    path = folder / "x.csv"
    path.write_text(text, encoding="utf-8")
    kind = entry.pop("kind", "series")
    values = {"city": "x", "covariates": {"x": {kind: str(path), **entry}}, "time": {"step": on.step.unit}}
    found = read_covariates(config.parse(values, "test"), on, CELLS, TABLE, on.steps + 200)
    assert len(found.covariates) == 1
    return found.covariates[0]


DAILY = "date,area,v\n2024-03-02,A,1\n2024-03-03,A,2\n2024-03-05,A,4\n2024-03-02,B,10\n"


def at(covariate: Covariate, issue: int, first: int | None = None, count: int = 1) -> list[Any]:
    """What is known at an issue, NaN where masked, [k n] or [n]."""
    values, seen = covariate.window(issue, issue if first is None else first, count, 3)
    out = np.where(seen > 0, values, np.nan).round(4)
    return list(out[0]) if count == 1 else list(out)


def test_a_day_is_read_once_it_is_over_and_published(tmp_path: Path) -> None:
    covariate = read(tmp_path, DAILY, axis(), column="v", key="area")
    nothing = [np.nan] * 3
    np.testing.assert_array_equal(at(covariate, 47), nothing)  # 2 March ends at step 48
    np.testing.assert_array_equal(at(covariate, 48), [1, 10, np.nan])
    np.testing.assert_array_equal(at(covariate, 71), [1, 10, np.nan])
    np.testing.assert_array_equal(at(covariate, 72), [2, np.nan, np.nan])
    np.testing.assert_array_equal(at(covariate, 96), nothing)  # 4 March is not there, and 3 March is not repeated
    np.testing.assert_array_equal(at(covariate, 120), [4, np.nan, np.nan])
    assert covariate.kind == "past"
    np.testing.assert_array_equal(covariate.known, covariate.first)
    late = read(tmp_path, DAILY, axis(), column="v", key="area", lag_hours=30)
    np.testing.assert_array_equal(at(late, 77), nothing)
    np.testing.assert_array_equal(at(late, 78), [1, 10, np.nan])


def test_days_follow_the_clock_change(tmp_path: Path) -> None:
    text = "date,v\n2024-03-09,1\n2024-03-10,2\n2024-03-11,3\n"  # 10 March has 23 hours
    covariate = read(tmp_path, text, axis(), column="v")
    assert covariate.city_wide
    assert [at(covariate, 10 * 24 + shift)[0] for shift in (-2, -1)] == [1, 2]


@pytest.mark.parametrize(("unit", "issue"), [("day", 2), ("month", 1)])
def test_longer_steps_read_means(tmp_path: Path, unit: Any, issue: int) -> None:
    on = axis(unit, steps=40 if unit == "day" else 6)
    days = pd.date_range("2024-03-01", "2024-04-30")
    text = "date,v\n" + "".join(f"{day:%Y-%m-%d},{day.day}\n" for day in days)
    covariate = read(tmp_path, text, on, column="v")
    assert at(covariate, issue)[0] == {"day": 2, "month": 16}[unit]
    hourly = "date,v\n" + "".join(
        f"{t:%Y-%m-%d %H:%M},{t.day}\n" for t in pd.date_range("2024-03-02", periods=30, freq="h")
    )
    if unit == "day":
        covariate = read(tmp_path, hourly, on, column="v")
        assert at(covariate, 2)[0] == 2
        assert np.isnan(at(covariate, 3)[0])  # six hours are no day


def test_months_on_shorter_steps(tmp_path: Path) -> None:
    text = "date,area,v\n2024-02,A,5\n2024-03,A,6\n"
    covariate = read(tmp_path, text, axis(), column="v", key="area")
    assert at(covariate, 0)[0] == 5  # February is over at the first step
    assert at(covariate, 31 * 24 - 2)[0] == 5
    assert at(covariate, 31 * 24 - 1)[0] == 6  # March is an hour shorter
    ahead = read(tmp_path, text, axis("day", steps=40), column="v", key="area", ahead=True)
    np.testing.assert_array_equal(np.array(at(ahead, 28, count=5))[:, 0], [6, 6, 6, np.nan, np.nan])


def test_what_is_ahead_is_read_at_its_step(tmp_path: Path) -> None:
    covariate = read(tmp_path, DAILY, axis(), column="v", key="area", ahead=True)
    window = np.array(at(covariate, 20, count=8))
    np.testing.assert_array_equal(window[:, 0], [np.nan] * 4 + [1] * 4)
    np.testing.assert_array_equal(window[:, 1], [np.nan] * 4 + [10] * 4)


def test_areas_may_be_districts(tmp_path: Path) -> None:
    covariate = read(tmp_path, "date,area,v\n2024-03-02,north,3\n", axis(), column="v", key="area")
    np.testing.assert_array_equal(at(covariate, 48), [3, 3, np.nan])
    with pytest.raises(DataError, match=r"none lies in a district called, south.*grid\.districts"):
        read(tmp_path, "date,area,v\n2024-03-02,south,3\n", axis(), column="v", key="area")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date,v\n2024-03-02,1\n2024-03-02,2\n", "stands there twice"),
        ("date,v\n2024-03-02 06:00,1\n2024-03-02 06:00,2\n", "stands there twice"),
        ("date,v\n2024-03-02,one\n", "v is 'one'; expected a number"),
        ("date,v\n2024-03-02,inf\n", "v is 'inf'; expected a number"),
        ("date,v\nsoon,1\n", "date is 'soon'; expected a date"),
        ("date,v\ntoday,1\n", "date is 'today'; expected a date"),
        ("date,v\n45352,1\n", "date is '45352'; expected a date"),
        ("date,v\n03/04/2024,1\n", "date is '03/04/2024'; expected a date"),
        ("date,v\n2024-03-02 06:00,1\n2024-03-02T06:00-07:00,1\n", "an offset in some rows only"),
        ("day,v\n2024-03-02,1\n", "no column date; it has day, v"),
    ],
)
def test_odd_series_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, text, axis(), column="v")


def test_the_repeated_and_the_missing_hour_may_stand_in_a_series(tmp_path: Path) -> None:
    """A table by local hours names one hour twice in autumn, and may name one in spring that there is not."""
    on, text = axis(start="2024-11-02 06:00"), "date,v\n2024-11-03 00:00,1\n2024-11-03 01:00,2\n2024-11-03 01:00,4\n"
    assert at(read(tmp_path, text, on, column="v"), 26)[0] == 3
    text = "date,v\n2024-03-10 01:00,1\n2024-03-10 02:00,2\n2024-03-10 03:00,4\n"
    assert at(read(tmp_path, text, axis(), column="v"), 9 * 24 + 3)[0] == 3


@pytest.mark.parametrize(("every", "said"), [(1, False), (7, True)])
def test_a_series_that_is_mostly_masked_is_told_of(tmp_path: Path, every: int, said: bool) -> None:
    days = pd.date_range("2024-02-20", "2024-04-20", freq=f"{every}D")
    (tmp_path / "x.csv").write_text("date,v\n" + "".join(f"{day:%Y-%m-%d},1\n" for day in days), encoding="utf-8")
    values = {"city": "x", "covariates": {"x": {"series": str(tmp_path / "x.csv"), "column": "v"}}}
    on = axis("day", steps=30)
    found = read_covariates(config.parse({**values, "time": {"step": "day"}}, "test"), on, CELLS, TABLE, 40)
    expected = ["x is known at 13% of the steps of the record, and masked at the others."]
    assert found.messages == (expected if said else [])


PLACE = "39.705,-104.985"  # in the middle of B
CALENDAR = (
    f"start,end,latitude,longitude,radius,attendance,announced\n2024-03-05 11:30,2024-03-05 14:00,{PLACE},0.1,999,\n"
)


def test_an_event_takes_a_share_of_steps_within_its_radius(tmp_path: Path) -> None:
    covariate = read(tmp_path, CALENDAR, axis(), kind="calendar")
    begin = 4 * 24 + 11
    window = np.array(at(covariate, begin, begin - 1, 5)) / np.log(1000)
    np.testing.assert_allclose(window[:, 1], [0, 0.5, 1, 1, 0], atol=1e-4)
    assert (window[:, [0, 2]] == 0).all()
    wide = read(tmp_path, CALENDAR.replace(",0.1,", ",1,"), axis(), kind="calendar")
    assert (np.array(at(wide, begin)) > 0).all()
    daily = read(tmp_path, CALENDAR, axis("day", steps=40), kind="calendar")
    np.testing.assert_allclose(at(daily, 4)[1], 2.5 / 24 * np.log(1000), atol=1e-3)
    monthly = read(tmp_path, CALENDAR, axis("month", steps=6), kind="calendar")
    np.testing.assert_allclose(at(monthly, 0)[1], 2.5 / (31 * 24 - 1) * np.log(1000), rtol=0.01)


def test_an_event_is_known_from_its_announcement_on(tmp_path: Path) -> None:
    begin = 4 * 24 + 11
    unsaid = read(tmp_path, CALENDAR, axis(), kind="calendar")
    assert at(unsaid, begin - 24, begin)[1] > 0
    assert at(unsaid, begin - 25, begin)[1] == 0
    said = read(tmp_path, CALENDAR.replace("999,", "999,2024-03-05 08:10"), axis(), kind="calendar")
    assert at(said, begin - 2, begin)[1] > 0
    assert at(said, begin - 3, begin)[1] == 0
    day = read(tmp_path, CALENDAR.replace("999,", "999,2024-03-04"), axis(), kind="calendar")  # over before it is known
    assert at(day, 4 * 24, begin)[1] > 0
    assert at(day, 4 * 24 - 1, begin)[1] == 0


def test_events_may_repeat_and_be_everywhere(tmp_path: Path) -> None:
    text = "start,end,repeat,until\n2024-03-01,2024-03-01,weekly,2024-03-15\n"
    covariate = read(tmp_path, text, axis(), kind="calendar")
    assert covariate.city_wide
    share = np.array(at(covariate, 900, 0, 30 * 24))[:, 0] / np.log(2)
    np.testing.assert_allclose(share.reshape(30, 24).mean(1).round(2)[:10], [1, 0, 0, 0, 0, 0, 0, 1, 0, 0])
    assert share.sum().round() == 3 * 24
    holidays = "start,end\n2024-03-09,2024-03-17\n"
    covariate = read(tmp_path, holidays, axis("day", steps=40), kind="calendar")
    days = np.array(at(covariate, 39, 0, 40))[:, 0] / np.log(2)
    np.testing.assert_allclose(days, [0] * 8 + [1] * 9 + [0] * 23, atol=1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("start,end\n2024-03-09,2024-03-08\n", "an end after it"),
        ("start,end,where\n2024-03-09,2024-03-09,park\n", "unknown column where"),
        ("start\n2024-03-09\n", "no column end"),
        ("start,end,latitude\n2024-03-09,2024-03-09,39\n", "latitude or longitude alone"),
        ("start,end,latitude,longitude\n2024-03-09,2024-03-09,39,\n", "latitude or longitude alone"),
        ("start,end,repeat\n2024-03-09,2024-03-09,often\n", "repeat is 'often'"),
        ("start,end,until\n2024-03-09,2024-03-09,2024-04-01\n", "without repeat"),
    ],
)
def test_odd_calendars_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, text, axis(), kind="calendar")


def test_a_calendar_may_be_yaml(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("- {start: 2024-03-09, end: 2024-03-09 12:00, attendance: 10}\n", encoding="utf-8")
    values = {"city": "x", "covariates": {"x": {"calendar": str(path)}}}
    found = read_covariates(config.parse(values, "test"), axis(), CELLS, TABLE, 2000).covariates[0]
    assert np.array(at(found, 900, 8 * 24, 24))[:, 0].sum() == pytest.approx(12 * np.log(11), abs=1e-2)


def statics(folder: Path, **entry: Any) -> np.ndarray:
    values = {"city": "x", "covariates": {"x": entry}}
    return read_covariates(config.parse(values, "test"), axis(), CELLS, TABLE, 9).columns["x"]


def test_values_by_cell(tmp_path: Path) -> None:
    tracts, bars, table = (str(tmp_path / name) for name in ("t.geojson", "p.geojson", "t.csv"))
    shapes = [square(0, 0, 0.5), square(1, 0)]
    geopandas.GeoDataFrame({"people": [10.0, 30.0]}, geometry=shapes, crs=4326).to_file(tracts)
    spots = [Point(WEST + 0.005, SOUTH + 0.005), Point(WEST + 0.006, SOUTH + 0.005), Point(WEST + 0.025, SOUTH + 0.001)]
    geopandas.GeoDataFrame({"seats": [5, 7, 9]}, geometry=spots, crs=4326).to_file(bars)
    Path(table).write_text("code,score\nA,1.5\nC,2\nZ,9\n", encoding="utf-8")
    np.testing.assert_allclose(statics(tmp_path, cells=tracts, column="people", how="sum"), [10, 30, np.nan])
    np.testing.assert_array_equal(statics(tmp_path, cells=bars, how="count"), [2, 0, 1])
    np.testing.assert_array_equal(statics(tmp_path, cells=bars, column="seats", how="sum"), [12, 0, 9])
    np.testing.assert_array_equal(statics(tmp_path, cells=bars, column="seats", how="mean"), [6, np.nan, 9])
    np.testing.assert_array_equal(statics(tmp_path, cells=table, column="score", key="code"), [1.5, np.nan, 2])
    with pytest.raises(ConfigError, match=r"covariates\.x\.how: count is of points"):
        statics(tmp_path, cells=tracts, how="count")
    Path(table).write_text("code,score\nX,1\n", encoding="utf-8")
    with pytest.raises(DataError, match="no area has one of its codes"):
        statics(tmp_path, cells=table, column="score", key="code")


def test_points_may_lie_in_a_later_layer(tmp_path: Path) -> None:
    path = tmp_path / "all.gpkg"
    geopandas.GeoDataFrame({"ward": ["1"]}, geometry=[square(0, 0)], crs=4326).to_file(path, layer="wards")
    bars = geopandas.GeoDataFrame({"seats": [5]}, geometry=[Point(WEST + 0.005, SOUTH + 0.005)], crs=4326)
    bars.to_file(path, layer="bars")
    np.testing.assert_array_equal(statics(tmp_path, cells=str(path), column="seats", how="sum"), [5, 0, 0])


def test_what_is_sensitive_is_read_only_when_asked(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("code,score\nA,1.5\n", encoding="utf-8")

    def found(**entry: Any) -> Any:
        entry = {"cells": str(table), "column": "score", "key": "code", **entry}
        values = {"city": "x", "covariates": {"imd": entry}}
        return read_covariates(config.parse(values, "test"), axis(), CELLS, TABLE, 9)

    with pytest.raises(ConfigError, match="Say sensitive: true"):
        found()
    assert not found(sensitive=True).covariates
    assert list(found(sensitive=True).columns) == ["imd"]
    assert found(sensitive=True, read=True).covariates[0].sensitive
    assert not found(sensitive=False).covariates[0].sensitive


@pytest.mark.parametrize(
    ("name", "file", "column", "refused"),
    [
        ("score", "imd2019.csv", "score", True),
        ("share", "census.csv", "pct_black", True),
        ("share", "census.csv", "Hispanic or Latino", True),
        ("share", "lsoa.csv", "IDACI rate", True),
        ("outcomes", "racecourses.csv", "incoming", False),
        ("spots", "blackspots.csv", "whites", False),
    ],
)
def test_names_that_look_sensitive(name: str, file: str, column: str, refused: bool) -> None:
    values = {"city": "x", "covariates": {name: {"cells": file, "column": column, "key": "code"}}}
    if refused:
        with pytest.raises(ConfigError, match="Say sensitive: true"):
            config.parse(values, "test")
    else:
        config.parse(values, "test")


def test_a_cube_keeps_them(table: Callable[..., Any], settings: Callable[..., config.Config], tmp_path: Path) -> None:
    points = tmp_path / "p.geojson"
    geopandas.GeoDataFrame(geometry=[Point(-104.99, 39.74)], crs=4326).to_file(points)
    (tmp_path / "c.csv").write_text("start,end\n2024-03-03,2024-03-03\n", encoding="utf-8")
    times = pd.date_range("2024-03-01 08:00", periods=200, freq="h", tz="UTC")
    entries = {"bars": {"cells": str(points), "how": "count"}, "school": {"calendar": str(tmp_path / "c.csv")}}
    cube = build(table(times, [39.74] * 200, [-104.99] * 200), settings(covariates=entries))
    assert [one.kind for one in cube.covariates] == ["static", "planned"]
    assert cube.hexagons["bars"].tolist() == [1.0]
    save_cube(cube, tmp_path / "gold", "stamp")
    opened: Cube = open_cube(tmp_path / "gold")
    for one, other in zip(cube.covariates, opened.covariates, strict=True):
        assert (one.name, one.kind, one.sensitive) == (other.name, other.kind, other.sensitive)
        pd.testing.assert_frame_equal(one.rows, other.rows)


@pytest.mark.parametrize("unit", ["hour", "day", "month"])
def test_the_last_forecast_that_may_be_issued_knows_what_is_planned(
    table: Callable[..., Any], settings: Callable[..., config.Config], tmp_path: Path, unit: str
) -> None:
    (tmp_path / "c.csv").write_text("start,end\n2024-01-01,2025-12-31\n", encoding="utf-8")
    times = pd.date_range("2024-01-01 08:00", "2024-06-30 20:00", freq="6h", tz="UTC")
    entries = {"works": {"calendar": str(tmp_path / "c.csv")}}
    events = table(times, [39.74] * len(times), [-104.99] * len(times))
    cube = build(events, settings(covariates=entries, time={"step": unit}))
    issue = cube.steps + cube.step.ahead
    assert (cube.covariates[0].window(issue, issue, cube.horizons, 1)[0] > 0).all()
