"""The scorecard: every forecaster on the test slice, by the same metrics, with intervals on the differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from tqdm import tqdm

from stforecast.cube import Cube
from stforecast.evaluation.backtest import Fitted, masked_share, outcomes, scored
from stforecast.evaluation.days import counts_needed, day_figures
from stforecast.evaluation.differences import Sample, differences
from stforecast.features.delay import reported_share
from stforecast.scoring.bootstrap import block_count, day_weights, of_blocks
from stforecast.scoring.metrics import ALL, poisson_deviance, scorecard_entry, skill
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
SETTLED = 0.98
"""Share of the test slice's events that must have been reported for its counts to pass for final without a word."""


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
    issues = scored(cube, split, which)
    counts, needed = outcomes(cube, split, which), counts_needed(cube, issues)
    areas = cube.hexagons["area_km2"].to_numpy(float)
    weights, blocks = day_weights(len(counts), seed=seed), block_count(len(counts))
    entries: dict[str, dict[str, Any]] = {}
    samples: dict[str, Sample] = {}
    for name, one in tqdm(fitted.items(), desc="evaluate", unit="forecaster", disable=None):
        intensity = one.forecaster.predict(cube, issues).intensity
        entries[name] = scorecard_entry(intensity, counts, cube.categories, one.thresholds, areas, patrol_area)
        spreads, hot = one.forecaster.spreads, one.hot_thresholds
        days = day_figures(intensity, counts, needed, cube.categories, spreads, hot)
        entries[name] |= days[ALL]
        for category, entry in entries[name]["by_category"].items():
            entry |= days[category]
        samples[name] = Sample.of(intensity, counts, weights)
    card: dict[str, Any] = {
        "city": cube.name,
        "slice": which,
        "split": describe(cube, split),
        "hexagons": cube.n,
        "categories": list(cube.categories),
        "events": int(counts.sum()),
        "reported_share": round(reported_share(cube, *split.span(which)), 4) if which == "test" else None,
        "masked": masked_share(cube, split, which),
        "notes": cube.notes,
        "forecasters": entries,
        "blocks": blocks,
        "differences": differences(samples, blocks),
    }
    if oracle is not None:
        limit = poisson_deviance(oracle, counts)
        card["oracle"] = {"poisson_deviance": limit}
        if "rolling_climatology" in entries:
            base = entries["rolling_climatology"]["poisson_deviance"]
            for entry in entries.values():
                entry["skill"] = skill(entry["poisson_deviance"], base, limit)
    return finite(card)


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
    if (share := card.get("reported_share") or 1) < SETTLED:
        lines.insert(1, f"assumed final: an estimated {share:.1%} of the events were reported by the record's end")
    if (masked := masked_words(card.get("masked"))) is not None:
        lines.insert(1, masked)
    for name, entry in rows:
        cells = ("–" if entry.get(key) is None else f"{entry[key] + 0.0:.5f}" for key in keys)
        lines.append(f"{name:24s}" + "".join(f"{cell:>11s}" for cell in cells))
    for pair, metrics in card["differences"].items():
        found = "; ".join(f"{TABLE[key]} {said(found)}" for key, found in metrics.items())
        lines.append(f"{pair}: {found} ({of_blocks(card['blocks'])})")
    return "\n".join(lines)


def masked_words(masked: Mapping[str, float] | None) -> str | None:
    """How much of a slice is masked, as text; None where nothing is."""
    if not masked or not masked["hours"]:
        return None
    return (
        f"masked: {masked['hours']:.1%} of the hours, which were not recorded; {masked['issues']:.1%} of the days have "
        "such hours and are not scored"
    )


def said(found: Mapping[str, float | None]) -> str:
    """A difference as text: estimate, interval and the p-value of Diebold and Mariano, as far as there are any."""
    low, estimate, high = ("–" if (v := found[key]) is None else f"{v:+.5f}" for key in ("low", "estimate", "high"))
    p = found.get("p_value")
    bounds = f" [{low}, {high}]" if (found["blocks"] or 0) > 1 else ""
    return f"{estimate}{bounds}" + ("" if p is None else f" (DM p {p:.2g})")


def finite(value: Any) -> Any:
    """JSON has no NaN: what is not defined (no event in a category) becomes null."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
