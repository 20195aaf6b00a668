"""Whether the times of day of a record can be what they seem: the hours as a whole, by file and by category.

What cannot be (`check_times`): days or months where times are needed (see `precision`); a clock that lost AM and PM;
hours that are no city's, where UTC taken for local time would explain it, or local time for UTC. What is doubtful
(`doubts`): default times, a category whose hours are not known, hours that are no city's. Each is a share of the
reports against a stated limit; a difference that chance could make is none. Of days nothing of this is asked.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

from stforecast.config.sections import Source, Unit
from stforecast.errors import DataError
from stforecast.events.facts import Facts
from stforecast.events.parsing.time_zones import to_local
from stforecast.events.parsing.times_of_day import DAY, SECOND
from stforecast.events.parsing.timestamps import Precision
from stforecast.events.precision import (
    FEW_TIMES,
    LEAST,
    MINUTES,
    check_precision,
    clock,
    coarsest,
    minutes_of_day,
    precisions,
    values_needed,
)

LEAST_OF_ONE, LEAST_OF_HALVES = 8, 20
"""Reports from which it is said that all are at one time of day, and from which a clock without any time after 12:59 is
half a clock: of fewer, chance could make them so."""
AFTERNOON = 0.1
"""Share of the reports from 13:00 on below which a clock has lost its AM and PM. (In cities it is 53 to 67 %.)"""
DEFAULT = 0.04
"""Share of all reports that stand at one minute beyond what the same minute of the hours around it leads to expect,
from which it is called a default time. (Denver: .010 at 00:00 and .012 at 12:00.)"""
USUAL_RHYTHM = np.array(
    [36, 33, 31, 22, 20, 16, 18, 25, 39, 40, 49, 45, 36, 49, 54, 55, 57, 61, 63, 54, 54, 51, 49, 43], np.float64
)
"""Reports by local hour, per mille, but for those at 00:00 and 12:00 exactly: the mean of twelve cities."""
BETTER, EVIDENCE = 0.06, 12.0
"""Log-likelihood, a report and in all, by which another reading of the clock has to fit USUAL_RHYTHM better to be
asked for or reported. (Of the twelve cities held against the other eleven, no shift gains more than .025; one of three
hours costs most of them .05, one of six .12. A single offence may have hours of its own.)"""
GOOD = float(USUAL_RHYTHM @ np.log(USUAL_RHYTHM / USUAL_RHYTHM.sum()) / USUAL_RHYTHM.sum()) - 0.06
"""Log-likelihood a report from which hours are those of a city. (Of the twelve cities none is .05 below the mean.)"""
LEAST_AHEAD = 180
"""Minutes from UTC from which local time and UTC can be told apart by the hours of the day."""
CHANCE = 5.0
"""Standard errors beyond which a difference is none of chance."""


def check_times(files: Mapping[str, Facts], source: Source, step: Unit = "hour") -> Precision:
    """Stop where the times of day cannot be right, in a file or in all of them together.

    Args:
        files: what the texts of each file tell.
        source: effective source section.
        step: of the axis.

    Returns:
        How exact the dates are, in the file where they are coarsest.

    Raises:
        DataError: days or months where the step needs more, a clock that lost AM and PM, or times that seem to be UTC
            and not local.
    """
    names, (found, record) = list(files), precisions(files)
    together = " … ".join(dict.fromkeys((names[0], names[-1])))
    whole = (together, Facts.total(files.values()), record)
    for name, facts, precision in [*((name, files[name], found[name]) for name in names), whole]:
        check_precision(name, facts, precision, step)
        if precision != "time":
            continue
        if step == "hour":
            _check_halves(name, facts, source)
        if source.times_are is None and (how := likelier_clock(facts, source)):
            marked = "local time, although they bear a mark of UTC"
            raise DataError(
                f"{name}: by their hours of the day the reports fit a city's day much better as "
                f"{marked if how == 'local' else 'UTC than as local time'}. Set source.times_are to utc or to local, "
                "as the publisher writes its times."
            )
    return coarsest([*found.values(), record])


def doubts(occurred: np.ndarray, category: np.ndarray, names: Sequence[str], source: Source) -> Iterator[str]:
    """Sentences on what may be wrong with the hours of a record.

    Args:
        occurred: instants of the events (µs) [e].
        category: their categories [e], numbers into `names`.
        source: names the time zone.
    """
    local = to_local(occurred, source.zone)
    everything = count_by_minute(local)
    known = dict(_defaults(everything))
    for minute, share in known.items():
        yield (
            f"{share:.0%} of the reports are at {clock(minute)} exactly, far more than around it: there it stands for "
            "an unknown time, and the hour's risk is too high by as much."
        )
    yield from rhythm_doubts(occurred, source)
    for number, name in enumerate(names):
        minutes = count_by_minute(local[category == number])
        total, few = minutes.sum(), values_needed(minutes)
        hour_alone = values_needed(minutes.reshape(24, 60).sum(axis=1)) == 1
        if total >= LEAST_OF_ONE and (few == 1 or (total >= LEAST and (few <= FEW_TIMES or hour_alone))):
            most = int(minutes.argmax())
            yield (
                f"Category {name}: {minutes[most] / total:.0%} of its reports are at {clock(most)} exactly. "
                "Their hours are not known, and its forecast by hour says nothing."
            )
        elif len(names) > 1:
            for minute, share in _defaults(minutes):
                if minute not in known:
                    yield (
                        f"Category {name}: {share:.0%} of its reports are at {clock(minute)} exactly, far more than "
                        "around it: there it stands for an unknown time."
                    )


def rhythm_doubts(occurred: np.ndarray, source: Source) -> Iterator[str]:
    """A sentence where the hours of a record are those of no city.

    Args:
        occurred: instants of the events (µs) [e].
        source: names the time zone.
    """
    everything = count_by_minute(to_local(occurred, source.zone))
    fits = [rhythm_fit(np.roll(everything, 60 * shift)) for shift in range(24)]
    best = int(np.argmax(fits))
    if values_needed(everything) > FEW_TIMES and _is_better(fits[best] - fits[0], everything.sum()):
        yield (
            f"The hours of the day are those of no usual city; about {(best + 12) % 24 - 12:+d} hours would make them "
            "so: check source.time_zone and source.times_are."
        )


def _check_halves(file: str, facts: Facts, source: Source) -> None:
    """Stop where a publisher gives half a clock."""
    minutes = minutes_of_day(facts)
    total, after = int(minutes.sum()), int(minutes[13 * 60 :].sum())
    if total >= LEAST_OF_HALVES and after < AFTERNOON * total and source.clock != "24_hour":
        raise DataError(
            f"{file}: of {total:,} times of day {after:,} are after 12:59, so AM and PM are lost. Export the file with "
            "AM and PM, or with hours from 0 to 23; if the times are right, set source.clock to 24_hour."
        )


def likelier_clock(facts: Facts, source: Source) -> Literal["UTC", "local"] | None:
    """What times must be taken as to fit a city's day much better than as they are read; None where nothing does.

    Args:
        facts: what their texts tell.
        source: names the time zone.
    """
    total = minutes_of_day(facts).sum()
    as_local, as_utc = _fits(facts, source)
    if facts.of("kinds")["in UTC"] > total / 2:  # read as UTC
        return "local" if as_local > GOOD and _is_better(as_local - as_utc, total) else None
    return "UTC" if as_utc > GOOD and _is_better(as_utc - as_local, total) else None


def is_clock_open(facts: Facts, source: Source) -> bool:
    """Whether the hours of the day tell nothing about whether times are local or UTC."""
    as_local, as_utc = _fits(facts, source)
    return not _is_better(abs(as_local - as_utc), minutes_of_day(facts).sum())


def _fits(facts: Facts, source: Source) -> tuple[float, float]:
    """How well the times fit a city's day as local time, and as UTC; equally, where the two cannot be told apart."""
    minutes = minutes_of_day(facts)
    january = datetime(2023, 1, 15, tzinfo=ZoneInfo(source.zone))
    ahead = int((january.utcoffset() or timedelta()).total_seconds() // 60)  # summer time changes little
    return rhythm_fit(minutes), rhythm_fit(np.roll(minutes, ahead if abs(ahead) >= LEAST_AHEAD else 0))


def _is_better(gain: float, reports: int) -> bool:
    return gain > BETTER and gain * reports > EVIDENCE


def count_by_minute(wall: np.ndarray) -> np.ndarray:
    """Times (µs) [r] by minute of the day [1440]."""
    return np.bincount(wall % DAY // (60 * SECOND), minlength=MINUTES)


def rhythm_fit(minutes: np.ndarray) -> float:
    """The mean log-likelihood of times of day under USUAL_RHYTHM, but for what stands for unknown times."""
    known = minutes.copy()
    known[[0, 12 * 60]] = 0
    hours = known.reshape(24, 60).sum(axis=1)
    return float(hours @ np.log(USUAL_RHYTHM / USUAL_RHYTHM.sum()) / max(hours.sum(), 1))


def _defaults(minutes: np.ndarray) -> list[tuple[int, float]]:
    """Minutes of the day with more reports than the same minute of the three hours before and behind leads to expect,
    and the share of all reports that stand there."""
    total = minutes.sum()
    hours = minutes.reshape(24, 60)
    around = np.mean([np.roll(hours, shift, axis=0) for shift in (-3, -2, -1, 1, 2, 3)], axis=0)
    more = (hours - around).ravel()
    found = np.flatnonzero((more > DEFAULT * total) & (more > CHANCE * np.sqrt(around.ravel() + 1)))
    return [(minute, float(minutes[minute] / total)) for minute in found.tolist()] if total >= LEAST else []
