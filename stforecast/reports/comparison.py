"""Section: the forecasters side by side, and what may be text of their differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from stforecast.delivery.figures import label, new_figure, whiskers
from stforecast.evaluation.differences import Sample, differences
from stforecast.evaluation.scorecard import masked_words
from stforecast.reports.evaluated import BASELINES, NETWORK, REFERENCE, TREES, EvaluatedRun
from stforecast.reports.page import Block, Picture, Table, Text, listed, note, standing, wording, words
from stforecast.scoring.bootstrap import ENOUGH_BLOCKS
from stforecast.scoring.hotspots import top_count
from stforecast.scoring.metrics import METRICS, reported_to_expected

JUDGE = "poisson_deviance"
"""The metric that decides which of two forecasters is ahead: it is proper, and reads every hexagon and step."""


def blocks(run: EvaluatedRun) -> list[Block]:
    """The table, the differences in words and figures, and the verdict on the network."""
    pairs = differences_of(run, run.leader)
    out: list[Block] = [Text(_top_covered(run)), Text(_verdict(run)), _table(run), note("forecasters", **run.terms)]
    out[2:2] = map(Text, unfair_sentences(run.card))
    if pairs and run.blocks.count > 1:
        out += [_picture(run.leader, pairs), *map(Text, sentences(run.leader, pairs))]
        out.append(note("differences", blocks=str(run.blocks), count=sum(map(len, pairs.values())), **run.terms))
    return out


def unfair_sentences(card: Mapping[str, Any]) -> list[str]:
    """Which forecasters have learned from the test slice."""
    return [f"{words(name).capitalize()} {said}." for name, said in card.get("unfair", {}).items()]


def _top_covered(run: EvaluatedRun) -> str:
    """What the forecasts would have been worth on the ground."""
    entries = run.card["forecasters"]
    usual = f"the average of past {run.terms['weeks']} (rolling climatology)"
    told = {run.leader: f"the {words(run.leader)}"} | {REFERENCE: usual}
    rates = [(what, entries[name]["hit_rate_5"]) for name, what in told.items() if name in entries]
    (first, rate), *rest = ((what, rate) for what, rate in rates if rate is not None)
    others = "".join(f"; with {what}, {other:.1%}" for what, other in rest)
    size = {"count": top_count(0.05, run.card["hexagons"]), "hexagons": run.card["hexagons"]}
    return standing("top_covered", who=first, rate=rate, others=others, **size, **run.terms)


def _verdict(run: EvaluatedRun) -> str:
    """The verdict, as far as the blocks of the test slice allow one, and how much of the slice is masked."""
    rest, masked = str(run.blocks), masked_words(run.card)
    if run.blocks.count < 2:
        text = standing("one_block", rest=rest, **run.terms)
    else:
        text = verdict(run) + ("" if run.blocks.count >= ENOUGH_BLOCKS else f" Read it with care: {rest}.")
    return text + (f" {masked.capitalize()}." if masked else "")


def differences_of(run: EvaluatedRun, leader: str) -> dict[str, dict[str, Any]]:
    """`leader` minus every other forecaster, by forecaster, then metric: of the scorecard where it has them."""
    others = [name for name in run.intensity if name != leader]
    found = run.card["differences"]
    if leader != run.leader:
        samples = {name: Sample.of(run.intensity[name], run.counts, run.weights) for name in (leader, *others)}
        found = differences(samples, run.blocks)
    return {name: found[f"{leader} - {name}"] for name in others}


def verdict(run: EvaluatedRun) -> str:
    """Whether the network beats the simple baselines and the trees of the run, by deviance."""
    if NETWORK not in run.intensity:
        return "The network is not among the forecasters of this run."
    pairs = {name: metrics[JUDGE] for name, metrics in differences_of(run, NETWORK).items()}
    groups = {"the simple baselines": BASELINES, "the tree ensembles": TREES}
    return " ".join(_group_verdict(pairs, names, group) for group, names in groups.items())


def _group_verdict(pairs: Mapping[str, Mapping[str, Any]], names: Sequence[str], group: str) -> str:
    sides = {words(name): side(JUDGE, pairs[name]) for name in names if name in pairs}
    if not sides:
        return f"The run holds none of {group} to compare the network with."
    closer = "its expected counts lie closer to what was reported (deviance) than"
    if set(sides.values()) == {"ahead"}:
        return f"The network beats {group}: {closer} those of {listed([*sides])}."
    what = {"ahead": "it is better than", "level": "it cannot be told apart from", "behind": "it is worse than"}
    return f"The network does not beat {group} (deviance): {_by_side(sides, what)}."


def _by_side(sides: Mapping[str, str], what: Mapping[str, str]) -> str:
    """What lies on each side, behind the words for that side."""
    found = {text: [name for name, one in sides.items() if one == which] for which, text in what.items()}
    return "; ".join(f"{text} {listed(names)}" for text, names in found.items() if names)


def side(metric: str, found: Mapping[str, float | None]) -> str:
    """`ahead`, `behind` or `level`: where the interval of a difference lies, seen from the first forecaster."""
    low, high = found["low"], found["high"]
    if low is None or high is None or low <= 0 <= high:
        return "level"
    return "ahead" if (low > 0) == (METRICS[metric].better == "more") else "behind"


def sentences(leader: str, pairs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One sentence for every other forecaster: which differences are clear."""
    out = []
    what = {"ahead": "better in", "level": "no clear difference in", "behind": "worse in"}
    for name, metrics in pairs.items():
        sides = {wording()["metrics"][m].removesuffix(" × 10³"): side(m, found) for m, found in metrics.items()}
        text = "no clear difference" if set(sides.values()) == {"level"} else _by_side(sides, what)
        out.append(f"{words(leader).capitalize()} against {words(name)}: {text}.")
    return out


