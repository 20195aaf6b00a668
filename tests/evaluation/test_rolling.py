"""Rolling origin on a tiny city: where folds lie, what a panel holds, and that its figures are the scorecard's."""

import csv
import io
import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stforecast.config import Config, parse
from stforecast.cube import Cube
from stforecast.errors import ConfigError
from stforecast.evaluation.comparison import as_csv, as_markdown, compare
from stforecast.evaluation.rolling import Panel, folds, offsets
from stforecast.evaluation.scorecard import evaluate
from stforecast.forecasters.climatology import RollingClimatology
from stforecast.forecasters.controls import HexagonMean, LastWeek
from stforecast.scoring.splits import Split, make_split

N, C, DAYS = 12, 2, 80
RING = np.array([[i for i in range(N) for _ in range(2)], [(i + d) % N for i in range(N) for d in (-1, 1)]])
CONFIG: Config = parse({"city": "tiny"}, "test")
KINDS = (RollingClimatology, HexagonMean, LastWeek)


def split_of(days: int = DAYS, gap: int = 24, tail: int = 0) -> Split:
    return make_split(24 * days + tail, 24, 0, 0.5, 0.2, gap, 24, lambda date: 0)


@pytest.fixture(scope="module")
def cube() -> Cube:
    """Hexagons of two districts and one of none; days begin at 07:00 UTC."""
    rng = np.random.default_rng(0)
    place = np.linspace(0.2, 3.0, N)[:, None] * np.array([1.0, 0.5])
    hour = 1 + 0.8 * np.cos(2 * np.pi * np.arange(24 * DAYS) / 24)
    counts = rng.poisson(0.1 * hour[:, None, None] * place)
    made = Cube.from_dense(counts, edge_index=RING, name="tiny", start="2024-01-01 07:00", time_zone="America/Denver")
    district = np.array([*["north"] * 6, *["south"] * 5, None], object)
    return replace(made, hexagons=made.hexagons.assign(district=district))


def forecasts(cube: Cube, parts: list[Split], hours: dict[int, int]) -> dict[str, np.ndarray]:
    """Calibrated λ of every forecaster in the rows of a panel."""
    out = {}
    for kind in KINDS:
        found = []
        for part in parts:
            fitted = kind(CONFIG).fit(cube, part)
            found += [fitted.forecast(cube, part.at(offset).issues("test")).intensity for offset in hours.values()]
        out[kind.name] = np.concatenate(found)
    return out


