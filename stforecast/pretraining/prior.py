"""Simulated cities, drawn from a broad prior over cities: what a forecaster may meet before it has met any.

The intensity of a city is

    λ[t,n,c] = rate_c · place[n,c] · drift[week,n,c] · rhythm[type of n, c, hour of week] · level_c(t) + excitation

and its events are then repeated (series, mass events), put at midnight or noon, reported late and lost in holes, as
in real records. Every part is drawn anew for each city, from narrow to wide. Equal seeds give equal cities.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from stforecast.config.sections import KINDS
from stforecast.cube import Cube, Series
from stforecast.cube.holes import Gap
from stforecast.cube.hours import calendar, standard_offset
from stforecast.cube.recorded import in_gaps
from stforecast.cube.steps import Step
from stforecast.events.kinds import COMMON
from stforecast.pretraining import cascade, curves
from stforecast.pretraining.places import Place, draw_place, field, log_uniform

LEAD, BEYOND = 35, 15
"""Days that are simulated before the record, so that it begins excited, and of weather after it, for forecasts."""
FEWEST_EVENTS, MOST_EVENTS = 100, 250_000
"""Expected events of a city, without those that repeat others: enough to learn from, and few enough to draw at once."""
STEPS = {1: 0.8, 2: 0.03, 3: 0.03, 4: 0.03, 6: 0.03, 24: 0.08}
"""Hours of a step, and how often; 24 is the local day."""
WEEK = 168
Rng = np.random.Generator


@dataclass(frozen=True)
class _Axis:
    """The axis of a record and the hours of its simulation: LEAD days before it, the record, BEYOND days after it.

    step_of: the step of each hour from the record's first to the last of the simulation.
    """

    start: pd.Timestamp
    step: Step
    steps: int
    hours: curves.Hours
    step_of: np.ndarray

    @property
    def recorded(self) -> int:
        """Hours of the record."""
        return int(np.searchsorted(self.step_of, self.steps))

    @property
    def horizons(self) -> int:
        """Steps of a forecast: a day of hours, or a week of days."""
        return self.step.per_day if self.step.unit == "hour" else 7

    def steps_at(self, hour: np.ndarray) -> np.ndarray:
        """The steps of hours of the record and after it, [e]."""
        over = np.maximum(hour - len(self.step_of) + 1, 0)
        return self.step_of[hour - over] + -(-over // self.step.hours)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Means by step of hourly values from the record's first hour on, [t w]; the last, cut short, is left out."""
        begins = np.flatnonzero(np.diff(self.step_of, prepend=-1))
        lengths = np.diff(np.append(begins, len(self.step_of)))[:, None]
        return (np.add.reduceat(values, begins, axis=0) / lengths)[:-1].astype(np.float32)


def draw_city(seed: int, days: int | None = None) -> Cube:
    """A simulated city of 40 to 250 hexagons.

    Args:
        seed: of all draws.
        days: length of the record; drawn from 30 to 900 where it is not given.

    Returns:
        The cube. Of some cities it names its gaps; those of others are to be found.
    """
    rng = np.random.default_rng([seed, 1])  # not the stream of an episode of the same seed
    days = round(log_uniform(rng, 30, 900)) if days is None else days
    place = draw_place(rng)
    axis, c = _axis(rng, place, days), int(rng.integers(1, 7))
    kinds = _kinds(rng, c)
    conditions, effect = curves.weather(rng, axis.hours, place.latitude, c)
    events = _events(rng, place, axis, kinds, effect)
    recorded = _rounded(rng, events.hour, events.category, axis)
    late = rng.random() < 0.5
    known = np.maximum(recorded, cascade.known(rng, events.hour, events.category, c)) if late else recorded
    gaps, step = _gaps(rng, axis.steps, axis.step.per_day, c), axis.steps_at(recorded)
    keep = ~in_gaps(gaps, step, events.category)
    observed, future = _weather(rng, axis, conditions[24 * LEAD :])
    return Cube.from_events(
        step[keep],
        events.hexagon[keep],
        events.category[keep],
        axis.steps_at(known)[keep],
        name=f"simulated_{seed}",
        start=axis.start,
        steps=axis.steps,
        categories=tuple(f"category_{i}" for i in range(c)),
        hexagons=place.hexagons,
        edges=place.edges,
        time_zone=place.time_zone,
        step_hours=axis.step.hours,
        step_unit=axis.step.unit,
        horizons=axis.horizons,
        resolution=place.resolution,
        country=place.country,
        subdivision=place.subdivision,
        weather=observed,
        future=future,
        gaps=gaps if rng.random() < 0.5 else (),
        kinds=(kinds * (rng.random((c, 1)) < rng.choice([0.0, 0.9, 1.0]))).astype(np.float32),  # of others not known
    )


