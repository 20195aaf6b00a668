"""Is a difference between two forecasters more than chance? Paired intervals, and a test on the daily losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from stforecast.scoring.bootstrap import Blocks, Draws, average_precision_draws, difference, mean_draws, ratio_draws
from stforecast.scoring.diebold_mariano import UNTESTED, diebold_mariano
from stforecast.scoring.hotspots import AREAS, top_count, top_hexagons
from stforecast.scoring.intensity import pool
from stforecast.scoring.metrics import daily_losses

HIT_RATE = "5"
"""The share of the hexagons (%) whose hit rate is compared."""


@dataclass(frozen=True)
class Sample:
    """A forecaster's metrics on the draws of days, and of those that are mean losses the loss of each day [d]."""

    draws: dict[str, Draws]
    daily: dict[str, np.ndarray]

    @staticmethod
    def of(lam: np.ndarray, y: np.ndarray, weights: np.ndarray, day: np.ndarray | None = None) -> Sample:
        """Average precision, deviance, log loss and hit rate of λ [m k n c] against counts under weights [r m].

        day: the day of each of the m issues, where there are several a day.
        """
        losses = daily_losses(lam, y)
        means = Sample.of_losses({key: losses[key] for key in ("poisson_deviance", "log_loss")}, weights, day)
        ranked, events = pool(lam), pool(y)
        draws = {"average_precision": average_precision_draws(ranked, events, weights), **means.draws}
        draws[f"hit_rate_{HIT_RATE}"] = _hit_rate_draws(ranked, events, weights)
        return Sample(draws, means.daily)

    @staticmethod
    def of_losses(losses: Mapping[str, np.ndarray], weights: np.ndarray, day: np.ndarray | None) -> Sample:
        """Mean losses alone, from the loss of each issue [m]."""
        draws = {key: mean_draws(values, weights) for key, values in losses.items()}
        return Sample(draws, {key: by_day(values, day) for key, values in losses.items()})


def by_day(losses: np.ndarray, day: np.ndarray | None) -> np.ndarray:
    """Mean loss of each day that has an issue, in order of time: [m] → [d]."""
    if day is None:
        return losses
    _, place, count = np.unique(day, return_inverse=True, return_counts=True)
    return np.bincount(place, weights=losses) / count


def differences(samples: Mapping[str, Sample], blocks: Blocks) -> dict[str, Any]:
    """The first forecaster minus each other one.

    Args:
        samples: of each forecaster, under the same draws.
        blocks: of issues, that the draws are of.

    Returns:
        By pair and metric the paired 95 % interval (`low`, `estimate`, `high`) with its `blocks`, and of mean losses
        the Diebold–Mariano statistic and p-value. Of one block there is neither interval nor test: NaN.
    """
    first, *others = samples
    return {f"{first} - {other}": _pair(samples[first], samples[other], blocks) for other in others}


def _pair(a: Sample, b: Sample, blocks: Blocks) -> dict[str, dict[str, float]]:
    out: dict[str, dict[str, float]] = {}
    for key, draws in a.draws.items():
        out[key] = asdict(difference(draws, b.draws[key])) | {"blocks": blocks.count}
        if key in a.daily:
            test = diebold_mariano(a.daily[key], b.daily[key], blocks.length) if blocks.count > 1 else UNTESTED
            out[key] |= {"diebold_mariano": test.statistic, "p_value": test.p_value}
    return out


def _hit_rate_draws(lam: np.ndarray, y: np.ndarray, weights: np.ndarray) -> Draws:
    """Draws of the hit rate, a ratio of sums over days: lam, y [m k n]."""
    chosen = top_hexagons(lam.reshape(-1, lam.shape[-1]), top_count(AREAS[HIT_RATE], lam.shape[-1]))
    hits = np.take_along_axis(y.reshape(-1, y.shape[-1]), chosen, axis=1).reshape(len(y), -1).sum(axis=1)
    return ratio_draws(hits, y.reshape(len(y), -1).sum(axis=1), weights)
