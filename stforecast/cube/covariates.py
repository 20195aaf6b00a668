"""Covariates that forecasters read beside reports, calendar and weather: values by cell and stretch of steps.

A covariate is a list of rows: `value` holds in the steps `first` … `last` − 1 of a cell and is known at issues from the
step `known` on. Of its kinds

    static     holds always
    past       is read at the issue: its rows stand at the issues at which a value is the newest that is published
    ahead      is known in advance and read at each step that a forecast is of
    planned    is read likewise; rows that meet add up, and where there is none the value is 0

What has no row of the first three kinds is masked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import pandas as pd

Kind = Literal["static", "past", "ahead", "planned"]
EVERYWHERE = -1
"""The cell of a row that holds in the whole city."""
ALWAYS = 2**29
"""Steps before and after which nothing is."""
ROWS = {"first": np.int32, "last": np.int32, "cell": np.int32, "value": np.float32, "known": np.int32}
"""Columns of the rows."""


@dataclass(frozen=True)
class Covariate:
    """A covariate; rows [e] are equally long arrays in the order in which they become known."""

    name: str
    kind: Kind
    first: np.ndarray
    last: np.ndarray
    cell: np.ndarray
    value: np.ndarray
    known: np.ndarray
    sensitive: bool = False

    @staticmethod
    def of(name: str, kind: Kind, rows: pd.DataFrame, sensitive: bool = False) -> Covariate:
        """From rows with the columns of ROWS, in any order; those without a value are left out."""
        rows = rows[rows["value"].notna() & (rows["first"] < rows["last"])].sort_values("known", kind="stable")
        columns = {key: rows[key].to_numpy(of) for key, of in ROWS.items()}
        return Covariate(name, kind, sensitive=sensitive, **columns)

    @staticmethod
    def static(name: str, values: np.ndarray, sensitive: bool = False) -> Covariate:
        """From a value of each cell [n]; NaN is masked."""
        rows = pd.DataFrame({"first": -ALWAYS, "last": ALWAYS, "cell": np.arange(len(values)), "value": values})
        return Covariate.of(name, "static", rows.assign(known=-ALWAYS), sensitive)

    @property
    def rows(self) -> pd.DataFrame:
        """The rows as a table."""
        return pd.DataFrame({key: getattr(self, key) for key in ROWS})

    @cached_property
    def city_wide(self) -> bool:
        """Whether all cells have the same."""
        return bool((self.cell == EVERYWHERE).all())

    @cached_property
    def _by_first(self) -> tuple[np.ndarray, np.ndarray, int]:
        """The order of rows by their first step, that step, and the longest stretch."""
        order = np.argsort(self.first, kind="stable")
        return order, self.first[order], int((self.last - self.first).max(initial=0))

    def window(self, issue: int, first: int, count: int, n: int) -> tuple[np.ndarray, np.ndarray]:
        """What is known at an issue of steps first … first + count − 1.

        Returns:
            Values, 0 where masked, and whether they are known; float32 [k n] each.
        """
        if self.kind in ("static", "past"):
            values, seen = self._window(issue, issue, 1, n)
            return np.repeat(values, count, 0), np.repeat(seen, count, 0)
        values, seen = self._window(issue, first, count, n)
        return values, np.ones_like(seen) if self.kind == "planned" else seen

    def _window(self, issue: int, first: int, count: int, n: int) -> tuple[np.ndarray, np.ndarray]:
        order, begins, longest = self._by_first
        rows = order[slice(*np.searchsorted(begins, [first - longest + 1, first + count]))]
        rows = rows[(self.known[rows] <= issue) & (self.last[rows] > first)]
        steps = first + np.arange(count)[:, None]
        lead, which = ((self.first[rows] <= steps) & (steps < self.last[rows])).nonzero()
        cell, value = self.cell[rows][which], self.value[rows][which]
        place = lead * (n + 1) + np.where(cell == EVERYWHERE, n, cell)
        sums = (np.bincount(place, weight, count * (n + 1)).reshape(count, n + 1) for weight in (value, None))
        values, seen = ((each[:, :n] + each[:, n:]).astype(np.float32) for each in sums)
        return values, np.minimum(seen, 1)


def sensitive_words(covariates: tuple[Covariate, ...]) -> tuple[str, ...]:
    """That covariates tell of who lives in a place, as a sentence; none where none does."""
    names = ", ".join(one.name for one in covariates if one.sensitive)
    if not names:
        return ()
    return (f"The forecast reads who lives in a place ({names}): what it sends there may follow that and not reports.",)


def wrong(covariates: tuple[Covariate, ...], n: int) -> str:
    """What is wrong with the covariates of n cells, in words; empty where nothing is."""
    for one in covariates:
        if len({len(getattr(one, key)) for key in ROWS}) > 1 or one.kind not in get_args(Kind):
            return f"covariate {one.name}: rows of unequal length, or kind {one.kind!r}"
        if len(one.cell) and not EVERYWHERE <= one.cell.min() <= one.cell.max() < n:
            return f"covariate {one.name}: a cell outside 0 … {n - 1}"
        if not np.isfinite(one.value).all() or (np.diff(one.known) < 0).any():
            return f"covariate {one.name}: a value that is not finite, or rows not in the order of `known`"
    return ""
