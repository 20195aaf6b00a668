"""Summary statistics of cities: 1 or 0 where events come by chance alone, and more where they do not."""

import sys
from pathlib import Path

import numpy as np
import pytest

from stforecast.cube import Cube

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from prior import DAYS, HEADS, figures

AT_NIGHT = np.where((np.arange(24) < 6) | (np.arange(24) >= 22), 3.0, 1.0)[:, None, None] / 40
EXPECTED = {"rate": 1, "gini": 0, "week": 0.6, "nights": 0, "dispersion": 1, "repeats": 1, "lag 1": 0, "change": 0}


def city(level: np.ndarray) -> dict[str, float]:
    """The figures of ten hexagons in a ring, with events by chance at a level of each day [d] or day and hexagon."""
    counts = np.random.default_rng(0).poisson(AT_NIGHT * level[:, None, :, None] * np.ones((24, 10, 1)))
    ring = np.arange(10)
    edges = np.stack([np.r_[ring, ring], np.r_[(ring + 1) % 10, (ring - 1) % 10]])
    cube = Cube.from_dense(counts.reshape(-1, 10, 1), edge_index=edges)
    return dict(zip(HEADS, figures(cube, ring, DAYS), strict=True))


def test_of_chance() -> None:
    found = city(np.ones((DAYS, 1)))
    for name, value in EXPECTED.items():
        assert found[name] == pytest.approx(value, abs=0.12), name
    assert found["busy"] == pytest.approx(1 - np.exp(-1), abs=0.02)


def test_of_a_city_that_changes() -> None:
    found = city(np.repeat(np.array([[0.2, 1.8], [1.8, 0.2]]), DAYS // 2, 0)[:, np.arange(10) % 2])
    assert found["change"] > 1
    assert found["repeats"] > 1.5
    together = city(np.repeat(np.array([[0.5], [1.5]]), DAYS // 2, 0))
    assert together["change"] < 0.2
    assert together["dispersion"] > 2
    assert together["lag 1"] > 0.5
