"""The last weeks and the year to date against the year before, by counts made by hand."""

from __future__ import annotations

import io
import json
from itertools import product
from typing import Any

import h3
import numpy as np
import pandas as pd
import pytest

from stforecast.cube import Cube
from stforecast.cube.holes import Gap
from stforecast.delivery.compare import compare, spans_of, to_table, year_before
from stforecast.delivery.riskgrid import RiskGrid
from stforecast.delivery.small_counts import shown_beside_sums
from stforecast.forecasters.forecast import Forecast

CELLS = sorted(h3.grid_disk(h3.latlng_to_cell(39.74, -104.99, 8), 1))
ZONE = "America/Denver"


def local(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz=ZONE).tz_convert("UTC")


def cube_of(
    start: str, end: str, events: list[tuple[Any, ...]] = (), unit: str = "hour", late: int = 0, **rest: Any
) -> Cube:
    """A record of seven hexagons from one local time to another; events: local time, cell, category, how many."""
    empty = Cube.from_dense(
        np.zeros((1, len(CELLS), 2)),
        edge_index=np.zeros((2, 0), int),
        start=local(start),
        step_unit=unit,
        time_zone=ZONE,
    )
    steps = int(empty.step.since(empty.start, [local(end)])[0])
    hour = empty.step.since(empty.start, [local(time) for time, *_ in events]) if events else np.zeros(0, np.int64)
    hexagon, category, weight = np.array([event[1:] for event in events]).reshape(-1, 3).T
    options = {"categories": ("theft", "violence"), "edges": np.zeros((2, 0), np.int64), "resolution": 8, "name": "x"}
    cells = pd.DataFrame({"hexagon": CELLS, "area_km2": 1.0})
    return Cube.from_events(
        hour.astype(np.int32),
        hexagon.astype(np.int32),
        category.astype(np.int16),
        (hour + late).astype(np.int32),
        weight.astype(np.float32),
        start=local(start),
        steps=steps,
        hexagons=cells,
        time_zone=ZONE,
        step_unit=unit,
        step_hours=empty.step_hours,
        horizons=2,
        **options | rest,
    )


def grid_of(cube: Cube, districts: list[str | None] | None = None, issue: int | None = None) -> RiskGrid:
    forecast = Forecast(
        intensity=np.full((1, cube.horizons, cube.n, cube.c), 0.25, np.float32),
        issue_times=pd.DatetimeIndex([cube.time_of(cube.steps if issue is None else issue)]),
        hexagons=cube.cells,
        categories=cube.categories,
        step_hours=cube.step_hours,
        step_unit=cube.step_unit,
        time_zone=cube.time_zone,
        model="m",
        complete_until=cube.end,
        districts=None if districts is None else np.array(districts, object),
    )
    return RiskGrid.of(forecast)


def compared(cube: Cube, *arguments: Any, never: tuple[bool, bool] = (False, False), least: int = 5) -> pd.DataFrame:
    found = compare(cube, grid_of(cube, *arguments), np.array(never), least)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    table = pd.DataFrame(found["table"], dtype=object).fillna({"district": "city"})
    return table.set_index(["district", "category", "span"])


def span_times(cube: Cube, last: int | None = None) -> dict[str, list[str]]:
    spans = spans_of(cube, cube.steps if last is None else last)
    return {
        span.name: [f"{cube.time_of(step).tz_convert(ZONE):%Y-%m-%d %H}" for step in (*span.now, *span.before)]
        for span in spans
    }


def test_weeks_stand_against_the_same_weekdays_and_the_year_against_the_same_dates() -> None:
    assert span_times(cube_of("2022-01-01", "2024-10-02")) == {
        "last_7_days": ["2024-09-25 00", "2024-10-02 00", "2023-09-27 00", "2023-10-04 00"],
        "last_28_days": ["2024-09-04 00", "2024-10-02 00", "2023-09-06 00", "2023-10-04 00"],
        "year_to_date": ["2024-01-01 00", "2024-10-02 00", "2023-01-01 00", "2023-10-02 00"],
    }


@pytest.mark.parametrize("unit", ["hour", "day"])
def test_clock_changes_move_no_span_off_local_midnight(unit: str) -> None:
    """In 2027 clocks go on 14 March, 52 weeks before which is a week after those of 2026 did."""
    found = span_times(cube_of("2025-01-01", "2027-03-17", unit=unit))
    assert found["last_7_days"] == ["2027-03-10 00", "2027-03-17 00", "2026-03-11 00", "2026-03-18 00"]
    hours = cube_of("2025-01-01", "2027-03-17")
    (week, *_) = spans_of(hours, hours.steps)
    assert (week.now[1] - week.now[0], week.before[1] - week.before[0]) == (167, 168)


