"""A city of beats from the publisher's file to grid, pages and service, without a hexagon."""

import re
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely

from stforecast.config import load
from stforecast.config.workspace import database
from stforecast.delivery.api.served import Served
from stforecast.delivery.export import open_grid
from stforecast.delivery.store import Store
from stforecast.errors import ConfigError
from stforecast.pipeline.pages import analyse, report
from stforecast.pipeline.prospective import score, verify
from stforecast.pipeline.refresh import refresh
from stforecast.pipeline.stages import Stages

SMALL = (
    *("synthetic.hexagons=19", "synthetic.days=100", "evaluation.forecasters=[rolling_climatology, kernel]"),
    *("grid.cells=polygons", "grid.polygon_key=beat", "grid.min_events=1"),
)


def beats(path: Path, count: int = 12) -> Path:
    whole = shapely.box(-102.6, 38.9, -102.4, 39.1)
    points = np.random.default_rng(3).uniform((-102.53, 38.98), (-102.47, 39.02), (count, 2))
    shapes = shapely.get_parts(shapely.voronoi_polygons(shapely.MultiPoint(points), extend_to=whole))
    names = [f"B{i:02}" for i in range(count)]
    geopandas.GeoDataFrame({"beat": names}, geometry=shapely.intersection(shapes, whole), crs=4326).to_file(path)
    return path


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return []


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> Stages:
    root = tmp_path_factory.mktemp("beats")
    path = beats(root / "beats.geojson")
    stages = Stages(load("quickstart", [f"root={root}", f"grid.polygons={path}", *SMALL]), lines.append)
    stages.ingest()
    stages.build()
    stages.train()
    stages.evaluate()
    stages.forecast()
    return stages


def test_a_grid_of_beats(finished: Stages, lines: list[str]) -> None:
    cube, grid = finished.cube(), open_grid(finished.place.newest_grid())
    assert grid.hexagons.tolist() == cube.cells.tolist()
    assert {*grid.hexagons} <= {f"B{i:02}" for i in range(12)}
    assert shapely.equals(grid.polygons, cube.polygons).all()
    assert any(re.search(r"build: wrote .* × \d+ areas × 3 categories", line) for line in lines)


def test_another_record_keeps_the_beats_of_the_run(finished: Stages, lines: list[str]) -> None:
    other = Stages(
        finished.config.model_copy(update={"grid": finished.config.grid.model_copy(update={"min_events": 2})}),
        lines.append,
    )
    refresh(other)
    assert "its areas are kept" in " ".join(lines)
    store = Store(database(finished.config), finished.config.city)
    served = Served.of(store.open(store.numbers()[-1]))
    assert served.places.geometry.word == "area"
    gone = beats(finished.config.root / "few.geojson", 3)
    few = finished.config.grid.model_copy(update={"polygons": str(gone)})
    with pytest.raises(ConfigError, match="areas of the trained run are not in"):
        refresh(Stages(finished.config.model_copy(update={"grid": few}), lines.append))


def test_pages_speak_of_areas(finished: Stages) -> None:
    pages = [report(finished), analyse(finished), score(finished)]
    assert verify(finished)
    for page in pages:
        text = re.sub(r'base64,[^"]*|<style>.*?</style>', "", page.read_text(), flags=re.DOTALL)
        assert "hexagon" not in text.lower().replace("hexagon mean", "")
    assert " areas" in pages[0].read_text()
