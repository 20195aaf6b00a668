"""The comparison on a tiny city whose intensity is known: who wins, what calibration may see, what the card says."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stforecast.config import Config, parse
from stforecast.cube import Cube
from stforecast.cube.holes import Gap
from stforecast.errors import ArtefactError, ConfigError
from stforecast.evaluation.differences import Sample
from stforecast.evaluation.predictions import kept_predictions, predictions
from stforecast.evaluation.scorecard import Scorecard, evaluate, score
from stforecast.features.delay import windows
from stforecast.features.targets import known_share, outcomes, scored
from stforecast.files import read_json, write_json
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.climatology import RollingClimatology
from stforecast.pipeline.run import Run
from stforecast.scoring.calibration import fit_calibration
from stforecast.scoring.metrics import poisson_deviance
from stforecast.scoring.splits import Split, make_split

N, C, DAYS = 12, 2, 80
STEPS = 24 * DAYS
RING = np.array([[i for i in range(N) for _ in range(2)], [(i + d) % N for i in range(N) for d in (-1, 1)]])
CONFIG: Config = parse({"city": "tiny"}, "test")


def truth() -> np.ndarray:
    """λ [t n c]: hexagons differ, and so do the hours of the day."""
    place = np.linspace(0.2, 3.0, N)[:, None] * np.array([1.0, 0.5])
    hour = 1 + 0.8 * np.cos(2 * np.pi * np.arange(STEPS) / 24)
    return (0.1 * hour[:, None, None] * place).astype(np.float32)


@pytest.fixture(scope="module")
def cube() -> Cube:
    """Counts drawn from `truth`; a third of the events become known one to 100 hours late."""
    generator = np.random.default_rng(0)
    dense = Cube.from_dense(generator.poisson(truth()), edge_index=RING, name="tiny", start="2024-01-01")
    late = generator.integers(1, 101, dense.hour.size) * (generator.random(dense.hour.size) < 1 / 3)
    rest = {key: getattr(dense, key) for key in ("name", "start", "steps", "categories", "hexagons", "edges")}
    return Cube.from_events(
        dense.hour, dense.hexagon, dense.category, dense.hour + late, weight=dense.weight, **rest, time_zone="UTC"
    )


@pytest.fixture(scope="module")
def split() -> Split:
    return make_split(STEPS, 24, 0, 0.6, 0.2, 24, 24, lambda date: 0)


class Hand(Forecaster):
    """Gives what it is told: λ [t n c]."""

    def __init__(self, told: np.ndarray, name: str = "hand") -> None:
        super().__init__(CONFIG)
        self.told, self.name = told.astype(np.float32), name  # type: ignore[misc]

    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        return windows(self.told, issues, cube.horizons)


@pytest.fixture(scope="module")
def fitted(cube: Cube, split: Split) -> dict[str, Forecaster]:
    flat = np.broadcast_to(truth().mean((0, 1)), (STEPS, N, C))
    backwards = truth()[:, ::-1]
    hands = {"knows": truth(), "biased": 3 * truth(), "flat": flat, "backwards": backwards}
    return {name: Hand(told, name).fit(cube, split) for name, told in hands.items()}


def scored_card(cube: Cube, split: Split, fitted: dict[str, Forecaster]) -> Scorecard:
    return evaluate(cube, split, [*fitted.values()], patrol_area_km2=2.0)


@pytest.fixture(scope="module")
def result(cube: Cube, split: Split, fitted: dict[str, Forecaster]) -> Scorecard:
    return scored_card(cube, split, fitted)


@pytest.fixture(scope="module")
def card(result: Scorecard) -> dict:
    return {**result.values}


def test_who_knows_wins(card: dict) -> None:
    entries = card["forecasters"]
    order = sorted(entries, key=lambda name: entries[name]["poisson_deviance"])
    assert set(order[:2]) == {"knows", "biased"}
    assert order[2:] == ["flat", "backwards"] or order[2:] == ["backwards", "flat"]
    for other in ("flat", "backwards"):
        for better, sign in (("average_precision", 1), ("roc_auc", 1), ("hit_rate_10", 1), ("log_loss", -1)):
            assert sign * entries["knows"][better] > sign * entries[other][better]


def test_forecasters_are_scored_as_the_field_uses_them(
    cube: Cube, split: Split, fitted: dict[str, Forecaster], card: dict
) -> None:
    """What a forecaster gives is scored as it is: three times too much stays that."""
    plain = evaluate(cube, split, [*fitted.values()], patrol_area_km2=2.0, calibrated=False).values
    entries, usual = plain["forecasters"], card["forecasters"]
    assert entries["biased"]["bias"] == pytest.approx(3 * entries["knows"]["bias"])
    assert usual["biased"]["bias"] == pytest.approx(usual["knows"]["bias"], rel=0.02)
    counts, lam = outcomes(cube, split, "test"), windows(3 * truth(), scored(cube, split, "test"), cube.horizons)
    assert entries["biased"]["poisson_deviance"] == pytest.approx(poisson_deviance(lam, counts), rel=1e-5)
    assert not {"f1", "coverage"} & {*entries["knows"]}
    assert {"f1", "coverage"} <= {*usual["knows"]}


def test_differences_are_the_first_minus_the_others(card: dict) -> None:
    assert list(card["differences"]) == ["knows - biased", "knows - flat", "knows - backwards"]
    for pair, metrics in card["differences"].items():
        other = card["forecasters"][pair.removeprefix("knows - ")]
        for key, interval in metrics.items():
            assert interval["low"] <= interval["estimate"] <= interval["high"]
            assert interval["estimate"] == pytest.approx(card["forecasters"]["knows"][key] - other[key], abs=1e-6)
    for key, sign in (("average_precision", 1), ("poisson_deviance", -1), ("log_loss", -1)):
        interval = card["differences"]["knows - flat"][key]
        assert sign * interval["low"] > 0
        assert sign * interval["high"] > 0


def test_several_issues_of_a_day_are_one_daily_loss() -> None:
    rng, day = np.random.default_rng(0), np.repeat(np.arange(5), [2, 1, 3, 2, 2])
    lam = rng.gamma(1, 0.1, (day.size, 24, N, C)).astype(np.float32)
    y = rng.poisson(lam)
    risk, event = -np.expm1(-lam.sum(3, dtype=np.float64)), y.sum(3) > 0  # of any category
    losses = -np.where(event, np.log(risk), np.log1p(-risk)).mean((1, 2))
    weights = np.ones((1, day.size))
    found = Sample.of(lam, y, weights, day).daily["log_loss"]
    np.testing.assert_allclose(found, [losses[day == d].mean() for d in range(5)], rtol=1e-5)
    np.testing.assert_allclose(Sample.of(lam, y, weights).daily["log_loss"], losses, rtol=1e-5)


def test_calibration_takes_a_bias_away(fitted: dict[str, Forecaster], card: dict) -> None:
    intercept = fitted["biased"].fitted.calibration.intercept
    np.testing.assert_allclose(intercept, -np.log(3), atol=0.3)
    assert card["forecasters"]["biased"]["bias"] == pytest.approx(1, abs=0.1)
    assert card["forecasters"]["knows"]["calibration_slope"] == pytest.approx(1, abs=0.15)


def test_the_card_counts_the_final_events_of_the_test_slice_and_is_json(cube: Cube, split: Split, card: dict) -> None:
    issues = split.issues("test")
    inside = (cube.hour >= issues[0]) & (cube.hour < issues[-1] + 24)
    assert card["events"] == cube.weight[inside].sum()
    assert json.loads(json.dumps(card, allow_nan=False)) == card
    assert card["split"]["test"].startswith(cube.time_of(split.test_start).isoformat())


def test_whole_days_are_covered_and_hot_ones_foreseen(cube: Cube, card: dict) -> None:
    for name, entry in card["forecasters"].items():
        for view in (entry, *entry["by_category"].values()):
            assert view["coverage"] > 0.8
            assert 0 < view["hot_label_share"] < 0.3
            assert 0 <= view["hot_label_recall"] <= 1
        wider = {view["interval_width"] for view in entry["by_category"].values()}
        assert max(wider) < entry["interval_width"]
        if name != "knows":
            knows = card["forecasters"]["knows"]
            assert knows["hot_label_average_precision"] >= entry["hot_label_average_precision"] - 0.02
    assert card["forecasters"]["knows"]["interval_width"] < card["forecasters"]["backwards"]["interval_width"]


def test_a_run_keeps_what_was_fitted_and_says_so_where_an_older_one_did_not(
    cube: Cube, split: Split, tmp_path: Path
) -> None:
    fitted, run = RollingClimatology(CONFIG).fit(cube, split), Run(tmp_path)
    fitted.save(run.place("rolling_climatology"))
    found = run.open("rolling_climatology", CONFIG)
    assert found.fitted == fitted.fitted
    assert found.forecast(cube, split.issues("test")[:1]).spreads == fitted.fitted.spreads
    path = tmp_path / "rolling_climatology" / "calibration.json"
    write_json(path, {key: value for key, value in read_json(path).items() if key != "joint"})
    assert run.open("rolling_climatology", CONFIG).fitted.joint == {}  # as of before there was any
    write_json(path, {key: value for key, value in read_json(path).items() if key != "spreads"})
    with pytest.raises(ArtefactError, match=r"another version.*stforecast train"):
        run.open("rolling_climatology", CONFIG)


def test_a_category_without_events_has_no_figure(cube: Cube, split: Split) -> None:
    one = cube.with_events(cube.category == 0)
    result = evaluate(one, split, [Hand(truth(), "knows")])
    found = result.values
    assert found["forecasters"]["knows"]["by_category"]["category_1"]["average_precision"] is None
    assert found["differences"] == {}
    assert "knows" in str(result)


def test_skill_runs_from_rolling_climatology_to_the_oracle(
    cube: Cube, split: Split, fitted: dict[str, Forecaster]
) -> None:
    limit, issues = windows(truth(), split.issues("test"), 24), split.issues("test")
    among = {"rolling_climatology": fitted["flat"], "knows": fitted["knows"]}
    fits = {name: one.fitted for name, one in among.items()}
    lam = {name: one.forecast(cube, issues).intensity for name, one in among.items()}
    found = score(cube, split, fits, lam, oracle=limit).forecasters
    assert found["rolling_climatology"]["skill"] == 0
    assert found["knows"]["skill"] == pytest.approx(1, abs=0.05)


def test_what_is_kept_is_not_forecast_again(cube: Cube, split: Split, tmp_path: Path) -> None:
    class Counted(Hand):
        asked = 0

        def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
            Counted.asked += 1
            return super().intensity(cube, issues)

    one = {"hand": Counted(truth()).fit(cube, split)}
    before, said = Counted.asked, []

    def found_or_made() -> np.ndarray:
        return predictions(cube, split, one, folder=lambda name: tmp_path / name, say=said.append)["hand"]

    found = [found_or_made().copy() for _ in range(2)]  # the file is to be damaged in its place
    assert Counted.asked == before + 1
    np.testing.assert_array_equal(*found)
    np.testing.assert_array_equal(found[0], one["hand"].forecast(cube, scored(cube, split, "test")).intensity)
    values = (tmp_path / "hand/intensity.npy").read_bytes()
    (tmp_path / "hand/intensity.npy").write_bytes(values[:-1] + bytes([values[-1] ^ 64]))
    with pytest.raises(ArtefactError, match=r"intensity\.npy: damaged"):
        kept_predictions(tmp_path / "hand")
    np.testing.assert_array_equal(found_or_made(), found[0])
    assert Counted.asked == before + 3  # with the forecast above
    assert [line[:16] for line in said] == ["making it again:"]


def test_the_frames_of_a_scorecard(result: Scorecard, card: dict) -> None:
    table, pairs = result.table(), result.differences()
    assert table.loc["knows", "average_precision"] == card["forecasters"]["knows"]["average_precision"]
    assert table["average_precision"].is_monotonic_decreasing
    assert table.loc["flat", "reported_to_expected"] == pytest.approx(1 / card["forecasters"]["flat"]["bias"])
    row = pairs[(pairs["pair"] == "knows - flat") & (pairs["metric"] == "poisson_deviance")].iloc[0]
    assert row["high"] == card["differences"]["knows - flat"]["poisson_deviance"]["high"]
    assert len(result.plot().axes[0].get_yticklabels()) == 3
    with pytest.raises(ArtefactError, match="no differences in 'brier'"):
        result.plot("brier")


def test_the_table_has_a_line_a_forecaster_best_first(result: Scorecard, card: dict) -> None:
    lines = str(result).splitlines()
    assert "known_time" in lines[0]
    names = [line.split()[0] for line in lines[2:6]]
    found = [card["forecasters"][name]["average_precision"] for name in names]
    assert found == sorted(found, reverse=True)
    assert [line.split(":")[0] for line in lines[6:]] == list(card["differences"])


@pytest.mark.parametrize(("days", "blocks"), [(5, 1), (7, 1), (10, 2)])
def test_a_test_slice_of_one_block_has_no_interval(
    cube: Cube, split: Split, fitted: dict[str, Forecaster], days: int, blocks: int
) -> None:
    short = replace(split, steps=split.test_start + 24 * days)
    result = scored_card(cube, short, fitted)
    found = result.values
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["blocks"] == blocks
    for metrics in found["differences"].values():
        for interval in metrics.values():
            assert interval["blocks"] == blocks
            assert isinstance(interval["estimate"], float)
            bounds = [interval[key] for key in ("low", "high", "diebold_mariano", "p_value") if key in interval]
            assert [bound is None for bound in bounds] == [blocks == 1] * len(bounds)
    lines = str(result).splitlines()[-3:]
    for line in lines:
        said = "one week: no interval" if blocks == 1 else "95 % intervals from 2 weeks, too few to be trusted"
        assert line.endswith(f"({said})")
        assert ("[" in line) == ("DM p" in line) == (blocks > 1)


def test_outcomes_are_those_known_by_the_end_of_the_slice(cube: Cube, split: Split) -> None:
    end = split.validation_end
    known = cube.with_events(cube.known_hour < end)
    np.testing.assert_array_equal(outcomes(cube, split, "validation"), outcomes(known, split, "validation"))
    final = windows(cube.dense(0, end).numpy(), split.issues("validation"), 24)
    assert outcomes(cube, split, "validation").sum() < final.sum()
    assert outcomes(cube, split, "test").sum() == windows(cube.dense().numpy(), split.issues("test"), 24).sum()


def without_later_reports(cube: Cube, end: int) -> Cube:
    return cube.with_events(cube.known_hour < end)


def with_other_later_reports(cube: Cube, end: int) -> Cube:
    """What became known from `end` on: elsewhere, of the other category, and more of it."""
    later = cube.known_hour >= end
    return replace(
        cube,
        hexagon=np.where(later, N - 1 - cube.hexagon, cube.hexagon),
        category=np.where(later, 1 - cube.category, cube.category),
        weight=np.where(later, 5 * cube.weight, cube.weight),
    )


@pytest.mark.parametrize("change", [without_later_reports, with_other_later_reports])
@pytest.mark.parametrize("forecaster", [lambda: Hand(2 * truth()), lambda: RollingClimatology(CONFIG)])
def test_calibration_and_thresholds_see_no_report_after_validation(
    cube: Cube, split: Split, forecaster: Callable[[], Forecaster], change: Callable[[Cube, int], Cube]
) -> None:
    changed = change(cube, split.validation_end)
    assert changed.hour.size != cube.hour.size or (changed.weight != cube.weight).any()
    first, second = (forecaster().fit(one, split).fitted for one in (cube, changed))
    assert first == second
    for fitted in (first.thresholds, first.hot_thresholds, first.spreads):
        assert set(fitted) == {"all", *cube.categories}


def test_reports_that_are_still_to_come_do_not_pull_the_calibration_down(cube: Cube, split: Split) -> None:
    """A third of the last days' events is not known yet; the truth is still called right."""
    calibration = Hand(truth()).fit(cube, split).fitted.calibration
    level = calibration.apply(np.full((1, C), 0.1, np.float32))
    np.testing.assert_allclose(level, 0.1, rtol=0.1)


