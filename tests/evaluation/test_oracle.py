"""The oracle of a simulated city, brought to a cube's axis and hexagons."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stforecast.config import load
from stforecast.cube import Cube
from stforecast.evaluation.oracle import oracle_of
from stforecast.events.synthetic import City, oracle, simulate


@pytest.fixture(scope="module")
def city() -> City:
    config = load("quickstart", ["synthetic.hexagons=9", "synthetic.days=20"])
    assert config.synthetic is not None
    return simulate(config.synthetic, 1)


def cube_of(city: City) -> Cube:
    """The city's counts from its second day on, hexagons and categories in another order."""
    back = Cube.from_dense(
        city.counts[24:, ::-1, ::-1],
        edge_index=city.edges,
        start=city.start + pd.Timedelta(hours=24),
        categories=city.categories[::-1],
    )
    return replace(back, hexagons=back.hexagons.assign(hexagon=city.cells[::-1]))


def test_axis_and_order_are_the_cubes(city: City) -> None:
    issues = np.array([48, 100])
    expected = oracle(city, issues + 24)[:, :, ::-1, ::-1]
    np.testing.assert_array_equal(oracle_of(city, cube_of(city), issues), expected)


def test_some_of_the_hexagons_suffice(city: City) -> None:
    cube = cube_of(city)
    few = replace(cube.with_events(cube.hexagon < 4), hexagons=cube.hexagons[:4])
    found, whole = (oracle_of(city, one, np.array([48])) for one in (few, cube))
    assert found is not None
    assert whole is not None
    np.testing.assert_array_equal(found, whole[:, :, :4])


@pytest.mark.parametrize("part", ["hexagons", "categories", "step_hours"])
def test_another_grid_has_none(city: City, part: str) -> None:
    cube = cube_of(city)
    other = {
        "hexagons": cube.hexagons.assign(hexagon=[f"{i}" for i in range(cube.n)]),
        "categories": ("a", "b", "c"),
        "step_hours": 24,
    }
    assert oracle_of(city, replace(cube, **{part: other[part]}), np.array([0])) is None


def test_hours_beyond_the_simulation_have_none(city: City) -> None:
    assert oracle_of(city, cube_of(city), np.array([48, 19 * 24])) is None
