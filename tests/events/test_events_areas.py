"""Reports that have the publisher's own area and no coordinates: kept where areas are the cells, refused elsewhere."""

import numpy as np
import pandas as pd
import pytest

from stforecast.config import Config, parse
from stforecast.errors import ArtefactError, DataError
from stforecast.events.ingest import ingest
from stforecast.events.schema import EventTable

NOW = pd.Timestamp("2026-11-01", tz="UTC")
COLUMNS = {"occurred": ["when"], "latitude": ["lat"], "longitude": ["lon"], "area": ["beat"], "offence": ["kind"]}


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def city(cells="polygons", columns=COLUMNS, **source) -> Config:
    section = {"columns": columns, "time_zone": "America/Chicago", "other": "any", "path": "reports.csv", **source}
    grid = {"cells": "polygons", "polygons": "beats.geojson", "polygon_key": "beat"} if cells == "polygons" else {}
    return parse({"city": "town", "time": {"step": "day"}, "source": section, "grid": grid}, "test")


def table(beats, placed, **more):
    days = pd.date_range("2023-03-01", periods=len(beats)).strftime("%Y-%m-%d")
    frame = pd.DataFrame({"when": days, "beat": beats, "kind": "theft", **more})
    frame["lat"], frame["lon"] = np.where(placed, "41.88", ""), np.where(placed, "-87.63", "")
    frame.to_csv("reports.csv", index=False)
    return frame


def test_a_report_with_an_area_alone_is_kept_where_cells_are_polygons():
    placed = np.arange(40) % 4 != 0
    table(["0423", " 1011 ", "1011.0", "0423"] * 10, placed)
    events = ingest(city(), now=NOW)
    assert events.frame["area"].tolist() == ["0423", "1011", "1011", "0423"] * 10
    assert (events.frame["latitude"].notna() == placed).all()
    assert events.meta["placed_by_area"] == 10
    assert "10 events have no coordinates and are placed by their area" in events.meta["notes"]
    with pytest.raises(DataError, match=r"10 of 40 rows refused.*kept where grid\.cells is polygons"):
        ingest(city("h3"), now=NOW)


def test_a_table_without_any_coordinates_is_one_of_areas():
    table(["E01000001", "E01000002"] * 10, False)
    columns = {name: COLUMNS[name] for name in ("occurred", "area", "offence")}
    events = ingest(city(columns=columns), now=NOW)
    assert (len(events), events.meta["placed_by_area"]) == (20, 20)
    assert events.columns(["area"])["area"].nunique() == 2


def test_neither_a_point_nor_an_area_is_refused_and_a_point_elsewhere_too():
    frame = table(["0423"] * 60 + [""], [True] * 60 + [False])
    frame.loc[5, "lat"] = "12.0"
    frame.loc[6, "lat"] = "north"
    frame.to_csv("reports.csv", index=False)
    events = ingest(city(bounds=(-88, 41, -87, 43), max_rejects=0.1), now=NOW)
    assert events.meta["rejected"] == {"outside the bounds": 1, "unreadable coordinates": 1, "no coordinates": 1}


def test_codes_that_differ_by_a_lost_zero_are_doubted():
    table(["0423", "423", "0511", "511", "1234"] * 8, True)
    (doubt,) = (text for text in ingest(city(), now=NOW).meta["doubts"] if "zeros" in text)
    assert doubt.startswith("The areas 0423 and 423 (2 such pairs) differ by zeros in front alone")
    table(["0423", "0511", "1234", "7"] * 8, True)
    assert not [text for text in ingest(city(), now=NOW).meta["doubts"] if "zeros" in text]


def test_a_column_of_coordinates_that_is_named_must_be_there():
    table(["0423"] * 20, True)
    with pytest.raises(DataError, match="no column 'y' for `latitude`"):
        ingest(city(columns=COLUMNS | {"latitude": ["y"]}), now=NOW)


def test_ids_of_rows_without_an_area_are_as_they_were_before_there_was_one():
    table(["0423"] * 20, True)
    without = {name: names for name, names in COLUMNS.items() if name != "area"}
    ids = set(ingest(city(columns=without), now=NOW).frame["event_id"])
    assert ids.isdisjoint(ingest(city(), now=NOW).frame["event_id"])


def test_a_table_needs_a_point_or_an_area_for_each_event():
    table(["0423"] * 20, False)
    events = ingest(city(), now=NOW)
    frame = events.frame.assign(area=events.frame["area"].where(events.frame.index > 0))
    with pytest.raises(ArtefactError, match="neither coordinates nor an area"):
        EventTable(frame, events.meta)
