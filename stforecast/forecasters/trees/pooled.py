"""Trees that were fitted to many cities and are carried to others: where a city's own trees start."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from stforecast.errors import ArtefactError, in_brief
from stforecast.features.builder import FeatureBatch, FeatureBuilder
from stforecast.features.canonical_rows import COLUMNS, canonical_rows
from stforecast.features.covariates import Covariates
from stforecast.features.shared import SharedRhythms
from stforecast.files import write_text
from stforecast.forecasters.trees.lightgbm_text import LightGBMTrees

TREES, RHYTHMS = "lightgbm.txt", "rhythms.json"
"""In the folder of saved trees; the latter where they rest on any."""


@dataclass(frozen=True)
class PooledTrees:
    """The factor on λ₀ that trees of many cities expect.

    text: LightGBM's own form of them. shared: what cities share in rates and rhythms, on which the λ₀ rests that they
    were fitted to; None where it is each city's own.
    """

    text: str
    shared: SharedRhythms | None = None

    @staticmethod
    def load(folder: str | Path) -> PooledTrees:
        """Open what `save` wrote, or those of a folder of weights.

        Raises:
            ArtefactError: it is absent, damaged, or reads other columns than this version.
        """
        path, rhythms = Path(folder) / TREES, Path(folder) / RHYTHMS
        shared = SharedRhythms.open(rhythms) if rhythms.exists() else None
        try:
            found = PooledTrees(path.read_text(encoding="utf-8"), shared)
            names = found.trees.names
        except (OSError, LookupError, ValueError, OverflowError) as error:
            raise ArtefactError(f"{path}: cannot be opened as pooled trees ({in_brief(error)}).") from error
        if names != [*COLUMNS]:
            raise ArtefactError(f"{path}: is of trees that read other columns than this version. Fit them again.")
        return found

    def save(self, folder: str | Path) -> None:
        """Write what `load` reads."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if self.shared:
            self.shared.save(folder / RHYTHMS)
        else:
            (folder / RHYTHMS).unlink(missing_ok=True)
        write_text(folder / TREES, self.text)

    @cached_property
    def trees(self) -> LightGBMTrees:
        """Opened from the text."""
        return LightGBMTrees.of(self.text)

    def log_factor(
        self,
        builder: FeatureBuilder,
        batch: FeatureBatch,
        at: tuple[Tensor, ...] | None = None,
        covariates: Covariates | None = None,
    ) -> Tensor:
        """The logarithm of the factor on λ₀ of cells; arguments as of `tabular_rows`: [r 1]."""
        rows = canonical_rows(builder, batch, at, covariates).numpy()
        return torch.as_tensor(self.trees.margin(rows, torch.get_num_threads()), dtype=torch.float32)[:, None]
