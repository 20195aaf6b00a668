"""What all tree models share: rows, sampling, replay. The models themselves are in `zoo`.

A tree model starts from climatology as the network does. Plainly (`trees.sampling: none`) it fits the factor y / λ₀
with weights λ₀, which has the same optimum as Poisson regression with log λ₀ as offset, and λ = λ₀ × factor. Where it
classifies y > 0 instead, quiet rows are drawn in proportion to λ₀, so that the odds in the drawn rows are a factor
on climatology too. Fitted to y > 0 with log λ₀ as a mere feature, trees ranked hexagons worse than climatology itself
(validation slice of Chicago: average precision .0978, λ₀ .0990, as a factor .1000).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, ClassVar

import joblib
import numpy as np
import torch
from sklearn.dummy import DummyRegressor

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ArtefactError, ConfigError
from stforecast.features.builder import FeatureBatch, FeatureBuilder, State
from stforecast.features.climatology import FLOOR
from stforecast.features.covariates import Covariates
from stforecast.features.delay import settled_until
from stforecast.features.scaling import Scales
from stforecast.features.tabular import LOG_RATE, Sample, chance, tabular_rows
from stforecast.files import atomic_path, fingerprint
from stforecast.forecasters import resampling
from stforecast.forecasters.base import Forecaster
from stforecast.forecasters.streaming import LearnedForecaster
from stforecast.scoring.splits import Split


@dataclass
class TreeFit:
    """A fitted ensemble: `model`, how many `columns` it reads, `density` (see `Sample`), and `odds`.

    odds: None where the model gives the factor on λ₀, and where it gives a probability what takes its odds to those of
    the drawn rows: 1 unless classes were balanced.
    """

    model: Any
    columns: int
    density: float
    odds: float | None


class Trees(LearnedForecaster):
    """Tree ensembles on tabular rows, one a seed; an adapter names its library and builds the estimator."""

    quiet_rows: ClassVar[int] = 1_000_000
    """Rows without an event that are drawn for training, at most."""
    quiet_per_event: ClassVar[float] = 10.0
    """The same per expected event: more would lower the variance of a leaf by less than a tenth."""
    seeded = True
    sections = ("trees",)
    classifies: ClassVar[bool] = False
    """Whether it learns y > 0 even where `trees.sampling` is none."""
    balances: ClassVar[bool] = False
    """Whether both classes weigh the same in it by its own doing."""
    regressor: ClassVar[tuple[str, Mapping[str, Any]]]
    """The library's estimator that takes sample weights, `module:Class`, and what it alone is given."""
    classifier: ClassVar[tuple[str, Mapping[str, Any]]]
    """Its classifier likewise."""
    settings: ClassVar[Mapping[str, Any]]
    """What both are given, in the library's own words."""
    threads: ClassVar[str | None] = "n_jobs"
    """Its word for the number of threads."""

    def __init__(
        self, config: Config | None = None, parts: Mapping[str, Forecaster] | None = None, **settings: Any
    ) -> None:
        own = {key: settings.pop(key) for key in [*settings] if key in self.settings}
        super().__init__(config, parts, **settings)
        self.settings = {**self.settings, **own}  # type: ignore[misc]
        self.fits: list[TreeFit] = []
        own_library = self.classifier[0].partition(".")[0].partition(":")[0]
        for library in {own_library} | ({"imblearn"} if self.config.trees.sampling != "none" else set()):
            if find_spec(library) is None:
                raise ConfigError(
                    f"{self.name}: {library} is not installed. Run `pip install 'stforecast[trees]'`, "
                    "or leave it out of evaluation.forecasters."
                )

    def estimator(self, classes: bool, seed: int) -> Any:
        """The library's, which is imported only here."""
        where, options = self.classifier if classes else self.regressor
        threads = {self.threads: torch.get_num_threads()} if self.threads else {}
        return resolve_name(where)(**self.settings, **options, **threads, random_state=seed)

    def learn(self, cube: Cube, split: Split, folder: Path | None = None) -> None:
        cube = cube.as_known(split.train_end)
        self.scales = Scales.of(cube, split.train_end)
        self.fits = [self.fit_rows(self.sample(cube, split, seed), seed) for seed in self.seeds]

    def fit_rows(self, sample: Sample, seed: int = 0) -> TreeFit:
        """Fit the estimator to rows of the training slice."""
        how, event, odds = self.config.trees.sampling, sample.event, None
        classes = self.classifies or self.balances or how != "none"
        if not event.any() or (classes and event.all()):
            model = _level(sample)
        elif not classes:
            factor, weight = sample.counts / sample.rate, sample.rate * sample.weight
            model = self.estimator(classes, seed).fit(sample.rows, factor, sample_weight=weight)
        else:
            rows, balanced = sample.rows, self.balances or how != "none"
            odds = float(event.sum() / (~event).sum()) if balanced else 1.0
            if how != "none":
                rows, event = resampling.balance(rows, event, how, seed)
            model = self.estimator(classes, seed).fit(rows, event)
        return TreeFit(model, sample.rows.shape[1], sample.density, odds)

    def sample(self, cube: Cube, split: Split, seed: int = 0) -> Sample:
        """Draw the training rows; what SMOTE will add is taken from the quiet ones."""
        end, cube = split.train_end, cube.as_known(split.train_end)
        builder = FeatureBuilder(cube, self.scales, self.patch(cube))
        state = builder.init_state(split.first % builder.patch)
        warm = min(self.config.training.warm_up_days * split.day, end // 3) // builder.patch
        builder.skip(state, max(1, warm))
        last = settled_until(cube, end) - cube.horizons  # later hours would teach that recent hours are quiet
        first = int(state["next_issue"])
        if first > last:
            raise ConfigError(f"split.train: {end} steps leave {self.name} nothing to learn from; give more days.")
        counts = cube.dense(0, end, known_before=end)
        wanted = self.quiet_rows / (2 if self.config.trees.sampling == "smote" else 1)
        expected = float(counts[first : last + cube.horizons].sum()) * cube.horizons / builder.patch
        density = min(self.quiet_per_event, wanted / max(expected, 1))
        generator = torch.Generator().manual_seed(seed)
        rows, targets = [], []
        while (first := int(state["next_issue"])) <= last:
            batch = builder.step(state, min(builder.events.segment, (last - first) // builder.patch + 1))
            ahead = builder.covariates.targets_of(batch.issues)
            y = counts[ahead]
            drawn = torch.rand(y.shape, generator=generator) < density * batch.log_rate.exp().permute(0, 2, 3, 1)
            keep = (y > 0) | drawn
            if cube.masked is not None:
                keep &= torch.as_tensor(~cube.masked)[ahead][:, :, None]
            rows.append(tabular_rows(builder, batch, keep.nonzero().unbind(1)))
            targets.append(y[keep])
        return Sample(torch.cat(rows).numpy(), torch.cat(targets).numpy(), density)

    def fingerprint(self) -> tuple[int, str]:
        return self.scales.until, fingerprint(self.name, asdict(self.scales), joblib.hash(self.fits))

    def init_state(self, reader: FeatureBuilder, phase: int) -> State:
        return reader.init_state(phase)

    def step(self, reader: FeatureBuilder, state: State, count: int, wanted: Collection[int]) -> dict[int, np.ndarray]:
        batch, found = reader.step(state, count), {}
        for place, issue in enumerate(batch.issues):
            if issue in wanted:
                found[issue] = self.forecast_features(reader, state, batch.part(slice(place, place + 1)))
        return found

    def forecast_features(
        self, reader: FeatureBuilder, state: State, batch: FeatureBatch, covariates: Covariates | None = None
    ) -> np.ndarray:
        rows = tabular_rows(reader, batch, covariates=covariates).numpy()
        logs = [np.log(self.intensity_of(rows, fit)) for fit in self.fits]
        c, k, n = batch.log_rate.shape[1:]
        return np.exp(sum(logs) / len(logs)).reshape(k, n, c).astype(np.float32)

    def intensity_of(self, rows: np.ndarray, fit: TreeFit) -> np.ndarray:
        """λ of rows [r f] under one fit: [r].

        Raises:
            ArtefactError: the model was fitted to other columns, as an older version has them.
        """
        if rows.shape[1] != fit.columns:
            raise ArtefactError(
                f"{self.name}: was fitted to {fit.columns} columns, and {rows.shape[1]} are read. Run `stforecast "
                "train --fresh`."
            )
        rate = np.exp(rows[:, LOG_RATE])
        if fit.odds is None:
            return np.maximum(rate * self.predicted(rows, fit), FLOOR)
        return np.maximum(resampling.intensity(self.predicted(rows, fit), fit.odds * chance(rate, fit.density)), FLOOR)

    def predicted(self, rows: np.ndarray, fit: TreeFit) -> np.ndarray:
        """What a model gives for rows [r f]: the factor, or the probability of an event among balanced classes."""
        return fit.model.predict(rows) if fit.odds is None else fit.model.predict_proba(rows)[:, 1]

    def save_fit(self, folder: Path) -> None:
        with atomic_path(folder / "model.joblib") as temporary:
            joblib.dump([asdict(self.scales), [vars(fit) for fit in self.fits]], temporary, compress=3)

    def load_fit(self, folder: Path) -> None:
        try:
            scales, fits = joblib.load(folder / "model.joblib")
            self.scales, self.fits = Scales.from_dict(scales), [TreeFit(**fit) for fit in fits]
        except Exception as error:
            raise ArtefactError(f"{folder / 'model.joblib'}: cannot be opened ({error}). Train it again.") from error


def _level(sample: Sample) -> DummyRegressor:
    """Climatology times a constant, for samples without two classes."""
    exposure = float((sample.rate * sample.weight).sum())
    level = float(sample.counts.sum()) / exposure if exposure else 0.0
    return DummyRegressor(strategy="constant", constant=level).fit([[0.0]], [0.0])
