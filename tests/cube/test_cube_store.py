"""The folder on disk: exact round trips, and refusals that say what to do."""

import json
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from stforecast.cube import Cube, Series, hexgrid
from stforecast.cube.build import build
from stforecast.cube.holes import Gap
from stforecast.cube.store import open_cube, save_cube
from stforecast.errors import ArtefactError
from stforecast.files import read_json, write_json

SCALARS = (
    *("name", "start", "steps", "categories", "time_zone", "step_hours", "step_unit", "horizons", "resolution"),
    *("country", "subdivision", "notes"),
)


def assert_equal(one: Cube, other: Cube) -> None:
    for name in SCALARS:
        assert getattr(one, name) == getattr(other, name), name
    assert one.event_columns == other.event_columns
    for name in (*one.event_columns, "edges"):
        assert getattr(one, name).dtype == getattr(other, name).dtype, name
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("weather", "future"):
        assert getattr(one, name).names == getattr(other, name).names
        assert getattr(one, name).values.dtype == np.float32
        np.testing.assert_array_equal(getattr(one, name).values, getattr(other, name).values)
    for name in ("polygons", "kinds"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    pd.testing.assert_frame_equal(one.hexagons, other.hexagons)


@pytest.fixture
def cube(table, settings, tmp_path: Path) -> Cube:
    """A city with late reports, districts (one of them null), and weather with gaps."""
    path = tmp_path / "weather.csv"
    path.write_text("time_utc,t,rain\n2021-03-01 09:00,1,\n2021-03-02 09:00,3,0.5\n2021-03-03 09:00,5,\n")
    start = pd.Timestamp("2021-03-01 07:00", tz="UTC")
    hours = pd.to_timedelta(np.arange(40), unit="h")
    latitude = np.where(np.arange(40) % 2, 39.7, 39.708)
    district = ["d1" if i % 2 else None for i in range(40)]
    events = table(start + hours, latitude, np.full(40, -105.0), reported_at=start + 2 * hours, district=district)
    weather = {"path": str(path), "channels": {"t": "degC", "rain": "mm"}, "observed_as_forecast": True}
    return build(events, settings(weather=weather))


def test_a_city_comes_back_exactly(cube: Cube, tmp_path: Path) -> None:
    assert cube.kinds is not None
    assert cube.kinds.sum(1).tolist() == [1, 1]
    assert cube.hexagons["district"].isna().sum() == 1
    assert len(cube.future.values) > cube.steps
    save_cube(cube, tmp_path / "gold", "stamp-1")
    assert_equal(open_cube(tmp_path / "gold"), cube)
    assert read_json(tmp_path / "gold" / "cube.json")["stamp"] == "stamp-1"
    save_cube(open_cube(tmp_path / "gold"), tmp_path / "gold", "stamp-2")  # replaces the folder
    assert_equal(open_cube(tmp_path / "gold"), cube)
    assert read_json(tmp_path / "gold" / "cube.json")["stamp"] == "stamp-2"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gold", "weather.csv"]


def test_spans_come_back_exactly(cube: Cube, tmp_path: Path) -> None:
    spans = replace(cube, until_hour=np.minimum(cube.hour + 2, cube.known_hour))
    save_cube(spans, tmp_path / "gold", "s")
    assert_equal(open_cube(tmp_path / "gold"), spans)
    assert_equal(open_cube(tmp_path / "gold").inputs, spans.inputs)
    assert spans.inputs.hour.size > spans.hour.size
    with pytest.raises(ArtefactError, match="known before it occurred"):
        replace(cube, until_hour=cube.known_hour + 1)


def test_gaps_come_back_exactly(cube: Cube, tmp_path: Path) -> None:
    gaps = (Gap(3, 5, 1), Gap(0, 2, None, denied=True))
    save_cube(replace(cube, gaps=gaps), tmp_path / "gold", "stamp")
    assert open_cube(tmp_path / "gold").gaps == gaps


def test_other_tools_can_open_it(cube: Cube, tmp_path: Path) -> None:
    folder = tmp_path / "gold"
    save_cube(cube, folder, "s")
    hexagons = geopandas.read_parquet(folder / "hexagons.parquet")
    assert hexagons.crs == "EPSG:4326"
    assert hexagons.geometry.contains(
        geopandas.GeoSeries.from_xy(hexagons["longitude"], hexagons["latitude"], crs=4326)
    ).all()
    pairs = [(row, other) for row, others in enumerate(hexagons["neighbours"]) for other in others]
    assert pairs == list(map(tuple, cube.edges.T.tolist()))
    hours = pd.read_parquet(folder / "hours.parquet")
    assert hours["time"].iloc[0] == cube.start
    assert hours["local_hour"].iloc[:3].tolist() == [0, 1, 2]
    assert hours["weather_t_observed"].iloc[: cube.steps].sum() == 2
    assert hours["weather_rain"].isna().equals(~hours["weather_rain_observed"])
    assert "future_t_known" in hours
    events = pd.read_parquet(folder / "events.parquet")
    assert list(events.columns) == ["hour", "hexagon", "category", "known_hour", "weight"]
    facts = json.loads((folder / "cube.json").read_text())
    assert (facts["schema_version"], facts["steps"], facts["time_zone"]) == (6, cube.steps, "America/Denver")


@examples(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_any_graph_comes_back_exactly(tmp_path_factory, seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps, n, c = rng.integers(1, 12, 3)
    e = int(rng.integers(0, 30))
    cube = Cube.from_dense(
        rng.poisson(0.5, (steps, n, c)) * rng.choice([1, 0.3]),
        edge_index=rng.integers(0, n, (2, e)),  # directed, repeated, unsorted
        step_hours=24,
        horizons=1,
        future=Series(("a", "b"), rng.normal(size=(steps, 2)).astype(np.float32)),
        notes={"x": [1, None, {"y": 0.1}]},
    )
    folder = tmp_path_factory.mktemp("any") / "gold"
    save_cube(cube, folder, "s")
    assert_equal(open_cube(folder), cube)


def test_grids_without_h3_cells_have_points_or_nothing(tmp_path: Path) -> None:
    places = np.stack(np.meshgrid(np.arange(3.0), np.arange(4.0)), -1).reshape(-1, 2)
    cube = Cube.from_dense(np.ones((2, 12, 1)), coordinates=places)
    save_cube(cube, tmp_path / "gold", "s")
    assert_equal(open_cube(tmp_path / "gold"), cube)
    hexagons = geopandas.read_parquet(tmp_path / "gold/hexagons.parquet")
    assert hexagons.geometry.x.tolist() == places[:, 0].tolist()
    assert hexagons.crs is None
    save_cube(Cube.from_dense(np.ones((2, 12, 1)), edge_index=np.zeros((2, 0), int)), tmp_path / "gold", "s")
    assert geopandas.read_parquet(tmp_path / "gold/hexagons.parquet").geometry.isna().all()


def test_hexagons_of_square_and_hexagonal_grids() -> None:
    square = np.stack(np.meshgrid(np.arange(7.0), np.arange(6.0)), -1).reshape(-1, 2) * 3
    degree = np.bincount(Cube.from_dense(np.zeros((1, 42, 1)), coordinates=square).edges[0])
    inside = (square > 0).all(1) & (square < [18, 15]).all(1)
    assert (degree[inside] == 8).all()
    assert sorted(set(degree[~inside])) == [3, 5]
    x, y = np.meshgrid(np.arange(7), np.arange(6))
    hexagonal = np.stack([x + 0.5 * (y % 2), y * np.sqrt(0.75)], -1).reshape(-1, 2)
    degree = np.bincount(Cube.from_dense(np.zeros((1, 42)), coordinates=hexagonal).edges[0])
    inside = ((x > 0) & (x < 6) & (y > 0) & (y < 5)).reshape(-1)
    assert (degree[inside] == 6).all()
    assert degree[~inside].max() < 6


@pytest.mark.parametrize("name", ["cube.json", "events.parquet", "hexagons.parquet", "hours.parquet"])
@pytest.mark.parametrize("harm", ["absent", "truncated", "changed", "empty"])
def test_damage_is_one_line_that_says_what_to_do(cube: Cube, tmp_path: Path, name: str, harm: str) -> None:
    folder = tmp_path / "gold"
    save_cube(cube, folder, "s")
    path = folder / name
    content = path.read_bytes()
    if harm == "absent":
        path.unlink()
    else:
        path.write_bytes(
            {"truncated": content[:-20], "changed": content[:40] + b"?" + content[41:], "empty": b""}[harm]
        )
    if (name, harm) == ("cube.json", "changed"):
        path.write_bytes(content.replace(b'"steps"', b'"stops"'))
    with pytest.raises(ArtefactError, match="Run `stforecast build` again") as error:
        open_cube(folder)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


def test_another_schema_version_and_no_cube(cube: Cube, tmp_path: Path) -> None:
    folder = tmp_path / "gold"
    with pytest.raises(ArtefactError, match=r"cube\.json: is absent\. Run `stforecast build` again"):
        open_cube(folder)
    save_cube(cube, folder, "s")
    path = folder / "cube.json"
    write_json(path, read_json(path) | {"schema_version": 3})
    with pytest.raises(ArtefactError, match=r"schema version 3, expected 6\. Run `stforecast build` again"):
        open_cube(folder)


def test_a_failed_save_leaves_the_old_cube(cube: Cube, tmp_path: Path) -> None:
    folder = tmp_path / "gold"
    save_cube(cube, folder, "s")
    broken = Cube.from_dense(
        np.ones((2, 3, 1)), edge_index=np.zeros((2, 0), int), resolution=8
    )  # names are no H3 cells
    with pytest.raises(ArtefactError, match="not an H3 cell"):
        save_cube(broken, folder, "t")
    assert_equal(open_cube(folder), cube)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    assert hexgrid.from_names(open_cube(folder).cells.tolist()).size == cube.n
