"""Names of cells: by crossing, street, area and compass."""

import json
import time
from dataclasses import replace
from pathlib import Path

import h3
import numpy as np
import pandas as pd
import pytest
import shapely
from fastapi.testclient import TestClient
from small_grids import FACTS, ISSUED, grid, store_of, usual

from stforecast.config import load
from stforecast.cube.geometry import Hexagons
from stforecast.delivery.api.app import create_app
from stforecast.delivery.api.keeper import Keeper
from stforecast.delivery.convert import convert
from stforecast.delivery.export import open_grid, write_grid
from stforecast.delivery.layers import MapLayer, kind_of, map_layer, spelled
from stforecast.delivery.packed import pack, unpack
from stforecast.delivery.place_names import called, known, place_names
from stforecast.errors import DataError
from stforecast.events.synthetic_layers import layers_of, write_layers

MIDDLE = (39.74, -104.99)
NORTH, EAST = 1 / 111_320, 1 / (111_320 * np.cos(np.radians(MIDDLE[0])))


def cells(rings: int = 0, resolution: int = 8) -> Hexagons:
    return Hexagons(np.array(sorted(h3.grid_disk(h3.latlng_to_cell(*MIDDLE, resolution), rings))))


def streets(of: Hexagons, *lines: tuple[str | None, list[tuple[float, float]]]) -> MapLayer:
    """Streets through points in metres east and north of the first cell's centre."""
    latitude, longitude = of.centres[0]
    shapes = [shapely.LineString([(longitude + x * EAST, latitude + y * NORTH) for x, y in at]) for _, at in lines]
    return MapLayer("streets", "streets", np.array(shapes), np.array([name for name, _ in lines], object))


def area(kind: str, *rows: tuple[str | None, shapely.Geometry]) -> MapLayer:
    return MapLayer(kind, kind, np.array([shape for _, shape in rows]), np.array([name for name, _ in rows], object))


WEST_EAST = [(-900.0, 20.0), (900.0, 20.0)]


def test_the_crossing_near_the_middle_names_a_cell() -> None:
    of = cells()
    found = streets(
        of,
        ("E Colfax Ave", WEST_EAST),
        ("N Broadway", [(30, -600), (30, 600)]),
        ("Far Street", [(440, -600), (440, 600)]),
    )
    assert place_names(of, [found]).tolist() == ["E Colfax Ave & N Broadway"]


def test_the_better_known_street_comes_first_and_may_be_farther_off() -> None:
    of = cells()
    short = [("Elm Court", [(0, -80), (0, 80)]), ("Alley", [(-40, 0), (40, 0)])]
    long = [("Main Street", [(90, -5000), (90, 5000)]), ("Grand Avenue", [(-6000, 60), (6000, 60)])]
    rest = [(f"Lane {number}", [(9000 + number, 0), (9000 + number, 3000)]) for number in range(20)]
    assert place_names(of, [streets(of, *short, *long, *rest)]).tolist() == ["Grand Avenue & Main Street"]


def test_two_sides_of_one_street_are_no_crossing() -> None:
    of = cells()
    broadway = streets(of, ("N Broadway", [(0, 0), (0, 300)]), ("S Broadway", [(0, -300), (0, 0)]))
    assert place_names(of, [broadway])[0] in ("N Broadway", "S Broadway")


def test_without_a_crossing_the_nearest_street_then_the_area() -> None:
    of = cells(1)
    quarter = area("neighbourhoods", ("Five Points", shapely.box(-106, 39, -104, 40)))
    names = place_names(of, [streets(of, ("High Street", WEST_EAST), (None, [(0, -500), (0, 500)])), quarter])
    assert names[0] == "High Street" or names[0].startswith("High Street, Five Points")
    assert sum(name.startswith("Five Points, ") for name in names) >= 4
    assert len({*names}) == 7


def test_equal_names_are_told_apart_by_area_then_compass_then_distance() -> None:
    of = cells(2)
    east = area("beats", ("312", shapely.box(-104.99, 39, -104, 40)), (None, shapely.box(-106, 39, -104.99, 40)))
    names = place_names(of, [streets(of, ("Long Road", [(-9000, 0), (9000, 0)])), east])
    assert any(name.startswith("Beat 312, ") for name in names)
    assert len({*names}) == len(names)


def test_without_layers_a_cell_is_called_by_its_district_or_the_city() -> None:
    of = cells(3)
    districts = np.where(of.centres[:, 1] > MIDDLE[1], "6", None)
    names = pd.Series(place_names(of, districts=districts.astype(object)), of.names)
    first = [h3.latlng_to_cell(MIDDLE[0] + up, MIDDLE[1] + 0.01, 8) for up in (0.018, -0.018)]
    assert names[first[0]].startswith("District 6, north")
    assert names[first[1]].startswith("District 6, south")
    assert any(name.startswith(("West of the centre", "North-west of the centre")) for name in names)
    alone = place_names(cells(), districts=np.array(["North End"], object))
    assert alone.tolist() == ["North End"]
    assert place_names(cells()).tolist() == ["Centre"]


def test_names_are_the_same_whatever_the_order_of_the_shapes() -> None:
    of = cells(4)
    layers = layers_of(*MIDDLE, 4000)["streets"]
    names, shapes = np.array([name for name, _ in layers], object), np.array([shape for _, shape in layers])
    order = np.random.default_rng(0).permutation(len(names))
    one, other = (MapLayer("s", "streets", shapes[at], names[at]) for at in (np.arange(len(names)), order))
    assert place_names(of, [one]).tolist() == place_names(of, [other]).tolist()


