"""Layers of shapes: mended, clipped and simplified, with no gap between neighbours."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely

from stforecast.cube.layers import METRES, clipped, read_layer, simplified
from stforecast.errors import DataError

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
BOUNDS = (-104.0, 39.0, -103.9, 39.1)


def frame(*shapes: shapely.Geometry) -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame({"name": [*map(str, range(len(shapes)))]}, geometry=list(shapes), crs="EPSG:4326")


def wiggly(from_x: float, to_x: float, y: float, points: int = 4000) -> np.ndarray:
    x = np.linspace(from_x, to_x, points)
    return np.column_stack([x, y + 2e-6 * np.sin(np.arange(points) / 3)])


def neighbours() -> geopandas.GeoDataFrame:
    """Two areas that share a drawn border of 4,000 points, the lower one with a hole and an island."""
    border = wiggly(-104, -103.9, 39.05)
    hole = shapely.box(-103.98, 39.01, -103.97, 39.02).exterior.coords
    lower = shapely.Polygon([(-104, 39), *border, (-103.9, 39)], [hole])
    upper = shapely.Polygon([(-104, 39.1), *border, (-103.9, 39.1)])
    return frame(shapely.MultiPolygon([lower, shapely.box(-103.8, 39, -103.79, 39.01)]), upper)


def test_neighbours_keep_one_border() -> None:
    found = simplified(neighbours())
    shapes = found.geometry.to_numpy()
    assert shapely.coverage_is_valid(shapes)
    assert shapely.get_num_coordinates(shapes).sum() < 1000
    assert shapely.get_num_interior_rings(shapely.get_geometry(shapes[0], 0)) == 1
    assert shapely.get_num_geometries(shapes[0]) == 2
    assert not shapely.overlaps(*shapes)
    before = neighbours().geometry.to_numpy()
    assert (
        shapely.area(shapely.symmetric_difference(shapes, before)).max() * METRES**2 < 0.2 * 0.1 * METRES
    )  # metres wide, along the border


def test_borders_that_differ_in_their_last_digits_are_one() -> None:
    lower, upper = neighbours().geometry
    noise = np.random.default_rng(0).normal(0, 1e-12, shapely.get_coordinates(upper).shape)
    noise[-1] = noise[0]
    noisy = shapely.transform(upper, lambda places: places + noise)
    assert not shapely.coverage_is_valid([lower, noisy])
    assert shapely.coverage_is_valid(simplified(frame(lower, noisy)).geometry.to_numpy())


def test_streets_stay_joined_within_the_tolerance() -> None:
    streets = frame(shapely.LineString(wiggly(-104, -103.95, 39)), shapely.LineString(wiggly(-103.95, -103.9, 39)))
    found = simplified(streets).geometry
    assert [len(line.coords) for line in found] == [2, 2]
    assert found[0].coords[-1] == found[1].coords[0] or found[0].distance(found[1]) < 1e-5
    assert shapely.hausdorff_distance(found[0], streets.geometry[0]) * METRES < 2


def test_clipping_keeps_what_is_inside_and_of_one_kind() -> None:
    inside = shapely.box(-103.99, 39.01, -103.98, 39.02)
    across = shapely.box(-103.91, 39.01, -103.8, 39.02)
    beside = shapely.box(-103.9, 39.01, -103.8, 39.02)  # touches the edge, which is no polygon
    street = shapely.LineString([(-104.2, 39.05), (-103.95, 39.05), (-103.95, 39.2)])
    found = clipped(frame(inside, across, beside, street, shapely.Point(-103.95, 39.05), shapely.Point(0, 0)), BOUNDS)
    assert found["name"].tolist() == ["0", "1", "3", "4"]
    assert found.geometry[0] == inside
    np.testing.assert_allclose(found.geometry[1].bounds, (-103.91, 39.01, -103.9, 39.02))
    np.testing.assert_allclose(found.geometry[2].bounds, (-104.0, 39.05, -103.95, 39.1))


def test_clipping_beyond_the_180th_meridian() -> None:
    shapes = frame(
        shapely.box(179.5, -17, 179.9, -16), shapely.box(-179.9, -17, -179.5, -16), shapely.box(0, -17, 1, -16)
    )
    assert clipped(shapes, (178, -18, -178, -15))["name"].tolist() == ["0", "1"]


def test_a_file_in_another_system_with_broken_and_empty_shapes(tmp_path: Path) -> None:
    bow = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    given = geopandas.GeoDataFrame(
        {"N": [1, 2, 3], "x": "y"},
        geometry=[shapely.transform(bow, lambda p: p * 1000 + 5e5), None, shapely.Point(5e5, 5e5)],
    )
    given.set_crs("EPSG:32613").to_file(tmp_path / "a.gpkg")
    found = read_layer([tmp_path / "a.gpkg"], "N", "layers.a.name")
    assert found["name"].tolist() == ["1", "3"]
    assert found.geometry.is_valid.all()
    assert found.geometry[0].geom_type == "MultiPolygon"
    assert -106 < found.geometry[0].centroid.x < -104
    with pytest.raises(DataError, match=r"no attribute 'no'; it has: N, x\. Correct layers\.a\.name"):
        read_layer([tmp_path / "a.gpkg"], "no", "layers.a.name")


def test_a_table_with_shapes_in_a_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('name,the_geom\nx,"MULTIPOLYGON (((0 0, 0 1, 1 1, 0 0)))"\ny,\n')
    (tmp_path / "b.csv").write_text("name,latitude\nx,1\n")
    found = read_layer([tmp_path / "a.csv"], "name", "layers.a.name")
    assert found["name"].tolist() == ["x"]
    with pytest.raises(DataError, match="no column of shapes"):
        read_layer([tmp_path / "b.csv"], None, "layers.a.name")


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the reference data beside the checkout")
@pytest.mark.parametrize(
    ("path", "name", "shapes", "points"),
    [
        ("chicago/community_areas.geojson", "community", 77, 20_000),
        ("cities/london_support/LSOA_2011_London_gen_MHW.zip", "LSOA11CD", 4835, 160_000),
    ],
)
def test_real_boundaries_stay_a_coverage(path: str, name: str, shapes: int, points: int) -> None:
    before = read_layer([DATA / path], name, "layers.a.name")
    found = simplified(before)
    assert len(found) == shapes
    assert found.geometry.is_valid.all()
    assert shapely.coverage_is_valid(found.geometry.to_numpy())
    assert shapely.get_num_coordinates(found.geometry.to_numpy()).sum() < points
    areas = [shapely.area(one.geometry.to_numpy()).sum() for one in (before, found)]
    assert areas[1] == pytest.approx(areas[0], rel=1e-5)
