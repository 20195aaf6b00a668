"""Presets, whole files and the real samples."""

import gzip
from pathlib import Path

import pandas as pd
import pytest

from stforecast.config import load, parse
from stforecast.config.sections import Source
from stforecast.config.workspace import Workspace
from stforecast.errors import ArtefactError, ConfigError, DataError
from stforecast.events.ingest import ingest, source_files, source_stamp
from stforecast.events.schema import EventTable
from stforecast.events.sources import category_names, resolve
from stforecast.files import read_json, write_json
from stforecast.publishers import publisher

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
NOW = pd.Timestamp("2025-01-01", tz="UTC")
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder shared/data beside the repository is absent")

HEADER = "When,Lat,Lon,Kind,Key"
COLUMNS = {"occurred": ["When"], "latitude": ["Lat"], "longitude": ["Lon"], "offence": ["Kind"], "event_id": ["Key"]}


def city(tmp_path, **source):
    normalise_name = {"columns": COLUMNS, "time_zone": "America/Denver", "categories": {"theft": ["theft"]}, **source}
    return parse({"city": "town", "root": str(tmp_path), "source": normalise_name}, "test")


def table(days=range(1, 21), extra=()):
    rows = [f"2023-05-{day:02d} 13:{day:02d},39.7,-104.9,Theft,{day}" for day in days]
    return "\n".join([HEADER, *rows, *extra]) + "\n"


def bronze(tmp_path, name="a.csv", text=None):
    path = tmp_path / "data/town/bronze" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(table() if text is None else text)
    return path


def sample(name, preset, tmp_path, **more):
    config = parse({"city": "sample", "root": str(tmp_path), "source": {"preset": preset, **more}}, "test")
    return ingest(config, [DATA / "samples" / name], now=NOW)


def test_user_fields_win_over_the_preset_field_by_field():
    source = resolve(
        Source(preset="denver", columns={"offence": ["OFFENSE_TYPE_ID"]}, categories={"a": ["b"]}, other="rest")
    )
    assert source.columns.offence == ["OFFENSE_TYPE_ID"]
    assert source.columns.occurred == ["FIRST_OCCURRENCE_DATE"]
    assert source.time_zone == "America/Denver"
    assert category_names(source) == ("a", "rest")
    assert resolve(Source(preset="boston")).max_rejects == 0.15
    assert resolve(Source(preset="boston", max_rejects=0.01)).max_rejects == 0.01
    assert resolve(source) == source


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Source(preset="gotham"), "no preset 'gotham'. `stforecast init --list` names all"),
        (Source(), "source.columns.occurred: not given"),
        (Source(preset="denver", time_zone="America/Denvr"), "Did you mean America/Denver"),
        (Source(preset="denver", crs="EPSG:nope"), "no coordinate system"),
        (Source(preset="denver", bounds=(39, -105, 40, -104)), "is not west, south, east, north"),
        (Source(preset="denver", categories={"all": ["x"]}), "`all` is the sum"),
        (Source(preset="denver", first_day="2020-01-02", last_day="2020-01-01"), "is after"),
        (Source(columns=COLUMNS, time_zone="UTC"), "source.categories: not given"),
        (Source(columns=COLUMNS, categories={"a": ["b"]}), "source.time_zone: not given"),
    ],
)
def test_source_errors_are_one_line(source, message):
    with pytest.raises(ConfigError) as caught:
        resolve(source)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_shipped_configs_resolve():
    names = ["denver", "chicago", "los_angeles", "new_york", "boston", "st_louis"]
    for name in names:
        config = load(name)
        assert config.city == name
        assert category_names(resolve(config.source))[:3] == ("person", "vehicle", "property")
    assert category_names(resolve(load("reference/denver").source)) == ("person", "property", "other")
    assert len(category_names(resolve(load("reference/chicago").source))) == 4


