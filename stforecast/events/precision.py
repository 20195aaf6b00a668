"""How exact the dates of a record are: times of day, days, or months; and which steps can be had of them.

Days are dates without a time of day, with one that is the same for all, or with parts of the day. Months are texts such
as 2024-03, or days that are all the first of a month. Each is a share of the reports against a stated limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import numpy as np

from stforecast.config.sections import Source, Unit
from stforecast.errors import DataError
from stforecast.events.facts import Facts
from stforecast.events.parsing.time_zones import to_local
from stforecast.events.parsing.times_of_day import DAY
from stforecast.events.parsing.timestamps import Precision

Name = TypeVar("Name")
COARSER: tuple[Precision, ...] = ("time", "day", "month")
"""The kinds of dates, each coarser than the one before."""
STEPS: dict[Precision, Unit] = {"time": "hour", "day": "day", "month": "month"}
"""The shortest step that can be forecast of each."""
MINUTES = 1440
LEAST, LEAST_OF_DAYS = 50, 3
"""Reports from which few times of day are parts of the day, and from which all at midnight are days, and all days that
are the first of a month are months: of fewer, chance could make them so."""
MOST = 0.9
HALF = 0.5
"""Share of months without a day from which a record is one of months; and share of the dates that have to be read for
the others to tell anything."""
DEFAULT = 0.04
"""Share of all reports beyond what is usual from which the first of a month stands for an unknown day."""
UNLIKELY = 1e4
"""Odds against chance from which days or months that are all a multiple of some number apart stand for periods."""
FEW_TIMES = 4
"""A record with MOST of its reports at no more than FEW_TIMES minutes of the day has no times of day. (Where whole
hours are recorded, it takes 18 or more.)"""


def precisions(files: Mapping[Name, Facts]) -> tuple[dict[Name, Precision], Precision]:
    """How exact the dates of each of some files are, and those of all of them together.

    Args:
        files: what the texts of each tell.
    """
    everything = Facts.total(files.values())
    months = _are_first_days(everything)
    found = {name: _precision_of(facts, months or _are_first_days(facts)) for name, facts in files.items()}
    return found, _precision_of(everything, months)


def coarsest(found: Iterable[Precision]) -> Precision:
    """The coarsest of some kinds of dates."""
    return max(found, key=COARSER.index)


def check_precision(file: str, facts: Facts, found: Precision, step: Unit) -> None:
    """Stop where a step is shorter than what the dates of a file can tell.

    Args:
        file: its name.
        facts: what its texts tell.
        found: how exact its dates are.
        step: of the axis.

    Raises:
        DataError: with the share of the dates, and the step that can be had.
    """
    if COARSER.index(found) <= list(STEPS.values()).index(step):
        return
    wanted = "an hourly" if step == "hour" else "a daily"
    advice = f"so {wanted} forecast is not possible. Set time.step to {STEPS[found]}"
    if found == "month":
        months, total = facts.of("rows")["months"], _dates_of(facts)
        what = "months without a day" if months else "the first day of a month, and stand for it"
        number = months or facts.of("firsts").total()
        raise DataError(f"{file}: {number:,} of {total:,} dates ({number / total:.0%}) are {what}, {advice}.")
    advice += "; or, if a column holds the time, name it under source.columns.occurred_time."
    minutes = minutes_of_day(facts)
    total, timeless = int(minutes.sum()), facts.of("rows")["timeless"]
    if timeless >= MOST * total:
        raise DataError(
            f"{file}: {timeless:,} of {total:,} dates ({timeless / total:.0%}) bear no time of day, {advice}"
        )
    few = values_needed(minutes)
    most = np.argsort(-minutes, kind="stable")[:few]
    share, times = minutes[most].sum() / total, ", ".join(clock(minute) for minute in sorted(most.tolist()))
    what = "days without times" if few <= 2 else "parts of the day and no times"
    raise DataError(
        f"{file}: {share:.0%} of the times of day are {'one of ' if few > 1 else ''}{times}, as they are "
        f"written. The publisher gives {what}, {advice}"
    )


def check_spacing(occurred: np.ndarray, source: Source, found: Precision, step: Unit) -> Iterator[str]:
    """A sentence where dates stand for periods longer than a day or a month, and where the first of a month stands for
    an unknown day.

    Args:
        occurred: instants of the events (µs) [e].
        source: names the time zone.
        found: how exact the dates are.
        step: of the axis.

    Raises:
        DataError: the steps of the axis are those days or months, most of which would be empty.
    """
    if step == "hour":  # which is for times alone
        return
    instants, reports = np.unique(occurred, return_counts=True)
    days = (to_local(instants, source.zone) // DAY).astype("datetime64[D]")
    months = days.astype("datetime64[M]")
    some = f"The dates ({', '.join(map(str, np.unique(days)[:3]))} …) are all"
    if found == "day" == step and len(occurred) >= LEAST and LEAST_OF_DAYS <= len(days) == len(np.unique(months)):
        raise DataError(f"{some} in a month of their own: they stand for months. Set time.step to month.")
    if found != "time" and (gap := _gap(months if found == "month" else days)):
        what = f"{some} {gap} {found}s apart, or a multiple of that: they stand for periods"
        if step == STEPS[found]:
            raise DataError(
                f"{what} that are longer than a {found}, which cannot be the steps of a forecast. Give a table by "
                "month or day."
            )
        yield f"{what} that may reach from one {step} into the next, and all their reports count where they begin."
    if step == "day":
        first = days == months
        every = np.arange(days[0], days[-1] + 1)
        usual, share = np.mean(every == every.astype("datetime64[M]")), reports[first].sum() / reports.sum()
        if len(every) >= LEAST and share > usual + DEFAULT:
            yield (
                f"{share:.0%} of the reports are dated the first of a month, where {usual:.0%} of the days are: there "
                "it stands for an unknown day, and the day's risk is too high by as much."
            )


def minutes_of_day(facts: Facts) -> np.ndarray:
    """Times as they are written by minute of the day [1440]."""
    found = facts.of("minutes")
    return np.array([found[str(minute)] for minute in range(MINUTES)], np.int64)


def values_needed(counts: np.ndarray) -> int:
    """How many of the values hold MOST of the counts."""
    return int(np.searchsorted(np.cumsum(np.sort(counts)[::-1]), MOST * counts.sum())) + 1


def clock(minute: int) -> str:
    """A minute of the day as a time."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _precision_of(facts: Facts, first_days: bool) -> Precision:
    """How exact the dates of some rows are; `first_days`: days of the record stand for months."""
    minutes = minutes_of_day(facts)
    total, months = int(minutes.sum()), facts.of("rows")["months"]
    if months and months > HALF * (total + months):
        return "month"
    if total < HALF * facts.of("rows")["filled"]:  # times of day that are not read yet, since it is not known how
        return "time"
    few = values_needed(minutes)
    midnight = few == 1 and minutes.argmax() == 0 and total >= LEAST_OF_DAYS
    timeless = total and facts.of("rows")["timeless"] >= MOST * total
    if not (timeless or midnight or (total >= LEAST and few <= FEW_TIMES)):
        return "time"
    return "month" if first_days else "day"


def _gap(steps: np.ndarray) -> int:
    """The number of days or months of which all gaps between some are multiples; 0 where chance could make it so."""
    steps = np.unique(steps)
    gap = int(np.gcd.reduce(np.diff(steps).astype(np.int64), initial=0))
    return gap if gap > 1 and (len(steps) - 1) * np.log(gap) > np.log(UNLIKELY) else 0


def _are_first_days(facts: Facts) -> bool:
    """Whether the dates of a record are the first days of several months."""
    firsts, total = facts.of("firsts"), _dates_of(facts)
    return total >= LEAST_OF_DAYS and len(firsts) > 1 and firsts.total() + facts.of("rows")["months"] >= MOST * total


def _dates_of(facts: Facts) -> int:
    """How many rows have a date that is read."""
    return facts.of("minutes").total() + facts.of("rows")["months"]
