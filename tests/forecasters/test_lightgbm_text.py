"""Our reading of LightGBM's text gives what LightGBM gives, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from stforecast.forecasters.trees import lightgbm_text
from stforecast.forecasters.trees.lightgbm_text import LightGBMTrees
from stforecast.forecasters.trees.pooled import TREES
from stforecast.forecasters.weights import SHIPPED

lightgbm = pytest.importorskip("lightgbm", reason="needs the extra trees")


def grown(leaves: int, rounds: int = 8, missing: bool = True, size: int = 4000, **settings: float) -> str:
    """Trees of columns with and without NaN, with zeros, ties and one that never differs."""
    rng = np.random.default_rng(leaves)
    rows = rng.normal(size=(size, 6)).astype(np.float32)
    rows[:, 1] = np.round(rows[:, 1])
    rows[:, 2], rows[:, 3] = 3.0, np.where(rng.random(size) < 0.5, 0, rows[:, 3])
    target = np.exp(rows[:, 0] * rows[:, 1] - (rows[:, 4] > 0.3)) + (rows[:, 5] > 1)
    if missing:
        rows[rng.random(size) < 0.3, 4], rows[rng.random(size) < 0.1, 5] = np.nan, np.nan
    given = {"objective": "poisson", "num_leaves": leaves, "min_data_in_leaf": 2, "verbosity": -1, "num_threads": 1}
    return lightgbm.train(given | settings, lightgbm.Dataset(rows, target), rounds).model_to_string()


def asked(trees: LightGBMTrees, size: int) -> np.ndarray:
    """Rows with missing values, zeros, and values at and about every threshold: float32 [r f]."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(size, len(trees.names))).astype(np.float32)
    rows[rng.random(rows.shape) < 0.1], rows[rng.random(rows.shape) < 0.05] = np.nan, 0
    for column in range(rows.shape[1]):
        edges = trees.threshold[trees.column == column]
        edges = np.concatenate([edges, np.nextafter(edges, np.float32(np.inf)), np.nextafter(edges, np.float32(-9))])
        at = rng.random(size) < 0.7
        rows[at, column] = rng.choice(edges, at.sum()) if len(edges) else 1
    rows[rows == np.float32(-1e-35)] = 0  # which LightGBM takes for 0
    rows[:4] = np.array([np.nan, 0, np.inf, -np.inf], np.float32)[:size, None]
    return rows


def check(text: str, size: int = 700) -> None:
    trees = LightGBMTrees.of(text)
    rows = asked(trees, size)
    expected = lightgbm.Booster(model_str=text).predict(rows, raw_score=True, num_threads=1)
    np.testing.assert_array_equal(trees.margin(rows), expected)


@pytest.mark.parametrize("missing", [True, False])
@pytest.mark.parametrize("leaves", [2, 3, 31, 64, 300])
def test_the_sums_are_lightgbms(leaves: int, missing: bool) -> None:
    check(grown(leaves, missing=missing))


def test_the_shipped_trees_too() -> None:
    check((SHIPPED / TREES).read_text(), 3000)


def test_trees_without_a_split() -> None:
    check(grown(31, rounds=3, min_data_in_leaf=4000))
    check(grown(31, rounds=3, min_gain_to_split=900.0))


@pytest.mark.parametrize("size", [1, 63, 64, 65, 1000])
def test_any_number_of_rows_in_blocks_and_threads(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    text = grown(31)
    trees = LightGBMTrees.of(text)
    rows, whole = asked(trees, size), trees.margin(asked(trees, size))
    monkeypatch.setattr(lightgbm_text, "BLOCK_BYTES", 1)
    np.testing.assert_array_equal(trees.margin(rows, 2), whole)
    assert trees.margin(rows[:0]).shape == (0,)


def test_what_cannot_be_read_says_so() -> None:
    text = grown(31)
    with pytest.raises(ValueError, match="expected 6 columns, got 5"):
        LightGBMTrees.of(text).margin(np.zeros((2, 5), np.float32))
    lines = text.splitlines()
    left = next(i for i, line in enumerate(lines) if line.startswith("left_child"))
    for changed, match in [
        (text.partition("\nTree=5")[0], "trees are missing"),
        ("\n".join([*lines[:left], "left_child=0" + " 1" * 29, *lines[left + 1 :]]), "a tree is damaged"),
        (text.replace("split_feature=", "split_feature=7 ", 1), "splits are missing"),
        (text.replace("decision_type=2", "decision_type=1", 1), "numerical splits"),
        (text.replace("decision_type=2", "decision_type=6", 1), "numerical splits"),
    ]:
        with pytest.raises(ValueError, match=match):
            LightGBMTrees.of(changed)
