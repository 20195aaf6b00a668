"""Parts of the numbers of a grid as values, table and answer; recent reports as far as they may be shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_cities import city
from small_grids import grid

from stforecast.delivery.export import check_grid, open_why, write_grid
from stforecast.delivery.map import TOP_SHARE, highest
from stforecast.delivery.recent import recent_reports
from stforecast.delivery.riskgrid import HORIZON, RiskGrid
from stforecast.delivery.shifts import during
from stforecast.delivery.why import WHOLE, WORDS, answer, flagged, logs, parts_of, spans_of, to_table, to_values
from stforecast.features.groups import GROUPS

HOURS = {"early": (2, 6)}


def made(of: RiskGrid) -> dict:
    """Parts of a grid that add up, of two groups and the usual."""
    spans = spans_of(of, HOURS)
    rows = flagged(of, spans)
    whole = np.stack([logs(of, span)[:, rows] for span in spans.values()])
    rest = np.random.default_rng(0).normal(size=(2, *whole.shape))
    parts = np.concatenate([(whole - rest.sum(0))[None], rest])
    return to_values(("usual", "city", "weather"), spans, of.hexagons[rows], parts) | {"recent": None, "contents": {}}


def test_every_group_has_words() -> None:
    assert {*WORDS} == {*GROUPS}


def test_the_top_places_of_every_span_and_category_are_flagged() -> None:
    of = grid()
    spans = spans_of(of, HOURS)
    assert [*spans] == [WHOLE, "early"]
    rows = {*flagged(of, spans).tolist()}
    for category in range(len(of.categories)):
        assert {*highest(of.intensity[HORIZON, category], TOP_SHARE).tolist()} <= rows
        early = during(of, spans["early"]).intensity[HORIZON, category]
        assert {*highest(early, TOP_SHARE).tolist()} <= rows


def test_table_and_files_add_up_to_the_grid(tmp_path) -> None:
    of = grid()
    why = made(of)
    write_grid(of, tmp_path / "grid", "denver", HOURS, why=why)
    check_grid(tmp_path / "grid")
    assert open_why(tmp_path / "grid") == why
    table = pd.read_parquet(tmp_path / "grid" / "why.parquet")
    pd.testing.assert_frame_equal(table, to_table(of, why), check_dtype=False)
    spelled = pd.read_csv(tmp_path / "grid" / "why.csv")
    assert spelled["log_part"].to_numpy() == pytest.approx(table["log_part"].to_numpy(), abs=1e-9)
    assert table["factor"].to_numpy() == pytest.approx(np.exp(table["log_part"].to_numpy()))
    sums = table[table["span"] == WHOLE].groupby(["hexagon", "category"])["log_part"].sum()
    risk = pd.read_parquet(tmp_path / "grid" / "risk_horizon.parquet").set_index(["hexagon", "category"])["intensity"]
    assert abs(sums - np.log(risk.reindex(sums.index))).max() < 1e-5


def test_a_grid_without_parts_has_an_empty_table(tmp_path) -> None:
    of = grid()
    why = to_values((), {}, of.hexagons[:2], np.zeros(0)) | {"recent": None, "contents": {}}
    write_grid(of, tmp_path / "grid", "denver", HOURS, why=why)
    assert pd.read_parquet(tmp_path / "grid" / "why.parquet").empty
    assert parts_of(why).shape == (0, 0, 0, 0)
    assert answer(of, why, str(of.hexagons[0]), "all", WHOLE) is None
    write_grid(of, tmp_path / "grid", "denver")
    assert open_why(tmp_path / "grid") is None


def test_answer_of_one_number() -> None:
    of = grid()
    why = made(of)
    cell = why["hexagons"][0]
    found = answer(of, why, cell, "all", "early")
    assert found is not None
    row = of.hexagons.tolist().index(cell)
    span = spans_of(of, HOURS)["early"]
    assert found["intensity"] == pytest.approx(of.intensity[span.start : span.stop, 0, row].sum(), rel=1e-5)
    assert np.prod([part["factor"] for part in found["parts"]]) == pytest.approx(found["intensity"])
    assert answer(of, why, "8f", "all", "early") is None
    assert answer(of, why, cell, "all", "late") is None


def test_recent_reports_are_of_whole_weeks_and_hide_small_counts() -> None:
    cube = city(days=90, rate=6.0, late=True)
    issue = cube.steps
    every = np.arange(cube.n)
    never = np.array([False, False])
    found = recent_reports(cube, issue, every, never, 1)
    assert found is not None
    assert len(found["days"]) == 28
    assert pd.Timestamp(found["days"][0]).weekday() == 0
    assert pd.Timestamp(found["days"][-1]) < cube.end.tz_convert(cube.time_zone).tz_localize(None)
    local = cube.times_of(cube.hour).tz_convert(cube.time_zone).strftime("%Y-%m-%d")
    for place in (0, 5):
        for day in (0, 13, 27):
            here = (local == found["days"][day]) & (cube.hexagon == place) & (cube.known_hour < issue)
            assert (found["counts"][place][day] or 0) == cube.weight[here].sum()
    hidden = recent_reports(cube, issue, every, never, 8)
    assert hidden is not None
    shown = [count for row in hidden["counts"] for count in row if count is not None]
    assert shown
    assert min(shown) >= 8
    for counts, weeks in zip(hidden["counts"], hidden["weeks"], strict=True):
        for week, total in enumerate(weeks):
            rest = [count for count in counts[7 * week : 7 * week + 7] if count is None]
            assert total is None or len(rest) != 1  # a single one would be told by the sum
    pairs = replace(cube, hexagons=cube.hexagons.assign(district=np.arange(cube.n) // 2))
    guarded = recent_reports(pairs, issue, every, never, 8)
    assert guarded is not None
    told = np.array([[total is not None for total in weeks] for weeks in guarded["weeks"]])
    two = told[: cube.n // 2 * 2].reshape(-1, 2, told.shape[1])
    assert (two[:, 0] == two[:, 1]).all()  # of two places one less the district's sum is the other
    assert told.any()
    half = recent_reports(cube, issue, every, np.array([True, False]), 1)
    assert half is not None
    assert half["without"] == ["property"]
    assert sum(filter(None, half["weeks"][0])) < sum(filter(None, found["weeks"][0]))
    assert recent_reports(cube, issue, every, np.array([True, True]), 1) is None
