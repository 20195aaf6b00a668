"""Forecasts made in advance against what came: which of them count, and how they did by month and in all.

A forecast is made in advance where it was written before its first step was over; any other is back-dated, and never
scored. A first step that had begun at the writing of any forecast of a model is scored of none. Every step is scored
once: of forecasts that overlap the earlier one counts, and of one issue time the one that was written first. They are
scored when their steps are settled: the record holds them, and at its end more than SETTLED of the reports of each
category had come in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from stforecast.config.sections import Unit
from stforecast.cube import Cube
from stforecast.cube.steps import Step
from stforecast.evaluation.differences import Sample, differences
from stforecast.evaluation.scorecard import finite
from stforecast.features.delay import SETTLED, arrived, windows
from stforecast.scoring.bootstrap import Blocks, interval, ratio_draws
from stforecast.scoring.consistency import likelihood_test, number_test
from stforecast.scoring.metrics import score

SCORED, BACK_DATED, OVERLAPPING = "scored", "back-dated", "overlapping"
WAITING, UNRECORDED = "waiting", "not recorded"
"""What becomes of a forecast; `scored` only where its hours are settled and were recorded."""
USUAL = "rolling_climatology"


def choose(issued: pd.DatetimeIndex, written: pd.DatetimeIndex, step: Step, steps: int) -> tuple[np.ndarray, int]:
    """Which forecasts of one model count, by the times of their issue and writing alone.

    Args:
        issued: issue times, [m].
        written: when each was put on record, [m].
        step: what a step of theirs is.
        steps: that each covers.

    Returns:
        SCORED, BACK_DATED or OVERLAPPING of each, [m]; and how many of their first steps are not scored, 0 or 1.
    """
    begun = np.array([_begun(step, at, by) for at, by in zip(issued, written, strict=True)], np.int64)
    ahead = begun <= min(1, steps - 1)
    skipped = int(begun[ahead].max(initial=0))
    out, free = np.where(ahead, OVERLAPPING, BACK_DATED).astype(object), pd.Timestamp.min.tz_localize("UTC")
    for i in np.lexsort([written, issued]):
        first, end = step.times(issued[i], [skipped, steps])
        if ahead[i] and first >= free:
            out[i], free = SCORED, end
    return out, skipped


def _begun(step: Step, issued: pd.Timestamp, written: pd.Timestamp) -> int:
    """How many steps of a forecast had begun when it was written."""
    if written <= issued:
        return 0
    held = int(step.since(issued, [written])[0])
    return held + int(step.times(issued, [held])[0] < written)


def settle(cube: Cube, issues: np.ndarray, steps: int, known_before: int | None = None) -> np.ndarray:
    """SCORED, WAITING or UNRECORDED of forecasts of `steps` steps from the issue steps on, [m].

    By what is known at the end of the record, or was before the step `known_before`.
    """
    end = cube.steps if known_before is None else min(cube.steps, known_before)
    out, held = np.full(len(issues), WAITING, object), (issues >= 0) & (issues + steps <= end)
    share = arrived(cube, 0, end, end).min(1)
    out[held] = np.where((windows(share, issues[held], steps) > SETTLED).all(1), SCORED, WAITING)
    masked = cube.masked_before() if known_before is None else cube.masked_before(known_before)
    if masked is not None:
        out[held] = np.where(windows(masked.any(1), issues[held], steps).any(1), UNRECORDED, out[held])
    return out


def by_month(
    name: str,
    lam: np.ndarray,
    usual: np.ndarray,
    counts: np.ndarray,
    months: Sequence[str],
    areas: np.ndarray,
    patrol_area: float,
    seed: int,
    unit: Unit = "hour",
) -> dict[str, Any]:
    """How the forecasts of a model did in all, and under `months` in each month.

    Args:
        name: of the forecaster.
        lam: λ [m k n c], in the order of time.
        usual: what the rolling climatology had for the same, [m k n c].
        counts: reports [m k n c].
        months: of each forecast, [m].
        areas: km² [n].
        patrol_area: km².
        seed: of all draws.
        unit: of a step.

    Returns:
        The metrics of the scorecard, `intervals` of some with their number of `blocks`, `differences` to the rolling
        climatology, and `consistency`.
    """

    def entry(rows: np.ndarray) -> dict[str, Any]:
        one, came = lam[rows], counts[rows]
        blocks = Blocks.of(len(rows), unit, lam.shape[1])
        weights = blocks.weights(len(rows), seed)
        samples = {name: Sample.of(one, came, weights), USUAL: Sample.of(usual[rows], came, weights)}
        expected, reported = (values.sum((1, 2, 3), dtype=np.float64) for values in (one, came))
        draws = {**samples[name].draws, "reported_to_expected": ratio_draws(reported, expected, weights)}
        return {
            "forecasts": len(rows),
            "expected": float(expected.sum()),
            **score(one, came, None, areas, patrol_area),
            "blocks": blocks.count,
            "block": blocks.name,
            "intervals": {key: asdict(interval(values)) for key, values in draws.items()},
            "differences": differences(samples, blocks),
            "consistency": consistency(one, came, seed),
        }

    month = np.asarray(months)
    each = {str(one): entry(np.flatnonzero(month == one)) for one in pd.unique(month)}
    return finite({**entry(np.arange(len(lam))), "months": each})


def consistency(lam: np.ndarray, counts: np.ndarray, seed: int) -> dict[str, dict[str, float]]:
    """The consistency tests of forecasts taken together: λ, counts [m k n c]."""
    by_place, came = lam.sum((0, 1, 3), dtype=np.float64), counts.sum((0, 1, 3), dtype=np.int64)
    return {
        "number": number_test(float(by_place.sum()), int(came.sum())),
        "space": likelihood_test(by_place, came, seed=seed),
        "conditional_likelihood": likelihood_test(lam, counts, seed=seed),
    }
