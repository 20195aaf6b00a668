"""The published metrics by hand, and, where the data is present, to the digit."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from stforecast.config import load
from stforecast.scoring.bootstrap import day_weights

ROOT = Path(__file__).resolve().parents[2]
FOLDER, DATA = ROOT / "scripts/reality_check", ROOT / "../shared/data/benchmarks"
sys.path.append(str(FOLDER))

import gsnet as gsnet_script  # noqa: E402
import metrics  # noqa: E402
import sthsl as sthsl_script  # noqa: E402
import table  # noqa: E402

needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the folder shared/data/benchmarks beside the repository is absent"
)


def test_recall_and_map_count_the_top_k_of_each_hour() -> None:
    y = np.array([[1, 0, 2, 0, 3], [0, 0, 0, 0, 4], [0, 1, 0, 0, 0]], float)
    mask = np.array([True, True, True, True, False])
    score = np.array([[0.1, 0.9, 0.5, 0.2, 9], [1, 2, 3, 4, 5], [7, 7, 1, 0, 0]], float)
    found = metrics.gsnet(score, y, mask, np.array([0, 0, 1]))
    # hour 0: k = 2, top cells 1 and 2, one hit at place 2. Hour 1: no scored cell. Hour 2: of a tie the lower cell.
    assert found["recall %"].value == pytest.approx(100 * 1 / 3)
    assert found["MAP"].value == pytest.approx((0.5 / 2 + 0 + 0) / 3)
    assert metrics.gsnet(y, y, mask, np.zeros(3, int))["recall %"].value == 100


def test_rmse_looks_at_accidents_alone_and_is_blown_up() -> None:
    y = np.array([[2.0, 0, 0, 5], [0, 1, 0, 0]])
    point = np.array([[1.0, 9, 9, 9], [9, 3, 9, 9]])
    mask = np.array([True, True, True, False])
    found = metrics.gsnet_rmse(point, y, mask, np.array([0, 1]))
    assert found.value == pytest.approx(np.sqrt((1 + 4) / 2) * np.sqrt(8 / 2))


def test_false_alarms_are_free_for_sthsl_and_not_over_all_cells() -> None:
    y, day = np.array([[[2, 0]], [[0, 4]]]), np.array([0, 1])
    careful, alarmed = np.array([[[3.0, 0]], [[0, 2]]]), np.array([[[3.0, 50]], [[50, 2]]])
    for point in (careful, alarmed):
        found = metrics.positive(point, y, day)
        assert found["MAE"].value == pytest.approx((1 + 2) / 2)
        assert found["MAPE"].value == pytest.approx((1 / 2 + 2 / 4) / 2)
    honest, lost = metrics.everywhere(careful, y, day), metrics.everywhere(alarmed, y, day)
    assert honest["MAE"].value == pytest.approx(3 / 4)
    assert all(lost[key].value > honest[key].value for key in honest)
    floored = np.maximum(careful, 1e-4)
    assert honest["NLL"].value == pytest.approx(-poisson.logpmf(y, floored).mean())


@given(st.floats(1e-6, 25))
def test_points_given_an_event_are_the_best_ones(lam: float) -> None:
    counts = np.arange(1, 100)
    chance = poisson.pmf(counts, lam)
    error = np.abs(counts[:, None] - counts)
    value = np.array([lam])
    for point, cost in (
        (metrics.median_given_some(value), chance @ error),
        (metrics.relative_median_given_some(value), chance @ (error / counts[:, None])),
    ):
        assert cost[int(point[0]) - 1] <= cost.min() * (1 + 1e-9)
    assert metrics.mean_given_some(value)[0] == pytest.approx(chance @ counts / chance.sum(), rel=1e-6)


def test_draws_are_the_metric_on_the_days_drawn() -> None:
    rng = np.random.default_rng(0)
    y, score, mask = rng.poisson(0.3, (48, 6)).astype(float), rng.random((48, 6)), np.ones(6, bool)
    day = np.arange(48) // 12
    weights = day_weights(4, draws=3, block_days=1)
    for key, draws in {k: m.draws(weights).values for k, m in metrics.gsnet(score, y, mask, day).items()}.items():
        for weight, value in zip(weights.astype(int), draws, strict=True):
            hours = np.concatenate([np.flatnonzero(day == d) for d in np.repeat(np.arange(4), weight)])
            again = metrics.gsnet(score[hours], y[hours], mask, np.zeros(len(hours), int))
            assert value == pytest.approx(again[key].value)


def test_table_pairs_rows_and_keeps_published_numbers() -> None:
    day, y = np.arange(20), np.random.default_rng(1).poisson(1.0, (20, 5)).astype(float)
    rows = {
        "a": metrics.everywhere(y + 1, y, day),
        "b": metrics.everywhere(y + 2, y, day),
        "published": {"MAE": 0.5},
    }
    result = table.measured(rows, 20, 7, against="a")
    assert result["b"]["MAE"]["difference"] == pytest.approx({"low": 1, "estimate": 1, "high": 1})
    assert result["published"] == {"MAE": {"estimate": 0.5}}
    assert "| published |" in table.markdown(result, "a")


@needs_data
def test_gsnet_figures_to_the_digit() -> None:
    benchmark = gsnet_script.Benchmark.read(str(DATA / "gsnet_chicago.npz"))
    split = benchmark.split()
    issues = split.issues("test")
    assert len(issues) == 495
    assert (split.train_end, split.validation_end, split.steps) == (3499, 4665, 5832)
    truth, day = benchmark.risk[issues], issues // 24 - issues[0] // 24

    def of(mean: np.ndarray) -> tuple[float, ...]:
        found = gsnet_script.scores(np.broadcast_to(mean, truth.shape), truth, benchmark.mask, day)
        return tuple(found[key].value for key in ("RMSE", "recall %", "MAP", "all-cell RMSE"))

    near = {"abs": 0.006, "rel": 1e-9}
    assert of(benchmark.predictions["GSNet, stored"])[:2] == pytest.approx((10.86, 19.80), **near)
    assert of(benchmark.predictions["GSNet, stored"])[2:] == pytest.approx((0.0843, 0.392), abs=6e-4)
    assert of(benchmark.risk[: split.train_end].mean(0))[:2] == pytest.approx((13.39, 21.05), **near)
    assert of(benchmark.risk[: issues[0]].mean(0))[:2] == pytest.approx((13.33, 21.71), **near)
    assert of(benchmark.risk[: issues[0]].mean(0))[2:] == pytest.approx((0.1033, 0.326), abs=6e-4)


@needs_data
def test_sthsl_figures_to_the_digit() -> None:
    benchmark = sthsl_script.Benchmark.read(str(DATA / "sthsl_chicago.npz"))
    plain = load(FOLDER / "sthsl.yaml", ["evaluation.forecasters=[hexagon_mean]"])
    found, days = sthsl_script.rows(benchmark, plain, "test")
    assert days == 92
    expected = {
        "constant 1": (1.457, 0.364),
        "median of the days with an offence": (0.937, 0.423),
        sthsl_script.MEAN: (1.078, 0.518),
    }
    for name, (mae, mape) in expected.items():
        assert found[name]["MAE, y > 0"].value == pytest.approx(mae, abs=6e-4)
        assert found[name]["MAPE, y > 0"].value == pytest.approx(mape, abs=6e-4)
    honest = [found[sthsl_script.MEAN][f"all-cell {key}"].value for key in ("MAE", "RMSE", "NLL")]
    assert honest == pytest.approx([0.4055, 0.894, 0.582], abs=6e-4)
    assert found["mean × weekday × city's level"]["all-cell NLL"].value == pytest.approx(0.577, abs=2e-3)