def test_writes_and_opens(tmp_path):
    bronze(tmp_path, text=table(extra=["never,39.7,-104.9,Theft,99", "2023-05-01 10:00,39.7,-104.9,Fraud,98"]))
    config = city(tmp_path)
    events = ingest(config, now=NOW)
    silver = Workspace(tmp_path, "town").silver
    again = EventTable.open(silver)
    pd.testing.assert_frame_equal(again.frame, events.frame)
    assert len(again) == 20
    assert again.categories == ("theft",)
    assert again.meta == read_json(silver / "ingest.json")
    assert again.meta["rejected"] == {"unreadable time": 1}
    assert again.meta["left_out"] == {"not in a category": 1}
    assert again.meta["rows_read"] == 22
    rejects = pd.read_parquet(silver / "rejects.parquet")
    assert rejects.to_numpy().tolist() == [["a.csv", 22, "unreadable time", "never"]]
    (silver / "events.parquet").write_bytes(b"PAR1")
    with pytest.raises(ArtefactError, match=r"events\.parquet: damaged, 4 bytes .* Run `stforecast ingest` again"):
        EventTable.open(silver)
    write_json(silver / "ingest.json", again.meta | {"schema": 1})
    with pytest.raises(ArtefactError, match=r"not of schema version 3\. Run `stforecast ingest` again"):
        EventTable.open(silver)
    (silver / "ingest.json").unlink()
    with pytest.raises(ArtefactError, match="Run `stforecast ingest` first"):
        EventTable.open(silver)


def test_stamp_follows_files_and_settings(tmp_path):
    path = bronze(tmp_path)
    config = city(tmp_path)
    files = source_files(config, path.parent)
    stamp = source_stamp(files, config)
    assert ingest(config, now=NOW).meta["stamp"] == stamp
    assert source_stamp(files, city(tmp_path, max_rejects=0.5)) == stamp
    assert source_stamp(files, city(tmp_path, other="rest")) != stamp
    text, notes = path.read_text(), Workspace(tmp_path, "town").hashes
    path.write_text(text)
    assert source_stamp(files, config) == stamp
    notes.write_text("damaged")
    assert source_stamp(files, config) == stamp
    path.write_text(text.replace("39.7,", "39.8,", 1))  # as many bytes
    assert source_stamp(files, config) != stamp
    assert [*read_json(notes)] == ["bronze/a.csv"]


def test_a_later_file_corrects_an_earlier_one(tmp_path):
    bronze(tmp_path, "2023.csv", table(range(1, 11)))
    bronze(tmp_path, "2024.csv", table([9, 10, 11]).replace("39.7,", "39.8,"))
    config = city(tmp_path)
    for path, latitudes in ((None, {39.7: 8, 39.8: 3}), (["2024.csv", "2023.csv"], {39.7: 10, 39.8: 1})):
        folder = source_files(config, Workspace(config.root, config.city).bronze)[0].parent
        given = city(tmp_path, path=[str(folder / name) for name in path]) if path else config
        frame = ingest(given, now=NOW).frame
        assert frame["latitude"].round(1).value_counts().to_dict() == latitudes


def test_folders_globs_and_lists(tmp_path):
    one = bronze(tmp_path, "one.csv", table(range(1, 11)))
    two = bronze(tmp_path, "two.csv", table(range(8, 21)))  # overlaps: not held against the files
    bronze(tmp_path, ".hidden.csv")
    bronze(tmp_path, "notes.txt")
    (one.parent / "weather").mkdir()
    bronze(tmp_path, "weather/hourly.csv")  # sub-folders hold other things
    assert source_files(city(tmp_path), one.parent) == [one, two]
    assert source_files(city(tmp_path, path=str(one.parent / "**/h*.csv")), one.parent) == [
        one.parent / "weather/hourly.csv"
    ]
    assert source_files(city(tmp_path, path=[str(two), str(one), str(two)]), one.parent) == [two, one]
    events = ingest(city(tmp_path), now=NOW)
    assert len(events) == 20
    assert events.meta["rejected"] == {"id in a later file too": 3}
    with pytest.raises(DataError, match=r"source\.path: .*nothing\*\.csv names no file"):
        source_files(city(tmp_path, path=str(tmp_path / "nothing*.csv")), one.parent)


