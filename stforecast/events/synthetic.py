"""A simulated city whose intensity is known, and the forecast that nothing can beat: its oracle.

For hour t (UTC axis), hexagon n and category c

    λ[t,n,c] = μ[n,c] · rhythm_c(local hour of the week, type of n) · exp(weather_c(t)) · drift[t,n] + X[t,n,c]
    y[t,n,c] ~ Poisson(λ[t,n,c])
    X[t+1]   = ρ_c · (X[t] + S(y[t])),    X[0] = 0

S is linear: an event of category c raises λ at its hexagon and its neighbours, mostly in its own category, so that
it excites `branching` further events in expectation (mass that would leave the city stays in it). This is a discrete
Hawkes process with exponential decay (Hawkes 1971, Biometrika 58:83-90). Being linear, its conditional mean follows
the same recursion with y replaced by E[λ], which makes the oracle exact.
"""

import datetime as dt
from dataclasses import dataclass

import h3
import numpy as np
import pandas as pd
from scipy.interpolate import CubicSpline
from scipy.signal import lfilter
from scipy.sparse import coo_array, csr_array, kron

from stforecast.config.sections import Synthetic, SyntheticCategory, SyntheticType
from stforecast.errors import ConfigError
from stforecast.events.event_times import day_end

FORECAST_DAYS = 7  # days after the last event for which a weather forecast is published


