"""The analysis of a record: statistics against planted truths and other libraries, and the pages that they end on."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import rgb_to_hsv, to_rgb
from report_pages import check_page
from scipy.stats import norm

from stforecast import config
from stforecast.config.sections import Unit
from stforecast.cube import Cube
from stforecast.cube.build import build
from stforecast.cube.hexgrid import cells_of, edges
from stforecast.cube.steps import Step, step_of
from stforecast.cube.store import save_cube
from stforecast.events.schema import EventTable, save_rejects
from stforecast.pipeline.pages import analyse
from stforecast.pipeline.stages import Stages
from stforecast.reports import districts, drift, hotspots, quality, repeats, rhythm, trends
from stforecast.reports.local import Local
from stforecast.reports.page import Table, Text
from stforecast.sealed import seal

NORTH, WEST = 39.74, -104.99


# a record to analyse


def never(size: int) -> pd.Series:
    """A column of times that are not known."""
    return pd.to_datetime(pd.Series([None] * size), utc=True).astype("datetime64[us, UTC]")


def events_of(
    days: int = 220, a_day: float = 30.0, seed: int = 0, district: bool = True, arrest: bool = True
) -> EventTable:
    """A city without structure but for a busy quarter, busier weekends of violence, and late reports."""
    rng = np.random.default_rng(seed)
    weekend = pd.date_range("2022-01-01", periods=days).weekday >= 5
    rate = np.stack([np.full(days, a_day), np.where(weekend, 2.0, 1.0) * a_day / 2], 1)
    count = rng.poisson(rate)
    day = np.repeat(np.arange(days), count.sum(1))
    category = np.concatenate([np.repeat(["theft", "violence"], n) for n in count])
    size = len(day)
    busy = rng.random(size) < 0.4
    offset = np.where(busy[:, None], rng.normal(0.01, 0.004, (size, 2)), rng.uniform(-0.03, 0.03, (size, 2)))
    time = pd.Timestamp("2022-01-01 07:00", tz="UTC") + pd.to_timedelta(day * 24 + rng.integers(0, 24, size), unit="h")
    time = pd.Series(time + pd.to_timedelta(rng.integers(0, 60, size), unit="min")).astype("datetime64[us, UTC]")
    order = np.argsort(time.to_numpy(), kind="stable")
    text = lambda values: pd.Series(values, dtype="str")  # noqa: E731
    place = np.where(offset[:, 0] > 0, "north", "south")
    frame = pd.DataFrame(
        {
            "event_id": text([str(i) for i in range(size)]),
            "incident_id": text([None] * size),
            "occurred_at": time,
            "occurred_until": never(size),
            "reported_at": (time + pd.to_timedelta(rng.geometric(1 / 10, size), unit="h")).astype(
                "datetime64[us, UTC]"
            ),
            "latitude": NORTH + offset[:, 0],
            "longitude": WEST + offset[:, 1],
            "area": text([None] * size),
            "offence": text(category),
            "category": text(category),
            "district": text(np.where(district, place, None)),
            "arrest": pd.array(rng.random(size) < 0.2 if arrest else [None] * size, dtype="boolean"),
        }
    )
    frame = frame.iloc[order].reset_index(drop=True)
    seconds = frame["occurred_at"].dt.minute.to_numpy()
    meta = {
        "schema": 3, "city": "testville", "categories": ["theft", "violence"], "events": size, "rows_read": size,
        "merged": 0,
        "stamp": "s", "due": 2**62, "rejected": {}, "left_out": {}, "corrected": {}, "at_midnight": 0.0, "at_noon": 0.0,
        "on_the_hour": float((seconds == 0).mean()), "sources": [{"file": "x.csv"}],
        "offences": [{"offence": "theft", "category": "theft", "rows": size}],
        "time_zone": "America/Denver",
    }  # fmt: skip
    return EventTable(frame, meta)


def settings(root: Path | str = ".", **sections: Any) -> config.Config:
    values: dict[str, Any] = {
        "city": "testville",
        "root": str(root),
        "source": {
            "time_zone": "America/Denver",
            "columns": {"occurred": ["t"], "latitude": ["y"], "longitude": ["x"], "offence": ["o"]},
            "categories": {"theft": ["theft"], "violence": ["violence"]},
        },
        "grid": {"min_events": 1, "country": None},
    }
    return config.parse(values | sections, "test")


def dated(events: EventTable, unit: Unit) -> EventTable:
    """The events of a publisher that gives days or months: each occurred when its local one began."""
    step = step_of(unit, "America/Denver")
    zero = pd.Timestamp("2022-01-01", tz="America/Denver").tz_convert("UTC")
    begin = step.times(zero, step.since(zero, events.frame["occurred_at"]))
    frame = events.frame.assign(occurred_at=pd.Series(begin).astype("datetime64[us, UTC]"))
    return EventTable(frame, events.meta | {"precision": unit})


def local_of(events: EventTable, **sections: Any) -> tuple[Local, Cube]:
    cube = build(events, settings(**sections))
    return Local.of(cube, events, 0), cube


@pytest.fixture(scope="module")
def local() -> Local:
    return local_of(events_of())[0]


def written(root: Path, events: EventTable, **sections: Any) -> Path:
    """The page on a record whose silver and gold are there."""
    stages = Stages(settings(root, **sections), lambda line: None)
    place = stages.place
    save_rejects(place.silver / "rejects.parquet", pd.DataFrame(columns=["file", "line", "reason", "value"]))
    events.frame.to_parquet(place.silver / "events.parquet", index=False)
    seal(place.silver / "ingest.json", events.meta)
    save_cube(build(events, stages.config), place.gold, stages.gold_stamp(events))
    return analyse(stages)


# pages


def test_the_page_describes_every_figure_and_brings_its_tables(tmp_path: Path) -> None:
    path = written(tmp_path, events_of())
    check_page(path)
    assert path == tmp_path / "data" / "testville" / "analysis" / "analysis.html"
    tables = {found.stem for found in path.parent.glob("*.csv")}
    assert {"weekend_volume", "hot_spots", "near_repeats", "drift", "times_of_day", "arrests"} <= tables
    volume = pd.read_csv(path.parent / "weekend_volume.csv").set_index("category")
    assert volume.loc["violence"].iloc[0] == pytest.approx(2.0, rel=0.15)
    assert volume.loc["violence", "p"] < 0.001
    assert "There is no finished run of this configuration" in path.read_text()


def test_columns_that_a_publisher_does_not_give_are_said_to_be_absent(tmp_path: Path) -> None:
    events = events_of(days=100, a_day=12, district=False, arrest=False)
    silent = EventTable(events.frame.assign(reported_at=never(len(events))), events.meta)
    path = written(tmp_path, silent)
    text = path.read_text()
    check_page(path)
    for said in (
        "names no districts",
        "does not say when reports were made",
        "To tell trend from season takes 24 whole months",
    ):
        assert said in text
    (arrests,) = districts.blocks(local_of(events_of(days=60, arrest=False))[0], 5)[1:2]
    assert "does not say whether an arrest was made" in arrests.words  # type: ignore[union-attr]


@pytest.mark.parametrize("unit", ["day", "month"])
def test_what_a_publisher_of_days_or_months_cannot_tell_is_left_out_in_words(tmp_path: Path, unit: Unit) -> None:
    events = dated(events_of(days={"day": 240, "month": 1096}[unit], a_day={"day": 30, "month": 8}[unit]), unit)
    path = written(tmp_path, events, time={"step": unit})
    check_page(path)
    text, tables = path.read_text(), {found.stem for found in path.parent.glob("*.csv")}
    assert f"The publisher gives the {unit} of an event and no time of day." in text
    assert f"The publisher gives the {unit} of an event and no more: what differs by hour" in text
    assert not tables & {"times", "times_of_day"}
    assert "mix of hours" not in text
    assert {"trends", "hot_spots", "emerging", "drift"} <= tables
    daily = {"weekend_volume", "near_repeats", "lag"}
    assert daily & tables == (daily if unit == "day" else set())
    assert ("no day: near repeats cannot be told" in text) == (unit == "month")
    periods = {"day": "28 days", "month": "3 months"}[unit]
    assert f" periods of {periods}, all reports" in text
    last = {"day": "4 weeks", "month": "3 months"}[unit]
    assert f"The last {last} are compared with every {last} of the training slice" in text
    if unit == "month":
        months = pd.read_csv(path.parent / "trends_months.csv")
        assert len(months) == 36
        assert months["all"].between(250, 550).all()


def test_how_late_reports_of_days_are_is_told_in_whole_days() -> None:
    events = dated(events_of(days=120), "day")
    zone = "America/Denver"
    occurred, reported = (events.frame[name].dt.tz_convert(zone) for name in ("occurred_at", "reported_at"))
    at_once = (occurred + pd.Timedelta(hours=22)).dt.tz_convert("UTC")
    mixed = at_once.where(events.frame.index % 2 == 0, reported.dt.tz_convert("UTC"))
    soon = EventTable(events.frame.assign(reported_at=mixed), events.meta)
    hours, share = quality.lag_curves(soon)["all"]
    assert hours[:3].tolist() == [24, 48, 72]
    assert share[0] >= 0.5
    settled = occurred < reported.max() - pd.Timedelta(days=quality.SETTLED_DAYS)
    delay = (soon.frame["reported_at"] - soon.frame["occurred_at"])[settled] // pd.Timedelta(days=1)
    assert share[0] == pytest.approx((delay <= 1).mean())


# near repeats


def scattered(count: int, seed: int, share: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A Poisson city of 3 km and a year; of a share of the events another follows within 100 m and the next day."""
    rng = np.random.default_rng(seed)
    place, day = rng.uniform(0, 3000, (count, 2)), rng.integers(0, 365, count)
    again = rng.random(count) < share
    near = place[again] + rng.uniform(-70, 70, (int(again.sum()), 2))
    return np.concatenate([place, near]), np.concatenate([day, day[again] + rng.integers(0, 2, int(again.sum()))])