def test_the_longest_streets_are_the_best_known() -> None:
    names = np.array(["Main", "Main", "Elm", "Oak", ""], object)
    assert known(names, np.array([40.0, 30.0, 20.0, 10.0, 500.0])).tolist() == [0, 0, 2, 2, 2]


def test_capitals_are_written_as_words_and_numbers_have_one() -> None:
    found = spelled(["E COLFAX AVE", "1ST AVE NE", "O'NEILL ST", "McKinley", "  ", None, "E  COLFAX AVE"])
    assert found.tolist() == ["E Colfax Ave", "1st Ave NE", "O'neill St", "McKinley", None, None, "E Colfax Ave"]
    assert [called(name, "Beat") for name in ("6", "1834", "04X", "Old Town", "")] == [
        *("Beat 6", "Beat 1834", "Beat 04X", "Old Town", "")
    ]


def test_a_kind_is_known_by_name_and_shape() -> None:
    asked = [("street_centerline", 1), ("rivers", 1), ("police_beats", 2), ("communities", 2), ("parks", 0), ("x", 1)]
    assert [kind_of(*one) for one in asked] == ["streets", "water", "beats", "neighbourhoods", "other", "streets"]


def test_a_layer_is_cut_around_the_city_and_one_from_elsewhere_refused(tmp_path: Path) -> None:
    of = cells(2)
    write_layers(layers_of(*MIDDLE, 9000), tmp_path)
    found = map_layer("streets", None, tmp_path / "streets.geojson", "name", of)
    west, _, east, _ = shapely.total_bounds(of.outlines)
    bounds = shapely.total_bounds(found.shapes)
    assert bounds[0] < west
    assert bounds[2] > east
    assert bounds[2] - bounds[0] < 1.2 * (east - west)
    write_layers(layers_of(10.0, 10.0, 2000), tmp_path)
    with pytest.raises(DataError, match="another city"):
        map_layer("streets", None, tmp_path / "streets.geojson", "name", of)
    with pytest.raises(DataError, match="no attribute 'title'"):
        map_layer("streets", None, tmp_path / "streets.geojson", "title", of)


def test_names_are_quick() -> None:
    of = cells(40, 9)
    rows = layers_of(*MIDDLE, 13_000, spacing=120)["streets"]
    layer = MapLayer("s", "streets", np.array([s for _, s in rows]), np.array([n for n, _ in rows], object))
    began = time.perf_counter()
    names = place_names(of, [layer])
    print(f"{len(names):,} cells, {len(rows):,} pieces of streets: {time.perf_counter() - began:.1f} s")
    assert time.perf_counter() - began < 30
    assert len({*names}) > 0.95 * len(names)


def test_every_file_and_answer_has_the_names(tmp_path: Path) -> None:
    plain = grid(assumptions=())
    named = replace(plain, places=place_names(plain.geometry, districts=plain.districts))
    names = dict(zip(named.hexagons, named.places, strict=True))
    write_grid(named, tmp_path / "grid", "denver")
    for table in (
        pd.read_csv(tmp_path / "grid" / "risk.csv"),
        pd.read_parquet(tmp_path / "grid" / "risk_horizon.parquet"),
    ):
        assert list(table)[:2] == ["place", "hexagon"]
        # a spreadsheet would run =South
        assert [name.lstrip("'") for name in table["place"]] == [names[cell] for cell in table["hexagon"]]
    features = json.loads((tmp_path / "grid" / "risk.geojson").read_text())["features"]
    assert [next(iter(one["properties"])) for one in features] == ["place"] * len(names)
    assert {one["properties"]["hexagon"]: one["properties"]["place"] for one in features} == names
    for found in (open_grid(tmp_path / "grid"), unpack(pack(named, "denver"))):
        assert found.places.tolist() == named.places.tolist()
        assert np.array_equal(found.intensity, plain.intensity)
    moved = convert(named, 7)
    assert len(moved.places) == len(moved.hexagons)
    write_grid(plain, tmp_path / "old", "denver")
    assert open_grid(tmp_path / "old").places is None
    assert "place" not in pd.read_csv(tmp_path / "old" / "risk.csv")


def test_the_service_leads_with_names_and_finds_by_them(tmp_path: Path) -> None:
    plain = grid()
    named = replace(plain, places=place_names(plain.geometry, districts=plain.districts))
    config = load("quickstart", [f"root={tmp_path}"])
    store = store_of(config)
    store.put(named, usual(named), FACTS, ISSUED)
    client = TestClient(create_app(config, Keeper(store_of(config))), base_url="http://localhost")
    rows = client.get("/v1/risk?place=NORTH east").json()["rows"]
    held = [name for name in named.places if "north" in name.casefold() and "east" in name.casefold()]
    assert sorted(row["place"] for row in rows) == sorted(held) != []
    assert next(iter(rows[0])) == "place"
    assert client.get("/v1/top?k=3&place=nowhere").json()["rows"] == []
    one = client.get(f"/v1/hexagons/{rows[0]['hexagon']}").json()
    assert one["place"] == rows[0]["place"]
    assert client.get("/v1/risk?format=csv").text.startswith("place,hexagon,")
    feature = client.get("/v1/risk?format=geojson&top_k=1").json()["features"][0]
    assert feature["properties"]["place"] in named.places
    store.close()
