"""Texts that can be read in more than one way: read as all of them tell, or asked for."""

import json
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from stforecast.config import parse
from stforecast.config.sections import Source
from stforecast.errors import DataError
from stforecast.events.facts import Facts, Findings
from stforecast.events.ingest import ingest
from stforecast.events.parsing.timestamp_columns import TimeFormat, parse_date_and_time
from stforecast.events.sources import IngestRules
from stforecast.events.time_formats import infer_time_formats

NOW = pd.Timestamp("2025-01-01", tz="UTC")
COLUMNS = {"occurred": ["day"], "latitude": ["lat"], "longitude": ["lon"], "offence": ["type"]}
DAYS = pd.date_range("2024-03-01", periods=60)


def taken_in(tmp_path, header, rows, zone="America/Denver", place=(39.7, -105.0), name="a.csv", **source):
    """The events of a file of ours; rows hold all but the place and the offence."""
    bronze = tmp_path / "data/town/bronze"
    bronze.mkdir(parents=True, exist_ok=True)
    lines = [f'{row},{place[0] + i * 1e-4:.4f},{place[1]},"T"' for i, row in enumerate(rows)]
    (bronze / name).write_text("\n".join([f"{header},lat,lon,type", *lines]) + "\n", encoding="utf-8")
    columns = COLUMNS | source.pop("columns", {})
    values = {"columns": columns, "time_zone": zone, "other": "any", **source}
    return ingest(parse({"city": "town", "root": str(tmp_path), "source": values}, "test"), now=NOW)


def local(events, zone="America/Denver"):
    return events.frame["occurred_at"].dt.tz_convert(zone).dt.strftime("%m-%d %H:%M").tolist()


CLOCK = {"occurred_time": ["time"]}


def test_numbers_that_are_hours(tmp_path):
    rows = [f"{day:%Y-%m-%d},{i % 24}" for i, day in enumerate(DAYS)]
    events = taken_in(tmp_path, "day,time", rows, columns=CLOCK)
    assert local(events) == [f"{day:%m-%d} {i % 24:02d}:00" for i, day in enumerate(DAYS)]
    assert events.meta["notes"][0].startswith("a.csv: numbers such as ")
    assert "are read as hours of the day" in events.meta["notes"][0]


def test_numbers_that_are_hours_and_minutes(tmp_path):
    times = ["5", "20", "100", "1350", "2359", "0", "1015", "930", "1200", "1745"]
    rows = [f"{day:%Y-%m-%d},{times[i % 10]}" for i, day in enumerate(DAYS)]
    events = taken_in(tmp_path, "day,time", rows, columns=CLOCK)
    assert local(events)[:4] == ["03-01 00:05", "03-02 00:20", "03-03 01:00", "03-04 13:50"]
    assert events.meta["notes"] == []


def test_minutes_after_midnight_are_no_hours_where_all_hours_have_such(tmp_path):
    times = [f"{100 * (i * 7 % 24) + i * 11 % 60}" for i in range(400)]
    rows = [f"{DAYS[i % 60]:%Y-%m-%d},{time}" for i, time in enumerate(times)]
    events = taken_in(tmp_path, "day,time", rows, columns=CLOCK)
    assert sorted(set(local(events))) == sorted(
        {f"{DAYS[i % 60]:%m-%d} {int(t) // 100:02d}:{int(t) % 100:02d}" for i, t in enumerate(times)}
    )


@pytest.mark.parametrize("times", [["5", "7"], ["12"] * 4, [*["9", "14", "22", "3"] * 5, *["1350", "930"] * 3]])
def test_numbers_that_may_be_either_are_asked_for(tmp_path, times):
    rows = [f"{day:%Y-%m-%d},{time}" for day, time in zip(DAYS, times, strict=False)]
    with pytest.raises(DataError, match=r"a\.csv: '\d+' may be the hour .* Set source\.clock to hours, or to hhmm"):
        taken_in(tmp_path, "day,time", rows, columns=CLOCK)
    as_hours = local(taken_in(tmp_path, "day,time", rows, columns=CLOCK, clock="hours"))
    as_minutes = local(taken_in(tmp_path, "day,time", rows, columns=CLOCK, clock="hhmm"))
    assert as_hours[0] == f"03-01 {int(times[0]):02d}:00"
    assert as_minutes[0] == f"03-01 00:{int(times[0]):02d}"


