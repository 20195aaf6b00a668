"""Rolling origin: folds that train on all that came before them, and the issues of their test slices.

    fold 1   train ───────────────▶ · validation ▶ · test ▶
    fold 2   train ───────────────────────▶ · validation ▶ · test ▶

A fold is the configured split, moved on by whole days, with a shorter test slice. Test slices follow each other without
overlap up to the end of the record, and none begins before the configured one. That keeps one cube for all folds free
of later knowledge: its hexagons (and their districts) rest on reports known when the configured training slice ended,
and every fold's training slice ends then or later. A cube of each fold's own would have hexagons of its own, and pooled
figures would be of no one study area.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from stforecast.cube import Cube
from stforecast.cube.steps import Step
from stforecast.errors import ConfigError
from stforecast.features.targets import outcomes, scored
from stforecast.scoring.bootstrap import Blocks, block_count
from stforecast.scoring.splits import Split


def folds(split: Split, count: int, test_days: int | None, step: Step | None = None) -> list[Split]:
    """Folds, oldest first.

    Args:
        split: the configured one.
        count: how many.
        test_days: of each test slice; of monthly steps rounded to months. Default the configured one in equal parts.
        step: of the axis; default an hour.

    Raises:
        ConfigError: they do not fit into the configured test slice.
    """
    room = (split.steps - split.test_start) // split.day
    step = step or Step()
    days = max(1, step.in_days(test_days) // split.day) if test_days else room // count
    unit = step.between_issues
    if not 0 < count * days <= room:
        raise ConfigError(
            f"backtest.folds, backtest.test_days: {count} test slices of {max(days, 1)} {unit}s do not fit into the "
            f"{room} {unit}s of the configured test slice. Choose fewer or shorter ones, or a smaller split.train."
        )
    bounds = ("train_end", "validation_start", "validation_end", "test_start")
    out = []
    for i in range(count):
        moved = {key: getattr(split, key) + (room - (count - i) * days) * split.day for key in bounds}
        out.append(replace(split, **moved, steps=moved["test_start"] + days * split.day))
    return out


def offsets(cube: Cube, split: Split, hours: Sequence[int] | None) -> dict[int, int]:
    """Steps from the beginning of a day to each UTC hour of issue, by hour; default the hour at which days begin.

    Raises:
        ConfigError: an hour lies between two steps.
    """
    own = int(cube.time_of(split.first).hour)
    out = {}
    for hour in sorted({own} if hours is None else {*hours}):
        out[hour], rest = divmod((hour - own) % 24, cube.step_hours)
        if rest:
            raise ConfigError(
                f"backtest.issue_hours: {hour} lies between two steps of {cube.step_hours} h from {own}:00 UTC on. "
                "Choose hours at which a step begins."
            )
    return out


@dataclass(frozen=True)
class Panel:
    """The issues of all folds, ordered by fold, hour of issue and time, with what came of them.

    fold, hour (UTC), day: int64 [m]; days count through the test slices. counts: [m k n c], final. week: what a block
    of the draws is, a week as a rule.
    """

    fold: np.ndarray
    hour: np.ndarray
    day: np.ndarray
    counts: np.ndarray
    week: Blocks

    @staticmethod
    def of(cube: Cube, parts: Sequence[Split], hours: dict[int, int]) -> Panel:
        """Of the test slices of folds at the hours of `offsets`.

        Raises:
            ConfigError: a test slice has no room for a forecast at one of the hours.
        """
        found = []
        for fold, part in enumerate(parts):
            for hour, offset in hours.items():
                moved = part.at(offset)
                if not moved.issues("test").size:
                    raise ConfigError(
                        f"backtest.test_days: no forecast of {part.horizons} steps issued at {hour:02d}:00 UTC lies "
                        "wholly inside a test slice. Choose longer slices."
                    )
                issues = scored(cube, moved, "test")
                fold_and_hour = (np.full(issues.size, value) for value in (fold, hour))
                day = (issues - parts[0].test_start) // part.day
                found.append((*fold_and_hour, day, outcomes(cube, moved, "test")))
        names = ("fold", "hour", "day", "counts")
        arrays = {name: np.concatenate(each) for name, each in zip(names, zip(*found, strict=True), strict=True)}
        return Panel(**arrays, week=Blocks.of(1, cube.step_unit, cube.horizons))

    def rows(self, fold: int) -> slice:
        """The rows of a fold."""
        first, end = np.searchsorted(self.fold, [fold, fold + 1])
        return slice(int(first), int(end))

    def part(self, rows: slice) -> Panel:
        """The panel of some rows."""
        return Panel(self.fold[rows], self.hour[rows], self.day[rows], self.counts[rows], self.week)

    @property
    def blocks(self) -> Blocks:
        """Those that the draws are of; one where a block holds a fold, since they are drawn inside them."""
        days = [np.unique(self.day[self.fold == fold]).size for fold in np.unique(self.fold)]
        each = [block_count(count, self.week.length) for count in days]
        return replace(self.week, count=sum(each) if min(each) > 1 else 1)

    def weights(self, seed: int = 0) -> np.ndarray:
        """How often each draw takes each issue, [r m]: blocks of a week inside the folds, hours of a day together."""
        drawn = []
        for fold in np.unique(self.fold).tolist():
            here = self.fold == fold
            place = self.day[here] - self.day[here].min()
            drawn.append(self.week.weights(int(place.max()) + 1, seed + fold)[:, place])
        return np.concatenate(drawn, axis=1)
