"""Looking into tables without coordinates: reports by area, and counts with a row or a column a period."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from stforecast.config import parse
from stforecast.errors import DataError
from stforecast.events.examine.init import init
from stforecast.events.ingest import ingest

NOW = pd.Timestamp("2026-11-01", tz="UTC")
KINDS = ["BURGLARY", "ROBBERY", "THEFT FROM A VEHICLE"]
MONTHS = [str(month).replace("-", "") for month in pd.period_range("2023-01", periods=12, freq="M")]
LONDON = Path(__file__).parents[3] / "shared/data/cities/london_support/recorded-crime-lsoa.parquet"


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def cells(areas=40):
    """Counts of areas and kinds, a column a month."""
    codes = [f"E{area:08d}" for area in range(areas)]
    frame = pd.DataFrame([(code, kind) for code in codes for kind in KINDS], columns=["key", "kind"])
    numbers = np.random.default_rng(3).poisson(1.5, (len(frame), len(MONTHS)))
    return pd.concat([frame, pd.DataFrame(numbers, columns=MONTHS)], axis=1)


def long(frame):
    out = frame.melt(["key", "kind"], MONTHS, "when", "how many")
    return out.assign(when=out["when"].str[:4] + "-" + out["when"].str[4:])


def look(frame, name="table.csv"):
    frame.to_csv(name, index=False)
    said = []
    target = init([name], None, said.append, NOW)
    return yaml.safe_load(target.read_text()), target.read_text(), said


def events_of(values, zone="Europe/London"):
    values["source"]["time_zone"] = zone
    return ingest(parse(values, "test"), now=NOW).frame


GRID = {"cells": "polygons", "polygons": "data/table/areas.geojson", "polygon_key": "key"}


def test_a_column_a_period_is_found():
    frame = cells()
    values, text, said = look(frame)
    assert values["source"]["columns"] == {"occurred": {"periods": ["20*"]}, "area": ["key"], "offence": ["kind"]}
    assert values["time"] == {"step": "month"}
    assert values["grid"] == GRID
    assert "# ? polygon file of the areas" in text
    assert any("time_zone: the city's IANA time zone" in line for line in said)
    assert sum("→" in line for line in said) == 10
    assert any("→ 2 × 2023-" in line or "→ 3 × 2023-" in line for line in said)
    assert len(events_of(values)) == frame[MONTHS].to_numpy().sum()


def test_counts_are_found_by_their_name_though_some_are_hidden():
    frame = long(cells()).rename(columns={"how many": "Offence Count"}).astype({"Offence Count": object})
    frame.loc[::60, "Offence Count"] = "<3"
    values, _, _ = look(frame)
    assert values["source"]["columns"]["count"] == ["Offence Count"]
    assert values["grid"] == GRID
    frame = frame.replace({"Offence Count": {"<3": "0"}})
    frame.to_csv("table.csv", index=False)
    assert len(events_of(values)) == frame["Offence Count"].astype(int).sum()


def test_a_number_without_a_name_is_asked_for_where_rows_are_cells():
    values, text, _ = look(long(cells()))
    assert values["source"]["columns"]["count"] == ["how many"]
    assert "# ? is it the number of reports? without it each row is one report" in text


def test_of_numbers_without_a_name_all_are_asked_for():
    frame = long(cells())
    _, text, _ = look(
        frame.assign(residents=frame["key"].str[-2:].astype(int) + 500)[
            ["key", "kind", "when", "residents", "how many"]
        ]
    )
    assert "# ? is it the number of reports, or how many? without it each row is one report" in text


def test_two_numbers_of_reports_are_asked_for():
    frame = long(cells()).rename(columns={"how many": "value"})
    _, text, _ = look(frame.assign(total=frame["value"] * 2))
    assert "# ? total may be the number of reports too" in text


def test_reports_by_beat_are_no_counts():
    rng, size = np.random.default_rng(5), 900
    days = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 300, size), "D")
    frame = pd.DataFrame(
        {
            "number": rng.permutation(size) + 10_000,
            "day": days.strftime("%Y-%m-%d"),
            "kind": np.array(KINDS)[rng.integers(0, 3, size)],
            "beat": rng.integers(100, 140, size),
            "ward": rng.integers(1, 9, size),
        }
    )
    values, text, _ = look(frame)
    found = values["source"]["columns"]
    assert (found["area"], found["event_id"], "count" in found) == (["beat"], ["number"], False)
    assert "# ? ward may be the areas too" in text
    assert values["time"] == {"step": "day"}
    assert len(events_of(values)) == size


def test_a_table_with_neither_points_nor_areas_is_refused():
    frame = cells().drop(columns="key").assign(kind=np.tile(["BURGLARY", "ROBBERY"], 60))
    with pytest.raises(DataError, match=r"no column holds places.*or codes of areas"):
        look(frame)


@pytest.mark.skipif(not LONDON.is_file(), reason="the folder shared/data beside the repository is absent")
def test_the_table_of_a_city_is_understood():
    target = init([str(LONDON)], "lsoa", lambda _: None, NOW)
    values = yaml.safe_load(target.read_text())
    expected = {"occurred": {"periods": ["20*"]}, "area": ["lsoa_code"], "offence": ["minor_category"]}
    assert values["source"]["columns"] == expected
