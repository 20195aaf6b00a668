"""Whether the times of day of a record can be what they seem: the hours as a whole, by file and by category.

What cannot be (`check_times`): a time of day that is the same for all, or one of a few; a clock that lost its AM and
PM; hours that are no city's, where UTC taken for local time would explain it, or local time for UTC. What is doubtful
(`doubts`): default times, a category whose hours are not known, hours that are no city's. Each is a share of the
reports against a stated limit; a difference that chance could make is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from stforecast.errors import DataError
from stforecast.events.clocks import DAY, SECOND
from stforecast.events.reading import Told
from stforecast.events.zones import to_local
from stforecast.sections import Source

MINUTES = 1440
LEAST, LEAST_OF_ONE = 50, 8
"""Reports from which times of day are judged, and from which a category is whose times are all the same."""
MOST = 0.9
FEW_TIMES = 6
"""A record with MOST of its reports at no more than FEW_TIMES minutes of the day has no times of day. (Where whole
hours are recorded, it takes 18 or more.)"""
AFTERNOON = 0.01
"""Share of the reports from 13:00 on below which a clock has lost its AM and PM. (In cities it is 55 to 60 %.)"""
DEFAULT = 0.04
"""Share of all reports that stand at one minute beyond what the same minute of the hours around it leads to expect,
from which it is called a default time. (Denver: .010 at 00:00 and .012 at 12:00.)"""
USUAL = np.array(
    [36, 33, 31, 22, 20, 16, 18, 25, 39, 40, 49, 45, 36, 49, 54, 55, 57, 61, 63, 54, 54, 51, 49, 43], np.float64
)
"""Reports by local hour, per mille, but for those at 00:00 and 12:00 exactly: the mean of twelve cities."""
BETTER, MUCH_BETTER = 0.03, 0.05
"""Mean log-likelihood by which another reading of the clock has to fit USUAL better to be asked for, and by which any
shift has to be said. (Of the twelve cities held against the other eleven, no shift gains more than .025; a shift of
three hours costs most of them .05, one of six .12.)"""
LEAST_FOR_HOURS = 500
CHANCE = 5.0
"""Standard errors beyond which a difference is none of chance."""


def check_times(files: Mapping[str, Told], occurred: np.ndarray, source: Source) -> None:
    """Stop where the times of day cannot be right.

    Args:
        files: what the texts of each file tell.
        occurred: instants of the events (µs).

    Raises:
        DataError: a file gives days without times, or lost AM and PM, or times that are taken as local seem to be UTC.
    """
    for file, told in files.items():
        minutes = np.zeros(MINUTES, np.int64)
        for minute, rows in told.counts.get("minutes", {}).items():
            minutes[int(minute)] += rows
        _check_file(file, minutes, source)
    if source.times_are is None and len(occurred) >= LEAST_FOR_HOURS:
        _check_zone(occurred, source)


def doubts(occurred: np.ndarray, category: np.ndarray, names: Sequence[str], source: Source) -> Iterator[str]:
    """Sentences on what may be wrong with the hours of the events [e]; category numbers `names`."""
    local = to_local(occurred, source.time_zone or "UTC")
    everything = _by_minute(local)
    for minute, share in _defaults(everything):
        yield (
            f"{share:.0%} of the reports are at {_clock(minute)} exactly, far more than around it: there it stands for "
            "an unknown time, and the hour's risk is too high by as much."
        )
    fits = [_fit(np.roll(everything, 60 * shift)) for shift in range(24)]
    best = int(np.argmax(fits))
    if everything.sum() >= LEAST_FOR_HOURS and fits[best] > fits[0] + MUCH_BETTER:
        yield (
            f"The hours of the day are those of no usual city; about {(best + 12) % 24 - 12:+d} hours would make them "
            "so: check source.time_zone and source.times_are."
        )
    known = dict(_defaults(everything))
    for number, name in enumerate(names):
        minutes = _by_minute(local[category == number])
        total, hours = minutes.sum(), minutes.reshape(24, 60).sum(axis=1)
        if total < LEAST_OF_ONE or len(names) == 1:
            continue
        if _needed(minutes) == 1 or (total >= LEAST and (_needed(minutes) <= FEW_TIMES or _needed(hours) == 1)):
            most = int(minutes.argmax())
            yield (
                f"Category {name}: {minutes[most] / total:.0%} of its reports are at {_clock(most)} exactly. "
                "Their hours are not known, and its forecast by hour says nothing."
            )
            continue
        for minute, share in _defaults(minutes):
            if minute not in known:
                yield (
                    f"Category {name}: {share:.0%} of its reports are at {_clock(minute)} exactly, far more than "
                    "around it: there it stands for an unknown time."
                )


def _check_file(file: str, minutes: np.ndarray, source: Source) -> None:
    total = int(minutes.sum())
    if total < LEAST:
        return
    if (needed := _needed(minutes)) <= FEW_TIMES:
        most = np.argsort(-minutes, kind="stable")[:needed]
        share, times = minutes[most].sum() / total, ", ".join(_clock(minute) for minute in sorted(most.tolist()))
        what = "days without times" if needed == 1 else "parts of the day and no times"
        raise DataError(
            f"{file}: {share:.0%} of the times of day are {'one of ' if needed > 1 else ''}{times}, as they are "
            f"written, so the publisher gives {what} and an hourly forecast is not possible. If a column holds the "
            "time, name it under source.columns.occurred_time."
        )
    if not source.clock and minutes[13 * 60 :].sum() < AFTERNOON * total:
        raise DataError(
            f"{file}: of {total:,} times of day {int(minutes[13 * 60 :].sum()):,} are after 12:59, so AM and PM are "
            "lost. Export the file with AM and PM, or with hours from 0 to 23; if the times are right, set "
            "source.clock to 24_hour."
        )


def _check_zone(occurred: np.ndarray, source: Source) -> None:
    """Stop where times that are taken as local fit a city's day much better as UTC, or the other way."""
    zone = source.time_zone or "UTC"
    local = to_local(occurred, zone)
    readings = {
        "as UTC": to_local(local, zone),  # what was taken for a local clock shows UTC
        "as local": occurred,  # what was taken for UTC shows the local clock
    }
    fits = {how: _fit(_by_minute(wall)) for how, wall in readings.items()}
    how = max(fits, key=fits.__getitem__)
    if fits[how] > _fit(_by_minute(local)) + BETTER:
        raise DataError(
            f"source.times_are: by their hours of the day the reports fit a city's day much better taken {how} time "
            "than as they are read. Set source.times_are to utc or to local, as the publisher writes its times."
        )


