"""What covariates do to the base rate: λ₀ · exp(Σ β x), β by category, learned from the training slice.

A penalised Poisson regression with log λ₀ as offset. A covariate that tells nothing beyond climatology gets β = 0; a
festival that came once, with ten times the usual thefts in its cells, gets nearly log 10, which trees with large leaves
and networks could not learn from so few cells. All learned forecasters and the Hawkes process start from this rate.

Cells with an event and cells of planned events are read one and all, of the others a share in proportion to λ₀ with
the inverse weight (local case-control sampling, Fithian and Hastie 2014).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from stforecast.cube import Cube
from stforecast.features.cell_covariates import CellCovariates
from stforecast.features.climatology import Climatology
from stforecast.features.delay import settled_until
from stforecast.features.scaling import Scales
from stforecast.features.shared import SharedRhythms
from stforecast.features.stream import EventStream

PRIOR = 1.0
"""Precision of β: a factor of e for a spread is one standard deviation away from none."""
QUIET, QUIET_PER_EVENT = 300_000, 10.0
"""Cells without an event that are drawn, at most, and per expected event."""
ROUNDS, LONGEST_STEP, CLOSE = 50, 2.0, 1e-6
"""Newton steps at most, how far one may go, and below what they end."""


def learned_scales(cube: Cube, until: int, patch: int, warm_up: int, shared: SharedRhythms | None = None) -> Scales:
    """The scales of a training slice with what covariates do to λ₀ in it.

    Args:
        cube: the record as known at the slice's end.
        until: the step at which the slice ends.
        patch: steps from issue to issue.
        warm_up: steps that are read before they are learned from.
        shared: what other cities tell of rates and rhythms.
    """
    scales = Scales.of(cube, until, shared)
    if not cube.covariates:
        return scales
    x, log_rate, y, weight, category = _rows(cube, scales, patch, warm_up)
    fits = [fit_response(*(each[category == c] for each in (x, log_rate, y, weight))) for c in range(cube.c)]
    return replace(scales, response=np.stack(fits, 1).tolist())


def fit_response(x: np.ndarray, log_rate: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """β [j] of λ = exp(log_rate + a + β x) of highest penalised likelihood; the level a is left to calibration.

    Args:
        x: covariates of cells, [r j].
        log_rate: log λ₀, [r].
        y: counts, [r].
        weight: cells that each row stands for, [r].
    """
    design = np.column_stack([np.ones(len(x)), x]).astype(np.float64)
    precision, beta = np.full(design.shape[1], PRIOR), np.zeros(design.shape[1])
    for _ in range(ROUNDS):
        mu = weight * np.exp(np.minimum(log_rate + design @ beta, 20))
        slope = design.T @ (weight * y - mu) - precision * beta
        step = np.linalg.solve((design * mu[:, None]).T @ design + np.diag(precision), slope)
        step *= min(1, LONGEST_STEP / max(np.abs(step).max(), 1e-12))
        beta += step
        if np.abs(step).max() < CLOSE:
            break
    return beta[1:]


def _rows(cube: Cube, scales: Scales, patch: int, warm_up: int) -> list[np.ndarray]:
    """Cells of the patches of the training slice: x [r j], log λ₀, counts, weights and categories [r]."""
    until, j = scales.until, len(scales.covariates.names)
    events, cells = EventStream(cube, patch), CellCovariates(cube, scales)
    placed = [i for i, one in cells.found.items() if one.kind == "planned" and not one.city_wide]
    climatology, last = Climatology(events), settled_until(cube, until) - patch
    state, expected = (
        climatology.learned_state(until, 0, scales.shared),
        float(cube.weight[cube.known_hour < until].sum()),
    )
    first = climatology.advance(state, 0, min(warm_up, until // 3) // patch * patch)
    density, generator = min(QUIET_PER_EVENT, QUIET / max(expected, 1)), torch.Generator().manual_seed(0)
    parts: list[list[Tensor]] = [[torch.zeros(0, j), *(torch.zeros(0) for _ in range(4))]]
    while first <= last:
        count = min(events.segment, (last - first) // patch + 1)
        issues = range(first, first + count * patch, patch)
        rate = climatology.step(state, first, count)[:, :, :patch]  # [l c p n]
        x = cells.at(issues, count=patch)[:, :j]  # [l j p n]
        y = cube.dense(first, first + count * patch, until).unflatten(0, (count, patch)).movedim(-1, 1)
        busy = (x[:, placed] != 0).any(1, keepdim=True) | (y > 0)
        chance = (density * rate).clamp(max=1)
        keep = busy | (torch.rand(y.shape, generator=generator) < chance)
        if cube.masked is not None:
            seen = torch.as_tensor(~cube.masked[first : first + count * patch]).unflatten(0, (count, patch))
            keep &= seen.movedim(-1, 1)[..., None]
        issue, category, lead, cell = keep.nonzero().unbind(1)
        weight = torch.where(busy[keep_at := (issue, category, lead, cell)], 1.0, 1 / chance[keep_at])
        parts.append([x[issue, :, lead, cell], rate[keep_at].log(), y[keep_at], weight, category])
        first += count * patch
    return [torch.cat(each).numpy() for each in zip(*parts, strict=True)]