def test_knox_counts_pairs_as_a_table_of_all_pairs_does() -> None:
    place, day = scattered(120, 0, 0.5)
    found = repeats.knox(place, day, draws=3)
    gap = np.abs(day[:, None] - day)
    far = np.hypot(*(place[:, None] - place).transpose(2, 0, 1))
    upper = np.triu(np.ones_like(gap, bool), 1)
    for i, (near, to) in enumerate(zip((-1.0, *repeats.METRES), repeats.METRES, strict=False)):
        for j, (since, until) in enumerate(zip((0, *repeats.DAYS), repeats.DAYS, strict=False)):
            expected = (upper & (far > near) & (far <= to) & (gap >= since) & (gap < until)).sum()
            assert found.observed[i, j] == expected


def test_knox_finds_planted_repeats_where_they_are() -> None:
    found = repeats.knox(*scattered(700, 1, 0.15), draws=199)
    assert found.ratio[1, 0] > 2
    assert found.p[1, 0] == 1 / 200
    assert 0.8 < found.ratio[3:, 2:].mean() < 1.2


def test_knox_finds_nothing_in_a_city_without_repeats() -> None:
    p = np.stack([repeats.knox(*scattered(400, seed), draws=99, seed=seed).p[1:] for seed in range(12)])
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.035)


