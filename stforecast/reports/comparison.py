"""Section: the forecasters side by side, and what may be said of their differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from stforecast.evaluation.differences import Sample, differences
from stforecast.evaluation.scorecard import masked_words
from stforecast.reports.examined import CONTROLS, NETWORK, TREES, Examined, words
from stforecast.reports.figures import label, new_figure, whiskers
from stforecast.reports.page import Block, Picture, Section, Table, Text
from stforecast.scoring.bootstrap import ENOUGH_BLOCKS, of_blocks
from stforecast.scoring.metrics import reported_to_expected

COLUMNS = {
    "average_precision": ("average precision", "{:.4f}"),
    "roc_auc": ("ROC AUC", "{:.4f}"),
    "log_loss": ("log loss", "{:.5f}"),
    "poisson_deviance": ("deviance × 10³", "{:.2f}"),
    "calibration_slope": ("calibration slope", "{:.2f}"),
    "bias": ("reported ÷ expected", "{:.3f}"),
    "hit_rate_5": ("hit rate 5 %", "{:.1%}"),
    "pai_1": ("PAI 1 %", "{:.2f}"),
    "coverage": ("90 % intervals hold", "{:.1%}"),
}
"""Metrics of the table: heading and spelling; deviance is in thousandths."""
BETTER_UP = ("average_precision", "hit_rate_5")
"""Compared metrics of which more is better; of the others less is."""
JUDGE = "poisson_deviance"
"""The metric that decides which of two forecasters is ahead: it is proper, and reads every hexagon and hour."""


def section(examined: Examined) -> Section:
    """The table, the differences in words and figures, and the verdict on the network."""
    pairs = differences_of(examined, examined.leader)
    blocks: list[Block] = [Text(_told(examined)), _table(examined.card)]
    blocks.append(
        Text(
            "Average precision: how well hexagons and hours with a report are ranked before those without. Log loss "
            "and deviance: how far probabilities and expected counts are from what came, lower is better. Calibration "
            "slope: 1 where risks are neither too extreme nor too timid. Hit rate 5 %: share of the reports inside the "
            "5 % of hexagons ranked highest each hour. PAI 1 %: hit rate ÷ share of area at 1 %. Reported "
            "÷ expected: below 1 too much was expected. "
            "90 % intervals hold: share of daily counts inside their interval; more than 90 % where counts are small, "
            "since intervals end at whole counts.",
            note=True,
        )
    )
    if pairs and examined.blocks > 1:
        blocks += [_picture(examined.leader, pairs), *(Text(line) for line in sentences(examined.leader, pairs))]
        blocks.append(
            Text(
                f"{of_blocks(examined.blocks)}: each is of a bootstrap over weeks that takes both forecasters on the "
                f"same days. There are {sum(map(len, pairs.values()))} of them: by chance alone one in twenty would be "
                "clear of zero.",
                note=True,
            )
        )
    return Section("forecasters", "The forecasters compared", blocks)


def _told(examined: Examined) -> str:
    """The verdict, as far as the blocks of the test slice allow one, and how much of the slice is masked."""
    rest, masked = of_blocks(examined.blocks), masked_words(examined.card.get("masked"))
    if examined.blocks < 2:
        said = f"The test slice is {rest}. No difference between the forecasters can be told from chance."
    else:
        said = verdict(examined) + ("" if examined.blocks >= ENOUGH_BLOCKS else f" Read it with care: {rest}.")
    return said + (f" {masked.capitalize()}." if masked else "")


def differences_of(examined: Examined, leader: str) -> dict[str, dict[str, Any]]:
    """`leader` minus every other forecaster, by forecaster, then metric: of the scorecard where it has them."""
    others = [name for name in examined.intensity if name != leader]
    if leader == examined.leader:
        found = examined.card["differences"]
    else:
        samples = {
            name: Sample.of(examined.intensity[name], examined.counts, examined.weights) for name in (leader, *others)
        }
        found = differences(samples, examined.blocks)
    return {name: found[f"{leader} - {name}"] for name in others}


def verdict(examined: Examined) -> str:
    """Whether the network beats the controls and the trees of the run, by deviance."""
    if NETWORK not in examined.intensity:
        return "The network is not among the forecasters of this run."
    pairs = differences_of(examined, NETWORK)
    groups = {"the controls": CONTROLS, "the tree ensembles": TREES}
    said = [_group_verdict(pairs, [n for n in names if n in pairs], group) for group, names in groups.items()]
    return " ".join(said)


def _group_verdict(pairs: Mapping[str, Mapping[str, Any]], names: Sequence[str], group: str) -> str:
    if not names:
        return f"None of {group} is part of this run, so that the network is not held against them."
    by_side: dict[str, list[str]] = {"ahead": [], "behind": [], "level": []}
    for name in names:
        by_side[side(JUDGE, pairs[name][JUDGE])].append(words(name))
    if len(by_side["ahead"]) == len(names):
        return f"The network beats {group} of this run on the test slice in deviance ({_listed(by_side['ahead'])})."
    parts = [
        ("is ahead of", by_side["ahead"]),
        ("cannot be told from", by_side["level"]),
        ("is behind", by_side["behind"]),
    ]
    said = "; ".join(f"it {what} {_listed(which)}" for what, which in parts if which)
    return f"The network does not beat {group} of this run on the test slice in deviance: {said}."


def side(metric: str, found: Mapping[str, float | None]) -> str:
    """`ahead`, `behind` or `level`: where the interval of a difference lies, seen from the first forecaster."""
    low, high = found["low"], found["high"]
    if low is None or high is None or low <= 0 <= high:
        return "level"
    return "ahead" if (low > 0) == (metric in BETTER_UP) else "behind"


def sentences(leader: str, pairs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One sentence for every other forecaster: which differences are clear of zero."""
    out = []
    for name, metrics in pairs.items():
        sides: dict[str, list[str]] = {"ahead": [], "behind": [], "level": []}
        for metric, found in metrics.items():
            sides[side(metric, found)].append(COLUMNS[metric][0].removesuffix(" × 10³"))
        parts = [f"{words(leader)} better in {_listed(sides['ahead'])}"] if sides["ahead"] else []
        parts += [f"worse in {_listed(sides['behind'])}"] if sides["behind"] else []
        clear = f"clear of zero: {', '.join(parts)}" if parts else "no difference is clear of zero"
        level = f"; not clear: {_listed(sides['level'])}" if sides["level"] and parts else ""
        out.append(f"Against {words(name)}: {clear}{level}.")
    return out


