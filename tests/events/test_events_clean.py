"""Rows → events and rejects: each rule on a hand-written row, and any division into chunks gives the same."""

import csv
import datetime as dt
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stforecast.config.sections import Columns, Source
from stforecast.errors import ArtefactError
from stforecast.events import outcomes
from stforecast.events.assemble import Partitions
from stforecast.events.clean import clean, merge
from stforecast.events.clean_files import Partition
from stforecast.events.event_times import FLOOR
from stforecast.events.facts import Facts
from stforecast.events.readers.header import FIELDS
from stforecast.events.schema import COLUMNS, EventTable
from stforecast.events.sources import IngestRules

NOW = pd.Timestamp("2024-01-01", tz="UTC")
BASE = {"occurred": "5/1/2023 12:30:00 PM", "latitude": "39.7", "longitude": "-104.9", "offence": "Theft"}
SOURCE = Source(
    columns=Columns(**{name: [name] for name in FIELDS if not name.endswith("_time")}),
    time_zone="America/Denver",
    bounds=(-105.3, 39.5, -104.5, 40.0),
    categories={"property": ["theft*", "burglary"], "person": ["assault ?", "*"]},
)
ONLY_THEFT = SOURCE.model_copy(update={"categories": {"property": ["theft*"]}})


def chunk(*rows, first=2):
    names = list(dict.fromkeys([*BASE, *(name for row in rows for name in row if name != "problem")]))
    frame = pd.DataFrame({name: [{**BASE, **row}.get(name, "") for row in rows] for name in names}, dtype=object)
    problem = pd.Series([row.get("problem", "") for row in rows], dtype=object)
    return frame.assign(file="f.csv", line=np.arange(first, first + len(rows)), problem=problem, value="")


@dataclass
class Result:
    """What became of rows, as frames."""

    events: pd.DataFrame
    rejects: pd.DataFrame
    facts: Facts

    def __getattr__(self, name):
        return self.facts.of(name)


def run(*rows, source=SOURCE):
    found = clean(chunk(*rows), IngestRules.of(source), NOW)
    return Result(
        found.events.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get), found.rejects.to_pandas(), found.facts
    )


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"problem": "short row"}, "short row"),
        ({"occurred": ""}, outcomes.NO_TIME),
        ({"occurred": "(null)"}, outcomes.NO_TIME),
        ({"occurred": "yesterday"}, outcomes.UNREADABLE_TIME),
        ({"occurred": "2019-01"}, outcomes.MONTH_ONLY),
        ({"occurred": "13/5/2023 10:00"}, "day and month not in the order month_first"),
        ({"occurred": "1/1/1900 12:00:00 AM"}, outcomes.TOO_OLD),
        ({"occurred": "12/31/9999 12:00:00 AM"}, outcomes.FUTURE),
        ({"occurred": "1/1/2024 12:00:00 PM"}, outcomes.FUTURE),
        ({"latitude": "", "longitude": ""}, outcomes.NO_PLACE),
        ({"latitude": "0", "longitude": "0"}, outcomes.NO_PLACE),
        ({"latitude": "4E-08", "longitude": "5.3E-07"}, outcomes.NO_PLACE),
        ({"latitude": "-1.0", "longitude": "-1.0"}, outcomes.NO_PLACE),
        ({"latitude": "n/a"}, outcomes.NO_PLACE),
        ({"latitude": "inf"}, outcomes.UNREADABLE_PLACE),
        ({"latitude": "34.6", "longitude": "-115.4"}, outcomes.OUTSIDE),
    ],
)
def test_refused_rows(row, reason):
    cleaned = run({}, row)
    assert len(cleaned.events) == 1
    assert cleaned.rejects[["file", "line", "reason"]].to_numpy().tolist() == [["f.csv", 3, reason]]


def test_a_whole_row():
    row = {
        "occurred_until": "5/1/2023 2:00:00 PM",
        "reported": "5/2/2023 9:00:00 AM",
        "event_id": "77",
        "incident_id": "5.0",
        "district": " 3 ",
        "arrest": "True",
    }
    event = run(row).events.iloc[0]
    assert event["occurred_at"] == pd.Timestamp("2023-05-01 18:30", tz="UTC")
    assert event["occurred_until"] == pd.Timestamp("2023-05-01 20:00", tz="UTC")
    assert event["reported_at"] == pd.Timestamp("2023-05-02 15:00", tz="UTC")
    assert event[["event_id", "incident_id", "district", "arrest"]].tolist() == ["77", "5", "3", True]
    assert event[["offence", "category"]].tolist() == ["Theft", "property"]


