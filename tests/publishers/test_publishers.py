"""The formats of publishers: what each file says, and what comes of rows in its form and of real files."""

import zoneinfo
from dataclasses import dataclass, field
from pathlib import Path

import holidays
import pandas as pd
import pytest
from pydantic import ValidationError

from stforecast.config import PACKAGED, load, parse, presets
from stforecast.config.presets import preset_of_city
from stforecast.config.sections import PRESETS, Source
from stforecast.errors import ConfigError
from stforecast.events.ingest import ingest
from stforecast.events.sources import resolve
from stforecast.publishers import Publisher, publisher

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "../shared/data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the folder shared/data beside the repository is absent")
FORMATS = [preset for preset in PRESETS if publisher(preset).has_format]
NOW = pd.Timestamp("2026-11-01", tz="UTC")


@dataclass
class Expected:
    """The events (UTC and category) of a sample, and how many of its other rows are what."""

    events: list[str]
    rejected: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    merged: int = 0


SAMPLES = {
    "atlanta.csv": Expected(
        [
            "2024-01-10 14:30 property",
            "2024-01-11 03:50 person",
            "2024-01-12 03:00 vehicle",
        ],
        rejected={"no coordinates": 1},
        left_out={"not in a category": 1},
    ),
    "baltimore-older.csv": Expected(
        [
            "2016-05-07 02:30 person",
            "2016-05-07 18:00 vehicle",
        ],
        rejected={"no coordinates": 1},
    ),
    "baltimore.csv": Expected(
        [
            "2022-05-07 02:30 person",
            "2022-05-07 12:00 vehicle",
            "2022-05-08 17:00 property",
        ],
        rejected={"no coordinates": 1},
        merged=1,
    ),
    "boston-groups.csv": Expected(
        [
            "2017-08-02 17:00 property",
            "2017-08-03 17:00 vehicle",
            "2017-08-04 17:00 vehicle",
            "2017-08-05 17:00 person",
            "2017-08-06 17:00 property",
        ],
        left_out={"not in a category": 1},
    ),
    "boston.csv": Expected(
        [
            "2023-01-05 18:00 property",
            "2023-01-06 05:00 person",
            "2023-01-07 13:00 vehicle",
        ],
        rejected={"no coordinates": 2},
        left_out={"not in a category": 1},
    ),
    "buenos_aires-2019.csv": Expected(
        [
            "2019-05-05 01:00 person",
            "2019-05-05 11:00 property",
        ],
    ),
    "buenos_aires.csv": Expected(
        [
            "2021-05-05 01:00 person",
            "2021-05-05 03:00 vehicle",
            "2021-05-05 16:00 property",
        ],
        rejected={"no time": 1, "no coordinates": 1},
        left_out={"not in a category": 1},
    ),
    "chicago-api.csv": Expected(
        [
            "2023-03-12 05:30 property",
            "2023-03-12 14:00 person",
        ],
    ),
    "chicago.csv": Expected(
        [
            "2023-03-12 05:30 property",
            "2023-03-12 08:30 person",
            "2023-03-12 14:00 vehicle",
        ],
        rejected={"no coordinates": 1},
        left_out={"not in a category": 1},
    ),
    "denver-service.csv": Expected(
        [
            "2024-01-05 21:30 property",
            "2024-01-06 21:30 person",
            "2024-01-07 21:30 vehicle",
        ],
    ),
    "denver.csv": Expected(
        [
            "2023-06-02 04:00 vehicle",
            "2023-06-03 07:15 person",
            "2023-06-04 18:00 disorder",
        ],
        rejected={"no coordinates": 1},
        left_out={"not in a category": 1},
        merged=1,
    ),
    "los_angeles-nibrs.csv": Expected(
        [
            "2026-02-05 22:30 vehicle",
            "2026-02-06 08:05 person",
            "2026-02-08 07:45 property",
        ],
        left_out={"not in a category": 1},
        merged=1,
    ),
    "los_angeles.csv": Expected(
        [
            "2020-10-16 03:30 vehicle",
            "2020-10-16 07:05 person",
            "2020-10-17 07:01 vehicle",
        ],
        rejected={"no coordinates": 1},
        left_out={"not in a category": 1},
    ),
    "mexico_city-before_2024.csv": Expected(
        [
            "2019-05-04 02:30 property",
            "2019-05-05 12:00 person",
        ],
    ),
    "mexico_city-csv.csv": Expected(
        [
            "2024-05-04 03:30 person",
            "2024-05-05 15:00 vehicle",
        ],
        rejected={"no coordinates": 1},
    ),
    "mexico_city.json": Expected(
        [
            "2023-05-03 03:30 person",
            "2023-05-03 14:10 property",
            "2023-05-04 18:00 vehicle",
        ],
        rejected={"no time": 1},
        left_out={"not in a category": 1},
    ),
    "milwaukee.csv": Expected(
        [
            "2023-01-06 04:30 person",
            "2023-01-06 14:15 vehicle",
            "2023-01-07 20:00 property",
        ],
        rejected={"no coordinates": 1},
        left_out={"not in a category": 1},
    ),
    "new_york-seven_felonies.csv": Expected(
        [
            "2014-05-03 03:30 person",
            "2014-05-03 18:00 property",
        ],
    ),
    "new_york.csv": Expected(
        [
            "2023-05-03 03:30 property",
            "2023-05-03 18:00 person",
            "2023-05-04 12:15 vehicle",
        ],
        rejected={"no time": 1, "before 1990": 1},
        left_out={"not in a category": 1},
    ),
    "oakland-portal.csv": Expected(
        [
            "2024-05-02 04:45 person",
            "2024-05-02 15:00 vehicle",
        ],
    ),
    "oakland.geojson": Expected(
        [
            "2010-04-06 05:15 person",
            "2010-04-06 07:00 vehicle",
            "2010-04-07 16:30 property",
        ],
        rejected={"no coordinates": 1},
        left_out={"not in a category": 1},
        merged=1,
    ),
    "philadelphia.csv": Expected(
        [
            "2024-03-22 01:30 vehicle",
            "2024-03-22 14:05 person",
            "2024-03-23 04:10 property",
        ],
        rejected={"no coordinates": 1},
        left_out={"not in a category": 1},
    ),
    "san_francisco-before_2018.csv": Expected(
        [
            "2015-01-19 22:00 vehicle",
            "2015-01-21 07:45 person",
        ],
        rejected={"outside the bounds": 1},
        left_out={"not in a category": 1},
    ),
    "san_francisco.csv": Expected(
        [
            "2023-03-14 06:41 vehicle",
            "2023-03-14 09:00 person",
            "2023-03-15 20:00 property",
        ],
        rejected={"no coordinates": 1},
        left_out={"not in a category": 1},
        merged=1,
    ),
    "seattle-before_2025.csv": Expected(
        [
            "2021-06-04 03:00 property",
            "2021-06-05 17:15 property",
        ],
        rejected={"no coordinates": 1},
        left_out={"not in a category": 1},
    ),
    "seattle.csv": Expected(
        [
            "2025-05-02 06:30 vehicle",
            "2025-05-02 16:30 person",
        ],
        rejected={"no coordinates": 1, "unreadable coordinates": 1},
        left_out={"not in a category": 1},
    ),
    "st_louis-2011.csv": Expected(
        [
            "2011-03-02 20:30 vehicle",
            "2011-03-03 05:05 person",
            "2011-03-05 07:10 person",
        ],
    ),
    "st_louis.csv": Expected(
        [
            "2017-07-02 03:00 person",
            "2017-07-02 14:30 vehicle",
        ],
        rejected={"no coordinates": 1},
        left_out={"withdrawal": 1, "not in a category": 1, "withdrawn report": 1},
    ),
    "toronto-portal.csv": Expected(
        [
            "2023-07-02 03:00 person",
            "2023-07-02 10:00 property",
        ],
        rejected={"no coordinates": 1},
        merged=1,
    ),
    "toronto.csv": Expected(
        [
            "2019-01-20 05:00 vehicle",
            "2019-01-20 18:00 person",
            "2019-01-21 09:00 property",
            "2019-01-23 03:00 property",
        ],
        rejected={"no coordinates": 1, "before 1990": 1},
    ),
    "vancouver.csv": Expected(
        [
            "2016-05-04 05:05 vehicle",
            "2016-05-04 07:00 property",
            "2016-05-04 11:30 property",
        ],
        rejected={"unreadable time": 1, "no coordinates": 1},
        left_out={"not in a category": 2},
    ),
    "washington_dc.csv": Expected(
        [
            "2024-02-12 18:19 property",
            "2024-02-14 02:55 person",
            "2024-02-15 01:00 vehicle",
        ],
        rejected={"no time": 1},
    ),
}


