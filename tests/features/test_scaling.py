"""Scales come back from a file as they were, or not at all."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from stforecast.features.scaling import Scales, Standard

SCALES = Scales(0.5, Standard(["temperature"], [10.25], [4.5]), Standard([], [], []), 480)


def test_scales_come_back() -> None:
    assert Scales.from_dict(asdict(SCALES)) == SCALES


@pytest.mark.parametrize(
    "values",
    [
        *({"rate": None}, {"rate": [1]}, {"rate": -1}, {"rate": float("inf")}, {"until": {}}, {"until": -1}),
        *({"weather": []}, {"weather": {"names": 3, "mean": [1], "spread": [1]}}),
        *({"weather": {"names": ["a"], "mean": [1, 2], "spread": [1, 2]}},),
        *({"weather": {"names": ["a"], "mean": ["x"], "spread": [1]}},),
        *({"weather": {"names": ["a"], "mean": [1], "spread": [0]}},),
    ],
)
def test_what_are_no_scales_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Scales.from_dict({**asdict(SCALES), **values})
