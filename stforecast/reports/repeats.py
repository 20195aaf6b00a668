"""Section: near repeats: are events that are close in space also close in time more often than chance would have it?

Knox's test (1964) with permutation (Besag and Diggle 1977; Johnson and others 2007): pairs of events within a distance
are counted by band of distance and of time; times are then permuted over the events, which keeps where and when the
city is busy and breaks only how the two go together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from scipy.stats import false_discovery_control

from stforecast.delivery.figures import heat, panels
from stforecast.reports.local import Local
from stforecast.reports.page import Block, Picture, Table, Text, note, said, standing, words

METRES = (1.0, 200.0, 400.0, 600.0, 800.0)
"""Upper ends of the bands of distance; the first holds events at one and the same place."""
DAYS = (2, 4, 7, 14, 28)
"""Upper ends of the bands of time, exclusive."""
DRAWS, LEVEL = 499, 0.05
MOST_EVENTS, MOST_DAYS, LEAST_EVENTS = 6000, 365, 200
METRES_PER_DEGREE = 111_320.0
DISTANCES = ("same place", *(f"{0 if a == 1 else a:.0f}–{b:.0f} m" for a, b in pairwise(METRES)))
TIMES = tuple(f"{a}–{b - 1} d" for a, b in zip((0, *DAYS), DAYS, strict=False))


@dataclass(frozen=True)
class Knox:
    """Pairs by band of distance and time: counted, the mean of the permutations, one-sided p; [d t] each."""

    observed: np.ndarray
    expected: np.ndarray
    p: np.ndarray

    @property
    def told(self) -> np.ndarray:
        """Whether there is anything to compare: a pair was counted, or one is expected; bool [d t]."""
        return (self.observed > 0) | (self.expected >= 0.5)

    @property
    def ratio(self) -> np.ndarray:
        """Counted ÷ expected; NaN where nothing is expected."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.expected > 0, self.observed / self.expected, np.nan)


def knox(position: np.ndarray, days: np.ndarray, draws: int = DRAWS, seed: int = 0) -> Knox:
    """Knox's test.

    Args:
        position: of events on a plane in metres, [e 2].
        days: in which they occurred, whole numbers, [e].
        draws: permutations of the days.
        seed: of the permutations.
    """
    rng = np.random.default_rng(seed)
    pairs = cKDTree(position).query_pairs(METRES[-1], output_type="ndarray")
    far = np.hypot(*(position[pairs[:, 0]] - position[pairs[:, 1]]).T)
    days = np.asarray(days, np.int64) - int(np.min(days))
    band = np.searchsorted(DAYS, np.arange(int(days.max()) + 1), side="right")  # of a gap in days
    place, shape = np.searchsorted(METRES, far, side="left"), (len(METRES), len(DAYS) + 1)

    def count(times: np.ndarray) -> np.ndarray:
        gap = np.abs(times[pairs[:, 0]] - times[pairs[:, 1]])
        cells = np.bincount(place * shape[1] + band[gap], minlength=math.prod(shape))
        return cells[: math.prod(shape)].reshape(shape)[:, :-1]

    observed = count(days)
    drawn = np.array([count(rng.permutation(days)) for _ in range(draws)])
    return Knox(observed, drawn.mean(0), (1 + (drawn >= observed).sum(0)) / (draws + 1))