def test_no_files_says_where_to_put_them(tmp_path):
    with pytest.raises(DataError, match=r"data/town/bronze: no offence reports\. Put the publisher's file"):
        ingest(city(tmp_path))


def stops(tmp_path, text, message, written, **source):
    bronze(tmp_path, text=text)
    with pytest.raises(DataError, match=message) as caught:
        ingest(city(tmp_path, **source), now=NOW)
    assert "\n" not in str(caught.value)
    place = Workspace(tmp_path, "town")
    assert not place.silver.exists()
    assert place.silver.with_name("rejects.parquet").exists() == written


def test_too_many_rejects_stop_the_run(tmp_path):
    bad = ["2023-05-01 10:00,0,0,Theft,31", "2023-05-01 10:00,0,0,Theft,32"]
    stops(tmp_path, table(extra=bad), r"2 of 22 rows refused \(9\.1%.*no coordinates: 2 \(such as a\.csv line 22", True)
    assert len(ingest(city(tmp_path, max_rejects=0.1), now=NOW)) == 20


def test_exchanged_axes_are_corrected_for_a_minority_only(tmp_path):
    text = table().replace("39.7,-104.9", "38.71,-9.14")  # Lisbon: either order of the bounds is possible
    outside = "2023-05-21 1:00,50,50,Theft,21\n"
    message = r"source\.bounds: 20 of 21 places lie in \[38\.6, -9\.3, .*\] only .*\(west, south, east, north\)"
    stops(tmp_path, text + outside, message, False, bounds=(38.6, -9.3, 38.9, -9.0))
    bronze(tmp_path, text=text.replace("38.71,-9.14", "-9.14,38.71", 10))
    events = ingest(city(tmp_path, bounds=(-9.3, 38.6, -9.0, 38.9)), now=NOW)
    assert events.meta["corrected"] == {"exchanged axes": 10}
    assert events.frame["latitude"].eq(38.71).all()


def test_decimal_commas(tmp_path):
    bronze(tmp_path, text=table().replace(",", ";").replace("39.7", "39,70988").replace("-104.9", "-104,9"))
    assert (ingest(city(tmp_path), now=NOW).frame[["latitude", "longitude"]] == [39.70988, -104.9]).all(axis=None)


def test_the_example_of_a_refused_row_has_a_text(tmp_path):
    bad = ["2023-05-01 10:00,,,Theft,31", "2023-05-01 10:00,39°42',,Theft,32"]
    stops(tmp_path, table(extra=bad), r"no coordinates: 2 \(such as a\.csv line 23: \"39°42'\"\)", True)


def test_a_file_cut_short_stops_the_run(tmp_path):
    stops(
        tmp_path,
        table() + "2023-05-21 1",
        r"a\.csv: line 22: the file ends in the middle of a row",
        True,
        max_rejects=1.0,
    )


def test_truncated_gzip_stops_the_run(tmp_path):
    path = bronze(tmp_path, "a.csv.gz")
    path.write_bytes(gzip.compress(table().encode())[:-20])
    with pytest.raises(DataError, match=r"a\.csv\.gz: damaged or cut short"):
        ingest(city(tmp_path), now=NOW)
    assert not Workspace(tmp_path, "town").silver.exists()


DMY, MDY = "{d:02d}/{m:02d}/2023", "{m:02d}/{d:02d}/2023"


def dated(form, days=range(1, 21), month=5):
    """A file with an event a day, whose dates are written as `form` has them."""
    rows = [f"{form.format(d=day, m=month)} 13:{day:02d},39.7,-104.9,Theft,{month}-{day}" for day in days]
    return "\n".join([HEADER, *rows]) + "\n"


def parse_date(events):
    return sorted(set(events.frame["occurred_at"].dt.strftime("%m-%d")))


