"""A risk grid as files."""

import csv
import json
import re

import geopandas
import h3
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from small_grids import UNITS, grid

from stforecast.delivery.export import _spelled, open_grid, write_grid
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.errors import ArtefactError
from stforecast.forecasters.forecast import Forecast
from stforecast.scoring.conformal import Spread

FILES = {"grid.json", "risk.parquet", "risk.csv", "risk.geojson", "risk_horizon.parquet", "risk_horizon.csv"}
FILES |= {"map.png", "map.html"}


def forecast_of(cells: list[str], **changes) -> Forecast:
    values = {
        "intensity": np.random.default_rng(0).gamma(0.5, 0.1, (1, 24, len(cells), 2)).astype(np.float32),
        "issue_times": pd.DatetimeIndex(["2024-09-30 06:00"], tz="UTC"),
        "hexagons": np.array(cells),
        "categories": ("theft", "violence"),
        "step_hours": 1,
        "time_zone": "America/Denver",
        "model": "gcrn-20240930-ab12",
        "complete_until": pd.Timestamp("2024-09-30 05:00", tz="UTC"),
        "assumptions": ("no weather for 24 of 24 hours",),
        "spreads": dict.fromkeys(("all", "theft", "violence"), Spread(0.9, 0.3, (), (0.05,), (0.95,))),
    }
    return Forecast(**values | changes)


@pytest.fixture(scope="module")
def forecast():
    return forecast_of(h3.grid_disk(h3.latlng_to_cell(39.74, -104.99, 8), 3))


@pytest.fixture(scope="module")
def folder(forecast, tmp_path_factory):
    target = tmp_path_factory.mktemp("grids") / "20240930T060000Z"
    write_grid(RiskGrid.of(forecast), target, "denver")
    assert {path.name for path in target.iterdir()} == FILES
    return target


def test_a_written_grid_opens_as_it_was(tmp_path):
    cells = h3.grid_disk(h3.latlng_to_cell(39.74, -104.99, 8), 2)
    usual = np.random.default_rng(1).gamma(0.5, 0.1, (1, 24, len(cells), 2)).astype(np.float32)
    forecast = forecast_of(cells, usual=usual, districts=np.array(["a", None, "=b"] + ["c"] * (len(cells) - 3), object))
    write_grid(RiskGrid.of(forecast), tmp_path / "grid", "denver")
    written, found = RiskGrid.of(forecast, 0), open_grid(tmp_path / "grid")
    for name in ("intensity", "hexagons", "usual", "districts"):
        np.testing.assert_array_equal(getattr(found, name), getattr(written, name))
    for name in ("categories", "issue_time", "step_hours", "time_zone", "model", "complete_until", "assumptions"):
        assert getattr(found, name) == getattr(written, name)
    pd.testing.assert_frame_equal(found.steps, written.steps)
    pd.testing.assert_frame_equal(found.horizon, written.horizon)
    (tmp_path / "grid" / "risk.parquet").write_bytes(b"PAR1")
    with pytest.raises(ArtefactError, match="stforecast forecast"):
        open_grid(tmp_path / "grid")


@pytest.mark.parametrize("name", ["risk", "risk_horizon"])
def test_geoparquet_has_the_table_types_and_outlines(forecast, folder, name):
    path = folder / f"{name}.parquet"
    schema = pq.read_schema(path)
    utc = pa.timestamp("us", tz="UTC")
    types = {"hexagon": pa.string(), "valid_from": utc, "valid_until": utc, "local_hour": pa.int32()}
    types |= {"category": pa.string(), "intensity": pa.float64(), "low": pa.int32(), "high": pa.int32()}
    types |= {"risk": pa.float64(), "rank": pa.int32()}
    types |= {"issue_time": utc, "model": pa.string(), "complete_until": utc}
    for absent in ("local_hour",) if name == "risk_horizon" else ("low", "high"):
        del types[absent]
    assert schema.names == [*types, "geometry"]
    assert {key: schema.field(key).type for key in types} == types
    geo = json.loads(schema.metadata[b"geo"])
    assert geo["primary_column"] == "geometry"
    assert geo["columns"]["geometry"]["encoding"] == "WKB"
    assert geo["columns"]["geometry"]["geometry_types"] == ["Polygon"]
    assert pq.ParquetFile(path).metadata.row_group(0).column(0).compression == "ZSTD"

    frame = geopandas.read_parquet(path)
    assert frame.crs.to_epsg() == 4326
    table = RiskGrid.of(forecast).steps if name == "risk" else RiskGrid.of(forecast).horizon
    pd.testing.assert_frame_equal(pd.DataFrame(frame.drop(columns="geometry")), table, check_dtype=False)
    centres = shapely.get_coordinates(shapely.centroid(frame.geometry.to_numpy()))
    found = [h3.latlng_to_cell(latitude, longitude, 8) for longitude, latitude in centres]
    assert found == frame["hexagon"].tolist()