@dataclass(frozen=True)
class City:
    """What was simulated.

    start: the instant of step 0 (UTC). cells: H3 identifiers [n], sorted. edges: int64 [2 e], both directions.
    temperature (°C), precipitation (mm in the hour): float32 [t + 24 · FORECAST_DAYS].
    place: log base rates beside those of the kind of hexagon, [n c]. knots: those of the drift, standard normal [k n].
    base: intensity without excitation, float32 [t n c], events an hour. counts: events, uint8 [t n c].
    """

    parameters: Synthetic
    seed: int
    start: pd.Timestamp
    cells: np.ndarray
    edges: np.ndarray
    temperature: np.ndarray
    precipitation: np.ndarray
    place: np.ndarray
    knots: np.ndarray
    base: np.ndarray
    counts: np.ndarray

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories, in the order of the axis c."""
        return tuple(self.parameters.categories)


def simulate(parameters: Synthetic, seed: int) -> City:
    """Simulate a city; equal parameters and seed give equal cities.

    Raises:
        ConfigError: rates so high that a count does not fit into uint8.
    """
    place_rng, weather_rng, event_rng = (np.random.default_rng([seed, stream]) for stream in range(3))
    cells, edges = _places(parameters)
    # Midnight in standard time, as the cube's axis has it: a start in summer would leave an hour before its first day.
    midnight = day_end(parameters.first_day - dt.timedelta(days=1), parameters.time_zone)
    start = pd.Timestamp(midnight, unit="us", tz="UTC").floor("h")
    hours = 24 * parameters.days
    local = pd.date_range(start, periods=hours + 24 * FORECAST_DAYS, freq="h").tz_convert(parameters.time_zone)
    temperature, precipitation = _weather(local, weather_rng)
    place, kind = _levels(parameters, edges, place_rng)
    knots = place_rng.standard_normal((knots_of(parameters), len(cells)))
    usual = place + np.log([k.rate for k in parameters.types.values()])[kind][:, None]
    drift = drifted(parameters, knots, np.arange(hours))
    base = _base(parameters, kind, usual, drift, local[:hours], temperature[:hours], precipitation[:hours])
    counts = _events(parameters, edges, base, event_rng)
    return City(parameters, seed, start, cells, edges, temperature, precipitation, place, knots, base, counts)


def excitation(city: City) -> np.ndarray:
    """X, the intensity that events before each hour add to it: float32 [t n c]."""
    t, n, c = city.counts.shape
    transfer, decay = _kernel(city.parameters, city.edges, n)
    added = (csr_array(city.counts.reshape(t, n * c).astype(np.float32)) @ transfer.T).toarray()
    for i in range(c):
        past, present = np.array([[0, decay[i]], [1, -decay[i]]], np.float32)
        added[:, i::c] = lfilter(past, present, added[:, i::c], axis=0)
    return added.reshape(t, n, c)


def oracle(city: City, issue_steps: np.ndarray, horizons: int = 24) -> np.ndarray:
    """E[y of step t0 + k − 1 | events of the steps before t0, the weather], k = 1 … horizons: float32 [m k n c].

    Raises:
        ValueError: an issue step is not followed by `horizons` simulated hours.
    """
    issue_steps = np.asarray(issue_steps)
    t = len(city.counts)
    if issue_steps.size and not 0 <= issue_steps.min() <= issue_steps.max() <= t - horizons:
        raise ValueError(f"issue steps must lie in 0 … {t - horizons}")
    return expected(city, issue_steps, city.base[issue_steps[:, None] + np.arange(horizons)])


def expected(city: City, issue_steps: np.ndarray, base: np.ndarray) -> np.ndarray:
    """The same where `base`, the intensity without excitation of these steps, is what is expected of it: [m k n c]."""
    m, horizons, n, c = base.shape
    transfer, decay = _kernel(city.parameters, city.edges, n)
    excited = excitation(city)[issue_steps].reshape(m, n * c).T
    out = np.empty(base.shape, np.float32)
    for k in range(horizons):
        intensity = base[:, k].reshape(m, n * c).T + excited
        out[:, k] = intensity.T.reshape(m, n, c)
        excited = decay[:, None] * (excited + transfer @ intensity)
    return out


def _places(p: Synthetic) -> tuple[np.ndarray, np.ndarray]:
    """The `hexagons` cells nearest to the centre, and their neighbour graph."""
    centre = h3.latlng_to_cell(p.latitude, p.longitude, p.resolution)
    middle = h3.cell_to_latlng(centre)
    disc = h3.grid_disk(centre, int(np.ceil(1.2 * np.sqrt(p.hexagons / 3))))
    disc = sorted(disc, key=lambda cell: (h3.great_circle_distance(middle, h3.cell_to_latlng(cell)), cell))
    cells = sorted(disc[: p.hexagons])
    row = {cell: i for i, cell in enumerate(cells)}
    pairs = [(i, row[o]) for cell, i in row.items() for o in sorted(h3.grid_ring(cell, 1)) if o in row]
    return np.array(cells), np.array(pairs, np.int64).T


def _kernel(p: Synthetic, edges: np.ndarray, n: int) -> tuple[csr_array, np.ndarray]:
    """S as a matrix from events [n·c] to excitation [n·c], and ρ as [n·c]."""
    categories = list(p.categories.values())
    c = len(categories)
    degree = np.bincount(edges[0], minlength=n)
    source = np.concatenate([np.arange(n), edges[0]])
    target = np.concatenate([np.arange(n), edges[1]])
    share = np.concatenate([np.full(n, 1 - p.neighbour_share), p.neighbour_share / degree[edges[0]]])
    space = coo_array((share, (target, source)), shape=(n, n))
    cross = p.cross_share if c > 1 else 0.0
    mixing = np.full((c, c), cross / max(c - 1, 1))  # [to from]
    np.fill_diagonal(mixing, 1 - cross)
    decay = 0.5 ** (1 / np.array([k.half_life_hours for k in categories]))
    # Σ over hours of ρ^k is ρ / (1 − ρ): the whole response to one event adds up to `branching`.
    gain = mixing * ((1 - decay) / decay)[:, None] * np.array([k.branching for k in categories])
    return csr_array(kron(space, gain, format="csr"), dtype=np.float32), np.tile(decay, n).astype(np.float32)


def _weather(local: pd.DatetimeIndex, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Hourly temperature (year, day, passing fronts) and rain (wet and dry spells), rounded as published."""
    t = len(local)
    fronts = 0.5 ** (1 / 40)  # half-life of 40 hours
    noise = lfilter([np.sqrt(1 - fronts**2)], [1, -fronts], rng.standard_normal(t))
    hour, day = local.hour.to_numpy(), local.day_of_year.to_numpy()
    yearly, daily = np.cos(2 * np.pi * (day - 200) / 365.25), np.cos(2 * np.pi * (hour - 15) / 24)
    temperature = 11 + 11 * yearly + 6 * daily + 6 * noise
    spells = np.stack([rng.geometric(1 / 30, t), rng.geometric(1 / 10, t)], axis=1).ravel()  # mean hours dry, wet
    wet = np.repeat(np.arange(2 * t) % 2, spells)[:t] == 1
    precipitation = np.where(wet, np.maximum(rng.exponential(1.5, t), 0.1), 0.0)
    return temperature.round(1).astype(np.float32), precipitation.round(1).astype(np.float32)


