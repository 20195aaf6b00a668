"""Study areas and districts from polygon files, and districts from events."""

from pathlib import Path

import geopandas
import h3.api.basic_int as h3
import numpy as np
import pandas as pd
import pytest
from shapely import Point, Polygon, box

from stforecast.cube import hexgrid, places
from stforecast.cube.districts import district_of_centres, district_of_events, named
from stforecast.cube.statics import statics_by_code, statics_of
from stforecast.errors import ConfigError, DataError

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
SQUARE = box(-105.05, 39.65, -104.95, 39.75)


def write(path: Path, *shapes: Polygon, crs: str | None = "EPSG:4326", **columns: list) -> Path:
    frame = geopandas.GeoDataFrame(columns, geometry=list(shapes), crs="EPSG:4326")
    (frame.to_crs(crs) if crs else frame.set_crs(None, allow_override=True)).to_file(path)
    return path


@pytest.mark.parametrize(
    ("name", "crs"), [("a.geojson", "EPSG:4326"), ("a.gpkg", "EPSG:32613"), ("a.shp", "EPSG:2232")]
)
def test_area_in_any_format_and_crs(tmp_path: Path, name: str, crs: str) -> None:
    cells = places.area_cells(write(tmp_path / name, SQUARE, crs=crs), 8)
    centres = hexgrid.centres(cells)
    around = np.array(h3.grid_disk(h3.latlng_to_cell(39.7, -105, 8), 30))
    inside = [SQUARE.buffer(-1e-5).contains(Point(b, a)) for a, b in hexgrid.centres(around)]
    assert set(around[inside]) <= set(cells)
    assert all(SQUARE.buffer(1e-5).contains(Point(b, a)) for a, b in centres)
    assert (np.diff(cells) > 0).all()


def test_holes_and_several_parts(tmp_path: Path) -> None:
    hole = box(-105.03, 39.67, -104.97, 39.73)
    other = box(-104.9, 39.65, -104.85, 39.7)
    cells = places.area_cells(write(tmp_path / "a.geojson", SQUARE - hole, other), 8)
    points = [Point(b, a) for a, b in hexgrid.centres(cells)]
    assert not any(hole.buffer(-1e-5).contains(point) for point in points)
    assert any(other.contains(point) for point in points)
    assert any(SQUARE.contains(point) for point in points)


def test_an_area_on_both_sides_of_the_antimeridian(tmp_path: Path) -> None:
    cells = places.area_cells(write(tmp_path / "a.geojson", box(179.5, -17, 180, -16), box(-180, -17, -179.5, -16)), 6)
    longitude = hexgrid.centres(cells)[:, 1]
    assert ((longitude > 179.4) | (longitude < -179.4)).all()
    assert (longitude > 0).any()
    assert (longitude < 0).any()


@pytest.mark.filterwarnings("ignore:.crs. was not provided")
def test_area_files_that_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.geojson"
    text.write_text("hello")
    points = tmp_path / "points.geojson"
    geopandas.GeoDataFrame(geometry=[Point(-105, 39.7)], crs="EPSG:4326").to_file(points)
    for path, message in (
        (tmp_path / "absent.geojson", "cannot be read as polygons"),
        (text, "cannot be read as polygons"),
        (points, "no polygon in it"),
        (write(tmp_path / "plain.shp", SQUARE, crs=None), "names no coordinate system"),
        (write(tmp_path / "tiny.geojson", box(-105.0001, 39.7, -105, 39.7001)), "hold no hexagon centre"),
        (write(tmp_path / "huge.geojson", box(-120, 20, -60, 60)), "more than 2000000"),
    ):
        with pytest.raises(DataError, match=message) as error:
            places.area_cells(path, 8)
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)


def test_district_of_centres(tmp_path: Path) -> None:
    west, east = box(-105.05, 39.65, -105, 39.75), box(-105, 39.65, -104.95, 39.75)
    path = write(tmp_path / "d.gpkg", west, east, SQUARE, crs="EPSG:32613", index_right=["W", "E", "both"])
    latitude, longitude = np.array([39.7, 39.7, 10.0]), np.array([-104.96, -105.04, 10.0])
    assert district_of_centres(path, "index_right", latitude, longitude).tolist() == ["E", "W", None]
    with pytest.raises(DataError, match=r"no attribute 'name'; it has: index_right"):
        district_of_centres(path, "name", latitude, longitude)
    with pytest.raises(DataError, match="another city's file"):
        district_of_centres(path, "index_right", latitude + 20, longitude)


def test_numbers_as_district_names_stay_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "d.geojson", SQUARE, number=[5])
    found = district_of_centres(path, "number", np.array([39.7, 0.0]), np.array([-105.0, 0.0]))
    assert found.tolist() == ["5", None]


def test_most_common_district_of_events() -> None:
    hexagon = np.array([0, 0, 0, 2, 2, 3])
    district = pd.Series(["a", "b", "b", "y", "x", None])
    assert district_of_events(hexagon, district, 4).tolist() == ["b", None, "x", None]
    assert district_of_events(hexagon[:0], district[:0], 2).tolist() == [None, None]
    unknown = pd.Series(["U", "U", "b", "U", "unknown", "x"])
    assert district_of_events(hexagon, unknown, 4).tolist() == ["b", None, None, "x"]