def _axis(rng: Rng, place: Place, days: int) -> _Axis:
    size = int(rng.choice(list(STEPS), p=list(STEPS.values())))
    step = Step("day" if size == 24 else "hour", size, place.time_zone)
    day = pd.Timestamp("2005-01-01") + pd.Timedelta(days=int(rng.integers(7300)))
    if size == 24:
        start, steps = step.midnight(day.date()), days
    else:
        start = day.tz_localize("UTC") - standard_offset(place.time_zone, day).ceil("h")
        start += pd.Timedelta(hours=int(rng.integers(24)) * (size == 1 and rng.random() < 0.3))
        steps = days * step.per_day
    count = 24 * (days + BEYOND)
    since = np.arange(-24 * LEAD, count)
    times = Step("hour", 1, place.time_zone).times(start, since)
    local = calendar(times, Step("hour", 1, place.time_zone), place.country, place.subdivision)
    return _Axis(start, step, steps, curves.Hours(local, times, since / 24), step.since(start, times[24 * LEAD :]))


def _events(rng: Rng, place: Place, axis: _Axis, kinds: np.ndarray, effect: np.ndarray) -> cascade.Events:
    """Events of the record, by hours since its start.

    Args:
        kinds: shares of kinds in each category, [c K].
        effect: of the weather on the log level, [c t].
    """
    n, c, types = len(place.hexagons), len(kinds), int(rng.integers(1, 8))
    begin, end = 24 * LEAD, 24 * LEAD + axis.recorded
    level = np.exp(curves.levels(rng, axis.hours, c, place.latitude < 0) + effect)
    curve = (curves.weekly(rng, types, kinds)[..., axis.hours.local.slot] * level)[..., :end]
    curve /= curve.mean(-1, keepdims=True)
    excitation = cascade.draw_excitation(rng, c)
    rate = _rates(rng, n * axis.recorded / 24, kinds) * (1 - excitation.branching) / 24
    weight = rate * _weights(rng, place.edges, n, c, math.ceil(end / WEEK))
    kind = field(place.edges, n, 1, 3, rng)[:, 0].argsort().argsort() * types // n
    own = cascade.base_events(rng, weight, curve, kind, WEEK)
    own = cascade.Events.joined([own, *_repeated(rng, own, end)])
    following = cascade.offspring(rng, own, excitation, cascade.Neighbours(place.edges, n), end)
    events = cascade.Events.joined([own, *following])
    events = events.take(events.hour >= begin)
    return replace(events, hour=events.hour - begin)


def _kinds(rng: Rng, c: int) -> np.ndarray:
    """Shares of one to three harmonised kinds in each category, [c K]."""
    common = np.array([COMMON[kind] for kind in KINDS])
    kinds = np.zeros((c, len(KINDS)))
    for row in kinds:
        held = rng.choice(len(KINDS), rng.integers(1, 4), replace=False, p=np.sqrt(common) / np.sqrt(common).sum())
        row[held] = common[held] / common[held].sum()
    return kinds


def _rates(rng: Rng, size: float, kinds: np.ndarray) -> np.ndarray:
    """Expected events of a hexagon and day by category, [c], of a city of so many hexagons × days."""
    low, high = max(0.02, FEWEST_EVENTS / size), min(10, MOST_EVENTS / size)
    common = np.sqrt((kinds > 0) @ [COMMON[kind] for kind in KINDS])
    share = common * np.exp(rng.normal(0, rng.uniform(0.2, 1.2), len(kinds)))
    return log_uniform(rng, low, high) * share / share.sum()


