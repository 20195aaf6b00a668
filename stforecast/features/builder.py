"""Features of the record at every issue, carried from patch to patch: how far a hexagon, its ring and the city depart
from climatology, over days to a year.

Trees and network read the same features (`table`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stforecast.cube import Cube
from stforecast.features import city_facts
from stforecast.features.climatology import Climatology
from stforecast.features.covariates import Covariates
from stforecast.features.decayed import DecayedSums, decay
from stforecast.features.graph import NeighbourSum
from stforecast.features.scaling import Scales
from stforecast.features.seasonal import SeasonalSums
from stforecast.features.stream import EventStream, issue_range
from stforecast.features.table import LATE_PATCHES, TABLES

FILL_DAYS = 60
"""Age from which steps that were not recorded count for nothing in the sums of recent events."""

State = dict[str, Any]
"""Tensors by name, in dictionaries of parts: all that a forecaster carries from issue to issue. `step` changes a state
in place; clone it (`clone_state`) to keep what it was."""


@dataclass(frozen=True)
class FeatureBatch:
    """What is read of the events at L issue steps. Hexagons are the last axis: rows of memory are long.

    log_rate: log λ₀ of the K steps after each issue, [l c k n].
    features: log-ratios and level in the order of `table.layout`, [l f n].
    patch: events of the p steps before each issue as known at it, [l p c n], step j at channel
        (local slot of the issue + j) mod p, so that a channel keeps its local hour.
    recent: decayed sums of recent events, [l h c n].
    seasonal: log-ratios by hour of recurrence at the K steps, [l h c k n].
    late: late reports that arrived in the patch, by age (2, 4, 8 patches and older), [l 4 c n]; empty without delays.
    by_cell: covariates of the K steps as known at the issue, standardised, then whether they are known, [l 2j k n];
        λ₀ holds what they do to the base rate.
    """

    issues: list[int]
    log_rate: Tensor
    features: Tensor
    patch: Tensor
    recent: Tensor
    seasonal: Tensor
    late: Tensor
    by_cell: Tensor

    def part(self, which: slice) -> FeatureBatch:
        """At some of the issues."""
        return FeatureBatch(**{name: value[which] for name, value in vars(self).items()})


class FeatureBuilder:
    """A cube on a device whose features are built from issue to issue, every p steps.

    Args:
        cube: the record.
        scales: of the training slice; the rate sets the pseudo-counts κ.
        patch: steps from issue to issue.
        device: where tensors lie.
        past_end: steps after the cube's end up to which issues may come.
        since: the issue from which a state goes on, see `EventStream`.
    """

    def __init__(
        self,
        cube: Cube,
        scales: Scales,
        patch: int,
        device: torch.device | str = "cpu",
        past_end: int = 0,
        since: int = 0,
    ) -> None:
        self.cube, self.scales, self.patch, self.device = cube, scales, patch, torch.device(device)
        self.events = EventStream(cube, patch, past_end, device, since)
        self.covariates = Covariates.of(self.events, scales)
        self.climatology, self.seasonal = Climatology(self.events), SeasonalSums(self.events)
        self.table, per_day = TABLES[cube.step_unit], cube.step.per_day
        self.recent = DecayedSums([hours / cube.step_hours for hours in self.table.recent_hours]).to(self.device)
        self.daily = DecayedSums([days * per_day for days in self.table.half_lives], patch).to(self.device)
        self.edges = torch.tensor(cube.edges, device=self.device)
        self.ring = NeighbourSum(torch.tensor(cube.edges), cube.n, 1.0).to(self.device)
        self.scale = max(scales.rate, 1e-6) * (cube.step.days * per_day)  # of a month where steps are months
        lost = np.zeros(1) if cube.masked is None else np.concatenate([[0.0], cube.masked.mean(1).cumsum()])
        self.lost = torch.as_tensor(lost, dtype=torch.float32, device=self.device)  # steps before each, not recorded
        self.of_city = city_facts.of_city(cube, scales).to(self.device)
        self._places, self._kappa = self._priors()

    def _priors(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Of each family the places of its half-lives among the sums, and κ, [h] each."""
        places, kappa = {}, {}
        half_lives = self.table.half_lives
        for family in self.table.log_ratios:
            size = family.prior * (1.0 if family.place == "city" else self.scale)
            size /= self.cube.c if family.by_category and family.place != "city" else 1
            days = torch.tensor(family.half_lives, dtype=torch.float32)
            places[family.name] = torch.tensor([half_lives.index(d) for d in family.half_lives]).to(self.device)
            kappa[family.name] = (size / (1 - 0.5 ** (1 / days))).to(self.device)
        return places, kappa

    def init_state(self, phase: int) -> State:
        """The state before the first patch; issues are phase, phase + p, …"""
        c, n = self.cube.c, self.cube.n
        climatology = self.climatology.learned_state(self.scales.until, phase, self.scales.shared)
        waiting = self.climatology.lags[len(climatology["share"]) - 1] + 1
        return {
            "next_issue": torch.tensor(phase),
            "climatology": climatology,
            "daily": self.daily.init_state(c, n).expand(2, -1, -1, -1).clone(),  # events known, and those expected
            "expected": torch.zeros(waiting, c, n, device=self.device),  # of the patches whose reports are due
            "recent": self.recent.init_state(c, n),
            "seasonal": self.seasonal.init_state(),
        }

    def step(self, state: State, count: int) -> FeatureBatch:
        """Take in the patches before the next `count` issues; the state is changed in place."""
        first = int(state["next_issue"])
        issues = [first + i * self.patch for i in range(count)]
        rate, usual, by_cell, daily, recent = self._advance(state, count)
        seasonal = self.seasonal.step(state["seasonal"], first, self.events.arrivals(first, count), rate)
        assert seasonal is not None
        patch, late = self._counts(issues, len(state["climatology"]["share"]) > 1)
        self._fill(issues, rate, recent, patch)
        batch = FeatureBatch(issues, rate.log(), self._features(daily, usual), patch, recent, seasonal, late, by_cell)
        newest = {name: getattr(batch, name)[-1:].clone() for name in ("features", "patch", "recent", "late")}
        state["newest"] = newest
        return batch

    def skip(self, state: State, count: int) -> None:
        """Take in the patches before the next `count` issues, without features of them."""
        while count > 0:
            now = min(count, self.events.segment)
            first = int(state["next_issue"])
            self.seasonal.step(state["seasonal"], first, self.events.arrivals(first, now))
            self._advance(state, now)
            count -= now

    def at_issue(self, state: State, issue: int) -> FeatureBatch:
        """Features at the newest issue of a state, or at a later one that knows no more than it."""
        newest, last = state["newest"], int(state["next_issue"]) - self.patch
        by_cell = self.covariates.cells.at([issue])
        rate = self._rate(self.climatology.forecast(state["climatology"], issue, self.cube.horizons)[None], by_cell)[0]
        recent = newest["recent"] * decay(issue - last, self.recent.half_lives)[:, None, None]
        seasonal = self.seasonal.forecast(state["seasonal"], last, issue, rate)[None]
        return FeatureBatch(
            [issue], rate.log()[None], newest["features"], newest["patch"], recent, seasonal, newest["late"], by_cell
        )

    def _rate(self, usual: Tensor, by_cell: Tensor) -> Tensor:
        """λ₀ [l c k n] with what covariates [l 2j k n] do to it."""
        if not by_cell.shape[1]:
            return usual
        return usual * self.covariates.cells.log_factor(by_cell).exp()

    def _advance(self, state: State, count: int) -> tuple[Tensor, ...]:
        """λ₀ with and without covariates [l c k n], these, and the sums at each of the next issues: [l 2 h c n], recent
        [l h c n].
        """
        first, p, (c, n) = int(state["next_issue"]), self.patch, state["recent"].shape[1:]
        new, apart = self.events.arrivals(first, count), [p] * count
        usual = self.climatology.step(state["climatology"], first, count)
        by_cell = self.covariates.cells.at(range(first, first + count * p, p))
        rate = self._rate(usual, by_cell)
        recent = self.recent.step(state["recent"], new, apart)
        daily = torch.zeros(count, *state["daily"].shape, device=self.device)
        daily[:, 0] = self.daily.arrived(new, count, c, n)
        past = torch.cat([state["expected"], rate[:, :, :p].sum(2)])
        for lag, share in zip(self.climatology.lags, state["climatology"]["share"], strict=False):
            due = past[len(past) - count - 1 - lag :][:count] * share[:, None]
            if self.events.observed is not None:  # nothing is expected of what was not recorded
                begun = first + p * torch.arange(-1 - lag, count - 1 - lag, device=self.device)
                steps = (begun[:, None] + torch.arange(p, device=self.device)).clamp(min=-self.events.origin)
                due = due * self.events.observed[self.events.at(steps)].mean(1)[..., None]
            daily[:, 1] += self.daily.left(lag * p) * due[:, None]
        daily = self.daily.carry(state["daily"], daily, apart)
        state["daily"], state["recent"] = daily[-1].clone(), recent[-1].clone()
        state["expected"] = past[-len(state["expected"]) :].clone()
        state["next_issue"] = torch.tensor(first + count * p)
        return rate, usual, by_cell, daily, recent

    def recorded_days(self, issues: list[int]) -> Tensor:
        """Days of the record before each issue that were recorded, [l]."""
        steps, last = issue_range(issues, self.device), len(self.lost) - 1
        return (steps - self.lost[steps.clamp(0, last)]) * self.cube.step.days

    def _features(self, sums: Tensor, rate: Tensor) -> Tensor:
        """Log-ratios of sums [l 2 h c n], and the level of λ₀ [l c k n]: [l f n]."""
        return torch.cat([*self._log_ratios(sums), ((rate.sum((1, 2)) + 1e-4) / self.scale).log()[:, None]], 1)

    def log_ratios(self, sums: Tensor) -> Tensor:
        """Log-ratios of sums [l 2 h c n], in the order of `table.layout` without the level: [l f n]."""
        return torch.cat(self._log_ratios(sums), 1)

    def _log_ratios(self, sums: Tensor) -> list[Tensor]:
        pooled, n, out = sums.sum(3), sums.shape[-1], []
        for family in self.table.log_ratios:
            read = (sums if family.by_category else pooled).index_select(2, self._places[family.name])
            if family.place == "ring":
                read = self.ring(read)
            elif family.place == "city":
                read = read.sum(-1, keepdim=True)
            kappa = self._kappa[family.name].view(-1, *[1] * (read.dim() - 3))
            ratio = ((read[:, 0] + kappa) / (read[:, 1] + kappa)).log()
            out.append(ratio.flatten(1, -2).expand(-1, -1, n))
        return out

    def _counts(self, issues: list[int], delayed: bool) -> tuple[Tensor, Tensor]:
        """Events known at each issue of its own patch [l p c n], and late ones by age [l 4 c n]."""
        p, n, c, length = self.patch, self.cube.n, self.cube.c, len(issues)
        new = self.events.arrivals(issues[0], length)
        issue = issues[0] + new.row * p
        channel = (self.events.slots(issue)[1] + new.hour - issue) % p
        bins = len(LATE_PATCHES) + 1 if delayed else 0
        by_age = p + sum(new.age >= (bound + 1) * p for bound in LATE_PATCHES)
        place = torch.where(new.age < p, channel, by_age)
        weight = new.weight * (place < p + bins)  # picking them out would wait for a GPU
        flat = ((new.row * (p + bins) + place.clamp(max=p + bins - 1)) * c + new.category) * n + new.hexagon
        counts = torch.zeros(length, p + bins, c, n, device=self.device)
        counts.view(-1).index_add_(0, flat, weight)
        return counts[:, :p], counts[:, p:]

    def _fill(self, issues: list[int], rate: Tensor, recent: Tensor, patch: Tensor) -> None:
        """Put λ₀ of the same hour of the day, [l c k n], for events of steps that were not recorded."""
        masked, p, k = self.cube.masked, self.patch, rate.shape[2]
        if masked is None:
            return
        reach = self.cube.step.in_days(FILL_DAYS)
        for i, issue in enumerate(issues):
            at, category = np.nonzero(masked[max(issue - reach, 0) : issue])
            if not at.size:
                continue
            step, of = torch.as_tensor(at + max(issue - reach, 0)), torch.as_tensor(category)
            lead = (step - issue) % k
            weight = decay((issue - 1 - step)[:, None], self.recent.half_lives.cpu())  # [e h]
            shares = torch.zeros(rate.shape[1], k, weight.shape[1]).index_put_((of, lead), weight, accumulate=True)
            recent[i] += torch.einsum("ckh,ckn->hcn", shares.to(self.device), rate[i])
            new = step >= issue - p
            slot = int(self.events.slots(torch.tensor(issue, device=self.device))[1])
            channel = (slot + step[new] - issue) % p
            patch[i, channel.to(self.device), of[new].to(self.device)] = rate[i, of[new], lead[new]]


def clone_state(state: State, device: torch.device | None = None) -> State:
    """A copy that shares no memory, on a device if one is given; there whole numbers stay where they can be read
    without waiting.
    """
    copy: State = {}
    for key, value in state.items():
        if isinstance(value, dict):
            copy[key] = clone_state(value, device)
        elif device is None or value.dtype == torch.int64:
            copy[key] = value.clone()
        else:
            copy[key] = value.to(device, copy=True)
    return copy
