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
from stforecast.delivery.allocation import SLACK, by_largest_remainder, exact, greedy
from stforecast.delivery.riskgrid import HORIZON, RiskGrid
from stforecast.delivery.words import horizon_length
from stforecast.errors import ConfigError

PURPOSE = (
    "For prevention, services and presence: where reports are to be expected, and not what is to be done there. "
    "Places are chosen by reports expected there, and never by who lives there."
)
TENTHS = 10


@dataclass(frozen=True)
class Coverage:
    """What some places cover: expected reports over the horizon, plain and weighted, with their shares of the city's.

    These are expected numbers: a range of their sum needs the joint law of the counts, and none is given without it.
    """

    places: int
    area_km2: float
    share_of_area: float
    expected: float
    share: float
    weighted: float
    weighted_share: float


@dataclass(frozen=True, eq=False)
class Plan:
    """Places of a grid, chosen within a budget.

    value: weighted expected reports, [n]. rows: of the chosen cells in the grid, those of the highest value first, [p].
    greedy: the same by the greedy rule alone. usual: by that rule and within the same budgets from what is usual there;
    None where the grid does not carry it. bound: what no choice exceeds in value. budgets: of each district, or of the
    city, in places or km².
    """

    grid: RiskGrid
    allocation: Allocation
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
        area, expected = self.grid.geometry.areas_km2, self.grid.intensity[HORIZON, 0]

        def both(values: np.ndarray) -> tuple[float, float]:
            some, all_ = float(values[rows].sum()), float(values.sum())
            return some, some / all_ if all_ else 0.0

        return Coverage(len(rows), *both(area), *both(expected), *both(self.value))

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row a place: the chosen ones in their order, behind them those left out with their reason."""
        grid, rows = self.grid, np.concatenate([self.rows, self.left_out])
        chosen, centres = len(self.rows), grid.geometry.centres
        reasons = [self.allocation.leave_out[name] for name in grid.hexagons[self.left_out]]
        return pd.DataFrame(
            {
                "number": pd.array([*range(1, chosen + 1), *[None] * len(reasons)], "Int64"),
                **({} if grid.places is None else {"place": grid.places[rows]}),
                "hexagon": grid.hexagons[rows].astype(object),
                **({"district": grid.districts[rows]} if grid.districts is not None else {}),
                "latitude": centres[rows, 0],
                "longitude": centres[rows, 1],
                "area_km2": grid.geometry.areas_km2[rows],
                "expected": grid.intensity[HORIZON, 0, rows],
                **({} if grid.usual is None else {"usual": grid.usual[HORIZON, 0, rows]}),
                "rank": grid.rank[HORIZON, 0, rows],
                "weighted": self.value[rows],
                "weighted_share": self.value[rows] / max(self.value.sum(), 1e-300),
                **{
                    f"expected_{name}": grid.intensity[HORIZON, grid.categories.index(name), rows]
                    for name in self.weights
                },
                "left_out": np.array([None] * chosen + reasons, object),
            }
        )

    def by_district(self, people: pd.DataFrame) -> pd.DataFrame:
        """A row a district with its places and its shares of them, of area, expected reports and `people` [n …]."""
        code, names = _districts(self.grid)
        if not names:
            return pd.DataFrame()
        return self._falls_on(np.array([*names, "in no district"], object)[code], people, "district")

    def by_tenth(self, values: pd.Series, people: pd.DataFrame) -> pd.DataFrame:
        """The same by tenths of the cells by a value [n], from the lowest; without cells whose value is not known."""
        rank = values.rank(method="average", pct=True)
        tenth = np.ceil((rank * TENTHS).round(9)).astype("Int64")
        found = self._falls_on(tenth, people, "tenth")
        ends = values.groupby(tenth).agg(["min", "max"]).loc[found["tenth"]]
        found.insert(1, "from", ends["min"].to_numpy())
        found.insert(2, "to", ends["max"].to_numpy())
        return found

    def _falls_on(self, part: Any, people: pd.DataFrame, name: str) -> pd.DataFrame:
        chosen = np.zeros(len(self.value))
        chosen[self.rows] = 1
        area = self.grid.geometry.areas_km2
        columns = {"places": chosen, "plan": chosen * area, "area": area}
        columns |= {"expected": self.grid.intensity[HORIZON, 0], "weighted": self.value}
        values = pd.concat([pd.DataFrame(columns), people], axis=1)
        sums = values.groupby(np.asarray(part, object)).sum(min_count=1)  # none known is not none
        shares = (sums / values.sum().clip(lower=1e-300)).add_prefix("share_of_")
        shares.insert(0, "places", sums["places"].astype(int))
        return shares.reset_index(names=name)

    def lines(self) -> list[str]:
        """The plan in sentences: what it covers, against what is usual, by which weights, and what it left out."""
        grid, word, length = self.grid, self.grid.geometry.word, horizon_length(self.grid)
        lines = [f"{_words(self.covered, word)} over the {length}."]
        if self.usual is not None:
            same = {*self.usual.tolist()} == {*self.rows.tolist()}
            baseline = "the same places" if same else _words(self.coverage(self.usual), word)
            lines.append(f"The usual top places within the same budget: {baseline}.")
        lines.append("These are numbers to be expected by this forecast; what is then reported differs.")
        weights = ", ".join(f"{name} {weight:g}" for name, weight in self.weights.items())
        lines.append(f"A report counts by its category: {weights}; so weighted, {self.covered.weighted_share:.1%}.")
        lines.append(f"The greedy rule is at most {self.gap:.3%} below the best choice of places.")
        if len(self.left_out):
            lines.append(f"Left out with a reason: {_words(self.coverage(self.left_out), word)}.")
        if self.allocation.rule != "city" and (none := int((_districts(grid)[0] < 0).sum())):
            lines.append(f"{none:,} {word}s are in no district and cannot be chosen.")
        return lines

    def facts(self) -> dict[str, Any]:
        """The plan but its places, as plain values."""
        return {
            "purpose": PURPOSE,
            "rule": self.allocation.rule,
            "budget": {"unit": "places" if self.allocation.area_km2 is None else "km2", "of": self.budgets},
            "weights": self.weights,
            "covered": asdict(self.covered),
            "usual_top_places": None if self.usual is None else asdict(self.coverage(self.usual)),
            "greedy": asdict(self.coverage(self.greedy)) | {"gap_at_most": self.gap},
            "left_out": {name: self.allocation.leave_out[name] for name in self.grid.hexagons[self.left_out]},
        }


def make_plan(grid: RiskGrid, allocation: Allocation) -> Plan:
    """The places of a grid that cover most expected reports.

    Args:
        grid: of one issue.
        allocation: rule, budget, weights, and what is left out.

    Raises:
        ConfigError: a category, a cell or districts that the grid does not have; or nothing has a weight.

    Example:
        >>> plan = make_plan(open_grid(folder), Allocation(rule="district", places=3))
    """
    word = grid.geometry.word
    if odd := sorted({*allocation.leave_out} - {*grid.hexagons.tolist()}):
        raise ConfigError(f"plan.leave_out: {odd[0]} is no {word} of this grid, whose first is {grid.hexagons[0]}.")
    weights = weights_of(grid, allocation)
    value = _weighted(grid.intensity, weights)
    group, names = _districts(grid) if allocation.rule != "city" else (np.zeros(len(value), int), ["city"])
    if not names:
        raise ConfigError(
            f"plan.rule: {allocation.rule} needs districts, and this grid has none. Name their file as "
            "grid.districts and forecast again, or set plan.rule: city."
        )
    size = np.ones(len(value)) if allocation.area_km2 is None else grid.geometry.areas_km2
    need = np.bincount(group[group >= 0], value[group >= 0], len(names))
    budget = _budget(allocation, need, float(size.max()) if grid.polygons is None else None)
    group = np.where(np.isin(grid.hexagons, [*allocation.leave_out]), -1, group)
    free = size[group >= 0]
    if len(free) and free.min() > budget.max() + SLACK:
        what = f"the smallest {word} has {free.min():.2f} km², more than any part of this budget"
        raise ConfigError(f"plan.area_km2: {what}. Raise it.")
    best, bound = exact(value, size, group, budget)
    usual = None
    if grid.usual is not None:
        usual = np.array(greedy(_weighted(grid.usual, weights), size, group, budget), int)
    return Plan(
        grid=grid,
        allocation=allocation,
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


def _weighted(values: np.ndarray, weights: dict[str, float]) -> np.ndarray:
    """Weighted reports over the horizon, [n], of values [i c n]; added up as `all` is, to the last digit."""
    leaves = values[:HORIZON, -len(weights) :]
    return (leaves * np.array([*weights.values()])[:, None]).sum(1).sum(0)


def _districts(grid: RiskGrid) -> tuple[np.ndarray, list[str]]:
    """The district of each cell as an index, −1 where it has none, [n], and their names."""
    if grid.districts is None:
        return np.full(len(grid.hexagons), -1), []
    code, names = pd.factorize(pd.Series(grid.districts, dtype=object), sort=True)
    return code, names.tolist()


def _budget(allocation: Allocation, need: np.ndarray, hexagon: float | None) -> np.ndarray:
    """The budget of each group, [g].

    Args:
        allocation: with the rule.
        need: weighted reports of each group, [g].
        hexagon: the size of the largest hexagon: shares are rounded to whole ones, by largest remainder. None of
            polygons, which differ in size: an area is shared out as it is.
    """
    amount = allocation.amount
    if allocation.rule != "proportion":
        return np.full(len(need), float(amount))
    if not need.sum():
        return np.zeros(len(need))
    unit = 1.0 if allocation.area_km2 is None else hexagon
    if unit is None:
        return amount * need / need.sum()
    return unit * by_largest_remainder(int(amount / unit + SLACK), need)


def _words(of: Coverage, word: str) -> str:
    """A coverage in words."""
    cells = f"{of.places:,} {word}{'' if of.places == 1 else 's'} of {of.area_km2:,.1f} km² ({of.share_of_area:.1%})"
    return f"{cells}: {of.expected:,.1f} expected reports ({of.share:.1%})"