@pytest.mark.parametrize(
    ("end", "before", "note"),
    [
        ("2024-02-28", "2023-02-28", ""),
        ("2024-02-29", "2023-03-01", ""),  # up to and with 28 February
        ("2024-03-01", "2023-03-01", "Year to date: 29 February is in this year's span alone."),
        ("2025-02-28", "2024-02-28", ""),
        ("2025-03-01", "2024-03-01", "Year to date: 29 February is in the earlier span alone."),
        ("2023-03-01", "2022-03-01", ""),
    ],
)
@pytest.mark.parametrize("unit", ["hour", "day"])
def test_29_february(unit: str, end: str, before: str, note: str) -> None:
    cube = cube_of("2021-01-01", end, unit=unit)
    assert span_times(cube)["year_to_date"][3] == f"{before} 00"
    assert [span.note for span in spans_of(cube, cube.steps)] == ["", "", note]
    assert year_before(pd.Timestamp("2024-02-29 13:00")) == pd.Timestamp("2023-03-01")


def test_a_year_that_has_just_ended_is_the_year_to_date() -> None:
    assert span_times(cube_of("2022-01-01", "2024-01-01"))["year_to_date"] == [
        *("2023-01-01 00", "2024-01-01 00", "2022-01-01 00", "2023-01-01 00")
    ]
    a_day_on = cube_of("2022-01-01", "2024-01-02", unit="day")
    assert span_times(a_day_on)["year_to_date"][:2] == ["2024-01-01 00", "2024-01-02 00"]


def test_months_stand_against_the_same_months() -> None:
    cube = cube_of("2021-01-01", "2024-03-01", unit="month")
    assert span_times(cube) == {
        "last_month": ["2024-02-01 00", "2024-03-01 00", "2023-02-01 00", "2023-03-01 00"],
        "last_3_months": ["2023-12-01 00", "2024-03-01 00", "2022-12-01 00", "2023-03-01 00"],
        "year_to_date": ["2024-01-01 00", "2024-03-01 00", "2023-01-01 00", "2023-03-01 00"],
    }
    assert all("29 February is in this year's" in span.note for span in spans_of(cube, cube.steps))
    table = compared(cube_of("2021-01-01", "2024-03-01", [("2024-02-01", 0, 0, 30), ("2023-02-01", 1, 0, 20)], "month"))
    assert table.loc["city", "theft", "last_month"][["reported", "before", "percent"]].tolist() == [30, 20, 50]


EVENTS = [
    ("2024-10-01 23:30", 0, 0, 12),  # in the last hour
    ("2024-09-25 00:10", 1, 0, 13),  # in the first hour of the last 7 days
    ("2024-09-24 23:50", 1, 0, 6),  # the hour before
    ("2024-01-01 00:10", 2, 1, 7),
    ("2023-12-31 23:50", 2, 1, 100),
    ("2023-10-03 23:50", 0, 0, 20),  # the last of the same weekdays
    ("2023-10-04 00:10", 0, 0, 40),
    ("2023-10-01 23:50", 3, 1, 8),
]


def test_counts_by_hand() -> None:
    table = compared(cube_of("2022-01-01", "2024-10-02", EVENTS))
    columns = ["reported", "estimate", "before", "difference", "percent", "expected"]
    assert table.loc["city", "theft", "last_7_days"][columns].tolist() == [25, None, 20, 5, 25, 3.5]
    assert table.loc["city", "theft", "last_28_days"][columns].tolist() == [31, None, 20, 11, 55, 3.5]
    assert table.loc["city", "violence", "last_7_days"][columns].tolist() == [0, None, 8, -8, None, 3.5]
    assert table.loc["city", "violence", "year_to_date"][columns].tolist() == [7, None, 8, -1, None, 3.5]
    assert table.loc["city", "all", "year_to_date"][columns].tolist() == [38, None, 8, 30, None, 7]
    assert table["note"].isna().all()


def test_an_earlier_issue_counts_what_was_known_then() -> None:
    cube = cube_of("2022-01-01", "2024-10-02", EVENTS)
    table = compared(cube, None, cube.steps - 24)
    assert table.loc["city", "theft", "last_7_days"][["reported", "before"]].tolist() == [19, 0]
    beyond = cube_of("2022-01-01", "2024-10-02", EVENTS)
    assert compared(beyond, None, beyond.steps + 48)["reported"].tolist() == compared(beyond)["reported"].tolist()


