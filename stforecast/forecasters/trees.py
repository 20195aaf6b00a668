"""What all tree models share: rows, sampling, replay. The models themselves are in `zoo`.

A tree model starts from climatology as the network does. Plainly (`trees.sampling: none`) it fits the factor y / λ₀
with weights λ₀, which has the same optimum as Poisson regression with log λ₀ as offset, and λ = λ₀ × factor. Where it
classifies y > 0 instead, quiet rows are drawn in proportion to λ₀, so that the odds in the drawn rows are a factor
on climatology too. Fitted to y > 0 with log λ₀ as a mere feature, trees ranked hexagons worse than climatology itself
(validation slice of Chicago: average precision .0978, λ₀ .0990, as a factor .1000).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, ClassVar
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

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
from stforecast.features.delay import settled_until
from stforecast.features.groups import Read
from stforecast.features.scaling import Scales
from stforecast.features.tabular import LOG_RATE, Sample, chance, tabular_rows
from stforecast.files import atomic_path, check_archive, fingerprint, read_json, write_json
from stforecast.forecasters import resampling
from stforecast.forecasters.base import AGAIN, Forecaster
from stforecast.forecasters.streaming import LearnedForecaster
from stforecast.scoring.splits import Split

FITS = "trees.json"
"""In the folder of saved trees: the scales, and all of each fit but its model."""
_OBJECT = re.compile(r'("__id__": |": ")(\d+)(?=[,\s}]|\.np[yz]")')
_OBJECT_FILE = re.compile(r"^\d+(?=\.np[yz]$)")
TYPES = [
    "imblearn.ensemble._forest.BalancedRandomForestClassifier",
    "imblearn.under_sampling._prototype_selection._random_under_sampler.RandomUnderSampler",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
]
"""What a file of scikit-learn's or imbalanced-learn's trees may hold beyond the estimators and arrays of skops."""
MOST_COLUMNS = 10_000
"""That a file may claim its trees to read; there are some hundred."""


@dataclass
class TreeFit:
    """A fitted ensemble: `model`, how many `columns` it reads, `density` (see `Sample`), and `odds`.

    model: opened from `saved`, its file's content; a plain factor on λ₀ where the sample had no two classes.
    odds: None where the model gives the factor on λ₀, and where it gives a probability what takes its odds to those of
    the drawn rows: 1 unless classes were balanced.
    """

    model: Any
    saved: bytes
    columns: int
    density: float
    odds: float | None

    def facts(self) -> dict[str, Any]:
        """All but the content of its file, in plain values."""
        level = None if self.saved else self.model
        return {"columns": self.columns, "density": self.density, "odds": self.odds, "level": level}


class Trees(LearnedForecaster):
    """Tree ensembles on tabular rows, one a seed; an adapter names its library and builds the estimator."""

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
        cube, warm_up = cube.as_known(split.train_end), cube.step.in_days(self.config.training.warm_up_days)
        self.scales = learned_scales(cube, split.train_end, self.patch(cube), warm_up)
        self.fits = [self.fit_rows(self.sample(cube, split, seed), seed) for seed in self.seeds]

    def fit_rows(self, sample: Sample, seed: int = 0) -> TreeFit:
        """Fit the estimator to rows of the training slice."""
        how, event, odds = self.config.trees.sampling, sample.event, None
        classes = self.classifies or self.balances or how != "none"
        if not event.any() or (classes and event.all()):
            return TreeFit(_level(sample), b"", sample.rows.shape[1], sample.density, None)
        if not classes:
            factor, weight = sample.counts / sample.rate, sample.rate * sample.weight
            model = self.estimator(classes, seed).fit(sample.rows, factor, sample_weight=weight)
        else:
            rows, balanced = sample.rows, self.balances or how != "none"
            odds = float(event.sum() / (~event).sum()) if balanced else 1.0
            if how != "none":
                rows, event = resampling.balance(rows, event, how, seed)
            model = self.estimator(classes, seed).fit(rows, event)
        saved = self.pack(model)
        return TreeFit(self.unpack(saved, classes), saved, sample.rows.shape[1], sample.density, odds)

    def pack(self, model: Any) -> bytes:
        """A fitted estimator as the content of a file, in a form that holds data and no code."""
        import skops.io

        return _canonical(skops.io.dumps(model))

    def unpack(self, saved: bytes, classes: bool) -> Any:
        """What forecasts, from what `pack` gave."""
        import skops.io

        check_archive(BytesIO(saved))
        model, expected = skops.io.loads(saved, trusted=TYPES), type(self.estimator(classes, 0))
        if type(model) is not expected:
            raise ValueError(f"holds a {type(model).__name__}, not a {expected.__name__}")
        return model

    def sample(self, cube: Cube, split: Split, seed: int = 0) -> Sample:
        """Draw the training rows; what SMOTE will add is taken from the quiet ones."""
        end, cube = split.train_end, cube.as_known(split.train_end)
        builder = FeatureBuilder(cube, self.scales, self.patch(cube))
        state = builder.init_state(split.first % builder.patch)
        warm = min(cube.step.in_days(self.config.training.warm_up_days), end // 3) // builder.patch
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
        fits = [[fit.facts(), sha256(fit.saved).hexdigest()] for fit in self.fits]
        return self.scales.until, fingerprint(self.name, asdict(self.scales), fits)

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
        c, k, n = batch.log_rate.shape[1:]
        return self._mean(rows).reshape(k, n, c)

    def forecast_read(self, reader: FeatureBuilder, read: Read, before: Tensor, cells: np.ndarray) -> np.ndarray:
        c, k = read.ahead.log_rate.shape[1:3]
        axes = torch.arange(1), torch.arange(k), torch.as_tensor(cells), torch.arange(c)
        at = tuple(one.flatten() for one in torch.meshgrid(*axes, indexing="ij"))
        rows = tabular_rows(reader, read.ahead, at, read.covariates).numpy()
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
        rate = np.exp(rows[:, LOG_RATE])
        if fit.odds is None:
            return np.maximum(rate * (self.predicted(rows, fit) if fit.saved else fit.model), FLOOR)
        return np.maximum(resampling.intensity(self.predicted(rows, fit), fit.odds * chance(rate, fit.density)), FLOOR)

    def predicted(self, rows: np.ndarray, fit: TreeFit) -> np.ndarray:
        """What a model gives for rows [r f]: the factor, or the probability of an event among balanced classes."""
        return fit.model.predict(rows) if fit.odds is None else fit.model.predict_proba(rows)[:, 1]

    def save_fit(self, folder: Path) -> None:
        for i, fit in enumerate(self.fits):
            if fit.saved:
                with atomic_path(self._file(folder, i)) as temporary:
                    temporary.write_bytes(fit.saved)
        write_json(folder / FITS, {"scales": asdict(self.scales), "fits": [fit.facts() for fit in self.fits]})

    def load_fit(self, folder: Path) -> None:
        path = folder / FITS
        kept = read_json(path, AGAIN)
        try:
            self.scales, self.fits = Scales.from_dict(kept["scales"]), []
            for i, values in enumerate(kept["fits"]):
                if values["level"] is None:
                    path = self._file(folder, i)
                    saved = path.read_bytes()
                    model = self.unpack(saved, values["odds"] is not None)
                else:
                    saved, model = b"", float(values["level"])
                fit = TreeFit(model, saved, values["columns"], values["density"], values["odds"])
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


def _canonical(saved: bytes) -> bytes:
    """A skops archive whose bytes follow from the estimator alone: skops names objects by where they lie in memory."""
    numbers: dict[str, str] = {}

    def counted(match: re.Match[str]) -> str:
        return match[1] + numbers.setdefault(match[2], str(len(numbers)))

    out = BytesIO()
    with ZipFile(BytesIO(saved)) as old, ZipFile(out, "w", ZIP_DEFLATED, compresslevel=3) as new:
        schema = _OBJECT.sub(counted, old.read("schema.json").decode())
        members = {name: old.read(name) for name in old.namelist() if name != "schema.json"}
        members = {_OBJECT_FILE.sub(lambda match: numbers[match[0]], name): data for name, data in members.items()}
        for name, data in [("schema.json", schema.encode()), *sorted(members.items())]:
            new.writestr(ZipInfo(name), data, ZIP_DEFLATED)
    return out.getvalue()


def _level(sample: Sample) -> float:
    """What climatology times a constant asks for, for samples without two classes."""
    exposure = float((sample.rate * sample.weight).sum())
    return float(sample.counts.sum()) / exposure if exposure else 0.0
