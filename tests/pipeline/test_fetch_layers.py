"""Layers from files and from the city's own servers, from the configuration to the file that a grid names."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import geopandas
import numpy as np
import pytest
import shapely
from click.testing import CliRunner
from tiny_city import config_of

from stforecast.cli import cli
from stforecast.config.loading import parse
from stforecast.errors import ConfigError, DataError, FetchError
from stforecast.files import read_json
from stforecast.pipeline.layers import fetch_layers, fetch_layers_first
from stforecast.pipeline.stages import Stages
from stforecast.sources.web import Retry, Web

WEB = Web(Retry(total=1, backoff_factor=0), pause=0)
WEST, SOUTH, EAST, NORTH = BOUNDS = (-102.8, 38.8, -102.2, 39.2)
PAGE = 900
STREETS = 5000


def beats() -> list[dict[str, Any]]:
    """Four beats that share borders, the first with a hole; one has no outline, one lies elsewhere."""
    x, y = np.linspace(WEST, EAST, 3), np.linspace(SOUTH, NORTH, 3)
    squares = [
        [[x[i], y[j]], [x[i], y[j + 1]], [x[i + 1], y[j + 1]], [x[i + 1], y[j]], [x[i], y[j]]]
        for i in (0, 1)
        for j in (0, 1)
    ]
    hole = [[-102.7, 38.9], [-102.69, 38.9], [-102.69, 38.91], [-102.7, 38.91], [-102.7, 38.9]]
    rings = [[squares[0], hole], *([one] for one in squares[1:])]
    found = [
        {"attributes": {"OBJECTID": i + 1, "BEAT": f"B{i + 1}"}, "geometry": {"rings": one}}
        for i, one in enumerate(rings)
    ]
    far = [[[0, 0], [0, 1], [1, 1], [0, 0]]]
    return [
        *found,
        {"attributes": {"OBJECTID": 5, "BEAT": "none"}},
        {"attributes": {"OBJECTID": 6, "BEAT": "far"}, "geometry": {"rings": far}},
    ]


def streets() -> list[dict[str, Any]]:
    """Thousands of streets, each of twenty points, all within a metre of a line."""
    t = np.linspace(0, 0.01, 20)
    found = []
    for i in range(STREETS):
        x, y = WEST + i % 100 * 0.005, SOUTH + 0.001 + i // 100 * 0.005
        path = np.column_stack([x + t, y + 2e-6 * np.sin(t * 1e4)]).round(7).tolist()
        found.append({"attributes": {"OBJECTID": i + 1, "FULLNAME": f"{i} St"}, "geometry": {"paths": [path]}})
    return found


class City:
    """The city's own servers: a layer of beats, one of streets, a data set of districts, and a file."""

    def __init__(self) -> None:
        handler = type("Handler", (_Handler,), {"owner": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.layers = {"0": ("esriGeometryPolygon", beats()), "1": ("esriGeometryPolyline", streets())}
        self.asked: list[str] = []
        self.down = False
        side = np.linspace(WEST, EAST, 60_000)  # more than a megabyte of text
        large = shapely.Polygon([*np.column_stack([side, np.full_like(side, SOUTH)]), (EAST, NORTH), (WEST, NORTH)])
        self.districts = (
            f'":id",":updated_at","the_geom","district"\n"row-1","2026-01-01T00:00:00.000Z","{large.wkt}","1"\n'
        )

    def answer(self, path: str, query: dict[str, str]) -> bytes:
        if path.startswith("/resource"):
            if "count(*)" in query["$query"]:
                return b'"rows","newest"\n"1","2026-01-01T00:00:00.000Z"\n'
            return (
                self.districts.encode()
                if ":id >" not in query["$query"]
                else self.districts.split("\n")[0].encode() + b"\n"
            )
        kind, rows = self.layers[path.split("/")[2]]
        if not path.endswith("/query"):
            fields = [{"name": "OBJECTID", "type": "esriFieldTypeOID"}]
            return json.dumps({"objectIdField": "OBJECTID", "maxRecordCount": PAGE, "fields": fields}).encode()
        after = int(found[1]) if (found := re.search(r"OBJECTID > (\d+)", query["where"])) else 0
        rows = [row for row in rows if row["attributes"]["OBJECTID"] > after]
        if query.get("returnCountOnly"):
            return json.dumps({"count": len(rows)}).encode()
        said: dict[str, Any] = {"objectIdFieldName": "OBJECTID", "geometryType": kind, "features": rows[:PAGE]}
        said |= {"spatialReference": {"wkid": 4326, "latestWkid": 4326}}
        return json.dumps(said | ({"exceededTransferLimit": True} if len(rows) > PAGE else {})).encode()


class _Handler(BaseHTTPRequestHandler):
    owner: City

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.owner.asked.append(parts.path)
        body = self.owner.answer(parts.path, {name: one[0] for name, one in parse_qs(parts.query).items()})
        self.send_response(503 if self.owner.down else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def city() -> Iterator[City]:
    found = City()
    thread = threading.Thread(target=found.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield found
    found.server.shutdown()
    found.server.server_close()
    thread.join()


def stages_of(root: Path, said: list[str], layers: dict[str, Any], *more: str) -> Stages:
    return Stages(config_of(root, f"layers={json.dumps(layers)}", *more), said.append)


def arcgis(city: City, layer: int, name: str) -> dict[str, Any]:
    return {
        "table": {"kind": "arcgis", "url": f"{city.url}/FeatureServer/{layer}"},
        "name": name,
        "licence": "CC0",
        "attribution": "The city",
    }


def test_layers_come_from_the_citys_servers_once(city: City, tmp_path: Path) -> None:
    said: list[str] = []
    socrata = {"table": {"kind": "socrata", "url": city.url, "dataset": "abcd-1234"}, "name": "district"}
    layers = {"beats": arcgis(city, 0, "BEAT"), "streets": arcgis(city, 1, "FULLNAME"), "districts": socrata}
    stages = stages_of(tmp_path, said, layers)
    fetch_layers(stages, web=WEB)
    folder = stages.place.layers
    found = geopandas.read_file(folder / "beats.geojson")
    assert found["name"].tolist() == ["B1", "B2", "B3", "B4"]
    assert found.crs.to_epsg() == 4326
    assert shapely.coverage_is_valid(found.geometry.to_numpy())
    assert len(found.geometry[0].interiors) == 1
    assert any("beats: 4 shapes, 1 outside source.bounds left out" in line for line in said)
    facts = read_json(folder / "beats.json")
    assert facts["layer"]["licence"] == "CC0"
    assert facts["layer"]["attribution"] == "The city"
    assert facts["tolerance_m"] == 2
    assert facts["layer"]["table"]["url"].startswith(city.url)
    manifest = read_json(folder / "fetched/beats" / next((folder / "fetched/beats").iterdir()).name / "manifest.json")
    assert manifest["licence"] == "CC0"
    lines = geopandas.read_file(folder / "streets.geojson")
    assert len(lines) == STREETS
    assert shapely.get_num_coordinates(lines.geometry.to_numpy()).sum() == 2 * STREETS
    assert (folder / "streets.geojson").stat().st_size < 220 * STREETS
    assert geopandas.read_file(folder / "districts.geojson")["name"].tolist() == ["1"]
    asked, times = len(city.asked), {path: path.stat().st_mtime_ns for path in folder.glob("*.*")}
    fetch_layers(stages, missing=True, web=WEB)
    assert len(city.asked) == asked
    fetch_layers(stages, web=WEB)  # asked again, and nothing is new
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*.*")} == times
    city.layers["0"][1][0]["attributes"]["BEAT"] = "renamed"
    fetch_layers(stages, web=WEB)
    assert geopandas.read_file(folder / "beats.geojson")["name"][0] == "renamed"


def test_a_grid_names_a_layer(city: City, tmp_path: Path) -> None:
    layer = "grid.districts=data/quickstart/layers/beats.geojson"
    stages = stages_of(tmp_path, [], {"beats": arcgis(city, 0, "BEAT")}, layer)
    fetch_layers(stages, web=WEB)
    stages.ingest()
    assert set(stages.build().hexagons["district"].dropna()) <= {"B1", "B2", "B3", "B4"}


def test_a_server_that_is_down_keeps_no_other_layer_back(city: City, tmp_path: Path) -> None:
    said: list[str] = []
    file = tmp_path / "own.geojson"
    geopandas.GeoDataFrame({"n": ["a"]}, geometry=[shapely.box(*BOUNDS)], crs="EPSG:4326").to_file(file)
    stages = stages_of(tmp_path, said, {"beats": arcgis(city, 0, "BEAT"), "own": {"file": str(file), "name": "n"}})
    city.down = True
    with pytest.raises(FetchError, match="status 503"):
        fetch_layers(stages, web=WEB)
    assert [path.name for path in sorted(stages.place.layers.glob("*.*"))] == ["own.geojson", "own.json"]
    city.down = False
    fetch_layers_first(stages)
    assert (stages.place.layers / "beats.geojson").is_file()


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    said: list[str] = []
    file = tmp_path / "own.geojson"
    shapes = geopandas.GeoDataFrame({"n": ["a"]}, geometry=[shapely.box(*BOUNDS)], crs="EPSG:4326")
    shapes.to_file(file)
    stages = stages_of(tmp_path, said, {"own": {"file": str(file), "name": "n"}})
    fetch_layers(stages)
    fetch_layers(stages)
    assert said[-1].endswith("own.geojson is up to date")
    shapes.assign(n="b").to_file(file)
    fetch_layers(stages, missing=True)
    assert geopandas.read_file(stages.place.layers / "own.geojson")["name"].tolist() == ["b"]
    (stages.place.layers / "own.geojson").write_text("{}")  # damaged
    fetch_layers(stages, missing=True)
    assert geopandas.read_file(stages.place.layers / "own.geojson")["name"].tolist() == ["b"]
    with pytest.raises(DataError, match=r"none of its 1 shapes lies in source\.bounds"):
        fetch_layers(stages_of(tmp_path, said, {"own": {"file": str(file)}}, "source.bounds=[1,1,2,2]"))
    with pytest.raises(DataError, match=r"is absent. Correct layers\.own\.file"):
        fetch_layers(stages_of(tmp_path, said, {"own": {"file": "no.geojson"}}))


def test_on_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "own.geojson"
    geopandas.GeoDataFrame({"n": ["a"]}, geometry=[shapely.box(*BOUNDS)], crs="EPSG:4326").to_file(file)
    words = ["fetch", "configs/quickstart.yaml", f"root={tmp_path}", f"layers={{own: {{file: {file}, name: n}}}}"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert "layers: own: 1 shapes, 5 of 5 points" in result.output


@pytest.mark.parametrize(
    ("layer", "match"),
    [
        ({}, "either a file or a table"),
        ({"file": "a", "table": {"kind": "arcgis", "url": "https://x/0"}}, "either a file or a table"),
        ({"table": {"kind": "ckan", "url": "https://x", "dataset": "a"}}, "of CKAN name the address of the file"),
    ],
)
def test_what_is_no_layer_is_refused(layer: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        parse({"city": "x", "layers": {"a": layer}}, "x")
    with pytest.raises(ConfigError, match="only a to z"):
        parse({"city": "x", "layers": {"A/b": {"file": "a"}}}, "x")
