"""Cells, neighbours, outlines and areas against H3 itself."""

import h3.api.basic_int as h3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stforecast.cube import hexgrid
from stforecast.errors import ArtefactError

latitudes = st.floats(-84, 84)
longitudes = st.floats(-180, 180)


@given(st.lists(st.tuples(latitudes, longitudes), max_size=30), st.integers(0, 15))
def test_cells_equal_h3_and_survive_their_names(points: list, resolution: int) -> None:
    points = points + points[:3]  # some are repeated
    latitude, longitude = np.array(points).reshape(-1, 2).T
    cells = hexgrid.cells_of(latitude, longitude, resolution)
    assert cells.dtype == np.int64
    assert cells.tolist() == [h3.latlng_to_cell(a, b, resolution) for a, b in points]
    names = hexgrid.to_names(cells)
    assert (hexgrid.from_names(names) == cells).all()
    assert np.argsort(names, kind="stable").tolist() == np.argsort(cells, kind="stable").tolist()


@settings(max_examples=50)
@given(latitudes, longitudes, st.integers(1, 10), st.integers(0, 3), st.randoms())
def test_neighbours_are_symmetric_and_those_of_grid_disk(latitude, longitude, resolution, k, random) -> None:
    disk = h3.grid_disk(h3.latlng_to_cell(latitude, longitude, resolution), k)
    kept = random.sample(disk, random.randint(1, len(disk)))
    edges = hexgrid.edges(np.array(kept, np.int64))
    assert edges.dtype == np.int64
    assert edges.shape[0] == 2
    pairs = set(map(tuple, edges.T.tolist()))
    assert len(pairs) == edges.shape[1]
    assert pairs == {(b, a) for a, b in pairs}
    assert edges.T.tolist() == sorted(edges.T.tolist())
    for row, cell in enumerate(kept):
        expected = (set(h3.grid_disk(cell, 1)) - {cell}) & set(kept)
        assert {kept[b] for a, b in pairs if a == row} == expected


def test_a_pentagon_has_five_neighbours_and_hexagons_six() -> None:
    pentagon = h3.get_pentagons(8)[0]
    cells = np.array(sorted(h3.grid_disk(pentagon, 2)), np.int64)
    degree = np.bincount(hexgrid.edges(cells)[0], minlength=len(cells))
    assert degree[cells == pentagon] == 5
    assert (degree[np.isin(cells, list(set(h3.grid_disk(pentagon, 1)) - {pentagon}))] == 6).all()
    assert degree.min() < 5  # the edge of the area


def test_centres_areas_and_outlines() -> None:
    cells = np.array(sorted(h3.grid_disk(h3.latlng_to_cell(39.7, -105, 8), 2)), np.int64)
    centres, polygons = hexgrid.centres(cells), hexgrid.polygons(cells)
    assert (hexgrid.cells_of(*centres.T, 8) == cells).all()
    assert all(polygon.is_valid and polygon.geom_type == "Polygon" for polygon in polygons)
    assert [polygon.centroid.x for polygon in polygons] == pytest.approx(centres[:, 1], abs=1e-4)
    square_km = [polygon.area * 111.32**2 * np.cos(np.radians(39.7)) for polygon in polygons]
    assert hexgrid.areas_km2(cells) == pytest.approx(square_km, rel=0.02)


def test_a_cell_across_the_antimeridian_is_drawn_on_both_sides() -> None:
    cells = hexgrid.cells_of(np.array([-17.0]), np.array([180.0]), 4)
    (polygon,) = hexgrid.polygons(cells)
    assert polygon.geom_type == "MultiPolygon"
    west, _, east, _ = polygon.bounds
    assert (west, east) == (-180, 180)
    assert all(part.bounds[2] - part.bounds[0] < 2 for part in polygon.geoms)
    (inland,) = hexgrid.polygons(hexgrid.cells_of(np.array([-17.0]), np.array([170.0]), 4))
    assert polygon.area == pytest.approx(inland.area, rel=0.05)


def test_no_cells_give_empty_arrays() -> None:
    none = np.array([], np.int64)
    assert hexgrid.edges(none).shape == (2, 0)
    assert hexgrid.centres(none).shape == (0, 2)
    assert hexgrid.cells_of(none, none, 8).shape == (0,)


def test_names_and_resolutions_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ArtefactError, match="'17' is not an H3 cell"):
        hexgrid.from_names(["17"])
    cells = [h3.latlng_to_cell(39.7, -105, resolution) for resolution in (7, 8)]
    with pytest.raises(ArtefactError, match=r"resolutions \[7, 8\]"):
        hexgrid.resolution_of(np.array(cells))
    assert hexgrid.resolution_of(np.array(cells[:1])) == 7
