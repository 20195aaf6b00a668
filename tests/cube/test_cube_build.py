"""Binning, known time, axis and study area."""

import datetime as dt
from pathlib import Path

import h3.api.basic_int as h3
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from shapely import box, to_geojson

from stforecast.cube import Cube, hexgrid
from stforecast.cube.build import SHORT, build
from stforecast.errors import ArtefactError, ConfigError, DataError
from stforecast.events.event_times import day_end
from stforecast.events.schema import EventTable

FIRST = pd.Timestamp("2021-03-01 07:00", tz="UTC")  # midnight in Denver
CELLS = np.array(sorted(h3.grid_disk(h3.latlng_to_cell(39.7, -105, 8), 2)), np.int64)
CENTRES = hexgrid.centres(CELLS)
DAYS = 20


def at(hours: list[int] | np.ndarray) -> pd.DatetimeIndex:
    return FIRST + pd.to_timedelta(np.asarray(hours, float), unit="h")


def places(index: list[int] | np.ndarray) -> dict[str, np.ndarray]:
    return {"latitude": CENTRES[index, 0], "longitude": CENTRES[index, 1]}


def same(one: Cube, other: Cube) -> bool:
    arrays = ("hour", "hexagon", "category", "known_hour", "weight", "edges")
    return all(np.array_equal(getattr(one, a), getattr(other, a)) for a in arrays) and one.hexagons.equals(
        other.hexagons
    )


events_of = st.lists(
    st.tuples(
        st.integers(0, DAYS * 24 * 3600 - 1),  # seconds after the axis begins
        st.integers(0, 7),  # place
        st.sampled_from(["property", "violent"]),
        st.none() | st.integers(0, 400 * 3600),  # seconds until it is reported
    ),
    min_size=1,
    max_size=60,
)


