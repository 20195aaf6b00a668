"""Sections: curves on the test slice, and where the forecast errs by category, hour, horizon and district."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stforecast.delivery import figures
from stforecast.delivery.figures import Curve, label, lines, new_figure
from stforecast.reports.evaluated import REFERENCE, EvaluatedRun, words
from stforecast.reports.page import Block, Picture, Section, Table, Text, note, standing
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
    events, scores = pool(run.counts), []
    base = float((events > 0).mean())
    for name in order[:MOST_CURVES]:
        lam = pool(run.intensity[name])
        ranked, n = rank(lam, events), lam.shape[-1]
        found = reliability(ranked, 20)
        reliable[words(name)] = (found.mean_risk, found.observed)
        hits[words(name)] = hit_rate_curve(lam.reshape(-1, n), events.reshape(-1, n))
        roc[words(name)], precision[words(name)] = ranking_curves(ranked)
        scores.append(
            f"{words(name)}: ROC AUC {roc_auc(ranked):.3f}, average precision {average_precision(ranked):.4f}"
        )
    figure, axes = new_figure(2, 2, height=3.3)
    figures.plot_reliability(axes[0], reliable)
    figures.plot_hit_rate(axes[1], hits)
    lines(axes[2], roc)
    label(axes[2], "ROC", "false alarms among quiet hexagon-hours", "hits among those with a report")
    figures.diagonal(axes[2])
    lines(axes[3], precision)
    label(axes[3], "Precision and recall", "recall: share of those with a report", "precision: share of alarms")
    axes[3].axhline(base, color="0.7", linewidth=1, zorder=0)
    axes[3].set(xscale="log", xlim=(1e-3, 1))
    figures.legend_below(figure, axes[0], 3)
    alt = (
        f"Four curves on the test days. {'; '.join(scores)}. The 10 % of hexagons that the {words(run.leader)} "
        f"ranks highest each hour hold {entries[run.leader]['hit_rate_10'] or 0.0:.0%} of the reports."
    )
    return Section("curves", "Reliability and ranking", [Picture("curves", figure, alt), note("curves", share=base)])


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
    terms = {name: deviance_terms(run.intensity[name], run.counts) for name in names}
    text = standing("errors")
    if len(names) > 1:
        text += f" Saved: how much lower it is than the {words(REFERENCE)}'s; {of_blocks(run.blocks)}."
    blocks: list[Block] = [Text(text)]
    for cut in cuts(run):
        if cut.groups:
            blocks += _by_group(run, cut, terms)
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
class Cut:
    """A way to group cells [m k n c], by their steps or by their places.

    groups: names. sums: a value of every cell as its sums of what is not grouped, [m x]. of: the group of each [m x] or
    of each [x], −1 for none.
    """

    key: str
    title: str
    groups: list[str]
    sums: Callable[[np.ndarray], np.ndarray]
    of: np.ndarray

    def totals(self, values: np.ndarray) -> np.ndarray:
        """The sum of a value [m k n c] of each issue and group, [m g]."""
        sums = self.sums(values)
        return np.stack([(sums * (self.of == group)).sum(1) for group in range(len(self.groups))], axis=1)


def cuts(run: EvaluatedRun) -> list[Cut]:
    """By category, hour of the day, horizon and district."""
    cube, hours, districts = run.cube, run.local_hour, district_names(run.cube.hexagons)
    here = pd.Index(cube.hexagons["district"] if districts else [None] * cube.n)
    district, category = np.meshgrid(pd.Index(districts).get_indexer(here), np.arange(cube.c), indexing="ij")  # [n c]
    found, hour = np.unique(hours, return_inverse=True)
    ahead = np.arange(cube.horizons)

    def by_step(values: np.ndarray) -> np.ndarray:
        return values.sum(axis=(2, 3), dtype=np.float64)

    def by_place(values: np.ndarray) -> np.ndarray:
        return values.sum(axis=1, dtype=np.float64).reshape(len(values), -1)

    return [
        Cut("category", "category", [words(name) for name in cube.categories], by_place, category.ravel()),
        Cut("hour", "hour of the day", [f"{h:02d}" for h in found], by_step, hour.reshape(hours.shape)),
        Cut("horizon", "hours ahead", [str(k + 1) for k in ahead], by_step, ahead),
        Cut("district", "district", [str(name) for name in districts], by_place, district.ravel()),
    ]


def _by_group(run: EvaluatedRun, cut: Cut, terms: Mapping[str, np.ndarray]) -> list[Block]:
    """A table of each group, and what is saved against the other forecaster with intervals."""
    leader, *others = terms
    counts, lam = cut.totals(run.counts).sum(0), cut.totals(run.intensity[leader]).sum(0)
    cells = cut.totals(np.ones(run.counts.shape, np.int8))
    losses = {name: cut.totals(values) for name, values in terms.items()}
    rows, saved = [], []
    for g, name in enumerate(cut.groups):
        present = cells[:, g] > 0
        daily = {who: each[present, g] / cells[present, g] for who, each in losses.items()}
        row = {
            cut.title: name,
            "reported": int(counts[g]),
            "expected": lam[g],
            "reported ÷ expected": counts[g] / lam[g] if lam[g] else np.nan,
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
    shown = len(rows) <= MOST_ROWS
    table = Table(f"errors_by_{cut.key}", pd.DataFrame(rows), f"By {cut.title}", formats, shown)
    return [*([_picture(cut.key, cut.title, cut.groups, np.array(saved).T)] if saved else []), table]


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
    best, worst = int(np.argmax(middle)), int(np.argmin(middle))
    alt = (
        f"Deviance saved by {title}: most at {names[best]} ({middle[best]:+.2f} %), least at {names[worst]} "
        f"({middle[worst]:+.2f} %)."
    )
    return Picture(f"errors_by_{key}", figure, alt)
