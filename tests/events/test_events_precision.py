"""What dates tell decides the step: days and months are ingested for steps of their own, and refused in words else."""

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from stforecast.config import parse
from stforecast.config.sections import Source
from stforecast.cube.steps import Step
from stforecast.errors import DataError
from stforecast.events.clean import clean
from stforecast.events.examine.init import init
from stforecast.events.ingest import ingest
from stforecast.events.parsing.dates import NAT, parse_month
from stforecast.events.parsing.timestamps import TimeFormat
from stforecast.events.sources import IngestRules

NOW = pd.Timestamp("2026-11-01", tz="UTC")
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder shared/data beside the repository is absent")
COLUMNS = {"occurred": ["when"], "latitude": ["lat"], "longitude": ["lon"], "offence": ["kind"]}
FORMS = ("%Y-%m", "%Y/%m", "%Y%m", "%m/%Y", "%m-%Y", "%b %Y", "%B %Y", "%b-%y", "%b-%Y", "%Y %b", "%YM%m", "%b '%y")
MIDNIGHTS = ("Europe/London", "America/Denver", "America/Havana", "America/Asuncion", "Asia/Beirut", "Africa/Cairo")
"""Time zones, of which four change their clocks at midnight."""


def read(dates, step, zone="America/Denver", **source):
    """What a file of these dates is read as: ingested, its instants in local time and the precision."""
    times = table(dates, step, zone, **source)
    return times.frame["occurred_at"].dt.tz_convert(zone).tolist(), times.meta["precision"]


def table(dates, step, zone="America/Denver", name="reports.csv", **source):
    rows = pd.DataFrame({"when": dates, "lat": 39.7, "lon": -104.9, "kind": "theft"})
    rows.to_csv(name, index=False)
    bounds = (-180, -90, 180, 90)
    section = {"columns": COLUMNS, "time_zone": zone, "other": "any", "bounds": bounds, "path": name, **source}
    return ingest(parse({"city": "town", "time": {"step": step}, "source": section}, "test"), now=NOW)


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def days(first="2023-01-05", number=90, form="%Y-%m-%d"):
    return pd.date_range(first, periods=number).strftime(form).tolist()


def months(form="%Y-%m", number=24):
    return pd.date_range("2022-03-01", periods=number, freq="MS").strftime(form).tolist()


@given(st.dates(dt.date(1990, 1, 1), dt.date(2059, 12, 31)), st.sampled_from(FORMS))
def test_a_month_is_read_however_it_is_written(day, form):
    assert parse_month(day.strftime(form)) == (day.replace(day=1) - dt.date(1970, 1, 1)).days


@pytest.mark.parametrize(
    "text",
    ["", "2024", "2024-13", "202400", "2024-03-01", "20240301", "24-03", "03/24", "Mar 24", "Mar24", "2024.3", "x 2024",
     "1706745600", "Tuesday-24", "201"],
)  # fmt: skip
def test_what_is_no_month_or_may_be_something_else_is_not_read_as_one(text):
    assert parse_month(text) == NAT


@given(st.text(max_size=12))
def test_any_text_is_a_first_of_a_month_or_nothing(text):
    found = parse_month(text)
    assert found == NAT or (dt.date(1970, 1, 1) + dt.timedelta(days=found)).day == 1


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(MIDNIGHTS),
    st.lists(st.dates(dt.date(1992, 1, 1), dt.date(2024, 12, 31)), min_size=1, max_size=30),
    st.sampled_from(["day", "month"]),
)
def test_days_and_months_begin_where_the_steps_of_the_axis_do(zone, found, precision):
    form = "%Y-%m-%d" if precision == "day" else "%Y-%m"
    frame = pd.DataFrame({"occurred": [day.strftime(form) for day in found], "latitude": "50", "longitude": "1"})
    frame = frame.assign(file="a.csv", line=range(len(found)), problem="", value="")
    columns = {name: [name] for name in ("occurred", "latitude", "longitude")}
    rules = IngestRules.of(Source(time_zone=zone, columns=columns, other="any"), precision)
    events = clean(frame, rules, NOW, TimeFormat(precision=precision)).events.to_pandas()
    step = Step(precision, {"day": 24, "month": 730}[precision], zone)
    start = pd.Timestamp("1991-12-01", tz=zone).tz_convert("UTC")
    number = step.since(start, events["occurred_at"])
    assert (step.times(start, number) == events["occurred_at"]).all()
    expected = [day if precision == "day" else day.replace(day=1) for day in found]
    assert events["occurred_at"].dt.tz_convert(zone).dt.date.tolist() == expected