def test_a_stray_number_is_refused_and_not_taken_for_a_minute(tmp_path):
    rows = [f"{day:%Y-%m-%d},{i % 24:02d}:15" for i, day in enumerate(DAYS)]
    rows[7] = f"{DAYS[7]:%Y-%m-%d},7"
    events = taken_in(tmp_path, "day,time", rows, columns=CLOCK)
    assert events.meta["rejected"] == {"unreadable time of day": 1}


def test_each_file_is_read_as_its_own_times_tell(tmp_path):
    taken_in(tmp_path, "day,time", [f"{d:%Y-%m-%d},{i % 24}" for i, d in enumerate(DAYS)], columns=CLOCK)
    rows = [f"{d:%Y-%m-%d},{100 * (i % 24) + 30}" for i, d in enumerate(DAYS)]
    events = taken_in(tmp_path, "day,time", rows, name="b.csv", columns=CLOCK)
    times = [f"{d:%m-%d} {i % 24:02d}:{minute}" for minute in ("00", "30") for i, d in enumerate(DAYS)]
    assert sorted(local(events)) == sorted(times)


def test_spans_of_a_time_of_day(tmp_path):
    rows = [f"{day:%m/%d/%Y} {i % 24:02d}:00-{(i + 1) % 24:02d}:30" for i, day in enumerate(DAYS)]
    events = taken_in(tmp_path, "day", rows)
    assert local(events) == [f"{day:%m-%d} {i % 24:02d}:00" for i, day in enumerate(DAYS)]
    assert (events.frame["occurred_until"] - events.frame["occurred_at"]).eq(pd.Timedelta(hours=1.5)).all()


def test_offsets_of_a_city_are_no_spans(tmp_path):
    rows = [f"{day:%Y-%m-%d} {(i + 8) % 24:02d}:00-0{6 + i % 2}:00" for i, day in enumerate(DAYS)]
    events = taken_in(tmp_path, "day", rows)
    assert events.frame["occurred_until"].isna().all()
    assert str(events.frame["occurred_at"].iloc[0]) == "2024-03-01 14:00:00+00:00"


def test_a_single_impossible_offset_is_refused_as_that(tmp_path):
    rows = [f"{day:%Y-%m-%dT}{i % 24:02d}:05:00-06:00" for i, day in enumerate(DAYS)]
    rows[3] = "2024-03-04T03:05:00+19:00"
    events = taken_in(tmp_path, "day", rows)
    assert events.meta["rejected"] == {"impossible offset from UTC": 1}


@pytest.mark.parametrize("order", ["month_first", "day_first", None])
def test_an_unread_clock_is_not_laid_to_the_date(tmp_path, order):
    rows = [f"0{1 + i % 9}/05/2024 {i % 12 + 1}:77" for i in range(30)]
    with pytest.raises(DataError, match=r"unreadable time of day: 30 \(such as a\.csv line 2: '01/05/2024 1:77'"):
        taken_in(tmp_path, "day", rows, date_order=order or "month_first")


def test_a_slip_does_not_tell_the_order_of_dates(tmp_path):
    """Of the first days of March, month first, with one date that is none in that order."""
    rows = [f"03/{1 + i % 11:02d}/2024 {i % 24:02d}:10" for i in range(200)]
    with pytest.raises(DataError, match="hardly any other date tells which"):
        taken_in(tmp_path, "day", [*rows, "25/02/2024 10:00"])


def test_few_dates_that_tell_the_order_are_said(tmp_path):
    rows = [f"03/{1 + i % 11:02d}/2024 {i % 24:02d}:10" for i in range(20)]
    events = taken_in(tmp_path, "day", [*rows, "25/02/2024 10:00"], last_day="2024-12-31", first_day="2024-01-01")
    assert "The dates are read day first because of 1 of 19, such as a.csv: line 22" in events.meta["doubts"][0]


def test_a_file_whose_dates_tell_nothing_is_named(tmp_path):
    taken_in(tmp_path, "day", [f"{day:%d/%m/%Y} {i % 24:02d}:10" for i, day in enumerate(DAYS)])
    rows = [f"0{1 + i}/04/2024 {i:02d}:20" for i in range(9)]
    events = taken_in(tmp_path, "day", rows, name="b.csv", place=(39.8, -105.0))
    assert events.meta["notes"] == [
        "b.csv: no date tells the order of day and month; read day first, as in the other files"
    ]


def test_clocks_without_am_or_pm_among_such_with_it_are_not_read(tmp_path):
    rows = [f"{day:%m/%d/%Y} {i % 12 + 1}:10 {'AP'[i % 2]}M" for i, day in enumerate(DAYS)]
    rows[5], rows[6] = "03/06/2024 9:30", "03/07/2024 21:30"
    events = taken_in(tmp_path, "day", rows)
    assert events.meta["rejected"] == {"unreadable time of day": 1}
    assert "03-07 21:30" in local(events)


