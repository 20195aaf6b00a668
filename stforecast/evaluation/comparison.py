"""The result of a backtest: every forecaster in every view, pooled over the folds and fold by fold, and its table.

Views are overall, by category, by horizon, by hour of issue and by area.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from stforecast.cube import Cube
from stforecast.evaluation.differences import Sample, differences
from stforecast.evaluation.rolling import Panel
from stforecast.evaluation.scorecard import describe, difference_text, finite, masked_words, shown_metrics, unfair_words
from stforecast.features.targets import masked_share
from stforecast.scoring.bootstrap import Blocks, of_blocks
from stforecast.scoring.calibration import calibration_slope, reliability
from stforecast.scoring.hotspots import hit_rate_curve
from stforecast.scoring.intensity import pool
from stforecast.scoring.metrics import ALL, METRICS, poisson_losses, reported_to_expected, score
from stforecast.scoring.ranking import rank
from stforecast.scoring.splits import Split
from stforecast.spreadsheets import to_csv

SHOWN = (
    *("poisson_deviance", "average_precision", "log_loss"),
    *("calibration_slope", "reported_to_expected", "hit_rate_5", "pai_1"),
)
"""Metrics of the printed table; the file holds all."""
COMPARED = ("poisson_deviance", "average_precision")
"""Those whose differences stand beside them."""
RELIABILITY_BINS = 20

Index = tuple[Any, Any, Any, Any]
"""Issues, horizons, hexagons and categories of a view: an index of [m k n c]."""
Key = tuple[str, ...]
"""A view's group and name, such as ("by_horizon", "24"); () is everything."""


