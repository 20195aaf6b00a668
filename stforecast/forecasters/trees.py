"""Tree ensembles on the same long memory that the network reads: one row a hexagon, hour and category.

A tree model starts from climatology as the network does: it fits the factor y / λ₀ with weights λ₀, which has the same
optimum as Poisson regression with log λ₀ as offset, and λ = λ₀ × factor. Fitted to y > 0 with log λ₀ as a mere feature,
the trees ranked hexagons worse than climatology itself (validation slice of Chicago: average precision .0978, λ₀ .0990,
as a factor .1000). Rows with an event are all kept; of the others a share is drawn and weighted.
"""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import joblib
import numpy as np
import torch
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from torch import Tensor

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ArtefactError, ConfigError
from stforecast.files import atomic_path
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.climatology import by_phase
from stforecast.forecasters.memory import Recall, blocks
from stforecast.forecasters.rates import FLOOR
from stforecast.forecasters.reader import Reader, Scales
from stforecast.forecasters.record import STRETCH, completeness
from stforecast.scoring.splits import Split

LOG_RATE = 0
"""The column of a row that holds log λ₀."""


class Trees(Forecaster):
    """What all tree models share: rows, sampling, replay."""

    quiet_rows: ClassVar[int] = 1_500_000
    """Rows without an event that are drawn for training."""

    model: Any = None
    scales: Scales

    @abstractmethod
    def estimator(self) -> Any:
        """A scikit-learn regressor that takes sample weights."""

    def fit(self, cube: Cube, split: Split, folder: Path | None = None) -> Self:
        self.scales = Scales.of(cube, split.train_end)
        rows, factor, weight = self._sample(cube, split)
        model = self.estimator() if factor.any() else DummyRegressor()  # nothing ever happened: 0
        self.model = model.fit(rows, factor, sample_weight=weight)
        return self

    def _sample(self, cube: Cube, split: Split) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Training rows [r f], factors y / λ₀ [r], and weights [r]."""
        end, table = split.train_end, RowTable(cube, self.scales)
        memory = table.reader.memory(split.first % table.patch)
        warm = min(self.config.training.warm_up_days * split.day, end // 3) // table.patch
        memory.skip(max(1, warm))
        # Hours whose reports are still arriving would teach that recent hours are quiet.
        mature = np.flatnonzero(completeness(cube, 0, end, end).min(1) > 0.98)
        last = (int(mature[-1]) + 1 if mature.size else end) - cube.horizons
        counts = cube.dense(0, end, known_before=end)
        total = max(1, (last - memory.next_issue) // table.patch + 1) * cube.horizons * cube.n * cube.c
        share = min(1.0, self.quiet_rows / total)
        generator = torch.Generator().manual_seed(self.config.seed)
        if memory.next_issue > last:
            raise ConfigError(f"split.train: {end} steps leave {self.name} nothing to learn from; give more days.")
        rows, factors, weights = [], [], []
        while memory.next_issue <= last:
            recall = memory.walk(min(STRETCH, (last - memory.next_issue) // table.patch + 1))
            steps = table.reader.targets_of(recall.issues)
            y, rate = counts[steps], recall.log_rate.exp()
            keep = (y > 0) | (torch.rand(y.shape, generator=generator) < share)
            y, rate = y[keep], rate[keep]
            rows.append(table.rows(recall, keep.nonzero().unbind(1)))
            factors.append(y / rate)
            weights.append(torch.where(y > 0, rate, rate / share))
        return torch.cat(rows).numpy(), torch.cat(factors).numpy(), torch.cat(weights).numpy()

    def intensity(self, cube: Cube, issues: np.ndarray) -> np.ndarray:
        if self.model is None:
            raise ArtefactError(f"{self.name}: not fitted. Run `stforecast train` first.")
        beyond = max(0, int(issues.max(initial=0)) - cube.steps)
        table = RowTable(cube, self.scales, beyond)
        out = np.zeros((len(issues), cube.horizons, cube.n, cube.c), np.float32)
        for phase, served in by_phase(issues, table.patch, cube.steps).items():
            memory = table.reader.memory(phase)
            for s in sorted(served):
                if s > memory.next_issue:
                    memory.skip((s - memory.next_issue) // table.patch)
                recall = memory.walk(1)
                for place in served[s]:
                    issue, now = int(issues[place]), recall
                    if issue > s:
                        now = recall.moved(issue, memory.rates.intensity(issue, cube.horizons).log())
                    out[place] = self._intensity(table.rows(now).numpy()).reshape(out.shape[1:])
        return out

    def _intensity(self, rows: np.ndarray) -> np.ndarray:
        return np.maximum(np.exp(rows[:, LOG_RATE]) * self.model.predict(rows), FLOOR)

    def save(self, folder: Path) -> None:
        with atomic_path(folder / "model.joblib") as temporary:
            joblib.dump((self.scales.plain(), self.model), temporary, compress=3)

    @classmethod
    def load(cls, folder: Path, config: Config) -> Self:
        forecaster = cls(config)
        try:
            scales, forecaster.model = joblib.load(folder / "model.joblib")
        except Exception as error:
            raise ArtefactError(f"{folder / 'model.joblib'}: cannot be opened ({error}). Train it again.") from error
        forecaster.scales = Scales.from_plain(scales)
        return forecaster


class HistGradientBoosting(Trees):
    """scikit-learn's histogram gradient boosting."""

    name = "hist_gradient_boosting"

    def estimator(self) -> HistGradientBoostingRegressor:
        return HistGradientBoostingRegressor(
            loss="poisson",
            learning_rate=0.06,
            max_iter=100,
            max_leaf_nodes=31,
            min_samples_leaf=200,
            l2_regularization=5.0,
            max_features=0.7,
            early_stopping=False,
            random_state=self.config.seed,
        )


