"""Polygons as cells: files, neighbours, areas, places of events, and cubes of them."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from shapely import MultiPolygon, Point, Polygon, box

from stforecast import config
from stforecast.cube import hexgrid, places
from stforecast.cube.build import build
from stforecast.cube.geometry import MOST_CORNERS, Polygons, simplified
from stforecast.cube.store import open_cube, save_cube
from stforecast.cube.study_area import placed
from stforecast.errors import ConfigError, DataError
from stforecast.events.schema import EventTable

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
LONDON = DATA / "cities/london_support/LSOA_2011_London_gen_MHW.zip"
LONDON_COUNTS = DATA / "cities/london_support/recorded-crime-lsoa.parquet"
WEST, SOUTH, SIDE = -105.0, 39.7, 0.01
"""A corner in Denver, and the side of a square, about a kilometre."""


def square(column: float, row: float, side: float = 1) -> Polygon:
    x, y = WEST + column * SIDE, SOUTH + row * SIDE
    return box(x, y, x + side * SIDE, y + side * SIDE)


def cells(*shapes: Any) -> Polygons:
    return Polygons(np.array([f"A{i:03}" for i in range(len(shapes))]), np.array(shapes, object))


def pairs(of: Polygons) -> set[tuple[int, int]]:
    return {(a, b) for a, b in of.edges.T.tolist() if a < b}


def write(path: Path, *shapes: Any, **columns: Any) -> Path:
    frame = geopandas.GeoDataFrame(columns, geometry=list(shapes), crs="EPSG:4326")
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_file(path)
    return path


def test_neighbours_share_a_line_and_not_a_corner() -> None:
    found = cells(square(0, 0), square(1, 0), square(0, 1), square(1, 1), square(5, 5))
    assert pairs(found) == {(0, 1), (0, 2), (1, 3), (2, 3)}
    assert (found.edges[0] != 4).all()  # an island


def test_a_border_may_be_part_of_a_side() -> None:
    assert pairs(cells(square(0, 0), square(1, 0.75), square(1, -0.5))) == {(0, 1), (0, 2)}


@pytest.mark.parametrize("shift", [3e-5, -3e-5, 1e-9])  # 2.6 m apart, 2.6 m over each other, and rounding
def test_small_gaps_and_overlaps_are_borders(shift: float) -> None:
    moved = [shapely.affinity.translate(square(1, row), shift) for row in (0, 1)]
    assert pairs(cells(square(0, 0), square(0, 1), *moved)) == {(0, 1), (2, 3), (0, 2), (1, 3)}


def test_wide_gaps_are_none() -> None:
    assert pairs(cells(square(0, 0), shapely.affinity.translate(square(1, 0), 2e-4))) == set()


def test_the_gap_of_small_polygons_is_small() -> None:
    """Squares of 20 m, of which the next but one lie as far apart as a gap of large polygons would bridge."""
    side = 20 / 85_000 / SIDE
    found = cells(*(square(i * side, 0, side) for i in range(4)))
    assert pairs(found) == {(0, 1), (1, 2), (2, 3)}
    assert found.gap == pytest.approx(0.2, rel=0.2)


def test_parts_and_holes() -> None:
    hole = square(0, 0, 3) - square(1, 1)
    parts = MultiPolygon([square(1, 1), square(6, 0)])
    found = cells(hole, parts, square(7, 0))
    assert pairs(found) == {(0, 1), (1, 2)}
    latitude, longitude = np.array([SOUTH + 1.5 * SIDE, SOUTH + 0.5 * SIDE]), np.array([WEST + 1.5 * SIDE] * 2)
    assert found.rows(latitude, longitude).tolist() == [1, 0]
    inside = [shape.contains(Point(b, a)) for shape, (a, b) in zip(found.polygons, found.centres, strict=True)]
    assert all(inside)  # the centroid of the frame lies in its hole


def test_areas_are_those_of_the_earth() -> None:
    found = cells(*hexgrid.polygons(np.array([0x88268CD8DDFFFFF, 0x882AAD6627FFFFF])[:1]))
    assert found.areas_km2[0] == pytest.approx(hexgrid.areas_km2(np.array([0x88268CD8DDFFFFF]))[0], rel=0.01)


def test_polygons_on_both_sides_of_the_antimeridian(tmp_path: Path) -> None:
    path = write(tmp_path / "a.geojson", box(179.8, -17, 180, -16.8), box(-180, -17, -179.8, -16.8), code=["E", "W"])
    found, _ = places.polygon_cells(path, "code")
    assert pairs(found) == {(0, 1)}
    assert found.rows(np.array([-16.9, -16.9, 0]), np.array([179.9, -179.9, 0])).tolist() == [0, 1, -1]
    assert np.ptp(shapely.bounds(found.unbroken)[:, [0, 2]]) == pytest.approx(0.4)


def voronoi(seed: int, n: int) -> Polygons:
    rng = np.random.default_rng(seed)
    frame = square(0, 0, 10)
    points = shapely.MultiPoint(rng.uniform(frame.bounds[:2], frame.bounds[2:], (n, 2)))
    found = shapely.get_parts(shapely.voronoi_polygons(points, extend_to=frame))
    return cells(*shapely.intersection(found, frame))


@given(st.integers(0, 2**32), st.integers(2, 60))
@profile(deadline=None)
def test_a_partition_holds_every_point_once(seed: int, n: int) -> None:
    found, whole = voronoi(seed, n), cells(square(0, 0, 10))
    edges = {*map(tuple, found.edges.T.tolist())}
    assert edges == {(b, a) for a, b in edges}
    assert all(a != b for a, b in edges)
    assert len({a for a, _ in edges}) == n  # none is an island
    assert found.areas_km2.sum() == pytest.approx(whole.areas_km2.sum(), rel=1e-5)
    points = np.random.default_rng(seed).uniform(square(0, 0, 10).bounds[:2], square(0, 0, 10).bounds[2:], (500, 2))
    corners = shapely.get_coordinates(found.polygons)  # on borders of several
    x, y = np.concatenate([points, corners]).T
    row = found.rows(y, x)
    assert (row >= 0).all()
    away = shapely.distance(found.shapes[row], found_points(found, x, y))
    assert away.max() <= found.gap
    assert (found.rows(y[::-1], x[::-1])[::-1] == row).all()


def found_points(of: Polygons, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return geopandas.GeoSeries(shapely.points(x, y), crs=4326).to_crs(of.plane).to_numpy()


def test_the_first_of_two_that_overlap_has_a_point() -> None:
    found = cells(square(0, 0), square(0.5, 0))
    assert found.rows(np.array([SOUTH + SIDE / 2]), np.array([WEST + 0.75 * SIDE])).tolist() == [0]


def test_simplified_outlines_still_touch(monkeypatch: pytest.MonkeyPatch) -> None:
    wavy = hexgrid.rounded(
        shapely.segmentize(cells(*(square(i, j) for i in range(5) for j in range(5))).polygons, 5e-4)
    )
    assert simplified(wavy) is wavy
    monkeypatch.setattr("stforecast.cube.geometry.MOST_CORNERS", 400)
    less = simplified(wavy)
    assert MOST_CORNERS > shapely.get_num_coordinates(wavy).sum() > 1000
    assert shapely.get_num_coordinates(less).sum() <= 400
    assert shapely.coverage_is_valid(less)


@pytest.mark.parametrize("name", ["a.geojson", "a.gpkg", "a.shp.zip", "a.parquet"])
def test_files_of_every_kind(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, square(1, 0), square(0, 0), beat=["0712", "0611"])
    found, messages = places.polygon_cells(path, "beat")
    assert found.names.tolist() == ["0611", "0712"]
    assert not messages
    assert pairs(found) == {(0, 1)}


def test_files_that_are_refused(tmp_path: Path) -> None:
    bow_tie = Polygon([(WEST, SOUTH), (WEST + SIDE, SOUTH + SIDE), (WEST + SIDE, SOUTH), (WEST, SOUTH + SIDE)])
    for path, message in (
        (
            write(tmp_path / "again.geojson", square(0, 0), square(1, 0), code=["a", "a"]),
            "a stands at several polygons",
        ),
        (
            write(tmp_path / "blank.geojson", square(0, 0), square(1, 0), code=["a", " "]),
            "1 of 2 polygons have no code",
        ),
        (
            write(tmp_path / "null.geojson", square(0, 0), square(1, 0), code=["a", None]),
            "1 of 2 polygons have no code",
        ),
        (write(tmp_path / "other.geojson", square(0, 0), name=["a"]), "no attribute 'code'; it has: name"),
        (
            write(tmp_path / "point.geojson", square(0, 0), Point(0, 0), code=["a", "b"]),
            "1 of its rows have no polygon",
        ),
    ):
        with pytest.raises(DataError, match=message) as error:
            places.polygon_cells(path, "code")
        assert str(path) in str(error.value)
    found, messages = places.polygon_cells(write(tmp_path / "tie.geojson", bow_tie, code=["a"]), "code")
    assert "1 of 1 polygons" in messages[0]
    assert found.areas_km2[0] > 0.2
    path = write(tmp_path / "over.geojson", square(0, 0), square(0.5, 0), code=[7, 8])
    assert "1 pairs of polygons" in places.polygon_cells(path, "code")[1][0]
    assert "such as 7 and 8" in places.polygon_cells(path, "code")[1][0]


def test_places_by_point_and_by_code() -> None:
    found = Polygons(np.array(["E1", "E2"]), np.array([square(0, 0), square(1, 0)], object))
    x, y = WEST + SIDE / 2, SOUTH + SIDE / 2
    frame = pd.DataFrame(
        {
            "latitude": [y, y, y, np.nan, np.nan, np.nan, np.nan, 0],
            "longitude": [x, x + SIDE, x, np.nan, np.nan, np.nan, np.nan, 0],
            "area": ["E1", "E1", None, "E2", "E9", "E9", None, "E1"],
        }
    )
    row, messages, notes = placed(found, frame)
    assert row.tolist() == [0, 1, 0, 1, -1, -1, -1, -1]
    assert notes == {"code_and_point_disagree": 1, "codes_without_polygon": {"E9": 2}}
    assert "1 of 2 events with a point lie in another polygon" in messages[0]
    assert "1 area codes have no polygon: E9 (2). Their 2 events (25.0%) are left out." in messages[1]
    assert "1 events have neither" in messages[2]
    as_categories, _, _ = placed(found, frame.assign(area=frame["area"].astype("category")))
    assert as_categories.tolist() == row.tolist()
    assert placed(found, frame.drop(columns="area"))[0].tolist() == [0, 1, 0, -1, -1, -1, -1, -1]


@pytest.fixture
def two(tmp_path: Path) -> Path:
    return write(
        tmp_path / "beats.geojson",
        square(0, 0) - square(0.25, 0.25, 0.25),
        square(1, 0),
        square(2, 0),
        beat=["b", "a", "c"],
        people=[10, 20, 30],
    )


def events(table: Callable[..., EventTable], columns: list[float]) -> EventTable:
    times = pd.date_range("2024-01-02T12:00Z", periods=len(columns), freq="6h")
    return table(times, [SOUTH + SIDE / 2] * len(columns), [WEST + (0.5 + one) * SIDE for one in columns])


def grid(two: Path, **more: Any) -> dict[str, Any]:
    return {"cells": "polygons", "polygons": str(two), "polygon_key": "beat", "min_events": 0} | more


def test_a_cube_of_polygons(
    table: Callable[..., EventTable], settings: Callable[..., config.Config], two: Path, tmp_path: Path
) -> None:
    found = events(table, [0.4, 1, 0.4, 1, 0.4, 0.4, 1, 0.4, -5, 1] * 3)
    statics = {"statics": str(two), "static_columns": {"people": "sum"}}
    cube = build(found, settings(grid=grid(two, **statics)))
    assert cube.cells.tolist() == ["a", "b", "c"]
    assert cube.resolution is None
    assert cube.geometry.word == "area"
    assert cube.drawn
    assert np.bincount(cube.hexagon, cube.weight, 3)[2] == 0
    assert cube.hexagons["people"].tolist() == [20, 10, 30]
    assert cube.edges.T.tolist() == [[0, 1], [0, 2], [1, 0], [2, 0]]
    save_cube(cube, tmp_path / "gold", "stamp")
    again = open_cube(tmp_path / "gold")
    assert (shapely.to_wkb(again.polygons) == shapely.to_wkb(cube.geometry.outlines)).all()
    assert again.geometry.areas_km2 == pytest.approx(cube.hexagons["area_km2"].to_numpy())
    shown = geopandas.read_parquet(tmp_path / "gold/hexagons.parquet")
    assert shown.crs == "EPSG:4326"
    assert shapely.contains_xy(shown.geometry.to_numpy(), shown["longitude"], shown["latitude"]).all()


def test_cells_are_kept_by_their_training_events(
    table: Callable[..., EventTable], settings: Callable[..., config.Config], two: Path
) -> None:
    found = events(table, [0.4] * 20 + [1] * 2)
    assert build(found, settings(grid=grid(two, min_events=10))).cells.tolist() == ["b"]
    kept = build(found, settings(grid=grid(two, min_events=10)), ["c", "a"])
    assert kept.cells.tolist() == ["a", "c"]
    with pytest.raises(DataError, match="no polygon has 34 events"):  # of a slice of less than 180 days
        build(found, settings(grid=grid(two, min_events=3000)))
    with pytest.raises(ConfigError, match="1 of 2 areas of the trained run are not in"):
        build(found, settings(grid=grid(two)), ["a", "z"])


def test_districts_and_statics_of_other_files(
    table: Callable[..., EventTable], settings: Callable[..., config.Config], two: Path, tmp_path: Path
) -> None:
    wards = write(tmp_path / "wards.geojson", square(0, 0), square(1, 0, 2), ward=["West", "East"], rich=[8.0, 2.0])
    more = {"districts": str(wards), "district_key": "ward", "statics": str(wards), "static_columns": {"rich": "mean"}}
    cube = build(events(table, [0.4, 1] * 12), settings(grid=grid(two, **more)))
    assert cube.hexagons["district"].tolist() == ["East", "West", "East"]
    assert cube.hexagons["rich"].tolist() == pytest.approx([2, 8, 2])


def test_settings_that_do_not_fit(settings: Callable[..., config.Config], two: Path) -> None:
    for wrong, message in (
        (grid(two, area="a.geojson"), "the polygons are the study area"),
        ({"cells": "polygons"}, "name their file as polygons"),
        ({"polygons": "a.geojson"}, "set cells to polygons"),
        ({"min_events": 0}, "at least 1 for hexagons"),
    ):
        with pytest.raises(ConfigError, match=message):
            settings(grid=wrong)


@pytest.mark.skipif(not LONDON.exists(), reason="the folder shared/data beside the repository is absent")
def test_london() -> None:
    found, messages = places.polygon_cells(LONDON, "LSOA11CD")
    assert found.areas_km2.sum() == pytest.approx(1572, rel=0.005)
    assert messages == [f"8 of 4835 polygons in {LONDON.name} crossed themselves and were repaired."]
    assert 5 < found.edges.shape[1] / 4835 < 7
    assert np.bincount(found.edges[0], minlength=4835).min() >= 1
    middle = found.rows(*found.centres.T)
    assert (middle == np.arange(4835)).all()
    counts = pd.read_parquet(LONDON_COUNTS)
    codes = pd.Series(counts["lsoa_code"].unique()) if "lsoa_code" in counts else pd.Series(counts.iloc[:, 0].unique())
    frame = pd.DataFrame({"latitude": np.nan, "longitude": np.nan, "area": codes})
    assert len(placed(found, frame)[2]["codes_without_polygon"]) == 335


def test_of_several_layers_the_one_with_the_attribute_is_read(tmp_path: Path) -> None:
    (tmp_path / "shapes").mkdir()
    for name, column in (("wards", "ward"), ("beats", "beat"), ("zones", "zone")):
        frame = geopandas.GeoDataFrame({column: ["1", "2"]}, geometry=[square(0, 0), square(1, 0)], crs="EPSG:4326")
        frame.to_crs("EPSG:26913").to_file(tmp_path / "shapes" / f"{name}.shp")
        frame.to_file(tmp_path / "all.gpkg", layer=name)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in sorted((tmp_path / "shapes").iterdir()):
            archive.write(path, path.name)
    for path in (tmp_path / "all.gpkg", tmp_path / "all.zip"):
        for key in ("ward", "beat", "zone"):
            assert places.polygon_cells(path, key)[0].names.tolist() == ["1", "2"]
        with pytest.raises(DataError, match="no attribute 'tract'"):
            places.polygon_cells(path, "tract")