def _weights(rng: Rng, edges: np.ndarray, n: int, c: int, weeks: int) -> np.ndarray:
    """Rates of hexagons relative to their mean, by week, [weeks n c]."""
    rounds, own = int(rng.integers(0, 8)), rng.uniform(0.02, 0.5)
    log = np.sqrt(1 - own) * field(edges, n, 1, rounds, rng) + np.sqrt(own) * field(edges, n, c, rounds, rng)
    usual = np.exp(rng.uniform(0.3, 1.8) * log + rng.exponential(0.8, (n, 1)) * (rng.random((n, 1)) < 0.05))
    if rng.random() < 0.5:  # parks, water, fields
        usual[field(edges, n, 1, 1, rng)[:, 0] > rng.uniform(0.8, 2.5)] = 0
    usual /= usual.mean(0)
    apart = log_uniform(rng, 4, 50)
    knots = rng.standard_normal((int(weeks / apart) + 2, n, 1)) * log_uniform(rng, 0.03, 0.4)
    knots = knots + rng.standard_normal((len(knots), n, c)) * log_uniform(rng, 0.02, 0.2)
    below, part = np.divmod(np.arange(weeks) / apart, 1)
    part, below = part[:, None, None], below.astype(int)
    weight = usual * np.exp(knots[below] * (1 - part) + knots[below + 1] * part)
    changes = rng.poisson(n * weeks / 52 * log_uniform(rng, 0.01, 0.5))
    for _ in range(changes):  # hot spots that come and go, places that close
        first, hexagon = rng.integers(weeks), rng.integers(n)
        which = slice(None) if rng.random() < 0.5 else rng.integers(c)
        last = weeks if rng.random() < 0.4 else first + 1 + round(rng.exponential(10))
        weight[first:last, hexagon, which] *= np.exp(rng.normal(0, 1))
    return weight


def _repeated(rng: Rng, events: cascade.Events, end: int) -> list[cascade.Events]:
    """Mass events, and series at the same hour of the next days or weeks."""
    found = []
    for apart, share in ((0, 0.02), (24, 0.02), (168, 0.01)):
        if rng.random() < 0.5:
            found.append(cascade.runs(rng, events, log_uniform(rng, 1e-4, share), rng.uniform(1, 5), apart, end))
    return found


def _rounded(rng: Rng, hour: np.ndarray, category: np.ndarray, axis: _Axis) -> np.ndarray:
    """Hours of the record, of which a part is put at local midnight or noon."""
    local = axis.hours.local.hour[24 * LEAD :][hour]
    out = hour.copy()
    for clock, most in ((0, 0.3), (12, 0.15)):
        share = log_uniform(rng, 1e-3, most, 6) * (rng.random() < 0.6)
        out = np.where(rng.random(len(hour)) < share[category], hour + clock - local, out)
    return np.where((out >= 0) & (out < axis.recorded), out, hour)


def _gaps(rng: Rng, steps: int, per_day: int, c: int) -> tuple[Gap, ...]:
    """Stretches that were not recorded, of hours to weeks, in some cities."""
    found = []
    for _ in range(rng.poisson(1.5) if rng.random() < 0.3 else 0):
        length = max(1, round(log_uniform(rng, 0.5, 30) * per_day))
        first = int(rng.integers(steps))
        category = int(rng.integers(c)) if rng.random() < 0.3 else None
        found.append(Gap(first, min(first + length, steps), category))
    return tuple(found)


def _weather(rng: Rng, axis: _Axis, hourly: np.ndarray) -> tuple[Series, Series]:
    """Observed channels, and forecasts of them, in some cities."""
    values = axis.means(hourly)
    observed = curves.published(rng, values[: axis.steps], ahead=False) if rng.random() < 0.5 else Series()
    last = axis.steps + axis.step.ahead + axis.horizons
    future = curves.published(rng, values[:last], ahead=True) if rng.random() < 0.3 else Series()
    return observed, future
