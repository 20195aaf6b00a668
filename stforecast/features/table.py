"""The features that learned forecasters read of the record: one table that network, trees and memory cost follow.

A log-ratio is log((events known + κ) / (events expected + κ)) over exponentially decayed sums, with expectations from
the slow climatology. Where a family is read by category it has a feature for every half-life and category.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Literal


@dataclass(frozen=True)
class LogRatios:
    """A family of log-ratios.

    half_lives: in days. place: whose events are summed: the hexagon's, its neighbours' or the whole city's.
    by_category: for each category, or for all together. prior: κ in days of a hexagon's mean events (of a category);
    for the city in events a day.
    """

    name: str
    half_lives: tuple[int, ...]
    place: Literal["hexagon", "ring", "city"]
    by_category: bool
    prior: float

    def size(self, c: int) -> int:
        """How many features the family has with c categories."""
        return len(self.half_lives) * (c if self.by_category else 1)


@dataclass(frozen=True)
class Table:
    """What is read at a kind of step; where steps are months, `days` are months.

    log_ratios: families of log-ratios.
    recent_hours: half-lives of the sums of recent events, by hexagon and category.
    """

    log_ratios: tuple[LogRatios, ...]
    recent_hours: tuple[float, ...]

    @property
    def half_lives(self) -> tuple[int, ...]:
        """Half-lives of the sums that are kept for the log-ratios, by hexagon and category, in days."""
        return tuple(sorted({days for family in self.log_ratios for days in family.half_lives}))

    def layout(self, c: int) -> dict[str, slice]:
        """Where each family and `level` stand among the features, for c categories."""
        sizes = {family.name: family.size(c) for family in self.log_ratios} | {LEVEL: 1}
        ends = list(accumulate(sizes.values()))
        return {name: slice(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}


LEVEL = "level"
"""The last feature: log of the hexagon's expected events over the horizon, in days of a hexagon's mean."""
BY_DAY = Table(
    (
        LogRatios("all", (2, 7, 28, 90, 365), "hexagon", False, 0.3),
        LogRatios("each", (1, 3, 14, 90), "hexagon", True, 0.5),
        LogRatios("ring", (3, 14, 60), "ring", False, 0.3),
        LogRatios("ring each", (1, 3, 14), "ring", True, 0.5),
        LogRatios("city", (1, 3, 7, 28), "city", True, 1.0),
    ),
    (8.0, 24.0, 72.0, 336.0),
)
BY_MONTH = Table(
    (
        LogRatios("all", (1, 3, 12, 36), "hexagon", False, 0.3),
        LogRatios("each", (1, 3, 12), "hexagon", True, 0.5),
        LogRatios("ring", (2, 12), "ring", False, 0.3),
        LogRatios("ring each", (1, 6), "ring", True, 0.5),
    ),
    (730.0, 2190.0, 8760.0),
)
"""Without the city's own level: of a few dozen months trees would learn each by heart."""
TABLES = {"hour": BY_DAY, "day": BY_DAY, "month": BY_MONTH}
"""By the unit of a step."""
SEASONAL_DAYS, SEASONAL_WEEKS = (0.7, 3.0, 14.0), (3.0, 13.0)
"""Half-lives of the ratios by hour of the day, in days, and by hour of the week, in weeks; where steps are months by
month, in months, and by month of the year, in years."""
LATE_PATCHES = (1, 3, 7)
"""Late reports are read by age: up to 2, 4 and 8 patches, and older."""