def _levels(p: Synthetic, edges: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Log base rates of hexagons and categories [n c], and the kind of each hexagon [n]."""
    n = p.hexagons
    channels = (1, len(p.categories), 1)
    shared, own, surroundings = (_field(edges, n, width, rng) for width in channels)
    limits = np.round(np.cumsum([k.share for k in list(p.types.values())[:-1]]) * n)
    kind = np.empty(n, int)
    kind[np.argsort(-surroundings[:, 0], kind="stable")] = np.searchsorted(limits, np.arange(n), side="right")
    return p.concentration * (np.sqrt(0.8) * shared + np.sqrt(0.2) * own), kind


def knots_of(p: Synthetic) -> int:
    """Knots of the drift, from one before the first day on."""
    return len(np.arange(-1, p.days / p.drift_days + 2))


def drifted(p: Synthetic, knots: np.ndarray, hours: np.ndarray) -> np.ndarray:
    """The drift in log rates of given hours from knots [k n]: [t n]."""
    return p.drift * CubicSpline(np.arange(len(knots)) - 1, knots)(hours / (24 * p.drift_days))


def _base(
    p: Synthetic,
    kind: np.ndarray,
    usual: np.ndarray,
    drift: np.ndarray,
    local: pd.DatetimeIndex,
    temperature: np.ndarray,
    precipitation: np.ndarray,
) -> np.ndarray:
    """Intensity without excitation, float32 [t n c]; each category's mean is its `rate`."""
    t, n, c = len(local), p.hexagons, len(p.categories)
    kinds = list(p.types.values())
    common = drift.astype(np.float32)  # [t n]
    common += p.season * np.cos(2 * np.pi * (local.day_of_year.to_numpy() - 196) / 365.25)[:, None]
    hour = local.hour.to_numpy()
    since_friday = (local.day_of_week.to_numpy() * 24 + hour - 114) % 168
    weekend = since_friday < 48
    warmth, rain = (temperature - 11) / 10, 1 - np.exp(-precipitation)

    base = np.empty((t, n, c), np.float32)
    for i, category in enumerate(p.categories.values()):
        rhythm = np.stack([_rhythm(k, category, hour, weekend) for k in kinds], axis=1)  # [t type]
        weather = category.temperature * warmth + category.rain * rain
        log = common + usual[:, i] + (rhythm + weather[:, None]).astype(np.float32)[:, kind]
        np.exp(log, out=base[:, :, i])
        base[:, :, i] *= category.rate / 24 / base[:, :, i].mean(dtype=np.float64)
    return base


def _rhythm(kind: SyntheticType, category: SyntheticCategory, hour: np.ndarray, weekend: np.ndarray) -> np.ndarray:
    """Log rhythm of a category in hexagons of a type, [t]; its exponential has mean 1 over the hours given."""
    log = (kind.weekend + category.weekend) * weekend
    for part in (kind, category):
        log = log + part.contrast * np.cos(2 * np.pi * (hour - part.peak_hour) / 24)
    return log - np.log(np.exp(log).mean())


def _field(edges: np.ndarray, n: int, channels: int, rng: np.random.Generator) -> np.ndarray:
    """Spatially correlated noise with mean 0 and variance 1 over the hexagons, [n channels]."""
    degree = np.bincount(edges[0], minlength=n)
    step = coo_array((1 / degree[edges[0]], (edges[0], edges[1])), shape=(n, n)).tocsr()
    values = rng.standard_normal((n, channels))
    for _ in range(2):
        values = (values + step @ values) / 2
    return (values - values.mean(0)) / values.std(0)


def _events(p: Synthetic, edges: np.ndarray, base: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw counts hour by hour, uint8 [t n c]."""
    t, n, c = base.shape
    transfer, decay = _kernel(p, edges, n)
    excited = np.zeros(n * c, np.float32)
    counts = np.zeros((t, n * c), np.uint8)
    for step, intensity in enumerate(base.reshape(t, n * c)):
        events = rng.poisson(intensity + excited)
        if events.max() > np.iinfo(np.uint8).max:
            raise ConfigError("synthetic: more than 255 events in a hexagon and hour; lower the rates of categories.")
        counts[step] = events
        excited = decay * (excited + transfer @ counts[step].astype(np.float32))
    return counts.reshape(t, n, c)