def test_a_cell_of_which_next_to_nothing_is_expected_is_not_the_darkest() -> None:
    observed, expected = np.array([[0, 0, 3]]), np.array([[0.1, 6.0, 0.1]])
    found = repeats.Knox(observed, expected, np.ones((1, 3)))
    assert found.told.tolist() == [[False, True, True]]
    shape = (len(repeats.METRES), len(repeats.DAYS))
    nothing = repeats.Knox(np.zeros(shape, int), np.full(shape, 0.01), np.ones(shape))
    picture = repeats._picture({"theft": nothing}, {"theft": np.zeros(shape, bool)})
    axes = picture.figure.axes[0]
    assert np.abs(axes.images[0].get_array()).max() == 0
    assert {text.get_text() for text in axes.texts} == {"–"}


# hot spots


def test_blue_is_the_colour_of_cold_spots_alone() -> None:
    def is_blue(colour: str) -> bool:
        hue, saturation, _ = rgb_to_hsv(to_rgb(colour))
        return 0.5 < hue < 0.75 and saturation > 0.2

    assert is_blue(hotspots.COLD)
    assert not any(map(is_blue, (hotspots.HOT, *hotspots.PALETTE)))


def disc(rings: int = 8) -> np.ndarray:
    """The graph of a disc of hexagons."""
    import h3.api.basic_int as h3

    cell = int(cells_of(np.array([NORTH]), np.array([WEST]), 8)[0])
    return edges(np.array(sorted(h3.grid_disk(cell, rings)), np.int64))


