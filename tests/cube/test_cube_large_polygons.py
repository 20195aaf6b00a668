"""Polygons of more vertices than anyone draws."""

import json

import h3.api.basic_int as h3
import numpy as np
import pytest
import shapely

from stforecast.cube import places
from stforecast.errors import DataError


def ring(vertices, spread=0.0):
    angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    radius = 0.2 + 0.05 * np.sin(37 * angle) + spread * np.random.default_rng(1).random(vertices)
    return np.c_[-104.9 + radius * np.cos(angle), 39.7 + radius * np.sin(angle)]


def written(path, outline):
    shape = json.loads(shapely.to_geojson(shapely.Polygon(outline)))
    path.write_text(json.dumps({"type": "Feature", "properties": {"name": "a"}, "geometry": shape}))
    return path


@pytest.mark.parametrize("resolution", [7, 8])
def test_many_vertices_give_the_hexagons_that_h3_gives(resolution):
    polygon = shapely.Polygon(ring(places.MANY_VERTICES, 1e-3), [ring(50) * 0.5 + (-52.45, 19.85)])
    assert set(places._cells_in(polygon, resolution)) == set(h3.geo_to_cells(polygon, resolution))


def test_an_outline_that_crosses_itself_all_over_is_no_polygon(tmp_path):
    path = written(tmp_path / "area.geojson", np.random.default_rng(0).random((2000, 2)))
    with pytest.raises(DataError, match=r"area\.geojson: an outline crosses itself about [0-9,]+ times"):
        places.area_cells(path, 8)


def test_one_that_crosses_itself_once_is_mended(tmp_path):
    bow_tie = [(-105, 39.5), (-104.8, 39.7), (-104.8, 39.5), (-105, 39.7)]
    assert len(places.area_cells(written(tmp_path / "area.geojson", np.array(bow_tie)), 7))
