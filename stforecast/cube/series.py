"""Hourly channels with gaps, such as weather."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Series:
    """Named hourly channels with gaps: values [t w] float32, NaN where nothing was observed."""

    names: tuple[str, ...] = ()
    values: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def window(self, first: int, last: int) -> np.ndarray:
        """Steps first … last − 1 as [t w]; NaN outside the series."""
        out = np.full((last - first, len(self.names)), np.nan, np.float32)
        low, high = max(first, 0), min(last, len(self.values))
        if low < high:
            out[low - first : high - first] = self.values[low:high]
        return out


NONE = Series()
"""No channel."""
