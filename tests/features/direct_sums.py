"""Climatology and features by direct sums over all past events: slow, plain, and nothing is carried."""

from __future__ import annotations

from functools import cache

import numpy as np

from stforecast.cube import Cube
from stforecast.features.rhythms import Rhythms
from stforecast.features.table import BY_DAY

SCALE = 0.7


class Direct:
    """Climatology and features of an hourly record, from direct sums; nothing is carried."""

    def __init__(self, cube: Cube, patch: int, phase: int, rhythms: Rhythms) -> None:
        self.cube, self.p, self.phase, self.days = cube, patch, phase, patch / 24
        self.shape, self.shares = rhythms.shape.double().numpy(), rhythms.shares.double().numpy()
        self.local = cube.calendar(0, cube.steps + 72)
        self.intensity, self.profile = cache(self._intensity), cache(self._profile)

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

    def _profile(self, s: int) -> tuple[np.ndarray, np.ndarray]:
        """(loadings [r n], rhythm of every hexagon [c 168 n]) at s: brought up to date weekly, daily in the first."""
        n, c, kernel = self.cube.n, self.cube.c, tuple(np.array((1, 2, 3, 2, 1)) / 9)
        if s < self.phase + self.p:
            return 10 * np.repeat(self.shares[:, None], n, 1), np.ones((c, 168, n))
        mine, old = self.profile(s - self.p)
        passed, week = s // self.p, 168 // self.p
        if passed > week and passed % week:
            return mine, old
        hour, hexagon, category, weight, age = self.events(s)
        counts, visits = np.zeros((c, 168, n)), np.zeros(168)
        np.add.at(counts, (category, self.local.slot[hour], hexagon), weight * 2 ** (-age / 365))
        for first, a in self.patches(s):
            np.add.at(visits, self.local.slot[first : first + self.p], 2 ** (-a / 365))
        loadings = np.zeros_like(mine)
        for i in range(n):
            expected = self.shape.T @ mine[:, i]
            share = self.shape * mine[:, i][:, None] / expected  # of each event, by rhythm
            loadings[:, i] = share @ counts[..., i].ravel() + 10 * self.shares
        rhythm = (self.shape.T @ loadings).reshape(c, 168, n)
        rhythm /= rhythm.mean(1, keepdims=True)
        seen, total = counts.sum(2), counts.sum(1)
        for j in range(c):
            flat = (seen[j].mean() + 1e-3) / (visits.mean() + 1) * 2
            city = self.smoothed(seen[j] + flat, kernel) / (visits + 2)
            rhythm[j] *= (city / ((rhythm[j] * total[j]).sum(1) + 1e-7))[:, None]
        day = np.arange(168) % 24

        def ratios(came: np.ndarray, likely: np.ndarray) -> tuple[np.ndarray, ...]:
            """Smoothed events and likely ones by hour of the week, and their shrunken ratio by hour of the day."""
            sums = [self.smoothed(z, kernel) for z in (came, likely)]
            came_day, likely_day = (np.array([z[day == d].sum(0) for d in day]) for z in sums)
            return *sums, (came_day + 20) / (likely_day + 20)

        def alike(likely: np.ndarray) -> np.ndarray:
            return likely * (total / np.maximum(likely.sum(1), 1e-7))[:, None]

        came, expected, prior = ratios(counts.sum(0), alike(rhythm * visits[:, None]).sum(0))
        rhythm = rhythm * (came + 20 * prior) / (expected + 20)
        if c > 1:  # of one category, the events are those that the week was held to
            likely = alike(rhythm * visits[:, None])
            rhythm = rhythm * np.array([ratios(counts[j], likely[j])[2] for j in range(c)])
        return loadings, rhythm / rhythm.mean(1, keepdims=True)

    def _intensity(self, s: int, count: int) -> np.ndarray:
        """λ₀ of steps s … s + count − 1, [k n c]."""
        n, c = self.cube.n, self.cube.c
        _, hexagon, category, weight, age = self.events(s)
        rate = np.zeros((n, c))
        np.add.at(rate, (hexagon, category), weight * 2 ** (-age / 365))
        days = sum(self.days * 2 ** (-a / 365) for _, a in self.patches(s))
        mean = (rate.sum(0) / n + 1e-3) / (days + 1)
        rate = (rate + 3 * mean) / (days + 3)
        slots = self.local.slot[s : s + count]
        return rate / 24 * self.profile(s)[1][:, slots].transpose(1, 2, 0) + 1e-7

    def features(self, s: int) -> dict[str, np.ndarray]:
        """Features at s by name, in their order, [n] each."""
        cube, n, c = self.cube, self.cube.n, self.cube.c
        _, hexagon, category, weight, age = self.events(s)
        before = [(a, self.intensity(f, self.p)) for f, a in self.patches(s)]
        around = np.zeros((n, n))
        around[cube.edges[1], cube.edges[0]] = 1

        def sums(half_life: float) -> tuple[np.ndarray, np.ndarray]:
            seen, expected = np.zeros((n, c)), np.zeros((n, c))
            np.add.at(seen, (hexagon, category), weight * 2 ** (-age / half_life))
            for a, lam in before:
                expected += lam.sum(0) * 2 ** (-a / half_life)
            return seen, expected

        def ratio(pair: tuple[np.ndarray, ...], half_life: float, size: float) -> np.ndarray:
            kappa = size / (1 - 2 ** (-1 / half_life))
            return np.log((pair[0] + kappa) / (pair[1] + kappa))

        def over(place: str, values: np.ndarray) -> np.ndarray:
            """Values [n] summed over the place."""
            return {"hexagon": values, "ring": around @ values, "city": np.full(n, values.sum())}[place]

        out: dict[str, np.ndarray] = {}
        for family in BY_DAY.log_ratios:
            size = family.prior * (1 if family.place == "city" else SCALE / (c if family.by_category else 1))
            for d in family.half_lives:
                where = "" if family.place == "hexagon" else f"{family.place} "
                if not family.by_category:
                    pair = tuple(over(family.place, z.sum(1)) for z in sums(d))
                    out[f"{where or 'all '}{d} d"] = ratio(pair, d, size)
                for j, name in enumerate(cube.categories if family.by_category else ()):
                    pair = tuple(over(family.place, z[:, j]) for z in sums(d))
                    out[f"{where}{name} {d} d"] = ratio(pair, d, size)
        out["level"] = np.log((self.intensity(s, cube.horizons).sum((0, 2)) + 1e-4) / SCALE)
        return out
