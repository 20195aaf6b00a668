"""Forecasts in other cells, shared out by area."""

from pathlib import Path
from typing import Any

import geopandas
import h3
import numpy as np
import pandas as pd
import pytest
import shapely
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from stforecast.cli.commands import cli
from stforecast.cube.geometry import Polygons
from stforecast.cube.overlap import shares
from stforecast.delivery.convert import convert
from stforecast.delivery.export import open_grid, write_grid
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.errors import ConfigError, DataError
from stforecast.forecasters.forecast import Forecast
from stforecast.scoring.conformal import Spread

ISSUED = pd.Timestamp("2024-09-30T06:00Z")
CELLS = np.array(sorted(h3.grid_disk(h3.latlng_to_cell(39.74, -104.99, 8), 3)))


def square(column: float, row: float, side: float = 1) -> shapely.Polygon:
    x, y = -105 + 0.01 * column, 0.01 * row  # at the equator, where a square in degrees is one on the ground
    return shapely.box(x, y, x + 0.01 * side, y + 0.01 * side)


def forecast(polygons: list[Any] | None = None, **changes: Any) -> Forecast:
    names = CELLS if polygons is None else np.array([f"A{i:02}" for i in range(len(polygons))])
    shape = (2, 24, len(names), 2)
    values: dict[str, Any] = {
        "intensity": np.random.default_rng(0).gamma(0.5, 0.1, shape).astype(np.float32),
        "usual": np.random.default_rng(1).gamma(0.5, 0.1, shape).astype(np.float32),
        "issue_times": pd.DatetimeIndex([ISSUED, ISSUED + pd.Timedelta(days=1)]),
        "hexagons": names,
        "categories": ("theft", "violence"),
        "step_hours": 1,
        "time_zone": "America/Denver",
        "model": "gcrn-ab12",
        "complete_until": ISSUED,
        "spreads": dict.fromkeys(("all", "theft", "violence"), Spread(0.9, 0.3, (), (0.05,), (0.95,))),
        "districts": np.array(["North"] * len(names), object),
        "polygons": None if polygons is None else np.array(polygons, object),
    }
    return Forecast(**values | changes)


def write(path: Path, *shapes: Any, **columns: Any) -> Path:
    geopandas.GeoDataFrame(columns, geometry=list(shapes), crs="EPSG:4326").to_file(path)
    return path


def test_squares_hand_on_what_lies_over_others(tmp_path: Path) -> None:
    """Two squares, over a shape that holds half of the first and a quarter of the second, and one far away."""
    path = write(tmp_path / "b.geojson", shapely.box(-104.995, 0, -104.9875, 0.01), square(9, 9), code=["over", "far"])
    source = forecast([square(0, 0), square(1, 0)])
    found = convert(source, path, "code")
    assert found.hexagons.tolist() == ["over"]
    expected = 0.5 * source.intensity[:, :, 0] + 0.25 * source.intensity[:, :, 1]
    np.testing.assert_allclose(found.intensity[:, :, 0], expected, rtol=1e-5)
    np.testing.assert_allclose(found.risk[:, :, 0], -np.expm1(-expected.astype(float)), rtol=1e-5)
    left = 1 - found.intensity.sum() / source.intensity.sum()
    assert found.assumptions[1] == f"{left:.2%} of the expected reports lie outside these areas and are left out."
    assert found.spreads == {}
    assert found.districts is None


def test_what_is_forecast_in_part_is_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.geojson", square(0, 0, 2), code=["large"])
    found = convert(forecast([square(0, 0), square(1, 0)]), path, "code")
    assert "1 of these areas are forecast in part" in found.assumptions[-1]
    assert not any("outside" in line for line in found.assumptions)


@given(st.integers(0, 2**32), st.integers(2, 40), st.integers(2, 40))
@settings(deadline=None, max_examples=30)
def test_sums_stay_where_new_cells_cover_the_old(seed: int, n: int, p: int) -> None:
    def partition(count: int) -> Polygons:
        points = shapely.MultiPoint(np.random.default_rng(seed + count).uniform((-105, 0), (-104.9, 0.1), (count, 2)))
        parts = shapely.get_parts(shapely.voronoi_polygons(points, extend_to=square(0, 0, 10)))
        parts = shapely.intersection(parts, square(0, 0, 10))
        return Polygons(np.arange(count).astype(str), parts)

    one, other = partition(n), partition(p)
    there, back = shares(one, other), shares(other, one)
    np.testing.assert_allclose(there.sum(1), 1, rtol=1e-9)
    np.testing.assert_allclose(back.sum(1), 1, rtol=1e-9)
    np.testing.assert_allclose(one.areas_km2 @ there, other.areas_km2, rtol=1e-4)