def _table(card: Mapping[str, Any]) -> Table:
    rows = []
    for name, entry in sorted(card["forecasters"].items(), key=lambda item: item[1][JUDGE]):
        row: dict[str, Any] = {"forecaster": words(name)}
        for key, (heading, _) in COLUMNS.items():
            value = entry.get(key)
            if key == "bias":
                value = reported_to_expected(value)
            row[heading] = value * 1000 if value is not None and key == JUDGE else value
        rows.append(row)
    formats = dict(COLUMNS.values())
    caption = (
        f"Test slice, {card['events']:,} events, {card['hexagons']:,} hexagons, all categories; lowest deviance first."
    )
    return Table("forecasters", pd.DataFrame(rows), caption, formats)


def _picture(leader: str, pairs: Mapping[str, Mapping[str, Any]]) -> Picture:
    """Gain of the leader over every other in deviance and average precision, to the right where it is ahead."""
    names = list(pairs)
    figure, axes = new_figure(1, 2, height=1.0 + 0.32 * len(names), sharey=True)
    shown = [(JUDGE, "deviance saved × 10⁵", -1e5), ("average_precision", "average precision gained", 1.0)]
    parts = []
    for one, (metric, heading, unit) in zip(axes, shown, strict=True):
        found = np.array([[pairs[name][metric][key] for key in ("low", "estimate", "high")] for name in names], float)
        low, middle, high = (found * unit).T if unit > 0 else (found * unit)[:, ::-1].T
        whiskers(one, [words(name) for name in names], low, middle, high)
        label(one, f"{words(leader)} against …", heading)
        parts += [
            f"{words(n)} {m:+.3g} [{a:.3g}, {b:.3g}]" for n, a, m, b in zip(names, low, middle, high, strict=True)
        ]
    half = len(names)
    alt = f"Gains of {words(leader)} with 95 % intervals. Deviance saved × 10⁵: {'; '.join(parts[:half])}. "
    alt += f"Average precision gained: {'; '.join(parts[half:])}."
    return Picture(
        "differences",
        figure,
        alt,
        "To the right of zero the first is ahead; where an interval reaches across zero, neither is.",
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
