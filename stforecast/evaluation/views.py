"""A forecast against what came, in every view: overall, by category, by horizon, by hour of issue and by area."""

from __future__ import annotations

from typing import Any

import numpy as np

from stforecast.cube import Cube
from stforecast.evaluation.differences import Sample
from stforecast.evaluation.rolling import Panel
from stforecast.scoring.calibration import calibration_slope, reliability
from stforecast.scoring.hotspots import hit_rate_curve
from stforecast.scoring.intensity import pool
from stforecast.scoring.metrics import ALL, poisson_losses, score
from stforecast.scoring.ranking import rank

RELIABILITY_BINS = 20

Index = tuple[Any, Any, Any, Any]
"""Issues, horizons, hexagons and categories of a view: an index of [m k n c]."""
Key = tuple[str, ...]
"""A view's group and name, such as ("by_horizon", "24"); () is everything."""


def views(cube: Cube, hour: np.ndarray) -> dict[Key, Index]:
    """Every view of issues at the UTC hours `hour` [m]. Areas are the hexagons' districts, where they have any."""
    every = slice(None)
    out: dict[Key, Index] = {(): (every,) * 4}
    for i, category in enumerate(cube.categories):
        out["by_category", category] = (every, every, every, slice(i, i + 1))
    for k in range(cube.horizons):
        out["by_horizon", str(k + 1)] = (every, slice(k, k + 1), every, every)
    for at in np.unique(hour).tolist():
        out["by_issue_hour", str(at)] = (hour == at, every, every, every)
    if "district" in cube.hexagons:
        district = cube.hexagons["district"]
        for area in sorted(district.dropna().unique()):
            out["by_area", str(area)] = (every, every, (district == area).to_numpy(), every)
    return out


def examine(
    cube: Cube, panel: Panel, lam: np.ndarray, weights: np.ndarray, patrol_area: float
) -> tuple[dict[str, Any], dict[Key, Sample]]:
    """Metrics of λ [m k n c] in every view, and what they are compared by: deviance, and overall also the rest.

    weights: of the issues in each draw, [r m]. patrol_area: km².
    """
    areas = cube.hexagons["area_km2"].to_numpy(float)
    entry: dict[str, Any] = {}
    samples: dict[Key, Sample] = {(): Sample.of(lam, panel.counts, weights, panel.day)}
    for key, at in views(cube, panel.hour).items():
        # without F1: its thresholds are those of one fold and the whole city
        metrics = score(lam[at], panel.counts[at], None, areas[at[2]], patrol_area)
        if key:
            entry.setdefault(key[0], {})[key[1]] = metrics
            losses, rows = {"poisson_deviance": poisson_losses(lam[at], panel.counts[at])}, at[0]
            samples[key] = Sample.of_losses(losses, weights[:, rows], panel.day[rows])
        else:
            entry |= metrics
    return entry, samples


def calibration(lam: np.ndarray, y: np.ndarray, categories: tuple[str, ...]) -> dict[str, dict[str, list[float]]]:
    """Calibration slope and bias Σλ / Σy at each horizon, [k] each, of every category and of all: [m k n c]."""
    leaves = {ALL: (pool(lam), pool(y))} | {name: (lam[..., i], y[..., i]) for i, name in enumerate(categories)}
    out = {}
    for name, (one, events) in leaves.items():
        expected, counted = (values.sum(axis=(0, 2), dtype=np.float64) for values in (one, events))
        with np.errstate(divide="ignore", invalid="ignore"):
            bias = np.where(counted > 0, expected / counted, np.nan).tolist()
        slope = [calibration_slope(one[:, k], events[:, k]) for k in range(one.shape[1])]
        out[name] = {"slope": slope, "bias": bias}
    return out


def curves(lam: np.ndarray, y: np.ndarray) -> dict[str, dict[str, list[float]]]:
    """Reliability in bins of equally many hexagon-hours, and share of events by share of area; [m k n c], pooled."""
    lam, y = pool(lam), pool(y)
    found = reliability(rank(lam, y), RELIABILITY_BINS)
    area, captured = hit_rate_curve(lam.reshape(-1, lam.shape[-1]), y.reshape(-1, y.shape[-1]))
    return {
        "reliability": {"mean_risk": found.mean_risk.tolist(), "observed": found.observed.tolist()},
        "hit_rate": {"area": area.tolist(), "events": captured.tolist()},
    }
