"""Sections: curves on the test slice, and where the forecast errs by category, time, horizon and district."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from stforecast.delivery import figures
from stforecast.delivery.figures import Curve, label, lines, new_figure
from stforecast.reports.evaluated import REFERENCE, EvaluatedRun, district_names, districts_of
from stforecast.reports.page import Block, Picture, Table, Text, note, standing, words
from stforecast.reports.terms import MONTHS, WEEKDAYS
from stforecast.scoring.bootstrap import blocks_of, difference, mean_draws
from stforecast.scoring.calibration import reliability
from stforecast.scoring.hotspots import hit_rate_curve
from stforecast.scoring.intensity import FLOOR, pool
from stforecast.scoring.ranking import Ranked, average_precision, rank, roc_auc

MOST_CURVES = 5
"""Forecasters drawn in one figure, the first of the run and those of lowest deviance."""
POINTS = 400
MOST_ROWS = 15
"""Groups that are listed; more are drawn as a curve, and their table is a CSV file only."""
RARE = 0.1
"""Share of the cells with a report below which most alarms are false."""
SAVED = ["from", "saved (%)", "to"]
"""Columns of what is saved against the other forecaster, with its interval."""


def curves(run: EvaluatedRun) -> list[Block]:
    """Reliability, hit rate, ROC and precision against recall."""
    entries = run.card["forecasters"]
    order = sorted(run.intensity, key=lambda name: (name != run.leader, entries[name]["poisson_deviance"]))
    reliable, hits, roc, precision = (dict[str, Curve]() for _ in range(4))
    events, scores = pool(run.counts), []
    base = float((events > 0).mean())
    for name in order[:MOST_CURVES]:
        lam, who = pool(run.intensity[name]), words(name)
        ranked, n = rank(lam, events), lam.shape[-1]
        found = reliability(ranked, 20)
        reliable[who] = (found.mean_risk, found.observed)
        hits[who] = hit_rate_curve(lam.reshape(-1, n), events.reshape(-1, n))
        roc[who], precision[who] = ranking_curves(ranked)
        scores.append(f"{who}: ROC AUC {roc_auc(ranked):.3f}, average precision {average_precision(ranked):.4f}")
    figure, axes = new_figure(2, 2, height=3.3)
    figures.plot_reliability(axes[0], reliable)
    figures.plot_hit_rate(axes[1], hits)
    lines(axes[2], roc)
    label(axes[2], "ROC", f"false alarms among quiet hexagon-{run.terms['steps']}", "hits among those with a report")
    figures.diagonal(axes[2])
    lines(axes[3], precision)
    label(axes[3], "Precision and recall", "recall: share of those with a report", "precision: share of alarms")
    axes[3].axhline(base, color="0.7", linewidth=1, zorder=0)
    axes[3].set(xscale="log", xlim=(1e-3, 1))
    figures.legend_below(figure, axes[0], 3)
    held = entries[run.leader]["hit_rate_10"] or 0.0
    alt = standing("curves_alt", scores="; ".join(scores), leader=words(run.leader), held=held, **run.terms)
    about = note("curves_rare" if base < RARE else "curves", share=base, **run.terms)
    return [Picture("curves", figure, alt), about, note("curves_grey")]


def ranking_curves(ranked: Ranked) -> tuple[Curve, Curve]:
    """ROC (false alarm rate, hit rate) and (recall, precision) at about POINTS thresholds from the highest down."""
    p, all_ = ranked.positives, ranked.scores
    if not p.size:
        return (np.array([0.0, 1.0]), np.array([0.0, 1.0])), (np.zeros(0), np.zeros(0))
    at = np.unique(p[np.unique(np.geomspace(1, p.size, POINTS).astype(np.int64)) * -1])[::-1]
    hits = p.size - np.searchsorted(p, at, side="left")
    passed = all_.size - np.searchsorted(all_, at, side="left")
    false = (passed - hits) / max(all_.size - p.size, 1)
    roc = (np.concatenate([[0.0], false, [1.0]]), np.concatenate([[0.0], hits / p.size, [1.0]]))
    return roc, (hits / p.size, hits / passed)


def errors(run: EvaluatedRun) -> list[Block]:
    """Error by category, time, horizon and district, beside the rolling climatology's."""
    names = [run.leader, *({REFERENCE} & {*run.intensity} - {run.leader})]
    terms = {name: deviance_terms(run.intensity[name], run.counts) for name in names}
    text = standing("errors", **run.terms)
    if run.overlapping:
        text += " " + standing("overlapping", **run.terms)
    if len(terms) > 1:
        text += f" Saved: how much lower it is than the {words(REFERENCE)}'s; {run.blocks}."
    blocks: list[Block] = [Text(text)]
    for key, (title, names, of) in cuts(run).items():
        if len(names) > (key == "horizon"):  # of a single one there is nothing to compare
            blocks += _by_group(run, key, title, names, of, terms)
    without = districts_of(run.cube.hexagons).isna().to_numpy()
    if without.all():
        blocks.append(Text("The record names no districts, so that errors by district are left out."))
    elif without.any():
        reports = int(run.counts[:, :, without].sum())
        blocks.append(
            Text(f"{reports:,} reports lie in hexagons whose district is not named: they are in no row by district.")
        )
    return blocks