def test_gi_star_is_the_formula_of_getis_and_ord() -> None:
    graph, rng = disc(6), np.random.default_rng(0)
    n = int(graph.max()) + 1
    x = rng.normal(10, 1, n)
    w = np.eye(n)
    w[graph[0], graph[1]] = 1
    size = w.sum(1)
    z = (w @ x - x.mean() * size) / (x.std() * np.sqrt((n * size - size**2) / (n - 1)))
    found = hotspots.gi_star(x[None], graph)
    assert found.z[0] == pytest.approx(z)
    inner = size == 7  # permutation and normal p agree where values are normal
    assert found.p[0][inner] == pytest.approx(2 * norm.sf(np.abs(z[inner])), abs=0.03)


def test_gi_star_controls_false_discoveries_on_noise() -> None:
    graph = disc()
    n, rng = int(graph.max()) + 1, np.random.default_rng(1)
    any_false = [bool(hotspots.gi_star(rng.poisson(0.4, (1, n)).astype(float), graph, i).sign.any()) for i in range(60)]
    assert np.mean(any_false) <= 0.05 + 0.07  # with no true spot the rate of any is the false discovery rate


def test_gi_star_finds_a_planted_spot_and_leaves_hexagons_alone_untested() -> None:
    graph, rng = disc(), np.random.default_rng(2)
    n = int(graph.max()) + 1
    centre = int(np.bincount(graph[0]).argmax())
    spot = np.append(graph[1][graph[0] == centre], centre)
    rate = np.full(n + 1, 2.0)
    rate[spot] = 12
    found = hotspots.gi_star(rng.poisson(rate)[None].astype(float), graph)  # one hexagon more, without neighbours
    assert (found.sign[0][spot] == 1).all()
    assert found.p[0, n] == 1
    assert found.z[0, n] == 0


def series(*hot: int) -> np.ndarray:
    return np.array(hot)[:, None]


@pytest.mark.parametrize(
    ("signs", "z", "expected"),
    [
        ([0] * 9 + [1], None, "new"),
        ([0] * 7 + [1] * 3, None, "consecutive"),
        ([1] * 10, list(range(10)), "intensifying"),
        ([1] * 10, [3, 5, 2, 4, 3, 5, 2, 4, 3, 4], "persistent"),
        ([1] * 10, list(range(10, 0, -1)), "diminishing"),
        ([0, 1, 0, 1, 0, 0, 1, 0, 0, 1], None, "sporadic"),
        ([0, -1, 0, 1, 0, 0, 1, 0, 0, 1], None, "oscillating"),
        ([1] * 9 + [0], None, "historical"),
        ([0, 1, 0, 1, 0, 0, 1, 0, 0, 0], None, ""),
        ([0] * 10, None, ""),
    ],
)
def test_each_class_of_change_is_found_in_a_series_of_its_definition(
    signs: list[int], z: list[float] | None, expected: str
) -> None:
    sign = np.array(signs)[:, None]
    values = np.array(z or signs, float)[:, None]
    assert hotspots.emerging(hotspots.Spots(values, np.ones_like(values), sign)).tolist() == [expected]


def test_mann_kendall_is_the_normal_test_of_s() -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(0, 1, (40, 6)) + np.arange(40)[:, None] * np.array([0, 0.02, 0.05, -0.02, -0.05, 0])
    tau, p = hotspots.mann_kendall(x)
    n = len(x)
    for column, t, found in zip(x.T, tau, p, strict=True):
        s = sum(np.sign(column[j] - column[i]) for i in range(n) for j in range(i + 1, n))
        assert t == pytest.approx(s / (n * (n - 1) / 2))
        reference = 2 * norm.sf((abs(s) - 1) / np.sqrt(n * (n - 1) * (2 * n + 5) / 18))
        assert found == pytest.approx(reference, abs=0.01)
    assert hotspots.mann_kendall(np.ones((9, 1)))[1].tolist() == [1.0]


# weekends


def counts(factor: float, seed: int, weeks: int = 60) -> pd.Series:
    """Over-dispersed daily counts with a season, and `factor` as many on weekends."""
    rng = np.random.default_rng(seed)
    days = pd.date_range("2022-01-03", periods=7 * weeks)
    rate = 40 * np.exp(0.3 * np.sin(2 * np.pi * np.arange(len(days)) / 365)) * np.where(days.weekday >= 5, factor, 1)
    return pd.Series(rng.poisson(rate * rng.gamma(10, 0.1, len(days))), index=days)


