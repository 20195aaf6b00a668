"""Trees fitted once to many cities, real and simulated, that a new city's own trees start from.

Every episode gives about as many rows, whatever its city's size, so that the trees see many cities and not the largest.
Rounds are chosen on cities that the trees have not seen; then the trees are grown anew, for as many rounds, on all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

from stforecast.config.sections import Training
from stforecast.errors import ConfigError
from stforecast.features.base_rate import learned_scales
from stforecast.features.builder import FeatureBuilder
from stforecast.features.canonical_rows import COLUMNS, canonical_rows
from stforecast.features.delay import completeness
from stforecast.features.shared import SharedRhythms
from stforecast.features.tabular import chance
from stforecast.forecasters.trees import PooledTrees
from stforecast.pretraining.episodes import Episode
from stforecast.scoring.metrics import levelled_loss

EVENTS, QUIET_PER_EVENT = 1500, 4.0
"""Expected events whose cells are read of an episode, and quiet rows per expected event."""
HELD_OUT = 5
"""Every how many cities one is held out to choose the rounds."""
SETTINGS: dict[str, Any] = {
    "objective": "poisson",
    "learning_rate": 0.08,
    "num_leaves": 31,
    "min_data_in_leaf": 500,
    "min_sum_hessian_in_leaf": 100,
    "lambda_l2": 20.0,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "max_bin": 127,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
    "num_threads": 1,
}
ROUNDS, PATIENCE = 500, 25
"""The most rounds, and after how many without gain in the held-out cities to stop."""


class Drawn(NamedTuple):
    """Cells of episodes, r of them.

    rows: canonical rows, [r f]. counts: reports known by the end of the record, [r]. rate: how many λ₀ lets expect of
    them: λ₀ × the share of a step's reports that is known by then, [r]. weight: cells that a row stands for, [r].
    group: a number for each episode and category, [r]. city: a number for each city, [r].
    """

    rows: np.ndarray
    counts: np.ndarray
    rate: np.ndarray
    weight: np.ndarray
    group: np.ndarray
    city: np.ndarray

    def part(self, keep: np.ndarray) -> Drawn:
        """Those of a mask [r]."""
        return Drawn(*(values[keep] for values in self))


def pooled_trees(episodes: Iterable[Episode], seed: int = 0, shared: SharedRhythms | None = None) -> PooledTrees:
    """The trees that foretell the episodes best beside climatology.

    Args:
        episodes: parts of two cities at least.
        seed: of the rows that are drawn, and of the fit.
        shared: what cities tell λ₀ of rates and rhythms.

    Raises:
        ConfigError: all are of one city.
    """
    drawn = _joined(draw_rows(one, np.random.default_rng([seed, i]), shared) for i, one in enumerate(episodes))
    if not (held_out := drawn.city % HELD_OUT == 1).any():
        raise ConfigError(
            "pooled trees: expected episodes of two cities at least, to choose the rounds by one of them."
        )
    rounds = _rounds(drawn.part(~held_out), drawn.part(held_out), seed)
    return PooledTrees(_text(_grown(drawn, rounds, seed)), shared)


@torch.inference_mode()
def draw_rows(episode: Episode, rng: np.random.Generator, shared: SharedRhythms | None = None) -> tuple[str, Drawn]:
    """The cells with an event of some of an episode's issues, and quiet ones in proportion to λ₀; and the city."""
    cube = episode.cube.as_known(episode.cube.steps)
    end, patch = max(cube.steps, int(cube.known_hour.max(initial=0)) + 1), min(cube.step.per_day, cube.horizons)
    warm_up = cube.step.in_days(Training().warm_up_days)
    scales = learned_scales(episode.cube.as_known(episode.until), episode.until, patch, warm_up, shared)
    builder = FeatureBuilder(cube, scales, patch)
    state = builder.init_state(episode.first % patch)
    builder.skip(state, episode.first // patch)
    issues = range(episode.first, min(episode.last, cube.steps - cube.horizons + 1), patch)
    counts, share = cube.dense(), torch.as_tensor(completeness(cube, 0, cube.steps, end))
    expected = float(counts[episode.first : episode.last].sum()) * cube.horizons / patch
    chosen = {issue for issue in issues if rng.random() < EVENTS / max(expected, 1)}
    generator, parts = torch.Generator().manual_seed(int(rng.integers(2**62))), []
    while issues and (first := int(state["next_issue"])) <= issues[-1]:
        batch = builder.step(state, min(builder.events.segment, (issues[-1] - first) // patch + 1))
        ahead = builder.covariates.targets_of(batch.issues)
        y, known = counts[ahead], share[ahead][:, :, None].expand_as(counts[ahead])
        likely = (QUIET_PER_EVENT * batch.log_rate.exp().permute(0, 2, 3, 1)).clamp(max=1)
        keep = ((y > 0) | (torch.rand(y.shape, generator=generator) < likely)) & (known > 0)
        keep &= torch.tensor([issue in chosen for issue in batch.issues])[:, None, None, None]
        at = keep.nonzero().unbind(1)
        rows = canonical_rows(builder, batch, at).numpy()
        events, rate = y[keep].numpy(), np.exp(rows[:, 0])
        stands_for = np.where(events > 0, 1, 1 / chance(rate, QUIET_PER_EVENT)).astype(np.float32)
        city = np.zeros(len(rows), np.int64)
        parts.append(Drawn(rows, events, rate * known[keep].numpy(), stands_for, at[3].numpy(), city))
    empty = np.zeros((0, len(COLUMNS)), np.float32), *np.zeros((3, 0), np.float32), *np.zeros((2, 0), np.int64)
    return episode.city, Drawn(*map(np.concatenate, zip(Drawn(*empty), *parts, strict=True)))


def _joined(found: Iterator[tuple[str, Drawn]]) -> Drawn:
    """The rows of episodes, with cities numbered in the order in which they come."""
    cities, parts, groups = dict[str, int](), list[Drawn](), 0
    for name, one in found:
        city = cities.setdefault(name, len(cities))
        parts.append(one._replace(group=one.group + groups, city=np.full(len(one.counts), city)))
        groups += int(one.group.max(initial=-1)) + 1
    return Drawn(*map(np.concatenate, zip(*parts, strict=True)))


def _grown(drawn: Drawn, rounds: int, seed: int, until: Any = None) -> Any:
    """Trees that give the factor on λ₀; `until`, called after each round, may stop them."""
    import lightgbm

    table = lightgbm.Dataset(
        drawn.rows,
        drawn.counts / drawn.rate,
        weight=drawn.rate * drawn.weight,
        feature_name=[*COLUMNS],
        params=SETTINGS,
    )
    settings = SETTINGS | {"seed": seed}
    return lightgbm.train(settings, table, rounds, callbacks=None if until is None else [until])


def _rounds(drawn: Drawn, held_out: Drawn, seed: int) -> int:
    """After how many rounds the held-out cities are foretold best; one at least."""
    from lightgbm.callback import EarlyStopException

    margin, losses = np.zeros(len(held_out.counts)), list[float]()

    def judged(now: Any) -> None:
        margin[:] += now.model.predict(held_out.rows, start_iteration=now.iteration, num_iteration=1, raw_score=True)
        losses.append(levelled_loss(held_out.rate * np.exp(margin), held_out.counts, held_out.weight, held_out.group))
        if len(losses) - int(np.argmin(losses)) > PATIENCE:
            raise EarlyStopException(now.iteration, [])

    _grown(drawn, ROUNDS, seed, judged)
    return int(np.argmin(losses)) + 1


def _text(booster: Any) -> str:
    """The trees alone: how many threads grew them, and how long, is no part of them."""
    return re.sub(r"\nparameters:.*?end of parameters\n", "\n", booster.model_to_string(), flags=re.DOTALL)
