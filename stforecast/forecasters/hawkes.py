"""A self-exciting point process: every event raises the intensity around it for a while.

    λ[t,n,c] = μ_c λ₀[t,n,c] exp(β_c x[t,n]) + r[t,n,c] · Σ θ[c, place, h, c′] · φ[t,n, place, h, c′]

x are covariates by cell and β what they do to the base rate (`features.base_rate`); most cities have none. λ₀ is the
rolling climatology and r its rhythm, λ₀ over its mean of the week: what happened at night is repeated at night. φ is
what past events of category c′ add: exponentials of half-life h that sum to 1 over the steps after each event, at its
own hexagon or shared between the neighbours. So θ is the number of events of c that an event of c′ excites. μ and θ are
weights of a mixture, fitted by expectation-maximisation; μ falls below 1 by what climatology holds of excited events.
The forecast is E[λ | known at t0]: the mean of such a process follows its own recursion, with expected events in place
of those not seen, whether they lie ahead or are not yet reported.

Climatology also knows which hexagons usually get more excitation from around than others, so θ of the ring tells only
what comes beyond the usual: between unlike hexagons it is too low, and the branching ratio with it.

Mohler et al. 2011, Self-exciting point process modeling of crime, JASA 106:100-108; here in discrete time. On the
validation slices of Denver, Chicago and the synthetic city wider rings, more half-lives and one weight for all other
categories gained nothing; the rhythm did (Denver: average precision .1052, without it .1033, climatology .1012).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.features.base_rate import learned_scales
from stforecast.features.cell_covariates import CellCovariates
from stforecast.features.climatology import Climatology
from stforecast.features.decayed import sums_at
from stforecast.features.delay import MATURE_DAYS, arrived, settled_until
from stforecast.features.graph import Neighbours
from stforecast.features.scaling import Scales
from stforecast.features.shared import SharedRhythms
from stforecast.features.stream import EventStream
from stforecast.features.targets import known_share, outcomes, scored
from stforecast.files import read_json, write_json
from stforecast.forecasters.base import AGAIN, Forecaster
from stforecast.forecasters.mixture import fit_mixture
from stforecast.forecasters.shared_kernels import SharedKernels, category_share
from stforecast.forecasters.streaming import by_phase, steps_past_end
from stforecast.scoring.metrics import levelled_loss
from stforecast.scoring.splits import Split

HALF_LIFE_HOURS = (6.0, 24.0, 120.0, 720.0)
"""Half-lives of the excitation; how much each holds is fitted."""
HALF_LIVES = {"hour": HALF_LIFE_HOURS, "day": HALF_LIFE_HOURS, "month": (730.0, 2190.0, 8760.0)}
"""By the unit of a step, in hours."""
SEGMENT = 7
"""Patches that are read at a time in fitting: as old as the mean of λ₀ behind its rhythm may become."""


class Hawkes(Forecaster):
    """Rolling climatology and excitation.

    kernels: μ and θ of other cities, which stand where the validation slice does not prefer those fitted here
    (`carried`), and with `training.adapt: none` in any case. shared: what other cities tell climatology.
    weights: float64 [c, 1 + f]: μ, then θ by place (own hexagon, ring), half-life and exciting category, f in all.
    """

    name = "hawkes"
    reads_covariates = True
    weights: np.ndarray
    carried: bool
    train_end: int
    scales: Scales

    def __init__(
        self,
        config: Config | None = None,
        parts: Mapping[str, Forecaster] | None = None,
        kernels: SharedKernels | None = None,
        shared: SharedRhythms | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(config, parts, **settings)
        self.kernels, self.shared = kernels, shared

    def learn(self, cube: Cube, split: Split, folder: Path | None = None) -> None:
        excitation, warm_up = self.prepare(cube, split)
        found = []
        if self.kernels is not None:
            share = category_share(cube, split.train_end)
            found.append(self.kernels.weights(share, HALF_LIVES[cube.step_unit]))
        if not found or self.config.training.adapt != "none":
            parts, category, events, totals = self.mixture(excitation, split, warm_up)
            of = [category == c for c in range(cube.c)]
            own = [fit_mixture(parts[mine], events[mine], totals[c])[0] for c, mine in enumerate(of)]
            found.append(np.stack(own))
        losses = [self.held_out(cube, split, weights) for weights in found] if len(found) > 1 else [0.0]
        self.weights = found[int(np.argmin(losses))]
        self.carried = self.kernels is not None and self.weights is found[0]

    def held_out(self, cube: Cube, split: Split, weights: np.ndarray) -> float:
        """How far forecasts with these weights lie from the validation slice as known at its end, level aside."""
        self.weights = weights
        lam = self.raw(cube, scored(cube, split, "validation"))
        share, category = known_share(cube, split), np.arange(cube.c)
        parts = np.broadcast_arrays(lam, outcomes(cube, split, "validation"), share, category)
        return levelled_loss(*(part.ravel() for part in parts))

    def prepare(self, cube: Cube, split: Split) -> tuple[ExcitationSums, int]:
        """Learn scales; where excitation goes, and the steps that are read before they are learned from."""
        self.train_end, cube = split.train_end, cube.as_known(split.train_end)
        warm_up = max(1, min(cube.step.in_days(self.config.training.warm_up_days), split.train_end // 3))
        excitation = ExcitationSums(cube)
        self.scales = learned_scales(cube, split.train_end, excitation.events.patch, warm_up, self.shared)
        return excitation, warm_up

    @property
    def remark(self) -> str:
        if self.carried:
            return "kernels of other cities stand"
        return "" if self.weights[:, 1:].any() else "no excitation found: climatology stands as before"

    @property
    def branching(self) -> np.ndarray:
        """Events of each category (row) that one event of each (column) excites directly, [c c]."""
        c = len(self.weights)
        return self.weights[:, 1:].reshape(c, -1, c).sum(1)

    @property
    def branching_ratio(self) -> float:
        """Spectral radius of `branching`: below 1 every cascade dies out."""
        return float(np.abs(np.linalg.eigvals(self.branching)).max())

    def mixture(self, excitation: ExcitationSums, split: Split, warm_up: int) -> tuple[np.ndarray, ...]:
        """What λ is mixed from: φ at the cells with events [e 1+f], their category [e], counts [e]; Σ φ [c 1+f].

        Over steps whose events were known when training ended, and so were those before; λ₀ is as known at its issue.
        """
        cube, p, end = excitation.cube, excitation.events.patch, split.train_end
        observed, at = excitation.events.observed, excitation.events.at
        last, issue = settled_until(cube, end), split.first % p
        climatology, covariates = Climatology(excitation.events), CellCovariates(cube, self.scales)
        state = climatology.learned_state(end, issue, self.scales.shared)
        sums = torch.zeros(cube.n, excitation.f // 2)
        found = [(torch.zeros(0, 1 + excitation.f), torch.zeros(0, dtype=torch.long), torch.zeros(0))]
        totals = torch.zeros(cube.c, 1 + excitation.f, dtype=torch.float64)
        while issue + p <= last:
            learning = issue >= warm_up
            count = max(1, min(SEGMENT, ((last if learning else warm_up) - issue) // p))
            usual = climatology.forecast(state, issue, excitation.week).mean(1).T  # [n c]
            background = climatology.step(state, issue, count)[:, :, :p].permute(0, 2, 3, 1).flatten(0, 1)  # [t n c]
            factor = _factor(covariates, range(issue, issue + count * p, p), 0, p)
            counts = cube.dense(issue, issue + count * p, known_before=end)
            came = counts
            if observed is not None:  # expected events in place of those that were not recorded, and none to learn from
                here = observed[at(torch.arange(issue, issue + count * p))][:, None]
                came, background = counts + background * (1 - here), background * here
            before, sums = excitation.step(sums, came)
            if learning:
                cells, base = counts.nonzero().unbind(1), background if factor is None else background * factor
                excited = excitation.at(before, cells[0], cells[1]) * (background[cells] / usual[cells[1:]])[:, None]
                found.append((torch.cat([base[cells][:, None], excited], 1), cells[2], counts[cells]))
                totals[:, 0] += base.sum((0, 1))
                totals[:, 1:] += excitation.total(before, background / usual)
            issue += count * p
        parts, category, events = (torch.cat(each).numpy() for each in zip(*found, strict=True))
        return parts, category, events, totals.numpy()

    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        excitation = ExcitationSums(cube, steps_past_end(cube, issues))
        p, out = excitation.events.patch, np.zeros((len(issues), cube.horizons, cube.n, cube.c), np.float32)
        climatology, aged = Climatology(excitation.events), cube.step.in_days(MATURE_DAYS)
        covariates = CellCovariates(cube, self.scales)
        # the share of the events of each age that are not yet reported, [t c] from the step before the issue on
        missing = 1 - arrived(cube, self.train_end - aged, self.train_end, self.train_end)[::-1]
        usually_unseen = _unseen(excitation, missing)
        for phase, served in by_phase(issues, p, cube.steps).items():
            # reporting delays and rhythms as they were known when training ended
            state, end = climatology.learned_state(self.train_end, phase, self.scales.shared), phase
            half_lives = torch.as_tensor(excitation.half_lives)
            for s, known in zip(sorted(served), sums_at(excitation.events, half_lives, sorted(served)), strict=True):
                end = climatology.advance(state, end, s)
                ahead = int(issues[served[s]].max()) - s + cube.horizons
                background = climatology.forecast(state, s, max(ahead, excitation.week)).permute(1, 2, 0)  # [k n c]
                sums, unseen = known.permute(2, 0, 1), usually_unseen  # [n h c]
                if cube.masked is not None and (hidden := cube.masked[max(s - len(missing), 0) : s][::-1]).any():
                    also = missing.copy()
                    also[: len(hidden)] = np.maximum(also[: len(hidden)], hidden)
                    unseen = _unseen(excitation, also)
                if unseen is not None:
                    sums = sums + torch.einsum("wnc,whc->nhc", background[: excitation.week], unseen)
                for issue in np.unique(issues[served[s]]).tolist():  # later ones may know of more
                    factor = _factor(covariates, [issue], s - issue, ahead)
                    lam = self.expect(excitation, sums, background, ahead, factor)
                    out[issues == issue] = lam[issue - s :][: cube.horizons]
        return out

    def expect(
        self, excitation: ExcitationSums, sums: Tensor, background: Tensor, count: int, factor: Tensor | None = None
    ) -> Tensor:
        """E[λ] of the next `count` steps [k n c], from faded sums of events [n h c], λ₀ of a week or more [k n c] and
        what covariates do to it.
        """
        usual, out = background[: excitation.week].mean(0), []
        own, excited = torch.as_tensor(self.weights, dtype=torch.float32).split([1, excitation.f], 1)
        base = background[:count] if factor is None else background[:count] * factor
        for now, rate in zip(background[:count], base, strict=True):
            lam = own[:, 0] * rate + now / usual * (excitation(sums.flatten(1)) @ excited.T)
            sums = sums * excitation.fade[:, None] + lam[:, None]
            out.append(lam)
        return torch.stack(out)

    def save_fit(self, folder: Path) -> None:
        values = {
            "train_end": self.train_end,
            "branching_ratio": self.branching_ratio,
            "branching": self.branching.tolist(),
            "weights": self.weights.tolist(),
            "scales": asdict(self.scales),
            "kernels": self.kernels and self.kernels.to_dict(),
            "carried": self.carried,
        }
        write_json(folder / "hawkes.json", values)

    def load_fit(self, folder: Path) -> None:
        values = read_json(folder / "hawkes.json", AGAIN)
        self.weights, self.train_end = np.array(values["weights"]), values["train_end"]
        self.scales = Scales.from_dict(values["scales"])
        self.shared, self.carried = self.scales.shared, values.get("carried", False)  # as of a fit from scratch
        self.kernels = values.get("kernels") and SharedKernels.from_dict(values["kernels"])


def _factor(covariates: CellCovariates, issues: Sequence[int], first: int, count: int) -> Tensor | None:
    """What covariates do to λ₀ of `count` steps from `first` steps after each issue on, [l·k n c]; None without any."""
    if not covariates.names:
        return None
    return covariates.log_factor(covariates.at(issues, first, count)).permute(0, 2, 3, 1).flatten(0, 1).exp()


def _unseen(excitation: ExcitationSums, missing: np.ndarray) -> Tensor | None:
    """Weights under which λ₀ of a week makes the events that occurred but are not known, [w h c].

    Row w stands for all the past steps w slots of the week after the issue; None where all are known. missing: the
    share that is not, by age, [t c].
    """
    if not missing.any():
        return None
    age = np.arange(len(missing))
    out = np.zeros((excitation.week, len(excitation.half_lives), excitation.cube.c), np.float32)
    faded = np.exp2(-age[:, None] / excitation.half_lives)
    np.add.at(out, (-1 - age) % excitation.week, missing[:, None] * faded[..., None])
    return torch.as_tensor(out)


class ExcitationSums:
    """Where and how fast excitation goes on a cube: to the hexagon itself and, in equal shares, to its neighbours.

    Faded sums of events are [n h·c]; excitation by them is [n f], by place, then half-life, then exciting category.

    half_lives: in steps, [h]. fade: what a step leaves of each sum, [h].
    """

    def __init__(self, cube: Cube, past_end: int = 0) -> None:
        self.cube, self.week = cube, cube.step.slots
        self.events = EventStream(cube, min(cube.step.per_day, cube.horizons), past_end + self.week)
        self.half_lives = np.array(HALF_LIVES[cube.step_unit]) / cube.step_hours
        self.fade = torch.as_tensor(np.exp2(-1 / self.half_lives), dtype=torch.float32)
        self.gain = (1 - self.fade).repeat_interleave(cube.c)  # [h·c]
        self.f = 2 * len(self.gain)
        edges = torch.as_tensor(cube.edges)
        share = 1 / torch.bincount(edges[0], minlength=cube.n).clamp(min=1)[edges[0]].float()
        self.ring, self.back = Neighbours(edges, cube.n, share), Neighbours(edges.flip(0), cube.n, share)

    def step(self, sums: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
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
        neighbours, share = self.ring.rows.column[hexagon], self.ring.rows.weight[hexagon]
        ring = (sums[step[:, None], neighbours] * share[..., None]).sum(1)
        return torch.cat([sums[step, hexagon] * self.gain, ring * self.gain], 1)

    def total(self, sums: Tensor, factor: Tensor) -> Tensor:
        """The same times a factor [t n c], summed over all cells: [c f]; the ring is taken of the factor instead."""
        t, n, c = factor.shape
        back = self.back(factor.transpose(0, 1).reshape(n, t * c)).view(n, t, c).transpose(0, 1)
        flat = sums.flatten(0, 1)
        return torch.cat([each.reshape(t * n, c).T @ flat * self.gain for each in (factor, back)], 1)
