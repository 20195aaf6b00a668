"""Climatology and long memory by direct sums over all past events: slow, plain, and nothing is carried."""

from __future__ import annotations

from functools import cache

import numpy as np

from stforecast.cube import Cube
from stforecast.cube.hours import calendar
from stforecast.forecasters.memory import BY_CATEGORY, CITY, HOUR_DAYS, POOLED, RING, RING_BY_CATEGORY

SCALE = 0.7


class Direct:
    """Rolling climatology and long memory of an hourly record, from direct sums; nothing is carried."""

    def __init__(self, cube: Cube, patch: int, phase: int) -> None:
        self.cube, self.p, self.phase, self.days = cube, patch, phase, patch / 24
        self.local = calendar(cube.start, 1, 0, cube.steps + 72, cube.time_zone)
        self.intensity = cache(self._intensity)

    def events(self, s: int) -> tuple[np.ndarray, ...]:
        """Those known at s: hour, hexagon, category, weight, age in days of whole patches."""
        cube = self.cube
        known = (cube.known_hour < s) & (cube.hour >= self.phase)
        age = (s - 1 - cube.hour[known]) // self.p * self.days
        return cube.hour[known], cube.hexagon[known], cube.category[known], cube.weight[known], age

    def patches(self, s: int) -> list[tuple[int, float]]:
        """First step and age in days of every whole patch before s."""
        return [(f, (s - self.p - f) // self.p * self.days) for f in range(self.phase, s, self.p)]

    def smoothed(self, sums: np.ndarray, kernel: tuple[float, ...]) -> np.ndarray:
        size, reach = len(sums), len(kernel) // 2
        return np.array([sum(w * sums[(t + i - reach) % size] for i, w in enumerate(kernel)) for t in range(size)])

    def _intensity(self, s: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """(base, λ₀) of steps s … s + count − 1, [k n c]."""
        n, c, kernel = self.cube.n, self.cube.c, tuple(np.array((1, 2, 3, 2, 1)) / 9)
        hour, hexagon, category, weight, age = self.events(s)
        week, day = self.local.slot_of_week, self.local.slot_of_day
        rate, profile = np.zeros((n, c)), np.zeros((168, c))
        seen, seen_day = np.zeros((168, n)), np.zeros((24, n))
        for h, i, j, w, a in zip(hour, hexagon, category, weight, age, strict=True):
            rate[i, j] += w * 2 ** (-a / 365)
            profile[week[h], j] += w * 2 ** (-a / 730)
            seen[week[h], i] += w * 2 ** (-a / 730)
            seen_day[day[h], i] += w * 2 ** (-a / 730)
        days, visits = 0.0, np.zeros((168, 1))
        expected, expected_day = np.zeros((168, n)), np.zeros((24, n))
        for first, a in self.patches(s):
            days += self.days * 2 ** (-a / 365)
            base = self.intensity(first, self.p)[0].sum(-1)
            for k in range(self.p):
                visits[week[first + k]] += 2 ** (-a / 730)
                expected[week[first + k]] += base[k] * 2 ** (-a / 730)
                expected_day[day[first + k]] += base[k] * 2 ** (-a / 730)
        mean = (rate.sum(0) / n + 1e-3) / (days + 1)
        rate = (rate + 30 * mean) / (days + 30)
        profile = self.smoothed(profile / n + 2 * mean / 24, kernel) / (visits + 2)
        profile /= profile.mean(0)
        seen, expected, seen_day, expected_day = (
            self.smoothed(z, kernel) for z in (seen, expected, seen_day, expected_day)
        )
        steps = np.arange(s, s + count)
        prior = ((seen_day + 3) / (expected_day + 3))[day[steps]]
        ratio = (seen[week[steps]] + 3 * prior) / (expected[week[steps]] + 3)
        base = rate / 24 * profile[week[steps]][:, None] + 1e-7
        return base, base * ratio[..., None]

    def features(self, s: int) -> dict[str, np.ndarray]:
        """Long memory at s by the names of `Memory.names`, [n] each."""
        cube, n, c = self.cube, self.cube.n, self.cube.c
        hour, hexagon, category, weight, age = self.events(s)
        before = [(f, a, self.intensity(f, self.p)[1]) for f, a in self.patches(s)]
        around = np.zeros((n, n))
        around[cube.edges[1], cube.edges[0]] = 1

        def sums(half_life: float) -> tuple[np.ndarray, np.ndarray]:
            seen, expected = np.zeros((24, n, c)), np.zeros((24, n, c))
            np.add.at(seen, (self.local.slot_of_day[hour], hexagon, category), weight * 2 ** (-age / half_life))
            for first, a, lam in before:
                np.add.at(expected, self.local.slot_of_day[first : first + self.p], lam * 2 ** (-a / half_life))
            return seen, expected

        def ratio(pair: tuple[np.ndarray, ...], half_life: float, size: float) -> np.ndarray:
            kappa = size / (1 - 2 ** (-1 / half_life))
            return np.log((pair[0] + kappa) / (pair[1] + kappa))

        out: dict[str, np.ndarray] = {}
        for d in POOLED:
            out[f"all {d} d"] = ratio(tuple(z.sum((0, 2)) for z in sums(d)), d, 0.3 * SCALE)
        for d in RING:
            out[f"ring {d} d"] = ratio(tuple(around @ z.sum((0, 2)) for z in sums(d)), d, 0.3 * SCALE)
        for j, name in enumerate(cube.categories):
            for d in BY_CATEGORY:
                out[f"{name} {d} d"] = ratio(tuple(z.sum(0)[:, j] for z in sums(d)), d, 0.5 * SCALE / c)
            for d in RING_BY_CATEGORY:
                pair = tuple(around @ z.sum(0)[:, j] for z in sums(d))
                out[f"ring {name} {d} d"] = ratio(pair, d, 0.5 * SCALE / c)
            for d in CITY:
                pair = tuple(np.full(n, z[..., j].sum()) for z in sums(d))
                out[f"city {name} {d} d"] = ratio(pair, d, 1.0)
        for kind, d, size in zip(("hour", "ring hour", "hour"), HOUR_DAYS, (1.5, 4.4, 2.2), strict=True):
            pair = tuple(self.smoothed(z.sum(2), (0.25, 0.5, 0.25)) for z in sums(d))
            pair = tuple(z @ around.T for z in pair) if kind == "ring hour" else pair
            by_slot = ratio(pair, d, size * SCALE / 24)
            out |= {f"{kind} {slot} {d} d": by_slot[slot] for slot in range(24)}
        out["level"] = np.log((self.intensity(s, cube.horizons)[1].sum((0, 2)) + 1e-4) / SCALE)
        return out
