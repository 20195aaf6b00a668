"""Text → wall clock → UTC, against `datetime` and `zoneinfo`."""

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stforecast.events.parsing.dates import NAT
from stforecast.events.parsing.time_zones import to_local, to_utc
from stforecast.events.parsing.times_of_day import DAY
from stforecast.events.parsing.timestamp_columns import ParsedTimes, TimeFormat, parse_date_and_time, parse_times

EPOCH = dt.datetime(1970, 1, 1)
US = dt.timedelta(microseconds=1)
FORMATS = {
    "arcgis": lambda t: (
        f"{t.month}/{t.day}/{t.year} {(t.hour + 11) % 12 + 1}:{t:%M:%S} {'AM' if t.hour < 12 else 'PM'}"
    ),
    "socrata": lambda t: t.strftime("%m/%d/%Y %I:%M:%S %p"),
    "spreadsheet": lambda t: f"{t.month}/{t.day}/{t.year} {t.hour}:{t:%M}",
    "iso": lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3],
    "blank": lambda t: t.strftime("%Y-%m-%d %H:%M:%S"),
    "slashes": lambda t: t.strftime("%Y/%m/%d %H:%M:%S"),
    "false_offset": lambda t: t.strftime("%Y-%m-%d %H:%M:%S+00"),
}
ZONES = ["America/Denver", "America/New_York", "Europe/London", "Australia/Lord_Howe", "UTC"]
moments = st.datetimes(dt.datetime(1990, 1, 1), dt.datetime(2035, 12, 31)).map(lambda t: t.replace(microsecond=0))
# clocks change in these weeks, so that both cases are met often
changes = st.datetimes(dt.datetime(2022, 11, 5), dt.datetime(2022, 11, 7)) | st.datetimes(
    dt.datetime(2022, 3, 12), dt.datetime(2022, 3, 14)
)


def written(text: str):
    found = parse_times([text])
    return found.wall, found.offset


def one(text: str, zone: str = "America/Denver", times_are=None) -> str | None:
    utc = to_utc(*written(text), zone, times_are)[0]
    return None if utc[0] == NAT else str(utc.view("datetime64[us]")[0])


@given(
    moments | changes.map(lambda t: t.replace(microsecond=0)), st.sampled_from(sorted(FORMATS)), st.sampled_from(ZONES)
)
def test_local_text_to_utc_agrees_with_zoneinfo(moment, form, zone):
    if form == "spreadsheet":
        moment = moment.replace(second=0)
    wall, offset = written(FORMATS[form](moment))
    assert wall[0] == (moment - EPOCH) // US
    utc, repeated, missing = to_utc(wall, offset, zone, "local")
    first, second = (moment.replace(tzinfo=ZoneInfo(zone), fold=fold).utcoffset() for fold in (0, 1))
    assert utc[0] == (moment - first - EPOCH) // US
    assert repeated[0] == (first > second)
    assert missing[0] == (first < second)


@given(moments, st.sampled_from(ZONES))
def test_utc_to_local_text_and_back(moment, zone):
    local = moment.replace(tzinfo=dt.UTC).astimezone(ZoneInfo(zone))
    utc, repeated, _ = to_utc(*written(FORMATS["blank"](local)), zone, "local")
    if repeated[0] and local.fold:
        assert utc[0] < (moment - EPOCH) // US  # the second pass of the hour is told as the first
    else:
        assert utc[0] == (moment - EPOCH) // US


def test_repeated_hour_is_its_first_pass_and_missing_hour_moves_on():
    assert one("11/6/2022 1:30:00 AM") == "2022-11-06T07:30:00.000000"  # MDT, -6
    assert one("11/6/2022 2:00:00 AM") == "2022-11-06T09:00:00.000000"  # MST, -7
    assert one("3/13/2022 2:30:00 AM") == "2022-03-13T09:30:00.000000"  # 03:30 MDT
    assert one("3/13/2022 3:00:00 AM") == "2022-03-13T09:00:00.000000"


def test_offsets_count_unless_the_publisher_writes_local_time():
    assert one("2023-01-01 08:00:00+00", "America/New_York") == "2023-01-01T08:00:00.000000"
    assert one("2023-01-01 08:00:00+00", "America/New_York", "local") == "2023-01-01T13:00:00.000000"
    assert one("2023-01-01 08:00:00", "America/New_York", "utc") == "2023-01-01T08:00:00.000000"
    assert one("2023-01-01T08:00:00-07:00", "America/New_York") == "2023-01-01T15:00:00.000000"
    assert one("2023-01-01T08:00:00.250Z") == "2023-01-01T08:00:00.250000"


def test_six_digits_are_a_day_where_a_time_of_day_follows():
    found = parse_times(["070105_15:30:00", "201205"], TimeFormat("year_first"))
    assert str(found.wall[:1].view("datetime64[us]")[0]) == "2007-01-05T15:30:00.000000"
    assert found.wall[1] == NAT  # a month


def test_epoch_milliseconds_are_utc():
    assert one("1546412400000") == "2019-01-02T07:00:00.000000"