@pytest.mark.parametrize("name", ["risk", "risk_horizon"])
def test_csv_reads_back_as_the_parquet_file(folder, name):
    frame = geopandas.read_parquet(folder / f"{name}.parquet")
    table = pd.read_csv(folder / f"{name}.csv", float_precision="round_trip")
    assert list(table) == list(frame)
    for column in ("valid_from", "valid_until", "issue_time", "complete_until"):
        assert table[column].str.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").all()
        table[column] = pd.to_datetime(table[column])
    outlines = shapely.from_wkt(table.pop("geometry"))
    geometry = frame.pop("geometry")
    pd.testing.assert_frame_equal(table, pd.DataFrame(frame), check_dtype=False, check_exact=True)
    assert shapely.equals_exact(outlines, geometry.to_numpy(), tolerance=1e-6).all()


def test_geojson_follows_rfc_7946_and_opens_in_gdal(forecast, folder):
    text = (folder / "risk.geojson").read_text("utf-8")
    collection = json.loads(text)
    grid = RiskGrid.of(forecast)
    assert collection["type"] == "FeatureCollection"
    assert "crs" not in collection
    assert [feature["id"] for feature in collection["features"]] == grid.hexagons.tolist()
    ring = re.search(r'"coordinates":\[\[(.*?)\]\]\]', text)[1]
    assert max(len(number) for number in re.findall(r"\.(\d+)", ring)) <= 6
    for feature in collection["features"]:
        polygon = shapely.from_geojson(json.dumps(feature["geometry"]))
        assert polygon.is_valid
        assert polygon.exterior.is_ccw
    meta = collection["metadata"]
    assert meta["time_zone"] == "America/Denver"
    assert meta["valid_from"][0] == meta["issue_time"] == "2024-09-30T06:00:00Z"
    assert len(meta["valid_from"]) == 24
    assert meta["complete_until"] == "2024-09-30T05:00:00Z"
    assert meta["assumptions"] == ["no weather for 24 of 24 hours"]
    assert meta["notice"].startswith("Forecasts of reported offences, by place and never by person;")

    frame = geopandas.read_file(folder / "risk.geojson")
    assert frame.crs.to_epsg() == 4326
    assert frame["rank_horizon"].dtype.kind == "i"
    assert frame["issue_time"].iloc[0] == forecast.issue_times[0]
    for category, prefix in (("all", ""), ("theft", "theft_"), ("violence", "violence_")):
        day = grid.horizon[grid.horizon["category"] == category].set_index("hexagon").loc[frame["hexagon"]]
        np.testing.assert_allclose(frame[f"{prefix}risk_horizon"], day["risk"], atol=1e-8)
        np.testing.assert_allclose(frame[f"{prefix}intensity_horizon"], day["intensity"], atol=1e-8)
        assert frame[f"{prefix}rank_horizon"].tolist() == day["rank"].tolist()
        hours = grid.steps[grid.steps["category"] == category].set_index(["hexagon", "valid_from"])["risk"]
        expected = hours.unstack().loc[frame["hexagon"]].to_numpy()
        np.testing.assert_allclose(np.stack(frame[f"{prefix}risk_by_step"]), expected, atol=1e-8)