@pytest.mark.parametrize("step", ["day", "month"])
@pytest.mark.parametrize(
    "form",
    ["%Y-%m-%d", "%m/%d/%Y", "%Y-%m-%dT00:00:00", "%Y-%m-%dT00:00:00Z", "%Y-%m-%d 00:00:00-07:00", "%m/%d/%Y 12:00 PM"],
)
def test_days_are_local_days_however_they_are_written(form, step):
    found, precision = read(days(form=form), step)
    assert precision == "day"
    assert [f"{time:%Y-%m-%d %H:%M}" for time in found] == days(form="%Y-%m-%d 00:00")


def test_local_midnight_in_utc_is_the_local_day():
    for zone in ("America/Denver", "Europe/London", "Europe/Berlin"):
        local = pd.date_range("2023-01-05", periods=250).tz_localize(zone).tz_convert("UTC")
        found, precision = read(local.strftime("%Y-%m-%dT%H:%M:%SZ"), "day", zone)
        assert precision == "day"
        assert [f"{time:%Y-%m-%d}" for time in found] == days(number=250)


def test_midnight_of_the_east_without_a_mark_of_utc_is_a_question():
    local = pd.date_range("2023-01-05", periods=250).tz_localize("Europe/Berlin").tz_convert("UTC")
    dates = local.strftime("%Y-%m-%d %H:%M")
    with pytest.raises(DataError, match=r"times of day are 22:00 and 23:00.*source\.times_are to utc"):
        read(dates, "day", "Europe/Berlin")
    assert f"{read(dates, 'day', 'Europe/Berlin', times_are='utc')[0][0]:%Y-%m-%d}" == "2023-01-05"
    assert f"{read(dates, 'day', 'Europe/Berlin', times_are='local')[0][0]:%Y-%m-%d}" == "2023-01-04"


def test_parts_of_the_day_are_days():
    dates = [f"{day} {hour}:00" for day in days() for hour in ("00", "06", "12", "18")]
    found, precision = read(dates, "day")
    assert precision == "day"
    assert {f"{time:%H:%M}" for time in found} == {"00:00"}


@pytest.mark.parametrize("form", ["%Y-%m", "%Y%m", "%b %Y", "%m/%Y", "%Y-%m-01", "%Y-%m-01 00:00:00", "%d %b %Y"])
def test_months_are_read_for_months_alone(form):
    found, precision = read(months(form), "month")
    assert precision == "month"
    assert [f"{time:%Y-%m-%d %H:%M}" for time in found] == months("%Y-%m-01 00:00")
    for step, wanted in (("hour", "an hourly"), ("day", "a daily")):
        with pytest.raises(DataError, match=rf"24 of 24 dates \(100%\).*{wanted} forecast.*Set time\.step to month"):
            read(months(form), step)


def test_an_hourly_wish_on_days_is_refused_with_the_file_and_the_share():
    dates = [*days(number=95), *[f"{day} 13:05" for day in days(number=5)]]
    message = r"reports\.csv: 95 of 100 dates \(95%\) bear no time of day.*time\.step to day"
    with pytest.raises(DataError, match=message):
        read(dates, "hour")
    assert read(dates, "day")[1] == "day"


