"""What all tree models share: rows, sampling, replay. The models themselves are in `zoo`.

A tree model starts from climatology as the network does. Plainly (`trees.sampling: none`) it fits the factor y / λ₀
with weights λ₀, which has the same optimum as Poisson regression with log λ₀ as offset, and λ = λ₀ × factor. Where it
classifies y > 0 instead, quiet rows are drawn in proportion to λ₀, so that the odds in the drawn rows are a factor
on climatology too. Fitted to y > 0 with log λ₀ as a mere feature, trees ranked hexagons worse than climatology itself
(validation slice of Chicago: average precision .0978, λ₀ .0990, as a factor .1000).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Self

import joblib
import numpy as np
import torch
from sklearn.dummy import DummyRegressor

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ArtefactError, ConfigError
from stforecast.features.climatology import FLOOR
from stforecast.features.delay import completeness
from stforecast.features.observed import as_known
from stforecast.features.reader import Scales
from stforecast.features.tabular import LOG_RATE, RowTable, Sample, chance
from stforecast.files import atomic_path
from stforecast.forecasters import resampling
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.walking import by_phase
from stforecast.scoring.splits import Split

LEARNED = ("columns", "density", "odds", "model")
"""What is kept of a fitted ensemble, beside its scales."""


class Trees(Forecaster):
    """A tree ensemble on the rows of `RowTable`; an adapter names its library and builds the estimator.

    After fitting: `model`, and how many `columns` it reads; `density`, see `Sample`; `odds`, None where the model gives
    the factor on λ₀, and where it gives a probability what takes its odds to those of the drawn rows: 1 unless classes
    were balanced.
    """

    quiet_rows: ClassVar[int] = 1_000_000
    """Rows without an event that are drawn for training, at most."""
    quiet_per_event: ClassVar[float] = 10.0
    """The same per expected event: more would lower the variance of a leaf by less than a tenth."""
    library: ClassVar[str] = "sklearn"
    seeded = True
    classifies: ClassVar[bool] = False
    """Whether it learns y > 0 even where `trees.sampling` is none."""
    balances: ClassVar[bool] = False
    """Whether both classes weigh the same in it by its own doing."""
    settings: ClassVar[Mapping[str, Any]]
    """What the library's estimator is given, in its own words."""

    model: Any = None
    odds: float | None = None
    density: float
    columns: int
    scales: Scales

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        for library in {self.library} | ({"imblearn"} if config.trees.sampling != "none" else set()):
            if find_spec(library) is None:
                raise ConfigError(
                    f"{self.name}: {library} is not installed. Run `pip install 'stforecast[trees]'`, "
                    "or leave it out of evaluation.forecasters."
                )

    @abstractmethod
    def estimator(self, classes: bool) -> Any:
        """A regressor that takes sample weights, or a classifier."""

    def fit(self, cube: Cube, split: Split, folder: Path | None = None) -> Self:
        cube = cube.as_known(split.train_end)
        self.scales = Scales.of(cube, split.train_end)
        return self.learn(self.sample(cube, split))

    def learn(self, sample: Sample) -> Self:
        """Fit the estimator to rows of the training slice."""
        how, event = self.config.trees.sampling, sample.event
        classes = self.classifies or self.balances or how != "none"
        self.columns, self.density, self.odds = sample.rows.shape[1], sample.density, None
        if not event.any() or (classes and event.all()):
            self.model = _level(sample)
        elif not classes:
            factor, weight = sample.counts / sample.rate, sample.rate * sample.weight
            self.model = self.estimator(classes).fit(sample.rows, factor, sample_weight=weight)
        else:
            rows, balanced = sample.rows, self.balances or how != "none"
            self.odds = float(event.sum() / (~event).sum()) if balanced else 1.0
            if how != "none":
                rows, event = resampling.balance(rows, event, how, self.config.seed)
            self.model = self.estimator(classes).fit(rows, event)
        return self

    def sample(self, cube: Cube, split: Split) -> Sample:
        """Draw the training rows; what SMOTE will add is taken from the quiet ones."""
        end, cube = split.train_end, cube.as_known(split.train_end)
        table = RowTable(cube, self.scales)
        memory = table.reader.memory(split.first % table.patch)
        warm = min(self.config.training.warm_up_days * split.day, end // 3) // table.patch
        memory.skip(max(1, warm))
        # Hours whose reports are still arriving would teach that recent hours are quiet.
        mature = np.flatnonzero(completeness(cube, 0, end, end).min(1) > 0.98)
        last = (int(mature[-1]) + 1 if mature.size else end) - cube.horizons
        if memory.next_issue > last:
            raise ConfigError(f"split.train: {end} steps leave {self.name} nothing to learn from; give more days.")
        counts = cube.dense(0, end, known_before=end)
        wanted = self.quiet_rows / (2 if self.config.trees.sampling == "smote" else 1)
        expected = float(counts[memory.next_issue : last + cube.horizons].sum()) * cube.horizons / table.patch
        density = min(self.quiet_per_event, wanted / max(expected, 1))
        generator = torch.Generator().manual_seed(self.config.seed)
        rows, targets = [], []
        while memory.next_issue <= last:
            recall = memory.walk(min(memory.record.stretch, (last - memory.next_issue) // table.patch + 1))
            ahead = table.reader.targets_of(recall.issues)
            y = counts[ahead]
            drawn = torch.rand(y.shape, generator=generator) < density * recall.log_rate.exp().permute(0, 2, 3, 1)
            keep = (y > 0) | drawn
            if cube.masked is not None:
                keep &= torch.as_tensor(~cube.masked)[ahead][:, :, None]
            rows.append(table.rows(recall, keep.nonzero().unbind(1)))
            targets.append(y[keep])
        return Sample(torch.cat(rows).numpy(), torch.cat(targets).numpy(), density)

    @as_known
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
                        now = memory.moved(recall, issue)
                    out[place] = self.intensity_of(table.rows(now).numpy()).reshape(out.shape[1:])
        return out

    def intensity_of(self, rows: np.ndarray) -> np.ndarray:
        """λ of rows [r f]: [r].

        Raises:
            ArtefactError: the model was fitted to other columns, as an older version has them.
        """
        if rows.shape[1] != self.columns:
            raise ArtefactError(
                f"{self.name}: was fitted to {self.columns} columns, and {rows.shape[1]} are read. Run `stforecast "
                "train --fresh`."
            )
        rate = np.exp(rows[:, LOG_RATE])
        if self.odds is None:
            return np.maximum(rate * self.predicted(rows), FLOOR)
        return np.maximum(resampling.intensity(self.predicted(rows), self.odds * chance(rate, self.density)), FLOOR)

    def predicted(self, rows: np.ndarray) -> np.ndarray:
        """What the model gives for rows [r f]: the factor, or the probability of an event among balanced classes."""
        return self.model.predict(rows) if self.odds is None else self.model.predict_proba(rows)[:, 1]

    def save(self, folder: Path) -> None:
        with atomic_path(folder / "model.joblib") as temporary:
            joblib.dump([self.scales.plain(), *(getattr(self, key) for key in LEARNED)], temporary, compress=3)

    @classmethod
    def load(cls, folder: Path, config: Config) -> Self:
        forecaster = cls(config)
        try:
            scales, *learned = joblib.load(folder / "model.joblib")
            for key, value in zip(LEARNED, learned, strict=True):
                setattr(forecaster, key, value)
        except Exception as error:
            raise ArtefactError(f"{folder / 'model.joblib'}: cannot be opened ({error}). Train it again.") from error
        forecaster.scales = Scales.from_plain(scales)
        return forecaster


def _level(sample: Sample) -> DummyRegressor:
    """Climatology times a constant, for samples without two classes."""
    exposure = float((sample.rate * sample.weight).sum())
    level = float(sample.counts.sum()) / exposure if exposure else 0.0
    return DummyRegressor(strategy="constant", constant=level).fit([[0.0]], [0.0])
