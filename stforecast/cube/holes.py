"""Holes: stretches of the record without a report that chance does not explain, and those that the user names.

A silence is tested by what the same hours held before it. In each of the observed weeks of the half year before it,
take the reports of the same hours of the week that were known at the same age; a silence longer than a week takes each
week again. (Where steps are months, a month stands for the week.) Half of the least of these sums is what was to be
expected at the least, and a silence is a hole where that many are missing by chance with a probability below LEVEL. The
least and the half allow for counts that come in clumps and for seasons. The least of fewer than FEWEST weeks tells
less, so that what is expected is lowered in proportion. A silence that begins before FEWEST weeks were recorded is held
against the weeks after it too, as soon as these suffice.

All categories together are tested, and each alone. A hole is masked: nobody learns from it and nothing is scored in it.
It counts at an issue only as far as reports known then show it: a hole is *evident* from the first step at which the
silence so far is one, and it ends where a late report falls into it; the parts that are left are tested anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from stforecast.cube.cube import Cube

LEVEL = 1e-12
"""Chance of one silence; a record of a million has a false hole with a probability below 1e-6."""
ENOUGH = -math.log(LEVEL)
"""Expected reports without which a silence is a hole."""
WEEKS, FEWEST = 26, 8
"""Weeks that a silence is held against at most, and from which their least is taken as it is."""
NEVER = 2**40
"""A step that does not come."""


@dataclass(frozen=True)
class Gap:
    """Steps first … last − 1 that the user calls a hole, or (`denied`) says are none; category: None for all."""

    first: int
    last: int
    category: int | None = None
    denied: bool = False


@dataclass(frozen=True)
class Hole:
    """Silent steps first … last − 1 of a category (None: all), and at which issues they are masked.

    At an issue s from `evident` to `ends` the steps from `first` on are masked: up to s where s ≤ `closed`, that is
    before the report that ends the silence is known, and up to `last` afterwards. given: by the user.
    """

    first: int
    last: int
    category: int | None
    evident: int
    closed: int
    ends: int
    given: bool = False

    def until(self, issue: int) -> int:
        """The step after the last one that is masked at an issue; `first` where none is."""
        if not self.evident <= issue <= self.ends:
            return self.first
        return max(self.first, issue if issue <= self.closed else self.last)

    @property
    def changes(self) -> set[int]:
        """Issues from which steps are masked, or no longer masked, that were over before."""
        reopened = {self.closed + 1} if self.closed > self.last else set()
        return {self.evident, self.ends + 1} | reopened


def find(cube: Cube) -> tuple[Hole, ...]:
    """All holes of a cube: those that its gaps name, those of all categories together, then those of each."""
    named = [gap for gap in cube.gaps if not gap.denied]
    found = [Hole(gap.first, gap.last, gap.category, 0, gap.last, NEVER, given=True) for gap in named]
    for category in (None, *(range(cube.c) if cube.c > 1 else ())):
        mine = slice(None) if category is None else cube.category == category
        reports = _Reports(cube.hour[mine], cube.known_hour[mine], cube.steps, cube.step.week)
        before = [hole for hole in found if hole.category is None or hole.category == category]
        holes = reports.holes(before, category)
        found += [hole for hole in holes if not any(_denies(gap, hole) for gap in cube.gaps)]
    return tuple(found)


def masked(holes: Sequence[Hole], steps: int, categories: int, issue: int = NEVER) -> np.ndarray | None:
    """Which steps and categories are masked at an issue (default: when all is known), bool [t c]; None where none."""
    until = {hole: min(hole.until(issue), steps) for hole in holes}
    if not any(end > hole.first for hole, end in until.items()):
        return None
    out = np.zeros((steps, categories), bool)
    for hole, end in until.items():
        out[hole.first : end, slice(None) if hole.category is None else hole.category] = True
    return out


def _denies(gap: Gap, hole: Hole) -> bool:
    return gap.denied and gap.category in (None, hole.category) and gap.first < hole.last and hole.first < gap.last


class _Reports:
    """The reports of one category, or of all: their steps and when they became known, in the order of the latter."""

    def __init__(self, hour: np.ndarray, known: np.ndarray, steps: int, week: int) -> None:
        self.steps, self.week = steps, week
        order = np.argsort(hour, kind="stable")
        self.hour, self.known = hour[order].astype(np.int64), known[order].astype(np.int64)
        # of each step with reports, in the order in which they became known: the step, and when it did
        first = np.sort(np.unique(hour, return_index=True)[1])
        self.heard, self.at = hour[first].astype(np.int64), known[first].astype(np.int64)
        self.by_step = np.argsort(self.heard)
        self.steps_heard = self.heard[self.by_step]
        self.end = max(steps, int(self.at.max(initial=0)) + 1)
        total = np.cumsum(np.bincount(hour, minlength=steps + 1))
        widths = [2**i for i in range(math.ceil(math.log2(week)) + 1)]
        most = [
            (total[width:] - total[:-width]).max(initial=0) if width < len(total) else total[-1] for width in widths
        ]
        self.most = np.array(most, np.float64)
        """The most reports of 1, 2, 4 … steps up to a week."""

    def holes(self, before: list[Hole], category: int | None) -> Iterator[Hole]:
        """Every hole of the category; `before`: those that are known already."""
        if not len(self.heard):
            return
        newest = np.maximum.accumulate(self.heard)
        newer = np.r_[True, self.heard[1:] > newest[:-1]]
        since = np.maximum.accumulate(np.where(newer, self.at, 0))  # when the newest step with reports became known
        first, closed, born = np.r_[0, newest + 1], np.r_[self.at, NEVER], np.r_[0, since + 1]
        last = np.r_[self.heard, self.steps]
        length = np.minimum(closed, self.steps) - first
        seen = list(before)
        for i in np.flatnonzero((last > first) & (self._most(length) >= 2 * ENOUGH)).tolist():
            for hole in self._silence(int(first[i]), int(last[i]), category, int(born[i]), int(closed[i]), seen):
                seen.append(hole)
                yield hole

    def _most(self, length: np.ndarray) -> np.ndarray:
        """More reports than so many steps can be expected to hold."""
        width = np.ceil(np.log2(np.clip(length, 1, self.week))).astype(np.int64)
        return self.most[width] * np.ceil(np.maximum(length, 1) / self.week)

    def _silence(
        self, first: int, last: int, category: int | None, born: int, closed: int, seen: Sequence[Hole]
    ) -> Iterator[Hole]:
        """The hole that a silence is, and those that are left of it once a late report falls into it."""
        inside = self.by_step[slice(*np.searchsorted(self.steps_heard, [first, last]))]
        split = int(inside.min()) if inside.size else None
        ends = NEVER if split is None else int(self.at[split])
        evident = self._evident(first, last, born, closed, ends, seen)
        if evident is not None:
            yield Hole(first, last, category, evident, closed, ends)
        if split is not None:
            part = int(self.heard[split])
            for one, end in ((first, part), (part + 1, last)):
                if self._most(np.array([end - one]))[0] >= 2 * ENOUGH:
                    yield from self._silence(one, end, category, ends + 1, ends, seen)

    def _evident(self, first: int, last: int, born: int, closed: int, ends: int, seen: Sequence[Hole]) -> int | None:
        """The first issue at which the silence is a hole, if there is one."""
        begun, end = first, min(ends, self.end)
        for hole in sorted(seen, key=lambda hole: -hole.first):  # weeks before it that were observed
            if hole.first < begun and hole.until(first) > begun - WEEKS * self.week:
                begun = hole.first
        found = [
            _first(lambda s: self._before(first, min(s, self.steps), s, begun) >= ENOUGH, born, min(closed, end)),
            _first(lambda s: self._before(first, last, s, begun) >= ENOUGH, max(born, closed + 1), end),
        ]
        if begun < FEWEST * self.week:
            settled = (last + week * self.week for week in range(1, FEWEST + 1))
            known = (s for s in settled if max(born, closed + 1) <= s <= end)
            found.append(next((s for s in known if self._after(first, last, s) >= ENOUGH), None))
        return min((s for s in found if s is not None), default=None)

    def _before(self, first: int, last: int, issue: int, begun: int) -> float:
        """Reports to be expected at the least at an issue, by the weeks before the step `begun`; 0 where too few."""
        least, later = math.inf, -(-(first - begun) // self.week)
        weeks = min(WEEKS, first // self.week - later)
        for week in range(1, weeks + 1):
            shift = (later + week) * self.week
            part = slice(*np.searchsorted(self.hour, [first - shift, first - shift + self.week]))
            over = self.hour[part] + shift - first
            here = self._times(np.minimum(last - first - over, issue - self.known[part] - shift))
            if here < 2 * ENOUGH:
                return 0.0
            least = min(least, here)
        return _expected(least, weeks)

    def _after(self, first: int, last: int, issue: int) -> float:
        """The same by the weeks between a silence and an issue, as known there."""
        sums, weeks = [], (issue - last) // self.week
        for week in range(weeks):
            begin = last + week * self.week
            part = slice(*np.searchsorted(self.hour, [begin, begin + self.week]))
            over = (self.hour[part] - first) % self.week
            sums.append(self._times((last - first - over) * (self.known[part] < issue)))
        return _expected(min(sums), weeks)

    def _times(self, left: np.ndarray) -> float:
        """How often weeks repeat reports within so many steps that are left to them, summed."""
        return float(np.ceil(np.maximum(left, 0) / self.week).sum())


def _expected(least: float, weeks: int) -> float:
    """Reports to be expected at the least where so many weeks have so many and more; 0 where there is no week."""
    return least / 2 * min(1.0, weeks / FEWEST) if weeks > 0 else 0.0


def _first(test: Callable[[int], bool], low: int, high: int) -> int | None:
    """The first step of low … high that passes a test which all later ones pass too."""
    if low > high or not test(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if test(middle) else (middle + 1, high)
    return low