@examples(max_examples=60, deadline=None)
@given(rows=events_of, embargo=st.integers(0, 30), min_events=st.integers(1, 3), random=st.randoms())
def test_binning_conserves_events_in_any_order(table, settings, rows, embargo, min_events, random) -> None:
    fixed = {"first_day": FIRST.date(), "last_day": FIRST.date() + dt.timedelta(days=DAYS - 1)}
    asked = min_events * 2 * SHORT // DAYS  # of the half that is learned from as many as `min_events` are left
    config = settings(source=fixed, grid={"min_events": asked}, embargo_hours=embargo, split={"train": 0.5})

    def of(rows: list) -> Cube:
        seconds, place, category, delay = map(list, zip(*rows, strict=True))
        occurred = FIRST + pd.to_timedelta(seconds, unit="s")
        reported = [t if d is None else t + pd.Timedelta(seconds=d) for t, d in zip(occurred, delay, strict=True)]
        reported = [None if d is None else t for t, d in zip(reported, delay, strict=True)]
        return build(table(occurred, **places(place), category=category, reported_at=reported), config)

    rows = [*rows, (0, 0, "property", None), (DAYS * 24 * 3600 - 1, 0, "property", None)]  # the record is as long
    has_reports = any(row[3] is not None for row in rows)
    expected: dict[tuple, float] = {}
    seen: dict[int, int] = {}
    for second, place, category, delay in rows:
        hour = second // 3600
        known = hour + embargo
        if delay is not None and has_reports:
            known = max(known, (second + delay) // 3600)
        key = (known, hour, place, ["property", "violent"].index(category))
        expected[key] = expected.get(key, 0) + 1
        if hour < DAYS * 12 and known < DAYS * 12:
            seen[place] = seen.get(place, 0) + 1
    chosen = sorted(place for place, count in seen.items() if count >= min_events)
    if not chosen:
        with pytest.raises(DataError, match=f"no hexagon has {min_events} events"):
            of(rows)
        return
    cube = of(rows)
    assert cube.cells.tolist() == hexgrid.to_names(CELLS[chosen])
    row_of = {place: row for row, place in enumerate(chosen)}
    kept = {(k, t, row_of[p], c): w for (k, t, p, c), w in expected.items() if p in row_of}
    arrays = (cube.known_hour, cube.hour, cube.hexagon, cube.category)
    assert dict(zip(zip(*(a.tolist() for a in arrays), strict=True), cube.weight.tolist(), strict=True)) == kept
    counts = cube.notes["events"]
    assert cube.weight.sum() == counts["kept"]
    assert counts["kept"] + counts["outside_area"] + counts["outside_axis"] == counts["table"] == len(rows)
    shuffled = rows.copy()
    random.shuffle(shuffled)
    assert same(cube, of(shuffled))


def test_dense_equals_a_plain_loop(table, settings) -> None:
    rng = np.random.default_rng(0)
    hours, place = rng.integers(0, 24 * DAYS, 500), rng.integers(0, 8, 500)
    kinds = rng.choice(["property", "violent"], 500).tolist()
    delays = rng.integers(0, 100, 500)
    events = table(at(hours), **places(place), category=kinds, reported_at=at(hours + delays))
    cube = build(events, settings(split={"train": dt.date(2021, 3, 20)}))
    names = cube.cells.tolist()
    for known_before in (None, 200):
        expected = np.zeros((150, cube.n, 2))
        for hour, cell, kind, delay in zip(hours, hexgrid.to_names(CELLS[place]), kinds, delays, strict=True):
            known = known_before is None or hour + delay < known_before
            if 100 <= hour < 250 and known:
                expected[hour - 100, names.index(cell), ["property", "violent"].index(kind)] += 1
        np.testing.assert_array_equal(cube.dense(100, 250, known_before).numpy(), expected)


def test_the_axis_is_whole_days_from_winter_midnight(table, settings) -> None:
    # 00:30 on 10 July in Denver's summer is 23:30 on the 9th in winter time; 22:00 on the 12th is 21:00
    events = table(
        pd.to_datetime(["2021-07-10 00:30", "2021-07-12 22:00"]).tz_localize("America/Denver"), **places([0, 0])
    )
    cube = build(events, settings())
    assert cube.start == pd.Timestamp("2021-07-09 07:00", tz="UTC")
    assert cube.steps == 4 * 24
    assert cube.hour.tolist() == [23, 3 * 24 + 21]
    assert cube.time_zone == "America/Denver"
    assert cube.notes["issue_hour"] == 7
    days = {"first_day": dt.date(2021, 7, 10), "last_day": dt.date(2021, 7, 15)}
    with_days = build(events, settings(source=days, split={"gap": 0}))
    assert (with_days.start, with_days.steps) == (pd.Timestamp("2021-07-10 07:00", tz="UTC"), 6 * 24)
    assert with_days.notes["events"] == {"table": 2, "outside_axis": 1, "outside_area": 0, "kept": 1}


def test_another_issue_hour_begins_the_axis_before_the_first_day(table, settings) -> None:
    days = {"first_day": dt.date(2021, 3, 1), "last_day": dt.date(2021, 3, 3)}
    events = table(at([0, 71]), **places([0, 0]))
    cube = build(events, settings(issue_hour=12, source=days))
    assert cube.start == pd.Timestamp("2021-02-28 12:00", tz="UTC")
    assert cube.hour.tolist() == [19]
    assert cube.end == pd.Timestamp("2021-03-03 12:00", tz="UTC")  # the next would end 5 hours after the last day


@pytest.mark.parametrize("zone", ["America/Denver", "Australia/Sydney", "Europe/Dublin", "Asia/Kolkata"])
@pytest.mark.parametrize("last", [dt.date(2021, 1, 5), dt.date(2021, 7, 5)])
def test_events_are_kept_to_the_end_of_the_last_day_of_the_axis(table, settings, zone: str, last: dt.date) -> None:
    """In summer too, when days of the axis end at 01:00: an hour that only looks empty would be a false target."""
    events = table(pd.to_datetime([last - dt.timedelta(days=1), last], utc=True), **places([0, 0]))
    source = {"time_zone": zone, "first_day": last - dt.timedelta(days=3), "last_day": last}
    cube = build(events, settings(source=source, grid={"country": None}, split={"train": 0.75}))
    kept_until = pd.Timestamp(day_end(last, zone), unit="us", tz="UTC")
    assert cube.end == kept_until.floor("h")


@pytest.mark.parametrize("issue_hour", [None, 2, 7, 12, 20])
@pytest.mark.parametrize("newest", [24 * 9 + 3, 24 * 9 + 12, 24 * 9 + 22])
def test_the_axis_ends_where_the_record_does(table, settings, issue_hour: int | None, newest: int) -> None:
    """A record that breaks off at `newest` has whole days from issue hour to issue hour, and no empty hours after."""
    hours = np.arange(0, newest, 0.1)
    cube = build(table(at(hours), **places(np.zeros(hours.size, int))), settings(issue_hour=issue_hour))
    end = at([newest])[0]
    assert end - pd.Timedelta(hours=23) <= cube.end <= end + pd.Timedelta(hours=1)
    assert cube.end.hour == (7 if issue_hour is None else issue_hour)
    assert cube.dense(cube.steps - 1).sum() > 0


@pytest.mark.parametrize(
    ("first", "asked", "begins"),
    [
        ("2021-07-10 00:00", {}, "2021-07-10 07:00"),  # the day before, in winter time, would hold a single hour
        ("2021-07-10 00:00", {"source": {"first_day": dt.date(2021, 7, 9)}}, "2021-07-09 07:00"),  # as asked
        ("2021-07-10 00:00", {"source": {"first_day": dt.date(2021, 7, 10)}}, "2021-07-10 07:00"),
        ("2021-07-10 14:00", {}, "2021-07-11 07:00"),
        ("2021-07-10 10:00", {}, "2021-07-10 07:00"),
        ("2021-03-01 00:00", {}, "2021-03-01 07:00"),
        ("2021-03-01 00:00", {"issue_hour": 6}, "2021-03-01 06:00"),
        ("2021-03-01 00:00", {"issue_hour": 18}, "2021-03-01 18:00"),
        ("2021-03-01 00:00", {"issue_hour": 20}, "2021-02-28 20:00"),
    ],
)
def test_a_first_day_that_is_mostly_before_the_record_is_left_out(
    table, settings, first: str, asked: dict, begins: str
) -> None:
    times = pd.Timestamp(first, tz="America/Denver") + pd.to_timedelta(np.arange(0, 24 * 9, 0.1), unit="h")
    events = table(times, **places(np.zeros(len(times), int)))
    assert build(events, settings(**asked)).start == pd.Timestamp(begins, tz="UTC")


def test_days_that_are_asked_for_but_not_recorded_are_left_out(table, settings) -> None:
    hours = np.arange(0, 24 * 10, 0.1)
    events = table(at(hours), **places(np.zeros(hours.size, int)))
    asked = {"first_day": FIRST.date() - dt.timedelta(days=30), "last_day": FIRST.date() + dt.timedelta(days=40)}
    found, plain = build(events, settings(source=asked)), build(events, settings())
    assert (found.start, found.steps, found.weight.sum()) == (plain.start, plain.steps, plain.weight.sum())
    said = " ".join(found.notes["fallbacks"])
    assert "after source.first_day 2021-01-30" in said
    assert "before source.last_day 2021-04-10 is over" in said
    assert "source." not in " ".join(plain.notes["fallbacks"])


def test_a_report_given_as_a_day_does_not_fill_the_day(table, settings) -> None:
    """An export of noon: its newest reports are dated to the end of that day."""
    hours = np.arange(0, 24 * 9 + 12, 0.1)
    day_end = at(24 * (hours // 24 + 1)) - pd.Timedelta(microseconds=1)
    dated = table(at(hours), **places(np.zeros(hours.size, int)), reported_at=day_end)
    assert build(dated, settings()).steps == 9 * 24


def test_a_half_hour_zone_has_its_axis_on_the_hour_in_which_midnight_falls(table, settings) -> None:
    events = table(pd.to_datetime(["2021-03-01T18:20Z", "2021-03-02T18:10Z"]), **places([0, 0]))
    cube = build(events, settings(source={"time_zone": "Asia/Kolkata"}, grid={"country": None}))
    assert cube.start == pd.Timestamp("2021-03-01 18:00", tz="UTC")
    assert cube.steps == 48


def test_known_time(table, settings) -> None:
    reported = [FIRST + pd.Timedelta(hours=50), None, FIRST + pd.Timedelta(hours=10.5)]
    events = table(at([10, 10, 10.2]), **places([0, 0, 0]), reported_at=reported)
    days = {"first_day": FIRST.date(), "last_day": dt.date(2021, 3, 5)}
    cube = build(events, settings(source=days, embargo_hours=5))
    assert (cube.known_hour.tolist(), cube.weight.tolist()) == ([15, 50], [2, 1])
    assert cube.notes["known_time"] == "reported"
    assert cube.notes["known_in_same_step"] == 0
    assert cube.notes["fallbacks"] == [
        "1 events have no report time: such an event counts as known 5 hours after the hour it occurred in."
    ]
    occurred = build(events, settings(source=days, embargo_hours=5, known_time="occurred"))
    assert occurred.known_hour.tolist() == [15]
    assert occurred.weight.tolist() == [3]
    assert occurred.notes["fallbacks"] == []


def test_spans_enter_the_inputs_in_equal_parts_that_are_known_when_they_have_ended(table, settings) -> None:
    rng = np.random.default_rng(3)
    start, length = rng.integers(0, 60 * 24 * DAYS, 300), rng.choice([0, 1, 59, 60, 61, 500, 1440, 3000], 300)
    start -= start % rng.choice([1, 60], 300)
    place, kinds = rng.integers(0, 8, 300), rng.choice(["property", "violent"], 300).tolist()
    delay = rng.integers(0, 4000, 300)
    without_end, unreported = rng.random(300) < 0.2, rng.random(300) < 0.2
    times = {
        "occurred_until": [None if no else t for no, t in zip(without_end, at((start + length) / 60), strict=True)],
        "reported_at": [None if no else t for no, t in zip(unreported, at((start + delay) / 60), strict=True)],
    }
    events = table(at(start / 60), **places(place), category=kinds, **times)
    days = {"first_day": FIRST.date(), "last_day": FIRST.date() + dt.timedelta(days=DAYS - 1)}
    cells = hexgrid.to_names(CELLS[:8])
    plain = build(events, settings(source=days, embargo_hours=3), cells)
    cube = build(events, settings(source=days, embargo_hours=3, grid={"spans": "aoristic"}), cells)
    expected: dict[tuple, float] = {}
    for i in range(300):
        minutes = 0 if without_end[i] else length[i]
        touched = sorted({(start[i] + m) // 60 for m in range(max(minutes, 1))})
        touched = touched if len(touched) <= 24 else touched[:1]
        known = touched[-1] + 3
        known = known if unreported[i] else max(known, (start[i] + delay[i]) // 60)
        for hour in touched:
            if hour < cube.steps:
                key = (known, hour, place[i], ["property", "violent"].index(kinds[i]))
                expected[key] = expected.get(key, 0) + 1 / len(touched)
    inputs = cube.inputs
    arrays = (inputs.known_hour, inputs.hour, inputs.hexagon, inputs.category)
    found = dict(zip(zip(*(a.tolist() for a in arrays), strict=True), inputs.weight.tolist(), strict=True))
    assert list(found) == sorted(expected)
    assert found == pytest.approx(expected, rel=1e-5)
    np.testing.assert_array_equal(cube.dense(), plain.dense())
    assert plain.inputs is plain
    assert inputs.inputs is inputs
    assert cube.notes["spans"]["over_1_step"] == plain.notes["spans"]["over_1_step"] > 0.3


def test_a_publisher_without_report_times_falls_back_and_says_so(table, settings) -> None:
    cube = build(table(at([10, 47]), **places([0, 0])), settings(embargo_hours=48), hexgrid.to_names(CELLS[:1]))
    assert cube.known_hour.tolist() == [58, 95]  # as it is, though after the end of the axis
    assert cube.notes["known_time"] == "occurred"
    assert "No report time" in cube.notes["fallbacks"][0]


def test_a_mistyped_date_does_not_prolong_the_axis(table, settings) -> None:
    hours = np.arange(0, 40 * 24, 2)
    for strays, steps in (([60 * 24], 40 * 24), ([60 * 24] * 9, 40 * 24), (list(range(60 * 24, 61 * 24)), 61 * 24)):
        events = table(at(np.append(hours, strays)), **places(np.zeros(len(hours) + len(strays), int)))
        cube = build(events, settings())
        assert cube.steps == steps
        said = [line for line in cube.notes["fallbacks"] if "long after all others" in line]
        assert said == [] if steps > 40 * 24 else said[0].startswith(f"{len(strays)} events lie")


def test_late_reports_do_not_prolong_the_axis(table, settings) -> None:
    events = table(at([0, 47]), **places([0, 0]), reported_at=at([0, 9000]))
    assert build(events, settings()).steps == 48


@examples(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_is_known_after_training_leaves_the_study_area_and_districts_unchanged(table, settings, seed) -> None:
    rng = np.random.default_rng(seed)
    n, end = 200, 24 * DAYS // 2
    hours, place = np.sort(rng.integers(0, 24 * DAYS, n)), rng.integers(0, 19, n)
    known = hours + rng.choice([0, 3, 200], n)
    config = settings(
        source={"first_day": FIRST.date(), "last_day": FIRST.date() + dt.timedelta(days=DAYS - 1)},
        grid={"min_events": 4},
        split={"train": 0.5},
    )
    district = rng.choice(["a", "b"], n)
    late = known >= end
    moved = place.copy()
    moved[late] = rng.integers(0, 19, late.sum())
    other = np.where(late, "c", district)
    kept = np.flatnonzero(~late | (rng.random(n) < 0.5))
    before = build(table(at(hours), **places(place), reported_at=at(known), district=district), config)
    after = build(
        table(at(hours[kept]), **places(moved[kept]), reported_at=at(known[kept]), district=other[kept]), config
    )
    pd.testing.assert_frame_equal(before.hexagons, after.hexagons)
    np.testing.assert_array_equal(before.edges, after.edges)
    np.testing.assert_array_equal(before.dense(known_before=end), after.dense(known_before=end))


def test_the_end_of_training_by_share_date_and_argument(table, settings) -> None:
    events = table(at([0, 200, 479]), **places([0, 1, 2]))
    assert build(events, settings(split={"train": 0.75})).notes["train_until"] == "2021-03-16T07:00:00+00:00"
    by_date = build(events, settings(split={"train": dt.date(2021, 3, 5), "validation": dt.date(2021, 3, 9)}))
    assert by_date.notes["train_until"] == "2021-03-05T07:00:00+00:00"
    assert by_date.n == 1
    assert build(events, settings(), train_until=at([201])[0]).n == 2
    assert build(events, settings(), train_until=at([9999])[0]).n == 3
    with pytest.raises(ConfigError, match=r"split\.train: the training slice ends 2021-02-01"):
        build(events, settings(split={"train": dt.date(2021, 2, 1), "validation": dt.date(2021, 3, 9)}))


def test_hexagons_of_a_trained_run_are_kept_as_they_were(table, settings) -> None:
    cells = hexgrid.to_names(CELLS)
    events = table(at([0, 30]), **places([0, 1]))
    cube = build(events, settings(grid={"min_events": 99}), cells)
    assert cube.cells.tolist() == cells
    assert cube.edges.tolist() == hexgrid.edges(CELLS).tolist()
    assert cube.hexagons["district"].isna().all()
    with pytest.raises(ConfigError, match="9, but the run was trained at 8"):
        build(events, settings(grid={"resolution": 9}), cells)
    with pytest.raises(ArtefactError, match="not an H3 cell"):
        build(events, settings(), ["0"])
    with pytest.raises(DataError, match=r"none of 2 events lies in the study area \(hexagons of the trained run"):
        build(events, settings(), [h3.int_to_str(h3.latlng_to_cell(0, 0, 8))])


def test_study_area_and_districts_from_files(tmp_path: Path, table, settings) -> None:
    area, districts = tmp_path / "area.geojson", tmp_path / "districts.geojson"
    area.write_text(to_geojson(box(-105.02, 39.68, -104.98, 39.72)))
    feature = '{"type":"Feature","properties":{"name":"one","people":900},"geometry":%s}'
    districts.write_text(
        '{"type":"FeatureCollection","features":[%s]}' % (feature % to_geojson(box(-105, 39.6, -104.9, 39.8)))
    )
    events = table(at([0, 30, 47]), latitude=[39.7, 39.7, 10], longitude=[-105, -105, 10], district=["x", "x", "x"])
    grid = {"area": str(area), "districts": str(districts), "min_events": 99}
    statics = {"statics": str(districts), "static_columns": {"people": "sum"}}
    cube = build(events, settings(grid=grid | statics))
    assert cube.hexagons["people"].sum() > 0
    with pytest.raises(ConfigError, match=r"grid\.statics"):
        build(events, settings(grid=grid | statics | {"statics": None}))
    assert cube.n > 3
    assert cube.notes["events"]["outside_area"] == 1
    east = cube.hexagons["longitude"] > -105
    assert (cube.hexagons["district"].notna() == east).all()
    assert set(cube.hexagons["district"].dropna()) == {"one"}
    far = table(at([0, 30]), latitude=[10, 10], longitude=[10, 10])
    with pytest.raises(DataError, match="none of 2 events lies in the study area"):
        build(far, settings(grid=grid | {"districts": None}))


def test_empty_tables_and_empty_areas(table, settings) -> None:
    events = table(at([0, 1, 30]), **places([0, 0, 1]))
    with pytest.raises(
        DataError, match=r"no hexagon has 20 events .*\(2 events known by its end, at most 2 in a hexagon"
    ):
        build(events, settings(grid={"min_events": 20 * SHORT}, split={"train": 0.5}))
    assert build(events, settings(grid={"min_events": 20}, split={"train": 0.5})).n == 1  # of a day one is enough
    with pytest.raises(DataError, match="no event"):
        build(EventTable(events.frame.iloc[:0], events.meta), settings())


def test_weather_is_wired_in(tmp_path: Path, table, settings) -> None:
    path = tmp_path / "weather.csv"
    hours = range(-5, 300)
    path.write_text("time_utc,t\n" + "".join(f"{at([h])[0].isoformat()},{h / 10}\n" for h in hours))
    events = table(at([0, 47]), **places([0, 0]))
    weather = {"path": str(path), "channels": {"t": "degC"}}
    past = build(events, settings(weather=weather))
    np.testing.assert_allclose(past.weather.values[:, 0], np.arange(48) / 10, rtol=1e-6)
    assert past.future.names == ()
    assert past.notes["weather_coverage"] == {"t": 1.0}
    assert past.notes["fallbacks"][-1].startswith("No report time")
    bound = build(events, settings(weather=weather | {"observed_as_forecast": True}))
    week = np.arange(48, 48 + 7 * 24 + 24)  # a forecast may be issued up to seven days after the record, of one day
    np.testing.assert_allclose(bound.future.window(48, week[-1] + 1)[:, 0], week / 10, rtol=1e-6)
    assert "Observed weather stands for" in bound.notes["fallbacks"][-1]
    forecast = build(events, settings(weather={"forecast_path": str(path), "channels": {"t": "degC"}}))
    assert forecast.weather.names == ()
    assert forecast.future.names == ("t",)
    with pytest.raises(ConfigError, match="observed_as_forecast"):
        build(events, settings(weather={"observed_as_forecast": True, "channels": {"t": "degC"}}))