def _by_minute(wall: np.ndarray) -> np.ndarray:
    return np.bincount(wall % DAY // (60 * SECOND), minlength=MINUTES)


def _fit(minutes: np.ndarray) -> float:
    """The mean log-likelihood of times of day under USUAL, but for what stands for unknown times."""
    known = minutes.copy()
    known[[0, 12 * 60]] = 0
    hours = known.reshape(24, 60).sum(axis=1)
    return float(hours @ np.log(USUAL / USUAL.sum()) / max(hours.sum(), 1))


def _needed(counts: np.ndarray) -> int:
    """How many of the values hold MOST of the counts."""
    return int(np.searchsorted(np.cumsum(np.sort(counts)[::-1]), MOST * counts.sum())) + 1


def _defaults(minutes: np.ndarray) -> list[tuple[int, float]]:
    """Minutes of the day with more reports than the same minute of the three hours before and behind leads to expect,
    and the share of all reports that stand there."""
    total = minutes.sum()
    hours = minutes.reshape(24, 60)
    around = np.mean([np.roll(hours, shift, axis=0) for shift in (-3, -2, -1, 1, 2, 3)], axis=0)
    more = (hours - around).ravel()
    found = np.flatnonzero((more > DEFAULT * total) & (more > CHANCE * np.sqrt(around.ravel() + 1)))
    return [(minute, float(minutes[minute] / total)) for minute in found.tolist()] if total >= LEAST else []


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