@pytest.mark.parametrize("unit", UNITS)
def test_a_grid_of_every_step_opens_as_it_was_and_its_names_are_true(unit, tmp_path):
    written = grid(unit=unit, assumptions=())
    write_grid(written, tmp_path / "grid", "denver")
    assert {path.name for path in (tmp_path / "grid").iterdir()} == FILES
    found = open_grid(tmp_path / "grid")
    pd.testing.assert_frame_equal(found.steps, written.steps)
    pd.testing.assert_frame_equal(found.horizon, written.horizon)
    for name, table in (("risk", written.steps), ("risk_horizon", written.horizon)):
        text = pd.read_csv(tmp_path / "grid" / f"{name}.csv", float_precision="round_trip")
        assert list(text) == [*table, "geometry"] == pq.read_schema(tmp_path / "grid" / f"{name}.parquet").names
        np.testing.assert_array_equal(text["intensity"], table["intensity"])
        assert pd.to_datetime(text["valid_until"]).tolist() == table["valid_until"].tolist()
    if unit != "hour":
        schema, text = pq.read_schema(tmp_path / "grid" / "risk.parquet"), pd.read_csv(tmp_path / "grid" / "risk.csv")
        assert schema.field("local_date").type == pa.date32()
        assert text["local_date"].iloc[0] == {"day": "2024-09-30", "month": "2024-10-01"}[unit]
    collection = json.loads((tmp_path / "grid" / "risk.geojson").read_text("utf-8"))
    assert collection["metadata"]["step_unit"] == unit
    for feature, risk in zip(collection["features"], written.risk[-1, 0], strict=True):
        assert feature["properties"]["risk_horizon"] == pytest.approx(risk, abs=1e-8)
        assert len(feature["properties"]["risk_by_step"]) == written.horizons
    for path in {*(tmp_path / "grid").iterdir()} - {tmp_path / "grid" / "map.html"}:  # whose texts are of every step
        assert unit == "hour" or "24" not in "".join(re.findall(r"[\w ]*hours", path.read_bytes().decode("latin-1")))


def test_names_that_a_spreadsheet_would_run_are_defused(tmp_path):
    cells = h3.grid_disk(h3.latlng_to_cell(39.74, -104.99, 8), 1)
    forecast = forecast_of(cells, categories=("=1+1", "@home"), spreads={}, model='+cmd|" /C calc"!A0')
    write_grid(RiskGrid.of(forecast), tmp_path / "grid", "denver")
    for name in ("risk.csv", "risk_horizon.csv"):
        with (tmp_path / "grid" / name).open(newline="", encoding="utf-8") as handle:
            rows = list(csv.reader(handle))
        assert not any(cell[:1] in tuple("=+-@\t\r") for row in rows for cell in row)
        assert {row[rows[0].index("category")] for row in rows[1:]} == {"all", "'=1+1", "'@home"}


@given(st.lists(st.text(max_size=5), min_size=1, max_size=8))
def test_spelling_keeps_the_text_and_defuses_formulas(words):
    spelled = _spelled(pd.Series(words, dtype=object))
    for word, cell in zip(words, spelled, strict=True):
        assert cell.removeprefix("'") == word.removeprefix("'")
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_outlines_cut_at_the_antimeridian_stay_right_handed_and_narrow(tmp_path):
    cells = h3.grid_disk(h3.latlng_to_cell(-16.8, 180.0, 6), 2)
    write_grid(RiskGrid.of(forecast_of(cells)), tmp_path / "grid", "taveuni")
    frame = geopandas.read_file(tmp_path / "grid" / "risk.geojson")
    assert set(frame.geom_type) == {"Polygon", "MultiPolygon"}
    parts = shapely.get_parts(frame.geometry.to_numpy())
    assert shapely.is_ccw(shapely.get_exterior_ring(parts)).all()
    assert (np.ptp(shapely.bounds(parts)[:, [0, 2]], axis=1) < 1).all()


def test_a_grid_without_h3_cells_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(ArtefactError, match="not an H3 cell"):
        write_grid(RiskGrid.of(forecast_of(["0", "1"])), tmp_path / "grid", "benchmark")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_half_way_leaves_the_older_grid(forecast, folder, tmp_path, monkeypatch):
    write_grid(RiskGrid.of(forecast), tmp_path / "grid", "denver")
    before = (tmp_path / "grid" / "risk.csv").read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("stforecast.delivery.export.map_png", fail)
    with pytest.raises(OSError, match="disk full"):
        write_grid(RiskGrid.of(forecast_of(forecast.hexagons.tolist(), model="newer")), tmp_path / "grid", "denver")
    assert [path.name for path in tmp_path.iterdir()] == ["grid"]
    assert (tmp_path / "grid" / "risk.csv").read_bytes() == before
    assert {path.name for path in (tmp_path / "grid").iterdir()} == FILES
