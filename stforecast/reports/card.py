"""Section: the model card (after Mitchell et al. 2019): what the forecast is for, what it does not know, its limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from stforecast.delivery.map import TOP_SHARE, highest
from stforecast.evaluation.scorecard import masked_words
from stforecast.reports.accuracy import hexagons_without_district
from stforecast.reports.examined import Examined, words
from stforecast.reports.page import Block, Section, Table, Text
from stforecast.scoring.metrics import reported_to_expected

PLACE = ("hexagon", "latitude", "longitude", "area_km2", "district")
"""Columns of the hexagons that are no covariates."""
WITHOUT = "without district"
FOR = (
    "To see where and when reports are usually expected, and how sure that is; for planning of prevention, opening "
    "hours, lighting and services, for research, and as a baseline that other forecasts are held against."
)
NOT_FOR = (
    "Not about persons: it holds nothing about anyone, and nothing follows from it about a person who lives in or "
    "passes through a hexagon. Not as grounds for a stop, search or arrest. Not as a measure of all that happens, nor "
    "of how safe a place is, nor of how well anyone does their work. Not for hours or places beyond the slices above "
    "without a new evaluation."
)
NOT_KNOWN = (
    "What is not reported or not recorded; events, closures and operations of the day; how many people are present; "
    "how recording practice changes. Whether a place has few offences or few reports cannot be told from reports."
)
FEEDBACK = (
    "Where attention follows the forecast, what is found there is recorded there, and the next forecast rises. That is "
    "strongest for offences that are recorded mostly when someone goes and looks (drugs, weapons, traffic, public "
    "order). Check below which of the publisher's offences the configuration takes in; such offences are "
    "better left out."
)


def section(examined: Examined, meta: dict[str, Any]) -> Section:
    """The card of the forecaster that forecasts."""
    rows = [
        ("Forecaster", f"{words(examined.leader)}, run {examined.run.name}; calibrated on the validation slice"),
        ("Forecasts", "expected reports, and the risk of at least one, by hexagon, hour and category, 24 hours ahead"),
        (
            "Data",
            f"{', '.join(s['file'] for s in meta['sources'])}; learned from what was known by "
            f"{examined.slices['validation'][1]:%Y-%m-%d %H:%M}",
        ),
        ("Known time", f"events count as known {_known(examined.cube.notes)}"),
        ("Intended use", FOR),
        ("Prohibited use", NOT_FOR),
        ("What it does not know", NOT_KNOWN),
        ("Known limits", _limits(examined)),
        ("Feedback", FEEDBACK),
    ]
    blocks: list[Block] = [Table("model_card", pd.DataFrame(rows, columns=["about", "what there is to say"]))]
    return Section("card", "Model card", [*blocks, *_offences(meta), *_exposure(examined)])


def _known(notes: dict[str, Any]) -> str:
    """When an event counts as known."""
    embargo = notes.get("embargo_hours", 0)
    if notes.get("known_time") == "reported":
        return "when they were reported" + (f", and not before {embargo} hours after they occurred" if embargo else "")
    return f"{embargo} hours after they occurred" + ("" if embargo else ", which is earlier than in real use")


def _limits(examined: Examined) -> str:
    entry, cube = examined.card["forecasters"][examined.leader], examined.cube
    said = [
        f"in the test slice reported ÷ expected is {reported_to_expected(entry['bias']) or np.nan:.3f}, and 90 % "
        f"intervals of daily counts held {entry['coverage']:.1%}",
        f"a hexagon is about {cube.hexagons['area_km2'].mean():.2g} km²: what differs within it is averaged",
        "hours that the publisher rounds or spreads over a span are no better known to the forecast",
    ]
    if (masked := masked_words(examined.card.get("masked"))) is not None:
        said.append(masked)
    share = examined.card.get("reported_share")
    if share is not None and share < 0.98:
        said.append(f"an estimated {share:.0%} of the test slice's events were reported by the end of the record")
    return "; ".join(said) + "."


def _offences(meta: dict[str, Any]) -> list[Block]:
    """Which of the publisher's offences are forecast, and which are left out."""
    frame = pd.DataFrame(meta["offences"], columns=["offence", "category", "rows"])
    taken = frame[frame["category"].notna()]
    out = frame[frame["category"].isna()].head(12)
    table = (
        taken.sort_values("rows", ascending=False)
        .groupby("category", sort=False)
        .agg(offences=("offence", lambda names: _few(list(names))), rows=("rows", "sum"))
        .reindex([name for name in meta["categories"] if name in set(taken["category"])])
        .reset_index()
    )
    left = ", ".join(f"{row.offence} ({row.rows:,})" for row in out.itertuples())
    said = (
        f"Left out by the configuration, the largest first: {left}." if left else "The configuration leaves out none."
    )
    return [
        Text("Which offences are forecast. " + said),
        Table("offences", table.assign(category=table["category"].map(words))),
    ]


