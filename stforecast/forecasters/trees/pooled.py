"""Trees that were fitted to many cities and are carried to others: where a city's own trees start."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stforecast.errors import ArtefactError, in_brief
from stforecast.features.builder import FeatureBatch, FeatureBuilder
from stforecast.features.canonical_rows import COLUMNS, canonical_rows
from stforecast.features.covariates import Covariates
from stforecast.files import write_text


@dataclass(frozen=True)
class PooledTrees:
    """The factor on λ₀ that trees of many cities expect.

    text: LightGBM's own form of them.
    """

    text: str

    @staticmethod
    def load(path: str | Path) -> PooledTrees:
        """Open what `save` wrote.

        Raises:
            ArtefactError: it is absent, damaged, or reads other columns than this version.
        """
        path = Path(path)
        try:
            found = PooledTrees(path.read_text(encoding="utf-8"))
            names = found.booster.feature_name()
        except Exception as error:  # whatever the library raises at a damaged file
            raise ArtefactError(f"{path}: cannot be opened as pooled trees ({in_brief(error)}).") from error
        if names != [*COLUMNS]:
            raise ArtefactError(f"{path}: is of trees that read other columns than this version. Fit them again.")
        return found

    def save(self, path: str | Path) -> None:
        """Write what `load` reads."""
        write_text(Path(path), self.text)

    @cached_property
    def booster(self) -> Any:
        """LightGBM's model."""
        from lightgbm import Booster

        return Booster(model_str=self.text)

    def log_factor(
        self,
        builder: FeatureBuilder,
        batch: FeatureBatch,
        at: tuple[Tensor, ...] | None = None,
        covariates: Covariates | None = None,
    ) -> Tensor:
        """The logarithm of the factor on λ₀ of cells; arguments as of `tabular_rows`: [r 1]."""
        rows = canonical_rows(builder, batch, at, covariates).numpy()
        margin = self.booster.predict(rows, raw_score=True, num_threads=torch.get_num_threads()) if len(rows) else []
        return torch.as_tensor(np.asarray(margin, np.float32))[:, None]
