"""Places for prevention, services and presence: those that cover most of the expected reports within a budget.

Chosen is by expected reports over the horizon of a grid, weighted by category, and by nothing else: who lives in a
place is shown beside a plan and never enters it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from stforecast.config.sections import Allocation
from stforecast.cube.hexgrid import DIGITS
from stforecast.delivery.allocation import SECONDS, SLACK, budget_of, exact, greedy
from stforecast.delivery.riskgrid import HORIZON, RiskGrid, iso
from stforecast.delivery.shifts import Shift
from stforecast.delivery.sums import range_of_sum
from stforecast.delivery.words import length_of
from stforecast.errors import ConfigError

PURPOSE = (
    "For prevention, services and presence: where reports are to be expected, and not what is to be done there. "
    "Places are chosen by reports expected there, and never by who lives there."
)


@dataclass(frozen=True)
class Coverage:
    """What some places cover: expected reports, plain and weighted, with their shares of the city's.

    low, high: the range of the count of reports, by the grid's joint law; None where it has none. A weighted sum is no
    count, and has no range.
    """

    places: int
    area_km2: float
    share_of_area: float
    expected: float
    share: float
    low: int | None
    high: int | None
    weighted: float
    weighted_share: float


@dataclass(frozen=True, eq=False)
class Plan:
    """Places of a grid, chosen within a budget.

    shift: that the plan is for; None of the whole horizon. value: weighted expected reports, [n]. rows: of the chosen
    cells in the grid, those of the highest value first, [p]. greedy: the same by the greedy rule alone. usual: by that
    rule and within the same budgets from what is usual there; None where the grid does not carry it. bound: what no
    choice exceeds in value. budgets: of each district, or of the city, in places or km².
    """

    grid: RiskGrid
    allocation: Allocation
    shift: Shift | None
    value: np.ndarray
    rows: np.ndarray
    greedy: np.ndarray
    usual: np.ndarray | None
    bound: float
    budgets: dict[str, float]

    @property
    def weights(self) -> dict[str, float]:
        """What an expected report of each category counts."""
        return weights_of(self.grid, self.allocation)

    @property
    def steps(self) -> slice:
        """Those of the grid that the plan is for."""
        return _steps(self.grid, self.shift)

    @cached_property
    def expected(self) -> np.ndarray:
        """Reports expected in these steps, [c n]."""
        return _during(self.grid.intensity, self.steps)

    @cached_property
    def area(self) -> np.ndarray:
        """Of each cell in km², [n]."""
        return _area(self.grid)

    @cached_property
    def left_out(self) -> np.ndarray:
        """Rows of the cells that may not be chosen, [l]."""
        return np.flatnonzero(np.isin(self.grid.hexagons, [*self.allocation.leave_out]))

    @cached_property
    def covered(self) -> Coverage:
        """What the plan covers."""
        return self.coverage(self.rows)

    @property
    def gap(self) -> float:
        """The share by which the greedy rule is at most below the best choice."""
        return float(1 - self.value[self.greedy].sum() / self.bound) if self.bound else 0.0

    def coverage(self, rows: np.ndarray) -> Coverage:
        """What the cells of some rows cover."""
        chosen = np.isin(np.arange(len(self.value)), rows)
        during = np.isin(np.arange(self.grid.horizons), np.arange(self.grid.horizons)[self.steps])
        low, high = range_of_sum(self.grid, chosen, during, 0) or (None, None)

        def both(values: np.ndarray) -> tuple[float, float]:
            some, all_ = float(values[rows].sum()), float(values.sum())
            return some, some / all_ if all_ else 0.0

        return Coverage(len(rows), *both(self.area), *both(self.expected[0]), low, high, *both(self.value))

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row a place: the chosen ones in their order, behind them those left out with their reason."""
        grid, rows = self.grid, np.concatenate([self.rows, self.left_out])
        chosen, centres, rank = len(self.rows), grid.geometry.centres.round(DIGITS), np.empty(len(self.value), np.int32)
        rank[np.argsort(-self.expected[0], kind="stable")] = np.arange(1, len(rank) + 1)
        usual = {} if grid.usual is None else {"usual": _during(grid.usual, self.steps)[0, rows]}
        reasons = [self.allocation.leave_out[name] for name in grid.hexagons[self.left_out]]
        return pd.DataFrame(
            {
                "number": pd.array([*range(1, chosen + 1), *[None] * len(reasons)], "Int64"),
                **({} if grid.places is None else {"place": grid.places[rows]}),
                "hexagon": grid.hexagons[rows].astype(object),
                **({"district": grid.districts[rows]} if grid.districts is not None else {}),
                "latitude": centres[rows, 0],
                "longitude": centres[rows, 1],
                "area_km2": self.area[rows],
                "expected": self.expected[0, rows],
                **usual,
                "rank": rank[rows],
                "weighted": self.value[rows],
                "weighted_share": self.value[rows] / max(self.value.sum(), 1e-300),
                **{f"expected_{name}": self.expected[grid.categories.index(name), rows] for name in self.weights},
                "left_out": np.array([None] * chosen + reasons, object),
            }
        )

    @property
    def level(self) -> float | None:
        """How often ranges hold what is reported; None where the grid has no joint law."""
        return next((law.level for law in self.grid.joint.values()), None)

    def lines(self) -> list[str]:
        """The plan in sentences: what it covers, against what is usual, by which weights, and what it left out."""
        grid, word, shift = self.grid, self.grid.geometry.word, self.shift
        length = length_of(grid.step, len(self.grid.starts[:HORIZON][self.steps]))
        when = f" of {' '.join(filter(None, (shift.label, shift.hours)))}" if shift else ""
        lines = [f"{_words(self.covered, word)} over the {length}{when}."]
        if shift and shift.cut:
            lines.append(f"The forecast holds {shift.cut} of this shift.")
        if self.usual is not None:
            same = {*self.usual.tolist()} == {*self.rows.tolist()}
            baseline = "the same places" if same else _words(self.coverage(self.usual), word)
            lines.append(f"The usual top places within the same budget: {baseline}.")
        if self.level is None:
            lines.append("These are numbers to be expected by this forecast; what is then reported differs.")
        else:
            lines.append(f"Ranges are meant to hold what is reported there {self.level:.0%} of the time.")
        weights = ", ".join(f"{name} {weight:g}" for name, weight in self.weights.items())
        lines.append(f"A report counts by its category: {weights}; so weighted, {self.covered.weighted_share:.1%}.")
        lines.append(f"The greedy rule is at most {self.gap:.3%} below the best choice of places.")
        if len(self.left_out):
            lines.append(f"Left out with a reason: {_words(self.coverage(self.left_out), word)}.")
        if self.allocation.rule != "city" and (none := int((districts_of(grid)[0] < 0).sum())):
            lines.append(f"{none:,} {word}s are in no district and cannot be chosen.")
        return lines

    def facts(self) -> dict[str, Any]:
        """The plan but its places, as plain values."""
        shift = self.shift
        return {
            "purpose": PURPOSE,
            "valid_from": iso(self.grid.starts[:HORIZON][self.steps][0]),
            "valid_until": iso(self.grid.ends[:HORIZON][self.steps][-1]),
            "shift": shift and {"label": shift.label, "hours": shift.hours, "whole": not shift.cut},
            "rule": self.allocation.rule,
            "budget": {"unit": "places" if self.allocation.area_km2 is None else "km2", "of": self.budgets},
            "weights": self.weights,
            "level": self.level,
            "covered": asdict(self.covered),
            "usual_top_places": None if self.usual is None else asdict(self.coverage(self.usual)),
            "greedy": asdict(self.coverage(self.greedy)) | {"gap_at_most": self.gap},
            "left_out": {name: self.allocation.leave_out[name] for name in self.grid.hexagons[self.left_out]},
        }