def test_where_no_day_is_settled_all_are_held_to_the_share_that_is_known(cube: Cube, split: Split) -> None:
    """Two thirds of the reports take 30 days, longer than the slice; the counts are Poisson about what is known."""
    rest = {key: getattr(cube, key) for key in ("name", "start", "steps", "categories", "hexagons", "edges", "weight")}
    known = cube.hour + 30 * 24 * (np.arange(cube.hour.size) % 3 > 0)
    late = Cube.from_events(cube.hour, cube.hexagon, cube.category, known, **rest, time_zone="UTC")
    spreads = Hand(truth()).fit(late, split).fitted.spreads
    assert all(spread.dispersion < 0.1 for spread in spreads.values())


def test_days_that_are_still_reported_do_not_narrow_the_intervals(cube: Cube, split: Split) -> None:
    """Eight of the sixteen days are unknown at the end of the slice: spreads and thresholds are those of the others."""
    rest = {key: getattr(cube, key) for key in ("name", "start", "steps", "categories", "hexagons", "edges", "weight")}
    whole, fitted = (
        Hand(truth())
        .fit(Cube.from_events(cube.hour, cube.hexagon, cube.category, cube.hour + late, **rest, time_zone="UTC"), split)
        .fitted
        for late in (0, 8 * 24)
    )
    expected = truth().reshape(DAYS, 24, N, C).sum((1, 3))
    low, high = fitted.spreads["all"].interval(expected)
    reference = whole.spreads["all"].interval(expected)
    assert (high - low).mean() == pytest.approx((reference[1] - reference[0]).mean(), rel=0.15)
    assert fitted.thresholds["all"] == pytest.approx(whole.thresholds["all"], rel=0.3)


