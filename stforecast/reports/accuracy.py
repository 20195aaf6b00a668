"""Sections: curves on the test slice, and where the forecast errs by category, hour, horizon and district."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from stforecast.reports.examined import REFERENCE, Examined, words
from stforecast.reports.figures import BLUE, GREY, label, legend_below, lines, new_figure, whiskers
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


def curves_section(examined: Examined) -> Section:
    """Reliability, hit rate, ROC and precision against recall."""
    entries = examined.card["forecasters"]
    order = sorted(examined.intensity, key=lambda name: (name != examined.leader, entries[name]["poisson_deviance"]))
    drawn: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {key: {} for key in ("rel", "hit", "roc", "pr")}
    events, said = pool(examined.counts), []
    base = float((events > 0).mean())
    for name in order[:MOST_CURVES]:
        lam = pool(examined.intensity[name])
        ranked, n = rank(lam, events), lam.shape[-1]
        found = reliability(ranked, 20)
        drawn["rel"][words(name)] = (found.mean_risk, found.observed)
        drawn["hit"][words(name)] = hit_rate_curve(lam.reshape(-1, n), events.reshape(-1, n))
        drawn["roc"][words(name)], drawn["pr"][words(name)] = ranking_curves(ranked)
        said.append(f"{words(name)}: ROC AUC {roc_auc(ranked):.3f}, average precision {average_precision(ranked):.4f}")
    figure, axes = new_figure(2, 2, height=3.3)
    for one, curves in zip(axes, drawn.values(), strict=True):
        lines(one, curves)
    label(axes[0], "Reliability", "forecast risk of a hexagon and hour", "observed share with a report")
    axes[0].set(xscale="log", yscale="log")
    seen = np.concatenate([np.concatenate(curve) for curve in drawn["rel"].values()])
    limits = [max(float(seen[seen > 0].min()), 1e-5) * 0.8, float(seen.max()) * 1.25]
    axes[0].plot(limits, limits, color="0.7", linewidth=1, zorder=0)
    axes[0].set(xlim=limits, ylim=limits)
    label(axes[1], "Hit rate", "share of hexagons, highest first", "share of reports in them")
    axes[1].plot([0, 1], [0, 1], color="0.7", linewidth=1, zorder=0)
    label(axes[2], "ROC", "false alarms among quiet hexagon-hours", "hits among those with a report")
    axes[2].plot([0, 1], [0, 1], color="0.7", linewidth=1, zorder=0)
    label(axes[3], "Precision and recall", "recall: share of those with a report", "precision: share of alarms")
    axes[3].axhline(base, color="0.7", linewidth=1, zorder=0)
    axes[3].set(xscale="log", xlim=(1e-3, 1))
    legend_below(figure, axes[0], 3)
    held = entries[examined.leader]["hit_rate_10"] or 0.0
    alt = (
        f"Four panels of curves on the test slice. {'; '.join(said)}. The 10 % of hexagons that the "
        f"{words(examined.leader)} ranks highest each hour hold {held:.0%} of the reports."
    )
    note = (
        f"A hexagon-hour has a report with probability {base:.2%} in the mean, so that precision is low for every "
        "forecaster: most alarms for a single hour are false even where the risk is stated correctly. Grey: no skill."
    )
    blocks: list[Block] = [Picture("curves", figure, alt), Text(note, note=True)]
    return Section("curves", "Reliability and ranking", blocks)


def ranking_curves(ranked: Ranked) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """ROC (false alarm rate, hit rate) and (recall, precision) at about POINTS thresholds from the highest down."""
    p, all_ = ranked.positives, ranked.scores
    if not p.size:
        return (np.array([0.0, 1.0]),) * 2, (np.zeros(0), np.zeros(0))
    at = np.unique(p[np.unique(np.geomspace(1, p.size, POINTS).astype(np.int64)) * -1])[::-1]
    hits = p.size - np.searchsorted(p, at, side="left")
    passed = all_.size - np.searchsorted(all_, at, side="left")
    false = (passed - hits) / max(all_.size - p.size, 1)
    roc = (np.concatenate([[0.0], false, [1.0]]), np.concatenate([[0.0], hits / p.size, [1.0]]))
    return roc, (hits / p.size, hits / passed)


def errors_section(examined: Examined) -> Section:
    """Error by category, hour of the day, horizon and district, beside the rolling climatology's."""
    other = REFERENCE if REFERENCE in examined.intensity and examined.leader != REFERENCE else None
    names = [examined.leader, *([other] if other else [])]
    terms = {name: Sums.of(deviance_terms(examined.intensity[name], examined.counts)) for name in names}
    blocks: list[Block] = [
        Text(
            "Deviance measures how far expected counts are from what came, in the mean over hexagon-hours; it is "
            "larger where there is more to forecast. Reported ÷ expected says whether the level is right: below 1 "
            "too much was expected. "
            + (
                f"Saved: how much lower the deviance is than the {words(other)}'s; {of_blocks(examined.blocks)}."
                if other
                else ""
            )
        )
    ]
    for key, (title, groups) in _groups(examined).items():
        if groups:
            blocks += _by_group(examined, key, title, groups, terms)
    without = hexagons_without_district(examined.cube.hexagons)
    if without.all():
        blocks.append(Text("The record names no districts, so that errors by district are left out."))
    elif without.any():
        reports = int(examined.counts[:, :, without].sum())
        blocks.append(Text(f"{reports:,} reports lie in hexagons without a district: they are in no row by district."))
    return Section("errors", "Where the forecast errs", blocks)


