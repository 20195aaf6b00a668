"""The page of `stforecast prospective score`: forecasts made in advance, by month."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from stforecast.delivery.figures import label, new_figure, whiskers
from stforecast.evaluation.scorecard import difference_text
from stforecast.reports.page import Block, Page, Picture, Section, Table, Text, note, p_value, words
from stforecast.scoring.bootstrap import blocks_of, of_blocks
from stforecast.scoring.consistency import DRAWS, LEVEL
from stforecast.scoring.metrics import COMPARED, METRICS

RATIO = "reported_to_expected"


def page_of(result: Mapping[str, Any], simulated: bool, cell: str = "hexagon") -> Page:
    """The page of the scores that the stage `prospective` found; `cell` is what hexagons are called."""
    faults = result["faults"] or ["Every line and every forecast is as it was written."]
    record = [*map(Text, faults), Text(f"Hash of the last line: {result['last']}."), note("prospective_record")]
    sections = [Section("record", "The record", record)]
    for i, (model, found) in enumerate(result["models"].items()):
        sections.append(Section(f"model_{i}", f"Forecasts of {model}", _blocks(f"model_{i}", found)))
    city = words(result["city"]).title()
    facts = {"City": city + (", a simulated city: no report in it is real" if simulated else "")}
    return Page("prospective", f"{city}: forecasts made in advance", facts, sections, cell)


def _blocks(key: str, found: Mapping[str, Any]) -> list[Block]:
    counted = "; ".join(f"{what}: {count}" for what, count in found["counted"].items())
    out: list[Block] = [Text(f"Forecasts on record, by what became of them: {counted}.")]
    if "months" not in found:
        return [*out, Text("None of them was made in advance and is settled yet.")]
    rows, (first, last), step = {**found["months"], "all": found}, found["steps"], found["step"]
    words_of = {"step": step, "steps": f"{step}s", "blocks": blocks_of(found["block"])}
    which = f"{step.capitalize()}s {first} to {last}" if last > first else f"{step.capitalize()} {first}"
    verb = "are" if last > first else "is"
    out.append(Text(f"{which} of each {verb} scored. In all: {of_blocks(found['blocks'], found['block'])}."))
    out += [_picture(key, rows), _scores(key, rows), note("prospective_scores", **words_of)]
    for pair, metrics in found["differences"].items():
        told = "; ".join(f"{METRICS[name].heading} {difference_text(name, one)}" for name, one in metrics.items())
        out.append(Text(f"{' minus '.join(map(words, pair.split(' - '))).capitalize()}: {told}."))
    return [*out, _tests(key, rows), note("prospective_tests", level=LEVEL, draws=DRAWS, **words_of)]


def _picture(key: str, rows: Mapping[str, Mapping[str, Any]]) -> Picture:
    ratios = pd.DataFrame([entry["intervals"][RATIO] for entry in rows.values()], dtype=float)
    figure, (axes,) = new_figure(height=0.9 + 0.27 * len(rows))
    low, middle, high = (ratios[part].to_numpy() for part in ("low", "estimate", "high"))
    whiskers(axes, list(rows), low, middle, high, zero=1)
    label(axes, "Reported ÷ expected by month", "with 95 % interval")
    told = "; ".join(f"{month} {one:.2f}" for month, one in zip(rows, middle, strict=True))
    return Picture(f"{key}_ratio", figure, f"Reported ÷ expected by month: {told}.")


def _scores(key: str, rows: Mapping[str, Mapping[str, Any]]) -> Table:
    table = [
        {"month": month, "forecasts": entry["forecasts"], "reported": int(entry["events"])}
        | {"expected": entry["expected"]}
        | {METRICS[name].heading: _interval(name, entry["intervals"][name]) for name in (RATIO, *COMPARED)}
        for month, entry in rows.items()
    ]
    return Table(f"{key}_scores", pd.DataFrame(table), "Scores by local month of issue, with 95 % intervals.")


def _interval(name: str, found: Mapping[str, float | None]) -> str:
    low, middle, high = (METRICS[name].text(found[part]) for part in ("low", "estimate", "high"))
    return middle if found["low"] is None else f"{middle} [{low}, {high}]"


def _tests(key: str, rows: Mapping[str, Mapping[str, Any]]) -> Table:
    table = []
    for month, entry in rows.items():
        number, space, conditional = entry["consistency"].values()
        p = {"number": min(1.0, 2 * min(number["at_least"], number["at_most"]))}
        p |= {"space": space["quantile"], "conditional likelihood": conditional["quantile"]}
        table.append({"month": month} | {name: verdict(value) for name, value in p.items()})
    return Table(f"{key}_tests", pd.DataFrame(table), "Consistency tests by month.")


def verdict(p: float | None) -> str:
    """What a consistency test says; – where there was nothing to test."""
    return "–" if p is None else f"{'consistent' if p >= LEVEL else 'not consistent'} (p {p_value(p)})"
