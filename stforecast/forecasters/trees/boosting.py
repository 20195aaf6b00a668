"""Trees that are grown round by round, for as many rounds as the validation slice asks for.

A record of two months bears a few rounds or none, one of six years hundreds: at a fixed number, trees of short records
are worse than the climatology that they start from. The library stops once its own loss of the validation rows has
not fallen for a while. Of the rounds grown, those are kept whose forecasts are nearest to what came, whatever their
level, which calibration takes from the same slice; none where plain λ₀ is nearer.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import expit

from stforecast.features.climatology import FLOOR
from stforecast.features.tabular import CATEGORY, Sample
from stforecast.forecasters.trees.fits import Table, TreeFit, as_intensity
from stforecast.forecasters.trees.forecaster import Trees
from stforecast.forecasters.trees.rows import Rows
from stforecast.scoring.metrics import levelled_loss


class Boosting(Trees):
    """Gradient boosting; its settings have the most rounds, and after how many that did not help it stops."""

    @abstractmethod
    def fit_until(self, estimator: Any, table: Table, held_out: Table) -> Any:
        """Fit to a table until the library's loss on another one no longer falls."""

    @abstractmethod
    def margins(self, model: Any, rows: np.ndarray) -> Iterator[np.ndarray]:
        """The logarithm of the factor, or of the odds, of rows [r f] after 1, 2, … rounds: [r] each."""

    def held_out(self, rows: Rows) -> Sample:
        return rows.validation(self.config.seed)

    def grow(self, plain: TreeFit, odds: float | None, table: Table, held_out: Sample | None, seed: int) -> TreeFit:
        assert held_out is not None
        fit, rate = replace(plain, odds=odds), held_out.start
        model = self.fit_until(self.estimator(odds is not None, seed), table, self._table(held_out, odds))
        given = held_out.counts, held_out.weight * held_out.share, held_out.rows[:, CATEGORY].astype(np.int64)
        losses = [levelled_loss(rate, *given)]  # of no round
        for margin in self.margins(model, held_out.rows):
            predicted = np.exp(margin) if odds is None else expit(margin)
            losses.append(levelled_loss(np.maximum(as_intensity(predicted, rate, fit), FLOOR), *given))
        rounds = int(np.argmin(losses))
        if not rounds:
            return replace(plain, model=1.0, rounds=0)
        saved = self.pack(model, rounds)
        return replace(fit, model=self.unpack(saved, odds is not None), saved=saved, rounds=rounds)

    @property
    def remark(self) -> str:
        if self.start and self.config.training.adapt == "none":
            return "the pooled trees as they are"
        if any(fit.rounds is None for fit in self.fits):
            return super().remark
        rounds = [fit.rounds or 0 for fit in self.fits]
        chosen = f"{', '.join(map(str, rounds))} rounds by the validation slice"
        return chosen if all(rounds) else f"{chosen}; where 0, {self.standing} as before, since no tree held there"

    def _table(self, held_out: Sample, odds: float | None) -> Table:
        """What the library's loss is measured on: its optimum is that of the training rows."""
        if odds is None:
            exposure = held_out.start * held_out.share
            return Table(held_out.rows, held_out.counts / exposure, exposure * held_out.weight)
        balanced = self.config.trees.sampling != "none"  # where the library itself balances, it does here too
        return Table(
            held_out.rows, held_out.event, np.where(held_out.event, 1 / odds if balanced else 1.0, held_out.share)
        )
