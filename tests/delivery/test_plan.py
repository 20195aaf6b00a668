"""Plans: which places are chosen, what they cover, and the files."""

import json
import re
import time
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from small_grids import grid

from stforecast.config.sections import Allocation
from stforecast.delivery.allocation import PRECISION, SLACK, by_largest_remainder, exact, greedy
from stforecast.delivery.export import open_grid, write_grid
from stforecast.delivery.plan import Plan, make_plan
from stforecast.delivery.plan_files import write_plan
from stforecast.delivery.residents import Residents, by_district, by_tenth
from stforecast.delivery.riskgrid import HORIZON
from stforecast.delivery.shifts import during, shifts_of
from stforecast.delivery.sums import range_of_sum
from stforecast.errors import ConfigError

ONE = np.zeros(20, int)


def of(*pairs: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, sizes and the only group of places."""
    value, size = np.array(pairs).T
    return value, size, ONE[: len(pairs)]


def test_greedy_takes_the_densest_places_that_fit_and_exact_the_best() -> None:
    places = of((6.0, 1.0), (10.0, 2.0), (12.0, 3.0))
    budget = np.array([5.0])
    assert greedy(*places, budget) == [1, 0]  # 16 of a possible 22
    chosen, bound = exact(*places, budget)
    assert chosen == [2, 1]
    assert bound == pytest.approx(22)


def test_one_large_place_goes_before_small_ones_that_are_worth_less() -> None:
    places = of((2.0, 1.0), (10.0, 10.0), (1.0, 10.0))
    assert greedy(*places, np.array([10.0])) == [1]
    assert exact(*places, np.array([10.0]))[0] == [1]


def test_ties_fall_in_the_order_of_the_places() -> None:
    value, size, group = of(*[(1.0, 1.0)] * 6)
    assert greedy(value, size, group, np.array([3.0])) == [0, 1, 2]
    assert exact(value, size, group, np.array([3.0]))[0] == [0, 1, 2]


def test_as_many_places_fit_as_were_counted_for_though_sums_lose_digits() -> None:
    value, size, group = of(*[(1.0, 0.1)] * 10)
    assert len(greedy(value, size, group, np.array([0.3]))) == 3
    assert len(exact(value, size, group, np.array([0.3]))[0]) == 3


def test_what_has_no_value_no_group_or_no_room_is_not_chosen() -> None:
    value, size = np.array([0.0, 5.0, 5.0, 1.0]), np.array([1.0, 1.0, 9.0, 1.0])
    group, budget = np.array([0, -1, 0, 0]), np.array([3.0])
    assert greedy(value, size, group, budget) == exact(value, size, group, budget)[0] == [3]
    assert exact(value, size, group, np.array([0.5])) == ([], 0.0)


numbers = st.lists(st.tuples(st.floats(0, 10), st.floats(0.05, 5), st.integers(-1, 2)), min_size=1, max_size=9)


@settings(max_examples=150, deadline=None)
@given(numbers, st.lists(st.floats(0, 8), min_size=3, max_size=3))
def test_budgets_are_kept_and_greedy_is_at_least_half_of_the_best(
    places: list[tuple[float, float, int]], budgets: list[float]
) -> None:
    value, size = (np.array([place[i] for place in places]) for i in (0, 1))
    group, budget = np.array([place[2] for place in places]), np.array(budgets)
    rule, (best, bound) = greedy(value, size, group, budget), exact(value, size, group, budget)
    for chosen in (rule, best):
        assert len({*chosen}) == len(chosen)
        assert (group[chosen] >= 0).all()
        assert (np.bincount(group[chosen], size[chosen], 3) <= budget + 2 * SLACK).all()
    possible = 0.0
    for g in range(3):
        inside = [i for i in range(len(places)) if group[i] == g]
        sums = [
            value[[*some]].sum()
            for k in range(1, len(inside) + 1)
            for some in combinations(inside, k)
            if size[[*some]].sum() <= budget[g]
        ]
        possible += max(sums, default=0.0)
    assert possible / 2 - 1e-9 <= value[rule].sum() <= value[best].sum() + 1e-9
    assert value[best].sum() >= possible * (1 - 2 * PRECISION) - 1e-9
    assert bound >= max(possible, value[best].sum()) * (1 - 1e-6) - 1e-9


def test_largest_remainder() -> None:
    assert by_largest_remainder(10, np.array([5.0, 3.0, 2.0])).tolist() == [5, 3, 2]
    assert by_largest_remainder(4, np.array([1.0, 1.0, 1.0])).tolist() == [2, 1, 1]
    assert by_largest_remainder(0, np.array([1.0, 0.0])).tolist() == [0, 0]
    assert by_largest_remainder(7, np.array([0.1, 0.2, 0.7])).sum() == 7


def test_the_top_of_the_city_is_that_of_the_ranks() -> None:
    some = grid()
    plan = make_plan(some, Allocation(places=5))
    assert some.rank[HORIZON, 0, plan.rows].tolist() == [1, 2, 3, 4, 5]
    assert plan.rows.tolist() == plan.greedy.tolist()
    assert plan.gap == pytest.approx(0, abs=1e-6)
    assert np.array_equal(plan.value, some.intensity[HORIZON, 0])
    assert len(make_plan(some, Allocation()).rows) == 10


def test_so_many_in_each_district() -> None:
    some = grid()
    plan = make_plan(some, Allocation(rule="district", places=3))
    chosen = pd.Series(some.districts[plan.rows]).value_counts()
    assert chosen.to_dict() == {"=South": 1, "South": 3, "North": 1}  # as many as there are
    assert "1 hexagons are in no district" in " ".join(plan.lines())


def districts(some: Any) -> np.ndarray:
    return np.array(["East", "West", "South"], object)[np.arange(len(some.hexagons)) % 3]


@pytest.mark.parametrize("budget", [{"places": 12}, {"area_km2": 9.7}])
def test_districts_have_places_in_proportion(budget: dict[str, Any]) -> None:
    some = grid()
    some = grid(districts=districts(some))
    plan = make_plan(some, Allocation(rule="proportion", **budget))
    need = pd.Series(plan.value).groupby(some.districts).sum()
    number = pd.Series(some.districts[plan.rows]).value_counts().reindex(need.index, fill_value=0)
    assert number.sum() == 12
    assert (abs(number - 12 * need / need.sum()) < 1).all()
    assert plan.covered.area_km2 <= budget.get("area_km2", 99)
    assert [*plan.budgets] == ["East", "South", "West"]
    assert number.to_dict() == {
        name: int(one / budget.get("area_km2", 12) * 12 + 0.5) for name, one in plan.budgets.items()
    }


def test_polygons_of_unlike_sizes_share_an_area_as_it_is() -> None:
    west = -105 + np.arange(5) / 50
    shapes = shapely.box(west, 39.7, west + 0.015, [39.81, 39.71, 39.76, 39.72, 39.73])
    some = grid()
    names, of = np.array([f"A{i}" for i in range(5)]), np.array(["x", "x", "y", "y", "y"], object)
    lam = some.intensity[..., :5]
    some = replace(some, hexagons=names, polygons=shapes, intensity=lam, usual=None, districts=of)
    plan = make_plan(some, Allocation(rule="proportion", area_km2=12.0))
    area = pd.Series(some.geometry.areas_km2[plan.rows]).groupby(of[plan.rows]).sum()
    need = pd.Series(plan.value).groupby(of).sum()
    assert len(plan.rows)
    assert (area <= (12 * need / need.sum()).reindex(area.index) + 1e-6).all()
    assert plan.usual is None
    assert "usual" not in plan.table


def test_weights_choose_by_severity() -> None:
    some = grid()
    plan = make_plan(some, Allocation(places=4, weights={"theft": 0, "violence": 5}))
    assert some.rank[HORIZON, 2, plan.rows].tolist() == [1, 2, 3, 4]
    assert plan.covered.weighted == pytest.approx(5 * some.intensity[HORIZON, 2, plan.rows].sum())
    assert plan.covered.expected == pytest.approx(some.intensity[HORIZON, 0, plan.rows].sum())
    assert "theft 0, violence 5" in " ".join(plan.lines())


def test_what_is_left_out_is_not_chosen_and_told_with_its_reason() -> None:
    some = grid()
    first = str(some.hexagons[some.order[HORIZON, 0, 0]])
    plan = make_plan(some, Allocation(places=3, leave_out={first: "=a school, by agreement"}))
    assert some.rank[HORIZON, 0, plan.rows].tolist() == [2, 3, 4]
    assert first not in some.hexagons[plan.usual]
    last = plan.table.iloc[-1]
    assert (last["hexagon"], last["left_out"], last["rank"]) == (first, "=a school, by agreement", 1)
    assert pd.isna(last["number"])
    assert "Left out with a reason: 1 hexagon of" in " ".join(plan.lines())


def test_the_usual_top_places_are_the_baseline() -> None:
    some = grid()
    plan = make_plan(some, Allocation(places=6))
    assert "place" not in plan.table
    named = make_plan(replace(some, places=np.char.add("near ", some.hexagons).astype(object)), Allocation(places=6))
    assert named.table["place"].tolist() == [f"near {name}" for name in plan.table["hexagon"]]
    assert plan.usual is not None
    assert some.usual is not None
    top = np.argsort(-some.usual[HORIZON, 0], kind="stable")[:6]
    assert {*plan.usual.tolist()} == {*top.tolist()}
    baseline = plan.coverage(plan.usual)
    assert baseline.expected == pytest.approx(some.intensity[HORIZON, 0, top].sum())
    assert baseline.share < plan.covered.share


def test_what_is_covered_has_the_range_of_the_joint_law_and_a_weighted_sum_none() -> None:
    some = grid()
    plan = make_plan(some, Allocation(places=6, weights={"violence": 3}))
    everything, all_steps = np.isin(np.arange(len(some.hexagons)), plan.rows), np.ones(some.horizons, bool)
    assert (plan.covered.low, plan.covered.high) == range_of_sum(some, everything, all_steps, 0)
    assert plan.covered.low < plan.covered.expected < plan.covered.high
    assert plan.usual is not None
    assert plan.coverage(plan.usual).high is not None
    assert f", {plan.covered.low} to {plan.covered.high} over the 24 hours." in plan.lines()[0]
    assert "hold what is reported there 90% of the time" in " ".join(plan.lines())
    one = make_plan(some, Allocation(places=1))
    assert some.bounds is not None
    assert (one.covered.low, one.covered.high) == tuple(some.bounds[:, 0, one.rows[0]])
    without = make_plan(replace(some, joint={}), Allocation(places=6))
    assert (without.covered.low, without.covered.high, without.level) == (None, None, None)
    assert "what is then reported differs" in " ".join(without.lines())


def test_a_plan_for_a_shift_is_one_of_its_hours_alone() -> None:
    some = grid()
    shift = shifts_of(some)["night"]
    plan, alone = make_plan(some, Allocation(places=5), shift), during(some, shift.steps)
    assert plan.rows.tolist() == alone.order[HORIZON, 0, :5].tolist()
    assert np.array_equal(plan.expected, alone.intensity[HORIZON])
    assert alone.usual is not None
    assert np.array_equal(plan.table["usual"], alone.usual[HORIZON, 0, plan.rows])
    assert plan.table["rank"].tolist() == [1, 2, 3, 4, 5]
    chosen, steps = np.isin(np.arange(len(some.hexagons)), plan.rows), np.isin(np.arange(24), shift.steps)
    assert (plan.covered.low, plan.covered.high) == range_of_sum(some, chosen, steps, 0)
    assert "over the 7 hours of Night 23–07." in plan.lines()[0]
    assert "holds only 7 hours of this shift" in " ".join(plan.lines())
    facts = plan.facts()
    assert (facts["valid_from"], facts["valid_until"]) == ("2024-09-30T06:00:00Z", "2024-09-30T13:00:00Z")
    assert facts["shift"] == {"label": "Night", "hours": "23–07", "whole": False}
    whole = make_plan(some, Allocation(places=5))
    assert np.array_equal(whole.expected, some.intensity[HORIZON])
    assert whole.facts()["shift"] is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"weights": {"arson": 1}}, "plan.weights: arson is no category of this grid; it has theft, violence"),
        ({"weights": {"theft": 0, "violence": 0}}, "plan.weights: all are 0"),
        ({"area_km2": 0.5}, "plan.area_km2: the smallest hexagon has 0.8"),
        ({"leave_out": {"8826": "x"}}, "plan.leave_out: 8826 is no hexagon"),
    ],
)
def test_what_does_not_fit_the_grid_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_plan(grid(), Allocation(**values))


def test_rules_of_districts_need_districts() -> None:
    with pytest.raises(ConfigError, match=r"plan.rule: district needs districts"):
        make_plan(grid(districts=None), Allocation(rule="district"))


@pytest.mark.parametrize("values", [{"places": 3, "area_km2": 2}, {"places": 0}, {"leave_out": {"a": ""}}])
def test_budgets_and_reasons_are_checked(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Allocation(**values)


def test_shares_by_district_and_tenth() -> None:
    some = grid()
    plan = make_plan(some, Allocation(places=7))
    n = len(some.hexagons)
    people = pd.DataFrame({"residents": np.linspace(10, 100, n)})
    table = by_district(plan, people)
    assert table["district"].tolist() == ["=South", "North", "South", "in no district"]
    assert table["places"].sum() == 7
    for name in ("places", "plan", "area", "expected", "weighted", "residents"):
        assert table[f"share_of_{name}"].sum() == pytest.approx(1)
    value = pd.Series(np.arange(n, dtype=float))
    value[0] = np.nan
    tenths = by_tenth(plan, value, people)
    assert tenths["tenth"].tolist() == [*range(1, 11)]
    assert (tenths["from"].iloc[0], tenths["to"].iloc[-1]) == (1, n - 1)
    assert tenths["places"].sum() == 7 - (0 in plan.rows)
    assert tenths["share_of_residents"].sum() == pytest.approx(1 - 10 / people["residents"].sum())
    assert by_district(make_plan(grid(districts=None), Allocation()), people).empty


def test_ties_of_a_value_are_of_one_tenth() -> None:
    plan = make_plan(grid(), Allocation(places=7))
    value = pd.Series(np.zeros(len(plan.value)))
    value.iloc[:5] = 1.0
    assert len(by_tenth(plan, value, pd.DataFrame(index=value.index))) == 2


def written(plan: Plan, folder: Path) -> Path:
    none = Residents.unknown(plan.grid).people
    write_plan(plan, folder, "denver", Residents(none, none.assign(deprivation=np.arange(len(none)) % 7)))
    return folder


def test_files_hold_what_risk_parquet_holds(tmp_path: Path) -> None:
    write_grid(grid(), tmp_path / "grid", "denver")
    some = open_grid(tmp_path / "grid")
    gone = str(some.hexagons[3])
    plan = make_plan(some, Allocation(places=8, weights={"violence": 2.5}, leave_out={gone: "=1+1"}))
    folder = written(plan, tmp_path / "plan")
    table = pd.read_csv(folder / "places.csv")
    assert table["left_out"].tolist()[-1] == "'=1+1"
    rows = pd.read_parquet(tmp_path / "grid" / "risk.parquet")
    sums = rows.groupby(["hexagon", "category"])["intensity"].sum().unstack()
    chosen = table[table["number"].notna()]
    of = sums.loc[chosen["hexagon"]]
    assert np.allclose(chosen["expected"], of["all"], atol=1e-8)
    assert np.allclose(chosen["weighted"], of["theft"] + 2.5 * of["violence"], atol=1e-8)
    facts = json.loads((folder / "plan.json").read_text())
    assert facts["covered"]["expected"] == pytest.approx(of["all"].sum())
    assert facts["covered"]["share"] == pytest.approx(of["all"].sum() / sums["all"].sum())
    assert facts["left_out"] == {gone: "=1+1"}
    assert [row["hexagon"] for row in facts["places"]] == table["hexagon"].tolist()
    assert sum(row["places"] for row in facts["tenths"]["deprivation"]) == 8
    shapes = geopandas.read_file(folder / "places.geojson")
    assert shapes["hexagon"].tolist() == table["hexagon"].tolist()
    assert shapes.is_valid.all()


def test_a_plan_takes_the_place_of_an_older_one_and_of_nothing_else(tmp_path: Path) -> None:
    folder = written(make_plan(grid(), Allocation(places=2)), tmp_path / "plan")
    written(make_plan(grid(), Allocation(places=3)), folder)
    assert len(pd.read_csv(folder / "places.csv")) == 3
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="holds other files"):
        written(make_plan(grid(), Allocation()), tmp_path / "other")


def test_no_place_is_an_order(tmp_path: Path) -> None:
    folder = written(make_plan(grid(), Allocation()), tmp_path / "plan")
    text = " ".join(path.read_text() for path in folder.iterdir()).lower()
    assert not {"dispatch", "patrol"} & {*re.findall(r"\w+", text)}
    assert "by place and never by person" in text


def test_greedy_is_near_the_best_and_quick_for_3000_hexagons() -> None:
    some = grid(rings=31)
    size = some.geometry.areas_km2
    value, group = some.intensity[HORIZON, 0], np.arange(len(size)) % 7
    assert len(size) > 2900
    began = time.perf_counter()
    chosen = greedy(value, size, group, np.full(7, 15.0))
    assert time.perf_counter() - began < 1
    assert value[chosen].sum() >= 0.99 * exact(value, size, group, np.full(7, 15.0), seconds=3)[1]
