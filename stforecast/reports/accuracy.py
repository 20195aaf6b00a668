"""Sections: curves on the test slice, and where the forecast errs by category, hour, horizon and district."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from stforecast.delivery.figures import (
    BLUE,
    GREY,
    Curve,
    diagonal,
    label,
    legend_below,
    lines,
    new_figure,
    plot_hit_rate,
    plot_reliability,
    whiskers,
)
from stforecast.reports.evaluated import REFERENCE, EvaluatedRun, words
from stforecast.reports.page import Block, Picture, Section, Table, Text
from stforecast.scoring.bootstrap import block_count, difference, mean_draws, of_blocks
from stforecast.scoring.curves import hit_rate_curve, reliability
from stforecast.scoring.intensity import FLOOR, pool
from stforecast.scoring.ranking import Ranked, average_precision, rank, roc_auc

MOST_CURVES = 5
"""Forecasters drawn in one figure, the first of the run and those of lowest deviance."""
POINTS = 400
MOST_ROWS = 15
"""Groups that are listed; more are drawn as a curve, and their table is a CSV file only."""


def curves_section(run: EvaluatedRun) -> Section:
    """Reliability, hit rate, ROC and precision against recall."""
    entries = run.card["forecasters"]
    order = sorted(run.intensity, key=lambda name: (name != run.leader, entries[name]["poisson_deviance"]))
    reliable, hits, roc, precision = (dict[str, Curve]() for _ in range(4))
    events, said = pool(run.counts), []
    base = float((events > 0).mean())
    for name in order[:MOST_CURVES]:
        lam = pool(run.intensity[name])
        ranked, n = rank(lam, events), lam.shape[-1]
        found = reliability(ranked, 20)
        reliable[words(name)] = (found.mean_risk, found.observed)
        hits[words(name)] = hit_rate_curve(lam.reshape(-1, n), events.reshape(-1, n))
        roc[words(name)], precision[words(name)] = ranking_curves(ranked)
        said.append(f"{words(name)}: ROC AUC {roc_auc(ranked):.3f}, average precision {average_precision(ranked):.4f}")
    figure, axes = new_figure(2, 2, height=3.3)
    plot_reliability(axes[0], reliable)
    plot_hit_rate(axes[1], hits)
    lines(axes[2], roc)
    label(axes[2], "ROC", "false alarms among quiet hexagon-hours", "hits among those with a report")
    diagonal(axes[2])
    lines(axes[3], precision)
    label(axes[3], "Precision and recall", "recall: share of those with a report", "precision: share of alarms")
    axes[3].axhline(base, color="0.7", linewidth=1, zorder=0)
    axes[3].set(xscale="log", xlim=(1e-3, 1))
    legend_below(figure, axes[0], 3)
    alt = (
        f"Four panels of curves on the test days. {'; '.join(said)}. The 10 % of hexagons that the {words(run.leader)} "
        f"ranks highest each hour hold {entries[run.leader]['hit_rate_10'] or 0.0:.0%} of the reports."
    )
    note = (
        f"A hexagon has a report in {base:.2%} of the hours, so that precision is low for every forecaster: most "
        "alarms for a single hour are false even where the risk is stated correctly. Grey: perfect reliability, and in "
        "the other panels a forecast that knows nothing."
    )
    return Section("curves", "Reliability and ranking", [Picture("curves", figure, alt), Text(note, note=True)])


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


def errors_section(run: EvaluatedRun) -> Section:
    """Error by category, hour of the day, horizon and district, beside the rolling climatology's."""
    names = [run.leader, *({REFERENCE} & {*run.intensity} - {run.leader})]
    terms = {name: Sums.of(deviance_terms(run.intensity[name], run.counts)) for name in names}
    said = (
        "Reported ÷ expected: 1 where as many reports came as were expected, below 1 where fewer came. Deviance: how "
        "far expected counts are from what was reported, as a mean of hexagons and hours; it is larger where more is "
        "reported, so that rows compare by what is saved."
    )
    if len(names) > 1:
        said += f" Saved: how much lower it is than the {words(REFERENCE)}'s; {of_blocks(run.blocks)}."
    blocks: list[Block] = [Text(said)]
    counts, lam, ones = (
        Sums.of(v) for v in (run.counts, run.intensity[run.leader], np.ones(run.counts.shape, np.int8))
    )
    for key, title, groups in _groups(run):
        if groups:
            blocks += _by_group(run, key, title, groups, terms, counts, lam, ones)
    without = hexagons_without_district(run.cube.hexagons)
    if without.all():
        blocks.append(Text("The record names no districts, so that errors by district are left out."))
    elif without.any():
        reports = int(run.counts[:, :, without].sum())
        blocks.append(Text(f"{reports:,} reports lie in hexagons without a district: they are in no row by district."))
    return Section("errors", "Where the forecast errs", blocks)


def hexagons_without_district(hexagons: pd.DataFrame) -> np.ndarray:
    """Which hexagons are in no district that has a name, bool [n]."""
    if "district" not in hexagons:
        return np.ones(len(hexagons), bool)
    return hexagons["district"].isna().to_numpy()


def district_names(hexagons: pd.DataFrame) -> list[str]:
    """Names of the hexagons' districts, numbers in their order."""
    if "district" not in hexagons:
        return []
    return sorted(hexagons["district"].dropna().unique(), key=lambda name: (len(str(name)), str(name)))


