"""A self-exciting point process: every event raises the intensity around it for a while.

    λ[t,n,c] = μ_c λ₀[t,n,c] + r[t,n,c] · Σ θ[c, place, h, c′] · φ[t,n, place, h, c′]

λ₀ is the rolling climatology and r its rhythm, λ₀ over its mean of the week: what happened at night is repeated at
night. φ is what past events of category c′ add: exponentials of half-life h that sum to 1 over the steps after each
event, at its own hexagon or shared between the neighbours. So θ is the number of events of c that an event of c′
excites. μ and θ are weights of a mixture, fitted by expectation-maximisation; μ falls below 1 by what climatology holds
of excited events. The forecast is E[λ | known at t0]: the mean of such a process follows its own recursion, with
expected events in place of those not seen, whether they lie ahead or are not yet reported.

Climatology also knows which hexagons usually get more excitation from around than others, so θ of the ring tells only
what comes beyond the usual: between unlike hexagons it is too low, and the branching ratio with it.

Mohler et al. 2011, Self-exciting point process modeling of crime, JASA 106:100-108; here in discrete time. On the
validation slices of Denver, Chicago and the synthetic city wider rings, more half-lives and one weight for all other
categories gained nothing; the rhythm did (Denver: average precision .1052, without it .1033, climatology .1012).
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ArtefactError, ConfigError
from stforecast.features.climatology import Rates
from stforecast.features.delay import arrived, completeness
from stforecast.features.fading import Fading
from stforecast.features.graph import Neighbours
from stforecast.features.observed import as_known
from stforecast.features.record import Lateness, Record
from stforecast.features.rhythms import Rhythms
from stforecast.files import read_json, write_json
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.mixture import fit_mixture
from stforecast.forecasters.walking import by_phase
from stforecast.scoring.splits import Split

HALF_LIFE_HOURS = (6.0, 24.0, 120.0, 720.0)
"""Half-lives of the excitation; how much each holds is fitted."""
WALKED = 7
"""Patches that are walked through at a time in fitting: as old as the mean of λ₀ behind its rhythm may become."""
DELAY_DAYS = 60
"""Age at which every report is taken to have arrived."""


class Hawkes(Forecaster):
    """Rolling climatology and excitation.

    weights: float64 [c, 1 + f]: μ, then θ by place (own hexagon, ring), half-life and exciting category, f in all.
    """

    name = "hawkes"
    weights: np.ndarray
    train_end: int

    def fit(self, cube: Cube, split: Split, folder: Path | None = None) -> Self:
        self.train_end = split.train_end
        warm_up = max(1, min(self.config.training.warm_up_days * split.day, split.train_end // 3))
        parts, category, events, totals = self._parts(Surroundings(cube.as_known(split.train_end)), split, warm_up)
        of = [category == c for c in range(cube.c)]
        self.weights = np.stack([fit_mixture(parts[own], events[own], totals[c])[0] for c, own in enumerate(of)])
        return self

    @property
    def branching(self) -> np.ndarray:
        """Events of each category (row) that one event of each (column) excites directly, [c c]."""
        c = len(self.weights)
        return self.weights[:, 1:].reshape(c, -1, c).sum(1)

    @property
    def branching_ratio(self) -> float:
        """Spectral radius of `branching`: below 1 every cascade dies out."""
        return float(np.abs(np.linalg.eigvals(self.branching)).max())

    def _parts(self, around: Surroundings, split: Split, warm_up: int) -> tuple[np.ndarray, ...]:
        """What λ is mixed from: φ at the cells with events [e 1+f], their category [e], counts [e]; Σ φ [c 1+f].

        Over steps whose events were known when training ended, and so were those before; λ₀ is as known at its issue.
        """
        cube, p, end = around.cube, around.record.patch, split.train_end
        observed, at = around.record.observed, around.record.at
        mature = np.flatnonzero(completeness(cube, 0, end, end).min(1) > 0.98)
        last = int(mature[-1]) + 1 if mature.size else end
        issue = split.first % p
        rates = Rates(around.record, Lateness.of(cube, p, end, issue), Rhythms.of(cube, end))
        sums = torch.zeros(cube.n, around.f // 2)
        found, totals = [], torch.zeros(cube.c, 1 + around.f, dtype=torch.float64)
        while issue + p <= last:
            learning = issue >= warm_up
            count = max(1, min(WALKED, ((last if learning else warm_up) - issue) // p))
            usual = rates.intensity(issue, around.week).mean(1).T  # [n c]
            background = rates.walk(issue, count)[:, :, :p].permute(0, 2, 3, 1).flatten(0, 1)  # [t n c]
            counts = cube.dense(issue, issue + count * p, known_before=end)
            came = counts
            if observed is not None:  # expected events in place of those that were not recorded, and none to learn from
                here = observed[at(torch.arange(issue, issue + count * p))][:, None]
                came, background = counts + background * (1 - here), background * here
            before, sums = around.walk(sums, came)
            if learning:
                cells = counts.nonzero().unbind(1)
                excited = around.at(before, cells[0], cells[1]) * (background[cells] / usual[cells[1:]])[:, None]
                found.append((torch.cat([background[cells][:, None], excited], 1), cells[2], counts[cells]))
                totals[:, 0] += background.sum((0, 1))
                totals[:, 1:] += around.total(before, background / usual)
            issue += count * p
        if not found:
            raise ConfigError(f"split.train: {end} steps leave {self.name} nothing to learn from; give more days.")
        parts, category, events = (torch.cat(each).numpy() for each in zip(*found, strict=True))
        return parts, category, events, totals.numpy()

    @as_known
    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        if not hasattr(self, "weights"):
            raise ArtefactError(f"{self.name}: not fitted. Run `stforecast train` first.")
        around = Surroundings(cube, max(0, int(issues.max(initial=0)) - cube.steps))
        p, out = around.record.patch, np.zeros((len(issues), cube.horizons, cube.n, cube.c), np.float32)
        missing, rhythms = self._missing(around), Rhythms.of(cube, self.train_end)
        usually_unseen = _unseen(around, missing)
        for phase, served in by_phase(issues, p, cube.steps).items():
            # reporting delays as they were known when training ended
            rates = Rates(around.record, Lateness.of(cube, p, self.train_end, phase), rhythms)
            fading, end = Fading(cube, around.half_lives[:, None]), phase
            for s in sorted(served):
                while end <= s:
                    count = min(around.record.stretch, (s - end) // p + 1)
                    rates.walk(end, count)
                    end += count * p
                ahead = int(issues[served[s]].max()) - s + cube.horizons
                background = rates.intensity(s, max(ahead, around.week)).permute(1, 2, 0)  # [k n c]
                sums = torch.as_tensor(fading.at(s), dtype=torch.float32)
                unseen = usually_unseen
                if cube.masked is not None and cube.masked[max(s - len(missing), 0) : s].any():
                    hidden = cube.masked[max(s - len(missing), 0) : s][::-1]
                    unseen = _unseen(around, np.r_[np.maximum(missing[: len(hidden)], hidden), missing[len(hidden) :]])
                if unseen is not None:
                    sums = sums + torch.einsum("wnc,whc->nhc", background[: around.week], unseen)
                lam = self.expect(around, sums, background, ahead)
                for place in served[s]:
                    first = int(issues[place]) - s
                    out[place] = lam[first : first + cube.horizons]
        return out

    def expect(self, around: Surroundings, sums: Tensor, background: Tensor, count: int) -> Tensor:
        """E[λ] of the next `count` steps [k n c], from faded sums of events [n h c] and λ₀ of a week or more."""
        usual, out = background[: around.week].mean(0), []
        own, excited = torch.as_tensor(self.weights, dtype=torch.float32).split([1, around.f], 1)
        for now in background[:count]:
            lam = own[:, 0] * now + now / usual * (around(sums.flatten(1)) @ excited.T)
            sums = sums * around.fade[:, None] + lam[:, None]
            out.append(lam)
        return torch.stack(out)

    def _missing(self, around: Surroundings) -> np.ndarray:
        """The share of the events of each age that are not yet reported, [t c] from the step before the issue on."""
        count = DELAY_DAYS * around.record.per_day
        return 1 - arrived(around.cube, self.train_end - count, self.train_end, self.train_end)[::-1]

    def save(self, folder: Path) -> None:
        values = {
            "train_end": self.train_end,
            "half_life_hours": HALF_LIFE_HOURS,
            "branching_ratio": self.branching_ratio,
            "branching": self.branching.tolist(),
            "weights": self.weights.tolist(),
        }
        write_json(folder / "hawkes.json", values)

    @classmethod
    def load(cls, folder: Path, config: Config) -> Self:
        forecaster, values = cls(config), read_json(folder / "hawkes.json")
        forecaster.weights, forecaster.train_end = np.array(values["weights"]), values["train_end"]
        return forecaster


def _unseen(around: Surroundings, missing: np.ndarray) -> Tensor | None:
    """Weights under which λ₀ of a week makes the events that occurred but are not known, [w h c].

    Row w stands for all the past steps w slots of the week after the issue; None where all are known. missing: the
    share that is not, by age, [t c].
    """
    if not missing.any():
        return None
    age = np.arange(len(missing))
    out = np.zeros((around.week, len(around.half_lives), around.cube.c), np.float32)
    faded = np.exp2(-age[:, None] / around.half_lives)
    np.add.at(out, (-1 - age) % around.week, missing[:, None] * faded[..., None])
    return torch.as_tensor(out)


class Surroundings:
    """Where and how fast excitation goes on a cube: to the hexagon itself and, in equal shares, to its neighbours.

    Faded sums of events are [n h·c]; excitation by them is [n f], by place, then half-life, then exciting category.

    half_lives: in steps, [h]. fade: what a step leaves of each sum, [h].
    """

    def __init__(self, cube: Cube, beyond: int = 0) -> None:
        patch, self.cube = min(max(1, 24 // cube.step_hours), cube.horizons), cube
        self.week = 7 * max(1, 24 // cube.step_hours)
        self.record = Record(cube, patch, beyond + self.week)
        self.half_lives = np.array(HALF_LIFE_HOURS) / cube.step_hours
        self.fade = torch.as_tensor(np.exp2(-1 / self.half_lives), dtype=torch.float32)
        self.gain = (1 - self.fade).repeat_interleave(cube.c)  # [h·c]
        self.f = 2 * len(self.gain)
        edges = torch.as_tensor(cube.edges)
        share = 1 / torch.bincount(edges[0], minlength=cube.n).clamp(min=1)[edges[0]].float()
        self.ring, self.back = Neighbours(edges, cube.n, share), Neighbours(edges.flip(0), cube.n, share)

    def walk(self, sums: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Sums before each step [t n h·c], and after the last [n h·c], of counts [t n c]."""
        fade, before = self.fade.repeat_interleave(self.cube.c), torch.empty(len(counts), *sums.shape)
        for t, now in enumerate(counts):
            before[t] = sums
            sums = sums * fade + now.repeat(1, len(self.fade))
        return before, sums

    def __call__(self, sums: Tensor) -> Tensor:
        """Excitation by sums [n h·c]: [n f]."""
        sums = sums * self.gain
        return torch.cat([sums, self.ring(sums)], 1)

    def at(self, sums: Tensor, step: Tensor, hexagon: Tensor) -> Tensor:
        """The same at single cells [e] of sums [t n h·c]: [e f]."""
        neighbours, share = (self.ring.get_buffer(name)[hexagon] for name in ("table", "weight"))
        ring = (sums[step[:, None], neighbours] * share[..., None]).sum(1)
        return torch.cat([sums[step, hexagon] * self.gain, ring * self.gain], 1)

    def total(self, sums: Tensor, factor: Tensor) -> Tensor:
        """The same times a factor [t n c], summed over all cells: [c f]; the ring is taken of the factor instead."""
        t, n, c = factor.shape
        back = self.back(factor.transpose(0, 1).reshape(n, t * c)).view(n, t, c).transpose(0, 1)
        flat = sums.flatten(0, 1)
        return torch.cat([each.reshape(t * n, c).T @ flat * self.gain for each in (factor, back)], 1)
