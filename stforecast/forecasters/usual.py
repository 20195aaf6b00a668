"""The rolling climatology's λ at any issues, without a forecaster: what all are held against beside their own days."""

from __future__ import annotations

import numpy as np

from stforecast.cube import Cube
from stforecast.features.climatology import ROLLING, Climatology
from stforecast.features.observed import by_agreement
from stforecast.features.stream import EventStream


def usual(cube: Cube, issues: np.ndarray, learned: int) -> np.ndarray:
    """λ₀ of the steps after issues, from what is known at each; not calibrated.

    Args:
        cube: the record.
        issues: ascending issue steps within it, [m].
        learned: the step whose record told delays and rhythms.

    Returns:
        float32 [m k n c].
    """

    def replayed(cube: Cube, issues: np.ndarray) -> np.ndarray:
        patch = min(cube.step.per_day, cube.horizons)
        climatology = Climatology(EventStream(cube, patch), ROLLING[cube.step_unit])
        out = np.zeros((len(issues), cube.horizons, cube.n, cube.c), np.float32)
        for phase in np.unique(issues % patch).tolist():
            state, first = climatology.learned_state(learned, phase), phase
            for place in np.flatnonzero(issues % patch == phase).tolist():
                issue = int(issues[place])
                first = climatology.advance(state, first, issue)
                out[place] = climatology.forecast(state, issue, cube.horizons).permute(1, 2, 0).numpy()
        return out

    return by_agreement(replayed, cube, issues)
