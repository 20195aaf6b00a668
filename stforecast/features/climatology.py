"""Rolling climatology: what a hexagon usually has at this local hour of the week, from the days before only.

λ₀ = rate of the hexagon and category × its rhythm over the hours of the week. The rhythm is a sum of those that
hexagons share (`rhythms`), brought to the city's profile of the category, times two shrunken ratios of the hexagon: by
hour of the week over all categories, and by hour of the day for each. Rates and counts by hour are exponentially
forgotten sums of events, so that λ₀ follows drift and is equally honest inside and outside the training slice. Late
reports enter at their decayed weight, and the days that rates are held against are kept by the share of reports known
at each age.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from stforecast.cube import Cube
from stforecast.features.delay import delay_shares, lags_of
from stforecast.features.graph import Neighbours, NeighbourSum, side_by_side
from stforecast.features.rhythms import Rhythms, smoothing
from stforecast.features.shared import CityPrior, SharedRhythms, shrunken_rates
from stforecast.features.stream import CELLS, EventStream

SLOW = (365.0, 365.0)
"""Half-lives of hexagon rates and of counts by hour of the week, in days: of the slow climatology, which is the offset
of network and trees (their log-ratios tell how recent weeks depart from it)."""
ROLLING = {"hour": (90.0, 365.0), "day": (90.0, 365.0), "month": (180.0, 365.0)}
"""Those of the rolling one, which forecasts, by the unit of a step."""
SHRINK_RATE_DAYS, SHRINK_PROFILE_WEEKS, SHRINK_RATIO = 3.0, 2.0, 20.0
"""Pseudo-observations: days of the city's mean rate, weeks (or years) of a flat profile, expected events at ratio 1."""
FLOOR = 1e-7