def test_times_keep_their_hour_at_every_step_and_no_hour_is_doubted_where_none_is_asked_for():
    rng = np.random.default_rng(0)
    hours = np.append(rng.integers(0, 12, 300), np.zeros(100, int))  # hardly an afternoon, and many at midnight
    dates = [f"{day} {hour:02d}:00" for day, hour in zip(days(number=400), hours, strict=True)]
    with pytest.raises(DataError, match="AM and PM are lost"):
        read(dates, "hour")
    for step in ("day", "month"):
        found = table(dates, step, times_are="local")
        assert found.meta["precision"] == "time"
        assert not [text for text in found.meta["doubts"] if "stands for" in text]
        local = found.frame["occurred_at"].dt.tz_convert("America/Denver")
        assert local.dt.strftime("%Y-%m-%d %H:%M").tolist() == dates


def test_a_few_months_among_days_are_refused_rows_for_days_and_read_for_months():
    dates = [*days(number=60), "2023-02", "2023-03"]
    found = table(dates, "day")
    assert (found.meta["precision"], found.meta["rejected"]) == ("day", {"month only": 2})
    found = table(dates, "month")
    assert (found.meta["precision"], found.meta["rejected"], len(found)) == ("day", {}, 62)


def test_the_coarsest_of_several_files_counts():
    for name, dates in (
        ("a.csv", days(number=30)),
        ("b.csv", [f"{day} 14:{n % 60:02d}" for n, day in enumerate(days())]),
    ):
        found = table(dates, "day", name=name, path=["a.csv", name])
    assert found.meta["precision"] == "day"
    assert found.frame["occurred_at"].dt.tz_convert("America/Denver").dt.hour.isin([0, 14]).all()


def test_the_chosen_period_ends_with_the_local_day():
    dates = days("2023-06-01", 30)
    found, _ = read(dates, "day", first_day="2023-06-10", last_day="2023-06-20")
    assert (f"{found[0]:%m-%d}", f"{found[-1]:%m-%d}", len(found)) == ("06-10", "06-20", 11)


def test_a_report_dated_with_a_day_is_known_at_its_end_and_an_end_that_is_a_day_lasts_it():
    rows = pd.DataFrame({"when": days(), "known": days("2023-01-07"), "until": days("2023-01-06")})
    rows.assign(lat=39.7, lon=-104.9, kind="theft").to_csv("reports.csv", index=False)
    columns = COLUMNS | {"reported": ["known"], "occurred_until": ["until"]}
    frame = table_of(columns, "day").frame
    ends = {name: frame[name].dt.tz_convert("America/Denver").dt.strftime("%m-%d %H:%M") for name in frame.columns[2:5]}
    assert [ends[name][0] for name in ends] == ["01-05 00:00", "01-06 23:59", "01-07 23:59"]


def table_of(columns, step):
    section = {"columns": columns, "time_zone": "America/Denver", "other": "any", "path": "reports.csv"}
    return ingest(parse({"city": "town", "time": {"step": step}, "source": section}, "test"), now=NOW)


def test_a_year_and_a_month_in_columns_of_their_own_are_a_month():
    rows = pd.DataFrame({"y": [2022, 2022, 2023], "m": [1, 12, 3], "lat": 39.7, "lon": -104.9, "kind": "theft"})
    rows.to_csv("reports.csv", index=False)
    found = table_of(COLUMNS | {"occurred": {"year": "y", "month": "m"}}, "month")
    assert found.meta["precision"] == "month"
    local = found.frame["occurred_at"].dt.tz_convert("America/Denver")
    assert local.dt.strftime("%Y-%m-%d").tolist() == ["2022-01-01", "2022-12-01", "2023-03-01"]