@pytest.mark.parametrize("polygons", [None, [square(0, 0), square(1, 0), square(0, 1) - square(0.2, 1.2, 0.3)]])
def test_onto_itself_nothing_changes(polygons: list[Any] | None, tmp_path: Path) -> None:
    source = forecast(polygons)
    path = write(tmp_path / "same.gpkg", *source.geometry.outlines, code=source.hexagons)
    found = convert(source, path, "code")
    assert found.hexagons.tolist() == source.hexagons.tolist()
    assert (found.intensity == source.intensity).all()
    assert (found.usual == source.usual).all()
    assert len(found.assumptions) == 1


def test_hexagons_to_areas_and_back_keep_their_sum(tmp_path: Path) -> None:
    whole = shapely.union_all(forecast().geometry.outlines).buffer(0.002)
    west, south, east, north = whole.bounds
    middle = (west + east) / 2
    path = write(
        tmp_path / "halves.geojson",
        *(shapely.box(*b) for b in ((west, south, middle, north), (middle, south, east, north))),
        name=["W", "E"],
    )
    source = forecast()
    halves = convert(source, path, "name")
    assert halves.hexagons.tolist() == ["E", "W"]
    assert halves.intensity.sum() == pytest.approx(source.intensity.sum(), rel=1e-6)
    again = convert(halves, 8)
    assert again.polygons is None
    assert {*CELLS} < {*again.hexagons}
    assert again.intensity.sum() == pytest.approx(source.intensity.sum(), rel=1e-6)
    same = convert(source, 8)
    assert same.hexagons.tolist() == CELLS.tolist()
    assert (same.intensity == source.intensity).all()


def test_a_grid_is_shared_out_as_its_forecast_is(tmp_path: Path) -> None:
    source = forecast()
    path = write(
        tmp_path / "a.geojson",
        shapely.box(-105.2, 39.6, -104.99, 39.9),
        shapely.box(-104.99, 39.6, -104.8, 39.9),
        beat=[7, 8],
    )
    grid = convert(RiskGrid.of(source), path, "beat")
    np.testing.assert_allclose(grid.intensity, RiskGrid.of(convert(source, path, "beat")).intensity, rtol=1e-5)
    assert grid.bounds is None
    assert grid.geometry.word == "area"


def test_what_cannot_be_converted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.geojson", square(50, 50), code=["far"])
    for to, key, kind, message in (
        (path, "code", DataError, "no cell of it meets the forecast's hexagons"),
        (path, None, ConfigError, "name the attribute"),
        (16, None, ConfigError, "none of H3"),
        (15, None, ConfigError, "more than 2000000"),
    ):
        with pytest.raises(kind, match=message):
            convert(forecast(), to, key)


def test_the_verb(tmp_path: Path) -> None:
    path = str(write(tmp_path / "a.geojson", shapely.box(-105.2, 39.6, -104.8, 39.9), beat=["all of it"]))
    write_grid(RiskGrid.of(forecast()), tmp_path / "grid", "denver")
    forecast().save(tmp_path / "forecast")
    ask = ["--polygons", path, "--key", "beat"]
    done = CliRunner().invoke(cli, ["convert", str(tmp_path / "grid"), *ask, "--output", str(tmp_path / "one")])
    assert done.exit_code == 0, done.output
    assert "Shared out by area from 37 hexagons to 1 areas of a.geojson" in done.output
    assert f"next: open {tmp_path / 'one' / 'map.html'}" in done.output
    assert open_grid(tmp_path / "one").hexagons.tolist() == ["all of it"]
    done = CliRunner().invoke(cli, ["convert", str(tmp_path / "forecast"), *ask, "--output", str(tmp_path / "two")])
    assert done.exit_code == 0, done.output
    assert Forecast.load(tmp_path / "two").hexagons.tolist() == ["all of it"]
    done = CliRunner().invoke(
        cli, ["convert", str(tmp_path / "two"), "--resolution", "7", "--output", str(tmp_path / "three")]
    )
    assert done.exit_code == 0, done.output
    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").write_text("years of work")
    done = CliRunner().invoke(cli, ["convert", str(tmp_path / "two"), "--resolution", "7", "--output", str(full)])
    assert isinstance(done.exception, ConfigError)
    assert (full / "thesis.txt").read_text() == "years of work"
    same = str(tmp_path / "two")
    done = CliRunner().invoke(cli, ["convert", same, "--resolution", "7", "--output", same])
    assert isinstance(done.exception, ConfigError)
    assert Forecast.load(same).hexagons.tolist() == ["all of it"]
    for wrong in ([], ["--polygons", path], ["--polygons", path, "--key", "beat", "--resolution", "7"]):
        done = CliRunner().invoke(cli, ["convert", str(tmp_path / "grid"), *wrong, "--output", str(tmp_path / "four")])
        assert done.exit_code == 2