def make_plan(grid: RiskGrid, allocation: Allocation, shift: Shift | None = None, seconds: float = SECONDS) -> Plan:
    """The places of a grid that cover most expected reports.

    Args:
        grid: of one issue.
        allocation: rule, budget, weights, and what is left out.
        shift: of `shifts_of(grid)`, if the plan is for one; else it is for the whole horizon.
        seconds: that the search for the best choice may take.

    Raises:
        ConfigError: a category, a cell or districts that the grid does not have; or nothing has a weight.

    Example:
        >>> plan = make_plan(open_grid(folder), Allocation(rule="district", places=3))
    """
    word = grid.geometry.word
    if odd := sorted({*allocation.leave_out} - {*grid.hexagons.tolist()}):
        raise ConfigError(f"plan.leave_out: {odd[0]} is no {word} of this grid, whose first is {grid.hexagons[0]}.")
    weights = weights_of(grid, allocation)
    steps, area = _steps(grid, shift), _area(grid)
    value = _weighted(grid.intensity, weights, steps)
    group, names = districts_of(grid) if allocation.rule != "city" else (np.zeros(len(value), int), ["city"])
    if not names:
        raise ConfigError(
            f"plan.rule: {allocation.rule} needs districts, and this grid has none. Name their file as "
            "grid.districts and forecast again, or set plan.rule: city."
        )
    size = np.ones(len(value)) if allocation.area_km2 is None else area
    need = np.bincount(group[group >= 0], value[group >= 0], len(names))
    budget = budget_of(allocation, need, float(size.max()) if grid.polygons is None else None)
    group = np.where(np.isin(grid.hexagons, [*allocation.leave_out]), -1, group)
    free = size[group >= 0]
    if len(free) and free.min() > budget.max() + SLACK:
        what = f"the smallest {word} has {free.min():.2f} km², more than any part of this budget"
        raise ConfigError(f"plan.area_km2: {what}. Raise it.")
    best, bound = exact(value, size, group, budget, seconds)
    usual = None
    if grid.usual is not None:
        usual = np.array(greedy(_weighted(grid.usual, weights, steps), size, group, budget), int)
    return Plan(
        grid=grid,
        allocation=allocation,
        shift=shift,
        value=value,
        rows=np.array(best, int),
        greedy=np.array(greedy(value, size, group, budget), int),
        usual=usual,
        bound=bound,
        budgets=dict(zip(names, budget.tolist(), strict=True)),
    )


