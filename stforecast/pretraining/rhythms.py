"""Rhythms of the week and priors of rates, learned over the records of several cities."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stforecast.config.sections import KINDS
from stforecast.cube import Cube
from stforecast.cube.steps import Step
from stforecast.errors import ConfigError
from stforecast.features.graph import NeighbourSum
from stforecast.features.rhythms import COUNT, smoothing
from stforecast.features.shared import HOURS, SMALLEST, SharedRhythms, kind_mix, shrunken_rates

LENGTHS, AHEAD = (7, 14, 30, 60, 120, 365), 28
"""Days of record from which rates and profiles are told in trials, and days after it that they are held to."""
TRIALS, HALF_LIFE = 4, 90.0
"""Trials of each length and city, and how rates are forgotten in them, in days."""
MOST_EVENTS = 20_000.0
"""Of a category that count for the profile of its kinds, so that no city tells it alone."""
PRIOR = 1000.0
"""Events of all kinds' profile that each kind's begins with."""
HEXAGONS = 300
"""The busiest of each city, in which rhythms are looked for."""


@dataclass(frozen=True)
class _City:
    """Counts of a record by local day, and by slot of the week of hexagons.

    daily: [d c n], 0 where not observed. seen: share of a day that was recorded, [d c]. weekly: of the busiest
    hexagons over the hours of the week, [b c 168]. slots: of the city in each day, [d c 168].
    """

    cube: Cube
    mix: Tensor
    daily: Tensor
    seen: Tensor
    slots: Tensor
    weekly: Tensor
    ring: NeighbourSum
    degree: Tensor

    @staticmethod
    def of(cube: Cube) -> _City:
        cube = cube.inputs
        calendar, days = cube.calendar(0, cube.steps), cube.steps // 24
        keep = cube.hour < days * 24
        hour, category, hexagon = cube.hour[keep].astype(np.int64), cube.category[keep], cube.hexagon[keep]
        weight, slot = cube.weight[keep].astype(np.float64), calendar.slot[cube.hour[keep]]

        def table(place: np.ndarray, *shape: int) -> Tensor:
            return torch.as_tensor(np.bincount(place, weight, minlength=int(np.prod(shape)))).view(*shape)

        daily = table((hour // 24 * cube.c + category) * cube.n + hexagon, days, cube.c, cube.n)
        slots = table((hour // 24 * cube.c + category) * HOURS + slot, days, cube.c, HOURS)
        weekly = table((hexagon.astype(np.int64) * cube.c + category) * HOURS + slot, cube.n, cube.c, HOURS)
        busiest = weekly.sum((1, 2)).argsort(descending=True)[:HEXAGONS]
        masked = cube.masked_before()
        seen = np.ones((days, cube.c)) if masked is None else 1 - masked[: days * 24].reshape(days, 24, -1).mean(1)
        edges = torch.tensor(cube.edges)
        degree = torch.bincount(edges[1], minlength=cube.n).double()
        ring = NeighbourSum(edges, cube.n, 1.0)
        return _City(cube, kind_mix(cube), daily, torch.as_tensor(seen), slots, weekly[busiest], ring, degree)


def shared_rhythms(cubes: Sequence[Cube]) -> SharedRhythms:
    """Profiles, rhythms and priors under which the records of cities foretell themselves best.

    Args:
        cubes: records with steps of an hour; what is not to be learned from has to be cut off (`cube.cut`).

    Raises:
        ConfigError: steps of a cube are no hours, or a record is shorter than two months.
    """
    for cube in cubes:
        if cube.step != Step(time_zone=cube.time_zone) or cube.steps < 60 * 24:
            raise ConfigError(f"{cube.name}: shared rhythms are learned from 60 days or more in steps of an hour.")
    cities = [_City.of(cube) for cube in cubes]
    own, around = _rate_priors(cities)
    profiles = _profiles(cities)
    worth = _worth(cities)
    rhythms, shares = _rhythms(cities)
    found = (np.round(each.numpy(), 4) for each in (profiles, worth, own, around, rhythms, shares))
    return SharedRhythms(*(each.clip(SMALLEST).tolist() for each in found))


def _by_kind(logs: Tensor, mix: Tensor) -> Tensor:
    """Of categories [c] from the values of kinds [K + 1]; both of them logarithms at first."""
    return (mix @ logs).exp()


def _minimise(loss: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    x = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([x], max_iter=40, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        found = loss(x)
        found.backward()
        return found

    optimiser.step(closure)
    return x.detach()


def _trials(city: _City, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    days = len(city.daily)
    for length in LENGTHS:
        if length + AHEAD <= days:
            for _ in range(TRIALS):
                yield length, int(rng.integers(length, days - AHEAD + 1))


def _rate_priors(cities: Sequence[_City]) -> tuple[Tensor, Tensor]:
    """Events that the expected rates are worth, [K + 1] and [2]: under which 28 days to come are most likely."""
    rng, trials = np.random.default_rng(0), []
    for city in cities:
        for length, now in _trials(city, rng):
            past, ahead = slice(now - length, now), slice(now, now + AHEAD)
            decay = torch.as_tensor(0.5 ** (np.arange(length, 0, -1) / HALF_LIFE))
            events = torch.einsum("d,dcn->cn", decay, city.daily[past])
            exposure, target = decay @ city.seen[past], city.daily[ahead].sum(0)
            if exposure.min() > 0 and target.sum() > 0:
                trials.append((city, events, exposure, target))

    def loss(logs: Tensor) -> Tensor:
        total = torch.zeros(())
        for city, events, exposure, target in trials:
            own = _by_kind(logs[:-2], city.mix)
            prior = torch.cat([own[:, None], logs[-2:].exp().expand(len(own), 2)], 1)
            rate = shrunken_rates(events, exposure, prior, city.ring, city.degree)
            share = rate / rate.sum(1, keepdim=True)
            total = total - (target * share.log()).sum() / target.sum()
        general = logs[:-2] - logs[-3]
        return total / len(trials) + 1e-3 * (general**2).mean()

    logs = _minimise(loss, torch.zeros(len(KINDS) + 3, dtype=torch.float64))
    return logs[:-2].exp(), logs[-2:].exp()


def _profiles(cities: Sequence[_City]) -> Tensor:
    """Profiles by kind, [K + 1 168], under which the categories' are most likely; the last is of all events."""
    smooth = smoothing(Step()).double()
    mixes, counts = torch.cat([city.mix for city in cities]), torch.cat([city.slots.sum(0) for city in cities])
    counts = counts * (MOST_EVENTS / counts.sum(1, keepdim=True).clamp(min=MOST_EVENTS))
    general = counts.sum(0) @ smooth
    general = (general / general.mean()).clamp(min=SMALLEST)  # of an hour without any event too
    profiles = general.repeat(mixes.shape[1], 1)
    for _ in range(100):
        found = profiles * (mixes.T @ (counts / (mixes @ profiles))) + PRIOR / HOURS * general
        profiles = found @ smooth
        profiles = profiles / profiles.mean(1, keepdim=True)
    profiles[-1] = general
    return profiles


