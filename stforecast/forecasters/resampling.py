"""Balanced classes for trees that classify, and the way back to intensities. Only rows of the training slice come here.

Whatever balances the classes (rows left out, rows made, class weights, a balanced draw for every tree), the odds
learned are those of equally many events and quiet rows. The true ones follow in closed form, as every share is known:
odds = balanced odds × events / quiet rows × chance of a quiet row (King and Zeng 2001; Dal Pozzolo et al. 2015).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from stforecast.features.tabular import CATEGORY

SMOTE_SEEDS, NEIGHBOURS = 20_000, 5
"""Rows of a category between which SMOTE interpolates, and how many nearest ones it looks at."""
CERTAIN = 1e-3
"""A leaf of one class only says no more than 1 : 1000."""


def intensity(probability: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """λ = −log(1 − p) from a probability among balanced classes and the odds that stand for even ones there, [r]."""
    p = np.clip(probability, CERTAIN, 1 - CERTAIN)
    return np.log1p(p / (1 - p) * prior)


def balance(
    rows: np.ndarray, event: np.ndarray, how: Literal["under", "smote"], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows [r f] and classes [r] of which both have equally many; each class must have one row."""
    if how == "smote":
        return _smote(rows, event, seed)
    from imblearn.under_sampling import RandomUnderSampler

    return RandomUnderSampler(random_state=seed).fit_resample(rows, event)


def _smote(rows: np.ndarray, event: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """New rows of the rarer class between neighbours (Chawla et al. 2002) of one category: between two lies none.

    A category of one row is repeated. Distances are in units of each column's spread, and columns of whole numbers stay
    whole: by their fractions the new rows would be known, and no true row would look like an event.
    """
    from imblearn.over_sampling import SMOTE

    rarer = event if 2 * event.sum() < event.size else ~event
    at, rng = np.flatnonzero(rarer), np.random.default_rng(seed)
    names, sizes = np.unique(rows[at, CATEGORY], return_counts=True)
    missing = np.diff(np.round(np.cumsum([0, *sizes]) * (rarer.size / len(at) - 2))).astype(int)
    spread = np.where((found := rows.std(0)) > 0, found, 1).astype(np.float32)
    other = rows[~rarer][:1]  # SMOTE asks for two classes
    made = []
    for name, size, count in zip(names, sizes, missing, strict=True):
        own = rows[at[rows[at, CATEGORY] == name]]
        seeds = own[rng.permutation(size)[:SMOTE_SEEDS]]
        if len(seeds) == 1:
            made.append(np.repeat(seeds, count, 0))
            continue
        labels = np.arange(len(seeds) + 1) > 0
        smote = SMOTE(
            sampling_strategy={True: len(seeds) + int(count)},
            k_neighbors=min(NEIGHBOURS, len(seeds) - 1),
            random_state=seed,
        )
        more, _ = smote.fit_resample(np.concatenate([other, seeds]) / spread, labels)
        made.append(more[len(labels) :] * spread)
    new = np.concatenate(made)
    whole = (rows == np.round(rows)).all(0)
    new[:, whole] = np.round(new[:, whole])
    label = np.full(len(new), bool(event[at[0]]))
    return np.concatenate([rows, new]), np.concatenate([event, label])