@pytest.mark.parametrize(
    ("day", "clock", "expected"),
    [
        ("10/15/2020 0:00", "2000", "2020-10-15T20:00"),
        ("10/15/2020 12:00:00 AM", "100", "2020-10-15T01:00"),
        ("2020-10-15T00:00:00.000", "5", "2020-10-15T00:05"),
        ("10/15/2020", "0", "2020-10-15T00:00"),
        ("10/15/2020", "2400", "2020-10-16T00:00"),
        ("10/15/2020", "14:30:00", "2020-10-15T14:30"),
        ("10/15/2020", "1430.0", "2020-10-15T14:30"),
        ("10/15/2020", "2575", None),
        ("10/15/2020", "", None),
        ("13/15/2020", "1200", None),
    ],
)
def test_day_and_time_in_two_columns(day, clock, expected):
    wall = parse_date_and_time([day], [clock], TimeFormat(hours=False))[0].wall
    assert (None if wall[0] == NAT else str(wall.view("datetime64[us]")[0])[:16]) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "2019-01",
        "2019-02-30 10:00",
        "1/1/2019 25:00",
        "1/1/2019 13:00 AM",
        "1/1/2019 10:60",
        "2019-1/2 1:00",
    ],
)
def test_what_cannot_be_read(text):
    assert parse_times([text]).wall[0] == NAT


def test_days_alone_and_short_years():
    assert one("2019-01-02", "UTC") == one("1/2/19", "UTC") == one("20190102", "UTC") == "2019-01-02T00:00:00.000000"
    assert one("1/2/98 0:30", "UTC") == "1998-01-02T00:30:00.000000"


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    wall = parse_times([text.strip()]).wall
    assert wall.dtype == np.int64
    assert wall[0] == NAT or abs(int(wall[0])) < 4_000_000 * DAY


words = st.sampled_from(["2/1/2024", "2024-02-01", "x", "", "9:05", "9:05:00 PM", "0905", "09:05:00.25Z", "T"])
odd = st.tuples(words, st.sampled_from([" ", "T", "  ", ""]), words).map("".join) | st.text(max_size=30)


@given(st.lists(odd | st.builds(lambda form, t: FORMATS[form](t), st.sampled_from(sorted(FORMATS)), moments)))
def test_a_column_is_read_as_its_texts_alone(texts):
    texts = [text.strip() for text in texts]
    alone = [[int(values[0]) for values in columns(parse_times([text]))] for text in texts]
    assert np.transpose(columns(parse_times(texts))).tolist() == alone


def columns(found: ParsedTimes):
    return found.wall, found.offset, found.until, found.orders, found.wrong, found.timeless


@pytest.mark.parametrize("zone", ZONES)
def test_a_century_of_days_at_once(zone):
    begin, end = ((dt.datetime(year, 1, 1) - EPOCH) // US for year in (1925, 2036))
    wall = np.arange(begin, end, 11 * DAY // 24)
    utc = to_utc(wall, np.full(len(wall), NAT), zone, None)[0]
    there = [(EPOCH + dt.timedelta(microseconds=t)).replace(tzinfo=ZoneInfo(zone)) for t in wall.tolist()]
    assert utc.tolist() == [int(t) - moment.utcoffset() // US for t, moment in zip(wall, there, strict=True)]
    local = [(EPOCH + dt.timedelta(microseconds=t)).replace(tzinfo=dt.UTC) for t in wall.tolist()]
    assert to_local(wall, zone).tolist() == [
        (moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) - EPOCH) // US for moment in local
    ]


@pytest.mark.parametrize("year", [1, 9999])
def test_the_ends_of_the_calendar(year):
    wall = (dt.datetime(year, 6, 30) - EPOCH) // US
    assert to_utc(np.array([wall]), np.array([NAT]), "UTC", "local")[0].tolist() == [wall]


@given(moments, st.sampled_from("/-."), st.sampled_from(["%Y", "%y"]))
def test_day_and_month_in_either_order(moment, mark, year):
    texts = [moment.strftime(mark.join([*form, year]) + " %H:%M:%S") for form in (("%m", "%d"), ("%d", "%m"))]
    expected = (moment - EPOCH) // US
    orders = []
    for text, order in zip(texts, ("month_first", "day_first"), strict=True):
        found = parse_times([text], TimeFormat(order))
        assert found.wall[0] == expected
        orders.append(int(found.orders[0]) & 3)  # of a year of two digits it may also tell that it comes first
    if moment.day == moment.year % 100 and year == "%y":
        return  # 14/05/14 is one day, whichever comes first
    if moment.day > 12:
        assert orders == [1, 2]
        assert (
            parse_times(texts[:1], TimeFormat("day_first")).wall[0]
            == parse_times(texts[1:], TimeFormat()).wall[0]
            == NAT
        )
    elif moment.day != moment.month:
        assert orders == [3, 3]
    elif year == "%Y":
        assert orders == [0, 0]


@pytest.mark.parametrize("text", ["2024-02-01", "20240201", "x", "", "30/2/2024", "13/13/2024", "1706745600000"])
def test_dates_that_tell_no_order(text):
    assert parse_times([text]).orders.tolist() == [0]