def test_the_weekend_test_finds_the_planted_volume_and_keeps_its_level() -> None:
    found = rhythm.weekend_volume(counts(1.3, 0))
    assert found.low < 1.3 < found.high
    assert found.p < 0.001
    false = [rhythm.weekend_volume(counts(1.0, seed)).p <= 0.05 for seed in range(40)]
    assert np.mean(false) <= 0.15


def places(concentrated: bool, seed: int, volume: float = 1.0) -> rhythm.Effect:
    """Weekends with `volume` times the events, in a quarter of the hexagons or in all as on weekdays."""
    rng, days = np.random.default_rng(seed), 7 * 20
    size = rng.poisson(np.where(np.arange(days) % 7 >= 5, 40 * volume, 40))
    day = np.repeat(np.arange(days), size)
    few = np.where((day % 7 >= 5) & concentrated, 25, 100)
    return rhythm.weekend_concentration(day, rng.integers(0, few), days, rng)


def test_concentration_that_cannot_be_measured_is_no_table_of_dashes() -> None:
    blocks = rhythm.blocks(local_of(events_of(days=220, a_day=8))[0])
    names = [block.name for block in blocks if isinstance(block, Table)]
    assert "weekend_volume" in names
    assert "weekend_concentration" not in names
    said = "Left out of the comparison of concentration: all, theft, violence; concentration needs 8 weeks"
    assert any(said in block.words for block in blocks if isinstance(block, Text))


def test_concentration_on_weekends_is_found_and_is_not_a_matter_of_volume() -> None:
    assert places(True, 0).p <= 0.01
    assert places(True, 0).low > 0
    found = [places(False, seed, volume=3.0) for seed in range(5)]
    assert min(effect.p for effect in found) > 0.01
    assert np.isnan(rhythm.weekend_concentration(np.zeros(0, int), np.zeros(0, int), 70, np.random.default_rng(0)).p)


def test_gini_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(4)
    placed = rng.integers(0, 7, 30)
    x = np.pad(np.bincount(placed), (0, 30 - placed.max() - 1))
    assert rhythm.gini(placed) == pytest.approx(np.abs(x[:, None] - x).sum() / (2 * 30**2 * x.mean()))
    assert rhythm.gini(np.zeros(10, int)) == pytest.approx(0.9)
    assert rhythm.gini(np.arange(10)) == 0


# trend, districts, drift


def test_trend_and_season_are_told_apart_and_one_wild_month_is_not_followed() -> None:
    month = pd.date_range("2018-01-01", periods=60, freq="MS")
    trend = np.linspace(100, 160, 60)
    season = 1 + 0.3 * np.cos(2 * np.pi * (month.month - 7) / 12)
    rates = pd.Series(trend * season, index=month)
    rates.iloc[30] *= 3
    found = trends.decompose(rates)
    assert found is not None
    assert found["trend"].iloc[24:36].to_numpy() == pytest.approx(trend[24:36], rel=0.05)
    assert found["season"].iloc[-12:].idxmax().month == 7
    assert trends.decompose(rates.iloc[:20]) is None


def test_the_season_is_the_mean_of_its_years_and_not_the_last_alone() -> None:
    month = pd.date_range("2020-01-01", periods=36, freq="MS")
    season = np.ones(36)
    season[[6, 18, 30]] = [1.1, 1.2, 1.6]  # July
    season[[1, 13, 25]] = [0.7, 0.8, 1.0]  # February
    found = trends.figures(pd.DataFrame({"trend": np.full(36, 100.0), "season": season}, index=month))
    assert (found["highest month"], found["lowest month"]) == ("July", "February")
    assert found["season, highest (%)"] == pytest.approx(30)
    assert found["season, lowest (%)"] == pytest.approx(-100 / 6)


@pytest.mark.parametrize(("days", "said"), [(740, ", from 2 years only."), (1100, "on the trend) and ")])
def test_a_season_of_few_years_says_so(days: int, said: str) -> None:
    summary = trends.blocks(local_of(events_of(days=days, a_day=6))[0])[0].words  # type: ignore[union-attr]
    assert said in summary
    assert ("years only" in summary) == (days == 740)