def test_what_is_corrected_is_counted():
    cleaned = run(
        {"latitude": "-104.9", "longitude": "39.7"},
        {"reported": "4/1/2023 1:00:00 AM"},
        {"reported": "5/1/2023 12:00:00 AM"},
        {"reported": "soon", "occurred_until": "4/1/2023 1:00:00 AM"},
        {"occurred": "11/6/2022 1:30:00 AM", "occurred_until": "12/31/9999 1:00:00 AM"},
        {"occurred": "3/13/2022 2:30:00 AM"},
    )
    assert cleaned.corrected == {
        "exchanged axes": 1,
        "reported before it occurred": 1,
        "reported on a day without time": 1,
        "unreadable report time": 1,
        "end before start": 1,
        "unreadable end": 1,
        "occurred in the repeated hour": 1,
        "occurred in the missing hour": 1,
    }
    events = cleaned.events
    assert events.loc[0, ["latitude", "longitude"]].tolist() == [39.7, -104.9]
    assert events.loc[1, "reported_at"] == events.loc[1, "occurred_at"]
    assert events.loc[2, "reported_at"] == pd.Timestamp("2023-05-02 05:59:59.999999", tz="UTC")  # that local day's end
    assert events.loc[3, ["reported_at", "occurred_until"]].isna().all()


