"""The log-linear pool of fitted forecasters (Genest and Zidek 1986): log λ = a + Σ wᵢ log λᵢ.

Weights wᵢ ≥ 0 and level a maximise the likelihood of the validation slice as it was known at its end, Bernoulli of
y > 0 as in the calibration. Forecasters that err differently improve each other; for users who only want the best grid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.optimize import minimize

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ArtefactError
from stforecast.features.groups import GROUPS
from stforecast.features.targets import known_share, outcomes, scored
from stforecast.files import read_json, write_json
from stforecast.forecasters.base import AGAIN, Forecaster
from stforecast.forecasters.by_group import ByGroup
from stforecast.forecasters.calibrated import fit_validation
from stforecast.forecasters.recalibration import steps_needed
from stforecast.scoring.intensity import FLOOR
from stforecast.scoring.splits import Split

if TYPE_CHECKING:
    from stforecast.forecasters.state_cache import StateCache


class Ensemble(Forecaster):
    """Pools the forecasters of `evaluation.ensemble`, which are fitted before it."""

    name = "ensemble"
    level, weights = 0.0, np.zeros(0)

    @classmethod
    def needs(cls, config: Config) -> tuple[str, ...]:
        return tuple(config.evaluation.ensemble)

    def learn(
        self, cube: Cube, split: Split, folder: Path | None = None, known: Mapping[str, np.ndarray] | None = None
    ) -> None:
        """Find level and weights; `known`: what the parts gave at the scored issues of the validation slice."""
        counts, share = outcomes(cube, split, "validation"), known_share(cube, split)
        logs = np.stack([log.ravel() for log in self._logs(cube, scored(cube, split, "validation"), known or {})])
        self.level, self.weights = pool_weights(logs, counts.ravel(), np.broadcast_to(share, counts.shape).ravel())

    def fit(self, cube: Cube, split: Split, folder: Path | None = None) -> Self:
        """Learn and calibrate on the validation slice; its parts forecast it once for both."""
        issues = scored(cube, split, "validation")
        steps = steps_needed(cube, issues)
        known = {name: part.raw(cube, steps) for name, part in self.parts.items()}
        here = np.searchsorted(steps, issues)
        self.learn(cube, split, folder, {name: lam[here] for name, lam in known.items()})
        self.calibrated = fit_validation(lambda cube, steps: self.raw(cube, steps, known), cube, split)
        return self

    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        return self.raw(cube, issues)

    def raw(self, cube: Cube, issues: np.ndarray, known: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        total = sum(w * log for w, log in zip(self.weights, self._logs(cube, issues, known or {}), strict=True))
        return np.exp(total + self.level).astype(np.float32)

    def _logs(self, cube: Cube, issues: np.ndarray, known: Mapping[str, np.ndarray]) -> Iterator[np.ndarray]:
        """log λ [m k n c] of each part."""
        for name, part in self.parts.items():
            lam = known[name] if name in known else part.raw(cube, issues)
            yield np.log(np.maximum(lam, FLOOR))

    def by_group(self, cube: Cube, issue: int, cache: StateCache) -> ByGroup | None:
        parts = [part.by_group(cube, issue, cache) for part in self.parts.values()]
        return Pool(self.level, self.weights, [part for part in parts if part]) if all(parts) else None

    def save_fit(self, folder: Path) -> None:
        weights = dict(zip(self.parts, self.weights.tolist(), strict=True))
        write_json(folder / "pool.json", {"level": self.level, "weights": weights})

    def load_fit(self, folder: Path) -> None:
        kept = read_json(folder / "pool.json", AGAIN)
        weights: Mapping[str, float] = kept["weights"]
        self.level, parts = float(kept["level"]), tuple(weights)
        if parts != tuple(self.parts):
            raise ArtefactError(
                f"{folder / 'pool.json'}: pools {', '.join(parts)}, and evaluation.ensemble names "
                f"{', '.join(self.parts)}. Set it so, or run `stforecast train --fresh`."
            )
        self.weights = np.array(list(weights.values()))


class Pool(ByGroup):
    """A pool of forecasters, each of which is asked for the same groups."""

    def __init__(self, level: float, weights: np.ndarray, parts: Sequence[ByGroup]) -> None:
        self.level, self.weights, self.parts = level, weights, parts
        self.groups = tuple(group for group in GROUPS if any(group in part.groups for part in parts))

    def intensity(self, real: frozenset[str], cells: np.ndarray) -> np.ndarray:
        logs = [np.log(np.maximum(part.intensity(real, cells), FLOOR)) for part in self.parts]
        return np.exp(sum(w * log for w, log in zip(self.weights, logs, strict=True)) + self.level).astype(np.float32)


def pool_weights(logs: np.ndarray, counts: np.ndarray, share: np.ndarray) -> tuple[float, np.ndarray]:
    """Level a and weights w ≥ 0 of highest Bernoulli likelihood of y > 0 with P = 1 − exp(−share · λ).

    logs: log λ of i forecasters over r cells, [i r]. counts: [r]. share: of the events that are reported already, [r].
    """
    seen = share > 0
    logs, event, log_share = logs[:, seen].astype(np.float64), counts[seen] > 0, np.log(share[seen].astype(np.float64))
    if not event.any():
        return 0.0, np.full(len(logs), 1 / len(logs))

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        mu = np.exp(log_share + theta[0] + theta[1:] @ logs)
        at = mu[event]
        odds = -np.expm1(-at)
        value = mu.sum() - (np.log(odds) + at).sum()
        slope = mu.copy()
        slope[event] -= at / odds
        return value / event.sum(), np.concatenate([[slope.sum()], logs @ slope]) / event.sum()

    start = np.concatenate([[0.0], np.full(len(logs), 1 / len(logs))])
    bounds = [(-5.0, 5.0)] + [(0.0, 2.0)] * len(logs)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(found[0]), found[1:]
