"""A forecaster at an issue whose inputs are taken in groups (`features.groups`): what `attribution` asks."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np


class ByGroup(ABC):
    """A forecaster at an issue, ready to be asked what it gives where only some groups are as they are.

    groups: those that it reads, in the order of `GROUPS`, without `usual`.
    """

    groups: tuple[str, ...]

    @abstractmethod
    def intensity(self, real: frozenset[str], cells: np.ndarray) -> np.ndarray:
        """λ [k m c], not calibrated, of the cells [m], where the groups `real` are as they are."""


class Constant(ByGroup):
    """λ [k n c] of a forecaster that reads nothing but what is usual."""

    groups = ()

    def __init__(self, intensity: np.ndarray) -> None:
        self.given = intensity

    def intensity(self, real: frozenset[str], cells: np.ndarray) -> np.ndarray:
        return self.given[:, cells]