def test_columns_that_contradict_each_other_stop(tmp_path):
    rows = [f"{day:%Y-%m-%d} {i % 24:02d}:40,{(i + 5) % 24:02d}:10" for i, day in enumerate(DAYS)]
    with pytest.raises(DataError, match=r"60 times of day under source\.columns\.occurred_time differ"):
        taken_in(tmp_path, "day,time", rows, columns=CLOCK)


def test_a_time_of_day_in_utc_beside_a_day_is_asked_for(tmp_path):
    rows = [f"{day:%Y-%m-%d},{(i + 8) % 24:02d}:45Z" for i, day in enumerate(DAYS)]
    with pytest.raises(DataError, match=r"is a time of day with an offset that is not the city's"):
        taken_in(tmp_path, "day,time", rows, columns=CLOCK)
    own = [f"{day:%Y-%m-%d},{(i + 8) % 24:02d}:45:00-07:00" for i, day in enumerate(DAYS[:9])]
    assert local(taken_in(tmp_path, "day,time", own, columns=CLOCK))[0] == "03-01 08:45"


def test_report_times_that_cannot_be_read_stop(tmp_path):
    rows = [f"{day:%m/%d/%Y} {i % 24:02d}:10,{day:%d/%m/%Y} {i % 24:02d}:40" for i, day in enumerate(DAYS)]
    with pytest.raises(DataError, match=r"a\.csv: line 14: unreadable report time .* of 60 are"):
        taken_in(tmp_path, "day,seen", rows, columns={"reported": ["seen"]}, date_order="month_first")


def test_an_end_that_is_a_day_is_the_end_of_it(tmp_path):
    rows = [f"{day:%Y-%m-%d} {i % 24:02d}:10,{day:%Y-%m-%d}" for i, day in enumerate(DAYS)]
    events = taken_in(tmp_path, "day,end", rows, columns={"occurred_until": ["end"]})
    until = events.frame["occurred_until"].dt.tz_convert("America/Denver")
    assert until.dt.strftime("%m-%d %H:%M").tolist() == [f"{day:%m-%d} 23:59" for day in DAYS]


def test_the_year_may_come_first_with_two_digits(tmp_path):
    events = taken_in(tmp_path, "day", [f"{day:%y-%m-%d} {i % 24:02d}:10" for i, day in enumerate(DAYS)])
    assert local(events) == [f"{day:%m-%d} {i % 24:02d}:10" for i, day in enumerate(DAYS)]
    assert events.meta["date_order"] == "year_first"


def test_the_day_may_come_first_with_two_digits(tmp_path):
    events = taken_in(tmp_path, "day", [f"{day:%d/%m/%y} {i % 24:02d}:10" for i, day in enumerate(DAYS)])
    assert local(events) == [f"{day:%m-%d} {i % 24:02d}:10" for i, day in enumerate(DAYS)]
    assert events.meta["date_order"] == "day_first"


def test_few_days_with_two_digits_are_asked_for(tmp_path):
    with pytest.raises(DataError, match=r"may be day first or year first, .* Set source\.date_order to day_first or"):
        taken_in(tmp_path, "day", ["24/01/13 10:00", "25/02/14 11:00"])


def test_a_day_that_is_local_midnight_in_utc_is_that_local_day(tmp_path):
    """As portals write the day of the offence that stands beside its hour, east and west of Greenwich."""
    for zone, place in {"America/Toronto": (43.7, -79.4), "Europe/Berlin": (52.5, 13.4)}.items():
        rows = [
            f"{day.tz_localize(zone).tz_convert('UTC'):%Y-%m-%dT%H:%M:%S.000Z},{i % 24:02d}:45"
            for i, day in enumerate(DAYS)
        ]
        events = taken_in(tmp_path / zone[:4], "day,time", rows, zone, place, columns=CLOCK)
        evidence = [f"{day:%m-%d} {i % 24:02d}:45" for i, day in enumerate(DAYS)]
        assert local(events, zone) == evidence