def preset_of(sample: str) -> str:
    return sample.partition(".")[0].partition("-")[0]


def taken_in(tmp_path, preset, paths, **source):
    config = parse({"city": "x", "root": str(tmp_path), "source": {"preset": preset, **source}}, "test")
    return ingest(config, paths, now=NOW)


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_sample_gives_the_events_that_it_should(tmp_path, sample):
    expected = SAMPLES[sample]
    out = taken_in(tmp_path, preset_of(sample), [HERE / sample], max_rejects=1)
    times = out.frame["occurred_at"].dt.strftime("%Y-%m-%d %H:%M ")
    assert (times + out.frame["category"].astype(str)).tolist() == expected.events
    assert out.meta["rejected"] == expected.rejected
    assert out.meta["left_out"] == expected.left_out
    assert out.meta["merged"] == expected.merged


def test_every_publisher_has_a_sample():
    samples = {path.name for path in HERE.iterdir() if path.suffix in (".csv", ".json", ".geojson")}
    assert samples == set(SAMPLES)
    assert {preset_of(sample) for sample in samples} == set(FORMATS)


@pytest.mark.parametrize("preset", PRESETS)
def test_what_a_file_says_holds_together(preset):
    known = publisher(preset)
    if known.has_format:
        assert resolve(Source(preset=preset)).bounds, "an event outside the city is refused"
    zoneinfo.ZoneInfo(known.source.time_zone)
    assert known.source.path is None
    assert holidays.country_holidays(known.country, subdiv=known.subdivision, years=2024)
    assert publisher(preset) is known, "read once"
    if (PACKAGED / f"{preset}.yaml").is_file():
        assert load(preset).source.preset == preset


