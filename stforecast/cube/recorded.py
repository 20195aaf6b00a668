"""What was recorded, in words and figures: the holes of a cube, how much of it is masked, and changes of its level."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from stforecast.config import Config
from stforecast.cube.axis import HOUR, Axis, choose_axis
from stforecast.cube.cube import Cube
from stforecast.cube.holes import NEVER, Gap
from stforecast.errors import ConfigError, DataError
from stforecast.events.schema import EventTable
from stforecast.events.sources import resolve

DAY = 24
"""Hours beyond all other holes from which a hole is listed."""
WEEKLY, MONTHLY = (8, 4, 52), (2, 1, 12)
"""Weeks, or months, before and after a change that differ at once, that are taken together, and that stay apart."""
AT_ONCE = 1.5
"""Factor by which the weeks before and after a change differ."""
CHANCE = 5.0
"""Standard errors by which they do."""


def gaps_of(config: Config, axis: Axis, categories: tuple[str, ...]) -> tuple[Gap, ...]:
    """The gaps that `source.gaps` names, in steps of an axis.

    Raises:
        ConfigError: a gap names a category that there is not.
    """
    out = []
    for i, gap in enumerate(config.source.gaps):
        if unknown := [name for name in gap.categories if name not in categories]:
            raise ConfigError(
                f"source.gaps.{i}.categories: no category {unknown[0]!r}. Name some of {', '.join(categories)}."
            )
        first, last = (min(max(step, 0), axis.steps) for step in axis.span(gap.first, gap.last))
        numbers: list[int | None] = [categories.index(name) for name in gap.categories]
        out += [Gap(first, last, number, gap.denied) for number in numbers or [None] if first < last]
    return tuple(out)


def in_gaps(gaps: tuple[Gap, ...], hour: np.ndarray, category: np.ndarray) -> np.ndarray:
    """Which events [e], by their steps and categories, lie in gaps that are not denied."""
    out = np.zeros(len(hour), bool)
    for gap in gaps:
        if not gap.denied:
            out |= (hour >= gap.first) & (hour < gap.last) & ((gap.category is None) | (category == gap.category))
    return out


def hole_list(cube: Cube) -> list[dict[str, Any]]:
    """The holes as they stand at the record's end, in order: `first` and `last` instant, `category` (None: all),
    `hours`, and whether they are `given`.

    A hole of one category that lies in others but for less than a day is not listed: the category was silent a few
    hours longer.
    """
    seen = np.zeros((cube.steps, cube.c), bool)
    out = []
    lasting = [hole for hole in cube.holes if hole.ends == NEVER]
    for hole in sorted(lasting, key=lambda hole: (not hole.given, hole.category is not None, hole.first)):
        place = slice(hole.first, hole.last), slice(None) if hole.category is None else hole.category
        new = not seen[place].all() if hole.given else (~seen[place]).sum() * cube.step_hours > DAY
        if new or not seen[place].any():
            entry: dict[str, Any] = {key: cube.time_of(getattr(hole, key)).isoformat() for key in ("first", "last")}
            entry["category"] = None if hole.category is None else cube.categories[hole.category]
            length = cube.time_of(hole.last) - cube.time_of(hole.first)
            masked = cube.step.words(hole.last - hole.first)
            out.append(entry | {"hours": length // HOUR, "steps": masked, "given": hole.given})
        seen[place] = True
    return sorted(out, key=lambda entry: entry["first"])


def hole_messages(cube: Cube) -> Iterator[str]:
    """A sentence for every hole, and for every change of level."""
    for hole in hole_list(cube):
        local = (pd.Timestamp(hole[key]).tz_convert(cube.time_zone) for key in ("first", "last"))
        begin, end = (f"{time:%Y-%m-%d %H:%M}" for time in local)
        of = f" of category {hole['category']}" if hole["category"] else ""
        why = " by source.gaps" if hole["given"] else ", which chance does not explain"
        yield (
            f"No report{of} from {begin} to {end}{why}: {hole['steps']} are masked, neither learned from nor scored."
        )
    yield from level_changes(cube)


def hole_messages_of_events(events: EventTable, config: Config) -> list[str]:
    """What `hole_messages` will say of the cube of an event table, but for the events that it leaves out."""
    record = city_record(events, config)
    return [] if record is None else list(hole_messages(record))


def city_record(events: EventTable, config: Config) -> Cube | None:
    """The events of a table by step and category alone, as a cube of a single place; None where no axis fits them."""
    frame = events.columns(("occurred_at", "reported_at", "category"))
    time_zone = str(resolve(config.source).time_zone)
    try:
        axis = choose_axis(frame, config, time_zone, events.precision)
    except (ConfigError, DataError):  # which the build will say
        return None
    hour = axis.steps_of(frame["occurred_at"])
    category = pd.Categorical(frame["category"], categories=list(events.categories)).codes.astype(np.int64)
    gaps = gaps_of(config, axis, events.categories)
    keep = (hour >= 0) & (hour < axis.steps) & ~in_gaps(gaps, hour, category)
    counts = np.zeros((axis.steps, 1, len(events.categories)))
    np.add.at(counts, (hour[keep], 0, category[keep]), 1)
    nowhere, names = np.zeros((2, 0), np.int64), events.categories
    return Cube.from_dense(
        counts,
        edge_index=nowhere,
        start=axis.start,
        step_unit=axis.step.unit,
        categories=names,
        time_zone=time_zone,
        gaps=gaps,
    )


def level_changes(cube: Cube) -> Iterator[str]:
    """A sentence for every category whose level fell or rose at once, by more than chance, and stayed there."""
    monthly, masked = cube.step_unit == "month", cube.masked_before()
    lengths = MONTHLY if monthly else WEEKLY
    week, days = cube.step.week, cube.step.weekdays
    weeks = cube.steps // week
    for category, name in enumerate(cube.categories):
        mine = (cube.category == category) & (cube.hour < weeks * week)
        counts = np.bincount(cube.hour[mine] // week, cube.weight[mine], minlength=weeks)
        kept = np.arange(weeks)
        if masked is not None:
            kept = kept[~masked[: weeks * week, category].reshape(weeks, week).any(1)]
        found = level_change(counts[kept], *lengths)
        if found is not None:
            place, before, after = found
            unit, of = ("month", "months") if monthly else ("day", "weeks")
            yield (
                f"Category {name}: {before / days:,.1f} reports a {unit} in the {lengths[0]} {of} before "
                f"{cube.time_of(int(kept[place]) * week).tz_convert(cube.time_zone):%Y-%m-%d}, {after / days:,.1f} in "
                f"the {lengths[0]} after, and the years before and after stay apart: another way of recording? Nothing "
                "is masked."
            )


def level_change(counts: np.ndarray, near: int, few: int, year: int) -> tuple[int, float, float] | None:
    """Where counts by week or month change their level most, and their means before and after; None if they do not.

    Every `few` weeks of the year after lie above, or below, every few of the year before, which chance does once in
    millions; and those `near` on either side differ by AT_ONCE and CHANCE, which a trend or season does not.
    """
    best, found = np.log(AT_ONCE), None
    for place in range(year, len(counts) - year + 1):
        before, after = (
            counts[part].reshape(-1, few).sum(1) for part in (slice(place - year, place), slice(place, place + year))
        )
        if before.max() >= after.min() and after.max() >= before.min():
            continue
        old, new = float(counts[place - near : place].sum()), float(counts[place : place + near].sum())
        if min(old, new) > 0 and abs(new - old) > CHANCE * np.sqrt(old + new) and abs(np.log(new / old)) > best:
            best, found = abs(np.log(new / old)), (place, old / near, new / near)
    return found
