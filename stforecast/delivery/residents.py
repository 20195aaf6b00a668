"""Who lives in the cells of a grid, shown beside a plan and never used for choosing; and how a plan falls on them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from stforecast.config.sections import Allocation
from stforecast.delivery.plan import Plan, districts_of
from stforecast.delivery.riskgrid import RiskGrid

TENTHS = 10
DIGITS = 6
"""That are kept of a number, beyond what any census knows."""


@dataclass(frozen=True, eq=False)
class Residents:
    """What is known of who lives in the cells of a grid.

    people: how many, [n …]. other: what else, such as deprivation, [n …]; NaN where it is not known.
    """

    people: pd.DataFrame
    other: pd.DataFrame

    @classmethod
    def unknown(cls, grid: RiskGrid) -> Self:
        """Nothing of the cells of a grid."""
        return cls(*(pd.DataFrame(index=range(len(grid.hexagons))) for _ in range(2)))

    @classmethod
    def from_dict(cls, values: dict[str, Any], grid: RiskGrid) -> Self:
        """Of the cells of a grid what `to_dict` gave; nothing of a grid from before."""
        rows = range(len(grid.hexagons))
        return cls(*(pd.DataFrame(values.get(name, {}), rows, dtype=np.float64) for name in ("people", "other")))

    def to_dict(self) -> dict[str, Any]:
        """As plain values, None where nothing is known."""
        return {"people": _plain(self.people), "other": _plain(self.other)}

    def view(self) -> dict[str, Any]:
        """What the map needs: numbers as base64 of float32 [n], and of what else is known the tenth of each cell."""
        tenths = {}
        for name in self.other:
            tenth, ends = tenths_of(self.other[name])
            tenths[str(name)] = {
                "of": base64.b64encode(tenth.fillna(0).to_numpy(np.uint8).tobytes()).decode(),
                "ends": dict(zip(ends.index.tolist(), ends[["min", "max"]].to_numpy().tolist(), strict=True)),
            }
        people = {
            str(name): base64.b64encode(self.people[name].to_numpy("<f4").tobytes()).decode() for name in self.people
        }
        return {"people": people, "tenths": tenths}


def plan_view(allocation: Allocation, residents: Residents | None) -> dict[str, Any]:
    """What the map needs to plan, as plain values: what is configured, and who lives there."""
    given = allocation.model_dump(include={"rule", "places", "area_km2", "weights", "leave_out"})
    return {**given, **({"people": {}, "tenths": {}} if residents is None else residents.view())}


def _plain(values: pd.DataFrame) -> dict[str, list[float | None]]:
    return {
        str(name): [None if np.isnan(one) else float(f"{one:.{DIGITS}g}") for one in values[name].tolist()]
        for name in values
    }


def tenths_of(values: pd.Series) -> tuple[pd.Series, pd.DataFrame]:
    """The tenth of each cell by a value [n], from the lowest, and the least and the greatest value of each tenth."""
    rank = values.rank(method="average", pct=True)
    tenth = pd.Series(np.ceil((rank * TENTHS).round(9)), values.index).astype("Int64")
    return tenth, values.groupby(tenth).agg(["min", "max"])


def by_district(plan: Plan, people: pd.DataFrame) -> pd.DataFrame:
    """A row a district with its places and its shares of them, of area, expected reports and `people` [n …]."""
    code, names = districts_of(plan.grid)
    if not names:
        return pd.DataFrame()
    return _falls_on(plan, np.array([*names, "in no district"], object)[code], people, "district")


def by_tenth(plan: Plan, values: pd.Series, people: pd.DataFrame) -> pd.DataFrame:
    """The same by tenths of the cells by a value [n], from the lowest; without cells whose value is not known."""
    tenth, ends = tenths_of(values)
    found = _falls_on(plan, tenth, people, "tenth")
    ends = ends.loc[found["tenth"]]
    found.insert(1, "from", ends["min"].to_numpy())
    found.insert(2, "to", ends["max"].to_numpy())
    return found


def _falls_on(plan: Plan, part: Any, people: pd.DataFrame, name: str) -> pd.DataFrame:
    chosen = np.zeros(len(plan.value))
    chosen[plan.rows] = 1
    columns = {"places": chosen, "plan": chosen * plan.area, "area": plan.area}
    columns |= {"expected": plan.expected[0], "weighted": plan.value}
    values = pd.concat([pd.DataFrame(columns), people], axis=1)
    sums = values.groupby(np.asarray(part, object)).sum(min_count=1)  # none known is not none
    shares = (sums / values.sum().clip(lower=1e-300)).add_prefix("share_of_")
    shares.insert(0, "places", sums["places"].astype(int))
    return shares.reset_index(names=name)