def hexagons_without_district(hexagons: pd.DataFrame) -> np.ndarray:
    """Which hexagons are in no district that has a name, bool [n]."""
    if "district" not in hexagons:
        return np.ones(len(hexagons), bool)
    return hexagons["district"].isna().to_numpy()


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


def _groups(examined: Examined) -> dict[str, tuple[str, dict[str, Group]]]:
    cube, hours, horizon = examined.cube, examined.local_hour, np.arange(examined.cube.horizons)
    districts = cube.hexagons["district"] if "district" in cube.hexagons else pd.Series([], dtype=object)
    names = sorted(districts.dropna().unique(), key=lambda name: (len(str(name)), str(name)))
    everywhere, always = np.ones((cube.n, cube.c), bool), np.ones_like(hours, bool)
    category = {
        words(name): Group("place", everywhere & (np.arange(cube.c) == i)) for i, name in enumerate(cube.categories)
    }
    district = {str(name): Group("place", everywhere & (districts == name).to_numpy()[:, None]) for name in names}
    return {
        "category": ("category", category),
        "hour": ("hour of the day", {f"{h:02d}": Group("step", hours == h) for h in np.unique(hours).tolist()}),
        "horizon": ("hours ahead", {str(k + 1): Group("step", always & (horizon == k)) for k in horizon.tolist()}),
        "district": ("district", district),
    }


def _by_group(
    examined: Examined, key: str, title: str, groups: Mapping[str, Group], terms: Mapping[str, Sums]
) -> list[Block]:
    """A table of each group, and what is saved against the other forecaster with intervals."""
    leader, *others = terms
    counts, lam, ones = (
        Sums.of(v) for v in (examined.counts, examined.intensity[leader], np.ones(examined.counts.shape, np.int8))
    )
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
            weights, base = examined.weights[:, present], float(daily[who].mean()) / 100
            weeks = block_count(int(present.sum()))
            weights = weights if weeks > 1 else weights[:0]
            gain = difference(mean_draws(daily[who], weights), mean_draws(daily[leader], weights))
            saved.append((gain.low / base, gain.estimate / base, gain.high / base))
            row |= dict(zip(("from", "saved (%)", "to"), saved[-1], strict=True)) | {"blocks": weeks}
        rows.append(row)
    frame = pd.DataFrame(rows)
    formats = {"expected": "{:,.0f}", "reported ÷ expected": "{:.3f}", "deviance × 10³": "{:.2f}"}
    formats |= dict.fromkeys(("saved (%)", "from", "to"), "{:+.2f}")
    few = len(groups) <= MOST_ROWS
    blocks: list[Block] = [Table(f"errors_by_{key}", frame, f"By {title}", formats, shown=few)]
    if saved:
        blocks.insert(0, _picture(key, title, words(others[0]), list(groups), np.array(saved).T))
    return blocks


def _picture(key: str, title: str, other: str, names: list[str], saved: np.ndarray) -> Picture:
    """What is saved in each group with its interval, [3 g]: a row each, or a band where there are many."""
    low, middle, high = saved
    if len(names) <= MOST_ROWS:
        figure, (axes,) = new_figure(height=max(1.6, 0.7 + 0.24 * len(names)))
        whiskers(axes, names, low, middle, high)
        label(axes, f"Deviance saved against the {other}, by {title}", "% (95 % interval)")
    else:
        figure, (axes,) = new_figure(height=2.8)
        place = np.arange(len(names))
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.fill_between(place, low, high, color=BLUE, alpha=0.2, linewidth=0)
        axes.plot(place, middle, "o-", color=BLUE, markersize=3.5, linewidth=1.2)
        axes.set_xticks(place[::3], names[::3])
        label(axes, f"Deviance saved against the {other}, by {title}", title, "% (95 % interval)")
    best, worst = int(np.argmax(middle)), int(np.argmin(middle))
    alt = f"Deviance saved by {title}: most at {names[best]} ({middle[best]:+.2f} %), least at {names[worst]} "
    alt += f"({middle[worst]:+.2f} %)."
    return Picture(f"errors_by_{key}", figure, alt)
