"""Events of a simulated city, drawn one by one: those that come of themselves, and those that follow others.

A Hawkes process is a cascade of clusters (Hawkes and Oakes 1974, Journal of Applied Probability 11:493-503): events of
a base intensity, and of each a Poisson number of offspring, which have offspring of their own. So nothing is as large
as hours × hexagons × categories.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stforecast.pretraining.places import log_uniform

Rng = np.random.Generator


@dataclass(frozen=True)
class Events:
    """Events as equally long arrays [e]: hours of the simulation, hexagons, categories."""

    hour: np.ndarray
    hexagon: np.ndarray
    category: np.ndarray

    def take(self, which: np.ndarray) -> Events:
        """Some of them, by mask or by number."""
        return Events(self.hour[which], self.hexagon[which], self.category[which])

    @staticmethod
    def joined(parts: list[Events]) -> Events:
        """All of several."""
        names = ("hour", "hexagon", "category")
        return Events(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True)
class Excitation:
    """How events are followed by others.

    branching: expected offspring of an event of each category, [c]. mixing: of which category they are, [c c], rows
    sum to 1. half_lives: of their delay in hours, [c 2], and `fast`, how many follow the first, [c].
    spill: share of offspring in a neighbouring hexagon.
    """

    branching: np.ndarray
    mixing: np.ndarray
    half_lives: np.ndarray
    fast: np.ndarray
    spill: float


def draw_excitation(rng: Rng, c: int) -> Excitation:
    """Branching ratios of 0 to 0.6 with half-lives from hours to a month."""
    highest = 0.6 * rng.beta(1, 1.5)
    branching = highest * rng.uniform(0.3, 1, c) * (rng.random() < 0.9)
    cross = rng.dirichlet(np.ones(c), c)
    share = rng.uniform(0, 0.5)
    mixing = share * cross + (1 - share) * np.eye(c)
    half_lives = np.stack([log_uniform(rng, 1, 48, c), log_uniform(rng, 24, 720, c)], 1)
    return Excitation(branching, mixing, half_lives, rng.random(c), rng.uniform(0, 0.5))


def base_events(rng: Rng, weight: np.ndarray, curve: np.ndarray, kind: np.ndarray, block: int) -> Events:
    """Events of the intensity weight · curve, which need not be written out.

    Args:
        rng: draws.
        weight: of each block of hours, hexagon and category, [b n c].
        curve: events an hour at weight 1, of each type of hexagon and category, [types c t].
        kind: type of each hexagon, [n].
        block: hours of a block; the last one may be shorter.
    """
    types, c, t = curve.shape
    begins = np.arange(0, t, block)
    sums = np.add.reduceat(curve, begins, axis=2)  # [types c b]
    counts = rng.poisson(weight * sums[kind].transpose(2, 0, 1))
    b, hexagon, category = counts.nonzero()
    times = counts[b, hexagon, category]
    b, hexagon, category = (np.repeat(one, times) for one in (b, hexagon, category))
    row = kind[hexagon] * c + category
    total = np.concatenate([np.zeros((types * c, 1)), curve.reshape(types * c, t).cumsum(1)], 1)
    offset = np.concatenate([[0], total[:, -1].cumsum()[:-1]])
    wanted = total[row, begins[b]] + rng.random(len(b)) * sums[kind[hexagon], category, b]
    found = np.searchsorted((total[:, :-1] + offset[:, None]).ravel(), wanted + offset[row], side="right") - 1
    hour = np.clip(found - row * t, begins[b], np.minimum(begins[b] + block, t) - 1)
    return Events(hour, hexagon, category)


def offspring(rng: Rng, parents: Events, how: Excitation, near: Neighbours, end: int) -> list[Events]:
    """The generations that follow `parents`, each after its own parents and before the hour `end`."""
    found, last = [], parents
    chance = how.mixing.cumsum(1)
    while len(last.hour):
        count = rng.poisson(how.branching[last.category])
        last = last.take(np.repeat(np.arange(len(count)), count))
        size = len(last.hour)
        slow = (rng.random(size) >= how.fast[last.category]).astype(int)
        delay = rng.exponential(how.half_lives[last.category, slow] / np.log(2))
        hour = last.hour + 1 + delay.astype(np.int64)
        category = (rng.random((size, 1)) > chance[last.category]).sum(1).clip(max=len(chance) - 1)
        hexagon = np.where(rng.random(size) < how.spill, near.draw(rng, last.hexagon), last.hexagon)
        last = Events(hour, hexagon, category).take(hour < end)
        found.append(last)
    return found


def runs(rng: Rng, heads: Events, share: float, mean: float, apart: int, end: int) -> Events:
    """Events that repeat a `share` of others at their place, `mean` times each: `apart` hours from one to the next, or
    at 0 all within a few hours (a mass event).
    """
    heads = heads.take(rng.random(len(heads.hour)) < share)
    length = np.minimum(rng.geometric(1 / mean, len(heads.hour)), 60)
    members = heads.take(np.repeat(np.arange(len(length)), length))
    number = np.arange(len(members.hour)) - np.repeat(length.cumsum() - length, length) + 1
    later = number * apart if apart else rng.integers(0, 4, len(number))
    again = Events(members.hour + later, members.hexagon, members.category)
    return again.take(again.hour < end)


class Neighbours:
    """The neighbours of hexagons, from edges [2, e] sorted by the first row; each hexagon has one."""

    def __init__(self, edges: np.ndarray, n: int) -> None:
        self.count = np.bincount(edges[0], minlength=n)
        self.first, self.other = self.count.cumsum() - self.count, edges[1]

    def draw(self, rng: Rng, hexagon: np.ndarray) -> np.ndarray:
        """A neighbour of each of some hexagons, [e]."""
        return self.other[self.first[hexagon] + (rng.random(len(hexagon)) * self.count[hexagon]).astype(np.int64)]


def known(rng: Rng, hour: np.ndarray, category: np.ndarray, c: int) -> np.ndarray:
    """The hours at which events become known, int64 [e], of a city in which reports come late.

    A part is known at once; others follow after hours, days or months, some only on the publisher's next day or week.
    """
    prompt, half_life = rng.beta(1.5, 1.5, c), log_uniform(rng, 2, 500, c)
    spread = rng.uniform(0.3, 1.5)
    delay = half_life[category] * np.exp(spread * rng.standard_normal(len(hour)))
    tail = rng.random(len(hour)) < log_uniform(rng, 0.001, 0.05)
    delay += tail * rng.exponential(24 * 60, len(hour))
    delay[rng.random(len(hour)) < prompt[category]] = 0
    at = hour + delay.astype(np.int64)
    every = int(rng.choice([1, 24, 168], p=[0.6, 0.25, 0.15]))
    return -(-at // every) * every
