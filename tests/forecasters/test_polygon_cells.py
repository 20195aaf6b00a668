"""Every forecaster at every step on polygons of unlike sizes, one of them an island, one a ring around another."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import shapely
from small_cities import another_future, fitted, split_of, with_small_trees

from stforecast.config.sections import Unit
from stforecast.cube import Cube
from stforecast.cube.geometry import Polygons
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.forecasters.registry import BUILT_IN
from stforecast.testing import small_city


def polygons() -> Polygons:
    x, y = np.meshgrid(-105 + 0.01 * np.arange(3), 39.7 + 0.01 * np.arange(3))
    shapes = [shapely.box(a, b, a + 0.01, b + 0.01) for a, b in zip(x.ravel(), y.ravel(), strict=True)]
    core = shapely.box(-104.997, 39.703, -104.993, 39.707)
    parts = shapely.MultiPolygon(
        [shapely.box(-104.97, 39.7, -104.93, 39.73), shapely.box(-104.9, 39.7, -104.89, 39.71)]
    )
    alone = shapely.box(-104.8, 39.7, -104.79, 39.71)
    found = np.array([shapes[0] - core, *shapes[1:], core, parts, alone], object)
    return Polygons(np.array([f"E{i:02}" for i in range(len(found))]), found)


def city(step: Unit) -> Cube:
    """The small city of `stforecast.testing` on polygons."""
    cube, cells = small_city(120 if step != "hour" else 60, late=True, step=step), polygons()
    latitude, longitude = cells.centres.T
    table = {"hexagon": cells.names, "latitude": latitude, "longitude": longitude, "area_km2": cells.areas_km2}
    return replace(cube, hexagons=pd.DataFrame(table), edges=cells.edges, polygons=cells.polygons)


def test_the_island_has_no_neighbour() -> None:
    assert city("day").n == 12
    assert (polygons().edges != 11).all()
    assert np.bincount(polygons().edges[0], minlength=12)[[0, 9]].tolist() == [3, 1]


@pytest.mark.parametrize("step", ["hour", "day", "month"])
@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_forecasters_at_every_step(name: str, step: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    with_small_trees(monkeypatch, 5_000)
    cube = city(step)
    forecaster, t0 = fitted(name, cube), int(split_of(cube).issues("test")[3])
    alone = forecaster.raw(cube, np.array([t0]))
    assert alone.min() > 0
    np.testing.assert_array_equal(alone, forecaster.raw(another_future(cube, t0, True), np.array([t0])))
    grid = RiskGrid.of(forecaster.forecast(cube, np.array([cube.steps])))
    assert grid.geometry.word == "area"
    assert shapely.equals(grid.polygons, cube.polygons).all()
