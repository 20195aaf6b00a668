"""What is known about a city and its categories at any issue, in numbers that mean the same in every city."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from stforecast.config.sections import KINDS
from stforecast.cube import Cube
from stforecast.features.delay import late
from stforecast.features.scaling import Scales

NUMBERS = ("age", "edge", "rate", "categories", "step", "late")
"""Numbers of scale, each about −1 … 1: recorded days before the issue that λ₀ rests on, length of a hexagon's edge,
events of a hexagon and day, categories, length of a step (all in logarithms), and whether reports come late."""
EDGE_KM = 0.53
"""Of a cell whose size is not known: H3 resolution 8."""


def of_city(cube: Cube, scales: Scales) -> Tensor:
    """What is known about city and category at any issue, [c x−1]: numbers of scale but the age, and the kinds."""
    fixed = [
        math.log(edge_km(cube) / EDGE_KM),
        (math.log(max(scales.rate, 1e-4)) + 1) / 2,
        math.log(cube.c) / 2,
        math.log(cube.step_hours) / 3,
        float(late(cube.inputs, scales.until)),
    ]
    kinds = np.zeros((cube.c, len(KINDS))) if cube.kinds is None else cube.kinds
    return torch.as_tensor(np.concatenate([np.tile(fixed, (cube.c, 1)), kinds], 1), dtype=torch.float32)


def edge_km(cube: Cube) -> float:
    """The edge of a regular hexagon of the mean area of the cells; EDGE_KM where they lie nowhere."""
    area = float(cube.hexagons["area_km2"].mean()) if "area_km2" in cube.hexagons else 0.0
    return math.sqrt(area * 2 / (3 * math.sqrt(3))) if np.isfinite(area) and area > 0 else EDGE_KM
