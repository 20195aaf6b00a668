"""Which silences are holes, from which issue on, and what the user says of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stforecast.cube import Cube
from stforecast.cube.build import build
from stforecast.cube.holes import Gap
from stforecast.cube.recorded import WEEKLY, hole_list, hole_messages, level_change
from stforecast.errors import ConfigError

DAY, WEEK = 24, 168
HOURS = np.array([2, 1, 1, 1, 0.5, 0.5, 0.5, 1, 1, 1, 1, 1.5, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2])


def city(days: int, level: np.ndarray | float, seed: int = 0, categories: int = 2, late: float = 0.0) -> Cube:
    """An hourly city of `level` reports a day [days, c]; a part of them becomes known late, by hours on average."""
    rng = np.random.default_rng(seed)
    rate = np.broadcast_to(np.asarray(level, float), (days, categories))[:, None] * (HOURS / HOURS.sum())[:, None]
    counts = rng.poisson(rate / categories).reshape(days * DAY, categories)
    hour, category = np.repeat(np.argwhere(counts), counts[counts > 0], axis=0).T
    delay = rng.geometric(1 / late, len(hour)) * (rng.random(len(hour)) < 0.6) if late else 0
    return Cube.from_events(
        hour,
        rng.integers(0, 5, len(hour)),
        category,
        hour + delay,
        name="silent",
        start=pd.Timestamp("2018-01-01", tz="UTC"),
        steps=days * DAY,
        categories=tuple("abcd"[:categories]),
        hexagons=pd.DataFrame({"hexagon": list("vwxyz"), "longitude": 0.0, "latitude": 0.0}),
        edges=np.zeros((2, 0), int),
    )


def without(cube: Cube, first: int, last: int, category: int | None = None) -> Cube:
    """The cube without the events of some steps."""
    mine = True if category is None else cube.category == category
    return cube.with_events(~((cube.hour >= first) & (cube.hour < last) & mine))


def spans(cube: Cube) -> list[tuple[int, int, int | None]]:
    return [(hole.first, hole.last, hole.category) for hole in cube.holes]


@pytest.mark.parametrize(
    "level",
    [
        lambda day: 12 * np.exp(np.sin(2 * np.pi * day / 365.25)),
        lambda day: 60 * np.where(day % 7 == 6, 0.05, 1),
        lambda day: 0.2 + 40 * (day / 1000) ** 2,
        lambda day: 2 + 0 * day,
        lambda day: 12 * np.random.default_rng(day.size).gamma(2, 0.5, day.size),
        lambda day: 12 * np.where(day < 500, 1, 0.4),
    ],
    ids=["season", "quiet Sundays", "growth", "few reports", "clumps", "another level"],
)
def test_seasons_weeks_growth_and_clumps_are_no_holes(level) -> None:
    for seed in range(10):
        assert city(1000, level(np.arange(1000))[:, None], seed).holes == ()
        assert city(300, level(np.arange(300))[:, None], seed, late=100.0).holes == ()


def test_a_year_is_masked_from_the_step_on_at_which_it_shows() -> None:
    whole = city(1096, 12.0)
    cube = without(whole, 365 * DAY, 730 * DAY)
    pooled = cube.holes[0]
    assert pooled.category is None
    assert {hole.category for hole in cube.holes} == {None, 0, 1}
    assert 365 * DAY - 12 < pooled.first <= 365 * DAY
    assert 730 * DAY <= pooled.last < 730 * DAY + 12
    assert 3 * DAY < pooled.evident - pooled.first < 10 * DAY  # 27.6 × 2 reports and more at 12 a day
    assert cube.masked_before(pooled.evident - 1) is None
    first = cube.masked_before(pooled.evident)
    assert np.array_equal(np.flatnonzero(first.all(1)), np.arange(pooled.first, pooled.evident))
    assert not cube.masked_before(500 * DAY)[500 * DAY :].any()
    assert abs(cube.masked_before().sum() / 2 - 365 * DAY) < 2 * DAY
    assert whole.as_known(900 * DAY) is whole
    assert [hole["category"] for hole in hole_list(cube)] == [None]
    assert next(iter(hole_messages(cube))).startswith("No report from 2018-12-31 2")


def test_one_category_alone() -> None:
    cube = without(city(400, 30.0), 200 * DAY, 220 * DAY, category=1)
    assert [hole.category for hole in cube.holes] == [1]
    assert not cube.masked_before()[:, 0].any()
    assert "of category b" in next(hole_messages(cube))


def test_a_record_that_begins_with_few_days_and_a_stray_in_a_hole() -> None:
    cube = without(city(500, 12.0), 5 * DAY, 12 * DAY)
    (pooled,) = (hole for hole in cube.holes if hole.category is None)
    assert (pooled.evident - pooled.last) % WEEK == 0  # only what came after it tells, as soon as it is enough
    assert 4 * WEEK < pooled.evident - pooled.last <= 8 * WEEK  # 27.6 × 2 reports and more at 12 a day
    whole = city(500, 12.0)
    stray = (whole.hour == whole.hour[np.searchsorted(whole.hour, 300 * DAY)]) & (np.arange(len(whole.hour)) % 2 == 0)
    cube = whole.with_events((whole.hour < 250 * DAY) | (whole.hour >= 400 * DAY) | stray)
    assert cube.masked_before()[250 * DAY : 400 * DAY].mean() > 0.99


@pytest.mark.parametrize("first", [3, 12, 29])
def test_a_week_is_missed_in_a_short_record(first: int) -> None:
    """45 days of 80 reports a day, as a new city may have them."""
    cube = without(city(45, 80.0), first * DAY, (first + 7) * DAY)
    pooled = cube.holes[0]
    assert first * DAY - 6 < pooled.first <= first * DAY
    assert (first + 7) * DAY <= pooled.last < (first + 7) * DAY + 6
    assert pooled.evident < 40 * DAY
    assert city(45, 80.0).holes == ()


@pytest.mark.parametrize("late", [0.0, 60.0])
def test_what_becomes_known_later_masks_nothing(late: float) -> None:
    """At every issue the same is masked where all that was known later is left out, or another."""
    whole, rng = city(300, 24.0, late=late), np.random.default_rng(1)
    cube = without(without(whole, 120 * DAY, 150 * DAY), 200 * DAY, 240 * DAY, category=0)
    cube = without(without(cube, 3 * DAY, 9 * DAY), 33 * DAY, 43 * DAY)
    inside = np.flatnonzero((whole.hour >= 130 * DAY) & (whole.hour < 140 * DAY))[::40]  # reported after all
    more = {key: getattr(whole, key)[inside] for key in ("hour", "hexagon", "category", "weight")}
    known = np.maximum(145 * DAY + np.arange(len(inside)) * DAY, more["hour"])
    keys = ("hour", "hexagon", "category", "known_hour", "weight")
    old = {key: getattr(cube, key) for key in keys}
    new = {key: np.concatenate([old[key], (more | {"known_hour": known})[key]]) for key in keys}
    cube = Cube.from_events(**new, **{k: v for k, v in vars(cube).items() if k not in (*keys, "holes", "late")})
    assert len(cube.holes) > 4
    changes = sorted({s for hole in cube.holes for s in hole.changes if s < cube.steps})
    for s in {*changes, *(s - 1 for s in changes), *rng.integers(0, cube.steps, 20).tolist()}:
        masked, past = cube.masked_before(s), cube.with_events(cube.known_hour < s)
        other = replace(past, steps=cube.steps + 300)
        for changed in (past, other):
            found = changed.masked_before(s)
            assert (found is None) == (masked is None)
            if found is not None:
                np.testing.assert_array_equal(found[: cube.steps], masked)
        assert masked is None or not masked[s:].any()


def test_reports_that_arrive_late_in_a_hole_bring_it_back() -> None:
    whole = city(300, 24.0)
    gone = (whole.hour >= 120 * DAY) & (whole.hour < 150 * DAY)
    late = replace(whole, known_hour=np.where(gone, 170 * DAY, whole.known_hour))
    late = late.with_events(np.lexsort((late.hour, late.known_hour)))
    assert late.masked_before(160 * DAY)[120 * DAY : 150 * DAY].mean() > 0.98
    assert late.masked_before(170 * DAY + 1) is None
    assert late.masked_before() is None
    assert hole_list(late) == []


def test_given_and_denied_gaps() -> None:
    cube = without(city(500, 12.0), 200 * DAY, 230 * DAY)
    denied = replace(cube, gaps=(Gap(210 * DAY, 211 * DAY, None, denied=True),))
    assert denied.holes == ()
    one = replace(cube, gaps=(Gap(210 * DAY, 211 * DAY, 0, denied=True),))
    assert 0 not in {hole.category for hole in one.holes}
    given = replace(city(500, 12.0), gaps=(Gap(100 * DAY, 110 * DAY, 1),))
    assert given.masked_before(100 * DAY) is None
    assert given.masked_before(101 * DAY)[:, 1].sum() == DAY
    assert given.masked_before().sum() == 10 * DAY
    assert next(hole_messages(given)).startswith(
        "No report of category b from 2018-04-11 00:00 to 2018-04-21 00:00 by source.gaps"
    )


def test_a_change_of_level_is_a_note() -> None:
    level = np.where(np.arange(1000) < 500, 12, 5)[:, None]
    cube = city(1000, level)
    assert cube.holes == ()
    assert all("Nothing is masked" in line for line in hole_messages(cube))
    assert {line[:11] for line in hole_messages(cube)} == {"Category a:", "Category b:"}
    place, before, after = level_change(np.r_[np.full(60, 70), np.full(60, 30)], *WEEKLY)
    assert (place, before, after) == (60, 70, 30)
    assert level_change(np.r_[np.full(60, 70), np.full(40, 30)], *WEEKLY) is None  # less than a year
    assert level_change(np.linspace(50, 150, 200).round(), *WEEKLY) is None  # a trend


def test_gaps_of_the_configuration(table, settings) -> None:
    hours = np.arange(0, 60 * DAY, 2)
    times = pd.Timestamp("2021-03-01 07:00", tz="UTC") + pd.to_timedelta(hours, unit="h")
    events = table(times, np.full(len(hours), 39.7), np.full(len(hours), -105.0))
    gap = {"first": "2021-03-11", "last": "2021-03-12"}
    cube = build(events, settings(source={"gaps": [gap]}))
    assert [(gap.first, gap.last, gap.category) for gap in cube.gaps] == [(240, 288, None)]
    assert not ((cube.hour >= 240) & (cube.hour < 288)).any()
    assert cube.notes["events"]["in_gaps"] == 24
    assert [hole["hours"] for hole in cube.notes["holes"]] == [48]
    with pytest.raises(ConfigError, match=r"source\.gaps\.0\.categories: no category 'arson'"):
        build(events, settings(source={"gaps": [gap | {"categories": ["arson"]}]}))
    with pytest.raises(ConfigError, match="first is after last"):
        settings(source={"gaps": [{"first": "2021-03-12", "last": "2021-03-11"}]})
