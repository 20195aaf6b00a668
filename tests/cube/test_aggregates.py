"""Counts by district and day, and by hour of the week, against counting by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from stforecast import config
from stforecast.cube.aggregates import aggregates
from stforecast.events.schema import DTYPES, EventTable

ZONE = "America/Denver"


def table_of(rows: list[dict[str, Any]], precision: str = "time") -> EventTable:
    blank: dict[str, Any] = {"latitude": 39.7, "longitude": -105.0, "offence": "x", "category": "theft"}
    values = [blank | {"event_id": str(i)} | row for i, row in enumerate(rows)]
    frame = pd.DataFrame(values).reindex(columns=list(DTYPES)).astype(DTYPES)
    return EventTable(frame, {"categories": ["theft", "assault"], "precision": precision, "events": len(frame)})


def settings(**more: Any) -> config.Config:
    source = {"time_zone": ZONE, "columns": {"occurred": ["t"]}, "other": "theft"} | more.pop("source", {})
    return config.parse({"city": "small", "source": source, **more}, "test")


def test_districts_days_and_shares_by_hand() -> None:
    at = [pd.Timestamp(f"2024-01-{day:02d} 12:00", tz=ZONE).tz_convert("UTC") for day in range(1, 29)]
    rows = [{"occurred_at": time, "district": "9", "arrest": None} for time in at]
    night = pd.Timestamp("2024-01-03 23:59", tz=ZONE).tz_convert("UTC")  # the 4th in UTC
    rows += [{"occurred_at": night, "district": "5", "arrest": arrest} for arrest in (True, False, False, None)]
    rows += [{"occurred_at": night, "district": "U", "arrest": True, "category": "assault"}]
    found = aggregates(table_of(rows), settings())["by_district_day"]
    mine = found[found["local_date"] == pd.Timestamp("2024-01-03").date()].reset_index(drop=True)
    assert_frame_equal(
        mine[["district", "category", "events", "arrest_known", "arrests", "arrest_share"]],
        pd.DataFrame(
            {
                "district": ["5", "9", "unknown"],
                "category": ["theft", "theft", "assault"],
                "events": [4, 1, 1],
                "arrest_known": [3, 0, 1],
                "arrests": [1, 0, 1],
                "arrest_share": [1 / 3, np.nan, 1],
            }
        ),
        check_dtype=False,
    )
    assert found["events"].sum() == len(rows)


def test_hours_of_the_week_of_a_record_over_both_changes_of_the_clock() -> None:
    """An event an hour: events / hours is 1 in every hour, whose number is that of the clock."""
    instants = pd.date_range("2024-01-01 07:00", "2024-12-31 06:59", freq="h", tz="UTC")
    rows = [{"occurred_at": time + pd.Timedelta(minutes=17), "arrest": i % 4 == 0} for i, time in enumerate(instants)]
    found = aggregates(table_of(rows), settings())["by_hour_weekday"]
    theft, assault = (
        found[found["category"] == name].set_index(["local_weekday", "local_hour"]) for name in ("theft", "assault")
    )
    assert len(found) == 2 * 168
    assert (theft["events"] == theft["hours"]).all()
    assert (assault["events"] == 0).all()
    assert (assault["hours"] == theft["hours"]).all()
    assert theft["hours"].sum() == len(rows)
    assert theft.loc[(6, 2), "hours"] == 51  # 52 Sundays, one without 02:00
    assert theft.loc[(6, 1), "hours"] == 53  # and one with 01:00 twice
    assert theft["arrests"].sum() / theft["arrest_known"].sum() == pytest.approx(0.25, abs=1e-3)
    assert assault["arrest_share"].isna().all()


def test_days_that_were_not_recorded_do_not_count() -> None:
    instants = pd.date_range("2024-01-01 07:00", "2024-03-25 06:59", freq="h", tz="UTC")  # twelve weeks
    gap = {"gaps": [{"first": "2024-02-05", "last": "2024-02-11", "categories": ["theft"]}]}
    rows = [{"occurred_at": time, "category": name} for time in instants for name in ("theft", "assault")]
    found = aggregates(table_of(rows), settings(source=gap))["by_hour_weekday"]
    for name, weeks in (("theft", 11), ("assault", 12)):
        mine = found[found["category"] == name]
        assert (mine["hours"] == mine["events"]).all()
        assert mine["hours"].sum() == pytest.approx(168 * weeks, abs=1)


def test_a_record_of_days_has_no_hours() -> None:
    instants = pd.date_range("2024-01-01 07:00", periods=60, freq="D", tz="UTC")
    table = table_of([{"occurred_at": time} for time in instants], "day")
    found = aggregates(table, settings(time={"step": "day"}))
    assert {name: len(rows) for name, rows in found.items()} == {"by_district_day": 60, "by_hour_weekday": 0}