def test_months_are_scaled_to_their_days_and_broken_ones_left_out(local: Local) -> None:
    months = trends.monthly(local)
    assert months.index[0] == pd.Timestamp("2022-01-01")
    assert len(months) == 7  # the eighth has only begun
    days = local.daily()["theft"]
    april = days[(days.index >= "2022-04-01") & (days.index < "2022-05-01")]
    assert months.loc["2022-04-01", "theft"] == pytest.approx(april.sum() / 30 * trends.LENGTH)


def test_severity_classes_hold_the_offences_that_they_name_first(local: Local) -> None:
    offence = local.frame["offence"].str.casefold()
    masks = local.classes({"serious": ["VIOL*"], "other": ["*"], "nothing": ["arson"]})
    assert (masks["serious"] == offence.str.startswith("viol")).all()
    assert (masks["other"] == ~masks["serious"]).all()
    assert not masks["nothing"].any()
    page = trends.severity(local, {"serious": ["VIOL*"], "nothing": ["arson"]})
    table = next(block for block in page if isinstance(block, Table) and block.name == "severity")
    assert table.frame["group"].tolist() == ["serious"]
    months = trends.monthly(local, {"serious": masks["serious"]})
    np.testing.assert_allclose(months["serious"], trends.monthly(local)["violence"])
    assert "has no severity classes" in trends.severity(local, {})[0].words
    assert "No offence of this record" in trends.severity(local, {"nothing": ["arson"]})[0].words


def test_daily_counts_are_of_local_days(local: Local) -> None:
    time = local.frame["occurred_at"].dt.tz_convert("America/Denver")
    day = pd.Timestamp("2022-03-14")
    assert local.daily().loc[day, "all"] == (time.dt.strftime("%Y-%m-%d") == "2022-03-14").sum()


def test_groups_of_districts_are_the_planted_ones() -> None:
    rng = np.random.default_rng(5)
    labels, silhouettes = districts.cluster(np.repeat(np.eye(3) * 5, 4, axis=0)[:, :3] + rng.normal(0, 0.3, (12, 3)))
    assert max(silhouettes, key=lambda k: silhouettes[k]) == 3
    assert [len(set(labels[i : i + 4])) for i in (0, 4, 8)] == [1, 1, 1]
    noise = districts.cluster(rng.normal(0, 1, (40, 12)))[1]
    assert max(noise.values()) < districts.WEAK


def test_an_unknown_district_is_none_and_is_counted() -> None:
    events = events_of(days=80)
    frame = events.frame.copy()
    frame.loc[frame.index % 4 == 0, "district"] = "U"  # in hexagons where others name theirs
    cube = build(EventTable(frame, events.meta), settings())
    local = Local.of(replace(cube, hexagons=cube.hexagons.assign(district=None)), EventTable(frame, events.meta))
    assert set(cube.hexagons["district"].dropna()) == {"north", "south"}
    assert set(local.district().dropna()) == {"north", "south"}
    count = int((local.frame["district"] == "U").sum())
    said = districts.blocks(local, 5)[0].words  # type: ignore[union-attr]
    assert said.startswith(f"2 districts; {count:,} events without a district of 5 events or more (")
    assert said.endswith("The record writes U where the district is not known.")
    placed = districts.blocks(Local.of(cube, EventTable(frame, events.meta)), 5)
    said = placed[0].words  # type: ignore[union-attr]
    assert f"{count:,} events name none and count in the district of their hexagon" in said
    tables = [block.frame for block in placed if isinstance(block, Table)]
    assert tables
    assert all("U" not in set(table["district"]) for table in tables)


def test_drift_keeps_its_level_and_finds_another_mix_and_level() -> None:
    rng = np.random.default_rng(6)
    p = [drift.mix_shift(rng.multinomial(400, [0.2] * 5, 101)).p for _ in range(200)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.04)
    other = np.vstack([rng.multinomial(400, [0.2] * 5, 100), rng.multinomial(400, [0.4, 0.3, 0.1, 0.1, 0.1])])
    assert drift.mix_shift(other).p < 0.02
    p = [drift.level_shift(rng.poisson(400, 101)).p for _ in range(200)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.04)
    assert drift.level_shift(np.append(rng.poisson(400, 100), 550)).p < 0.02


def shift(distance: float, p: float) -> drift.Shift:
    return drift.Shift(distance, 0.4, p)


