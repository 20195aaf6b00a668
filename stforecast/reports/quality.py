"""Section: how good the record is before anything is forecast from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from stforecast.delivery.figures import label, lines, new_figure
from stforecast.events.schema import EventTable
from stforecast.reports.page import Block, Picture, Table, Text, said, standing, words

AGES = {"1 hour": 1, "6 hours": 6, "1 day": 24, "2 days": 48, "7 days": 168, "14 days": 336, "30 days": 720}
"""Ages at which the lag curve is read, in hours."""
SETTLED_DAYS = 60
"""Events this much older than the record's end count as fully reported."""
SPANS = {
    "start": "they count at its start",
    "aoristic": "they count at its start, and forecasters read those of up to {longest} as spread over it",
}
"""What becomes of events with a span, by `grid.spans`."""
AT_CHANCE = 1 / 60
"""Share of the times on the whole hour if minutes were recorded evenly."""


def blocks(events: EventTable, notes: dict[str, Any]) -> list[Block]:
    """Data quality of the events that a cube with these notes was built from."""
    return [*_counts(events.meta, notes), *_times(events, notes), *_lag(events)]


def _counts(meta: dict[str, Any], notes: dict[str, Any]) -> list[Block]:
    """What became of the publisher's rows, in words and as a table."""
    counts, read = notes["events"], meta["rows_read"]
    kept, outside, in_gaps = counts["kept"], counts["outside_area"] + counts["outside_axis"], counts.get("in_gaps", 0)
    refused, left, corrected = (sum(meta[key].values()) for key in ("rejected", "left_out", "corrected"))
    rows = [("read from the publisher's files", "", read)]
    for what, key in (("refused", "rejected"), ("left out", "left_out"), ("corrected", "corrected")):
        if key == "corrected" and meta["merged"]:
            rows.append(("joined with an incident of the same category", "", meta["merged"]))
        rows += [(what, reason, number) for reason, number in meta[key].items()]
    rows += [("events, outside the hexagons or the period", "", outside)] if outside else []
    rows += [("events, in source.gaps", "", in_gaps)] if in_gaps else []
    rows.append(("events in the hexagons", "", kept))
    gone = {
        f"refused ({refused / max(read, 1):.2%})": refused,
        "left out as the configuration says": left,
        "joined with another row of their incident": meta["merged"],
        "outside the hexagons or period": outside,
        "in days that source.gaps calls not recorded": in_gaps,
    }
    lost = ", ".join(f"{number:,} {what}" for what, number in gone.items() if number) or "none was lost"
    mended = f"{corrected:,} values were corrected. " if corrected else ""
    text = f"Of {read:,} rows: {lost}; {kept:,} events remain. {mended}Study area: {notes['study_area']}."
    table = pd.DataFrame(rows, columns=["what became of the rows", "reason", "rows"])
    return [Text(text), Table("record", table), *(Text(line) for line in notes.get("fallbacks", []))]


def _times(events: EventTable, notes: dict[str, Any]) -> list[Block]:
    """Times that stand for an unknown hour, and spans; of a publisher of days or months only that it is one."""
    if events.precision != "time":
        return [said("dates", precision=events.precision)]
    meta, frame = events.meta, events.frame
    span = frame["occurred_until"] - frame["occurred_at"]
    long, day = (float((span > pd.Timedelta(hours=hours)).mean()) for hours in (1, 24))
    rows = [
        ("at 00:00 exactly", meta["at_midnight"], 1 / 1440),
        ("at 12:00 exactly", meta["at_noon"], 1 / 1440),
        ("on a whole hour", meta["on_the_hour"], AT_CHANCE),
        ("span of more than one hour", long, np.nan),
        ("span of more than 24 hours", day, np.nan),
    ]
    known = (
        standing("spans", share=long, rule=SPANS[notes["spans"]["rule"]].format(**notes["spans"]))
        if span.notna().any()
        else standing("no_spans")
    )
    text = f"{standing('times', **meta)} {known}"
    names = ["time of the event", "share of events", "share if minutes were even"]
    table = Table("times", pd.DataFrame(rows, columns=names))
    return [Text(text), table]


def _lag(events: EventTable) -> list[Block]:
    """The reporting lag curve."""
    if events.precision == "month":
        return []
    curves, ages = lag_curves(events), AGES
    if events.precision == "day":
        ages = {age: hours for age, hours in AGES.items() if hours >= 24}
    if not curves:
        return [Text("The publisher does not say when reports were made, so how late they arrive stays unknown.")]
    figure, (axes,) = new_figure()
    lines(axes, {words(name): curve for name, curve in curves.items()})
    axes.set(xscale="log", ylim=(0, 1.02))
    axes.set_xticks(list(ages.values()), list(ages))
    axes.minorticks_off()
    axes.tick_params(axis="x", labelrotation=30)
    axes.yaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    axes.legend(fontsize=8.5, frameon=False, loc="lower right")
    label(axes, "How complete the record is by age of the event", "time since the event (logarithmic)", "reported")
    frame = pd.DataFrame({age: [np.interp(hours, *curve) for curve in curves.values()] for age, hours in ages.items()})
    at = frame.iloc[0]
    text = standing("lag", **at)
    if at["1 day"] < 0.99:
        text += " The newest days are the least complete: a quiet last day in the record may still fill up."
    frame.insert(0, "category", [words(name) for name in curves])
    alt = "Reporting lag curve. " + ", ".join(f"{at[age]:.0%} reported after {age}" for age in ages) + "."
    return [
        Text(text),
        Picture("lag", figure, alt, f"Events at least {SETTLED_DAYS} days older than the last report."),
        Table("lag", frame),
    ]


def lag_curves(events: EventTable) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """How soon settled events were reported.

    Returns:
        Hours since the event and the share reported by then, for `all` and each category; empty where no event has a
        report time of its own. Of a publisher of days both are whole days.
    """
    frame = events.frame[events.frame["reported_at"].notna()]
    delay = (frame["reported_at"] - frame["occurred_at"]).dt.total_seconds() / 3600
    hours: np.ndarray = np.geomspace(0.25, 24 * SETTLED_DAYS, 120)
    if events.precision == "day":
        delay, hours = delay // 24 * 24, 24.0 * np.arange(1, SETTLED_DAYS + 1)
    settled = frame["occurred_at"] < frame["reported_at"].max() - pd.Timedelta(days=SETTLED_DAYS)
    if not settled.any() or not (delay[settled] > 0).any():
        return {}
    out = {}
    for name in ("all", *events.categories):
        mine = settled if name == "all" else settled & (frame["category"] == name)
        found = np.sort(delay[mine].to_numpy())
        if found.size:
            out[name] = (hours, np.searchsorted(found, hours, side="right") / found.size)
    return out