def _worth(cities: Sequence[_City]) -> Tensor:
    """Events that a profile is worth, [K + 1], each city's told by the others."""
    rng, trials = np.random.default_rng(0), []
    smooth = smoothing(Step()).double()
    for city in cities:
        others = [other for other in cities if other is not city] or [city]
        likely = city.mix @ _profiles(others)
        for length, now in _trials(city, rng):
            events = city.slots[now - length : now].sum(0) @ smooth
            target = city.slots[now : now + 7 * 52].sum(0)
            if (keep := target.sum(1) > 0).any():
                trials.append((city.mix[keep], events[keep], likely[keep], target[keep]))

    def loss(logs: Tensor) -> Tensor:
        total = torch.zeros(())
        for mix, events, likely, target in trials:
            found = events + _by_kind(logs, mix)[:, None] / HOURS * likely
            share = found / found.sum(1, keepdim=True)
            total = total - (target * share.log()).sum() / target.sum()
        return total / len(trials) + 1e-4 * ((logs - logs[-1]) ** 2).mean()

    return _minimise(loss, torch.full((len(KINDS) + 1,), 6.0, dtype=torch.float64)).exp()


def _rhythms(cities: Sequence[_City]) -> tuple[Tensor, Tensor]:
    """Rhythms of hexagons as factors of what their categories let expect, [r 168], and their shares [r]."""
    smooth, usual, counts = smoothing(Step()).double(), [], []
    for city in cities:
        profile = (city.weekly.sum(0) + 1) @ smooth
        profile = profile / profile.sum(1, keepdim=True)
        usual.append(city.weekly.sum(2) @ profile)
        counts.append(city.weekly.sum(1))
    likely, seen = torch.cat(usual), torch.cat(counts)
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: 0.5 + torch.rand(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    factors, mine = draw(COUNT, HOURS), draw(len(seen), COUNT) / COUNT
    for _ in range(60):
        ratio = seen / (mine @ factors).clamp(min=1e-9)
        mine = (mine * (ratio @ factors.T) + 1) / (likely @ factors.T + COUNT)
        ratio = seen / (mine @ factors).clamp(min=1e-9)
        factors = (factors * (mine.T @ ratio) + 10) / (mine.T @ likely + 10)
        factors = factors @ smooth
    weight = ((mine.T @ likely) * factors).sum(1)
    return factors, weight / weight.sum()