def deviance_terms(lam: np.ndarray, y: np.ndarray) -> np.ndarray:
    """2 · (λ − y + y · log(y / λ)) of every cell, float32 in the shape of λ."""
    out = 2 * np.maximum(lam, np.float32(FLOOR))
    at = np.nonzero(y)
    events = y[at].astype(np.float64)
    out[at] += 2 * events * (np.log(events / (out[at] / 2)) - 1)
    return out


def cuts(run: EvaluatedRun) -> dict[str, tuple[str, list[str], np.ndarray]]:
    """Ways to group cells: by category, hour of the day (or weekday, or month), horizon and district.

    Returns:
        The title, the names of the groups, and the group of each cell, −1 for none, broadcasting to [m k n c].
    """
    cube, districts = run.cube, district_names(run.cube.hexagons)
    district = pd.Categorical(districts_of(cube.hexagons), districts).codes
    key, title, names = {
        "hour": ("hour", "hour of the day", [f"{hour:02d}" for hour in range(24)]),
        "day": ("weekday", "weekday", [*WEEKDAYS]),
        "month": ("month", "month of the year", [*MONTHS]),
    }[cube.step_unit]
    found, slot = np.unique(run.slots, return_inverse=True)
    ahead, category = np.arange(cube.horizons), np.arange(cube.c)
    return {
        "category": ("category", [words(name) for name in cube.categories], category[None, None, None]),
        key: (title, [names[at] for at in found], slot.reshape(*run.slots.shape, 1, 1)),
        "horizon": (f"{run.terms['steps']} ahead", [str(k + 1) for k in ahead], ahead[None, :, None, None]),
        "district": ("district", districts, district[None, None, :, None]),
    }


def totals(values: np.ndarray, of: np.ndarray, groups: int) -> np.ndarray:
    """Sums of a value [m k n c] for each issue and group, [m g]; `of` as in `cuts`."""
    alike = tuple(axis for axis in (1, 2, 3) if of.shape[axis] == 1)
    sums = values.sum(axis=alike, keepdims=True, dtype=np.float64)
    return np.stack([(sums * (of == group)).sum(axis=(1, 2, 3)) for group in range(groups)], axis=1)


def _by_group(
    run: EvaluatedRun, key: str, title: str, names: list[str], of: np.ndarray, terms: Mapping[str, np.ndarray]
) -> list[Block]:
    """A table of each group, and what is saved against the other forecaster with intervals."""
    leader, *others = terms
    counts, lam = (totals(values, of, len(names)).sum(0) for values in (run.counts, run.intensity[leader]))
    cells = totals(np.ones(run.counts.shape, np.int8), of, len(names))
    losses = {name: totals(values, of, len(names)) for name, values in terms.items()}
    rows = []
    for g, name in enumerate(names):
        present = cells[:, g] > 0
        daily = {who: each[present, g] / cells[present, g] for who, each in losses.items()}
        row = {
            title: name,
            "reported": int(counts[g]),
            "expected": lam[g],
            "reported ÷ expected": counts[g] / lam[g] if lam[g] else np.nan,
            "deviance × 10³": float(daily[leader].mean()) * 1e3,
        }
        for who in others:
            held = np.unique(np.flatnonzero(present) // run.blocks.length).size
            base = float(daily[who].mean()) / 100
            weights = run.weights[:, present] if held > 1 else run.weights[:0, present]
            weights = weights[weights.any(1)]  # a draw may hold no issue of the group
            gain = difference(mean_draws(daily[who], weights), mean_draws(daily[leader], weights))
            row |= {"from": gain.low / base, "saved (%)": gain.estimate / base, "to": gain.high / base}
            row[blocks_of(run.blocks.name)] = held
        rows.append(row)
    frame = pd.DataFrame(rows)
    table = Table(f"errors_by_{key}", frame, f"By {title}", len(rows) <= MOST_ROWS)
    return [_picture(key, title, names, frame[SAVED].to_numpy().T), table] if others else [table]


def _picture(key: str, title: str, names: list[str], saved: np.ndarray) -> Picture:
    """What is saved in each group with its interval, [3 g]: a row each, or a band where there are many."""
    low, middle, high = saved
    heading = f"Deviance saved against the {words(REFERENCE)}, by {title}"
    if len(names) <= MOST_ROWS:
        figure, (axes,) = new_figure(height=max(1.6, 0.7 + 0.24 * len(names)))
        figures.whiskers(axes, names, low, middle, high)
        label(axes, heading, "% (95 % interval)")
    else:
        figure, (axes,) = new_figure(height=2.8)
        place = np.arange(len(names))
        axes.axhline(0, color=figures.GREY, linewidth=0.8)
        axes.fill_between(place, low, high, color=figures.BLUE, alpha=0.2, linewidth=0)
        axes.plot(place, middle, "o-", color=figures.BLUE, markersize=3.5, linewidth=1.2)
        axes.set_xticks(place[::3], names[::3])
        label(axes, heading, title, "% (95 % interval)")
    most, least = (f"{names[at]} ({middle[at]:+.2f} %)" for at in (np.argmax(middle), np.argmin(middle)))
    return Picture(f"errors_by_{key}", figure, f"Deviance saved by {title}: most at {most}, least at {least}.")