def test_the_readme_names_every_publisher():
    text = (HERE.parents[1] / "README.md").read_text(encoding="utf-8")
    paragraph = next(line for line in text.splitlines() if "`source.preset`" in line)
    listed, _, documented = paragraph.partition("in `stforecast/publishers/`.")
    for preset in FORMATS:
        name = publisher(preset).title.partition(",")[0].removesuffix(" City" if preset == "new_york" else "")
        assert name in listed
        assert (name in documented) == (publisher(preset).verified == "documentation only")


def test_a_file_says_no_more_and_no_less_than_the_model(tmp_path):
    values = publisher("denver").model_dump()
    with pytest.raises(ValidationError, match="Extra inputs"):
        Publisher.model_validate(values | {"colour": "blue"})
    with pytest.raises(ValidationError, match="quirks: not given, though the format is known"):
        Publisher.model_validate({name: value for name, value in values.items() if name != "quirks"})
    with pytest.raises(ValidationError, match="no more than the address is known"):
        Publisher.model_validate(values | {"verified": "address only"})
    assert all(about.description for about in Publisher.model_fields.values())


def test_the_tables_of_the_catalogue_are_apart():
    """Those of which every file, layer and data set is fetched into a folder of its own."""
    names = [
        table.model_copy(update={"url": url}).name
        for preset in PRESETS
        for table in publisher(preset).source.tables
        for url in table.urls
    ]
    assert len(names) > 250
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("typed", "preset"),
    [
        ("seattle", "seattle"),
        ("  New York ", "new_york"),
        ("New York City", "new_york"),
        ("St. Louis", "st_louis"),
        ("saint paul", "st_paul"),
        ("Washington D.C.", "washington_dc"),
        ("Portland, OR", "portland"),
        ("PORTLAND oregon", "portland"),
        ("Ciudad de Mexico", "Did you mean|neither a file nor a city"),
        ("seatle", "Did you mean seattle"),
        ("marin", "Did you mean marin_county"),
        ("portland, maine", "Did you mean portland"),
    ],
)
def test_a_city_is_known_by_the_name_that_people_type(typed, preset):
    if preset in PRESETS:
        assert preset_of_city(typed) == preset
    else:
        with pytest.raises(ConfigError, match=preset):
            preset_of_city(typed)


def test_cities_of_one_name_are_told_apart_by_their_states(monkeypatch):
    values = {"a": {"title": "Springfield, Illinois"}, "b": {"title": "Springfield, Ohio", "subdivision": "OH"}}
    monkeypatch.setattr(presets, "PRESETS", ("a", "b"))
    monkeypatch.setattr(presets, "preset_values", values.__getitem__)
    presets._names.cache_clear()
    with pytest.raises(ConfigError, match="'Springfield, Illinois' or 'Springfield, Ohio'"):
        preset_of_city("springfield")
    assert preset_of_city("springfield oh") == "b"
    presets._names.cache_clear()


@needs_data
@pytest.mark.parametrize(
    ("preset", "files", "rows", "events", "rejected", "source"),
    [
        ("vancouver", "vancouver/*.csv.gz", 429_897, 364_638, {}, {}),
        (
            *("toronto", "toronto/*.csv.gz", 240_992, 239_456, {"before 1990": 21, "id in a later file too": 479}),
            {"first_day": "2014-01-01"},
        ),
        (
            *("oakland", "oakland/*.tar.gz", 309_013, 141_004, {"no coordinates": 12_477, "outside the bounds": 7}),
            {"first_day": "2007-01-01", "last_day": "2012-11-30"},
        ),
        ("mexico_city", "mexico_city/*.tar.xz", 1_302_640, 587_202, {"no time": 44}, {}),
    ],
)
def test_real_files(tmp_path, preset, files, rows, events, rejected, source):
    """Nothing is refused for a reason that is not known, and by local time the night is quieter than the day."""
    out = taken_in(tmp_path, preset, sorted((DATA / "cities").glob(files)), **source)
    assert out.meta["rows_read"] == rows
    assert len(out) == events
    assert out.meta["rejected"] == rejected
    assert rows == events + sum(rejected.values()) + out.meta["merged"] + sum(out.meta["left_out"].values())
    assert out.meta["patterns_without_offences"] == {}
    hours = out.frame["occurred_at"].dt.tz_convert(out.meta["time_zone"]).dt.hour.value_counts(normalize=True)
    assert hours.reindex([3, 4, 5]).sum() < 0.1
    assert hours.reindex([16, 17, 18]).sum() > 0.12
