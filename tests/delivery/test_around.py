"""What a map shows around its cells: packed within a budget, and readable again."""

from pathlib import Path

import h3
import numpy as np
import pytest
import shapely
from fastapi.testclient import TestClient
from small_grids import FACTS, ISSUED, grid, store_of, usual

from stforecast.config import load
from stforecast.config.sections import Tiles
from stforecast.config.sections.map import host_of
from stforecast.cube.geometry import Hexagons
from stforecast.delivery import around as packing
from stforecast.delivery.api.app import create_app
from stforecast.delivery.api.keeper import Keeper
from stforecast.delivery.around import BUDGET, WORLD, around
from stforecast.delivery.layers import MapLayer, map_layer, read_layers
from stforecast.events.synthetic_layers import layers_of, write_layers

MIDDLE = (39.74, -104.99)


def layers(folder: Path, reach: float = 3000) -> list[MapLayer]:
    of = Hexagons(np.array(sorted(h3.grid_disk(h3.latlng_to_cell(*MIDDLE, 8), 3))))
    write_layers(layers_of(*MIDDLE, reach), folder)
    return [map_layer(path.stem, None, path, "name", of) for path in sorted(folder.glob("*.geojson"))]


def parts(packed: dict, origin: list[float]) -> list[tuple[str | None, int, np.ndarray]]:
    """Name, class and points in longitude and latitude of what was packed."""
    numbers, value, bits = [], 0, 0
    for byte in packed["data"]:
        value, bits = value | (byte & 127) << bits, bits + 7
        if byte < 128:
            numbers.append(value)
            value = bits = 0
    found, at, first = [], 0, np.array(origin)
    while at < len(numbers):
        name, kind, count = numbers[at : at + 3]
        steps = np.array([n // 2 if n % 2 == 0 else -(n + 1) // 2 for n in numbers[at + 3 : at + 3 + 2 * count]])
        points = first + steps.reshape(-1, 2).cumsum(0)
        first, at = points[0], at + 3 + 2 * count
        x, y = (points / WORLD).T
        degrees = np.stack([360 * (x - 0.5), np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * y))))], 1)
        found.append((packed["names"][name - 1] if name else None, kind, degrees))
    return found


def test_what_is_packed_lies_where_it_lay(tmp_path: Path) -> None:
    given = layers(tmp_path)
    found = around(given)
    assert found["left_out"] == []
    assert found["tiles"] is None
    for layer, packed in zip(given, found["layers"], strict=True):
        assert (packed["name"], packed["kind"], packed["dimension"]) == (layer.name, layer.kind, layer.dimension)
        assert {*packed["names"]} == {*layer.names}
        for name, _, points in parts(packed, found["origin"]):
            of_name = shapely.union_all(shapely.boundary(layer.shapes) if layer.dimension == 2 else layer.shapes)
            assert shapely.distance(shapely.points(points), of_name).max() < 3e-5  # 2.5 m: a pixel and rounding
            assert name in packed["names"]
    streets = parts(next(one for one in found["layers"] if one["kind"] == "streets"), found["origin"])
    assert len(streets) < 120  # blocks are joined
    classes = [kind for _, kind, _ in streets]
    assert classes == sorted(classes)
    assert {*classes} == {0, 1, 2}


def test_a_budget_is_kept_and_what_it_costs_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sum(BUDGET.values()) <= 3_000_000
    given = [layer for layer in layers(tmp_path) if layer.kind in ("streets", "neighbourhoods")]
    whole = {one["name"]: parts(one, around(given)["origin"]) for one in around(given)["layers"]}
    monkeypatch.setattr(packing, "BUDGET", BUDGET | {"streets": 900, "neighbourhoods": 500})
    found = around(given)
    for packed in found["layers"]:
        text = len(packed["data"]) + len(str(packed["names"]))
        assert text < 1.2 * packing.BUDGET[packed["kind"]]
        kept = parts(packed, found["origin"])
        assert 0 < len(kept) < len(whole[packed["name"]])
    assert len(found["left_out"]) == 2
    assert "the least known and shortest" in found["left_out"][1]
    best = {name for name, kind, _ in whole["streets"] if kind == 0}
    assert best <= {name for name, _, _ in parts(found["layers"][1], found["origin"])}


def test_a_layer_that_cannot_be_read_is_left_out_with_a_word(tmp_path: Path) -> None:
    layers(tmp_path / "files")
    config = load(
        "quickstart",
        [f"root={tmp_path}", f"layers.streets.file={tmp_path}/files/streets.geojson", "layers.parks.kind=other"],
    )
    said: list[str] = []
    of = Hexagons(np.array([h3.latlng_to_cell(*MIDDLE, 8)]))
    found = read_layers(config, of, said.append)
    assert [layer.name for layer in found] == ["streets"]
    assert len(said) == len(config.layers) - 1
    assert said[0].startswith("without the layer water: ")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("tiles.example.org/{z}/{x}/{y}.png", "write https://"),
        ("https://a;b/{z}/{x}/{y}.png", "plain host"),
        ("https://{s}.example.org/{z}/{x}/{y}.png", "plain host"),
        ("https://tiles.example.org/{z}/{x}.png", "{y} is missing"),
    ],
)
def test_tiles_name_one_host(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("{", r"\{")):
        Tiles(url=url, attribution="Example")
    assert host_of("https://tiles.example.org:8443/a/{z}/{x}/{y}.png") == "https://tiles.example.org:8443"


def test_the_service_answers_what_lies_around_and_lets_browsers_to_the_tiles_alone(tmp_path: Path) -> None:
    write_layers(layers_of(*MIDDLE, 3000), tmp_path / "data" / "quickstart" / "layers")
    plain = load("quickstart", [f"root={tmp_path}"])
    tiles = "map.tiles={url: 'https://tiles.example.org/{z}/{x}/{y}.png', attribution: Example}"
    store, made = store_of(plain), grid()
    store.put(made, usual(made), FACTS, ISSUED)
    for config, pictures, named in (
        (plain, "img-src 'self' data:;", None),
        (load("quickstart", [f"root={tmp_path}", tiles]), "img-src 'self' data: https://tiles.example.org;", "Example"),
    ):
        client = TestClient(create_app(config, Keeper(store_of(config))), base_url="http://localhost")
        answer = client.get("/v1/around")
        assert pictures in answer.headers["content-security-policy"]
        assert {layer["kind"] for layer in answer.json()["layers"]} >= {"streets", "water", "neighbourhoods"}
        assert (answer.json()["tiles"] or {}).get("attribution") == named
        assert client.get("/v1/around", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    store.close()