def _few(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _exposure(examined: Examined) -> list[Block]:
    """How often hexagons are flagged, by district and against what else is known of them."""
    flagged = flags(examined.day(examined.intensity[examined.leader]))
    often, y = flagged.mean(0), examined.day(examined.counts).sum(0)
    never, always = float((often == 0).mean()), float((often > 0.9).mean())
    said = (
        f"Exposure of places. Suppose that the {TOP_SHARE:.0%} of hexagons with the highest forecast of the next 24 "
        f"hours were flagged every day: over the {len(flagged)} test days {always:.1%} of the hexagons would be "
        f"flagged on more than nine days in ten, {never:.0%} never, and the flagged ones would hold "
        f"{(flagged * examined.day(examined.counts)).sum() / max(y.sum(), 1):.0%} of the reports."
    )
    frame = exposure(examined.cube.hexagons, flagged, y)
    formats = {name: "{:.1%}" for name in frame.columns if str(name).startswith("share")}
    formats |= {"flags ÷ reports": "{:.2f}", "flags ÷ area": "{:.2f}"}
    blocks: list[Block] = [Text(said)]
    without = hexagons_without_district(examined.cube.hexagons)
    if not without.all():
        said = "What follows for districts is in the table; it does not say why they differ."
        said += f" {int(y[without].sum()):,} reports lie in hexagons without a district." if without.any() else ""
        blocks.append(Text(said))
        caption = f"Shares of the city's total; flags: hexagon-days among the top {TOP_SHARE:.0%}"
        blocks.append(Table("exposure", frame, caption, formats))
    else:
        blocks.append(Text("The record names no districts, so that flags cannot be shown by district."))
    static = covariates(examined.cube.hexagons, often)
    if len(static):
        form = dict.fromkeys(static.columns[1:], "{:,.3g}")
        blocks.append(Table("exposure_covariates", static, "Means over hexagons and over flagged hexagon-days", form))
    else:
        blocks.append(
            Text(
                "The hexagons carry no population or deprivation, so that exposure cannot be held against them.",
                note=True,
            )
        )
    return blocks


def flags(day: np.ndarray) -> np.ndarray:
    """Which hexagons are among the top TOP_SHARE of each day, bool [m n], from daily λ [m n]."""
    out = np.zeros(day.shape, bool)
    for row, lam in zip(out, day, strict=True):
        row[highest(lam, TOP_SHARE)] = True
    return out


def exposure(hexagons: pd.DataFrame, flagged: np.ndarray, reports: np.ndarray) -> pd.DataFrame:
    """A row a district: its shares of flags, reports and area (and population), from flags [m n] and reports [n]."""
    district = hexagons["district"] if "district" in hexagons else pd.Series([None] * len(hexagons))
    known = district.dropna().unique()
    names = [
        *sorted(known, key=lambda name: (len(str(name)), str(name))),
        *([WITHOUT] if district.isna().any() else []),
    ]
    people = [name for name in hexagons.columns if "population" in str(name).lower() and name not in PLACE]
    given = {"flags": flagged.mean(0), "reports": reports, "area": hexagons["area_km2"].to_numpy(float)}
    given |= {str(name): hexagons[name].to_numpy(float) for name in people}
    code = district.fillna(WITHOUT).to_numpy()
    rows = []
    for name in names:
        row: dict[str, Any] = {"district": str(name), "hexagons": int((code == name).sum())}
        row |= {f"share of {what}": float(v[code == name].sum() / max(v.sum(), 1e-12)) for what, v in given.items()}
        rows.append(row)
    frame = pd.DataFrame(rows)
    for what in ("reports", "area"):
        frame[f"flags ÷ {what}"] = frame["share of flags"] / frame[f"share of {what}"].replace(0, np.nan)
    return frame


def covariates(hexagons: pd.DataFrame, often: np.ndarray) -> pd.DataFrame:
    """Means of static columns over all hexagons, and weighted by how often each is flagged [n]."""
    rows = []
    for name in hexagons.columns.difference(list(PLACE)):
        if not pd.api.types.is_numeric_dtype(hexagons[name]):
            continue
        values = hexagons[name].to_numpy(float)
        seen = np.isfinite(values)
        if seen.any() and often[seen].sum() > 0:
            rows.append((words(str(name)), values[seen].mean(), np.average(values[seen], weights=often[seen])))
    return pd.DataFrame(rows, columns=["column", "all hexagons", "flagged hexagon-days"])
