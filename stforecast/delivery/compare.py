"""The last weeks and the year so far against the year before, beside the forecast: the table known as CompStat.

Spans end where the record does, or at the issue time. The last 7 and 28 days stand against the same days 52 weeks
before, so that weekdays match; the year to date, and of a record of months the last month and three, against the same
dates. 29 February has no date a year before: where one of two spans has it, that is noted.

Counts are those that were known at the issue time. Where the record tells how late reports come, the year before is
counted as it was known at the same age, so that both lack as much; beside what is recorded stands the estimate of what
it will be when all reports are in (`features.delay`). A span that the record does not hold, or with a hole, has no
count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stforecast.cube import Cube
from stforecast.cube.steps import zone
from stforecast.delivery.riskgrid import RiskGrid, iso
from stforecast.delivery.small_counts import shown_beside_sums
from stforecast.delivery.words import horizon_length, local_text
from stforecast.features.delay import arrived, late
from stforecast.spreadsheets import to_csv

SMALL = 20
"""Of fewer reports in the year before there is no per cent."""
DAYS, MONTHS = (7, 28), (1, 3)
WEEKS = pd.Timedelta(weeks=52)
NO_DISTRICT = "no district"
COUNTS = ("reported", "estimate", "before", "difference")
Steps = tuple[int, int]
"""From a step on, up to another that is not among them."""


@dataclass(frozen=True)
class Span:
    """Steps now and a year before, which may lie before the record; note: of 29 February, or empty."""

    name: str
    label: str
    now: Steps
    before: Steps
    note: str


def spans_of(cube: Cube, last: int) -> list[Span]:
    """The spans that end where the step `last` begins."""
    end = cube.time_of(last).tz_convert(zone(cube.time_zone)).tz_localize(None)
    if cube.step_unit == "month":
        labels = {f"Last {count} months" if count > 1 else "Last month": count for count in MONTHS}
        begins = {label: end - pd.DateOffset(months=count) for label, count in labels.items()}
    else:
        begins = {f"Last {count} days": end - pd.Timedelta(days=count) for count in DAYS}
    begins["Year to date"] = pd.Timestamp((end - pd.Timedelta(microseconds=1)).year, 1, 1)
    out = []
    for label, begin in begins.items():
        weeks = label.endswith("days")
        before = [time - WEEKS if weeks else year_before(time) for time in (begin, end)]
        longer = (end - begin) - (before[1] - before[0])
        which = "this year's" if longer > pd.Timedelta(0) else "the earlier"
        local = pd.DatetimeIndex([begin, *before]).as_unit("us")
        times = local.tz_localize(zone(cube.time_zone), nonexistent="shift_forward", ambiguous=np.ones(3, bool))
        first, first_before, last_before = cube.step.since(cube.start, times.tz_convert("UTC")).tolist()
        note = f"{label}: 29 February is in {which} span alone." if longer else ""
        name = label.lower().replace(" ", "_")
        out.append(Span(name, label, (first, last), (first_before, last_before), note))
    return out


def year_before(time: pd.Timestamp) -> pd.Timestamp:
    """The same local date a year before; of 29 February the day after the last of February."""
    if (time.month, time.day) == (2, 29):
        return pd.Timestamp(time.year - 1, 3, 1)
    return time.replace(year=time.year - 1)


def compare(cube: Cube, grid: RiskGrid, never: np.ndarray, least: int) -> dict[str, Any]:
    """The comparison of a grid, as plain values.

    Args:
        cube: the record, of the hexagons and categories of the grid.
        grid: the forecast.
        never: categories of sexual offences, bool [c]: not counted in districts.
        least: the smallest count that is shown of a district.

    Returns:
        `until` and `until_label`: where the spans end; `horizon`: how long the forecast is; `corrected`: whether the
        record tells how late reports come; `notes`, as sentences; `spans` with their times; and `table`: columns of a
        row a district (None: the city), category and span, None where nothing is shown, and why in `note`.
    """
    issue = cube.step_of(grid.issue_time)
    last, corrected = min(issue, cube.steps), late(cube, issue)
    counter, spans = _Counter.of(cube, grid, issue, never, least), spans_of(cube, last)
    hidden = {name for name, sexual in zip(cube.categories, never, strict=True) if sexual}
    expected, rows = counter.expected(grid), list[dict[str, Any]]()
    for span in spans:
        now, why = counter.figures(span.now, issue)
        before, why_before = counter.figures(span.before, issue - (last - span.before[1] if corrected else 0))
        estimate = counter.estimate(span.now) if corrected else np.full_like(now, np.nan)
        for i, district in enumerate([None, *counter.names]):
            for j, category in enumerate(grid.categories):
                if district is not None and category in hidden:
                    continue
                base, change = before[i, j], now[i, j] - before[i, j]
                reasons = {"now": why[i][j], "a year before": why_before[i][j]}
                row = {
                    "district": district,
                    "category": category,
                    "span": span.name,
                    "reported": _plain(now[i, j]),
                    "estimate": _plain(estimate[i, j] + 0 * now[i, j]),
                    "before": _plain(base),
                    "difference": _plain(change),
                    "percent": _plain(100 * change / base, 1) if base >= SMALL else None,
                    "expected": _plain(expected[i, j], 3),
                    "note": "; ".join(f"{when}: {text}" for when, text in reasons.items() if text) or None,
                }
                rows.append(row)
    return {
        "until": iso(cube.time_of(last)),
        "until_label": local_text(cube.time_of(last), cube.time_zone),
        "horizon": horizon_length(grid),
        "corrected": corrected,
        "notes": [*counter.notes(corrected), *(span.note for span in spans if span.note)],
        "spans": [_times(cube, span) for span in spans],
        "table": {name: [row[name] for row in rows] for name in rows[0]},
    }


def to_table(comparison: dict[str, Any]) -> str:
    """The table as CSV, with the times of the spans; the city has no district."""
    times = pd.DataFrame(comparison["spans"]).drop(columns="label").rename(columns={"name": "span"})
    table = pd.DataFrame(comparison["table"]).astype(dict.fromkeys(COUNTS, "Int64"))
    return to_csv(table.merge(times, on="span", sort=False))


@dataclass(frozen=True, eq=False)
class _Counter:
    """Counts reports in the city and in its districts, in all and by category: [1 + d, 1 + c].

    place: the district of each hexagon, an index of `names`, [n]; zeros where there are none.
    """

    cube: Cube
    issue: int
    place: np.ndarray
    names: tuple[str, ...]
    never: np.ndarray
    least: int

    @classmethod
    def of(cls, cube: Cube, grid: RiskGrid, issue: int, never: np.ndarray, least: int) -> _Counter:
        """Of the districts of a grid; of none where all categories are never shown in them."""
        if grid.districts is None or never.all() or not any(grid.districts):
            return cls(cube, issue, np.zeros(cube.n, np.int64), (), never, least)
        district = pd.Series([str(name or NO_DISTRICT) for name in grid.districts], grid.hexagons)[cube.cells]
        names = sorted({*district}, key=lambda name: (name == NO_DISTRICT, name.zfill(9) if name.isdigit() else name))
        return cls(cube, issue, pd.Index(names).get_indexer(pd.Index(district)), tuple(names), never, least)

    def expected(self, grid: RiskGrid) -> np.ndarray:
        """What the grid expects over its horizon."""
        lam = grid.leaves(grid.intensity).sum(0, dtype=np.float64)  # [c n]
        lam = lam[:, pd.Index(grid.hexagons).get_indexer(pd.Index(self.cube.cells))]
        category, hexagon = np.indices(lam.shape).reshape(2, -1)
        return self._sums(self._by_district(hexagon, category, lam.ravel()))

    def figures(self, steps: Steps, known: int) -> tuple[np.ndarray, list[list[str]]]:
        """Reports of a span that were known before a step, NaN where none are shown, and why not."""
        counts, missing = self._counts(steps, known), self._missing(steps)
        values = self._sums(counts)
        shown = np.ones(values.shape, bool)
        if self.names:
            shown[1:, np.r_[True, ~self.never]] = shown_beside_sums(counts[:, ~self.never], self.least)
        hidden = f"fewer than {self.least}, or told by sums"
        why = [[text or ("" if seen else hidden) for text, seen in zip(missing, row, strict=True)] for row in shown]
        return np.where([[text == "" for text in row] for row in why], values, np.nan), why

    def estimate(self, steps: Steps) -> np.ndarray:
        """Reports of a span when all are in."""
        return self._sums(self._counts(steps, self.issue) / arrived(self.cube, *steps, self.issue).mean(0)).round()

    def notes(self, corrected: bool) -> list[str]:
        """How it is counted, as sentences."""
        word = self.cube.geometry.word
        out = [f"Reports in the {self.cube.n:,} {word}s of the forecast, as they were known when it was issued."]
        if corrected:
            out.append(
                "Reports come late: the year before is counted as it was known at the same age. Estimates say how many "
                "there will be when all reports are in."
            )
        else:
            out.append("The record does not tell how late reports come: the newest days may lack some.")
        out.append(f"No per cent where there were fewer than {SMALL} reports the year before.")
        if self.names:
            never = "Districts are without sexual offences. " if self.never.any() else ""
            out.append(f"{never}Of a district no count below {self.least} is shown, nor what would tell it.")
        return out

    def _counts(self, steps: Steps, known: int) -> np.ndarray:
        cube, (first, last) = self.cube, steps
        keep = (cube.hour >= first) & (cube.hour < last) & (cube.known_hour < known)
        return self._by_district(cube.hexagon[keep], cube.category[keep], cube.weight[keep])

    def _by_district(self, hexagon: np.ndarray, category: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Sums of weights [e], float64 [d c]; of the city as one district where it has none."""
        districts, c = max(len(self.names), 1), self.cube.c
        found = np.bincount(self.place[hexagon] * c + category, weight, minlength=districts * c)
        return found.reshape(districts, c)

    def _sums(self, values: np.ndarray) -> np.ndarray:
        """The city with all categories, and below it the districts without those that are never shown."""
        each = np.concatenate([values.sum(0, keepdims=True), np.where(self.never, 0, values)[: len(self.names)]])
        return np.concatenate([each.sum(1, keepdims=True), each], axis=1)

    def _missing(self, steps: Steps) -> list[str]:
        """Why the record does not hold a span, of all and by category; empty where it does."""
        cube, (first, last) = self.cube, steps
        if first < 0:
            return [f"the record begins {local_text(cube.start, cube.time_zone)}"] * (1 + cube.c)
        masked = cube.masked_before(self.issue)
        holes = np.zeros(cube.c, bool) if masked is None else masked[first:last].any(0)
        return ["a part was not recorded" if hole else "" for hole in np.r_[holes.any(), holes]]


def _times(cube: Cube, span: Span) -> dict[str, str]:
    times = {"from": span.now[0], "until": span.now[1], "before_from": span.before[0], "before_until": span.before[1]}
    return {"name": span.name, "label": span.label} | {name: iso(cube.time_of(step)) for name, step in times.items()}


def _plain(value: float, digits: int = 0) -> float | int | None:
    """A number as JSON has it: whole where it is; None for NaN."""
    if np.isnan(value):
        return None
    found = round(float(value), digits)
    return int(found) if found.is_integer() else found