def blocks(local: Local) -> list[Block]:
    """Knox's test for each category, on its newest events."""
    if local.precision == "month":
        return [Text("The publisher gives the month of an event and no day: near repeats cannot be told.")]
    latitude, longitude = local.frame["latitude"].to_numpy(), local.frame["longitude"].to_numpy()
    placed = np.isfinite(latitude)  # an event of which only the area is known has no place of its own
    position = np.full((len(latitude), 2), np.nan)
    if placed.any():
        position[placed] = metres_of(latitude[placed], longitude[placed])
    day = (local.date - local.days[0]).dt.days.to_numpy()
    newest, rng = day.max(initial=0), np.random.default_rng(local.seed)
    tests, sampled = {}, []
    for name in local.cube.categories:
        there = used = np.flatnonzero(local.groups[name] & placed & (day > newest - MOST_DAYS))
        if len(there) < LEAST_EVENTS:
            continue
        if len(there) > MOST_EVENTS:
            used = rng.choice(there, MOST_EVENTS, replace=False)
        sampled.append(f"{words(name)} {len(used):,} of {len(there):,}")
        tests[name] = knox(position[used], day[used], seed=local.seed)
    if not tests:
        return [said("near_repeats_too_few", least=LEAST_EVENTS, days=MOST_DAYS)]
    p = np.stack([test.p for test in tests.values()])
    adjusted = dict(zip(tests, false_discovery_control(p, axis=None).reshape(p.shape), strict=True))
    clear = {name: each <= LEVEL for name, each in adjusted.items()}
    named = {"sampled": ", ".join(sampled), "days": MOST_DAYS, "most": MOST_EVENTS, "draws": DRAWS}
    return [
        *(Text(_sentence(name, test, clear[name])) for name, test in tests.items()),
        _picture(tests, clear),
        Table("near_repeats", _frame(tests, adjusted), shown=False),
        note("near_repeats", tests=p.size, **named),
    ]


def metres_of(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Places on a plane in metres, [e 2]; true within a city."""
    beside = (longitude - longitude[:1] + 180) % 360 - 180  # a city may lie on both sides of the 180th meridian
    east = (beside - beside.mean()) * np.cos(np.deg2rad(latitude.mean()))
    return np.column_stack([east, latitude - latitude.mean()]) * METRES_PER_DEGREE


def _sentence(name: str, test: Knox, clear: np.ndarray) -> str:
    """The nearest and soonest bands, and whether they are clear of chance."""
    parts = []
    for row, where in ((1, f"within {METRES[1]:.0f} m and {DAYS[0] - 1} day"), (0, "at the same place")):
        counted, expected = test.observed[row, 0], test.expected[row, 0]
        if test.told[row, 0]:
            verdict, ratio = "clear" if clear[row, 0] else "not clear", test.ratio[row, 0]
            values = {"counted": counted, "expected": expected, "ratio": ratio, "verdict": verdict}
            parts.append(standing("near_repeats_pairs", where=where, **values))
    return f"Reports in the category {words(name)}: {'; '.join(parts) or 'no two lie so near each other so soon'}."


def _picture(tests: dict[str, Knox], clear: dict[str, np.ndarray]) -> Picture:
    """Ratios by distance and time, a table of colours a category; those clear of chance in bold."""
    figure, axes = panels(map(words, tests), height=2.3)
    parts = []
    for one, (name, test) in zip(axes, tests.items(), strict=True):
        ratios = np.where(test.told, test.ratio, np.nan)
        shown = np.log2(np.clip(np.nan_to_num(ratios, nan=1.0), 0.25, 4))
        heat(one, shown, DISTANCES, TIMES, cmap="RdBu_r", vmin=-2, vmax=2)
        for (row, column), ratio in np.ndenumerate(ratios):
            weight = "bold" if clear[name][row, column] else "normal"
            colour = "white" if abs(shown[row, column]) > 1.2 else "black"
            spelled = "–" if np.isnan(ratio) else f"{ratio:.2f}"
            one.text(column, row, spelled, ha="center", va="center", fontsize=8.5, fontweight=weight, color=colour)
        parts.append(f"{words(name)} {int(clear[name].sum())} of {clear[name].size} cells clear of chance")
    alt = f"Counted ÷ expected pairs by distance and days between them: {'; '.join(parts)}."
    caption = "Counted ÷ expected pairs. Bold: clear of chance. –: next to no pair is expected, and none was counted."
    return Picture("near_repeats", figure, alt, caption)


def _frame(tests: dict[str, Knox], adjusted: dict[str, np.ndarray]) -> pd.DataFrame:
    bands, rows = [*product(DISTANCES, TIMES)], []
    for name, test in tests.items():
        values = (each.ravel() for each in (test.observed, test.expected, test.ratio, adjusted[name]))
        rows += [(words(name), *band, *each) for band, each in zip(bands, zip(*values, strict=True), strict=True)]
    names = ["category", "distance", "time", "pairs", "expected", "counted ÷ expected", "p, corrected for all tests"]
    return pd.DataFrame(rows, columns=names)
