"""Section: the model card (after Mitchell et al. 2019): what the forecast is for, what it does not know, its limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from stforecast.cube.covariates import sensitive_words
from stforecast.delivery.map import TOP_SHARE, highest
from stforecast.evaluation.scorecard import SETTLED, masked_words
from stforecast.reports.comparison import unfair_sentences
from stforecast.reports.evaluated import EvaluatedRun, district_names, districts_of
from stforecast.reports.page import Block, Table, Text, note, said, standing, wording, words
from stforecast.scoring.metrics import reported_to_expected

PLACE = ("hexagon", "latitude", "longitude", "area_km2", "district")
"""Columns of the hexagons that are no covariates."""
WITHOUT = "without district"


def blocks(run: EvaluatedRun, meta: dict[str, Any], least: int) -> list[Block]:
    """The card of the forecaster that forecasts, with the `meta` of its events; counts are shown from `least` up."""
    entry = run.card["forecasters"][run.leader]
    values = entry | {
        "forecaster": words(run.leader) + (f" ({remark})" if (remark := entry.get("remark")) else ""),
        "run": run.name,
        "files": ", ".join(source["file"] for source in meta["sources"]),
        "until": run.slices["validation"][1],
        "known": _known(run.cube.notes),
        "precision": _precision(run),
        "ratio": reported_to_expected(entry["bias"]) or np.nan,
        "area": run.cube.hexagons["area_km2"].mean(),
        "rest": _rest(run.card),
        "origin": f"; started from {run.origin}" if run.origin else "",
        "least": least,
        **run.terms,
    }
    rows = [(about, text.format(**values)) for about, text in wording()["card"].items()]
    table = Table("model_card", pd.DataFrame(rows, columns=["about", "what there is to say"]))
    sensitive = [Text(sentence) for sentence in sensitive_words(run.cube.covariates)]
    unfair = [Text(sentence) for sentence in unfair_sentences(run.card)]
    return [table, *unfair, *sensitive, *_offences(meta), *_exposure(run)]


def _known(notes: dict[str, Any]) -> str:
    """When an event counts as known."""
    embargo = notes.get("embargo_hours", 0)
    observed = {"reported": "when they were reported", "first_seen": "when they were first seen"}
    if (when := observed.get(notes.get("known_time", ""))) is not None:
        return when + (f", and not before {embargo} hours after they occurred" if embargo else "")
    return f"{embargo} hours after they occurred" + ("" if embargo else ", which is earlier than in real use")


def _precision(run: EvaluatedRun) -> str:
    """What limits the time of an event: the publisher's rounding, or that it gives no time of day."""
    precision = run.cube.notes.get("precision", "time")
    if precision != "time":
        return standing("card_dated", precision=precision)
    return standing("card_timed") if run.cube.step_unit == "hour" else ""


def _rest(card: dict[str, Any]) -> str:
    """What limits a scorecard itself: hours that were not recorded, and reports that are still to come."""
    text, share = masked_words(card), card.get("reported_share")
    text = f"; {text}" if text else ""
    if share is not None and share < SETTLED:
        text += f"; an estimated {share:.0%} of the events of the test slice were reported by the end of the record"
    return text


def _offences(meta: dict[str, Any]) -> list[Block]:
    """Which of the publisher's offences are forecast, and which are left out."""
    frame = pd.DataFrame(meta["offences"], columns=["offence", "category", "rows"])
    table = (
        frame.sort_values("rows", ascending=False)
        .groupby("category", sort=False)
        .agg(offences=("offence", lambda names: _few(list(names))), rows=("rows", "sum"))
        .reindex([name for name in meta["categories"] if name in set(frame["category"])])
        .reset_index()
    )
    left = ", ".join(f"{row.offence} ({row.rows:,})" for row in frame[frame["category"].isna()].head(12).itertuples())
    text = f"Left out by the configuration, the largest first: {left}." if left else "None is left out."
    text = f"Which of the publisher's offences are forecast. {text}"
    return [Text(text), Table("offences", table.assign(category=table["category"].map(words)))]