@pytest.mark.parametrize(("form", "order"), [(DMY, "day_first"), (MDY, "month_first"), ("2023-{m:02d}-{d:02d}", None)])
def test_the_order_of_day_and_month_is_found(tmp_path, form, order):
    expected = [f"05-{day:02d}" for day in range(1, 21)] + ["06-02", "06-03"]
    bronze(tmp_path, "a.csv", dated(form, (2, 3), month=6))  # does not tell
    bronze(tmp_path, "b.csv", dated(form))
    for config in (city(tmp_path), city(tmp_path, date_order=order)):
        events = ingest(config, now=NOW)
        assert parse_date(events) == expected
        assert events.meta["rejected"] == {}
        assert events.meta["date_order"] == order


def test_files_in_both_orders_stop_the_run(tmp_path):
    bronze(tmp_path, "a.csv", dated(MDY))
    bronze(tmp_path, "b.csv", dated(DMY, month=6))
    with pytest.raises(
        DataError,
        match=r"a\.csv: line 14: '05/13/2023 13:13' has the month first, but b\.csv: line 14: .* has the day first",
    ):
        ingest(city(tmp_path), now=NOW)
    with pytest.raises(
        DataError, match=r"b\.csv: line 14: .* has the day first.* source\.date_order .* is month_first"
    ):
        ingest(city(tmp_path, date_order="month_first"), now=NOW)
    stops(tmp_path, dated(MDY) + dated(DMY, month=6)[len(HEADER) + 1 :], "Set source.date_order to", False)


def test_a_slip_among_dates_of_a_stated_order_is_refused(tmp_path):
    slip = "13/05/2023 13:21,39.7,-104.9,Theft,slip\n"
    bronze(tmp_path, text=dated(MDY) + slip)
    events = ingest(city(tmp_path, date_order="month_first"), now=NOW)
    assert events.meta["rejected"] == {"day and month not in the order month_first": 1}
    assert len(events) == 20


def test_dates_that_tell_no_order_need_one(tmp_path):
    text = dated(DMY, range(6, 9))
    stops(tmp_path, text, r"a\.csv: line 2: '06/05/2023 13:06' may be month first or day first.*date_order", False)
    assert parse_date(ingest(city(tmp_path, date_order="day_first"), now=NOW)) == ["05-06", "05-07", "05-08"]
    assert parse_date(ingest(city(tmp_path, date_order="month_first"), now=NOW)) == ["06-05", "07-05", "08-05"]


def test_no_event_left(tmp_path):
    stops(
        tmp_path,
        table(),
        "no event is left of 20 rows .*not in a category: 20.*'Theft'",
        False,
        categories={"a": ["x"]},
    )


def test_a_category_that_matches_nothing_stops_the_run(tmp_path):
    extra = [f"2023-05-21 1:00,39.7,-104.9,Furto  d'auto,f{n}" for n in range(3)]
    message = (
        r"source\.categories\.furto: 'furtto\*', 'x' matches no offence .* in no category: \"Furto d'auto\": 3\. Mend"
    )
    for more in ({}, {"other": "rest"}):
        categories = {"theft": ["theft"], "furto": ["furtto*", "x"]}
        stops(tmp_path, table(extra=extra), message, False, categories=categories, **more)
    shadowed = {"theft": ["*"], "furto": ["furto*"]}
    stops(
        tmp_path,
        table(extra=extra),
        "no offence that the categories before it leave.*: none",
        False,
        categories=shadowed,
    )


def test_patterns_and_categories_without_events_are_said(tmp_path):
    bronze(tmp_path, text=table(extra=["2022-01-01 1:00,39.7,-104.9,Arson,21"]))
    categories = {"theft": ["theft", "thefft*"], "fire": ["arson"]}
    events = ingest(city(tmp_path, categories=categories, first_day="2023-01-01"), now=NOW)
    assert events.meta["notes"] == ["categories.fire: no event", 'categories.theft: no offence matches "thefft*"']
    preset = {"preset": "denver", "columns": COLUMNS, "categories": {}}
    bronze(tmp_path, text=table().replace("Theft", "burglary"))
    said = [f"categories.{category}: no event" for category in ("person", "vehicle", "disorder")]
    assert ingest(city(tmp_path, **preset), now=NOW).meta["notes"] == said


