"""An episode holds of its part of a city what the whole holds there, and nothing else."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stforecast.config.sections import KINDS
from stforecast.cube.covariates import EVERYWHERE, Covariate
from stforecast.cube.cube import Cube
from stforecast.cube.holes import Gap
from stforecast.cube.weather import Series
from stforecast.errors import ArtefactError
from stforecast.pretraining.episodes import FEWEST, HEXAGONS, RECORD, ball, choose, episode, regroup
from stforecast.testing import small_city

DAYS, SIDE, C = 500, 16, 4


def city(seed: int = 0) -> Cube:
    """A square grid of 256 places, with late reports, weather, holidays and a gap."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.02, (DAYS * 24, SIDE * SIDE, C))
    rows, columns = np.divmod(np.arange(SIDE * SIDE), SIDE)
    hexagons = pd.DataFrame({"longitude": columns * 1.0, "latitude": rows * 1.0})
    cube = Cube.from_dense(
        counts,
        coordinates=hexagons[["longitude", "latitude"]].to_numpy(),
        start="2022-01-01 06:00",
        time_zone="America/Chicago",
        name="square",
        categories=tuple("abcd"),
        country="US",
        weather=Series(("temperature_2m",), np.arange(DAYS * 24, dtype=np.float32)[:, None]),
        gaps=(Gap(2400, 3000, 2), Gap(5000, 5100)),
        kinds=np.eye(len(KINDS), dtype=np.float32)[:C],
        covariates=(
            Covariate.static("place", np.arange(SIDE * SIDE)),
            Covariate.of(
                "city",
                "past",
                pd.DataFrame({"first": [0], "last": [DAYS * 24], "cell": [EVERYWHERE], "value": [1], "known": [0]}),
            ),
        ),
    )
    late = cube.known_hour + rng.integers(0, 200, len(cube.hour)).astype(np.int32)
    order = np.lexsort((cube.hour, late))
    return replace(cube, known_hour=late).with_events(order)


@pytest.fixture(scope="module")
def whole() -> Cube:
    return city()


def test_an_episode_is_pure_and_differs_by_seed(whole):
    one, same, other = (episode([whole], seed) for seed in (1, 1, 2))
    assert (one.until, one.first, one.last, one.city) == (same.until, same.first, same.last, "square")
    for name in one.cube.event_columns:
        np.testing.assert_array_equal(getattr(one.cube, name), getattr(same.cube, name))
    assert (one.cube.start, one.cube.n) != (other.cube.start, other.cube.n)


@pytest.mark.parametrize("seed", range(25))
def test_counts_are_those_of_the_part_of_the_whole(whole, seed):
    part = episode([whole], seed).cube
    begin = whole.step_of(part.start)
    rows = pd.Index(whole.cells).get_indexer(part.cells)
    assert (np.diff(rows) > 0).all()
    own = [[whole.categories.index(one) for one in name.split("+")] for name in part.categories]
    masked = part.masked_before()
    observed = 1 if masked is None else ~masked[:, None]  # where a gap is, nothing is left
    for known in (None, part.steps // 2):
        expected = whole.dense(begin, begin + part.steps, None if known is None else begin + known)[:, rows]
        expected = np.stack([expected[..., mine].sum(-1).numpy() for mine in own], -1) * observed
        np.testing.assert_array_equal(part.dense(known_before=known).numpy(), expected)
    assert (np.diff(part.known_hour) >= 0).all()
    for name in ("hour", "slot", "holiday"):
        there, here = whole.calendar(begin, begin + part.steps), part.calendar(0, part.steps)
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))
    np.testing.assert_array_equal(part.weather.values[:, 0], np.arange(begin, begin + part.steps))
    np.testing.assert_allclose(part.kinds, [whole.kinds[mine].mean(0) for mine in own])
    static, everywhere = (one.window(10, 0, 1, part.n)[0][0] for one in part.covariates)
    np.testing.assert_array_equal(static, rows)
    np.testing.assert_array_equal(everywhere, np.ones(part.n))
    masked = np.zeros((whole.steps, C), bool)
    masked[2400:3000, 2] = masked[5000:5100] = True
    given = np.zeros((part.steps, part.c), bool)
    for gap in part.gaps:
        given[gap.first : gap.last, slice(None) if gap.category is None else gap.category] = True
    there = masked[begin : begin + part.steps]
    np.testing.assert_array_equal(given, np.stack([there[:, mine].any(1) for mine in own], -1))


@pytest.mark.parametrize("seed", range(25))
def test_the_hexagons_are_joined_and_keep_their_edges(whole, seed):
    part = episode([whole], seed).cube
    assert HEXAGONS[0] <= part.n <= HEXAGONS[1]
    assert len(ball(part, 0, part.n)) == part.n
    rows = pd.Index(whole.cells).get_indexer(part.cells)
    there = {tuple(pair) for pair in whole.edges.T.tolist() if set(pair) <= set(rows.tolist())}
    assert {tuple(pair) for pair in rows[part.edges].T.tolist()} == there
    assert part.edges.shape[1] == len(there)
    assert part.hexagons.index.tolist() == list(range(part.n))


def test_records_of_all_lengths_hours_of_issue_and_groups_are_drawn(whole):
    drawn = [episode([whole], seed) for seed in range(80)]
    days = np.array([one.until // 24 for one in drawn])
    assert RECORD[0] <= days.min() < 15
    assert days.max() > 300
    assert len({one.cube.start.hour for one in drawn}) > 15
    assert {one.cube.c for one in drawn} == {1, 2, 3, 4}
    for one in drawn:
        assert one.first == one.until
        assert (one.last - one.first) % 24 == 0
        assert one.cube.steps == one.last - 24 + one.cube.horizons
        assert one.cube.weight[one.cube.hour < one.until].sum() >= FEWEST


def test_cities_are_drawn_by_the_root_of_their_events():
    small, large = city(), city(1)
    keep = np.arange(len(small.hour)) % 16 == 0
    small = replace(small.with_events(keep), name="small")
    names = [episode([small, large], seed).city for seed in range(120)]
    assert 0.1 < names.count("small") / 120 < 0.32  # a fifth


def test_a_masked_part_of_a_merged_category_masks_it():
    cube = replace(small_city(), masked=np.zeros((2400, 2), bool))
    cube.masked[5, 1] = True
    both = regroup(cube, np.array([0, 0]))
    assert np.argwhere(both.masked).tolist() == [[5, 0]]
    assert not both.weight[both.hour == 5].any()
    one = regroup(cube, np.array([0, -1]))
    assert not one.masked.any()
    assert one.weight.sum() == cube.weight[cube.category == 0].sum()


def test_a_gap_of_one_part_leaves_no_reports_without_exposure():
    cube, (first, last) = small_city(), (1200, 1500)
    silent = cube.with_events(~((cube.hour >= first) & (cube.hour < last) & (cube.category == 1)))
    both = regroup(replace(silent, gaps=(Gap(first, last, 1),)), np.array([0, 0]))
    outside = (silent.hour < first) | (silent.hour >= last)
    assert both.weight.sum() == silent.weight[outside].sum() < silent.weight.sum()
    assert both.masked_before()[first:last].all()


def test_chosen_hexagons_of_a_ring_keep_their_neighbours():
    part = choose(small_city(), np.array([0, 1, 11]))
    assert {tuple(pair) for pair in part.edges.T.tolist()} == {(0, 1), (1, 0), (0, 2), (2, 0)}


def test_a_short_or_empty_record_is_refused():
    with pytest.raises(ArtefactError, match="longer records"):
        episode([small_city(days=8)], 0)