def test_the_headline_names_every_shift_that_the_table_puts_outside() -> None:
    """Two categories outside and all together within; none, some or both clear of chance over the tests."""
    within = {
        "number of all reports": shift(0.1, 0.8),
        "mix of hours": shift(0.2, 0.6),
        "mix of categories": shift(0.3, 0.3),
    }
    outside = {"number of theft reports": (0.5, 0.04), "number of violence reports": (0.6, 0.05)}
    for factor, clear in ((1.0, []), (0.1, [*outside])):
        shifts = within | {name: shift(distance, factor * p) for name, (distance, p) in outside.items()}
        table = drift.table_of(shifts)
        assert table.loc[table["distance"] > table["95 % of windows within"], "of"].tolist() == [*outside]
        assert table.loc[table["verdict"] != drift.WITHIN, "of"].tolist() == [*outside]
        said = drift.headline(table, "4 weeks")
        assert "number of theft reports, number of violence reports (2 of 5)" in said
        assert (
            "Clear of chance in all tests together: number of theft reports, number of violence reports" in said
        ) == bool(clear)
        assert ("none is clear of it" in said) != bool(clear)
    quiet = drift.headline(drift.table_of(within), "4 weeks")
    assert quiet.startswith("Every number and mix of reports of the last 4 weeks lies within")


def test_the_distance_of_a_level_is_the_logarithm_of_its_ratio() -> None:
    counts = np.random.default_rng(3).poisson(300, 80)
    assert abs(np.log(drift.level_shift(counts).ratio)) == pytest.approx(drift.level_shift(counts).distance)


def test_months_of_few_blocks_are_named_and_never_called_clear() -> None:
    months = pd.DataFrame(
        {
            "month": ["2023-01", "2023-02", "2023-03", "2023-04"],
            "reported": [100, 100, 100, 300],
            "expected": [50.0, 50.0, 50.0, 150.0],
            "from": [1.5, 1.5, np.nan, 0.5],
            "to": [2.5, 2.5, np.nan, 3.5],
            "weeks": [5, 4, 1, 5],
        }
    )
    said = drift.in_words(months, "month")
    assert said.startswith("reported ÷ expected is 2.000 in these months together; the interval excludes 1 in 2023-01.")
    assert "2023-02: 95 % intervals from 4 weeks, too few to be trusted." in said
    assert "2023-03: no interval." in said


def test_a_weekend_difference_is_clear_where_interval_and_p_agree(
    monkeypatch: pytest.MonkeyPatch, local: Local
) -> None:
    """Every interval leaves out no difference, and no p is small enough over all tests."""
    monkeypatch.setattr(rhythm, "weekend_volume", lambda daily: rhythm.Effect(1.2, 1.1, 1.3, 0.2, 31))
    monkeypatch.setattr(rhythm, "weekend_concentration", lambda *a, rng: rhythm.Effect(0.2, 0.1, 0.3, 0.2, 31))
    said = next(block.words for block in rhythm.blocks(local)[2:] if isinstance(block, Text))
    assert said.startswith(
        "No difference between weekends and weekdays is clear. Not clear, because interval and p disagree"
    )
    assert "number of all reports, concentration of all reports, number of theft reports" in said


def test_months_without_a_report_are_not_called_a_short_record() -> None:
    events = events_of(days=800, a_day=3)
    august = events.frame["occurred_at"].dt.tz_convert("America/Denver").dt.month == 8

    def said(gone: pd.Series) -> str:
        kept = EventTable(events.frame[~gone].reset_index(drop=True), events.meta)
        return trends.blocks(local_of(kept)[0])[0].words  # type: ignore[union-attr, return-value]

    assert said(august) == "Months are missing or without a report, so that trend and season cannot be computed."
    assert said(august & (events.frame["category"] == "theft")).endswith(
        "Without a trend, for months without a report: all, theft."  # what is missing of theft is missing of all
    )