class RowTable:
    """Rows of features for issues × horizons × hexagons × categories of a cube."""

    def __init__(self, cube: Cube, scales: Scales, beyond: int = 0) -> None:
        self.cube, self.patch = cube, min(max(1, 24 // cube.step_hours), cube.horizons)
        self.reader = Reader(cube, scales, self.patch, "cpu", beyond)

    def rows(self, recall: Recall, at: tuple[Tensor, ...] | None = None) -> Tensor:
        """Features [r f] of the cells `at` (equally long indices issue, horizon, hexagon, category; default all)."""
        c = self.cube.c
        if at is None:
            at = torch.ones(recall.log_rate.shape).nonzero().unbind(1)
        issue, lead, hexagon, category = at
        steps = torch.tensor(recall.issues)[issue] + lead
        block, here = blocks(c), recall.features[issue, hexagon]

        def own(name: str) -> Tensor:
            """The columns of a block that are of the row's own category."""
            return here.gather(1, torch.arange(block[name].start, block[name].stop, c) + category[:, None])

        slots = self.reader.record.slot_of_day[self.reader.record.at(steps)]
        patch = recall.patch
        channel = slots % self.patch
        columns = [
            recall.log_rate[issue, lead, hexagon, category],
            recall.log_rate.exp().sum(-1)[issue, lead, hexagon].log(),
            patch[issue, hexagon, channel].sum(-1),
            patch.sum((2, 3))[issue, hexagon],
            patch.sum(2)[issue, hexagon, category],
            lead.float(),
            category.float(),
            hexagon.float(),
        ]
        table = self.reader.target[self.reader.record.at(steps)]
        weekday = table[:, :7].argmax(1).float()
        return torch.cat(
            [
                torch.stack([*columns, slots.float(), weekday], 1),
                here[:, block["all"]],
                own("each"),
                here[:, block["ring"]],
                own("ring each"),
                own("city"),
                here[:, block["level"]],
                recall.by_hour[issue, hexagon, :, slots],
                table[:, 7 + self.reader.record.per_day :],
                self.reader.city_before(recall.issues).mean(1)[issue],
            ],
            1,
        )
