"""What becomes of each row of a chunk, and why: the bookkeeping of `clean`."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd

# refused: in rejects.parquet, and counted against source.max_rejects
NO_TIME = "no time"
UNREADABLE_TIME = "unreadable time"
MONTH_ONLY = "month only"
TOO_OLD = "before 1990"
FUTURE = "in the future"
NO_PLACE = "no coordinates"
OUTSIDE = "outside the bounds"
DUPLICATE = "duplicate id"
# refused, but not held against the file: two exports that overlap
OTHER_FILE = "id already in another file"

# left out: counted only
NO_CATEGORY = "not in a category"
OTHER_PERIOD = "outside the chosen period"
NOT_COVERED = "outside the file's coverage"
BLANK_ROW = "blank row"
WITHDRAWAL = "withdrawal"
WITHDRAWN = "withdrawn report"
NOT_COUNTED = "count of zero"


class Ledger:
    """`fate` [r] is "" as long as a row is on its way to become an event; the first reason given to a row stays."""

    def __init__(self, problem: pd.Series, value: pd.Series) -> None:
        self.fate = problem.to_numpy(object).copy()
        self.value = value.to_numpy(object).copy()
        self.is_left_out = np.zeros(len(problem), bool)
        self.mended: Counter[str] = Counter()

    @property
    def open(self) -> np.ndarray:
        """Rows [r] that are still on their way."""
        return np.asarray(self.fate == "", bool)

    def refuse(self, rows: np.ndarray, reason: str, *shown: np.ndarray) -> None:
        """Refuse open rows; the texts in `shown` are what the user should look at."""
        which = np.flatnonzero(rows & self.open)
        self.fate[which] = reason
        for row in which:
            self.value[row] = " ".join(texts[row] for texts in shown)

    def leave_out(self, rows: np.ndarray, reason: str) -> None:
        """Leave open rows out: they are none of this configuration's business."""
        rows = rows & self.open
        self.fate[rows] = reason
        self.is_left_out |= rows

    def mend(self, rows: np.ndarray, what: str) -> None:
        """Count open rows that were mended."""
        number = int((rows & self.open).sum())
        if number:
            self.mended[what] += number
