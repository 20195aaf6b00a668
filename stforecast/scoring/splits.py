"""Time-ordered slices of the axis: training, validation, test, with a gap between them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from stforecast.errors import ConfigError

Slice = Literal["train", "validation", "test"]
LOST = 1e-9
"""Of a day: what a decimal share, or the sum of two, loses in binary at the most."""

TRAIN, VALIDATION = 0.75, 0.08
"""Shares of the days by default."""
VALIDATION_DAYS = 29
"""Of the validation slice of a record of a year by default; a shorter one gets as many where it can."""


@dataclass(frozen=True)
class Split:
    """Slices in steps: [0, train_end), [validation_start, validation_end), [test_start, steps).

    steps: end of the test slice, as a rule the length of the axis. first: first step of day 0, a boundary at the hour
    of issue. day: steps a day. horizons: steps that one forecast covers.
    """

    steps: int
    first: int
    day: int
    train_end: int
    validation_start: int
    validation_end: int
    test_start: int
    horizons: int

    def span(self, which: Slice) -> tuple[int, int]:
        """First step of a slice and the step after its last; training begins with day 0."""
        return {
            "train": (self.first, self.train_end),
            "validation": (self.validation_start, self.validation_end),
            "test": (self.test_start, self.steps),
        }[which]

    def issues(self, which: Slice, every: int | None = None) -> np.ndarray:
        """Issue steps s, int64 [m], whose targets [s, s + horizons) lie wholly inside the slice.

        They lie `every` steps apart (default a day), counted from `first`, so that the hour of issue stays.
        """
        every = self.day if every is None else every
        start, end = self.span(which)
        start += (self.first - start) % every
        return np.arange(start, end - self.horizons + 1, every, dtype=np.int64)

    def at(self, offset: int) -> Split:
        """The same slices with issues `offset` steps after the hour of issue; only training begins later by as much."""
        return replace(self, first=self.first + offset)


def room(day: int, gap_steps: int, horizons: int) -> int:
    """Days that a validation or test slice needs, with the gap before it, for one forecast."""
    return -(-(gap_steps + horizons) // day)


def training_days(
    train: float | None,
    validation: float | dt.date | None,
    days: int,
    day: int,
    gap_steps: int,
    horizons: int,
    enough: int = 0,
) -> int:
    """Days of the training slice: a share of all `days`, but for what the other two slices need.

    That is room for a forecast each; and where no slice is asked for, `enough` days of validation, or a third of those
    before the test slice. A share that leaves them this is not changed, and neither is one of a record that has no room
    for three slices.
    """
    left = days - 2 * room(day, gap_steps, horizons)
    found = int((TRAIN if train is None else train) * days + LOST)
    if train is None and validation is None:
        before = int((TRAIN + VALIDATION) * days + LOST)
        found = min(found, before - min(enough, before // 3))
    return min(found, left) if left > 0 else found


def make_split(
    steps: int,
    day: int,
    first: int,
    train: float | dt.date | None,
    validation: float | dt.date | None,
    gap_steps: int,
    horizons: int,
    step_of_date: Callable[[dt.date], int],
    enough: int = 0,
) -> Split:
    """Slices by shares of the D whole days from `first` (boundaries int(train · D), int((train + validation) · D)) or
    by dates (the first day after the slice, moved to the nearest day boundary). Where shares of a short record leave
    the validation or the test slice no room for a forecast, they take it from the training slice. Where neither is
    given they are TRAIN and VALIDATION, and validation takes `enough` days, as `training_days` says.

    `step_of_date` gives the step at which a date begins. Validation starts `gap_steps` after training ends, and the
    test slice `gap_steps` after validation ends.

    Raises:
        ConfigError: a slice has no room for one forecast.
    """
    days = (steps - first) // day

    def end(value: float | dt.date, before: float = 0) -> float:
        """The day at which a slice ends, from its date, or its share and the day at which the slice before it ends."""
        return round((step_of_date(value) - first) / day) if isinstance(value, dt.date) else before + value * days

    train_days = end(TRAIN if train is None else train)
    last = end(VALIDATION if validation is None else validation, train_days)
    train_end, validation_end = int(train_days + LOST), int(last + LOST)
    if not isinstance(train, dt.date):
        train_end = training_days(train, validation, days, day, gap_steps, horizons, enough)
    if not isinstance(validation, dt.date):
        least = room(day, gap_steps, horizons)
        if not isinstance(train, dt.date) and days < (needed := 2 * least + room(day, 0, horizons)):
            raise ConfigError(
                f"split: {days} days (or months) have no room for a training, a validation and a test slice of one "
                f"forecast of {horizons} steps each, with split.gap between them; that takes {needed}. Give more days, "
                "or choose a smaller split.gap."
            )
        validation_end = max(min(validation_end, days - least), train_end + least)
    train_end, validation_end = first + train_end * day, first + validation_end * day
    validation_start, test_start = train_end + gap_steps, validation_end + gap_steps
    split = Split(steps, first, day, train_end, validation_start, validation_end, test_start, horizons)
    remedies: dict[Slice, str] = {
        "train": "choose a larger or later split.train, or give more days",
        "validation": "choose a larger or later split.validation, or a smaller split.gap",
        "test": "choose smaller or earlier split.train and split.validation, or a smaller split.gap",
    }
    for which, remedy in remedies.items():
        start, stop = split.span(which)
        if not split.issues(which).size or stop > steps:
            found = f"steps {start} … {stop - 1} of {steps}" if stop > start else "nothing"
            raise ConfigError(
                f"split: the {which} slice ({found}) has no room for one forecast of {horizons} steps; {remedy}."
            )
    return split
