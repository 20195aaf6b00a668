"""Covariates by cell as forecasters read them: standardised, masked where unknown, as known at each issue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from stforecast.cube import Cube
from stforecast.features.scaling import Scales

BOUND = 5.0
"""Values beyond so many spreads of the training slice are read as that many."""


class CellCovariates:
    """The covariates that a forecaster learned with, of a cube.

    Args:
        cube: the record; a covariate that it lacks is masked.
        scales: of the training slice; they name the covariates, j in all.
        device: where tensors lie.
    """

    def __init__(self, cube: Cube, scales: Scales, device: torch.device | str = "cpu") -> None:
        self.cube, self.standard, self.device = cube, scales.covariates, torch.device(device)
        self.names = self.standard.names
        own = {one.name: one for one in cube.covariates}
        self.found = {place: own[name] for place, name in enumerate(self.names) if name in own}
        response = torch.tensor(scales.response, dtype=torch.float32, device=self.device)
        self.response = response if len(scales.response) else None

    @property
    def channels(self) -> int:
        """Values, then whether they are known: 2 j."""
        return 2 * len(self.names)

    def at(self, issues: Sequence[int], first: int = 0, count: int | None = None) -> Tensor:
        """What is known at issues of the steps after each.

        Args:
            issues: issue steps, [l].
            first: steps from each to the first that is read.
            count: how many steps are read; default the horizons k.

        Returns:
            [l 2j k n].
        """
        k, j = count or self.cube.horizons, len(self.names)
        if not j:
            return torch.zeros(len(issues), 0, k, self.cube.n, device=self.device)
        out = np.zeros((len(issues), 2 * j, k, self.cube.n), np.float32)
        for row, issue in zip(out, issues, strict=True):
            for place, covariate in self.found.items():
                values, seen = covariate.window(issue, issue + first, k, self.cube.n)
                scaled = (values - self.standard.mean[place]) / self.standard.spread[place]
                row[place], row[j + place] = np.where(seen > 0, np.clip(scaled, -BOUND, BOUND), 0), seen
        return torch.as_tensor(out, device=self.device)

    def log_factor(self, given: Tensor) -> Tensor:
        """What they do to log λ₀, from [l 2j k n]: [l c k n]; 0 where nothing was fitted."""
        if self.response is None:
            return given.new_zeros(())
        return torch.einsum("jc,ljkn->lckn", self.response, given[:, : len(self.names)])
