"""Forecasts and grids of polygons: kept, written, drawn and served with their own outlines, without H3."""

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from fastapi.testclient import TestClient
from small_grids import FACTS, ISSUED, store_of, usual
from test_webmap import outlines

from stforecast import config
from stforecast.delivery.api.app import create_app
from stforecast.delivery.api.keeper import Keeper
from stforecast.delivery.export import open_grid, write_grid
from stforecast.delivery.packed import pack, unpack
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.delivery.webmap import view_of
from stforecast.forecasters.forecast import Forecast

SQUARES = [shapely.box(-105 + 0.01 * i, 39.7, -104.99 + 0.01 * i, 39.71) for i in range(4)]
HOLED = SQUARES[0] - shapely.box(-104.997, 39.703, -104.993, 39.707)
PARTED = shapely.MultiPolygon([SQUARES[2], shapely.box(-104.95, 39.7, -104.94, 39.71)])
POLYGONS = np.array([HOLED, SQUARES[1], PARTED, SQUARES[3]], object)
NAMES = np.array(["E2", "E1", 'The "Cliff"/Top', "Half"])


def forecast(**changes: Any) -> Forecast:
    rng = np.random.default_rng(0)
    values = {
        "intensity": rng.gamma(0.5, 0.1, (1, 24, 4, 2)).astype(np.float32),
        "usual": rng.gamma(0.5, 0.1, (1, 24, 4, 2)).astype(np.float32),
        "issue_times": pd.DatetimeIndex([ISSUED]),
        "hexagons": NAMES,
        "categories": ("theft", "violence"),
        "step_hours": 1,
        "time_zone": "America/Denver",
        "model": "gcrn-ab12",
        "complete_until": ISSUED,
        "districts": np.array(["North", None, "South", "South"], object),
        "polygons": POLYGONS,
    }
    return Forecast(**values | changes)


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether outlines are the same, to what text formats round to."""
    return bool((shapely.area(shapely.symmetric_difference(one, other)) < 1e-9).all())


def test_a_forecast_keeps_its_outlines(tmp_path: Path) -> None:
    again = Forecast.load(forecast().save(tmp_path / "kept"))
    assert again.hexagons.tolist() == NAMES.tolist()
    assert same(again.polygons, POLYGONS)
    assert geopandas.read_parquet(tmp_path / "kept/cells.parquet").crs == "EPSG:4326"
    assert again.plot().axes[0].collections
    plain = forecast(polygons=None)
    assert not (plain.save(tmp_path / "plain") / "cells.parquet").exists()
    assert Forecast.load(tmp_path / "plain").polygons is None


def test_a_grid_has_them_in_the_order_of_its_ids() -> None:
    grid = RiskGrid.of(forecast())
    assert grid.hexagons.tolist() == sorted(NAMES)
    assert same(grid.polygons, POLYGONS[np.argsort(NAMES)])
    assert grid.geometry.word == "area"


def test_a_grid_in_bytes_and_in_files(tmp_path: Path) -> None:
    grid = RiskGrid.of(forecast())
    write_grid(grid, tmp_path / "grid", "denver")
    for again in (unpack(pack(grid, "denver")), open_grid(tmp_path / "grid")):
        assert same(again.polygons, grid.polygons)
        assert (again.intensity == grid.intensity).all()
        assert (again.usual == grid.usual).all()
    features = geopandas.read_file(tmp_path / "grid/risk.geojson")
    assert same(features.set_index("hexagon").loc[grid.hexagons].geometry.to_numpy(), grid.polygons)
    table = geopandas.read_parquet(tmp_path / "grid/risk_horizon.parquet")
    assert same(table[table["category"] == "all"].set_index("hexagon").loc[NAMES].geometry.to_numpy(), POLYGONS)
    assert "cells" not in RiskGrid.of(forecast(polygons=None)).facts("denver")


def test_the_map_draws_parts_and_holes() -> None:
    grid = RiskGrid.of(forecast())
    view = view_of(grid, "denver")
    assert view["cell"] == "area"
    rings = dict(zip(view["hexagons"], outlines(view), strict=True))
    assert {name: len(each) for name, each in rings.items()} == {"E1": 1, "E2": 2, "Half": 1, NAMES[2]: 2}
    assert sum(view["area_km2"]) == pytest.approx(grid.geometry.areas_km2.sum(), abs=1e-5)
    assert len(view["border"]) == 3  # four squares that touch, the hole, the part that lies apart
    assert sum(map(len, outlines(view, "district_borders"))) == 4


def test_the_service_knows_them(tmp_path: Path) -> None:
    service = {"hosts": ["testserver"]}
    settings = config.parse({"city": "denver", "root": str(tmp_path), "service": service}, "test")
    grid = RiskGrid.of(forecast())
    store_of(settings).put(grid, usual(grid), FACTS, ISSUED)
    with TestClient(create_app(settings, Keeper(store_of(settings), lambda: ISSUED))) as client:
        latest = client.get("/v1/grids/latest").json()
        assert (latest["cell"], latest["resolution"], latest["hexagons"]) == ("area", None, 4)
        found = client.get("/v1/hexagons/The%20%22Cliff%22/Top").json()
        assert (found["hexagon"], found["district"]) == (NAMES[2], "South")
        assert client.get("/v1/hexagons/E9").json()["error"].startswith("cell: no area of this grid; names are such as")
        shapes = geopandas.GeoDataFrame.from_features(client.get("/v1/risk?format=geojson").json()["features"])
        assert same(shapes.set_index("hexagon").loc[NAMES].geometry.to_numpy(), POLYGONS)
        asked = {"weekday": 1, "hour": 2, "month": 3}
        here = client.post("/v1/predict", json={"latitude": 39.705, "longitude": -104.945, **asked}).json()
        assert here["place"]["hexagon"] == NAMES[2]
        hole = client.post("/v1/predict", json={"latitude": 39.705, "longitude": -104.995, **asked})
        assert (hole.status_code, hole.json()["error"]) == (404, "latitude, longitude: in no area of this grid")
        assert [row["hexagon"] for row in client.get("/v1/risk?bbox=-104.951,39.7,-104.94,39.71").json()["rows"]] == [
            NAMES[2]
        ]