def weights_of(grid: RiskGrid, allocation: Allocation) -> dict[str, float]:
    """What an expected report of each category of a grid counts.

    Raises:
        ConfigError: a weight of a category that the grid does not have; or none is above 0.
    """
    names = grid.categories[1:] or grid.categories
    if odd := sorted({*allocation.weights} - {*names}):
        raise ConfigError(f"plan.weights: {odd[0]} is no category of this grid; it has {', '.join(names)}.")
    weights = {name: allocation.weights.get(name, 1.0) for name in names}
    if not any(weights.values()):
        raise ConfigError("plan.weights: all are 0, so that no place counts. Give one a weight above 0.")
    return weights


def _steps(grid: RiskGrid, shift: Shift | None) -> slice:
    return slice(0, grid.horizons) if shift is None else slice(shift.steps.start, shift.steps.stop)


def _during(values: np.ndarray, steps: slice) -> np.ndarray:
    """Sums of values [i c n] over some steps, [c n]; of all of them to the last digit what the horizon has."""
    return values[:HORIZON][steps].sum(0)


def _area(grid: RiskGrid) -> np.ndarray:
    """Of each cell in km², [n], as the map has it: it chooses the same places."""
    return grid.geometry.areas_km2.round(DIGITS)


def _weighted(values: np.ndarray, weights: dict[str, float], steps: slice) -> np.ndarray:
    """Weighted reports in some steps, [n], of values [i c n]; added up as `all` is, to the last digit."""
    leaves = values[:HORIZON, -len(weights) :][steps]
    return (leaves * np.array([*weights.values()])[:, None]).sum(1).sum(0)


def districts_of(grid: RiskGrid) -> tuple[np.ndarray, list[str]]:
    """The district of each cell as an index, −1 where it has none, [n], and their names."""
    if grid.districts is None:
        return np.full(len(grid.hexagons), -1), []
    code, names = pd.factorize(pd.Series(grid.districts, dtype=object), sort=True)
    return code, names.tolist()


def _words(of: Coverage, word: str) -> str:
    """A coverage in words."""
    cells = f"{of.places:,} {word}{'' if of.places == 1 else 's'} of {of.area_km2:,.1f} km² ({of.share_of_area:.1%})"
    range_ = "" if of.low is None else f", {of.low:,} to {of.high:,}"
    return f"{cells}: {of.expected:,.1f} expected reports ({of.share:.1%}){range_}"