def test_masked_days_are_not_scored(cube: Cube, split: Split, fitted: dict[str, Forecaster]) -> None:
    issues = split.issues("test")
    gap = Gap(int(issues[3]) + 30, int(issues[6]), 1)  # from within a day on
    silent = replace(cube, gaps=(gap,))
    kept = [i for i in range(len(issues)) if i not in (4, 5)]
    assert scored(silent, split, "test").tolist() == issues[kept].tolist()
    found = scored_card(silent, split, fitted)
    card = found.values
    assert card["events"] == outcomes(cube, split, "test")[kept].sum()
    hours = (gap.last - gap.first) / (split.steps - split.test_start) / cube.c
    assert card["masked"] == {"issues": pytest.approx(2 / len(issues)), "hours": pytest.approx(hours)}
    assert str(found).splitlines()[1].startswith("not recorded: ")
    assert "not recorded: " not in str(scored_card(cube, split, fitted))
    everything = replace(cube, gaps=(Gap(split.test_start, cube.steps),))
    with pytest.raises(ConfigError, match="every day of the test slice"):
        scored(everything, split, "test")


def test_masked_days_are_not_calibrated_on(cube: Cube, split: Split) -> None:
    first = int(split.issues("validation")[2])
    gap = Gap(first, first + 72)
    silent = replace(cube.with_events((cube.hour < gap.first) | (cube.hour >= gap.last)), gaps=(gap,))
    kept = np.r_[0:2, 5 : len(split.issues("validation"))]
    lam, counts = windows(truth(), split.issues("validation")[kept], 24), outcomes(cube, split, "validation")[kept]
    found = Hand(truth()).fit(silent, split).fitted.calibration
    assert found == fit_calibration(lam, counts, known_share(silent, split))