def test_a_day_in_utc_beside_a_time_of_day_is_asked_for(tmp_path):
    rows = [f"{day:%Y-%m-%d}T00:00:00.000Z,{(i + 8) % 24:02d}:45" for i, day in enumerate(DAYS)]
    with pytest.raises(DataError, match=r"a\.csv: line 2: .* is a day in UTC, .* Set source\.times_are to local"):
        taken_in(tmp_path, "day,time", rows, columns=CLOCK)
    evidence = [f"{day:%m-%d} {(i + 8) % 24:02d}:45" for i, day in enumerate(DAYS)]
    assert local(taken_in(tmp_path, "day,time", rows, columns=CLOCK, times_are="local")) == evidence
    assert local(taken_in(tmp_path, "day,time", rows, columns=CLOCK, times_are="utc"), "UTC") == evidence


@pytest.mark.parametrize(
    "clock", ["12/30/1899 09:00:00 AM", "1899-12-30T09:00:00.000", "1/1/1900 9:00", "0.375", "3/1/2024 9:00 AM", "9 AM"]
)
def test_a_time_of_day_behind_a_day_of_its_own(clock):
    found, _ = parse_date_and_time(["3/1/2024"], [clock])
    assert str(found.wall.view("datetime64[us]")[0]) == "2024-03-01T09:00:00.000000"


@pytest.mark.parametrize("clock", ["3/2/2024 9:00 AM", "5/6/2019 9:00"])
def test_a_time_of_day_behind_another_day_is_unread(clock):
    assert parse_date_and_time(["3/1/2024"], [clock])[0].wrong[0] != 0


def test_parts_of_a_date_in_columns_of_their_own(tmp_path):
    parts = {"year": "Y", "month": "M", "day": "D", "hour": "H", "minute": "Min"}
    rows = [f"{d.year},{d.month},{d.day},{i % 24}.0,{i % 60}" for i, d in enumerate(DAYS)]
    events = taken_in(tmp_path, "Y,M,D,H,Min", rows, columns={"occurred": parts})
    assert local(events) == [f"{day:%m-%d} {i % 24:02d}:{i % 60:02d}" for i, day in enumerate(DAYS)]


def test_parts_that_are_blank_are_no_time(tmp_path):
    parts = {"year": "Y", "month": "M", "day": "D", "hour": "H"}
    rows = [f"{d.year},{d.month},{d.day},{i % 24}" for i, d in enumerate(DAYS)]
    rows[1], rows[2] = "2024,3,2,", ",,,"
    events = taken_in(tmp_path, "Y,M,D,H", rows, columns={"occurred": parts})
    assert events.meta["rejected"] == {"unreadable time of day": 1, "no time": 1}


def test_names_in_a_list_are_alternatives_and_the_error_says_so(tmp_path):
    rows = [f"{d.year},{d.month},{d.day},10:00" for d in DAYS]
    with pytest.raises(DataError, match=r"only the first that the file has is read.*\{year: Y, month: …"):
        taken_in(tmp_path, "Y,M,D,time", rows, columns={"occurred": ["Y", "M", "D"], **CLOCK})


def test_facts_of_chunks_add():
    one, two = (Facts(5, due, {"numbers": Counter({"5": 2})}, {"3": ("f", due, "x")}) for due in (2, 9))
    total = Facts.total([one, two])
    assert total == Facts(10, 2, {"numbers": Counter({"5": 4})}, {"3": ("f", 2, "x")})
    assert Facts.from_dict(json.loads(json.dumps(vars(total)))) == total


def test_nothing_told_is_read_month_first():
    path = Path("f")
    assert infer_time_formats({path: Facts()}, IngestRules(Source(), (), {}), Findings()) == {path: TimeFormat()}


def test_days_in_utc_of_which_no_event_may_be_are_not_asked_for(tmp_path):
    """Publishers wrote midnights of long ago by the rules that summer time has now: 04:00 in April 1978."""
    rows = [
        f"{day:%Y-%m-%d}T04:00:00.000Z,{i % 24:02d}:45" for i, day in enumerate(pd.date_range("2023-07-01", periods=20))
    ]
    old = ["1978-04-10T04:00:00.000Z,10:00", "1995-04-01T04:00:00.000Z,10:00"]
    toronto = {"zone": "America/Toronto", "place": (43.7, -79.4), "columns": CLOCK, "max_rejects": 0.1}
    assert len(taken_in(tmp_path / "a", "day,time", rows + old[:1], **toronto)) == 20
    with pytest.raises(DataError, match=r"'1995-04-01T04:00:00.000Z' is a day in UTC"):
        taken_in(tmp_path / "b", "day,time", rows + old, **toronto)
    assert len(taken_in(tmp_path / "c", "day,time", rows + old, **toronto, first_day="2000-01-01")) == 20
