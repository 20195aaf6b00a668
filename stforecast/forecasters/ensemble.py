"""The log-linear pool of fitted forecasters (Genest and Zidek 1986): log λ = a + Σ wᵢ log λᵢ.

Weights wᵢ ≥ 0 and level a maximise the likelihood of the validation slice as it was known at its end, Bernoulli of
y > 0 as in the calibration. Forecasters that err differently improve each other; for users who only want the best grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
from scipy.optimize import minimize

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ArtefactError
from stforecast.features.delay import completeness, windows
from stforecast.files import read_json, write_json
from stforecast.forecasters.base import Forecaster
from stforecast.scoring.intensity import FLOOR
from stforecast.scoring.splits import Split


class Ensemble(Forecaster):
    """Pools the forecasters of `evaluation.ensemble`, which are fitted before it."""

    name = "ensemble"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.parts = self.needs(config)
        self.level, self.weights = 0.0, np.full(len(self.parts), 1 / len(self.parts))

    @classmethod
    def needs(cls, config: Config) -> tuple[str, ...]:
        return tuple(config.evaluation.ensemble)

    def fit(self, cube: Cube, split: Split, folder: Path | None = None) -> Self:
        issues, end = split.issues("validation"), split.validation_end
        counts = windows(cube.dense(0, end, known_before=end), issues, cube.horizons).numpy()
        share = windows(completeness(cube, 0, end, end), issues, cube.horizons)[:, :, None]
        logs = np.stack([log.ravel() for log in self._logs(cube, issues)])
        self.level, self.weights = pool_weights(logs, counts.ravel(), np.broadcast_to(share, counts.shape).ravel())
        return self

    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        total = sum(w * log for w, log in zip(self.weights, self._logs(cube, issues), strict=True))
        return np.exp(total + self.level).astype(np.float32)

    def _logs(self, cube: Cube, issues: np.ndarray) -> list[np.ndarray]:
        """log λ [m k n c] of each part."""
        return [np.log(np.maximum(self.given[part].intensity(cube, issues), FLOOR)) for part in self.parts]

    def save(self, folder: Path) -> None:
        weights = dict(zip(self.parts, self.weights.tolist(), strict=True))
        write_json(folder / "pool.json", {"level": self.level, "weights": weights})

    @classmethod
    def load(cls, folder: Path, config: Config) -> Self:
        forecaster, kept = cls(config), read_json(folder / "pool.json")
        try:
            weights: Mapping[str, float] = kept["weights"]
            forecaster.level, parts = float(kept["level"]), tuple(weights)
        except (KeyError, TypeError, ValueError) as error:
            raise ArtefactError(f"{folder / 'pool.json'}: damaged ({error!r}). Train it again.") from error
        if parts != forecaster.parts:
            raise ArtefactError(
                f"{folder / 'pool.json'}: pools {', '.join(parts)}, and evaluation.ensemble names "
                f"{', '.join(forecaster.parts)}. Set it so, or run `stforecast train --fresh`."
            )
        forecaster.weights = np.array(list(weights.values()))
        return forecaster


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
