"""The tables of a briefing: some hours of a grid as one, and what is said of their places and sums, spelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context
from typing import Any

import numpy as np
import pandas as pd

from stforecast.delivery.place_names import called
from stforecast.delivery.riskgrid import HORIZON, RiskGrid
from stforecast.delivery.shifts import during
from stforecast.delivery.sums import range_of_sum

PLACES, DISTRICTS, CATEGORIES, ODD = 10, 6, 6, 5
"""How many rows its tables have at most."""
AS_USUAL = (0.9, 1.1)
"""Between these factors something is as usual, as on the map."""
FLOOR = 0.2
"""Share of the most that any place is expected to have, below which a place is not called unusual."""
NONE = "–"


@dataclass(frozen=True)
class Table:
    """Rows of spelled cells below a title; the first `texts` columns are words, the others numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: int = 1
    note: str = ""

    @property
    def lines(self) -> list[tuple[str, ...]]:
        """The rows, below the headings if there are any."""
        return [*([self.columns] if self.rows and any(self.columns) else []), *self.rows]


def digits(value: float, count: int = 2) -> str:
    """A number as the map spells it: two significant digits, of totals three."""
    rounded = Context(prec=count, rounding=ROUND_HALF_UP).create_decimal_from_float(float(value))
    return np.format_float_positional(float(rounded), trim="-")


class Part:
    """Some steps of a grid as one: λ and what is usual, [c n], and spelled cells of any sums of them.

    `rows` are those of the hexagons that are added up.
    """

    def __init__(self, grid: RiskGrid, steps: range) -> None:
        self.grid, of = grid, during(grid, steps)
        self.lam, self.usual = of.intensity[HORIZON], None if of.usual is None else of.usual[HORIZON]
        self.risk, self.order = of.risk[HORIZON], of.order[HORIZON, 0]
        self.steps = np.isin(np.arange(grid.horizons), steps)
        self.ranged = bool(grid.joint) or (grid.bounds is not None and bool(self.steps.all()))

    def expected(self, rows: np.ndarray, category: int = 0) -> float:
        """Reports expected in cells together."""
        return float(self.lam[category, rows].sum())

    def against(self, rows: np.ndarray, category: int = 0) -> list[str]:
        """Expected ÷ usual of cells together as a cell, where what is usual is known."""
        if self.usual is None:
            return []
        usual = float(self.usual[category, rows].sum())
        return [_factor(self.expected(rows, category) / usual) if usual else NONE]

    def range(self, rows: np.ndarray, category: int = 0) -> list[str]:
        """The range of a sum as a cell, where the grid has ranges."""
        if not self.ranged:
            return []
        inside = np.isin(np.arange(self.lam.shape[1]), rows)
        found = range_of_sum(self.grid, inside, self.steps, category)
        return [NONE if found is None else f"{found[0]}–{found[1]}"]

    def headings(self, *between: str) -> list[str]:
        """What stands above these, with others between them."""
        level = next((each.level for of in (self.grid.joint, self.grid.spreads) for each in of.values()), 0.0)
        ranged = [f"Range {round(100 * level)} %"] if self.ranged else []
        return [*ranged, *between, *([] if self.usual is None else ["÷ usual"])]

    def name(self, row: int) -> str:
        """What a reader calls a cell."""
        return str((self.grid.hexagons if self.grid.places is None else self.grid.places)[row])


def in_short(district: str) -> str:
    """A district where there is little room: only a short code says what it is."""
    return called(district, "District") if len(district) <= 3 else district


def ordered(names: set[Any]) -> list[str]:
    return sorted(map(str, names), key=lambda name: name.zfill(9) if name.isdigit() else name)


def places(part: Part, top: np.ndarray, rows: np.ndarray, district: str | None) -> Table:
    """The top places, numbered."""
    grid, lines = part.grid, list[tuple[str, ...]]()
    areas = grid.districts if district is None and grid.districts is not None and any(grid.districts) else None
    for number, row in enumerate(top.tolist(), 1):
        one = np.array([row])
        where = [part.name(row), *([] if areas is None else [str(areas[row] or NONE)])]
        figures = [digits(part.lam[0, row]), *part.range(one), f"{digits(100 * part.risk[0, row])} %"]
        lines.append((str(number), *where, *figures, *part.against(one)))
    columns = ("", "Place", *([] if areas is None else ["District"]), "Expected", *part.headings("Risk"))
    share = 100 * part.expected(top) / max(part.expected(rows), 1e-300)
    whole = "the city" if district is None else called(district, "District")
    note = f"They hold {share:.0f} % of the reports expected in {whole}. Risk: of at least one report."
    if part.usual is not None:
        note += f" ÷ usual: against the average of past {grid.step.cycle}s for these {grid.step_unit}s."
    title = f"The {len(top)} places with most reports expected"
    return Table(title, columns, tuple(lines), 2 + (areas is not None), note)


def totals(part: Part, rows: np.ndarray, district: str | None) -> Table:
    """Sums of the city, or of a district beside it, and of each category."""

    def line(name: str, of: np.ndarray, category: int) -> tuple[str, ...]:
        return name, digits(part.expected(of, category), 3), *part.range(of, category), *part.against(of, category)

    lines = [] if district is None else [line("Whole city", np.arange(part.lam.shape[1]), 0)]
    lines.append(line("All" if district is None else in_short(district), rows, 0))
    best = sorted(range(1, len(part.lam)), key=lambda at: -part.expected(rows, at))
    kept = best if len(best) <= CATEGORIES else best[: CATEGORIES - 1]
    lines += [line(part.grid.categories[at].replace("_", " ").capitalize(), rows, at) for at in kept]
    if others := best[len(kept) :]:
        rest = sum(part.expected(rows, at) for at in others)
        lines.append((f"{len(others)} others", digits(rest, 3), *[NONE] * len(part.headings())))
    return Table("Reports expected", ("", "Expected", *part.headings()), tuple(lines))