class Climatology:
    """The decayed sums behind λ₀; rhythms are brought up to date once a week.

    What is decayed is kept in growing units: a contribution of patch i enters at 2^(i / half-life), and what is read is
    divided by that of the newest patch, so that a patch touches its own slots only.

    The state is a dictionary of tensors; hexagons are the last axis: what differs by category or hour then meets long
    rows of memory.

        sums       events [c n] and their exposure in days [c], flat in one tensor
        table      events by category and slot of the week, [c·slots n]; visits: its exposure, [c slots]
        loadings   events of each hexagon by rhythm, [r n]; profile: the rhythm of each, with mean 1, [c·slots n]
        newest     number of the newest patch
        share, rhythms, shares   what was learned of the training slice: see `delay_shares` and `Rhythms`
        prior      how many days of the city's mean rate each hexagon is given, [c]; or `CityPrior.rate`, [c 3]
        usual, worth   of other cities, where they tell anything: `CityPrior.profile`, [c slots], and its worth, [c]

    Args:
        events: the record.
        half_lives: of rates and of counts, in days.
    """

    def __init__(self, events: EventStream, half_lives: tuple[float, float] = SLOW) -> None:
        self.events, self.p, self.n, self.c = events, events.patch, events.cube.n, events.cube.c
        self.slots, self.step_days = events.cube.step.slots, events.cube.step.days
        self.week = max(1, round(7 / self.step_days / self.p))  # patches
        self.half_lives, self.lags = half_lives, lags_of(events.cube, self.p)
        self.shared = events.cube.step_unit == "month"  # a few years do not tell a hexagon's own season
        self._lags = torch.tensor(self.lags, device=events.device)

    def init_state(
        self, share: Tensor, rhythms: Rhythms, prior: Tensor, city: CityPrior | None = None
    ) -> dict[str, Tensor]:
        """The state before the first patch; `share` as `delay_shares` has it, `prior` as `rate_prior`."""
        device, rhythms = self.events.device, rhythms.to(self.events.device)
        told = {"prior": prior} if city is None else {"prior": city.rate, "usual": city.profile, "worth": city.worth}
        table = torch.zeros(self.c * self.slots, self.n, device=device)
        return {
            "sums": torch.zeros((self.n + 1) * self.c, dtype=torch.float64, device=device),  # units outgrow a float32
            "table": table,
            "visits": torch.zeros(self.c, self.slots, device=device),
            "loadings": rhythms.start(self.n),
            "profile": torch.ones_like(table),
            "newest": torch.tensor(-1),
            "share": share.to(device),
            "rhythms": rhythms.shape,
            "shares": rhythms.shares,
            **{name: value.to(device) for name, value in told.items()},
        }

    def learned_state(self, until: int, phase: int, shared: SharedRhythms | None = None) -> dict[str, Tensor]:
        """`init_state` with the delays and rhythms of the record as known at the step `until`, and what other cities
        tell."""
        cube = self.events.cube
        city = None if shared is None else shared.prior(cube)
        share, rhythms = delay_shares(cube, self.p, until, phase), Rhythms.of(cube, until, city)
        return self.init_state(share, rhythms, rate_prior(cube, until), city)

    def step(self, state: dict[str, Tensor], first: int, count: int) -> Tensor:
        """Take in the patches before the issues first, first + p, …; the state is changed in place.

        Returns:
            λ₀ of the K steps after each issue, from what is known at it: [l c k n].
        """
        share = state["share"]
        lags = self._lags[: len(share)]
        issues = first + self.p * torch.arange(count, device=self.events.device)
        newest = issues.div(self.p, rounding_mode="floor") - 1
        patch = newest[:, None] - lags  # [l j]: patches whose late reports fall due
        new = self.events.arrivals(first, count)
        occurred = newest[new.row] - new.age.div(self.p, rounding_mode="floor")
        by_rate, by_count = (new.weight * self._growth(occurred, h) for h in self.half_lives)
        sums = state["sums"].new_zeros(count, len(state["sums"]))
        sums.view(-1).index_add_(0, new.row * sums.shape[1] + new.category * self.n + new.hexagon, by_rate)
        of_rate, of_count = (self._growth(patch, h) for h in self.half_lives)  # [l j]
        begun = issues[:, None, None] - (lags[:, None] + 1) * self.p
        steps = (begun + torch.arange(self.p, device=issues.device)).clamp(min=-self.events.origin)
        passed = self.events.slots(steps)[0]  # [l j p]
        exposure = (of_count[..., None] * share).float().repeat_interleave(self.p, 1)  # [l j·p c]
        if self.events.observed is None and self.events.length is None:
            sums[:, self.c * self.n :] += (of_rate @ share.double()) * (self.p * self.step_days)
        else:
            seen = self._seen(steps)  # [l j p c]
            days = of_rate[..., None] * share.double() * seen.sum(2).double()
            sums[:, self.c * self.n :] += days.sum(1) * self.step_days
            exposure *= seen.flatten(1, 2)
        place = (new.category * self.slots + self.events.slots(new.hour)[0]) * self.n + new.hexagon
        ahead_steps = issues[:, None] + torch.arange(self.events.cube.horizons, device=issues.device)
        ahead = self.events.slots(ahead_steps)[0]
        out = torch.empty(count, self.c, ahead.shape[1], self.n, device=sums.device)
        by_count, start = by_count.float(), 0
        for i, end in enumerate(new.ends):
            state["table"].view(-1).index_add_(0, place[start:end], by_count[start:end])
            state["visits"].index_add_(1, passed[i].flatten(), exposure[i].T)
            sums[i].add_(sums[i - 1] if i else state["sums"])
            now, start = first // self.p + i - 1, end
            if 0 <= now < self.week or (now + 1) % self.week == 0 < now:
                self._follow(state, now)
            torch.index_select(self._by_slot(state["profile"]), 1, ahead[i], out=out[i])
        state["sums"], state["newest"] = sums[-1].clone(), torch.tensor(now)
        out.mul_(self._rate(sums, newest, state["prior"])[:, :, None])
        if (length := self.events.length) is not None:
            out.mul_(length[self.events.at(ahead_steps)][:, None, :, None])
        return out.add_(FLOOR)

    def advance(self, state: dict[str, Tensor], first: int, until: int) -> int:
        """Take in the patches before the issues first, first + p, … up to `until`: the first issue after it."""
        while first <= until:
            count = min(self.events.segment, (until - first) // self.p + 1)
            self.step(state, first, count)
            first += count * self.p
        return first

    def forecast(self, state: dict[str, Tensor], s: int, count: int) -> Tensor:
        """λ₀ of steps s … s + count − 1 from the state as it stands, [c k n]."""
        steps = s + torch.arange(count, device=self.events.device)
        slots = self.events.slots(steps)[0]
        newest = torch.full((1,), int(state["newest"]), device=self.events.device)
        rate = self._rate(state["sums"][None], newest, state["prior"])[0, :, None]
        if (length := self.events.length) is not None:
            rate = rate * length[self.events.at(steps)][:, None]
        return self._by_slot(state["profile"])[:, slots] * rate + FLOOR

    def _seen(self, steps: Tensor) -> Tensor:
        """How much of steps [… p] was recorded of each category, in usual steps, [… p c]."""
        at, (observed, length) = self.events.at(steps), (self.events.observed, self.events.length)
        seen = torch.ones(*at.shape, self.c, device=at.device) if observed is None else observed[at]
        return seen if length is None else seen * length[at][..., None]

    @cached_property
    def near(self) -> dict[int, Neighbours]:
        """The smoothing over slots of the week as sparse products, for the rows of one category or of all."""
        matrix = smoothing(self.events.cube.step)
        edges = matrix.nonzero().T
        return {
            copies * self.slots: Neighbours(
                side_by_side(edges, self.slots, copies), self.slots * copies, matrix[*edges].repeat(copies)
            ).to(self.events.device)
            for copies in {1, self.c}
        }

    @cached_property
    def around(self) -> tuple[NeighbourSum, Tensor]:
        """Sums over neighbours, and how many each hexagon has, [n]."""
        edges = torch.tensor(self.events.cube.edges)
        ring = NeighbourSum(edges, self.n, 1.0).to(self.events.device)
        return ring, torch.bincount(edges[1], minlength=self.n).double().to(self.events.device)

    def _smooth(self, x: Tensor) -> Tensor:
        """Values by slot, [… slots n], smoothed over the slots."""
        rows = x.flatten(0, -2)
        return self.near[len(rows)](rows).view_as(x)

    def _growth(self, patch: Tensor, half_life: float) -> Tensor:
        """Units in which patches contribute; 0 for those before the record, when all sums are 0."""
        return torch.exp2(patch.double() * (self.p * self.step_days / half_life)) * (patch >= 0)

    def _rate(self, sums: Tensor, newest: Tensor, prior: Tensor) -> Tensor:
        """Events a step of hexagons and categories from flat sums [l …], [l c n]."""
        grown = self._growth(newest, self.half_lives[0]).clamp(min=FLOOR)[:, None]
        events, days = (sums / grown).split([self.c * self.n, self.c], -1)
        rate = events.unflatten(-1, (self.c, self.n))
        if prior.dim() == 2:
            return (shrunken_rates(rate, days, prior, *self.around) * self.step_days).float()
        days = days[..., None]
        city = (rate.mean(-1, keepdim=True) + 1e-3) / (days + 1)
        prior = prior[:, None]
        return ((rate + city * prior) / (days + prior) * self.step_days).float()

    def _follow(self, state: dict[str, Tensor], newest: int) -> None:
        """Bring loadings and profile up to the table as it stands; hexagons in parts that bound memory."""
        table, loadings, profile = state["table"], state["loadings"], state["profile"]
        rhythms = Rhythms(state["rhythms"], state["shares"])
        grown = 2 ** (newest * self.p * self.step_days / self.half_lives[1])
        visits = state["visits"] / grown
        parts = range(0, self.n, max(1, CELLS // len(table)))
        seen, expected = torch.zeros_like(visits), torch.zeros_like(visits)
        for at in parts:
            part = slice(at, at + parts.step)
            counts = table[:, part] / grown
            loadings[:, part] = rhythms.loadings(counts, loadings[:, part])
            rhythm = self._by_slot(rhythms.shape.T @ loadings[:, part])
            rhythm = torch.ones_like(rhythm) if self.shared else rhythm / rhythm.mean(1, keepdim=True)
            counts = self._by_slot(counts)
            seen += counts.sum(-1)
            expected += (rhythm * counts.sum(1, keepdim=True)).sum(-1)
            profile[:, part] = rhythm.flatten(0, 1)
        city = self._city(seen, visits, state) / expected.add_(FLOOR)
        for at in parts:
            part = slice(at, at + parts.step)
            rhythm = self._by_slot(profile[:, part]) * city[..., None]
            if not self.shared:
                rhythm = rhythm * self._ratio(self._by_slot(table[:, part] / grown), rhythm * visits[..., None])
            profile[:, part] = (rhythm / rhythm.mean(1, keepdim=True)).flatten(0, 1)

    def _city(self, seen: Tensor, visits: Tensor, state: dict[str, Tensor]) -> Tensor:
        """The city's profile over the week, from its counts and their exposure [c slots]."""
        weeks = visits.mean(1, keepdim=True)
        if "usual" in state:
            level = (seen.mean(1, keepdim=True) + 1e-3) / (weeks + 1e-3)
            worth = state["worth"][:, None] / (level * self.slots)  # weeks
            return (self._smooth(seen[..., None])[..., 0] + level * worth * state["usual"]) / (visits + worth)
        begun = 0.01 if self.shared else 1  # a year may be all that there is
        flat = (seen.mean(1, keepdim=True) + 1e-3) / (weeks + begun) * SHRINK_PROFILE_WEEKS
        return self._smooth((seen + flat)[..., None])[..., 0] / (visits + SHRINK_PROFILE_WEEKS)

    def _ratio(self, counts: Tensor, likely: Tensor) -> Tensor:
        """Shrunken ratios of events to likely ones, all [c slots n]; only their rhythm is compared.

        One by hour of the week over all categories, times one by hour of the day for each, where there are several.
        """
        events = counts.sum(1, keepdim=True)
        alike = lambda x: x * (events / x.sum(1, keepdim=True).clamp(min=FLOOR))  # noqa: E731
        seen, likely = self._smooth(counts), alike(likely)
        seen_all, likely_all = seen.sum(0), self._smooth(likely.sum(0))
        prior = SHRINK_RATIO * _shrunken(self._by_hour(seen_all), self._by_hour(likely_all))
        week = (seen_all + prior) / (likely_all + SHRINK_RATIO)
        if self.c == 1:  # which would count the same events twice
            return week
        return week * _shrunken(self._by_hour(seen), self._by_hour(self._smooth(alike(likely * week))))

    def _by_hour(self, x: Tensor) -> Tensor:
        """Sums over the days of the week (or the months) of [… slots n], given at every slot."""
        per_day = self.events.per_day
        return x.unflatten(-2, (-1, per_day)).sum(-3).repeat(*[1] * (x.dim() - 2), self.slots // per_day, 1)

    def _by_slot(self, x: Tensor) -> Tensor:
        """[c·slots n] as [c slots n]."""
        return x.view(self.c, self.slots, -1)


def _shrunken(seen: Tensor, expected: Tensor) -> Tensor:
    return (seen + SHRINK_RATIO) / (expected + SHRINK_RATIO)


def rate_prior(cube: Cube, known_before: int) -> Tensor:
    """How many days of the city's mean rate stand for what is known of a hexagon before its own events, float64 [c].

    Of months, which are few, as many as the spread of the rates between hexagons asks for: mean ÷ variance of a gamma
    law of the rates, by moments of the events known at a step (empirical Bayes).
    """
    if cube.step_unit != "month":
        return torch.full((cube.c,), SHRINK_RATE_DAYS, dtype=torch.float64)
    seen = (cube.hour < known_before) & (cube.known_hour < known_before)
    place = cube.hexagon[seen].astype(np.int64) * cube.c + cube.category[seen]
    counts = np.bincount(place, cube.weight[seen], minlength=cube.n * cube.c).reshape(cube.n, cube.c)
    masked = cube.masked
    steps = known_before if masked is None else (~masked[:known_before]).sum(0)
    days = np.maximum(steps, 1) * cube.step.days
    mean, between = counts.mean(0), np.maximum(counts.var(0) - counts.mean(0), 1e-9)
    return torch.as_tensor(np.clip(mean * days / between, SHRINK_RATE_DAYS, days))
