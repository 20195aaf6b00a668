"""What all tree models share: rows, sampling, replay. The models themselves are in `zoo`.

A tree model starts from climatology as the network does. Plainly (`trees.sampling: none`) it fits the factor y / λ₀
with weights λ₀, which has the same optimum as Poisson regression with log λ₀ as offset, and λ = λ₀ × factor. Where it
classifies y > 0 instead, quiet rows are drawn in proportion to λ₀, so that the odds in the drawn rows are a factor
on climatology too. Fitted to y > 0 with log λ₀ as a mere feature, trees ranked hexagons worse than climatology itself
(validation slice of Chicago: average precision .0978, λ₀ .0990, as a factor .1000).
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from hashlib import sha256
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from stforecast.config import Config
from stforecast.cube import Cube
from stforecast.errors import ArtefactError, ConfigError, in_brief
from stforecast.features.base_rate import learned_scales
from stforecast.features.builder import FeatureBatch, FeatureBuilder, State
from stforecast.features.climatology import FLOOR
from stforecast.features.covariates import Covariates
from stforecast.features.groups import Read
from stforecast.features.scaling import Scales
from stforecast.features.tabular import Sample, starting_rate, tabular_rows
from stforecast.files import atomic_path, check_archive, fingerprint, read_json, write_json
from stforecast.forecasters import resampling
from stforecast.forecasters.base import AGAIN, Forecaster
from stforecast.forecasters.streaming import LearnedForecaster
from stforecast.forecasters.trees.fits import Table, TreeFit, as_intensity, canonical, level_of
from stforecast.forecasters.trees.pooled import PooledTrees
from stforecast.forecasters.trees.rows import Rows
from stforecast.scoring.splits import Split

FITS = "trees.json"
"""In the folder of saved trees: the scales, and all of each fit but its model."""
START = "start"
"""The folder of the pooled trees that they started from."""
TYPES = [
    "imblearn.ensemble._forest.BalancedRandomForestClassifier",
    "imblearn.under_sampling._prototype_selection._random_under_sampler.RandomUnderSampler",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
]
"""What a file of scikit-learn's or imbalanced-learn's trees may hold beyond the estimators and arrays of skops."""
MOST_COLUMNS = 10_000
"""That a file may claim its trees to read; there are some hundred."""


class Trees(LearnedForecaster):
    """Tree ensembles on tabular rows, one a seed; an adapter names its library and builds the estimator.

    Args:
        config: of the city.
        parts: none.
        start: trees of many cities, from whose λ, and the rates and rhythms behind it, it starts; default from λ₀.
        settings: of the library, in its words.
    """

    quiet_rows: ClassVar[int] = 1_000_000
    """Rows without an event that are drawn for training, at most."""
    quiet_per_event: ClassVar[float] = 10.0
    """The same per expected event: more would lower the variance of a leaf by less than a tenth."""
    ending: ClassVar[str] = "skops"
    """Of the files of fitted models."""
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
        self,
        config: Config | None = None,
        parts: Mapping[str, Forecaster] | None = None,
        start: PooledTrees | None = None,
        **settings: Any,
    ) -> None:
        own = {key: settings.pop(key) for key in [*settings] if key in self.settings}
        super().__init__(config, parts, **settings)
        self.settings = {**self.settings, **own}  # type: ignore[misc]
        self.fits: list[TreeFit] = []
        self.start = start
        if start and self.classes:
            raise ConfigError(
                f"{self.name}: learns whether there is an event, and cannot start from trees that expect counts. "
                "Use lightgbm, xgboost or hist_gradient_boosting with trees.sampling=none, or start from none."
            )
        own_library = self.classifier[0].partition(".")[0].partition(":")[0]
        resamples = {"imblearn"} if self.config.trees.sampling != "none" else set()
        for library in {own_library} | resamples:
            if find_spec(library) is None:
                raise ConfigError(
                    f"{self.name}: {library} is not installed. Run `pip install 'stforecast[trees]'`, "
                    "or leave it out of evaluation.forecasters."
                )

    @property
    def classes(self) -> bool:
        """Whether it learns y > 0, and not the factor."""
        return self.classifies or self.balances or self.config.trees.sampling != "none"

    def estimator(self, classes: bool, seed: int) -> Any:
        """The library's, which is imported only here."""
        where, options = self.classifier if classes else self.regressor
        threads = {self.threads: torch.get_num_threads()} if self.threads else {}
        return resolve_name(where)(**self.settings, **options, **threads, random_state=seed)

    def learn(self, cube: Cube, split: Split, folder: Path | None = None) -> None:
        warm_up = cube.step.in_days(self.config.training.warm_up_days)
        known = cube.as_known(split.train_end)
        shared = self.start.shared if self.start else None
        self.scales = learned_scales(known, split.train_end, self.patch(cube), warm_up, shared)
        rows = self.rows(cube, split)
        held_out = self.held_out(rows)
        if self.start and held_out and self.config.training.adapt == "none":
            self.fits = [TreeFit(1.0, b"", held_out.rows.shape[1], held_out.density, None, 0)]
        else:
            self.fits = [self.fit_rows(rows.training(seed), held_out, seed) for seed in self.seeds]

    def rows(self, cube: Cube, split: Split) -> Rows:
        """The rows of a record; what SMOTE will add is taken from the quiet ones."""
        quiet = self.quiet_rows / (2 if self.config.trees.sampling == "smote" else 1), self.quiet_per_event
        warm_up = cube.step.in_days(self.config.training.warm_up_days)
        return Rows(cube, split, self.scales, self.patch(cube), warm_up, quiet, self.read, self.start is not None)

    def read(
        self,
        reader: FeatureBuilder,
        batch: FeatureBatch,
        at: tuple[Tensor, ...] | None = None,
        covariates: Covariates | None = None,
    ) -> Tensor:
        """Features of cells as `tabular_rows` gives them, and then what it starts from: [r f]."""
        rows = tabular_rows(reader, batch, at, covariates)
        return torch.cat([rows, self.start.log_factor(reader, batch, at, covariates)], 1) if self.start else rows

    def held_out(self, rows: Rows) -> Sample | None:
        """Rows of the validation slice, where it chooses how many trees are kept."""
        return None

    @property
    def standing(self) -> str:
        """What stands where no tree is kept, in words."""
        return "pooled trees stand" if self.start else "climatology stands"

    @property
    def untrained(self) -> bool:
        return self.start is not None and not any(fit.saved for fit in self.fits)

    @property
    def remark(self) -> str:
        return "" if all(fit.saved for fit in self.fits) else f"nothing to learn from: {self.standing} as before"

    def fit_rows(self, sample: Sample, held_out: Sample | None = None, seed: int = 0) -> TreeFit:
        """Fit the estimator to rows of the training slice, and choose by those of the validation slice."""
        how, event, odds, classes = self.config.trees.sampling, sample.event, None, self.classes
        plain = TreeFit(level_of(sample), b"", sample.rows.shape[1], sample.density, None)
        if not event.any() or (classes and event.all()):
            return plain
        rows, target, weight = sample.rows, event, None
        if not classes:
            target, weight = sample.counts / sample.start, sample.start * sample.weight
        else:
            odds = float(event.sum() / (~event).sum()) if self.balances or how != "none" else 1.0
            if how != "none":
                rows, target = resampling.balance(rows, event, how, seed)
        return self.grow(plain, odds, Table(rows, target, weight), held_out, seed)

    def grow(self, plain: TreeFit, odds: float | None, table: Table, held_out: Sample | None, seed: int) -> TreeFit:
        """Have trees fitted to a table; `plain` is the fit where none is worth keeping."""
        weight = {} if table.weight is None else {"sample_weight": table.weight}
        saved = self.pack(self.estimator(odds is not None, seed).fit(table.rows, table.target, **weight))
        return replace(plain, model=self.unpack(saved, odds is not None), saved=saved, odds=odds)

    def pack(self, model: Any, rounds: int = 0) -> bytes:
        """A fitted estimator, of its rounds of boosting the first so many, as the content of a file that holds data
        and no code.
        """
        import skops.io

        return canonical(skops.io.dumps(model))

    def unpack(self, saved: bytes, classes: bool) -> Any:
        """What forecasts, from what `pack` gave."""
        import skops.io

        check_archive(BytesIO(saved))
        model, expected = skops.io.loads(saved, trusted=TYPES), type(self.estimator(classes, 0))
        if type(model) is not expected:
            raise ValueError(f"holds a {type(model).__name__}, not a {expected.__name__}")
        return model

    def fingerprint(self) -> tuple[int, str]:
        fits = [[fit.facts(), sha256(fit.saved).hexdigest()] for fit in self.fits]
        start = [sha256(self.start.text.encode()).hexdigest()] if self.start else []
        return self.scales.until, fingerprint(self.name, asdict(self.scales), fits, *start)

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
        rows = self.read(reader, batch, covariates=covariates).numpy()
        c, k, n = batch.log_rate.shape[1:]
        return self._mean(rows).reshape(k, n, c)

    def forecast_read(self, reader: FeatureBuilder, read: Read, before: Tensor, cells: np.ndarray) -> np.ndarray:
        c, k = read.ahead.log_rate.shape[1:3]
        axes = torch.arange(1), torch.arange(k), torch.as_tensor(cells), torch.arange(c)
        at = tuple(one.flatten() for one in torch.meshgrid(*axes, indexing="ij"))
        rows = self.read(reader, read.ahead, at, read.covariates).numpy()
        return self._mean(rows).reshape(k, len(cells), c)

    def _mean(self, rows: np.ndarray) -> np.ndarray:
        """The geometric mean of λ of rows [r f] over the fits: float32 [r]."""
        logs = [np.log(self.intensity_of(rows, fit)) for fit in self.fits]
        return np.exp(sum(logs) / len(logs)).astype(np.float32)

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
        predicted = self.predicted(rows, fit) if fit.saved else fit.model
        return np.maximum(as_intensity(predicted, starting_rate(rows, self.start is not None), fit), FLOOR)

    def predicted(self, rows: np.ndarray, fit: TreeFit) -> np.ndarray:
        """What a model gives for rows [r f]: the factor, or the probability of an event among balanced classes."""
        return fit.model.predict(rows) if fit.odds is None else fit.model.predict_proba(rows)[:, 1]

    def save_fit(self, folder: Path) -> None:
        shutil.rmtree(folder / START, ignore_errors=True)  # of a fit that was here before
        if self.start:
            self.start.save(folder / START)
        for i, fit in enumerate(self.fits):
            if fit.saved:
                with atomic_path(self._file(folder, i)) as temporary:
                    temporary.write_bytes(fit.saved)
        write_json(folder / FITS, {"scales": asdict(self.scales), "fits": [fit.facts() for fit in self.fits]})

    def load_fit(self, folder: Path) -> None:
        path = folder / FITS
        kept = read_json(path, AGAIN)
        self.start = PooledTrees.load(folder / START) if (folder / START).exists() else None
        try:
            self.scales, self.fits = Scales.from_dict(kept["scales"]), []
            for i, values in enumerate(kept["fits"]):
                if values["level"] is None:
                    path = self._file(folder, i)
                    saved = path.read_bytes()
                    model = self.unpack(saved, values["odds"] is not None)
                else:
                    saved, model = b"", float(values["level"])
                fit = TreeFit(model, saved, **{key: value for key, value in values.items() if key != "level"})
                if fit.columns > MOST_COLUMNS:
                    raise ValueError(f"claims to read {fit.columns:,} columns")
                self.intensity_of(np.zeros((1, fit.columns), np.float32), fit)  # a model of other columns cannot
                self.fits.append(fit)
        except Exception as error:  # whatever the libraries raise at a damaged file
            raise ArtefactError(
                f"{path}: cannot be opened ({in_brief(error)}). Run `stforecast train --fresh`."
            ) from error

    def _file(self, folder: Path, i: int) -> Path:
        return folder / f"seed-{i}.{self.ending}"