def test_a_file_that_loses_its_rows_is_named(tmp_path):
    bronze(tmp_path, "a.csv", table())
    bronze(tmp_path, "old.csv", table().replace("2023", "1991"))
    bronze(tmp_path, "none.csv", HEADER + "\n")
    never = [f"never {n},39.7,-104.9,Theft,n{n}" for n in range(3)]
    bronze(tmp_path, "bad file.csv", "\n".join([HEADER, ",39.7,-104.9,Theft,b", *never]) + "\n")
    bronze(tmp_path, "half.csv", table(range(21, 25), [row.replace(",n", ",h") for row in never]))
    bronze(tmp_path, "other.csv", table(range(25, 30)).replace("Theft", "Fraud"))
    events = ingest(city(tmp_path, max_rejects=0.3, first_day="2023-01-01"), now=NOW)
    assert events.meta["notes"] == [
        "bad file.csv: none of its 4 rows became an event: unreadable time (line 3: 'never 0')",
        "half.csv: 3 of its 7 rows were refused, most for unreadable time (line 6: 'never 0')",
        "other.csv: none of its 5 rows became an event: not in a category",
    ]


def test_header_without_rows(tmp_path):
    stops(tmp_path, HEADER + "\n", "the file has no rows", False)


def test_months_and_days_are_refused(tmp_path):
    rows = "\n".join(["Month,Lat,Lon,Crime type,Id", *["2019-01,39.7,-104.9,Theft,1"] * 10]) + "\n"
    stops(tmp_path, rows, "no column 'When' for `occurred`; found: Month", False)
    named = {"columns": {**COLUMNS, "occurred": ["Month"], "offence": ["Crime type"], "event_id": ["Id"]}}
    message = r"a\.csv: 10 of 10 dates \(100%\) are months without a day, so an hourly forecast is not possible"
    stops(tmp_path, rows, message, False, **named)
    days = [f"2023-05-{day:02d},39.7,-104.9,Theft,{day}-{n}" for day in range(1, 21) for n in range(3)]
    stops(tmp_path, "\n".join([HEADER, *days]) + "\n", "bear no time of day", False)


def test_a_column_that_the_user_names_must_be_there(tmp_path):
    stops(
        tmp_path, table(), "no column 'Reported' for `reported`", False, columns={**COLUMNS, "reported": ["Reported"]}
    )


@needs_data
@pytest.mark.parametrize(
    ("name", "preset", "events", "rejected", "at"),
    [
        ("chicago_cpd_publisher_2000rows.csv", "chicago", 1287, 13, None),
        ("losangeles_lapd_2020_modified_2000rows.csv", "los_angeles", 1699, 1, ("200815333", "2020-10-16 03:00")),
        ("newyork_2014_2015_2000rows.csv", "new_york", 1996, 0, None),
        ("boston_bpd_2023_2000rows.csv", "boston", 505, 46, None),
        ("washingtondc_mpd_2024_2000rows.csv", "washington_dc", 1914, 0, None),
        ("stlouis_slmpd_july2017_2000rows.csv", "st_louis", 1125, 33, None),
        ("atlanta_apd_2000rows.csv", "atlanta", 965, 0, None),
    ],
)
def test_samples(name, preset, events, rejected, at, tmp_path):
    out = sample(name, preset, tmp_path)
    meta = out.meta
    assert (len(out), sum(meta["rejected"].values())) == (events, rejected)
    assert meta["rows_read"] == 2000 == events + rejected + meta["merged"] + sum(meta["left_out"].values())
    west, south, east, north = publisher(preset).source.bounds
    assert out.frame["longitude"].between(west, east).all()
    assert out.frame["latitude"].between(south, north).all()
    hours = out.frame["occurred_at"].dt.tz_convert(publisher(preset).source.time_zone).dt.hour.value_counts()
    assert hours.reindex([3, 4, 5]).sum() < hours.reindex([15, 16, 17]).sum()  # local time: the night is quieter
    if at:
        row = out.frame.set_index("event_id").loc[at[0]]
        assert row["occurred_at"] == pd.Timestamp(at[1], tz="UTC")