@given(st.integers(20, 200), st.integers(0, 50), st.integers(0, 23), st.integers(1, 6), st.none() | st.integers(1, 30))
def test_folds_lie_in_order_without_overlap_up_to_the_end(
    days: int, gap: int, tail: int, count: int, test_days: int | None
) -> None:
    split = split_of(days, gap, tail)
    room = (split.steps - split.test_start) // 24
    if count * (test_days or 1) > room:
        with pytest.raises(ConfigError, match=r"backtest\.folds, backtest\.test_days: .* do not fit"):
            folds(split, count, test_days)
        return
    parts = folds(split, count, test_days)
    assert len(parts) == count
    assert 0 <= split.steps - parts[-1].steps < 24
    for one, after in pairwise(parts):
        assert after.test_start == one.steps
        assert after.train_end > one.train_end
    for part in parts:
        assert part.steps - part.test_start == 24 * (test_days or room // count)
        assert part.train_end >= split.train_end  # the study area rests on reports known by then
        assert part.first == split.first
        assert part.validation_start - part.train_end == part.test_start - part.validation_end == gap
        assert part.validation_end - part.validation_start == split.validation_end - split.validation_start
    targets = np.concatenate([part.issues("test")[:, None] + np.arange(24) for part in parts]).ravel()
    assert np.unique(targets).size == targets.size


def test_without_test_days_the_folds_share_the_configured_test_slice() -> None:
    split = split_of(80)
    assert [(part.test_start, part.steps) for part in folds(split, 1, None)] == [(split.test_start, split.steps)]
    assert [part.issues("test").size for part in folds(split, 4, None)] == [5, 5, 5, 5]


def test_hours_of_issue_are_utc_and_any_of_the_day(cube: Cube) -> None:
    split = split_of()
    assert offsets(cube, split, None) == {7: 0}
    found = offsets(cube, split, [6, 7, 0, 7])
    assert found == {0: 17, 6: 23, 7: 0}
    for hour, offset in offsets(cube, split, range(24)).items():
        for part in folds(split, 3, 7):
            issues = part.at(offset).issues("test")
            assert set(cube.times_of(issues).hour) == {hour}
            assert part.test_start <= issues[0] < part.test_start + 24
            assert part.steps - 48 < issues[-1] <= part.steps - 24
    with pytest.raises(ConfigError, match=r"backtest\.issue_hours: 8 lies between two steps"):
        offsets(replace(cube, step_hours=2), split, [9, 8])
    with pytest.raises(ConfigError, match=r"backtest\.test_days: .* 08:00 UTC"):
        Panel.of(cube, folds(split, 3, 1), {8: 1})


def test_a_panel_holds_what_came_after_each_issue(cube: Cube) -> None:
    parts, hours = folds(split_of(), 2, 5), {0: 17, 7: 0}
    panel, dense = Panel.of(cube, parts, hours), cube.dense().numpy()
    row = 0
    for fold, part in enumerate(parts):
        assert panel.rows(fold) == slice(row, row + 9)
        for hour, offset in hours.items():
            for issue in range(part.test_start + offset, part.steps - 23, 24):
                day = (issue - parts[0].test_start) // 24
                assert (panel.fold[row], panel.hour[row], panel.day[row]) == (fold, hour, day)
                np.testing.assert_array_equal(panel.counts[row], dense[issue : issue + 24])
                row += 1
    assert row == len(panel.counts) == 18


def test_draws_take_whole_days_inside_folds(cube: Cube) -> None:
    panel = Panel.of(cube, folds(split_of(), 2, 10), {0: 17, 7: 0})
    weights = panel.weights()
    own = panel.hour == 7
    for fold in (0, 1):
        here = panel.fold == fold
        assert (weights[:, here & own].sum(1) == 10).all()
        same_days = weights[:, here & own][:, :9]
        np.testing.assert_array_equal(weights[:, here & ~own], same_days)
    assert not np.array_equal(weights[:, own][:, :10], weights[:, own][:, 10:])


@pytest.mark.parametrize(("count", "days", "blocks"), [(2, 10, 4), (1, 20, 3), (2, 7, 1), (4, 5, 1)])
def test_blocks_are_counted_inside_folds_and_one_gives_no_interval(
    cube: Cube, count: int, days: int, blocks: int
) -> None:
    parts, hours = folds(split_of(), count, days), {7: 0}
    panel = Panel.of(cube, parts, hours)
    assert panel.blocks.count == blocks
    made = {kind.name: np.full(panel.counts.shape, 0.1 * (1 + i), np.float32) for i, kind in enumerate(KINDS)}
    result = compare(cube, parts, panel, list(made), made.__getitem__, 2.0)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["blocks"] == blocks
    pair = result["differences"]["rolling_climatology - last_week"]
    for found in (pair["average_precision"], pair["by_horizon"]["1"]["poisson_deviance"]):
        assert found["blocks"] == blocks
        assert (found["low"] is None) == (found["high"] is None) == (blocks == 1)
    assert {f["blocks"] for f in result["folds"]} == {Panel.of(cube, parts[:1], hours).blocks.count}
    text = as_markdown(result)
    assert ("one week: no interval" in text) == (blocks == 1)
    assert (f"95 % intervals from {blocks} weeks, too few to be trusted" in text) == (blocks > 1)
    assert "poisson_deviance_blocks" in as_csv(result).splitlines()[0]
    assert "[–" not in text


def test_tables_of_a_backtest_have_reported_over_expected(result: dict) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(result))))
    assert "bias" not in rows[0]
    columns, _, *lines = as_markdown(result).splitlines()[2:]
    place = [head.strip() for head in columns.split("|")].index("reported ÷ expected")
    for row, line, entry in zip(rows, lines, result["forecasters"].values(), strict=True):
        assert float(row["reported_to_expected"]) == pytest.approx(1 / entry["bias"])
        assert float(line.split("|")[place]) == pytest.approx(1 / entry["bias"], abs=1e-3)


def test_one_fold_gives_the_figures_of_the_scorecard(cube: Cube) -> None:
    (part,) = folds(split_of(), 1, None)
    hours = offsets(cube, part, None)
    lam = forecasts(cube, [part], hours)
    found = compare(cube, [part], Panel.of(cube, [part], hours), [*lam], lam.__getitem__, patrol_area=2.0, seed=3)
    scored = evaluate(cube, part, [kind(CONFIG) for kind in KINDS], patrol_area_km2=2.0, seed=3)
    card = scored.values
    for name, entry in found["forecasters"].items():
        expected = card["forecasters"][name]
        for one, other in (
            (entry, expected),
            *((entry["by_category"][c], expected["by_category"][c]) for c in cube.categories),
        ):
            shared = {key for key in one.keys() & other.keys() if isinstance(other[key], float)}
            assert {"poisson_deviance", "average_precision", "calibration_slope", "bias", "pai_5"} <= shared
            for key in shared:
                assert one[key] == pytest.approx(other[key], rel=1e-6), key
    assert str(scored).count("(DM p ") == 2 * len(card["differences"])  # deviance and log loss
    for pair, metrics in card["differences"].items():
        for key, expected in metrics.items():
            assert found["differences"][pair][key] == pytest.approx(expected, rel=1e-6)
            assert found["folds"][0]["differences"][pair][key] == pytest.approx(expected, rel=1e-6)


