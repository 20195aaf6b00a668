"""What makes the expected events of a simulated city rise and fall in time: week, season, weather, holidays, drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from stforecast.config.city import DEFAULT_CHANNELS
from stforecast.config.sections import KINDS, OffenceKind
from stforecast.cube import Series
from stforecast.cube.hours import Calendar
from stforecast.pretraining.places import log_uniform

PEAKS, SPREAD = np.array([8.5, 14.0, 18.5, 23.5]), np.array([1.2, 1.5, 1.2, 2.0])
"""Hours about which the events of morning, day, evening and night lie, and how far from them in a city."""
NIGHT = 3
HABITS: dict[OffenceKind, tuple[float, float, float, float]] = {
    "theft": (0.10, 0.50, 0.30, 0.10),
    "theft_from_vehicle": (0.15, 0.20, 0.35, 0.30),
    "vehicle_theft": (0.10, 0.15, 0.40, 0.35),
    "burglary": (0.30, 0.35, 0.20, 0.15),
    "robbery": (0.05, 0.20, 0.35, 0.40),
    "assault": (0.05, 0.25, 0.35, 0.35),
    "threats": (0.15, 0.35, 0.35, 0.15),
    "damage": (0.10, 0.20, 0.40, 0.30),
    "sexual": (0.10, 0.25, 0.30, 0.35),
    "homicide": (0.05, 0.15, 0.30, 0.50),
    "arson": (0.10, 0.10, 0.30, 0.50),
    "other": (0.15, 0.35, 0.30, 0.20),
}
"""Shares of these parts of the day that offences of a kind tend to have."""
MORNING = 7
"""Until this hour a night belongs to the day before."""
CHANNELS = tuple(DEFAULT_CHANNELS)
Rng = np.random.Generator


@dataclass(frozen=True)
class Hours:
    """Hours of a simulation, [t], some before the record and some after it.

    local: their local calendar. days: since the record began, in fractions.
    """

    local: Calendar
    times: pd.DatetimeIndex
    days: np.ndarray


def weekly(rng: Rng, types: int, kinds: np.ndarray) -> np.ndarray:
    """Rhythms by hour of the week of each type of hexagon and category, [types c 168], with mean 1.

    They are drawn about the HABITS of the kinds [c K] that a category holds.
    """
    c, habits = len(kinds), kinds @ [HABITS[kind] for kind in KINDS]
    hour = np.arange(168) % 24
    weekday = np.arange(168) // 24
    evening_of = (np.arange(168) - MORNING) // 24 % 7  # the day to which a night belongs
    peak = PEAKS + SPREAD * rng.standard_normal((c, 4)) + 0.4 * rng.standard_normal((types, c, 4))
    width = log_uniform(rng, 0.8, 8, (c, 4))  # concentration of a bump
    bump = np.exp(width[..., None] * (np.cos(2 * np.pi * (hour - peak[..., None]) / 24) - 1))
    bump /= bump.mean(-1, keepdims=True)
    by_day = rng.normal(0, rng.uniform(0.03, 0.18), (c, 4, 7))
    weekend = rng.normal([-0.25, -0.1, 0.0, 0.35], 0.25) + rng.normal(0, 0.15, (c, 4))
    by_day[..., 5:] += weekend[..., None] + rng.normal(0, 0.1, (c, 1, 2))
    by_day[:, NIGHT] = np.roll(by_day[:, NIGHT], -1, -1)  # of a night it is that of Friday and that of Saturday
    bump *= np.exp(np.where(np.arange(4)[:, None] == NIGHT, by_day[..., evening_of], by_day[..., weekday]))
    share = np.stack([rng.dirichlet(row) for row in habits * log_uniform(rng, 2, 12)])
    share = share * np.exp(rng.normal(0, rng.uniform(0.2, 1.6), (types, 1, 4)))
    share /= share.sum(-1, keepdims=True)
    floor = log_uniform(rng, 0.02, 0.7, c)[:, None]
    rhythm = floor + (1 - floor) * (share[..., None] * bump).sum(2)
    return rhythm / rhythm.mean(-1, keepdims=True)


def levels(rng: Rng, hours: Hours, c: int, southern: bool) -> np.ndarray:
    """Log level of each category in the whole city by hour, [c t]: season, holidays, drift, days, sudden changes."""
    year = 2 * np.pi * (hours.times.dayofyear.to_numpy() / 365.25)
    warm, out = (0.05 if southern else 0.55), np.zeros((c, len(year)))
    season, shift = rng.normal(0.08, 0.12, c), rng.normal(0, 0.08, c)
    out += season[:, None] * np.cos(year - 2 * np.pi * (warm + shift[:, None]))
    local = hours.local
    for free, spread in ((local.holiday, 0.25), (local.day_before_holiday, 0.1), (local.day_after_holiday, 0.1)):
        out += rng.normal(-0.3 * spread, spread, c)[:, None] * free
    out += rng.normal(0, 0.12, c)[:, None] * hours.days / 365
    out += _knots(rng, hours.days, log_uniform(rng, 20, 120), c) * log_uniform(rng, 0.02, 0.35)
    days = np.floor(hours.days - hours.days[0]).astype(int)
    noise = _shared(rng, c, days[-1] + 1, rng.uniform(0, 0.9)) * log_uniform(rng, 0.02, 0.3)
    out += noise[:, days]
    for change in _changes(rng, hours.days, c):
        out += change
    return out


def _changes(rng: Rng, days: np.ndarray, c: int) -> list[np.ndarray]:
    """Sudden changes of the level, [c t] each: of the system, of a category that begins or ends, a lockdown."""
    at, found = rng.uniform(0, days[-1], 3), []
    if rng.random() < 0.15:
        found.append(rng.normal(0, 0.4, c)[:, None] * (days >= at[0]))
    if c > 1 and rng.random() < 0.07:
        gone = days >= at[1] if rng.random() < 0.5 else days < at[1]
        found.append(-rng.uniform(2, 8) * (np.arange(c) == rng.integers(c))[:, None] * gone)
    if rng.random() < 0.1:
        since, back = days - at[2], rng.uniform(20, 200)
        strength = np.where(since < 0, 0, np.exp(-np.maximum(since - back, 0) / rng.uniform(10, 90)))
        found.append(rng.normal(-0.3, 0.4, c)[:, None] * strength)
    return found


def weather(rng: Rng, hours: Hours, latitude: float, c: int) -> tuple[np.ndarray, np.ndarray]:
    """Hourly weather in the order of CHANNELS, float32 [t 3], and what it does to the log level, [c t]."""
    t, hour = len(hours.days), hours.local.hour
    year = 2 * np.pi * (hours.times.dayofyear.to_numpy() / 365.25 - (0.55 if latitude > 0 else 0.05))
    away = abs(latitude) / 50
    fronts = lfilter([0.185], [1, -0.983], rng.standard_normal((2, t)), axis=1)  # half-life of 40 hours
    temperature = 26 - 15 * away + 12 * away * np.cos(year) + 5 * np.cos(2 * np.pi * (hour - 15) / 24) + 5 * fronts[0]
    dry, wet = log_uniform(rng, 20, 200), log_uniform(rng, 3, 15)
    spells = np.stack([rng.geometric(1 / dry, t), rng.geometric(1 / wet, t)], 1)
    spells = spells[: np.searchsorted(spells.sum(1).cumsum(), t) + 1].ravel()
    raining = np.repeat(np.arange(len(spells)) % 2, spells)[:t] == 1
    rain = np.where(raining, np.maximum(rng.exponential(1.5, t), 0.1), 0.0)
    wind = np.exp(1.2 + 0.5 * fronts[1])
    values = np.stack([temperature, rain, wind], 1).round(1).astype(np.float32)
    size = rng.normal([0.1, -0.1, -0.01], [0.12, 0.12, 0.03], (c, 3)) * (rng.random() < 0.7)
    return values, size @ np.stack([(temperature - temperature.mean()) / 10, 1 - np.exp(-rain), wind - wind.mean()])


def published(rng: Rng, values: np.ndarray, ahead: bool) -> Series:
    """Some channels of the weather of steps [t 3] with gaps; or, `ahead`, forecasts of them with errors."""
    t, values = len(values), values.copy()
    if ahead:
        values[:, 1] *= np.exp(rng.normal(0, 0.7, t)) * (rng.random(t) < 0.85)
        values[:, ::2] += rng.normal(0, 1, (t, 2)) * values[:, ::2].std(0) * rng.uniform(0.1, 0.5)
        values[:, 2] = np.maximum(values[:, 2], 0)
    if rng.random() < 0.25:
        values[: rng.integers(t // 2)] = np.nan
    for _ in range(rng.poisson(1.5)):
        begin, channel = rng.integers(t), rng.integers(4)
        values[begin : begin + round(t * rng.exponential(0.03)), slice(None) if channel == 3 else channel] = np.nan
    chosen = np.flatnonzero(rng.random(3) < 0.75)
    return Series(tuple(CHANNELS[i] for i in chosen), values[:, chosen])


def _knots(rng: Rng, days: np.ndarray, apart: float, c: int) -> np.ndarray:
    """Slow noise of variance about 1 that the categories share in part, [c t]: straight lines between knots."""
    place = (days - days[0]) / apart
    knots = _shared(rng, c, int(place[-1]) + 2, 0.6)
    return np.stack([np.interp(place, np.arange(knots.shape[1]), row) for row in knots])


def _shared(rng: Rng, c: int, length: int, memory: float) -> np.ndarray:
    """Autoregressive noise of variance 1, [c length], of which the categories share a part."""
    noise = rng.standard_normal((c + 1, length))
    noise[:, 1:] *= np.sqrt(1 - memory**2)
    noise = lfilter([1.0], [1, -memory], noise, axis=1)
    common = rng.random()
    return np.sqrt(common) * noise[:1] + np.sqrt(1 - common) * noise[1:]
