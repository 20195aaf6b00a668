"""What becomes of each row of a chunk, and why: the bookkeeping of `clean`."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa

from stforecast.events.parsing.text_columns import is_empty

FOREVER = 2**62  # µs


class RowAudit:
    """`open` [r] are the rows on their way to become events; the first reason given to a row stays.

    refused: (row, reason, value) of refused rows, in no order. left_out, mended: reason → rows. examples, counts: see
    `reading.TextEvidence`, with row and text for an example. due: see `Cleaned`.
    """

    def __init__(self, problem: pa.Array, value: pa.Array) -> None:
        self.open = is_empty(problem).copy()
        broken = np.flatnonzero(~self.open).tolist()
        self.refused = [(row, problem[row].as_py(), value[row].as_py()) for row in broken]
        self.left_out: Counter[str] = Counter()
        self.mended: Counter[str] = Counter()
        self.examples: dict[str, tuple[int, str]] = {}
        self.counts: dict[str, Counter[str]] = {}
        self.due = FOREVER

    def refuse(self, rows: np.ndarray, reason: str, *shown: pa.Array) -> None:
        """Refuse open rows; the texts in `shown` are what the user should look at."""
        which = np.flatnonzero(rows & self.open)
        self.open[which] = False
        values = [texts.take(pa.array(which)).to_pylist() for texts in shown]
        rows_of = zip(which.tolist(), *values, strict=True)
        self.refused += [(row, reason, " ".join(filter(None, words))) for row, *words in rows_of]

    def leave_out(self, rows: np.ndarray, reason: str) -> None:
        """Leave open rows out: they are none of this configuration's business."""
        if number := int((rows & self.open).sum()):
            self.left_out[reason] += number
            self.open &= ~rows

    def await_until(self, instants: np.ndarray) -> None:
        """Note when rows that tell of what is yet to come may become possible."""
        self.due = min(self.due, int(instants.min(initial=FOREVER)))

    def example(self, kind: str, rows: np.ndarray, shown: pa.Array) -> None:
        """Note the first of some rows [r] as an example of its kind."""
        which = np.flatnonzero(rows)
        if which.size and (kind not in self.examples or which[0] < self.examples[kind][0]):
            self.examples[kind] = (int(which[0]), shown[which[0]].as_py())

    def count(self, name: str, counts: Counter[str]) -> None:
        """Add to what is counted of texts."""
        self.counts.setdefault(name, Counter()).update(counts)

    def mend(self, rows: np.ndarray, what: str) -> None:
        """Count open rows that were mended."""
        if number := int((rows & self.open).sum()):
            self.mended[what] += number