def _table(run: EvaluatedRun) -> Table:
    rows, card = [], run.card
    for name, entry in sorted(card["forecasters"].items(), key=lambda item: item[1][JUDGE]):
        values = entry | {"bias": reported_to_expected(entry.get("bias")), JUDGE: 1e3 * entry[JUDGE]}
        rows.append({"forecaster": words(name)} | {head: values.get(key) for key, head in wording()["metrics"].items()})
    caption = (
        f"Test {run.terms['issues']}, {run.reports:,} reports, {card['hexagons']:,} hexagons, all categories; best "
        "deviance first."
    )
    return Table("forecasters", pd.DataFrame(rows), caption)


def _picture(leader: str, pairs: Mapping[str, Mapping[str, Any]]) -> Picture:
    """Gain of the leader over every other in deviance and average precision, to the right where it is ahead."""
    names = list(pairs)
    figure, axes = new_figure(1, 2, height=1.0 + 0.32 * len(names), sharey=True)
    shown = {JUDGE: ("Deviance saved × 10⁵", -1e5), "average_precision": ("Average precision gained", 1.0)}
    parts = []
    for one, (metric, (heading, unit)) in zip(axes, shown.items(), strict=True):
        found = np.array([[pairs[name][metric][key] for key in ("low", "estimate", "high")] for name in names], float)
        low, middle, high = (found * unit)[:, :: 1 if unit > 0 else -1].T
        whiskers(one, [words(name) for name in names], low, middle, high)
        label(one, f"{words(leader)} against …", heading.lower())
        each = [f"{words(n)} {m:+.3g} [{a:.3g}, {b:.3g}]" for n, a, m, b in zip(names, low, middle, high, strict=True)]
        parts.append(f"{heading}: {'; '.join(each)}.")
    alt = f"Gains of {words(leader)} with 95 % intervals. {' '.join(parts)}"
    caption = f"To the right of zero the {words(leader)} is better; where a bar reaches across zero, neither is."
    return Picture("differences", figure, alt, caption)