UNKNOWN = ["", "  ", "-", "--", "?", "U", " u ", "Unknown", "(unknown)", "UNK.", "N/A", "#N/A", "n.a.", "None", "NULL"]
UNKNOWN += ["0", "00", "000", "Not available", "UNASSIGNED"]


@pytest.mark.parametrize("text", UNKNOWN)
def test_what_says_that_a_district_is_unknown_is_none(text: str) -> None:
    assert named(pd.Series([text, None, "7"])).isna().tolist() == [True, True, False]


@pytest.mark.parametrize("text", ["7", "031", "99", "10", "A1", "O", "V", "External", "Union", "West LA", "Łódź"])
def test_every_other_text_names_a_district(text: str) -> None:
    assert named(pd.Series([text])).tolist() == [text]


def test_a_polygon_without_a_name_is_no_district(tmp_path: Path) -> None:
    west, east = box(-105.05, 39.65, -105, 39.75), box(-105, 39.65, -104.95, 39.75)
    path = write(tmp_path / "d.geojson", west, east, name=["West", "N/A"])
    found = district_of_centres(path, "name", np.array([39.7, 39.7]), np.array([-105.04, -104.96]))
    assert found.tolist() == ["West", None]


@pytest.mark.skipif(not DATA.is_dir(), reason="no shared/data folder beside the repository")
def test_community_areas() -> None:
    path = DATA / "chicago/community_areas.geojson"
    cells = places.area_cells(path, 8)
    assert hexgrid.areas_km2(cells).sum() == pytest.approx(598, rel=0.02)  # the city is 231 square miles
    names = district_of_centres(path, "community", *hexgrid.centres(cells).T)
    assert len({*names}) == 77
    assert None not in names


def test_counts_are_shared_out_and_rates_are_weighed(tmp_path: Path) -> None:
    west, east = box(-105.05, 39.65, -105.0, 39.75), box(-105.0, 39.65, -104.95, 39.75)
    path = write(
        tmp_path / "tracts.gpkg",
        west,
        east,
        crs="EPSG:32613",
        people=[1000, 3000],
        poverty=[0.1, 0.4],
        rent=[9, np.nan],
    )
    cells = np.array(sorted(h3.grid_disk(h3.latlng_to_cell(39.7, -105, 8), 16)))
    found = statics_of(path, {"people": "sum", "poverty": "mean", "rent": "mean"}, hexgrid.polygons(cells))
    assert found["people"].sum() == pytest.approx(4000, rel=1e-3)  # every tract lies within the hexagons
    outline = geopandas.GeoSeries(hexgrid.polygons(cells), crs=4326).to_crs("EPSG:6933")
    tracts = geopandas.GeoSeries([west, east], crs=4326).to_crs("EPSG:6933")
    for row in (0, len(cells) // 2, int(found["people"].argmax())):
        overlap = np.array([outline[row].intersection(tract).area for tract in tracts])
        if overlap.sum() == 0:
            assert found.iloc[row].isna().all()
            continue
        assert found["people"][row] == pytest.approx((overlap / tracts.area * [1000, 3000]).sum(), rel=1e-4)
        assert found["poverty"][row] == pytest.approx((overlap * [0.1, 0.4]).sum() / overlap.sum(), rel=1e-4)
    assert found["people"].isna().any()
    west_only = [polygon.intersects(tracts[0]) for polygon in outline]  # the east tells no rent
    np.testing.assert_allclose(found["rent"], np.where(west_only, 9, np.nan))


def test_statics_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    cells = np.array([h3.latlng_to_cell(39.7, -105, 8)])
    path = write(tmp_path / "tracts.geojson", SQUARE, people=[5], name=["a"])
    for columns, error, match in (
        ({"nobody": "sum"}, DataError, "no attribute 'nobody'; it has: people, name"),
        ({"name": "mean"}, DataError, "not numeric"),
        ({"district": "mean"}, ConfigError, "has a meaning already"),
    ):
        with pytest.raises(error, match=match):
            statics_of(path, columns, hexgrid.polygons(cells))
    far = np.array([h3.latlng_to_cell(10, 10, 8)])
    with pytest.raises(DataError, match="another city"):
        statics_of(path, {"people": "sum"}, hexgrid.polygons(far))


@pytest.mark.parametrize("name", ["row", "polygon_area", "area"])
def test_statics_may_bear_any_name(tmp_path: Path, name: str) -> None:
    cells = np.array([h3.latlng_to_cell(39.7, -105, 8)])
    path = write(tmp_path / "tracts.geojson", SQUARE, **{name: [0.25]})
    assert statics_of(path, {name: "mean"}, hexgrid.polygons(cells))[name].tolist() == pytest.approx([0.25])


def test_statics_by_code_are_of_one_row_a_cell(tmp_path: Path) -> None:
    path = write(tmp_path / "beats.geojson", SQUARE, SQUARE, code=["a", "b"], people=[1, 2])
    assert statics_by_code(path, ["people"], "code", np.array(["b", "c"]))["people"].fillna(-1).tolist() == [2, -1]
    path = write(tmp_path / "again.geojson", SQUARE, SQUARE, code=["a", "a"], people=[1, 2])
    with pytest.raises(DataError, match="a stands at several rows"):
        statics_by_code(path, ["people"], "code", np.array(["a"]))