def compare(
    cube: Cube,
    parts: Sequence[Split],
    panel: Panel,
    names: Sequence[str],
    intensity: Callable[[str], np.ndarray],
    patrol_area: float,
    seed: int = 0,
) -> dict[str, Any]:
    """Score forecasters on the test slices of the folds `parts`; the first is compared with each other one.

    intensity: calibrated λ [m k n c] of a forecaster in the rows of `panel`; one is held at a time. patrol_area: km².
    """
    cuts, weights = [slice(None), *map(panel.rows, range(len(parts)))], panel.weights(seed)
    panels = [panel.part(rows) for rows in cuts]
    entries: list[dict[str, Any]] = [{} for _ in cuts]
    samples: list[dict[str, dict[Key, Sample]]] = [{} for _ in cuts]
    for name in tqdm(names, desc="score", unit="forecaster", disable=None):
        lam = intensity(name)
        for entry, sample, part, rows in zip(entries, samples, panels, cuts, strict=True):
            entry[name], sample[name] = examine(cube, part, lam[rows], weights[:, rows], patrol_area)
        entries[0][name]["calibration"] = calibration(lam, panel.counts, cube.categories)
        entries[0][name]["curves"] = curves(lam, panel.counts)
    results = [
        {
            "blocks": part.blocks.count,
            "block": part.week.name,
            "forecasters": entry,
            "differences": _differences(sample, part.blocks),
        }
        for part, entry, sample in zip(panels, entries, samples, strict=True)
    ]
    slices = [
        describe(cube, fold)
        | {"days": (fold.steps - fold.test_start) // fold.day, "masked": masked_share(cube, fold, "test")}
        for fold in parts
    ]
    return finite(
        {
            "city": cube.name,
            "known_time": cube.notes.get("known_time", "occurred"),
            "step": cube.step_unit,
            "issue_hours": np.unique(panel.hour).tolist(),
            "hexagons": cube.n,
            "categories": list(cube.categories),
            "masked": masked_share(cube, replace(parts[-1], test_start=parts[0].test_start), "test"),
            **results[0],
            "folds": [fold | result for fold, result in zip(slices, results[1:], strict=True)],
            "notes": cube.notes,
        }
    )


def views(cube: Cube, hour: np.ndarray) -> dict[Key, Index]:
    """Every view of issues at the UTC hours `hour` [m]. Areas are the hexagons' districts, where they have any."""
    every = slice(None)
    out: dict[Key, Index] = {(): (every,) * 4}
    out |= {("by_category", name): (every, every, every, slice(i, i + 1)) for i, name in enumerate(cube.categories)}
    out |= {("by_horizon", str(k + 1)): (every, slice(k, k + 1), every, every) for k in range(cube.horizons)}
    out |= {("by_issue_hour", str(at)): (hour == at, every, every, every) for at in np.unique(hour).tolist()}
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


def _differences(samples: Mapping[str, Mapping[Key, Sample]], blocks: Blocks) -> dict[str, Any]:
    """The differences of each pair overall, and those of deviance in every view under the view's group and name."""
    out = differences({name: found[()] for name, found in samples.items()}, blocks)
    for key in next(iter(samples.values())):
        if key:
            for pair, found in differences({name: one[key] for name, one in samples.items()}, blocks).items():
                out[pair].setdefault(key[0], {})[key[1]] = found
    return out


def as_csv(result: Mapping[str, Any]) -> str:
    """A row a forecaster: pooled metrics, the first forecaster's difference to it with interval and p-value, and what
    there is to say where one has learned from the test slices."""
    first, rows = next(iter(result["forecasters"])), []
    for name, entry in result["forecasters"].items():
        row = {"forecaster": name} | {key: value for key, value in entry.items() if not isinstance(value, Mapping)}
        row["reported_to_expected"] = reported_to_expected(row.pop("bias"))
        found = result["differences"].get(f"{first} - {name}", {})
        row |= {f"{key}_{part}": value for key in COMPARED for part, value in found.get(key, {}).items()}
        row |= {"unfair": words} if (words := result.get("unfair", {}).get(name)) else {}
        rows.append(row)
    return to_csv(pd.DataFrame(rows, dtype=object))


def as_markdown(result: Mapping[str, Any]) -> str:
    """The table that is printed: what was done in a sentence or two, then a line a forecaster."""
    first, found = next(iter(result["forecasters"])), result["differences"]
    table = [_cells(name, entry, found.get(f"{first} - {name}", {})) for name, entry in result["forecasters"].items()]
    heads = [head for head in table[0] if any(cells[head] for cells in table)]
    rows = [heads, *([cells[head] for head in heads] for cells in table)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *body = ("| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows)
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([sentence(result), "", head, rule, *body]) + "\n"


def sentence(result: Mapping[str, Any]) -> str:
    """What was compared on what, and how the differences are to be read."""
    parts, first = result["folds"], next(iter(result["forecasters"]))
    span = f"{parts[0]['test'][:10]} – {parts[-1]['test'].split(' / ')[1][:10]}"
    hours = ", ".join(f"{hour:02d}:00" for hour in result["issue_hours"])
    monthly, hourly = result["step"] == "month", result["step"] == "hour"
    days = f"{parts[0]['days']} test {'month' if monthly else 'day'}{'s' if parts[0]['days'] > 1 else ''}"
    issued = f"daily at {hours} UTC" if hourly else "every month" if monthly else "every day"
    of = f"{count} categories" if (count := len(result["categories"])) > 1 else "1 category"
    text = (
        f"{result['city']}: {len(parts)} folds of {days}, {span}, "
        f"issued {issued}, "
        f"{result['hexagons']} hexagons, {of}, known_time: {result['known_time']}."
    )
    if masked := masked_words(result):
        text += f" {masked.capitalize()}."
    if result.get("refit") is False:
        text += " Forecasters are fitted on the first fold only and calibrated anew on each."
    text = " ".join([text, *(f"{words}." for words in unfair_words(result))])
    if len(result["forecasters"]) == 1:
        return text
    text += f" Δ: {first} minus the forecaster of the row, {of_blocks(result['blocks'], result['block'])}"
    return f"{text}; DM p: Diebold–Mariano test of the deviance."


def _cells(name: str, entry: Mapping[str, Any], difference: Mapping[str, Any]) -> dict[str, str]:
    """A row of the printed table, by heading; a difference to itself is blank."""
    cells, values = {"forecaster": name}, shown_metrics(entry)
    for key in SHOWN:
        metric, found = METRICS[key], difference.get(key)
        cells[metric.heading] = metric.text(values[key])
        if key in COMPARED:
            text = difference_text(key, found | {"p_value": None}) if found else ""
            cells[f"Δ {metric.heading} [95 %]"] = text
        if key == "poisson_deviance":
            cells["DM p"] = "" if not found else "–" if found["p_value"] is None else f"{found['p_value']:.2g}"
    return cells