def _few(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _exposure(run: EvaluatedRun) -> list[Block]:
    """How often hexagons are flagged, by district and beside what else is known of them."""
    counts = run.summed(run.counts)
    flagged = flags(run.summed(run.intensity[run.leader]))
    often, reports = flagged.mean(0), counts.sum(0)
    always, never, held = np.mean(often > 0.9), np.mean(often == 0), (flagged * counts).sum() / max(reports.sum(), 1)
    text = said("card_flags", top=TOP_SHARE, count=len(flagged), always=always, never=never, held=held, **run.terms)
    return [text, *_by_district(run, flagged, reports), _covariates(run, often)]


def _by_district(run: EvaluatedRun, flagged: np.ndarray, reports: np.ndarray) -> list[Block]:
    hexagons, issue = run.cube.hexagons, run.terms["issue"]
    without = districts_of(hexagons).isna().to_numpy()
    if without.all():
        return [Text("The record names no districts, so that flags cannot be shown by district.")]
    text = "The table shows how often each district is flagged; it does not say why they differ."
    text += (
        f" {int(reports[without].sum()):,} reports lie in hexagons whose district is not named."
        if without.any()
        else ""
    )
    caption = f"Shares of the city's total; flags: hexagon-{issue}s among the top {TOP_SHARE:.0%}"
    return [Text(text), Table("exposure", exposure(hexagons, flagged, reports), caption)]


def _covariates(run: EvaluatedRun, often: np.ndarray) -> Block:
    static = covariates(run.cube.hexagons, often)
    if not len(static):
        return note("card_no_covariates")
    static = static.rename(columns={"flagged": f"flagged hexagon-{run.terms['issues']}"})
    caption = f"Means of all hexagons and of flagged hexagon-{run.terms['issues']}"
    return Table("exposure_covariates", static, caption)


def flags(summed: np.ndarray) -> np.ndarray:
    """Which hexagons are among the top TOP_SHARE of each issue, bool [m n], from λ summed over the horizon [m n]."""
    out = np.zeros(summed.shape, bool)
    for row, lam in zip(out, summed, strict=True):
        row[highest(lam, TOP_SHARE)] = True
    return out


def exposure(hexagons: pd.DataFrame, flagged: np.ndarray, reports: np.ndarray) -> pd.DataFrame:
    """A row a district with its shares of flags, reports and area, and of population where it is known.

    Args:
        hexagons: of the cube, [n].
        flagged: which are flagged at each issue, bool [m n].
        reports: of each hexagon, [n].
    """
    people = [name for name in hexagons.columns if "population" in str(name).lower() and name not in PLACE]
    values = pd.DataFrame(
        {"flags": flagged.mean(0), "reports": reports, "area": hexagons["area_km2"].to_numpy(float)}
        | {str(name): hexagons[name].to_numpy(float) for name in people}
    )
    by_district = values.groupby(districts_of(hexagons).fillna(WITHOUT).to_numpy())
    names = [*district_names(hexagons), *([WITHOUT] if WITHOUT in by_district.groups else [])]
    shares = (by_district.sum() / values.sum().clip(lower=1e-12)).add_prefix("share of ").loc[names]
    for what in ("reports", "area"):
        shares[f"flags ÷ {what}"] = shares["share of flags"] / shares[f"share of {what}"].replace(0, np.nan)
    shares.insert(0, "hexagons", by_district.size().loc[names])
    return shares.reset_index(names="district")


def covariates(hexagons: pd.DataFrame, often: np.ndarray) -> pd.DataFrame:
    """Means of static columns over all hexagons, and weighted by how often each is flagged [n]."""
    values = hexagons.drop(columns=[*PLACE], errors="ignore").select_dtypes(["number", "bool"]).astype(float)
    values = values.where(np.isfinite(values)).sort_index(axis=1)
    weight = values.notna().mul(often, axis=0)
    means = {"all hexagons": values.mean(), "flagged": (values * weight).sum() / weight.sum()}
    return pd.DataFrame(means)[weight.sum() > 0].rename(index=words).reset_index(names="column")