@pytest.fixture(scope="module")
def result(cube: Cube) -> dict:
    parts, hours = folds(split_of(), 2, 10), {0: 17, 7: 0}
    lam = forecasts(cube, parts, hours)
    return compare(cube, parts, Panel.of(cube, parts, hours), [*lam], lam.__getitem__, patrol_area=2.0)


def test_views_add_up_to_the_whole(cube: Cube, result: dict) -> None:
    for entry in (*result["forecasters"].values(), *result["folds"][1]["forecasters"].values()):
        assert {*entry["by_area"]} == {"north", "south"}
        assert [*entry["by_horizon"]] == [str(k) for k in range(1, 25)]
        assert [*entry["by_issue_hour"]] == ["0", "7"]
        for group in ("by_category", "by_horizon"):
            mean = np.mean([view["poisson_deviance"] for view in entry[group].values()])
            assert mean == pytest.approx(entry["poisson_deviance"], rel=1e-6)
        for group in ("by_category", "by_horizon", "by_issue_hour"):
            assert sum(view["events"] for view in entry[group].values()) == entry["events"]
    pooled, (one, two) = result["forecasters"], (part["forecasters"] for part in result["folds"])
    for name, entry in pooled.items():
        assert entry["events"] == one[name]["events"] + two[name]["events"]
        between = sorted([one[name]["poisson_deviance"], two[name]["poisson_deviance"]])
        assert between[0] <= entry["poisson_deviance"] <= between[1]


def test_calibration_and_curves_of_every_forecaster(cube: Cube, result: dict) -> None:
    for entry in result["forecasters"].values():
        assert [*entry["calibration"]] == ["all", *cube.categories]
        for category, figures in entry["calibration"].items():
            assert len(figures["slope"]) == len(figures["bias"]) == 24
            if category == "all":
                views = entry["by_horizon"].values()
                np.testing.assert_allclose(figures["bias"], [view["bias"] for view in views], rtol=1e-6)
                np.testing.assert_allclose(figures["slope"], [view["calibration_slope"] for view in views], rtol=1e-5)
        risk, hits = entry["curves"]["reliability"]["mean_risk"], entry["curves"]["hit_rate"]["events"]
        assert risk == sorted(risk)
        assert (hits[0], len(hits)) == (0, N + 1)
        assert hits[-1] == pytest.approx(1)


def test_differences_are_paired_and_tested_in_every_view(result: dict) -> None:
    entries = result["forecasters"]
    pair = result["differences"]["rolling_climatology - last_week"]
    better, worse = entries["rolling_climatology"], entries["last_week"]
    for found, one, other in (
        (pair["poisson_deviance"], better, worse),
        *(
            (pair[group][name]["poisson_deviance"], better[group][name], worse[group][name])
            for group in ("by_category", "by_horizon", "by_issue_hour", "by_area")
            for name in better[group]
        ),
    ):
        assert found["estimate"] == pytest.approx(one["poisson_deviance"] - other["poisson_deviance"], abs=1e-7)
        assert found["low"] <= found["estimate"] <= found["high"]
        assert (found["diebold_mariano"] < 0) == (found["estimate"] < 0)
        assert 0 <= found["p_value"] <= 1
    assert pair["poisson_deviance"]["high"] < 0
    assert pair["poisson_deviance"]["p_value"] < 0.01


def test_the_result_is_json_and_a_table(result: dict) -> None:
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    head, _, columns, _, *lines = as_markdown(result).splitlines()
    assert "2 folds of 10 test days, 2024-03-01 – 2024-03-21" in head
    assert "00:00, 07:00 UTC" in head
    assert {len(line) for line in (columns, *lines)} == {len(columns)}
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[0] for row in cells] == [kind.name for kind in KINDS]
    assert cells[0][2] == ""
    assert cells[1][2].startswith(
        f"{1e3 * result['differences']['rolling_climatology - hexagon_mean']['poisson_deviance']['estimate']:+.3f} ["
    )
    rows = as_csv(result).splitlines()
    assert len(rows) == 4
    assert rows[0].startswith("forecaster,events,average_precision,")
    assert "poisson_deviance_p_value" in rows[0]
