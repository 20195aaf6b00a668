"""The scorecard: every forecaster on the test slice, by the same metrics, with intervals on the differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from tqdm import tqdm

from stforecast.cube import Cube
from stforecast.evaluation.backtest import Fitted, outcomes
from stforecast.scoring.bootstrap import Draws, average_precision_draws, day_weights, difference, mean_draws
from stforecast.scoring.intensity import pool
from stforecast.scoring.metrics import daily_losses, poisson_deviance, scorecard_entry, skill
from stforecast.scoring.splits import Slice, Split

TABLE = {
    "average_precision": "AP",
    "roc_auc": "ROC AUC",
    "log_loss": "log loss",
    "brier": "Brier",
    "poisson_deviance": "deviance",
    "calibration_slope": "slope",
    "calibration_error": "cal. error",
    "pai_1": "PAI 1%",
    "pai_5": "PAI 5%",
    "hit_rate_5": "hit 5%",
    "f1": "F1",
    "skill": "skill",
}
"""Metrics of the printed table; the file holds all."""
COMPARED = ("average_precision", "poisson_deviance", "log_loss")


def scorecard(
    cube: Cube,
    split: Split,
    fitted: Mapping[str, Fitted],
    patrol_area: float,
    seed: int = 0,
    oracle: np.ndarray | None = None,
    which: Slice = "test",
) -> dict[str, Any]:
    """Score every fitted forecaster on a slice.

    oracle: λ [m k n c] that no forecast can beat, where the city is simulated; adds `skill`, the share of the way
    from rolling climatology (0) to the oracle (1) in deviance.
    """
    counts = outcomes(cube, split, which)
    areas = cube.hexagons["area_km2"].to_numpy(float)
    weights = day_weights(len(counts), seed=seed)
    entries: dict[str, dict[str, Any]] = {}
    draws: dict[str, dict[str, Draws]] = {}
    for name, one in tqdm(fitted.items(), desc="evaluate", unit="forecaster", disable=None):
        intensity = one.forecaster.predict(cube, split.issues(which)).intensity
        entries[name] = scorecard_entry(intensity, counts, cube.categories, one.thresholds, areas, patrol_area)
        losses = daily_losses(intensity, counts)
        draws[name] = {key: mean_draws(losses[key], weights) for key in COMPARED if key in losses}
        draws[name]["average_precision"] = average_precision_draws(pool(intensity), pool(counts), weights)
    card: dict[str, Any] = {
        "city": cube.name,
        "slice": which,
        "split": describe(cube, split),
        "hexagons": cube.n,
        "categories": list(cube.categories),
        "events": int(counts.sum()),
        "notes": cube.notes,
        "forecasters": entries,
        "differences": _differences(draws),
    }
    if oracle is not None:
        limit = poisson_deviance(oracle, counts)
        card["oracle"] = {"poisson_deviance": limit}
        if "rolling_climatology" in entries:
            base = entries["rolling_climatology"]["poisson_deviance"]
            for entry in entries.values():
                entry["skill"] = skill(entry["poisson_deviance"], base, limit)
    return _finite(card)


def describe(cube: Cube, split: Split) -> dict[str, str]:
    """First and last instant of every slice (UTC)."""
    out: dict[str, str] = {}
    slices: tuple[Slice, ...] = ("train", "validation", "test")
    for which in slices:
        first, last = split.span(which)
        out[which] = f"{cube.time_of(first).isoformat()} / {cube.time_of(last).isoformat()}"
    return out


def table(card: Mapping[str, Any]) -> str:
    """The scorecard as text: one line a forecaster, best average precision first, then the differences."""
    rows = sorted(card["forecasters"].items(), key=lambda item: -(item[1]["average_precision"] or 0))
    keys = [key for key in TABLE if any(key in entry for _, entry in rows)]
    known = card["notes"].get("known_time", "occurred")
    heading = f"{card['city']}, {card['slice']} slice, {card['split'][card['slice']]}, known_time: {known}"
    lines = [heading, f"{'forecaster':24s}" + "".join(f"{TABLE[key]:>11s}" for key in keys)]
    for name, entry in rows:
        cells = ("–" if entry.get(key) is None else f"{entry[key] + 0.0:.5f}" for key in keys)
        lines.append(f"{name:24s}" + "".join(f"{cell:>11s}" for cell in cells))
    for pair, metrics in card["differences"].items():
        parts = [f"{TABLE[k]} {v['estimate']:+.5f} [{v['low']:+.5f}, {v['high']:+.5f}]" for k, v in metrics.items()]
        lines.append(f"{pair}: {'; '.join(parts)}")
    return "\n".join(lines)


def _differences(draws: Mapping[str, Mapping[str, Draws]]) -> dict[str, Any]:
    """Paired 95 % intervals of the first forecaster minus each other one (weekly blocks of days)."""
    first, *others = draws
    out: dict[str, Any] = {}
    for other in others:
        pairs = {key: difference(draws[first][key], draws[other][key]) for key in COMPARED}
        out[f"{first} - {other}"] = {
            key: {"low": i.low, "estimate": i.estimate, "high": i.high} for key, i in pairs.items()
        }
    return out


def _finite(value: Any) -> Any:
    """JSON has no NaN: what is not defined (no event in a category) becomes null."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