def deviance_terms(lam: np.ndarray, y: np.ndarray) -> np.ndarray:
    """2 · (λ − y + y · log(y / λ)) of every cell, float32 in the shape of λ."""
    out = 2 * np.maximum(lam, np.float32(FLOOR))
    at = np.nonzero(y)
    events = y[at].astype(np.float64)
    out[at] += 2 * events * (np.log(events / (out[at] / 2)) - 1)
    return out


@dataclass(frozen=True)
class Sums:
    """Sums of a value of every cell [m k n c]: of each issue and step [m k], and of each issue and place [m n c]."""

    step: np.ndarray
    place: np.ndarray

    @staticmethod
    def of(values: np.ndarray) -> Sums:
        return Sums(values.sum(axis=(2, 3), dtype=np.float64), values.sum(axis=1, dtype=np.float64))


@dataclass(frozen=True)
class Group:
    """Cells of one group: a mask of steps [m k] or of places [n c]."""

    axis: Literal["step", "place"]
    mask: np.ndarray

    def total(self, sums: Sums) -> np.ndarray:
        """The sum of each issue, [m]."""
        values = getattr(sums, self.axis) * self.mask
        return values.reshape(len(values), -1).sum(axis=1)


def _groups(run: EvaluatedRun) -> list[tuple[str, str, dict[str, Group]]]:
    """Key, title and groups of each way to cut the cells."""
    cube, hours, horizon = run.cube, run.local_hour, np.arange(run.cube.horizons)
    everywhere, always = np.ones((cube.n, cube.c), bool), np.ones_like(hours, bool)
    category = {
        words(name): Group("place", everywhere & (np.arange(cube.c) == i)) for i, name in enumerate(cube.categories)
    }
    hour = {f"{h:02d}": Group("step", hours == h) for h in np.unique(hours).tolist()}
    ahead = {str(k + 1): Group("step", always & (horizon == k)) for k in horizon.tolist()}
    district = {
        str(name): Group("place", everywhere & (cube.hexagons["district"] == name).to_numpy()[:, None])
        for name in district_names(cube.hexagons)
    }
    return [
        ("category", "category", category),
        ("hour", "hour of the day", hour),
        ("horizon", "hours ahead", ahead),
        ("district", "district", district),
    ]


def _by_group(
    run: EvaluatedRun,
    key: str,
    title: str,
    groups: Mapping[str, Group],
    terms: Mapping[str, Sums],
    counts: Sums,
    lam: Sums,
    ones: Sums,
) -> list[Block]:
    """A table of each group, and what is saved against the other forecaster with intervals."""
    leader, *others = terms
    rows, saved = [], []
    for name, group in groups.items():
        cells = group.total(ones)
        present = cells > 0
        events, expected = float(group.total(counts).sum()), float(group.total(lam).sum())
        daily = {who: group.total(values)[present] / cells[present] for who, values in terms.items()}
        row = {
            title: name,
            "reported": int(events),
            "expected": expected,
            "reported ÷ expected": events / expected if expected else np.nan,
            "deviance × 10³": float(daily[leader].mean()) * 1e3,
        }
        for who in others:
            weeks, base = block_count(int(present.sum())), float(daily[who].mean()) / 100
            weights = run.weights[:, present] if weeks > 1 else run.weights[:0, present]
            gain = difference(mean_draws(daily[who], weights), mean_draws(daily[leader], weights))
            saved.append((gain.low / base, gain.estimate / base, gain.high / base))
            row |= dict(zip(("from", "saved (%)", "to"), saved[-1], strict=True)) | {"weeks": weeks}
        rows.append(row)
    formats = {"deviance × 10³": "{:.2f}"} | dict.fromkeys(("saved (%)", "from", "to"), "{:+.2f}")
    table = Table(f"errors_by_{key}", pd.DataFrame(rows), f"By {title}", formats, shown=len(groups) <= MOST_ROWS)
    return [*([_picture(key, title, list(groups), np.array(saved).T)] if saved else []), table]


def _picture(key: str, title: str, names: list[str], saved: np.ndarray) -> Picture:
    """What is saved in each group with its interval, [3 g]: a row each, or a band where there are many."""
    low, middle, high = saved
    heading = f"Deviance saved against the {words(REFERENCE)}, by {title}"
    if len(names) <= MOST_ROWS:
        figure, (axes,) = new_figure(height=max(1.6, 0.7 + 0.24 * len(names)))
        whiskers(axes, names, low, middle, high)
        label(axes, heading, "% (95 % interval)")
    else:
        figure, (axes,) = new_figure(height=2.8)
        place = np.arange(len(names))
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.fill_between(place, low, high, color=BLUE, alpha=0.2, linewidth=0)
        axes.plot(place, middle, "o-", color=BLUE, markersize=3.5, linewidth=1.2)
        axes.set_xticks(place[::3], names[::3])
        label(axes, heading, title, "% (95 % interval)")
    best, worst = int(np.argmax(middle)), int(np.argmin(middle))
    alt = (
        f"Deviance saved by {title}: most at {names[best]} ({middle[best]:+.2f} %), least at {names[worst]} "
        f"({middle[worst]:+.2f} %)."
    )
    return Picture(f"errors_by_{key}", figure, alt)