def test_an_unrecorded_stretch_is_named_and_read_by_no_section(tmp_path: Path) -> None:
    events = events_of(days=400)
    when = events.frame["occurred_at"]
    gone = (when >= "2022-09-11 07:00Z") & (when < "2022-10-21 07:00Z")
    kept = EventTable(events.frame[~gone].reset_index(drop=True), events.meta | {"events": int((~gone).sum())})
    local, cube = local_of(kept)
    assert len(local.days) - len(local.recorded) in (40, 41)
    assert local.daily()["all"].min() > 0
    months = trends.monthly(local)
    assert not {pd.Timestamp("2022-09-01"), pd.Timestamp("2022-10-01")} & {*months.index}
    assert months["all"].min() > 0.8 * months["all"].max()
    said = [block.words for block in quality.blocks(kept, cube.notes) if isinstance(block, Text)]
    assert any(line.startswith("No report from 2022-09-1") for line in said)
    assert (
        drift.windows_of(local, Stages(settings(), print).split(cube), np.zeros(len(local.frame), np.int64), 1).min()
        > 0
    )
    theft = events.frame["category"] == "theft"
    alone = local_of(EventTable(events.frame[~(gone & theft)].reset_index(drop=True), events.meta))[0].daily()
    assert alone["theft"].isna().sum() == alone["all"].isna().sum() > 38
    assert alone["violence"].notna().all()
    assert written(tmp_path, kept).is_file()


def test_the_rows_of_the_record_add_up_to_the_headline() -> None:
    meta = {"rows_read": 100, "rejected": {"date": 5}, "left_out": {"kind": 20}, "corrected": {}, "merged": 4}
    notes = {"events": {"kept": 60, "outside_area": 8, "outside_axis": 3}, "study_area": "polygons of x"}
    said = quality._counts(meta, notes)[0].words  # type: ignore[union-attr]
    counts = [int(number) for number in re.findall(r"(?<![.\d])\d+(?= [a-z])", said)]
    assert counts == [100, 5, 20, 4, 11, 60]
    assert counts[0] == sum(counts[1:])


def test_windows_count_what_was_known_at_their_end() -> None:
    local, cube = local_of(events_of(days=120))
    split = Stages(settings(), print).split(cube)
    kind = np.zeros(len(local.frame), np.int64)
    found = drift.windows_of(local, split, kind, 1)[:, 0]
    hour, weeks = cube.hour.astype(int), 28 * 24
    for row, end in ((0, split.first + weeks), (len(found) - 1, cube.steps)):
        seen = (hour >= end - weeks) & (hour < end) & (cube.known_hour < end)
        assert found[row] == cube.weight[seen].sum()


@pytest.mark.parametrize("known_time", ["reported", "occurred"])
@pytest.mark.parametrize("embargo", [0, 48])
@pytest.mark.parametrize("spans", ["start", "aoristic"])
def test_events_are_known_when_the_cube_knows_them(known_time: str, embargo: int, spans: str) -> None:
    events = events_of(days=60)
    frame = events.frame.assign(reported_at=events.frame["reported_at"].where(events.frame.index % 5 > 0))
    until = frame["occurred_at"] + pd.to_timedelta(frame.index % 30, unit="h")
    events = EventTable(frame.assign(occurred_until=until.where(frame.index % 3 == 0)), events.meta)
    grid = {"min_events": 1, "country": None, "spans": spans}
    cube = build(events, settings(known_time=known_time, embargo_hours=embargo, grid=grid))
    local = Local.of(cube, events)
    category = pd.Categorical(local.frame["category"], list(cube.categories)).codes
    mine = np.column_stack([local.frame["step"], local.frame["hexagon"], category, local.frame["known"]])
    rows = np.column_stack([cube.hour, cube.hexagon, cube.category, cube.known_hour])
    assert sorted(mine.tolist()) == sorted(np.repeat(rows, cube.weight.astype(int), axis=0).tolist())
    assert embargo == 0 or (local.frame["known"] >= local.frame["step"] + embargo).all()


def test_calibration_by_month_has_the_ratio_that_was_planted() -> None:
    rng = np.random.default_rng(7)
    issued = pd.date_range("2023-01-01", "2023-03-05", freq="D")
    lam = rng.gamma(1, 0.2, (len(issued), 24, 30, 2)).astype(np.float32)
    factor = np.where(issued.month == 2, 1.3, 1.0)[:, None, None, None]
    found = drift.by_period(lam, rng.poisson(lam * factor), issued, Step()).set_index("month")
    assert list(found.index) == ["2023-01", "2023-02"]
    assert found.loc["2023-02", "from"] > 1
    assert found.loc["2023-01", "from"] < 1 < found.loc["2023-01", "to"]
    assert found["slope"].to_numpy() == pytest.approx(1, abs=0.15)