@needs_data
def test_monthly_sample_is_refused(tmp_path):
    columns = {"occurred": ["Month"], "latitude": ["Latitude"], "longitude": ["Longitude"], "offence": ["Crime type"]}
    text = (DATA / "samples" / "london_met_street_2019-01_2000rows.csv").read_text()
    message = r"\(100%\) are months without a day, so an hourly forecast is not possible\. Set time\.step to month"
    stops(tmp_path, text, message, False, columns=columns, time_zone="Europe/London", other="any")


@needs_data
def test_boston_times_are_local_and_washington_times_are_utc(tmp_path):
    boston = sample("boston_bpd_2023_2000rows.csv", "boston", tmp_path)
    assert boston.meta["first_event"] == "2023-01-01 05:00:00+00:00"
    washington = sample("washingtondc_mpd_2024_2000rows.csv", "washington_dc", tmp_path).frame.set_index("incident_id")
    assert washington.loc["24022219", "occurred_at"] == pd.Timestamp("2024-02-12 18:19", tz="UTC")
    assert washington.loc["24022219", "reported_at"] == pd.Timestamp("2024-02-20 11:08:25", tz="UTC")


@needs_data
def test_st_louis_withdrawals_and_old_occurrences(tmp_path):
    out = sample("stlouis_slmpd_july2017_2000rows.csv", "st_louis", tmp_path)
    assert out.meta["left_out"]["withdrawal"] == 37
    assert out.meta["left_out"]["withdrawn report"] == 11
    assert out.frame["occurred_at"].min() >= pd.Timestamp("2017-06-01", tz="UTC")


@needs_data
def test_denver_reference(tmp_path):
    path = DATA / "denver/crime.csv.gz"
    config = load("reference/denver", [f"root={tmp_path}", f"source.path={path}"])
    out = ingest(config, now=NOW)
    meta = out.meta
    assert meta["rows_read"] == 394_736
    assert meta["rejected"] == {"short row": 261, "no coordinates": 40, "outside the bounds": 1}
    assert meta["corrected"]["reported before it occurred"] == 12
    assert meta["corrected"]["occurred in the repeated hour"] == 76
    assert "occurred in the missing hour" not in meta["corrected"]
    assert meta["left_out"].keys() == {"outside the chosen period"}
    assert len(out) + meta["merged"] + 302 + meta["left_out"]["outside the chosen period"] == 394_736
    # against pandas on the whole file: one event an incident and group
    raw = pd.read_csv(path, dtype=str, encoding="utf-8-sig")
    raw = raw[pd.to_numeric(raw["GEO_LAT"]).between(39.5, 40) & pd.to_numeric(raw["GEO_LON"]).between(-105.3, -104.5)]
    when = pd.to_datetime(raw["FIRST_OCCURRENCE_DATE"], format="%m/%d/%Y %I:%M:%S %p")
    raw = raw[when.between("2019-01-02", "2024-10-01 00:59:59")]  # the days of the axis end at 01:00 in summer
    groups = {o: c for c, names in config.source.categories.items() for o in names}
    group = raw["OFFENSE_CATEGORY_ID"].map(groups).fillna("other")
    expected = raw.assign(group=group).drop_duplicates(["INCIDENT_ID", "group"])["group"].value_counts()
    assert meta["events_by_category"] == {name: int(expected[name]) for name in ("person", "property", "other")}


@needs_data
def test_chicago_reference_and_the_compact_header(tmp_path):
    config = load("reference/chicago", [f"root={tmp_path}", f"source.path={DATA / 'chicago/crimes.csv.gz'}"])
    out = ingest(config, now=NOW)
    assert len(out) == out.meta["rows_read"] == 321_877
    compact = ingest(load("chicago", [f"root={tmp_path}"]), [DATA / "chicago/crimes_2018_h1.csv.gz"], now=NOW)
    assert compact.meta["rows_read"] == 125_590
    assert compact.frame["district"].notna().mean() > 0.99
    assert compact.frame["arrest"].notna().all()