def districts(part: Part) -> Table | None:
    """The districts with most reports expected; None where there are not two."""
    found = _by_district(part.grid)
    if len(found) < 2:
        return None
    best = sorted(found.items(), key=lambda pair: -part.expected(pair[1]))[:DISTRICTS]
    lines = [(name, digits(part.expected(of), 3), *part.range(of), *part.against(of)) for name, of in best]
    title = "By district" if len(found) == len(best) else f"The {len(best)} districts with most, of {len(found)}"
    return Table(title, ("District", "Expected", *part.headings()), tuple(lines))


def _by_district(grid: RiskGrid) -> dict[str, np.ndarray]:
    """The rows of each district."""
    if grid.districts is None:
        return {}
    return {name: np.flatnonzero(grid.districts == name) for name in ordered({*grid.districts} - {None})}


def unusual(part: Part, rows: np.ndarray, with_districts: bool) -> Table | None:
    """Places and districts whose expected reports are furthest from usual; None where that is not known."""
    if part.usual is None:
        return None
    groups = {"place": [(part.name(row), np.array([row])) for row in rows.tolist()]}
    if with_districts:
        groups["district"] = [(called(name, "District"), of) for name, of in _by_district(part.grid).items()]
    found, floors = list[tuple[float, tuple[str, ...]]](), list[str]()
    for word, named in groups.items():
        sums = [(name, part.expected(of), float(part.usual[0, of].sum())) for name, of in named]
        floor = FLOOR * max((expected for _, expected, _ in sums), default=0.0)
        for name, expected, usual in sums:
            if max(expected, usual) < floor or min(expected, usual) <= 0:
                continue
            if not AS_USUAL[0] <= (ratio := expected / usual) <= AS_USUAL[1]:
                found.append((-abs(np.log(ratio)), (name, digits(expected), digits(usual), _factor(ratio))))
        floors += [f"{word}s with {digits(floor)} reports or more"] if sums else []
    note = f"{'' if found else 'Nothing is more than 10 % off what is usual. '}Of {' and of '.join(floors)}."
    best = tuple(cells for _, cells in sorted(found)[:ODD])
    return Table("What is unusual", ("Where", "Expected", "Usual", "÷ usual"), best, 1, note)


def compared(comparison: Mapping[str, Any], district: str | None) -> Table | None:
    """The last weeks against the year before; None where the comparison has nothing of a district."""
    table = pd.DataFrame(comparison["table"]).astype(object)
    of = table["district"].isna() if district is None else table["district"] == district
    rows, why = [], list[str]()
    for span in comparison["spans"]:
        for one in table[of & (table["category"] == "all") & (table["span"] == span["name"])].to_dict("records"):
            known = {key: None if pd.isna(one[key]) else one[key] for key in ("reported", "before", "percent", "note")}
            change = NONE if known["percent"] is None else _change(known["percent"])
            counts = [NONE if known[key] is None else f"{known[key]:.0f}" for key in ("reported", "before")]
            rows.append((span["label"], *counts, change))
            why += [] if known["note"] is None else [f"{span['label']}: {known['note']}."]
    if not rows:
        return None
    late = "Reports come late: both years as known at the same age. " if comparison["corrected"] else ""
    said = [
        line
        for line in comparison["notes"]
        if "29 February" in line or (district is not None and line.startswith(("Districts are", "Of a district")))
    ]
    note = f"{late}Until {comparison['until_label']}. {' '.join([*said, *why])}".strip()
    return Table("Reported, against the year before", ("", "Reported", "Before", "Change"), tuple(rows), 1, note)


def _change(percent: float) -> str:
    rounded = round(percent)
    return f"{rounded:+d} %".replace("-", "−") if rounded else "0 %"


def _factor(ratio: float) -> str:
    return f"× {digits(ratio)}"


def lately(outcomes: Sequence[Mapping[str, Any]], waiting: int, in_advance: bool, word: str, span: str) -> Table:
    """How the settled forecasts of the last days or months did.

    Args:
        outcomes: of those that count, as `outcome.outcome` gives them.
        waiting: how many others are not settled.
        in_advance: whether they were made before their first step was over.
        word: what a cell is called.
        span: since when they were issued, such as 7 days.
    """
    title = f"Forecasts of the last {span}"
    if not outcomes:
        none = f"None of {waiting} is settled: reports are still coming in." if waiting else "None is on record."
        return Table(title, (), (), note=none)
    rows = [one["categories"][0] for one in outcomes]
    expected, came = (sum(row[key] for row in rows) for key in ("expected", "came"))
    cells = [("Settled forecasts", f"{len(rows)}"), ("Reports expected", digits(expected, 3)), ("Reports", f"{came}")]
    told = [row for row in rows if row["came"]]
    if told and all(row["top"] is not None for row in told):  # of the days that may tell it, it would be too high
        share = sum(row["top"] * row["came"] for row in told) / sum(row["came"] for row in told)
        cells.append((f"Of these in the top {100 * outcomes[0]['top_share']:.0f} % of {word}s", f"{100 * share:.0f} %"))
    if held := [row["inside"] for row in rows if row["inside"] is not None]:
        cells.append((f"{word.capitalize()}s within their range", f"{100 * np.mean(held):.0f} %"))
    said = (
        ["Of the whole city."]
        + [f"{waiting} more wait for reports."] * (waiting > 0)
        + ["Made after the fact."] * (not in_advance)
    )
    return Table(title, ("", ""), tuple(cells), note=" ".join(said))
