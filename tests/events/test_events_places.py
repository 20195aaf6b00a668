"""Coordinates in every form → degrees; places as a whole against the time zone, and piles at one coordinate."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stforecast.config import parse
from stforecast.config.sections import Source
from stforecast.errors import ConfigError, DataError
from stforecast.events.coordinates import NOWHERE, parse_point
from stforecast.events.facts import Findings
from stforecast.events.ingest import ingest
from stforecast.events.place_checks import check_places, find_default_places, pack_places, unpack_places
from stforecast.events.sources import resolve

NOW = pd.Timestamp("2025-01-01", tz="UTC")
degrees = st.tuples(st.integers(-89_000_000, 89_000_000), st.integers(-179_000_000, 179_000_000)).map(
    lambda both: (both[0] / 1e6, both[1] / 1e6)
)
FORMS = {
    "brackets": lambda y, x: f"({y:.6f}, {x:.6f})",
    "behind an address": lambda y, x: f"1700 EXAMPLE ST (REAR)\nBerkeley, CA\n({y:.6f}, {x:.6f})",
    "pair": lambda y, x: f"{y:.6f},{x:.6f}",
    "semicolon": lambda y, x: f"{y:.6f}; {x:.6f}",
    "commas": lambda y, x: f"{y:.6f}; {x:.6f}".replace(".", ","),
    "WKT": lambda y, x: f"POINT ({x:.6f} {y:.6f})",
    "WKT, three": lambda y, x: f"SRID=4326;POINT Z({x:.6f} {y:.6f} 0)",
    "GeoJSON": lambda y, x: json.dumps({"type": "Point", "coordinates": [round(x, 6), round(y, 6)]}),
    "Socrata": lambda y, x: json.dumps({"latitude": f"{y:.6f}", "longitude": f"{x:.6f}", "human_address": "{}"}),
    "degrees": lambda y, x: f"{abs(y):.6f}° {'NS'[y < 0]}, {abs(x):.6f}° {'EW'[x < 0]}",
    "with height": lambda y, x: f"{y:.6f}, {x:.6f}, 0",
    "Python, old": lambda y, x: f"{{u'latitude': u'{y:.6f}', u'longitude': u'{x:.6f}', u'needs_recoding': False}}",
    "Python": lambda y, x: f"{{'lng': {x:.6f}, 'lat': {y:.6f}}}",
}


@given(degrees, st.sampled_from(sorted(FORMS)))
def test_both_coordinates_in_one_text(place, form):
    y, x = place
    assert parse_point(FORMS[form](y, x)) == pytest.approx((x, y), abs=1e-6)


@pytest.mark.parametrize(
    "text", ["", "1700 EXAMPLE ST", "POINT EMPTY", "(37.8)", "{}", '{"coordinates": []}', "{broken", "12 MAIN ST 94704"]
)
def test_texts_without_a_place(text):
    assert parse_point(text) == NOWHERE


def test_a_first_number_beyond_90_is_the_longitude():
    assert parse_point("[-122.27, 37.87]") == (-122.27, 37.87)


@given(st.text(max_size=40))
def test_any_text_is_a_place_or_none(text):
    x, y = parse_point(text)
    assert np.isnan(x) == np.isnan(y)


def taken_in(tmp_path, header, rows, **source):
    bronze = tmp_path / "data/town/bronze"
    bronze.mkdir(parents=True, exist_ok=True)
    hours = pd.date_range("2024-03-01 08:00", periods=len(rows), freq="7h")
    lines = [f"{hour:%Y-%m-%d %H:%M},T,{row}" for hour, row in zip(hours, rows, strict=True)]
    (bronze / "a.csv").write_text("\n".join([f"when,type,{header}", *lines]) + "\n", encoding="utf-8")
    columns = {"occurred": ["when"], "offence": ["type"]} | source.pop("columns", {})
    values = {"columns": columns, "time_zone": "America/Los_Angeles", "other": "any", **source}
    return ingest(parse({"city": "town", "root": str(tmp_path), "source": values}, "test"), now=NOW)


def around(n=30):
    return [(37.80 + i * 1e-3, -122.27 - i * 1e-3) for i in range(n)]


def test_one_column_for_the_place(tmp_path):
    rows = [f'"12 ELM ST\nOakland, CA\n({y:.6f}, {x:.6f})"' for y, x in around()]
    events = taken_in(tmp_path, "where", rows, columns={"location": ["where"]})
    assert events.frame[["latitude", "longitude"]].to_numpy() == pytest.approx(np.array(around()), abs=1e-6)
    same = taken_in(tmp_path, "where", rows, columns={"latitude": ["where"], "longitude": ["where"]})
    pd.testing.assert_frame_equal(same.frame.drop(columns="event_id"), events.frame.drop(columns="event_id"))


def test_a_column_for_the_place_in_a_projected_system(tmp_path):
    rows = [f"POINT ({564_000 + i} {4_184_000 + i})" for i in range(30)]
    events = taken_in(tmp_path, "where", rows, columns={"location": ["where"]}, crs="EPSG:32610")
    assert events.frame["latitude"].iloc[0] == pytest.approx(37.80, abs=0.01)
    assert events.frame["longitude"].iloc[0] == pytest.approx(-122.27, abs=0.01)


BOTH = {"latitude": ["lat"], "longitude": ["lon"]}


def test_longitudes_up_to_360(tmp_path):
    events = taken_in(tmp_path, "lat,lon", [f"{y},{x + 360:.6f}" for y, x in around()], columns=BOTH)
    assert events.frame["longitude"].tolist() == pytest.approx([x for _, x in around()])
    assert events.meta["corrected"] == {"longitude above 180": 30}


def test_marks_of_degrees_and_thousands(tmp_path):
    rows = [f"{y:.6f}° N,{-x:.6f}° W" for y, x in around()]
    events = taken_in(tmp_path, "lat,lon", rows, columns=BOTH)
    assert events.frame["longitude"].tolist() == pytest.approx([x for _, x in around()])
    rows = ['"37°48\'00"" N","122°16\'12"" W"'] * 9
    events = taken_in(tmp_path, "lat,lon", rows, columns=BOTH)
    assert events.frame["latitude"].tolist() == pytest.approx([37.8] * 9)
    feet = [f'"{4_184_000 + i:,}","{564_000 + i:,}"' for i in range(30)]
    events = taken_in(tmp_path, "lat,lon", feet, columns=BOTH, crs="EPSG:32610")
    assert events.frame["latitude"].iloc[0] == pytest.approx(37.80, abs=0.01)


def test_a_place_far_from_all_others_is_refused(tmp_path):
    rows = [f"{y},{x}" for y, x in around(60)]
    rows[3], rows[4] = "37.8,122.27", "0,-122.27"  # in China, and in the ocean
    events = taken_in(tmp_path, "lat,lon", rows, columns=BOTH)
    assert events.meta["rejected"] == {"far from all other places": 2}


def test_a_lost_sign_is_told_where_bounds_are_given(tmp_path):
    rows = [f"{y},{-x}" for y, x in around()]
    with pytest.raises(DataError, match="only with another sign"):
        taken_in(tmp_path, "lat,lon", rows, columns=BOTH, bounds=(-123, 37, -122, 38))


def test_a_time_zone_without_a_city_stops(tmp_path):
    with pytest.raises(DataError, match="where the time zone is America/Los_Angeles and not UTC"):
        taken_in(tmp_path, "lat,lon", [f"{y},{x}" for y, x in around()], columns=BOTH, time_zone="UTC")


@pytest.mark.parametrize(
    ("columns", "values", "message"),
    [
        ({"latitude": ["lon"], "longitude": ["lat"]}, lambda y, x: (y, x), "latitude and longitude exchanged"),
        (BOTH, lambda y, x: (y, -x), "the other sign of the longitude"),
        (BOTH, lambda y, x: (-y, x), "the other sign of the latitude"),
        (BOTH, lambda y, x: (y, x + 60), "where the time zone is .* and not America/Los_Angeles"),
        (BOTH, lambda y, x: (4_184_000 + y, 564_000 + x), "is no latitude and longitude in degrees. Set source.crs"),
    ],
)
def test_places_that_cannot_be_of_the_time_zone_stop(tmp_path, columns, values, message):
    rows = ["{},{}".format(*values(y, x)) for y, x in around()]
    with pytest.raises(DataError, match=message):
        taken_in(tmp_path, "lat,lon", rows, columns=columns, time_zone="America/Los_Angeles")


def test_degrees_where_a_projected_system_is_named_stop(tmp_path):
    rows = [f"{y},{x}" for y, x in around()]
    with pytest.raises(DataError, match=r"is in degrees, but source\.crs says EPSG:32610"):
        taken_in(tmp_path, "lat,lon", rows, columns=BOTH, crs="EPSG:32610", bounds=(-123, 37, -122, 38))


def test_another_zone_of_the_projection_stops_or_is_said(tmp_path):
    rows = [f"{5_458_200 + i},{490_200 + i}" for i in range(30)]  # Vancouver, in zone 10
    where = {"columns": BOTH, "time_zone": "America/Vancouver"}
    assert taken_in(tmp_path, "lat,lon", rows, crs="EPSG:32610", **where).meta["doubts"] == []
    with pytest.raises(DataError, match=r"They would be in America/Vancouver with source\.crs EPSG:32610"):
        taken_in(tmp_path, "lat,lon", rows, crs="EPSG:32609", **where)
    inland = taken_in(tmp_path, "lat,lon", rows, crs="EPSG:32611", **where)
    assert "434 km from the city that names the time zone America/Vancouver" in inland.meta["doubts"][0]
    confirmed = taken_in(tmp_path, "lat,lon", rows, crs="EPSG:32611", bounds=(-118, 49, -117, 50), **where)
    assert confirmed.meta["doubts"] == []


def test_bounds_across_the_180th_meridian(tmp_path):
    rows = [f"-16.8,{(179.9 + i / 100 + 180) % 360 - 180:.6f}" for i in range(30)] + ["-16.8,170"]
    events = taken_in(tmp_path, "lat,lon", rows, columns=BOTH, time_zone="Pacific/Fiji", bounds=(179, -18, -179, -16))
    assert len(events) == 30
    assert events.meta["rejected"] == {"outside the bounds": 1}
    with pytest.raises(ConfigError, match="is not west, south, east, north"):
        resolve(Source(preset="denver", bounds=(39.5, -85, -10, 40)))


@given(st.lists(degrees, min_size=1, max_size=20))
def test_places_as_one_number(places):
    latitude, longitude = np.transpose(places)
    assert np.transpose(unpack_places(pack_places(latitude, longitude))) == pytest.approx(np.array(places), abs=1e-9)


def test_places_near_the_border_of_a_time_zone_are_said():
    there = pack_places(
        np.full(20, 32.47), np.full(20, -85.4)
    )  # Phenix City keeps the clocks of the town across the river
    findings = Findings()
    check_places(there, Source(time_zone="America/New_York"), findings)
    assert "at the border of America/New_York" in findings.doubts[0]


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(300, 2000))
def test_a_pile_is_found_by_category_and_a_busy_corner_is_none(seed, n):
    rng = np.random.default_rng(seed)
    place = pack_places(39.7 + rng.zipf(2.5, n).clip(1, 500) * 1e-3 + rng.random(n), rng.random(n) - 105)
    category = rng.integers(0, 2, n)
    assert find_default_places(place, category, 2) == []
    head_office = pack_places(np.array([39.74]), np.array([-104.99]))[0]
    place[(category == 1) & (rng.random(n) < 0.3)] = head_office
    found = find_default_places(place, category, 2)
    assert [(place.category, place.place) for place in found] == [(1, head_office)]
    assert found[0].degrees == "[39.740000, -104.990000]"


def test_several_piles_of_one_category():
    """Reports that are put at their precinct."""
    rng = np.random.default_rng(0)
    place = pack_places(39.7 + rng.random(1000), rng.random(1000) - 105)
    place[:600] = pack_places(np.array([39.1, 39.2, 39.3]), np.full(3, -104.0)).repeat(200)
    assert len(find_default_places(place, np.zeros(1000, int), 1)) == 3


def with_a_pile():
    rows = [f"{y:.6f},{x:.6f}" for y, x in around(60)]
    return [*rows, *["37.810000,-122.250000"] * 30]


def test_a_pile_is_said_and_left_out_when_asked(tmp_path):
    events = taken_in(tmp_path, "lat,lon", with_a_pile(), columns=BOTH, bounds=(-123, 37, -122, 38))
    assert events.meta["doubts"] == [
        "Category any: 33% of its reports are at one coordinate, [37.810000, -122.250000], far more than at any other: "
        "it may stand for an unknown place (a head office, a centroid). source.default_places leaves such places out."
    ]
    for places in ("found", [[37.81, -122.25]]):
        left = taken_in(
            tmp_path, "lat,lon", with_a_pile(), columns=BOTH, bounds=(-123, 37, -122, 38), default_places=places
        )
        assert len(left) == 60
        assert left.meta["left_out"] == {"at a default place": 30}
        assert left.meta["doubts"] == []