def test_late_reports_lower_both_years_alike_and_the_estimate_says_what_will_be() -> None:
    """Every other report comes two days late: of seven days as many of the last two are not there yet."""
    days = pd.date_range("2023-01-01 12:00", "2024-09-30 12:00", freq="D")
    start, end = "2023-01-01", "2024-10-01"
    prompt = cube_of(start, end, [(f"{day}", 0, 0, 5) for day in days])
    tardy = cube_of(start, end, [(f"{day}", 0, 0, 5) for day in days], late=48)
    parts = {
        name: np.concatenate([getattr(prompt, name), getattr(tardy, name)])
        for name in ("hour", "hexagon", "category", "known_hour", "weight")
    }
    cube = Cube.from_events(
        **parts,
        **{
            name: getattr(prompt, name)
            for name in (
                "start",
                "steps",
                "categories",
                "hexagons",
                "edges",
                "time_zone",
                "resolution",
                "name",
                "horizons",
            )
        },
    )
    found = compare(cube, grid_of(cube), np.zeros(2, bool), 5)
    row = pd.DataFrame(found["table"]).set_index(["category", "span"]).loc["theft", "last_7_days"]
    assert found["corrected"]
    assert (row["reported"], row["before"], row["percent"]) == (60, 60, 0)
    assert row["estimate"] == pytest.approx(70, abs=2)
    assert any("same age" in note for note in found["notes"])
    assert not compare(prompt, grid_of(prompt), np.zeros(2, bool), 5)["corrected"]


def test_a_span_that_was_not_recorded_has_no_figure_and_says_why() -> None:
    before = "a year before: the record begins Sun 1 Oct 2023 00:00"
    table = compared(cube_of("2023-10-01", "2024-10-02", EVENTS))
    assert table.loc["city", "theft", "last_28_days"][["reported", "before", "difference"]].tolist() == [31, None, None]
    assert table.loc["city", "theft", "last_28_days"]["note"] == before
    assert table.loc["city", "theft", "last_7_days"]["note"] == before
    whole = cube_of("2022-01-01", "2024-10-02", EVENTS)
    gap = Gap(whole.steps - 240, whole.steps - 239, 1)
    table = compared(cube_of("2022-01-01", "2024-10-02", EVENTS, gaps=(gap,)))
    assert table.loc["city", "violence", "last_28_days"]["note"] == "now: a part was not recorded"
    assert table.loc["city", "all", "last_28_days"][["reported", "before"]].tolist() == [None, 20 + 8]
    assert table.loc["city", "theft", "last_28_days"][["reported", "note"]].tolist() == [31, None]
    assert table.loc["city", "violence", "last_7_days"]["note"] is None


def test_districts_show_no_small_count_and_none_of_sexual_offences() -> None:
    districts = ["10", "9", "9", None, "10", "10", "10"]
    events = [("2024-10-01 12:00", 0, 0, 30), ("2024-10-01 12:00", 1, 0, 3), ("2024-10-01 12:00", 2, 1, 50)]
    cube = cube_of("2022-01-01", "2024-10-02", [*events, ("2024-10-01 12:00", 3, 0, 4)])
    table = compared(cube, districts)
    week = table.xs("last_7_days", level="span")["reported"]
    assert list(dict.fromkeys(table.index.get_level_values("district"))) == ["city", "9", "10", "no district"]
    assert week["city"].to_dict() == {"all": 87, "theft": 37, "violence": 50}
    assert week["9"].isna()["theft"]
    assert week["no district"].isna().all()
    hidden = compared(cube, districts, never=(False, True)).xs("last_7_days", level="span")["reported"]
    assert hidden["city"].to_dict() == week["city"].to_dict()
    assert [*hidden["10"].index] == ["all", "theft"]
    assert {*compared(cube, districts, never=(True, True)).index.get_level_values("district")} == {"city"}


@pytest.mark.parametrize("shape", [(2, 2), (3, 1)])
def test_no_hidden_count_follows_from_a_line(shape: tuple[int, int]) -> None:
    """Each hidden small count may be anything that is hidden for all that its own line tells."""
    least, seen = 2, set()
    for values in product(range(5), repeat=shape[0] * shape[1]):
        counts = np.array(values).reshape(shape)
        shown = shown_beside_sums(counts, least)
        table = np.column_stack([counts.sum(1), counts])
        assert not (shown & (table < least)).any()
        for of in shown:
            if of[0]:
                assert (~of[1:]).sum() != 1
            else:
                assert not of.any()
        for of in shown.T:
            assert (~of).sum() != 1 or not of.any()
        seen.add(bool(shown.all()))
    assert seen == {True, False}


def test_the_table_as_csv() -> None:
    cube = cube_of("2022-01-01", "2024-10-02", EVENTS)
    found = compare(cube, grid_of(cube, ["=1+1"] * 7), np.zeros(2, bool), 5)
    table = pd.read_csv(io.StringIO(to_table(found)))
    assert len(table) == len(found["table"]["span"]) == 2 * 3 * 3
    assert table.loc[9, "district"] == "'=1+1"
    assert table.loc[0, ["span", "from", "until", "before_from"]].tolist() == [
        *("last_7_days", "2024-09-25T06:00:00Z", "2024-10-02T06:00:00Z", "2023-09-27T06:00:00Z")
    ]