@pytest.mark.parametrize(("dates", "step"), [(days(number=400), "day"), (months(number=400), "month")])
def test_init_writes_the_step_that_the_dates_allow_and_says_why(dates, step):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"when": dates, "kind": np.array(["THEFT", "ASSAULT"])[rng.integers(0, 2, 400)]})
    frame["when"] = rng.permutation(frame["when"].iloc[:48])[rng.integers(0, 48, 400)]
    frame["lat"], frame["lon"] = 39.7 + rng.integers(1, 99, 400) / 1234, -104.9 + rng.integers(1, 99, 400) / 1234
    frame.to_csv("reports.csv", index=False)
    said = []
    text = init(["reports.csv"], None, said.append, NOW).read_text()
    values = yaml.safe_load(text)
    assert values["time"] == {"step": step}
    assert f"step: {step}  # the dates" in text
    assert not [line for line in said if "will stop" in line]
    assert ingest(parse(values, "test"), [Path("reports.csv")], NOW).meta["precision"] == step


@needs_data
def test_the_city_of_london_by_months(tmp_path):
    files = sorted((DATA / "cities" / "london_city").glob("202[34]-*.csv.gz"))
    values = yaml.safe_load(init([str(path) for path in files], "london", lambda line: None, NOW).read_text())
    assert (values["time"], values["source"]["time_zone"]) == ({"step": "month"}, "Europe/London")
    found = ingest(parse(values, "test"), files, NOW)
    local = found.frame["occurred_at"].dt.tz_convert("Europe/London")
    assert found.meta["precision"] == "month"
    assert local.dt.strftime("%Y-%m").nunique() == len(files)
    assert set(local.dt.strftime("%d %H:%M")) == {"01 00:00"}


@pytest.mark.parametrize(
    ("dates", "step", "words"),
    [
        ([f"{year}-{month:02d}-01" for year in (2021, 2022, 2023) for month in (1, 4, 7, 10)], "month", "3 months"),
        ([f"{year}-01-01" for year in range(2015, 2025)], "month", "12 months"),
        ([f"{year}/{year % 100 + 1:02d}" for year in range(2001, 2012)], "month", "13 months"),
        (days("2023-01-02", 400)[::7], "day", "7 days"),
        (pd.date_range("2023-01-31", periods=20, freq="ME").strftime("%Y-%m-%d").tolist(), "day", "in a month of"),
    ],
)
def test_quarters_weeks_and_years_are_no_months_or_days(dates, step, words):
    with pytest.raises(DataError, match=rf"are all {words}.*(Give a table by month or day|Set time.step to month)"):
        read(dates * 5, step)


def test_weeks_by_month_are_doubted_and_days_with_gaps_are_not():
    (doubt,) = (text for text in table(days("2023-01-02", 400)[::7] * 5, "month").meta["doubts"] if "apart" in text)
    assert "7 days apart" in doubt and "from one month into the next" in doubt  # noqa: PT018
    some = np.random.default_rng(7).choice(days(number=300), 40, replace=False).tolist()
    assert not [text for text in table(some, "day").meta["doubts"] if "apart" in text]


def test_the_first_of_a_month_is_doubted_where_it_stands_for_an_unknown_day():
    every = days(number=300)
    assert not [text for text in table(every, "day").meta["doubts"] if "first of a month" in text]
    unknown = [day[:7] + "-01" for day in every[::7]]
    (doubt,) = (text for text in table(every + unknown, "day").meta["doubts"] if "first of a month" in text)
    assert doubt.startswith("15% of the reports are dated the first of a month, where 3% of the days are")


def test_a_file_of_months_beside_one_of_days_is_one_of_months():
    for name, form in (("a.csv", "%Y-%m-01"), ("b.csv", "%Y-%m-%d")):
        table(days(number=300, form=form), "month", name=name)
    with pytest.raises(DataError, match=r"a\.csv: .* are the first day of a month.*Set time\.step to month"):
        read_both("day")
    assert read_both("month").meta["precision"] == "month"


def read_both(step):
    section = {"columns": COLUMNS, "time_zone": "America/Denver", "other": "any", "path": ["a.csv", "b.csv"]}
    config = {"city": "town", "time": {"step": step}, "source": section | {"bounds": (-180, -90, 180, 90)}}
    return ingest(parse(config, "test"), now=NOW)