WRITTEN = {
    "local text": (None, lambda t: t.strftime("%Y-%m-%d %H:%M:%S")),
    "with an offset": (None, lambda t: t.strftime("%Y-%m-%dT%H:%M:%S%z")),
    "false offset": ("local", lambda t: t.strftime("%Y-%m-%d %H:%M:%S+00")),
    "in UTC": ("utc", lambda t: t.tz_convert("UTC").strftime("%Y-%m-%d %H:%M:%S")),
    "epoch milliseconds": (None, lambda t: str(t.value // 1_000_000)),
}


@pytest.mark.parametrize("zone", ["America/Denver", "America/Havana"])  # whose clocks change at midnight
@pytest.mark.parametrize("way", WRITTEN)
@given(day=st.dates(dt.date(2015, 1, 1), dt.date(2023, 11, 30)), seconds=st.integers(0, 86_400 - 1))
@settings(max_examples=20, deadline=None)
@example(day=dt.date(2023, 3, 12), seconds=43_200)
@example(day=dt.date(2023, 11, 5), seconds=43_200)
def test_a_report_at_local_midnight_is_known_at_the_end_of_that_day(zone, way, day, seconds):
    times_are, write = WRITTEN[way]
    begin, end = (pd.Timestamp(d).tz_localize(zone, True, "shift_forward") for d in (day, day + dt.timedelta(1)))
    occurred = min(begin + pd.Timedelta(seconds=seconds), end - pd.Timedelta("1s"))
    source = SOURCE.model_copy(update={"time_zone": zone, "times_are": times_are})
    event = run({"occurred": write(occurred), "reported": write(begin)}, source=source).events.iloc[0]
    assert event["reported_at"] == end - pd.Timedelta("1us")
    later = run({"occurred": write(begin), "reported": write(begin + pd.Timedelta("3h"))}, source=source).events.iloc[0]
    assert later["reported_at"] == begin + pd.Timedelta("3h")


def test_groups_period_and_left_out_rows():
    chosen = ONLY_THEFT.model_copy(update={"first_day": dt.date(2023, 5, 1), "last_day": dt.date(2023, 5, 1)})
    cleaned = run(
        {"offence": "THEFT  from  auto"},
        {"offence": "Drugs", "latitude": ""},
        {"occurred": "4/30/2023 11:59:59 PM"},
        {"occurred": "5/1/2023 12:00:00 AM"},
        {"occurred": "5/2/2023 12:59:59 AM"},  # days of the axis end at midnight in standard time
        {"occurred": "5/2/2023 1:00:00 AM", "latitude": "0", "longitude": "0"},
        dict.fromkeys(BASE, ""),
        source=chosen,
    )
    assert cleaned.events["line"].tolist() == [2, 5, 6]
    assert cleaned.events["offence"].iloc[0] == "THEFT from auto"
    assert cleaned.left_out == {outcomes.NO_CATEGORY: 1, outcomes.OTHER_PERIOD: 2, outcomes.BLANK_ROW: 1}
    assert cleaned.rejects.empty
    assert cleaned.offences["Drugs"] == 1


def test_the_first_group_wins_and_other_takes_the_rest():
    both = SOURCE.model_copy(update={"categories": {"a": ["theft", "x[1]"], "b": ["t*"]}, "other": "other"})
    cleaned = run(*({"offence": text} for text in ("Theft", "trespass", "X[1]", "x1", "")), source=both)
    assert cleaned.events["category"].tolist() == ["a", "b", "a", "other", "other"]


def test_state_plane_feet_and_the_floor_below_a_chosen_first_day():
    plane = SOURCE.model_copy(
        update={
            "crs": "ESRI:102696",
            "bounds": (-90.33, 38.52, -90.16, 38.78),
            "time_zone": "America/Chicago",
            "first_day": dt.date(1985, 1, 1),
        }
    )
    cleaned = run(
        {"latitude": "1016000", "longitude": "907000", "occurred": "1/1/1989 10:00"},  # beside the Gateway Arch
        {"latitude": "907000", "longitude": "1016000"},
        {"latitude": "0", "longitude": "0"},
        source=plane,
    )
    assert np.allclose(cleaned.events[["latitude", "longitude"]], [38.6236, -90.1970], atol=2e-3)
    assert cleaned.corrected["exchanged axes"] == 1
    assert cleaned.events["occurred_at"].min() < pd.Timestamp(FLOOR, tz="UTC")


def deduplicated(cleaned, source=SOURCE):
    """What becomes of cleaned chunks by way of a partition on disk, as in an ingest."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        partitions = Partitions([Partition.write(path / "part", "key", 0, cleaned, {})], IngestRules.of(source))
        found = partitions.select()
        partitions.write(path / "events.parquet", found.selection)
        events = pd.read_parquet(path / "events.parquet")
    lines = merge(cleaned).events["line"].to_numpy()[found.selection.rows]
    found.facts.count("corrected", {"same incident": found.selection.merged})
    return Result(events.assign(line=lines), found.rejects, found.facts)


def settled(*rows, source=SOURCE):
    return deduplicated([clean(chunk(*rows), IngestRules.of(source), NOW)], source)


def test_equal_rows_without_key_stay_apart_and_keep_their_ids():
    first, again = settled({}, {}, {"offence": "Assault 1"}), settled({"offence": "Assault 1"}, {}, {})
    assert first.events["event_id"].is_unique
    assert sorted(first.events["event_id"]) == sorted(again.events["event_id"])


def test_duplicate_ids_keep_the_first_row():
    out = settled({"event_id": "1"}, {"event_id": "1", "offence": "Burglary"}, {"event_id": "2"})
    assert out.events["offence"].tolist() == ["Theft", "Theft"]
    assert out.rejects[["line", "reason", "value"]].to_numpy().tolist() == [[3, outcomes.DUPLICATE, "1"]]
    other = chunk({"event_id": "2"}).assign(file="g.csv")
    twice = [clean(rows, IngestRules.of(SOURCE), NOW) for rows in (chunk({"event_id": "2"}), other)]
    assert deduplicated(twice).rejects["reason"].tolist() == [outcomes.OTHER_FILE]


def test_one_event_an_incident_and_category():
    out = settled(
        {"incident_id": "9", "occurred": "5/1/2023 3:00:00 PM"},
        {"incident_id": "9", "occurred": "5/1/2023 1:00:00 PM", "offence": "Burglary"},
        {"incident_id": "9", "offence": "Assault 1"},
        {"incident_id": ""},
        {"incident_id": "null"},
    )
    assert out.corrected["same incident"] == 1
    assert sorted(out.events["offence"]) == ["Assault 1", "Burglary", "Theft", "Theft"]


def test_a_withdrawal_cancels_one_report_of_its_incident_and_offence():
    report, back = {"incident_id": "9", "count": "1"}, {"incident_id": "9", "count": "-1", "latitude": "0"}
    out = settled(back, report, report, {**report, "offence": "Burglary"}, {"incident_id": "8", "count": "-1"})
    assert sorted(out.events["line"]) == [4]
    assert out.left_out == {outcomes.WITHDRAWAL: 2, outcomes.WITHDRAWN: 1}
    assert out.corrected["same incident"] == 1


def test_stragglers_do_not_stretch_the_axis():
    bulk = [{"occurred": f"5/{day}/2023 3:00:00 PM"} for day in range(1, 31)]
    odd = [
        {"occurred": "5/1/1992 3:00:00 PM"},
        {"occurred": "6/1/2023 3:00:00 PM"},
        {"occurred": "12/1/2023 3:00:00 PM"},
    ]
    out = settled(*bulk, *odd)
    assert out.left_out == {outcomes.NOT_COVERED: 2}
    assert out.events["occurred_at"].max() == pd.Timestamp("2023-06-01 21:00", tz="UTC")  # the month has just begun
    chosen = SOURCE.model_copy(update={"first_day": dt.date(1992, 1, 1), "last_day": dt.date(2023, 12, 31)})
    assert len(settled(*bulk, *odd, source=chosen).events) == 33


def test_dates_that_tell_the_order_of_day_and_month():
    rows = [{"occurred": "2023-05-01 1:00"}, {"reported": "5/6/2023 1:00"}, {"occurred": "5/13/2023 1:00"}]
    cleaned = run(*rows, {"occurred": "6/13/2023 1:00", "reported": "14/6/2023 1:00"})
    assert cleaned.facts.orders() == {
        1: ("f.csv", 4, "5/13/2023 1:00"),
        2: ("f.csv", 5, "14/6/2023 1:00"),
        3: ("f.csv", 3, BASE["occurred"]),
    }


dirt = st.fixed_dictionaries(
    {
        "occurred": st.sampled_from(
            [
                "5/1/2023 3:00:00 PM",
                "2023-05-02T01:00:00",
                "5/13/2023 1:00",
                "13/5/2023 1:00",
                "",
                "x",
                "1/1/1900 0:00",
                "3/13/2022 2:30:00 AM",
                "5/1/2092 0:00",
            ]
        ),
        "latitude": st.sampled_from(["39.7", "39.8", "0", "", "-104.9"]),
        "longitude": st.sampled_from(["-104.9", "39.7", "0"]),
        "offence": st.sampled_from(["Theft", "Burglary", "Assault 1", ""]),
        "event_id": st.sampled_from(["", "", "1", "2", "3"]),
        "incident_id": st.sampled_from(["", "7", "8"]),
        "count": st.sampled_from(["1", "1", "", "-1", "0"]),
        "reported": st.sampled_from(["", "5/3/2023", "1/1/2022 1:00 AM"]),
    }
)


@given(st.lists(dirt, min_size=1, max_size=40), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_any_chunk_size_gives_the_same(rows, size):
    source = SOURCE.model_copy(update={"categories": {"property": ["theft", "burglary"]}})
    frame, rules = chunk(*rows), IngestRules.of(source)
    once = deduplicated([clean(frame, rules, NOW)], source)
    edges = range(0, len(frame), size)
    parts = [clean(frame.iloc[at : at + size].reset_index(drop=True), rules, NOW) for at in edges]
    many = deduplicated(parts, source)
    pd.testing.assert_frame_equal(once.events, many.events)
    pd.testing.assert_frame_equal(once.rejects, many.rejects)
    assert once.facts == many.facts
    # every row is accounted for exactly once
    assert len(rows) == len(once.events) + len(once.rejects) + once.left_out.total() + once.corrected["same incident"]
    EventTable(once.events[list(COLUMNS)], {"categories": ["property"]})


def test_the_table_refuses_what_breaks_its_contract():
    frame = settled({}, {"offence": "Burglary"}).events[list(COLUMNS)]
    for wrong in (
        frame.drop(columns="district"),
        frame.assign(latitude="x"),
        frame.assign(latitude=99.0),
        frame.assign(event_id="same"),
        frame.assign(category=None),
        frame.assign(occurred_at=frame["occurred_at"].dt.tz_localize(None)),
        frame.assign(reported_at=frame["occurred_at"] - pd.Timedelta("1h")),
    ):
        with pytest.raises(ArtefactError, match="event table"):
            EventTable(wrong, {})


def test_hash_depends_on_the_row_alone():
    buffer = io.StringIO()
    csv.writer(buffer).writerow(run({}).events["event_id"])
    assert buffer.getvalue().strip() == run({}, {"offence": "Burglary"}).events["event_id"].iloc[0]
